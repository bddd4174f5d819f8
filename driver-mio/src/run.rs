//! One connection on the calling thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use socket::stop::Shutdown;
use transport::{Application, Buffers, CloseReason, Connection, DatagramSocket, Machine, Turn};

use crate::clock;
use crate::readiness::{is_readable, poll, watch};
use crate::slots::fixed;

/// The socket's token; those of the shutdown follow.
const SOCKET: usize = 0;

/// Runs `connection` until it has ended and returns its application, which knows how.
///
/// The machine's peer may be of any type: this runs a client on a socket with one peer as well as
/// a server on a packet socket with many. When `shutdown` asks for a graceful end, the machine is
/// told, and has `grace` to come to it. After that, or when `shutdown` asks for an immediate end,
/// the connection is aborted with [`CloseReason::Cancelled`]. A client that is to end at once
/// when its user says so asks for the immediate end only.
///
/// # Errors
///
/// When the system cannot wait for want of memory or descriptors; the connection is lost.
pub fn run<M, S, A>(
    mut connection: Connection<M, S, A>,
    grace: Duration,
    shutdown: &Shutdown,
) -> io::Result<A>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer> + AsFd,
    A: Application<M>,
{
    let mut multiplexer = Poll::new()?;
    let mut events = Events::with_capacity(4);
    let registry = multiplexer.registry();
    watch(registry, shutdown, SOCKET + 1)?;
    registry.register(
        &mut SourceFd(&connection.socket().as_fd().as_raw_fd()),
        fixed(SOCKET),
        Interest::READABLE | Interest::WRITABLE,
    )?;
    let mut buffers = Buffers::default();
    let mut readable = false;
    let mut cut_at: Option<Instant> = None;
    loop {
        let now = clock();
        if shutdown.immediate.is_stopped() || cut_at.is_some_and(|cut_at| cut_at <= now) {
            connection.abort(now, CloseReason::Cancelled);
            return Ok(connection.into_application());
        }
        if cut_at.is_none() && shutdown.graceful.is_stopped() {
            cut_at = Some(now + grace);
            if connection.stop(now, &mut buffers) == Turn::Done {
                return Ok(connection.into_application());
            }
        }
        let deadline = match connection.turn(now, readable, &mut buffers) {
            Turn::Done => return Ok(connection.into_application()),
            Turn::Again => {
                readable = false;
                continue;
            }
            Turn::Wait { write: _, deadline } => [deadline, cut_at].into_iter().flatten().min(),
        };
        poll(&mut multiplexer, &mut events, deadline)?;
        readable = events
            .iter()
            .any(|event| event.token() == fixed(SOCKET) && is_readable(event));
    }
}
