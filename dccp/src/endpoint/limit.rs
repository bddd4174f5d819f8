//! How much is answered to strangers.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::random::Random;

/// A token bucket that holds what one second allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// What was taken out and has not flowed back, as time. It never goes beyond a second.
    debt: Duration,
    at: Option<Instant>,
}

impl Bucket {
    /// Takes one of `per_second`; whether there was one.
    pub(crate) fn take(&mut self, now: Instant, per_second: u32) -> bool {
        let Some(price) = Duration::from_secs(1).checked_div(per_second) else {
            return false;
        };
        if let Some(at) = self.at {
            self.debt = self.debt.saturating_sub(now.saturating_duration_since(at));
        }
        self.at = Some(now);
        let debt = self.debt + price;
        // Rounding must not cost the last token: the price is rounded down already.
        let allowed = debt <= Duration::from_secs(1);
        if allowed {
            self.debt = debt;
        }
        allowed
    }
}

const SOURCES: usize = 256;

/// Limits the Resets to strangers, of all sources and of each (RFC 4340 §8.1.3). Sources share
/// a fixed number of buckets, which of them depends on a secret.
#[derive(Debug)]
pub(crate) struct Limiter {
    all: Bucket,
    sources: Vec<Bucket>,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            all: Bucket::default(),
            sources: vec![Bucket::default(); SOURCES],
        }
    }

    /// Whether a Reset may go to `source` now.
    pub(crate) fn allows(
        &mut self,
        now: Instant,
        source: IpAddr,
        random: &Random,
        config: &crate::Config,
    ) -> bool {
        let hash = match source {
            IpAddr::V4(address) => random.keyed(&address.octets()),
            // One host has a whole /64 to choose addresses from.
            IpAddr::V6(address) => random.keyed(&address.octets()[..8]),
        };
        let index = usize::try_from(hash % SOURCES as u64).unwrap_or(0);
        self.sources[index].take(now, config.resets_per_source)
            && self.all.take(now, config.resets_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_a_second_allows_and_fills_again() {
        let mut bucket = Bucket::default();
        let start = crate::test_support::start();
        assert_eq!((0..100).filter(|_| bucket.take(start, 8)).count(), 8);
        let later = start + Duration::from_millis(250);
        assert_eq!((0..100).filter(|_| bucket.take(later, 8)).count(), 2);
        let long_after = start + Duration::from_secs(100);
        assert_eq!((0..100).filter(|_| bucket.take(long_after, 8)).count(), 8);
        assert!(!Bucket::default().take(start, 0));
    }
}
