//! One table of named timers.

use std::time::Instant;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timer {
    /// To send the Request again (RFC 4340 §8.1.1).
    Request,
    /// To give up in RESPOND (RFC 4340 §8.1.3).
    Respond,
    /// To send an Ack in PARTOPEN (RFC 4340 §8.1.5).
    PartOpen,
    /// To send Close or CloseReq again (RFC 4340 §8.3).
    Close,
    /// To close although not all that was sent is settled.
    Drain,
    /// To acknowledge data (RFC 4340 §11.3).
    DelayedAck,
    /// To send a packet for a feature negotiation (RFC 4340 §6.6.3).
    Feature,
    /// The congestion control of what is sent.
    Sender,
    /// The congestion control of what is received.
    Receiver,
    /// To send data again, at the rate that congestion control allows.
    Pace,
    /// To ask for an acknowledgement of the last data sent.
    Tail,
    /// To give up a peer that does not answer.
    Progress,
    /// To probe for a larger packet size, or to give a probe up.
    Mtu,
}

impl Timer {
    pub(crate) const ALL: [Self; 13] = [
        Self::Request,
        Self::Respond,
        Self::PartOpen,
        Self::Close,
        Self::Drain,
        Self::DelayedAck,
        Self::Feature,
        Self::Sender,
        Self::Receiver,
        Self::Pace,
        Self::Tail,
        Self::Progress,
        Self::Mtu,
    ];
}

/// When each timer is due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    due: [Option<Instant>; Timer::ALL.len()],
}

impl Timers {
    pub(crate) const fn set(&mut self, timer: Timer, at: Instant) {
        self.due[timer as usize] = Some(at);
    }

    pub(crate) const fn stop(&mut self, timer: Timer) {
        self.due[timer as usize] = None;
    }

    pub(crate) const fn put(&mut self, timer: Timer, at: Option<Instant>) {
        self.due[timer as usize] = at;
    }

    pub(crate) const fn get(&self, timer: Timer) -> Option<Instant> {
        self.due[timer as usize]
    }

    pub(crate) const fn is_set(&self, timer: Timer) -> bool {
        self.due[timer as usize].is_some()
    }

    /// Stops `timer` if it is due, and tells whether it was.
    pub(crate) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.due[timer as usize].is_some_and(|at| at <= now);
        if due {
            self.stop(timer);
        }
        due
    }

    /// The earliest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_timer_has_its_place_in_the_table() {
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
        }
    }

    #[test]
    fn the_next_is_the_earliest_and_a_due_one_stops() {
        let start = crate::test_support::start();
        let mut timers = Timers::default();
        timers.set(Timer::Close, start + Duration::from_secs(2));
        timers.set(Timer::Mtu, start + Duration::from_secs(1));
        assert_eq!(timers.next(), Some(start + Duration::from_secs(1)));
        assert!(!timers.take_due(Timer::Mtu, start));
        assert!(timers.take_due(Timer::Mtu, start + Duration::from_secs(1)));
        assert!(!timers.is_set(Timer::Mtu));
        assert_eq!(timers.next(), Some(start + Duration::from_secs(2)));
    }
}
