//! A download that is too slow to be worth waiting for.

use std::time::{Duration, Instant};

use super::job::Slowest;

/// How often the speed is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the speed of a download once a second, as curl does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watchdog {
    slowest: Slowest,
    /// When the speed was looked at last, and how much had come by then.
    looked: (Instant, u64),
    /// Since when it is too slow.
    slow_since: Option<Instant>,
}

impl Watchdog {
    pub(super) const fn new(now: Instant, slowest: Slowest) -> Self {
        Self {
            slowest,
            looked: (now, 0),
            slow_since: None,
        }
    }

    /// When to look again.
    pub(super) fn due(&self) -> Instant {
        self.looked.0 + INTERVAL
    }

    /// Whether it has been too slow for too long. `transferred` is how many bytes came so far.
    pub(super) fn is_too_slow(&mut self, now: Instant, transferred: u64) -> bool {
        let (looked, before) = self.looked;
        if now < self.due() {
            return false;
        }
        let took = (now - looked).as_secs_f64();
        let wanted = self.slowest.rate as f64 * took;
        let is_slow = ((transferred - before) as f64) < wanted;
        self.looked = (now, transferred);
        self.slow_since = if is_slow {
            self.slow_since.or(Some(looked))
        } else {
            None
        };
        self.slow_since
            .is_some_and(|since| now - since >= self.slowest.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slowness_that_lasts_is_too_slow() {
        let start = crate::clock();
        let slowest = Slowest {
            rate: 100,
            time: Duration::from_secs(3),
        };
        let mut watchdog = Watchdog::new(start, slowest);
        let mut look =
            |second: u32, transferred| watchdog.is_too_slow(start + second * INTERVAL, transferred);
        // A second with enough interrupts it.
        assert_eq!([look(1, 99), look(2, 198), look(3, 298)], [false; 3]);
        assert_eq!([look(4, 299), look(5, 300)], [false; 2]);
        assert!(look(6, 301));
    }
}
