//! One association (RFC 9260): its states, its paths, and the data both ways.

pub mod congestion;
mod ecn;
mod flight;
mod handshake;
mod heartbeat;
mod inbound;
mod loss;
mod mtu;
mod outbound;
pub(crate) mod paths;
mod reassembly;
mod receive;
mod receiver;
mod rto;
mod sack;
mod send;
mod shutdown;
mod state;
mod stats;
mod timers;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

pub(crate) use handshake::Peer;
pub use inbound::OVERHEAD;
pub(crate) use state::{Setup, State};
pub use stats::{PathStats, Stats, StreamStats};

use self::ecn::Ecn;
use self::flight::{Flight, Range};
use self::inbound::Inbound;
use self::outbound::Outbound;
use self::paths::{Condition, PathState, Paths};
use self::receiver::Receiver;
use self::timers::{PathTimer, Timer, Timers};
use crate::Config;
use crate::cause::Cause;
use crate::chunk::{ChunkType, put_with_parameters};
use crate::hmac::Random;
use crate::packet::{self, Header};
use crate::tsn::Tsn;
use crate::types::{AssociationId, CloseReason, Event, Path, PathChange, SendError, SendOptions};

/// What an association borrows of its endpoint.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) random: &'a mut Random,
}

impl Context<'_> {
    /// A TSN to begin with.
    pub(crate) fn initial_tsn(&mut self) -> Tsn {
        let random = Tsn::new(self.random.u32());
        self.config.initial_tsn.unwrap_or(random)
    }
}

/// A control chunk that waits to be sent, and on which path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Init,
    CookieEcho,
    CookieAck,
    /// A whole ERROR chunk.
    Error(Bytes),
    Heartbeat {
        nonce: u64,
    },
    /// A HEARTBEAT that PAD makes as large as the packets it probes for.
    Probe {
        nonce: u64,
        size: usize,
    },
    /// The peer's parameters, unchanged.
    HeartbeatAck(Bytes),
    Shutdown,
    ShutdownAck,
}

/// Control chunks that wait at most: more come only from a peer that floods.
const MAX_CONTROL: usize = 32;

/// Whether the peer's window must be probed (RFC 9260 §6.1 A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WindowProbe {
    None,
    /// Until the timer expires.
    Waiting,
    Allowed,
}

/// An association.
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) id: AssociationId,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// The tag of packets to this end, and to the peer; 0 while it is not known.
    pub(crate) local_tag: u32,
    pub(crate) peer_tag: u32,
    /// Nonces that stand for both tags in cookies (RFC 5062 §3).
    pub(crate) ties: (u32, u32),
    pub(crate) state: State,
    pub(crate) paths: Paths,
    initial_tsn: Tsn,
    receiver: Receiver,
    inbound: Inbound,
    inbound_streams: u16,
    outbound: Outbound,
    flight: Flight,
    peer_window: u32,
    window_probe: WindowProbe,
    /// A SACK came since the last T3-rtx expiry.
    heard: bool,
    next_packet: u64,
    /// The first packet with DATA of those that were polled last, if there was one.
    first_polled: u64,
    forward_tsn: bool,
    ecn: Ecn,
    control: VecDeque<(usize, Control)>,
    /// Where the last DATA came from: there SACKs go (RFC 9260 §6.4).
    sack_path: usize,
    /// Where the peer's last packet came from: the path that is known to work.
    heard_on: usize,
    /// Where the last SHUTDOWN or SHUTDOWN ACK went.
    end_path: usize,
    timers: Timers,
    /// Errors in a row on all paths (RFC 9260 §8.1).
    errors: u32,
    /// The last packet of a closed association.
    farewell: Option<(Path, Vec<u8>)>,
    is_settled: bool,
    scratch: Scratch,
    counts: stats::Counts,
    /// When the endpoint will look at the timers.
    pub(crate) scheduled: Option<Instant>,
    /// The endpoint has it in its queue for transmits, and for events.
    pub(crate) in_transmit_queue: bool,
    pub(crate) in_event_queue: bool,
}

/// Lists that live longer than the calls that use them, so that they are allocated once.
#[derive(Debug, Default)]
struct Scratch {
    blocks: Vec<Range>,
    fresh: Vec<Range>,
    reneged: Vec<Range>,
    lost: Vec<Tsn>,
}

impl Association {
    /// An association that begins with an INIT to the first path.
    pub(crate) fn connect(
        cx: &mut Context<'_>,
        now: Instant,
        id: AssociationId,
        paths: &[Path],
        ports: (u16, u16),
        local_tag: u32,
    ) -> Self {
        let initial_tsn = cx.initial_tsn();
        let mut association = Self::new(cx, id, paths, ports, local_tag, initial_tsn);
        association.state = State::CookieWait(Setup {
            began: Some(now),
            ..Setup::default()
        });
        association.push_control(0, Control::Init);
        association.arm_setup(now);
        association
    }

