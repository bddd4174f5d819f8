//! A machine, its socket and its application, turned by a driver.

use std::time::Instant;

use bytes::BytesMut;
use proto::machine::{CloseReason, Disposition, Machine};

use crate::pace::Limits;
use crate::pump::{Flow, Pump};
use crate::socket::DatagramSocket;

/// What decides, where a machine only tells: it answers the machine's events.
pub trait Application<M: Machine> {
    /// Takes every event the machine has and answers with commands. Returns when it wants to be
    /// called again without an event, for work it does in small steps; a time not later than
    /// `now` means at once.
    fn run(&mut self, now: Instant, machine: &mut M) -> Option<Instant>;
}

/// An application that decides nothing: events are thrown away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl<M: Machine> Application<M> for Discard {
    fn run(&mut self, _now: Instant, machine: &mut M) -> Option<Instant> {
        while machine.poll_event().is_some() {}
        None
    }
}

/// One that is somebody else's.
impl<M: Machine, A: Application<M>> Application<M> for &mut A {
    fn run(&mut self, now: Instant, machine: &mut M) -> Option<Instant> {
        (**self).run(now, machine)
    }
}

/// Buffers that all connections of one thread share.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Where datagrams are received.
    pub receive: BytesMut,
    /// Where datagrams are made.
    pub send: Vec<u8>,
}

/// What a connection waits for after [`Connection::turn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Input, or room to send if `write`, or this time.
    Wait {
        /// Whether to wait for the socket to become writable too.
        write: bool,
        /// When to turn again without input.
        deadline: Option<Instant>,
    },
    /// Nothing: turn again after the others had theirs.
    Again,
    /// It is over: drop the connection.
    Done,
}

/// The most datagrams moved in each direction in one turn, a train counting as one, so that one
/// busy connection does not keep the others of its thread waiting.
const BUDGET: usize = 64;

/// How many of them a packet socket receives before what they call for is sent: the answers to
/// many trains at once would not fit the queues of a stack, and acknowledgements would be late.
const BATCH: usize = 4;

/// A machine, its socket and its application.
#[derive(Debug)]
pub struct Connection<M: Machine, S, A> {
    pump: Pump<M, S>,
    application: A,
    /// Whether the socket may have input that was not read yet.
    readable: bool,
    wake: Option<Instant>,
}

impl<M, S, A> Connection<M, S, A>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer>,
    A: Application<M>,
{
    /// Joins the three. The first [`Self::turn`] starts the session.
    pub const fn new(machine: M, socket: S, application: A, limits: Limits) -> Self {
        Self {
            pump: Pump::new(machine, socket, limits),
            application,
            readable: true,
            wake: None,
        }
    }

    /// The machine.
    pub const fn machine(&self) -> &M {
        self.pump.machine()
    }

    /// The machine, to give it commands; what comes of them is done in the next [`Self::turn`].
    pub const fn machine_mut(&mut self) -> &mut M {
        self.pump.machine_mut()
    }

    /// The socket, for the driver to wait on.
    pub const fn socket(&self) -> &S {
        self.pump.socket()
    }

    /// The application.
    pub const fn application(&self) -> &A {
        &self.application
    }

    /// Takes the application back, after the end.
    pub fn into_application(self) -> A {
        self.application
    }

    /// Does everything that can be done without waiting, up to a budget. `readable` says that the
    /// socket reported input; it stays remembered until a receive call finds none.
    pub fn turn(&mut self, now: Instant, readable: bool, buffers: &mut Buffers) -> Turn {
        self.readable |= readable;
        if self.deadline().is_some_and(|due| due <= now) {
            self.pump.handle_timeout(now);
        }
        let mut flow = self.flush(now, buffers);
        let batch = if S::MANY_PEERS { BATCH } else { BUDGET };
        for _ in 0..BUDGET / batch {
            if !self.readable {
                break;
            }
            let received = self.pump.receive(now, batch, &mut buffers.receive);
            match received {
                Flow::Idle | Flow::Blocked => self.readable = false,
                Flow::Budget | Flow::Interrupted => {}
            }
            let answered = self.flush(now, buffers);
            if flow != Flow::Budget {
                flow = answered;
            }
            if received == Flow::Interrupted {
                break;
            }
        }
        if self.pump.is_ended() {
            return Turn::Done;
        }
        let more = self.readable || flow == Flow::Budget;
        if more || self.deadline().is_some_and(|due| due <= now) {
            return Turn::Again;
        }
        Turn::Wait {
            write: self.pump.wants_write(),
            deadline: self.deadline(),
        }
    }

    /// Tells the machine that the program is about to stop.
    pub fn stop(&mut self, now: Instant, buffers: &mut Buffers) -> Turn {
        self.pump.machine_mut().handle_stop(now);
        self.turn(now, false, buffers)
    }

    /// Ends the session at once, so that the peer knows that it failed.
    pub fn abort(&mut self, now: Instant, why: CloseReason) {
        self.pump.abort(now, why);
        self.wake = self.application.run(now, self.pump.machine_mut());
    }

    /// Runs the application and sends, until neither has more to do.
    fn flush(&mut self, now: Instant, buffers: &mut Buffers) -> Flow {
        let mut budget = BUDGET;
        loop {
            self.wake = self.application.run(now, self.pump.machine_mut());
            // Of an end that comes after this, the application has not heard.
            let told_end = self.is_done();
            self.pump.settle(now);
            let (flow, sent) = self.pump.flush(now, budget, &mut buffers.send);
            budget -= sent;
            match flow {
                Flow::Blocked => return Flow::Blocked,
                // What was sent, or asked for, may have made the machine ask for more, or end: run it
                // again.
                Flow::Idle if sent == 0 && (told_end || !self.is_done()) => {
                    self.pump.rest();
                    return Flow::Idle;
                }
                Flow::Idle | Flow::Budget | Flow::Interrupted if budget == 0 => {
                    return Flow::Budget;
                }
                Flow::Idle | Flow::Budget | Flow::Interrupted => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        self.pump.machine().disposition() != Disposition::Open
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.pump.deadline(), self.wake) {
            (Some(pump), Some(wake)) => Some(pump.min(wake)),
            (pump, wake) => pump.or(wake),
        }
    }
}
