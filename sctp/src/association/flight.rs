//! Chunks that were sent and are not acknowledged by the cumulative TSN.

use std::collections::VecDeque;
use std::time::Instant;

use super::outbound::Piece;
use crate::chunk::{Data, Interleave};
use crate::tsn::Tsn;
use crate::wire::padded;

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    InFlight,
    /// In a gap block.
    Acked,
    /// Marked for retransmission.
    Lost,
}

/// A chunk that was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) piece: Piece,
    pub(crate) standing: Standing,
    /// The path it went last, and in which packet.
    pub(crate) path: usize,
    pub(crate) packet: u64,
    pub(crate) at: Instant,
    pub(crate) transmissions: u32,
    /// Miss indications (RFC 9260 §7.2.4).
    pub(crate) missing: u8,
}

/// TSNs from the first to the last.
pub(crate) type Range = (Tsn, Tsn);

/// The chunks from the Cumulative TSN Ack Point on, in a ring by TSN.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The Cumulative TSN Ack Point.
    cumulative: Tsn,
    chunks: VecDeque<Sent>,
    /// What the peer's gap blocks hold, in order.
    gaps: Vec<Range>,
    /// Bytes of user data in flight.
    pub(crate) bytes: usize,
    lost: usize,
    /// No chunk before this one is marked for retransmission.
    first_lost: Tsn,
    interleaved: bool,
}

impl Flight {
    pub(crate) const fn new(initial: Tsn) -> Self {
        Self {
            cumulative: initial.minus(1),
            chunks: VecDeque::new(),
            gaps: Vec::new(),
            bytes: 0,
            lost: 0,
            first_lost: initial,
            interleaved: false,
        }
    }

    pub(crate) const fn set_interleaved(&mut self, interleaved: bool) {
        self.interleaved = interleaved;
    }

    pub(crate) const fn is_interleaved(&self) -> bool {
        self.interleaved
    }

    pub(crate) const fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// The highest TSN that was sent.
    pub(crate) fn highest(&self) -> Tsn {
        self.cumulative.plus(self.count())
    }

