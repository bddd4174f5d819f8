//! CCID 2: TCP-like congestion control (RFC 4341), counted in packets.

use std::time::{Duration, Instant};

use super::rto::Rto;
use super::window::SequenceWindow;
use super::{
    Acknowledgment, Arrived, Ccid, DEFAULT_RTT, Permit, Report, SentData, Settings, Wishes,
};
use crate::Seq;
use crate::packet::OptionWriter;

mod ack_ratio;
#[cfg(test)]
mod tests;

use ack_ratio::AckRatio;

/// The half that sends data.
#[derive(Debug)]
pub(super) struct Sender {
    max_window: u64,
    max_train: u16,
    /// RFC 3390: also the window that an idle period leaves (RFC 2861 §3).
    initial_window: u64,
    cwnd: u64,
    ssthresh: u64,
    /// Data packets acknowledged that have not yet made cwnd grow.
    credit: u64,
    /// The latest data packet sent, and when.
    last_sent: Option<(Seq, Instant)>,
    /// The latest data packet sent when the last congestion event was detected: losses up to it
    /// are of that event.
    recover: Option<Seq>,
    rto: Rto,
    /// A round trip is taken from a packet later than this one: one in a window.
    sampled: Option<Seq>,
    deadline: Option<Instant>,
    /// Until when cwnd does not grow, since the receiver is slow.
    hold: Option<Instant>,
    ack_ratio: AckRatio,
    sequence_window: SequenceWindow,
    congestion_events: u64,
    timeouts: u64,
}

impl Sender {
    pub(super) fn new(settings: &Settings) -> Self {
        let initial_window = initial_window(settings.packet_size).min(settings.max_window.max(1));
        Self {
            max_window: settings.max_window.max(1),
            max_train: settings.max_train,
            initial_window,
            cwnd: initial_window,
            ssthresh: u64::MAX,
            credit: 0,
            last_sent: None,
            recover: None,
            rto: Rto::new(settings),
            sampled: None,
            deadline: None,
            hold: None,
            ack_ratio: AckRatio::new(settings.max_ack_ratio),
            sequence_window: SequenceWindow::new(settings.sequence_window),
            congestion_events: 0,
            timeouts: 0,
        }
    }

    fn timeout(&self) -> Duration {
        self.rto.current(self.ack_ratio.current())
    }

    /// cwnd and ssthresh at a time when nothing is in the network: RFC 2861 §3 halves the window
    /// for each timeout's length without a packet.
    fn after_idle(&self, now: Instant) -> (u64, u64) {
        let unchanged = (self.cwnd, self.ssthresh);
        let Some((_, last)) = self.last_sent else {
            return unchanged;
        };
        let idle = now.saturating_duration_since(last);
        let timeout = self.rto.base(self.ack_ratio.current());
        if idle < timeout || self.cwnd <= self.initial_window {
            return unchanged;
        }
        let periods = idle.as_nanos() / timeout.as_nanos().max(1);
        let halvings = u32::try_from(periods).unwrap_or(u32::MAX);
        let cwnd = self
            .cwnd
            .checked_shr(halvings)
            .unwrap_or(0)
            .max(self.initial_window);
        (cwnd, self.ssthresh.max(self.cwnd - self.cwnd / 4))
    }

    fn take_sample(&mut self, what: &Acknowledgment<'_>) {
        let Some(rtt) = what.rtt else { return };
        if self
            .sampled
            .is_none_or(|sampled| sampled.precedes(what.ackno))
        {
            self.rto.on_sample(rtt);
            self.sampled = self.last_sent.map(|(seq, _)| seq);
        }
    }

    /// Whether something sent since the last congestion event was detected is lost or marked.
    fn is_new_event(&self, latest_loss: Option<Seq>) -> bool {
        latest_loss.is_some_and(|loss| self.recover.is_none_or(|recover| recover.precedes(loss)))
    }

    /// Reduces cwnd for a congestion event, and for packets dropped in the peer's receive buffer:
    /// each reduction is made of the old window, and they add up (RFC 4340 §11.7.1).
    fn reduce(&mut self, congestion: bool, buffer_drops: u64) {
        let mut reduction = buffer_drops;
        if congestion {
            self.congestion_events += 1;
            self.recover = self.last_sent.map(|(seq, _)| seq);
            reduction = reduction.saturating_add(self.cwnd - self.cwnd / 2);
        }
        self.cwnd = self.cwnd.saturating_sub(reduction).max(1);
        if congestion {
            self.ssthresh = self.cwnd.max(2);
        }
    }

    /// RFC 4341 §5: slow start, or congestion avoidance.
    fn grow(&mut self, what: &Acknowledgment<'_>) {
        self.credit += what.received;
        if self.cwnd < self.ssthresh {
            // "up to a maximum of Ack Ratio/2 packets per acknowledgement", so that lost
            // acknowledgements do not make for bursts. That is kept where some were lost; where
            // none was, the peer has acknowledged a train at once, and the train is one of ours.
            let train = if what.acks_lost == 0 {
                self.max_train
            } else {
                0
            };
            let most = u64::from(self.ack_ratio.current().max(train).div_ceil(2));
            self.cwnd = (self.cwnd + (self.credit / 2).min(most)).min(self.ssthresh);
            self.credit %= 2;
        } else if self.credit >= self.cwnd {
            self.credit = (self.credit - self.cwnd).min(self.cwnd);
            self.cwnd += 1;
        }
        self.cwnd = self.cwnd.min(self.max_window);
    }
}

