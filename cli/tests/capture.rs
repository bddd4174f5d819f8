//! What `--pcap` and `--ladder` show of transfers over a stack of our own: the real program, over
//! loopback. tshark judges the files where it is installed.
#![expect(
    clippy::unwrap_used,
    reason = "tests of programs that run in real time"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn cli() -> Command {
    let mut cli = Command::new(env!("CARGO_BIN_EXE_cli"));
    cli.env("COLUMNS", "200");
    cli
}

struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    port: String,
    udp_port: String,
}

impl Server {
    fn start(root: &Path, options: &[&str]) -> Self {
        let mut child = cli()
            .args(["serve", "--proto", "dccp", "--via", "udp"])
            .args(["--port", "0", "--udp-port", "0"])
            .args(options)
            .arg(root)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        // listening on dccp 127.0.0.1:50000 (udp port 40000), serving ...
        let number = |before: &str| -> String {
            let rest = line
                .split(before)
                .nth(1)
                .unwrap_or_else(|| panic!("{line}"));
            rest.chars().take_while(char::is_ascii_digit).collect()
        };
        Self {
            port: number("127.0.0.1:"),
            udp_port: number("udp port "),
            child,
            stderr,
        }
    }

    fn get(&self, path: &str, options: &[&str]) -> Command {
        let mut get = cli();
        get.args(["get", "--proto", "dccp", "--via", "udp"])
            .args(["--udp-port", &self.udp_port])
            .args(options)
            .arg(format!("127.0.0.1:{}{path}", self.port));
        get
    }

    /// Interrupts it, and gives what it told.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status} {told}");
        told
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stderr(&output)
}

/// How many packets a file has. Every block of it must be whole.
fn packets_in(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    let mut rest = &bytes[..];
    let mut packets = 0;
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let length = usize::try_from(word(4)).unwrap();
        assert_eq!(word(length - 4), word(4), "a block ends with its length");
        packets += u64::from(word(0) == 6);
        rest = &rest[length..];
    }
    packets
}

/// How many packets a ladder says that there were.
fn packets_told(told: &str) -> u64 {
    let line = told
        .lines()
        .find(|line| line.contains(" packets: "))
        .unwrap_or_else(|| panic!("{told}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Whether tshark is here; if not, that is told.
fn has_tshark() -> bool {
    let found = Command::new("tshark")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        assert!(
            env::var_os("REQUIRE_TSHARK").is_none(),
            "tshark is required and missing"
        );
        eprintln!("not checked: tshark is not installed (apt-get install tshark)");
    }
    found
}

/// Has tshark read a file of `count` packets, nothing of which may be wrong, and gives the request
/// and status lines it shows.
fn dissect(file: &Path, as_sent_port: Option<&str>, count: u64) -> Vec<String> {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/wireshark/http-over-messages.lua"
    );
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(file)
        .args(["-n", "-T", "fields", "-X", &format!("lua_script:{script}")])
        .args([
            "-o",
            "dccp.check_checksum:TRUE",
            "-o",
            "udp.check_checksum:TRUE",
        ]);
    if let Some(port) = as_sent_port {
        tshark.args(["-o", &format!("dccp_udp.port:{port}")]);
    }
    for field in [
        "dccp.checksum.status",
        "udp.checksum.status",
        "_ws.malformed",
        "_ws.expert.severity",
        "http_messages.start_line",
    ] {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count() as u64, count);
    let udp = if as_sent_port.is_some() { "1" } else { "" };
    let mut lines = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields[..3], ["1", udp, ""], "{line}");
        let severities = fields[3].split(',').filter_map(|text| text.parse().ok());
        // Less than PI_WARN.
        assert!(severities.max().unwrap_or(0_u32) < 0x0060_0000, "{line}");
        if !fields[4].is_empty() {
            lines.push(fields[4].to_owned());
        }
    }
    lines
}

#[test]
fn a_page_and_a_video_are_seen_whole_at_both_ends_in_both_forms() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../www");
    for as_sent in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let form: &[&str] = if as_sent { &["--pcap-as-sent"] } else { &[] };
        let pcap = name("server.pcapng");
        let served = [&["--ladder", "--pcap", &pcap][..], form].concat();
        let server = Server::start(Path::new(root), &served);
        let port = as_sent.then(|| server.udp_port.clone());
        let mut all = 0;
        for (path, file) in [("/index.html", "page"), ("/video.mp4", "video")] {
            let (pcap, svg, body) = (name(&format!("{file}.pcapng")), name("a.svg"), name(file));
            let seen = [
                "--pcap",
                &pcap,
                "--ladder",
                "--ladder-svg",
                &svg,
                "-o",
                &body,
            ];
            let told = succeed(&mut server.get(path, &[&seen[..], form].concat()));
            let expected = fs::read(Path::new(root).join(&path[1..])).unwrap();
            assert!(fs::read(body).unwrap() == expected);

            let count = packets_in(Path::new(&pcap));
            assert_eq!(packets_told(&told), count, "{told}");
            let request = format!("GET {path} HTTP/1.0");
            for words in ["Request(seq 0, SC:?HTP)", "HTTP/1.0 200 OK", "Closed"] {
                assert!(told.contains(words), "{words}: {told}");
            }
            let picture = fs::read_to_string(&svg).unwrap();
            assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
            assert!(picture.contains(&request));
            if has_tshark() {
                let lines = dissect(Path::new(&pcap), port.as_deref(), count);
                assert_eq!(lines, [request, "HTTP/1.0 200 OK".to_owned()]);
            }
            all += count;
        }
        let told = server.stop();
        let count = packets_in(Path::new(&pcap));
        // Loopback loses nothing that is this little.
        assert_eq!(count, all);
        assert!(packets_told(&told) < count, "the last transfer: {told}");
        if has_tshark() {
            let lines = dissect(Path::new(&pcap), port.as_deref(), count);
            assert_eq!(lines.len(), 4, "{lines:?}");
        }
    }
}

