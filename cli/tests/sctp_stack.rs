//! `cli serve` and `cli get` over SCTP with a stack of our own: the real program, over loopback.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests of programs that run in real time"
)]

#[cfg(target_os = "linux")]
#[path = "sctp_stack/flood.rs"]
mod flood;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use socket::{Protocol, probe};

const DRIVERS: [&str; 2] = ["std", "mio"];

fn cli() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cli"))
}

/// A server, and the first place where it listens.
struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    stdout: ChildStdout,
    address: SocketAddr,
    udp_port: Option<u16>,
}

impl Server {
    /// Serves `folder` on free ports.
    fn start(folder: &Path, ip: &str, arguments: &[&str]) -> Self {
        let mut child = cli()
            .args(["serve", "--proto", "sctp", "--bind", ip, "--port", "0"])
            .args(arguments)
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let stdout = child.stdout.take().unwrap();
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let place = line.strip_prefix("listening on sctp ").expect(&line);
        let (address, rest) = place.split_once(' ').unwrap();
        let udp_port = rest
            .strip_prefix("(udp port ")
            .and_then(|rest| rest.split_once(')'))
            .map(|(port, _)| port.parse().unwrap());
        Self {
            child,
            stderr,
            stdout,
            address: address.parse().unwrap(),
            udp_port,
        }
    }

    fn udp(folder: &Path, ip: &str, arguments: &[&str]) -> Self {
        let udp = ["--via", "udp", "--udp-port", "0"];
        Self::start(folder, ip, &[&udp, arguments].concat())
    }

    /// A client with the options with which it finds the server.
    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = cli();
        command.args(["get", "--proto", "sctp"]);
        if let Some(port) = self.udp_port {
            command.args(["--via", "udp", "--udp-port", &port.to_string()]);
        }
        command.args(arguments);
        command
    }

    /// One that fetches `path`.
    fn get(&self, path: &str, arguments: &[&str]) -> Command {
        let mut command = self.client(arguments);
        command.arg(self.target(path));
        command
    }

    fn target(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Stops it, and gives what it told and its access log.
    fn stop(mut self) -> (String, String) {
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

/// Bytes without a pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a client that is to succeed.
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

/// Runs a client that is to fail, and gives its exit code and what it told.
fn fail(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), stderr(&output))
}

#[expect(
    clippy::disallowed_methods,
    reason = "waits for another process's file"
)]
fn wait_a_little() {
    std::thread::sleep(Duration::from_millis(2));
}

/// The files right in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    };
    files.map(named).collect()
}

#[test]
fn the_document_root_comes_whole_with_either_driver_over_ipv4_and_ipv6() {
    let www = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../www"));
    let served = files(www);
    for (ip, driver) in [
        ("127.0.0.1", "std"),
        ("127.0.0.1", "mio"),
        ("::1", "std"),
        ("::1", "mio"),
    ] {
        let server = Server::udp(www, ip, &["--driver", driver]);
        let mut fetched = 0;
        for (driver, parallel) in [("std", "8"), ("mio", "1")] {
            let folder = tempfile::tempdir().unwrap();
            let mut get = server.client(&["--driver", driver, "--parallel", parallel]);
            for name in served.keys() {
                get.arg(server.target(&format!("/{}", name.replace('%', "%25"))));
            }
            succeed(get.current_dir(folder.path()));
            assert_eq!(files(folder.path()), served);
            fetched += served.len();
        }
        let (told, log) = server.stop();
        // All that one command fetches comes over one association.
        let counts = format!("served {fetched} requests on 2 connections");
        assert!(told.contains(&counts), "{told}");
        assert_eq!(log.lines().count(), fetched, "{log}");
    }
}

#[test]
fn one_file_comes_whole_and_its_end_is_not_waited_for() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(8 << 20);
    fs::write(served.path().join("video.mp4"), &content).unwrap();
    let server = Server::udp(served.path(), "127.0.0.1", &[]);
    for driver in DRIVERS {
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let mut get = server.get("/video.mp4", &["--driver", driver, "-v"]);
        let told = stderr(&succeed(get.current_dir(folder.path())));
        assert!(told.contains("udp port"), "{told}");
        assert!(told.contains("Connection: close"), "{told}");
        assert!(fs::read(folder.path().join("video.mp4")).unwrap() == content);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    server.stop();
}

#[test]
fn a_page_costs_seven_packets() {
    let www = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../www"));
    let server = Server::udp(www, "127.0.0.1", &["--driver", "mio"]);
    let folder = tempfile::tempdir().unwrap();
    let mut get = server.get("/", &["--ladder"]);
    let told = stderr(&succeed(get.current_dir(folder.path())));
    assert!(told.contains(" 7 packets: 4 from the client"), "{told}");
    server.stop();
}

