//! The end in good order (RFC 9260 §9.2).

use std::time::Instant;

use super::paths::Condition;
use super::timers::{PathTimer, Timer};
use super::{Association, Context, Control, State};
use crate::Config;
use crate::chunk::{ChunkType, put_empty};
use crate::packet;
use crate::tsn::Tsn;
use crate::types::{CloseReason, Event};

impl Association {
    /// The application has nothing more to send.
    pub(crate) fn shut_down(&mut self, config: &Config, now: Instant) {
        match &self.state {
            // Nothing is established: there is nothing to end in order.
            State::CookieWait(_) => {
                self.close(CloseReason::Shutdown);
                return;
            }
            State::CookieEchoed(..) => {
                self.abort(
                    &crate::cause::Cause::UserAbort(b"closed while setting up"),
                    CloseReason::Shutdown,
                );
                return;
            }
            State::Established => self.state = State::ShutdownPending,
            State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent
            | State::Closed => return,
        }
        self.timers.set(Timer::Guard, now + config.shutdown_guard);
        self.advance_shutdown(now);
    }

    /// Goes on when everything that was sent is acknowledged.
    pub(super) fn advance_shutdown(&mut self, now: Instant) {
        if !self.flight.is_empty() || !self.outbound.is_empty() {
            return;
        }
        if matches!(self.state, State::ShutdownPending) {
            self.state = State::ShutdownSent;
            self.send_end(now, Control::Shutdown);
        } else if matches!(self.state, State::ShutdownReceived) {
            self.enter_shutdown_ack_sent(now);
        }
    }

    fn enter_shutdown_ack_sent(&mut self, now: Instant) {
        self.state = State::ShutdownAckSent;
        self.send_end(now, Control::ShutdownAck);
    }

    /// Where chunks of the end go: to where the peer's last packet came from (RFC 9260 §6.4), since
    /// a receiver of data does not learn otherwise that its own choice has failed; unless that
    /// path is known to have failed since.
    pub(super) fn path_to_end_on(&self) -> usize {
        match self.paths[self.heard_on].condition {
            Condition::Active => self.heard_on,
            Condition::Suspect | Condition::Inactive | Condition::Unconfirmed => self.paths.current,
        }
    }

    /// Sends a SHUTDOWN or a SHUTDOWN ACK, and waits for its answer.
    fn send_end(&mut self, now: Instant, control: Control) {
        self.end_path = self.path_to_end_on();
        self.push_control_once(self.end_path, control);
        let timeout = self.paths[self.end_path].rto.timeout();
        self.timers.set(Timer::Shutdown, now + timeout);
        for path in self.paths.iter_mut() {
            path.timers.stop(PathTimer::Heartbeat);
            path.timers.stop(PathTimer::Beat);
        }
    }

    /// T2-shutdown: the same again.
    pub(super) fn on_shutdown_timeout(&mut self, cx: &mut Context<'_>, now: Instant) {
        let control = match &self.state {
            State::ShutdownSent => Control::Shutdown,
            State::ShutdownAckSent => Control::ShutdownAck,
            State::CookieWait(_)
            | State::CookieEchoed(..)
            | State::Established
            | State::ShutdownPending
            | State::ShutdownReceived
            | State::Closed => return,
        };
        let path = self.end_path;
        self.paths[path].rto.back_off(cx.config);
        self.on_path_error(cx, now, path);
        if self.state.is_closed() {
            return;
        }
        self.suspect(cx, now, path);
        self.send_end(now, control);
    }

    /// Takes a SHUTDOWN; its TSN acknowledges as a SACK does.
    pub(super) fn on_shutdown(&mut self, cx: &mut Context<'_>, now: Instant, cumulative: Tsn) {
        match &self.state {
            State::CookieWait(_) | State::CookieEchoed(..) | State::Closed => return,
            State::Established | State::ShutdownPending => {
                self.inbound.push_event(Event::PeerClosing);
                self.state = State::ShutdownReceived;
                if !self.timers.is_set(Timer::Guard) {
                    self.timers
                        .set(Timer::Guard, now + cx.config.shutdown_guard);
                }
            }
            // Both ends were as quick.
            State::ShutdownSent => {
                self.control
                    .retain(|(_, control)| !matches!(control, Control::Shutdown));
                self.enter_shutdown_ack_sent(now);
                return;
            }
            State::ShutdownReceived => {}
            State::ShutdownAckSent => {
                self.repeat_shutdown_ack();
                return;
            }
        }
        self.on_cumulative(cx, now, cumulative);
        if !self.state.is_closed() {
            self.advance_shutdown(now);
        }
    }

    /// Takes a SHUTDOWN ACK.
    pub(super) fn on_shutdown_ack(&mut self) {
        if matches!(self.state, State::ShutdownSent | State::ShutdownAckSent) {
            let mut out = Vec::new();
            self.header().encode(&mut out);
            put_empty(&mut out, ChunkType::SHUTDOWN_COMPLETE, 0);
            packet::finish(&mut out, 0);
            self.farewell = Some((self.paths[self.heard_on].path, out));
            self.close(CloseReason::Shutdown);
        }
    }

    /// Takes a SHUTDOWN COMPLETE with the right tag.
    pub(super) fn on_shutdown_complete(&mut self) {
        if matches!(self.state, State::ShutdownAckSent) {
            self.close(CloseReason::Shutdown);
        }
    }

    /// A COOKIE ECHO for a new association came while this one ends (RFC 9260 §5.2.4 A).
    pub(crate) fn on_cookie_while_ending(&mut self) {
        let path = self.path_to_end_on();
        self.push_error(path, &crate::cause::Cause::ShuttingDown);
        self.repeat_shutdown_ack();
    }

    /// RFC 9260 §9.2: an INIT in SHUTDOWN-ACK-SENT is answered by the SHUTDOWN ACK.
    pub(crate) fn repeat_shutdown_ack(&mut self) {
        self.push_control_once(self.path_to_end_on(), Control::ShutdownAck);
    }

    /// DATA came in SHUTDOWN-SENT: it is answered at once by SHUTDOWN (RFC 9260 §9.2), and by a SACK
    /// for peers that do not read the one as the other.
    pub(super) fn answer_data_by_shutdown(&mut self, now: Instant) {
        self.send_end(now, Control::Shutdown);
        self.receiver.sack_now();
    }
}
