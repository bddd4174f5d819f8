//! What a driver turns, whatever runs inside.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use proto::machine::{CloseReason, Machine};

use crate::connection::{Application, Buffers, Connection, Discard, Turn};
use crate::host::Host;
use crate::path::Path;
use crate::service::Service;
use crate::socket::DatagramSocket;
use crate::stack::Stack;
use crate::tally::Tally;

/// A [`Connection`] of any kind. Its descriptor is for waiting.
pub trait Turns: AsFd {
    /// [`Connection::turn`].
    fn turn(&mut self, now: Instant, readable: bool, buffers: &mut Buffers) -> Turn;

    /// [`Connection::stop`].
    fn stop(&mut self, now: Instant, buffers: &mut Buffers) -> Turn;

    /// [`Connection::abort`].
    fn abort(&mut self, now: Instant, why: CloseReason);
}

/// A packet socket with the many connections on it: there from the start of a server, beside what
/// a driver accepts.
pub trait Resident: Turns {
    /// How many connections were lost to a panic since this was asked last.
    fn take_panics(&mut self) -> usize;

    /// The counts of its connections.
    fn tally(&self) -> Tally;
}

impl<M, S, A> AsFd for Connection<M, S, A>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer> + AsFd,
    A: Application<M>,
{
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl<M, S, A> Turns for Connection<M, S, A>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer> + AsFd,
    A: Application<M>,
{
    fn turn(&mut self, now: Instant, readable: bool, buffers: &mut Buffers) -> Turn {
        self.turn(now, readable, buffers)
    }

    fn stop(&mut self, now: Instant, buffers: &mut Buffers) -> Turn {
        self.stop(now, buffers)
    }

    fn abort(&mut self, now: Instant, why: CloseReason) {
        self.abort(now, why);
    }
}

impl<K, V, S> Resident for Connection<Host<K, V>, S, Discard>
where
    K: Stack,
    V: Service,
    S: DatagramSocket<Peer = Path> + AsFd,
{
    fn take_panics(&mut self) -> usize {
        self.machine_mut().take_panics()
    }

    fn tally(&self) -> Tally {
        self.machine().tally()
    }
}