/// Carries datagrams between one client and a server, and loses one in `one_in` of the server's.
/// It ends with the test.
fn lossy_relay(server: SocketAddr, one_in: u32) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut client = None;
        let mut from_server = 0;
        let mut datagram = vec![0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            let to = if peer == server {
                from_server += 1;
                client.filter(|_| from_server % one_in != 0)
            } else {
                client = Some(peer);
                Some(server)
            };
            if let Some(to) = to {
                // What does not fit in a queue is lost, too.
                let _ = socket.send_to(&datagram[..length], to);
            }
        }
    });
    port
}

#[test]
fn losses_are_told_in_the_file_and_in_the_ladder() {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_000_u32)
        .map(|n| n.to_le_bytes()[n as usize % 2])
        .collect();
    fs::write(folder.path().join("file"), &content).unwrap();
    let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pcap, sent, body, svg) = (name("c.pcapng"), name("s.pcapng"), name("b"), name("s.svg"));
    let served = [
        "--ccid",
        "2",
        "--ladder",
        "--ladder-svg",
        &svg,
        "--pcap",
        &sent,
    ];
    let server = Server::start(folder.path(), &served);
    let address = SocketAddr::from(([127, 0, 0, 1], server.udp_port.parse().unwrap()));
    // So often that some is lost among the first packets, which a ladder shows.
    let relay = lossy_relay(address, 20).to_string();
    let mut get = cli();
    let target = format!("127.0.0.1:{}/file", server.port);
    get.args([
        "get",
        "--proto",
        "dccp",
        "--via",
        "udp",
        "--udp-port",
        &relay,
    ])
    .args(["--ladder", "--pcap-as-sent", "--pcap", &pcap, "-o", &body])
    .arg(target);
    let told = succeed(&mut get);
    assert!(fs::read(&body).unwrap() == content);
    let count = packets_in(Path::new(&pcap));
    assert_eq!(packets_told(&told), count);
    let server_told = server.stop();
    let sent_count = packets_in(Path::new(&sent));
    assert_eq!(packets_told(&server_told), sent_count);
    assert!(sent_count > count, "{sent_count} {count}");
    assert!(told.contains(" of the peer missing before seq "), "{told}");
    // The blocks that were lost are asked for.
    let picture = fs::read_to_string(&svg).unwrap();
    assert!(picture.contains("congestion window of the server"));
    let text = |file: &str| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    assert!(text(&pcap).contains(" of the peer missing before seq "));
    assert!(text(&sent).contains("sent by this end lost"));
    assert!(text(&sent).contains("congestion event: window "));
    if has_tshark() {
        for (file, port, count) in [
            (&pcap, Some(relay.as_str()), count),
            (&sent, None, sent_count),
        ] {
            let lines = dissect(Path::new(file), port, count);
            let status = |status: &str| lines.iter().filter(|line| line.contains(status)).count();
            assert_eq!(status(" 200 "), 1, "{lines:?}");
            assert!(status(" 206 ") > 0, "{lines:?}");
        }
    }
}

#[test]
fn an_interrupted_transfer_leaves_a_file_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("big"), vec![b'x'; 96 << 20]).unwrap();
    let server = Server::start(folder.path(), &[]);
    let (pcap, part) = (folder.path().join("a.pcapng"), folder.path().join("b.part"));
    let mut get = server.get("/big", &["--retries", "0", "--ladder"]);
    let mut child = get
        .arg("-o")
        .arg(folder.path().join("b"))
        .arg("--pcap")
        .arg(&pcap)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while fs::metadata(&part).map_or(0, |part| part.len()) < 1 << 20 {
        assert_eq!(child.try_wait().unwrap(), None, "it is over already");
        wait_a_little();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told}");
    assert_eq!(packets_told(&told), packets_in(&pcap), "{told}");
    assert!(told.contains(" steps not shown "), "{told}");
    server.stop();
}

#[expect(
    clippy::disallowed_methods,
    reason = "waits for another process's file"
)]
fn wait_a_little() {
    std::thread::sleep(std::time::Duration::from_millis(2));
}

#[test]
fn a_file_that_cannot_be_made_is_told_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/a.pcapng");
    for command in ["get", "serve"] {
        let mut cli = cli();
        let output = cli
            .current_dir(folder.path())
            .arg(command)
            .args([
                "--proto",
                "dccp",
                "--via",
                "udp",
                "--udp-port",
                "0",
                "--pcap",
            ])
            .arg(&missing);
        if command == "serve" {
            output.arg(folder.path());
        }
        let output = output.output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(23), "{told}");
        assert!(
            told.contains("cannot write ") && told.contains("a.pcapng"),
            "{told}"
        );
    }
}
