//! The server's side of an exchange.
//!
//! [`Exchange`] reads requests, asks the application what it has ([`Event::Request`]), decides
//! what HTTP makes of that ([`Answer`] to status, fields and ranges) and cuts the answer into
//! messages. It names no file and no path on disk.

mod answer;
mod answering;
mod beside;
mod exchange;
mod sending;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use crate::date::HttpDate;
use crate::framing;
use crate::machine::Delivery;
use crate::request::{Limits, Rejection, Request};
use crate::status::Status;
use crate::target::TargetPath;

pub use answer::{Answer, Representation};
pub use exchange::Exchange;

/// How a server's exchange behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the transport promises.
    pub delivery: Delivery,
    /// What a request may measure.
    pub limits: Limits,
    /// How long a client may take to send its request, and how long a connection may stay
    /// without one. Default: 10 s (HP20).
    pub request_timeout: Duration,
    /// How long a client of the offset framing may stay silent after an answer was sent before
    /// the server closes. Default: 15 s.
    pub idle_timeout: Duration,
    /// The most bytes in one body message, where the transport takes more. Default: 16 KiB over
    /// reliable transports, which keeps streams fair (HM9); 8 KiB over unreliable ones.
    pub body_message: usize,
    /// How many bytes of a body are asked of the application at once. Default: 64 KiB.
    pub read_ahead: usize,
    /// The most repairs of one client that are answered, or wait to be, while a body of the offset
    /// framing still flows; with 0 none is, and heads do not offer it. Default: 4.
    pub max_besides: usize,
    /// SCTP's payload protocol identifier on every message. Default: 63, `HTTP/SCTP`.
    pub ppid: u32,
    /// The value of the `Server` field. Default: `http-over-messages`.
    pub server: &'static str,
}

impl Config {
    /// The defaults for a transport that promises `delivery`.
    pub fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            limits: Limits::default(),
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            body_message: match delivery {
                Delivery::Reliable => 16 * 1024,
                Delivery::Unreliable => 8 * 1024,
            },
            read_ahead: 64 * 1024,
            max_besides: 4,
            ppid: 63,
            server: "http-over-messages",
        }
    }
}

/// What a server's exchange tells its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request came: answer with [`Command::Respond`].
    Request {
        /// The request.
        request: Request,
        /// Its target, decoded and found harmless.
        path: TargetPath,
    },
    /// A request came that is refused, or none came in time: answer with [`Command::Respond`]
    /// and [`Answer::Error`] of the rejection's status.
    Rejected(Rejection),
    /// The answer needs these bytes of the representation: give them with [`Command::Body`].
    BodyWanted {
        /// Where they begin, in bytes.
        offset: u64,
        /// How many; less may be given, but at least one byte. Less makes smaller messages.
        length: usize,
    },
    /// The answer to the last request was handed to the transport whole, or will never be.
    Finished(Summary),
}

/// How the answer to one request went, for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The status sent; `None` when the session ended before the application answered.
    pub status: Option<Status>,
    /// How many bytes of the body were sent, repeats and repairs beside it not counted.
    pub body_bytes: u64,
    /// Whether all of the answer was handed to the transport.
    pub complete: bool,
}

/// What the application tells a server's exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The answer to the last request.
    Respond {
        /// What there is.
        answer: Answer,
        /// The time now, for `Date` and for conditions.
        date: HttpDate,
    },
    /// The bytes of the last [`Event::BodyWanted`], or their beginning, to be given before the
    /// machine gets anything else to handle: what else comes may begin another answer. Empty bytes
    /// are a failure: see [`Command::Abort`].
    Body(Bytes),
    /// The body cannot be had whole (the file shrank, the disk failed): end the session so that
    /// the client knows (RFC 9112 §8).
    Abort,
}

impl Request {
    /// Whether the client offered the offset framing, and on which terms.
    pub fn offered_framing(&self) -> Option<framing::Terms> {
        framing::parse_field(self.fields.single(framing::FIELD)?)
    }

    /// Whether an answer should carry the representation's SHA-256: the client asks for it
    /// (RFC 9530 §4), or it must find holes in a body that came in blocks.
    pub fn wants_digest(&self) -> bool {
        let asked = |name| {
            self.fields
                .joined(name)
                .is_some_and(|value| crate::digest::wants_sha256(&value))
        };
        asked("Want-Repr-Digest")
            || asked("Want-Content-Digest")
            || self.offered_framing().is_some()
    }
}
