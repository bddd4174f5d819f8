//! What came: a run-length history, written as Ack Vectors (RFC 4340 §11.4, Appendix A).

use std::collections::VecDeque;

use crate::Seq;
use crate::packet::{OptionWriter, PacketState, Run};

/// The most packets that the history spans. No packet has room for vectors of more.
const MAX_SPAN: u64 = 1 << 24;

/// The longest Ack Vector option, type and length byte included.
const MAX_OPTION_LEN: u8 = 255;

/// The type of an Ack Vector whose nonce echo is 0; one more, and it is 1.
const ACK_VECTOR_0: u8 = 38;

/// The packets received, newest first, as runs; forgets what the peer knows (DA3).
///
/// It holds at most as many runs as [`Self::new`] was told. Of more, the oldest is forgotten: it
/// was reported in every vector so far, and the peer has long taken those packets for lost if
/// none of them arrived (RFC 4340 §11.4.2 has full coverage as a SHOULD). To drop new packets
/// instead would punish the connection for a peer that does not acknowledge acknowledgements.
#[derive(Debug)]
pub(crate) struct Received {
    /// The runs, oldest first, without holes between them.
    cells: VecDeque<Cell>,
    limit: usize,
    /// One past the greatest number received.
    next: Seq,
    /// The packets of ours that carried vectors and are not known to have arrived, oldest first.
    reports: VecDeque<Report>,
}

/// Neighbouring packets in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    first: Seq,
    /// At most 64, but for packets not received.
    length: u64,
    state: PacketState,
    /// The ECN nonces of packets received without a mark, the oldest in the lowest bit.
    nonces: u64,
}

/// A packet that carried vectors.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// Its sequence number, of ours.
    seq: Seq,
    /// The greatest number of the peer's up to which the vectors said what is still true.
    covered: Seq,
}

impl Received {
    /// Nothing received yet, `isr` the first number to come; `limit` is in runs, and in packets
    /// with vectors that are remembered (at least 4).
    pub(crate) fn new(isr: Seq, limit: usize) -> Self {
        Self {
            cells: VecDeque::new(),
            limit: limit.max(4),
            next: isr,
            reports: VecDeque::new(),
        }
    }

    /// Takes note of an acknowledgeable packet; whether it left a gap behind or filled one (an
    /// acknowledgement is due at once). `nonce`: its ECN nonce (ECT(1)). O(1) in order.
    pub(crate) fn on_received(&mut self, seq: Seq, state: PacketState, nonce: bool) -> bool {
        let nonce = nonce && state == PacketState::Received;
        match u64::try_from(self.next.distance_to(seq)) {
            Ok(gap) => {
                self.on_next(seq, gap, state, nonce);
                gap > 0
            }
            Err(_) => self.on_late(seq, state, nonce),
        }
    }

    /// Appends Ack Vectors from the greatest number received (which the packet's ackno must be)
    /// down to what the peer is not known to know, as far as `options` has room (what does not
    /// fit is the oldest). Tells whether there was any.
    pub(crate) fn write(&self, options: &mut OptionWriter) -> bool {
        let mut room = options.room();
        let bytes = options.bytes_mut();
        let mut option = None;
        for (run, nonce) in self.cells.iter().rev().flat_map(Cell::runs) {
            let start = match option {
                Some(start) if bytes[start + 1] < MAX_OPTION_LEN => start,
                Some(_) | None => {
                    if room < 3 {
                        break;
                    }
                    bytes.extend_from_slice(&[ACK_VECTOR_0, 2]);
                    room -= 2;
                    bytes.len() - 2
                }
            };
            option = Some(start);
            if room == 0 {
                break;
            }
            bytes.push(run.to_cell());
            room -= 1;
            bytes[start] ^= u8::from(nonce);
            bytes[start + 1] += 1;
        }
        option.is_some()
    }

    /// Remembers that our packet `seq` carried vectors, and what they covered. If they did not fit
    /// whole, what is older counts as covered: later packets are reported in its place, so that
    /// the peer takes it for lost either way.
    pub(crate) fn on_vector_sent(&mut self, seq: Seq) {
        if self.reports.len() == self.limit {
            self.reports.pop_front();
        }
        self.reports.push_back(Report {
            seq,
            covered: self.next.minus(1),
        });
    }

    /// The peer has received our packet `ackno`: what its vectors covered is forgotten.
    pub(crate) fn on_acknowledged(&mut self, ackno: Seq) {
        let found = self
            .reports
            .binary_search_by(|report| 0.cmp(&report.seq.distance_to(ackno)));
        let Ok(index) = found else { return };
        let covered = self.reports[index].covered;
        self.reports.drain(..=index);
        while let Some(cell) = self.cells.front_mut() {
            let known = match u64::try_from(cell.first.distance_to(covered)) {
                Ok(distance) => distance + 1,
                Err(_) => break,
            };
            if known < cell.length {
                *cell = cell.part(known, cell.length - known);
                break;
            }
            self.cells.pop_front();
        }
    }

