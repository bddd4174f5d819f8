//! What a download does with what its exchange tells it.

use std::io;
use std::time::{Duration, Instant};

use proto::client::{Command, Done, Event, Exchange, Failure as ExchangeFailure, Head};
use proto::digest::Digests;
use proto::machine::Machine;
use proto::response::ResponseHead;
use proto::status::Status;
use transport::Application;

use super::output::Output;
use super::partial::{self, Have, Info};
use super::{Job, Kept};
use crate::terminal::{self, Progress};

/// How a download ended, before the file gets its name.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) result: Result<Done, Error>,
    pub(super) head: Option<Box<Head>>,
    pub(super) output: Option<Output>,
    /// What a later attempt needs to go on.
    pub(super) info: Option<Info>,
    pub(super) transferred: u64,
}

/// Why a download failed.
#[derive(Debug)]
pub(super) enum Error {
    Exchange(ExchangeFailure),
    Write(io::Error),
    /// The user's time is up.
    TimedOut,
    /// The part that is here is of something else, or the server has forgotten it.
    CannotGoOn,
}

/// The application of one exchange: prints, writes and counts.
#[derive(Debug)]
pub(super) struct Download<'a> {
    job: &'a Job,
    /// What `NAME.part` holds, if the request goes on with it.
    kept: Option<&'a Kept>,
    output: Option<Output>,
    info: Option<Info>,
    head: Option<Box<Head>>,
    error: Option<Error>,
    result: Option<Result<Done, ExchangeFailure>>,
    transferred: u64,
    deadline: Option<Instant>,
    progress: Progress,
}

impl<'a> Download<'a> {
    pub(super) fn new(job: &'a Job, kept: Option<&'a Kept>, deadline: Option<Instant>) -> Self {
        Self {
            job,
            kept,
            output: None,
            info: None,
            head: None,
            error: None,
            result: None,
            transferred: 0,
            deadline,
            progress: Progress::new(&job.target.to_string(), job.shows_progress()),
        }
    }

    pub(super) fn finish(self) -> Outcome {
        self.progress.clear();
        let result = match (self.error, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(Ok(done))) => Ok(done),
            (None, Some(Err(failure))) => Err(Error::Exchange(failure)),
            // The driver ended before the exchange did: it was told to.
            (None, None) => Err(Error::Exchange(ExchangeFailure::Cancelled)),
        };
        Outcome {
            result,
            head: self.head,
            output: self.output,
            info: self.info,
            transferred: self.transferred,
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Requested {
                message, repeat, ..
            } => {
                if self.job.verbose {
                    if repeat > 0 {
                        terminal::note(format_args!("no answer, request repeated ({repeat})"));
                    }
                    terminal::show_message('>', &message);
                }
            }
            Event::Head(head) => self.on_head(head)?,
            Event::Body { offset, data } => {
                self.transferred += data.len() as u64;
                self.progress.add(data.len() as u64);
                if let Some(output) = &mut self.output {
                    output.write(offset, &data).map_err(Error::Write)?;
                }
            }
            Event::Repeated { offset, data } => {
                if let Some(output) = &self.output
                    && !output.agrees(offset, &data).map_err(Error::Write)?
                {
                    return Err(Error::Exchange(ExchangeFailure::Conflict));
                }
            }
            Event::Round {
                round,
                holes,
                missing,
            } => {
                if self.job.verbose {
                    terminal::note(format_args!(
                        "round {round}: {holes} holes, {missing} bytes missing"
                    ));
                }
            }
            Event::Finished(result) => self.result = Some(result),
        }
        Ok(())
    }

    fn on_head(&mut self, head: Box<Head>) -> Result<(), Error> {
        if self.job.verbose {
            if self.head.is_some() {
                terminal::note("the file has changed: starting over");
            }
            terminal::show_message('<', &head_text(&head.response));
        }
        let wanted = self.job.wants_body_of(head.response.status);
        self.head = Some(head);
        if wanted { self.open_output() } else { Ok(()) }
    }

    fn open_output(&mut self) -> Result<(), Error> {
        let Some(head) = &self.head else {
            return Ok(());
        };
        let partial = head.response.status == Status::PARTIAL_CONTENT;
        let kept = match self.kept {
            Some(kept) if partial && head.complete == Some(kept.info.complete) => Some(kept),
            Some(_) if partial => return Err(Error::CannotGoOn),
            _ => None,
        };
        let have = kept.map_or(&[][..], |kept| kept.usable(head.framed));
        // What a resumed download keeps begins at 0; a part asked for is kept from its own start.
        let first = if kept.is_some() { 0 } else { head.first };
        if self.output.is_none() {
            self.output = Some(self.job.open_output(kept.is_some()).map_err(Error::Write)?);
        }
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        let prefix = if self.job.include {
            head_text(&head.response)
        } else {
            Vec::new()
        };
        output.start(first, have, prefix).map_err(Error::Write)?;
        self.progress.start(
            head.end.map(|end| end - first),
            have.iter().map(|part| part.end - part.start).sum(),
        );
        self.info = self.note_down(head).map_err(Error::Write)?;
        Ok(())
    }

    /// Writes down what the file is a part of, should the program be killed.
    fn note_down(&self, head: &Head) -> io::Result<Option<Info>> {
        let Some(name) = self.job.resumable_name() else {
            return Ok(None);
        };
        let have = if head.framed {
            Have::Parts(Vec::new())
        } else {
            Have::All
        };
        let info = head
            .complete
            .and_then(|complete| Info::of(self.job.key(), &head.response, complete, have));
        match &info {
            Some(info) => partial::write(name, info)?,
            None => partial::forget(name),
        }
        Ok(info)
    }
}

impl Application<Exchange> for Download<'_> {
    fn run(&mut self, now: Instant, machine: &mut Exchange) -> Option<Instant> {
        while let Some(((), event)) = machine.poll_event() {
            if self.error.is_some() {
                continue;
            }
            if let Err(error) = self.on_event(event) {
                self.error = Some(error);
                machine.handle_command(now, (), Command::Cancel);
            }
        }
        let due = self.deadline.filter(|_| self.result.is_none())?;
        if due <= now {
            self.error = Some(Error::TimedOut);
            self.deadline = None;
            machine.handle_command(now, (), Command::Cancel);
            return None;
        }
        Some(due)
    }
}

/// A head as it would stand in a message.
pub(super) fn head_text(head: &ResponseHead) -> Vec<u8> {
    let mut text = format!("HTTP/1.{} {}", head.minor, head.status).into_bytes();
    if !head.reason.is_empty() {
        text.push(b' ');
        text.extend_from_slice(head.reason.as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    for (name, value) in head.fields.iter() {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The digests of the whole file that the server named.
pub(super) fn digests(head: &ResponseHead) -> Digests {
    head.fields
        .joined("Repr-Digest")
        .map_or_else(Digests::default, |field| Digests::parse(&field))
}

/// How long the server asks to be left alone.
pub(super) fn retry_after(head: &ResponseHead) -> Option<Duration> {
    let text = std::str::from_utf8(head.fields.single("Retry-After")?).ok()?;
    text.parse().ok().map(Duration::from_secs)
}
