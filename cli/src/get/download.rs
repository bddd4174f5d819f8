//! What a download does with what its exchange tells it.

use std::ops::Range;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use proto::client::{Command, Done, Event, Exchange, Failure as ExchangeFailure, Head};
use proto::digest::Digests;
use proto::machine::Machine;
use proto::response::ResponseHead;
use proto::status::Status;
use socket::Protocol;
use transport::Application;

use super::info::{Have, Info};
use super::job::{Job, Kept, Slowest};
use super::output::Output;
use super::proposed;
use super::slow::Watchdog;
use crate::clock;
use crate::exit::Failure;
use crate::terminal::{self, Progress};

/// How a download ended, before the file gets its name.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) head: Option<Box<Head>>,
    /// Whether the output holds anything of this attempt, or what it went on with.
    pub(super) begun: bool,
    /// Whether the request was to go on with what an earlier attempt left.
    pub(super) resumed: bool,
    /// What a later attempt needs to go on.
    pub(super) info: Option<Info>,
    pub(super) transferred: u64,
    /// When the answer began.
    pub(super) answered: Option<Instant>,
}

/// Why a download failed.
#[derive(Debug)]
pub(super) enum Error {
    Exchange(ExchangeFailure),
    Write(Failure),
    /// The user's time is up.
    TimedOut,
    /// It was slower than the user wants to wait for.
    TooSlow(Slowest),
    /// The part that is here is of something else, or the server has forgotten it.
    CannotGoOn,
}

/// The application of one exchange: prints, writes and counts.
#[derive(Debug)]
pub(super) struct Download<'a> {
    job: &'a Job,
    output: &'a mut Output,
    /// What `NAME.part` holds, if the request goes on with it and nothing has replaced it.
    kept: Option<&'a Kept>,
    resumed: bool,
    begun: bool,
    /// Whether the body under way is what the user wants; that of an error is not.
    wanted: bool,
    info: Option<Info>,
    head: Option<Box<Head>>,
    error: Option<Error>,
    result: Option<Result<Done, ExchangeFailure>>,
    transferred: u64,
    /// Bytes of the body that are not written yet, and where they belong.
    batch: Vec<u8>,
    batch_offset: u64,
    deadline: Option<Instant>,
    watchdog: Option<Watchdog>,
    answered: Option<Instant>,
    progress: Progress,
}

