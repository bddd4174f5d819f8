//! `--time-cond`, `--etag-save` and `--etag-compare`.

use std::fs::{self, File};

use crate::server::{BOTH, CHANGED, Server, age, ends_with, names, stderr, stdout};

#[test]
fn what_was_not_changed_is_not_fetched() {
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", b"new");
        let folder = tempfile::tempdir().unwrap();
        let get = |arguments: &[&str]| server.place.get(folder.path(), "/x", arguments);
        fs::write(folder.path().join("x"), "old").unwrap();
        let output = ends_with(0, &mut get(&["-z", CHANGED, "-w", "%{http_code}"]));
        assert!(stderr(&output).contains("not modified"), "{proto}");
        assert_eq!(stdout(&output), "304");
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"old");
        // The other way round.
        let unchanged = format!("-{CHANGED}");
        ends_with(0, &mut get(&["-z", &unchanged, "-o", "y"]));
        ends_with(22, &mut get(&["-z", "-1994-11-05", "-o", "z"]));
        assert_eq!(names(folder.path()), ["x", "y"], "{proto}");
        // A file of that time, an older one, and none.
        let stamp = File::create(folder.path().join("stamp")).unwrap();
        age(&stamp);
        ends_with(0, &mut get(&["-z", "stamp"]));
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"old");
        ends_with(0, &mut get(&["-z", "1994-11-06"]));
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"new");
        ends_with(0, &mut get(&["-z", "none", "-o", "w"]));
        assert_eq!(fs::read(folder.path().join("w")).unwrap(), b"new");
    }
}

#[test]
fn a_tag_that_was_kept_saves_the_next_transfer() {
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", b"first");
        let folder = tempfile::tempdir().unwrap();
        let tags = ["--etag-save", "tag", "--etag-compare", "tag"];
        let run = || {
            let arguments = [&tags[..], &["-w", "%{http_code}"]].concat();
            let mut get = server.place.get(folder.path(), "/x", &arguments);
            stdout(&ends_with(0, &mut get))
        };
        assert_eq!(run(), "200");
        let tag = fs::read(folder.path().join("tag")).unwrap();
        assert!(tag.starts_with(b"\"") && tag.ends_with(b"\"\n"));
        assert_eq!(run(), "304");
        assert_eq!(fs::read(folder.path().join("tag")).unwrap(), tag);
        server.put("x", b"second");
        assert_eq!(run(), "200");
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"second");
        assert_ne!(fs::read(folder.path().join("tag")).unwrap(), tag);
    }
}

#[test]
fn a_file_without_a_tag_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tag"), "no tag").unwrap();
    let mut get = crate::server::cli();
    get.args(["get", "--etag-compare", "tag"])
        .current_dir(folder.path());
    let told = stderr(&ends_with(2, &mut get));
    assert!(told.contains("tag holds no ETag"), "{told}");
}
