//! SCTP endpoints on a packet network, without HTTP: each asks the other for bytes, an answer on
//! each stream, and checks those that come.

mod pair;
mod stage;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp::{
    AssociationId, CloseReason, Config, Datagram, Endpoint, Event, Path, PathChange, SendError,
    SendOptions, Stats,
};
use transport::Ecn;

pub use pair::{Pair, Scenario, encode, same_weather};
pub use stage::{Stage, State, address_of};

use crate::link::Random;
use crate::netsim::{Arrival, Carrier, Departure, Node, address};
use crate::transcript::Side;

/// The SCTP port that servers listen on here.
pub const PORT: u16 = 8080;

/// The UDP port of both ends.
pub const UDP_PORT: u16 = 9899;

/// How much further the second address of a node is than its first.
const SECOND: u8 = 50;

/// The PPID of a request and of an answer: those of WebRTC's strings and bytes, which stacks made
/// for it let through.
pub const REQUEST: u32 = 51;
/// See [`REQUEST`].
pub const ANSWER: u32 = 53;

/// Bytes of an answer's messages, unless told otherwise.
const PIECE: usize = 16 << 10;

/// The settings of a client or of a server that are not of interest.
pub fn config(side: Side) -> Config {
    Config {
        listen: (side == Side::Server).then_some(PORT),
        ..Config::default()
    }
}

/// The field as SCTP has it.
const fn to_sctp(ecn: Ecn) -> sctp::Ecn {
    match ecn {
        Ecn::NotEct => sctp::Ecn::NotEct,
        Ecn::Ect1 => sctp::Ecn::Ect1,
        Ecn::Ect0 => sctp::Ecn::Ect0,
        Ecn::Ce => sctp::Ecn::Ce,
    }
}

/// The field as the network has it.
const fn from_sctp(ecn: sctp::Ecn) -> Ecn {
    match ecn {
        sctp::Ecn::NotEct => Ecn::NotEct,
        sctp::Ecn::Ect1 => Ecn::Ect1,
        sctp::Ecn::Ect0 => Ecn::Ect0,
        sctp::Ecn::Ce => Ecn::Ce,
    }
}

/// Appends bytes `from..from + length` of the answer that `seed` names.
pub fn write_noise(seed: u64, from: u64, length: usize, out: &mut Vec<u8>) {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let start = out.len();
    let skip = usize::try_from(from % 8).unwrap_or_default();
    // Where the generator is after so many words.
    let mut random = Random::new(seed.wrapping_add((from / 8).wrapping_mul(STEP)));
    while out.len() < start + length + skip {
        out.extend_from_slice(&random.next().to_be_bytes());
    }
    out.drain(start..start + skip);
    out.truncate(start + length);
}

/// A request of 16 bytes for `size` bytes on a stream: which bytes, and how many.
pub fn request(stream: u16, size: u64) -> Bytes {
    let seed = size ^ u64::from(stream) << 48;
    [seed.to_be_bytes(), size.to_be_bytes()].concat().into()
}

fn word(request: &[u8], at: usize) -> u64 {
    let word = request
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_be_bytes)
}

/// Which bytes a request asks for.
pub fn seed_of(request: &[u8]) -> u64 {
    word(request, 0)
}

/// How many bytes a request asks for.
pub fn size_of(request: &[u8]) -> u64 {
    word(request, 8)
}

/// What one stream is to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    seed: u64,
    size: u64,
    received: u64,
    /// When it was asked for.
    pub asked: Instant,
    /// When its last byte came.
    pub done: Option<Instant>,
}

/// What one stream is to carry.
#[derive(Clone, Copy, Debug)]
struct Answer {
    seed: u64,
    size: u64,
    sent: u64,
    /// Whether the stream's queue was full.
    blocked: bool,
}

/// An endpoint on the network.
pub struct Talker {
    endpoint: Endpoint,
    addresses: Vec<SocketAddr>,
    /// The path of what was polled last.
    last: Option<Path>,
    side: Side,
    carrier: Carrier,
    /// Bytes of the messages that answers are cut into.
    pub piece: usize,
    /// The SCTP port that it connects to.
    pub remote_port: u16,
    /// Whether it ends an association that brought everything it was to bring.
    pub closes: bool,
    /// The only association, or the one that came last.
    id: Option<AssociationId>,
    connected: u64,
    restarts: u64,
    /// What is yet to be asked for.
    wishes: VecDeque<(Instant, u16, u64)>,
    downloads: BTreeMap<u16, Download>,
    answers: BTreeMap<(AssociationId, u16), Answer>,
    received: u64,
    delivered: Option<Instant>,
    stall: Duration,
    /// Whether messages that no talker sends are taken.
    tolerant: bool,
    closing: bool,
    closed: Option<CloseReason>,
    changes: Vec<(Path, PathChange)>,
    notes: VecDeque<String>,
    expected: Vec<u8>,
}

