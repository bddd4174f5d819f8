//! Whether the sender sent less than it might have (RFC 5348 §8.2.1).

use std::time::{Duration, Instant};

/// Times at which all was sent that was allowed (RFC 5348 §8.2.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NotLimited {
    first: Option<Instant>,
    second: Option<Instant>,
    /// `t_new`: when the packet was sent that the last feedback acknowledged.
    sent: Option<Instant>,
    /// `t_next`: when that feedback came.
    came: Option<Instant>,
}

impl NotLimited {
    pub(super) fn on_all_sent(&mut self, now: Instant) {
        if self.first <= self.sent {
            self.first = Some(now);
        } else if self.second <= self.came {
            self.second = Some(now);
        }
    }

    /// Whether the sender was data-limited throughout the round trip before `sent`.
    pub(super) fn is_interval_limited(&self, sent: Instant, round_trip: Duration) -> bool {
        let begin = sent.checked_sub(round_trip);
        let is_inside = |at: Option<Instant>| at > begin && at <= Some(sent);
        !(is_inside(self.first) || is_inside(self.second))
    }

    pub(super) fn on_feedback(&mut self, now: Instant, sent: Option<Instant>) {
        self.came = Some(now);
        if sent.is_some() {
            self.sent = sent;
        }
        if self.first <= self.sent && self.second > self.sent {
            self.first = self.second;
        }
    }
}
