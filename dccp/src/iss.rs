//! Initial sequence numbers (RFC 4340 §7.2).

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Seq;
use crate::endpoint::Path;

/// Sequence numbers that the clock moves on by in a second: no connection sends so many packets
/// for long. They come round after 325 days.
const PER_SECOND: u64 = 10_000_000;

/// Between which addresses and ports a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow<'a> {
    pub(crate) path: &'a Path,
    /// The DCCP port of this end.
    pub(crate) local_port: u16,
    /// The DCCP port of the peer.
    pub(crate) remote_port: u16,
}

impl Flow<'_> {
    /// All of it in bytes, no two flows alike.
    pub(crate) fn bytes(&self) -> [u8; 39] {
        let mut bytes = [0; 39];
        bytes[..16].copy_from_slice(&octets(self.path.remote.ip()));
        bytes[16..18].copy_from_slice(&self.path.remote.port().to_be_bytes());
        bytes[18..20].copy_from_slice(&self.local_port.to_be_bytes());
        bytes[20..22].copy_from_slice(&self.remote_port.to_be_bytes());
        if let Some(local) = self.path.local {
            bytes[22] = 1;
            bytes[23..].copy_from_slice(&octets(local));
        }
        bytes
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Makes initial sequence numbers: a keyed hash of the flow, which nobody else can tell, plus a
/// clock, so that a flow's next connection does not meet the packets of its last (RFC 4340 §7.2,
/// RFC 6528).
///
/// The low 24 bits come round in less than two seconds, so that this is for ends that never send
/// short sequence numbers.
pub(crate) struct InitialSeqs {
    secret: [u8; 32],
    epoch: Option<Instant>,
}

impl InitialSeqs {
    /// Numbers that depend on `secret`, which must not be used for anything else.
    pub(crate) const fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            epoch: None,
        }
    }

    /// The initial number of a connection of `flow` that begins now. The clock starts with the
    /// first of them.
    pub(crate) fn next(&mut self, now: Instant, flow: &Flow<'_>) -> Seq {
        let elapsed = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        let clock = elapsed
            .as_secs()
            .wrapping_mul(PER_SECOND)
            .wrapping_add(u64::from(elapsed.subsec_nanos()) * PER_SECOND / 1_000_000_000);
        Seq::new(first_word(&mac(&self.secret, &[&flow.bytes()]))).plus(clock)
    }
}

impl fmt::Debug for InitialSeqs {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InitialSeqs")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA-256 of the parts one after the other.
pub(crate) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA-256 with a key, before any bytes.
pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    // A key shorter than the block is padded with zeroes (RFC 2104 §2).
    Hmac::new(&block.into())
}

fn first_word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATH: Path = Path {
        local: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        remote: std::net::SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 6511),
    };

    #[expect(clippy::disallowed_methods, reason = "an origin to count from")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn flow(path: &Path) -> Flow<'_> {
        Flow {
            path,
            local_port: 5000,
            remote_port: 8080,
        }
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // RFC 4231 §4.3, whose key "Jefe" is that one padded with zeroes too.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95,
            0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9,
            0x64, 0xec, 0x38, 0x43,
        ];
        assert_eq!(mac(&key, &[b"what do ya want ", b"for nothing?"]), expected);
    }

    #[test]
    fn ds9_the_next_connection_of_a_flow_does_not_meet_the_last() {
        let mut initial = InitialSeqs::new([7; 32]);
        let start = origin();
        let first = initial.next(start, &flow(&PATH));
        let later = |after| Duration::from_micros(after);
        assert_eq!(initial.next(start + later(1), &flow(&PATH)), first.plus(10));
        // After a minute at a million packets a second.
        let next = initial.next(start + Duration::from_secs(60), &flow(&PATH));
        assert!(first.plus(60_000_000).precedes(next));
        // And what is sent in 4 minutes is not come to again.
        let round = initial.next(start + Duration::from_secs(86_400 * 300), &flow(&PATH));
        assert!(!round.is_within(first, first.plus(240 * PER_SECOND)));
    }

    #[test]
    fn ds9_flows_have_numbers_of_their_own() {
        let now = origin();
        let mut seen = std::collections::BTreeSet::new();
        let mut initial = InitialSeqs::new([7; 32]);
        let other_paths = [
            PATH,
            Path {
                local: None,
                ..PATH
            },
            Path {
                local: Some("127.0.0.2".parse().unwrap()),
                ..PATH
            },
            Path {
                remote: "192.0.2.8:6511".parse().unwrap(),
                ..PATH
            },
            Path {
                remote: "192.0.2.7:6512".parse().unwrap(),
                ..PATH
            },
            Path {
                remote: "[2001:db8::7]:6511".parse().unwrap(),
                ..PATH
            },
        ];
        for path in &other_paths {
            seen.insert(initial.next(now, &flow(path)).get());
        }
        seen.insert(
            initial
                .next(
                    now,
                    &Flow {
                        local_port: 5001,
                        ..flow(&PATH)
                    },
                )
                .get(),
        );
        seen.insert(
            initial
                .next(
                    now,
                    &Flow {
                        remote_port: 8081,
                        ..flow(&PATH)
                    },
                )
                .get(),
        );
        seen.insert(InitialSeqs::new([8; 32]).next(now, &flow(&PATH)).get());
        assert_eq!(seen.len(), other_paths.len() + 3);
        // Neighbours share no structure: each of the 48 bits is set about as often as not.
        let numbers: Vec<_> = (0..512)
            .map(|port| {
                initial
                    .next(
                        now,
                        &Flow {
                            remote_port: port,
                            ..flow(&PATH)
                        },
                    )
                    .get()
            })
            .collect();
        for bit in 0..48 {
            let set = numbers
                .iter()
                .filter(|number| *number >> bit & 1 == 1)
                .count();
            assert!(
                (180..332).contains(&set),
                "bit {bit} is set {set} times of 512"
            );
        }
    }

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (one, two) = (origin(), origin() + Duration::from_secs(9));
        let number = |now| InitialSeqs::new([7; 32]).next(now, &flow(&PATH));
        assert_eq!(
            number(one),
            number(two),
            "the clock counts from its own start"
        );
    }
}
