//! The timers of an association and of its paths.

use std::time::Instant;

/// An association's own timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// T1-init and T1-cookie.
    Setup,
    /// T2-shutdown.
    Shutdown,
    /// T5-shutdown-guard.
    Guard,
    /// The delayed SACK.
    Sack,
}

/// The timers that each path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathTimer {
    /// T3-rtx.
    Retransmit,
    /// A missing packet will be late enough to be lost.
    Loss,
    /// The last packets were not acknowledged: the tail is probed for.
    Tail,
    /// The next HEARTBEAT.
    Heartbeat,
    /// A HEARTBEAT was not answered.
    Beat,
    /// A probe for larger packets was not answered, or another try is due.
    Mtu,
    /// More may be sent.
    Pace,
}

/// A table of deadlines.
#[derive(Clone, Debug)]
pub(crate) struct Table<const N: usize>([Option<Instant>; N]);

pub(crate) type Timers = Table<4>;
pub(crate) type PathTimers = Table<7>;

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self([None; N])
    }
}

impl<const N: usize> Table<N> {
    fn set_at(&mut self, index: usize, at: Option<Instant>) {
        self.0[index] = at;
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    fn expire_at(&mut self, index: usize, now: Instant) -> bool {
        let due = self.0[index].is_some_and(|at| at <= now);
        if due {
            self.0[index] = None;
        }
        due
    }

    pub(crate) fn clear(&mut self) {
        self.0 = [None; N];
    }
}

macro_rules! table {
    ($table:ty, $timer:ty) => {
        impl $table {
            pub(crate) fn set(&mut self, timer: $timer, at: Instant) {
                self.set_at(timer as usize, Some(at));
            }

            pub(crate) fn stop(&mut self, timer: $timer) {
                self.set_at(timer as usize, None);
            }

            pub(crate) const fn is_set(&self, timer: $timer) -> bool {
                self.0[timer as usize].is_some()
            }

            /// Whether the timer is due; then it is stopped.
            pub(crate) fn expire(&mut self, timer: $timer, now: Instant) -> bool {
                self.expire_at(timer as usize, now)
            }
        }
    };
}

table!(Timers, Timer);
table!(PathTimers, PathTimer);

impl PathTimers {
    /// Sets the timer, if it is not set for an earlier time.
    pub(crate) fn set_earlier(&mut self, timer: PathTimer, at: Instant) {
        if self.0[timer as usize].is_none_or(|set| at < set) {
            self.set(timer, at);
        }
    }
}
