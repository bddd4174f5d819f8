//! Which TSNs arrived, and when to say so (RFC 9260 §6.2).

use std::collections::VecDeque;

use crate::chunk::Sack;
use crate::tsn::Tsn;

const WORD: u32 = u64::BITS;

/// How far above the cumulative TSN a gap block can reach.
const REACH: u32 = u16::MAX as u32;

/// Duplicates that one SACK tells at most.
const DUPLICATES: usize = 64;

/// What became of a TSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    New,
    Duplicate,
    /// So far ahead that no SACK could tell of it.
    TooFar,
}

/// When the next SACK is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing came since the last one.
    Nothing,
    /// SACK.Delay after the first packet.
    Later,
    Now,
}

/// The received TSNs, and the state of acknowledging them.
#[derive(Debug)]
pub(crate) struct Receiver {
    cumulative: Tsn,
    highest: Tsn,
    /// A bit for each TSN from `base` on, where something is missing; `base` is at a whole word.
    bits: VecDeque<u64>,
    base: Tsn,
    duplicates: Vec<Tsn>,
    due: Due,
    /// Packets with DATA since the last SACK.
    packets: u32,
    gaps: Vec<(u16, u16)>,
    /// The window in the last SACK.
    told_window: u32,
    any_data: bool,
}

impl Receiver {
    pub(crate) fn new(initial: Tsn, window: u32) -> Self {
        let before = initial.minus(1);
        Self {
            cumulative: before,
            highest: before,
            bits: VecDeque::new(),
            base: Tsn::default(),
            duplicates: Vec::new(),
            due: Due::Nothing,
            packets: 0,
            gaps: Vec::new(),
            told_window: window,
            any_data: false,
        }
    }

    pub(crate) const fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    pub(crate) fn has_gap(&self) -> bool {
        self.cumulative != self.highest
    }

    /// Whether the cumulative TSN alone tells everything there is to acknowledge.
    pub(crate) fn is_whole(&self) -> bool {
        !self.has_gap() && self.duplicates.is_empty()
    }

    /// What a TSN would be, were it taken.
    pub(crate) fn judge(&self, tsn: Tsn) -> Arrival {
        let ahead = self.cumulative.distance_to(tsn);
        match u32::try_from(ahead) {
            Err(_) | Ok(0) => Arrival::Duplicate,
            Ok(ahead) if ahead > REACH => Arrival::TooFar,
            Ok(_) if self.has_gap() && self.is_set(tsn) => Arrival::Duplicate,
            Ok(_) => Arrival::New,
        }
    }

    fn place(&self, tsn: Tsn) -> (usize, u32) {
        let offset = self.base.steps_to(tsn);
        ((offset / WORD) as usize, offset % WORD)
    }

    fn is_set(&self, tsn: Tsn) -> bool {
        let (word, bit) = self.place(tsn);
        self.bits.get(word).is_some_and(|bits| bits >> bit & 1 != 0)
    }

    /// Notes a TSN that [`Self::judge`] called new.
    pub(crate) fn take(&mut self, tsn: Tsn) {
        if !self.has_gap() {
            if tsn == self.cumulative.plus(1) {
                self.cumulative = tsn;
                self.highest = tsn;
                return;
            }
            self.bits.clear();
            let next = self.cumulative.plus(1);
            self.base = next.minus(next.get() % WORD);
        }
        let (word, bit) = self.place(tsn);
        while self.bits.len() <= word {
            self.bits.push_back(0);
        }
        self.bits[word] |= 1 << bit;
        self.highest = self.highest.later(tsn);
        if tsn == self.cumulative.plus(1) {
            self.advance();
        }
    }

    /// Moves the cumulative TSN over what has arrived.
    fn advance(&mut self) {
        while self.cumulative != self.highest {
            let (word, bit) = self.place(self.cumulative.plus(1));
            let run = (self.bits[word] >> bit).trailing_ones();
            self.cumulative = self.cumulative.plus(run.min(WORD - bit));
            if run < WORD - bit {
                break;
            }
        }
        let (done, _) = self.place(self.cumulative.plus(1));
        for _ in 0..done.min(self.bits.len()) {
            self.bits.pop_front();
            self.base = self.base.plus(WORD);
        }
    }

