//! A packet network in virtual time: nodes on two sides of one bottleneck, a pipe for each
//! direction, and a clock that jumps from one thing to happen to the next.
//!
//! [`crate::link`] carries messages as a transport promises them; this carries the packets that a
//! transport is made of. Faults come from a seed: the same seed, the same trace.

mod pipe;
mod trace;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport::Ecn;

use pipe::Sent;
pub use pipe::{Choose, Config, EcnTreatment, Fate, Passing, Pipe, PipeStats};
pub use trace::{Entry, Line, Trace};

use crate::pair::epoch;
use crate::transcript::Side;

/// Turns at one moment after which the nodes are taken to spin.
const MAX_TURNS_AT_ONCE: u32 = 20_000;

/// The most packets that are joined to a train, as Linux joins them.
const MAX_TRAIN: usize = 64;

/// What the packets of a stack travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// UDP in IPv4: a header of 28 bytes, and a checksum that drops what was damaged.
    Udp,
    /// IPv4 alone: a header of 20 bytes; what was damaged arrives.
    Ip,
}

impl Carrier {
    /// Bytes of header before each packet.
    pub const fn overhead(self) -> usize {
        match self {
            Self::Udp => 28,
            Self::Ip => 20,
        }
    }
}

/// A packet as it comes to a node, or a train of them.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who sent it; port 0 in raw IP.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// The ECN field of its IP header.
    pub ecn: Ecn,
    /// `Some(n)`: a train of packets of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// The bytes behind the carrier's header.
    pub payload: Bytes,
}

/// How a node wants sent what it appended.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// To whom.
    pub destination: SocketAddr,
    /// The ECN field to send with.
    pub ecn: Ecn,
    /// `Some(n)`: a train of packets of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// Whether IP may fragment it: then it passes whatever the MTU is.
    pub may_fragment: bool,
}

/// A machine on the network, with all that runs on it.
pub trait Node {
    /// Its address; of the port only what it sends with.
    fn address(&self) -> SocketAddr;

    /// Whether packets to `address` are for it. A machine may have several addresses.
    fn has(&self, address: IpAddr) -> bool {
        self.address().ip() == address
    }

    /// Which of its addresses packets to `destination` come from.
    fn source(&self, destination: SocketAddr) -> SocketAddr {
        let _ = destination;
        self.address()
    }

    /// Which side of the bottleneck it is on.
    fn side(&self) -> Side;

    /// Takes what arrived.
    fn handle_arrival(&mut self, now: Instant, arrival: Arrival);

    /// Tells that the time [`Self::poll_timeout`] named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Tells that what was polled last was not sent: the path takes packets of `limit` bytes.
    fn handle_rejected(&mut self, now: Instant, limit: usize);

    /// Appends the next packet, or a train, to `out`. `limit`: the largest packet in bytes that
    /// the path takes, as far as is known.
    fn poll_transmit(&mut self, now: Instant, limit: usize, out: &mut Vec<u8>)
    -> Option<Departure>;

    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// Something worth a line in the trace.
    fn poll_note(&mut self) -> Option<String> {
        None
    }

    /// Whether nothing more is expected of it.
    fn is_done(&self) -> bool;
}

/// Why [`Network::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Every node is done.
    Done,
    /// Nothing will ever happen again.
    Idle,
    /// The time is up.
    TimeUp,
}

/// What is under way to a node.
#[derive(Clone, Debug)]
struct UnderWay {
    source: SocketAddr,
    destination: SocketAddr,
    to: Side,
    ecn: Ecn,
    payload: Bytes,
}

/// Everything between the nodes.
#[derive(Debug)]
pub struct Network {
    began: Instant,
    now: Instant,
    carrier: Carrier,
    /// Whether packets that arrive at the same time are joined to trains.
    joins: bool,
    up: Pipe,
    down: Pipe,
    /// By time of arrival, and by order of sending among those that arrive together.
    under_way: BTreeMap<(Instant, u64), UnderWay>,
    order: u64,
    trace: Trace,
    buffer: Vec<u8>,
    /// Steps so far, and the most there may be.
    steps: (u64, u64),
}

