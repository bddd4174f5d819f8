//! What `cli serve` answers to requests, good and bad: the real program, over SCTP in UDP.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use common::raw::{Answer, Association, End, ask};
use common::{DRIVERS, Server};
use transport::CloseReason;

/// A file of ten bytes that was last changed in 2001.
fn root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join("ten.txt"), b"0123456789");
    fs::create_dir(folder.path().join("folder")).unwrap();
    folder
}

fn write_old(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(time).unwrap();
}

#[test]
fn requests_that_are_refused_say_why() {
    let folder = root();
    let long = "x".repeat(9000);
    let requests = [
        ("GET /ten.txt HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("HEAD /ten.txt HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("GET /none HTTP/1.0\r\n\r\n".to_owned(), 404),
        ("GET /folder/ HTTP/1.0\r\n\r\n".to_owned(), 404),
        ("GET /../etc/passwd HTTP/1.0\r\n\r\n".to_owned(), 404),
        ("GET /%zz HTTP/1.0\r\n\r\n".to_owned(), 400),
        ("GET /\r\nno field\r\n\r\n".to_owned(), 400),
        ("GET ten.txt HTTP/1.0\r\n\r\n".to_owned(), 400),
        (
            "POST /ten.txt HTTP/1.0\r\nContent-Length: 0\r\n\r\n".to_owned(),
            405,
        ),
        ("DELETE /ten.txt HTTP/1.0\r\n\r\n".to_owned(), 405),
        ("BREW /ten.txt HTTP/1.0\r\n\r\n".to_owned(), 501),
        ("GET /ten.txt HTTP/2.0\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.0\r\n\r\n"), 414),
        (format!("GET / HTTP/1.0\r\nX: {long}{long}\r\n\r\n"), 431),
        (
            "GET /ten.txt HTTP/1.0\r\nRange: bytes=10-\r\n\r\n".to_owned(),
            416,
        ),
    ];
    for driver in DRIVERS {
        let server = Server::sctp(folder.path(), &["--driver", driver]);
        for (request, status) in &requests {
            let answer = ask(&server, request.as_bytes());
            let line = request.lines().next().unwrap();
            let line = &line[..line.len().min(60)];
            assert_eq!(answer.status(), *status, "{line}: {}", answer.head);
            assert_eq!(answer.end, End::Closed(CloseReason::Graceful), "{line}");
            let length = answer.field("Content-Length").unwrap();
            let is_head = request.starts_with("HEAD");
            let expected = if is_head { 0 } else { answer.body.len() };
            assert_eq!(answer.body.len(), expected, "{line}");
            assert!(is_head || length == expected.to_string(), "{line}");
            let allow = (*status == 405).then_some("GET, HEAD");
            assert_eq!(answer.field("Allow"), allow, "{line}");
            assert_eq!(
                answer.field("X-Content-Type-Options"),
                Some("nosniff"),
                "{line}"
            );
            let range = (*status == 416).then_some("bytes */10");
            assert_eq!(answer.field("Content-Range"), range, "{line}");
        }
        server.stop();
    }
}

#[test]
fn the_largest_head_is_what_the_operator_says() {
    let folder = root();
    let server = Server::sctp(folder.path(), &["--max-header-size", "200"]);
    let head = |length: usize| {
        let start = "GET /ten.txt HTTP/1.0\r\nX: ";
        let fill = "x".repeat(length - start.len() - 4);
        format!("{start}{fill}\r\n\r\n")
    };
    assert_eq!(ask(&server, head(200).as_bytes()).status(), 200);
    assert_eq!(ask(&server, head(201).as_bytes()).status(), 431);
    server.stop();
}

fn fields(server: &Server, method: &str, lines: &[&str]) -> Answer {
    let mut request = format!("{method} /ten.txt HTTP/1.0\r\n");
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    ask(server, request.as_bytes())
}

