//! HTTP over SCTP from end to end: whole hosts as programs have them, many requests on one
//! association.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::client::{self, Event, Requests};
use proto::date::HttpDate;
use proto::machine::{Delivery, StreamId};
use proto::request::Request;
use proto::server::{self, Answer, Representation};
use proto::streams::{self, Exchanges, Streams};
use proto::target::TargetPath;
use sctp::packet::describe;
use tests::netsim::{
    Arrival, Carrier, Config as Pipe, Departure, Fate, Network, Node, Passing, Stop, address,
};
use tests::transcript::Side;
use transport::{
    Application, ClientHost, Disposition, Host, Limits, LogEntry, Machine, Path, Responder,
    SctpClient, SctpStack, Service, Site, Tally,
};

const PORT: u16 = 8080;
const UDP_PORT: u16 = 9899;

/// Has a file of so many bytes under every number.
#[derive(Debug)]
struct Numbers;

impl Site for Numbers {
    type Resource = u64;

    fn open(&mut self, _request: &Request, path: &TargetPath) -> u64 {
        let name = String::from_utf8_lossy(&path.segments()[0]);
        name.parse().expect("it is a number")
    }

    fn poll_answer(&mut self, length: &mut u64) -> Poll<Answer> {
        Poll::Ready(Answer::Found(Representation {
            length: *length,
            content_type: "text/plain".to_owned(),
            etag: None,
            last_modified: None,
            sha256: None,
            further: proto::fields::Fields::new(),
        }))
    }

    fn read(&mut self, _resource: &mut u64, offset: u64, length: usize) -> io::Result<Bytes> {
        let bytes = (offset..).take(length).map(byte_at);
        Ok(bytes.collect())
    }

    fn date(&mut self) -> HttpDate {
        HttpDate::from_unix(784_111_777)
    }

    fn finished(&mut self, _entry: &LogEntry<'_>) {}
}

fn byte_at(offset: u64) -> u8 {
    (offset % 251).to_le_bytes()[0]
}

#[derive(Debug)]
struct ByStream;

impl Exchanges for ByStream {
    type Exchange = server::Exchange;

    fn open(&mut self, now: Instant, _stream: StreamId, _overloaded: bool) -> server::Exchange {
        server::Exchange::new(now, server::Config::new(Delivery::Reliable))
    }

    fn goes_on(&self, exchange: &server::Exchange) -> bool {
        exchange.goes_on()
    }
}

/// What a client wants, and what it got.
#[derive(Debug, Default)]
struct Wishes {
    /// When to ask, and for how many bytes; in this order.
    wanted: VecDeque<(Instant, u64)>,
    /// By stream: how many bytes are to come, how many came, and when they were asked for.
    running: BTreeMap<StreamId, (u64, u64, Instant)>,
    /// On which stream so many bytes came, when they were asked for, and when they were there.
    done: Vec<(StreamId, u64, Instant, Instant)>,
    failed: usize,
}

/// Asks for what is wanted, as soon as a stream is free.
#[derive(Clone, Debug, Default)]
struct Asking(Rc<RefCell<Wishes>>);

impl Asking {
    fn config(length: u64) -> client::Config {
        client::Config {
            keep_alive: true,
            ..client::Config::new(Delivery::Reliable, format!("/{length}"))
        }
    }
}

impl Application<Requests> for Asking {
    fn run(&mut self, now: Instant, machine: &mut Requests) -> Option<Instant> {
        let mut wishes = self.0.borrow_mut();
        while let Some((stream, event)) = machine.poll_event() {
            match event {
                Event::Body { offset, data } => {
                    let (_, came, _) = wishes.running.get_mut(&stream).expect("it was asked for");
                    assert_eq!(offset, *came);
                    assert!(
                        data.iter()
                            .zip(offset..)
                            .all(|(byte, at)| *byte == byte_at(at))
                    );
                    *came += u64::try_from(data.len()).expect("it is short");
                }
                Event::Finished(result) => {
                    let (length, came, asked) =
                        wishes.running.remove(&stream).expect("it was asked for");
                    if result.is_ok() {
                        assert_eq!(length, came);
                        wishes.done.push((stream, length, asked, now));
                    } else {
                        wishes.failed += 1;
                    }
                }
                _ => {}
            }
        }
        while let Some(&(when, length)) = wishes.wanted.front()
            && when <= now
            && let Some(stream) = machine.free_stream()
        {
            wishes.wanted.pop_front();
            machine
                .begin(stream, Self::config(length))
                .expect("it can be written");
            wishes.running.insert(stream, (length, 0, now));
        }
        if wishes.wanted.is_empty() {
            machine.finish();
        }
        wishes
            .wanted
            .front()
            .map(|(when, _)| (*when).max(now))
            .filter(|when| *when > now)
    }
}

/// A host at an address.
struct HostNode<H> {
    host: H,
    side: Side,
    /// Counts a server's associations.
    tally: Option<Tally>,
}

impl<H: Machine<Peer = Path>> Node for HostNode<H> {
    fn address(&self) -> SocketAddr {
        let index = if self.side == Side::Client { 1 } else { 2 };
        address(index, UDP_PORT)
    }

