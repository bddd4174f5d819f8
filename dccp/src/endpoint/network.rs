//! What the network and the socket tell of packets that were sent.

use std::time::Instant;

use super::{Endpoint, Path, Reach, Route, Target};
use crate::Seq;
use crate::config::LEAST_PACKET;

/// The fields of a packet's beginning, as ICMP gives it back: at least eight bytes, with luck
/// sixteen.
#[derive(Clone, Copy, Debug)]
struct Embedded {
    source_port: u16,
    destination_port: u16,
    seq: Option<Seq>,
}

impl Embedded {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (ports, rest) = bytes.split_first_chunk::<4>()?;
        let [a, b, c, d] = *ports;
        // The number is long in everything that is sent from here.
        let seq = rest
            .get(4..12)
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        Some(Self {
            source_port: u16::from_be_bytes([a, b]),
            destination_port: u16::from_be_bytes([c, d]),
            seq: seq.map(|bytes| Seq::new(u64::from_be_bytes(bytes))),
        })
    }
}

impl Endpoint {
    /// Tells that the packets polled last were not sent: the path takes at most `limit` bytes; less
    /// than 256 is taken for 256.
    pub fn handle_rejected(&mut self, now: Instant, limit: usize) {
        let limit = limit.max(LEAST_PACKET);
        self.cx.socket_limit = self.cx.socket_limit.min(limit);
        let Some(id) = self.polled.take() else { return };
        if let Some((cx, connection)) = self.get_mut(id) {
            connection.on_rejected(cx, now, limit);
            self.finish(now, super::slot_number(id));
        }
    }

    /// Tells of an ICMP message that a packet was too big (RFC 4340 §14.1). `embedded`: the
    /// beginning of that packet, from the DCCP header on; `limit`: the largest DCCP packet in
    /// bytes that the next link takes. Ignored unless it names a packet in flight, and a limit
    /// below what is sent now.
    pub fn handle_too_big(&mut self, now: Instant, path: Path, embedded: &[u8], limit: usize) {
        let Some(packet) = Embedded::read(embedded) else {
            return;
        };
        let Some((slot, seq)) = self.sender_of(path, packet) else {
            return;
        };
        if let Some((cx, connection)) = self.connection_in(slot) {
            connection.on_too_big(cx, now, seq, limit);
            self.finish(now, slot);
        }
    }

    /// Tells of an ICMP message that the peer, its port or its protocol cannot be reached. That
    /// ends a connection in REQUEST whose packet it names. Others end only if the peer does not
    /// take their packets, and one in flight is named.
    pub fn handle_unreachable(&mut self, now: Instant, path: Path, embedded: &[u8], reach: Reach) {
        let Some(packet) = Embedded::read(embedded) else {
            return;
        };
        let Some((slot, seq)) = self.sender_of(path, packet) else {
            return;
        };
        if let Some((cx, connection)) = self.connection_in(slot) {
            connection.on_unreachable(cx, seq, reach);
            self.finish(now, slot);
        }
    }

    /// The connection that sent a packet, and the packet's number.
    fn sender_of(&self, path: Path, packet: Embedded) -> Option<(u32, Seq)> {
        let route = Route {
            local_port: packet.source_port,
            remote_port: packet.destination_port,
            remote: path.remote,
            local: path.local,
        };
        let open = Route {
            local: None,
            ..route
        };
        match self.routes.get(&route).or_else(|| self.routes.get(&open))? {
            Target::Connection(slot) => Some((*slot, packet.seq?)),
            Target::TimeWait => None,
        }
    }
}