    /// Chunks that are kept.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) const fn has_lost(&self) -> bool {
        self.lost > 0
    }

    pub(crate) fn gaps(&self) -> &[Range] {
        &self.gaps
    }

    /// Bytes of a chunk with its padding, as congestion control counts them.
    pub(crate) fn size(&self, sent: &Sent) -> usize {
        padded(Data::header_len(self.interleaved) + sent.piece.payload.len())
    }

    fn index(&self, tsn: Tsn) -> usize {
        self.cumulative.plus(1).steps_to(tsn) as usize
    }

    pub(crate) fn find(&mut self, tsn: Tsn) -> Option<&mut Sent> {
        let index = self.index(tsn);
        self.chunks.get_mut(index)
    }

    /// Adds a chunk that is being sent for the first time.
    pub(crate) fn push(&mut self, sent: Sent) -> Tsn {
        self.bytes += sent.piece.payload.len();
        self.chunks.push_back(sent);
        self.highest()
    }

    /// Removes the first chunk: the cumulative TSN moves by one.
    pub(crate) fn pop(&mut self) -> Option<Sent> {
        let sent = self.chunks.pop_front()?;
        self.cumulative = self.cumulative.plus(1);
        match sent.standing {
            Standing::InFlight => self.bytes -= sent.piece.payload.len(),
            Standing::Lost => self.lost -= 1,
            Standing::Acked => {}
        }
        Some(sent)
    }

    /// Changes where a chunk stands; returns where it stood.
    pub(crate) fn set_standing(&mut self, tsn: Tsn, standing: Standing) -> Option<Standing> {
        let index = self.index(tsn);
        let sent = self.chunks.get_mut(index)?;
        let bytes = sent.piece.payload.len();
        let before = std::mem::replace(&mut sent.standing, standing);
        match before {
            Standing::InFlight => self.bytes -= bytes,
            Standing::Lost => self.lost -= 1,
            Standing::Acked => {}
        }
        match standing {
            Standing::InFlight => self.bytes += bytes,
            Standing::Lost => {
                if self.lost == 0 || tsn.precedes(self.first_lost) {
                    self.first_lost = tsn;
                }
                self.lost += 1;
            }
            Standing::Acked => {}
        }
        Some(before)
    }

    /// The first chunk that is marked for retransmission.
    pub(crate) fn next_lost(&mut self) -> Option<Tsn> {
        if self.lost == 0 {
            return None;
        }
        if self.first_lost.precedes(self.cumulative.plus(1)) {
            self.first_lost = self.cumulative.plus(1);
        }
        let start = self.index(self.first_lost);
        let offset = self
            .chunks
            .range(start..)
            .position(|sent| sent.standing == Standing::Lost)?;
        self.first_lost = self.first_lost.plus(u32::try_from(offset).ok()?);
        Some(self.first_lost)
    }

    /// Every TSN with where it stands, for the timers that look at all.
    pub(crate) fn tsns(&self) -> impl DoubleEndedIterator<Item = (Tsn, &Sent)> {
        let first = self.cumulative.plus(1);
        self.chunks
            .iter()
            .enumerate()
            .map(move |(index, sent)| (first.plus(u32::try_from(index).unwrap_or(u32::MAX)), sent))
    }

    /// Takes new gap blocks. `fresh` gets what they hold for the first time, `reneged` what they
    /// do not hold any more.
    pub(crate) fn set_gaps(
        &mut self,
        blocks: &mut Vec<Range>,
        fresh: &mut Vec<Range>,
        reneged: &mut Vec<Range>,
    ) {
        fresh.clear();
        reneged.clear();
        let floor = self.cumulative;
        for list in [&mut self.gaps, &mut *blocks] {
            list.retain_mut(|(first, last)| {
                if !floor.precedes(*first) {
                    *first = floor.plus(1);
                }
                floor.precedes(*last)
            });
        }
        difference(floor, blocks, &self.gaps, fresh);
        difference(floor, &self.gaps, blocks, reneged);
        std::mem::swap(&mut self.gaps, blocks);
    }

    /// Appends a chunk to a packet.
    pub(crate) fn encode(&self, tsn: Tsn, out: &mut Vec<u8>) {
        let Some(sent) = self.chunks.get(self.index(tsn)) else {
            return;
        };
        let piece = &sent.piece;
        let place = if self.interleaved {
            Interleave::Mid {
                mid: piece.mid,
                fsn: piece.fsn,
            }
        } else {
            Interleave::Ssn(if piece.unordered { 0 } else { piece.mid.ssn() })
        };
        let data = Data {
            tsn,
            stream: piece.stream,
            place,
            ppid: Some(piece.ppid),
            unordered: piece.unordered,
            begins: piece.begins,
            ends: piece.ends,
            immediate: piece.immediate,
            payload: &piece.payload,
        };
        data.encode(out);
    }
}

/// What of `a` is not in `b`; both are in order above `floor`, without overlap.
fn difference(floor: Tsn, a: &[Range], b: &[Range], out: &mut Vec<Range>) {
    let mut rest = b.iter().peekable();
    for (first, last) in a {
        let (mut first, last) = (*first, *last);
        loop {
            while rest
                .next_if(|(_, end)| floor.steps_to(*end) < floor.steps_to(first))
                .is_some()
            {}
            match rest.peek() {
                Some((start, end)) if !last.precedes(*start) => {
                    if first.precedes(*start) {
                        out.push((first, start.minus(1)));
                    }
                    if !end.precedes(last) {
                        break;
                    }
                    first = end.plus(1);
                }
                _ => {
                    out.push((first, last));
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(set: &BTreeSet<u32>, floor: Tsn) -> Vec<Range> {
        let mut list: Vec<Range> = Vec::new();
        for offset in set {
            let tsn = floor.plus(1 + offset);
            match list.last_mut() {
                Some((_, last)) if last.plus(1) == tsn => *last = tsn,
                _ => list.push((tsn, tsn)),
            }
        }
        list
    }

    proptest! {
        #[test]
        fn sa1_what_is_new_in_a_sack_is_the_difference(
            floor: u32,
            a in prop::collection::btree_set(0_u32..60, 0..40),
            b in prop::collection::btree_set(0_u32..60, 0..40),
        ) {
            let floor = Tsn::new(floor);
            let mut out = Vec::new();
            difference(floor, &ranges(&a, floor), &ranges(&b, floor), &mut out);
            let told: BTreeSet<u32> = out
                .iter()
                .flat_map(|(first, last)| {
                    floor.plus(1).steps_to(*first)..=floor.plus(1).steps_to(*last)
                })
                .collect();
            prop_assert_eq!(told, &a - &b);
        }
    }
}
