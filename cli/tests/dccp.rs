//! `cli serve` and `cli get` over DCCP with a stack of our own: the real program, over loopback.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests of programs that run in real time"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
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
            .args(["serve", "--proto", "dccp", "--bind", ip, "--port", "0"])
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
        let place = line.strip_prefix("listening on dccp ").expect(&line);
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

    /// The options with which a client finds it, and the target.
    fn get(&self, path: &str, arguments: &[&str]) -> Command {
        let mut command = cli();
        command.args(["get", "--proto", "dccp"]);
        if let Some(port) = self.udp_port {
            command.args(["--via", "udp", "--udp-port", &port.to_string()]);
        }
        command
            .args(arguments)
            .arg(format!("{}{path}", self.address));
        command
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

#[test]
fn a_file_comes_whole_with_either_driver_over_ipv4_and_ipv6() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(3 << 20);
    fs::write(served.path().join("video.mp4"), &content).unwrap();
    fs::write(served.path().join("empty"), b"").unwrap();
    for (ip, driver) in [
        ("127.0.0.1", "std"),
        ("127.0.0.1", "mio"),
        ("::1", "std"),
        ("::1", "mio"),
    ] {
        let server = Server::udp(served.path(), ip, &["--driver", driver]);
        let folder = tempfile::tempdir().unwrap();
        for driver in DRIVERS {
            let started = Instant::now();
            let mut get = server.get("/video.mp4", &["--driver", driver, "-v"]);
            let output = succeed(get.current_dir(folder.path()));
            let told = stderr(&output);
            assert!(told.contains("udp port"), "{told}");
            assert_eq!(fs::read(folder.path().join("video.mp4")).unwrap(), content);
            // The end is not waited for longer than it takes.
            assert!(started.elapsed() < Duration::from_secs(20));
            succeed(
                server
                    .get("/empty", &["--driver", driver])
                    .current_dir(folder.path()),
            );
            assert_eq!(fs::read(folder.path().join("empty")).unwrap(), b"");
        }
        let (told, log) = server.stop();
        assert!(
            told.contains("served 4 requests on 4 connections"),
            "{told}"
        );
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 4, "{log}");
        let ip: IpAddr = ip.parse().unwrap();
        for line in lines {
            assert!(line.starts_with(&format!("{ip} ")), "{line}");
            assert!(line.contains(" 200 "), "{line}");
        }
    }
}

#[test]
fn either_congestion_control_and_small_packets_carry_a_file() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(200_000);
    fs::write(served.path().join("file"), &content).unwrap();
    for options in [&["--ccid", "2"], &["--ccid", "3"], &["--mtu", "576"]] {
        let server = Server::udp(served.path(), "127.0.0.1", options);
        let to_stdout = [&options[..], &["-o", "-"]].concat();
        let output = succeed(&mut server.get("/file", &to_stdout));
        assert!(output.stdout == content, "{options:?}");
        server.stop();
    }
}

#[test]
fn heads_ranges_and_errors_are_as_over_the_kernel() {
    let served = tempfile::tempdir().unwrap();
    fs::write(served.path().join("text"), b"0123456789").unwrap();
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
    let (_, log) = server.stop();
    assert!(
        log.lines().any(|line| line.starts_with("127.0.0.3 ")),
        "{log}"
    );
}

#[test]
fn a_download_that_was_cut_is_gone_on_with() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(48 << 20);
    fs::write(served.path().join("big"), &content).unwrap();
    // What was changed this very second has no validator to go on with.
    let file = File::options().write(true).open(served.path().join("big"));
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    file.unwrap().set_modified(long_ago).unwrap();
    let server = Server::udp(served.path(), "127.0.0.1", &["--driver", "mio"]);
    let folder = tempfile::tempdir().unwrap();
    // Its digest is known before it is asked for, so that the time is the transfer's.
    succeed(server.get("/big", &["-I"]).current_dir(folder.path()));
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

/// Waits for another process's file.
fn wait_a_little() {
    std::thread::sleep(Duration::from_millis(2));
}

#[test]
fn a_connection_that_does_not_come_about_says_why() {
    let served = tempfile::tempdir().unwrap();
    let server = Server::udp(served.path(), "127.0.0.1", &[]);
    let udp_port = server.udp_port.unwrap().to_string();
    let get = |arguments: &[&str]| {
        let mut get = cli();
        get.args(["get", "--proto", "dccp", "--via", "udp", "-o", "-"])
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
    // Nobody has the DCCP port.
    let wrong = server.address.port() ^ 1;
    let (code, told) = get(&["--udp-port", &udp_port, &format!("127.0.0.1:{wrong}/")]);
    assert_eq!(code, 7, "{told}");
    assert!(told.contains("refused"), "{told}");
    let target = format!("{}/", server.address);
    let (code, told) = get(&["--udp-port", &udp_port, "--service-code", "XXXX", &target]);
    assert_eq!(code, 7, "{told}");
    assert!(told.contains("service code"), "{told}");
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
fn two_servers_do_not_share_a_udp_port() {
    let served = tempfile::tempdir().unwrap();
    let first = Server::udp(served.path(), "127.0.0.1", &[]);
    let port = first.udp_port.unwrap().to_string();
    for driver in DRIVERS {
        let mut second = cli();
        second
            .args([
                "serve", "--proto", "dccp", "--via", "udp", "--driver", driver,
            ])
            .args(["--udp-port", &port])
            .arg(served.path());
        let (code, told) = fail(&mut second);
        assert_eq!(code, 7, "{told}");
        assert!(
            told.contains("in use") && told.contains("--udp-port"),
            "{told}"
        );
        assert!(!told.contains("listening"), "{told}");
    }
    first.stop();
}

#[test]
fn a_second_signal_ends_a_server_and_tells_its_clients() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(48 << 20);
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
fn raw_ip_carries_it_too_where_this_process_may() {
    let served = tempfile::tempdir().unwrap();
    let content = noise(1 << 20);
    fs::write(served.path().join("file"), &content).unwrap();
    if probe().of(Protocol::Dccp).is_available() {
        let mut serve = cli();
        serve.args(["serve", "--proto", "dccp", "--via", "raw"]);
        let (code, told) = fail(serve.arg(served.path()));
        assert_eq!(code, 100, "{told}");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        let mut serve = cli();
        serve.args(["serve", "--proto", "dccp", "--via", "raw"]);
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
