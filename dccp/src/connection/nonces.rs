//! ECN nonces: whether a receiver that says that packets came unmarked has seen them (RFC 4340
//! §12.2, RFC 3540).
//!
//! A train has one ECN field, since the kernel sends it in one call; so its packets have one nonce,
//! which is as good as one for each where a whole train is lost or marked, and less where one
//! packet is.

use std::collections::VecDeque;

use crate::Seq;
use crate::packet::{AckVector, PacketState};

/// So many wrong sums, each taken as a mark, and ECN is given up: the peer lies, and gains nothing
/// that it could not have by saying ECN Incapable. It is given up with the first wrong sum if
/// nothing but zeroes was echoed so far, as on a path that clears the field.
const DISTRUST: u32 = 3;

/// The nonces of packets sent: 1 for ECT(1), 0 for all others.
#[derive(Debug)]
pub(super) struct Nonces {
    /// For each packet from `first` on the sum of all nonces up to it: a bit each, the earliest
    /// lowest.
    sums: VecDeque<u64>,
    /// How many packets that is.
    count: u64,
    first: Option<Seq>,
    /// The sum of the nonces of all packets before `first`, and whether any of them had one.
    before: bool,
    forgotten: bool,
    /// The sum of all.
    sum: bool,
    /// In words of [`WORD`] packets.
    limit: usize,
    /// Whether a nonce of 1 was echoed.
    proven: bool,
    /// The packet acknowledged when a sum was wrong last: vectors that go back to before it would
    /// be wrong again for the same reason, and are not looked at.
    blind: Option<Seq>,
    wrong: u32,
}

/// Packets to a word.
const WORD: u64 = u64::BITS as u64;

