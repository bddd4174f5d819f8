//! Request heads: reading them (server) and writing them (client).

use crate::fields::Fields;
use crate::status::Status;

/// A method this server serves (RFC 9110 §9.3.1, §9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
}

/// In which form a request was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `GET /x HTTP/1.minor`, perhaps with fields.
    Full {
        /// The minor version the client named.
        minor: u16,
    },
    /// `GET /x HTTP 1.0`: the four words of the course project this one began as.
    Seed,
    /// `GET /x`: HTTP/0.9, answered without a head (RFC 1945 §4.1).
    Simple,
}

/// A request head that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as sent: a path with an optional query, or an absolute URI; visible ASCII only.
    pub target: String,
    /// The form it was written in.
    pub form: Form,
    /// Its fields.
    pub fields: Fields,
    /// How many bytes of content the client announced (Content-Length).
    pub content_length: u64,
}

/// A request that is answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status to answer with.
    pub status: Status,
    /// What is wrong, for people: lower case, no full stop.
    pub reason: &'static str,
    /// Whether the method was HEAD, so that the answer has no body.
    pub head_only: bool,
    /// Whether the request was HTTP/0.9, so that the answer has no head.
    pub simple: bool,
}

/// What a head may measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest head in bytes, its empty line included. Default: 16384 (HP11).
    pub head: usize,
    /// The longest target in bytes. Default: 8000 (RFC 9112 §3 asks for at least that).
    pub target: usize,
    /// The most field lines. Default: 100.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16384,
            target: 8000,
            fields: 100,
        }
    }
}
