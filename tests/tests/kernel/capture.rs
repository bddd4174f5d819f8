//! Packets as tcpdump saw them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::{Folder, Proto};
use crate::process::{Failure, Running, pause};

const LIMIT: Duration = Duration::from_secs(20);

/// A capture under way.
pub(crate) struct Capture {
    tcpdump: Running,
    file: PathBuf,
}

impl Capture {
    /// Starts one of one protocol's IPv4 packets on the loopback interface.
    pub(crate) fn on_loopback(folder: &Folder, proto: Proto) -> Result<Self, Failure> {
        let filter = match proto {
            Proto::Sctp => "ip proto 132",
            // tcpdump has no filter of the name dccp.
            Proto::Dccp => "ip proto 33",
        };
        Self::start(folder, "lo", filter)
    }

    /// Starts one of an interface's packets that pass the filter, with its file in `folder`.
    pub(crate) fn start(folder: &Folder, interface: &str, filter: &str) -> Result<Self, Failure> {
        let file = folder.file("packets.pcap");
        let mut command = Command::new("tcpdump");
        command
            .args([
                "-i",
                interface,
                "-n",
                "-U",
                "--immediate-mode",
                "-B",
                "65536",
            ])
            .args(["-Z", "root", "-w"])
            .arg(&file)
            .arg(filter);
        let mut tcpdump = Running::start(&mut command)?;
        tcpdump.wait_for("listening on", LIMIT)?;
        Ok(Self { tcpdump, file })
    }

    /// Ends it and returns its file.
    pub(crate) fn finish(self) -> Result<PathBuf, Failure> {
        // What tcpdump has not read when it is interrupted would be missing.
        pause(Duration::from_secs(1));
        self.tcpdump.signal("INT")?;
        self.tcpdump.wait(LIMIT)?.expect(0)?;
        Ok(self.file)
    }
}

/// What an exchange looked like.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    packets: Vec<Packet>,
}

#[derive(Debug)]
struct Packet {
    time: Duration,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Data,
    Closing,
    Other,
}

impl Packets {
    /// Those of one protocol in a capture on the loopback interface.
    pub(crate) fn read(file: &Path, proto: Proto) -> Result<Self, Failure> {
        parse(&fs::read(file)?, proto)
            .ok_or_else(|| "tcpdump's file is not what it should be".into())
    }

    pub(crate) fn count(&self) -> usize {
        self.packets.len()
    }

    /// From the first packet to the last.
    pub(crate) fn duration(&self) -> Duration {
        match self.packets.as_slice() {
            [first, .., last] => last.time.saturating_sub(first.time),
            _ => Duration::ZERO,
        }
    }

    /// From the last packet with data to the last of all; `None` if nothing ended the connection.
    pub(crate) fn pause_before_end(&self) -> Option<Duration> {
        let ended = self
            .packets
            .iter()
            .any(|packet| packet.role == Role::Closing);
        let data = self
            .packets
            .iter()
            .rfind(|packet| packet.role == Role::Data)?;
        let last = self.packets.last().filter(|_| ended)?;
        Some(last.time.saturating_sub(data.time))
    }
}

/// Reads a pcap file of Ethernet frames, as the loopback interface has them.
fn parse(mut bytes: &[u8], proto: Proto) -> Option<Packets> {
    let header = bytes.split_off(..24)?;
    if word(header, 0)? != 0xa1b2_c3d4 || word(header, 20)? != 1 {
        return None;
    }
    let mut packets = Packets::default();
    while let Some(record) = bytes.split_off(..16) {
        let seconds = Duration::from_secs(word(record, 0)?.into());
        let microseconds = Duration::from_micros(word(record, 4)?.into());
        let frame = bytes.split_off(..usize::try_from(word(record, 8)?).ok()?)?;
        let ip = frame.get(14..)?;
        let length = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
        let segment = ip.get(usize::from(ip[0] & 0xf) * 4..length)?;
        let role = match proto {
            Proto::Sctp => sctp_role(segment),
            Proto::Dccp => dccp_role(segment),
        };
        packets.packets.push(Packet {
            time: seconds + microseconds,
            role,
        });
    }
    Some(packets)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What a packet does by its chunks (RFC 9260 §3.2).
fn sctp_role(packet: &[u8]) -> Role {
    let mut chunks = packet.get(12..).unwrap_or_default();
    while let &[kind, _, high, low, ..] = chunks {
        match kind {
            0 => return Role::Data,
            // ABORT, SHUTDOWN
            6 | 7 => return Role::Closing,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes([high, low])).max(4);
        chunks = chunks.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Role::Other
}

/// What a packet does by its type (RFC 4340 §5.1).
fn dccp_role(packet: &[u8]) -> Role {
    match packet.get(8).map(|byte| byte >> 1 & 0xf) {
        // Data, DataAck
        Some(2 | 4) => Role::Data,
        // CloseReq, Close, Reset
        Some(5..=7) => Role::Closing,
        _ => Role::Other,
    }
}
