//! `cli demo`: the real program, from several folders.
#![expect(
    clippy::unwrap_used,
    reason = "tests of programs that run in real time"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn demo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
    command
        .arg("demo")
        .args(arguments)
        .current_dir(folder)
        .env("COLUMNS", "300")
        .stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeed(mut command: Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", text(&stderr));
    assert_eq!(text(&stderr), "", "all of it is on stdout");
    text(&stdout)
}

/// What differs from one run to the next left out: times, ports and, in tables, counts; and the
/// packets, of which a busy machine may see more.
fn without_figures(told: &str) -> String {
    let mut lines = Vec::new();
    for line in told.lines() {
        if line.contains(" ms  |") || line.starts_with("            |") {
            if lines
                .last()
                .is_none_or(|last| last != "            (packets)")
            {
                lines.push("            (packets)".to_owned());
            }
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.ends_with("B/s") {
            lines.push(format!("{} {} ...", words[0], words[1]));
        } else if words.first() == Some(&"file") {
            lines.push(words.join(" "));
        } else if line.starts_with("   ") && line.contains(" packets: ") {
            lines.push("            N packets: ...".to_owned());
        } else {
            lines.push(without_ports(line));
        }
    }
    lines.join("\n") + "\n"
}

fn without_ports(line: &str) -> String {
    let mut rest = line;
    let mut out = String::new();
    let marks = ["127.0.0.1:", "-port ", "(udp port "];
    while let Some((at, mark)) = marks
        .iter()
        .filter_map(|mark| Some((rest.find(mark)?, *mark)))
        .min()
    {
        let (before, after) = rest.split_at(at + mark.len());
        out.push_str(before);
        out.push('N');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out + rest
}

/// Whether `words` come in `text` one after the other.
fn assert_in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let (_, after) = rest
            .split_once(word)
            .unwrap_or_else(|| panic!("{word}: {text}"));
        rest = after;
    }
}

#[test]
fn both_protocols_are_shown_with_their_packets() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let told = succeed(demo(
        Path::new(ROOT),
        &["--output", output.to_str().unwrap()],
    ));
    let shown = without_figures(&told).replace(output.to_str().unwrap(), "OUT");
    insta::assert_snapshot!("demo", shown);
    assert_in_order(
        &told,
        &[
            "-- INIT ",
            "<- INIT ACK ",
            "-- COOKIE ECHO",
            "GET / HTTP/1.0",
            "<- COOKIE ACK",
            "HTTP/1.0 200 OK",
            "-- SHUTDOWN COMPLETE",
            "-- Request(seq 0, SC:?HTP)",
            "<- Response(seq 0, ack 0",
            "-- DataAck(seq 1, ack 0)",
            "GET / HTTP/1.0",
            "HTTP/1.0 200 OK",
            "exchange 1, bytes ",
            "-- Close(",
            "<- Reset(",
        ],
    );
    for (proto, name) in ["sctp", "dccp"]
        .iter()
        .flat_map(|proto| ["index.html", "cat.png", "video.mp4"].map(|name| (proto, name)))
    {
        let came = fs::read(output.join(proto).join(name)).unwrap();
        let served = fs::read(Path::new(ROOT).join("www").join(name)).unwrap();
        assert!(came == served, "{proto} {name}");
    }
    for proto in ["sctp", "dccp"] {
        let packets = fs::read(output.join(format!("{proto}.pcapng"))).unwrap();
        assert_eq!(packets[..4], [0x0A, 0x0D, 0x0D, 0x0A]);
        let picture = fs::read_to_string(output.join(format!("{proto}.svg"))).unwrap();
        assert!(picture.contains("GET /video.mp4 HTTP/1.0"), "{proto}");
    }
}

#[test]
fn it_runs_where_there_is_no_www_and_over_one_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new folders");
    fs::create_dir(&new).unwrap();
    let mut command = demo(folder.path(), &["--proto", "dccp", "--driver", "std"]);
    command.env("TMPDIR", &new);
    let told = succeed(command);
    assert!(told.starts_with("There is no folder www here"), "{told}");
    assert!(
        !told.contains("SCTP") && told.contains("3 of 3 files"),
        "{told}"
    );
    // What was served is gone, what came is not.
    let left: Vec<String> = fs::read_dir(&new)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        matches!(&left[..], [name] if name.starts_with("http-over-messages.")),
        "{left:?}"
    );
}

#[test]
fn lost_packets_are_sent_again_or_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let told = succeed(demo(
        Path::new(ROOT),
        &["--loss", "20", "--output", output.to_str().unwrap()],
    ));
    assert!(
        told.contains("20 % of the packets lost on the way"),
        "{told}"
    );
    // The last number but those with a unit: what was sent again, what was asked for again.
    let again = told
        .lines()
        .filter(|line| line.ends_with("B/s"))
        .map(|line| line.split_whitespace().rev().nth(4).unwrap())
        .map(|count| count.parse::<u64>().unwrap());
    let again: Vec<u64> = again.collect();
    assert_eq!(again.len(), 6, "{told}");
    assert!(again[..3].iter().sum::<u64>() > 0, "SCTP: {told}");
    assert!(again[3..].iter().sum::<u64>() > 0, "DCCP: {told}");
}

#[test]
fn names_of_files_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let root = folder.path().join("a folder");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("größe & 100%.html"), "<p>").unwrap();
    let told = succeed(demo(
        folder.path(),
        &["a folder", "--output", output.to_str().unwrap()],
    ));
    assert!(told.contains("2 of 2 files"), "{told}");
    let came = fs::read(output.join("dccp/größe & 100%.html")).unwrap();
    assert_eq!(came, b"<p>");
}

#[test]
fn what_cannot_be_shown_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let mut all = String::new();
    for arguments in [
        &["no-such-folder"][..],
        &["."],
        &["--output", "file/x"],
        &["--loss", "5", "--via", "kernel"],
        &["--loss", "50"],
    ] {
        let output = demo(folder.path(), arguments).output().unwrap();
        assert_eq!(text(&output.stdout), "");
        let code = output.status.code().unwrap();
        all += &format!(
            "$ cli demo {}\n{}exit {code}\n\n",
            arguments.join(" "),
            text(&output.stderr)
        );
    }
    insta::assert_snapshot!("demo_failures", all);
}

#[test]
fn an_interrupt_ends_it_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // The second packet is lost, so that a second passes before the page is here.
    let mut child = demo(Path::new(ROOT), &["--loss", "30"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_get = |line: &String| line.starts_with("$ cli get");
    assert!(
        stdout
            .by_ref()
            .map(Result::unwrap)
            .any(|line| is_get(&line))
    );
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut told = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert!(told.contains("interrupted"), "{told}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn it_ends_in_peace_when_nobody_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = demo(Path::new(ROOT), &[])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
