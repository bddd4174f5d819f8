//! `X_recv_set`: receive rates of the latest round trips (RFC 5348 §4.3, §8.2.2).

use std::time::{Duration, Instant};

/// As many as RFC 5348 §8.2.2 finds sufficient.
const SIZE: usize = 3;

/// Rates in bytes a second, with the times at which they were reported.
#[derive(Clone, Debug)]
pub(super) struct ReceiveSet {
    /// Newest first.
    rates: [Option<(f64, Instant)>; SIZE],
    /// The initial value, infinity, is still a member; it gets its time with the first report.
    unlimited: Option<Option<Instant>>,
}

impl ReceiveSet {
    pub(super) const fn new() -> Self {
        Self {
            rates: [None; SIZE],
            unlimited: Some(None),
        }
    }

    pub(super) fn max(&self) -> f64 {
        if self.unlimited.is_some() {
            return f64::INFINITY;
        }
        self.rates
            .iter()
            .flatten()
            .fold(0.0, |max, (rate, _)| f64::max(max, *rate))
    }

    /// Whether anything but zero was reported.
    pub(super) fn is_known(&self) -> bool {
        self.unlimited.is_none() && self.max() > 0.0
    }

    /// Adds a rate, and forgets those older than `age`.
    pub(super) fn update(&mut self, now: Instant, rate: f64, age: Duration) {
        let is_old = |at: Instant| now.saturating_duration_since(at) > age;
        self.unlimited
            .take_if(|since| is_old(*since.get_or_insert(now)));
        self.rates.rotate_right(1);
        self.rates[0] = Some((rate, now));
        for slot in &mut self.rates {
            slot.take_if(|(_, at)| is_old(*at));
        }
    }

    /// Keeps the greatest, with the new one among them.
    pub(super) fn maximize(&mut self, now: Instant, rate: f64) {
        self.unlimited = None;
        self.replace(now, self.max().max(rate));
    }

    pub(super) fn halve(&mut self) {
        for (rate, _) in self.rates.iter_mut().flatten() {
            *rate /= 2.0;
        }
    }

    /// Makes it hold one rate alone.
    pub(super) fn replace(&mut self, now: Instant, rate: f64) {
        self.unlimited = None;
        self.rates = [Some((rate, now)), None, None];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dt8_the_set_is_of_two_round_trips() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let age = Duration::from_millis(200);
        let mut set = ReceiveSet::new();
        assert_eq!(set.max(), f64::INFINITY);
        set.update(at(0), 5.0, age);
        set.update(at(100), 3.0, age);
        set.update(at(200), 1.0, age);
        assert_eq!(set.max(), f64::INFINITY, "no limit for two round trips");
        set.update(at(201), 2.0, age);
        assert_eq!(set.max(), 3.0, "of three rates at most");
        set.update(at(290), 1.0, age);
        set.update(at(350), 1.0, age);
        assert_eq!(set.max(), 2.0);
        set.update(at(402), 1.0, age);
        assert_eq!(set.max(), 1.0);
        set.maximize(at(410), 4.0);
        set.halve();
        assert_eq!(set.max(), 2.0);
        set.maximize(at(420), 1.0);
        set.update(at(615), 1.0, age);
        assert_eq!(set.max(), 2.0, "the greatest got a new time");
        set.replace(at(620), 0.5);
        assert_eq!(set.max(), 0.5);
        let mut set = ReceiveSet::new();
        set.maximize(at(0), 7.0);
        assert_eq!(set.max(), 7.0, "a data-limited start ends the infinity");
    }
}
