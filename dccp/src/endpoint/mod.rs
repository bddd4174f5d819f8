//! Many connections on one packet socket.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Instant;

use bytes::Bytes;

use crate::connection::{CloseReason, SendError, Stats};
use crate::{Config, ServiceCode};

/// Names a connection for as long as its endpoint lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

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
    /// Its ECN field.
    pub ecn: Ecn,
    /// `Some(n)`: a train of packets of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// The bytes.
    pub payload: Bytes,
}

/// How to send the bytes that [`Endpoint::poll_transmit`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where to where.
    pub path: Path,
    /// The ECN field to send with.
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
    /// Packets of the peer that carried data are known to be lost: so many (data) packets at
    /// least, in the order of their sequence numbers before the message that follows. An
    /// application that repairs need not wait for a timer.
    Missing(u64),
    /// There is room to send again, after [`SendError::Full`].
    Writable,
    /// Everything that was sent is acknowledged or known to be lost.
    Settled,
    /// It is over; the id names nothing any more.
    Closed(CloseReason),
}

/// Many connections on one packet socket, listener and client at once.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
}

impl Endpoint {
    /// An endpoint. Equal seeds and inputs give equal packets.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let _ = seed;
        Self { config }
    }

    /// Takes a packet or a train from the network.
    pub fn handle_packet(&mut self, now: Instant, datagram: Datagram) {
        let _ = (now, datagram, &self.config);
    }

    /// Tells that the time [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// Tells that the packets polled last were not sent: the path takes at most `limit` bytes.
    pub fn handle_rejected(&mut self, now: Instant, limit: usize) {
        let _ = (now, limit);
    }

    /// Appends the next packet, or a train of them, to `out` (swapping buffers if it is empty).
    /// `limit`: the largest packet in bytes that the socket takes.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let _ = (now, limit, out);
        None
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        None
    }

    /// Begins a connection.
    ///
    /// # Errors
    ///
    /// When there is no room for another.
    pub fn connect(
        &mut self,
        now: Instant,
        path: Path,
        port: u16,
        service: ServiceCode,
    ) -> Result<ConnectionId, ConnectError> {
        let _ = (now, path, port, service);
        todo!()
    }

    /// Sends one datagram: `fill` appends it, at most as many bytes as it is told, straight to
    /// the packet train under way. `Ok(None)`: `fill` had nothing. Nothing is queued: what may
    /// not be sent now is [`SendError::Full`], and `fill` is not called.
    ///
    /// # Errors
    ///
    /// Every error means that nothing was sent.
    pub fn send_with<T>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        fill: impl FnOnce(usize, &mut Vec<u8>) -> Option<T>,
    ) -> Result<Option<T>, SendError> {
        let _ = (now, id, fill);
        todo!()
    }

    /// The longest datagram in bytes that [`Self::send_with`] takes now.
    pub fn max_message(&self, id: ConnectionId) -> usize {
        let _ = id;
        todo!()
    }

    /// Ends a connection in good order: what was sent is waited for, then Close or CloseReq.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let _ = (now, id);
    }

    /// Ends a connection at once, with Reset code 2.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        let _ = (now, id);
    }

    /// What is known of a connection.
    pub fn stats(&self, id: ConnectionId) -> Option<Stats> {
        let _ = id;
        None
    }
}

/// There is no room for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectError;
