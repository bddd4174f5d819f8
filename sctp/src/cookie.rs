//! State cookies (RFC 9260 §5.1.3): an association's beginning, sealed, so that nothing is kept
//! until the peer has proved its address.
//!
//! A cookie holds what cannot be had from the packet that brings it back; ports, addresses and the
//! verification tag are under the MAC without being in it. So it is short, and an INIT ACK stays
//! below three times the smallest INIT (RFC 5062 §9). Nothing in it is secret: tie-tags are nonces
//! (RFC 5062 §3).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::Config;
use crate::association::Peer;
use crate::chunk::Extensions;
use crate::hmac::{self, Key};
use crate::tsn::Tsn;
use crate::types::Path;
use crate::wire::{u16_at, u32_at};

const MAC_LEN: usize = 16;
const FIXED_LEN: usize = 27;

const FLAG_INTERLEAVING: u8 = 0x01;
const FLAG_FORWARD_TSN: u8 = 0x02;
const FLAG_ECN: u8 = 0x08;
const FLAG_TIED: u8 = 0x04;
const FLAG_ODD_KEY: u8 = 0x80;

/// What a cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    /// Its age when it came back.
    pub(crate) age: Duration,
    /// The TSN that this end begins with.
    pub(crate) local_tsn: Tsn,
    pub(crate) peer: Peer,
    /// The tie-tags, of one that was made while an association existed.
    pub(crate) ties: Option<(u32, u32)>,
    /// How long beyond its life it is good, as the peer asked.
    pub(crate) extra: Duration,
    /// Addresses that the INIT listed.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Between whom a cookie is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) path: Path,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// The tag that this end gives itself in the INIT ACK.
    pub(crate) local_tag: u32,
}

/// Makes and checks cookies. The secrets follow from the seed and the hour.
#[derive(Debug)]
pub(crate) struct Jar {
    root: Key,
    /// When this jar saw its first cookie: ages are counted from here.
    start: Option<Instant>,
    key_life: Duration,
    /// The secrets in use, by the number of their period.
    keys: [(u64, Key); 2],
}

impl Jar {
    pub(crate) fn new(config: &Config, root: Key) -> Self {
        let keys = [(0, period_key(&root, 0)), (1, period_key(&root, 1))];
        Self {
            root,
            start: None,
            key_life: config.cookie_key_life,
            keys,
        }
    }

    /// Time since the start, and the number of the secret's period.
    fn clock(&mut self, now: Instant) -> (Duration, u64) {
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_duration_since(start);
        let period = elapsed.as_millis() / self.key_life.as_millis().max(1);
        (elapsed, u64::try_from(period).unwrap_or(u64::MAX))
    }

    fn key(&mut self, period: u64) -> &Key {
        let slot = usize::from(period % 2 == 1);
        if self.keys[slot].0 != period {
            self.keys[slot] = (period, period_key(&self.root, period));
        }
        &self.keys[slot].1
    }

