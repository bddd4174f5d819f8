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
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn cli() -> Command {
    let mut cli = Command::new(env!("CARGO_BIN_EXE_cli"));
    cli.env("COLUMNS", "300");
    cli
}

struct Server {
    proto: &'static str,
    child: Child,
    stderr: BufReader<ChildStderr>,
    port: String,
    udp_port: String,
}

impl Server {
    fn start(proto: &'static str, root: &Path, options: &[&str]) -> Self {
        let mut child = cli()
            .args(["serve", "--proto", proto, "--via", "udp"])
            .args(["--port", "0", "--udp-port", "0"])
            .args(options)
            .arg(root)
            .stdout(Stdio::piped())
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
            proto,
            port: number("127.0.0.1:"),
            udp_port: number("udp port "),
            child,
            stderr,
        }
    }

    fn get(&self, path: &str, options: &[&str]) -> Command {
        self.get_from(&self.udp_port, path, options)
    }

    /// The same by way of another UDP port.
    fn get_from(&self, udp_port: &str, path: &str, options: &[&str]) -> Command {
        let mut get = cli();
        get.args(["get", "--proto", self.proto, "--via", "udp"])
            .args(["--udp-port", udp_port])
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
    static HAS_TSHARK: LazyLock<bool> = LazyLock::new(|| {
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
    });
    *HAS_TSHARK
}

/// A tshark that reads a file of `proto`, in the UDP of `as_sent_port` or in IP, with every check
/// it has.
fn tshark(proto: &str, file: &Path, as_sent_port: Option<&str>) -> Command {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/wireshark/http-over-messages.lua"
    );
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(file)
        .args(["-n", "-T", "fields", "-X", &format!("lua_script:{script}")]);
    for checksum in [
        "dccp.check_checksum:TRUE",
        "sctp.checksum:CRC-32C",
        "udp.check_checksum:TRUE",
    ] {
        tshark.args(["-o", checksum]);
    }
    if let Some(port) = as_sent_port {
        match proto {
            "dccp" => tshark.args(["-o", &format!("dccp_udp.port:{port}")]),
            _ => tshark.args(["-d", &format!("udp.port=={port},sctp")]),
        };
    }
    tshark
}

fn lines_of(mut tshark: Command) -> Vec<String> {
    let output = tshark.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Has tshark read a file of `count` packets, nothing of which may be wrong, and gives the request
/// and status lines it shows.
fn dissect(proto: &str, file: &Path, as_sent_port: Option<&str>, count: u64) -> Vec<String> {
    let mut tshark = tshark(proto, file, as_sent_port);
    for field in [
        &format!("{proto}.checksum.status"),
        "udp.checksum.status",
        "_ws.malformed",
        "_ws.expert.severity",
        "http_messages.start_line",
    ] {
        tshark.args(["-e", field]);
    }
    let text = lines_of(tshark);
    assert_eq!(text.len() as u64, count);
    let udp = if as_sent_port.is_some() { "1" } else { "" };
    let mut lines = Vec::new();
    for line in text {
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
fn dccp_is_seen_whole_at_both_ends_in_both_forms() {
    is_seen_whole(
        "dccp",
        &["Request(seq 0, SC:?HTP)", "HTTP/1.0 200 OK", "Closed"],
    );
}

#[test]
fn sctp_is_seen_whole_at_both_ends_in_both_forms() {
    is_seen_whole(
        "sctp",
        &["INIT tag=", "HTTP/1.0 200 OK", "SHUTDOWN COMPLETE"],
    );
}

/// A page and a video, whose ladders have `words`.
fn is_seen_whole(proto: &'static str, words: &[&str]) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../www");
    for as_sent in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let form: &[&str] = if as_sent { &["--pcap-as-sent"] } else { &[] };
        let pcap = name("server.pcapng");
        let served = [&["--ladder", "--pcap", &pcap][..], form].concat();
        let server = Server::start(proto, Path::new(root), &served);
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
            for words in words {
                assert!(told.contains(words), "{words}: {told}");
            }
            let picture = fs::read_to_string(&svg).unwrap();
            assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
            assert!(picture.contains(&request));
            if has_tshark() {
                let lines = dissect(proto, Path::new(&pcap), port.as_deref(), count);
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
            let lines = dissect(proto, Path::new(&pcap), port.as_deref(), count);
            assert_eq!(lines.len(), 4, "{lines:?}");
        }
    }
}

/// Carries datagrams between one client and a server, and loses about one in `one_in`, the same
/// ones each time. It ends with the test.
fn lossy_relay(server: SocketAddr, one_in: u64) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut client = None;
        let mut carried = 0_u64;
        let mut datagram = vec![0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            let to = if peer == server {
                client
            } else {
                client = Some(peer);
                Some(server)
            };
            carried += 1;
            // The handshake passes: a second is long in a test.
            let is_lost = carried > 8 && scattered(carried).is_multiple_of(one_in);
            if let Some(to) = to.filter(|_| !is_lost) {
                // What does not fit in a queue is lost, too.
                let _ = socket.send_to(&datagram[..length], to);
            }
        }
    });
    port
}

