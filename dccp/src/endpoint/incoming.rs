//! Packets that come: RFC 4340 §8.5 steps 1 to 3.

use std::time::Instant;

use super::{ConnectionId, Datagram, Endpoint, Path, Route, Target, flow};
use crate::connection::{Connection, Ends};
use crate::cookie::Beginning;
use crate::packet::{DccpOption, Header, Kind, Packet, PacketType, Reset, ResetCode};
use crate::{Seq, ServiceCode};

impl Endpoint {
    /// Takes a packet or a train from the network.
    pub fn handle_packet(&mut self, now: Instant, datagram: Datagram) {
        let Some(checksum) = self.cx.checksum_in(&datagram.path) else {
            self.counts.malformed += 1;
            return;
        };
        let whole = datagram.payload.len();
        let size = datagram.segment_size.map_or(whole, |size| size.get());
        let mut last: Option<(u16, u16, u32)> = None;
        let mut at = 0;
        while at < whole {
            let end = whole.min(at + size);
            // Step 1.
            let decoded = Packet::decode(&datagram.payload[at..end], &checksum);
            at = end;
            let Ok(packet) = decoded else {
                self.counts.malformed += 1;
                continue;
            };
            // A Listen is for clients that wait behind a middlebox, which ours do not; it is dropped
            // silently in every state (RFC 5596 §2.2).
            if packet.header.kind.packet_type() == PacketType::Listen {
                self.counts.stray += 1;
                continue;
            }
            // Step 2, once for all packets of a connection that come together.
            let ports = (packet.header.destination_port, packet.header.source_port);
            let slot = match last {
                Some((local, remote, slot)) if (local, remote) == ports => Some(slot),
                _ => {
                    if let Some((_, _, slot)) = last.take() {
                        self.finish(now, slot);
                    }
                    self.step_2_find(now, &datagram.path, &packet)
                }
            };
            let Some(slot) = slot else { continue };
            let Some((cx, connection)) = self.connection_in(slot) else {
                continue;
            };
            connection.handle(cx, now, &packet, &datagram.payload, datagram.ecn);
            if connection.ended().is_some() {
                self.finish(now, slot);
                last = None;
            } else {
                last = Some((ports.0, ports.1, slot));
            }
        }
        if let Some((_, _, slot)) = last {
            self.finish(now, slot);
        }
    }

    /// Step 2: the connection of a packet; step 3, if there is none and this end listens.
    fn step_2_find(&mut self, now: Instant, path: &Path, packet: &Packet<'_>) -> Option<u32> {
        let route = Route {
            local_port: packet.header.destination_port,
            remote_port: packet.header.source_port,
            remote: path.remote,
            local: path.local,
        };
        // A connection begun without knowing the local address has it open.
        let open = Route {
            local: None,
            ..route
        };
        let target = self
            .routes
            .get(&route)
            .or_else(|| self.routes.get(&open))
            .copied();
        if let Some(Target::Connection(slot)) = target {
            return Some(slot);
        }
        self.counts.stray += 1;
        if target.is_none() && self.cx.config.listen == Some(packet.header.destination_port) {
            return self.step_3_listen(now, path, packet);
        }
        let request = packet.header.kind.packet_type() == PacketType::Request;
        let code = if request && target.is_none() {
            self.counts.refused += 1;
            ResetCode::CONNECTION_REFUSED
        } else {
            ResetCode::NO_CONNECTION
        };
        self.reset_stranger(now, path, packet, code);
        None
    }

    /// Step 3: LISTEN takes Requests, and whatever proves with an Init Cookie that a Request was
    /// answered.
    fn step_3_listen(&mut self, now: Instant, path: &Path, packet: &Packet<'_>) -> Option<u32> {
        let mut ends = Ends {
            path: *path,
            local_port: packet.header.destination_port,
            remote_port: packet.header.source_port,
            service: ServiceCode(0),
        };
        let Kind::Request { service } = packet.header.kind else {
            return self.open_cookie(now, ends, packet);
        };
        ends.service = service;
        if let Some(code) = self.refusal(service) {
            self.counts.refused += 1;
            self.reset_stranger(now, path, packet, code);
            return None;
        }
        let iss = self.initial_number(now, &ends);
        if self.half_open >= self.cx.config.cookies_above {
            self.answer_with_cookie(now, ends, iss, packet);
            return None;
        }
        let (slot, id) = self.free_slot();
        let connection = Connection::respond(&self.cx, now, id, ends, iss, packet.header.seq);
        self.insert(slot, connection);
        Some(slot)
    }

