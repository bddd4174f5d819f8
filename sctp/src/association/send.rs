//! What leaves next: control chunks, SACKs and DATA in packets and trains (RFC 9260 §6.1, §6.10).

use std::num::NonZeroUsize;
use std::time::Instant;

use super::flight::{Sent, Standing};
use super::receiver::Due;
use super::timers::PathTimer;
use super::{Association, Context, Control, State, WindowProbe, heartbeat};
use crate::chunk::{ChunkType, Data, put, put_empty, put_tsn};
use crate::packet::{self, Header};
use crate::tsn::Tsn;
use crate::types::{Ecn, Transmit};

/// Bytes of a SHUTDOWN.
const SHUTDOWN_LEN: usize = 8;

/// Chunks that are kept for retransmission at most; gap blocks reach as far again.
const MAX_CHUNKS: u32 = 32_767;

/// Bytes of user data for which a message is cut to fill a packet.
const SMALLEST_CUT: usize = 64;

/// Bytes of the longest train, which UDP carries as one datagram would be.
const MAX_TRAIN_BYTES: usize = 65_000;

/// What the packet under way may still take.
#[derive(Clone, Copy, Debug)]
struct Packet {
    start: usize,
    /// Bytes of the largest packet on this path.
    size: usize,
    path: usize,
    takes_data: bool,
    /// Whether packets of the same train are before it.
    follows: bool,
}

/// Whether a control chunk found its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// Others may follow.
    Yes,
    /// No DATA may follow.
    NoData,
    /// Nothing may follow.
    Alone,
}

impl Association {
    /// Appends the next packet or train to `out`.
    pub(crate) fn poll_transmit(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        loop {
            if self.state.is_closed() {
                return None;
            }
            let waiting = self.control.len();
            let transmit = self.poll_one(cx, now, limit, out);
            // A control chunk that no packet can hold was dropped: what is behind it?
            if transmit.is_some() || self.control.len() == waiting {
                return transmit;
            }
        }
    }

    fn poll_one(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let path = self.next_path(cx, now)?;
        if self.paths[path].mtu.set_limit(limit) {
            self.on_packet_size(path);
        }
        self.first_polled = self.next_packet;
        let start = out.len();
        let mut packet = Packet {
            start,
            size: self.paths[path].mtu.current(),
            path,
            // While the cookie is under way, DATA goes with it or not at all (RFC 9260 §5.1 C).
            takes_data: self.state.sends_data()
                && !self.state.is_setup()
                && path == self.paths.current,
            follows: false,
        };
        self.header().encode(out);
        let again = self.flight.has_lost();
        let alone = self.write_control(cx, limit, out, &mut packet);
        if !alone {
            self.write_sack(cx, out, &packet, 0);
        }
        let mut budget = 0;
        if packet.takes_data && !alone {
            budget = self.budget(cx, now, path);
            if budget > 0 && self.paths[path].has_window() {
                let room = packet.size.saturating_sub(out.len() - start);
                self.ecn.write_cwr(out, room);
            }
            self.fill(cx, now, out, &packet, &mut budget);
        }
        if out.len() == start + Header::LEN {
            out.truncate(start);
            return None;
        }
        packet::finish(out, start);
        let segment = out.len() - start;
        let has_data = self.first_polled != self.next_packet;
        // RFC 3168 §6.1.5: not of what is sent again, so that a mark is of one packet only.
        let ecn = match has_data && !again && !self.state.is_setup() {
            true => self.data_ecn(path, self.first_polled),
            false => Ecn::NotEct,
        };
        let may_fragment = has_data && segment > packet.size;
        if may_fragment {
            // Should the socket not take this either, it is not offered again and again.
            self.first_polled = self.next_packet;
        }
        if segment == packet.size && packet.takes_data && !alone && !self.state.is_setup() {
            self.extend_train(cx, now, out, packet, budget);
        }
        self.after_sent(cx, now, path);
        Some(Transmit {
            path: self.paths[path].path,
            ecn,
            segment_size: NonZeroUsize::new(segment).filter(|_| out.len() - start > segment),
            may_fragment,
        })
    }

