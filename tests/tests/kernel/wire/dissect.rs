//! What tshark says of a capture.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, Failure};

const LIMIT: Duration = Duration::from_secs(60);

/// The fields asked for of every packet, in the order in which they are read, before those of its
/// protocol.
const FIELDS: [&str; 6] = [
    "frame.time_relative",
    "ip.src",
    "ipv6.src",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
];

/// What differs between protocols.
#[derive(Clone, Copy)]
struct Protocol {
    /// The fields of the ports, of the kind of packet, and of what became of the checksum.
    fields: [&'static str; 4],
    /// Whether there is a checksum to check.
    summed: bool,
    /// Names a kind.
    name: fn(&str) -> String,
}

/// tshark's word for a checksum that is right.
const GOOD: &str = "1";

/// tshark's least severity of what is wrong rather than worth a note: `PI_WARN`.
const WARNING: u32 = 0x0060_0000;

/// What tshark warns of in a SACK after a loss in a long flight, which is as it must be.
const MANY_GAPS: &str = "More than 100 TSNs were gap-acknowledged";

/// The packets of a capture.
pub(crate) struct Dissected {
    packets: Vec<Packet>,
}

struct Packet {
    milliseconds: f64,
    source: String,
    /// The protocol's source port: both ends may have one address.
    port: String,
    to_port: String,
    kind: String,
    fault: Option<String>,
}

/// Has tshark read the DCCP packets of a file, and check each checksum.
pub(crate) fn in_ip(file: &Path) -> Result<Dissected, Failure> {
    dissect(file, &["-o", "dccp.check_checksum:TRUE"], DCCP)
}

/// Has tshark read the SCTP packets of a file, in IP or in UDP, and check each CRC32c.
pub(crate) fn sctp(file: &Path) -> Result<Dissected, Failure> {
    dissect(file, &["-o", "sctp.checksum:CRC 32c"], SCTP)
}

const DCCP: Protocol = Protocol {
    fields: [
        "dccp.srcport",
        "dccp.dstport",
        "dccp.type",
        "dccp.checksum.status",
    ],
    summed: true,
    name: |kind| packet_type(kind).to_owned(),
};

const SCTP: Protocol = Protocol {
    fields: [
        "sctp.srcport",
        "sctp.dstport",
        "sctp.chunk_type",
        "sctp.checksum.status",
    ],
    summed: true,
    name: |chunks| {
        let names: Vec<&str> = chunks.split(',').map(chunk_type).collect();
        names.join(" ")
    },
};

/// tshark knows DCCP in IP only: what reads it there is told to read it in UDP, on its own port.
const IN_UDP: &str = "DissectorTable.get('udp.port'):add(6511, \
                      DissectorTable.get('ip.proto'):get_dissector(33))";

/// Has tshark read the packets of DCCP-UDP, of which the UDP checksum is the only one (RFC 6773
/// §3.3).
pub(crate) fn in_udp(file: &Path) -> Result<Dissected, Failure> {
    let script = file.with_extension("lua");
    fs::write(&script, IN_UDP)?;
    let option = format!("lua_script:{}", script.display());
    let options = ["-X", &option, "-o", "dccp.check_checksum:FALSE"];
    let protocol = Protocol {
        summed: false,
        ..DCCP
    };
    dissect(file, &options, protocol)
}

fn dissect(file: &Path, options: &[&str], protocol: Protocol) -> Result<Dissected, Failure> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args(["-n", "-T", "fields"]);
    for field in FIELDS.iter().chain(&protocol.fields) {
        tshark.args(["-e", field]);
    }
    let output = process::run(tshark.args(options), LIMIT)?.expect(0)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let packets: Option<Vec<Packet>> = text
        .lines()
        .map(|line| read_packet(line, protocol))
        .collect();
    Ok(Dissected {
        packets: packets.ok_or("tshark said something else than was asked")?,
    })
}

