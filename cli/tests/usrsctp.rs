//! Another stack's program gets what `cli serve` has: usrsctp's `http_client` (of Debian's
//! libusrsctp-examples), over SCTP in UDP on loopback.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const CLIENT: &str = "/usr/lib/usrsctp/http_client";

/// A server on free ports.
struct Server {
    child: Child,
    port: String,
    udp_port: String,
}

impl Server {
    fn start(folder: &Path, driver: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cli"))
            .args([
                "serve", "--proto", "sctp", "--driver", driver, "--via", "udp",
            ])
            .args(["--bind", "127.0.0.1", "--port", "0", "--udp-port", "0"])
            .args(["--log-format", "off"])
            .arg(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        let words = line
            .strip_prefix("listening on sctp 127.0.0.1:")
            .expect(&line);
        let (port, rest) = words.split_once(" (udp port ").expect(&line);
        let (udp_port, _) = rest.split_once(')').expect(&line);
        Self {
            port: port.to_owned(),
            udp_port: udp_port.to_owned(),
            child,
        }
    }

    /// What the client prints for `path`, without what it says of itself.
    fn get(&self, path: &str) -> Vec<u8> {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let own_port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let output = Command::new("timeout")
            .args(["60", CLIENT, "127.0.0.1", &self.port, "0", &own_port])
            .args([&self.udp_port, path])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = output.stdout;
        let start = find(&printed, b"HTTP response:\n").expect("it prints an answer");
        without_debugging(&printed[start..])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|found| found == wanted)
}

/// Debian builds it with debugging on: lines such as `[S][0.123] .. \n`, also in the midst of what
/// it prints.
fn without_debugging(printed: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(printed.len());
    let mut rest = printed;
    while let Some(&first) = rest.first() {
        let time = rest.strip_prefix(b"[S][").and_then(|rest| {
            let end = rest.iter().position(|byte| *byte == b']')?;
            let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
            (end <= 12 && rest[..end].iter().all(digits)).then_some(end)
        });
        match time {
            Some(_) => {
                let line = rest.iter().position(|byte| *byte == b'\n');
                rest = &rest[line.map_or(rest.len(), |line| line + 1)..];
            }
            None => {
                kept.push(first);
                rest = &rest[1..];
            }
        }
    }
    kept
}

#[test]
fn usrsctp_gets_a_page_a_video_and_a_404() {
    if !Path::new(CLIENT).is_file() {
        eprintln!("skipped: {CLIENT} is not there (Debian's libusrsctp-examples)");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www");
    for driver in ["std", "mio"] {
        let server = Server::start(&folder, driver);
        for name in ["index.html", "video.mp4"] {
            let printed = server.get(&format!("/{name}"));
            let file = fs::read(folder.join(name)).unwrap();
            assert!(find(&printed, b"HTTP/1.0 200").is_some(), "{driver} {name}");
            assert!(find(&printed, &file).is_some(), "{driver} {name} differs");
        }
        let printed = server.get("/nothing-here");
        assert!(find(&printed, b"HTTP/1.0 404").is_some(), "{driver}");
    }
}