    /// Takes all TSNs up to `cumulative` for received (RFC 3758 §3.6).
    pub(crate) fn forward(&mut self, cumulative: Tsn) {
        if !self.has_gap() || !cumulative.precedes(self.highest) {
            self.cumulative = cumulative;
            self.highest = cumulative;
            return;
        }
        self.cumulative = cumulative;
        let (done, _) = self.place(cumulative.plus(1));
        for _ in 0..done {
            self.bits.pop_front();
            self.base = self.base.plus(WORD);
        }
        self.advance();
    }

    pub(crate) fn note_duplicate(&mut self, tsn: Tsn) {
        if self.duplicates.len() < DUPLICATES {
            self.duplicates.push(tsn);
        }
    }

    /// Notes a packet that held DATA; `at_once` asks for a SACK without delay. Returns whether the
    /// delay begins to run.
    pub(crate) fn on_packet(&mut self, at_once: bool) -> bool {
        self.packets += 1;
        // RFC 9260 §5.1: the first DATA is acknowledged at once; §6.2: then every second packet.
        if at_once || !self.any_data || self.packets >= 2 || self.has_gap() {
            self.due = Due::Now;
        }
        self.any_data = true;
        if self.due == Due::Nothing {
            self.due = Due::Later;
            return true;
        }
        false
    }

    pub(crate) fn sack_now(&mut self) {
        self.due = Due::Now;
    }

    /// The delay has passed.
    pub(crate) fn on_delay(&mut self) {
        if self.due == Due::Later {
            self.due = Due::Now;
        }
    }

    pub(crate) const fn due(&self) -> Due {
        self.due
    }

    /// Whether the peer should be told that the window has grown much (RFC 9260 §6.2).
    pub(crate) const fn is_update_due(&self, window: u32, buffer: u32) -> bool {
        window.saturating_sub(self.told_window) >= buffer / 4
    }

    /// The gap blocks, as many as `limit`.
    fn read_gaps(&mut self, limit: usize) {
        self.gaps.clear();
        let mut open: Option<u16> = None;
        let mut offset: u32 = 1;
        let end = self.cumulative.steps_to(self.highest);
        while offset <= end && self.gaps.len() < limit {
            let (word, bit) = self.place(self.cumulative.plus(offset));
            let bits = self.bits[word] >> bit;
            let left = (WORD - bit).min(end - offset + 1);
            let run = match open {
                None => bits.trailing_zeros(),
                Some(_) => bits.trailing_ones(),
            };
            let at = u16::try_from(offset + run.min(left)).unwrap_or(u16::MAX);
            offset += run.min(left);
            if run < left {
                match open.take() {
                    None => open = Some(at),
                    Some(start) => self.gaps.push((start, at - 1)),
                }
            }
        }
        if let (Some(start), true) = (open, self.gaps.len() < limit) {
            let last = u16::try_from(end).unwrap_or(u16::MAX);
            self.gaps.push((start, last));
        }
    }

    /// Appends a SACK of at most `room` bytes.
    pub(crate) fn write_sack(&mut self, out: &mut Vec<u8>, room: usize, window: u32) {
        let words = room.saturating_sub(Sack::LEN) / 4;
        let limit = words.min(4096);
        if self.has_gap() {
            self.read_gaps(limit);
        } else {
            self.gaps.clear();
        }
        let duplicates = self.duplicates.len().min(limit - self.gaps.len());
        Sack::encode(
            out,
            self.cumulative,
            window,
            &self.gaps,
            &self.duplicates[..duplicates],
        );
        self.duplicates.clear();
        self.told_window = window;
        self.on_told();
    }

