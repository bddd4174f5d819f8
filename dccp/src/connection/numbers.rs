//! Sequence and acknowledgement numbers, and their windows (RFC 4340 §7).

use crate::Seq;

/// The variables of RFC 4340 §7.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// First number sent.
    pub(crate) iss: Seq,
    /// First number received; before any packet came, of no meaning.
    pub(crate) isr: Seq,
    /// Greatest number sent.
    pub(crate) gss: Seq,
    /// Greatest number received; 0 before any packet came.
    pub(crate) gsr: Seq,
    /// Greatest acknowledgement number received.
    pub(crate) gar: Seq,
    /// First number received in OPEN.
    pub(crate) osr: Option<Seq>,
    /// Packets sent. Counted apart from the numbers, which wrap.
    pub(crate) sent: u64,
    /// How far GSR is from ISR, likewise.
    pub(crate) received_span: u64,
}

/// Where the windows begin, which depends on the packet's type (RFC 4340 §7.5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Low {
    /// SWL and AWL.
    Window,
    /// GSR + 1 and GAR: of CloseReq, Close and Reset.
    Greatest,
}

impl Numbers {
    /// Nothing sent yet, `iss` comes first; nothing received yet.
    pub(crate) const fn new(iss: Seq) -> Self {
        Self {
            iss,
            isr: Seq::new(0),
            gss: iss.minus(1),
            gsr: Seq::new(0),
            gar: iss,
            osr: None,
            sent: 0,
            received_span: 0,
        }
    }

    /// The number of the next packet.
    pub(crate) const fn next(&self) -> Seq {
        self.gss.plus(1)
    }

    /// The next packet is sent (RFC 4340 §7.1: every packet adds one to GSS).
    pub(crate) const fn on_sent(&mut self) {
        self.gss = self.gss.plus(1);
        self.sent += 1;
    }

    /// The first packet of the peer came.
    pub(crate) const fn set_initial(&mut self, isr: Seq) {
        self.isr = isr;
        self.gsr = isr;
        self.received_span = 0;
    }

    /// Moves GSR on.
    pub(crate) const fn on_received(&mut self, seq: Seq) {
        let ahead = self.gsr.distance_to(seq);
        if ahead > 0 {
            self.gsr = seq;
            self.received_span += ahead.unsigned_abs();
        }
    }

    /// Moves GAR on: it only grows.
    pub(crate) const fn on_acknowledged(&mut self, ack: Seq) {
        self.gar = self.gar.later(ack);
    }

    /// Whether `seq` is in SWL..SWH for a Sequence Window of `window` at the peer: SWL is
    /// GSR + 1 - floor(W/4), SWH is GSR + ceil(3W/4), and at the start SWL is not below ISR
    /// (RFC 4340 §7.5.1).
    pub(crate) fn is_seq_valid(&self, seq: Seq, window: u64, low: Low) -> bool {
        let ahead = self.gsr.distance_to(seq);
        let high = i64::try_from(window - window / 4).unwrap_or(i64::MAX);
        let floor = match low {
            Low::Window => -self.reach_back(window),
            Low::Greatest => 1,
        };
        floor <= ahead && ahead <= high
    }

    /// Whether `seq` is SWL or later: Sync and SyncAck have no upper end (RFC 4340 §7.5.3).
    pub(crate) fn is_seq_above_low(&self, seq: Seq, window: u64) -> bool {
        self.gsr.distance_to(seq) >= -self.reach_back(window)
    }

    /// Whether `ack` is in AWL..AWH for a Sequence Window of `window` here: AWL is
    /// GSS + 1 - W', AWH is GSS, and at the start AWL is not below ISS (RFC 4340 §7.5.1).
    pub(crate) fn is_ack_valid(&self, ack: Seq, window: u64, low: Low) -> bool {
        let behind = ack.distance_to(self.gss);
        if behind < 0 || behind.unsigned_abs() >= window.min(self.sent) {
            return false;
        }
        match low {
            Low::Window => true,
            Low::Greatest => self.gar.distance_to(ack) >= 0,
        }
    }

