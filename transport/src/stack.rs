//! What a user-space transport protocol offers to a [`Host`](crate::Host).

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use proto::machine::{CloseReason, Datagram, Icmp, Room, Transmit};

use crate::icmp::Rejection;
use crate::path::Path;

/// A transport protocol without I/O: many connections on one packet socket, listener and client
/// at once.
///
/// The calling contract is that of [`Machine`](crate::Machine): after each `handle_*`, and after
/// each call of the application, poll events until `None`, then transmits until `None`.
pub trait Stack {
    /// Names a connection or association, for as long as the stack lives.
    type Id: Copy + Ord + fmt::Debug;

    /// Takes a packet, or a train of them, from the network.
    fn handle_packet(&mut self, now: Instant, packet: Datagram<Path>);

    /// Tells that the time [`Self::poll_timeout`] named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Tells what the network said of a packet that was sent on `path`. To be believed only if what
    /// it quotes shows that it is about a packet of this stack; even then an established
    /// connection outlives what may pass.
    fn handle_icmp(&mut self, now: Instant, path: Path, icmp: &Icmp);

    /// Tells that the packet polled last was not sent, because the path takes at most `limit`
    /// bytes.
    fn handle_rejected(&mut self, now: Instant, limit: usize);

    /// Appends the next packet, or a train of them, to `out`, or changes places with it if it is
    /// empty. `limit` is the largest packet in bytes that the socket takes.
    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Path>>;

    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;

    /// The next thing that happened to a connection.
    fn poll_event(&mut self) -> Option<(Self::Id, StackEvent)>;

    /// Begins a connection to `remote`, an address and a port of this protocol.
    ///
    /// # Errors
    ///
    /// When the stack has no room for another.
    fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<Self::Id, NoRoom>;

    /// Whether [`Self::send_with`] takes messages for a connection before it is
    /// [`StackEvent::Connected`]: they travel with the handshake.
    fn takes_early_data(&self) -> bool {
        false
    }

    /// Sends a message that `fill` makes: it chooses a stream that has room, appends the message,
    /// at most as many bytes as there is room, and says how to send it (the `peer` is of no
    /// meaning here). `Ok(false)`: `fill` had nothing, and appended nothing.
    ///
    /// # Errors
    ///
    /// Every error means that nothing was sent.
    fn send_with(
        &mut self,
        now: Instant,
        id: Self::Id,
        fill: &mut Fill<'_>,
    ) -> Result<bool, StackSendError>;

    /// The largest message in bytes that [`Self::send_with`] takes now.
    fn max_message(&self, id: Self::Id) -> usize;

    /// Ends a connection: what was sent is still delivered. The stack says
    /// [`StackEvent::Closed`] when that is done, or given up; then the id is gone.
    fn close(&mut self, now: Instant, id: Self::Id);

    /// Whether a peer takes the first message as the end of the handshake too. If so, a client
    /// sends nothing before it.
    fn ends_handshake_with_data(&self) -> bool;

    /// Ends a connection at once, so that the peer knows that it failed. [`StackEvent::Closed`]
    /// follows here too, as it does after [`StackSendError::Closed`]: a connection that was
    /// [`StackEvent::Connected`], or begun with [`Self::connect`], ends with it or with
    /// [`StackEvent::Refused`], always and once.
    fn abort(&mut self, now: Instant, id: Self::Id);
}

/// Makes a message: learns how much room a stream has, and where to put the bytes.
pub type Fill<'a> = dyn FnMut(&mut Room<'_>, &mut Vec<u8>) -> Option<Transmit<()>> + 'a;

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackEvent {
    /// It is established; a connection that the stack accepted begins with this.
    Connected {
        /// Who is at the other end: the address, and the port of this protocol.
        remote: SocketAddr,
        /// How many streams there are to send on: 1 where there are none.
        streams: u16,
    },
    /// The peer lost its state and began anew on the same connection: what was under way is lost,
    /// and nothing that follows belongs to what came before.
    Restarted,
    /// A message came, or a piece of one.
    Message(Datagram<()>),
    /// At least so many messages are known to be lost that would have come before the next one.
    Missing(u64),
    /// There is room to send again after [`StackSendError::Full`].
    Writable,
    /// A connection begun with [`Stack::connect`] did not come about.
    Refused(Refusal),
    /// It is over; its id names nothing any more.
    Closed(CloseReason),
}

/// Why a connection did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The network said that packets do not reach a stack of the peer's.
    Rejected(Rejection),
    /// The peer is there, but nobody listens at the port.
    NobodyListens,
    /// The peer listens at the port, but for another DCCP service code.
    ServiceCode,
    /// The peer has no room for more connections now.
    Busy,
    /// The two ends could not agree on how to speak.
    Negotiation,
    /// The peer, or this end, broke the handshake off.
    Aborted,
    /// The peer did not answer.
    TimedOut,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected(rejection) => return rejection.fmt(f),
            Self::NobodyListens => "nobody listens there",
            Self::ServiceCode => "the peer has another service code",
            Self::Busy => "the peer has no room for another connection",
            Self::Negotiation => "the two ends could not agree on how to speak",
            Self::Aborted => "the handshake was broken off",
            Self::TimedOut => "the peer did not answer",
        })
    }
}

/// A stack that has no room for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many connections")
    }
}

impl std::error::Error for NoRoom {}

/// Why a stack did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackSendError {
    /// No message may be sent now, or none on a stream that was asked about: ask again after
    /// [`StackEvent::Writable`].
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
