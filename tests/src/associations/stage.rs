//! Two endpoints without a network between them, brought into any state of an association.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp::chunk::{Chunk, ChunkType};
use sctp::packet::{Chunks, Header};
use sctp::{AssociationId, Config, Datagram, Endpoint, Event, Path, SendOptions};

use super::{PORT, UDP_PORT, config};
use crate::netsim::address;
use crate::pair::epoch;
use crate::transcript::Side;

/// The states of RFC 9260 §4, with who is in them here. In CLOSED it is the server that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum State {
    Closed,
    CookieWait,
    CookieEchoed,
    EstablishedClient,
    EstablishedServer,
    /// Established, with data under way from the one who receives.
    Sending,
    ShutdownPending,
    ShutdownSent,
    ShutdownReceived,
    ShutdownAckSent,
}

impl State {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::Closed,
        Self::CookieWait,
        Self::CookieEchoed,
        Self::EstablishedClient,
        Self::EstablishedServer,
        Self::Sending,
        Self::ShutdownPending,
        Self::ShutdownSent,
        Self::ShutdownReceived,
        Self::ShutdownAckSent,
    ];

    /// Which end is in it.
    pub const fn side(self) -> Side {
        match self {
            Self::CookieWait
            | Self::CookieEchoed
            | Self::EstablishedClient
            | Self::ShutdownPending
            | Self::ShutdownSent => Side::Client,
            Self::Closed
            | Self::EstablishedServer
            | Self::Sending
            | Self::ShutdownReceived
            | Self::ShutdownAckSent => Side::Server,
        }
    }
}

/// Two endpoints, and what is known of them by their packets.
pub struct Stage {
    /// What time it is.
    pub now: Instant,
    /// The client and the server.
    pub ends: [Endpoint; 2],
    /// Their ids of the association, once they have one.
    pub ids: [Option<AssociationId>; 2],
    /// The tags of packets to each.
    pub tags: [u32; 2],
    /// The client's SCTP port.
    pub client_port: u16,
    /// Bytes of messages that came to each.
    pub received: [u64; 2],
    /// Associations that ended at each.
    pub closed: [u32; 2],
    out: Vec<u8>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("tags", &self.tags)
            .field("received", &self.received)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// The UDP address of an end.
pub const fn address_of(side: Side) -> SocketAddr {
    address(index(side) as u8 + 1, UDP_PORT)
}

impl Stage {
    /// Two endpoints that know nothing of each other.
    pub fn new(client: Config, server: Config, seed: u8) -> Self {
        Self {
            now: epoch(),
            ends: [
                Endpoint::new(client, [seed; 32]),
                Endpoint::new(server, [!seed; 32]),
            ],
            ids: [None; 2],
            tags: [0; 2],
            client_port: 0,
            received: [0; 2],
            closed: [0; 2],
            out: Vec::with_capacity(1 << 16),
        }
    }

    /// Two endpoints with one of them in that state.
    pub fn at(state: State, seed: u8) -> Self {
        let mut stage = Self::new(config(Side::Client), config(Side::Server), seed);
        stage.bring_to(state);
        stage
    }

    fn bring_to(&mut self, state: State) {
        let (client, server) = (Side::Client, Side::Server);
        if state == State::Closed {
            return;
        }
        self.connect();
        let init = self.poll(client);
        if state == State::CookieWait {
            return;
        }
        self.deliver_all(client, init);
        let answer = self.poll(server);
        self.deliver_all(server, answer);
        if state == State::CookieEchoed {
            self.poll(client);
            return;
        }
        self.exchange();
        match state {
            State::Sending => {
                self.send(server, 0, 4000);
                self.poll(server);
            }
            State::ShutdownPending => {
                self.send(client, 0, 4000);
                self.poll(client);
                self.close(client);
            }
            State::ShutdownSent => {
                self.close(client);
                self.poll(client);
            }
            State::ShutdownReceived => {
                self.send(server, 0, 4000);
                self.poll(server);
                self.close(client);
                let shutdown = self.poll(client);
                self.deliver_all(client, shutdown);
            }
            State::ShutdownAckSent => {
                self.close(client);
                let shutdown = self.poll(client);
                self.deliver_all(client, shutdown);
                self.poll(server);
            }
            State::Closed
            | State::CookieWait
            | State::CookieEchoed
            | State::EstablishedClient
            | State::EstablishedServer => {}
        }
    }

    /// The client begins an association.
    ///
    /// # Panics
    ///
    /// If it has no room.
    pub fn connect(&mut self) {
        let to = Path {
            local: None,
            remote: address_of(Side::Server),
        };
        let id = self.ends[0].connect(self.now, &[to], PORT);
        self.ids[0] = Some(id.expect("there is room"));
    }

