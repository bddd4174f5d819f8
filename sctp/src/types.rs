//! What goes in and comes out of an endpoint.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::cause::CauseCode;

/// Names an association for as long as its endpoint lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssociationId {
    pub(crate) generation: u32,
    pub(crate) slot: u32,
}

/// Between which addresses packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// This end's address, where it is known.
    pub local: Option<IpAddr>,
    /// The peer's address, and its UDP port (0 in raw IP).
    pub remote: SocketAddr,
}

/// The ECN field of the IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum Ecn {
    #[default]
    NotEct,
    Ect1,
    Ect0,
    Ce,
}

/// A packet, or a train of packets, as it came from the network.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// From where to where.
    pub path: Path,
    /// Its ECN field; of no meaning without [`Config::ecn`](crate::Config::ecn).
    pub ecn: Ecn,
    /// `Some(n)`: a train of packets of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// The bytes.
    pub payload: Bytes,
}

/// How to send the bytes that [`Endpoint::poll_transmit`](crate::Endpoint::poll_transmit) gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where to where.
    pub path: Path,
    /// The ECN field to send with; always [`Ecn::NotEct`] without
    /// [`Config::ecn`](crate::Config::ecn).
    pub ecn: Ecn,
    /// `Some(n)`: a train of packets of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// Whether IP may cut it, so without DF: one packet with a chunk that was cut when the path took
    /// larger ones, and that cannot be cut again (RFC 9260 §6.9: "IP fragmentation MUST be used").
    pub may_fragment: bool,
}

/// How to send a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// The stream, below the number that [`Event::Connected`] told.
    pub stream: u16,
    /// The Payload Protocol Identifier.
    pub ppid: u32,
    /// Outside the order of its stream (the U bit).
    pub unordered: bool,
    /// Asks the peer to acknowledge the end of the message at once (the I bit, RFC 7053).
    pub immediate: bool,
}

/// What happened to an association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is established; one that a peer began starts with this.
    Connected {
        /// The path that was used.
        path: Path,
        /// The peer's SCTP port.
        port: u16,
        /// Streams there are to send on.
        outbound_streams: u16,
        /// Streams that the peer sends on at most.
        inbound_streams: u16,
    },
    /// A message, or the next part of one. The parts of one message come in their order; parts of
    /// messages on other streams may come between them.
    Message {
        /// Its stream.
        stream: u16,
        /// Its Payload Protocol Identifier.
        ppid: u32,
        /// Whether it is in the order of its stream.
        ordered: bool,
        /// Whether this is its last part.
        end_of_message: bool,
        /// The bytes: a slice of what was received.
        payload: Bytes,
    },
    /// The message that came in parts on this stream will not end: the peer has given it up
    /// (RFC 3758).
    MessageCut {
        /// Its stream.
        stream: u16,
        /// Whether it is in the order of its stream.
        ordered: bool,
    },
    /// There is room to send again on this stream, after [`SendError::Full`].
    Writable {
        /// The stream.
        stream: u16,
    },
    /// All that was sent is acknowledged.
    Settled,
    /// Something about a path changed.
    PathChange {
        /// The path.
        path: Path,
        /// What changed.
        change: PathChange,
    },
    /// The peer lost its state and began anew (RFC 9260 §5.2.4 A): nothing that was sent before
    /// and not yet settled will arrive, no message that was begun will end, and all streams begin
    /// again.
    PeerRestarted,
    /// The peer has begun the end in good order: nothing more can be sent.
    PeerClosing,
    /// It is over; the id names nothing any more.
    Closed(CloseReason),
}

/// What changed about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathChange {
    /// Its address was proved to be the peer's.
    Confirmed,
    /// It answers again.
    Active,
    /// It is silent; another one takes over meanwhile (RFC 7829's "potentially failed").
    Suspect,
    /// It failed too often (`Path.Max.Retrans`).
    Inactive,
    /// Data travels on it from now on.
    InUse,
    /// The peer's UDP port moved, as NATs do.
    PortMoved,
    /// Packets of so many bytes pass it.
    PacketSize(usize),
}

/// Why an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// In good order, by either end.
    Shutdown,
    /// This end aborted it.
    Aborted,
    /// The peer aborted it, or refused to begin it.
    AbortedByPeer(Option<CauseCode>),
    /// Nobody answered the attempt to begin it.
    ConnectTimeout,
    /// The peer does not answer any more.
    Unreachable,
    /// The peer broke the protocol.
    ProtocolViolation,
    /// The network said that packets do not reach the peer, or that it does not take them.
    Rejected,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => f.write_str("closed"),
            Self::Aborted => f.write_str("aborted"),
            Self::AbortedByPeer(None) => f.write_str("aborted by the peer"),
            Self::AbortedByPeer(Some(cause)) => write!(f, "aborted by the peer: {cause}"),
            Self::ConnectTimeout => f.write_str("nobody answers"),
            Self::Unreachable => f.write_str("the peer does not answer any more"),
            Self::ProtocolViolation => f.write_str("the peer broke the protocol"),
            Self::Rejected => f.write_str("packets do not reach the peer"),
        }
    }
}

/// How far packets came that the network says did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Not to the peer's host: this may pass.
    Way,
    /// To the peer's host, which does not take such packets.
    Peer,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendError {
    /// Its stream's queue is full, or the association's: wait for [`Event::Writable`].
    Full,
    /// It is longer than [`Config::max_message`](crate::Config::max_message).
    TooBig,
    /// It has no bytes: SCTP has no such messages (RFC 9260 §3.3.1).
    Empty,
    /// There is no stream of this number.
    NoSuchStream,
    /// The association is ending, or has ended.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the queue is full",
            Self::TooBig => "the message is too long",
            Self::Empty => "the message is empty",
            Self::NoSuchStream => "there is no such stream",
            Self::Closed => "the association has ended",
        })
    }
}

impl std::error::Error for SendError {}

/// Why an association was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectError {
    /// There are [`Config::max_associations`](crate::Config::max_associations) already.
    TooMany,
    /// No path was given, or a port of 0.
    NoAddress,
    /// There is an association between these ports and addresses already.
    PortInUse,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many associations",
            Self::NoAddress => "no address to connect to",
            Self::PortInUse => "the port is in use towards this peer",
        })
    }
}

impl std::error::Error for ConnectError {}
