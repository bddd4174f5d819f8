//! A host over a stack of a few lines: a packet is a kind, a connection number and a message.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::machine::{CloseReason, Datagram, Disposition, Icmp, Machine, StreamId, Transmit};

use super::{Host, Progress};
use crate::connection::Application;
use crate::pace::Limits;
use crate::path::Path;
use crate::service::Served;
use crate::stack::{Fill, NoRoom, Refusal, Stack, StackEvent, StackSendError};

const CONNECT: u8 = 0;
const DATA: u8 = 1;
const CLOSE: u8 = 2;
const ABORT: u8 = 3;
const ACCEPT: u8 = 4;

/// How many packets a connection may have queued.
const QUEUE: usize = 2;

/// How many streams a connection has.
const STREAMS: u16 = 4;

/// The longest message in bytes.
const MESSAGE: usize = 100;

#[derive(Debug, Default)]
struct Toy {
    connections: BTreeMap<u8, SocketAddr>,
    next: u8,
    packets: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<(u8, StackEvent)>,
    full: Option<u8>,
    /// Those that wait for an answer.
    connecting: Vec<u8>,
    /// Whether messages travel with the handshake.
    early: bool,
    /// Whether it answers who connects with an abort.
    refuses: bool,
    /// How often it was asked to send.
    asked: usize,
}

impl Toy {
    fn queue(&mut self, id: u8, kind: u8, stream: StreamId, message: &[u8]) {
        let mut packet = vec![kind, id, u8::try_from(stream.0).unwrap()];
        packet.extend_from_slice(message);
        self.packets.push_back((self.connections[&id], packet));
    }

    fn end(&mut self, id: u8, why: CloseReason) {
        self.connections.remove(&id);
        let event = if self.connecting.contains(&id) {
            self.connecting.retain(|other| *other != id);
            StackEvent::Refused(Refusal::Busy)
        } else {
            StackEvent::Closed(why)
        };
        self.events.push_back((id, event));
    }
}

impl Stack for Toy {
    type Id = u8;

    /// Packets of a train have five bytes each.
    fn handle_packet(&mut self, _now: Instant, packet: Datagram<Path>) {
        let remote = packet.peer.remote;
        let size = packet.segment_size.map_or(packet.payload.len(), Into::into);
        for packet in packet.payload.chunks(size) {
            let [kind, id, stream, message @ ..] = packet else {
                continue;
            };
            let (kind, id) = (*kind, *id);
            let known = self.connections.contains_key(&id);
            match kind {
                CONNECT if !known && self.refuses => {
                    self.packets.push_back((remote, vec![ABORT, id, 0]));
                }
                CONNECT if !known => {
                    self.connections.insert(id, remote);
                    self.queue(id, ACCEPT, StreamId(0), b"");
                    let streams = STREAMS;
                    self.events
                        .push_back((id, StackEvent::Connected { remote, streams }));
                }
                ACCEPT if self.connecting.contains(&id) => {
                    self.connecting.retain(|other| *other != id);
                    let streams = STREAMS;
                    self.events
                        .push_back((id, StackEvent::Connected { remote, streams }));
                }
                DATA if known => {
                    let mut datagram = Datagram::message((), Bytes::copy_from_slice(message));
                    datagram.stream = StreamId((*stream).into());
                    self.events.push_back((id, StackEvent::Message(datagram)));
                }
                CLOSE if known => self.end(id, CloseReason::Graceful),
                ABORT if known => self.end(id, CloseReason::Aborted),
                _ => {}
            }
        }
    }