    /// Where the next packet goes, if there is anything to send.
    fn next_path(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<usize> {
        if let Some((path, _)) = self.control.front() {
            return Some(*path);
        }
        if self.receiver.due() == Due::Now && self.state.takes_data() {
            return Some(self.sack_path);
        }
        let current = self.paths.current;
        let wanted = self.flight.has_lost() || !self.outbound.is_empty();
        let sends = self.state.sends_data() && !self.state.is_setup();
        let may = wanted && sends && self.paths[current].has_window();
        (may && self.budget(cx, now, current) > 0).then_some(current)
    }

    /// Bytes that pacing lets out now; sets its timer if there are none.
    fn budget(&mut self, cx: &Context<'_>, now: Instant, path: usize) -> usize {
        match self.paths[path].paced(now, cx.config) {
            Ok(bytes) => bytes,
            Err(at) => {
                self.paths[path].timers.set(PathTimer::Pace, at);
                0
            }
        }
    }

    /// Appends the control chunks that wait for this path. Returns whether nothing may follow.
    fn write_control(
        &mut self,
        cx: &Context<'_>,
        limit: usize,
        out: &mut Vec<u8>,
        packet: &mut Packet,
    ) -> bool {
        while let Some((path, control)) = self.control.front() {
            if *path != packet.path {
                break;
            }
            let mark = out.len();
            let first = mark == packet.start + Header::LEN;
            let is_alone = matches!(control, Control::Init | Control::Probe { .. });
            let leads = matches!(control, Control::CookieEcho | Control::CookieAck);
            if !first && (is_alone || leads) {
                // In a packet of its own, after this one.
                return true;
            }
            let Some((_, control)) = self.control.pop_front() else {
                break;
            };
            if first && matches!(control, Control::Shutdown) {
                // The crates dcsctp and sctp-proto do not take a SHUTDOWN for an acknowledgement,
                // and the latter takes it only as the last chunk.
                self.write_sack(cx, out, packet, SHUTDOWN_LEN);
            }
            let written = self.write_one(cx, &control, out, packet.start);
            let length = out.len() - packet.start;
            if length > packet.size && !first {
                out.truncate(mark);
                self.control.push_front((packet.path, control));
                return true;
            }
            if length > limit {
                // No packet can ever hold it.
                out.truncate(mark);
                continue;
            }
            match written {
                Written::Yes => {}
                Written::NoData => packet.takes_data = false,
                Written::Alone => return true,
            }
            packet.takes_data |= matches!(control, Control::CookieEcho);
        }
        false
    }

    fn write_one(
        &mut self,
        cx: &Context<'_>,
        control: &Control,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Written {
        match control {
            Control::Init => {
                // RFC 9260 §8.5.1 A: the tag of a packet with INIT is 0.
                out[start + 4..start + 8].fill(0);
                self.write_init(cx.config, out);
                return Written::Alone;
            }
            Control::CookieEcho => {
                if let State::CookieEchoed(_, cookie) = &self.state {
                    put(out, ChunkType::COOKIE_ECHO, 0, |out| {
                        out.extend_from_slice(cookie)
                    });
                }
            }
            Control::CookieAck => put_empty(out, ChunkType::COOKIE_ACK, 0),
            Control::Error(chunk) => out.extend_from_slice(chunk),
            Control::Heartbeat { nonce } => heartbeat::write(out, *nonce, None),
            Control::Probe { nonce, size } => {
                heartbeat::write(out, *nonce, Some(*size));
                return Written::Alone;
            }
            Control::HeartbeatAck(parameters) => {
                put(out, ChunkType::HEARTBEAT_ACK, 0, |out| {
                    out.extend_from_slice(parameters);
                });
            }
            Control::Shutdown => {
                put_tsn(out, ChunkType::SHUTDOWN, self.receiver.cumulative());
                if self.receiver.is_whole() {
                    self.receiver.on_told();
                }
                return Written::NoData;
            }
            Control::ShutdownAck => {
                put_empty(out, ChunkType::SHUTDOWN_ACK, 0);
                return Written::NoData;
            }
        }
        Written::Yes
    }

    /// Appends a SACK, if one is due or goes along (RFC 9260 §6.1: "SHOULD be bundled").
    /// `reserved`: bytes that are kept for what follows.
    fn write_sack(
        &mut self,
        cx: &Context<'_>,
        out: &mut Vec<u8>,
        packet: &Packet,
        reserved: usize,
    ) {
        let wanted = self.receiver.due() != Due::Nothing && self.state.takes_data();
        let used = out.len() - packet.start + reserved;
        let room = packet.size.saturating_sub(used);
        if !wanted || packet.path != self.sack_path || room < crate::chunk::Sack::LEN {
            return;
        }
        // Before the SACK, which may acknowledge the TSN that it tells.
        let room = room - self.ecn.write_echo(out, room - crate::chunk::Sack::LEN);
        let window = self.window(cx.config.receive_buffer);
        self.receiver.write_sack(out, room, window);
        self.counts.sacks_sent += 1;
        self.timers.stop(super::Timer::Sack);
    }

    /// Appends packets of DATA of the size of the first, as long as they are full.
    fn extend_train(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        out: &mut Vec<u8>,
        mut packet: Packet,
        mut budget: usize,
    ) {
        let first = packet.start;
        packet.follows = true;
        for _ in 1..cx.config.max_train {
            let start = out.len();
            if start + packet.size - first > MAX_TRAIN_BYTES {
                break;
            }
            packet.start = start;
            self.header().encode(out);
            self.fill(cx, now, out, &packet, &mut budget);
            let length = out.len() - start;
            if length == Header::LEN {
                out.truncate(start);
                break;
            }
            packet::finish(out, start);
            if length != packet.size {
                break;
            }
        }
    }

    /// Appends DATA chunks to the packet: what is marked for retransmission first (RFC 9260
    /// §6.1 C), then what is new.
    fn fill(
        &mut self,
        cx: &Context<'_>,
        now: Instant,
        out: &mut Vec<u8>,
        packet: &Packet,
        budget: &mut usize,
    ) {
        if *budget == 0 || !self.paths[packet.path].has_window() {
            return;
        }
        let before = out.len();
        loop {
            let empty = out.len() == packet.start + Header::LEN;
            let room = packet.size.saturating_sub(out.len() - packet.start);
            let alone = empty && !packet.follows;
            let done = match self.flight.next_lost() {
                Some(tsn) => !self.resend(now, tsn, out, packet.path, room, alone),
                None => !self.send_new(cx, now, out, packet.path, room, empty),
            };
            if done {
                break;
            }
        }
        if out.len() > before {
            let length = out.len() - packet.start;
            *budget = budget.saturating_sub(length);
            self.next_packet += 1;
            let path = &mut self.paths[packet.path];
            path.on_packet_sent(length);
            path.last_data = Some(now);
            path.counts.sent_packets += 1;
            path.counts.sent_bytes += length as u64;
        }
    }

    /// Appends a chunk that is marked for retransmission, if it fits or would be `alone`.
    fn resend(
        &mut self,
        now: Instant,
        tsn: Tsn,
        out: &mut Vec<u8>,
        index: usize,
        room: usize,
        alone: bool,
    ) -> bool {
        let interleaved = self.flight.is_interleaved();
        let packet = self.next_packet;
        let Some(sent) = self.flight.find(tsn) else {
            return false;
        };
        let header = Data::header_len(interleaved);
        let size = crate::wire::padded(header + sent.piece.payload.len());
        // One that is larger than the path now takes goes alone, for IP to fragment: it cannot be
        // cut any more (RFC 9260 §6.9).
        if size > room && !alone {
            return false;
        }
        sent.path = index;
        sent.packet = packet;
        sent.at = now;
        sent.transmissions += 1;
        sent.missing = 0;
        self.flight.set_standing(tsn, Standing::InFlight);
        self.flight.encode(tsn, out);
        let path = &mut self.paths[index];
        path.flight += size;
        path.counts.retransmissions += 1;
        true
    }

    /// Appends the next new chunk, if one may be sent and fits.
    fn send_new(
        &mut self,
        cx: &Context<'_>,
        now: Instant,
        out: &mut Vec<u8>,
        index: usize,
        room: usize,
        empty: bool,
    ) -> bool {
        if self.flight.count() >= MAX_CHUNKS || self.flight.bytes >= cx.config.max_outstanding {
            return false;
        }
        let interleaved = self.flight.is_interleaved();
        let header = Data::header_len(interleaved);
        let largest = self.paths.smallest_packet() - Header::LEN - header;
        let Some(room) = room
            .checked_sub(header + 4)
            .map(|room| (room + 4).min(largest))
        else {
            return false;
        };
        let Some(whole) = self.outbound.next_len(usize::MAX) else {
            return false;
        };
        if whole > room && room < SMALLEST_CUT && !empty {
            return false;
        }
        let Some(room) = self.peer_takes(now, index, whole.min(room)) else {
            return false;
        };
        let Some(mut piece) = self.outbound.next(room, interleaved) else {
            return false;
        };
        let length = piece.payload.len();
        let left = (self.peer_window as usize).saturating_sub(self.flight.bytes + length);
        // RFC 7053 §4: when nothing more will come for a while that would bring a SACK.
        let last = self.outbound.is_empty() && matches!(self.state, State::ShutdownPending);
        piece.immediate |= last || left < cx.config.base_packet;
        let sent = Sent {
            piece,
            standing: Standing::InFlight,
            path: index,
            packet: self.next_packet,
            at: now,
            transmissions: 1,
            missing: 0,
        };
        let size = self.flight.size(&sent);
        let tsn = self.flight.push(sent);
        self.flight.encode(tsn, out);
        self.is_settled = false;
        let path = &mut self.paths[index];
        path.flight += size;
        path.timed.get_or_insert(tsn);
        true
    }

    /// How much of `wanted` bytes the peer's window takes (RFC 9260 §6.1 A).
    fn peer_takes(&mut self, now: Instant, index: usize, wanted: usize) -> Option<usize> {
        let window = (self.peer_window as usize).saturating_sub(self.flight.bytes);
        if wanted <= window {
            return Some(wanted);
        }
        // A runt is not sent because the window is small, while something is under way whose SACK
        // will tell more.
        if !self.flight.is_empty() {
            return None;
        }
        if window >= SMALLEST_CUT {
            return Some(window);
        }
        if self.window_probe == WindowProbe::Allowed {
            self.window_probe = WindowProbe::None;
            return Some(wanted);
        }
        if self.window_probe == WindowProbe::None {
            self.window_probe = WindowProbe::Waiting;
            let path = &mut self.paths[index];
            path.timers
                .set(PathTimer::Retransmit, now + path.rto.timeout());
        }
        None
    }

    /// After packets left on a path: its timers run.
    fn after_sent(&mut self, cx: &mut Context<'_>, now: Instant, index: usize) {
        if self.state.is_setup() {
            return;
        }
        let path = &mut self.paths[index];
        if path.flight > 0 {
            if !path.timers.is_set(PathTimer::Retransmit) {
                let at = now + path.rto.timeout();
                path.timers.set(PathTimer::Retransmit, at);
            }
            self.arm_tail(cx.config, now, index);
        }
        self.probe_size(cx, now, index);
        self.poll_writable();
    }
}