impl Nonces {
    /// Remembers `limit` packets, or a few more.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            sums: VecDeque::new(),
            count: 0,
            first: None,
            before: false,
            forgotten: false,
            sum: false,
            limit: limit / u64::BITS as usize + 1,
            proven: false,
            blind: None,
            wrong: 0,
        }
    }

    /// Packet `seq`, the next number, has gone out. Nothing is kept before the first nonce.
    pub(super) fn on_sent(&mut self, seq: Seq, nonce: bool) {
        if self.first.is_none() {
            if !nonce || !self.is_trusted() {
                return;
            }
            self.first = Some(seq);
        }
        if self.count.is_multiple_of(WORD) {
            if self.sums.len() >= self.limit
                && let Some(oldest) = self.sums.pop_front()
            {
                self.before = oldest >> (WORD - 1) == 1;
                self.forgotten = true;
                self.count -= WORD;
                self.first = self.first.map(|first| first.plus(WORD));
                self.blind = self
                    .blind
                    .filter(|blind| !blind.precedes(seq.minus(self.count)));
            }
            self.sums.push_back(0);
        }
        self.sum ^= nonce;
        if let Some(last) = self.sums.back_mut() {
            *last |= u64::from(self.sum) << (self.count % WORD);
        }
        self.count += 1;
    }

    /// The sum of the nonces of all packets up to `seq`; `None` if that is forgotten.
    fn sum(&self, seq: Seq) -> Option<bool> {
        let first = self.first?;
        if self.blind.is_some_and(|blind| seq.precedes(blind)) {
            return None;
        }
        match u64::try_from(first.distance_to(seq)) {
            Ok(index) if index < self.count => {
                let word = self.sums.get(usize::try_from(index / WORD).ok()?)?;
                Some(word >> (index % WORD) & 1 == 1)
            }
            Ok(_) => None,
            Err(_) if first.minus(1) == seq => Some(self.before),
            Err(_) => (!self.forgotten).then_some(false),
        }
    }

    /// Whether the nonce echoes of an acknowledgement are right, as far as that is known. Once ECN
    /// is given up, none is looked at.
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
            match expected {
                Some(expected) if expected != vector.nonce => {
                    self.on_wrong(ack, vector.nonce);
                    return false;
                }
                Some(_) => self.proven |= vector.nonce,
                None => {}
            }
        }
        true
    }

    fn on_wrong(&mut self, ack: Seq, echoed: bool) {
        self.wrong = match self.proven || echoed {
            true => self.wrong + 1,
            false => DISTRUST,
        };
        self.blind = Some(ack);
        if !self.is_trusted() {
            self.first = None;
            self.sums = VecDeque::new();
        }
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
    fn nonces() -> Nonces {
        let mut nonces = Nonces::new(100);
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
        let right: [(u64, bool, &[u8]); 4] = [
            // 19 to 10 received: three nonces.
            (19, true, &[9]),
            // 17 marked: its nonce was overwritten.
            (19, false, &[1, 0x40, 6]),
            // 13 lost: 19..14 received, and 12..10.
            (19, false, &[5, 0xc0, 2]),
            (17, true, &[0]),
        ];
        for (ack, nonce, cells) in right {
            assert!(check(&mut nonces(), ack, nonce, cells));
            assert!(!check(&mut nonces(), ack, !nonce, cells));
        }
    }

    #[test]
    fn dd13_wrong_sums_count_once_each_and_then_ecn_is_given_up() {
        let mut all = nonces();
        assert!(check(&mut all, 12, true, &[2]), "the path carries nonces");
        assert!(!check(&mut all, 14, false, &[1]));
        assert!(check(&mut all, 15, true, &[2]), "wrong for the same reason");
        assert!(!check(&mut all, 17, false, &[1]));
        assert!(all.is_trusted());
        assert!(!check(&mut all, 19, true, &[0]));
        assert!(!all.is_trusted(), "three wrong sums");
        // Nothing is checked or kept any more.
        assert!(check(&mut all, 19, true, &[0]));
        all.on_sent(Seq::new(20), true);
        assert!(all.sums.is_empty());
    }

    #[test]
    fn dd13_a_path_that_clears_the_field_costs_one_mark() {
        let mut all = nonces();
        assert!(check(&mut all, 11, false, &[1]));
        assert!(!check(&mut all, 12, false, &[2]));
        assert!(!all.is_trusted());
        assert!(check(&mut all, 14, false, &[4]));
    }

    #[test]
    fn dd13_what_is_forgotten_cannot_be_wrong() {
        let mut few = Nonces::new(64);
        // Every third has nonce 1: 0, 3, 6, .. Words are forgotten whole.
        for number in 0..320 {
            few.on_sent(Seq::new(number), number % 3 == 0);
        }
        assert_eq!((few.sums.len(), few.first), (2, Some(Seq::new(192))));
        // 319 to 192: 43 nonces. One packet more is not known.
        assert!(check(&mut few, 319, true, &[63, 63]));
        for nonce in [false, true] {
            assert!(check(&mut few, 319, nonce, &[63, 63, 0]));
            // What was never sent neither.
            assert!(check(&mut few, 320, nonce, &[0]));
        }
        assert!(!check(&mut few, 319, false, &[63, 63]));
        let mut none = Nonces::new(4);
        none.on_sent(Seq::new(1), false);
        assert!(check(&mut none, 1, false, &[0]));
    }

    #[test]
    fn dd13_sums_go_on_where_numbers_wrap() {
        let mut nonces = Nonces::new(1000);
        let first = Seq::new(0).minus(100);
        for offset in 0..200 {
            nonces.on_sent(first.plus(offset), offset % 2 == 0);
        }
        // The last 129 packets: 64 nonces.
        let cells = [63, 63, 0];
        assert!(
            nonces.check(
                first.plus(199),
                [AckVector {
                    nonce: false,
                    cells: &cells
                }]
                .into_iter()
            )
        );
        assert!(
            !nonces.check(
                first.plus(199),
                [AckVector {
                    nonce: true,
                    cells: &cells
                }]
                .into_iter()
            )
        );
    }
}
