//! What a driver needs from a server, and what it tells its operator.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use proto::machine::Machine;

use crate::connection::Application;

/// Makes a machine and its application for every connection that is accepted.
///
/// A closure that refuses nobody will do:
///
/// ```
/// # use std::{net::SocketAddr, time::Instant};
/// # use transport::{Application, Machine, Service};
/// # fn example<M, A>(machine: impl FnMut() -> M, application: impl FnMut() -> A) -> impl Service
/// # where M: Machine<Peer = ()>, A: Application<M> {
/// # let (mut machine, mut application) = (machine, application);
/// move |_now: Instant, _peer: SocketAddr| (machine(), application())
/// # }
/// ```
pub trait Service {
    /// Speaks the protocol on one connection.
    type Machine: Machine<Peer = ()>;
    /// Answers its events.
    type Application: Application<Self::Machine>;

    /// Takes note of a connection that `peer` made, and says what to run on it. `None` refuses it:
    /// it is aborted, so that the peer knows, and is not counted as accepted.
    fn accept(
        &mut self,
        now: Instant,
        peer: SocketAddr,
    ) -> Option<(Self::Machine, Self::Application)>;
}

impl<F, M, A> Service for F
where
    F: FnMut(Instant, SocketAddr) -> (M, A),
    M: Machine<Peer = ()>,
    A: Application<M>,
{
    type Machine = M;
    type Application = A;

    fn accept(&mut self, now: Instant, peer: SocketAddr) -> Option<(M, A)> {
        Some(self(now, peer))
    }
}

/// What the operator of a server wants to see. Where one cause repeats, a driver tells it once
/// in a while ([`Gate`](crate::Gate) says how often), not each time.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// A connection failed before it was accepted.
    AcceptFailed {
        /// Which of the listeners, in the order they were given.
        listener: usize,
        /// Why.
        error: &'a io::Error,
    },
    /// There is no descriptor, memory or thread for another connection: nothing is accepted for a
    /// while. Who connects meanwhile waits in the backlog.
    OutOfResources {
        /// What the system said.
        error: &'a io::Error,
        /// When the next attempt follows.
        pause: Duration,
    },
    /// As many connections are open as may be. Who connects now waits until one ends.
    LimitReached {
        /// How many that is.
        connections: usize,
    },
    /// The code that served a connection panicked; the connection is lost, the others go on.
    Panicked,
    /// A stop was asked for: the listeners are closed.
    Stopping {
        /// How many connections may still come to their end.
        running: usize,
    },
    /// The grace is over, or a second stop was asked for: what still runs is ended.
    Cut {
        /// How many connections that are.
        running: usize,
    },
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcceptFailed { listener, error } => {
                write!(f, "listener {listener} could not accept: {error}")
            }
            Self::OutOfResources { error, pause } => {
                write!(f, "no resources to accept, pausing for {pause:?}: {error}")
            }
            Self::LimitReached { connections } => {
                write!(f, "the limit of {connections} connections is reached")
            }
            Self::Panicked => f.write_str("a connection was lost to a panic"),
            Self::Stopping { running } => {
                write!(f, "stopping, {running} connections may come to their end")
            }
            Self::Cut { running } => write!(f, "ending {running} connections at once"),
        }
    }
}

/// What a server did, told when it has stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// How many connections were accepted.
    pub accepted: u64,
    /// How many of them were ended by force, because the grace was over or a second stop came.
    pub cut: usize,
}

impl AddAssign for Served {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.cut += other.cut;
    }
}
