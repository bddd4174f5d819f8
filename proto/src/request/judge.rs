//! The rules by which a request head is accepted or rejected.

use super::head::show;
use super::syntax::{LengthError, content_length, is_space, is_token, is_visible};
use super::{Form, Limits, Method, Rejection, Request};
use crate::fields::Fields;
use crate::status::Status;

/// The methods of RFC 9110 §9.3 and RFC 5789 that this server knows and does not serve.
const KNOWN_METHODS: [&[u8]; 7] = [
    b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
];

/// The most digits in a version number.
const VERSION_DIGITS: usize = 3;

/// What is wrong, before it is known how the answer is to look.
struct Fault {
    status: Status,
    reason: &'static str,
}

impl Fault {
    const fn new(status: Status, reason: &'static str) -> Self {
        Self { status, reason }
    }

    const fn bad(reason: &'static str) -> Self {
        Self::new(Status::BAD_REQUEST, reason)
    }

    fn reject(self, line: &[u8], simple: bool) -> Rejection {
        Rejection {
            status: self.status,
            reason: self.reason,
            head_only: words(line).next() == Some(b"HEAD"),
            simple,
            line: show(line),
        }
    }
}

/// Judges a head: its request line, and its field lines with the empty line that ends them.
///
/// The first fault counts, in this order: number of words, version, bytes of the target, method,
/// length of the target, field lines, Host, transfer coding, content length.
pub(super) fn judge(line: &[u8], section: &[u8], limits: &Limits) -> Result<Request, Rejection> {
    // RFC 1945 §4.1: HTTP/0.9 is one line and has no fields.
    let simple = is_simple(line) && matches!(section, b"\r\n" | b"\n");
    check(line, section, simple, limits).map_err(|fault| fault.reject(line, simple))
}

/// Rejects a head that is longer than [`Limits::head`], as far as it came.
pub(super) fn too_large(line: &[u8], rest: &[u8], limits: &Limits) -> Rejection {
    let target = words(line).nth(1).unwrap_or_default();
    let fault = if rest.is_empty() || target.len() > limits.target {
        Fault::new(Status::URI_TOO_LONG, "request line too long")
    } else {
        Fault::new(Status::FIELDS_TOO_LARGE, "head too large")
    };
    fault.reject(line, false)
}

fn check(line: &[u8], section: &[u8], simple: bool, limits: &Limits) -> Result<Request, Fault> {
    let (method, target, form) = if simple {
        check_simple_line(line)?
    } else {
        check_line(line)?
    };
    if target.len() > limits.target {
        return Err(Fault::new(Status::URI_TOO_LONG, "target too long"));
    }
    let fields = check_section(section, limits.fields)?;
    check_host(&fields, form)?;
    let content_length = check_framing(&fields, form, limits.content)?;
    Ok(Request {
        method,
        target,
        form,
        fields,
        content_length,
    })
}

/// The words of a request line. RFC 9112 §3: a recipient may split it at white space, "ignoring
/// preceding or trailing whitespace"; RFC 1945 Appendix B names SP and HT, and no other byte
/// separates here.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_space(byte))
        .filter(|word| !word.is_empty())
}

/// Whether a request line is `GET target` (RFC 1945 §5), and not one whose target is missing.
fn is_simple(line: &[u8]) -> bool {
    let mut words = words(line);
    words.next() == Some(b"GET")
        && words.next().is_some_and(|word| !word.starts_with(b"HTTP/"))
        && words.next().is_none()
}

fn check_simple_line(line: &[u8]) -> Result<(Method, String, Form), Fault> {
    let target = check_target(words(line).nth(1).unwrap_or_default())?;
    Ok((Method::Get, target, Form::Simple))
}

fn check_line(line: &[u8]) -> Result<(Method, String, Form), Fault> {
    let words: Vec<&[u8]> = words(line).take(5).collect();
    let (method, target, form) = match words[..] {
        [method, target, version] => (method, target, check_version(version)?),
        [method, target, b"HTTP", b"1.0"] => (method, target, Form::Seed),
        _ => return Err(Fault::bad("request line is not method, target, version")),
    };
    let target = check_target(target)?;
    Ok((check_method(method)?, target, form))
}

/// RFC 9112 §2.3, with RFC 1945 §3.1: leading zeros are ignored.
fn check_version(word: &[u8]) -> Result<Form, Fault> {
    let (major, minor) = version(word).ok_or(Fault::bad("version is not HTTP/ and two numbers"))?;
    if major != 1 {
        // RFC 9110 §15.6.6.
        return Err(Fault::new(
            Status::VERSION_NOT_SUPPORTED,
            "only HTTP/1.0 is supported",
        ));
    }
    Ok(Form::Full { minor })
}

fn version(word: &[u8]) -> Option<(u16, u16)> {
    let numbers = word.strip_prefix(b"HTTP/")?;
    let dot = numbers.iter().position(|&byte| byte == b'.')?;
    Some((number(&numbers[..dot])?, number(&numbers[dot + 1..])?))
}

