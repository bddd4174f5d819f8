//! What becomes of an attempt: a file, or an error and what is left.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use proto::client::{Done, Failure as ExchangeFailure};
use proto::date::HttpDate;
use proto::digest::Digests;
use proto::etag::EntityTag;
use proto::machine::CloseReason;
use proto::response::ResponseHead;
use proto::status::Status;
use socket::Protocol;

use super::download::{self, Error, Outcome};
use super::info::{Have, Info};
use super::job::{Job, Slowest};
use super::metered::seconds;
use super::output::Output;
use super::report::Report;
use super::{Failed, hints, redirect};
use crate::exit::{Code, Failure};
use crate::{clock, terminal};

/// Makes of an outcome what the user gets: a file, or an error and what is left.
pub(super) fn conclude(
    job: &Job,
    output: &mut Output,
    (result, outcome): (Result<Done, Error>, Outcome),
    started: Instant,
    report: &mut Report,
) -> Result<(), Failed> {
    note_answer(report, &outcome);
    let done = match result {
        Ok(done) => done,
        Err(error) => return Err(give_up(output, &outcome, error)),
    };
    if job.verbose {
        let took = terminal::duration(clock() - started);
        let transferred = outcome.transferred;
        terminal::note(format_args!("{transferred} bytes of body in {took}"));
        if job.protocol == Protocol::Dccp {
            terminal::note(format_args!("repair rounds: {}", done.rounds));
        }
    }
    report.repair_rounds = (job.protocol == Protocol::Dccp).then_some(done.rounds);
    let response = outcome.head.as_ref().map(|head| &head.response);
    if let Some(response) = response
        && response.status == Status::NOT_MODIFIED
        && job.is_conditional()
    {
        if !job.silent {
            terminal::note(format_args!("not modified: {}", job.target));
        }
        return Ok(());
    }
    if let Some(led) = response.and_then(|response| redirect::follow(job, response)) {
        let target = led?;
        if job.verbose {
            let target = terminal::printable(target.to_string().as_bytes());
            terminal::note(format_args!("the server leads to {target}"));
        }
        return Err(Failed {
            led: Some(Box::new(target)),
            ..Failure::new(Code::Status, "the server leads elsewhere").into()
        });
    }
    let refused = response.is_some_and(|head| !head.status.is_success()) && !job.no_fail;
    let mut size = outcome.transferred;
    if let Some(response) = response
        && job.head_only
        && (!refused || job.file_name().is_none())
    {
        let text = download::shown_head(response, output.is_terminal());
        output.begin(0, Vec::new())?;
        output.write(0, &text)?;
        size = text.len() as u64;
    }
    if let Some(response) = response
        && refused
    {
        let kept = keep(output, &outcome);
        let useless = outcome.resumed && response.status == Status::RANGE_NOT_SATISFIABLE;
        if useless {
            output.note(None)?;
        }
        return Err(Failed {
            go_on: if useless { Some(false) } else { kept },
            may_pass: useless || PASSING.contains(&response.status.code()),
            ..refusal(job, response)
        });
    }
    if !outcome.begun && (!job.head_only || response.is_none()) {
        let failure = Failure::new(Code::Receive, "the server sent no answer");
        return Err(failure.hint("is this a server of HTTP/1.0?").into());
    }
    let stop = &job.shutdown.graceful;
    let (digests, whose) = wanted_digests(job, response);
    let checked = output.check(&digests, stop);
    match checked.map_err(|failure| kept_for_later(output, &outcome, failure))? {
        Some(false) => {
            output.discard()?;
            let message = format_args!("the bytes do not agree with {whose}");
            return Err(Failed {
                may_pass: true,
                go_on: Some(false),
                ..Failure::new(Code::Digest, message)
                    .hint(whose.hint())
                    .into()
            });
        }
        None if !done.verified && !job.allow_unverified && !job.head_only => {
            let message = "nothing tells whether what came over DCCP is whole";
            let hint = if job.file_name().is_some() {
                "it is in the .part file; --allow-unverified takes it as it is"
            } else {
                "--allow-unverified takes it as it is"
            };
            return Err(Failure::new(Code::Unverified, message).hint(hint).into());
        }
        Some(true) => report.digest = Some(whose.option()),
        None => {}
    }
    let modified = response.filter(|_| job.keeps_time).and_then(last_modified);
    let saved = output
        .complete(modified, stop)
        .map_err(|failure| kept_for_later(output, &outcome, failure))?;
    if let Some(name) = saved {
        report.filename_effective = Some(name.to_string_lossy().into_owned());
        saved_as(job, &name, size, started);
    }
    if let Some(name) = &job.etag_save {
        save_tag(name, response)?;
    }
    Ok(())
}

