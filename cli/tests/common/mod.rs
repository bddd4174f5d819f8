//! The real server, and what is sent to it.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests of programs that run in real time"
)]
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod raw;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const DRIVERS: [&str; 2] = ["std", "mio"];

/// Both protocols, each over a stack of our own, and which driver serves it.
pub(crate) const WAYS: [(&str, &str); 4] = [
    ("sctp", "std"),
    ("sctp", "mio"),
    ("dccp", "std"),
    ("dccp", "mio"),
];

pub(crate) fn cli() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cli"))
}

/// A server over UDP on free ports of loopback.
pub(crate) struct Server {
    child: Child,
    proto: &'static str,
    pub(crate) stderr: BufReader<ChildStderr>,
    stdout: ChildStdout,
    pub(crate) address: SocketAddr,
    pub(crate) udp_port: u16,
}

impl Server {
    /// Serves `folder`, and waits at the end for clients that are gone no longer than
    /// a second, unless that is said. At `--log-level warn` and above it would not say where it listens.
    pub(crate) fn start(proto: &'static str, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = cli()
            .args(["serve", "--proto", proto, "--port", "0"])
            .args(["--via", "udp", "--udp-port", "0"])
            .args(arguments)
            .args(if arguments.contains(&"--grace") {
                &[][..]
            } else {
                &["--grace", "1"]
            })
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let stdout = child.stdout.take().unwrap();
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let place = line
            .strip_prefix(&format!("listening on {proto} "))
            .expect(&line);
        let (address, rest) = place.split_once(" (udp port ").expect(&line);
        let (udp_port, _) = rest.split_once(')').expect(&line);
        Self {
            proto,
            address: address.parse().unwrap(),
            udp_port: udp_port.parse().unwrap(),
            child,
            stderr,
            stdout,
        }
    }

    pub(crate) fn sctp(folder: &Path, arguments: &[&str]) -> Self {
        Self::start("sctp", folder, arguments)
    }

    /// A client with the options with which it finds the server, and then `arguments`.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = cli();
        command.args(["get", "--proto", self.proto, "--via", "udp"]);
        command.args(["--udp-port", &self.udp_port.to_string()]);
        command.args(arguments);
        command
    }

    pub(crate) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// What `get -o - PATH` with `arguments` ends with.
    pub(crate) fn get(&self, path: &str, arguments: &[&str]) -> Output {
        let mut client = self.client(arguments);
        client.args(["-o", "-", &self.target(path)]);
        client.output().unwrap()
    }

    /// The body at `path`, which is there.
    pub(crate) fn body(&self, path: &str) -> Vec<u8> {
        let output = self.get(path, &[]);
        assert!(output.status.success(), "{path}: {}", stderr(&output));
        output.stdout
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it, and gives what it told and its access log.
    pub(crate) fn stop(mut self) -> (String, String) {
        self.signal(Signal::TERM);
        let (mut told, mut log) = (String::new(), String::new());
        self.stderr.read_to_string(&mut told).unwrap();
        self.stdout.read_to_string(&mut log).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status} {told}");
        (told, log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until `done` says so.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
