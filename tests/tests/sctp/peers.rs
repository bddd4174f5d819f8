//! Other stacks as peers, in process, over the same network: the crates `dcsctp` and `sctp-proto`,
//! both made for WebRTC, each as client and as server.

mod dcsctp;
mod proto;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sctp::CloseReason;
use sctp::packet::describe;
use tests::associations::{
    ANSWER, REQUEST, Talker, UDP_PORT, config, request, seed_of, size_of, write_noise,
};
use tests::ladder::Ladder;
use tests::netsim::{Arrival, Carrier, Config as Pipe, Departure, Network, Node, address};
use tests::transcript::Side;
use transport::Ecn;

/// The SCTP port of both ends: `sctp-proto` has no other.
const PORT: u16 = 5000;

/// Bytes of the messages that they send.
const PIECE: usize = 16 << 10;

/// Bytes that are given to them to send at once.
const AHEAD: usize = 256 << 10;

/// A stack of others, with one association.
trait Stack {
    fn connect(&mut self, now: Instant);
    fn handle_packet(&mut self, now: Instant, packet: &[u8]);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_timeout(&mut self) -> Option<Instant>;
    fn poll_packet(&mut self, now: Instant) -> Option<Vec<u8>>;
    /// A whole message: its stream and bytes.
    fn poll_message(&mut self) -> Option<(u16, Vec<u8>)>;
    fn is_connected(&self) -> bool;
    fn send(&mut self, now: Instant, stream: u16, ppid: u32, message: Vec<u8>);
    /// Bytes that wait or are under way.
    fn waiting(&mut self, stream: u16) -> usize;
    /// What it did not like.
    fn complaints(&self) -> &[String];
    fn close(&mut self, now: Instant);
}

/// Another stack on the network, which asks or answers as a [`Talker`] does.
struct Stranger<S> {
    stack: S,
    index: u8,
    side: Side,
    /// What it asks for, once it is connected.
    wish: Option<u64>,
    wanted: u64,
    received: u64,
    /// Stream, seed, size and how much was sent, of each answer under way.
    answers: BTreeMap<u16, (u64, u64, u64)>,
    packets: VecDeque<Vec<u8>>,
    next: Option<Instant>,
    closing: bool,
}

impl<S: Stack> Stranger<S> {
    fn new(stack: S, index: u8, side: Side, wish: Option<u64>) -> Self {
        Self {
            stack,
            index,
            side,
            wish,
            wanted: wish.unwrap_or(0),
            received: 0,
            answers: BTreeMap::new(),
            packets: VecDeque::new(),
            next: None,
            closing: false,
        }
    }

    fn run(&mut self, now: Instant) {
        while let Some((stream, message)) = self.stack.poll_message() {
            if self.side == Side::Server {
                let (seed, size) = (seed_of(&message), size_of(&message));
                self.answers.insert(stream, (seed, size, 0));
            } else {
                let mut expected = Vec::new();
                let seed = seed_of(&request(stream, self.wanted));
                write_noise(seed, self.received, message.len(), &mut expected);
                assert!(expected == message, "differs at {}", self.received);
                self.received += message.len() as u64;
            }
        }
        if self.stack.is_connected()
            && let Some(size) = self.wish.take()
        {
            self.stack.send(now, 0, REQUEST, request(0, size).to_vec());
        }
        for (stream, (seed, size, sent)) in &mut self.answers {
            while sent < size && self.stack.waiting(*stream) < AHEAD {
                let left = usize::try_from(*size - *sent).map_or(PIECE, |left| left.min(PIECE));
                let mut message = Vec::new();
                write_noise(*seed, *sent, left, &mut message);
                self.stack.send(now, *stream, ANSWER, message);
                *sent += left as u64;
            }
        }
        self.answers.retain(|_, (_, size, sent)| sent < size);
        if self.side == Side::Client && self.has_everything() && !self.closing {
            self.closing = true;
            self.stack.close(now);
        }
        while let Some(packet) = self.stack.poll_packet(now) {
            self.packets.push_back(packet);
        }
        self.next = self.stack.poll_timeout();
    }

    const fn has_everything(&self) -> bool {
        self.wish.is_none() && self.received == self.wanted && self.wanted > 0
    }
}

impl<S: Stack> Node for Stranger<S> {
    fn address(&self) -> SocketAddr {
        address(self.index, UDP_PORT)
    }