    fn handle_icmp(&mut self, _now: Instant, _path: Path, _icmp: &Icmp) {}

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Path>> {
        let (peer, packet) = self.packets.pop_front()?;
        out.extend_from_slice(&packet);
        if let Some(id) = self.full.take() {
            self.events.push_back((id, StackEvent::Writable));
        }
        Some(Transmit::message(Path::to(peer)))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_event(&mut self) -> Option<(u8, StackEvent)> {
        self.events.pop_front()
    }

    fn connect(&mut self, _now: Instant, remote: SocketAddr) -> Result<u8, NoRoom> {
        let id = self.next;
        self.next = id.checked_add(1).ok_or(NoRoom)?;
        self.connections.insert(id, remote);
        self.connecting.push(id);
        self.queue(id, CONNECT, StreamId(0), b"");
        Ok(id)
    }

    fn send_with(
        &mut self,
        _now: Instant,
        id: u8,
        fill: &mut Fill<'_>,
    ) -> Result<bool, StackSendError> {
        self.asked += 1;
        if !self.connections.contains_key(&id) {
            return Err(StackSendError::Closed);
        }
        if self.packets.len() >= QUEUE {
            self.full = Some(id);
            return Err(StackSendError::Full);
        }
        let mut message = Vec::new();
        let Some(how) = fill(&mut |_| MESSAGE, &mut message) else {
            return Ok(false);
        };
        if message.len() > MESSAGE {
            return Err(StackSendError::TooBig);
        }
        self.queue(id, DATA, how.stream, &message);
        Ok(true)
    }

    fn takes_early_data(&self) -> bool {
        self.early
    }

    fn max_message(&self, _id: u8) -> usize {
        MESSAGE
    }

    fn close(&mut self, _now: Instant, id: u8) {
        if self.connections.contains_key(&id) {
            self.queue(id, CLOSE, StreamId(0), b"");
            self.end(id, CloseReason::Graceful);
        }
    }

    fn ends_handshake_with_data(&self) -> bool {
        false
    }

    fn abort(&mut self, _now: Instant, id: u8) {
        if self.connections.contains_key(&id) {
            self.queue(id, ABORT, StreamId(0), b"");
            self.end(id, CloseReason::Aborted);
        }
    }
}

/// Says its lines, and tells what it hears. A server answers each line with two of its own. A line
/// that no message holds breaks it off.
#[derive(Debug, Default)]
struct Talker {
    lines: VecDeque<(StreamId, Vec<u8>)>,
    echoes: bool,
    /// How many lines to hear before the end.
    wants: usize,
    events: VecDeque<Told>,
    nap: Option<Instant>,
    closed: bool,
    broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Line(StreamId, Bytes),
    Closed(CloseReason),
    Woken,
}

impl Machine for Talker {
    type Peer = ();
    type Session = ();
    type Event = Told;
    type Command = Vec<u8>;

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<()>) {
        self.wants = self.wants.saturating_sub(1);
        if self.echoes {
            for _ in 0..2 {
                self.lines
                    .push_back((datagram.stream, datagram.payload.to_vec()));
            }
        }
        self.events
            .push_back(Told::Line(datagram.stream, datagram.payload));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.nap.is_some_and(|due| due <= now) {
            self.nap = None;
            self.events.push_back(Told::Woken);
        }
    }

    fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        self.closed = true;
        self.events.push_back(Told::Closed(why));
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn handle_stop(&mut self, _now: Instant) {
        self.wants = 0;
    }

    fn handle_command(&mut self, _now: Instant, (): (), line: Vec<u8>) {
        self.lines.push_back((StreamId(0), line));
    }

