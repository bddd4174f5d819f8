//! From what the application has to a head and the ranges of a body.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;

use crate::conditions::{self, Outcome, Validators};
use crate::date::HttpDate;
use crate::digest;
use crate::etag::EntityTag;
use crate::fields::Fields;
use crate::framing::{self, Terms};
use crate::range::{self, ContentRange, Ranges};
use crate::request::{Method, Request};
use crate::status::Status;

/// What the application has for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A representation; conditions and ranges decide how much of it is sent, and as what.
    Found(Representation),
    /// It is elsewhere: a path, escaped, that begins with exactly one `/`.
    Moved(String),
    /// An error.
    Error(Status),
}

/// What is known of a representation before its bytes are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// Its length in bytes.
    pub length: u64,
    /// The value of `Content-Type`.
    pub content_type: String,
    /// Its entity tag.
    pub etag: Option<EntityTag>,
    /// When it changed last.
    pub last_modified: Option<HttpDate>,
    /// SHA-256 of all its bytes.
    pub sha256: Option<[u8; 32]>,
    /// Further fields of answers with it, such as `Cache-Control`, `Content-Encoding` and `Vary`.
    /// Those whose names begin with `Content-` describe the representation, and go only where the
    /// client has not got them yet.
    pub further: Fields,
}

/// The most range specs of a request that are looked at (RFC 9110 §17.15).
const MAX_RANGE_SPECS: usize = 16;

/// The same for a request with the offset framing, whose answer needs no multipart; a request
/// of one packet cannot hold more.
const MAX_FRAMED_RANGE_SPECS: usize = 1024;

/// SHA-256 of no bytes: the content of an answer to HEAD (RFC 9530 Appendix B.2).
const SHA256_OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// A decided answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) status: Status,
    pub(super) fields: Fields,
    pub(super) body: Body,
}

/// What follows the head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This text.
    Text(Bytes),
    /// These parts of the representation; none, if nothing follows.
    Parts(Vec<Range<u64>>),
}

impl Body {
    const NONE: Self = Self::Parts(Vec::new());
}

/// What a rejected request was, as far as the answer depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// `None` for a request that could not be understood.
    pub(super) request: Option<&'a Request>,
    pub(super) head_only: bool,
    /// Whether the connection goes on after the answer.
    pub(super) goes_on: bool,
    pub(super) reason: &'a str,
    pub(super) framing: Option<Terms>,
    pub(super) server: &'static str,
    pub(super) date: HttpDate,
}

/// Decides what HTTP makes of `answer`.
pub(super) fn plan(context: Context<'_>, answer: Answer) -> Plan {
    match (answer, context.request) {
        (Answer::Found(mut representation), Some(request)) => {
            // A file from the future was last modified now (RFC 9110 §8.8.2.1).
            representation.last_modified = representation
                .last_modified
                .map(|date| date.min(context.date));
            found(context, request, &representation)
        }
        // The application has something for a request that it was told to refuse.
        (Answer::Found(_), None) => error(context, Status::INTERNAL_SERVER_ERROR),
        (Answer::Moved(location), _) => moved(context, &location),
        (Answer::Error(status), _) => error(context, status),
    }
}

fn found(context: Context<'_>, request: &Request, representation: &Representation) -> Plan {
    let validators = Validators {
        etag: representation.etag.as_ref(),
        last_modified: representation.last_modified,
    };
    let length = representation.length;
    match conditions::evaluate(request.method, &request.fields, validators, context.date) {
        Outcome::PreconditionFailed => error(context, Status::PRECONDITION_FAILED),
        Outcome::NotModified => not_modified(context, representation),
        Outcome::Send { range: true } => match requested_ranges(context, request, length) {
            Ranges::Unsatisfiable => unsatisfiable(context, length),
            Ranges::Parts(parts) => partial(context, request, representation, parts),
            Ranges::Ignored => whole(context, request, representation),
        },
        Outcome::Send { range: false } => whole(context, request, representation),
    }
}

