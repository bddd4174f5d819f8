//! Many associations on one packet socket.

mod connections;
mod icmp;
mod limiter;
mod outside;
mod setup;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use self::connections::Connections;
use self::limiter::Limiter;
use crate::Config;
use crate::association::{Association, Context, Stats, StreamStats};
use crate::cause::Cause;
use crate::chunk::{Chunk, ChunkType, RawChunk};
use crate::cookie::Jar;
use crate::crc32c;
use crate::hmac::{Key, Random};
use crate::packet::{Chunks, Header};
use crate::types::{
    AssociationId, CloseReason, ConnectError, Datagram, Ecn, Event, Path, PathChange, SendError,
    SendOptions, Transmit,
};

/// Ports that a client's association gets (RFC 6335 §6, dynamic ports).
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// Many associations on one packet socket, listener and client at once.
///
/// See the [crate's page](crate) for the contract.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    random: Random,
    jar: Jar,
    connections: Connections,
    /// Answers that belong to no association.
    replies: VecDeque<(Path, Vec<u8>)>,
    /// Events of associations that are over.
    events: VecDeque<(AssociationId, Event)>,
    /// Associations that may have something to send, and something to tell.
    to_transmit: VecDeque<u32>,
    to_tell: VecDeque<u32>,
    limiter: Limiter,
    /// Whose packets were polled last, and where to.
    polled: Option<(AssociationId, IpAddr)>,
    counts: EndpointStats,
}

/// What an endpoint counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Associations there are.
    pub associations: usize,
    /// Packets that were taken.
    pub packets: u64,
    /// Packets with a wrong checksum.
    pub wrong_checksums: u64,
    /// Packets that could not be read.
    pub malformed: u64,
    /// Packets that belong to no association.
    pub out_of_the_blue: u64,
    /// Packets whose tag was not that of their association.
    pub wrong_tags: u64,
    /// Cookies that were not ours, or not for this peer.
    pub wrong_cookies: u64,
    /// Answers that were not given because there were too many.
    pub dropped_replies: u64,
}

