//! What people are told: the help, and each error with its exit code, as snapshots.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use socket::{Protocol, probe};

/// Runs the program in `folder` and gives what it printed and how it ended.
fn told(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cli"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .output()
        .expect("the program runs");
    let stdout = String::from_utf8(output.stdout).expect("it is text");
    let stderr = String::from_utf8(output.stderr).expect("it is text");
    let code = output.status.code().expect("it ended by itself");
    let folder = folder.to_str().expect("its name is text");
    format!(
        "$ cli {}\n{stdout}{}exit {code}\n",
        arguments.join(" "),
        stderr.replace(folder, "FOLDER")
    )
}

fn all_told(commands: &[&[&str]]) -> String {
    let folder = tempfile::tempdir().expect("there is room");
    fs::create_dir(folder.path().join("folder")).expect("there is room");
    fs::write(folder.path().join("file"), "old").expect("there is room");
    let other = File::create(folder.path().join("locked.part")).expect("there is room");
    flock(&other, FlockOperation::NonBlockingLockExclusive).expect("nobody else knows it");
    let told: Vec<String> = commands
        .iter()
        .map(|arguments| told(folder.path(), arguments))
        .collect();
    let file = fs::read(folder.path().join("file")).expect("it is still there");
    assert_eq!(file, b"old");
    told.join("\n")
}

#[test]
fn help_names_every_option() {
    insta::assert_snapshot!(
        "help",
        all_told(&[
            &["--help"],
            &["--version"],
            &["serve", "-h"],
            &["get", "-h"],
            &["demo", "-h"],
            &["man", "-h"],
            &["completions", "-h"],
        ])
    );
}

#[test]
fn wrong_usage_is_explained() {
    insta::assert_snapshot!(
        "usage",
        all_told(&[
            &[],
            &["fetch"],
            &["get", "--proto", "tcp", "/x"],
            &["get", "--range", "9-3", "/x"],
            &["get", "--max-time", "soon", "/x"],
            &["get", "--service-code", "HTTP!", "/x"],
            &["get", "--ccid", "4", "/x"],
            &["get", "--max-time", "1e18", "/x"],
            &["get", "-o", "file", "/x", "/y"],
            &["get", "/", "/docs/"],
            &["get", "-C", "-o", "-", "/x"],
            &["get", "--open", "-o", "-", "/x"],
            &["get", "-i", "no-such-file"],
            &["get", "--peer", "127.0.0.2", "--proto", "dccp", "/x"],
            &["get", "--peer", "127.0.0.2", "--via", "kernel", "/x"],
            &["get", "-C", "--range", "0-1", "/x"],
            &["get", "-4", "-6", "/x"],
            &["serve", "--bind", "localhost"],
            &[
                "serve",
                "--multihomed",
                "--bind",
                "::1",
                "--bind",
                "127.0.0.1",
            ],
            &["serve", "--port", "65536"],
            &["serve", "--pcap", "-"],
            &["get", "--pcap", "-", "-o", "-", "/x"],
        ])
    );
}

#[test]
fn a_target_that_is_none_is_explained() {
    insta::assert_snapshot!(
        "targets",
        all_told(&[
            &["get", "https://example.org/"],
            &["get", "ftp://example.org/"],
            &["get", "example.org:99999/"],
            &["get", "::1/x"],
            &["get", "http:///x"],
        ])
    );
}

#[test]
fn a_host_that_nobody_knows_is_named() {
    // What the resolver says of it differs from system to system.
    let told = all_told(&[&["get", "host.invalid/x"]]);
    assert!(
        told.contains("cannot find the address of \"host.invalid\"") && told.contains("exit 6"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_written_is_explained_before_anything_is_fetched() {
    insta::assert_snapshot!(
        "files",
        all_told(&[
            &["get", "-o", "folder", "/x"],
            &["get", "--no-clobber", "-o", "file", "/x"],
            &["get", "-o", "no-such-folder/x", "/x"],
            &["get", "-o", "locked", "/x"],
            &["serve", "no-such-folder"],
            &["serve", "file"],
        ])
    );
}

#[test]
fn a_missing_protocol_is_explained_with_the_way_out() {
    let probe = probe();
    let missing = |protocol| !probe.of(protocol).is_available();
    if !missing(Protocol::Sctp) || !missing(Protocol::Dccp) {
        eprintln!("not run: this kernel has SCTP or DCCP, whose absence is looked at here");
        return;
    }
    insta::assert_snapshot!(
        "missing",
        all_told(&[
            &["get", "--proto", "sctp", "--via", "kernel", "/x"],
            &["get", "--proto", "sctp", "--udp-port", "1", "/x"],
            &["get", "--proto", "dccp", "--via", "kernel", "/x"],
            &["get", "--proto", "dccp", "--udp-port", "1", "/x"],
            &["serve", "--proto", "sctp", "--via", "kernel", "folder"],
            &["serve", "--proto", "dccp", "--via", "kernel", "folder"],
        ])
    );
}

#[test]
fn a_full_stderr_changes_no_exit_code() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("not run: there is no /dev/full");
        return;
    };
    let folder = tempfile::tempdir().expect("there is room");
    let status = Command::new(env!("CARGO_BIN_EXE_cli"))
        .args(["get", "-o", "no-such-folder/x", "/x"])
        .current_dir(folder.path())
        .stderr(full)
        .status()
        .expect("the program runs");
    assert_eq!(status.code(), Some(23));
}
