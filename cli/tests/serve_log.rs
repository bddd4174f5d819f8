//! What `cli serve` writes down: the real program, over stacks of our own.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::fs;

use common::raw::ask;
use common::{Server, WAYS, wait_until};
use rustix::process::Signal;
use serde_json::Value;

fn root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "content").unwrap();
    folder
}

#[test]
fn lines_of_json_say_who_got_what_and_how() {
    let folder = root();
    for (proto, driver) in WAYS {
        let arguments = ["--log-format", "json", "--driver", driver];
        let server = Server::start(proto, folder.path(), &arguments);
        server.body("/a.txt");
        assert!(!server.get("/none", &[]).status.success());
        let (_, log) = server.stop();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        let status: Vec<&Value> = lines.iter().map(|line| &line["status"]).collect();
        assert_eq!(status, [200, 404], "{log}");
        let line = &lines[0];
        assert_eq!(line["peer"], "127.0.0.1");
        assert_eq!(line["proto"], proto);
        assert_eq!(line["carrier"], "udp");
        let stream = if proto == "sctp" {
            0.into()
        } else {
            Value::Null
        };
        assert_eq!(line["stream"], stream);
        assert_eq!(
            (&line["method"], &line["target"]),
            (&"GET".into(), &"/a.txt".into())
        );
        assert_eq!(
            (&line["bytes"], &line["complete"]),
            (&7.into(), &true.into())
        );
        assert!(line["duration"].as_f64().unwrap() < 60.0);
        let agent = line["user_agent"].as_str().unwrap();
        assert!(agent.starts_with("http-over-messages/"), "{agent}");
    }
}

#[test]
fn bytes_of_a_client_do_not_reach_the_log_raw() {
    let folder = root();
    let request = b"GET /\"\\%0a HTTP/1.0\r\nUser-Agent: a\"b\\c\t\xff\r\n\r\n";
    for format in ["common", "combined", "json"] {
        let server = Server::sctp(folder.path(), &["--log-format", format, "-v"]);
        assert_eq!(ask(&server, request).status(), 404);
        assert_eq!(ask(&server, b"GET /\x1b[2J HTTP/1.0\r\n\r\n").status(), 400);
        let (told, log) = server.stop();
        assert_eq!(log.lines().count(), 2, "{log}");
        for text in [&told, &log] {
            let clean = |line: &str| !line.contains(char::is_control);
            assert!(text.lines().all(clean), "{text:?}");
        }
        if format == "combined" {
            let end = r#""GET /\"\\%0a HTTP/1.0" 404 "#;
            assert!(log.contains(end), "{log}");
            assert!(log.contains(r#""a\"b\\c\x09\xFF""#), "{log}");
        }
    }
}

#[test]
fn the_log_is_opened_anew_after_a_hangup() {
    let folder = root();
    let logs = tempfile::tempdir().unwrap();
    let path = |name: &str| logs.path().join(name);
    let log = path("access.log");
    let server = Server::sctp(folder.path(), &["--log-file", log.to_str().unwrap()]);
    let lines = |name: &str| fs::read_to_string(path(name)).map_or(0, |text| text.lines().count());
    server.body("/a.txt");
    wait_until("no line", || lines("access.log") == 1);
    fs::rename(&log, path("access.log.1")).unwrap();
    server.body("/a.txt");
    wait_until("no line in the old file", || lines("access.log.1") == 2);
    server.signal(Signal::HUP);
    server.body("/a.txt");
    wait_until("no line in the new file", || lines("access.log") == 1);
    assert_eq!(lines("access.log.1"), 2);
    server.stop();
}

#[test]
fn who_asks_whether_the_server_is_well_is_not_logged() {
    let folder = root();
    for (proto, driver) in WAYS {
        let arguments = ["--health", "/healthz", "--driver", driver];
        let server = Server::start(proto, folder.path(), &arguments);
        assert_eq!(server.body("/healthz"), b"ok\n");
        server.body("/a.txt");
        let (_, log) = server.stop();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("\"GET /a.txt HTTP/1.0\" 200 7"), "{log}");
    }
}

#[test]
fn a_level_tells_what_those_before_it_tell_and_more() {
    let folder = root();
    let told = |level: &[&str]| {
        let server = Server::sctp(folder.path(), level);
        server.body("/a.txt");
        server.stop().0
    };
    let info = told(&["--log-level", "info"]);
    assert!(
        info.contains("served 1 request") && !info.contains("GET /a.txt"),
        "{info}"
    );
    assert_eq!(told(&[]).lines().count(), info.lines().count());
    for debug in [told(&["--log-level", "debug"]), told(&["-v"])] {
        assert!(debug.contains("> GET /a.txt HTTP/1.0"), "{debug}");
        assert!(debug.contains("< 200 OK, 7 bytes of body"), "{debug}");
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_client() {
    let folder = root();
    // More lines than a pipe holds.
    let targets = folder.path().join("targets");
    for (proto, driver) in [("sctp", "std"), ("sctp", "mio")] {
        let server = Server::start(proto, folder.path(), &["--driver", driver]);
        fs::write(
            &targets,
            format!("{}\n", server.target("/a.txt")).repeat(1500),
        )
        .unwrap();
        let mut client = server.client(&["-I", "-i", targets.to_str().unwrap()]);
        let output = client.output().unwrap();
        assert!(
            output.status.success(),
            "{driver} {}",
            common::stderr(&output)
        );
        let (told, log) = server.stop();
        assert!(
            told.contains("nobody reads it; lines are left out"),
            "{told}"
        );
        let count = log.lines().count();
        assert!((500..1500).contains(&count), "{count} lines");
        assert!(log.lines().all(|line| line.ends_with(" 200 -")), "{log}");
    }
}
