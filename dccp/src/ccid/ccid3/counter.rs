//! The window counter of data packets (RFC 4342 §8.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::seconds;
use crate::Seq;

/// The most window counters that are remembered with the packets that had them.
pub(super) const COUNTERS: usize = 32;

/// The window counter of data packets (RFC 4342 §8.1).
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// `last_WC` and `last_WC_time`.
    current: u8,
    since: Option<Instant>,
    /// That of the last packet sent.
    pub(super) sent: u8,
    /// The first packet with each of the latest counters, oldest first.
    pub(super) first: VecDeque<(Seq, u8)>,
}

impl Counter {
    /// The counter of a packet that is sent.
    pub(super) fn on_sent(&mut self, now: Instant, seq: Seq, round_trip: f64) -> u8 {
        let since = *self.since.get_or_insert(now);
        let quarter = seconds(round_trip / 4.0).max(Duration::from_nanos(1));
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= quarter {
            let quarters = u8::try_from(elapsed.as_nanos() / quarter.as_nanos());
            self.current = self
                .current
                .wrapping_add(quarters.map_or(5, |it| it.min(5)))
                & 15;
            self.since = Some(now);
        }
        // "Adjacent data-carrying packets' CCVal counters never differ by more than five."
        let ahead = self.current.wrapping_sub(self.sent) & 15;
        self.current = self.sent.wrapping_add(ahead.min(5)) & 15;
        if self.first.is_empty() || self.current != self.sent {
            if self.first.len() == COUNTERS {
                self.first.pop_front();
            }
            self.first.push_back((seq, self.current));
            self.sent = self.current;
        }
        self.current
    }

    /// The next packet's counter is to be 4 ahead of that of a packet acknowledged.
    pub(super) fn on_acknowledged(&mut self, now: Instant, ackno: Seq) {
        while self
            .first
            .get(1)
            .is_some_and(|(seq, _)| !ackno.precedes(*seq))
        {
            self.first.pop_front();
        }
        let Some(&(seq, acknowledged)) = self.first.front() else {
            return;
        };
        if !ackno.precedes(seq) && self.current.wrapping_sub(acknowledged) & 15 < 4 {
            self.current = acknowledged.wrapping_add(4) & 15;
            self.since = Some(now);
        }
    }
}