    /// Answers a Request without keeping anything: what would be kept is sealed in the Response
    /// (RFC 4340 §8.1.4).
    fn answer_with_cookie(&mut self, now: Instant, ends: Ends, iss: Seq, packet: &Packet<'_>) {
        let isr = packet.header.seq;
        let id = ConnectionId::new(u32::MAX, 0);
        let cookies = &mut self.cookies;
        let cx = &mut self.cx;
        let brief = Connection::respond(cx, now, id, ends, iss, isr);
        let seal = |features| {
            let beginning = Beginning {
                iss,
                isr,
                service: ends.service,
                features,
            };
            cookies.seal(now, &flow(&ends), &beginning)
        };
        match brief.answer_with_cookie(cx, now, packet, seal) {
            true => self.counts.cookies_sent += 1,
            false => self.counts.refused += 1,
        }
    }

    /// A packet for LISTEN that is not a Request: its Init Cookie may hold a connection in
    /// RESPOND.
    fn open_cookie(&mut self, now: Instant, mut ends: Ends, packet: &Packet<'_>) -> Option<u32> {
        let has_ack = packet.header.kind.ack().is_some();
        let cookie = packet.options.filter(|_| has_ack).find_map(|option| {
            if let DccpOption::InitCookie(cookie) = option {
                Some(cookie)
            } else {
                None
            }
        });
        let Some(cookie) = cookie else {
            self.reset_stranger(now, &ends.path, packet, ResetCode::NO_CONNECTION);
            return None;
        };
        let Ok(beginning) = self.cookies.open(now, &flow(&ends), cookie) else {
            self.counts.cookies_refused += 1;
            self.reset_stranger(now, &ends.path, packet, ResetCode::BAD_INIT_COOKIE);
            return None;
        };
        if self.connections() >= self.cx.config.connections {
            // The client repeats its packet, and there may be room then.
            self.counts.refused += 1;
            return None;
        }
        ends.service = beginning.service;
        let (slot, id) = self.free_slot();
        let connection = Connection::resume(&self.cx, now, id, ends, &beginning);
        self.insert(slot, connection);
        Some(slot)
    }

    /// Why a Request is refused, if it is.
    fn refusal(&self, service: ServiceCode) -> Option<ResetCode> {
        // 0xFFFFFFFF is no service code, whatever is configured (RFC 4340 §8.1.2).
        let known = service.0 != u32::MAX && self.cx.config.service_codes.contains(&service);
        if !known {
            return Some(ResetCode::BAD_SERVICE_CODE);
        }
        let config = &self.cx.config;
        let full = self.connections() >= config.connections
            || self.half_open >= config.half_open && config.cookies_above >= config.half_open;
        full.then_some(ResetCode::TOO_BUSY)
    }

    /// A Reset that no connection sends (RFC 4340 §8.3.1): its numbers come from the packet that
    /// it answers. Never for a Reset, and at a limited rate.
    fn reset_stranger(&mut self, now: Instant, path: &Path, packet: &Packet<'_>, code: ResetCode) {
        if packet.header.kind.packet_type() == PacketType::Reset {
            return;
        }
        if !self.cx.may_reset(now, path) {
            self.counts.resets_withheld += 1;
            return;
        }
        let seq = packet
            .header
            .kind
            .ack()
            .map_or(Seq::new(0), |ack| ack.plus(1));
        // With short numbers the upper 24 bits of both are 0.
        let low = |seq: Seq| match packet.header.short {
            true => Seq::new(seq.get() & 0x00ff_ffff),
            false => seq,
        };
        let header = Header {
            source_port: packet.header.destination_port,
            destination_port: packet.header.source_port,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: low(seq),
            kind: Kind::Reset {
                ack: low(packet.header.seq),
                reset: Reset::new(code),
            },
        };
        self.cx.options.reset(0);
        self.cx.reply(*path, &header);
    }
}