impl Endpoint {
    /// An endpoint. Equal seeds and inputs give equal packets.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let config = config.checked();
        let root = Key::new(&seed);
        let mut random = Random::new(Key::new(&root.mac(&[b"numbers"])));
        Self {
            limiter: Limiter::new(random.u64()),
            jar: Jar::new(&config, Key::new(&root.mac(&[b"cookies"]))),
            random,
            config,
            connections: Connections::default(),
            replies: VecDeque::new(),
            events: VecDeque::new(),
            to_transmit: VecDeque::new(),
            to_tell: VecDeque::new(),
            polled: None,
            counts: EndpointStats::default(),
        }
    }

    /// Takes a packet or a train from the network.
    pub fn handle_packet(&mut self, now: Instant, datagram: Datagram) {
        let train = datagram.payload.len();
        let marked = datagram.ecn == Ecn::Ce;
        let Some(segment) = datagram.segment_size else {
            if let Some(slot) = self.handle_one(now, datagram.path, &datagram.payload, marked) {
                self.after_train(slot, train);
            }
            return;
        };
        let mut last = None;
        let mut rest = datagram.payload;
        while !rest.is_empty() {
            let packet = rest.split_to(segment.get().min(rest.len()));
            let slot = self.handle_one(now, datagram.path, &packet, marked);
            if slot != last {
                if let Some(last) = last {
                    self.after_train(last, train);
                }
                last = slot;
            }
        }
        if let Some(last) = last {
            self.after_train(last, train);
        }
    }

    fn after_train(&mut self, slot: u32, train: usize) {
        if let Some(association) = self.connections.at(slot) {
            association.end_train(train);
        }
        self.settle(slot);
    }

    /// Takes one packet. Returns the association that it was for.
    fn handle_one(
        &mut self,
        now: Instant,
        path: Path,
        packet: &Bytes,
        marked: bool,
    ) -> Option<u32> {
        self.counts.packets += 1;
        if !crc32c::is_right(packet) {
            self.counts.wrong_checksums += 1;
            return None;
        }
        let Ok(header) = Header::decode(packet) else {
            self.counts.malformed += 1;
            return None;
        };
        let mut chunks = Chunks::of(packet);
        let Some(Ok(first)) = chunks.next() else {
            self.counts.malformed += 1;
            return None;
        };
        if first.kind == ChunkType::INIT {
            let alone = chunks.next().is_none();
            if header.tag == 0 && alone {
                return self.handle_init(now, path, &header, first);
            }
            // RFC 9260 §8.5.1 A
            self.counts.malformed += 1;
            return None;
        }
        if first.kind == ChunkType::COOKIE_ECHO {
            let slot = self.handle_cookie_echo(now, path, &header, first)?;
            self.pass(now, slot, path, packet, chunks, marked);
            return Some(slot);
        }
        let Some(slot) = self.find(path, &header) else {
            return self.handle_unmatched(now, path, &header, packet);
        };
        match first.kind {
            ChunkType::INIT_ACK => {
                let index = self.path_index(slot, path)?;
                let (association, mut cx) = self.borrow(slot)?;
                association.handle_init_ack(&mut cx, now, index, first);
            }
            ChunkType::SHUTDOWN_COMPLETE | ChunkType::ABORT => {
                self.handle_end(slot, packet, false);
            }
            ChunkType(_) => {
                // An ABORT behind other chunks ends the association all the same.
                if contains_abort(packet) {
                    self.handle_end(slot, packet, false);
                } else {
                    self.follow_port(slot, path);
                    self.pass(now, slot, path, packet, Chunks::of(packet), marked);
                }
            }
        }
        Some(slot)
    }

    /// The association of a packet with its tag (RFC 9260 §8.5): the tag is ours, and ports and
    /// address are the peer's.
    fn find(&mut self, path: Path, header: &Header) -> Option<u32> {
        let slot = self.connections.by_tag(header.tag)?;
        let association = self.connections.at(slot)?;
        let fits = association.local_port == header.destination_port
            && association.remote_port == header.source_port
            && association.paths.find(path.remote.ip()).is_some();
        fits.then_some(slot)
    }

    fn path_index(&mut self, slot: u32, path: Path) -> Option<usize> {
        self.connections.at(slot)?.paths.find(path.remote.ip())
    }

    fn borrow(&mut self, slot: u32) -> Option<(&mut Association, Context<'_>)> {
        let association = self.connections.at(slot)?;
        let cx = Context {
            config: &self.config,
            random: &mut self.random,
        };
        Some((association, cx))
    }

    /// Gives the chunks of a packet to their association.
    fn pass(
        &mut self,
        now: Instant,
        slot: u32,
        path: Path,
        packet: &Bytes,
        chunks: Chunks<'_>,
        marked: bool,
    ) {
        let Some(index) = self.path_index(slot, path) else {
            return;
        };
        if let Some((association, mut cx)) = self.borrow(slot) {
            association.handle_packet(&mut cx, now, index, packet, chunks, marked);
        }
    }

    /// RFC 6951 §5.4: the peer's UDP port follows its packets, once the tag is known to be right.
    /// Its address never does.
    fn follow_port(&mut self, slot: u32, path: Path) {
        let Some(association) = self.connections.at(slot) else {
            return;
        };
        let Some(index) = association.paths.find(path.remote.ip()) else {
            return;
        };
        let known = &mut association.paths[index].path;
        if known.local.is_none() {
            known.local = path.local;
        }
        if known.remote.port() != path.remote.port() {
            let old = *known;
            known.remote.set_port(path.remote.port());
            let new = *known;
            let ports = (association.local_port, association.remote_port);
            association.path_event(index, PathChange::PortMoved);
            self.connections
                .move_address(slot, old.remote, new.remote, ports);
        }
    }

    /// Takes ABORT or SHUTDOWN COMPLETE. `reflected`: the packet's tag is the peer's, so that the
    /// T bit must be set; else it must not (RFC 9260 §8.5.1 B, C).
    fn handle_end(&mut self, slot: u32, packet: &Bytes, reflected: bool) {
        for raw in Chunks::of(packet).map_while(Result::ok) {
            let Some(association) = self.connections.at(slot) else {
                return;
            };
            match Chunk::decode(raw) {
                Ok(Chunk::Abort {
                    reflected: t,
                    causes,
                }) if t == reflected => {
                    // RFC 9260 §3.3.7: an ABORT with a format error is discarded.
                    if causes.is_well_formed() {
                        association.handle_abort(causes.first());
                    }
                    return;
                }
                Ok(Chunk::ShutdownComplete { reflected: t }) if t == reflected => {
                    association.handle_shutdown_complete();
                    return;
                }
                _ => {}
            }
        }
    }

    /// After an association was touched: its deadline, its place in the queues, its end.
    fn settle(&mut self, slot: u32) {
        self.connections.schedule(slot);
        let Some(association) = self.connections.at(slot) else {
            return;
        };
        if association.state.is_closed() {
            let id = association.id;
            if let Some(farewell) = association.take_farewell() {
                self.replies.push_back(farewell);
            }
            while let Some(event) = association.pop_event() {
                self.events.push_back((id, event));
            }
            self.connections.remove(slot);
            return;
        }
        if !association.in_transmit_queue {
            association.in_transmit_queue = true;
            self.to_transmit.push_back(slot);
        }
        if !association.in_event_queue && association.has_events() {
            association.in_event_queue = true;
            self.to_tell.push_back(slot);
        }
    }

    /// Tells that the time [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(slot) = self.connections.pop_due(now) {
            if let Some((association, mut cx)) = self.borrow(slot) {
                association.handle_timeout(&mut cx, now);
            }
            self.settle(slot);
        }
    }

    /// When to call [`Self::handle_timeout`]. It may be earlier than anything is due, never later.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.connections.next_due()
    }

    /// Tells that the packets polled last were not sent: the path takes at most `limit` bytes. What
    /// they held is sent again at once, and what is cut from now on is smaller. A DATA chunk that was
    /// cut for larger packets cannot be cut again (RFC 9260 §6.9): it goes alone, in a packet that
    /// IP may fragment ([`Transmit::may_fragment`]).
    pub fn handle_rejected(&mut self, now: Instant, limit: usize) {
        let Some((id, address)) = self.polled else {
            return;
        };
        if let Some(association) = self.connections.named(id) {
            association.on_rejected(now, address, limit);
            self.settle(id.slot);
        }
    }

    /// Appends the next packet, or a train of them, to `out`. `limit`: the largest packet in bytes
    /// that the socket takes, at least 512.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        while let Some((path, packet)) = self.replies.pop_front() {
            self.polled = None;
            if packet.len() <= limit {
                out.extend_from_slice(&packet);
                return Some(Transmit {
                    path,
                    ecn: Ecn::NotEct,
                    segment_size: None,
                    may_fragment: false,
                });
            }
        }
        while let Some(slot) = self.to_transmit.pop_front() {
            let Some((association, mut cx)) = self.borrow(slot) else {
                continue;
            };
            association.in_transmit_queue = false;
            let transmit = association.poll_transmit(&mut cx, now, limit, out);
            if let Some(transmit) = &transmit {
                self.polled = Some((association.id, transmit.path.remote.ip()));
                // Behind the others: they have their turn.
                self.settle(slot);
                return Some(*transmit);
            }
            let tells = association.has_events() && !association.in_event_queue;
            if tells {
                association.in_event_queue = true;
                self.to_tell.push_back(slot);
            }
            self.connections.schedule(slot);
        }
        None
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<(AssociationId, Event)> {
        while let Some(slot) = self.to_tell.front().copied() {
            if let Some(association) = self.connections.at(slot).filter(|it| it.in_event_queue) {
                if let Some(event) = association.pop_event() {
                    let id = association.id;
                    if !association.in_transmit_queue {
                        // The window may have grown.
                        association.in_transmit_queue = true;
                        self.to_transmit.push_back(slot);
                    }
                    return Some((id, event));
                }
                association.in_event_queue = false;
            }
            self.to_tell.pop_front();
        }
        self.events.pop_front()
    }

    /// Begins an association with a peer at these addresses; the first one is tried first, and is
    /// the primary path. `port`: the peer's SCTP port. Messages may be given at once: they travel
    /// with the COOKIE ECHO.
    ///
    /// # Errors
    ///
    /// When there is no address, or no room for another association.
    pub fn connect(
        &mut self,
        now: Instant,
        paths: &[Path],
        port: u16,
    ) -> Result<AssociationId, ConnectError> {
        let first = paths.first().ok_or(ConnectError::NoAddress)?;
        let local_port = self.free_port(*first, port).ok_or(ConnectError::TooMany)?;
        self.connect_from(now, local_port, paths, port)
    }

    /// Begins an association as [`Self::connect`] does, from this SCTP port, which may be the one
    /// that is listened on.
    ///
    /// # Errors
    ///
    /// When there is no address, no room for another association, or the port is in use towards
    /// this peer.
    pub fn connect_from(
        &mut self,
        now: Instant,
        local_port: u16,
        paths: &[Path],
        port: u16,
    ) -> Result<AssociationId, ConnectError> {
        let first = paths
            .first()
            .filter(|_| port != 0 && local_port != 0)
            .ok_or(ConnectError::NoAddress)?;
        if self.connections.len() >= self.config.max_associations {
            return Err(ConnectError::TooMany);
        }
        if self
            .connections
            .by_address(first.remote, (local_port, port))
            .is_some()
        {
            return Err(ConnectError::PortInUse);
        }
        let tag = self.free_tag();
        let id = self.connections.next_id();
        let mut cx = Context {
            config: &self.config,
            random: &mut self.random,
        };
        let association = Association::connect(&mut cx, now, id, paths, (local_port, port), tag);
        self.connections.insert(association);
        self.settle(id.slot);
        Ok(id)
    }

    /// A port that no association with this peer has.
    fn free_port(&mut self, path: Path, port: u16) -> Option<u16> {
        let range = u32::from(u16::MAX - FIRST_DYNAMIC_PORT) + 1;
        let start = self.random.u32() % range;
        let mut ports = (0..range).map(|step| {
            let offset = u16::try_from((start + step) % range).unwrap_or_default();
            FIRST_DYNAMIC_PORT + offset
        });
        ports.find(|local| {
            Some(*local) != self.config.listen
                && self
                    .connections
                    .by_address(path.remote, (*local, port))
                    .is_none()
        })
    }

    /// A tag that no association has.
    fn free_tag(&mut self) -> u32 {
        loop {
            let tag = self.random.nonzero();
            if self.connections.by_tag(tag).is_none() {
                return tag;
            }
        }
    }

    /// Takes a message to send.
    ///
    /// # Errors
    ///
    /// Every error leaves the message unsent.
    pub fn send(
        &mut self,
        now: Instant,
        id: AssociationId,
        how: SendOptions,
        message: Bytes,
    ) -> Result<(), SendError> {
        let association = self.connections.named(id).ok_or(SendError::Closed)?;
        let sent = association.send(now, how, message);
        self.settle(id.slot);
        sent
    }

    /// Sends one message that `fill` makes: it appends at most as many bytes as it is told.
    /// `Ok(None)`: `fill` had nothing. [`SendError::Full`]: `fill` was not called.
    ///
    /// # Errors
    ///
    /// Every error means that nothing was sent.
    pub fn send_with<T>(
        &mut self,
        now: Instant,
        id: AssociationId,
        how: SendOptions,
        fill: impl FnOnce(usize, &mut Vec<u8>) -> Option<T>,
    ) -> Result<Option<T>, SendError> {
        let association = self.connections.named(id).ok_or(SendError::Closed)?;
        let room = association.room_or_wait(how.stream)?;
        let mut message = Vec::new();
        let Some(told) = fill(room, &mut message) else {
            return Ok(None);
        };
        self.send(now, id, how, message.into())?;
        Ok(Some(told))
    }

    /// The longest message in bytes that a stream takes now; 0 if none.
    pub fn max_message(&self, id: AssociationId, stream: u16) -> usize {
        let association = self.connections.look(id);
        association.map_or(0, |association| association.room(stream).unwrap_or(0))
    }

    /// As [`Self::max_message`], for a sender: where it is 0 because of what waits,
    /// [`Event::Writable`] tells when there is room again.
    pub fn room(&mut self, id: AssociationId, stream: u16) -> usize {
        let association = self.connections.named(id);
        association.map_or(0, |association| {
            association.room_or_wait(stream).unwrap_or(0)
        })
    }

    /// Stops handing up messages of an association, or goes on to. What comes meanwhile is held,
    /// and the window that the peer is told shrinks.
    pub fn set_paused(&mut self, id: AssociationId, paused: bool) {
        if let Some(association) = self.connections.named(id) {
            association.set_paused(paused);
            self.settle(id.slot);
        }
    }

    /// Ends an association in good order: what was sent is still delivered. [`Event::Closed`] tells
    /// when that is done, or given up.
    pub fn close(&mut self, now: Instant, id: AssociationId) {
        if let Some(association) = self.connections.named(id) {
            association.shut_down(&self.config, now);
            self.settle(id.slot);
        }
    }

    /// Ends an association at once, with an ABORT that tells the peer `reason` (RFC 9260 §3.3.10.12;
    /// its first 256 bytes).
    pub fn abort(&mut self, now: Instant, id: AssociationId, reason: &[u8]) {
        let _ = now;
        if let Some(association) = self.connections.named(id) {
            let reason = &reason[..reason.len().min(256)];
            association.abort(&Cause::UserAbort(reason), CloseReason::Aborted);
            self.settle(id.slot);
        }
    }

    /// Makes the address the primary path, if the peer has it.
    pub fn set_primary(&mut self, now: Instant, id: AssociationId, address: IpAddr) {
        if let Some((association, mut cx)) = self
            .connections
            .named(id)
            .is_some()
            .then(|| self.borrow(id.slot))
            .flatten()
        {
            association.set_primary(&mut cx, now, address);
            self.settle(id.slot);
        }
    }

    /// What is known of an association.
    pub fn stats(&self, id: AssociationId) -> Option<Stats> {
        Some(self.connections.look(id)?.stats())
    }

    /// What one stream of an association carried.
    pub fn stream_stats(&self, id: AssociationId, stream: u16) -> Option<StreamStats> {
        Some(self.connections.look(id)?.stream_stats(stream))
    }

    /// What the endpoint counted.
    pub fn endpoint_stats(&self) -> EndpointStats {
        EndpointStats {
            associations: self.connections.len(),
            ..self.counts
        }
    }
}

fn contains_abort(packet: &[u8]) -> bool {
    let mut chunks = Chunks::of(packet).map_while(Result::ok);
    chunks.any(|raw: RawChunk<'_>| raw.kind == ChunkType::ABORT)
}
