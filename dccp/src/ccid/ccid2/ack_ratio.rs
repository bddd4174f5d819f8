//! The Ack Ratio: congestion control of the acknowledgements (RFC 4341 §6.1).

use crate::Seq;
use crate::ccid::Acknowledgment;

/// However many acknowledgements are lost, so many in a window are asked for.
const LEAST_ACKS: u64 = 8;

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
            self.congestion *= 2;
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

    /// RFC 4341 §6.1.2 lets losses raise the ratio to cwnd / 2, and return to 2 without them. Here
    /// it does not go so far either way. With two acknowledgements in a window and one in five
    /// lost, windows often end without any, in a timeout: so at least [`LEAST_ACKS`] are asked for.
    /// And a large window in full use has no need of more than twice [`ACKS_PER_WINDOW`], so then
    /// the ratio stays above 2.
    fn choose(&mut self, cwnd: u64) {
        self.congestion = self.congestion.min(cwnd / LEAST_ACKS).max(2);
        let spared = match (cwnd / ACKS_PER_WINDOW).checked_ilog2() {
            Some(log) if self.is_limited => (1 << log).min(self.max_spared),
            _ => 2,
        };
        // After a timeout, 1 stays until RFC 4341 §6.1.2 asks for 2.
        let most = if self.current == 1 && cwnd < 4 {
            1
        } else {
            highest(cwnd)
        };
        let ratio = self.congestion.max(spared).min(most);
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
