//! Several targets over one SCTP association, one exchange on each stream.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use proto::client::{self, Command, Event, Exchange, Failure as ExchangeFailure, Requests};
use proto::machine::{CloseReason, Machine, StreamId};
use transport::Application;

use super::connect::{self, Link, Sctp};
use super::download::{Download, Error};
use super::job::{Destination, Job};
use super::output::Output;
use super::task::{Progress, Task};
use super::{
    Failed, cannot_wait, conclude, exchange, not_connected, request, rest, tell_what_is_kept,
};
use crate::carrier::Carrier;
use crate::clock;

/// The stream of the first request, which every association has.
const FIRST: StreamId = StreamId(0);

/// Fetches `tasks`, which are of one server, until each is done or has failed.
pub(super) fn fetch(tasks: &mut [Task<'_>]) {
    let Some(job) = tasks.first().map(|task| task.job) else {
        return;
    };
    // What goes to one place comes in its order.
    let in_order = tasks
        .iter()
        .any(|task| !matches!(task.job.destination, Destination::File(_)));
    let mut parallel = if in_order { 1 } else { job.parallel };
    loop {
        let mut waiting: VecDeque<&mut Task<'_>> =
            tasks.iter_mut().filter(|task| task.is_waiting()).collect();
        let count = waiting.len();
        let Some(first) = first_of(&mut waiting) else {
            return;
        };
        let round = Round {
            parallel,
            keep_alive: count > 1,
        };
        let pause = round.run(first, waiting);
        if job.shutdown.graceful.is_stopped() {
            return;
        }
        rest(job, pause);
        // After a failure one at a time (HT12): the server may not take more.
        parallel = 1;
    }
}

/// The first task that can be tried.
fn first_of<'t, 'j>(waiting: &mut VecDeque<&'t mut Task<'j>>) -> Option<&'t mut Task<'j>> {
    loop {
        let task = waiting.pop_front()?;
        if task.prepare(clock()) {
            return Some(task);
        }
    }
}

/// How the targets of one association are fetched.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// How many at once.
    parallel: usize,
    /// Whether the server is told that others follow.
    keep_alive: bool,
}

impl Round {
    fn request(self, task: &Task<'_>) -> client::Config {
        client::Config {
            keep_alive: self.keep_alive,
            ..task.job.request(task.kept.as_ref())
        }
    }

    /// What is under way when an association is begun in `carrier`. On a stack of our own the
    /// client closes: its SHUTDOWN acknowledges the answer too.
    fn requests(carrier: Carrier, config: &client::Config) -> Requests {
        let mut config = config.clone();
        if carrier != Carrier::Kernel {
            config.linger = Duration::ZERO;
        }
        let mut requests = Requests::default();
        // It could be written before.
        let _ = requests.begin(FIRST, config);
        requests
    }

    /// Makes an association and fetches over it what it carries. Returns how long to wait before
    /// another one for what is left.
    fn run<'t, 'j>(self, first: &'t mut Task<'j>, waiting: VecDeque<&'t mut Task<'j>>) -> Duration {
        let job = first.job;
        let config = self.request(first);
        let made = Exchange::new(config.clone())
            .map_err(|error| request::unfit(&error).into())
            .and_then(|_| {
                let requests = |carrier| Self::requests(carrier, &config);
                connect::sctp(job, first.progress.deadline, requests).map_err(not_connected)
            });
        let (connected, link) = match made {
            Ok(made) => made,
            Err(failed) => return refused(job, first, waiting, failed),
        };
        first.progress.connected(&link);
        let deadline = first.progress.deadline;
        let mut downloads = Downloads::new(self, waiting, link);
        downloads.begin(FIRST, first);
        let ended = match connected {
            Sctp::Kernel(socket, requests) => {
                exchange(job, socket, requests, &mut downloads, deadline)
            }
            Sctp::Udp(stacked) => stacked.exchanges(job, &mut downloads),
            Sctp::Raw(stacked) => stacked.exchanges(job, &mut downloads),
        };
        downloads.finish(ended.err().map(|error| cannot_wait(&error).into()))
    }
}

/// No association came about: that is the failure of all who wanted it, told of the first.
fn refused(
    job: &Job,
    first: &mut Task<'_>,
    waiting: VecDeque<&mut Task<'_>>,
    failed: Failed,
) -> Duration {
    let failure = failed.failure.clone();
    if let Some(pause) = first.progress.settle(job, true, Err(failed)) {
        return pause;
    }
    for task in waiting {
        task.progress.end(task.job, Some(failure.clone()));
    }
    Duration::ZERO
}

/// The application of an association: a download on each stream that is in use.
#[derive(Debug)]
struct Downloads<'t, 'j> {
    round: Round,
    link: Link,
    waiting: VecDeque<&'t mut Task<'j>>,
    running: BTreeMap<StreamId, Running<'t>>,
    /// Those that the end of the association cut off.
    lost: Vec<(Finished<'t>, Failed)>,
    /// How many came to an end of their own.
    finished: usize,
    pause: Duration,
}

/// A download under way.
#[derive(Debug)]
struct Running<'t> {
    download: Download<'t>,
    job: &'t Job,
    progress: &'t mut Progress,
    started: Instant,
}