/// Notes what the server said, however it ended.
fn note_answer(report: &mut Report, outcome: &Outcome) {
    report.size_download = outcome.transferred;
    let answered = outcome.answered;
    report.time_starttransfer = answered.map(|time| seconds(report.since_began(time)));
    if let Some(head) = &outcome.head {
        let response = &head.response;
        report.http_code = response.status.code();
        report.size_header = download::head_text(response).len() as u64;
        let media = response.fields.single("Content-Type");
        report.content_type = media.map(terminal::printable);
    }
}

/// Who knows what the bytes must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    User,
    Server,
}

impl Authority {
    /// Where it says so.
    const fn option(self) -> &'static str {
        match self {
            Self::User => "--sha256",
            Self::Server => "Repr-Digest",
        }
    }

    /// What to do when the bytes are others.
    const fn hint(self) -> &'static str {
        match self {
            Self::User => "it is another file, or the wrong hash: nothing of it was kept",
            Self::Server => "nothing of it was kept: try again",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "--sha256",
            Self::Server => "the server's digest",
        })
    }
}

/// What the bytes are checked with: what the user knows, or else what the server says of all of
/// the file.
fn wanted_digests(job: &Job, response: Option<&ResponseHead>) -> (Digests, Authority) {
    if job.sha256.is_some() {
        let digests = Digests {
            sha256: job.sha256,
            ..Digests::default()
        };
        return (digests, Authority::User);
    }
    let whole = job.range.is_none() && !job.head_only;
    let response = response.filter(|response| whole && response.status.is_success());
    (
        response.map_or_else(Digests::default, download::digests),
        Authority::Server,
    )
}

/// When the server says that the file was changed.
fn last_modified(response: &ResponseHead) -> Option<SystemTime> {
    // The year of the oldest form is at most 50 years from now: any time of this program's life.
    let now = HttpDate::from_unix(BUILT);
    let date = HttpDate::parse(response.fields.single("Last-Modified")?, now)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(date.unix()))
}

/// About when this program was written, in seconds since 1970.
const BUILT: u64 = 1_790_000_000;

/// Keeps the tag of what was fetched, as `--etag-compare` reads it.
fn save_tag(name: &Path, response: Option<&ResponseHead>) -> Result<(), Failure> {
    let tag = response.and_then(|response| EntityTag::parse(response.fields.single("ETag")?));
    let mut text = tag.map_or_else(Vec::new, |tag| tag.to_bytes());
    text.push(b'\n');
    fs::write(name, text).map_err(|error| Failure::cannot_write(name, &error))
}

fn kept_for_later(output: &Output, outcome: &Outcome, failure: Failure) -> Failed {
    Failed {
        go_on: keep(output, outcome),
        ..failure.into()
    }
}

fn saved_as(job: &Job, name: &Path, size: u64, started: Instant) {
    if !job.silent {
        let took = clock() - started;
        terminal::note(format_args!(
            "saved {} ({} in {})",
            terminal::printable(name.display().to_string().as_bytes()),
            terminal::size(size),
            terminal::duration(took)
        ));
    }
    if job.open
        && let Err(error) = open::that_detached(&*unlike_an_option(name))
    {
        terminal::note(format_args!(
            "no viewer could be started for {}: {}",
            terminal::printable(name.display().to_string().as_bytes()),
            terminal::printable(error.to_string().as_bytes())
        ));
    }
}

/// The same file by a name that no viewer takes for an option.
fn unlike_an_option(name: &Path) -> Cow<'_, Path> {
    if name.as_os_str().as_encoded_bytes().starts_with(b"-") {
        Path::new(".").join(name).into()
    } else {
        name.into()
    }
}

/// Statuses that may be another one in a moment, as curl has them.
const PASSING: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// The answer is not what was asked for.
fn refusal(job: &Job, response: &ResponseHead) -> Failed {
    let reason = if response.reason.is_empty() {
        response.status.reason()
    } else {
        &response.reason
    };
    let code = if response.status == Status::RANGE_NOT_SATISFIABLE {
        Code::Range
    } else {
        Code::Status
    };
    let failure = Failure::new(
        code,
        format_args!(
            "the server answered {} {}",
            response.status,
            terminal::printable(reason.as_bytes())
        ),
    );
    let location = response.fields.single("Location");
    let passing = PASSING.contains(&response.status.code());
    Failed {
        failure: match location {
            Some(location) => failure.hint(format_args!(
                "it is at {}; -L goes there",
                terminal::printable(location)
            )),
            None => failure.hint(hints::of_status(job, response.status)),
        },
        may_pass: passing,
        go_on: None,
        pause: download::retry_after(response).filter(|_| passing),
        led: None,
    }
}