    /// Something else, as a SHUTDOWN, told the peer the cumulative TSN.
    pub(crate) fn on_told(&mut self) {
        self.due = Due::Nothing;
        self.packets = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn sack(receiver: &mut Receiver) -> (Tsn, Vec<(u16, u16)>, Vec<Tsn>) {
        let mut out = Vec::new();
        receiver.write_sack(&mut out, 1000, 7);
        let sack = Sack::decode(&out[4..]).unwrap();
        (
            sack.cumulative,
            sack.gaps().collect(),
            sack.duplicates().collect(),
        )
    }

    #[test]
    fn sr3_the_example_of_the_rfc_across_the_wrap() {
        for first in [10, u32::MAX - 3, u32::MAX - 70] {
            let first = Tsn::new(first);
            let mut receiver = Receiver::new(first, 0);
            for offset in [0, 5, 1, 7, 2, 4] {
                let tsn = first.plus(offset);
                assert_eq!(receiver.judge(tsn), Arrival::New);
                receiver.take(tsn);
                assert_eq!(receiver.judge(tsn), Arrival::Duplicate);
            }
            assert_eq!(
                sack(&mut receiver),
                (first.plus(2), vec![(2, 3), (5, 5)], vec![])
            );
            receiver.note_duplicate(first);
            receiver.take(first.plus(3));
            assert_eq!(
                sack(&mut receiver),
                (first.plus(5), vec![(2, 2)], vec![first])
            );
            receiver.take(first.plus(6));
            assert_eq!(sack(&mut receiver), (first.plus(7), vec![], vec![]));
        }
    }

    #[test]
    fn sr1_when_a_sack_is_due() {
        let mut receiver = Receiver::new(Tsn::new(1), 0);
        receiver.take(Tsn::new(1));
        assert!(!receiver.on_packet(false));
        assert_eq!(receiver.due(), Due::Now, "the first");
        sack(&mut receiver);
        receiver.take(Tsn::new(2));
        assert!(receiver.on_packet(false));
        assert_eq!(receiver.due(), Due::Later);
        receiver.take(Tsn::new(3));
        receiver.on_packet(false);
        assert_eq!(receiver.due(), Due::Now, "each second");
        sack(&mut receiver);
        receiver.take(Tsn::new(4));
        receiver.on_packet(true);
        assert_eq!(receiver.due(), Due::Now, "asked for");
        sack(&mut receiver);
        receiver.take(Tsn::new(6));
        receiver.on_packet(false);
        assert_eq!(receiver.due(), Due::Now, "a gap");
        sack(&mut receiver);
        receiver.take(Tsn::new(5));
        assert!(receiver.on_packet(false));
        receiver.on_delay();
        assert_eq!(receiver.due(), Due::Now, "the delay");
    }

    #[test]
    fn sr3_gaps_beyond_the_room_are_left_out() {
        let mut receiver = Receiver::new(Tsn::new(1), 0);
        for tsn in (2..200).step_by(2) {
            receiver.take(Tsn::new(tsn));
        }
        let mut out = Vec::new();
        receiver.write_sack(&mut out, Sack::LEN + 12, 7);
        let sack = Sack::decode(&out[4..]).unwrap();
        assert_eq!(sack.gaps().collect::<Vec<_>>(), [(2, 2), (4, 4), (6, 6)]);
        assert_eq!(receiver.judge(Tsn::new(1 + 65_535)), Arrival::TooFar);
        assert_eq!(receiver.judge(Tsn::new(65_535)), Arrival::New);
    }

    proptest! {
        /// Agrees with a set of numbers, whatever comes in whatever order.
        #[test]
        fn sr9_agrees_with_a_set(start: u32, offsets in prop::collection::vec(0_u32..300, 1..200)) {
            let mut receiver = Receiver::new(Tsn::new(start), 0);
            let mut model = BTreeSet::new();
            for offset in offsets {
                let tsn = Tsn::new(start).plus(offset);
                prop_assert_eq!(receiver.judge(tsn) == Arrival::New, model.insert(offset));
                if receiver.judge(tsn) == Arrival::New {
                    receiver.take(tsn);
                }
                let (cumulative, gaps, _) = sack(&mut receiver);
                let below = Tsn::new(start).steps_to(cumulative.plus(1));
                let mut told: BTreeSet<u32> = (0..below).collect();
                for (first, last) in gaps {
                    told.extend((below + u32::from(first) - 1)..=(below + u32::from(last) - 1));
                }
                prop_assert_eq!(&told, &model);
            }
        }
    }
}
