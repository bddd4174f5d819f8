//! ECN nonces: whether a receiver that says that packets came unmarked has seen them (RFC 4340
//! §12.2, RFC 3540).

use std::collections::VecDeque;

use crate::Seq;
use crate::packet::{AckVector, PacketState};

/// So many wrong sums, and ECN is given up: a middlebox clears the field, or the peer lies.
const DISTRUST: u32 = 3;

/// The nonces of packets sent: 1 for ECT(1), 0 for all others.
#[derive(Debug)]
pub(super) struct Nonces {
    /// For each packet from `first` on, the sum of all nonces up to it.
    sums: VecDeque<bool>,
    first: Option<Seq>,
    /// The sum of the nonces of all packets before `first`, and how many of them had one.
    before: bool,
    forgotten: u64,
    limit: usize,
    wrong: u32,
}

impl Nonces {
    /// Remembers `limit` packets.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            sums: VecDeque::new(),
            first: None,
            before: false,
            forgotten: 0,
            limit,
            wrong: 0,
        }
    }

    /// Packet `seq`, the next number, has gone out. Nothing is kept before the first nonce.
    pub(super) fn on_sent(&mut self, seq: Seq, nonce: bool) {
        if self.first.is_none() {
            if !nonce {
                return;
            }
            self.first = Some(seq);
        }
        let sum = self.sums.back().copied().unwrap_or(self.before) ^ nonce;
        self.sums.push_back(sum);
        if self.sums.len() > self.limit
            && let Some(oldest) = self.sums.pop_front()
        {
            self.before = oldest;
            self.forgotten += 1;
            self.first = self.first.map(|first| first.plus(1));
        }
    }

    /// The sum of the nonces of all packets up to `seq`; `None` if that is forgotten.
    fn sum(&self, seq: Seq) -> Option<bool> {
        let first = self.first?;
        match usize::try_from(first.distance_to(seq)) {
            Ok(index) => self.sums.get(index).copied(),
            Err(_) if first.minus(1) == seq => Some(self.before),
            Err(_) => (self.forgotten == 0).then_some(false),
        }
    }

    /// Whether the nonce echoes of an acknowledgement are right, as far as that is known.
    pub(super) fn check<'a>(
        &mut self,
        ack: Seq,
        vectors: impl Iterator<Item = AckVector<'a>>,
    ) -> bool {
        if self.first.is_none() {
            return true;
        }
        let mut newest = ack;
        for vector in vectors {
            let mut expected = Some(false);
            for run in vector.runs() {
                let before = newest.minus(u64::from(run.length));
                if run.state == Some(PacketState::Received) {
                    let sums = self.sum(newest).zip(self.sum(before));
                    expected = expected.zip(sums).map(|(sum, (to, from))| sum ^ to ^ from);
                }
                newest = before;
            }
            if expected.is_some_and(|expected| expected != vector.nonce) {
                self.wrong += 1;
                return false;
            }
        }
        true
    }

    /// Whether ECN may still be used.
    pub(super) const fn is_trusted(&self) -> bool {
        self.wrong < DISTRUST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets 10 to 19; 12, 13 and 17 have nonce 1.
    fn nonces(limit: usize) -> Nonces {
        let mut nonces = Nonces::new(limit);
        for number in 10..20 {
            nonces.on_sent(Seq::new(number), [12, 13, 17].contains(&number));
        }
        nonces
    }

    fn check(nonces: &mut Nonces, ack: u64, nonce: bool, cells: &[u8]) -> bool {
        nonces.check(Seq::new(ack), [AckVector { nonce, cells }].into_iter())
    }

    #[test]
    fn dd13_the_echo_is_the_sum_over_packets_received_without_a_mark() {
        let mut all = nonces(100);
        // 19 to 10 received: three nonces.
        assert!(check(&mut all, 19, true, &[9]));
        assert!(!check(&mut all, 19, false, &[9]));
        // 17 marked: its nonce was overwritten.
        assert!(check(&mut all, 19, false, &[1, 0x40, 6]));
        // 13 lost: 19..14 received, and 12..10.
        assert!(check(&mut all, 19, false, &[5, 0xc0, 2]));
        assert!(!check(&mut all, 19, true, &[5, 0xc0, 2]));
        assert!(all.is_trusted());
        assert!(!check(&mut all, 17, false, &[0]));
        assert!(!all.is_trusted(), "three wrong sums");
    }

    #[test]
    fn dd13_what_is_forgotten_cannot_be_wrong() {
        let mut few = nonces(4);
        assert!(check(&mut few, 19, true, &[9]) && check(&mut few, 19, false, &[9]));
        assert!(check(&mut few, 19, true, &[3]));
        assert!(!check(&mut few, 19, false, &[3]));
        let mut none = Nonces::new(4);
        none.on_sent(Seq::new(1), false);
        assert!(check(&mut none, 1, false, &[0]));
    }
}
