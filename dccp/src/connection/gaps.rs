//! Which of the peer's packets are missing (RFC 4340 §7.7).

use std::collections::VecDeque;

use crate::Seq;

/// After so many later packets a missing one is lost, not late (as NDUPACK of RFC 4341 §5).
const LATER: u64 = 3;

/// Gaps that are kept; of more, the oldest is taken to be lost at once.
const KEPT: usize = 64;

/// Numbers that did not come, next to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    first: Seq,
    length: u64,
    /// How many of them are to be reported, at most: not those known to have had no data.
    counted: u64,
    /// How many packets had come, in order, when it appeared.
    since: u64,
}

/// Holes in the numbers received that may still be filled by late packets.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    open: VecDeque<Gap>,
    arrived: u64,
    /// The latest 128 numbers up to GSR, bit 0 being GSR: which of them came.
    recent: u128,
    /// Packets that came behind later ones.
    late: u64,
}

/// How a packet stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is new; so many packets with data are now known to be lost.
    New {
        /// Packets now known to be lost.
        lost: u64,
    },
    /// It came before, or is further behind than what came is remembered and was told to be lost.
    Duplicate,
}

impl Gaps {
    /// Takes note of packet `seq`, GSR having been `gsr`; of the first, GSR is its own number.
    /// `without_data`: how many of the
    /// numbers right before it are known to have carried no data; `None`: not known, then all
    /// of a hole count if `counts`. O(1) without holes.
    pub(crate) fn on_arrived(
        &mut self,
        gsr: Seq,
        seq: Seq,
        counts: bool,
        without_data: Option<u64>,
    ) -> Place {
        let ahead = gsr.distance_to(seq);
        if ahead > 0 {
            let ahead = ahead.unsigned_abs();
            let moved = u32::try_from(ahead)
                .ok()
                .and_then(|by| self.recent.checked_shl(by));
            self.recent = moved.unwrap_or(0) | 1;
            let hole = ahead - 1;
            self.arrived += 1;
            if hole > 0 {
                let counted = match without_data {
                    Some(without) => hole.saturating_sub(without),
                    None if counts => hole,
                    None => 0,
                };
                let first = gsr.plus(1);
                self.open.push_back(Gap {
                    first,
                    length: hole,
                    counted,
                    since: self.arrived,
                });
            }
        } else {
            let bit = u32::try_from(ahead.unsigned_abs())
                .ok()
                .and_then(|by| 1u128.checked_shl(by));
            match bit {
                Some(bit) if self.recent & bit != 0 => return Place::Duplicate,
                Some(bit) => self.recent |= bit,
                // What came is forgotten that far back, and what did not was told to be lost.
                None if !self.open.iter().any(|gap| gap.holds(seq)) => return Place::Duplicate,
                None => {}
            }
            if ahead < 0 {
                self.late += 1;
                self.fill(seq);
            }
        }
        Place::New {
            lost: if self.open.is_empty() {
                0
            } else {
                self.take_lost()
            },
        }
    }

    /// Packets that came behind later ones.
    pub(crate) const fn late(&self) -> u64 {
        self.late
    }

    fn fill(&mut self, seq: Seq) {
        let Some(index) = self.open.iter().position(|gap| gap.holds(seq)) else {
            return;
        };
        let gap = self.open[index];
        let before = gap.first.distance_to(seq).unsigned_abs();
        let after = gap.length - before - 1;
        let counted = gap.counted.min(before + after);
        let head = Gap {
            length: before,
            counted: counted.min(before),
            ..gap
        };
        let tail = Gap {
            first: seq.plus(1),
            length: after,
            counted: counted - counted.min(before),
            ..gap
        };
        match (before > 0, after > 0) {
            (false, false) => drop(self.open.remove(index)),
            (true, false) => self.open[index] = head,
            (false, true) => self.open[index] = tail,
            (true, true) => {
                self.open[index] = head;
                self.open.insert(index + 1, tail);
            }
        }
    }