    fn poll_transmit(
        &mut self,
        _now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        let (stream, line) = self.lines.pop_front()?;
        if line.len() > limit {
            self.broken = true;
            self.events.push_back(Told::Closed(CloseReason::Failed));
            return None;
        }
        out.extend_from_slice(&line);
        Some(Transmit {
            stream,
            ..Transmit::message(())
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.nap
    }

    fn poll_event(&mut self) -> Option<((), Told)> {
        self.events.pop_front().map(|event| ((), event))
    }

    fn disposition(&self) -> Disposition {
        let done = self.lines.is_empty() && self.wants == 0 && !self.echoes;
        if self.broken {
            Disposition::Abort
        } else if done || self.closed {
            Disposition::Close
        } else {
            Disposition::Open
        }
    }
}

/// What happened on each connection, by the port of its peer.
type Heard = Arc<Mutex<BTreeMap<u16, Vec<Told>>>>;

/// The application: notes what happens, and says more where a test wants it.
#[derive(Debug)]
struct Notes {
    heard: Heard,
    port: u16,
}

impl Application<Talker> for Notes {
    fn run(&mut self, now: Instant, machine: &mut Talker) -> Option<Instant> {
        while let Some(((), told)) = machine.poll_event() {
            if told == Told::Line(StreamId(0), Bytes::from_static(b"panic")) {
                panic!("a test asked for this");
            }
            if told == Told::Line(StreamId(0), Bytes::from_static(b"more")) {
                machine.handle_command(now, (), b"here is more".to_vec());
            }
            let mut heard = self.heard.lock().unwrap();
            heard.entry(self.port).or_default().push(told);
        }
        None
    }
}

type ToyHost = Host<Toy, Box<dyn FnMut(Instant, SocketAddr) -> (Talker, Notes)>>;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The ports of the two hosts.
const CLIENT: u16 = 1;
const SERVER: u16 = 2;

/// Two hosts, and what is heard on them: on the client by connection, on the server by peer.
struct Pair {
    client: ToyHost,
    server: ToyHost,
    at_client: Heard,
    at_server: Heard,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        Self::with(Limits::default(), |_| {})
    }

    fn with(limits: Limits, prepare: impl Fn(&mut Talker) + 'static) -> Self {
        let (at_client, at_server) = (Heard::default(), Heard::default());
        let heard = Arc::clone(&at_server);
        let service = move |_now: Instant, peer: SocketAddr| {
            let mut talker = Talker {
                echoes: true,
                ..Talker::default()
            };
            prepare(&mut talker);
            let notes = Notes {
                heard: Arc::clone(&heard),
                port: peer.port(),
            };
            (talker, notes)
        };
        Self {
            client: Host::client(Toy::default(), limits),
            server: Host::server(Toy::default(), Box::new(service), limits),
            at_client,
            at_server,
            now: start(),
        }
    }

    /// Carries packets to and fro until nobody has any.
    fn carry(&mut self) {
        let now = self.now;
        while carry_one_way(now, &mut self.client, &mut self.server, CLIENT)
            | carry_one_way(now, &mut self.server, &mut self.client, SERVER)
        {}
    }

    fn begin(&mut self, id: u8, talker: Talker) {
        let notes = Notes {
            heard: Arc::clone(&self.at_client),
            port: id.into(),
        };
        self.client.begin(self.now, id, talker, notes);
    }

    /// A connection that `talker` runs on.
    fn connect(&mut self, talker: Talker) -> u8 {
        let id = self.client.connect(self.now, address(SERVER)).unwrap();
        assert_eq!(self.client.progress(id), Progress::Pending);
        self.carry();
        assert_eq!(self.client.progress(id), Progress::Connected);
        self.begin(id, talker);
        self.carry();
        id
    }

    fn at_client(&self, id: u8) -> Vec<Told> {
        let heard = self.at_client.lock().unwrap();
        heard.get(&id.into()).cloned().unwrap_or_default()
    }

    fn at_server(&self) -> Vec<Told> {
        let heard = self.at_server.lock().unwrap();
        heard.get(&CLIENT).cloned().unwrap_or_default()
    }
}

fn carry_one_way(now: Instant, from: &mut ToyHost, to: &mut ToyHost, port: u16) -> bool {
    let mut packet = Vec::new();
    let mut moved = false;
    while from.poll_transmit(now, 1500, &mut packet).is_some() {
        let payload = Bytes::from(std::mem::take(&mut packet));
        to.handle_datagram(now, Datagram::message(Path::to(address(port)), payload));
        moved = true;
    }
    moved
}

fn talker(lines: &[(u16, &[u8])]) -> Talker {
    Talker {
        lines: lines
            .iter()
            .map(|(stream, line)| (StreamId(*stream), line.to_vec()))
            .collect(),
        wants: lines.len() * 2,
        ..Talker::default()
    }
}

/// Says `line` and does not end by itself.
fn patient(line: &[u8]) -> Talker {
    Talker {
        wants: 1000,
        ..talker(&[(0, line)])
    }
}

fn line(text: &'static [u8]) -> Told {
    Told::Line(StreamId(0), Bytes::from_static(text))
}

#[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_machine_runs_on_each_connection_and_a_full_queue_loses_nothing() {
    let mut pair = Pair::new();
    let lines: Vec<(u16, Vec<u8>)> = (0..20).map(|n| (n % 3, vec![n as u8; 50])).collect();
    let lines: Vec<(u16, &[u8])> = lines.iter().map(|(s, l)| (*s, l.as_slice())).collect();
    let a = pair.connect(talker(&lines));
    let b = pair.connect(talker(&lines[..1]));
    let (a, b) = (pair.at_client(a), pair.at_client(b));
    assert_eq!((a.len(), b.len()), (40, 2));
    for (n, (stream, line)) in lines.iter().enumerate() {
        let expected = Told::Line(StreamId(*stream), Bytes::copy_from_slice(line));
        assert_eq!(a[2 * n], expected);
        assert_eq!(a[2 * n + 1], expected);
    }
    assert_eq!(pair.client.disposition(), Disposition::Close);
    assert_eq!(pair.server.disposition(), Disposition::Open);
    assert!(pair.server.connections.is_empty());
    assert_eq!(pair.server.deadlines.next(), None);
    let tally = pair.server.tally();
    assert_eq!((tally.served().accepted, tally.running()), (2, 0));
}