impl<'a> Download<'a> {
    pub(super) fn new(
        job: &'a Job,
        output: &'a mut Output,
        kept: Option<&'a Kept>,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            job,
            output,
            kept,
            resumed: kept.is_some(),
            begun: false,
            wanted: false,
            info: None,
            head: None,
            error: None,
            result: None,
            transferred: 0,
            batch: Vec::new(),
            batch_offset: 0,
            deadline,
            watchdog: job.slowest.map(|slowest| Watchdog::new(clock(), slowest)),
            answered: None,
            progress: Progress::new(&job.target.to_string(), job.shows_progress()),
        }
    }

    /// How it went, and the output.
    pub(super) fn finish(self) -> ((Result<Done, Error>, Outcome), &'a mut Output) {
        self.progress.clear();
        let result = match (self.error, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(Ok(done))) => Ok(done),
            (None, Some(Err(failure))) => Err(Error::Exchange(failure)),
            // The driver ended before the exchange did: it was told to.
            (None, None) => Err(Error::Exchange(ExchangeFailure::Cancelled)),
        };
        let outcome = Outcome {
            head: self.head,
            begun: self.begun,
            resumed: self.resumed,
            info: self.info,
            transferred: self.transferred,
            answered: self.answered,
        };
        ((result, outcome), self.output)
    }

    /// Takes an event, and says what to tell the machine.
    pub(super) fn handle_event(&mut self, event: Event) -> Option<Command> {
        if self.error.is_some() {
            if let Event::Finished(result) = event {
                self.result = Some(result);
            }
            return None;
        }
        let result = self.on_event(event);
        self.note_error(result)
    }

    /// Does what is left when all events are taken, and says what to tell the machine.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Command> {
        if self.error.is_some() {
            return None;
        }
        let written = self.write_batch();
        let told = self.note_error(written);
        if told.is_some() || self.result.is_some() {
            return told;
        }
        if self.deadline.take_if(|due| *due <= now).is_some() {
            return self.note_error(Err(Error::TimedOut));
        }
        let watchdog = self.watchdog.as_mut()?;
        if watchdog.is_too_slow(now, self.transferred) {
            return self.note_error(self.job.slowest.map(Error::TooSlow).map_or(Ok(()), Err));
        }
        None
    }

    /// When to look whether it takes too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.result.is_some() || self.error.is_some() {
            return None;
        }
        let due = self.watchdog.as_ref().map(Watchdog::due);
        [self.deadline, due].into_iter().flatten().min()
    }

    /// Tells it events as a machine would, until one makes it fail.
    #[cfg(test)]
    pub(super) fn take(&mut self, events: Vec<Event>) {
        for event in events {
            if self.error.is_none() {
                self.error = self.on_event(event).err();
            }
        }
        if self.error.is_none() {
            self.error = self.write_batch().err();
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Error> {
        if self.answered.is_none() && matches!(event, Event::Head(_) | Event::Body { .. }) {
            self.answered = Some(clock());
        }
        if !matches!(event, Event::Body { .. }) {
            // What follows may need what came before it to be where it belongs.
            self.write_batch()?;
        }
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
                self.begin_without_head()?;
                self.transferred += data.len() as u64;
                if self.wanted {
                    self.progress.add(data.len() as u64);
                    self.batch(offset, &data)?;
                }
            }
            Event::Repeated { offset, data } => {
                if self.wanted && !self.output.agrees(offset, &data).map_err(Error::Write)? {
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
            Event::Finished(result) => {
                if result.is_ok() {
                    self.begin_without_head()?;
                }
                self.result = Some(result);
            }
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
        self.write_head(&head.response).map_err(Error::Write)?;
        // The body of an error leaves alone what is here.
        self.wanted = self.job.wants_body_of(head.response.status);
        let result = if self.wanted {
            self.begin(&head)
        } else {
            Ok(())
        };
        self.head = Some(head);
        result
    }

    fn begin(&mut self, head: &Head) -> Result<(), Error> {
        let partial = head.response.status == Status::PARTIAL_CONTENT;
        if partial && self.job.range.is_none() {
            let kept = self.kept.ok_or(Error::CannotGoOn)?;
            return self.go_on(head, kept);
        }
        self.kept = None;
        if self.job.takes_name {
            self.take_name(&head.response).map_err(Error::Write)?;
        }
        let prefix = if self.job.include {
            shown_head(&head.response, self.output.is_terminal())
        } else {
            Vec::new()
        };
        self.begun = true;
        self.output
            .begin(head.first, prefix)
            .map_err(Error::Write)?;
        self.progress.start(head.end.map(|end| end - head.first), 0);
        let info = head.complete.filter(|_| self.job.is_resumable());
        self.info = info.and_then(|complete| {
            let have = self.will_have(head, Vec::new())?;
            Info::of(self.job.key(), &head.response, complete, have)
        });
        self.note_down()
    }

    /// Writes a head to where the user wants to have them all.
    fn write_head(&self, head: &ResponseHead) -> Result<(), Failure> {
        let Some(heads) = &self.job.heads else {
            return Ok(());
        };
        let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
        let text = shown_head(head, heads.is_terminal());
        heads.write(&text)
    }

    /// The file gets the name that the server proposes, if that is harmless.
    fn take_name(&mut self, head: &ResponseHead) -> Result<(), Failure> {
        match proposed::name(head) {
            Some(name) => self.output.rename(name),
            None => {
                if self.job.verbose && head.fields.contains("Content-Disposition") {
                    terminal::note("the server proposes no harmless name: the target's is used");
                }
                Ok(())
            }
        }
    }

    /// The answer is what is missing of what is kept.
    fn go_on(&mut self, head: &Head, kept: &Kept) -> Result<(), Error> {
        let whole = Some(kept.info.complete);
        if head.complete != whole || head.end != whole {
            return Err(Error::CannotGoOn);
        }
        // It begins at 0, wherever the answer does.
        let have = kept.usable(head.framed);
        self.begun = true;
        self.output.go_on(have).map_err(Error::Write)?;
        self.progress.start(
            head.end,
            have.iter().map(|part| part.end - part.start).sum(),
        );
        self.info = self.will_have(head, have.to_vec()).map(|have| Info {
            have,
            ..kept.info.clone()
        });
        self.note_down()
    }

    /// What can be said of the file while it is written. Nothing, where bytes lie as they came:
    /// one that was lost would go unnoticed.
    fn will_have(&self, head: &Head, parts: Vec<Range<u64>>) -> Option<Have> {
        if head.framed {
            Some(Have::Parts(parts))
        } else {
            (self.job.protocol == Protocol::Sctp).then_some(Have::All)
        }
    }

    /// Notes what the file is a part of, should the program be killed.
    fn note_down(&self) -> Result<(), Error> {
        self.output.note(self.info.as_ref()).map_err(Error::Write)
    }

    /// An answer of HTTP/0.9 is all body.
    fn begin_without_head(&mut self) -> Result<(), Error> {
        if self.begun || self.head.is_some() || self.job.head_only {
            return Ok(());
        }
        if self.job.range.is_some() {
            return Err(Error::Exchange(ExchangeFailure::RangeNotHonoured));
        }
        self.kept = None;
        self.begun = true;
        self.wanted = true;
        self.output.begin(0, Vec::new()).map_err(Error::Write)?;
        self.progress.start(None, 0);
        Ok(())
    }
}

/// How many bytes that lie one behind the other are written at once: blocks are as small as the
/// path's packets, and each write is a system call.
const BATCH: usize = 64 * 1024;

impl Download<'_> {
    /// Takes bytes to be written together with those that follow them, in one turn of the driver.
    fn batch(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let follows = offset == self.batch_offset + self.batch.len() as u64;
        if !follows || self.batch.len() >= BATCH {
            self.write_batch()?;
        }
        if self.batch.is_empty() {
            self.batch_offset = offset;
        }
        self.batch.extend_from_slice(data);
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = self.output.write(self.batch_offset, &self.batch);
        self.batch.clear();
        written.map_err(Error::Write)
    }

    fn note_error(&mut self, result: Result<(), Error>) -> Option<Command> {
        self.error = Some(result.err()?);
        Some(Command::Cancel)
    }
}

impl Application<Exchange> for Download<'_> {
    fn run(&mut self, now: Instant, machine: &mut Exchange) -> Option<Instant> {
        while let Some(((), event)) = machine.poll_event() {
            if let Some(command) = self.handle_event(event) {
                machine.handle_command(now, (), command);
            }
        }
        if let Some(command) = self.settle(now) {
            machine.handle_command(now, (), command);
        }
        self.deadline()
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

/// A head as it is printed: safe to show where a person looks.
pub(super) fn shown_head(head: &ResponseHead, to_terminal: bool) -> Vec<u8> {
    let text = head_text(head);
    if !to_terminal {
        return text;
    }
    let lines = terminal::printable_lines(&text).map(|line| format!("{line}\n"));
    lines.collect::<String>().into_bytes()
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
