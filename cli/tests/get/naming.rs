//! What a file is called, and where it is put.

use std::fs;

use crate::odd::{Odd, answer};
use crate::redirects::path;
use crate::server::{CHANGED, Server, changed, ends_with, names, stderr};

/// Proposes a name, by the path that is asked for.
fn proposing(request: &str) -> Vec<Vec<u8>> {
    let name = match path(request) {
        "/plain" => "filename=plain.txt",
        "/both" => "filename=no; filename*=utf-8''gr%C3%B6%C3%9Fe.txt",
        "/up" => "filename=\"../../up.txt\"",
        "/hidden" => "filename=.hidden",
        "/control" => "filename*=utf-8''a%1B%5B2Jb",
        _ => "size=1",
    };
    let field = format!("Content-Disposition: attachment; {name}\r\n");
    answer("200 OK", &field, "new")
}

#[test]
fn a_proposed_name_is_taken_if_it_is_harmless() {
    let server = Odd::start("sctp", proposing);
    for (path, name) in [
        ("/plain", "plain.txt"),
        ("/both", "größe.txt"),
        ("/up", "up.txt"),
        ("/hidden", "hidden"),
        ("/control", "control"),
        ("/none", "none"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        ends_with(0, &mut server.place.get(&inner, path, &["-J"]));
        assert_eq!(names(&inner), [name], "{path}");
        assert_eq!(names(folder.path()), ["inner"], "{path}");
    }
}

#[test]
fn a_proposed_name_replaces_nothing() {
    let server = Odd::start("sctp", proposing);
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("plain.txt");
    fs::write(&old, "old").unwrap();
    let told = stderr(&ends_with(
        23,
        &mut server.place.get(folder.path(), "/plain", &["-J"]),
    ));
    assert!(told.contains("plain.txt exists"), "{told}");
    assert_eq!(fs::read(&old).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["plain.txt"]);
    // Without -J the server has no say.
    ends_with(0, &mut server.place.get(folder.path(), "/both", &[]));
    assert_eq!(names(folder.path()), ["both", "plain.txt"]);
}

#[test]
fn folders_on_the_way_are_made_if_wanted() {
    let server = Server::start("sctp");
    server.put("x", b"new");
    let folder = tempfile::tempdir().unwrap();
    let get = |arguments: &[&str]| server.place.get(folder.path(), "/x", arguments);
    ends_with(23, &mut get(&["-o", "a/b/c"]));
    assert!(names(folder.path()).is_empty());
    ends_with(0, &mut get(&["-o", "a/b/c", "--create-dirs"]));
    assert_eq!(fs::read(folder.path().join("a/b/c")).unwrap(), b"new");
    // Something else is in the way.
    let told = stderr(&ends_with(
        23,
        &mut get(&["-o", "a/b/c/d", "--create-dirs"]),
    ));
    assert!(told.contains("cannot write a/b/c"), "{told}");
}

#[test]
fn a_file_gets_the_servers_time_if_wanted() {
    let server = Server::start("sctp");
    server.put("x", b"new");
    let folder = tempfile::tempdir().unwrap();
    let modified = || {
        fs::metadata(folder.path().join("x"))
            .unwrap()
            .modified()
            .unwrap()
    };
    ends_with(0, &mut server.place.get(folder.path(), "/x", &[]));
    assert_ne!(modified(), changed());
    ends_with(0, &mut server.place.get(folder.path(), "/x", &["-R"]));
    assert_eq!(modified(), changed());
    // So that the next run asks for what is newer only.
    let mut get = server.place.get(folder.path(), "/x", &["-R", "-z", "x"]);
    let told = stderr(&ends_with(0, &mut get));
    assert!(told.contains("not modified"), "{told} {CHANGED}");
}

#[test]
fn no_clobber_and_the_targets_name() {
    let server = Server::start("sctp");
    server.put("x", b"new");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "old").unwrap();
    let told = stderr(&ends_with(
        23,
        &mut server.place.get(folder.path(), "/x", &["--no-clobber"]),
    ));
    assert!(told.contains("x exists"), "{told}");
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"old");
    ends_with(0, &mut server.place.get(folder.path(), "/x", &["-O"]));
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"new");
}
