//! How a connection ends (RFC 4340 §8.3).

use std::time::{Duration, Instant};

use super::options::plain_reset;
use super::output::Output;
use super::state::{Phase, Repetition};
use super::{CloseReason, Connection, Role, Settlement, Timer, Wish};
use crate::Seq;
use crate::endpoint::{Context, Ecn, Reach};
use crate::packet::{Kind, Reset, ResetCode};

/// Close and CloseReq are repeated after two round trips, not sooner than this.
const LEAST_CLOSE_WAIT: Duration = Duration::from_millis(100);

impl Connection {
    /// The application is done: waits until what was sent is settled, then closes.
    pub(crate) fn close(&mut self, cx: &mut Context, now: Instant) {
        if self.wish == Wish::Close {
            return;
        }
        self.wish = Wish::Close;
        match self.phase {
            Phase::Request(_) | Phase::Respond { .. } => {
                self.give_up(cx, now, CloseReason::Aborted);
            }
            Phase::PartOpen(_) | Phase::Open => {
                if self.unsettled == Settlement::Told {
                    self.begin_close(cx, now);
                } else {
                    self.timers.set(Timer::Drain, now + cx.config.drain_timeout);
                    self.ask_for_tail();
                }
            }
            Phase::CloseReq(_) | Phase::Closing(_) | Phase::Ended { .. } => {}
        }
    }

    /// The application is done, and nothing that was sent matters: Reset code 2.
    pub(crate) fn abort(&mut self, cx: &mut Context, now: Instant) {
        self.give_up(cx, now, CloseReason::Aborted);
    }

    /// The network says that the packet `seq` of ours did not reach the peer. In REQUEST that is
    /// fatal; later only if the peer does not take our packets, and this one is in flight, as
    /// its number must be for ICMP to be believed (RFC 4340 §14.1).
    pub(crate) fn on_unreachable(&mut self, cx: &mut Context, seq: Seq, reach: Reach) {
        let numbers = &self.numbers;
        let fatal = if matches!(self.phase, Phase::Request(_)) {
            seq.is_within(numbers.iss, numbers.gss)
        } else {
            reach == Reach::Peer && seq.is_within(numbers.gar, numbers.gss)
        };
        if fatal {
            self.end(cx, CloseReason::Unreachable, false);
        }
    }

    /// Sends Reset code 2, "Aborted", and is over.
    pub(super) fn give_up(&mut self, cx: &mut Context, now: Instant, reason: CloseReason) {
        self.send_reset(cx, now, plain_reset(ResetCode::ABORTED));
        self.end(cx, reason, false);
    }

    /// Sends Close; a server sends CloseReq, so that the client holds TIMEWAIT, unless it is to
    /// hold it itself.
    pub(super) fn begin_close(&mut self, cx: &Context, now: Instant) {
        self.timers.stop(Timer::Drain);
        if !matches!(self.phase, Phase::PartOpen(_) | Phase::Open) {
            return;
        }
        if self.role == Role::Client || cx.config.server_time_wait {
            return self.send_close(cx, now);
        }
        let wait = self.close_wait();
        self.stop_for_close();
        self.phase = Phase::CloseReq(Repetition::new(now, wait));
        self.push_output(Output::CloseReq);
        self.timers.set(Timer::Close, now + wait);
    }

    /// Sends Close, now and until it is answered.
    pub(super) fn send_close(&mut self, _: &Context, now: Instant) {
        let wait = self.close_wait();
        self.stop_for_close();
        self.phase = Phase::Closing(Repetition::new(now, wait));
        self.push_output(Output::Close);
        self.timers.set(Timer::Close, now + wait);
    }

    fn close_wait(&self) -> Duration {
        (self.rtt() * 2).max(LEAST_CLOSE_WAIT)
    }

    /// What is of no use once a Close is out.
    fn stop_for_close(&mut self) {
        for timer in [
            Timer::PartOpen,
            Timer::Drain,
            Timer::DelayedAck,
            Timer::Pace,
            Timer::Tail,
            Timer::Progress,
            Timer::Mtu,
        ] {
            self.timers.stop(timer);
        }
        self.outputs
            .retain(|output| !matches!(output, Output::Probe(_)));
    }

    /// Makes a Reset that ends this connection; it goes out when the endpoint is polled.
    pub(super) fn send_reset(&mut self, cx: &mut Context, now: Instant, reset: Reset) {
        // GSR is 0 for a client that has heard nothing, which is what it has to acknowledge (RFC
        // 4340 §8.1.1).
        self.send_reset_for(cx, now, reset, self.numbers.gsr);
    }

    /// The same with another acknowledgement number.
    pub(super) fn send_reset_for(
        &mut self,
        cx: &mut Context,
        now: Instant,
        reset: Reset,
        ack: Seq,
    ) {
        // Trains that wait have lower numbers; the peer takes the Reset all the same, and what
        // is in them is lost with the connection.
        let seq = self.next_seq();
        let header = self.header(Kind::Reset { ack, reset }, seq);
        cx.options.reset(header.kind.max_options_len());
        self.write_options(cx, now, &header.kind, seq);
        self.note_sent(now, seq, None, Ecn::NotEct);
        cx.reply(self.ends.path, &header);
    }

    /// A Reset that is not one of this connection's packets, with the number `seq`.
    pub(super) fn send_reset_as(&self, cx: &mut Context, seq: Seq, reset: Reset, ack: Seq) {
        cx.options.reset(0);
        cx.reply(
            self.ends.path,
            &self.header(Kind::Reset { ack, reset }, seq),
        );
    }
}