#[test]
fn heads_ranges_and_errors_are_as_over_the_kernel() {
    let served = tempfile::tempdir().unwrap();
    fs::write(served.path().join("text"), b"0123456789").unwrap();
    fs::write(served.path().join("other"), b"abc").unwrap();
    let server = Server::udp(served.path(), "127.0.0.1", &["--driver", "mio"]);
    let output = succeed(&mut server.get("/text", &["-r", "2-4", "-o", "-"]));
    assert_eq!(output.stdout, b"234");
    let output = succeed(&mut server.get("/text", &["-I"]));
    let head = String::from_utf8(output.stdout).unwrap();
    assert!(
        head.contains("200") && head.contains("Content-Length: 10"),
        "{head}"
    );
    let (code, told) = fail(&mut server.get("/missing", &["-o", "-"]));
    assert_eq!(code, 22, "{told}");
    let output = succeed(&mut server.get("/text", &["--bind", "127.0.0.3", "-o", "-"]));
    assert_eq!(output.stdout, b"0123456789");
    // What goes to one place comes in the order it was asked for.
    let mut get = server.get("/text", &["-o", "-"]);
    let output = succeed(get.arg(server.target("/other")).arg(server.target("/text")));
    assert_eq!(output.stdout, b"0123456789abc0123456789");
    let output = succeed(&mut server.get("/text", &["--seed-form", "-o", "-"]));
    assert_eq!(output.stdout, b"0123456789");
    let (_, log) = server.stop();
    assert!(
        log.lines().any(|line| line.starts_with("127.0.0.3 ")),
        "{log}"
    );
}

#[test]
fn ht3_many_targets_of_a_file_come_over_few_streams_and_none_is_mixed_up() {
    let served = tempfile::tempdir().unwrap();
    let mut list = String::new();
    let server = Server::udp(served.path(), "127.0.0.1", &["--driver", "mio"]);
    for number in 0..300_usize {
        let name = format!("{number}.bin");
        fs::write(served.path().join(&name), noise(number * 97 % 40_000)).unwrap();
        list.push_str(&server.target(&format!("/{name}\n\n")));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut get = server.client(&["--parallel", "10", "--input-file", "-"]);
    let mut child = get
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(list.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(files(folder.path()) == files(served.path()));
    let (told, _) = server.stop();
    assert!(
        told.contains("served 300 requests on 1 connection,"),
        "{told}"
    );
}

#[test]
fn a_target_that_fails_leaves_the_others_alone() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(2 << 20);
    for name in ["a", "b", "c"] {
        fs::write(served.path().join(name), &content).unwrap();
    }
    let server = Server::udp(served.path(), "127.0.0.1", &[]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let mut get = server.client(&["--retries", "0", "--max-filesize", "2097152"]);
    for path in ["/a", "/missing", "/b", "/folder", "/..", "/c"] {
        get.arg(server.target(path));
    }
    let (code, told) = fail(get.current_dir(folder.path()));
    // The last failure in their order decides.
    assert_eq!(code, 22, "{told}");
    assert!(
        told.contains("/missing: ") && told.contains("/folder: "),
        "{told}"
    );
    for name in ["a", "b", "c"] {
        assert!(
            fs::read(folder.path().join(name)).unwrap() == content,
            "{name}"
        );
    }
    // One that has to be broken off takes the association with it, not what it carried.
    let mut get = server.client(&["--retries", "0", "--max-filesize", "2097151"]);
    fs::write(served.path().join("small"), b"small").unwrap();
    for path in ["/a", "/small", "/b"] {
        get.arg(server.target(path));
    }
    let (code, told) = fail(get.current_dir(folder.path()));
    assert_eq!(code, 63, "{told}");
    assert_eq!(fs::read(folder.path().join("small")).unwrap(), b"small");
    server.stop();
}

#[test]
fn a_download_that_was_cut_is_gone_on_with() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(64 << 20);
    fs::write(served.path().join("big"), &content).unwrap();
    // One that was written just now may still change, and has no strong validator.
    let mut options = fs::File::options();
    let file = options.write(true).open(served.path().join("big")).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(long_ago).unwrap();
    let server = Server::udp(served.path(), "127.0.0.1", &["--driver", "mio"]);
    let folder = tempfile::tempdir().unwrap();
    let mut get = server.get("/big", &["--retries", "0"]);
    let mut child = get
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = folder.path().join("big.part");
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&part).map_or(0, |part| part.len()) < 1 << 20 {
        assert!(Instant::now() < deadline, "nothing comes");
        assert_eq!(child.try_wait().unwrap(), None, "it is over already");
        wait_a_little();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!folder.path().join("big").exists());
    let output = succeed(server.get("/big", &["-C", "-v"]).current_dir(folder.path()));
    let told = stderr(&output);
    assert!(told.contains("going on with"), "{told}");
    assert!(fs::read(folder.path().join("big")).unwrap() == content);
    server.stop();
}

