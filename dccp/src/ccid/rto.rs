//! The round-trip time and the timeout made from it (RFC 6298).

use std::time::Duration;

use super::Settings;

/// `RTO` before the first sample (RFC 6298 §2.1).
const INITIAL: Duration = Duration::from_secs(1);

/// `G`, the granularity of the clock that the timers run on (RFC 6298 §2).
const GRANULARITY: Duration = Duration::from_millis(10);

/// Smoothed round-trip time, its variation, and the back-off.
#[derive(Debug)]
pub(super) struct Rto {
    /// `SRTT` and `RTTVAR`.
    smoothed: Option<(Duration, Duration)>,
    /// Timeouts since the last sign of life.
    backoff: u32,
    min: Duration,
    max: Duration,
    max_ack_delay: Duration,
}

impl Rto {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut rto = Self {
            smoothed: None,
            backoff: 0,
            min: settings.min_rto,
            max: settings.max_rto,
            max_ack_delay: settings.max_ack_delay,
        };
        if let Some(rtt) = settings.rtt {
            rto.on_sample(rtt);
        }
        rto
    }

    /// Takes a sample (RFC 6298 §2.2, §2.3).
    pub(super) fn on_sample(&mut self, rtt: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (rtt, rtt / 2),
            Some((srtt, rttvar)) => (
                srtt - srtt / 8 + rtt / 8,
                rttvar - rttvar / 4 + srtt.abs_diff(rtt) / 4,
            ),
        });
    }

    /// `SRTT`.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.smoothed.map(|(srtt, _)| srtt)
    }

    /// The timeout without back-off. `ack_ratio`: if it is above 1, the peer may wait for more
    /// packets before it acknowledges.
    pub(super) fn base(&self, ack_ratio: u16) -> Duration {
        let Some((srtt, rttvar)) = self.smoothed else {
            return INITIAL.clamp(self.min, self.max);
        };
        let delay = if ack_ratio > 1 {
            self.max_ack_delay
        } else {
            Duration::ZERO
        };
        (srtt + (rttvar * 4).max(GRANULARITY) + delay)
            .max(self.min)
            .min(self.max)
    }

    /// The timeout (RFC 6298 §5.5).
    pub(super) fn current(&self, ack_ratio: u16) -> Duration {
        self.base(ack_ratio)
            .saturating_mul(1 << self.backoff.min(16))
            .min(self.max)
    }

    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    pub(super) const fn is_backed_off(&self) -> bool {
        self.backoff > 0
    }

    /// The peer has acknowledged a packet, which DCCP never sends twice: there is no doubt what
    /// was acknowledged, so that RFC 6298 §5.7 does not keep the back-off.
    pub(super) fn on_acknowledged(&mut self) {
        self.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn dd6_timeout_follows_rfc_6298_with_a_floor() {
        let mut rto = Rto::new(&Settings::default());
        assert_eq!(rto.current(2), Duration::from_secs(1));
        rto.on_sample(MS * 100);
        // SRTT 100 ms, RTTVAR 50 ms.
        assert_eq!(rto.current(1), MS * 300);
        assert_eq!(
            rto.current(2),
            MS * 500,
            "the peer may delay an acknowledgement"
        );
        rto.on_sample(MS * 180);
        assert_eq!(rto.rtt(), Some(MS * 110));
        // RTTVAR 3/4 * 50 + 1/4 * 80.
        assert_eq!(rto.current(1), MS * 110 + MS * 230);
        for _ in 0..200 {
            rto.on_sample(MS);
        }
        assert_eq!(rto.current(1), MS * 200);
        assert!(
            rto.current(2) >= MS * 211,
            "more than the delay of an acknowledgement"
        );
    }

    #[test]
    fn dd6_timeout_doubles_up_to_a_limit() {
        let mut rto = Rto::new(&Settings {
            rtt: Some(MS * 100),
            ..Settings::default()
        });
        let mut seen = Vec::new();
        for _ in 0..9 {
            seen.push(rto.current(1).as_millis());
            rto.back_off();
        }
        assert_eq!(
            seen,
            [300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 60000]
        );
        rto.on_acknowledged();
        assert_eq!(rto.current(1), MS * 300);
    }
}
