//! Request heads: reading them (server) and writing them (client).

pub(crate) mod head;
mod judge;
mod reader;
pub(crate) mod syntax;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

use crate::fields::Fields;
use crate::status::Status;

pub use reader::{Progress, RequestReader};

/// A method this server serves (RFC 9110 §9.3.1, §9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        })
    }
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
///
/// Displayed, it is its request line for an access log: visible ASCII and spaces only, `"` and `\`
/// with a backslash before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target as sent: visible ASCII only. Which form it has, and whether it can be served, is
    /// for [`crate::target`] to say.
    pub target: String,
    /// The form it was written in.
    pub form: Form,
    /// Its fields.
    pub fields: Fields,
    /// How many bytes of content the client announced (Content-Length). Less of it may have come:
    /// the server has no use for any.
    pub content_length: u64,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = syntax::escape(self.target.as_bytes());
        write!(f, "{} {target}", self.method)?;
        match self.form {
            Form::Full { minor } => write!(f, " HTTP/1.{minor}"),
            Form::Seed => f.write_str(" HTTP 1.0"),
            Form::Simple => Ok(()),
        }
    }
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
    /// The request line as far as it came, for an access log; see [`RequestReader::first_line`].
    pub line: String,
}

/// What a request may measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest head in bytes, its empty line and the empty lines before it included. A longer
    /// one is rejected with 431, or 414 when its request line is what is long. Default: 16384.
    pub head: usize,
    /// The longest target in bytes; a longer one is rejected with 414. Default: 8000 (RFC 9112 §3
    /// asks for at least that).
    pub target: usize,
    /// The most field lines; more are rejected with 431 (RFC 6585 §5). Default: 100.
    pub fields: usize,
    /// The most bytes of content; a request that announces more is rejected with 413. Default:
    /// 65536.
    pub content: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16384,
            target: 8000,
            fields: 100,
            content: 65536,
        }
    }
}

/// Reads a whole message as a request.
///
/// # Errors
///
/// The error to answer with, when the message is not a request this server serves. Whether the
/// target names something is not looked at.
pub fn parse(message: &[u8], limits: &Limits) -> Result<Request, Rejection> {
    match RequestReader::new(*limits).feed(message, true) {
        Progress::Complete(request) => Ok(request),
        Progress::Rejected(rejection) => Err(rejection),
        Progress::Incomplete | Progress::Dropped => {
            unreachable!("the last piece of a message gives the verdict")
        }
    }
}

/// Why a request cannot be written: it would not be read as what it was meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The target is empty, or has a byte that is not visible ASCII.
    Target,
    /// A field name is not a token.
    FieldName,
    /// A field value has a control character other than HT.
    FieldValue,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "request target is empty or not visible ASCII",
            Self::FieldName => "field name is not a token",
            Self::FieldValue => "control character in a field value",
        })
    }
}

impl Error for WriteError {}

/// Appends the request `METHOD target HTTP/1.0` with `fields`, and its empty line.
///
/// # Errors
///
/// When the target or a field could not be read back, above all when it has CR, LF or NUL. `out`
/// is then as it was.
pub fn write(
    out: &mut Vec<u8>,
    method: Method,
    target: &str,
    fields: &Fields,
) -> Result<(), WriteError> {
    check_target(target)?;
    fields.iter().try_for_each(check_field)?;
    out.extend_from_slice(format!("{method} {target} HTTP/1.0\r\n").as_bytes());
    for (name, value) in fields.iter() {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends the request `GET target HTTP 1.0`, four words without a line end: what the programs of
/// the course project send.
///
/// # Errors
///
/// As [`write()`].
pub fn write_seed(out: &mut Vec<u8>, target: &str) -> Result<(), WriteError> {
    check_target(target)?;
    out.extend_from_slice(format!("GET {target} HTTP 1.0").as_bytes());
    Ok(())
}

fn check_target(target: &str) -> Result<(), WriteError> {
    if syntax::is_visible(target.as_bytes()) {
        Ok(())
    } else {
        Err(WriteError::Target)
    }
}

fn check_field((name, value): (&str, &[u8])) -> Result<(), WriteError> {
    if !syntax::is_token(name.as_bytes()) {
        Err(WriteError::FieldName)
    } else if value.iter().any(|&byte| syntax::is_control(byte)) {
        Err(WriteError::FieldValue)
    } else {
        Ok(())
    }
}
