//! The client's timers.

use std::time::Instant;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Send the same request again: no head came.
    Retry,
    /// Ask for what is known to be lost, or ask again.
    Beside,
    /// Begin a round of repair: nothing came for a while, or all that was asked for was sent.
    Round,
    /// Give up: no new byte for too long.
    Stall,
    /// Close: the body is whole and the server has not closed.
    Linger,
}

impl Timer {
    const ALL: [Self; 5] = [
        Self::Retry,
        Self::Beside,
        Self::Round,
        Self::Stall,
        Self::Linger,
    ];
}

/// One deadline for each timer.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(super) const fn set(&mut self, timer: Timer, due: Instant) {
        self.0[timer as usize] = Some(due);
    }

    pub(super) const fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// Sets the timer to `due`, unless it is due earlier.
    pub(super) fn set_at_latest(&mut self, timer: Timer, due: Instant) {
        let earlier = self.0[timer as usize].map_or(due, |set| set.min(due));
        self.set(timer, earlier);
    }

    pub(super) const fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) const fn stop_all(&mut self) {
        self.0 = [None; Timer::ALL.len()];
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// A timer that is due at `now`, which it then no longer is.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        Timer::ALL.into_iter().find(|&timer| {
            let due = self.0[timer as usize].is_some_and(|due| due <= now);
            if due {
                self.stop(timer);
            }
            due
        })
    }
}
