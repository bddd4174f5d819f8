//! What a user-space transport protocol offers to a [`Host`](crate::Host).

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use proto::machine::{CloseReason, Datagram, Transmit};

/// A transport protocol without I/O: many connections on one packet socket, listener and client
/// at once.
///
/// The calling contract is that of [`Machine`](crate::Machine): after each `handle_*`, and after
/// each call of the application, poll events until `None`, then transmits until `None`.
pub trait Stack {
    /// Names a connection or association, for as long as the stack lives.
    type Id: Copy + Ord + fmt::Debug;

    /// Takes a packet, or a train of them, from the network.
    fn handle_packet(&mut self, now: Instant, packet: Datagram<SocketAddr>);

    /// Tells that the time [`Self::poll_timeout`] named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Tells that the packet polled last was not sent, because the path takes at most `limit`
    /// bytes.
    fn handle_rejected(&mut self, now: Instant, limit: usize);

    /// Appends the next packet, or a train of them, to `out`. `limit` is the largest packet in
    /// bytes that the socket takes.
    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<SocketAddr>>;

    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// The next thing that happened to a connection.
    fn poll_event(&mut self) -> Option<(Self::Id, StackEvent)>;

    /// Begins a connection to `remote`.
    ///
    /// # Errors
    ///
    /// When the stack has no room for another.
    fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<Self::Id, ConnectRefused>;

    /// Takes a message to send. `how.peer` is of no meaning here.
    ///
    /// # Errors
    ///
    /// Every error leaves the message unsent.
    fn send(
        &mut self,
        now: Instant,
        id: Self::Id,
        how: &Transmit<()>,
        message: &[u8],
    ) -> Result<(), StackSendError>;

    /// The largest message in bytes that [`Self::send`] takes now.
    fn max_message(&self, id: Self::Id) -> usize;

    /// Ends a connection: what was sent is still delivered. The stack says
    /// [`StackEvent::Closed`] when that is done, or given up; then the id is gone.
    fn close(&mut self, now: Instant, id: Self::Id);

    /// Ends a connection at once, so that the peer knows that it failed. [`StackEvent::Closed`]
    /// follows here too, as it does after [`StackSendError::Closed`]: a connection that was
    /// [`StackEvent::Connected`], or begun with [`Self::connect`], ends with it, always and once.
    fn abort(&mut self, now: Instant, id: Self::Id);
}

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackEvent {
    /// It is established; a connection that the stack accepted begins with this.
    Connected {
        /// Who is at the other end.
        remote: SocketAddr,
    },
    /// A message came, or a piece of one.
    Message(Datagram<()>),
    /// There is room to send again after [`StackSendError::Full`].
    Writable,
    /// It is over; its id names nothing any more.
    Closed(CloseReason),
}

/// A stack that has no room for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRefused;

impl fmt::Display for ConnectRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many connections")
    }
}

impl std::error::Error for ConnectRefused {}

/// Why a stack did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackSendError {
    /// Its queue is full: offer the message again after [`StackEvent::Writable`].
    Full,
    /// The message is longer than [`Stack::max_message`] is now.
    TooBig,
    /// The connection has ended.
    Closed,
}

impl fmt::Display for StackSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue is full",
            Self::TooBig => "the message is longer than the connection takes",
            Self::Closed => "the connection has ended",
        })
    }
}

impl std::error::Error for StackSendError {}