    fn side(&self) -> Side {
        self.side
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        self.stack.handle_packet(now, &arrival.payload);
        self.run(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.run(now);
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn poll_transmit(
        &mut self,
        now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        if self.packets.is_empty() {
            self.run(now);
        }
        out.extend_from_slice(&self.packets.pop_front()?);
        Some(Departure {
            destination: address(3 - self.index, UDP_PORT),
            ecn: Ecn::NotEct,
            segment_size: None,
            may_fragment: false,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn is_done(&self) -> bool {
        self.closing
    }
}

/// A network of 100 Mbit/s with 10 ms each way.
fn network(loss: u32, seed: u64) -> Network {
    let pipe = Pipe {
        loss,
        rate: Some(12_500_000),
        queue: 250_000,
        ..Pipe::latency(Duration::from_millis(10))
    };
    Network::new(Carrier::Udp, pipe.clone(), pipe, seed).keeping(300)
}

/// A talker of ours on that port.
fn ours(side: Side, seed: u64) -> Talker {
    let settings = sctp::Config {
        listen: (side == Side::Server).then_some(PORT),
        ..config(side)
    };
    let index = if side == Side::Client { 1 } else { 2 };
    let mut talker = Talker::new(index, side, Carrier::Udp, settings, seed as u8, false);
    talker.remote_port = PORT;
    talker.piece = PIECE;
    talker
}

const HOURS: Duration = Duration::from_secs(10_000);

/// Their client asks our server.
fn they_ask<S: Stack>(stack: impl Fn() -> S, size: u64, loss: u32, seed: u64) {
    let mut network = network(loss, seed);
    let mut server = ours(Side::Server, seed);
    let mut client = Stranger::new(stack(), 1, Side::Client, Some(size));
    client.stack.connect(network.now());
    client.run(network.now());
    network.run(&mut [&mut client, &mut server], HOURS);
    let ladder = Ladder::new(network.trace(), |_, packet: &[u8]| describe(packet));
    assert!(
        client.has_everything(),
        "{} of {size}\n{ladder}",
        client.received
    );
    assert_eq!(client.stack.complaints(), [""; 0], "{ladder}");
    eprintln!(
        "they had {size} bytes, loss {loss}, after {:?}",
        network.elapsed()
    );
}

/// Our client asks their server.
fn we_ask<S: Stack>(stack: impl Fn() -> S, size: u64, loss: u32, seed: u64) {
    let mut network = network(loss, seed);
    let mut client = ours(Side::Client, seed);
    let mut server = Stranger::new(stack(), 2, Side::Server, None);
    client.ask(network.now(), 0, size);
    client.connect(network.now(), 2, Some(PORT));
    server.run(network.now());
    let mut limit = Duration::ZERO;
    while client.closed().is_none() && limit < HOURS {
        limit += Duration::from_secs(1);
        network.run(&mut [&mut client, &mut server], limit);
    }
    let ladder = Ladder::new(network.trace(), |_, packet: &[u8]| describe(packet));
    assert_eq!(client.received(), size, "{ladder}");
    assert_eq!(client.closed(), Some(CloseReason::Shutdown), "{ladder}");
    // It sends some SHUTDOWN ACKs twice, and does not know the answer to the second one.
    let mut complaints = server.stack.complaints().iter();
    assert!(
        complaints.all(|why| why.starts_with("SHUTDOWN_COMPLETE")),
        "{ladder}"
    );
    eprintln!(
        "we had {size} bytes, loss {loss}, after {:?}",
        network.elapsed()
    );
}

const PAGE: u64 = 1292;
const VIDEO: u64 = 1_500_000;
const LARGE: u64 = 64 << 20;

#[test]
fn dcsctp_gets_a_page_and_a_video_from_us() {
    for (size, loss) in [(PAGE, 0), (VIDEO, 0), (PAGE, 50), (VIDEO, 50)] {
        for seed in 0..3 {
            they_ask(|| dcsctp::Socket::new(false), size, loss, seed);
        }
    }
}

#[test]
fn we_get_a_page_and_a_video_from_dcsctp() {
    for (size, loss) in [(PAGE, 0), (VIDEO, 0), (PAGE, 50), (VIDEO, 50)] {
        for interleaving in [false, true] {
            we_ask(|| dcsctp::Socket::new(interleaving), size, loss, 4);
        }
    }
}

#[test]
fn sctp_proto_gets_a_page_and_a_video_from_us() {
    for (size, loss) in [(PAGE, 0), (VIDEO, 0), (PAGE, 50), (VIDEO, 50)] {
        they_ask(|| proto::Peer::new(true), size, loss, 5);
    }
}

#[test]
fn we_get_a_page_and_a_video_from_sctp_proto() {
    for (size, loss) in [(PAGE, 0), (VIDEO, 0), (PAGE, 50), (VIDEO, 50)] {
        we_ask(|| proto::Peer::new(false), size, loss, 6);
    }
}

/// 64 MiB each way with each of them, without loss and with 5 %: some six seconds of a release
/// build, and a minute of another.
#[test]
fn large_files_with_other_stacks() {
    for loss in [0, 50] {
        they_ask(|| dcsctp::Socket::new(true), LARGE, loss, 1);
        we_ask(|| dcsctp::Socket::new(true), LARGE, loss, 2);
        they_ask(|| proto::Peer::new(true), LARGE, loss, 3);
        we_ask(|| proto::Peer::new(false), LARGE, loss, 4);
    }
}