/// SplitMix64.
const fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// What was seen of a transfer with losses.
struct Lossy {
    folder: TempDir,
    /// UDP ports of what the client and the server captured, in the form that has them.
    ports: [Option<String>; 2],
    counts: [u64; 2],
    told: [String; 2],
}

impl Lossy {
    /// Fetches `path` of `www` with packets of Ethernet's size.
    fn transfer(proto: &'static str, path: &str, as_sent: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../www"));
        let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let files = [name("client.pcapng"), name("server.pcapng")];
        let pictures = [name("client.svg"), name("server.svg")];
        let form: &[&str] = if as_sent { &["--pcap-as-sent"] } else { &[] };
        let options = |end: usize| {
            let [file, picture] = [&*files[end], &*pictures[end]];
            [
                "--mtu",
                "1500",
                "--ladder",
                "--ladder-svg",
                picture,
                "--pcap",
                file,
            ]
        };
        let ccid: &[&str] = if proto == "dccp" {
            &["--ccid", "2"]
        } else {
            &[]
        };
        let served = [&options(1)[..], form, ccid].concat();
        let server = Server::start(proto, root, &served);
        let address = SocketAddr::from(([127, 0, 0, 1], server.udp_port.parse().unwrap()));
        let relay = lossy_relay(address, 25).to_string();
        let body = name("body");
        let asked = [&options(0)[..], form, &["-o", &body]].concat();
        let told = succeed(&mut server.get_from(&relay, path, &asked));
        assert!(fs::read(&body).unwrap() == fs::read(root.join(&path[1..])).unwrap());
        let ports = [Some(relay), Some(server.udp_port.clone())];
        let told = [told, server.stop()];
        let counts = files.map(|file| packets_in(Path::new(&file)));
        Self {
            folder,
            ports: if as_sent { ports } else { [None, None] },
            counts,
            told,
        }
    }

    fn file(&self, end: usize) -> PathBuf {
        let name = ["client.pcapng", "server.pcapng"][end];
        self.folder.path().join(name)
    }

