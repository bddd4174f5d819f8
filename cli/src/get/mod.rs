//! `cli get`: fetch targets and save them.

mod conclude;
mod connect;
mod download;
mod hints;
mod info;
mod job;
mod metered;
mod output;
mod partial;
mod proposed;
mod race;
mod rate;
mod redirect;
mod report;
mod request;
mod resolve;
mod sink;
mod slow;
mod stacked;
mod task;
#[cfg(test)]
mod tests;
mod together;

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::machine::Machine;
use rustix::process::Signal;
use socket::Protocol;
use socket::stop::{self, Shutdown};
use socket::wait::{Entry, Interest, wait};
use transport::{Application, Connection, DatagramSocket, Limits};

use crate::args::{self, Driver};
use crate::exit::{self, Code, Failure};
use crate::sight::{Heard, Role, Watch};
use crate::url::Target;
use crate::{clock, terminal};
use connect::Dccp;
use download::Download;
use job::{Job, Kept};
use output::Output;
use rate::Paced;
use task::{Ended, Task};

/// How long an interrupted transfer may take to say goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// Fetches all targets: those of one SCTP server over one association, all others one after the
/// other, and then those that servers lead to. The last failure, in the order of the targets,
/// decides the exit code.
pub(crate) fn run(args: &args::Get) -> Result<(), Code> {
    let report = |failure: Failure| failure.report("get");
    let (jobs, shutdown) = prepare(args).map_err(report)?;
    let watch = Watch::begin(&args.sight, Role::Client).map_err(report)?;
    let fetched = fetch_all(args, jobs, &shutdown, &watch);
    let shown = watch.finish().map_err(report);
    fetched.and(shown)
}

/// Fetches all targets while `watch` watches, and leaves it to go on.
pub(crate) fn run_watched(args: &args::Get, watch: &Watch) -> Result<(), Code> {
    let (jobs, shutdown) = prepare(args).map_err(|failure| failure.report("get"))?;
    fetch_all(args, jobs, &shutdown, watch)
}

fn fetch_all(
    args: &args::Get,
    mut jobs: Vec<Job>,
    shutdown: &Shutdown,
    watch: &Watch,
) -> Result<(), Code> {
    for job in &mut jobs {
        job.watch = watch.clone();
    }
    let mut results: Vec<Option<Code>> = vec![None; jobs.len()];
    // Each with its place among those that were typed.
    let mut waiting: Vec<(usize, Job)> = jobs.into_iter().enumerate().collect();
    while !waiting.is_empty() {
        let ended = fetch_once(&waiting, shutdown);
        if shutdown.graceful.is_stopped() {
            return Err(interrupted());
        }
        let mut led = Vec::new();
        for ((place, job), ended) in waiting.iter().zip(ended) {
            match ended {
                Ended::Done => {}
                Ended::Failed(code) => results[*place] = Some(code),
                Ended::Led { target, deadline } => match job.led_to(args, target, deadline) {
                    Ok(job) => led.push((*place, job)),
                    Err(failure) => results[*place] = Some(failure.report("get")),
                },
            }
        }
        waiting = led;
    }
    results
        .into_iter()
        .flatten()
        .next_back()
        .map_or(Ok(()), Err)
}

/// Fetches each of the targets as far as one server says.
fn fetch_once(jobs: &[(usize, Job)], shutdown: &Shutdown) -> Vec<Ended> {
    let mut tasks: Vec<Option<Task<'_>>> =
        jobs.iter().map(|(_, job)| Some(Task::new(job))).collect();
    let mut ended: Vec<Ended> = jobs.iter().map(|_| Ended::Done).collect();
    for first in 0..jobs.len() {
        let Some(task) = &tasks[first] else { continue };
        let job = task.job;
        let together: Vec<usize> = (first..jobs.len())
            .filter(|&other| tasks[other].is_some())
            .filter(|&other| other == first || job.goes_with(&jobs[other].1))
            .collect();
        let taken = together.iter().filter_map(|&index| tasks[index].take());
        let mut taken: Vec<Task<'_>> = taken.collect();
        match job.protocol {
            Protocol::Sctp => together::fetch(&mut taken),
            Protocol::Dccp => taken.iter_mut().for_each(fetch),
        }
        for (index, task) in together.into_iter().zip(taken) {
            ended[index] = task.into_ended();
        }
        if shutdown.graceful.is_stopped() {
            break;
        }
    }
    ended
}

/// What the program ends with when the user, or the system, wants it to.
fn interrupted() -> Code {
    if stop::last_signal() == Some(Signal::TERM.as_raw()) {
        Code::Terminated
    } else {
        Code::Interrupted
    }
}

/// What was typed is looked at before a file is made.
fn prepare(args: &args::Get) -> Result<(Vec<Job>, Shutdown), Failure> {
    let shutdown = Shutdown::on_signals().map_err(|error| Failure::no_signals(&error))?;
    let jobs = job::jobs(args, &shutdown)?;
    let heads_there = args.saving.dump_header.as_deref() == Some(Path::new("-"));
    let told_there = args.showing.json || args.showing.write_out.is_some();
    let what = match jobs.iter().any(Job::writes_to_stdout) {
        true => Some("what is fetched"),
        false if heads_there => Some("the heads"),
        false => told_there.then_some("what is told of it"),
    };
    let hint = "give the packets a file: --pcap FILE";
    args.sight.share_stdout(what.map(|what| (what, hint)))?;
    if args.showing.verbose {
        tell_of_proxies();
    }
    Ok((jobs, shutdown))
}

/// No proxy is used (a proxy speaks TCP): that is said to who has set one.
fn tell_of_proxies() {
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let is_set = |name: &&str| env::var_os(*name).is_some_and(|value| !value.is_empty());
    if let Some(name) = names.into_iter().find(is_set) {
        terminal::note(format_args!(
            "{name} is not used: no proxy speaks SCTP or DCCP"
        ));
    }
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
    /// Where the server leads.
    led: Option<Box<Target>>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            may_pass: false,
            go_on: None,
            pause: None,
            led: None,
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
    let (connected, link) = connect::dccp(job, deadline).map_err(not_connected)?;
    progress.connected(&link);
    let machine = job.exchange(kept, link.handshake)?;
    tell_what_is_kept(job, kept);
    let mut download = Download::new(job, output, kept, deadline);
    match connected {
        Dccp::Kernel(socket) => exchange(job, socket, machine, &mut download, deadline),
        Dccp::Udp(stacked) => stacked.exchange(job, machine, &mut download),
        Dccp::Raw(stacked) => stacked.exchange(job, machine, &mut download),
    }
    .map_err(|error| cannot_wait(&error))?;
    let (outcome, output) = download.finish();
    progress.report.figures = link.gauge.figures();
    conclude::conclude(job, output, outcome, started, &mut progress.report)
}

/// A connection that did not come about may do so later if nobody refused it.
fn not_connected(failure: Failure) -> Failed {
    Failed {
        may_pass: matches!(failure.code, Code::Timeout | Code::Aborted),
        ..failure.into()
    }
}

fn cannot_wait(error: &io::Error) -> Failure {
    Failure::new(Code::Receive, format_args!("cannot wait: {error}")).hint(exit::MAKE_ROOM)
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
fn exchange<M, S, A>(
    job: &Job,
    socket: S,
    machine: M,
    application: A,
    deadline: Option<Instant>,
) -> io::Result<()>
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
    let socket = Paced::new(socket, job.limit_rate, &job.shutdown.graceful, deadline);
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
