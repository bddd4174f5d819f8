//! A target on its way: what is there of it, and how often it was tried.

use std::time::{Duration, Instant};

use super::Failed;
use super::job::{Job, Kept};
use super::output::Output;
use crate::exit::{Code, Failure};
use crate::{clock, terminal};

/// The pause before the first repeat; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also when the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A target on its way.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) job: &'a Job,
    /// What the body goes to, once it was tried.
    pub(super) output: Option<Output>,
    /// What the attempt under way goes on with.
    pub(super) kept: Option<Kept>,
    pub(super) progress: Progress,
}

/// How far a task has come.
#[derive(Debug)]
pub(super) struct Progress {
    state: State,
    /// Whether the next attempt goes on with what is there.
    go_on: bool,
    attempt: u32,
    /// When the user's time is up, from the first attempt on.
    pub(super) deadline: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Waiting,
    Done,
    Failed(Failure),
}

impl<'a> Task<'a> {
    pub(super) const fn new(job: &'a Job) -> Self {
        Self {
            job,
            output: None,
            kept: None,
            progress: Progress {
                state: State::Waiting,
                go_on: job.go_on,
                attempt: 0,
                deadline: None,
            },
        }
    }

    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.progress.state, State::Waiting)
    }

    /// Makes ready for an attempt; `false` if there is to be none.
    pub(super) fn prepare(&mut self, now: Instant) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let progress = &mut self.progress;
        if self.output.is_none() {
            progress.deadline = self.job.max_time.map(|limit| now + limit);
            match self.job.open_output() {
                Ok(output) => self.output = Some(output),
                Err(failure) => {
                    progress.state = State::Failed(failure);
                    return false;
                }
            }
        }
        let kept = self
            .output
            .as_ref()
            .and_then(|output| self.job.kept(output));
        self.kept = kept.filter(|_| progress.go_on);
        true
    }

    /// Tells of its failure, if it failed, and leaves what the program ends with.
    pub(super) fn into_failure(self) -> Option<Code> {
        match self.progress.state {
            State::Failed(failure) => Some(failure.about(&self.job.target).report("get")),
            State::Waiting | State::Done => None,
        }
    }
}

impl Progress {
    /// Takes note of how an attempt went. Returns how long to wait before the next, if there is to
    /// be one.
    pub(super) fn settle(
        &mut self,
        job: &Job,
        may_begin_anew: bool,
        result: Result<(), Failed>,
    ) -> Option<Duration> {
        let Err(failed) = result else {
            self.state = State::Done;
            return None;
        };
        self.go_on = failed.go_on.unwrap_or(self.go_on);
        let may_repeat = failed.may_pass && may_begin_anew && self.attempt < job.retries;
        let pause = failed
            .pause
            .unwrap_or(FIRST_PAUSE * (1 << self.attempt.min(5)))
            .min(LONGEST_PAUSE);
        let in_time = self.deadline.is_none_or(|due| clock() + pause < due);
        if !may_repeat || !in_time || job.shutdown.graceful.is_stopped() {
            self.state = State::Failed(if failed.go_on == Some(true) {
                let hint = "what came is in the .part file; -C goes on with it";
                failed.failure.or_hint(hint)
            } else {
                failed.failure
            });
            return None;
        }
        self.attempt += 1;
        if !job.silent {
            terminal::note(format_args!(
                "{}; trying again in {} ({} of {})",
                failed.failure,
                terminal::duration(pause),
                self.attempt,
                job.retries
            ));
        }
        Some(pause)
    }

    /// Ends it with a failure.
    pub(super) fn give_up(&mut self, failure: Failure) {
        self.state = State::Failed(failure);
    }

    /// Takes note of an attempt that failed only because another one did on the same association:
    /// it does not count.
    pub(super) fn lose(&mut self, job: &Job, may_begin_anew: bool, failed: Failed) {
        self.go_on = failed.go_on.unwrap_or(self.go_on);
        let late = self.deadline.is_some_and(|due| due <= clock());
        if !may_begin_anew || late || job.shutdown.graceful.is_stopped() {
            self.state = State::Failed(failed.failure);
        }
    }
}