    fn picture(&self, end: usize) -> String {
        let name = ["client.svg", "server.svg"][end];
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// The ladder and the file have the same packets at each end, and tshark finds nothing wrong
    /// in any. Gives the request and status lines it shows.
    fn judge(&self, proto: &str) -> [Vec<String>; 2] {
        [0, 1].map(|end| {
            let count = self.counts[end];
            assert_eq!(packets_told(&self.told[end]), count, "{}", self.told[end]);
            if has_tshark() {
                dissect(proto, &self.file(end), self.ports[end].as_deref(), count)
            } else {
                Vec::new()
            }
        })
    }

    /// The comments of a file that has them as text.
    fn comments(&self, end: usize) -> String {
        String::from_utf8_lossy(&fs::read(self.file(end)).unwrap()).into_owned()
    }
}

#[test]
fn of_dccp_with_losses_everything_is_seen_and_told() {
    for as_sent in [false, true] {
        let page = Lossy::transfer("dccp", "/index.html", as_sent);
        for lines in page.judge("dccp") {
            assert!(!has_tshark() || lines.starts_with(&["GET /index.html HTTP/1.0".to_owned()]));
        }
        let video = Lossy::transfer("dccp", "/video.mp4", as_sent);
        for lines in video.judge("dccp") {
            let with = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
            // The blocks that were lost are asked for.
            assert!(
                !has_tshark() || (with(" 200 OK") == 1 && with(" 206 ") > 0),
                "{lines:?}"
            );
        }
        assert!(video.counts[1] > video.counts[0], "{:?}", video.counts);
        assert!(
            video
                .comments(0)
                .contains(" of the peer missing before seq ")
        );
        assert!(video.told[0].contains(" of the peer missing before seq "));
        assert!(video.comments(1).contains("sent by this end lost"));
        assert!(video.comments(1).contains("congestion event: window "));
        let picture = video.picture(1);
        assert!(picture.contains("congestion window of the server (packets)"));
    }
}

#[test]
fn of_sctp_with_losses_everything_is_seen_and_told() {
    for as_sent in [false, true] {
        let page = Lossy::transfer("sctp", "/index.html", as_sent);
        let page_lines = ["GET /index.html HTTP/1.0", "HTTP/1.0 200 OK"];
        for lines in page.judge("sctp") {
            assert!(!has_tshark() || lines == page_lines, "{lines:?}");
        }
        let video = Lossy::transfer("sctp", "/video.mp4", as_sent);
        for lines in video.judge("sctp") {
            let is_status = |line: &&String| line.starts_with("HTTP/1.0 200 OK");
            assert!(!has_tshark() || lines.iter().any(|line| is_status(&line)));
            assert!(
                !has_tshark() || lines[0] == "GET /video.mp4 HTTP/1.0",
                "{lines:?}"
            );
        }
        assert!(video.counts[1] > video.counts[0], "{:?}", video.counts);
        assert!(
            video
                .comments(0)
                .contains(" of the peer missing before TSN ")
        );
        for words in [
            "sent by this end lost",
            "sent again",
            "congestion event: window ",
        ] {
            assert!(video.comments(1).contains(words), "{words}");
        }
        for (end, name) in ["client", "server"].iter().enumerate() {
            let picture = video.picture(end);
            for plot in [
                format!("congestion window of the {name} (kB)"),
                "smoothed round-trip time (ms)".to_owned(),
            ] {
                assert!(picture.contains(&plot), "{plot}");
            }
        }
        if has_tshark() {
            is_what_tshark_calls_a_retransmission(&video);
        }
    }
}

/// The packets that the server's file says are sent again are those of which tshark says so.
fn is_what_tshark_calls_a_retransmission(video: &Lossy) {
    let mut tshark = tshark("sctp", &video.file(1), video.ports[1].as_deref());
    for field in ["sctp.retransmission", "frame.comment"] {
        tshark.args(["-e", field]);
    }
    let mut again = 0;
    for line in lines_of(tshark) {
        let (theirs, ours) = line.split_once('\t').unwrap();
        assert_eq!(!theirs.is_empty(), ours.contains("sent again"), "{line}");
        again += u32::from(!theirs.is_empty());
    }
    assert!(again > 0);
}

#[test]
fn packets_go_to_stdout_as_they_come() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../www"));
    for proto in ["sctp", "dccp"] {
        let folder = tempfile::tempdir().unwrap();
        let log = ["--pcap", "-", "--log-format", "off"];
        let mut server = Server::start(proto, root, &log);
        let mut stdout = server.child.stdout.take().unwrap();
        let body = folder.path().join("body");
        let mut get = server.get("/", &["--pcap", "-", "-o", body.to_str().unwrap()]);
        let output = get.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let name = |name: &str| folder.path().join(name);
        fs::write(name("client"), &output.stdout).unwrap();
        assert!(packets_in(&name("client")) >= 7);
        // The server runs on, and its packets are here.
        let (sender, receiver) = mpsc::channel();
        let half = output.stdout.len() / 2;
        std::thread::spawn(move || {
            let mut seen = vec![0; half];
            stdout.read_exact(&mut seen).unwrap();
            sender.send((seen, stdout)).unwrap();
        });
        let (mut seen, mut stdout) = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        server.stop();
        stdout.read_to_end(&mut seen).unwrap();
        fs::write(name("server"), &seen).unwrap();
        assert_eq!(packets_in(&name("server")), packets_in(&name("client")));
    }
}

#[test]
fn an_interrupted_transfer_leaves_a_file_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("big"), vec![b'x'; 96 << 20]).unwrap();
    let server = Server::start("dccp", folder.path(), &[]);
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
    std::thread::sleep(Duration::from_millis(2));
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
