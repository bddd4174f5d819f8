//! A host over a stack of a few lines: a packet is a kind, a connection number and a message.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::machine::{CloseReason, Datagram, Disposition, Machine, StreamId, Transmit};

use super::{Accept, Host};
use crate::stack::{ConnectRefused, Stack, StackEvent, StackSendError};

const CONNECT: u8 = 0;
const DATA: u8 = 1;
const CLOSE: u8 = 2;
const ABORT: u8 = 3;

/// How many packets a connection may have queued.
const QUEUE: usize = 2;

#[derive(Debug, Default)]
struct Toy {
    connections: BTreeMap<u8, SocketAddr>,
    next: u8,
    packets: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<(u8, StackEvent)>,
    full: Option<u8>,
}

impl Toy {
    fn queue(&mut self, id: u8, kind: u8, stream: StreamId, message: &[u8]) {
        let mut packet = vec![kind, id, u8::try_from(stream.0).unwrap()];
        packet.extend_from_slice(message);
        self.packets.push_back((self.connections[&id], packet));
    }

    fn end(&mut self, id: u8, why: CloseReason) {
        self.connections.remove(&id);
        self.events.push_back((id, StackEvent::Closed(why)));
    }
}

impl Stack for Toy {
    type Id = u8;

    fn handle_packet(&mut self, _now: Instant, packet: Datagram<SocketAddr>) {
        let [kind, id, stream, ref message @ ..] = packet.payload[..] else {
            return;
        };
        let known = self.connections.contains_key(&id);
        match kind {
            CONNECT if !known => {
                self.connections.insert(id, packet.peer);
                let remote = packet.peer;
                self.events
                    .push_back((id, StackEvent::Connected { remote }));
            }
            DATA if known => {
                let mut datagram = Datagram::message((), Bytes::copy_from_slice(message));
                datagram.stream = StreamId(stream.into());
                self.events.push_back((id, StackEvent::Message(datagram)));
            }
            CLOSE if known => self.end(id, CloseReason::Graceful),
            ABORT if known => self.end(id, CloseReason::Aborted),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<SocketAddr>> {
        let (peer, packet) = self.packets.pop_front()?;
        out.extend_from_slice(&packet);
        if let Some(id) = self.full.take() {
            self.events.push_back((id, StackEvent::Writable));
        }
        Some(Transmit::message(peer))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_event(&mut self) -> Option<(u8, StackEvent)> {
        self.events.pop_front()
    }

    fn connect(&mut self, _now: Instant, remote: SocketAddr) -> Result<u8, ConnectRefused> {
        let id = self.next;
        self.next += 1;
        self.connections.insert(id, remote);
        self.queue(id, CONNECT, StreamId(0), b"");
        self.events
            .push_back((id, StackEvent::Connected { remote }));
        Ok(id)
    }

    fn send(
        &mut self,
        _now: Instant,
        id: u8,
        how: &Transmit<()>,
        message: &[u8],
    ) -> Result<(), StackSendError> {
        if !self.connections.contains_key(&id) {
            return Err(StackSendError::Closed);
        }
        if message.len() > self.max_message(id) {
            return Err(StackSendError::TooBig);
        }
        if self.packets.len() >= QUEUE {
            self.full = Some(id);
            return Err(StackSendError::Full);
        }
        self.queue(id, DATA, how.stream, message);
        Ok(())
    }

    fn max_message(&self, _id: u8) -> usize {
        100
    }

    fn close(&mut self, _now: Instant, id: u8) {
        if self.connections.contains_key(&id) {
            self.queue(id, CLOSE, StreamId(0), b"");
            self.end(id, CloseReason::Graceful);
        }
    }

    fn abort(&mut self, _now: Instant, id: u8) {
        if self.connections.contains_key(&id) {
            self.queue(id, ABORT, StreamId(0), b"");
            self.end(id, CloseReason::Aborted);
        }
    }
}

/// Says its lines, and tells what it hears. A server answers each line with two of its own.
#[derive(Debug, Default)]
struct Talker {
    lines: VecDeque<(StreamId, Vec<u8>)>,
    echoes: bool,
    /// How many lines to hear before the end.
    wants: usize,
    events: VecDeque<Heard>,
    nap: Option<Instant>,
    closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Line(StreamId, Bytes),
    Closed(CloseReason),
    Woken,
}

impl Machine for Talker {
    type Peer = ();
    type Session = ();
    type Event = Heard;
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
            .push_back(Heard::Line(datagram.stream, datagram.payload));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.nap.is_some_and(|due| due <= now) {
            self.nap = None;
            self.events.push_back(Heard::Woken);
        }
    }

    fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        self.closed = true;
        self.events.push_back(Heard::Closed(why));
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn handle_stop(&mut self, _now: Instant) {}

    fn handle_command(&mut self, _now: Instant, (): (), line: Vec<u8>) {
        self.lines.push_back((StreamId(0), line));
    }

    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        let (stream, line) = self.lines.pop_front()?;
        out.extend_from_slice(&line);
        Some(Transmit {
            stream,
            ..Transmit::message(())
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.nap
    }

    fn poll_event(&mut self) -> Option<((), Heard)> {
        self.events.pop_front().map(|event| ((), event))
    }

    fn disposition(&self) -> Disposition {
        let done = self.lines.is_empty() && self.wants == 0 && !self.echoes;
        if done || self.closed {
            Disposition::Close
        } else {
            Disposition::Open
        }
    }
}

struct Echoes;

impl Accept for Echoes {
    type Machine = Talker;

    fn accept(&mut self, _now: Instant, _remote: SocketAddr) -> Option<Talker> {
        Some(Talker {
            echoes: true,
            ..Talker::default()
        })
    }
}

type ToyHost = Host<Toy, Echoes>;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Carries packets to and fro until nobody has any.
fn carry(now: Instant, client: &mut ToyHost, server: &mut ToyHost) {
    while carry_one_way(now, client, server, 1) | carry_one_way(now, server, client, 2) {}
}

fn carry_one_way(now: Instant, from: &mut ToyHost, to: &mut ToyHost, port: u16) -> bool {
    let mut packet = Vec::new();
    let mut moved = false;
    while from.poll_transmit(now, 1500, &mut packet).is_some() {
        let payload = Bytes::from(std::mem::take(&mut packet));
        to.handle_datagram(now, Datagram::message(address(port), payload));
        moved = true;
    }
    moved
}

fn hosts() -> (ToyHost, ToyHost) {
    (
        Host::client(Toy::default(), Echoes),
        Host::server(Toy::default(), Echoes),
    )
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

#[expect(clippy::disallowed_methods, reason = "some instant to begin with")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_machine_runs_on_each_connection_and_a_full_queue_loses_nothing() {
    let now = start();
    let (mut client, mut server) = hosts();
    let lines: Vec<(u16, Vec<u8>)> = (0..20).map(|n| (n % 3, vec![n as u8; 50])).collect();
    let lines: Vec<(u16, &[u8])> = lines.iter().map(|(s, l)| (*s, l.as_slice())).collect();
    let a = client.connect(now, address(2), talker(&lines)).unwrap();
    let b = client
        .connect(now, address(2), talker(&lines[..1]))
        .unwrap();
    carry(now, &mut client, &mut server);
    let mut heard: BTreeMap<u8, Vec<Heard>> = BTreeMap::new();
    while let Some(((id, ()), event)) = client.poll_event() {
        heard.entry(id).or_default().push(event);
    }
    assert_eq!((heard[&a].len(), heard[&b].len()), (41, 3));
    for (n, (stream, line)) in lines.iter().enumerate() {
        let expected = Heard::Line(StreamId(*stream), Bytes::copy_from_slice(line));
        assert_eq!(heard[&a][2 * n], expected);
        assert_eq!(heard[&a][2 * n + 1], expected);
    }
    assert_eq!(heard[&b][2], Heard::Closed(CloseReason::Graceful));
    assert_eq!(client.disposition(), Disposition::Close);
    assert_eq!(server.disposition(), Disposition::Open);
    while server.poll_event().is_some() {}
    assert!(server.connections.is_empty() && server.timers.is_empty());
}

#[test]
fn commands_go_to_the_session_they_name_and_timers_wake_theirs_only() {
    let now = start();
    let later = now + Duration::from_secs(1);
    let (mut client, mut server) = hosts();
    let patient = || Talker {
        wants: 9,
        ..Talker::default()
    };
    let a = client.connect(now, address(2), patient()).unwrap();
    let napping = Talker {
        nap: Some(later),
        ..patient()
    };
    let b = client.connect(now, address(2), napping).unwrap();
    client.handle_command(now, (a, ()), b"hello".to_vec());
    carry(now, &mut client, &mut server);
    let line = Heard::Line(StreamId(0), Bytes::from_static(b"hello"));
    assert_eq!(client.poll_event(), Some(((a, ()), line.clone())));
    assert_eq!(client.poll_event(), Some(((a, ()), line)));
    assert_eq!(client.poll_event(), None);
    assert_eq!(client.poll_timeout(), Some(later));
    client.handle_timeout(later);
    assert_eq!(client.poll_event(), Some(((b, ()), Heard::Woken)));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn the_end_of_the_socket_ends_every_connection() {
    let now = start();
    let (mut client, mut server) = hosts();
    client.connect(now, address(2), talker(&[])).unwrap();
    let patient = Talker {
        wants: 1,
        ..Talker::default()
    };
    let b = client.connect(now, address(2), patient).unwrap();
    carry(now, &mut client, &mut server);
    client.handle_closed(now, CloseReason::Failed);
    let mut ends = Vec::new();
    while let Some((session, event)) = client.poll_event() {
        ends.push((session, event));
    }
    assert!(ends.contains(&((b, ()), Heard::Closed(CloseReason::Failed))));
    assert_eq!(client.disposition(), Disposition::Close);
}