impl fmt::Debug for Talker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talker")
            .field("endpoint", &self.endpoint.endpoint_stats())
            .field("downloads", &self.downloads)
            .field("received", &self.received)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Talker {
    /// An endpoint at address `index`, and at a second one if so.
    pub fn new(
        index: u8,
        side: Side,
        carrier: Carrier,
        mut config: Config,
        seed: u8,
        second: bool,
    ) -> Self {
        let mut addresses = vec![carried(carrier, index)];
        if second {
            addresses.push(carried(carrier, index + SECOND));
            // All of them: an INIT that is sent again may come from the second.
            config.addresses = addresses.iter().map(SocketAddr::ip).collect();
        }
        Self {
            endpoint: Endpoint::new(config, [seed; 32]),
            addresses,
            last: None,
            side,
            carrier,
            piece: PIECE,
            remote_port: PORT,
            closes: side == Side::Client,
            id: None,
            connected: 0,
            restarts: 0,
            wishes: VecDeque::new(),
            downloads: BTreeMap::new(),
            answers: BTreeMap::new(),
            received: 0,
            delivered: None,
            stall: Duration::ZERO,
            tolerant: false,
            closing: false,
            closed: None,
            changes: Vec::new(),
            notes: VecDeque::new(),
            expected: Vec::new(),
        }
    }

    /// Connects from `port`, or one of the endpoint's choice, to the node at address `index`, and
    /// to its second address if this end has one.
    ///
    /// # Panics
    ///
    /// If the endpoint refuses.
    pub fn connect(&mut self, now: Instant, index: u8, port: Option<u16>) {
        self.try_connect(now, index, port);
        assert!(self.id.is_some(), "there is room for one association");
    }

    /// Connects as [`Self::connect`] does, if the endpoint lets it; an association that it had
    /// ends.
    pub fn try_connect(&mut self, now: Instant, index: u8, port: Option<u16>) {
        let shared = self.carrier == Carrier::Udp && self.addresses.len() == 1;
        let paths: Vec<Path> = self
            .addresses
            .iter()
            .zip([0, SECOND])
            .map(|(own, further)| Path {
                local: (!shared).then(|| own.ip()),
                remote: carried(self.carrier, index + further),
            })
            .collect();
        let id = match port {
            None => self.endpoint.connect(now, &paths, self.remote_port),
            Some(port) => {
                let remote = self.remote_port;
                self.endpoint.connect_from(now, port, &paths, remote)
            }
        };
        let Ok(id) = id else {
            return;
        };
        if let Some(before) = self.id.replace(id) {
            self.endpoint.close(now, before);
        }
        (self.closed, self.closing) = (None, false);
        self.downloads.clear();
        self.run(now);
    }

    /// Asks for `size` bytes on a stream that nothing is under way on, at `when`.
    pub fn ask(&mut self, when: Instant, stream: u16, size: u64) {
        self.wishes.push_back((when, stream, size));
    }

    /// The endpoint, to do more with it than the talker does; [`Self::run`] is to follow.
    pub const fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// The association that came last.
    pub const fn id(&self) -> Option<AssociationId> {
        self.id
    }

    /// What is known of that association.
    pub fn stats(&mut self) -> Option<Stats> {
        self.endpoint.stats(self.id?)
    }

    /// How often it was connected, and how often the peer began anew.
    pub const fn connected(&self) -> (u64, u64) {
        (self.connected, self.restarts)
    }

    /// Bytes of answers that came, each checked.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// What was asked for on a stream last.
    pub fn download(&self, stream: u16) -> Option<&Download> {
        self.downloads.get(&stream)
    }

    /// Whether something is asked for on a stream, or is about to be.
    pub fn is_busy(&self, stream: u16) -> bool {
        let waits = self.wishes.iter().any(|(_, of, _)| *of == stream);
        waits || self.download(stream).is_some_and(|one| one.done.is_none())
    }

    /// Whether all that was asked for has come.
    pub fn has_everything(&self) -> bool {
        self.wishes.is_empty() && self.downloads.values().all(|one| one.done.is_some())
    }

    /// The longest time between two parts of answers.
    pub const fn stall(&self) -> Duration {
        self.stall
    }

    /// What was told about paths.
    pub fn changes(&self) -> &[(Path, PathChange)] {
        &self.changes
    }

    /// Takes messages that no talker sends from now on.
    pub const fn tolerate(&mut self) {
        self.tolerant = true;
    }

    /// How the association ended.
    pub const fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Ends the association in good order.
    pub fn close(&mut self, now: Instant) {
        if let Some(id) = self.id {
            self.closing = true;
            self.endpoint.close(now, id);
            self.run(now);
        }
    }

    /// Ends the association at once.
    pub fn abort(&mut self, now: Instant) {
        if let Some(id) = self.id {
            self.endpoint.abort(now, id, b"enough");
            self.run(now);
        }
    }

    /// Takes events and says what may be said.
    pub fn run(&mut self, now: Instant) {
        loop {
            let mut heard = false;
            while let Some((id, event)) = self.endpoint.poll_event() {
                self.on_event(now, id, event);
                heard = true;
            }
            let asked = self.ask_what_is_due(now);
            let answered = self.answer(now);
            if !(heard || asked || answered) {
                break;
            }
        }
        if self.closes && !self.closing && self.received > 0 && self.has_everything() {
            self.close(now);
        }
    }

    fn on_event(&mut self, now: Instant, id: AssociationId, event: Event) {
        match event {
            Event::Connected { .. } => {
                self.id = Some(id);
                self.connected += 1;
                self.closed = None;
                self.notes.push_back("is connected".to_owned());
            }
            Event::Message {
                stream,
                ppid: REQUEST,
                payload,
                ..
            } => self.on_request(id, stream, &payload),
            // Of an association that another one has taken the place of.
            Event::Message { .. } if self.id != Some(id) => {}
            Event::Message {
                stream, payload, ..
            } => self.on_part(now, stream, &payload),
            Event::MessageCut { .. } => assert!(self.tolerant, "no talker gives messages up"),
            Event::Writable { stream } => {
                if let Some(answer) = self.answers.get_mut(&(id, stream)) {
                    answer.blocked = false;
                }
            }
            Event::PathChange { path, change } => self.changes.push((path, change)),
            Event::PeerRestarted => {
                self.restarts += 1;
                self.answers.retain(|(of, _), _| *of != id);
                self.notes.push_back("sees a restart".to_owned());
            }
            Event::Settled | Event::PeerClosing => {}
            Event::Closed(why) => {
                assert!(self.endpoint.stats(id).is_none(), "the id names nothing");
                self.answers.retain(|(of, _), _| *of != id);
                if self.id == Some(id) {
                    assert!(self.closed.replace(why).is_none(), "closed twice");
                    self.notes.push_back(format!("is closed: {why}"));
                }
            }
        }
    }

    fn on_request(&mut self, id: AssociationId, stream: u16, message: &[u8]) {
        if message.len() != 16 {
            assert!(self.tolerant, "a request of {} bytes", message.len());
            return;
        }
        let answer = Answer {
            seed: seed_of(message),
            size: size_of(message),
            sent: 0,
            blocked: false,
        };
        self.answers.insert((id, stream), answer);
    }

    fn on_part(&mut self, now: Instant, stream: u16, part: &[u8]) {
        let Some(download) = self.downloads.get_mut(&stream) else {
            assert!(
                self.tolerant,
                "an answer on stream {stream} without a request"
            );
            return;
        };
        self.expected.clear();
        write_noise(
            download.seed,
            download.received,
            part.len(),
            &mut self.expected,
        );
        let length = part.len() as u64;
        if self.expected != part || download.received + length > download.size {
            let at = download.received;
            assert!(self.tolerant, "stream {stream} differs at {at}");
            return;
        }
        download.received += length;
        self.received += length;
        if let Some(before) = self.delivered.replace(now) {
            self.stall = self.stall.max(now - before);
        }
        if download.received == download.size {
            download.done = Some(now);
            if self.downloads.values().all(|one| one.done.is_some()) {
                // What comes after a pause of the asker's is no stall.
                self.delivered = None;
            }
        }
    }

    fn ask_what_is_due(&mut self, now: Instant) -> bool {
        let Some(id) = self.id.filter(|_| self.closed.is_none() && !self.closing) else {
            return false;
        };
        let mut asked = false;
        while let Some((_, stream, size)) = self.wishes.front().filter(|(at, _, _)| *at <= now) {
            let (stream, size) = (*stream, *size);
            let how = SendOptions {
                stream,
                ppid: REQUEST,
                ..SendOptions::default()
            };
            let message = request(stream, size);
            let seed = seed_of(&message);
            match self.endpoint.send(now, id, how, message) {
                Ok(()) => {}
                Err(SendError::Full) => break,
                // It may be ending, or its peer may take fewer streams.
                Err(SendError::Closed | SendError::NoSuchStream) => {
                    self.wishes.pop_front();
                    continue;
                }
                Err(other) => panic!("{other}"),
            }
            self.wishes.pop_front();
            let download = Download {
                seed,
                size,
                received: 0,
                asked: now,
                done: None,
            };
            self.downloads.insert(stream, download);
            asked = true;
        }
        asked
    }

    fn answer(&mut self, now: Instant) -> bool {
        let mut answered = false;
        for ((id, stream), answer) in &mut self.answers {
            while answer.sent < answer.size && !answer.blocked {
                let left = answer.size - answer.sent;
                let length = usize::try_from(left).map_or(self.piece, |left| left.min(self.piece));
                let mut message = Vec::with_capacity(length + 8);
                write_noise(answer.seed, answer.sent, length, &mut message);
                let how = SendOptions {
                    stream: *stream,
                    ppid: ANSWER,
                    immediate: length as u64 == left,
                    ..SendOptions::default()
                };
                match self.endpoint.send(now, *id, how, message.into()) {
                    Ok(()) => answer.sent += length as u64,
                    Err(SendError::Full) => answer.blocked = true,
                    // Fewer streams may lead back than lead here.
                    Err(SendError::Closed | SendError::NoSuchStream) => answer.size = answer.sent,
                    Err(other) => {
                        assert!(self.tolerant, "{other}");
                        answer.size = answer.sent;
                    }
                }
                answered = true;
            }
        }
        self.answers.retain(|_, answer| answer.sent < answer.size);
        answered
    }

    /// From where to where a packet came.
    fn path(&self, arrival: &Arrival) -> Path {
        let shared = self.carrier == Carrier::Udp && self.addresses.len() == 1;
        Path {
            local: (!shared).then(|| arrival.destination.ip()),
            remote: arrival.source,
        }
    }
}

