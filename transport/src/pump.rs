//! Carries bytes between a machine and a socket.

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proto::machine::{CloseReason, Disposition, Machine, Transmit};

use crate::socket::{DatagramSocket, Finish, Received, SendError};

/// How long a session may hold its resources without getting on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long one datagram may wait for the socket to take it. Default: 30 s.
    pub stall: Duration,
    /// The fewest bytes a second, over [`Self::rate_window`], that a peer must take while
    /// something waits to be sent to it. Default: 100 bytes/s; 0 switches it off.
    pub min_rate: u64,
    /// Over how long [`Self::min_rate`] is measured. Default: 30 s.
    pub rate_window: Duration,
    /// How long a graceful end may take before it is cut short: a slow peer is still taking what the
    /// kernel has queued. Default: 60 s.
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

/// The first pause after which a socket that cannot say when it has delivered everything is asked
/// again; it doubles each time, up to the longest.
const FIRST_FINISH_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_FINISH_PAUSE: Duration = Duration::from_millis(250);

/// What stopped [`Pump::flush`] or [`Pump::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is nothing (more) to send or receive; wait for the next input.
    Idle,
    /// The socket's queue is full; wait until it is writable.
    Blocked,
    /// The budget is spent: call again without waiting.
    Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The machine is done; the socket delivers what is queued, until this time at most.
    Finishing {
        until: Instant,
        ask_again: Instant,
        pause: Duration,
    },
    Ended,
}

/// Joins a machine and a socket: flush, receive, deadline.
///
/// At most one datagram is held back, the one that the socket would not take; nothing is polled
/// from the machine meanwhile, so a slow peer costs one datagram of memory.
#[derive(Debug)]
pub struct Pump<M: Machine, S> {
    machine: M,
    socket: S,
    held: Option<Held<M::Peer>>,
    window: RateWindow,
    phase: Phase,
    limits: Limits,
}

#[derive(Debug)]
struct Held<P> {
    transmit: Transmit<P>,
    payload: Vec<u8>,
    since: Instant,
}

/// Bytes sent since a moment, to tell a slow peer from an idle one.
#[derive(Debug)]
struct RateWindow {
    /// When something had to wait first since the last time all was sent.
    began: Option<Instant>,
    sent: u64,
}

impl<M, S> Pump<M, S>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer>,
{
    /// Joins the two.
    pub const fn new(machine: M, socket: S, limits: Limits) -> Self {
        Self {
            machine,
            socket,
            held: None,
            window: RateWindow {
                began: None,
                sent: 0,
            },
            phase: Phase::Running,
            limits,
        }
    }

    /// The machine.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to give it commands and take its events.
    pub const fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The socket.
    pub const fn socket(&self) -> &S {
        &self.socket
    }

    /// Whether both are done: drop the pump.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether a datagram waits for the socket to become writable.
    pub const fn wants_write(&self) -> bool {
        self.held.is_some()
    }

    /// Sends what the machine has, at most `budget` datagrams, and tells how many it tried.
    /// `scratch` is reused.
    pub fn flush(&mut self, now: Instant, budget: usize, scratch: &mut Vec<u8>) -> (Flow, usize) {
        for tried in 0..budget {
            if self.phase != Phase::Running {
                return (Flow::Idle, tried);
            }
            let (transmit, payload, since) = match self.held.take() {
                Some(held) => (held.transmit, held.payload, Some(held.since)),
                None => {
                    scratch.clear();
                    let limit = self.socket.max_payload();
                    let Some(transmit) = self.machine.poll_transmit(now, limit, scratch) else {
                        return (Flow::Idle, tried);
                    };
                    (transmit, std::mem::take(scratch), None)
                }
            };
            let result = self.socket.send(&transmit, &payload);
            match result {
                Ok(()) => self.window.sent += payload.len() as u64,
                Err(SendError::WouldBlock) => {
                    self.hold(now, transmit, payload, since);
                    return (Flow::Blocked, tried);
                }
                Err(SendError::TooBig) => {
                    let limit = self.socket.max_payload();
                    self.machine.handle_rejected(now, limit);
                }
                Err(SendError::Closed(why)) => self.machine.handle_closed(now, why),
                Err(SendError::Io(_)) => self.machine.handle_closed(now, CloseReason::Failed),
            }
            *scratch = payload;
            self.settle(now);
        }
        (Flow::Budget, budget)
    }

