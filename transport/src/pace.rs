//! Tells a peer that takes data too slowly.

use std::time::{Duration, Instant};

/// How long a session may hold its resources without getting on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one datagram may wait to be taken. Default: 30 s.
    pub stall: Duration,
    /// The fewest bytes a second, over [`Self::rate_window`], that a peer must take while
    /// something waits to be sent to it. Default: 100 bytes/s; 0 switches it off.
    pub min_rate: u64,
    /// Over how long [`Self::min_rate`] is measured. Default: 30 s.
    pub rate_window: Duration,
    /// How long a graceful end may take before it is cut short: a slow peer is still taking what
    /// is queued. Default: 60 s.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(30),
            min_rate: 100,
            rate_window: Duration::from_secs(30),
            linger: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// For a socket with many peers: it is not given up because it takes nothing for a while. A
    /// [`Host`](crate::Host) holds each of its connections to limits of its own.
    pub const SHARED: Self = Self {
        stall: Duration::from_secs(365 * 24 * 3600),
        min_rate: 0,
        rate_window: Duration::from_secs(30),
        linger: Duration::from_secs(60),
    };
}

/// What is sent and what has to wait, held against the [`Limits`].
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Since when the next datagram waits.
    waiting: Option<Instant>,
    /// When something had to wait first since the last time all was sent: the bytes sent since
    /// then tell a slow peer from an idle one.
    window: Option<Instant>,
    sent: u64,
}

impl Pace {
    /// The measure of a peer that nothing was sent to yet.
    pub(crate) const fn new() -> Self {
        Self {
            waiting: None,
            window: None,
            sent: 0,
        }
    }

    /// Notes that so many bytes were taken, and that none of those wait that came before.
    pub(crate) const fn on_sent(&mut self, bytes: u64) {
        self.waiting = None;
        self.sent += bytes;
    }

    /// Notes that the next datagram has to wait.
    pub(crate) fn on_blocked(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
        if self.window.is_none() {
            self.window = Some(now);
            self.sent = 0;
        }
    }

    /// Notes that there is nothing (more) to send: what comes next begins a new measurement.
    pub(crate) const fn rest(&mut self) {
        self.waiting = None;
        self.window = None;
    }

    /// When to ask [`Self::is_stalled`]; `None` while nothing waits.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let stall = self.waiting? + limits.stall;
        let window = self
            .window
            .filter(|_| limits.min_rate > 0)
            .map(|began| began + limits.rate_window);
        Some(window.map_or(stall, |window| window.min(stall)))
    }

    /// Whether the peer has taken too little. Begins a new window where one has ended.
    pub(crate) fn is_stalled(&mut self, now: Instant, limits: &Limits) -> bool {
        let Some(waiting) = self.waiting else {
            return false;
        };
        if waiting + limits.stall <= now {
            return true;
        }
        let Some(began) = self.window else {
            return false;
        };
        if began + limits.rate_window > now {
            return false;
        }
        let wanted = u128::from(limits.min_rate) * limits.rate_window.as_millis() / 1000;
        let slow = u128::from(self.sent) < wanted;
        self.window = Some(now);
        self.sent = 0;
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn one_datagram_that_waits_too_long_is_a_stall() {
        let (start, limits) = (start(), Limits::default());
        let mut pace = Pace::new();
        assert_eq!(pace.deadline(&limits), None);
        pace.on_blocked(start);
        pace.on_blocked(start + limits.stall / 2);
        assert_eq!(pace.deadline(&limits), Some(start + limits.stall));
        assert!(!pace.is_stalled(start + limits.stall / 2, &limits));
        assert!(pace.is_stalled(start + limits.stall, &limits));
        pace.rest();
        assert!(!pace.is_stalled(start + limits.stall, &limits));
    }

    #[test]
    fn too_few_bytes_in_a_window_are_a_stall_and_enough_begin_the_next() {
        let start = start();
        let limits = Limits {
            stall: Duration::from_secs(1000),
            ..Limits::default()
        };
        let wanted = limits.min_rate * limits.rate_window.as_secs();
        let mut pace = Pace::new();
        pace.on_blocked(start);
        pace.on_sent(wanted);
        pace.on_blocked(start);
        let end = start + limits.rate_window;
        assert_eq!(pace.deadline(&limits), Some(end));
        assert!(!pace.is_stalled(end, &limits));
        pace.on_sent(wanted - 1);
        pace.on_blocked(end);
        assert!(pace.is_stalled(end + limits.rate_window, &limits));
    }
}
