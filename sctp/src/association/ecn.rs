//! Explicit Congestion Notification (RFC 4960 Appendix A, RFC 3168).
//!
//! RFC 9260 has taken ECN out and kept its numbers; Linux has it. Where both ends said that they
//! know it, packets with DATA leave as ECN-capable (ECT(0)). A receiver tells the lowest TSN of a
//! packet that came marked (CE) in an ECNE with each SACK, until a CWR says that the sender knows.
//! The sender takes it as the loss of a packet, once in each window of data.
//!
//! Not every path lets such packets through, or leaves their field alone. One whose first packets
//! are lost, or that marks however little is sent, gets packets that are not ECN-capable.

use std::time::Instant;

use super::paths::PathState;
use super::{Association, flight::Flight};
use crate::chunk::{ChunkType, put_tsn};
use crate::tsn::Tsn;
use crate::types;

/// Bytes of an ECNE and of a CWR.
const LEN: usize = 8;

/// Packets after the last reduction of a window when its end, a TSN, is not compared any more: with
/// the most chunks that a packet can hold, TSNs would soon be half their numbers ahead of it.
const REACH: u64 = 1 << 19;

/// A window of so few packets is as small as marks make it.
const SMALL_WINDOW: usize = 4;

/// Reductions of a small window, without one of a larger window between them, that are not
/// congestion's: a path that marks all packets.
const MAX_MARKS: u32 = 10;

/// What the two ends tell each other of marked packets.
#[derive(Debug, Default)]
pub(super) struct Ecn {
    /// Both ends know it.
    pub(super) is_agreed: bool,
    /// What the peer must know: the lowest TSN of the last packet that came marked.
    echo: Option<Tsn>,
    /// What the peer is to be told that this end knows, with the next DATA.
    confirm: Option<Tsn>,
}

impl Ecn {
    pub(super) fn new(is_agreed: bool) -> Self {
        Self {
            is_agreed,
            ..Self::default()
        }
    }

    /// Notes a marked packet. Returns whether the peer knows of none before it: then it is to be
    /// told at once.
    pub(super) fn on_marked(&mut self, lowest: Tsn) -> bool {
        self.is_agreed && self.echo.replace(lowest).is_none()
    }

    /// Takes a CWR.
    pub(super) fn on_cwr(&mut self, lowest: Tsn) {
        if self.echo.is_some_and(|echo| !lowest.precedes(echo)) {
            self.echo = None;
        }
    }

    /// Appends an ECNE, if there is something to tell and room for it. Returns its bytes.
    pub(super) fn write_echo(&self, out: &mut Vec<u8>, room: usize) -> usize {
        let Some(lowest) = self.echo.filter(|_| room >= LEN) else {
            return 0;
        };
        put_tsn(out, ChunkType::ECNE, lowest);
        LEN
    }

    /// Appends a CWR, if there is something to confirm and room for it.
    pub(super) fn write_cwr(&mut self, out: &mut Vec<u8>, room: usize) {
        if room >= LEN
            && let Some(lowest) = self.confirm.take()
        {
            put_tsn(out, ChunkType::CWR, lowest);
        }
    }
}

/// Whether ECN-capable packets get through a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Untried,
    /// The first was the packet of that number.
    Tried(u64),
    Proven,
    /// They do not, or their field means nothing.
    Refused,
}

impl Passage {
    /// A packet of that number arrived that was sent once.
    pub(super) fn on_arrived(&mut self, packet: u64) {
        if matches!(self, Self::Tried(first) if *first <= packet) {
            *self = Self::Proven;
        }
    }

    /// What was sent went unanswered.
    pub(super) fn on_silence(&mut self) {
        *self = match *self {
            Self::Tried(_) | Self::Refused => Self::Refused,
            // The way may have changed.
            Self::Untried | Self::Proven => Self::Untried,
        };
    }
}

/// Congestion on a path: its window ends where data has got to.
pub(super) fn end_window(path: &mut PathState, flight: &Flight, next_packet: u64) {
    path.recovery = next_packet;
    path.window_end = Some(flight.highest());
}

impl Association {
    /// The ECN field of the next packet with DATA on a path, of that number.
    pub(super) fn data_ecn(&mut self, path: usize, packet: u64) -> types::Ecn {
        let path = &mut self.paths[path];
        // RFC 3168 §6.1.6: not of probes of a closed window. What is sent again after a silence
        // finds out whether other packets pass.
        let fit = self.ecn.is_agreed && self.peer_window > 0 && path.silences == 0;
        if !fit || path.ect == Passage::Refused {
            return types::Ecn::NotEct;
        }
        if path.ect == Passage::Untried {
            path.ect = Passage::Tried(packet);
        }
        types::Ecn::Ect0
    }

    /// Takes an ECNE: a packet whose lowest TSN is this one came marked.
    pub(super) fn on_ecne(&mut self, now: Instant, lowest: Tsn) {
        if !self.ecn.is_agreed || self.flight.highest().precedes(lowest) {
            return;
        }
        self.ecn.confirm = Some(lowest);
        let sent = self.flight.find(lowest);
        let index = sent.map_or(self.paths.current, |sent| sent.path);
        let path = &mut self.paths[index];
        let far = self.next_packet - path.recovery > REACH;
        let known = path.window_end.is_some_and(|end| !end.precedes(lowest));
        if known && !far {
            return;
        }
        path.congestion.on_loss(now);
        end_window(path, &self.flight, self.next_packet);
        path.counts.marks += 1;
        if path.congestion.window() > SMALL_WINDOW * path.mtu.current() {
            path.small_marks = 0;
        } else {
            path.small_marks += 1;
            if path.small_marks > MAX_MARKS {
                path.ect = Passage::Refused;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so7_a_mark_is_told_until_the_peer_knows() {
        let mut ecn = Ecn::new(true);
        let mut out = Vec::new();
        assert_eq!(ecn.write_echo(&mut out, 100), 0);
        assert!(ecn.on_marked(Tsn::new(7)));
        assert!(!ecn.on_marked(Tsn::new(9)), "it is on its way");
        assert_eq!(ecn.write_echo(&mut out, LEN - 1), 0);
        for _ in 0..2 {
            out.clear();
            assert_eq!(ecn.write_echo(&mut out, LEN), LEN);
            assert_eq!(out, [12, 0, 0, 8, 0, 0, 0, 9]);
            ecn.on_cwr(Tsn::new(8));
        }
        ecn.on_cwr(Tsn::new(9));
        assert_eq!(ecn.write_echo(&mut out, LEN), 0);
        assert!(!Ecn::new(false).on_marked(Tsn::new(7)));
    }

    #[test]
    fn so7_a_path_must_let_ecn_capable_packets_through() {
        let mut passage = Passage::Untried;
        passage.on_silence();
        assert_eq!(passage, Passage::Untried, "none was sent");
        passage = Passage::Tried(5);
        passage.on_arrived(4);
        assert_eq!(passage, Passage::Tried(5));
        passage.on_arrived(5);
        assert_eq!(passage, Passage::Proven);
        passage.on_silence();
        assert_eq!(passage, Passage::Untried, "the way may have changed");
        passage = Passage::Tried(9);
        passage.on_silence();
        passage.on_arrived(9);
        assert_eq!(passage, Passage::Refused);
    }
}