    fn hold(
        &mut self,
        now: Instant,
        transmit: Transmit<M::Peer>,
        payload: Vec<u8>,
        since: Option<Instant>,
    ) {
        if self.window.began.is_none() {
            self.window = RateWindow {
                began: Some(now),
                sent: 0,
            };
        }
        self.held = Some(Held {
            transmit,
            payload,
            since: since.unwrap_or(now),
        });
    }

    /// Notes that the application has nothing (more) to send: what it sends next begins a new
    /// measurement of the peer's rate.
    pub const fn rest(&mut self) {
        self.window.began = None;
    }

    /// Hands what the socket has to the machine, at most `budget` datagrams.
    pub fn receive(&mut self, now: Instant, budget: usize, buffer: &mut BytesMut) -> Flow {
        for _ in 0..budget {
            if self.phase == Phase::Ended {
                return Flow::Idle;
            }
            match self.socket.recv(buffer) {
                Ok(Received::Datagram(datagram)) => {
                    if self.phase == Phase::Running {
                        self.machine.handle_datagram(now, datagram);
                        self.settle(now);
                    }
                }
                Ok(Received::Closed(why)) => {
                    self.ended(now, why);
                    return Flow::Idle;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flow::Idle,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.ended(now, CloseReason::Failed);
                    return Flow::Idle;
                }
            }
        }
        Flow::Budget
    }

    /// Does what is due at `now`: the machine's timers and this pump's own.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Running => {
                if self.is_stalled(now) {
                    self.socket.abort();
                    self.ended(now, CloseReason::Stalled);
                    return;
                }
                if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                    self.machine.handle_timeout(now);
                }
                self.settle(now);
            }
            Phase::Finishing { until, .. } if until <= now => {
                self.socket.abort();
                self.phase = Phase::Ended;
            }
            Phase::Finishing {
                until,
                ask_again,
                pause,
            } if ask_again <= now => {
                self.finish(now, until, (pause * 2).min(LONGEST_FINISH_PAUSE));
            }
            Phase::Finishing { .. } | Phase::Ended => {}
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => [self.machine.poll_timeout(), self.stall_deadline()]
                .into_iter()
                .flatten()
                .min(),
            Phase::Finishing {
                until, ask_again, ..
            } => Some(until.min(ask_again)),
            Phase::Ended => None,
        }
    }

    /// Ends the session at once, so that the peer knows that it failed.
    pub fn abort(&mut self, now: Instant, why: CloseReason) {
        if self.phase != Phase::Ended {
            self.socket.abort();
            self.ended(now, why);
        }
    }

    /// Looks whether the machine is done, and ends the session as it says. To be called after
    /// commands were given to the machine directly.
    pub fn settle(&mut self, now: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        match self.machine.disposition() {
            Disposition::Open => {}
            Disposition::Close if self.held.is_some() => {}
            Disposition::Close => {
                self.finish(now, now + self.limits.linger, FIRST_FINISH_PAUSE);
            }
            Disposition::Abort => {
                self.socket.abort();
                self.held = None;
                self.phase = Phase::Ended;
            }
        }
    }

    fn finish(&mut self, now: Instant, until: Instant, pause: Duration) {
        self.phase = match self.socket.finish() {
            Ok(Finish::Pending) => Phase::Finishing {
                until,
                ask_again: now + pause,
                pause,
            },
            Ok(Finish::Done) | Err(_) => Phase::Ended,
        };
    }

    fn ended(&mut self, now: Instant, why: CloseReason) {
        if self.phase == Phase::Running {
            self.held = None;
            self.machine.handle_closed(now, why);
        }
        self.phase = Phase::Ended;
    }

    fn stall_deadline(&self) -> Option<Instant> {
        let held = self.held.as_ref()?.since + self.limits.stall;
        let window = self
            .window
            .began
            .filter(|_| self.limits.min_rate > 0)
            .map(|began| began + self.limits.rate_window);
        Some(window.map_or(held, |window| window.min(held)))
    }

    fn is_stalled(&mut self, now: Instant) -> bool {
        let Some(held) = &self.held else { return false };
        if held.since + self.limits.stall <= now {
            return true;
        }
        let Some(began) = self.window.began else {
            return false;
        };
        if began + self.limits.rate_window > now {
            return false;
        }
        let wanted = u128::from(self.limits.min_rate) * self.limits.rate_window.as_millis() / 1000;
        let slow = u128::from(self.window.sent) < wanted;
        self.window = RateWindow {
            began: Some(now),
            sent: 0,
        };
        slow
    }
}