    /// Appends a cookie.
    pub(crate) fn bake(&mut self, out: &mut Vec<u8>, now: Instant, to: &Binding, cookie: &Cookie) {
        let (elapsed, period) = self.clock(now);
        let start = out.len();
        let extensions = cookie.peer.extensions;
        let mut flags = 0;
        for (set, flag) in [
            (extensions.interleaving, FLAG_INTERLEAVING),
            (extensions.forward_tsn, FLAG_FORWARD_TSN),
            (extensions.ecn, FLAG_ECN),
            (cookie.ties.is_some(), FLAG_TIED),
            (period % 2 == 1, FLAG_ODD_KEY),
        ] {
            if set {
                flags |= flag;
            }
        }
        out.push(flags);
        out.push(u8::try_from(cookie.extra.as_secs()).unwrap_or(u8::MAX));
        out.push(u8::try_from(cookie.addresses.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(&low_u32(elapsed).to_be_bytes());
        out.extend_from_slice(&cookie.local_tsn.get().to_be_bytes());
        out.extend_from_slice(&cookie.peer.tag.to_be_bytes());
        out.extend_from_slice(&cookie.peer.initial_tsn.get().to_be_bytes());
        out.extend_from_slice(&cookie.peer.a_rwnd.to_be_bytes());
        out.extend_from_slice(&cookie.peer.outbound_streams.to_be_bytes());
        out.extend_from_slice(&cookie.peer.inbound_streams.to_be_bytes());
        debug_assert_eq!(out.len() - start, FIXED_LEN);
        if let Some((local, peer)) = cookie.ties {
            out.extend_from_slice(&local.to_be_bytes());
            out.extend_from_slice(&peer.to_be_bytes());
        }
        for address in cookie.addresses.iter().take(usize::from(u8::MAX)) {
            match address {
                IpAddr::V4(address) => {
                    out.push(4);
                    out.extend_from_slice(&address.octets());
                }
                IpAddr::V6(address) => {
                    out.push(6);
                    out.extend_from_slice(&address.octets());
                }
            }
        }
        let mac = self.key(period).mac(&[&bound(to), &out[start..]]);
        out.extend_from_slice(&mac[..MAC_LEN]);
    }

    /// Reads a cookie that was baked here for this peer; `None` for any other. How old it may be
    /// is for the caller to judge, which knows the association (RFC 9260 §5.1.5, §5.2.4).
    pub(crate) fn open(&mut self, now: Instant, from: &Binding, bytes: &[u8]) -> Option<Cookie> {
        let (content, mac) = bytes.split_last_chunk::<MAC_LEN>()?;
        let (elapsed, period) = self.clock(now);
        // Before the MAC is checked only one bit counts: which of two secrets to check it with.
        let odd = content.first()? & FLAG_ODD_KEY != 0;
        let period = if odd == (period % 2 == 1) {
            period
        } else {
            period.checked_sub(1)?
        };
        let right = self.key(period).mac(&[&bound(from), content]);
        if !hmac::is_equal(&right[..MAC_LEN], mac) {
            return None;
        }
        read(content, low_u32(elapsed))
    }
}

/// Reads what the MAC has shown to be our own.
fn read(content: &[u8], now: u32) -> Option<Cookie> {
    let (flags, extra, count) = (*content.first()?, *content.get(1)?, *content.get(2)?);
    let age = now.wrapping_sub(u32_at(content, 3)?);
    let mut at = FIXED_LEN;
    let mut ties = None;
    if flags & FLAG_TIED != 0 {
        ties = Some((u32_at(content, at)?, u32_at(content, at + 4)?));
        at += 8;
    }
    let mut addresses = Vec::new();
    for _ in 0..count {
        let rest = content.get(at + 1..)?;
        if content.get(at)? == &4 {
            addresses.push(IpAddr::from(*rest.first_chunk::<4>()?));
            at += 5;
        } else {
            addresses.push(IpAddr::from(*rest.first_chunk::<16>()?));
            at += 17;
        }
    }
    Some(Cookie {
        age: Duration::from_millis(age.into()),
        local_tsn: Tsn::new(u32_at(content, 7)?),
        peer: Peer {
            tag: u32_at(content, 11)?,
            initial_tsn: Tsn::new(u32_at(content, 15)?),
            a_rwnd: u32_at(content, 19)?,
            outbound_streams: u16_at(content, 23)?,
            inbound_streams: u16_at(content, 25)?,
            extensions: Extensions {
                ecn: flags & FLAG_ECN != 0,
                forward_tsn: flags & FLAG_FORWARD_TSN != 0,
                interleaving: flags & FLAG_INTERLEAVING != 0,
            },
        },
        ties,
        extra: Duration::from_secs(extra.into()),
        addresses,
    })
}

fn period_key(root: &Key, period: u64) -> Key {
    Key::new(&root.mac(&[b"cookie", &period.to_be_bytes()]))
}

/// Milliseconds, modulo 2^32: some 49 days, and no cookie lives for two periods of its key.
fn low_u32(elapsed: Duration) -> u32 {
    let millis = elapsed.as_millis() % (1 << 32);
    u32::try_from(millis).unwrap_or_default()
}

/// What is under the MAC besides the cookie: the peer's address and UDP port, ports, our tag.
fn bound(binding: &Binding) -> [u8; 27] {
    let mut bytes = [0; 27];
    let remote = binding.path.remote;
    match remote.ip() {
        IpAddr::V4(address) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes[0] = 6;
            bytes[1..17].copy_from_slice(&address.octets());
        }
    }
    bytes[17..19].copy_from_slice(&remote.port().to_be_bytes());
    bytes[19..21].copy_from_slice(&binding.local_port.to_be_bytes());
    bytes[21..23].copy_from_slice(&binding.remote_port.to_be_bytes());
    bytes[23..27].copy_from_slice(&binding.local_tag.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests;
