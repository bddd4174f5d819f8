//! What tshark reads in our files, made of packets that Linux 6.1 sent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use capture::pcapng::Direction;
use capture::{Carrier, Config, Form, Protocol, Recorder, Sight};
use proto::machine::Ecn;

/// A page, one in many messages, and one whose reader went away; both ends are 127.0.0.1.
const SEED: &str = include_str!("../../dccp/tests/data/captures/seed.hex");
const BODIES: &str = include_str!("../../dccp/tests/data/captures/8-bodies.hex");
const ABORT: &str = include_str!("../../dccp/tests/data/captures/abort-unread.hex");

/// A line of a capture: seconds, TOS, bytes.
struct Packet {
    at: Duration,
    from_client: bool,
    bytes: Vec<u8>,
}

fn packets(text: &str) -> Vec<Packet> {
    let packet = |line: &str| {
        let mut words = line.split(' ');
        let seconds: f64 = words.next()?.parse().ok()?;
        let hex = words.nth(1)?;
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        Some(Packet {
            at: Duration::from_secs(1_700_000_000) + Duration::from_secs_f64(seconds),
            from_client: bytes[2..4] == 8080_u16.to_be_bytes(),
            bytes,
        })
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let packets: Vec<Packet> = lines.filter_map(packet).collect();
    assert!(packets.len() >= 10);
    packets
}

/// The packets as the client wrote them, between `local` and a server at `remote`.
fn file(form: Form, packets: &[Packet], local: IpAddr, remote: IpAddr) -> Vec<u8> {
    let mut recorder = Recorder::new(Config {
        protocol: Protocol::Dccp,
        carrier: Carrier::Udp,
        form,
        local: SocketAddr::new(local, 50_000),
        application: "test".into(),
    });
    let mut out = Vec::new();
    recorder.begin(&mut out);
    for (number, packet) in packets.iter().enumerate() {
        let mut bytes = packet.bytes.clone();
        // As it is in UDP.
        bytes[6..8].fill(0);
        let sight = Sight {
            direction: if packet.from_client {
                Direction::Outbound
            } else {
                Direction::Inbound
            },
            local: None,
            remote: SocketAddr::new(remote, 6511),
            ecn: Ecn::Ect0,
            bytes: &bytes,
        };
        let comment = format!("packet {number} \u{e4}");
        recorder.packet(packet.at, &sight, Some(&comment), &mut out);
    }
    out
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("capture-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let file = self.0.join("packets.pcapng");
        fs::write(&file, bytes).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is missing to run these tests, told on stderr.
fn tshark_is_missing() -> bool {
    let found = Command::new("tshark")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        assert!(
            env::var_os("REQUIRE_TSHARK").is_none(),
            "tshark is required and missing"
        );
        eprintln!("not checked: tshark is not installed (apt-get install tshark)");
    }
    !found
}

/// One line for each packet, with these fields between tabs. Checksums are checked.
fn tshark(file: &Path, lua: bool, fields: &[&str]) -> Vec<Vec<String>> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file);
    tshark.args(["-n", "-T", "fields", "-E", "occurrence=a"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    for option in [
        "dccp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "ip.check_checksum:TRUE",
        "sctp.checksum:CRC-32C",
    ] {
        tshark.args(["-o", option]);
    }
    if lua {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/wireshark/http-over-messages.lua"
        );
        tshark.args(["-X", &format!("lua_script:{script}")]);
    }
    let output = tshark.output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert!(!complaints.contains("Lua"), "{complaints}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// tshark's word for a checksum that is right.
const GOOD: &str = "1";

/// Checks that every packet is DCCP and that tshark has no warning about any of them.
fn assert_good(file: &Path, lua: bool, count: usize, checksums: &[&str]) {
    let mut fields = vec!["dccp.type", "_ws.malformed", "_ws.expert.severity"];
    fields.extend_from_slice(checksums);
    let packets = tshark(file, lua, &fields);
    assert_eq!(packets.len(), count);
    for (number, packet) in packets.iter().enumerate() {
        assert_eq!(packet.len(), fields.len());
        assert_ne!(packet[0], "", "packet {number} is not DCCP: {packet:?}");
        assert_eq!(packet[1], "", "packet {number} is malformed: {packet:?}");
        let severe = packet[2]
            .split(',')
            .filter_map(|severity| severity.parse::<u32>().ok())
            // PI_WARN and PI_ERROR.
            .any(|severity| severity >= 0x0060_0000);
        assert!(!severe, "packet {number}: {packet:?}");
        for checksum in &packet[3..] {
            assert_eq!(checksum, GOOD, "packet {number}: {packet:?}");
        }
    }
}

const V4: [&str; 2] = ["192.0.2.1", "198.51.100.2"];
const V6: [&str; 2] = ["2001:db8::1", "2001:db8::2"];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn unwrapped_every_packet_is_read_with_its_checksums_and_no_setting() {
    if tshark_is_missing() {
        return;
    }
    let folder = Folder::new("unwrapped");
    for capture in [SEED, BODIES, ABORT] {
        let packets = packets(capture);
        let bytes = file(Form::Unwrapped, &packets, address(V4[0]), address(V4[1]));
        let checksums = ["ip.checksum.status", "dccp.checksum.status"];
        assert_good(&folder.file(&bytes), false, packets.len(), &checksums);
        let bytes = file(Form::Unwrapped, &packets, address(V6[0]), address(V6[1]));
        assert_good(&folder.file(&bytes), false, packets.len(), &checksums[1..]);
    }
}

#[test]
fn times_directions_and_comments_are_read() {
    if tshark_is_missing() {
        return;
    }
    let folder = Folder::new("comments");
    let packets = packets(SEED);
    let bytes = file(Form::Unwrapped, &packets, address(V4[0]), address(V4[1]));
    let fields = [
        "frame.time_epoch",
        "frame.comment",
        "frame.packet_flags_direction",
        "ip.src",
        "ip.dsfield.ecn",
    ];
    let read = tshark(&folder.file(&bytes), false, &fields);
    for (number, (packet, read)) in packets.iter().zip(&read).enumerate() {
        let [time, comment, direction, source, ecn] = &read[..] else {
            panic!("five fields: {read:?}");
        };
        let nanoseconds = packet.at.subsec_nanos();
        assert_eq!(*time, format!("{}.{nanoseconds:09}", packet.at.as_secs()));
        assert_eq!(*comment, format!("packet {number} \u{e4}"));
        let outbound = ("0x00000002", V4[0]);
        let inbound = ("0x00000001", V4[1]);
        let expected = if packet.from_client {
            outbound
        } else {
            inbound
        };
        assert_eq!((direction.as_str(), source.as_str()), expected);
        assert_eq!(ecn, "2");
    }
}

#[test]
fn as_sent_every_packet_is_read_with_its_checksums_by_the_lua_file() {
    if tshark_is_missing() {
        return;
    }
    let folder = Folder::new("as-sent");
    for capture in [SEED, BODIES, ABORT] {
        let packets = packets(capture);
        for [local, remote] in [V4, V6] {
            let bytes = file(Form::AsSent, &packets, address(local), address(remote));
            let checksums = ["udp.checksum.status", "dccp.checksum.status"];
            assert_good(&folder.file(&bytes), true, packets.len(), &checksums);
        }
    }
}
/// A Data packet (RFC 4340 §5.1) from or to the client.
fn data(number: u8, from_client: bool, message: &[u8]) -> Packet {
    let [source, destination] = if from_client {
        [40_000_u16, 8080]
    } else {
        [8080, 40_000]
    };
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend_from_slice(&[4, 0, 0, 0, 0x05, 0, 0, 0, 0, 0, 0, number]);
    bytes.extend_from_slice(message);
    Packet {
        at: Duration::from_secs(1_700_000_000) + Duration::from_millis(number.into()),
        from_client,
        bytes,
    }
}

#[test]
fn the_lua_file_shows_heads_and_blocks_in_both_forms() {
    if tshark_is_missing() {
        return;
    }
    let request = b"GET /f?x HTTP/1.0\r\nHost: h\r\nBody-Framing: offset;exchange=1\r\n\r\n";
    let head = b"HTTP/1.0 200 OK\r\nbody-framing: offset;exchange=1\r\nContent-Length: 20\r\n\r\n";
    let packets = [
        data(1, true, request),
        data(2, false, head),
        data(3, false, b"\0\x01\0\0\0\0\0\x08ijklmnop"),
        data(4, false, b"\x3f\xff\0\x01\0\0\0\0qrst"),
        // Not blocks: exchange 0, no data, the first bit.
        data(5, false, b"\0\0\0\0\0\0\0\0a"),
        data(6, false, b"\0\x01\0\0\0\0\0\0"),
        data(7, false, b"\x80\x01\0\0\0\0\0\0a"),
    ];
    let fields = [
        "http.request.uri",
        "http.response.code",
        "http_messages.start_line",
        "http_messages.exchange",
        "http_messages.offset",
        "http_messages.data_len",
    ];
    let folder = Folder::new("blocks");
    for form in [Form::Unwrapped, Form::AsSent] {
        let bytes = file(form, &packets, address(V4[0]), address(V4[1]));
        let file = folder.file(&bytes);
        assert_good(&file, true, packets.len(), &[]);
        let read = tshark(&file, true, &fields);
        let expected = [
            ["/f?x", "", "GET /f?x HTTP/1.0", "", "", ""],
            ["", "200", "HTTP/1.0 200 OK", "", "", ""],
            ["", "", "", "1", "8", "8"],
            ["", "", "", "16383", "4294967296", "4"],
            [""; 6],
            [""; 6],
            [""; 6],
        ];
        assert_eq!(read, expected, "{form:?}");
    }
}

/// CRC32c (RFC 9260 appendix A), a bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn sctp_is_read_with_its_own_checksum_in_both_forms() {
    if tshark_is_missing() {
        return;
    }
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    let message = b"GET / HTTP/1.0\r\n\r\n";
    // Common header, then a DATA chunk with PPID 63 (RFC 9260 §3.3.1).
    let mut packet = [&40_000_u16.to_be_bytes()[..], &8080_u16.to_be_bytes()].concat();
    packet.extend_from_slice(&[1, 2, 3, 4, 0, 0, 0, 0]);
    let len = u8::try_from(16 + message.len()).unwrap();
    packet.extend_from_slice(&[0, 3, 0, len, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 63]);
    packet.extend_from_slice(message);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let crc = crc32c(&packet);
    packet[8..12].copy_from_slice(&crc.to_le_bytes());

    let folder = Folder::new("sctp");
    for form in [Form::Unwrapped, Form::AsSent] {
        let mut recorder = Recorder::new(Config {
            protocol: Protocol::Sctp,
            carrier: Carrier::Udp,
            form,
            local: "[2001:db8::1]:50000".parse().unwrap(),
            application: "test".into(),
        });
        let mut out = Vec::new();
        recorder.begin(&mut out);
        let sight = Sight {
            direction: Direction::Outbound,
            local: None,
            remote: "[2001:db8::2]:9899".parse().unwrap(),
            ecn: Ecn::NotEct,
            bytes: &packet,
        };
        recorder.packet(Duration::from_secs(1), &sight, None, &mut out);
        let fields = [
            "sctp.checksum.status",
            "_ws.malformed",
            "http_messages.start_line",
            "http.request.method",
            "udp.dstport",
        ];
        let read = tshark(&folder.file(&out), true, &fields);
        let port = if form == Form::AsSent { "9899" } else { "" };
        let expected = [GOOD, "", "GET / HTTP/1.0", "GET", port];
        assert_eq!(read, [expected], "{form:?}");
    }
}
