//! One connection on the calling thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use socket::stop::Shutdown;
use socket::wait::{Entry, Interest, wait};
use transport::{
    Application, Buffers, CloseReason, Connection, DatagramSocket, Machine, Turn, Turns,
};

use crate::clock;

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
/// When the system cannot wait for want of memory; the connection is lost.
pub fn run<M, S, A>(
    connection: Connection<M, S, A>,
    grace: Duration,
    shutdown: &Shutdown,
) -> io::Result<A>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer> + AsFd,
    A: Application<M>,
{
    let mut connection = connection;
    drive(&mut connection, grace, shutdown, |_| {})?;
    Ok(connection.into_application())
}

/// What ended [`run_until`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// What was waited for has come.
    Done,
    /// The connection has ended.
    Ended,
    /// The time is up.
    TimedOut,
    /// The cancel descriptor became readable.
    Cancelled,
}

/// Turns `connection` on the calling thread until `done` says so, for what comes before [`run`],
/// such as a handshake; whichever driver runs it then.
///
/// # Errors
///
/// When the system cannot wait for want of memory.
pub fn run_until<C: Turns>(
    connection: &mut C,
    mut done: impl FnMut(&C) -> bool,
    deadline: Instant,
    cancel: Option<BorrowedFd<'_>>,
) -> io::Result<Until> {
    let mut buffers = Buffers::default();
    let mut readable = false;
    loop {
        let now = clock();
        let turn = connection.turn(now, readable, &mut buffers);
        if done(connection) {
            return Ok(Until::Done);
        }
        if deadline <= now {
            return Ok(Until::TimedOut);
        }
        let (write, due) = match turn {
            Turn::Done => return Ok(Until::Ended),
            Turn::Again => (false, Some(now)),
            Turn::Wait { write, deadline } => (write, deadline),
        };
        let interest = if write {
            Interest::ReadWrite
        } else {
            Interest::Read
        };
        let mut entries = vec![Entry::new(connection.as_fd(), interest)];
        entries.extend(cancel.map(|fd| Entry::new(fd, Interest::Read)));
        wait(
            &mut entries,
            Some(due.map_or(deadline, |due| due.min(deadline))),
        )?;
        if entries.get(1).is_some_and(Entry::is_ready) {
            return Ok(Until::Cancelled);
        }
        readable = entries[0].is_readable();
    }
}

/// How [`drive`] came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection ended by itself.
    Finished,
    /// It was ended by force.
    Cut,
}

/// Turns `connection` until its end, and calls `turned` after each turn.
pub(crate) fn drive<C: Turns + ?Sized>(
    connection: &mut C,
    grace: Duration,
    shutdown: &Shutdown,
    mut turned: impl FnMut(&mut C),
) -> io::Result<End> {
    let mut buffers = Buffers::default();
    let mut readable = false;
    let mut cut_at: Option<Instant> = None;
    loop {
        let now = clock();
        if shutdown.immediate.is_stopped() || cut_at.is_some_and(|cut_at| cut_at <= now) {
            connection.abort(now, CloseReason::Cancelled);
            turned(connection);
            return Ok(End::Cut);
        }
        let turn = if cut_at.is_none() && shutdown.graceful.is_stopped() {
            cut_at = Some(now + grace);
            connection.stop(now, &mut buffers)
        } else {
            connection.turn(now, readable, &mut buffers)
        };
        turned(connection);
        readable = match turn {
            Turn::Done => return Ok(End::Finished),
            Turn::Again => false,
            Turn::Wait { write, deadline } => {
                let interest = if write {
                    Interest::ReadWrite
                } else {
                    Interest::Read
                };
                let mut entries = [
                    Entry::new(connection.as_fd(), interest),
                    Entry::new(shutdown.immediate.as_fd(), Interest::Read),
                    Entry::new(shutdown.graceful.as_fd(), Interest::Read),
                ];
                // Once it was heard, the wish for a graceful end would end every wait.
                let heard = usize::from(cut_at.is_some());
                let entries = &mut entries[..3 - heard];
                let deadline = [deadline, cut_at].into_iter().flatten().min();
                wait(entries, deadline)?;
                entries[0].is_readable()
            }
        };
    }
}