fn requested_ranges(context: Context<'_>, request: &Request, length: u64) -> Ranges {
    // Repeated Range lines are ignored (HP14), which `single` does.
    let Some(field) = request.fields.single("Range") else {
        return Ranges::Ignored;
    };
    let framed = context.framing.is_some();
    let max_specs = if framed {
        MAX_FRAMED_RANGE_SPECS
    } else {
        MAX_RANGE_SPECS
    };
    match range::resolve(field, length, max_specs) {
        // Several parts would need multipart/byteranges; a server may ignore Range
        // (RFC 9110 §14.2).
        Ranges::Parts(parts) if parts.len() > 1 && !framed => Ranges::Ignored,
        ranges @ (Ranges::Ignored | Ranges::Unsatisfiable | Ranges::Parts(_)) => ranges,
    }
}

fn whole(context: Context<'_>, request: &Request, representation: &Representation) -> Plan {
    let mut fields = general_fields(context);
    push_length(&mut fields, representation.length);
    push_representation_fields(&mut fields, representation);
    push_digests(&mut fields, request, representation);
    Plan {
        status: Status::OK,
        fields,
        body: match request.method {
            Method::Head => Body::NONE,
            Method::Get => Body::Parts(non_empty(0..representation.length)),
        },
    }
}

fn partial(
    context: Context<'_>,
    request: &Request,
    representation: &Representation,
    parts: Vec<Range<u64>>,
) -> Plan {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return unsatisfiable(context, representation.length);
    };
    // With one part this is the part; with several, which only the offset framing has, it is the
    // span from the first byte sent to the last (docs/framing.md).
    let content_range = ContentRange::Bytes {
        first: first.start,
        last: last.end - 1,
        complete: Some(representation.length),
    };
    let mut fields = general_fields(context);
    push_length(
        &mut fields,
        parts.iter().map(|part| part.end - part.start).sum(),
    );
    fields.push("Content-Range", content_range.to_string());
    if request.fields.contains("If-Range") {
        // The client has the other representation fields (RFC 9110 §15.3.7).
        push_validators(&mut fields, representation);
        push_further(&mut fields, representation, |name| !describes(name));
    } else {
        push_representation_fields(&mut fields, representation);
    }
    push_digests(&mut fields, request, representation);
    Plan {
        status: Status::PARTIAL_CONTENT,
        fields,
        body: Body::Parts(parts),
    }
}

fn not_modified(context: Context<'_>, representation: &Representation) -> Plan {
    let mut fields = general_fields(context);
    match &representation.etag {
        Some(etag) => fields.push("ETag", etag.to_bytes()),
        None => push_last_modified(&mut fields, representation),
    }
    // RFC 9110 §15.4.5: what a 200 would have had of Cache-Control, Expires and Vary.
    push_further(&mut fields, representation, |name| !describes(name));
    Plan {
        status: Status::NOT_MODIFIED,
        fields,
        body: Body::NONE,
    }
}

fn unsatisfiable(context: Context<'_>, complete: u64) -> Plan {
    let mut plan = error(context, Status::RANGE_NOT_SATISFIABLE);
    plan.fields.push(
        "Content-Range",
        ContentRange::Unsatisfied { complete }.to_string(),
    );
    plan
}

fn moved(context: Context<'_>, location: &str) -> Plan {
    let mut plan = error(context, Status::MOVED_PERMANENTLY);
    plan.fields.push("Location", location);
    plan
}

/// An answer whose body is a text that explains (RFC 1945 §9.4).
fn error(context: Context<'_>, status: Status) -> Plan {
    let text = explanation(status, context.reason);
    let mut fields = general_fields(context);
    push_length(&mut fields, u64::try_from(text.len()).unwrap_or(u64::MAX));
    fields.push("Content-Type", *b"text/html; charset=utf-8");
    fields.push("X-Content-Type-Options", *b"nosniff");
    if status == Status::METHOD_NOT_ALLOWED {
        fields.push("Allow", *b"GET, HEAD");
    }
    if matches!(
        status,
        Status::SERVICE_UNAVAILABLE | Status::TOO_MANY_REQUESTS
    ) {
        fields.push("Retry-After", *b"5");
    }
    Plan {
        status,
        fields,
        body: if context.head_only {
            Body::NONE
        } else {
            Body::Text(text)
        },
    }
}

