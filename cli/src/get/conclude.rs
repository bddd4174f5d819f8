//! What becomes of an attempt: a file, or an error and what is left.

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use proto::client::{Done, Failure as ExchangeFailure};
use proto::machine::CloseReason;
use proto::response::ResponseHead;
use proto::status::Status;
use socket::Protocol;

use super::Failed;
use super::download::{self, Error, Outcome};
use super::info::{Have, Info};
use super::job::Job;
use super::output::Output;
use crate::exit::{Code, Failure};
use crate::{clock, terminal};

/// Makes of an outcome what the user gets: a file, or an error and what is left.
pub(super) fn conclude(
    job: &Job,
    output: &mut Output,
    (result, outcome): (Result<Done, Error>, Outcome),
    started: Instant,
) -> Result<(), Failed> {
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
    let response = outcome.head.as_ref().map(|head| &head.response);
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
            may_pass: useless || response.status == Status::SERVICE_UNAVAILABLE,
            ..refusal(response)
        });
    }
    if !outcome.begun && (!job.head_only || response.is_none()) {
        return Err(Failure::new(Code::Receive, "the server sent no answer").into());
    }
    let whole = job.range.is_none() && response.is_none_or(|head| head.status.is_success());
    let stop = &job.shutdown.graceful;
    let checked = match response {
        Some(response) if whole && !job.head_only => {
            output.check(&download::digests(response), stop)
        }
        _ => Ok(None),
    };
    match checked.map_err(|failure| kept_for_later(output, &outcome, failure))? {
        Some(false) => {
            output.discard()?;
            let message = "the bytes do not agree with the server's digest";
            return Err(Failed {
                may_pass: true,
                go_on: Some(false),
                ..Failure::new(Code::Digest, message).into()
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
        Some(true) | None => {}
    }
    let saved = output
        .complete(stop)
        .map_err(|failure| kept_for_later(output, &outcome, failure))?;
    if let Some(name) = saved {
        saved_as(job, &name, size, started);
    }
    Ok(())
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

/// The answer is not what was asked for.
fn refusal(response: &ResponseHead) -> Failed {
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
    let unavailable = response.status == Status::SERVICE_UNAVAILABLE;
    Failed {
        failure: match location {
            Some(location) => {
                failure.hint(format_args!("it is at {}", terminal::printable(location)))
            }
            None => failure,
        },
        may_pass: unavailable,
        go_on: None,
        pause: download::retry_after(response).filter(|_| unavailable),
    }
}

/// Keeps what can be gone on with, and says what went wrong.
fn give_up(output: &mut Output, outcome: &Outcome, error: Error) -> Failed {
    let failed = match error {
        Error::Write(failure) => failure.into(),
        Error::TimedOut => Failure::new(Code::Timeout, "not finished within --max-time").into(),
        Error::CannotGoOn => {
            let message = "the .part file is not of the file that the server has";
            return cannot_go_on(output, Failure::new(Code::Range, message));
        }
        Error::Exchange(failure) => {
            let told = Failure::new(exchange_code(&failure), &failure);
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
