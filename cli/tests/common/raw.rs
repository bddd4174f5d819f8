//! A client that sends what it likes, over SCTP in UDP.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::machine::{Datagram, StreamId, Transmit};
use transport::{CloseReason, Path, Refusal, SctpClient, SctpStack, Stack, StackEvent};

use super::Server;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An association with a server.
pub(crate) struct Association {
    stack: SctpStack,
    id: <SctpStack as Stack>::Id,
    socket: UdpSocket,
    server: SocketAddr,
    /// What came and was not looked at.
    pub(crate) events: Vec<StackEvent>,
}

/// An answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed(CloseReason),
    Refused(Refusal),
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).expect(&self.head);
        status.parse().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

impl Association {
    /// Begins one; whether it comes about is seen in what it gives.
    pub(crate) fn begin(server: &Server, seed: u8) -> Self {
        let client = SctpClient {
            udp_port: Some(server.udp_port),
            ..SctpClient::default()
        };
        let mut stack = SctpStack::new(sctp::Config::default(), [seed; 32], client);
        let id = stack.connect(Instant::now(), server.address).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        Self {
            stack,
            id,
            socket,
            server: SocketAddr::new(server.address.ip(), server.udp_port),
            events: Vec::new(),
        }
    }

    /// Begins one and waits until it is there.
    pub(crate) fn connect(server: &Server, seed: u8) -> Self {
        let mut new = Self::begin(server, seed);
        new.wait(|event| matches!(event, StackEvent::Connected { .. }));
        new
    }

    pub(crate) fn send(&mut self, message: &[u8]) {
        let sent = self
            .stack
            .send_with(Instant::now(), self.id, &mut |_, out| {
                out.extend_from_slice(message);
                Some(Transmit::message(()))
            });
        assert_eq!(sent, Ok(true));
        self.flush();
    }

    /// Sends what the stack has.
    fn flush(&mut self) {
        let mut out = Vec::new();
        while let Some(transmit) = self.stack.poll_transmit(Instant::now(), 1400, &mut out) {
            let size = transmit.segment_size.map_or(out.len(), usize::from);
            for packet in out.chunks(size.max(1)) {
                self.socket.send_to(packet, self.server).unwrap();
            }
            out.clear();
        }
    }

    /// Lets the stack work for a moment.
    fn turn(&mut self) {
        self.flush();
        let mut packet = [0; 65536];
        match self.socket.recv_from(&mut packet) {
            Ok((length, _)) => {
                let path = Path::to(self.server);
                let payload = Bytes::copy_from_slice(&packet[..length]);
                let packet = Datagram::message(path, payload);
                self.stack.handle_packet(Instant::now(), packet);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
        let now = Instant::now();
        if self.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.stack.handle_timeout(now);
        }
        while let Some((_, event)) = self.stack.poll_event() {
            self.events.push(event);
        }
        self.flush();
    }

    /// Waits for an event that `wanted` is true of; it and what came before are taken.
    pub(crate) fn wait(&mut self, wanted: impl Fn(&StackEvent) -> bool) -> Vec<StackEvent> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.events.iter().position(&wanted) {
                return self.events.drain(..=at).collect();
            }
            assert!(Instant::now() < deadline, "{:?}", self.events);
            self.turn();
        }
    }

    /// Whether the end came and was not looked at.
    pub(crate) fn is_over(&mut self) -> bool {
        for _ in 0..5 {
            self.turn();
        }
        self.events
            .iter()
            .any(|event| matches!(event, StackEvent::Closed(_) | StackEvent::Refused(_)))
    }

    /// Waits for the end, and gives all messages of stream 0 that came until then.
    pub(crate) fn end(&mut self) -> (Vec<Bytes>, End) {
        let events =
            self.wait(|event| matches!(event, StackEvent::Closed(_) | StackEvent::Refused(_)));
        let mut messages = Vec::new();
        let mut end = None;
        for event in events {
            match event {
                StackEvent::Message(datagram) if datagram.stream == StreamId(0) => {
                    messages.push(datagram.payload);
                }
                StackEvent::Closed(why) => end = Some(End::Closed(why)),
                StackEvent::Refused(why) => end = Some(End::Refused(why)),
                _ => {}
            }
        }
        (messages, end.unwrap())
    }
}

/// Sends one message on an association of its own, and gives what is answered.
pub(crate) fn ask(server: &Server, message: &[u8]) -> Answer {
    let mut association = Association::connect(server, 7);
    association.send(message);
    let (messages, end) = association.end();
    Answer {
        head: String::from_utf8(
            messages
                .first()
                .map(|head| head.to_vec())
                .unwrap_or_default(),
        )
        .unwrap(),
        body: messages.get(1..).unwrap_or_default().concat(),
        end,
    }
}
