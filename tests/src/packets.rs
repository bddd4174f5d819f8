//! DCCP endpoints on a packet network, without HTTP: each sends numbered messages and checks
//! those that come.

mod pair;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use dccp::{
    Carrier, CloseReason, Config, ConnectionId, Datagram, Endpoint, Event, Path, SendError,
    ServiceCode, Stats,
};
use transport::Ecn;

pub use pair::{Pair, Scenario, Words, encode, header, request_options, type_of};

use crate::link::Random;
use crate::netsim::{self, Arrival, Departure, Node, address};
use crate::transcript::Side;

/// The DCCP port that servers listen on here.
pub const PORT: u16 = 8080;

/// What connections are for here: `?HTP`.
pub const SERVICE: ServiceCode = ServiceCode(0x3F48_5450);

/// The settings of a client or of a server that are not of interest.
pub fn config(side: Side, carrier: netsim::Carrier) -> Config {
    Config {
        carrier: match carrier {
            netsim::Carrier::Udp => Carrier::Udp,
            netsim::Carrier::Ip => Carrier::Ip,
        },
        listen: (side == Side::Server).then_some(PORT),
        service_codes: vec![SERVICE],
        ..Config::default()
    }
}

/// The field as DCCP has it.
pub const fn to_dccp(ecn: Ecn) -> dccp::Ecn {
    match ecn {
        Ecn::NotEct => dccp::Ecn::NotEct,
        Ecn::Ect1 => dccp::Ecn::Ect1,
        Ecn::Ect0 => dccp::Ecn::Ect0,
        Ecn::Ce => dccp::Ecn::Ce,
    }
}

/// The field as the network has it.
pub const fn from_dccp(ecn: dccp::Ecn) -> Ecn {
    match ecn {
        dccp::Ecn::NotEct => Ecn::NotEct,
        dccp::Ecn::Ect1 => Ecn::Ect1,
        dccp::Ecn::Ect0 => Ecn::Ect0,
        dccp::Ecn::Ce => Ecn::Ce,
    }
}

/// What a [`Talker`] sends.
#[derive(Clone, Copy, Debug)]
pub struct Speech {
    /// How many messages; `None`: without end.
    pub messages: Option<u64>,
    /// Bytes in each; less where the path takes less.
    pub size: usize,
    /// How long after one message the next one follows at the earliest.
    pub pace: Duration,
    /// Whether it closes the connection when everything is acknowledged or lost.
    pub closes: bool,
}

impl Speech {
    /// Nothing.
    pub const NOTHING: Self = Self {
        messages: Some(0),
        size: 0,
        pace: Duration::ZERO,
        closes: false,
    };

    /// As much as congestion control allows, without end.
    pub const ENDLESS: Self = Self {
        messages: None,
        size: usize::MAX,
        pace: Duration::ZERO,
        closes: false,
    };

    /// So many messages of so many bytes, then the end.
    pub const fn of(messages: u64, size: usize) -> Self {
        Self {
            messages: Some(messages),
            size,
            pace: Duration::ZERO,
            closes: true,
        }
    }
}

/// The bytes of message `number`, of at least eight bytes: its number, then bytes that follow
/// from number and length.
fn write_message(number: u64, size: usize, out: &mut Vec<u8>) {
    let end = out.len() + size;
    let mut random = Random::new(number ^ (size as u64) << 48);
    out.extend_from_slice(&number.to_be_bytes());
    while out.len() < end {
        let left = (end - out.len()).min(8);
        out.extend_from_slice(&random.next().to_be_bytes()[..left]);
    }
    out.truncate(end);
}

/// An endpoint on the network.
pub struct Talker {
    endpoint: Endpoint,
    address: SocketAddr,
    side: Side,
    carrier: netsim::Carrier,
    speech: Speech,
    /// The only connection, or the one that came last.
    id: Option<ConnectionId>,
    connected: u64,
    /// Not before this the next message goes out.
    next: Option<Instant>,
    /// Whether congestion control said to wait.
    blocked: bool,
    settled: bool,
    closing: bool,
    sent: u64,
    received: u64,
    received_bytes: u64,
    duplicates: u64,
    missing: u64,
    /// Numbers of messages that came, if they are few enough to be worth it.
    numbers: Option<BTreeSet<u64>>,
    expected: Vec<u8>,
    /// Whether messages that no talker sends are taken.
    tolerant: bool,
    /// How many of these came.
    strange: u64,
    closed: Option<CloseReason>,
    notes: Vec<String>,
}