#[test]
fn what_ends_a_machine_as_it_is_polled_is_told() {
    let mut pair = Pair::new();
    let id = pair.connect(talker(&[(0, &[0; MESSAGE + 1])]));
    assert_eq!(pair.at_client(id), [Told::Closed(CloseReason::Failed)]);
}

#[test]
fn a_train_for_one_connection_is_settled_once() {
    let mut pair = Pair::new();
    let id = pair.connect(patient(b"hello"));
    let packet = [DATA, id, 0, b'x', b'y'];
    let train = Datagram {
        segment_size: NonZeroUsize::new(packet.len()),
        ..Datagram::message(Path::to(address(CLIENT)), packet.repeat(45).into())
    };
    let asked = pair.server.stack.asked;
    pair.server.handle_datagram(pair.now, train);
    assert_eq!(
        (pair.server.touched.len(), pair.server.stack.asked),
        (1, asked)
    );
    pair.carry();
    assert_eq!(pair.at_server().len(), 46);
    // Two lines for each; the stack takes them as fast as it sends, two at a time.
    assert!(pair.server.stack.asked - asked <= 3 * 90);
    assert_eq!(pair.at_client(id).len(), 2 * 46);
}

#[test]
fn an_application_answers_what_its_machine_tells() {
    let mut pair = Pair::new();
    pair.connect(patient(b"more"));
    assert_eq!(pair.at_server()[0], line(b"more"));
    assert_eq!(pair.at_client(0)[2], line(b"here is more"));
}