#[test]
fn an_association_that_does_not_come_about_says_why() {
    let served = tempfile::tempdir().unwrap();
    let server = Server::udp(served.path(), "127.0.0.1", &[]);
    let udp_port = server.udp_port.unwrap().to_string();
    let get = |arguments: &[&str]| {
        let mut get = cli();
        get.args(["get", "--proto", "sctp", "--via", "udp", "-o", "-"])
            .args(arguments);
        let started = Instant::now();
        let (code, told) = fail(&mut get);
        assert!(started.elapsed() < Duration::from_secs(10), "{told}");
        (code, told)
    };
    // Nobody has the UDP port: ICMP says so at once.
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, told) = get(&["--udp-port", &free.port().to_string(), "127.0.0.1:8080/"]);
    assert_eq!(code, 7, "{told}");
    assert!(told.contains("--udp-port"), "{told}");
    // Nobody has the SCTP port.
    let wrong = server.address.port() ^ 1;
    let (code, told) = get(&["--udp-port", &udp_port, &format!("127.0.0.1:{wrong}/")]);
    assert_eq!(code, 7, "{told}");
    assert!(told.contains("refused"), "{told}");
    // Somebody has the UDP port, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let timeout = ["--connect-timeout", "0.3", "--retries", "0"];
    let silent = [&timeout[..], &["--udp-port", &port, "127.0.0.1:8080/"]].concat();
    let (code, told) = get(&silent);
    assert_eq!(code, 28, "{told}");
    server.stop();
}

#[test]
fn a_second_signal_ends_a_server_and_tells_its_clients() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(64 << 20);
    fs::write(served.path().join("big"), &content).unwrap();
    for driver in DRIVERS {
        let mut server = Server::udp(served.path(), "127.0.0.1", &["--driver", driver]);
        let folder = tempfile::tempdir().unwrap();
        let mut get = server.get("/big", &["--retries", "0"]);
        let get = get.current_dir(folder.path()).stderr(Stdio::piped());
        let client = get.spawn().unwrap();
        let part = folder.path().join("big.part");
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::metadata(&part).map_or(0, |part| part.len()) < 1 << 20 {
            assert!(Instant::now() < deadline, "nothing comes");
            wait_a_little();
        }
        server.signal(Signal::INT);
        let mut line = String::new();
        server.stderr.read_line(&mut line).unwrap();
        assert!(line.contains("stopping, 1 connections"), "{line}");
        server.signal(Signal::INT);
        let output = client.wait_with_output().unwrap();
        // It learns at once that the answer is cut, not by waiting.
        assert_eq!(output.status.code(), Some(102), "{}", stderr(&output));
        let (told, _) = server.stop();
        assert!(told.contains("1 cut short"), "{told}");
    }
}

#[test]
fn both_ends_may_have_several_addresses() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(4 << 20);
    fs::write(served.path().join("file"), &content).unwrap();
    let second = ["--bind", "127.0.0.2", "--multihomed"];
    let server = Server::udp(served.path(), "127.0.0.1", &second);
    let output = succeed(&mut server.get("/file", &["-v", "-o", "-"]));
    assert!(output.stdout == content);
    // The server named its second address, and that was confirmed.
    let told = stderr(&output);
    assert!(told.contains("path to 127.0.0.2"), "{told}");
    let two = ["--bind", "127.0.0.3", "--bind", "127.0.0.4"];
    let both = [&two[..], &["--peer", "127.0.0.2", "-o", "-"]].concat();
    let output = succeed(&mut server.get("/file", &both));
    assert!(output.stdout == content);
    let (told, log) = server.stop();
    assert!(told.contains("served 2 requests"), "{told}");
    assert!(log.contains("127.0.0.3 "), "{log}");
    // Without being asked to, a server names no other address.
    let server = Server::udp(served.path(), "127.0.0.1", &["--bind", "127.0.0.2"]);
    let output = succeed(&mut server.get("/file", &["-v", "-o", "-"]));
    let told = stderr(&output);
    assert!(!told.contains("127.0.0.2"), "{told}");
    server.stop();
}

#[test]
fn raw_ip_carries_it_too_where_this_process_may() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(1 << 20);
    fs::write(served.path().join("file"), &content).unwrap();
    if probe().of(Protocol::Sctp).is_available() {
        let mut serve = cli();
        serve.args(["serve", "--proto", "sctp", "--via", "raw"]);
        let (code, told) = fail(serve.arg(served.path()));
        assert_eq!(code, 100, "{told}");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        let mut serve = cli();
        serve.args(["serve", "--proto", "sctp", "--via", "raw"]);
        let (code, told) = fail(serve.arg(served.path()));
        assert_eq!(code, 100, "{told}");
        assert!(told.contains("--via udp"), "{told}");
        return;
    }
    for (ip, driver) in [("127.0.0.1", "std"), ("::1", "mio")] {
        let server = Server::start(served.path(), ip, &["--via", "raw", "--driver", driver]);
        let raw = ["--via", "raw", "-o", "-", "--driver", driver];
        let output = succeed(&mut server.get("/file", &raw));
        assert!(output.stdout == content);
        let (told, _) = server.stop();
        assert!(told.contains("served 1 request on 1 connection,"), "{told}");
    }
}