    fn new(
        cx: &mut Context<'_>,
        id: AssociationId,
        paths: &[Path],
        (local_port, remote_port): (u16, u16),
        local_tag: u32,
        initial_tsn: Tsn,
    ) -> Self {
        let config = cx.config;
        // Addresses that the application names are confirmed (RFC 9260 §5.4).
        let mut states = paths
            .iter()
            .map(|path| PathState::new(config, *path, Condition::Active));
        let first = states
            .next()
            .expect("the endpoint checks that there is a path");
        let mut list = Paths::new(first);
        for path in states.take(config.max_paths - 1) {
            if list.find(path.path.remote.ip()).is_none() {
                list.push(path);
            }
        }
        Self {
            id,
            local_port,
            remote_port,
            local_tag,
            peer_tag: 0,
            ties: (cx.random.u32(), cx.random.u32()),
            state: State::CookieWait(Setup::default()),
            paths: list,
            initial_tsn,
            receiver: Receiver::new(Tsn::default(), config.receive_buffer),
            inbound: Inbound::new(config.partial_delivery_point),
            inbound_streams: config.inbound_streams,
            outbound: Outbound::new(
                config.outbound_streams,
                config.stream_send_buffer,
                config.send_buffer,
                config.max_message,
            ),
            flight: Flight::new(initial_tsn),
            peer_window: 0,
            window_probe: WindowProbe::None,
            heard: false,
            next_packet: 1,
            first_polled: 1,
            forward_tsn: false,
            ecn: Ecn::default(),
            control: VecDeque::new(),
            sack_path: 0,
            heard_on: 0,
            end_path: 0,
            timers: Timers::default(),
            errors: 0,
            farewell: None,
            is_settled: true,
            scratch: Scratch::default(),
            counts: stats::Counts::default(),
            scheduled: None,
            in_transmit_queue: false,
            in_event_queue: false,
        }
    }

    /// The header of packets to the peer.
    pub(crate) const fn header(&self) -> Header {
        Header {
            source_port: self.local_port,
            destination_port: self.remote_port,
            tag: self.peer_tag,
        }
    }

    fn push_control(&mut self, path: usize, control: Control) {
        if self.control.len() < MAX_CONTROL {
            self.control.push_back((path, control));
        }
    }

    /// Queues a control chunk that must be there once only.
    fn push_control_once(&mut self, path: usize, control: Control) {
        self.control.retain(|(_, waiting)| *waiting != control);
        self.control.push_front((path, control));
    }

    /// Queues an ERROR chunk with this cause.
    fn push_error(&mut self, path: usize, cause: &Cause<'_>) {
        let mut chunk = Vec::new();
        put_with_parameters(&mut chunk, ChunkType::ERROR, 0, 0, |out| cause.encode(out));
        self.push_control(path, Control::Error(chunk.into()));
    }

    pub(crate) fn pop_event(&mut self) -> Option<Event> {
        let event = self.inbound.pop_event()?;
        self.update_window();
        Some(event)
    }

    pub(crate) fn has_events(&self) -> bool {
        self.inbound.has_events()
    }

    /// The window to advertise: what is left of the buffer (RFC 9260 §6.2.1).
    fn window(&self, config_buffer: u32) -> u32 {
        let held = u32::try_from(self.inbound.held()).unwrap_or(u32::MAX);
        config_buffer.saturating_sub(held)
    }

    /// Notes that the application took something.
    fn update_window(&mut self) {
        let buffer = self.counts.buffer;
        if self.state.takes_data() && self.receiver.is_update_due(self.window(buffer), buffer) {
            self.receiver.sack_now();
        }
    }