/// Whether an address is the second of its node.
fn is_second(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[3] >= SECOND,
        IpAddr::V6(_) => false,
    }
}

/// The address of a machine, with the port that its packets come from.
const fn carried(carrier: Carrier, index: u8) -> SocketAddr {
    match carrier {
        Carrier::Udp => address(index, UDP_PORT),
        Carrier::Ip => address(index, 0),
    }
}

impl Node for Talker {
    fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.ip() == address)
    }

    fn source(&self, destination: SocketAddr) -> SocketAddr {
        let local = self.last.and_then(|path| path.local);
        let fits = |own: &&SocketAddr| match local {
            Some(local) => own.ip() == local,
            // As routing would have it: from first to first, from second to second.
            None => is_second(own.ip()) == is_second(destination.ip()),
        };
        *self
            .addresses
            .iter()
            .find(fits)
            .unwrap_or(&self.addresses[0])
    }

    fn side(&self) -> Side {
        self.side
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let datagram = Datagram {
            path: self.path(&arrival),
            ecn: to_sctp(arrival.ecn),
            segment_size: arrival.segment_size,
            payload: arrival.payload,
        };
        self.endpoint.handle_packet(now, datagram);
        self.run(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.run(now);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.endpoint.handle_rejected(now, limit);
        self.run(now);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        let transmit = self.endpoint.poll_transmit(now, limit, out);
        self.run(now);
        let transmit = transmit?;
        self.last = Some(transmit.path);
        Some(Departure {
            destination: transmit.path.remote,
            ecn: from_sctp(transmit.ecn),
            segment_size: transmit.segment_size,
            may_fragment: transmit.may_fragment,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let asks = self.id.is_some() && self.closed.is_none() && !self.closing;
        let wish = self.wishes.front().filter(|_| asks).map(|(at, _, _)| *at);
        self.endpoint.poll_timeout().into_iter().chain(wish).min()
    }

    fn poll_note(&mut self) -> Option<String> {
        self.notes.pop_front()
    }

    fn is_done(&self) -> bool {
        self.closed.is_some() && self.endpoint.endpoint_stats().associations == 0
    }
}