    /// How many packets were sent after the one acknowledged last.
    pub(crate) fn unacknowledged(&self) -> u64 {
        u64::try_from(self.gar.distance_to(self.gss)).unwrap_or(0)
    }

    fn reach_back(&self, window: u64) -> i64 {
        let back = (window / 4).saturating_sub(1).min(self.received_span);
        i64::try_from(back).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(gsr: u64, span: u64, gss: u64, sent: u64) -> Numbers {
        let mut numbers = Numbers::new(Seq::new(gss).minus(sent - 1));
        numbers.gss = Seq::new(gss);
        numbers.sent = sent;
        numbers.gsr = Seq::new(gsr);
        numbers.isr = Seq::new(gsr).minus(span);
        numbers.received_span = span;
        numbers
    }

    fn valid_seqs(numbers: &Numbers, window: u64, low: Low) -> (u64, u64) {
        let around = numbers.gsr.minus(2 * window);
        let valid: Vec<_> = (0..4 * window)
            .map(|offset| around.plus(offset))
            .filter(|seq| numbers.is_seq_valid(*seq, window, low))
            .collect();
        (valid[0].get(), valid[valid.len() - 1].get())
    }

    #[test]
    fn ds1_the_windows_are_a_quarter_behind_and_three_quarters_ahead() {
        let old = numbers(1000, 500, 2000, 500);
        assert_eq!(valid_seqs(&old, 100, Low::Window), (976, 1075));
        assert_eq!(
            valid_seqs(&old, 101, Low::Window),
            (976, 1076),
            "floor and ceiling"
        );
        assert_eq!(valid_seqs(&old, 100, Low::Greatest), (1001, 1075));
        let young = numbers(1000, 3, 2000, 2);
        assert_eq!(
            valid_seqs(&young, 100, Low::Window),
            (997, 1075),
            "not below ISR"
        );
        assert!(old.is_ack_valid(Seq::new(2000), 100, Low::Window));
        assert!(old.is_ack_valid(Seq::new(1901), 100, Low::Window));
        assert!(!old.is_ack_valid(Seq::new(1900), 100, Low::Window));
        assert!(!old.is_ack_valid(Seq::new(2001), 100, Low::Window));
        assert!(young.is_ack_valid(Seq::new(1999), 100, Low::Window));
        assert!(
            !young.is_ack_valid(Seq::new(1998), 100, Low::Window),
            "not below ISS"
        );
    }

    #[test]
    fn ds1_the_windows_reach_across_the_wrap() {
        let end = (1 << 48) - 1;
        let wrapped = numbers(2, 500, 1, 500);
        assert!(wrapped.is_seq_valid(Seq::new(end - 20), 100, Low::Window));
        assert!(!wrapped.is_seq_valid(Seq::new(end - 22), 100, Low::Window));
        assert!(wrapped.is_ack_valid(Seq::new(end - 97), 100, Low::Window));
        assert!(!wrapped.is_ack_valid(Seq::new(end - 98), 100, Low::Window));
        let before = numbers(end, 500, end, 500);
        assert!(before.is_seq_valid(Seq::new(74), 100, Low::Window));
        assert!(!before.is_seq_valid(Seq::new(75), 100, Low::Window));
    }

    #[test]
    fn dp2_gar_only_grows() {
        let mut numbers = numbers(1000, 500, 2000, 500);
        numbers.gar = Seq::new(1990);
        numbers.on_acknowledged(Seq::new(1980));
        assert_eq!(numbers.gar, Seq::new(1990));
        assert!(!numbers.is_ack_valid(Seq::new(1989), 100, Low::Greatest));
        assert!(numbers.is_ack_valid(Seq::new(1990), 100, Low::Greatest));
    }
}
