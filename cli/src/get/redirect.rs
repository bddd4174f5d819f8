//! Where a server leads: `--location`.

use proto::response::ResponseHead;

use super::job::Job;
use crate::exit::{self, Code, Failure};
use crate::terminal;
use crate::url::Target;

/// Answers that name another place to GET the same from (RFC 9110 §15.4).
const LEADING: [u16; 5] = [301, 302, 303, 307, 308];

/// Where `response` leads; `None` if it does not, or the user does not want to go there.
pub(super) fn follow(job: &Job, response: &ResponseHead) -> Option<Result<Target, Failure>> {
    let most = job.max_redirs?;
    if !LEADING.contains(&response.status.code()) {
        return None;
    }
    let location = response.fields.single("Location")?;
    Some(resolve(job, location).and_then(|target| check(job, target, most)))
}

fn resolve(job: &Job, location: &[u8]) -> Result<Target, Failure> {
    let target = match std::str::from_utf8(location) {
        Ok(location) => job.target.resolve(location),
        Err(_) => {
            let location = terminal::printable(location);
            let message = format_args!("{location:?} is not a target: it is not text");
            Err(Failure::new(Code::BadUrl, message))
        }
    };
    target.map_err(|failure| {
        let failure = failure.about("the server leads astray");
        failure.hint("nothing can be fetched from there: tell who runs the server")
    })
}

/// Without cookies the same question has the same answer, so a circle has no end.
fn check(job: &Job, target: Target, most: u32) -> Result<Target, Failure> {
    let been_there = |known: &Target| known.is_beside(&target) && known.path == target.path;
    if job.led_by.iter().chain([&job.target]).any(been_there) {
        let target = terminal::printable(target.to_string().as_bytes());
        let message = format_args!("the server leads in a circle, again to {target}");
        return Err(Failure::new(Code::Redirects, message).hint(exit::TELL_SERVER));
    }
    if job.led_by.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
        let message = format_args!("the server leads elsewhere more than {most} times");
        let failure = Failure::new(Code::Redirects, message);
        return Err(failure.hint("--max-redirs allows more"));
    }
    Ok(target)
}