/// What is left of a download.
#[derive(Debug)]
struct Finished<'t> {
    job: &'t Job,
    output: &'t Output,
    progress: &'t mut Progress,
}

impl<'t, 'j> Downloads<'t, 'j> {
    fn new(round: Round, waiting: VecDeque<&'t mut Task<'j>>, link: Link) -> Self {
        Self {
            round,
            link,
            waiting,
            running: BTreeMap::new(),
            lost: Vec::new(),
            finished: 0,
            pause: Duration::ZERO,
        }
    }

    /// Takes note that the request of `task`, which is prepared, was begun on `stream`.
    fn begin(&mut self, stream: StreamId, task: &'t mut Task<'j>) {
        let Task {
            job,
            output,
            kept,
            progress,
        } = task;
        let Some(output) = output else { return };
        tell_what_is_kept(job, kept.as_ref());
        progress.carried(&self.link);
        let download = Download::new(job, output, kept.as_ref(), progress.deadline);
        let running = Running {
            download,
            job,
            progress,
            started: clock(),
        };
        self.running.insert(stream, running);
    }

    /// Begins others where there is room for them.
    fn begin_others(&mut self, machine: &mut Requests) {
        while self.running.len() < self.round.parallel
            && let Some(stream) = machine.free_stream()
            && let Some(task) = self.waiting.pop_front()
        {
            if !task.prepare(clock()) {
                continue;
            }
            match machine.begin(stream, self.round.request(task)) {
                Ok(()) => self.begin(stream, task),
                Err(error) => task.progress.end(task.job, Some(request::unfit(&error))),
            }
        }
        if self.waiting.is_empty() {
            machine.finish();
        }
    }

    /// Makes a file of a download that is over, or an error.
    fn conclude(&mut self, stream: StreamId) {
        let Some(running) = self.running.remove(&stream) else {
            return;
        };
        let Running {
            download,
            job,
            progress,
            started,
        } = running;
        let (outcome, output) = download.finish();
        let cut_off = matches!(&outcome.0, Err(Error::Exchange(failure)) if is_cut_off(failure));
        let report = &mut progress.report;
        report.figures = self.link.gauge.figures();
        let result = conclude::conclude(job, output, outcome, started, report);
        match result {
            Err(failed) if cut_off => {
                let finished = Finished {
                    job,
                    output,
                    progress,
                };
                self.lost.push((finished, failed));
            }
            result => {
                self.finished += 1;
                let pause = progress.settle(job, output.may_begin_anew(), result);
                self.pause = self.pause.max(pause.unwrap_or_default());
            }
        }
    }

    /// What is under way fails with the association, and does not count if something else came to
    /// an end on it. Returns how long to wait before another one.
    fn finish(mut self, failed: Option<Failed>) -> Duration {
        for stream in self.running.keys().copied().collect::<Vec<_>>() {
            self.conclude(stream);
        }
        let ended = failed.is_some();
        for (finished, lost) in self.lost {
            let Finished {
                job,
                output,
                progress,
            } = finished;
            let anew = output.may_begin_anew();
            if self.finished > 0 && !ended {
                progress.lose(job, anew, lost);
            } else {
                let pause = progress.settle(job, anew, Err(lost));
                self.pause = self.pause.max(pause.unwrap_or_default());
            }
        }
        if let Some(failed) = failed {
            for task in self.waiting {
                task.progress.end(task.job, Some(failed.failure.clone()));
            }
        }
        self.pause
    }
}

/// Whether an exchange failed because its association ended.
const fn is_cut_off(failure: &ExchangeFailure) -> bool {
    matches!(
        failure,
        ExchangeFailure::Closed(
            CloseReason::Graceful | CloseReason::Cancelled | CloseReason::Aborted
        ) | ExchangeFailure::Incomplete {
            why: Some(CloseReason::Graceful | CloseReason::Cancelled | CloseReason::Aborted),
            ..
        }
    )
}

impl Application<Requests> for Downloads<'_, '_> {
    fn run(&mut self, now: Instant, machine: &mut Requests) -> Option<Instant> {
        loop {
            let mut commands: Vec<(StreamId, Command)> = Vec::new();
            while let Some((stream, event)) = machine.poll_event() {
                let over = matches!(event, Event::Finished(_));
                if let Some(running) = self.running.get_mut(&stream) {
                    let command = running.download.handle_event(event);
                    if let Some(command) = command {
                        machine.handle_command(now, stream, command);
                    }
                }
                if over {
                    self.conclude(stream);
                }
            }
            for (stream, running) in &mut self.running {
                let command = running.download.settle(now);
                commands.extend(command.map(|command| (*stream, command)));
            }
            if commands.is_empty() {
                break;
            }
            // What they bring about is told in events.
            for (stream, command) in commands {
                machine.handle_command(now, stream, command);
            }
        }
        self.begin_others(machine);
        let downloads = self.running.values();
        downloads
            .filter_map(|running| running.download.deadline())
            .min()
    }
}