impl fmt::Debug for Talker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talker")
            .field("endpoint", &self.endpoint)
            .field("sent", &self.sent)
            .field("received", &self.received)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Talker {
    /// An endpoint at address `index` that says `speech` on its connection.
    pub fn new(
        index: u8,
        side: Side,
        carrier: netsim::Carrier,
        config: Config,
        seed: u8,
        speech: Speech,
    ) -> Self {
        let port = match carrier {
            netsim::Carrier::Udp => 6511,
            netsim::Carrier::Ip => 0,
        };
        Self {
            endpoint: Endpoint::new(config, [seed; 32]),
            address: address(index, port),
            side,
            carrier,
            speech,
            id: None,
            connected: 0,
            next: None,
            blocked: false,
            settled: false,
            closing: false,
            sent: 0,
            received: 0,
            received_bytes: 0,
            duplicates: 0,
            missing: 0,
            numbers: Some(BTreeSet::new()),
            expected: Vec::new(),
            tolerant: false,
            strange: 0,
            closed: None,
            notes: Vec::new(),
        }
    }

    /// Does not remember which messages came: duplicates are not counted.
    #[must_use]
    pub fn counting_only(mut self) -> Self {
        self.numbers = None;
        self
    }

    /// Takes messages that no talker sends from now on, and does not count them.
    pub const fn tolerate(&mut self) {
        self.tolerant = true;
    }

    /// Connects to the node at address `index`.
    ///
    /// # Panics
    ///
    /// If the endpoint has no room.
    pub fn connect(&mut self, now: Instant, index: u8) {
        let path = self.path(address(index, self.address.port()));
        let id = self.endpoint.connect(now, path, PORT, SERVICE);
        self.id = Some(id.expect("there is room for one connection"));
        self.closed = None;
        self.closing = false;
        self.blocked = false;
        self.run(now);
    }

    /// The path to `remote`.
    pub fn path(&self, remote: SocketAddr) -> Path {
        Path {
            local: self.local(),
            remote,
        }
    }

    fn local(&self) -> Option<IpAddr> {
        (self.carrier == netsim::Carrier::Ip).then(|| self.address.ip())
    }

    /// The endpoint, to do more with it than the talker does; [`Self::run`] is to follow.
    pub const fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// The connection that came last.
    pub const fn id(&self) -> Option<ConnectionId> {
        self.id
    }

    /// What is known of that connection.
    pub fn stats(&self) -> Option<Stats> {
        self.endpoint.stats(self.id?)
    }

    /// How often it was connected.
    pub const fn connected(&self) -> u64 {
        self.connected
    }

    /// How many messages it sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many messages came, each of them checked.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Their bytes.
    pub const fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// How many of them had come before.
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// How many messages came that no talker sends, to one that tolerates them.
    pub const fn strange(&self) -> u64 {
        self.strange
    }

    /// How many packets with data were told to be lost.
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// How the connection ended.
    pub const fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Says so many messages more, and does not close.
    pub fn say_more(&mut self, now: Instant, messages: u64) {
        self.speech.messages = Some(self.sent + messages);
        self.speech.closes = false;
        self.run(now);
    }

    /// A message as every talker sends and knows them.
    pub fn message(&self, number: u64, size: usize) -> Vec<u8> {
        let mut message = Vec::new();
        write_message(number, size, &mut message);
        message
    }

    /// Ends the connection at once.
    pub fn abort(&mut self, now: Instant) {
        if let Some(id) = self.id {
            self.endpoint.abort(now, id);
            self.run(now);
        }
    }

    /// Ends the connection in good order.
    pub fn close(&mut self, now: Instant) {
        if let Some(id) = self.id {
            self.closing = true;
            self.endpoint.close(now, id);
            self.run(now);
        }
    }

    /// Takes events and says what may be said.
    pub fn run(&mut self, now: Instant) {
        loop {
            while let Some((id, event)) = self.endpoint.poll_event() {
                self.on_event(id, event);
            }
            if !self.speak(now) {
                break;
            }
        }
    }

    fn on_event(&mut self, id: ConnectionId, event: Event) {
        match event {
            Event::Connected { .. } => {
                assert!(self.closed.is_none() || self.id != Some(id));
                self.id = Some(id);
                self.connected += 1;
                self.closed = None;
                self.notes.push("is connected".to_owned());
            }
            Event::Message(message) => self.on_message(&message),
            Event::Missing(packets) => self.missing += packets,
            Event::Writable => self.blocked = false,
            Event::Settled => self.settled = true,
            Event::Closed(why) => {
                assert!(self.endpoint.stats(id).is_none(), "the id names nothing");
                if self.id == Some(id) {
                    assert!(self.closed.replace(why).is_none(), "closed twice");
                    self.notes.push(format!("is closed: {why:?}"));
                }
            }
        }
    }

    fn on_message(&mut self, message: &[u8]) {
        let number = message.get(..8).and_then(|number| number.try_into().ok());
        let number = number.map_or(0, u64::from_be_bytes);
        self.expected.clear();
        write_message(number, message.len(), &mut self.expected);
        if self.expected != message || message.len() < 8 {
            assert!(self.tolerant, "message {number} is not one that was sent");
            self.strange += 1;
            return;
        }
        self.received += 1;
        self.received_bytes += message.len() as u64;
        if let Some(numbers) = &mut self.numbers {
            self.duplicates += u64::from(!numbers.insert(number));
        }
    }

    /// Sends messages until it may not; whether there may be more events.
    fn speak(&mut self, now: Instant) -> bool {
        let Some(id) = self
            .id
            .filter(|_| self.connected > 0 && self.closed.is_none())
        else {
            return false;
        };
        let mut sent = false;
        while self.speech.messages.is_none_or(|all| self.sent < all) && !self.closing {
            if self.next.is_some_and(|next| next > now) {
                return sent;
            }
            let (number, size) = (self.sent, self.speech.size.max(8));
            let result = self.endpoint.send_with(now, id, |most, out| {
                // A message is not shorter than its number.
                (most >= 8).then(|| write_message(number, size.min(most), out))
            });
            match result {
                Ok(None) => {
                    self.blocked = true;
                    return sent;
                }
                Ok(Some(())) => {
                    sent = true;
                    self.blocked = false;
                    self.sent += 1;
                    self.settled = false;
                    self.next = Some(now + self.speech.pace);
                }
                Err(SendError::Full) => {
                    self.blocked = true;
                    return sent;
                }
                Err(SendError::TooBig) => unreachable!("no message is longer than it was told"),
                Err(SendError::Closed) => {
                    self.blocked = true;
                    return false;
                }
            }
        }
        let finished = self.speech.closes && (self.settled || self.sent == 0);
        if finished && !self.closing {
            self.closing = true;
            self.endpoint.close(now, id);
            return true;
        }
        sent
    }
}

impl Node for Talker {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn side(&self) -> Side {
        self.side
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let datagram = Datagram {
            path: self.path(arrival.source),
            ecn: to_dccp(arrival.ecn),
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
        let size = transmit.segment_size.map_or(out.len(), NonZeroUsize::get);
        assert!(size <= limit, "a packet of {size} bytes where {limit} go");
        Some(Departure {
            destination: transmit.path.remote,
            ecn: from_dccp(transmit.ecn),
            segment_size: transmit.segment_size,
            may_fragment: false,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let more = self.speech.messages.is_none_or(|all| self.sent < all);
        let speaks = more && self.connected > 0 && self.closed.is_none() && !self.closing;
        // Without a pace it is the endpoint that says when to go on.
        let paced = speaks && !self.speech.pace.is_zero() && !self.blocked;
        let next = self.next.filter(|_| paced);
        self.endpoint.poll_timeout().into_iter().chain(next).min()
    }

    fn poll_note(&mut self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.remove(0))
    }

    fn is_done(&self) -> bool {
        self.closed.is_some()
    }
}
