//! What the network tells of packets that were sent (RFC 9260 §10, RFC 6951 §5.5).

use std::net::IpAddr;

use super::Endpoint;
use crate::association::State;
use crate::chunk::ChunkType;
use crate::packet::Header;
use crate::types::{CloseReason, Path, Reach};

/// Bytes that any IPv4 path carries (RFC 791) and any IPv6 path (RFC 8200 §5), headers of IP and
/// UDP apart: no message makes packets smaller than that.
const LEAST_IPV4: usize = 576 - 28;
const LEAST_IPV6: usize = 1280 - 48;

/// The beginning of a packet of this end, as ICMP gives it back.
struct Quoted {
    header: Header,
    /// The Initiate Tag, if the packet is known to begin with an INIT chunk.
    initiate_tag: Option<u32>,
}

impl Quoted {
    /// Reads it. `None`: it is too short for the Verification Tag, as is what routers quote that
    /// give back no more than RFC 792's eight bytes beyond the IP header where the first of them
    /// are UDP's.
    fn read(bytes: &[u8]) -> Option<Self> {
        let ([s0, s1, d0, d1, t0, t1, t2, t3], rest) = bytes.split_first_chunk()?;
        // Behind the checksum: type, flags and length, then INIT's first field.
        let initiate_tag = match rest.get(4..12) {
            Some([kind, _, _, _, tag @ ..]) if *kind == ChunkType::INIT.0 => {
                tag.try_into().ok().map(u32::from_be_bytes)
            }
            Some(_) | None => None,
        };
        Some(Self {
            header: Header {
                source_port: u16::from_be_bytes([*s0, *s1]),
                destination_port: u16::from_be_bytes([*d0, *d1]),
                tag: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            },
            initiate_tag,
        })
    }
}

impl Endpoint {
    /// Tells of an ICMP message that a packet did not arrive (RFC 9260 §10 ICMP8, ICMP9). `quoted`:
    /// the beginning of that packet. Ignored unless it shows the tag of an association to `path`.
    ///
    /// It ends an attempt to begin an association that has no other path. An association that
    /// is established ends only if the peer does not take its packets.
    pub fn handle_unreachable(&mut self, path: Path, quoted: &[u8], reach: Reach) {
        let Some(slot) = self.sender_of(path, quoted) else {
            return;
        };
        let Some(association) = self.connections.at(slot) else {
            return;
        };
        let ends = if association.state.is_setup() {
            association.paths.len() == 1
        } else {
            reach == Reach::Peer
        };
        if ends {
            association.close(CloseReason::Rejected);
            self.settle(slot);
        }
    }

    /// Tells of an ICMP message that a packet was too big (RFC 9260 §10 ICMP7): packets of at most
    /// `limit` bytes pass. Ignored as above, and unless it says less than what is sent or probed
    /// for.
    pub fn handle_too_big(&mut self, path: Path, quoted: &[u8], limit: usize) {
        let Some(slot) = self.sender_of(path, quoted) else {
            return;
        };
        let Some(association) = self.connections.at(slot) else {
            return;
        };
        let address = path.remote.ip();
        let Some(index) = association.paths.find(address) else {
            return;
        };
        let mtu = &association.paths[index].mtu;
        let largest = mtu.probe().map_or(mtu.current(), |probe| probe.size);
        let limit = limit.max(least(address));
        if limit < largest {
            association.on_too_big(index, limit);
            self.settle(slot);
        }
    }

    /// The association that sent a packet on `path` (RFC 9260 §10 ICMP5, ICMP6).
    fn sender_of(&mut self, path: Path, quoted: &[u8]) -> Option<u32> {
        let Quoted {
            header,
            initiate_tag,
        } = Quoted::read(quoted)?;
        let ports = (header.source_port, header.destination_port);
        let slot = self.connections.by_address(path.remote, ports)?;
        let association = self.connections.at(slot)?;
        let is_ours = match (&association.state, header.tag) {
            (State::CookieWait(_), 0) => initiate_tag == Some(association.local_tag),
            (_, 0) => false,
            (_, tag) => tag == association.peer_tag,
        };
        is_ours.then_some(slot)
    }
}

const fn least(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => LEAST_IPV4,
        IpAddr::V6(_) => LEAST_IPV6,
    }
}
