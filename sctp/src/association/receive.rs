//! What a packet of the peer does (RFC 9260 §3.3, §6.2, §6.5 to §6.9).

use std::time::Instant;

use bytes::Bytes;

use super::receiver::Arrival;
use super::timers::Timer;
use super::{Association, Context, State};
use crate::cause::{Cause, CauseCode};
use crate::chunk::{Chunk, ChunkType, Data, ForwardTsn, Interleave, RawChunk};
use crate::packet::{Chunks, DecodeError};
use crate::tsn::Tsn;
use crate::types::CloseReason;
use crate::wire::u32_at;

/// Bytes of an unknown chunk that are sent back in an ERROR at most.
const MAX_REPORT: usize = 512;

/// What the DATA chunks of one packet ask for.
#[derive(Debug, Default)]
struct DataSeen {
    any: bool,
    /// A SACK without delay.
    at_once: bool,
    any_new: bool,
    lowest: Option<Tsn>,
}

impl Association {
    /// Takes a packet whose tag is this association's. `chunks`: what of it is not handled yet.
    /// `marked`: a router that is congested marked it (CE).
    pub(crate) fn handle_packet(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        path: usize,
        packet: &Bytes,
        chunks: Chunks<'_>,
        marked: bool,
    ) {
        self.heard_on = path;
        let mut seen = DataSeen::default();
        for raw in chunks {
            if self.state.is_closed() {
                return;
            }
            let Ok(raw) = raw else {
                break;
            };
            let go_on = match Chunk::decode(raw) {
                Ok(Chunk::Data(data)) => self.on_data(path, &data, packet, &mut seen),
                Ok(chunk) => self.on_control(cx, now, path, &chunk, &mut seen),
                Err(error) => {
                    self.on_malformed(raw, error);
                    true
                }
            };
            if !go_on {
                break;
            }
        }
        if let Some(lowest) = seen.lowest.filter(|_| marked) {
            seen.at_once |= self.ecn.on_marked(lowest);
        }
        if seen.any && !self.state.is_closed() {
            self.after_data(cx, now, path, &seen);
        }
    }

    /// RFC 9260 §3.3.1 wants DATA without user data punished; other malformed chunks are dropped.
    fn on_malformed(&mut self, raw: RawChunk<'_>, error: DecodeError) {
        let is_data = matches!(raw.kind, ChunkType::DATA | ChunkType::I_DATA);
        if is_data && error == DecodeError::NoUserData && self.state.takes_data() {
            let tsn = Tsn::new(u32_at(raw.value(), 0).unwrap_or_default());
            self.abort(&Cause::NoUserData(tsn), CloseReason::ProtocolViolation);
        }
    }

    /// Takes a chunk other than DATA. Returns whether to go on with the packet.
    fn on_control(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        path: usize,
        chunk: &Chunk<'_>,
        seen: &mut DataSeen,
    ) -> bool {
        match chunk {
            Chunk::Sack(sack) => {
                if self.state.takes_sack() {
                    self.on_sack(cx, now, sack);
                }
            }
            Chunk::Heartbeat(parameters) => {
                let answers = matches!(
                    self.state,
                    State::CookieEchoed(..)
                        | State::Established
                        | State::ShutdownPending
                        | State::ShutdownReceived
                );
                if answers {
                    self.on_heartbeat(path, parameters);
                }
            }
            Chunk::HeartbeatAck(parameters) => self.on_heartbeat_ack(cx, now, path, parameters),
            Chunk::CookieAck => self.on_cookie_ack(cx, now),
            Chunk::Shutdown { cumulative } => self.on_shutdown(cx, now, *cumulative),
            Chunk::ShutdownAck => self.on_shutdown_ack(),
            // Those of right tags are taken before; INIT ACK is alone in its packet.
            Chunk::ShutdownComplete { .. }
            | Chunk::Abort { .. }
            | Chunk::InitAck(_)
            | Chunk::Pad
            // A packet with INIT or COOKIE ECHO elsewhere than first is not the peer's intent.
            | Chunk::Init(_)
            | Chunk::CookieEcho(_) => {}
            Chunk::Error(causes) => {
                if let Some(value) = causes.find(CauseCode::STALE_COOKIE) {
                    self.on_stale_cookie(now, value);
                }
            }
            Chunk::ForwardTsn(forward) => {
                if self.forward_tsn && forward.interleaved == self.flight.is_interleaved() {
                    self.on_forward_tsn(forward, seen);
                } else {
                    self.push_error(path, &Cause::UnrecognizedChunk(&[forward_type(forward), 0, 0, 4]));
                }
            }
            Chunk::Ecne { lowest } => {
                if self.state.takes_sack() {
                    self.on_ecne(now, *lowest);
                }
            }
            Chunk::Cwr { lowest } => self.ecn.on_cwr(*lowest),
            Chunk::Unknown(raw, when) => {
                if when.report && !self.state.is_setup() {
                    let quoted = &raw.whole[..raw.whole.len().min(MAX_REPORT)];
                    self.push_error(path, &Cause::UnrecognizedChunk(quoted));
                }
                return when.skip;
            }
            Chunk::Data(_) => {}
        }
        true
    }

