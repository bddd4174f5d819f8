//! Request targets: from what a client sent to names below a document root, and back.

use std::fmt;

use self::TargetError::{BadRequest, NotFound};
use crate::status::Status;

/// The schemes of the absolute form: they name one server however it is reached. A server must
/// take the form (RFC 9112 §3.2.2), also where a proxy in between spoke TLS.
const SCHEMES: [&str; 4] = ["http://", "https://", "http+sctp://", "http+dccp://"];

/// The path of a request target, taken apart and made harmless.
///
/// ```
/// use proto::target::TargetPath;
///
/// let path = TargetPath::parse("/caf%C3%A9/./menu?day=1").unwrap();
/// assert_eq!(path.segments(), ["café".as_bytes(), b"menu"]);
/// assert!(!path.is_directory());
/// assert_eq!(path.to_location(true), "/caf%C3%A9/menu/?day=1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPath {
    segments: Vec<Vec<u8>>,
    directory: bool,
    query: Option<String>,
}

impl TargetPath {
    /// Parses a path with an optional query, or an absolute URI, whose authority is ignored
    /// (RFC 9112 §3.2.1, §3.2.2).
    ///
    /// The path is percent-decoded once. Empty segments and `.` are dropped.
    ///
    /// # Errors
    ///
    /// [`TargetError::BadRequest`] for what has neither of the two forms, bad escapes and `%00`;
    /// [`TargetError::NotFound`] for names that are never served: `..` anywhere, and names that
    /// hold a slash.
    pub fn parse(target: &str) -> Result<Self, TargetError> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadRequest("the target holds more than visible ascii"));
        }
        if target.contains('#') {
            return Err(BadRequest("the target has a fragment"));
        }
        let local = strip_authority(target)?;
        let (path, query) = match local.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (local, None),
        };
        // Split first: a slash that was escaped does not separate. All is decoded before any name
        // is judged, so that a bad escape is a bad request wherever it is.
        let decoded: Vec<Vec<u8>> = path.split('/').map(decode).collect::<Result<_, _>>()?;
        let mut segments: Vec<Vec<u8>> =
            decoded.into_iter().map(check).collect::<Result<_, _>>()?;
        let directory = segments.last().is_none_or(|name| is_dropped(name));
        segments.retain(|name| !is_dropped(name));
        Ok(Self {
            segments,
            directory,
            query,
        })
    }

    /// The names from the document root down, decoded; none for the root itself.
    ///
    /// A name is bytes, as it is to a file system: it need not be UTF-8, and may hold control
    /// characters. None is empty, `.` or `..`, or holds a slash or a NUL.
    pub fn segments(&self) -> &[Vec<u8>] {
        &self.segments
    }

    /// Whether a name begins with a dot, which hides what it names where a person has not said
    /// otherwise.
    pub fn is_hidden(&self) -> bool {
        self.segments.iter().any(|name| name.starts_with(b"."))
    }

    /// Whether the path can only mean a directory: it is the root's, or ended in `/` or `/.`.
    pub const fn is_directory(&self) -> bool {
        self.directory
    }

    /// The query as sent, without its `?`; `None` if there was no `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Writes the path as a Location value or a link: escaped, with exactly one `/` at its
    /// beginning, and the query behind it if there is one.
    ///
    /// `slash` says whether the path ends in `/`; that of the root always does. The path holds
    /// only letters, digits and `-._~!$()*+,;=/%`. In the query, what a URI cannot have is escaped
    /// and the rest is as the client sent it, `&` and `'` included.
    pub fn to_location(&self, slash: bool) -> String {
        let mut location = String::new();
        for segment in &self.segments {
            location.push('/');
            push_name(&mut location, segment);
        }
        if slash || self.segments.is_empty() {
            location.push('/');
        }
        if let Some(query) = &self.query {
            location.push('?');
            location.push_str(&encode_path(query));
        }
        location
    }
}

