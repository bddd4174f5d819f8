//! `cli serve --list`: the real program and the real client, over every protocol and driver.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use common::{Server, WAYS, stderr};

/// Names that links break on.
const NAMES: [&[u8]; 5] = [
    b"two  spaces.txt",
    b"\"quotes' & <tags>",
    "größe 日本.txt".as_bytes(),
    b"\xff\xfe",
    b"line\nend",
];

fn links(page: &str) -> Vec<&str> {
    let rows = page.split("<tr class=\"file\">").skip(1);
    rows.filter_map(|row| row.split_once("<a href=\"")?.1.split_once('"'))
        .map(|(link, _)| link)
        .collect()
}

#[test]
fn a_listing_arrives_and_its_links_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let sub = folder.path().join("a folder");
    fs::create_dir(&sub).unwrap();
    for name in NAMES {
        fs::write(sub.join(OsStr::from_bytes(name)), name).unwrap();
    }
    for (proto, driver) in WAYS {
        let server = Server::start(proto, folder.path(), &["--list", "--driver", driver]);
        let page = String::from_utf8(server.body("/a%20folder/")).unwrap();
        let mut found: Vec<Vec<u8>> = links(&page)
            .into_iter()
            .map(|link| server.body(&format!("/a%20folder/{link}")))
            .collect();
        found.sort();
        let mut names = NAMES.map(<[u8]>::to_vec);
        names.sort();
        assert_eq!(found, names, "{proto} {driver}");
        let json = server.body("/a%20folder/?format=json");
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["entries"].as_array().unwrap().len(), NAMES.len());
        server.stop();
    }
}

#[test]
fn a_long_listing_comes_whole_over_either_protocol() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..2000 {
        fs::write(folder.path().join(format!("file number {number:04}")), "").unwrap();
    }
    for (proto, driver) in WAYS {
        let server = Server::start(
            proto,
            folder.path(),
            &["--list", "--list-limit", "1500", "--driver", driver],
        );
        let output = server.get("/", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(page.ends_with("</html>\n"), "{proto} {driver}");
        assert_eq!(links(&page).len(), 1500, "{proto} {driver}");
        assert!(page.contains("holds more than is shown here"));
        server.stop();
    }
}

#[test]
fn folders_are_not_listed_unasked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "a").unwrap();
    let server = Server::sctp(folder.path(), &[]);
    let output = server.get("/", &[]);
    assert_eq!(output.status.code(), Some(22), "{}", stderr(&output));
    server.stop();
}

#[test]
fn a_compressed_file_comes_whole_over_either_protocol() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "plain").unwrap();
    let packed: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(folder.path().join("a.txt.gz"), &packed).unwrap();
    for (proto, driver) in WAYS {
        let server = Server::start(
            proto,
            folder.path(),
            &["--compression-static", "--driver", driver],
        );
        assert_eq!(server.body("/a.txt"), b"plain");
        if proto == "sctp" {
            let request = b"GET /a.txt HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n";
            let answer = common::raw::ask(&server, request);
            assert_eq!(answer.body, packed);
            assert_eq!(answer.field("Content-Encoding"), Some("gzip"));
        }
        server.stop();
    }
}
