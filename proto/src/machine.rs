//! The seam between protocol logic and the loops that move its bytes.
//!
//! A [`Machine`] neither waits, nor reads a clock, nor touches a socket. A driver feeds it and
//! polls it:
//!
//! 1. Call one `handle_*` function with what happened and the current time.
//! 2. Call [`Machine::poll_event`] until `None`, answering events with
//!    [`Machine::handle_command`].
//! 3. Call [`Machine::poll_transmit`] until `None` or until a datagram cannot be sent now.
//! 4. Ask [`Machine::disposition`] whether the session goes on, and
//!    [`Machine::poll_timeout`] when to call [`Machine::handle_timeout`].
//!
//! `now` never goes backwards from one call to the next. Input from the network never fails a
//! call: what cannot be used is dropped, and what ends a session ends it with an event.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Instant;

use bytes::Bytes;

/// A protocol state machine without I/O.
pub trait Machine {
    /// Who is at the other end: `()` on a socket with one peer, a socket address above UDP or raw
    /// IP.
    type Peer: Copy + fmt::Debug;
    /// Names one exchange among those the machine carries: `()` where there is one only.
    type Session: Copy + Ord;
    /// What the machine tells its application.
    type Event;
    /// What the application tells the machine.
    type Command;

    /// Tells that the transport is ready, and how many streams it has to send on: those with the
    /// ids below `count`. A machine that uses one stream needs no telling.
    fn handle_streams(&mut self, now: Instant, count: u16) {
        let _ = (now, count);
    }

    /// Takes a datagram, a piece of one, or a train of several that came in one call.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<Self::Peer>);

    /// Tells that the time [`Self::poll_timeout`] named has come. Harmless when it has not.
    fn handle_timeout(&mut self, now: Instant);

    /// Tells that at least `messages` messages of the peer are known to be lost, and that they
    /// would have come before the next one. Only a transport that numbers what it carries can
    /// tell; what it does not tell may be lost all the same.
    fn handle_missing(&mut self, now: Instant, messages: u64) {
        let _ = (now, messages);
    }

    /// Tells what the network said of a packet to `peer`. Only a machine that sends packets of its
    /// own can tell whether to believe it.
    fn handle_icmp(&mut self, now: Instant, peer: Self::Peer, icmp: &Icmp) {
        let _ = (now, peer, icmp);
    }

    /// Tells that the transport has ended: nothing can be sent or received any more.
    fn handle_closed(&mut self, now: Instant, why: CloseReason);

    /// Tells that the datagram polled last was *not* sent, because the transport now takes at
    /// most `limit` bytes. The machine offers its content again, cut smaller.
    fn handle_rejected(&mut self, now: Instant, limit: usize);

    /// Tells that the program is about to stop: no new exchange begins, those under way may end.
    fn handle_stop(&mut self, now: Instant);

    /// Takes the application's answer to an event, or its wish.
    fn handle_command(&mut self, now: Instant, session: Self::Session, command: Self::Command);

    /// Appends the next datagram to `out` and says how to send it; `None` when there is nothing
    /// to send now. `limit` is the largest payload in bytes that the transport takes.
    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Self::Peer>>;

    /// As [`Self::poll_transmit`], where each stream has a queue of its own: `room` tells the
    /// largest payload in bytes that a stream takes now, 0 for none. So a stream whose queue is
    /// full does not hold up the others (HT6). A machine that uses one stream needs only the other.
    fn poll_streams(
        &mut self,
        now: Instant,
        room: &mut Room<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Self::Peer>> {
        match room(StreamId(0)) {
            0 => None,
            limit => self.poll_transmit(now, limit, out),
        }
    }

    /// When to call [`Self::handle_timeout`]; `None`: not before something else happens.
    fn poll_timeout(&self) -> Option<Instant>;

    /// The next event, and the session it belongs to.
    fn poll_event(&mut self) -> Option<(Self::Session, Self::Event)>;

    /// Whether the transport is still needed, and how to end it if not.
    fn disposition(&self) -> Disposition;
}

/// Tells the largest payload in bytes that a stream takes now, 0 for none.
pub type Room<'a> = dyn FnMut(StreamId) -> usize + 'a;

/// Names a stream of an SCTP association (RFC 9260 §1.3); 0 where a transport has no streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u16);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What came from the peer in one receive call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram<P> {
    /// Who sent it.
    pub peer: P,
    /// The stream it came on.
    pub stream: StreamId,
    /// SCTP's payload protocol identifier (RFC 9260 §3.3.1); 0 elsewhere.
    pub ppid: u32,
    /// Whether it keeps its place among the others of its stream; `false` for SCTP's U bit.
    pub ordered: bool,
    /// Whether the message ends with this payload; `false`: its next piece is the next datagram
    /// of the same stream. Always `true` but for SCTP's partial delivery (RFC 6458 §3.1.4).
    pub end_of_message: bool,
    /// `Some(n)`: the payload is a train of datagrams of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// The ECN field of the IP header, where a socket can see it.
    pub ecn: Ecn,
    /// The bytes.
    pub payload: Bytes,
}

