//! What happens when a timer is due, and when the next one is.

use std::time::{Duration, Instant};

use super::output::Output;
use super::state::Phase;
use super::{CloseReason, Connection, Timer};
use crate::endpoint::{Context, Event};

/// Syncs sent at even distances to hear of the last data sent.
const TAIL_SYNCS: u32 = 3;

/// The last data is asked for after two round trips and this.
const TAIL_GRACE: Duration = Duration::from_millis(20);

impl Connection {
    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context, now: Instant) {
        for timer in Timer::ALL {
            if self.timers.take_due(timer, now) {
                self.on_timer(cx, now, timer);
            }
        }
    }

    fn on_timer(&mut self, cx: &mut Context, now: Instant, timer: Timer) {
        match timer {
            Timer::Request => self.on_request_timer(cx, now),
            Timer::Respond => self.give_up(cx, now, CloseReason::TimedOut),
            Timer::PartOpen => self.on_part_open_timer(cx, now),
            Timer::Close => self.on_close_timer(cx, now),
            Timer::Drain => self.begin_close(cx, now),
            Timer::DelayedAck => self.on_delayed_ack(),
            Timer::Feature => self.debt.owe_now(),
            Timer::Sender => {
                if self.sender.handle_timeout(now) {
                    self.counts.datagrams_lost += self.sent.forget_in_flight();
                    self.mtu.on_timeout();
                    self.check_black_hole(cx, now);
                    self.check_settled(cx, now);
                }
                self.allowance = 0;
                self.ask_for_wishes();
            }
            Timer::Receiver => {
                if self.receiver.handle_timeout(now) {
                    self.debt.owe_now();
                }
            }
            // `settle` looks whether data may be sent now.
            Timer::Pace => self.allowance = 0,
            Timer::Tail => self.on_tail_timer(now),
            Timer::Progress => self.on_progress_timer(cx, now),
            Timer::Mtu => self.on_mtu_timer(cx, now),
        }
    }

    fn on_request_timer(&mut self, cx: &mut Context, now: Instant) {
        let Phase::Request(repetition) = &mut self.phase else {
            return;
        };
        if repetition.is_over(now, cx.config.connect_timeout) {
            return self.give_up(cx, now, CloseReason::TimedOut);
        }
        self.timers.set(Timer::Request, repetition.again(now));
        self.push_output(Output::Request);
    }

    fn on_part_open_timer(&mut self, cx: &mut Context, now: Instant) {
        let Phase::PartOpen(repetition) = &mut self.phase else {
            return;
        };
        if repetition.is_over(now, cx.config.part_open_timeout) {
            return self.give_up(cx, now, CloseReason::TimedOut);
        }
        self.timers.set(Timer::PartOpen, repetition.again(now));
        self.debt.owe_now();
    }

    fn on_close_timer(&mut self, cx: &mut Context, now: Instant) {
        let (Phase::CloseReq(repetition) | Phase::Closing(repetition)) = &mut self.phase else {
            return;
        };
        if repetition.is_over(now, cx.config.close_timeout) {
            return self.end(cx, CloseReason::TimedOut, false);
        }
        let again = repetition.again(now);
        self.timers.set(Timer::Close, again);
        let asks = matches!(self.phase, Phase::CloseReq(_));
        let output = if asks {
            Output::CloseReq
        } else {
            Output::Close
        };
        self.push_output(output);
    }

    /// Data was sent: the peer is asked with a Sync if it does not acknowledge in time, as
    /// one that holds an acknowledgement back for the Ack Ratio would. A SyncAck carries the
    /// same Ack Vector, and a Sync counts as a later packet that shows which are lost.
    pub(super) fn watch_tail(&mut self, cx: &Context, now: Instant) {
        self.timers.set(Timer::Tail, now + self.tail_wait());
        if !self.timers.is_set(Timer::Progress) {
            self.timers.set(Timer::Progress, now + cx.config.give_up);
        }
    }

    /// How long nothing may be heard after data before the peer is asked: doubling after the first
    /// few times.
    fn tail_wait(&self) -> Duration {
        let doublings = self.tail_syncs.saturating_sub(TAIL_SYNCS).min(16);
        (self.rtt() * 2 + TAIL_GRACE) * (1 << doublings)
    }

    fn on_tail_timer(&mut self, now: Instant) {
        let unsettled = !self.sent.is_settled() && self.tail_syncs < TAIL_SYNCS;
        if !unsettled && self.unanswered_since.is_none() {
            return;
        }
        if self.tail_syncs == 0 {
            let quiet_from = self.data_sent_at.max(self.heard_at).unwrap_or(now);
            let until = quiet_from + self.tail_wait();
            if now < until {
                return self.timers.set(Timer::Tail, until);
            }
        }
        self.ask_for_tail();
        self.timers.set(Timer::Tail, now + self.tail_wait());
    }

    /// Asks for an acknowledgement of everything sent.
    ///
    /// In PARTOPEN an Ack goes first: Linux takes only an Ack or DataAck for the third packet, and
    /// resets the connection for a Sync.
    pub(super) fn ask_for_tail(&mut self) {
        self.tail_syncs += 1;
        if matches!(self.phase, Phase::PartOpen(_)) && self.tail_syncs == 1 {
            self.debt.owe_now();
        } else {
            self.push_output(Output::Sync(self.numbers.gsr));
        }
    }

    /// Nothing may have been heard for as long as a peer is given since data went out.
    fn on_progress_timer(&mut self, cx: &mut Context, now: Instant) {
        let Some(since) = self.unanswered_since else {
            return self.give_memory_back(cx, now);
        };
        let until = since + cx.config.give_up;
        if now >= until {
            return self.give_up(cx, now, CloseReason::TimedOut);
        }
        self.timers.set(Timer::Progress, until);
    }

    /// An idle connection needs little of what the last data took.
    fn give_memory_back(&mut self, cx: &Context, now: Instant) {
        let Some(quiet_at) = self.data_sent_at.map(|at| at + cx.config.give_up) else {
            return;
        };
        if now < quiet_at {
            return self.timers.set(Timer::Progress, quiet_at);
        }
        self.sent.shrink();
        self.trains.shrink_to_fit();
        self.outputs.shrink_to_fit();
    }

    /// To be called after everything that touched the connection: says
    /// [`Event::Writable`] if it has become true, and gives the time of the next timer.
    pub(crate) fn settle(&mut self, cx: &mut Context, now: Instant) -> Option<Instant> {
        if self.ended().is_some() {
            return None;
        }
        if self.has_become_writable(cx, now) {
            self.tell(cx, Event::Writable);
        }
        self.timers.put(Timer::Sender, self.sender.poll_timeout());
        self.timers
            .put(Timer::Receiver, self.receiver.poll_timeout());
        self.set_feature_timer(now);
        self.timers.next()
    }

    /// A packet for a negotiation's sake is due when the features say so, but not more often than
    /// once a round trip (RFC 4340 §6.6.1), and only where an Ack may be sent.
    fn set_feature_timer(&mut self, now: Instant) {
        let may_ack = matches!(self.phase, Phase::PartOpen(_) | Phase::Open);
        let due = match self.features.wants_packet() {
            true => Some(now),
            false => self.features.poll_timeout(),
        };
        let wait = self.rtt().max(LEAST_FEATURE_WAIT);
        let earliest = self.debt.sent_at().map_or(now, |at| at + wait);
        let mut at = due.filter(|_| may_ack).map(|due| due.max(earliest));
        if self.features.wants_packet() {
            // Acknowledgements that go out meanwhile do not put it off for ever.
            let set = self.timers.get(Timer::Feature);
            at = at.map(|at| set.map_or(at, |set| set.min(at)));
        }
        self.timers.put(Timer::Feature, at);
    }
}

/// Packets for negotiations are at least so far apart.
const LEAST_FEATURE_WAIT: Duration = Duration::from_millis(1);
