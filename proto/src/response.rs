//! Response heads: reading them (client) and writing them (server).

mod reader;
mod status_line;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

use bytes::{Buf, Bytes};

use crate::fields::Fields;
use crate::request::Method;
use crate::request::head::{HeadBuffer, Taken};
use crate::request::syntax::{content_length, is_control, is_token, split_line, trim};
use crate::status::Status;

pub use reader::ResponseReader;

/// A status line that httparse reads, see [`parse_section`].
const SOME_STATUS_LINE: &[u8] = b"HTTP/1.0 200 \r\n";

/// A response head as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The minor version the server named, 0 to 9; the major version is 1.
    pub minor: u16,
    /// The status.
    pub status: Status,
    /// The reason phrase, for people only (RFC 9112 §4): control characters, and characters that
    /// change the direction of text, are replaced by U+FFFD.
    pub reason: String,
    /// Its fields.
    pub fields: Fields,
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body, whatever the fields say.
    None,
    /// It has this many bytes.
    Known(u64),
    /// It lasts until the transport ends, if the way it ends can be trusted.
    UntilClose,
}

/// Why bytes are not a response head, or not one this client can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The first bytes are not `HTTP/`: perhaps an HTTP/0.9 answer, all body (RFC 1945 §6), or over
    /// DCCP a part of a body whose head is missing.
    NotHttp,
    /// It breaks a rule, named for people: lower case, no full stop.
    Malformed(&'static str),
    /// It is longer than [`Limits::head`].
    TooLarge,
    /// It has more field lines than [`Limits::fields`].
    TooManyFields,
    /// More 1xx heads came first than [`Limits::interim`].
    TooManyInterim,
    /// The major version is not 1.
    UnsupportedVersion,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("not an HTTP response"),
            Self::Malformed(rule) => write!(f, "malformed response head: {rule}"),
            Self::TooLarge => f.write_str("response head too large"),
            Self::TooManyFields => f.write_str("too many fields in the response head"),
            Self::TooManyInterim => f.write_str("too many interim responses"),
            Self::UnsupportedVersion => f.write_str("response of an unsupported HTTP version"),
        }
    }
}

impl Error for HeadError {}

/// What a response head may measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest head in bytes, its empty line included. Default: 65536.
    pub head: usize,
    /// The most field lines in one head. Default: 100.
    pub fields: usize,
    /// The most 1xx heads before the final one. Default: 8.
    pub interim: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 65536,
            fields: 100,
            interim: 8,
        }
    }
}

impl ResponseHead {
    /// Reads the head at the start of a message that holds all of it, as over DCCP, and advances
    /// `message` past it; what remains is body. A 1xx head is returned like any other.
    ///
    /// # Errors
    ///
    /// When the message does not begin with a whole head; it is then as it was.
    pub fn parse(message: &mut Bytes, limits: &Limits) -> Result<Self, HeadError> {
        if !reader::begins_like_http(message) {
            return Err(HeadError::NotHttp);
        }
        let mut head = HeadBuffer::new(limits.head, 0);
        match head.take(message) {
            Taken::Complete(taken) => {
                let parsed = parse_head(head.bytes(), limits)?;
                message.advance(taken);
                Ok(parsed)
            }
            Taken::All => Err(HeadError::Malformed("message ends within the head")),
            Taken::TooLarge(_) => Err(HeadError::TooLarge),
        }
    }

    /// How the end of the body is found in the answer to a request with `method`.
    ///
    /// # Errors
    ///
    /// [`HeadError::Malformed`] when the framing cannot be trusted, so that the response must be
    /// discarded: a transfer coding, which HTTP/1.0 does not have (RFC 9112 §6.1), or a
    /// Content-Length that is not one number (RFC 9112 §6.3).
    pub fn body_length(&self, method: Method) -> Result<BodyLength, HeadError> {
        if method == Method::Head || self.status.forbids_body() {
            return Ok(BodyLength::None);
        }
        if self.fields.contains("Transfer-Encoding") {
            return Err(HeadError::Malformed("transfer coding in HTTP/1.0"));
        }
        content_length(&self.fields)
            .map(|length| length.map_or(BodyLength::UntilClose, BodyLength::Known))
            .map_err(|_| HeadError::Malformed("invalid Content-Length"))
    }
}

/// Appends the response head `HTTP/1.0 status reason` with `fields`, and its empty line.
///
/// RFC 9112 §4: the space after the status is there even when no reason follows. What would change
/// the head's structure is never written: control characters in a value become spaces, and a line
/// whose name is not a token is left out.
pub fn write(out: &mut Vec<u8>, status: Status, fields: &Fields) {
    out.extend_from_slice(format!("HTTP/1.0 {status} {}\r\n", status.reason()).as_bytes());
    for (name, value) in fields.iter() {
        if !is_token(name.as_bytes()) {
            continue;
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(
            value
                .iter()
                .map(|&byte| if is_control(byte) { b' ' } else { byte }),
        );
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads a head that ends with its empty line.
fn parse_head(head: &[u8], limits: &Limits) -> Result<ResponseHead, HeadError> {
    let (line, section) = split_line(head);
    let (minor, status, reason) = status_line::parse(line)?;
    Ok(ResponseHead {
        minor,
        status,
        reason,
        fields: parse_section(section, limits.fields)?,
    })
}

/// Reads field lines with the empty line that ends them.
///
/// httparse takes white space before a colon and continued lines only in a response, so it gets a
/// status line to go with them; the real one is read here, with fewer conditions.
fn parse_section(section: &[u8], most: usize) -> Result<Fields, HeadError> {
    let text = [SOME_STATUS_LINE, section].concat();
    let mut lines = vec![httparse::EMPTY_HEADER; most.min(section.len())];
    let mut response = httparse::Response::new(&mut lines);
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response(&mut response, &text);
    match parsed {
        Ok(httparse::Status::Complete(end)) if end == text.len() => {}
        Ok(_) => return Err(HeadError::Malformed("fields do not end with an empty line")),
        Err(error) => return Err(section_error(error)),
    }
    let mut fields = Fields::new();
    for line in &*response.headers {
        fields.push(line.name, unfold(line.value));
    }
    Ok(fields)
}

fn section_error(error: httparse::Error) -> HeadError {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => HeadError::TooManyFields,
        Error::HeaderName => HeadError::Malformed("field line without a name and a colon"),
        Error::HeaderValue => HeadError::Malformed("control character in a field value"),
        Error::NewLine | Error::Status | Error::Token | Error::Version => {
            HeadError::Malformed("field lines end with a bare CR")
        }
    }
}

/// Joins the lines of a continued value. RFC 9112 §5.2: a user agent MUST replace each fold "with
/// one or more SP octets prior to interpreting the field value".
fn unfold(value: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = value
        .split(|&byte| byte == b'\n')
        .map(|line| trim(line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(&b' ')
}
