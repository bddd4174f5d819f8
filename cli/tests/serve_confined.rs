//! What `cli serve` gives up before it serves: the real program, as root where the test is.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::raw::Association;
use common::{DRIVERS, Server, cli, stderr};
use rustix::process::geteuid;

/// A folder that anyone may read.
fn root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "a").unwrap();
    set_mode(folder.path(), 0o755);
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// What the kernel says of each thread of a process, line by line.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .collect()
}

/// The words behind `name` in the status of a thread.
fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line[name.len()..].split_whitespace().collect()
}

#[test]
fn every_thread_is_another_user_for_good() {
    if !geteuid().is_root() {
        eprintln!("skipped: this is not root");
        return;
    }
    let folder = root();
    for driver in DRIVERS {
        let arguments = ["--user", "65534:65533", "--driver", driver, "-v"];
        let server = Server::sctp(folder.path(), &arguments);
        let mut open = Association::connect(&server, 1);
        assert_eq!(server.body("/a.txt"), b"a");
        let threads = threads(server.pid());
        assert_eq!(threads.len() > 1, driver == "std");
        for status in threads {
            assert_eq!(field(&status, "Uid:"), ["65534"; 4], "{driver}");
            assert_eq!(field(&status, "Gid:"), ["65533"; 4], "{driver}");
            assert_eq!(field(&status, "Groups:"), ["65533"], "{driver}");
            for capabilities in ["CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(
                    field(&status, capabilities),
                    ["0000000000000000"],
                    "{driver}"
                );
            }
            assert_eq!(field(&status, "NoNewPrivs:"), ["1"], "{driver}");
        }
        open.send(b"GET /a.txt HTTP/1.0\r\n\r\n");
        open.end();
        let (told, _) = server.stop();
        assert!(
            told.contains("became user 65534:65533 (uid 65534, gid 65533)"),
            "{told}"
        );
    }
}

#[test]
fn a_folder_that_the_user_may_not_read_is_named() {
    if !geteuid().is_root() {
        eprintln!("skipped: this is not root");
        return;
    }
    let folder = root();
    set_mode(folder.path(), 0o700);
    let output = cli()
        .args(["serve", "--port", "0", "--via", "udp", "--udp-port", "0"])
        .args(["--user", "65534:65534"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains("cannot be served: Permission denied"),
        "{told}"
    );
}

#[test]
fn who_is_not_root_cannot_become_another() {
    let folder = root();
    // A copy, because the other user may not reach where this was built.
    let copy = folder.path().join("cli");
    fs::copy(env!("CARGO_BIN_EXE_cli"), &copy).unwrap();
    let mut server = Command::new(&copy);
    server
        .args(["serve", "--port", "0", "--via", "udp", "--udp-port", "0"])
        .args(["--user", "65533:65533"])
        .arg(folder.path());
    if geteuid().is_root() {
        server.uid(65534).gid(65534);
    }
    let output = server.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("cannot become 65533:65533"), "{told}");
    assert!(told.contains("only root can"), "{told}");
    assert!(!told.contains("listening"), "{told}");
}

#[test]
fn a_user_that_does_not_exist_is_named() {
    for (user, told) in [
        ("no such user", "there is no user"),
        ("0", "is to give up root"),
        ("4000000000", "a group is needed"),
    ] {
        let output = cli().args(["serve", "--user", user]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{user}");
        assert!(
            stderr(&output).contains(told),
            "{user}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_sandbox_is_there_unless_it_is_switched_off_and_breaks_nothing() {
    let folder = root();
    let written = tempfile::tempdir().unwrap();
    let path = |name: &str| written.path().join(name).to_str().unwrap().to_owned();
    for driver in DRIVERS {
        let arguments = [
            "--driver",
            driver,
            "-v",
            "--log-file",
            &path("access.log"),
            "--pcap",
            &path("packets.pcapng"),
            "--ladder-svg",
            &path("ladder.svg"),
        ];
        let server = Server::start("dccp", folder.path(), &arguments);
        assert_eq!(server.body("/a.txt"), b"a");
        let confined = threads(server.pid())
            .iter()
            .all(|status| field(status, "NoNewPrivs:") == ["1"]);
        let (told, _) = server.stop();
        if told.contains("not sandboxed: this kernel has no Landlock") {
            eprintln!("skipped: this kernel has no Landlock");
        } else {
            assert!(told.contains("sandboxed by Landlock"), "{told}");
            assert!(confined);
        }
        for name in ["access.log", "packets.pcapng", "ladder.svg"] {
            assert!(
                fs::metadata(path(name)).unwrap().len() > 0,
                "{name}: {told}"
            );
            fs::remove_file(path(name)).unwrap();
        }
    }
    let server = Server::sctp(folder.path(), &["--no-sandbox", "-v"]);
    assert_eq!(server.body("/a.txt"), b"a");
    let (told, _) = server.stop();
    assert!(!told.contains("sandboxed"), "{told}");
}