#[test]
fn a_deadline_wakes_its_own_connection_only() {
    let mut pair = Pair::new();
    let second = Duration::from_secs(1);
    let a = pair.connect(patient(b"hello"));
    let napping = Talker {
        nap: Some(pair.now + second),
        ..patient(b"hello")
    };
    let b = pair.connect(napping);
    assert_eq!(pair.client.poll_timeout(), Some(pair.now + second));
    pair.client.handle_timeout(pair.now);
    pair.now += second;
    pair.client.handle_timeout(pair.now);
    assert_eq!(pair.client.touched, [b]);
    pair.carry();
    assert_eq!(pair.at_client(b).last(), Some(&Told::Woken));
    assert_eq!(pair.at_client(a).len(), 2);
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn nothing_is_sent_on_an_early_connection_before_its_application_is_there() {
    let mut pair = Pair::new();
    let talker = talker(&[(0, b"early")]);
    let id = pair
        .client
        .connect_with(pair.now, address(SERVER), talker)
        .unwrap();
    pair.carry();
    assert_eq!(pair.client.progress(id), Progress::Connected);
    assert_eq!(pair.at_server(), []);
    let notes = Notes {
        heard: Arc::clone(&pair.at_client),
        port: id.into(),
    };
    pair.client.attach(id, notes);
    pair.carry();
    assert!(pair.at_server().contains(&line(b"early")));
}

#[test]
fn a_refused_connection_is_told_and_gone() {
    let mut pair = Pair::new();
    pair.server.stack.refuses = true;
    let id = pair.client.connect(pair.now, address(SERVER)).unwrap();
    pair.carry();
    assert_eq!(pair.client.progress(id), Progress::Refused(Refusal::Busy));
    assert_eq!(pair.client.disposition(), Disposition::Close);
    assert_eq!(pair.server.tally().served().accepted, 0);
}

#[test]
fn the_end_of_the_socket_ends_every_connection() {
    let mut pair = Pair::new();
    let a = pair.connect(patient(b"hello"));
    let b = pair.connect(patient(b"hello"));
    let pending = pair.client.connect(pair.now, address(SERVER)).unwrap();
    pair.client.handle_closed(pair.now, CloseReason::Refused);
    for id in [a, b] {
        let ended = Told::Closed(CloseReason::Refused);
        assert_eq!(pair.at_client(id).last(), Some(&ended));
    }
    let refusal = Progress::Refused(Refusal::NobodyListens);
    assert_eq!(pair.client.progress(pending), refusal);
    pair.carry();
    assert_eq!(pair.client.disposition(), Disposition::Close);
}

#[test]
fn a_cut_tells_every_peer_before_the_host_is_done() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        pair.connect(patient(b"hello"));
    }
    pair.server.handle_closed(pair.now, CloseReason::Cancelled);
    assert_eq!(pair.server.disposition(), Disposition::Open);
    pair.carry();
    assert_eq!(pair.server.disposition(), Disposition::Close);
    for id in 0..3 {
        let ended = Told::Closed(CloseReason::Aborted);
        assert_eq!(pair.at_client(id).last(), Some(&ended));
    }
    assert_eq!(
        pair.server.tally().served(),
        Served {
            accepted: 3,
            cut: 3
        }
    );
}

#[test]
fn a_stopped_server_takes_no_more_connections() {
    let mut pair = Pair::new();
    let id = pair.connect(patient(b"hello"));
    pair.server.handle_stop(pair.now);
    let late = pair.client.connect(pair.now, address(SERVER)).unwrap();
    pair.carry();
    assert!(!pair.client.connections.contains_key(&late));
    assert_eq!(pair.server.disposition(), Disposition::Open);
    pair.client.handle_stop(pair.now);
    pair.carry();
    assert_eq!(pair.at_client(id).len(), 2);
    assert_eq!(
        pair.at_server().last(),
        Some(&Told::Closed(CloseReason::Graceful))
    );
    assert_eq!(pair.server.disposition(), Disposition::Close);
}

#[test]
fn a_panic_ends_its_own_connection_only() {
    let mut pair = Pair::new();
    let a = pair.connect(patient(b"hello"));
    let b = pair.connect(patient(b"panic"));
    assert_eq!(pair.server.take_panics(), 1);
    assert_eq!(pair.server.take_panics(), 0);
    assert_eq!(pair.at_client(b), [Told::Closed(CloseReason::Aborted)]);
    assert_eq!(pair.at_client(a).len(), 2);
    assert_eq!(pair.server.tally().running(), 1);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let limits = Limits::default();
    let mut pair = Pair::with(limits, |_| {});
    let id = pair.connect(patient(b"hello"));
    // The socket takes nothing either, so the stack's queue stays full.
    let datagram = |message: &[u8]| {
        let packet = [&[DATA, id, 0], message].concat();
        Datagram::message(Path::to(address(CLIENT)), packet.into())
    };
    pair.server.handle_datagram(pair.now, datagram(b"1"));
    pair.server.handle_datagram(pair.now, datagram(b"2"));
    pair.server.poll_transmit(pair.now, 1500, &mut Vec::new());
    let due = pair.server.poll_timeout().unwrap();
    assert_eq!(due, pair.now + limits.stall);
    pair.now = due;
    pair.server.handle_timeout(pair.now);
    pair.carry();
    assert_eq!(
        pair.at_server().last(),
        Some(&Told::Closed(CloseReason::Stalled))
    );
    assert_eq!(
        pair.at_client(id).last(),
        Some(&Told::Closed(CloseReason::Aborted))
    );
    assert!(pair.server.connections.is_empty());
}

