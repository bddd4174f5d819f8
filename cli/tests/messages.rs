//! What people are told: the help, and each error with its exit code, as snapshots.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use socket::{Protocol, probe};

/// Runs the program in `folder` and gives what it printed and how it ended. What the program itself
/// says of an error is one line, with what to do; usage is explained by `clap`.
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
    if stderr.starts_with("cli ") {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains("; "), "nothing says what to do: {stderr}");
    }
    format!(
        "$ cli {}\n{stdout}{}exit {code}\n",
        arguments.join(" ").replace('\n', "\\n"),
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
            &["get", "-i", "/dev/null"],
            &["get", "--peer", "127.0.0.2", "--proto", "dccp", "/x"],
            &["get", "--peer", "127.0.0.2", "--via", "kernel", "/x"],
            &["get", "--service-code", "1", "--service-code", "2", "/x"],
            &["get", "--header", "no field", "/x"],
            &["get", "--header", "A b: c", "/x"],
            &["get", "--header", "A: b\nB: c", "/x"],
            &["get", "--header", "Range: bytes=0-", "/x"],
            &["get", "--write-out", "%{nothing}", "/x"],
            &["get", "--write-out", "%{http_code", "/x"],
            &["get", "--write-out", "@no-such-file", "/x"],
            &["get", "--etag-compare", "file", "/x"],
            &["get", "--etag-compare", "folder", "/x"],
            &["get", "--time-cond", "1994-13-01", "/x"],
            &["get", "--sha256", "abc", "/x"],
            &["get", "-C", "--range", "0-1", "/x"],
            &["get", "-4", "-6", "/x"],
            &["completions", "no-shell"],
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
            &["serve", "--user", "nobody-of-this-name"],
            &["serve", "--health", "healthz"],
            &["serve", "--mime", "log"],
            &["serve", "--mime-types", "no-such-file"],
            &["serve", "--header", "no field"],
            &["serve", "--header", "ETag: x"],
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
    let told = all_told(&[&["get", "host.invalid/x"]]);
    // What the resolver says of it differs from system to system.
    let (before, after) = told.split_once("\"host.invalid\": ").expect(&told);
    let (_, after) = after.split_once("; ").expect(&told);
    insta::assert_snapshot!("host", format!("{before}\"host.invalid\": REASON; {after}"));
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
            &["get", "-D", "no-such-folder/x", "/x"],
            &["get", "--pcap", "no-such-folder/x", "/x"],
            &["serve", "--log-file", "no-such-folder/log", "folder"],
            &["serve", "--pcap", "no-such-folder/x", "folder"],
            &["serve", "no-such-folder"],
            &["serve", "file"],
        ])
    );
}

#[test]
fn an_address_that_cannot_be_had_is_explained() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("there are ports");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let serve = ["serve", "--via", "udp", "folder"];
    let of = |arguments: &[&str]| all_told(&[&[&serve[..], arguments].concat()]);
    let told = of(&["--udp-port", &port]) + "\n" + &of(&["--bind", "192.0.2.1"]);
    insta::assert_snapshot!("addresses", told.replace(&port, "UDP"));
}

/// Runs the server where a user is root of nothing but itself.
#[test]
fn a_right_that_is_missing_is_explained() {
    if probe().of(Protocol::Sctp).is_available() {
        eprintln!("not run: this kernel has SCTP, which goes before the right to raw sockets");
        return;
    }
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim() != "1024") {
        eprintln!("not run: low ports are for everybody here");
        return;
    }
    let folder = tempfile::tempdir().expect("there is room");
    let mut told = String::new();
    for arguments in [
        &["--via", "udp", "--udp-port", "9"][..],
        &["--via", "raw"],
        &["--via", "udp", "--udp-port", "0", "--user", "1:1"],
    ] {
        let output = Command::new("timeout")
            .args(["60", "unshare", "--map-root-user"])
            .args([env!("CARGO_BIN_EXE_cli"), "serve", "--log-level", "error"])
            .args(arguments)
            .arg(".")
            .current_dir(folder.path())
            .output();
        let output = match output {
            Ok(output) if !output.stderr.starts_with(b"unshare: ") => output,
            _ => {
                eprintln!("not run: no user namespace");
                return;
            }
        };
        let stderr = String::from_utf8(output.stderr).expect("it is text");
        let code = output.status.code().expect("it ended by itself");
        told += &format!(
            "$ cli serve {} .\n{stderr}exit {code}\n\n",
            arguments.join(" ")
        );
    }
    insta::assert_snapshot!("rights", told);
}

#[test]
fn a_machine_that_has_no_room_is_explained() {
    let folder = tempfile::tempdir().expect("there is room");
    let program = env!("CARGO_BIN_EXE_cli");
    let script = format!("ulimit -n 5; exec timeout 60 {program} serve --via udp --udp-port 0 .");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("there is a shell");
    let told = String::from_utf8(output.stderr).expect("it is text");
    let code = output.status.code().expect("it ended by itself");
    insta::assert_snapshot!(
        "room",
        format!("$ ulimit -n 5; cli serve .\n{told}exit {code}\n")
    );
}

/// The exit codes that the snapshots of `folder` show.
fn codes_shown(folder: &str) -> BTreeSet<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut codes = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("it is there") {
        let text = fs::read_to_string(entry.expect("it is there").path()).expect("it is text");
        let ends = text.lines().filter_map(|line| line.strip_prefix("exit "));
        codes.extend(ends.filter_map(|code| code.parse::<u8>().ok()));
    }
    codes
}

#[test]
fn every_exit_code_is_documented_and_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("it is text");
    let number = |text: &str| text.trim().parse::<u8>().expect("it is a code");
    let exit = read("src/exit.rs");
    let (_, variants) = exit.split_once("enum Code {").expect("it is there");
    let (variants, _) = variants.split_once('}').expect("it ends");
    let variants = variants.lines().filter_map(|line| line.split_once(" = "));
    let mut produced: BTreeSet<u8> = variants
        .map(|(_, code)| number(code.trim_end_matches(',')))
        .collect();
    // What every program ends with when all went well.
    produced.insert(0);
    let readme = read("../README.md");
    let (_, table) = readme
        .split_once("| exit code | meaning |\n|---|---|\n")
        .expect("the table is there");
    let rows = table.lines().map_while(|row| row.strip_prefix('|'));
    let documented: BTreeSet<u8> = rows
        .map(|row| number(row.split('|').next().unwrap_or_default()))
        .collect();
    assert_eq!(documented, produced);
    let mut shown = codes_shown("tests/snapshots");
    shown.append(&mut codes_shown("tests/get/snapshots"));
    assert_eq!(shown, documented);
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
