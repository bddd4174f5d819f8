//! The client's side of an exchange.
//!
//! [`Exchange`] sends a request, reads the answer and says where each byte of the body belongs.
//! Over a transport that loses messages it repeats the request, finds the holes in the body and
//! asks for them, round after round, until the body is whole or no progress is made.

mod blocks;
mod exchange;
mod placement;
mod requests;
#[cfg(test)]
mod tests;
mod timers;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::fields::Fields;
use crate::machine::{CloseReason, Delivery, StreamId};
use crate::request::Method;
use crate::response::{self, HeadError, ResponseHead};

pub use exchange::Exchange;
pub use requests::Requests;

/// What to ask for, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the transport promises.
    pub delivery: Delivery,
    /// The method. Default: GET.
    pub method: Method,
    /// The request target: an escaped path with an optional query, as
    /// [`crate::target::encode_path`] makes it.
    pub target: String,
    /// Fields to send besides those that this crate adds (`Connection`, `Range`, `If-Range`,
    /// `Body-Framing`).
    pub fields: Fields,
    /// The part of the representation to ask for; `None`: all of it.
    pub range: Option<Wanted>,
    /// The validator of what the client has already: with it, a server whose file has changed
    /// sends all of it, and the client starts over (RFC 9110 §13.1.5). Without it, an answer that
    /// does not honour `range` is a failure.
    pub if_range: Option<Vec<u8>>,
    /// Parts of what `if_range` names that the client has already, wherever they lie: should the
    /// server still have it, they are not asked for again over the offset framing. Default: none.
    pub have: Vec<Range<u64>>,
    /// Whether to send the 14-byte form of the course project, `GET / HTTP 1.0`, which has no
    /// fields. Default: no.
    pub seed_form: bool,
    /// Whether to offer the offset framing over an unreliable transport. Default: yes.
    pub framing: bool,
    /// Whether an answer that does not begin with `HTTP/` is taken as HTTP/0.9, all body, over a
    /// reliable transport. Default: no.
    pub http09: bool,
    /// Whether to tell the server that other requests follow on the association, so that it does
    /// not end with the answer (HT9). Over a reliable transport only. Default: no.
    pub keep_alive: bool,
    /// The stream to send on. Default: 0.
    pub stream: StreamId,
    /// SCTP's payload protocol identifier. Default: 63, `HTTP/SCTP`.
    pub ppid: u32,
    /// What a response head may measure.
    pub limits: response::Limits,
    /// The most bytes of body that are accepted. Default: no limit.
    pub max_body: Option<u64>,
    /// How long to wait for an answer before the request is sent again, over an unreliable
    /// transport; doubles each time. Default: 1 s (HU2).
    pub first_retry: Duration,
    /// How often a request is sent again before its answer begins; a request that repairs is sent
    /// again until [`Self::stall`]. Default: 5.
    pub retries: u32,
    /// How long the client goes on without a new byte. Default: 30 s.
    pub stall: Duration,
    /// How long a body in blocks must be silent at least before its holes are asked for. A client
    /// that takes its time to read sets it to more than what it takes for one datagram. Default:
    /// 250 ms.
    pub least_quiet: Duration,
    /// How long a server may take to close after its answer is complete, before the client does.
    /// What else comes meanwhile is an error of the server. 0: the client closes at once, which
    /// saves packets where its end of the session acknowledges the answer. Default: 500 ms.
    pub linger: Duration,
    /// How many rounds in a row may bring nothing new. Default: 8.
    pub idle_rounds: u32,
    /// The most bytes kept of messages that came before the head they belong to. Default: 1 MiB.
    pub max_early: usize,
    /// The most separate intervals of received bytes. Default: 16384, 256 KiB of memory.
    pub max_intervals: usize,
}

impl Config {
    /// A GET of `target` with the defaults for a transport that promises `delivery`.
    pub fn new(delivery: Delivery, target: impl Into<String>) -> Self {
        Self {
            delivery,
            method: Method::Get,
            target: target.into(),
            fields: Fields::new(),
            range: None,
            if_range: None,
            have: Vec::new(),
            seed_form: false,
            framing: true,
            http09: false,
            keep_alive: false,
            stream: StreamId(0),
            ppid: 63,
            limits: response::Limits::default(),
            max_body: None,
            first_retry: Duration::from_secs(1),
            retries: 5,
            stall: Duration::from_secs(30),
            least_quiet: Duration::from_millis(250),
            linger: Duration::from_millis(500),
            idle_rounds: 8,
            max_early: 1 << 20,
            max_intervals: 16384,
        }
    }
}

