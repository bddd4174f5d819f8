//! `--location`.

use std::fs;

use crate::odd::{Odd, answer};
use crate::server::{BOTH, ends_with, names, stderr, stdout};

/// The path that a request asks for.
pub(crate) fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap()
}

/// Leads to the next number, up to the end.
fn chain(request: &str) -> Vec<Vec<u8>> {
    match path(request) {
        "/a/0" => answer("301 Moved Permanently", "Location: /a/1\r\n", ""),
        "/a/1" => answer("302 Found", "Location: ../b/./2?x\r\n", "not this"),
        "/b/2?x" => answer("307 Temporary Redirect", "Location: 3#part\r\n", ""),
        "/b/3" => answer("200 OK", "", "here"),
        "/circle" => answer("303 See Other", "Location: ./circle2\r\n", ""),
        "/circle2" => answer("308 Permanent Redirect", "Location: circle\r\n", ""),
        "/file" => answer("302 Found", "Location: file:///etc/hostname\r\n", ""),
        "/tls" => answer("302 Found", "Location: https://127.0.0.1/\r\n", ""),
        "/endless" => answer("302 Found", "Location: /endless1\r\n", ""),
        longer => {
            let location = format!("Location: {longer}1\r\n");
            answer("302 Found", &location, "")
        }
    }
}

#[test]
fn a_redirect_is_followed_to_its_end_and_the_name_is_the_first() {
    for proto in BOTH {
        let server = Odd::start(proto, chain);
        let folder = tempfile::tempdir().unwrap();
        let format = "%{http_code} %{num_redirects} %{url_effective}\n";
        let arguments = ["-L", "--allow-unverified", "-w", format];
        let output = ends_with(0, &mut server.place.get(folder.path(), "/a/0", &arguments));
        assert_eq!(
            stdout(&output),
            format!("200 3 http+{proto}://{}/b/3\n", server.place.address)
        );
        assert_eq!(names(folder.path()), ["0"]);
        assert_eq!(fs::read(folder.path().join("0")).unwrap(), b"here");
        let paths: Vec<String> = server
            .requests()
            .iter()
            .map(|r| path(r).to_owned())
            .collect();
        assert_eq!(paths, ["/a/0", "/a/1", "/b/2?x", "/b/3"]);
    }
}

#[test]
fn without_location_a_redirect_is_an_error_that_names_the_place() {
    let server = Odd::start("sctp", chain);
    let folder = tempfile::tempdir().unwrap();
    let told = stderr(&ends_with(
        22,
        &mut server.place.get(folder.path(), "/a/0", &[]),
    ));
    assert!(
        told.contains("301") && told.contains("/a/1") && told.contains("-L"),
        "{told}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_redirect_ends_in_a_circle_at_a_bound_and_at_other_schemes() {
    let server = Odd::start("sctp", chain);
    let folder = tempfile::tempdir().unwrap();
    let fetch = |path: &str, arguments: &[&str], code: i32, what: &str| {
        let mut get = server
            .place
            .get(folder.path(), path, &[&["-L"], arguments].concat());
        let told = stderr(&ends_with(code, &mut get));
        assert!(told.contains(what), "{told}");
        assert!(names(folder.path()).is_empty());
    };
    fetch("/circle", &[], 47, "in a circle");
    fetch("/endless", &["--max-redirs", "3"], 47, "more than 3 times");
    fetch("/a/0", &["--max-redirs", "0"], 47, "more than 0 times");
    fetch("/file", &[], 3, "the scheme is not http");
    fetch("/tls", &[], 3, "there is no TLS");
    assert_eq!(server.requests().len(), 2 + 4 + 1 + 1 + 1);
}

#[test]
fn what_is_secret_stays_with_the_server_it_was_for() {
    let there = Odd::start("sctp", |_| answer("200 OK", "", "x"));
    let port = there.place.udp_port;
    // Both have the same UDP port, at different addresses.
    let at = format!("127.0.0.2:{port}").parse().unwrap();
    let here = Odd::start_at("sctp", at, |_| {
        answer("302 Found", "Location: http://127.0.0.1:8080/x\r\n", "")
    });
    let folder = tempfile::tempdir().unwrap();
    let fields = [
        "-L",
        "-H",
        "Authorization: Basic x",
        "-H",
        "cookie: y",
        "-H",
        "X-A: z",
    ];
    ends_with(0, &mut here.place.get(folder.path(), "/", &fields));
    let (first, then) = (here.requests().remove(0), there.requests().remove(0));
    assert!(first.contains("Authorization: Basic x\r\n") && first.contains("cookie: y\r\n"));
    assert!(
        !then.contains("Authorization") && !then.contains("cookie"),
        "{then}"
    );
    assert!(
        then.contains("X-A: z\r\n") && then.contains("Host: 127.0.0.1:8080\r\n"),
        "{then}"
    );
}

#[test]
fn the_time_for_all_of_it_is_for_all_places_together() {
    let server = Odd::start("sctp", |request| {
        if path(request) == "/end" {
            return vec![Vec::new()];
        }
        answer("302 Found", "Location: /end\r\n", "")
    });
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["-L", "-m", "1", "--retries", "0", "-w", "%{url_effective}"];
    let output = ends_with(28, &mut server.place.get(folder.path(), "/", &arguments));
    assert!(stdout(&output).ends_with("/end"));
}
