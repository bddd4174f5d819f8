//! Carries bytes between a machine and a socket.

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proto::machine::{CloseReason, Disposition, Machine, Transmit};

use crate::pace::{Limits, Pace};
use crate::socket::{DatagramSocket, Finish, Received, SendError};

/// The first pause after which a socket that cannot say when it has delivered everything is asked
/// again; it doubles each time, up to the longest.
const FIRST_FINISH_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_FINISH_PAUSE: Duration = Duration::from_millis(250);

/// How many packets an aborted machine with many peers may still send.
const MAX_FAREWELLS: usize = 100_000;

/// What stopped [`Pump::flush`] or [`Pump::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is nothing (more) to send or receive; wait for the next input.
    Idle,
    /// The socket's queue is full; wait until it is writable.
    Blocked,
    /// The budget is spent: call again without waiting.
    Budget,
    /// The socket was interrupted, which may have taken a while: call again with the time of then.
    Interrupted,
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
    pace: Pace,
    phase: Phase,
    limits: Limits,
}

#[derive(Debug)]
struct Held<P> {
    transmit: Transmit<P>,
    payload: Vec<u8>,
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
            pace: Pace::new(),
            phase: Phase::Running,
            limits,
        }
    }

    /// Both, for what goes on with them.
    pub fn into_parts(self) -> (M, S) {
        (self.machine, self.socket)
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
            let (transmit, payload) = match self.held.take() {
                Some(held) => (held.transmit, held.payload),
                None => {
                    scratch.clear();
                    let limit = self.socket.max_payload();
                    let Some(transmit) = self.machine.poll_transmit(now, limit, scratch) else {
                        // A machine may be done only once it has said all.
                        self.settle(now);
                        return (Flow::Idle, tried);
                    };
                    (transmit, std::mem::take(scratch))
                }
            };
            let result = self.socket.send(&transmit, &payload);
            match result {
                Ok(()) => self.pace.on_sent(payload.len() as u64),
                Err(SendError::WouldBlock) => {
                    self.pace.on_blocked(now);
                    self.held = Some(Held { transmit, payload });
                    return (Flow::Blocked, tried);
                }
                Err(SendError::TooBig) => {
                    let tried = transmit.segment_size.map_or(payload.len(), Into::into);
                    let limit = self.socket.max_payload().min(tried.saturating_sub(1));
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

    /// Notes that the application has nothing (more) to send: what it sends next begins a new
    /// measurement of the peer's rate.
    pub const fn rest(&mut self) {
        self.pace.rest();
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
                Ok(Received::Icmp { peer, icmp }) => {
                    if self.phase == Phase::Running {
                        self.machine.handle_icmp(now, peer, &icmp);
                        self.settle(now);
                    }
                }
                Ok(Received::Closed(why)) => {
                    self.ended(now, why);
                    return Flow::Idle;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Flow::Idle,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    return Flow::Interrupted;
                }
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
                if self.pace.is_stalled(now, &self.limits) {
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
            Phase::Running => {
                let stall = self.pace.deadline(&self.limits);
                let both = [self.machine.poll_timeout(), stall];
                both.into_iter().flatten().min()
            }
            Phase::Finishing {
                until, ask_again, ..
            } => Some(until.min(ask_again)),
            Phase::Ended => None,
        }
    }

    /// Ends the session at once, so that the peer knows that it failed. Where a socket has many
    /// peers, the machine tells each of them, as far as the socket takes it now.
    pub fn abort(&mut self, now: Instant, why: CloseReason) {
        if self.phase == Phase::Ended {
            return;
        }
        let running = self.phase == Phase::Running;
        self.socket.abort();
        self.ended(now, why);
        if !S::MANY_PEERS || !running {
            return;
        }
        let mut packet = Vec::new();
        let limit = self.socket.max_payload();
        for _ in 0..MAX_FAREWELLS {
            packet.clear();
            let Some(transmit) = self.machine.poll_transmit(now, limit, &mut packet) else {
                break;
            };
            if self.socket.send(&transmit, &packet).is_err() {
                break;
            }
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
}
