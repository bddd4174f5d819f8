//! What is said of a file, and what is sent of it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::{fs, io};

use proto::digest::Digests;
use proto::machine::Disposition;
use proto::request::{Limits, parse};
use proto::server::Answer;
use proto::target::TargetPath;
use sha2::{Digest, Sha256};
use transport::Site;

use super::{World, ask, ask_and, get, open, set_modified, site};
use crate::access_log::{Format, Log, Way};
use crate::site::{Config, DigestConfig, FileSite};

#[test]
fn a_file_of_any_length_arrives_whole() {
    let world = World::new();
    for length in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        world.file("file.bin", &content);
        let reply = get(&world.site(), "/file.bin");
        assert_eq!(reply.field("Content-Length"), Some(&*length.to_string()));
        assert!(reply.body == content, "{length}");
        assert_eq!(reply.end, Disposition::Close);
    }
}

#[test]
fn hp27_a_file_that_shrinks_is_not_padded() {
    let world = World::new();
    let path = world.file("file", vec![b'x'; 300_000]);
    let cut = |length| {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        move || file.set_len(length).unwrap()
    };
    let reply = ask_and(&world.site(), "GET /file HTTP/1.0\r\n\r\n", cut(100_000));
    assert_eq!(reply.end, Disposition::Abort);
    assert!(reply.body.len() <= 100_000, "{}", reply.body.len());

    let mut site = world.site();
    let mut resource = open(&mut site, "/file");
    cut(10)();
    assert!(site.read(&mut resource, 4, 100).is_err());
    let error = site.read(&mut resource, 10, 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn hp27_two_versions_of_a_file_are_never_joined() {
    let world = World::new();
    let path = world.file("file", vec![b'x'; 300_000]);
    let rewrite = || {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[b'y'; 300_000], 0).unwrap();
    };
    let reply = ask_and(&world.site(), "GET /file HTTP/1.0\r\n\r\n", rewrite);
    assert_eq!(reply.end, Disposition::Abort);
    assert!(!reply.body.contains(&b'x') || !reply.body.contains(&b'y'));
}

#[test]
fn hp27_of_a_file_that_grows_the_announced_bytes_are_sent() {
    let world = World::new();
    let path = world.file("file", vec![b'x'; 200_000]);
    let grow = || fs::write(&path, vec![b'x'; 300_000]).unwrap();
    let reply = ask_and(&world.site(), "GET /file HTTP/1.0\r\n\r\n", grow);
    assert_eq!(reply.end, Disposition::Close);
    assert_eq!(reply.body.len(), 200_000);
}

#[test]
fn hr7_a_changed_file_has_another_tag() {
    let world = World::new();
    let path = world.file("file", "one");
    let site = world.site();
    let first = get(&site, "/file");
    assert_eq!(get(&site, "/file").tag(), first.tag());
    assert_eq!(
        first.field("Last-Modified"),
        Some("Sun, 09 Sep 2001 01:46:40 GMT")
    );
    let mut tags = vec![first.tag().to_owned()];
    // Whole seconds, because not every file system counts in less.
    for seconds in [999_999_999, 1_000_000_001] {
        set_modified(&path, Duration::from_secs(seconds));
        tags.push(get(&site, "/file").tag().to_owned());
    }
    // Another file of the same length and time.
    world.file("file2", "two");
    fs::rename(world.path("file2"), &path).unwrap();
    tags.push(get(&site, "/file").tag().to_owned());
    assert!(tags.iter().all(|tag| tag.starts_with('"')), "{tags:?}");
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "{tags:?}");
    let old = first.tag();
    let head = format!("GET /file HTTP/1.0\r\nIf-None-Match: {old}\r\n\r\n");
    assert_eq!(ask(&site, &head).status, 200);
}

#[test]
fn hr7_the_tag_of_a_fresh_file_is_weak() {
    let world = World::new();
    let site = world.site();
    fs::write(world.path("file"), "new").unwrap();
    let weak = get(&site, "/file");
    assert!(weak.tag().starts_with("W/\""), "{}", weak.tag());
    let head = format!(
        "GET /file HTTP/1.0\r\nIf-None-Match: {}\r\n\r\n",
        weak.tag()
    );
    assert_eq!(ask(&site, &head).status, 304);
    set_modified(&world.path("file"), Duration::from_secs(1_000_000_000));
    assert_eq!(ask(&site, &head).status, 200);
}