fn read_packet(line: &str, protocol: Protocol) -> Option<Packet> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        time,
        v4,
        v6,
        malformed,
        severities,
        messages,
        port,
        to_port,
        kind,
        checksum,
    ] = fields[..]
    else {
        return None;
    };
    let severe = !messages.starts_with(MANY_GAPS)
        && severities
            .split(',')
            .filter_map(|severity| severity.parse::<u32>().ok())
            .any(|severity| severity >= WARNING);
    let fault = if kind.is_empty() {
        Some("not of the protocol".to_owned())
    } else if !malformed.is_empty() {
        Some("malformed".to_owned())
    } else if protocol.summed && checksum != GOOD {
        Some("bad checksum".to_owned())
    } else if severe {
        Some(messages.to_owned())
    } else {
        None
    };
    Some(Packet {
        milliseconds: time.parse::<f64>().ok()? * 1000.0,
        source: format!("{v4}{v6}"),
        port: port.to_owned(),
        to_port: to_port.to_owned(),
        kind: (protocol.name)(kind),
        fault,
    })
}

/// The name of a packet type (RFC 4340 §5.1).
fn packet_type(kind: &str) -> &'static str {
    match kind {
        "0" => "Request",
        "1" => "Response",
        "2" => "Data",
        "3" => "Ack",
        "4" => "DataAck",
        "5" => "CloseReq",
        "6" => "Close",
        "7" => "Reset",
        "8" => "Sync",
        "9" => "SyncAck",
        _ => "?",
    }
}

/// The name of a chunk type (RFC 9260 §3.2, RFC 8260 §2.1).
fn chunk_type(number: &str) -> &'static str {
    match number {
        "0" => "DATA",
        "1" => "INIT",
        "2" => "INIT-ACK",
        "3" => "SACK",
        "4" => "HEARTBEAT",
        "5" => "HEARTBEAT-ACK",
        "6" => "ABORT",
        "7" => "SHUTDOWN",
        "8" => "SHUTDOWN-ACK",
        "9" => "ERROR",
        "10" => "COOKIE-ECHO",
        "11" => "COOKIE-ACK",
        "12" => "ECNE",
        "13" => "CWR",
        "14" => "SHUTDOWN-COMPLETE",
        "64" => "I-DATA",
        "132" => "PAD",
        "192" => "FORWARD-TSN",
        _ => "?",
    }
}

impl Dissected {
    pub(crate) fn count(&self) -> usize {
        self.packets.len()
    }

    /// Only those of the connection that the first packet belongs to: an earlier one whose last
    /// packet was lost may still be ending.
    pub(crate) fn of_one_connection(mut self) -> Self {
        if let Some(client) = self.packets.first().map(|packet| packet.port.clone()) {
            self.packets
                .retain(|packet| packet.port == client || packet.to_port == client);
        }
        self
    }

    /// Those from one address.
    pub(crate) fn count_from(&self, source: &str) -> usize {
        let from = |packet: &&Packet| packet.source == source;
        self.packets.iter().filter(from).count()
    }

    /// Those from one address that hold such a chunk.
    pub(crate) fn count_with(&self, source: &str, chunk: &str) -> usize {
        let holds = |packet: &&Packet| {
            packet.source == source && packet.kind.split(' ').any(|kind| kind == chunk)
        };
        self.packets.iter().filter(holds).count()
    }

    /// Checks that nothing is wrong with any of them.
    pub(crate) fn expect_good(&self) -> Result<(), Failure> {
        let faulty: Vec<String> = self
            .packets
            .iter()
            .zip(1..)
            .filter_map(|(packet, number)| {
                let fault = packet.fault.as_ref()?;
                Some(format!(
                    "packet {number}, {} of {}: {fault}",
                    packet.kind, packet.source
                ))
            })
            .collect();
        if faulty.is_empty() {
            return Ok(());
        }
        let shown = faulty.iter().take(10).cloned().collect::<Vec<_>>();
        Err(format!(
            "{} of {} packets are wrong:\n{}",
            faulty.len(),
            self.count(),
            shown.join("\n")
        )
        .into())
    }
}

/// The ladder: when, what, and from which end.
impl fmt::Display for Dissected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.packets.first().map(|packet| packet.port.as_str());
        for packet in &self.packets {
            let arrow = if Some(packet.port.as_str()) == client {
                "->"
            } else {
                "<-"
            };
            writeln!(f, "{:8.2} ms  {arrow} {}", packet.milliseconds, packet.kind)?;
        }
        Ok(())
    }
}
