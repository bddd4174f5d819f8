//! A target on its way: what is there of it, and how often it was tried.

use std::time::{Duration, Instant};

use super::connect::Link;
use super::job::{Destination, Job, Kept};
use super::metered::seconds;
use super::output::Output;
use super::report::Report;
use super::{Failed, interrupted};
use crate::exit::{Code, Failure};
use crate::url::Target;
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
    /// When no other attempt may begin any more.
    last_attempt: Option<Instant>,
    /// What is told of it in the end.
    pub(super) report: Report,
}

#[derive(Debug)]
enum State {
    Waiting,
    Ended(Ended),
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done,
    /// People were told.
    Failed(Code),
    /// The server leads there, and time is up then.
    Led {
        target: Target,
        deadline: Option<Instant>,
    },
}

impl<'a> Task<'a> {
    pub(super) fn new(job: &'a Job) -> Self {
        Self {
            job,
            output: None,
            kept: None,
            progress: Progress {
                state: State::Waiting,
                go_on: job.go_on,
                attempt: 0,
                deadline: None,
                last_attempt: None,
                report: Report::of(job),
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
        progress.report.began = Some(now);
        if self.output.is_none() {
            let limit = self.job.max_time;
            progress.deadline = self.job.deadline.or(limit.map(|limit| now + limit));
            progress.last_attempt = self.job.retry_max_time.map(|limit| now + limit);
            match self.job.open_output() {
                Ok(output) => self.output = Some(output),
                Err(failure) => {
                    progress.end(self.job, Some(failure));
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

    /// How it ended; what was never begun, because the user gave up, counts as done.
    pub(super) fn into_ended(self) -> Ended {
        match self.progress.state {
            State::Ended(ended) => ended,
            State::Waiting => Ended::Done,
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
            self.end(job, None);
            return None;
        };
        if let Some(target) = failed.led {
            self.state = State::Ended(Ended::Led {
                target: *target,
                deadline: self.deadline,
            });
            return None;
        }
        self.go_on = failed.go_on.unwrap_or(self.go_on);
        let may_repeat = failed.may_pass && may_begin_anew && self.attempt < job.retries;
        let pause = job.retry_delay.unwrap_or_else(|| {
            failed
                .pause
                .unwrap_or(FIRST_PAUSE * (1 << self.attempt.min(5)))
                .min(LONGEST_PAUSE)
        });
        let ends = [self.deadline, self.last_attempt];
        let in_time = ends.iter().flatten().all(|due| clock() + pause < *due);
        if !may_repeat || !in_time || job.shutdown.graceful.is_stopped() {
            let hint = "what came is in the .part file; -C goes on with it";
            let failure = if failed.go_on == Some(true) {
                failed.failure.and_hint(hint)
            } else {
                failed.failure
            };
            self.end(job, Some(failure));
            return None;
        }
        self.attempt += 1;
        self.report.num_retries = self.attempt;
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

    /// Ends it, and tells of it.
    pub(super) fn end(&mut self, job: &Job, failure: Option<Failure>) {
        let failure = failure.map(|mut failure| {
            if failure.code == Code::Interrupted {
                failure.code = interrupted();
            }
            failure
        });
        self.report.ended(clock(), failure.as_ref());
        let mut ended = match failure {
            None => Ended::Done,
            Some(failure) => Ended::Failed(failure.about(job.typed()).report("get")),
        };
        let body_on_stdout = job.destination == Destination::Stdout;
        if let Err(failure) = job.telling.tell(&self.report, body_on_stdout) {
            let code = failure.report("get");
            if matches!(ended, Ended::Done) {
                ended = Ended::Failed(code);
            }
        }
        self.state = State::Ended(ended);
    }

    /// Takes note of the connection that was made for it.
    pub(super) fn connected(&mut self, link: &Link) {
        let report = &mut self.report;
        report.time_namelookup = Some(seconds(report.since_began(link.found)));
        report.time_connect = Some(seconds(report.since_began(link.established)));
        report.num_connects += 1;
        self.carried(link);
    }

    /// Takes note of the connection that carries it.
    pub(super) fn carried(&mut self, link: &Link) {
        self.report.remote_ip = Some(link.remote.ip().to_string());
        self.report.remote_port = Some(link.remote.port());
        self.report.carrier = Some(link.carrier.to_string());
    }

    /// Takes note of an attempt that failed only because another one did on the same association:
    /// it does not count.
    pub(super) fn lose(&mut self, job: &Job, may_begin_anew: bool, failed: Failed) {
        self.go_on = failed.go_on.unwrap_or(self.go_on);
        let late = self.deadline.is_some_and(|due| due <= clock());
        if !may_begin_anew || late || job.shutdown.graceful.is_stopped() {
            self.end(job, Some(failed.failure));
        }
    }
}
