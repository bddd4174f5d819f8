//! The states of a connection, and what each keeps.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::CloseReason;
use crate::Seq;

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

/// Something that is repeated until it is answered or too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repetition {
    /// When it began.
    pub(crate) since: Instant,
    /// How long to wait before the next.
    pub(crate) wait: Duration,
}

/// No wait between repetitions is longer (RFC 4340 §8.1.1, §8.3).
const LONGEST_WAIT: Duration = Duration::from_secs(64);

impl Repetition {
    pub(crate) const fn new(now: Instant, wait: Duration) -> Self {
        Self { since: now, wait }
    }

    /// One more is sent `now`: when the next is due. Waits double up to 64 s.
    pub(crate) fn again(&mut self, now: Instant) -> Instant {
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        now + self.wait
    }

    /// Whether it has gone on for `limit`.
    pub(crate) fn is_over(&self, now: Instant, limit: Duration) -> bool {
        now.saturating_duration_since(self.since) >= limit
    }
}

/// A connection's state with what it needs there. LISTEN is the endpoint's, and TIMEWAIT an entry
/// in the endpoint's table; both begin or end here as [`Self::Ended`].
#[derive(Debug)]
pub(crate) enum Phase {
    /// A client that has sent its Request.
    Request(Repetition),
    /// A server that has answered one.
    Respond {
        /// The most bytes that the Response may have: a peer that has not proved its
        /// address gets no more than three times what it sent.
        response_limit: usize,
        /// The Request that was answered last.
        answered: Option<Seq>,
        /// Data of the Request, to be delivered when the client has proved its address.
        early: Early,
    },
    /// A client that has the Response, and has sent the Ack.
    PartOpen(Repetition),
    /// Established.
    Open,
    /// A server that asks the client to close.
    CloseReq(Repetition),
    /// A Close is sent.
    Closing(Repetition),
    /// Over: the endpoint takes it away.
    Ended {
        /// Why, for the application.
        reason: CloseReason,
        /// Whether this end received the Reset, and so holds TIMEWAIT (RFC 4340 §8.3).
        time_wait: bool,
    },
}

/// At most one piece of data is taken from Requests (RFC 4340 §8.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// No Request with data came so far.
    None,
    /// One came, and its data waits.
    Kept(Bytes),
    /// One came whose data was too long to keep.
    Refused,
}

impl Phase {
    /// The RFC's name of the state.
    pub(crate) const fn state(&self) -> State {
        match self {
            Self::Request(_) => State::Request,
            Self::Respond { .. } => State::Respond,
            Self::PartOpen(_) => State::PartOpen,
            Self::Open => State::Open,
            Self::CloseReq(_) => State::CloseReq,
            Self::Closing(_) => State::Closing,
            Self::Ended {
                time_wait: true, ..
            } => State::TimeWait,
            Self::Ended {
                time_wait: false, ..
            } => State::Closed,
        }
    }
}
