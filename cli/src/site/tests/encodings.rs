//! Compressed files beside files, media types, index names and further fields.

use std::time::Duration;

use proto::fields::Fields;
use proto::target::TargetPath;

use super::{Reply, World, ask, get, set_modified, site_with};
use crate::site::{Config, FileSite, MediaTypes};

fn precompressed(world: &World) -> FileSite {
    let config = Config {
        precompressed: true,
        ..Config::default()
    };
    site_with(world.root(), config)
}

fn accepting(site: &FileSite, codings: &str, more: &str) -> Reply {
    let head = format!("GET /a.txt HTTP/1.0\r\nAccept-Encoding: {codings}\r\n{more}\r\n");
    ask(site, &head)
}

#[test]
fn a_compressed_file_stands_for_a_file_where_it_is_taken() {
    let world = World::new();
    world.file("a.txt", "plain text");
    world.file("a.txt.br", "brotli");
    world.file("a.txt.zst", "zstandard");
    world.file("a.txt.gz", "gzipped");
    let site = precompressed(&world);
    let table = [
        ("br, gzip", "brotli", Some("br")),
        ("zstd, gzip", "zstandard", Some("zstd")),
        ("gzip, br;q=0.9", "gzipped", Some("gzip")),
        ("x-gzip", "gzipped", Some("gzip")),
        ("deflate", "plain text", None),
        ("gzip;q=0", "plain text", None),
        ("identity, gzip;q=0.5", "plain text", None),
    ];
    for (codings, body, coding) in table {
        let reply = accepting(&site, codings, "");
        assert_eq!(reply.status, 200, "{codings}");
        assert_eq!(reply.body, body.as_bytes(), "{codings}");
        assert_eq!(reply.field("Content-Encoding"), coding, "{codings}");
        assert_eq!(reply.field("Vary"), Some("Accept-Encoding"), "{codings}");
        let text = Some("text/plain; charset=utf-8");
        assert_eq!(reply.field("Content-Type"), text, "{codings}");
    }
    assert_eq!(get(&site, "/a.txt").body, b"plain text");
    assert_eq!(accepting(&world.site(), "br", "").body, b"plain text");
    assert_eq!(accepting(&site, "identity;q=0, br", "").body, b"brotli");
    assert_eq!(accepting(&site, "identity;q=0, deflate", "").status, 406);
}

#[test]
fn every_coding_is_a_representation_of_its_own() {
    let world = World::new();
    world.file("a.txt", "plain text");
    world.file("a.txt.gz", "gzipped");
    let site = precompressed(&world);
    let (plain, gzip) = (accepting(&site, "", ""), accepting(&site, "gzip", ""));
    assert_ne!(plain.tag(), gzip.tag());
    let same = accepting(&site, "gzip", &format!("If-None-Match: {}\r\n", gzip.tag()));
    assert_eq!(same.status, 304);
    assert_eq!(same.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(same.field("Content-Encoding"), None);
    let other = accepting(
        &site,
        "gzip",
        &format!("If-None-Match: {}\r\n", plain.tag()),
    );
    assert_eq!(other.status, 200);
    let part = accepting(&site, "gzip", "Range: bytes=2-4\r\n");
    assert_eq!((part.status, &part.body[..]), (206, &b"ipp"[..]));
    assert_eq!(part.field("Content-Range"), Some("bytes 2-4/7"));
    assert_eq!(part.field("Content-Encoding"), Some("gzip"));
    let digest = accepting(&site, "gzip", "Want-Repr-Digest: sha-256=1\r\n");
    assert_ne!(digest.field("Repr-Digest"), None);
    let plain_digest = accepting(&site, "", "Want-Repr-Digest: sha-256=1\r\n");
    assert_ne!(
        digest.field("Repr-Digest"),
        plain_digest.field("Repr-Digest")
    );
}

#[test]
fn a_compressed_file_that_is_older_than_its_file_is_not_sent() {
    let world = World::new();
    let plain = world.file("a.txt", "new");
    world.file("a.txt.gz", "gzipped old");
    let site = precompressed(&world);
    assert_eq!(accepting(&site, "gzip", "").body, b"gzipped old");
    set_modified(&plain, Duration::from_secs(1_000_000_001));
    assert_eq!(accepting(&site, "gzip", "").body, b"new");
    // What was compressed of nothing that is there stands for nothing.
    world.file("b.txt.gz", "gzipped");
    assert_eq!(get(&site, "/b.txt").status, 404);
}

#[test]
fn the_first_index_that_is_there_counts() {
    let world = World::new();
    world.file("both/index.htm", "second");
    world.file("both/start.html", "first");
    world.file("one/index.htm", "only");
    world.file("old/index.html", "not asked for");
    let config = Config {
        index: vec!["start.html".to_owned(), "index.htm".to_owned()],
        ..Config::default()
    };
    let site = site_with(world.root(), config);
    assert_eq!(get(&site, "/both/").body, b"first");
    assert_eq!(get(&site, "/one/").body, b"only");
    assert_eq!(get(&site, "/old/").status, 404);
}

#[test]
fn the_operator_names_media_types_and_fields() {
    let world = World::new();
    world.file("a.own", "text");
    let mut media_types = MediaTypes::default();
    media_types.set("own", "text/x-own").unwrap();
    let mut further = Fields::new();
    further.push("Cache-Control", "max-age=60");
    further.push("Content-Language", "en");
    let config = Config {
        media_types,
        further,
        ..Config::default()
    };
    let site = site_with(world.root(), config);
    let reply = get(&site, "/a.own");
    let own = Some("text/x-own; charset=utf-8");
    assert_eq!(reply.field("Content-Type"), own);
    assert_eq!(reply.field("Cache-Control"), Some("max-age=60"));
    assert_eq!(reply.field("Content-Language"), Some("en"));
    let head = format!(
        "GET /a.own HTTP/1.0\r\nIf-None-Match: {}\r\n\r\n",
        reply.tag()
    );
    let same = ask(&site, &head);
    assert_eq!(same.field("Cache-Control"), Some("max-age=60"));
    assert_eq!(same.field("Content-Language"), None);
}

#[test]
fn the_health_path_is_well_whatever_lies_there() {
    let world = World::new();
    world.file("healthz", "a file");
    let config = Config {
        health: Some(TargetPath::parse("/healthz").unwrap()),
        ..Config::default()
    };
    let site = site_with(world.root(), config);
    let reply = get(&site, "/healthz?x=1");
    assert_eq!((reply.status, &reply.body[..]), (200, &b"ok\n"[..]));
    assert_eq!(reply.field("Cache-Control"), Some("no-store"));
    assert_eq!(get(&site, "/healthz/").status, 404);
    assert_eq!(ask(&site, "HEAD /healthz HTTP/1.0\r\n\r\n").status, 200);
}