#[test]
fn ranges_and_conditions_are_honoured() {
    let folder = root();
    let server = Server::sctp(folder.path(), &[]);
    let get = |lines: &[&str]| fields(&server, "GET", lines);
    let whole = get(&[]);
    let tag = whole.field("ETag").unwrap();
    let date = whole.field("Last-Modified").unwrap();
    assert_eq!(date, "Sun, 09 Sep 2001 01:46:40 GMT");
    assert_eq!(
        whole.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );

    let ranges: [(&str, u16, &str); 7] = [
        ("bytes=2-4", 206, "234"),
        ("bytes=7-", 206, "789"),
        ("bytes=-3", 206, "789"),
        ("bytes=-99", 206, "0123456789"),
        ("bytes=0-0,5-6", 200, "0123456789"),
        ("bytes=4-2", 200, "0123456789"),
        ("lines=1-2", 200, "0123456789"),
    ];
    for (range, status, body) in ranges {
        let answer = get(&[&format!("Range: {range}")]);
        assert_eq!(answer.status(), status, "{range}");
        assert_eq!(answer.body, body.as_bytes(), "{range}");
    }
    let head = fields(&server, "HEAD", &["Range: bytes=2-4"]);
    assert_eq!(
        (head.status(), head.field("Content-Length")),
        (200, Some("10"))
    );

    let long_ago = "Thu, 01 Jan 1970 00:00:00 GMT";
    let table: [(Vec<String>, u16); 10] = [
        (vec![format!("If-None-Match: {tag}")], 304),
        (vec![format!("If-None-Match: \"other\", {tag}")], 304),
        (vec!["If-None-Match: \"other\"".to_owned()], 200),
        (vec![format!("If-Modified-Since: {date}")], 304),
        (vec![format!("If-Modified-Since: {long_ago}")], 200),
        (vec!["If-Match: \"other\"".to_owned()], 412),
        (vec![format!("If-Unmodified-Since: {long_ago}")], 412),
        (
            vec![format!("If-Range: {tag}"), "Range: bytes=2-4".to_owned()],
            206,
        ),
        (
            vec![format!("If-Range: {date}"), "Range: bytes=2-4".to_owned()],
            206,
        ),
        (
            vec![
                "If-Range: \"old\"".to_owned(),
                "Range: bytes=2-4".to_owned(),
            ],
            200,
        ),
    ];
    for (lines, status) in table {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let answer = get(&lines);
        assert_eq!(answer.status(), status, "{lines:?}");
        match status {
            200 => assert_eq!(answer.body, b"0123456789"),
            206 => assert_eq!(answer.body, b"234"),
            304 => {
                assert!(answer.body.is_empty());
                assert_eq!(answer.field("ETag"), Some(tag));
            }
            _ => assert!(!answer.body.is_empty()),
        }
    }
    server.stop();
}

#[test]
fn a_folder_without_its_slash_is_moved_and_never_to_another_host() {
    let folder = root();
    fs::create_dir_all(folder.path().join("evil.example/folder")).unwrap();
    let server = Server::sctp(folder.path(), &["--list"]);
    let table = [
        ("/folder", "/folder/"),
        ("/folder?a=b", "/folder/?a=b"),
        ("//evil.example/folder", "/evil.example/folder/"),
        ("/%2e/folder", "/folder/"),
        ("http://evil.example//folder", "/folder/"),
    ];
    for (target, location) in table {
        let answer = ask(&server, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
        assert_eq!(answer.status(), 301, "{target}");
        assert_eq!(answer.field("Location"), Some(location), "{target}");
        let answer = ask(
            &server,
            format!("GET {location} HTTP/1.0\r\n\r\n").as_bytes(),
        );
        assert_eq!(answer.status(), 200, "{location}");
    }
    server.stop();
}

#[test]
fn hp20_a_client_that_asks_nothing_is_not_waited_for() {
    let folder = root();
    for driver in DRIVERS {
        let server = Server::sctp(
            folder.path(),
            &["--driver", driver, "--request-timeout", "0.5"],
        );
        // It ends long before the 30 s after which the helper gives up.
        let mut silent = Association::connect(&server, 7);
        let (messages, end) = silent.end();
        assert!(messages.is_empty(), "{driver}");
        assert_eq!(end, End::Closed(CloseReason::Graceful), "{driver}");
        server.stop();
    }
}
