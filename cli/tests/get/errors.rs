//! What a person meets when a download fails: one line that says what happened and what to do, and
//! the exit code. Those that need no server are in `messages.rs`.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use socket::{Protocol, probe};

use crate::disk::on_a_disk;
use crate::odd::{Odd, answer};
use crate::redirects::path;
use crate::server::{BOTH, Place, Server, ends_with, noise, stderr};
use crate::streams::{on_a_terminal, wait_for_bytes};

/// What is told of errors, each behind what was typed.
#[derive(Default)]
struct Told(String);

impl Told {
    /// Runs a client that is to fail. `what` says of it what is not in `arguments`.
    fn get(&mut self, place: &Place, what: &str, path: &str, arguments: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        self.get_in(folder.path(), place, what, path, arguments);
    }

    fn get_in(&mut self, folder: &Path, place: &Place, what: &str, path: &str, arguments: &[&str]) {
        let once = [&["--retries", "0"], arguments].concat();
        let output = place.get(folder, path, &once).output().unwrap();
        self.ended(place, what, &typed(path, arguments), &output);
    }

    /// Takes what a client told of `place` before it ended.
    fn ended(&mut self, place: &Place, what: &str, typed: &str, output: &Output) {
        self.add(place, what, typed, &stderr(output), output.status.code());
    }

    fn add(&mut self, place: &Place, what: &str, typed: &str, told: &str, code: Option<i32>) {
        let code = code.unwrap();
        assert_ne!(code, 0, "{typed}: {told}");
        assert_eq!(told.lines().count(), 1, "{typed}: {told}");
        assert!(told.contains("; "), "nothing says what to do: {told}");
        let told = told
            .replace(&format!("udp port {}", place.udp_port), "udp port UDP")
            .replace(&place.address.to_string(), "127.0.0.1:PORT");
        let told = ["missing from byte ", "transport holds ", "at UDP port "]
            .iter()
            .fold(told, |told, words| without_number(&told, words));
        let proto = place.proto;
        self.0 += &format!("{what}\n$ cli get --proto {proto}{typed}\n{told}exit {code}\n\n");
    }
}

/// The text with N for the number behind `words`.
fn without_number(text: &str, words: &str) -> String {
    match text.split_once(words) {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|char: char| char.is_ascii_digit());
            format!("{before}{words}N{rest}")
        }
        None => text.to_owned(),
    }
}

fn typed(path: &str, arguments: &[&str]) -> String {
    let words = [arguments, &[path]].concat();
    // A long one says no more than a short one.
    let words = words.iter().map(|word| &word[..word.len().min(60)]);
    words.fold(String::new(), |typed, word| format!("{typed} {word}"))
}

/// A place where packets are taken and nobody answers.
fn silent(proto: &'static str) -> (UdpSocket, Place) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = Place {
        proto,
        address: "127.0.0.1:8080".parse().unwrap(),
        udp_port: socket.local_addr().unwrap().port(),
    };
    (socket, place)
}

/// Another service, or none, at the place of a server.
#[test]
fn a_connection_that_does_not_come_about() {
    let mut told = Told::default();
    for proto in BOTH {
        let (socket, place) = silent(proto);
        told.get(&place, "a silent host", "/x", &["--connect-timeout", "0.3"]);
        drop(socket);
        told.get(&place, "no server at the UDP port", "/x", &[]);
        let server = Odd::start(proto, |_| answer("200 OK", "", "x"));
        let other_port = Place {
            address: "127.0.0.1:9".parse().unwrap(),
            ..server.place.clone()
        };
        told.get(&other_port, "no server at the port", "/x", &[]);
        let other_protocol = Place {
            proto: if proto == "sctp" { "dccp" } else { "sctp" },
            ..server.place.clone()
        };
        let short = ["--connect-timeout", "0.3"];
        told.get(
            &other_protocol,
            "a server of the other protocol",
            "/x",
            &short,
        );
        let place = &server.place;
        told.get(
            place,
            "an address of another machine",
            "/x",
            &["--bind", "192.0.2.1"],
        );
        told.get(
            place,
            "a local address of the other kind",
            "/x",
            &["--bind", "::1"],
        );
        told.get(place, "a host without IPv6", "/x", &["-6"]);
        if proto == "dccp" {
            told.get(
                place,
                "a server with another service",
                "/x",
                &["--service-code", "7"],
            );
        }
    }
    insta::assert_snapshot!("connecting", told.0);
}

