//! What a folder without an index shows.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Reply, World, ask, get, site_with};
use crate::site::{Config, FileSite, ListingConfig};

/// A site that lists, for each way to open files.
fn listing(world: &World, config: &Config) -> [FileSite; 2] {
    let config = Config {
        listing: config.listing.or(Some(ListingConfig::default())),
        ..config.clone()
    };
    [
        site_with(world.root(), config.clone()),
        site_with(world.root().with_steps(), config),
    ]
}

fn text(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.head);
    String::from_utf8(reply.body.clone()).unwrap()
}

/// The links of a page to what is in the folder, in their order.
fn links(page: &str) -> Vec<String> {
    let rows = page.split("<tr class=\"").skip(1);
    rows.filter_map(|row| row.split_once("<a href=\"")?.1.split_once('"'))
        .map(|(link, _)| link.to_owned())
        .collect()
}

/// Names that a page or a link may break on.
const ODD: [&[u8]; 14] = [
    b"two  spaces and one.txt",
    b"\"quotes' & <tags>.txt",
    b"100%41.txt",
    b"a:b",
    b"a?b#c",
    b"javascript:alert(1)",
    b"back\\slash",
    b"line\nend\r\x1b[31m",
    "größe 日本 🦀.txt".as_bytes(),
    "\u{202e}gnp.exe".as_bytes(),
    "e\u{301}".as_bytes(),
    b"\xff\xfe not utf-8",
    b"-rf",
    b"<!--",
];

#[test]
fn folders_come_first_and_names_in_order() {
    let world = World::new();
    for name in ["b.txt", "A.txt", "c.txt", "zoo/x", "Ant/x", "a10"] {
        world.file(name, name);
    }
    for site in listing(&world, &Config::default()) {
        let page = text(&get(&site, "/"));
        assert_eq!(
            links(&page),
            ["Ant/", "zoo/", "A.txt", "a10", "b.txt", "c.txt"]
        );
        assert!(page.contains("2001-09-09 01:46"), "{page}");
        assert!(page.contains("2 folders, 4 files"), "{page}");
        let page = text(&get(&site, "/zoo/"));
        assert_eq!(links(&page), ["../", "x"]);
        assert!(page.contains("<td>5 B</td>"), "{page}");
    }
}

#[test]
fn folders_are_not_listed_unless_that_is_wanted() {
    let world = World::new();
    world.file("a.txt", "a");
    world.file("with/index.html", "index");
    assert_eq!(get(&world.site(), "/").status, 404);
    for site in listing(&world, &Config::default()) {
        assert_eq!(get(&site, "/with/").body, b"index");
        assert_eq!(get(&site, "/with").status, 301);
        assert_eq!(get(&site, "/none/").status, 404);
        assert_eq!(get(&site, "/a.txt/").status, 404);
    }
}

#[test]
fn odd_names_are_shown_harmless_and_their_links_lead_to_them() {
    let world = World::new();
    fs::create_dir_all(world.path("folder <b> & more")).unwrap();
    for name in ODD {
        let path = world
            .path("folder <b> & more")
            .join(OsStr::from_bytes(name));
        fs::write(path, name).unwrap();
    }
    for site in listing(&world, &Config::default()) {
        let folder = "/folder%20%3Cb%3E%20%26%20more/";
        let page = text(&get(&site, folder));
        let links = links(&page);
        assert_eq!(links.len(), ODD.len() + 1);
        let mut found: Vec<Vec<u8>> = links[1..]
            .iter()
            .map(|link| get(&site, &format!("{folder}{link}")).body)
            .collect();
        found.sort();
        let mut names = ODD.map(<[u8]>::to_vec);
        names.sort();
        assert_eq!(found, names);
        for forbidden in [
            "<tags>",
            "<b>",
            "\u{202e}",
            "\u{1b}",
            "<!--",
            "href=\"javascript:",
        ] {
            assert!(!page.contains(forbidden), "{forbidden:?} in {page}");
        }
        for shown in [
            "<bdi>two  spaces and one.txt</bdi>",
            "<bdi>&quot;quotes&#39; &amp; &lt;tags&gt;.txt</bdi>",
            "<bdi>größe 日本 🦀.txt</bdi>",
            "<bdi>\\u{202e}gnp.exe</bdi>",
            "<bdi>\\xff\\xfe not utf-8</bdi>",
            "<bdi>line\\u{a}end\\u{d}\\u{1b}[31m</bdi>",
        ] {
            assert!(page.contains(shown), "{shown} not in {page}");
        }
    }
}

#[test]
fn what_is_not_served_is_not_listed() {
    let world = World::new();
    world.file("seen.txt", "a");
    world.file(".hidden", "a");
    world.file(".git/config", "a");
    symlink("../secret.txt", world.path("out")).unwrap();
    symlink("seen.txt", world.path("in")).unwrap();
    symlink("nowhere", world.path("dangling")).unwrap();
    let hidden = Config {
        hidden: true,
        ..Config::default()
    };
    for (config, expected) in [
        (Config::default(), vec!["seen.txt"]),
        (hidden, vec![".git/", ".hidden", "seen.txt"]),
    ] {
        let status = if config.hidden { 200 } else { 404 };
        for site in listing(&world, &config) {
            assert_eq!(links(&text(&get(&site, "/"))), expected);
            for target in ["/.hidden", "/.git/config", "/.git/"] {
                assert_eq!(get(&site, target).status, status, "{target}");
            }
            assert_eq!(get(&site, "/out").status, 404);
            assert_eq!(get(&site, "/../secret.txt").status, 404);
        }
    }
}

