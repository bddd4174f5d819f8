//! The Ack Ratio: congestion control of the acknowledgements (RFC 4341 §6.1).

use crate::Seq;
use crate::ccid::Acknowledgment;

/// With more in flight than this many times Ack Ratio 2, a higher ratio is asked for.
const ACKS_PER_WINDOW: u64 = 32;

/// Chooses the Ack Ratio, anew after each window of data.
#[derive(Debug)]
pub(super) struct AckRatio {
    /// What is asked for.
    current: u16,
    /// What losses of acknowledgements have made of it.
    congestion: u64,
    /// The most that is asked for without such losses.
    max_spared: u64,
    /// The window ends with the acknowledgement of this data packet.
    end: Option<Seq>,
    /// Whether an acknowledgement was lost in this window.
    is_lossy: bool,
    /// Whether the window was full meanwhile.
    is_limited: bool,
    /// Windows without a loss, one after another.
    clean: u64,
}

impl AckRatio {
    pub(super) fn new(max_spared: u16) -> Self {
        Self {
            current: 2,
            congestion: 2,
            max_spared: u64::from(max_spared.max(2)),
            end: None,
            is_lossy: false,
            is_limited: false,
            clean: 0,
        }
    }

    /// What is asked for.
    pub(super) const fn current(&self) -> u16 {
        self.current
    }

    /// Takes note of an acknowledgement, after which the window is `cwnd`.
    pub(super) fn on_acknowledged(
        &mut self,
        what: &Acknowledgment<'_>,
        last_sent: Option<Seq>,
        cwnd: u64,
    ) {
        self.is_lossy |= what.acks_lost > 0;
        self.is_limited |= what.limited;
        if self.end.is_none_or(|end| !what.ackno.precedes(end)) {
            self.end_window(cwnd);
            self.end = last_sent.map(|seq| seq.plus(1));
        } else if u64::from(self.current) > highest(cwnd) {
            // The window has shrunk: with fewer packets in flight than the ratio, a peer that
            // does not delay its acknowledgements but withholds them would send none.
            self.choose(cwnd);
        }
    }

    /// An acknowledgement may be what is missing: the next packet is to be acknowledged whatever
    /// the peer does with ratios above 1.
    pub(super) fn on_timeout(&mut self) {
        self.current = 1;
        self.end = None;
        self.is_lossy = false;
        self.is_limited = false;
        self.clean = 0;
    }

    fn end_window(&mut self, cwnd: u64) {
        if self.is_lossy {
            self.congestion = (self.congestion * 2).min(highest(cwnd));
            self.clean = 0;
        } else if self.congestion > 2 {
            self.clean += 1;
            let ratio = self.congestion;
            if self.clean >= cwnd / (ratio * ratio - ratio) {
                self.congestion -= 1;
                self.clean = 0;
            }
        }
        self.choose(cwnd);
        self.is_lossy = false;
        self.is_limited = false;
    }

    /// RFC 4341 §6.1.2 has the ratio return to 2. With a large window in full use, more than two
    /// acknowledgements in a window times [`ACKS_PER_WINDOW`] serve nobody, so a higher ratio is
    /// kept, still far below the limit of cwnd / 2.
    fn choose(&mut self, cwnd: u64) {
        self.congestion = self.congestion.min(highest(cwnd)).max(2);
        let spared = match (cwnd / ACKS_PER_WINDOW).checked_ilog2() {
            Some(log) if self.is_limited => (1 << log).min(self.max_spared),
            _ => 2,
        };
        let ratio = self.congestion.max(spared).min(highest(cwnd));
        self.current = u16::try_from(ratio).unwrap_or(u16::MAX);
    }
}

/// "Ack Ratio does not exceed cwnd/2, rounded up, except that Ack Ratio 2 is always acceptable"
/// (RFC 4341 §6.1.2); with one packet in flight, it would be one too many.
fn highest(cwnd: u64) -> u64 {
    if cwnd <= 1 {
        1
    } else {
        cwnd.div_ceil(2).max(2)
    }
}