#[test]
fn a_server_that_is_full() {
    let mut told = Told::default();
    for proto in BOTH {
        let server = Server::start_with(proto, &["--max-connections", "1"]);
        server.put("x", &noise(8 << 20));
        let folder = tempfile::tempdir().unwrap();
        let mut get = server
            .place
            .get(folder.path(), "/x", &["--limit-rate", "1M", "-s"]);
        let mut child = get.spawn().unwrap();
        wait_for_bytes(&folder.path().join("x.part"), 100_000);
        told.get(
            &server.place,
            "all connections taken",
            "/x",
            &["--connect-timeout", "1"],
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    insta::assert_snapshot!("full", told.0);
}

/// Only an empty user namespace takes the rights of root from root, too.
#[test]
fn a_right_that_is_missing() {
    let (_socket, place) = silent("sctp");
    let mut told = Told::default();
    let kernel = probe();
    if [Protocol::Sctp, Protocol::Dccp].map(|protocol| kernel.of(protocol).is_available())
        != [false; 2]
    {
        eprintln!("not run: this kernel has SCTP or DCCP, which goes before the right");
        return;
    }
    for proto in BOTH {
        let place = Place {
            proto,
            ..place.clone()
        };
        let get = ["get", "--proto", proto, "--via", "raw", "/x"];
        let output = Command::new("unshare")
            .args(["--map-root-user", env!("CARGO_BIN_EXE_cli")])
            .args(get)
            .output();
        match output {
            Ok(output) if !stderr(&output).starts_with("unshare: ") => {
                told.ended(&place, "no right to raw sockets", " --via raw /x", &output);
            }
            _ => {
                eprintln!("not run: no user namespace");
                return;
            }
        }
    }
    insta::assert_snapshot!("rights", told.0);
}

/// Answers that are errors.
fn refusals(request: &str) -> Vec<Vec<u8>> {
    match path(request) {
        "/400" => answer("400 Bad Request", "", ""),
        "/401" => answer("401 Unauthorized", "", ""),
        "/403" => answer("403 Forbidden", "", ""),
        "/404" => answer("404 Not Found", "", ""),
        "/405" => answer("405 Method Not Allowed", "", ""),
        "/412" => answer("412 Precondition Failed", "", ""),
        "/414" => answer("414 URI Too Long", "", ""),
        "/416" => answer(
            "416 Range Not Satisfiable",
            "Content-Range: bytes */3\r\n",
            "",
        ),
        "/500" => answer("500 Internal Server Error", "", ""),
        "/503" => answer("503 Service Unavailable", "Retry-After: 60\r\n", ""),
        "/moved" => answer("301 Moved Permanently", "Location: /there\r\n", ""),
        "/circle" => answer("302 Found", "Location: /circle\r\n", ""),
        "/far" => answer("302 Found", "Location: /far/far\r\n", ""),
        "/tls" => answer("302 Found", "Location: https://127.0.0.1/\r\n", ""),
        _ => answer("302 Found", "", ""),
    }
}

#[test]
fn an_answer_that_is_an_error() {
    let server = Odd::start("sctp", refusals);
    let place = &server.place;
    let mut told = Told::default();
    for status in [
        "/400", "/401", "/403", "/404", "/412", "/414", "/500", "/503",
    ] {
        told.get(
            place,
            "an error of the client, or of the server",
            status,
            &[],
        );
    }
    told.get(place, "a server that wants GET", "/405", &["-I"]);
    told.get(place, "a file that is shorter", "/416", &["--range", "9-"]);
    told.get(place, "a file that is elsewhere", "/moved", &[]);
    told.get(
        place,
        "a file that is elsewhere, nobody knows where",
        "/nowhere",
        &[],
    );
    told.get(place, "redirects in a circle", "/circle", &["-L"]);
    told.get(
        place,
        "too many redirects",
        "/far",
        &["-L", "--max-redirs", "0"],
    );
    told.get(place, "a redirect to TLS", "/tls", &["-L"]);
    insta::assert_snapshot!("refusals", told.0);
}

/// A body of which the server says more than comes. `rest` follows it.
fn cut_short(fields: &str, rest: Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut messages = answer("200 OK", fields, &"x".repeat(9000));
    messages[1].truncate(1000);
    messages.extend(rest);
    messages
}

const WRONG_DIGEST: &str =
    "Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n";

/// Answers that break off, break rules, or are not those that were expected.
fn failings(request: &str) -> Vec<Vec<u8>> {
    match path(request) {
        "/silent" => vec![Vec::new()],
        "/stalls" => cut_short("ETag: \"a\"\r\n", Some(Vec::new())),
        "/stops" => cut_short("ETag: \"a\"\r\n", None),
        "/stops-untagged" => cut_short("", None),
        "/smtp" => vec![b"220 mail.example ESMTP\r\n".to_vec()],
        "/headless" => vec![b"<html>no head</html>".to_vec()],
        "/version" => answer("200 OK", "", "x")
            .into_iter()
            .map(|message| String::from_utf8(message).unwrap())
            .map(|message| message.replace("HTTP/1.0", "HTTP/2.0").into_bytes())
            .collect(),
        "/chunked" => answer("200 OK", "Transfer-Encoding: chunked\r\n", "x"),
        "/surplus" => vec![
            b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n".to_vec(),
            b"too much".to_vec(),
        ],
        "/endless" => vec![b"HTTP/1.0 200 OK\r\n\r\ncontent".to_vec()],
        "/damaged" => answer("200 OK", WRONG_DIGEST, "content"),
        "/other-part" => answer(
            "206 Partial Content",
            "Content-Range: bytes 0-2/9\r\n",
            "abc",
        ),
        "/changed" if request.contains("Range: ") => {
            let fields = "ETag: \"b\"\r\nContent-Range: bytes 1000-8999/9000\r\n";
            answer("206 Partial Content", fields, &"y".repeat(8000))
        }
        "/changed" => cut_short("ETag: \"a\"\r\n", None),
        "/shrunk" if request.contains("Range: ") => answer("416 Range Not Satisfiable", "", ""),
        "/shrunk" => cut_short("ETag: \"a\"\r\n", None),
        _ => answer("200 OK", "", "content"),
    }
}

#[test]
fn a_body_that_does_not_come_whole() {
    let mut told = Told::default();
    let server = Odd::start("sctp", failings);
    let place = &server.place;
    told.get(place, "no answer", "/silent", &["--stall-timeout", "0.3"]);
    told.get(place, "no end", "/stalls", &["--stall-timeout", "0.3"]);
    told.get(place, "time is up", "/stalls", &["--max-time", "0.5"]);
    let slow = ["--speed-limit", "10K", "--speed-time", "1"];
    told.get(place, "too slow", "/stalls", &slow);
    told.get(place, "an early end", "/stops", &[]);
    told.get(
        place,
        "an early end of what has no ETag",
        "/stops-untagged",
        &[],
    );
    told.get(place, "larger than wanted", "/x", &["--max-filesize", "3"]);
    insta::assert_snapshot!("bodies", told.0);
}

#[test]
fn an_answer_that_is_wrong() {
    let mut told = Told::default();
    let server = Odd::start("sctp", failings);
    let place = &server.place;
    told.get(place, "another protocol than HTTP", "/smtp", &[]);
    told.get(place, "HTTP/0.9", "/headless", &[]);
    told.get(place, "HTTP/2", "/version", &[]);
    told.get(place, "an encoding of HTTP/1.1", "/chunked", &[]);
    told.get(place, "more than was announced", "/surplus", &[]);
    told.get(place, "all instead of a part", "/x", &["--range", "5-"]);
    told.get(place, "another part", "/other-part", &["--range", "5-"]);
    told.get(place, "another digest than the server's", "/damaged", &[]);
    let zeros = "0".repeat(64);
    told.get(
        place,
        "another digest than the user's",
        "/x",
        &["--sha256", &zeros],
    );
    for (path, what) in [
        ("/changed", "a part of a file that was changed"),
        ("/shrunk", "a part of a file that is shorter now"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let first = ["--retries", "0", "-s"];
        ends_with(18, &mut place.get(folder.path(), path, &first));
        told.get_in(folder.path(), place, what, path, &["-C"]);
    }
    let server = Odd::start("dccp", failings);
    let place = &server.place;
    told.get(place, "nothing to check it with", "/endless", &[]);
    told.get(place, "nothing to check it with", "/endless", &["-o", "-"]);
    let long = format!("X-Long: {}", "x".repeat(3000));
    told.get(
        place,
        "a request of more than a packet",
        "/x",
        &["-H", &long],
    );
    insta::assert_snapshot!("answers", told.0);
}

#[test]
fn a_file_that_cannot_be_written() {
    let mut told = Told::default();
    let server = Server::start("sctp");
    server.put("x", &noise(600_000));
    let place = &server.place;
    told.get(place, "a full device", "/x", &["-o", "/dev/full"]);
    told.get(
        place,
        "no folder for the heads",
        "/x",
        &["-D", "none/heads"],
    );
    told.get(
        place,
        "no folder for the ETag",
        "/x",
        &["-s", "--etag-save", "none/tag"],
    );
    told.get(
        place,
        "a name that is too long",
        "/x",
        &["-o", &"n".repeat(300)],
    );
    let (file, part) = ("file/x", "part");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("part.part")).unwrap();
    told.get_in(
        folder.path(),
        place,
        "a file that is no folder",
        "/x",
        &["-o", file],
    );
    told.get_in(
        folder.path(),
        place,
        "a folder called part.part",
        "/x",
        &["-o", part],
    );
    let server_of_dccp = Server::start("dccp");
    let place = &server_of_dccp.place;
    let mut get = place.get(folder.path(), "/x", &["-o", "-"]);
    let output = get.env("TMPDIR", "none").output().unwrap();
    told.ended(place, "TMPDIR=none", " -o - /x", &output);
    insta::assert_snapshot!("files", told.0);

    let mut told = Told::default();
    let disks = [
        ("a full disk", ""),
        ("a disk that is read-only", "mount -o remount,ro \"$0\""),
    ];
    for (what, then) in disks {
        let Some((code, text)) = on_a_disk(&server, "size=256k", then) else {
            return;
        };
        let line = text.lines().next().unwrap();
        told.add(&server.place, what, " /x", &format!("{line}\n"), Some(code));
    }
    insta::assert_snapshot!("disks", told.0);
}

#[test]
fn a_terminal_that_would_be_garbled() {
    let server = Odd::start("sctp", |_| answer("200 OK", "", "\0"));
    let folder = tempfile::tempdir().unwrap();
    let Some((code, text)) = on_a_terminal(folder.path(), &server.place, &["-s", "-o", "-"]) else {
        return;
    };
    let text = String::from_utf8(text).unwrap().replace("\r\n", "\n");
    let mut told = Told::default();
    told.add(
        &server.place,
        "a binary file on a terminal",
        " -s -o - /x",
        &text,
        Some(code),
    );
    insta::assert_snapshot!("terminal", told.0);
}

/// Runs a client until a part of the file is here, and does something then.
fn halfway(place: &Place, what: &str, arguments: &[&str], then: impl FnOnce(Pid)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["--retries", "0", "-s"], arguments].concat();
    let mut get = place.get(folder.path(), "/x", &arguments);
    let child = get.stderr(Stdio::piped()).spawn().unwrap();
    wait_for_bytes(&folder.path().join("x.part"), 1000);
    then(Pid::from_child(&child));
    let mut told = Told::default();
    told.ended(place, what, " /x", &child.wait_with_output().unwrap());
    told.0
}

#[test]
fn a_download_that_is_cut_off() {
    let mut all = String::new();
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", &noise(32 << 20));
        let place = server.place.clone();
        let slow = ["--limit-rate", "1M"];
        for (what, signal) in [("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM)] {
            all += &halfway(&place, what, &slow, |client| {
                kill_process(client, signal).unwrap();
            });
        }
        if proto == "dccp" {
            // It asks for what is missing, and learns that nobody is there.
            all += &halfway(&place, "a server that is killed", &slow, |_| drop(server));
            continue;
        }
        let short = ["--limit-rate", "1M", "--stall-timeout", "1"];
        all += &halfway(&place, "a server that is frozen", &short, |_| {
            server.signal(Signal::STOP);
        });
        server.signal(Signal::CONT);
        let what = "a server that is stopped, and has no time";
        all += &halfway(&place, what, &slow, |_| {
            // The second time it waits for nobody.
            server.signal(Signal::TERM);
            server.signal(Signal::TERM);
        });
    }
    insta::assert_snapshot!("halfway", all);
}

#[test]
fn a_machine_that_has_no_room() {
    let mut told = Told::default();
    let (_socket, place) = silent("sctp");
    let program = env!("CARGO_BIN_EXE_cli");
    let script = format!("ulimit -n 5; exec {program} get /x");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    told.ended(&place, "ulimit -n 5", " /x", &output);
    insta::assert_snapshot!("room", told.0);
}