#[test]
fn hd1_who_asks_for_a_digest_gets_it() {
    let world = World::new();
    let content = vec![7; 600_000];
    world.file("file", &content);
    fs::write(world.path("fresh"), &content).unwrap();
    let site = world.site();
    let want = |method: &str, name: &str, more: &str| {
        let fields = format!("Want-Repr-Digest: sha-256=1\r\n{more}\r\n");
        ask(&site, &format!("{method} /{name} HTTP/1.0\r\n{fields}"))
    };
    let sha256 = Some(Sha256::digest(&content).into());
    let replies = [
        want("GET", "file", ""),
        want("GET", "file", "Range: bytes=0-9\r\n"),
        want("HEAD", "file", ""),
        want("GET", "fresh", ""),
    ];
    for reply in replies {
        let field = reply.field("Repr-Digest").unwrap().as_bytes();
        assert_eq!(Digests::parse(field).sha256, sha256);
    }
    assert_eq!(get(&site, "/file").field("Repr-Digest"), None);
}

#[test]
fn hd5_a_file_beyond_the_limit_is_served_without_a_digest() {
    let world = World::new();
    world.file("file", "12345");
    let max_length = 4;
    let site = site(
        world.root(),
        DigestConfig {
            max_length,
            ..DigestConfig::default()
        },
    );
    let reply = ask(
        &site,
        "GET /file HTTP/1.0\r\nWant-Repr-Digest: sha-256=1\r\n\r\n",
    );
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"12345"[..]));
    assert_eq!(reply.field("Repr-Digest"), None);
}

#[test]
fn a_file_that_changes_while_it_is_hashed_is_served_as_it_is_then() {
    let world = World::new();
    world.file("file", vec![1; 600_000]);
    let mut site = world.site();
    let head = b"GET /file HTTP/1.0\r\nWant-Repr-Digest: sha-256=1\r\n\r\n";
    let request = parse(head, &Limits::default()).unwrap();
    let mut resource = site.open(&request, &TargetPath::parse("/file").unwrap());
    assert!(site.poll_answer(&mut resource).is_pending());
    fs::write(world.path("file"), "changed").unwrap();
    let answer = loop {
        if let Poll::Ready(answer) = site.poll_answer(&mut resource) {
            break answer;
        }
    };
    let Answer::Found(representation) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(representation.length, 7);
    assert_eq!(representation.sha256, None);
    assert!(representation.etag.unwrap().is_weak());
}

#[test]
fn every_answer_is_logged_and_counted() {
    let world = World::new();
    world.file("file", "12345");
    let path = world.folder.path().join("log");
    let log = Log::open(Some(Format::Combined), Some(&path), false).unwrap();
    let site = FileSite::new(world.root(), Config::default(), None, Arc::new(log));
    let peer = site.for_peer("[2001:db8::1]:1234".parse().unwrap(), Way::default());
    ask(&peer, "GET /file HTTP/1.0\r\nUser-Agent: a\"b\r\n\r\n");
    ask(&peer, "HEAD /none HTTP/1.0\r\n\r\n");
    ask(&peer, "GET \x07foo HTTP/1.0\r\n\r\n");
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| {
            let (before, rest) = line.split_once(" [").unwrap();
            let (_time, after) = rest.split_once("] ").unwrap();
            assert_eq!(before, "2001:db8::1 - -");
            after
        })
        .collect();
    assert_eq!(lines[0], r#""GET /file HTTP/1.0" 200 5 "-" "a\"b""#);
    assert_eq!(lines[1], r#""HEAD /none HTTP/1.0" 404 - "-" "-""#);
    assert!(
        lines[2].starts_with(r#""GET \x07foo HTTP/1.0" 400 "#),
        "{}",
        lines[2]
    );
    assert_eq!(lines.len(), 3);
    let totals = site.totals();
    assert_eq!(totals.answers, 3);
    assert!(totals.body_bytes > 5);
}

#[test]
fn the_site_is_shared_by_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<FileSite>();
}