    /// Sends a message, if it is taken.
    pub fn send(&mut self, side: Side, stream: u16, length: usize) {
        let Some(id) = self.ids[index(side)] else {
            return;
        };
        let how = SendOptions {
            stream,
            ..SendOptions::default()
        };
        let message = vec![7; length];
        let _ = self.ends[index(side)].send(self.now, id, how, message.into());
    }

    /// Ends the association in good order.
    pub fn close(&mut self, side: Side) {
        if let Some(id) = self.ids[index(side)] {
            self.ends[index(side)].close(self.now, id);
        }
    }

    /// All packets that a side has to send.
    pub fn poll(&mut self, side: Side) -> Vec<Bytes> {
        self.take_events(side);
        let mut packets = Vec::new();
        loop {
            self.out.clear();
            let end = &mut self.ends[index(side)];
            let transmit = end.poll_transmit(self.now, 1472, &mut self.out);
            self.take_events(side);
            let Some(transmit) = transmit else {
                return packets;
            };
            let train = Bytes::copy_from_slice(&self.out);
            let size = transmit.segment_size.map_or(train.len(), NonZeroUsize::get);
            for from in (0..train.len()).step_by(size.max(1)) {
                let packet = train.slice(from..train.len().min(from + size));
                self.note(side, &packet);
                packets.push(packet);
            }
        }
    }

    /// Learns tags and ports.
    fn note(&mut self, side: Side, packet: &[u8]) {
        let (Ok(header), Some(Ok(first))) = (Header::decode(packet), Chunks::of(packet).next())
        else {
            return;
        };
        if let Ok(Chunk::Init(init) | Chunk::InitAck(init)) = Chunk::decode(first) {
            self.tags[index(side)] = init.initiate_tag;
        }
        if side == Side::Client && first.kind == ChunkType::INIT {
            self.client_port = header.source_port;
        }
    }

    /// The header of packets from that side, as it should be.
    pub const fn header(&self, from: Side) -> Header {
        let (source_port, destination_port) = match from {
            Side::Client => (self.client_port, PORT),
            Side::Server => (PORT, self.client_port),
        };
        Header {
            source_port,
            destination_port,
            tag: self.tags[index(from.other())],
        }
    }

    /// Gives a packet to the other side of `from`.
    pub fn deliver(&mut self, from: Side, packet: Bytes) {
        self.deliver_from(address_of(from), from.other(), packet);
    }

    /// Gives a packet that comes from `source` to a side.
    pub fn deliver_from(&mut self, source: SocketAddr, to: Side, payload: Bytes) {
        let datagram = Datagram {
            path: Path {
                local: None,
                remote: source,
            },
            ecn: sctp::Ecn::NotEct,
            segment_size: None,
            payload,
        };
        self.ends[index(to)].handle_packet(self.now, datagram);
        self.take_events(to);
    }

    fn deliver_all(&mut self, from: Side, packets: Vec<Bytes>) {
        for packet in packets {
            self.deliver(from, packet);
        }
    }

    /// Packets go to and fro until there are none; time stands still.
    pub fn exchange(&mut self) {
        for _ in 0..1000 {
            let (up, down) = (self.poll(Side::Client), self.poll(Side::Server));
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.deliver_all(Side::Client, up);
            self.deliver_all(Side::Server, down);
        }
    }

    /// Time goes on to the next timer, if there is one, by `most` at most.
    pub fn wait(&mut self, most: Duration) -> bool {
        let due = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
        let Some(due) = due.filter(|due| *due <= self.now + most) else {
            self.now += most;
            return false;
        };
        self.now = due.max(self.now);
        for end in &mut self.ends {
            end.handle_timeout(self.now);
        }
        true
    }

    /// Both ends close; runs until no association is left.
    ///
    /// # Panics
    ///
    /// If that does not come about.
    pub fn finish(&mut self) {
        self.close(Side::Client);
        self.close(Side::Server);
        for _ in 0..5000 {
            self.exchange();
            let left = self
                .ends
                .iter()
                .map(|end| end.endpoint_stats().associations);
            if left.sum::<usize>() == 0 {
                return;
            }
            self.wait(Duration::from_secs(600));
        }
        panic!("an association that does not end");
    }

    fn take_events(&mut self, side: Side) {
        while let Some((id, event)) = self.ends[index(side)].poll_event() {
            match event {
                Event::Connected { .. } => self.ids[index(side)] = Some(id),
                Event::Message { payload, .. } => {
                    self.received[index(side)] += payload.len() as u64;
                }
                Event::Closed(_) => self.closed[index(side)] += 1,
                Event::MessageCut { .. }
                | Event::Writable { .. }
                | Event::Settled
                | Event::PathChange { .. }
                | Event::PeerRestarted
                | Event::PeerClosing => {}
            }
        }
    }
}