    fn side(&self) -> Side {
        self.side
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let datagram = transport::Datagram {
            ecn: arrival.ecn,
            segment_size: arrival.segment_size,
            ..transport::Datagram::message(Path::to(arrival.source), arrival.payload)
        };
        self.host.handle_datagram(now, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.host.handle_timeout(now);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.host.handle_rejected(now, limit);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        let transmit = self.host.poll_transmit(now, limit, out)?;
        Some(Departure {
            destination: transmit.peer.remote,
            ecn: transmit.ecn,
            segment_size: transmit.segment_size,
            may_fragment: transmit.may_fragment,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.host.poll_timeout()
    }

    fn is_done(&self) -> bool {
        match &self.tally {
            Some(tally) => tally.running() == 0,
            None => self.host.disposition() != Disposition::Open,
        }
    }
}

/// Both ends, and what is between them.
struct Scene {
    network: Network,
    wishes: Asking,
    client: HostNode<ClientHost<SctpStack, Requests, Asking>>,
    server: Box<dyn Node>,
    tally: Tally,
}

fn serve(stack: SctpStack) -> (Box<dyn Node>, Tally) {
    fn node<V: Service + 'static>(host: Host<SctpStack, V>) -> (Box<dyn Node>, Tally) {
        let tally = host.tally();
        let node = HostNode {
            host,
            side: Side::Server,
            tally: Some(tally.clone()),
        };
        (Box::new(node), tally)
    }
    let service = |now: Instant, _peer: SocketAddr| {
        let machine = Streams::new(now, ByStream, streams::Config::default());
        (machine, Responder::<_, StreamId>::new(Numbers))
    };
    node(Host::server(stack, service, Limits::default()))
}

impl Scene {
    /// A client that asks for `first` bytes with its handshake, and then for `wanted`, each at its
    /// time, over at most `streams` streams.
    fn new(pipe: &Pipe, streams: u16, first: u64, wanted: &[(Duration, u64)]) -> Self {
        let network = Network::new(Carrier::Udp, pipe.clone(), pipe.clone(), 1).keeping(200);
        let now = network.now();
        let stack = |index: u8, listen| {
            let config = sctp::Config {
                listen,
                outbound_streams: streams,
                ..sctp::Config::default()
            };
            let client = SctpClient {
                udp_port: Some(UDP_PORT),
                ..SctpClient::default()
            };
            SctpStack::new(config, [index; 32], client)
        };
        let wishes = Asking::default();
        let mut host: ClientHost<SctpStack, Requests, Asking> =
            Host::client(stack(1, None), Limits::default());
        let mut requests = Requests::default();
        let stream = StreamId(0);
        requests
            .begin(stream, Asking::config(first))
            .expect("it can be written");
        {
            let mut wishes = wishes.0.borrow_mut();
            wishes.running.insert(stream, (first, 0, now));
            let wanted = wanted.iter().map(|(after, length)| (now + *after, *length));
            wishes.wanted.extend(wanted);
        }
        let remote = address(2, PORT);
        let id = host
            .connect_with(now, remote, requests)
            .expect("there is room for one");
        host.attach(id, wishes.clone());
        let (server, tally) = serve(stack(2, Some(PORT)));
        let client = HostNode {
            host,
            side: Side::Client,
            tally: None,
        };
        Self {
            network,
            wishes,
            client,
            server,
            tally,
        }
    }

    fn run(&mut self, limit: Duration) -> Stop {
        let nodes: &mut [&mut dyn Node] = &mut [&mut self.client, &mut *self.server];
        self.network.run(nodes, limit)
    }

    /// When the answers on each stream were there, from the beginning on.
    fn done(&self) -> Vec<(u16, u64, Instant, Instant)> {
        let wishes = self.wishes.0.borrow();
        assert_eq!(wishes.failed, 0);
        let done = wishes.done.iter();
        done.map(|(stream, length, asked, at)| (stream.0, *length, *asked, *at))
            .collect()
    }
}

/// 10 ms each way.
fn line() -> Pipe {
    Pipe {
        rate: Some(12_500_000),
        queue: 250_000,
        ..Pipe::latency(Duration::from_millis(10))
    }
}

#[test]
fn se3_a_page_costs_seven_packets_and_two_round_trips() {
    let mut scene = Scene::new(&line(), 10, 700, &[]);
    scene.run(Duration::from_secs(60));
    let done = scene.done();
    assert_eq!(done.len(), 1);
    let took = done[0].3 - done[0].2;
    assert!(took < Duration::from_millis(42), "{took:?}");
    let packets = scene.network.trace().packets();
    let ladder: Vec<String> = packets.map(|(_, packet)| describe(packet)).collect();
    assert_eq!(ladder.len(), 7, "{ladder:#?}");
    assert!(ladder[2].starts_with("COOKIE ECHO") && ladder[2].contains("DATA"));
    assert!(ladder[3].starts_with("COOKIE ACK") && ladder[3].contains("DATA"));
    // It ends as soon as the client has it: no delayed SACK is waited for.
    assert!(scene.network.elapsed() < Duration::from_millis(75));
}

#[test]
fn ht3_many_answers_come_over_few_streams_whatever_is_lost() {
    let wanted: Vec<_> = (0..300)
        .map(|number| (Duration::ZERO, number * 137 % 30_000))
        .collect();
    let pipe = Pipe { loss: 20, ..line() };
    let mut scene = Scene::new(&pipe, 10, 1000, &wanted);
    scene.run(Duration::from_secs(600));
    let done = scene.done();
    assert_eq!(done.len(), 301);
    assert!(done.iter().all(|(stream, ..)| *stream < 10));
    assert_eq!(scene.tally.served().accepted, 1);
}

#[test]
fn ht6_what_is_lost_of_one_answer_does_not_hold_up_the_others() {
    let later = Duration::from_secs(2);
    let wanted: Vec<_> = (0..9).map(|number| (later, 5000 + number)).collect();
    let mut scene = Scene::new(&line(), 20, 300_000, &wanted);
    scene.run(Duration::from_secs(1));
    assert_eq!(scene.done().len(), 1, "the window has grown");
    let mut lost = false;
    let choose = move |passing: Passing<'_>| {
        // One that has nothing of the others: small messages share a packet.
        let words = describe(passing.payload);
        let of_one = words.matches(" stream=").count() == words.matches(" stream=1 ").count();
        let hit = !lost && words.contains(" stream=1 ") && of_one;
        lost |= hit;
        hit.then_some(Fate::Lost)
    };
    scene.network.choose(Side::Server, Box::new(choose));
    scene.run(Duration::from_secs(60));
    let done = scene.done();
    assert_eq!(done.len(), 10);
    let last = done.last().expect("there are ten");
    assert_eq!(last.0, 1, "{done:?}");
    let others = done[1..9].iter().map(|(.., at)| *at).max();
    assert!(others.is_some_and(|at| at + Duration::from_millis(10) < last.3));
}

#[test]
fn ht7_a_page_during_a_large_download_comes_within_three_round_trips() {
    let wanted: Vec<_> = (1..10)
        .map(|number| (Duration::from_millis(number * 300), 1024))
        .collect();
    let mut scene = Scene::new(&line(), 10, 60_000_000, &wanted);
    scene.run(Duration::from_secs(120));
    let done = scene.done();
    assert_eq!(done.len(), 10);
    // 20 ms, and what the queue of the bottleneck adds.
    let round_trip = Duration::from_millis(20 + 20);
    for (_, length, asked, at) in done {
        if length == 1024 {
            let took = at - asked;
            assert!(took < 3 * round_trip, "{took:?}");
        }
    }
}