    /// A packet with a number greater than all before, `gap` numbers between.
    fn on_next(&mut self, seq: Seq, gap: u64, state: PacketState, nonce: bool) {
        self.next = seq.plus(1);
        if gap > 0 {
            let length = gap.min(MAX_SPAN);
            let first = seq.minus(length);
            if length < gap {
                self.cells.clear();
            }
            self.cells.push_back(Cell {
                first,
                length,
                state: PacketState::NotReceived,
                nonces: 0,
            });
        }
        match self.cells.back_mut() {
            Some(last) if last.state == state && last.length < u64::from(Run::MAX_LENGTH) => {
                last.nonces |= u64::from(nonce) << last.length;
                last.length += 1;
            }
            Some(_) | None => self.cells.push_back(Cell::one(seq, state, nonce)),
        }
        self.keep_limits();
    }

    /// A packet with a number that was passed: late, or a duplicate, or forgotten.
    fn on_late(&mut self, seq: Seq, state: PacketState, nonce: bool) -> bool {
        let after = self.cells.partition_point(|cell| !seq.precedes(cell.first));
        let Some(index) = after.checked_sub(1) else {
            return false;
        };
        let cell = self.cells[index];
        // RFC 4340 §11.4.1, the receiver's table: a mark stays, and of duplicates one is enough.
        let changes = match cell.state {
            PacketState::NotReceived => true,
            PacketState::Received => state == PacketState::Marked,
            PacketState::Marked => false,
        };
        if !changes {
            return false;
        }
        self.replace(index, cell, Cell::one(seq, state, nonce));
        // What was reported of this packet is no longer true; it must be reported again before
        // it is forgotten (RFC 4340 Appendix A.3).
        for report in self.reports.iter_mut().rev() {
            if report.covered.precedes(seq) {
                break;
            }
            report.covered = seq.minus(1);
        }
        self.keep_limits();
        cell.state == PacketState::NotReceived
    }

    /// Puts `one` in its place inside `cell`, which is at `index`.
    fn replace(&mut self, index: usize, cell: Cell, one: Cell) {
        let before = cell.first.distance_to(one.first).unsigned_abs();
        let after = cell.length - before - 1;
        self.cells[index] = one;
        if after > 0 {
            self.cells.insert(index + 1, cell.part(before + 1, after));
        }
        let mut at = index;
        if before > 0 {
            self.cells.insert(index, cell.part(0, before));
            at += 1;
        }
        self.merge(at);
        if let Some(at) = at.checked_sub(1) {
            self.merge(at);
        }
    }

    /// Joins the runs at `index` and after it if they can be one.
    fn merge(&mut self, index: usize) {
        let (Some(&one), Some(&two)) = (self.cells.get(index), self.cells.get(index + 1)) else {
            return;
        };
        let fits = one.length + two.length <= u64::from(Run::MAX_LENGTH);
        if one.state == two.state && fits {
            let nonces = one.nonces | two.nonces << one.length;
            self.cells[index] = Cell {
                length: one.length + two.length,
                nonces,
                ..one
            };
            self.cells.remove(index + 1);
        }
    }

    fn keep_limits(&mut self) {
        while let Some(oldest) = self.cells.front()
            && (self.cells.len() > self.limit
                || oldest.first.distance_to(self.next).unsigned_abs() > MAX_SPAN + 1)
        {
            self.cells.pop_front();
        }
    }
}

impl Cell {
    fn one(seq: Seq, state: PacketState, nonce: bool) -> Self {
        Self {
            first: seq,
            length: 1,
            state,
            nonces: u64::from(nonce),
        }
    }

    /// `length` packets of it, without the first `skip`. At least one remains.
    fn part(&self, skip: u64, length: u64) -> Self {
        let nonces = match self.state {
            PacketState::Received if self.nonces != 0 => {
                (self.nonces >> skip) & (u64::MAX >> (u64::BITS as u64 - length))
            }
            PacketState::Received | PacketState::Marked | PacketState::NotReceived => 0,
        };
        Self {
            first: self.first.plus(skip),
            length,
            nonces,
            ..*self
        }
    }

    /// The runs that say it in an Ack Vector, and each one's nonce sum. Only packets not received
    /// need more than one.
    fn runs(&self) -> impl Iterator<Item = (Run, bool)> + use<> {
        let state = Some(self.state);
        let nonce = self.nonces.count_ones() % 2 == 1;
        let mut left = self.length;
        std::iter::from_fn(move || {
            let length = u8::try_from(left).unwrap_or(u8::MAX).min(Run::MAX_LENGTH);
            left -= u64::from(length);
            (length > 0).then_some((Run { state, length }, nonce))
        })
    }
}

#[cfg(test)]
mod tests;