fn number(digits: &[u8]) -> Option<u16> {
    let is_number =
        (1..=VERSION_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
    })
}

fn check_method(method: &[u8]) -> Result<Method, Fault> {
    match method {
        b"GET" => Ok(Method::Get),
        b"HEAD" => Ok(Method::Head),
        // RFC 9110 §15.5.6.
        known if KNOWN_METHODS.contains(&known) => Err(Fault::new(
            Status::METHOD_NOT_ALLOWED,
            "only GET and HEAD are allowed",
        )),
        // RFC 9110 §15.6.2.
        token if is_token(token) => Err(Fault::new(
            Status::NOT_IMPLEMENTED,
            "method not implemented",
        )),
        _ => Err(Fault::bad("method is not a token")),
    }
}

fn check_target(target: &[u8]) -> Result<String, Fault> {
    if is_visible(target) {
        Ok(target.iter().copied().map(char::from).collect())
    } else {
        Err(Fault::bad("target is not visible ASCII"))
    }
}

/// Parses field lines. White space before a colon, before the first name or before a continued
/// line is refused (RFC 9112 §5.1, §2.2, §5.2), and so are control characters (RFC 9110 §5.5).
fn check_section(section: &[u8], most: usize) -> Result<Fields, Fault> {
    let mut lines = vec![httparse::EMPTY_HEADER; most.min(section.len())];
    let parsed = match httparse::parse_headers(section, &mut lines) {
        Ok(httparse::Status::Complete((end, parsed))) if end == section.len() => parsed,
        Ok(_) => return Err(Fault::bad("field lines do not end with an empty line")),
        Err(error) => return Err(section_fault(error)),
    };
    let mut fields = Fields::new();
    for line in parsed {
        fields.push(line.name, line.value);
    }
    Ok(fields)
}

fn section_fault(error: httparse::Error) -> Fault {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Fault::new(Status::FIELDS_TOO_LARGE, "too many fields"),
        Error::HeaderName => Fault::bad("field line does not begin with a name and a colon"),
        Error::HeaderValue => Fault::bad("control character in a field value"),
        Error::NewLine | Error::Status | Error::Token | Error::Version => {
            Fault::bad("field lines end with a bare CR")
        }
    }
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that contains more
/// than one Host header field line or a Host header field with an invalid field value."
fn check_host(fields: &Fields, form: Form) -> Result<(), Fault> {
    let mut hosts = fields.all("Host");
    match (hosts.next(), hosts.next()) {
        (None, _) if speaks_1_1(form) => Err(Fault::bad("no Host field")),
        (None, _) => Ok(()),
        (Some(host), None) if is_host(host) => Ok(()),
        (Some(_), None) => Err(Fault::bad("invalid Host field")),
        (Some(_), Some(_)) => Err(Fault::bad("more than one Host field")),
    }
}

/// Whether the client speaks HTTP/1.1 or a later minor version.
const fn speaks_1_1(form: Form) -> bool {
    matches!(form, Form::Full { minor: 1.. })
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2) by its bytes: whether they may stand there, not whether
/// an address in brackets is one. An empty value is valid.
fn is_host(value: &[u8]) -> bool {
    let colon = value.iter().rposition(|&byte| byte == b':');
    let (host, port) = match colon {
        Some(colon) if !value.ends_with(b"]") => (&value[..colon], &value[colon + 1..]),
        Some(_) | None => (value, &[][..]),
    };
    let is_literal = |host: &[u8]| {
        host.strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"))
            .is_some_and(|inner| inner.iter().all(|&byte| byte == b':' || is_reg_name(byte)))
    };
    port.iter().all(u8::is_ascii_digit)
        && (is_literal(host) || host.iter().all(|&byte| is_reg_name(byte)))
}

/// A byte of a registered name (RFC 3986 §3.2.2).
fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

/// The announced content length in bytes.
fn check_framing(fields: &Fields, form: Form, most: u64) -> Result<u64, Fault> {
    if fields.contains("Transfer-Encoding") {
        return Err(if speaks_1_1(form) {
            // RFC 9112 §6.1: a coding that is not understood SHOULD get 501.
            Fault::new(Status::NOT_IMPLEMENTED, "transfer coding not implemented")
        } else {
            // RFC 9112 §6.1: in an HTTP/1.0 message the framing counts as faulty.
            Fault::bad("Transfer-Encoding in HTTP/1.0")
        });
    }
    let too_large = Fault::new(Status::CONTENT_TOO_LARGE, "content too large");
    match content_length(fields) {
        Ok(length) if length.unwrap_or(0) <= most => Ok(length.unwrap_or(0)),
        Ok(_) | Err(LengthError::TooLarge) => Err(too_large),
        // RFC 9112 §6.3: the server MUST respond with 400 and close.
        Err(LengthError::Invalid) => Err(Fault::bad("invalid Content-Length")),
    }
}
