//! Round-trip times and the retransmission timeout of a path (RFC 9260 §6.3.1).

use std::time::Duration;

use crate::Config;

/// The clock's grain: RTTVAR is never less (RFC 9260 §6.3.1 G).
const GRAIN: Duration = Duration::from_micros(100);

/// What is known of a path's round trips.
#[derive(Clone, Debug)]
pub(crate) struct Rto {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Duration,
    timeout: Duration,
}

impl Rto {
    pub(crate) const fn new(config: &Config) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            least: Duration::MAX,
            timeout: config.rto_initial,
        }
    }

    /// Takes a measurement of a packet that was sent once (Karn's rule, C5).
    pub(crate) fn sample(&mut self, config: &Config, round_trip: Duration) {
        self.least = self.least.min(round_trip);
        let smoothed = match self.smoothed {
            // C2
            None => {
                self.variation = round_trip / 2;
                round_trip
            }
            // C3: RTO.Alpha is 1/8, RTO.Beta 1/4.
            Some(smoothed) => {
                let off = smoothed.abs_diff(round_trip);
                self.variation = self.variation * 3 / 4 + off / 4;
                smoothed * 7 / 8 + round_trip / 8
            }
        };
        self.variation = self.variation.max(GRAIN);
        self.smoothed = Some(smoothed);
        // C6, C7
        self.timeout = (smoothed + 4 * self.variation).clamp(config.rto_min, config.rto_max);
    }

    /// RFC 9260 §6.3.3 E2: doubles the timeout.
    pub(crate) fn back_off(&mut self, config: &Config) {
        self.timeout = (self.timeout * 2).min(config.rto_max);
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The smoothed round-trip time, once one was measured.
    pub(crate) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The shortest round trip that was measured.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sc5_the_timeout_follows_the_measurements() {
        let config = Config {
            rto_min: Duration::from_millis(1),
            ..Config::default()
        };
        let mut rto = Rto::new(&config);
        assert_eq!(rto.timeout(), Duration::from_secs(1));
        rto.sample(&config, Duration::from_millis(100));
        // R + 4 * R/2
        assert_eq!(rto.timeout(), Duration::from_millis(300));
        rto.sample(&config, Duration::from_millis(180));
        // RTTVAR = 3/4 * 50 + 1/4 * 80, SRTT = 7/8 * 100 + 1/8 * 180
        assert_eq!(rto.smoothed(), Some(Duration::from_millis(110)));
        assert_eq!(
            rto.timeout(),
            Duration::from_millis(110 + 4 * 57) + Duration::from_millis(2)
        );
        rto.back_off(&config);
        assert_eq!(rto.timeout(), Duration::from_millis(680));
    }

    #[test]
    fn sc5_the_timeout_keeps_its_bounds() {
        let config = Config::default();
        let mut rto = Rto::new(&config);
        for _ in 0..20 {
            rto.sample(&config, Duration::from_millis(1));
        }
        assert_eq!(rto.timeout(), Duration::from_secs(1));
        for _ in 0..20 {
            rto.back_off(&config);
        }
        assert_eq!(rto.timeout(), Duration::from_secs(60));
    }
}