    /// Takes an INIT ACK, alone in its packet.
    pub(crate) fn handle_init_ack(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        path: usize,
        raw: RawChunk<'_>,
    ) {
        if let Ok(Chunk::InitAck(init)) = Chunk::decode(raw) {
            self.on_init_ack(cx, now, path, &init);
        }
    }

    /// Takes an ABORT with the right tag.
    pub(crate) fn handle_abort(&mut self, cause: Option<CauseCode>) {
        self.close(CloseReason::AbortedByPeer(cause));
    }

    /// Takes a SHUTDOWN COMPLETE with the right tag.
    pub(crate) fn handle_shutdown_complete(&mut self) {
        self.on_shutdown_complete();
    }

    /// Takes a DATA or I-DATA chunk. Returns whether to go on with the packet.
    fn on_data(
        &mut self,
        path: usize,
        data: &Data<'_>,
        packet: &Bytes,
        seen: &mut DataSeen,
    ) -> bool {
        if !self.state.takes_data() {
            return true;
        }
        let interleaved = matches!(data.place, Interleave::Mid { .. });
        if interleaved != self.flight.is_interleaved() {
            // RFC 8260 §2.2.1
            self.violate("the other kind of DATA chunk");
            return false;
        }
        seen.any = true;
        seen.at_once |= data.immediate;
        let lower = |lowest: Tsn| {
            if lowest.precedes(data.tsn) {
                lowest
            } else {
                data.tsn
            }
        };
        seen.lowest = Some(seen.lowest.map_or(data.tsn, lower));
        match self.receiver.judge(data.tsn) {
            Arrival::New => {}
            Arrival::Duplicate => {
                self.counts.duplicates += 1;
                self.receiver.note_duplicate(data.tsn);
                return true;
            }
            Arrival::TooFar => {
                self.counts.dropped += 1;
                seen.at_once = true;
                return true;
            }
        }
        if !self.has_room(data) {
            // RFC 9260 §6.2: a window of 0 is told at once, and the chunk is not acknowledged.
            self.counts.dropped += 1;
            seen.at_once = true;
            return true;
        }
        self.receiver.take(data.tsn);
        self.counts.data_chunks += 1;
        seen.any_new = true;
        if data.stream >= self.inbound_streams {
            // RFC 9260 §6.5: acknowledged all the same.
            self.push_error(path, &Cause::InvalidStream(data.stream));
            return true;
        }
        if self
            .inbound
            .take(data, packet.slice_ref(data.payload))
            .is_err()
        {
            self.violate("fragments that contradict each other");
            return false;
        }
        true
    }

    /// Whether a chunk may be kept. What fills the first gap is taken beyond the window too,
    /// since all that is held waits for it; but not without end.
    fn has_room(&mut self, data: &Data<'_>) -> bool {
        let cost = data.payload.len() + super::OVERHEAD;
        let buffer = self.counts.buffer as usize;
        self.inbound.watch(buffer);
        let in_turn = data.tsn == self.receiver.cumulative().plus(1);
        let waits = self.receiver.has_gap();
        let limit = if in_turn && waits { 2 * buffer } else { buffer };
        self.inbound.held() + cost <= limit
    }

    /// After the chunks of a packet that held DATA.
    fn after_data(&mut self, cx: &mut Context<'_>, now: Instant, path: usize, seen: &DataSeen) {
        self.sack_path = path;
        if matches!(self.state, State::ShutdownSent) {
            self.answer_data_by_shutdown(now);
            return;
        }
        // RFC 9260 §6.2: a packet with nothing but duplicates is answered without delay.
        if self.receiver.on_packet(seen.at_once || !seen.any_new) {
            self.timers.set(Timer::Sack, now + cx.config.sack_delay);
        }
    }

    /// RFC 3758 §3.6: the peer gives up what is missing up to a TSN.
    fn on_forward_tsn(&mut self, forward: &ForwardTsn<'_>, seen: &mut DataSeen) {
        if !self.state.takes_data() {
            return;
        }
        seen.any = true;
        let old = self.receiver.cumulative();
        if !old.precedes(forward.cumulative) {
            seen.at_once = true;
            return;
        }
        self.receiver.forward(forward.cumulative);
        seen.any_new = true;
        if !forward.interleaved {
            self.inbound.skip_unordered(forward.cumulative);
        }
        for skipped in forward.skipped() {
            if skipped.stream < self.inbound_streams {
                self.inbound.skip(skipped, forward.interleaved);
            }
        }
    }

    /// The end of a train of packets, of so many bytes.
    pub(crate) fn end_train(&mut self, bytes: usize) {
        self.inbound.end_train(bytes);
    }
}

const fn forward_type(forward: &ForwardTsn<'_>) -> u8 {
    if forward.interleaved {
        ChunkType::I_FORWARD_TSN.0
    } else {
        ChunkType::FORWARD_TSN.0
    }
}
