use std::time::Duration;

use super::Acked;

/// RFC 9406 §4.3: the least and the most that a round trip must grow by, in milliseconds.
const MIN_GROWTH: Duration = Duration::from_millis(4);
const MAX_GROWTH: Duration = Duration::from_millis(16);
/// Measurements that a round must have to count (`N_RTT_SAMPLE`).
const SAMPLES: u32 = 8;
/// By what growth is slowed when the round trips grow (`CSS_GROWTH_DIVISOR`).
const DIVISOR: usize = 4;
/// Rounds of slowed growth before slow start ends (`CSS_ROUNDS`).
const ROUNDS: u32 = 5;

/// HyStart++ (RFC 9406): ends slow start when round trips grow, before packets are lost.
#[derive(Debug)]
pub(super) struct SlowStart {
    /// The first packet of the next round.
    round_end: u64,
    least_before: Option<Duration>,
    least: Option<Duration>,
    samples: u32,
    /// Slowed growth: the round trip that it began with, and the rounds since.
    slowed: Option<(Duration, u32)>,
}

impl SlowStart {
    pub(super) const fn new() -> Self {
        Self {
            round_end: 0,
            least_before: None,
            least: None,
            samples: 0,
            slowed: None,
        }
    }

    /// By how many bytes the window grows; `None`: slow start ends here.
    pub(super) fn growth(&mut self, acked: &Acked) -> Option<usize> {
        if acked.newest_packet >= self.round_end {
            self.round_end = acked.next_packet;
            self.least_before = self.least.take();
            self.samples = 0;
            if let Some((_, rounds)) = &mut self.slowed {
                *rounds += 1;
                if *rounds > ROUNDS {
                    return None;
                }
            }
        }
        self.samples += 1;
        let sample = acked.round_trip;
        let least = self.least.map_or(sample, |least| least.min(sample));
        self.least = Some(least);
        if self.samples >= SAMPLES
            && let Some(before) = self.least_before
        {
            match self.slowed {
                None => {
                    let threshold = (before / 8).clamp(MIN_GROWTH, MAX_GROWTH);
                    if least >= before + threshold {
                        self.slowed = Some((least, 1));
                    }
                }
                // It was no queue after all.
                Some((baseline, _)) if least < baseline => self.slowed = None,
                Some(_) => {}
            }
        }
        Some(match self.slowed {
            Some(_) => acked.bytes / DIVISOR,
            None => acked.bytes,
        })
    }
}
