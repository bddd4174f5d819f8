//! Conditional requests: whether to send the representation at all (RFC 9110 §13).

use crate::date::HttpDate;
use crate::etag::{EntityTag, TagList};
use crate::fields::Fields;
use crate::request::Method;

/// What tells the current version of a representation from others (RFC 9110 §8.8).
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// Its entity tag; `None`: it has none.
    pub etag: Option<&'a EntityTag>,
    /// When it was modified last, as Last-Modified says it; `None`: unknown.
    pub last_modified: Option<HttpDate>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They hold: answer as if there were none.
    Send {
        /// Whether the request's Range field counts: the method is GET, there is exactly one such
        /// field, and If-Range is absent or true.
        range: bool,
    },
    /// The client has this version already: 304.
    NotModified,
    /// The client wants another version than this one: 412.
    PreconditionFailed,
}

/// Evaluates the conditions in `fields` in the order of RFC 9110 §13.2.2.
///
/// To be asked only when the answer without conditions would be 200 (RFC 9110 §13.2.1). `now` is
/// the server's clock, not earlier than `validators.last_modified`.
pub fn evaluate(
    method: Method,
    fields: &Fields,
    validators: Validators<'_>,
    now: HttpDate,
) -> Outcome {
    if !is_the_wanted_version(fields, validators, now) {
        return Outcome::PreconditionFailed;
    }
    if !is_new_to_the_client(fields, validators, now) {
        return Outcome::NotModified;
    }
    Outcome::Send {
        range: method == Method::Get
            && fields.single("Range").is_some()
            && if_range_holds(fields, validators, now),
    }
}

/// Steps 1 and 2: If-Match, else If-Unmodified-Since.
fn is_the_wanted_version(fields: &Fields, validators: Validators<'_>, now: HttpDate) -> bool {
    if let Some(value) = fields.joined("If-Match") {
        return TagList::parse(&value).is_some_and(|list| list.strongly_matches(validators.etag));
    }
    let since = single_date(fields, "If-Unmodified-Since", now);
    match (since, validators.last_modified) {
        (Some(since), Some(modified)) => modified <= since,
        // RFC 9110 §13.1.4: not a valid date, or no modification date: "MUST ignore".
        (None, _) | (_, None) => true,
    }
}

/// Steps 3 and 4: If-None-Match, else If-Modified-Since.
fn is_new_to_the_client(fields: &Fields, validators: Validators<'_>, now: HttpDate) -> bool {
    if let Some(value) = fields.joined("If-None-Match") {
        return !TagList::parse(&value).is_some_and(|list| list.weakly_matches(validators.etag));
    }
    let since = single_date(fields, "If-Modified-Since", now);
    match (since, validators.last_modified) {
        // RFC 1945 §10.9 calls a date later than the server's clock invalid; RFC 9110 does not
        // mention it.
        (Some(since), Some(modified)) => since > now || modified > since,
        (None, _) | (_, None) => true,
    }
}

/// Step 5: whether the client's partial copy is of this version (RFC 9110 §13.1.5).
fn if_range_holds(fields: &Fields, validators: Validators<'_>, now: HttpDate) -> bool {
    if !fields.contains("If-Range") {
        return true;
    }
    let Some(value) = fields.single("If-Range") else {
        return false;
    };
    if let Some(tag) = EntityTag::parse(value) {
        return validators.etag.is_some_and(|etag| etag.strong_eq(&tag));
    }
    let date = HttpDate::parse(value, now);
    validators
        .last_modified
        .is_some_and(|modified| date == Some(modified) && is_strong(modified, now))
}

/// Whether a modification date is a strong validator: its second is over, so the representation
/// cannot change in it again (RFC 9110 §8.8.2.2).
fn is_strong(modified: HttpDate, now: HttpDate) -> bool {
    modified < now
}

/// The date in the only field called `name`. RFC 9110 §13.1.3: "MUST ignore the
/// If-Modified-Since header field if the received field value is not a valid HTTP-date, the field
/// value has more than one member"; RFC 9110 §13.1.4 says the same of If-Unmodified-Since.
fn single_date(fields: &Fields, name: &str, now: HttpDate) -> Option<HttpDate> {
    HttpDate::parse(fields.single(name)?, now)
}

#[cfg(test)]
mod tests;
