//! What lies below a machine: sockets that carry datagrams.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use proto::machine::{CloseReason, Datagram, Icmp, Transmit};

/// A non-blocking socket that carries datagrams.
pub trait DatagramSocket {
    /// Who is at the other end: `()` for a socket with one peer.
    type Peer: Copy + fmt::Debug;

    /// Whether it is a packet socket with many peers, whose machine says farewell to each of them
    /// itself: [`Self::abort`] tells nobody anything there.
    const MANY_PEERS: bool = false;

    /// The largest payload in bytes that [`Self::send`] takes now; it may change at any time.
    fn max_payload(&self) -> usize;

    /// Sends one datagram, or a train of them, whole or not at all.
    ///
    /// # Errors
    ///
    /// Every error leaves the datagram unsent.
    fn send(&mut self, transmit: &Transmit<Self::Peer>, payload: &[u8]) -> Result<(), SendError>;

    /// Receives one datagram, a piece of one, or a train, into `buffer`, which is grown as needed
    /// and from which the payload is split off.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when nothing is there; other errors end the session.
    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<Self::Peer>>;

    /// Begins, or goes on with, the graceful end: what was sent is still delivered, and what the
    /// peer sends meanwhile is to be received and thrown away. The socket is dropped when this
    /// returns [`Finish::Done`] or when [`Self::recv`] returns [`Received::Closed`].
    ///
    /// # Errors
    ///
    /// Any error means that there is nothing left to wait for.
    fn finish(&mut self) -> io::Result<Finish>;

    /// Makes dropping the socket tell the peer that the session failed (SCTP's ABORT, DCCP's
    /// Reset).
    fn abort(&mut self);
}

/// What [`DatagramSocket::recv`] got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<P> {
    /// A datagram, a piece of one, or a train.
    Datagram(Datagram<P>),
    /// What the network said of a packet that was sent.
    Icmp {
        /// Whom it was sent to.
        peer: P,
        /// What was said.
        icmp: Icmp,
    },
    /// The session's end; nothing follows.
    Closed(CloseReason),
}

/// How far a graceful end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Everything is delivered, or is the kernel's to deliver after the socket is dropped.
    Done,
    /// Something is still on its way: call again after the next input, or a few milliseconds.
    Pending,
}

/// Why a datagram was not sent.
#[derive(Debug)]
pub enum SendError {
    /// The socket's queue is full: send the same datagram again when it is writable.
    WouldBlock,
    /// The payload is larger than [`DatagramSocket::max_payload`] is now.
    TooBig,
    /// The session has ended.
    Closed(CloseReason),
    /// The system refused for another reason.
    Io(io::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the socket's queue is full"),
            Self::TooBig => f.write_str("the message is larger than the path takes"),
            Self::Closed(why) => why.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

/// A non-blocking socket that accepts connections.
pub trait Listener {
    /// What an accepted connection is.
    type Socket: DatagramSocket<Peer = ()>;

    /// The next connection that waits, and who made it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when none waits. Other errors concern one connection that
    /// failed before it was accepted, or a lack of resources.
    fn accept(&mut self) -> io::Result<(Self::Socket, SocketAddr)>;

    /// Whether `error`, which [`Self::accept`] returned, means that this process or machine has
    /// no descriptor or memory left, so that trying again at once would only spin.
    fn is_out_of_resources(&self, error: &io::Error) -> bool;
}
