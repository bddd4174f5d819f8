//! What goes in and out of an endpoint.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::ServiceCode;
use crate::connection::CloseReason;

/// Names a connection for as long as its endpoint lives: a number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    pub(crate) const fn slot(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Between which addresses packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// This end's address, where it is known: needed in raw IP, for the checksum.
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
}

/// What happened to a connection.
#[derive(Clone, Debug)]
pub enum Event {
    /// It is established; one that a peer began starts with this.
    Connected {
        /// The peer's address, and its UDP port.
        path: Path,
        /// The peer's DCCP port.
        port: u16,
        /// What it is for.
        service: ServiceCode,
    },
    /// A datagram came.
    Message(Bytes),
    /// Packets of the peer are known to be lost: so many at least, all of them older than the
    /// message that follows. Which of them carried data is known only where NDP Count is in
    /// force ([`Config::ndp_count`](crate::Config::ndp_count)); then only those are counted. An
    /// application that repairs need not wait for a timer.
    Missing(u64),
    /// There is room to send again, after [`SendError::Full`](crate::SendError::Full).
    Writable,
    /// Everything that was sent is acknowledged or known to be lost.
    Settled,
    /// It is over; the id names nothing any more.
    Closed(CloseReason),
}

/// How far packets came that the network says did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Not to the peer's host: this may pass.
    Way,
    /// To the peer's host, which does not take such packets.
    Peer,
}

/// Why a connection was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// There are as many connections as [`Config::connections`](crate::Config::connections)
    /// allows, or no port is free.
    Full,
    /// [`Path::local`] is needed in raw IP, of the same family as the remote address.
    LocalAddress,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many connections",
            Self::LocalAddress => "the local address is not known",
        })
    }
}

impl std::error::Error for ConnectError {}
