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
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::client;
use proto::machine::Machine;
use socket::stop::Shutdown;
use socket::wait::{Entry, Interest, wait};
use transport::{Application, Connection, DatagramSocket, Limits};

use crate::args::{self, Driver};
use crate::exit::{Code, Failure};
use crate::sight::{Heard, Role, Watch};
use crate::{clock, terminal};
use connect::Connected;
use download::Download;
use job::{Job, Kept};
use output::Output;

/// How long an interrupted transfer may take to say goodbye.
const GRACE: Duration = Duration::from_secs(1);
/// The pause before the first repeat; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also when the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Fetches all targets, one after the other. The last failure decides the exit code.
pub(crate) fn run(args: &args::Get) -> Result<(), Code> {
    let (jobs, shutdown, watch) = prepare(args).map_err(|failure| failure.report("get"))?;
    let fetched = fetch_all(&jobs, &shutdown);
    let shown = watch.finish().map_err(|failure| failure.report("get"));
    fetched.and(shown)
}

fn fetch_all(jobs: &[Job], shutdown: &Shutdown) -> Result<(), Code> {
    let mut result = Ok(());
    for job in jobs {
        if let Err(failure) = fetch(job) {
            result = Err(failure.about(&job.target).report("get"));
        }
        if shutdown.graceful.is_stopped() {
            return Err(Code::Interrupted);
        }
    }
    result
}

fn prepare(args: &args::Get) -> Result<(Vec<Job>, Shutdown, Watch), Failure> {
    let shutdown = Shutdown::on_signals()
        .map_err(|error| Failure::new(Code::Receive, format_args!("no signals: {error}")))?;
    // What was typed is looked at before a file is made.
    job::jobs(args, &shutdown, &Watch::default())?;
    let watch = Watch::begin(&args.sight, Role::Client)?;
    Ok((job::jobs(args, &shutdown, &watch)?, shutdown, watch))
}

/// Fetches one target, again if a failure may pass.
fn fetch(job: &Job) -> Result<(), Failure> {
    let deadline = job.max_time.map(|limit| clock() + limit);
    let mut output = job.open_output()?;
    let mut go_on = job.go_on;
    let mut attempt = 0;
    loop {
        let kept = job.kept(&output).filter(|_| go_on);
        let failed = match attempt_once(job, &mut output, kept.as_ref(), deadline) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        go_on = failed.go_on.unwrap_or(go_on);
        let may_repeat = failed.may_pass && output.may_begin_anew() && attempt < job.retries;
        let pause = failed
            .pause
            .unwrap_or(FIRST_PAUSE * (1 << attempt.min(5)))
            .min(LONGEST_PAUSE);
        let in_time = deadline.is_none_or(|deadline| clock() + pause < deadline);
        if !may_repeat || !in_time || job.shutdown.graceful.is_stopped() {
            return Err(if failed.go_on == Some(true) {
                let hint = "what came is in the .part file; -C goes on with it";
                failed.failure.or_hint(hint)
            } else {
                failed.failure
            });
        }
        attempt += 1;
        if !job.silent {
            terminal::note(format_args!(
                "{}; trying again in {} ({attempt} of {})",
                failed.failure,
                terminal::duration(pause),
                job.retries
            ));
        }
        // Interrupted or not, the next step finds out.
        let mut entries = [Entry::new(job.shutdown.graceful.as_fd(), Interest::Read)];
        let _ = wait(&mut entries, Some(clock() + pause));
    }
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

fn attempt_once(
    job: &Job,
    output: &mut Output,
    kept: Option<&Kept>,
    deadline: Option<Instant>,
) -> Result<(), Failed> {
    let started = clock();
    let (connected, handshake) = connect::connect(job, deadline).map_err(|failure| Failed {
        may_pass: matches!(failure.code, Code::Timeout | Code::Aborted),
        ..failure.into()
    })?;
    let machine = job.exchange(kept, handshake)?;
    if let Some(kept) = kept.filter(|_| job.verbose) {
        let have: u64 = kept.have.iter().map(|part| part.end - part.start).sum();
        terminal::note(format_args!(
            "going on with {have} of {} bytes",
            kept.info.complete
        ));
    }
    let mut download = Download::new(job, output, kept, deadline);
    match connected {
        Connected::Sctp(socket) => exchange(job, socket, machine, &mut download),
        Connected::Dccp(socket) => exchange(job, socket, machine, &mut download),
        Connected::Udp(stacked) => stacked.exchange(job, machine, &mut download),
        Connected::Raw(stacked) => stacked.exchange(job, machine, &mut download),
    }
    .map_err(|error| Failure::new(Code::Receive, format_args!("cannot wait: {error}")))?;
    let outcome = download.finish();
    conclude::conclude(job, output, outcome, started)
}

fn exchange<S>(
    job: &Job,
    socket: S,
    machine: client::Exchange,
    download: &mut Download<'_>,
) -> io::Result<()>
where
    S: DatagramSocket<Peer = ()> + AsFd,
{
    let limits = Limits {
        linger: GRACE,
        ..job.limits()
    };
    let hearing = job.watch.hearing(job.protocol, &job.target);
    let socket = Heard::new(socket, hearing);
    drive(job, Connection::new(machine, socket, download, limits))
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