    /// Stops or goes on to hand up messages.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.inbound.is_paused = paused;
    }

    /// Takes a message to send.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        how: SendOptions,
        message: Bytes,
    ) -> Result<(), SendError> {
        if !self.state.takes_messages() {
            return Err(SendError::Closed);
        }
        self.outbound.send(how, message)?;
        self.is_settled = false;
        let current = self.paths.current;
        self.paths[current].on_idle(now);
        self.paths[current].last_data = Some(now);
        Ok(())
    }

    /// How long a message a stream takes now.
    pub(crate) fn room(&self, stream: u16) -> Result<usize, SendError> {
        if !self.state.takes_messages() {
            return Err(SendError::Closed);
        }
        self.outbound.room(stream)
    }

    /// As [`Self::room`]; that there is room again will be told.
    pub(crate) fn room_or_wait(&mut self, stream: u16) -> Result<usize, SendError> {
        let room = self.room(stream);
        if room == Err(SendError::Full) {
            self.outbound.wait(stream);
        }
        room
    }

    fn poll_writable(&mut self) {
        while let Some(stream) = self.outbound.poll_writable() {
            if self.state.takes_messages() {
                self.inbound.push_event(Event::Writable { stream });
            }
        }
    }

    pub(crate) fn path_event(&mut self, path: usize, change: PathChange) {
        let path = self.paths[path].path;
        self.inbound.push_event(Event::PathChange { path, change });
    }

    /// The socket did not take the last packets to this address: they were too large.
    pub(crate) fn on_rejected(&mut self, now: Instant, address: IpAddr, limit: usize) {
        let Some(path) = self.paths.find(address) else {
            return;
        };
        if self.paths[path].mtu.on_rejected(limit) {
            self.on_packet_size(path);
        }
        self.lose_unsent(now);
    }

    /// A router on the way to this path's address takes no larger packets. What it dropped is known
    /// to be lost by what follows, as any loss.
    pub(crate) fn on_too_big(&mut self, path: usize, limit: usize) {
        if self.paths[path].mtu.set_limit(limit) {
            self.on_packet_size(path);
        }
    }

    /// Makes an address of the peer the primary path, if it has that address.
    pub(crate) fn set_primary(&mut self, cx: &mut Context<'_>, now: Instant, address: IpAddr) {
        if let Some(path) = self.paths.find(address) {
            self.paths.primary = path;
            self.choose_path(cx, now);
        }
    }

    /// Ends the association with an ABORT to the peer.
    pub(crate) fn abort(&mut self, cause: &Cause<'_>, reason: CloseReason) {
        if self.state.is_closed() {
            return;
        }
        // In COOKIE-WAIT the peer's tag is unknown, and it keeps no state.
        if self.peer_tag != 0 {
            let mut out = Vec::new();
            self.header().encode(&mut out);
            put_with_parameters(&mut out, ChunkType::ABORT, 0, 0, |out| cause.encode(out));
            packet::finish(&mut out, 0);
            self.farewell = Some((self.paths[self.path_to_end_on()].path, out));
        }
        self.close(reason);
    }

    fn violate(&mut self, text: &'static str) {
        self.abort(
            &Cause::ProtocolViolation(text),
            CloseReason::ProtocolViolation,
        );
    }

    /// Everything ends; the application is told why.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.state.is_closed() {
            return;
        }
        self.state = State::Closed;
        self.timers.clear();
        for path in self.paths.iter_mut() {
            path.timers.clear();
        }
        self.control.clear();
        self.inbound.is_paused = false;
        self.inbound.push_event(Event::Closed(reason));
    }

    /// The last packet of a closed association.
    pub(crate) fn take_farewell(&mut self) -> Option<(Path, Vec<u8>)> {
        self.farewell.take()
    }

    /// The earliest deadline of all timers.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let paths = self.paths.iter().filter_map(|path| path.timers.next());
        paths.chain(self.timers.next()).min()
    }

    /// Runs the timers that are due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>, now: Instant) {
        if self.timers.expire(Timer::Setup, now) {
            self.on_setup_timeout(cx, now);
        }
        if self.timers.expire(Timer::Shutdown, now) {
            self.on_shutdown_timeout(cx, now);
        }
        if self.timers.expire(Timer::Guard, now) {
            self.abort(
                &Cause::UserAbort(b"shutdown guard"),
                CloseReason::Unreachable,
            );
        }
        if self.timers.expire(Timer::Sack, now) {
            self.receiver.on_delay();
        }
        for path in 0..self.paths.len() {
            self.handle_path_timeout(cx, now, path);
        }
    }

    fn handle_path_timeout(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        let expired =
            |association: &mut Self, timer| association.paths[path].timers.expire(timer, now);
        if expired(self, PathTimer::Retransmit) {
            self.on_retransmit_timeout(cx, now, path);
        }
        if expired(self, PathTimer::Loss) {
            self.detect_losses(now);
        }
        if expired(self, PathTimer::Tail) {
            self.on_tail_timeout(cx, now, path);
        }
        if expired(self, PathTimer::Beat) {
            self.on_beat_timeout(cx, now, path);
        }
        if expired(self, PathTimer::Heartbeat) {
            self.on_heartbeat_timer(cx, now, path);
        }
        if expired(self, PathTimer::Mtu) {
            self.on_mtu_timer(cx, now, path);
        }
        // Pace: that the endpoint looks for transmits is all there is to do.
        let _ = expired(self, PathTimer::Pace);
    }
}

/// Bytes of an association and its first path, without what they point to.
#[cfg(test)]
pub(crate) const SIZE: usize = size_of::<Association>() + size_of::<PathState>();