/// A part of a representation, as a client asks for it (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// From this offset to the end.
    From(u64),
    /// From the first offset to the second, which is included and not lower.
    Between(u64, u64),
    /// The last so many bytes.
    Last(u64),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Between(first, last) => write!(f, "bytes={first}-{last}"),
            Self::Last(length) => write!(f, "bytes=-{length}"),
        }
    }
}

/// What a client's exchange tells its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was handed to the transport.
    Requested {
        /// The message.
        message: Bytes,
        /// Which round it belongs to: 0 is the request itself, the others repair.
        round: u32,
        /// How often this very message was sent before.
        repeat: u32,
    },
    /// The head of the answer came. A second one means that what came so far is void: the file
    /// changed, and the body starts over.
    Head(Box<Head>),
    /// Bytes of the body that were not received before.
    Body {
        /// Where they belong in the representation.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Bytes of the body that came once more. They must be the same: if they differ from what was
    /// received before, answer with [`Command::Conflict`].
    Repeated {
        /// Where they belong in the representation.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// A repair round begins: this many holes, of this many bytes together, are open.
    Round {
        /// Its number, from 1.
        round: u32,
        /// How many separate holes there are.
        holes: usize,
        /// How many bytes are missing.
        missing: u64,
    },
    /// The exchange is over. The last event.
    Finished(Result<Done, Failure>),
}

/// The head of an answer, and where its body belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The head as received.
    pub response: ResponseHead,
    /// The offset of the body's first byte in the representation: 0 unless the answer is a part.
    pub first: u64,
    /// The offset after the body's last byte; `None` when only the end of the session tells.
    pub end: Option<u64>,
    /// The length of the whole representation, if the server said it.
    pub complete: Option<u64>,
    /// Whether bytes carry their offsets, so that holes are known and repaired.
    pub framed: bool,
}

/// How an exchange ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Whether the body is known to be whole and in order. `false` for a body over an unreliable
    /// transport from a peer without the offset framing: only a digest can tell (HU5, HU6).
    pub verified: bool,
    /// How many rounds of repair there were.
    pub rounds: u32,
}

/// Why an exchange did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No head came, though the request was repeated.
    NoAnswer,
    /// The head cannot be used.
    BadHead(HeadError),
    /// The server sent all of it, or another part than was asked for.
    RangeNotHonoured,
    /// The request is longer than a message of the transport.
    RequestTooLarge {
        /// Its length in bytes.
        length: usize,
        /// The most the transport takes.
        limit: usize,
    },
    /// The body is longer than [`Config::max_body`].
    TooLarge,
    /// More bytes came than the head announced.
    Surplus,
    /// The session ended, or repair gave up, before the body was whole.
    Incomplete {
        /// What is missing, if the length is known; the first holes only, if there are many.
        holes: Vec<Range<u64>>,
        /// Why the session ended, if it did.
        why: Option<CloseReason>,
    },
    /// The session ended before the head came.
    Closed(CloseReason),
    /// Nothing came for [`Config::stall`].
    Stalled,
    /// Bytes that came twice were not the same.
    Conflict,
    /// The file changed again and again while it was fetched.
    Changing,
    /// The peer broke a rule of the transport's mapping.
    Protocol(&'static str),
    /// The application cancelled.
    Cancelled,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("the server did not answer"),
            Self::BadHead(error) => error.fmt(f),
            Self::RangeNotHonoured => f.write_str("the server did not send the part asked for"),
            Self::RequestTooLarge { length, limit } => write!(
                f,
                "the request has {length} bytes, and one message of this transport holds {limit}"
            ),
            Self::TooLarge => f.write_str("the body is larger than allowed"),
            Self::Surplus => f.write_str("the server sent more bytes than it announced"),
            Self::Incomplete { holes, why } => {
                f.write_str("the body is incomplete")?;
                if let Some(first) = holes.first() {
                    write!(f, ", missing from byte {}", first.start)?;
                }
                why.map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Closed(why) => write!(f, "no answer: {why}"),
            Self::Stalled => f.write_str("nothing came within the time limit"),
            Self::Conflict => f.write_str("bytes that came twice were not the same"),
            Self::Changing => f.write_str("the file keeps changing while it is fetched"),
            Self::Protocol(what) => write!(f, "the server broke the protocol: {what}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Failure {}

/// What the application tells a client's exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The user does not want it any more.
    Cancel,
    /// The bytes of an [`Event::Repeated`] differ from those received before.
    Conflict,
}
