//! `cli get`: fetch targets and save them.

mod conclude;
mod connect;
mod download;
mod info;
mod job;
mod output;
mod partial;
mod sink;
mod stacked;
mod task;
#[cfg(test)]
mod tests;
mod together;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use proto::machine::Machine;
use socket::Protocol;
use socket::stop::Shutdown;
use socket::wait::{Entry, Interest, wait};
use transport::{Application, Connection, DatagramSocket, Limits};

use crate::args::{self, Driver};
use crate::exit::{Code, Failure};
use crate::sight::{Heard, Role, Watch};
use crate::{clock, terminal};
use connect::Dccp;
use download::Download;
use job::{Job, Kept};
use output::Output;
use task::Task;

/// How long an interrupted transfer may take to say goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// Fetches all targets: those of one SCTP server over one association, all others one after the
/// other. The last failure, in the order of the targets, decides the exit code.
pub(crate) fn run(args: &args::Get) -> Result<(), Code> {
    let report = |failure: Failure| failure.report("get");
    let (mut jobs, shutdown) = prepare(args).map_err(report)?;
    let watch = Watch::begin(&args.sight, Role::Client).map_err(report)?;
    let fetched = fetch_all(&mut jobs, &shutdown, &watch);
    let shown = watch.finish().map_err(report);
    fetched.and(shown)
}

/// Fetches all targets while `watch` watches, and leaves it to go on.
pub(crate) fn run_watched(args: &args::Get, watch: &Watch) -> Result<(), Code> {
    let (mut jobs, shutdown) = prepare(args).map_err(|failure| failure.report("get"))?;
    fetch_all(&mut jobs, &shutdown, watch)
}

fn fetch_all(jobs: &mut [Job], shutdown: &Shutdown, watch: &Watch) -> Result<(), Code> {
    for job in &mut *jobs {
        job.watch = watch.clone();
    }
    let mut results: Vec<Option<Code>> = vec![None; jobs.len()];
    let mut begun = vec![false; jobs.len()];
    for first in 0..jobs.len() {
        if begun[first] {
            continue;
        }
        let together: Vec<usize> = (first..jobs.len())
            .filter(|&other| other == first || jobs[first].goes_with(&jobs[other]))
            .collect();
        let tasks = together.iter().map(|&index| Task::new(&jobs[index]));
        let mut tasks: Vec<Task<'_>> = tasks.collect();
        match jobs[first].protocol {
            Protocol::Sctp => together::fetch(&mut tasks),
            Protocol::Dccp => fetch(&mut tasks[0]),
        }
        for (&index, task) in together.iter().zip(tasks) {
            begun[index] = true;
            results[index] = task.into_failure();
        }
        if shutdown.graceful.is_stopped() {
            return Err(Code::Interrupted);
        }
    }
    results
        .into_iter()
        .flatten()
        .next_back()
        .map_or(Ok(()), Err)
}

/// What was typed is looked at before a file is made.
fn prepare(args: &args::Get) -> Result<(Vec<Job>, Shutdown), Failure> {
    let shutdown = Shutdown::on_signals()
        .map_err(|error| Failure::new(Code::Receive, format_args!("no signals: {error}")))?;
    let jobs = job::jobs(args, &shutdown)?;
    let to_stdout = jobs.iter().any(Job::writes_to_stdout);
    let hint = "name a file for one of them: -o FILE, --pcap FILE";
    args.sight
        .share_stdout(to_stdout.then_some(("what is fetched", hint)))?;
    Ok((jobs, shutdown))
}

/// Fetches one target over DCCP, again if a failure may pass.
fn fetch(task: &mut Task<'_>) {
    let job = task.job;
    while task.prepare(clock()) {
        let result = attempt_once(task);
        let may_begin_anew = task.output.as_ref().is_some_and(Output::may_begin_anew);
        let Some(pause) = task.progress.settle(job, may_begin_anew, result) else {
            return;
        };
        rest(job, pause);
    }
}

/// Waits before another attempt. Interrupted or not, the next step finds out.
fn rest(job: &Job, pause: Duration) {
    let mut entries = [Entry::new(job.shutdown.graceful.as_fd(), Interest::Read)];
    let _ = wait(&mut entries, Some(clock() + pause));
}

/// A failed attempt.
#[derive(Debug)]
struct Failed {
    failure: Failure,
    /// Whether another attempt may fare better.
    may_pass: bool,
    /// Whether it can go on with what is there; `None` if that is as it was before.
    go_on: Option<bool>,
    /// How long the server asks to be left alone.
    pause: Option<Duration>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            may_pass: false,
            go_on: None,
            pause: None,
        }
    }
}

fn attempt_once(task: &mut Task<'_>) -> Result<(), Failed> {
    let Task {
        job,
        output,
        kept,
        progress,
    } = task;
    let (job, kept, deadline) = (*job, kept.as_ref(), progress.deadline);
    let Some(output) = output else {
        return Ok(());
    };
    let started = clock();
    let (connected, handshake) = connect::dccp(job, deadline).map_err(not_connected)?;
    let machine = job.exchange(kept, handshake)?;
    tell_what_is_kept(job, kept);
    let mut download = Download::new(job, output, kept, deadline);
    match connected {
        Dccp::Kernel(socket) => exchange(job, socket, machine, &mut download),
        Dccp::Udp(stacked) => stacked.exchange(job, machine, &mut download),
        Dccp::Raw(stacked) => stacked.exchange(job, machine, &mut download),
    }
    .map_err(|error| cannot_wait(&error))?;
    let (outcome, output) = download.finish();
    conclude::conclude(job, output, outcome, started)
}

/// A connection that did not come about may do so later if nobody refused it.
fn not_connected(failure: Failure) -> Failed {
    Failed {
        may_pass: matches!(failure.code, Code::Timeout | Code::Aborted),
        ..failure.into()
    }
}

fn cannot_wait(error: &io::Error) -> Failure {
    Failure::new(Code::Receive, format_args!("cannot wait: {error}"))
}

fn tell_what_is_kept(job: &Job, kept: Option<&Kept>) {
    if let Some(kept) = kept.filter(|_| job.verbose) {
        let have: u64 = kept.have.iter().map(|part| part.end - part.start).sum();
        terminal::note(format_args!(
            "going on with {have} of {} bytes",
            kept.info.complete
        ));
    }
}

/// Runs `machine` on a socket of the kernel's protocol.
fn exchange<M, S, A>(job: &Job, socket: S, machine: M, application: A) -> io::Result<()>
where
    M: Machine<Peer = ()>,
    S: DatagramSocket<Peer = ()> + AsFd,
    A: Application<M>,
{
    let limits = Limits {
        linger: GRACE,
        ..job.limits()
    };
    let hearing = job.watch.hearing(job.protocol, &job.target);
    let socket = Heard::new(socket, hearing);
    drive(job, Connection::new(machine, socket, application, limits))
}

/// Runs `connection` to its end, with the driver that was asked for.
fn drive<M, S, A>(job: &Job, connection: Connection<M, S, A>) -> io::Result<()>
where
    M: Machine,
    S: DatagramSocket<Peer = M::Peer> + AsFd,
    A: Application<M>,
{
    match job.driver {
        Driver::Std => driver_std::run(connection, GRACE, &job.shutdown),
        Driver::Mio => driver_mio::run(connection, GRACE, &job.shutdown),
    }
    .map(drop)
}

/// What it means that a file cannot be written.
fn write_failure(name: &Path, error: &io::Error) -> Failure {
    let name = name.display().to_string();
    let name = terminal::printable(name.as_bytes());
    Failure::new(Code::Write, format_args!("cannot write {name}: {error}"))
}