    fn take_lost(&mut self) -> u64 {
        let mut lost = 0;
        while let Some(gap) = self.open.front() {
            if self.arrived < gap.since + LATER - 1 && self.open.len() <= KEPT {
                break;
            }
            lost += gap.counted;
            self.open.pop_front();
        }
        lost
    }
}

impl Gap {
    const fn holds(&self, seq: Seq) -> bool {
        seq.is_within(self.first, self.last())
    }

    const fn last(&self) -> Seq {
        self.first.plus(self.length - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds numbers and gives what was lost after each; `None` for a duplicate.
    fn feed(gaps: &mut Gaps, numbers: &[u64]) -> Vec<Option<u64>> {
        let mut gsr = Seq::new(numbers[0]);
        numbers
            .iter()
            .map(|number| {
                let seq = Seq::new(*number);
                let place = gaps.on_arrived(gsr, seq, true, None);
                gsr = gsr.later(seq);
                match place {
                    Place::New { lost } => Some(lost),
                    Place::Duplicate => None,
                }
            })
            .collect()
    }

    #[test]
    fn a_hole_is_lost_with_the_third_later_packet() {
        let told = feed(&mut Gaps::default(), &[1, 4, 5, 6, 7]);
        assert_eq!(told, [Some(0), Some(0), Some(0), Some(2), Some(0)]);
    }

    #[test]
    fn a_copy_is_known_however_far_behind_it_is() {
        let mut numbers: Vec<u64> = (1..=300).collect();
        numbers.extend([300, 173, 172, 1]);
        let told = feed(&mut Gaps::default(), &numbers);
        assert!(told[..300].iter().all(Option::is_some));
        assert_eq!(told[300..], [None; 4]);
        // What is missing and was not told to be lost is new, however large the hole.
        assert_eq!(feed(&mut Gaps::default(), &[1, 300, 2]), [Some(0); 3]);
    }

    #[test]
    fn a_late_packet_fills_its_place_in_a_hole() {
        let mut gaps = Gaps::default();
        let told = feed(&mut gaps, &[1, 5, 3, 6, 7]);
        assert_eq!(
            told,
            [Some(0), Some(0), Some(0), Some(0), Some(2)],
            "2 and 4 stay lost"
        );
        let mut gaps = Gaps::default();
        assert_eq!(feed(&mut gaps, &[1, 3, 2, 4, 5, 6]), [Some(0); 6]);
        assert_eq!(gaps.late(), 1);
    }

    #[test]
    fn a_duplicate_is_known_as_one() {
        let told = feed(&mut Gaps::default(), &[1, 2, 2, 1, 4, 3, 3, 4]);
        assert_eq!(
            told,
            [Some(0), Some(0), None, None, Some(0), Some(0), None, None]
        );
    }

    #[test]
    fn holes_kept_have_a_limit() {
        let mut gaps = Gaps::default();
        let lost = (0..300).filter_map(|index| {
            match gaps.on_arrived(Seq::new(4 * index), Seq::new(4 * index + 4), true, None) {
                Place::New { lost } => Some(lost),
                Place::Duplicate => None,
            }
        });
        assert_eq!(lost.sum::<u64>(), 298 * 3);
        assert!(gaps.open.len() <= KEPT);
    }

    #[test]
    fn ds11_numbers_known_to_have_had_no_data_do_not_count() {
        let mut gaps = Gaps::default();
        gaps.on_arrived(Seq::new(0), Seq::new(0), true, None);
        gaps.on_arrived(Seq::new(0), Seq::new(4), true, Some(2));
        gaps.on_arrived(Seq::new(4), Seq::new(5), true, Some(0));
        let place = gaps.on_arrived(Seq::new(5), Seq::new(6), true, Some(0));
        assert_eq!(place, Place::New { lost: 1 });
    }
}
