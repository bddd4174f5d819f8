//! What a person can do when a server answers what nobody wants, or does not answer.

use proto::client::Failure;
use proto::machine::CloseReason;
use proto::response::HeadError;
use proto::status::Status;

use super::job::Job;
use crate::exit::{TELL_SERVER, TRY_AGAIN};

/// What to do next when an exchange failed; `None` if the user wanted it to. `resumed` says that it
/// went on with a part of the file.
pub(super) const fn of_exchange(failure: &Failure, resumed: bool) -> Option<&'static str> {
    Some(match failure {
        Failure::NoAnswer | Failure::Stalled => "is it busy? --stall-timeout allows more time",
        Failure::BadHead(HeadError::NotHttp) => {
            "is this a server of HTTP/1.0? --http0.9 takes what has no head"
        }
        Failure::BadHead(_) => "is this a server of HTTP/1.0? tell who runs it",
        Failure::RangeNotHonoured if resumed => "without -C all of it is fetched",
        Failure::RangeNotHonoured => "without --range all of it is fetched",
        Failure::RequestTooLarge { .. } => {
            "shorten the path, leave out --header, or use --proto sctp"
        }
        Failure::TooLarge => "--max-filesize allows more",
        Failure::Incomplete {
            why: Some(CloseReason::Stalled),
            ..
        }
        | Failure::Closed(CloseReason::Stalled) => "is it busy? --stall-timeout allows more time",
        Failure::Incomplete { .. } | Failure::Closed(_) => {
            "is the server still running? then try again"
        }
        Failure::Conflict => TRY_AGAIN,
        Failure::Changing => "try again when nobody writes to it",
        Failure::Surplus | Failure::Protocol(_) => TELL_SERVER,
        Failure::Cancelled => return None,
    })
}

/// What to do next after an answer that is an error.
pub(super) fn of_status(job: &Job, status: Status) -> &'static str {
    match status.code() {
        401 => "--header 'Authorization: ...' says who asks",
        403 => "ask who runs the server for it",
        404 | 410 => "look at the path: upper and lower case count",
        405 if job.head_only => "leave out -I",
        408 | 429 | 502..=504 => "try again later, or let --retries do it",
        412 => "it is not as the conditions want it: leave them out",
        414 | 431 => "shorten the path, or leave out --header",
        416 if job.range.is_some() => "the file is shorter: ask for another --range",
        416 => "without -C all of it is fetched",
        500 => "its log says why; try again later",
        _ => "-v shows all of the answer, and --no-fail saves it",
    }
}