impl<P> Datagram<P> {
    /// A whole message from `peer` on stream 0.
    pub fn message(peer: P, payload: Bytes) -> Self {
        Self {
            peer,
            stream: StreamId(0),
            ppid: 0,
            ordered: true,
            end_of_message: true,
            segment_size: None,
            ecn: Ecn::NotEct,
            payload,
        }
    }
}

/// How to send the bytes that [`Machine::poll_transmit`] appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<P> {
    /// Who is to get it.
    pub peer: P,
    /// The stream it goes on; 0 where the transport has none.
    pub stream: StreamId,
    /// SCTP's payload protocol identifier, in host byte order; ignored elsewhere.
    pub ppid: u32,
    /// Whether to ask the peer for an immediate acknowledgement (SCTP's I bit, RFC 7053): set on
    /// the last message, so that the end is not delayed by a delayed SACK.
    pub immediate_ack: bool,
    /// Whether the next message follows at once, so that the transport may wait for it and send
    /// both in one packet.
    pub more_follows: bool,
    /// `Some(n)`: the bytes are a train of datagrams of `n` bytes each, the last may be shorter.
    pub segment_size: Option<NonZeroUsize>,
    /// The ECN field to send with, where a socket can set it.
    pub ecn: Ecn,
    /// Whether IP may cut it, at this machine and on the way: of a packet socket a datagram that is
    /// larger than its path takes, and that the stack cannot cut (RFC 9260 §6.9). Never of a train.
    pub may_fragment: bool,
}

impl<P> Transmit<P> {
    /// One message to `peer` on stream 0.
    pub fn message(peer: P) -> Self {
        Self {
            peer,
            stream: StreamId(0),
            ppid: 0,
            immediate_ack: false,
            more_follows: false,
            segment_size: None,
            ecn: Ecn::NotEct,
            may_fragment: false,
        }
    }
}

/// The ECN field of the IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// The transport does not use ECN.
    #[default]
    NotEct,
    /// ECN-capable transport, codepoint 01.
    Ect1,
    /// ECN-capable transport, codepoint 10.
    Ect0,
    /// Congestion experienced.
    Ce,
}

/// An ICMP message about a packet that this end is said to have sent. Anybody can make one, so it
/// is to be believed only as far as [`Self::quoted`] shows that it is about such a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// What it says.
    pub kind: IcmpKind,
    /// Who says it: the peer, or a router or firewall on the way.
    pub from: Option<IpAddr>,
    /// The beginning of the payload that was sent, as much as was given back; maybe nothing.
    pub quoted: Bytes,
}

/// What an [`Icmp`] message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpKind {
    /// The packet did not reach its destination.
    Unreachable(Unreachable),
    /// It was too big for a link on the way, on which payloads of at most `limit` bytes pass.
    TooBig {
        /// In bytes of what the socket sends, the headers of IP and UDP apart.
        limit: usize,
    },
}

/// Why a packet did not reach its destination (RFC 792, RFC 4443 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// There is no way to its network.
    Network,
    /// There is a way to its network, and no such host.
    Host,
    /// The host does not take the protocol in the IP header.
    Protocol,
    /// The host does not take the UDP port.
    Port,
    /// A firewall forbids it.
    Prohibited,
}

impl Unreachable {
    /// Whether the peer itself does not take such packets, so that to try again is of no use.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Protocol | Self::Port)
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network unreachable",
            Self::Host => "host unreachable",
            Self::Protocol => "protocol unreachable",
            Self::Port => "port unreachable",
            Self::Prohibited => "administratively prohibited",
        })
    }
}

/// What the transport promises of the messages it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Each message arrives once, in order within its stream, or the association fails: SCTP.
    Reliable,
    /// Messages may be lost, reordered or delivered twice: DCCP.
    Unreliable,
}

/// Whether a machine still needs its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It does.
    Open,
    /// Everything is said: deliver what is queued, then close.
    Close,
    /// The session failed: end it so that the peer cannot take what it has for the whole
    /// (SCTP's ABORT, DCCP's Reset).
    Abort,
}

/// Why a transport ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer ended the session in good order (SHUTDOWN, Close).
    Graceful,
    /// The peer, or something on the path, ended it with an error (ABORT, Reset).
    Aborted,
    /// The peer no longer answers; the transport gave up.
    TimedOut,
    /// The peer could not be reached or refused the connection.
    Refused,
    /// The peer takes or sends data too slowly; this side gave up.
    Stalled,
    /// This side's user or operator ended it.
    Cancelled,
    /// A system call failed in a way the transport does not explain.
    Failed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graceful => "closed by the peer",
            Self::Aborted => "aborted by the peer",
            Self::TimedOut => "the peer stopped answering",
            Self::Refused => "refused by the peer",
            Self::Stalled => "no progress within the time limit",
            Self::Cancelled => "cancelled",
            Self::Failed => "the socket failed",
        })
    }
}
