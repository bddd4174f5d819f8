//! The receiver's loss intervals, from sequence numbers and window counters (RFC 4342 §6.1, §10.2).

use std::collections::VecDeque;

use super::options::{Interval, MAX_SKIP};
use crate::Seq;
use crate::ccid::tfrc::{self, INTERVALS};

#[cfg(test)]
mod tests;

/// A missing packet is lost once so many later ones have come (`NDUPACK`).
const NDUPACK: usize = 3;

/// A packet that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) seq: Seq,
    /// The window counter.
    pub(super) counter: u8,
    pub(super) is_data: bool,
    pub(super) marked: bool,
    pub(super) nonce: bool,
    /// How many packets just before it carried no data.
    pub(super) ndp_count: u64,
}

/// The interval that is not over yet.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    interval: Interval,
    /// `C(X_prev)`: the counter of the last data packet before the loss event.
    counter: Option<u8>,
    /// Whether a data packet has come since whose counter is more than 4 ahead: a round trip is
    /// over, and the next loss begins a new event.
    is_over: bool,
}

/// What has been lost, as intervals.
///
/// Packets are taken into account in the order of their numbers: one behind a hole waits until
/// the hole is filled, or [`NDUPACK`] packets behind it have come and it counts as lost. A packet
/// that comes after that is not taken back into account, which RFC 5348 §5.1 would permit.
#[derive(Debug)]
pub(super) struct History {
    /// The latest packet taken into account; `None` before the first.
    latest: Option<Seq>,
    /// Those behind a hole, in order: fewer than [`NDUPACK`].
    waiting: Vec<Packet>,
    current: Current,
    /// The intervals before, newest first.
    past: VecDeque<Interval>,
    /// Whether a loss has begun the current interval.
    has_loss: bool,
    /// The counter of the last data packet taken into account.
    counter: Option<u8>,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            latest: None,
            waiting: Vec::with_capacity(NDUPACK),
            current: Current::default(),
            past: VecDeque::with_capacity(INTERVALS),
            has_loss: false,
            counter: None,
        }
    }

    /// Takes a packet; whether a loss event began.
    pub(super) fn on_packet(&mut self, packet: &Packet) -> bool {
        let Some(latest) = self.latest else {
            self.latest = Some(packet.seq);
            return self.take(packet);
        };
        let is_old = !latest.precedes(packet.seq);
        let place = self
            .waiting
            .partition_point(|other| other.seq.precedes(packet.seq));
        let is_double = self
            .waiting
            .get(place)
            .is_some_and(|other| other.seq == packet.seq);
        if is_old || is_double {
            return false;
        }
        if self.waiting.is_empty() && latest.plus(1) == packet.seq {
            return self.advance(packet);
        }
        self.waiting.insert(place, *packet);
        // RFC 5348 §5.1: a mark is an event at once, and a hole before it its beginning.
        let flush = packet.marked && packet.is_data;
        let mut is_event = false;
        while let Some(first) = self.waiting.first().copied() {
            let follows = self
                .latest
                .is_some_and(|latest| latest.plus(1) == first.seq);
            if !(follows || flush || self.waiting.len() >= NDUPACK) {
                break;
            }
            self.waiting.remove(0);
            is_event |= self.advance(&first);
        }
        is_event
    }

    /// The loss event rate; 0 before the first loss.
    pub(super) fn loss_event_rate(&self) -> f64 {
        tfrc::loss_event_rate(self.lengths())
    }

    /// The average loss interval in data packets, rounded up; `u32::MAX` before the first loss
    /// (RFC 4342 §8.5).
    pub(super) fn mean_interval(&self) -> u32 {
        let rate = self.loss_event_rate();
        if rate > 0.0 {
            ceiling(1.0 / rate)
        } else {
            u32::MAX
        }
    }

    /// How many packets up to `ackno` are in no interval, and the intervals, newest first. A hole
    /// that may yet be filled is out of the intervals as far as Skip Length can tell, and seems to
    /// be lossless beyond that.
    pub(super) fn intervals(&self, ackno: Seq) -> (u8, impl Iterator<Item = Interval>) {
        let open = self
            .latest
            .map_or(0, |latest| latest.distance_to(ackno).max(0));
        let skip = u8::try_from(open).map_or(MAX_SKIP, |open| open.min(MAX_SKIP));
        let unskipped = u32::try_from(open - i64::from(skip)).unwrap_or(u32::MAX);
        let mut current = self.current.interval;
        current.lossless = current.lossless.saturating_add(unskipped);
        if !self.has_loss {
            // RFC 4342 §6.1.1: undefined before the first loss, and told as 0.
            current.data = 0;
        }
        (
            skip,
            std::iter::once(current).chain(self.past.iter().copied()),
        )
    }

    /// Whether the first loss has come, so that the length of the interval before it is to be
    /// chosen with [`Self::seed`].
    pub(super) fn wants_seed(&self) -> bool {
        self.past.back().is_some_and(|first| first.data == 0)
    }

    /// Gives the first interval the length that belongs to loss event rate `p` (RFC 5348 §6.3.1).
    pub(super) fn seed(&mut self, p: f64) {
        if let Some(first) = self.past.back_mut() {
            first.data = ceiling(1.0 / p).clamp(1, (1 << 24) - 1);
        }
    }

    /// Whether the very first data packet was lost or marked.
    pub(super) fn is_null_seed(&self) -> bool {
        self.past
            .back()
            .is_some_and(|first| first.loss + first.lossless == 0)
    }

    fn lengths(&self) -> impl Iterator<Item = f64> {
        let lengths = std::iter::once(&self.current.interval).chain(&self.past);
        lengths.map(|interval| f64::from(interval.data))
    }

    /// Takes a packet into account, and those missing before it as lost.
    fn advance(&mut self, packet: &Packet) -> bool {
        let latest = self.latest.replace(packet.seq).unwrap_or(packet.seq);
        let missing = u64::try_from(latest.distance_to(packet.seq) - 1).unwrap_or(0);
        let mut is_event = false;
        if missing > 0 {
            // DT11: what is not known to be without data counts as data.
            let without_data = packet.ndp_count.min(missing);
            let data = missing - without_data;
            if data > 0 {
                is_event = self.lose(clamp(data));
            }
            self.extend_lossless(clamp(without_data));
        }
        self.take(packet) | is_event
    }

    fn take(&mut self, packet: &Packet) -> bool {
        let is_event = packet.marked && packet.is_data && self.lose(1);
        if !(packet.marked && packet.is_data) {
            self.extend_lossless(1);
            self.current.interval.nonce ^= packet.is_data && packet.nonce;
            let data = &mut self.current.interval.data;
            *data = data.saturating_add(u32::from(packet.is_data));
        }
        if packet.is_data {
            self.counter = Some(packet.counter);
            let before = *self.current.counter.get_or_insert(packet.counter);
            // RFC 4342 §10.2.
            self.current.is_over |= packet.counter.wrapping_sub(before) & 15 > 4;
        }
        is_event
    }

    fn extend_lossless(&mut self, count: u32) {
        let lossless = &mut self.current.interval.lossless;
        *lossless = lossless.saturating_add(count);
    }

    /// Takes data packets as lost or marked; whether that is a new event.
    fn lose(&mut self, count: u32) -> bool {
        if self.has_loss && !self.current.is_over {
            let interval = &mut self.current.interval;
            interval.loss = interval
                .loss
                .saturating_add(interval.lossless)
                .saturating_add(count);
            interval.lossless = 0;
            interval.nonce = false;
            interval.data = interval.data.saturating_add(count);
            return false;
        }
        let mut ended = self.current.interval;
        ended.data = if self.has_loss { ended.data.max(1) } else { 0 };
        self.past.truncate(INTERVALS - 2);
        self.past.push_front(ended);
        self.has_loss = true;
        self.current = Current {
            interval: Interval {
                loss: count,
                data: count,
                ..Interval::default()
            },
            counter: self.counter,
            is_over: false,
        };
        true
    }
}

fn clamp(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Rounded up, and the largest number for what is larger.
fn ceiling(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let ceiling = value.ceil() as u32;
    ceiling
}