impl Network {
    /// An empty network whose faults come from `seed`. `up` leads from the client's side to the
    /// server's.
    pub fn new(carrier: Carrier, up: Config, down: Config, seed: u64) -> Self {
        let began = epoch();
        Self {
            began,
            now: began,
            carrier,
            joins: false,
            up: Pipe::new(up, carrier, seed.wrapping_mul(2)),
            down: Pipe::new(down, carrier, seed.wrapping_mul(2) + 1),
            under_way: BTreeMap::new(),
            order: 0,
            trace: Trace::default(),
            buffer: Vec::new(),
            steps: (0, u64::MAX),
        }
    }

    /// Joins packets that arrive together to trains, as GRO does.
    #[must_use]
    pub const fn joining(mut self) -> Self {
        self.joins = true;
        self
    }

    /// Keeps only the last `entries` of the trace; its digest is of all.
    #[must_use]
    pub fn keeping(mut self, entries: usize) -> Self {
        self.trace.keep(entries);
        self
    }

    /// Gives up, with a panic, after so many steps.
    #[must_use]
    pub const fn at_most(mut self, steps: u64) -> Self {
        self.steps.1 = steps;
        self
    }

    /// Lets `choose` decide the fate of every packet that this side sends, before chance does.
    pub fn choose(&mut self, side: Side, choose: Choose) {
        self.pipe_mut(side).choose(choose);
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How much time has passed.
    pub fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// What was sent so far.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The pipe that this side sends into.
    pub const fn pipe(&self, side: Side) -> &Pipe {
        match side {
            Side::Client => &self.up,
            Side::Server => &self.down,
        }
    }

    const fn pipe_mut(&mut self, side: Side) -> &mut Pipe {
        match side {
            Side::Client => &mut self.up,
            Side::Server => &mut self.down,
        }
    }

    /// Puts a packet on the network that none of the nodes sent.
    pub fn forge(
        &mut self,
        after: Duration,
        source: SocketAddr,
        destination: SocketAddr,
        to: Side,
        payload: Bytes,
    ) {
        let packet = UnderWay {
            source,
            destination,
            to,
            ecn: Ecn::NotEct,
            payload,
        };
        self.deliver(self.now + after, packet);
    }

    /// Runs until every node is done, or nothing is left to happen, or `limit` has passed since
    /// the network began. Then the time is `limit`, if that is later than the last thing.
    ///
    /// # Panics
    ///
    /// If the nodes spin, or the steps are used up.
    pub fn run(&mut self, nodes: &mut [&mut dyn Node], limit: Duration) -> Stop {
        let limit = self.began + limit;
        let mut turns = 0;
        loop {
            self.turn(nodes);
            self.steps.0 += 1;
            assert!(self.steps.0 <= self.steps.1, "the steps are used up");
            if nodes.iter().all(|node| node.is_done()) {
                return Stop::Done;
            }
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let timers = nodes.iter().filter_map(|node| node.poll_timeout()).min();
            let Some(next) = arrival.into_iter().chain(timers).min() else {
                return Stop::Idle;
            };
            if next > limit {
                self.now = limit.max(self.now);
                return Stop::TimeUp;
            }
            if next > self.now {
                self.now = next;
                turns = 0;
            } else {
                turns += 1;
                assert!(turns < MAX_TURNS_AT_ONCE, "time stands still");
            }
        }
    }

    /// Everything that is due now.
    fn turn(&mut self, nodes: &mut [&mut dyn Node]) {
        let now = self.now;
        while let Some(arrival) = self.next_arrival() {
            let (to, address) = (arrival.0, arrival.1.destination.ip());
            let receiver = nodes
                .iter_mut()
                .find(|node| node.side() == to && node.has(address));
            match receiver {
                Some(node) => {
                    node.handle_arrival(now, arrival.1);
                    self.take_notes(&mut **node);
                }
                None => self.trace.lose(self.elapsed(), to),
            }
        }
        for node in nodes {
            if node.poll_timeout().is_some_and(|due| due <= now) {
                node.handle_timeout(now);
            }
            self.take_notes(&mut **node);
            self.drain(&mut **node);
        }
    }

    fn take_notes(&mut self, node: &mut dyn Node) {
        while let Some(note) = node.poll_note() {
            let at = self.elapsed();
            self.trace.push(Entry {
                at,
                side: node.side(),
                line: Line::Note(note),
            });
        }
    }

    /// The next packet or train that has arrived by now.
    fn next_arrival(&mut self) -> Option<(Side, Arrival)> {
        let (first, packet) = self.pop_due()?;
        let mut arrival = Arrival {
            source: packet.source,
            destination: packet.destination,
            ecn: packet.ecn,
            segment_size: None,
            payload: packet.payload,
        };
        if self.joins {
            self.join(first, packet.to, &mut arrival);
        }
        Some((packet.to, arrival))
    }

    fn pop_due(&mut self) -> Option<(Instant, UnderWay)> {
        let entry = self.under_way.first_entry()?;
        let at = entry.key().0;
        (at <= self.now).then(|| (at, entry.remove()))
    }

    /// Appends the packets that came together with `arrival` and are as long, up to a shorter one.
    fn join(&mut self, at: Instant, to: Side, arrival: &mut Arrival) {
        let size = arrival.payload.len();
        let mut train: Vec<u8> = Vec::new();
        let mut joined = 1;
        while joined < MAX_TRAIN {
            let Some(entry) = self.under_way.first_entry() else {
                break;
            };
            let next = entry.get();
            let belongs = entry.key().0 == at
                && (next.to, next.source, next.destination, next.ecn)
                    == (to, arrival.source, arrival.destination, arrival.ecn)
                && (1..=size).contains(&next.payload.len());
            if !belongs {
                break;
            }
            if train.is_empty() {
                train.extend_from_slice(&arrival.payload);
            }
            let next = entry.remove().payload;
            train.extend_from_slice(&next);
            joined += 1;
            if next.len() < size {
                break;
            }
        }
        if joined > 1 {
            arrival.payload = train.into();
            arrival.segment_size = NonZeroUsize::new(size);
        }
    }

    /// Sends all that a node has.
    fn drain(&mut self, node: &mut dyn Node) {
        let now = self.now;
        let mut buffer = std::mem::take(&mut self.buffer);
        let side = node.side();
        loop {
            buffer.clear();
            let limit = self.pipe(side).known_limit();
            let Some(departure) = node.poll_transmit(now, limit, &mut buffer) else {
                break;
            };
            assert!(!buffer.is_empty(), "a packet of no bytes");
            let size = departure
                .segment_size
                .map_or(buffer.len(), NonZeroUsize::get);
            let elapsed = self.elapsed();
            let rejected = match departure.may_fragment {
                true => None,
                false => self.pipe_mut(side).reject(elapsed, size.min(buffer.len())),
            };
            if let Some(limit) = rejected {
                node.handle_rejected(now, limit);
                self.take_notes(node);
                continue;
            }
            let train = Bytes::copy_from_slice(&buffer);
            let source = node.source(departure.destination);
            let mut from = 0;
            while from < train.len() {
                let to = train.len().min(from + size);
                self.send(source, side, departure, train.slice(from..to));
                from = to;
            }
            self.take_notes(node);
        }
        self.buffer = buffer;
    }

    fn send(&mut self, source: SocketAddr, side: Side, departure: Departure, payload: Bytes) {
        let (now, at) = (self.now, self.elapsed());
        let sent = Sent {
            at,
            destination: departure.destination,
            ecn: departure.ecn,
            may_fragment: departure.may_fragment,
            payload: payload.clone(),
        };
        let passed = self.pipe_mut(side).send(now, sent);
        let to = side.other();
        self.trace.push(Entry {
            at,
            side,
            line: Line::Packet {
                destination: departure.destination,
                payload,
                ecn: departure.ecn,
                fate: passed.fate,
            },
        });
        for copy in passed.copies.into_iter().flatten() {
            let packet = UnderWay {
                source,
                destination: departure.destination,
                to,
                ecn: copy.ecn,
                payload: copy.payload,
            };
            self.deliver(copy.at, packet);
        }
    }

    fn deliver(&mut self, at: Instant, packet: UnderWay) {
        self.under_way.insert((at, self.order), packet);
        self.order += 1;
    }

    /// The carrier of all packets here.
    pub const fn carrier(&self) -> Carrier {
        self.carrier
    }
}

/// The address of the `index`th node that tests put on the network, of documentation's network
/// 192.0.2.0/24 (RFC 5737).
pub const fn address(index: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, index)), port)
}

#[cfg(test)]
mod tests;
