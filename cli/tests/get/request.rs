//! What a request says: fields, many targets, and no proxy.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::odd::{Odd, answer};
use crate::server::{BOTH, Server, cli, ends_with, names, stderr};

#[test]
fn fields_are_sent_as_typed() {
    for proto in BOTH {
        let server = Odd::start(proto, |_| answer("200 OK", "", "x"));
        let folder = tempfile::tempdir().unwrap();
        let fields = [
            "--allow-unverified",
            "-H",
            "Accept-Language: de",
            "-A",
            "me/1",
            "-e",
            "http://r/",
        ];
        ends_with(0, &mut server.place.get(folder.path(), "/x", &fields));
        let request = server.requests().remove(0);
        for line in [
            "Accept-Language: de",
            "User-Agent: me/1",
            "Referer: http://r/",
        ] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
        }
        ends_with(
            2,
            &mut server
                .place
                .get(folder.path(), "/x", &["-H", "Host: other"]),
        );
        ends_with(
            2,
            &mut server
                .place
                .get(folder.path(), "/x", &["-H", "X: a\r\nY: b"]),
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn many_targets_come_from_the_line_a_file_and_stdin() {
    for proto in BOTH {
        let server = Server::start(proto);
        for name in ["a", "b", "c", "d"] {
            server.put(name, name.as_bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        let target = |path: &str| server.place.target(path);
        let lines = format!("# a comment\n\n  {} \n{}\n", target("/b"), target("/c"));
        fs::write(folder.path().join("list"), &lines).unwrap();
        let mut get = server.place.client(folder.path(), &["-i", "list"]);
        ends_with(0, get.arg(target("/a")));
        assert_eq!(names(folder.path()), ["a", "b", "c", "list"]);
        let mut get = server.place.client(folder.path(), &["-i", "-"]);
        let mut child = get
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let line = format!("{}\n", target("/d"));
        child
            .stdin
            .take()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(fs::read(folder.path().join("d")).unwrap(), b"d");
        // One that fails does not keep the others from coming, and decides the code.
        let folder = tempfile::tempdir().unwrap();
        let mut get = server.place.client(folder.path(), &[]);
        let all = [target("/a"), target("/missing"), target("/c")];
        let told = stderr(&ends_with(22, get.args(all)));
        assert_eq!(names(folder.path()), ["a", "c"]);
        assert!(told.contains("/missing: the server answered 404"), "{told}");
    }
}

#[test]
fn a_proxy_is_not_used_and_that_is_said() {
    let server = Server::start("sctp");
    server.put("x", b"new");
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let proxy = "http://127.0.0.1:9";
    let mut get = server.place.get(folder.path(), "/x", &["-v"]);
    let told = stderr(&ends_with(0, get.env("HTTP_PROXY", proxy)));
    assert!(told.contains("HTTP_PROXY is not used"), "{told}");
    let mut get = server.place.get(folder.path(), "/x", &[]);
    let told = stderr(&ends_with(0, get.env("HTTP_PROXY", proxy)));
    assert!(!told.contains("PROXY"), "{told}");
}

#[test]
fn the_help_stands_in_groups_and_names_units() {
    let output = ends_with(0, cli().args(["get", "--help"]));
    let help = crate::server::stdout(&output);
    for heading in [
        "Transport:",
        "Output:",
        "Request, range and resume:",
        "Limits:",
        "What is shown:",
    ] {
        assert!(help.contains(&format!("\n{heading}\n")), "{heading}");
    }
    // What takes a number says of what.
    let options = help.split("\n\n").filter(|option| option.contains("--"));
    for option in
        options.filter(|option| option.contains("<SECONDS>") || option.contains("<BYTES>"))
    {
        assert!(option.lines().count() > 1, "{option}");
    }
    assert!(help.contains("HTTP_PROXY"));
}
