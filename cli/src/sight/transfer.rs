//! One connection: its ladder, and what is measured of it.

mod sctp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::sctp::Tsn;
use capture::ladder::{Act, Ladder, Side, Step, Style};
use capture::svg::{Diagram, Plot, Series};
use dccp::Seq;
use dccp::packet::{Checksum, Kind, Packet, PacketType};
use transport::{Direction, Path};

use super::Role;
use super::figures::{Allowed, Figures};
use super::words::Messages;
use crate::terminal;
pub(super) use sctp::begins as begins_association;

/// How many steps of a ladder are kept of its beginning and of its end.
const STEPS: usize = 60;

/// How many samples of a quantity are kept.
const SAMPLES: usize = 2000;

/// Over which time the bytes of data are counted, at least.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long after a sample the next one may be taken.
const SAMPLING: Duration = Duration::from_millis(1);

/// The ends of a connection: the peer's address, with its UDP port, then this end's port of the
/// protocol, and the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) remote: SocketAddr,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
}

impl Ends {
    /// Those of a packet, which begins with its source port and its destination port: both
    /// protocols have them there.
    pub(super) fn of(direction: Direction, path: Path, packet: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = packet.first_chunk()?;
        let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let (local_port, remote_port) = match direction {
            Direction::Sent => (source, destination),
            Direction::Received => (destination, source),
        };
        Some(Self {
            remote: path.remote,
            local_port,
            remote_port,
        })
    }

    /// Whether both ports are the same, whatever the addresses.
    pub(super) const fn same_ports(self, other: Self) -> bool {
        self.local_port == other.local_port && self.remote_port == other.remote_port
    }
}

/// A connection that is watched.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) ends: Option<Ends>,
    pub(super) title: String,
    began: Instant,
    side: Side,
    pub(super) ladder: Ladder,
    messages: Messages,
    /// The first sequence numbers: of what was sent, and of what came.
    first: [Option<Seq>; 2],
    /// The latest sequence number that came.
    received: Option<Seq>,
    /// SCTP's latest TSNs: of what was sent, and of what came.
    tsns: [Option<Tsn>; 2],
    requests: u64,
    /// What is to be said of the next packet in the file.
    remarks: Vec<String>,
    figures: Option<Figures>,
    sampled: Option<Duration>,
    window: Series,
    rate: Series,
    rtt: Series,
    data: Series,
    counted: (Duration, u64),
    /// When the server's latest data was seen.
    latest_data: Duration,
}

/// A transfer in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Packets, or the messages of a kernel's socket, of both ends.
    pub(crate) packets: u64,
    /// Heads of requests from the client.
    pub(crate) requests: u64,
    /// What this end's stack sent again.
    pub(crate) sent_again: u64,
    /// From the first packet to the last with data of the server.
    pub(crate) took: Duration,
}

impl Transfer {
    /// One that begins now. `noun` is what its ladder shows.
    pub(super) fn new(
        now: Instant,
        role: Role,
        ends: Option<Ends>,
        title: String,
        noun: &'static str,
    ) -> Self {
        let mut data = Series::new(SAMPLES);
        data.push(Duration::ZERO, 0.0);
        Self {
            ends,
            title,
            began: now,
            side: match role {
                Role::Client => Side::Left,
                Role::Server => Side::Right,
            },
            ladder: Ladder::new("client", "server", STEPS).of(noun),
            messages: Messages::default(),
            first: [None; 2],
            received: None,
            tsns: [None; 2],
            requests: 0,
            remarks: Vec::new(),
            figures: None,
            sampled: None,
            window: Series::new(SAMPLES),
            rate: Series::new(SAMPLES),
            rtt: Series::new(SAMPLES),
            data,
            counted: (Duration::ZERO, 0),
            latest_data: Duration::ZERO,
        }
    }

    fn push(&mut self, now: Instant, side: Side, act: Act, words: String) {
        let at = now.saturating_duration_since(self.began);
        self.ladder.push(Step {
            at,
            side,
            act,
            words,
        });
    }