#[test]
fn a_folder_with_too_much_is_cut_and_says_so() {
    let world = World::new();
    for number in 0..1000 {
        world.file(&format!("{number:04}"), "");
    }
    for (max_entries, shown) in [(999, 999), (1000, 1000)] {
        let config = Config {
            listing: Some(ListingConfig { max_entries }),
            ..Config::default()
        };
        for site in listing(&world, &config) {
            let page = text(&get(&site, "/"));
            assert_eq!(links(&page).len(), shown);
            assert_eq!(page.contains("holds more than is shown"), shown < 1000);
            let json = text(&get(&site, "/?format=json"));
            let json: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["truncated"], shown < 1000);
            assert_eq!(json["entries"].as_array().unwrap().len(), shown);
        }
    }
}

#[test]
fn programs_get_json() {
    let world = World::new();
    world.file("folder/a b.txt", "12345");
    world.file("folder/sub/x", "x");
    fs::write(world.path("folder").join(OsStr::from_bytes(b"\xff")), "").unwrap();
    let site = &listing(&world, &Config::default())[0];
    let expected = [
        ("sub", "sub/", "directory", Value::Null),
        ("a b.txt", "a%20b.txt", "file", 5.into()),
        ("\\xff", "%FF", "file", 0.into()),
    ];
    let accept = |value: &str| {
        let head = format!("GET /folder/ HTTP/1.0\r\nAccept: {value}\r\n\r\n");
        ask(site, &head)
    };
    for reply in [
        get(site, "/folder/?format=json"),
        accept("application/json"),
        accept("text/html;q=0.5, application/json"),
    ] {
        assert_eq!(reply.field("Content-Type"), Some("application/json"));
        assert_eq!(reply.field("Vary"), Some("Accept"));
        let json: Value = serde_json::from_str(&text(&reply)).unwrap();
        assert_eq!(json["path"], "/folder/");
        let entries = json["entries"].as_array().unwrap();
        assert_eq!(entries.len(), expected.len());
        for (entry, (name, href, kind, size)) in entries.iter().zip(&expected) {
            assert_eq!(entry["name"], *name);
            assert_eq!(entry["href"], *href);
            assert_eq!(entry["type"], *kind);
            assert_eq!(entry["size"], *size);
        }
        assert_eq!(entries[1]["mtime"], "2001-09-09T01:46:40Z");
    }
    for reply in [
        get(site, "/folder/"),
        get(site, "/folder/?format=html"),
        accept("text/html, application/json;q=0.9, */*;q=0.1"),
        accept("*/*"),
    ] {
        assert_eq!(
            reply.field("Content-Type"),
            Some("text/html; charset=utf-8")
        );
    }
}

#[test]
fn a_listing_is_a_representation_like_others() {
    let world = World::new();
    world.file("a.txt", "a");
    let site = &listing(&world, &Config::default())[0];
    let whole = get(site, "/");
    assert_eq!(whole.field("Cache-Control"), Some("no-cache"));
    assert_eq!(whole.field("X-Content-Type-Options"), Some("nosniff"));
    assert!(whole.field("Last-Modified").is_some());
    let length = whole.body.len();
    assert_eq!(whole.field("Content-Length"), Some(&*length.to_string()));
    let asked = |head: &str| ask(site, &format!("{head}\r\n\r\n"));

    let head = asked("HEAD / HTTP/1.0");
    assert_eq!((head.status, &head.body[..]), (200, &b""[..]));
    assert_eq!(head.head, whole.head);

    let tag = whole.tag().to_owned();
    let same = asked(&format!("GET / HTTP/1.0\r\nIf-None-Match: {tag}"));
    assert_eq!((same.status, &same.body[..]), (304, &b""[..]));
    assert_eq!(same.field("Cache-Control"), Some("no-cache"));
    assert_eq!(same.field("Vary"), Some("Accept"));
    let other = asked("GET / HTTP/1.0\r\nIf-Match: \"other\"");
    assert_eq!(other.status, 412);

    let part = asked(&format!(
        "GET / HTTP/1.0\r\nRange: bytes=-10\r\nIf-Range: {tag}"
    ));
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &whole.body[length - 10..])
    );

    world.file("b.txt", "b");
    assert_ne!(get(site, "/").tag(), tag);
}

#[test]
fn a_digest_of_a_listing_is_that_of_its_bytes() {
    let world = World::new();
    world.file("a.txt", "a");
    let site = &listing(&world, &Config::default())[0];
    let reply = get(site, "/");
    let digest = reply.field("Repr-Digest").unwrap();
    let expected = proto::digest::write_sha256(&Sha256::digest(&reply.body).into());
    assert_eq!(digest.as_bytes(), expected.as_bytes());
}