/// A small page that names the status and says what it means. `reason` is this crate's own text,
/// never the client's.
fn explanation(status: Status, reason: &str) -> Bytes {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<title>{status} {phrase}</title>\n<h1>{status} {phrase}</h1>\n<p>",
        phrase = status.reason(),
    );
    let meaning = match status {
        Status::MOVED_PERMANENTLY => "This is a folder: its address ends in a slash.",
        Status::BAD_REQUEST => "The request could not be understood.",
        Status::FORBIDDEN => "This file may not be read.",
        Status::NOT_FOUND => "There is no file under this name.",
        Status::METHOD_NOT_ALLOWED => "Only GET and HEAD are served.",
        Status::NOT_ACCEPTABLE => "The file is not there in a coding that the request accepts.",
        Status::TOO_MANY_REQUESTS => "Too many requests came from this address; try again later.",
        Status::REQUEST_TIMEOUT => "The request did not arrive in time.",
        Status::PRECONDITION_FAILED => "The file is not the one the request speaks of.",
        Status::CONTENT_TOO_LARGE => "The request holds too much content.",
        Status::URI_TOO_LONG => "The address is too long.",
        Status::RANGE_NOT_SATISFIABLE => "The file has no bytes there.",
        Status::FIELDS_TOO_LARGE => "The head of the request is too large.",
        Status::NOT_IMPLEMENTED => "This method or coding is not known here.",
        Status::SERVICE_UNAVAILABLE => "The server has too much to do; try again later.",
        Status::VERSION_NOT_SUPPORTED => "This server speaks HTTP/1.0.",
        _ => "The server failed.",
    };
    page.push_str(meaning);
    if !reason.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(page, " ({reason})");
    }
    page.push_str("</p>\n</html>\n");
    Bytes::from(page)
}

fn general_fields(context: Context<'_>) -> Fields {
    let mut fields = Fields::new();
    fields.push("Date", context.date.to_string());
    fields.push("Server", context.server);
    let connection: &[u8] = if context.goes_on {
        b"keep-alive"
    } else {
        b"close"
    };
    fields.push("Connection", connection);
    if let Some(terms) = context.framing {
        fields.push(framing::FIELD, terms.to_string());
    }
    fields
}

fn push_length(fields: &mut Fields, length: u64) {
    fields.push("Content-Length", length.to_string());
}

fn push_representation_fields(fields: &mut Fields, representation: &Representation) {
    fields.push("Content-Type", representation.content_type.as_str());
    push_validators(fields, representation);
    push_last_modified(fields, representation);
    fields.push("Accept-Ranges", *b"bytes");
    fields.push("X-Content-Type-Options", *b"nosniff");
    push_further(fields, representation, |_| true);
}

fn push_further(
    fields: &mut Fields,
    representation: &Representation,
    wanted: impl Fn(&str) -> bool,
) {
    let further = representation.further.iter();
    for (name, value) in further.filter(|(name, _)| wanted(name)) {
        fields.push(name, value);
    }
}

/// Whether a field describes the representation.
fn describes(name: &str) -> bool {
    name.get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case("content-"))
}

fn push_validators(fields: &mut Fields, representation: &Representation) {
    if let Some(etag) = &representation.etag {
        fields.push("ETag", etag.to_bytes());
    }
}

fn push_last_modified(fields: &mut Fields, representation: &Representation) {
    if let Some(date) = representation.last_modified {
        fields.push("Last-Modified", date.to_string());
    }
}

/// `Repr-Digest` is of the whole representation, whatever is sent of it; `Content-Digest` of
/// what is sent, which only a whole body has without a second pass over it (RFC 9530 §2, §3).
fn push_digests(fields: &mut Fields, request: &Request, representation: &Representation) {
    let Some(sha256) = &representation.sha256 else {
        return;
    };
    fields.push("Repr-Digest", digest::write_sha256(sha256));
    let wants_content = request
        .fields
        .joined("Want-Content-Digest")
        .is_some_and(|value| digest::wants_sha256(&value));
    if !wants_content || fields.contains("Content-Range") {
        return;
    }
    let content = match request.method {
        Method::Head => &SHA256_OF_NOTHING,
        Method::Get => sha256,
    };
    fields.push("Content-Digest", digest::write_sha256(content));
}

fn non_empty(range: Range<u64>) -> Vec<Range<u64>> {
    if range.is_empty() {
        Vec::new()
    } else {
        vec![range]
    }
}