    fn side_of(&self, direction: Direction) -> Side {
        match direction {
            Direction::Sent => self.side,
            Direction::Received => self.side.other(),
        }
    }

    /// Takes a DCCP packet, and gives what is to be said of it in the file.
    pub(super) fn dccp(
        &mut self,
        now: Instant,
        direction: Direction,
        packet: &Packet<'_>,
    ) -> Option<String> {
        let packet = &self.counted_from_the_first(direction, *packet);
        if let Some(remark) = self.remark(direction, packet) {
            self.remarks.push(remark);
        }
        let mut words = packet.to_string();
        if carries_data(packet) {
            self.count(now, direction, packet.data.len());
            if let Some(message) = self.messages.describe(packet.data) {
                words.push_str(": ");
                words.push_str(&message);
            }
        }
        self.show(now, direction, words)
    }

    /// Adds a packet with the remarks that were gathered, and gives those.
    fn show(&mut self, now: Instant, direction: Direction, words: String) -> Option<String> {
        let remarks = std::mem::take(&mut self.remarks);
        for remark in &remarks {
            self.push(now, self.side, Act::Note, remark.clone());
        }
        self.push(now, self.side_of(direction), Act::Packet, words);
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }

    /// The packet with small numbers, as Wireshark shows them: the first of each end is 0.
    fn counted_from_the_first<'a>(
        &mut self,
        direction: Direction,
        mut packet: Packet<'a>,
    ) -> Packet<'a> {
        if packet.header.short {
            return packet;
        }
        let [sent, received] = &mut self.first;
        let (own, other) = match direction {
            Direction::Sent => (sent, received),
            Direction::Received => (received, sent),
        };
        let seq = &mut packet.header.seq;
        let first = *own.get_or_insert(*seq);
        *seq = seq.minus(first.get());
        if let (Some(ack), Some(first)) = (ack_of(&mut packet.header.kind), other) {
            *ack = ack.minus(first.get());
        }
        packet
    }

    /// What a packet tells by its place among the others.
    fn remark(&mut self, direction: Direction, packet: &Packet<'_>) -> Option<String> {
        let seq = packet.header.seq;
        match direction {
            Direction::Sent => {
                let is_request = packet.header.kind.packet_type() == PacketType::Request;
                self.requests += u64::from(is_request);
                (is_request && self.requests > 1).then(|| "the Request is sent again".to_owned())
            }
            // Short numbers are not worth the effort of extending them.
            Direction::Received if packet.header.short => None,
            Direction::Received => {
                let before = self.received.replace(seq);
                let before = before?;
                match before.distance_to(seq) {
                    1 => None,
                    gap if gap > 1 => Some(format!(
                        "{} of the peer missing before seq {seq}",
                        counted(gap.unsigned_abs() - 1, "packet")
                    )),
                    _ => {
                        self.received = Some(before);
                        Some(format!("seq {seq} comes behind a later one"))
                    }
                }
            }
        }
    }

    /// Takes a message of a kernel's socket.
    pub(super) fn message(&mut self, now: Instant, direction: Direction, message: &[u8]) {
        let length = counted(message.len() as u64, "byte");
        let words = match self.messages.describe(message) {
            Some(words) => format!("{words}  [{length}]"),
            None => format!("body, {length}"),
        };
        self.count(now, direction, message.len());
        self.push(now, self.side_of(direction), Act::Packet, words);
    }

    /// Tells something of this end.
    pub(super) fn note(&mut self, now: Instant, words: &str) {
        self.push(now, self.side, Act::Note, words.to_owned());
    }

    /// Adds data to what is counted: what a client receives, what a server sends.
    fn count(&mut self, now: Instant, direction: Direction, bytes: usize) {
        let from_server = self.side_of(direction) == Side::Right;
        let at = now.saturating_duration_since(self.began);
        if let Some(rate) = self.rate_until(at) {
            self.data.push(at, rate);
            self.counted = (at, 0);
        }
        if from_server {
            self.counted.1 += bytes as u64;
            self.latest_data = at;
        }
    }

    /// The bytes of data since they were last counted, in kB/s, if that is long enough ago.
    fn rate_until(&self, at: Duration) -> Option<f64> {
        let (since, sum) = self.counted;
        let over = at.saturating_sub(since);
        (over >= INTERVAL).then(|| sum as f64 / over.as_secs_f64() / 1000.0)
    }

    /// Takes the stack's own figures.
    pub(super) fn sample(&mut self, now: Instant, figures: Figures) {
        let at = now.saturating_duration_since(self.began);
        if let Some(before) = self.figures.replace(figures) {
            self.remarks.extend(figures.changes_since(&before));
        }
        if self
            .sampled
            .is_some_and(|last| at.saturating_sub(last) < SAMPLING)
        {
            return;
        }
        self.sampled = Some(at);
        match figures.allowed {
            Allowed::Packets(0) => {}
            Allowed::Packets(window) => self.window.push(at, window as f64),
            Allowed::Bytes(window) => self.window.push(at, window as f64 / 1000.0),
            Allowed::Rate(rate) => self.rate.push(at, rate as f64 / 1000.0),
        }
        if let Some(rtt) = figures.rtt {
            self.rtt.push(at, rtt.as_secs_f64() * 1000.0);
        }
    }

    /// It in figures.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            packets: self.ladder.packets(Side::Left) + self.ladder.packets(Side::Right),
            requests: self.messages.requests(),
            sent_again: self.figures.map_or(0, |figures| figures.sent_again),
            took: self.latest_data,
        }
    }

    /// What it is, and below it the ladder.
    pub(super) fn shown(&self, style: Style) -> String {
        let title = terminal::printable(self.title.as_bytes());
        format!("{title}\n\n{}", self.ladder.to_text(style))
    }

    /// The picture.
    pub(super) fn draw(&self) -> String {
        let plot = |title, unit, series| Plot {
            title,
            unit,
            series,
        };
        let (end, data) = match self.side {
            Side::Left => ("client", "data received"),
            Side::Right => ("server", "data sent"),
        };
        let window = format!("congestion window of the {end}");
        let rate = format!("allowed sending rate of the {end}");
        let unit = match self.figures.map(|figures| figures.allowed) {
            Some(Allowed::Bytes(_)) => "kB",
            Some(Allowed::Packets(_) | Allowed::Rate(_)) | None => "packets",
        };
        Diagram {
            title: &self.title,
            ladder: &self.ladder,
            plots: &[
                plot(&window, unit, &self.window),
                plot(&rate, "kB/s", &self.rate),
                plot("smoothed round-trip time", "ms", &self.rtt),
                plot(data, "kB/s", &self.data),
            ],
        }
        .to_string()
    }
}

/// The acknowledgement number, of types that have one.
const fn ack_of(kind: &mut Kind) -> Option<&mut Seq> {
    match kind {
        Kind::Request { .. } | Kind::Data | Kind::Listen { .. } => None,
        Kind::Response { ack, .. }
        | Kind::Ack { ack }
        | Kind::DataAck { ack }
        | Kind::CloseReq { ack }
        | Kind::Close { ack }
        | Kind::Reset { ack, .. }
        | Kind::Sync { ack }
        | Kind::SyncAck { ack } => Some(ack),
    }
}

/// Whether the data area is data (RFC 4340 §5.4 to §5.7).
fn carries_data(packet: &Packet<'_>) -> bool {
    !packet.data.is_empty()
        && matches!(
            packet.header.kind.packet_type(),
            PacketType::Request | PacketType::Response | PacketType::Data | PacketType::DataAck
        )
}

/// Reads a DCCP packet, whatever its checksum.
pub(super) fn decode(bytes: &[u8]) -> Option<Packet<'_>> {
    Packet::decode(bytes, &Checksum::Unused).ok()
}

pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests;
