//! Where the body of an answer belongs.

use super::{Config, Failure, Wanted};
use crate::range::ContentRange;
use crate::response::{BodyLength, HeadError, ResponseHead};
use crate::status::Status;

/// Which bytes of which representation a head announces.
pub(super) struct Placement {
    pub(super) first: u64,
    /// `None`: until the transport ends.
    pub(super) end: Option<u64>,
    /// The length of the whole representation, if the server said it.
    pub(super) complete: Option<u64>,
}

impl Placement {
    /// Where the body after `head` belongs, if the answer is one to what was asked.
    pub(super) fn of(config: &Config, head: &ResponseHead) -> Result<Self, Failure> {
        let body = head.body_length(config.method).map_err(Failure::BadHead)?;
        let length = match body {
            BodyLength::None => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::UntilClose => None,
        };
        let placement = if head.status == Status::PARTIAL_CONTENT && body != BodyLength::None {
            Self::of_part(config, head, length)?
        } else {
            // With If-Range all of it was asked for, should it have changed.
            if head.status == Status::OK
                && config.range.is_some()
                && config.if_range.is_none()
                && !config.seed_form
            {
                return Err(Failure::RangeNotHonoured);
            }
            Self {
                first: 0,
                end: length,
                complete: length.filter(|_| head.status.is_success() && body != BodyLength::None),
            }
        };
        // What the application has already counts too.
        let first = if config.if_range.is_some() {
            0
        } else {
            placement.first
        };
        match (placement.end, config.max_body) {
            (Some(end), Some(max)) if end - first > max => Err(Failure::TooLarge),
            (Some(_) | None, _) => Ok(placement),
        }
    }

    fn of_part(config: &Config, head: &ResponseHead, length: Option<u64>) -> Result<Self, Failure> {
        let range = head
            .fields
            .single("Content-Range")
            .and_then(ContentRange::parse);
        let Some(ContentRange::Bytes {
            first,
            last,
            complete,
        }) = range
        else {
            return Err(malformed("a partial answer without a valid Content-Range"));
        };
        // A server may send less than was asked for (RFC 9110 §15.3.7), but then the rest would
        // have to be asked for again: for us such a part is none.
        let to_the_end = complete.is_none_or(|complete| last + 1 == complete);
        let honoured = match config.range {
            None => false,
            Some(Wanted::From(from)) => first == from && to_the_end,
            Some(Wanted::Between(from, to)) => {
                first == from && (last == to || (last < to && to_the_end && complete.is_some()))
            }
            Some(Wanted::Last(count)) => {
                to_the_end
                    && complete.is_some_and(|complete| first == complete.saturating_sub(count))
            }
        };
        let honoured = honoured && is_of_same_version(config, head);
        if !honoured {
            return Err(Failure::RangeNotHonoured);
        }
        // A valid Content-Range has its first byte before its last.
        if length.is_some_and(|length| length != last - first + 1) {
            return Err(malformed("Content-Length and Content-Range disagree"));
        }
        Ok(Self {
            first,
            end: Some(last + 1),
            complete,
        })
    }
}

/// Whether a part is of the version that `If-Range` named, as far as its head tells: a server that
/// ignores `If-Range` would send a part of whatever it has.
fn is_of_same_version(config: &Config, head: &ResponseHead) -> bool {
    let Some(validator) = config.if_range.as_deref() else {
        return true;
    };
    let name = if validator.starts_with(b"\"") {
        "ETag"
    } else {
        "Last-Modified"
    };
    head.fields
        .single(name)
        .is_none_or(|ours| ours == validator)
}

const fn malformed(rule: &'static str) -> Failure {
    Failure::BadHead(HeadError::Malformed(rule))
}
