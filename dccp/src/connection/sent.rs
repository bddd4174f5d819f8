//! What was sent and not yet settled: Ack Vectors read, losses inferred, round trips measured.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::Seq;
use crate::packet::AckVector;

/// After so many later packets acknowledged, one not acknowledged is lost (RFC 4341 §5).
pub(crate) const NUMDUPACK: u64 = 3;

/// The packets sent, from the oldest not settled to GSS: a ring indexed by sequence number.
///
/// In the steady state nothing is allocated for a packet, and an Ack Vector costs time in the
/// number of newly acknowledged packets and of runs, not of packets in flight.
#[derive(Debug)]
pub(crate) struct Sent {}

/// What an acknowledgement newly told, as [`crate::ccid::Acknowledgment`] has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) marked: u64,
    pub(crate) lost: u64,
    pub(crate) latest_loss: Option<Seq>,
    pub(crate) rtt: Option<Duration>,
}

impl Sent {
    /// Nothing sent before `iss`.
    pub(crate) fn new(iss: Seq) -> Self {
        let _ = iss;
        todo!()
    }
    /// Takes note of packet `seq`, the next number; `data`: bytes of application data, `None` for
    /// a packet without.
    pub(crate) fn on_sent(&mut self, now: Instant, seq: Seq, data: Option<usize>) {
        let _ = (now, seq, data);
    }
    /// Takes an acknowledgement with its vectors in order (none: only `ackno` itself is known to
    /// have arrived). `elapsed`: the peer's delay. Calls `on_range` for each stretch of newly
    /// acknowledged or lost numbers (`true`: received).
    pub(crate) fn on_acknowledged<'a>(
        &mut self,
        now: Instant,
        ackno: Seq,
        vectors: impl Iterator<Item = AckVector<'a>>,
        elapsed: Duration,
        on_range: impl FnMut(Range<u64>, bool),
    ) -> Settled {
        let _ = (now, ackno, vectors, elapsed, on_range);
        todo!()
    }
    /// Data packets in the network.
    pub(crate) fn in_flight(&self) -> u64 {
        todo!()
    }
    /// Forgets that anything is in the network (RTO).
    pub(crate) fn forget_in_flight(&mut self) {}
    /// Whether every data packet sent is acknowledged or lost.
    pub(crate) fn is_settled(&self) -> bool {
        todo!()
    }
}
