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
        match (placement.end, config.max_body) {
            (Some(end), Some(max)) if end - placement.first > max => Err(Failure::TooLarge),
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
        let honoured = match config.range {
            None => false,
            Some(Wanted::From(from)) => first == from,
            Some(Wanted::Between(from, to)) => first == from && last <= to,
            Some(Wanted::Last(count)) => {
                complete.is_some_and(|complete| first == complete.saturating_sub(count))
            }
        };
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

const fn malformed(rule: &'static str) -> Failure {
    Failure::BadHead(HeadError::Malformed(rule))
}