impl super::Sender for Sender {
    fn ccid(&self) -> Ccid {
        Ccid::CCID2
    }

    fn permit(&self, now: Instant, in_flight: u64) -> Permit {
        let cwnd = if in_flight == 0 {
            self.after_idle(now).0
        } else {
            self.cwnd
        };
        match usize::try_from(cwnd.saturating_sub(in_flight)) {
            Ok(0) => Permit::Wait,
            Ok(room) => Permit::Now(room),
            Err(_) => Permit::Now(usize::MAX),
        }
    }

    fn on_sent(&mut self, now: Instant, sent: SentData) -> u8 {
        if sent.in_flight <= 1 {
            (self.cwnd, self.ssthresh) = self.after_idle(now);
        }
        self.last_sent = Some((sent.seq, now));
        // RFC 6298 §5.1.
        if self.deadline.is_none() {
            self.deadline = Some(now + self.timeout());
        }
        0
    }

    fn on_acknowledged(&mut self, now: Instant, what: &Acknowledgment<'_>) {
        self.take_sample(what);
        let acknowledged = what.received + what.marked;
        if acknowledged > 0 {
            self.rto.on_acknowledged();
        }
        // RFC 6298 §5.2, §5.3.
        if what.in_flight == 0 {
            self.deadline = None;
        } else if acknowledged + what.lost > 0 {
            self.deadline = Some(now + self.timeout());
        }

        let dropped: u64 = what.dropped.iter().sum();
        let as_marked: u64 = what.dropped[3..].iter().sum();
        if what.lost + what.marked + as_marked > 0 {
            self.credit = 0;
        }
        self.reduce(self.is_new_event(what.latest_loss), what.dropped[2]);
        // RFC 4341 §5.2: "The sender MUST exit slow start whenever it receives a relevant Data
        // Dropped or Slow Receiver option."
        if what.slow_receiver || dropped > 0 {
            self.ssthresh = self.ssthresh.min(self.cwnd.max(2));
        }
        if what.slow_receiver {
            // RFC 4340 §11.6: no increase for about a round trip.
            self.hold = Some(now + self.rto.rtt().unwrap_or(DEFAULT_RTT));
        }
        let held = self.hold.is_some_and(|hold| now < hold);
        let clean = what.lost + what.marked + dropped == 0;
        if clean && what.limited && !held && what.received > 0 {
            self.grow(what);
        }

        let last_sent = self.last_sent.map(|(seq, _)| seq);
        self.ack_ratio.on_acknowledged(what, last_sent, self.cwnd);
        self.sequence_window
            .update(self.cwnd, self.cwnd < self.ssthresh);
    }

    fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return false;
        }
        // A timeout on top of another says nothing new of the window that is too large
        // (RFC 5681 §3.1).
        if !self.rto.is_backed_off() {
            self.ssthresh = (self.cwnd / 2).max(2);
        }
        self.timeouts += 1;
        self.rto.back_off();
        self.cwnd = 1;
        self.credit = 0;
        self.recover = self.last_sent.map(|(seq, _)| seq);
        self.ack_ratio.on_timeout();
        // The next packet starts it again.
        self.deadline = None;
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            ack_ratio: Some(self.ack_ratio.current()),
            sequence_window: Some(self.sequence_window.current()),
        }
    }

    fn data_ack_interval(&self) -> u64 {
        self.cwnd
    }

    fn report(&self) -> Report {
        Report {
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            rtt: self.rto.rtt(),
            congestion_events: self.congestion_events,
            timeouts: self.timeouts,
            ..Report::default()
        }
    }
}

/// RFC 3390 §1, in packets of `size` bytes.
fn initial_window(size: usize) -> u64 {
    match size {
        0..=1095 => 4,
        1096..2190 => 3,
        _ => 2,
    }
}

/// The half that receives data: its acknowledgements are Ack Vectors, and follow the Ack Ratio.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Until when a mark is not told at once, since one was.
    quiet: Option<Instant>,
}

impl super::Receiver for Receiver {
    fn ccid(&self) -> Ccid {
        Ccid::CCID2
    }

    fn on_arrived(&mut self, now: Instant, packet: &Arrived) -> bool {
        let due = packet.marked && self.quiet.is_none_or(|quiet| quiet <= now);
        if due {
            self.quiet = Some(now + packet.rtt.unwrap_or(DEFAULT_RTT));
        }
        due
    }

    fn uses_ack_ratio(&self) -> bool {
        true
    }

    fn write_feedback(&mut self, _: Instant, _: Seq, _: &mut OptionWriter) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) -> bool {
        false
    }
}
