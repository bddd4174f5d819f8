//! Packets of no association: "out of the blue" (RFC 9260 §8.4), and those with the tag of the
//! other direction (§8.5.1).

use std::time::Instant;

use bytes::Bytes;

use super::Endpoint;
use super::setup::is_unicast;
use crate::cause::{Cause, CauseCode};
use crate::chunk::{Chunk, ChunkType, FLAG_REFLECTED, put_empty, put_with_parameters};
use crate::packet::{self, Chunks, Header};
use crate::types::Path;

impl Endpoint {
    /// Takes a packet whose tag names no association, INIT and COOKIE ECHO apart. Returns the
    /// association that it ended.
    pub(super) fn handle_unmatched(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        packet: &Bytes,
    ) -> Option<u32> {
        let ports = (header.destination_port, header.source_port);
        if let Some(slot) = self.connections.by_address(path.remote, ports)
            && let Some(association) = self.connections.at(slot)
        {
            // RFC 9260 §8.5: "silently discard the packet", except for a reflected tag.
            let setting_up = association.state.is_setup();
            if association.peer_tag != 0 && association.peer_tag == header.tag {
                self.handle_end(slot, packet, true);
                return Some(slot);
            }
            // RFC 9260 §8.5.1 E: a SHUTDOWN ACK for a former association is answered.
            let first = Chunks::of(packet).next();
            let old = matches!(first, Some(Ok(raw)) if raw.kind == ChunkType::SHUTDOWN_ACK);
            if !(setting_up && old) {
                self.counts.wrong_tags += 1;
                return None;
            }
        }
        self.counts.out_of_the_blue += 1;
        self.answer_out_of_the_blue(now, path, header, packet);
        None
    }

    /// RFC 9260 §8.4, in its order.
    fn answer_out_of_the_blue(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        packet: &Bytes,
    ) {
        if !is_unicast(path) {
            return;
        }
        let mut shutdown_ack = false;
        for (index, raw) in Chunks::of(packet).map_while(Result::ok).enumerate() {
            match Chunk::decode(raw) {
                Ok(Chunk::Abort { .. } | Chunk::ShutdownComplete { .. } | Chunk::CookieAck) => {
                    return;
                }
                Ok(Chunk::Error(causes)) if causes.find(CauseCode::STALE_COOKIE).is_some() => {
                    return;
                }
                Ok(Chunk::ShutdownAck) if index == 0 => shutdown_ack = true,
                // One in the middle of a packet may be anything, an ABORT too.
                Ok(_) | Err(_) => {}
            }
        }
        let (each, all) = (self.config.stranger_rate, self.config.strangers_rate);
        if !self.limiter.allows(now, path.remote.ip(), each, all) {
            self.counts.dropped_replies += 1;
            return;
        }
        let mut out = Vec::new();
        header.answer(header.tag).encode(&mut out);
        let kind = if shutdown_ack {
            ChunkType::SHUTDOWN_COMPLETE
        } else {
            ChunkType::ABORT
        };
        put_empty(&mut out, kind, FLAG_REFLECTED);
        self.reply(path, out);
    }

    /// Answers an INIT, or a cookie, by an ABORT with the peer's own tag.
    pub(super) fn refuse(
        &mut self,
        path: Path,
        header: &Header,
        tag: u32,
        cause: Option<&Cause<'_>>,
    ) {
        let mut out = Vec::new();
        header.answer(tag).encode(&mut out);
        put_with_parameters(&mut out, ChunkType::ABORT, 0, 0, |out| {
            if let Some(cause) = cause {
                cause.encode(out);
            }
        });
        self.reply(path, out);
    }

    /// Sends an ERROR to a peer that has no association.
    pub(super) fn report(&mut self, path: Path, header: &Header, tag: u32, cause: &Cause<'_>) {
        let mut out = Vec::new();
        header.answer(tag).encode(&mut out);
        put_with_parameters(&mut out, ChunkType::ERROR, 0, 0, |out| cause.encode(out));
        self.reply(path, out);
    }

    /// Queues a packet, unless too many wait.
    pub(super) fn reply(&mut self, path: Path, mut out: Vec<u8>) {
        if self.replies.len() >= self.config.max_replies {
            self.counts.dropped_replies += 1;
            return;
        }
        packet::finish(&mut out, 0);
        self.replies.push_back((path, out));
    }
}
