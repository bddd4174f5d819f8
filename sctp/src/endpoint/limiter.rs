//! How many answers strangers get (RFC 9260 §8.4; RFC 5062 §8).

use std::net::IpAddr;
use std::time::Instant;

/// Sources share so many counters: a flood from many cannot make the table grow.
const COUNTERS: usize = 256;

/// Counts answers by the second, in all and by source.
#[derive(Debug)]
pub(super) struct Limiter {
    secret: u64,
    second: Option<Instant>,
    all: u32,
    sources: Vec<u32>,
}

impl Limiter {
    pub(super) const fn new(secret: u64) -> Self {
        Self {
            secret,
            second: None,
            all: 0,
            sources: Vec::new(),
        }
    }

    /// Which counter a source has; nobody outside can tell who shares it.
    fn counter(&self, source: IpAddr) -> usize {
        let bits = match source {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            // A host has a whole /64.
            IpAddr::V6(address) => address.to_bits() >> 64,
        };
        let mut hash = self.secret;
        for byte in bits.to_be_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        usize::from(hash.to_be_bytes()[0]) % COUNTERS
    }

    /// Whether the source may have another answer: not more than `each` a second for it, and `all`
    /// for everybody.
    pub(super) fn allows(&mut self, now: Instant, source: IpAddr, each: u32, all: u32) -> bool {
        let over = self
            .second
            .is_none_or(|second| now.saturating_duration_since(second).as_secs() >= 1);
        if over {
            self.second = Some(now);
            self.all = 0;
            self.sources.clear();
            self.sources.resize(COUNTERS, 0);
        }
        let index = self.counter(source);
        let source = &mut self.sources[index];
        if self.all >= all || *source >= each {
            return false;
        }
        self.all += 1;
        *source += 1;
        true
    }
}
