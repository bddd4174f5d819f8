//! One connection.

use std::time::Duration;

mod features;
mod received;
pub(crate) mod sent;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Either end closed it in good order.
    Graceful,
    /// The peer reset it.
    Reset(crate::packet::Reset),
    /// This end gave it up: the peer broke a rule.
    Protocol(crate::packet::Reset),
    /// The peer did not answer.
    TimedOut,
    /// This end's application aborted it.
    Aborted,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Congestion control allows no packet now, or a train waits to be polled: wait for
    /// [`Event::Writable`](crate::Event::Writable).
    Full,
    /// Longer than [`Endpoint::max_message`](crate::Endpoint::max_message).
    TooBig,
    /// The connection has ended or is ending.
    Closed,
}

/// The states of a connection (RFC 4340 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum State {
    Closed,
    Listen,
    Request,
    Respond,
    PartOpen,
    Open,
    CloseReq,
    Closing,
    TimeWait,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Its state.
    pub state: State,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// The congestion control's own figures, of what is sent.
    pub congestion: crate::ccid::Report,
    /// Packets sent, of every type.
    pub packets_sent: u64,
    /// Packets received and valid.
    pub packets_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Sent datagrams inferred to be lost.
    pub datagrams_lost: u64,
    /// Received packets that came behind later ones.
    pub reordered: u64,
}