#[test]
fn se3_a_request_travels_with_the_handshake_and_the_answer_is_kept_for_the_application() {
    let mut pair = Pair::new();
    pair.client.stack.early = true;
    let first = talker(&[(0, b"early")]);
    let remote = address(SERVER);
    let id = pair.client.connect_with(pair.now, remote, first).unwrap();
    // It is on its way before the client knows that the connection is made.
    carry_one_way(pair.now, &mut pair.client, &mut pair.server, CLIENT);
    assert_eq!(pair.client.progress(id), Progress::Pending);
    let early = Told::Line(StreamId(0), Bytes::from_static(b"early"));
    pair.carry();
    assert_eq!(pair.at_server(), std::slice::from_ref(&early));
    assert_eq!(pair.client.progress(id), Progress::Connected);
    // It is done, but nobody has heard of it: the end goes out with the application.
    let mut out = Vec::new();
    let polled = pair.client.poll_transmit(pair.now, 1500, &mut out);
    assert_eq!(polled, None);
    let notes = Notes {
        heard: Arc::clone(&pair.at_client),
        port: id.into(),
    };
    pair.client.attach(id, notes);
    pair.carry();
    assert_eq!(pair.at_client(id), [early.clone(), early]);
    assert_eq!(pair.client.disposition(), Disposition::Close);
}

#[test]
fn a_refused_connection_takes_its_early_message_with_it() {
    let mut pair = Pair::new();
    (pair.client.stack.early, pair.server.stack.refuses) = (true, true);
    let first = talker(&[(0, b"early")]);
    let remote = address(SERVER);
    let id = pair.client.connect_with(pair.now, remote, first).unwrap();
    pair.carry();
    assert_eq!(pair.client.progress(id), Progress::Refused(Refusal::Busy));
    assert_eq!(pair.client.disposition(), Disposition::Close);
    assert_eq!(pair.at_server(), []);
}

#[test]
fn ht11_a_peer_that_began_anew_meets_a_new_session() {
    let mut pair = Pair::new();
    let id = pair.connect(patient(b"old"));
    let events = &mut pair.server.stack.events;
    let remote = address(CLIENT);
    let streams = STREAMS;
    events.push_back((id, StackEvent::Restarted));
    events.push_back((id, StackEvent::Connected { remote, streams }));
    let message = Datagram::message((), Bytes::from_static(b"new"));
    events.push_back((id, StackEvent::Message(message)));
    pair.server.handle_timeout(pair.now);
    pair.carry();
    let line = |text: &'static [u8]| Told::Line(StreamId(0), Bytes::from_static(text));
    let told = [
        line(b"old"),
        Told::Closed(CloseReason::Aborted),
        line(b"new"),
    ];
    assert_eq!(pair.at_server(), told);
    assert_eq!(pair.server.tally().served().accepted, 2);
    assert_eq!(pair.server.tally().running(), 1);
    // A client cannot go on: what it asked for is lost.
    let events = &mut pair.client.stack.events;
    events.push_back((id, StackEvent::Restarted));
    pair.client.handle_timeout(pair.now);
    pair.carry();
    let heard = pair.at_client(id);
    assert_eq!(heard.last(), Some(&Told::Closed(CloseReason::Aborted)));
    assert_eq!(pair.client.disposition(), Disposition::Close);
}