/// Escapes a name as a segment of a path: whatever its bytes are, the result holds only letters,
/// digits and `-._~!$()*+,;=%`, and [`TargetPath::parse`] gives the name back.
pub fn encode_name(name: &[u8]) -> String {
    let mut encoded = String::with_capacity(name.len());
    push_name(&mut encoded, name);
    encoded
}

fn push_name(text: &mut String, name: &[u8]) {
    for &byte in name {
        push_byte(text, byte, is_plain(byte));
    }
}

/// Escapes a path, with or without a query, as a person typed it: `/a b` becomes `/a%20b`.
///
/// Everything that a path and a query can have stays as it is, valid escapes included; so `?`
/// begins the query, and to mean a name with a `?` or a `%20` in it takes the escapes `%3F` and
/// `%2520`. All else is escaped, also `#`. No slash is added at the beginning.
pub fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    let bytes = path.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let kept = match &bytes[at..] {
            [b'%', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
            _ => is_plain(byte) || b"&':@/?".contains(&byte),
        };
        push_byte(&mut encoded, byte, kept);
    }
    encoded
}

/// Why a target is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is not a target, for this reason: 400.
    BadRequest(&'static str),
    /// It names nothing that is ever served, for this reason: 404.
    NotFound(&'static str),
}

impl TargetError {
    /// The status to answer with.
    pub const fn status(self) -> Status {
        match self {
            BadRequest(_) => Status::BAD_REQUEST,
            NotFound(_) => Status::NOT_FOUND,
        }
    }

    /// What is wrong, for people: lower case, no full stop.
    pub const fn reason(self) -> &'static str {
        match self {
            BadRequest(reason) | NotFound(reason) => reason,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for TargetError {}

/// The path and query of `target`; the path is empty if an absolute URI has none.
fn strip_authority(target: &str) -> Result<&str, TargetError> {
    if target.starts_with('/') {
        return Ok(target);
    }
    let rest = SCHEMES
        .iter()
        .find_map(|scheme| strip_scheme(target, scheme))
        .ok_or(BadRequest("the target is neither a path nor an http uri"))?;
    let (authority, local) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // RFC 9110 §4.2.1: "A recipient that processes such a URI reference MUST reject it as
    // invalid", of one with an empty host.
    if authority.is_empty() || authority.starts_with(':') {
        return Err(BadRequest("the target names no host"));
    }
    Ok(local)
}

/// Schemes are case-insensitive (RFC 9110 §4.2.3).
fn strip_scheme<'a>(target: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Percent-decodes a segment once.
fn decode(segment: &str) -> Result<Vec<u8>, TargetError> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        match (hex_digit(bytes.next()), hex_digit(bytes.next())) {
            (Some(0), Some(0)) => return Err(BadRequest("the target has an escaped nul")),
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
            (None, _) | (_, None) => return Err(BadRequest("the target has a bad escape")),
        }
    }
    Ok(decoded)
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Makes sure that a name can only mean an entry of the directory before it.
fn check(name: Vec<u8>) -> Result<Vec<u8>, TargetError> {
    if name.contains(&b'/') {
        return Err(NotFound("a name holds a slash"));
    }
    if name == b".." {
        return Err(NotFound("the path leads upwards"));
    }
    Ok(name)
}

/// Whether a segment means the directory before it.
fn is_dropped(name: &[u8]) -> bool {
    name.is_empty() || name == b"."
}

/// Whether a byte stands for itself in a path, wherever the path is put: the unreserved characters
/// of RFC 3986 §2.3, and the delimiters that mean nothing to HTML.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$()*+,;=".contains(&byte)
}

/// Appends an ASCII byte as it is, or any byte as an escape.
fn push_byte(text: &mut String, byte: u8, plain: bool) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    if plain {
        text.push(char::from(byte));
    } else {
        text.push('%');
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
}

#[cfg(test)]
mod tests;