/// Keeps what can be gone on with, and says what went wrong.
fn give_up(output: &mut Output, outcome: &Outcome, error: Error) -> Failed {
    let failed = match error {
        Error::Write(failure) => failure.into(),
        Error::TooSlow(Slowest { rate, time }) => {
            let time = terminal::duration(time);
            let message = format_args!("slower than {rate} bytes a second for {time}");
            Failed {
                may_pass: true,
                ..Failure::new(Code::Timeout, message)
                    .hint("a lower --speed-limit or a longer --speed-time allows that")
                    .into()
            }
        }
        Error::TimedOut => Failure::new(Code::Timeout, "not finished within --max-time")
            .hint("allow more time, or leave it out")
            .into(),
        Error::CannotGoOn => {
            let message = "the .part file is not of the file that the server has";
            let failure = Failure::new(Code::Range, message);
            return cannot_go_on(output, failure.hint("without -C all of it is fetched"));
        }
        Error::Exchange(failure) => {
            let told = match hints::of_exchange(&failure, outcome.resumed) {
                Some(hint) => Failure::new(exchange_code(&failure), &failure).hint(hint),
                None => Failure::interrupted(),
            };
            match failure {
                ExchangeFailure::RangeNotHonoured if outcome.resumed => {
                    return cannot_go_on(output, told);
                }
                ExchangeFailure::Conflict => {
                    // Should it stay, it is replaced by the next attempt.
                    let _ = output.discard();
                    return Failed {
                        may_pass: true,
                        go_on: Some(false),
                        ..told.into()
                    };
                }
                _ => Failed {
                    may_pass: is_passing(&failure),
                    ..told.into()
                },
            }
        }
    };
    Failed {
        go_on: keep(output, outcome),
        ..failed
    }
}

/// What was kept is of no use with this server: the next attempt, now or later, starts over.
fn cannot_go_on(output: &Output, failure: Failure) -> Failed {
    // Should the note stay, the next attempt of this command ignores it all the same.
    let _ = output.note(None);
    Failed {
        may_pass: true,
        go_on: Some(false),
        ..failure.into()
    }
}

/// Keeps what came, with what is needed to go on; whether there is anything to go on with. `None`
/// if nothing came: what was there before is as it was.
fn keep(output: &Output, outcome: &Outcome) -> Option<bool> {
    if !outcome.begun {
        return None;
    }
    let lying = output.lying();
    let kept = match &outcome.info {
        Some(info) if !lying.is_empty() => {
            let info = match info.have {
                Have::All => info.clone(),
                Have::Parts(_) => Info {
                    have: Have::Parts(lying),
                    ..info.clone()
                },
            };
            output.note(Some(&info)).is_ok()
        }
        _ => false,
    };
    Some(kept)
}

fn exchange_code(failure: &ExchangeFailure) -> Code {
    match failure {
        ExchangeFailure::NoAnswer | ExchangeFailure::Stalled => Code::Timeout,
        ExchangeFailure::BadHead(_)
        | ExchangeFailure::Surplus
        | ExchangeFailure::Protocol(_)
        | ExchangeFailure::Changing => Code::Receive,
        ExchangeFailure::RangeNotHonoured => Code::Range,
        ExchangeFailure::RequestTooLarge { .. } => Code::Send,
        ExchangeFailure::TooLarge => Code::TooLarge,
        ExchangeFailure::Incomplete {
            why: Some(CloseReason::Aborted),
            ..
        }
        | ExchangeFailure::Closed(CloseReason::Aborted) => Code::Aborted,
        ExchangeFailure::Incomplete {
            why: Some(CloseReason::Stalled | CloseReason::TimedOut),
            ..
        }
        | ExchangeFailure::Closed(CloseReason::Stalled | CloseReason::TimedOut) => Code::Timeout,
        ExchangeFailure::Incomplete { .. } => Code::Incomplete,
        ExchangeFailure::Closed(CloseReason::Refused) => Code::Connect,
        ExchangeFailure::Closed(_) => Code::Receive,
        ExchangeFailure::Conflict => Code::Digest,
        ExchangeFailure::Cancelled => Code::Interrupted,
    }
}

/// Whether a repeat may fare better: the path or the server failed, not the request.
const fn is_passing(failure: &ExchangeFailure) -> bool {
    matches!(
        failure,
        ExchangeFailure::NoAnswer
            | ExchangeFailure::Stalled
            | ExchangeFailure::Incomplete { .. }
            | ExchangeFailure::Conflict
            | ExchangeFailure::Closed(
                CloseReason::Aborted | CloseReason::TimedOut | CloseReason::Stalled
            )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_takes_no_file_for_an_option() {
        let shown = |name| unlike_an_option(Path::new(name)).into_owned();
        assert_eq!(shown("-x"), Path::new("./-x"));
        assert_eq!(shown("a/-x"), Path::new("a/-x"));
        assert_eq!(shown("/-x"), Path::new("/-x"));
    }
}
