//! `cli get`: fetch targets and save them.

mod connect;
mod download;
mod output;
mod partial;

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::client::{self, Failure as ExchangeFailure, Wanted};
use proto::fields::Fields;
use proto::machine::{CloseReason, Delivery};
use proto::request::Method;
use proto::status::Status;
use socket::Protocol;
use socket::stop::Shutdown;
use socket::wait::wait;
use transport::{Connection, DatagramSocket, Limits};

use crate::args::{self, Driver};
use crate::exit::{Code, Failure};
use crate::url::Target;
use crate::{clock, plan, terminal};
use connect::Connected;
use download::{Download, Error, Outcome};
use output::Output;
use partial::{Have, Info};

/// How long an interrupted transfer may take to say goodbye.
const GRACE: Duration = Duration::from_secs(1);
/// The first wait for an answer over DCCP before the request is sent again, at least and at most.
const SHORTEST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// The pause before the first repeat; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also when the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One target, and all that was said about it.
#[derive(Debug)]
struct Job {
    target: Target,
    protocol: Protocol,
    driver: Driver,
    ppid: u32,
    service_code: u32,
    ccid: Option<u8>,
    local: Vec<IpAddr>,
    ipv4_only: bool,
    ipv6_only: bool,
    connect_timeout: Duration,
    stall_timeout: Duration,
    max_time: Option<Duration>,
    retries: u32,
    max_body: Option<u64>,
    destination: Destination,
    no_clobber: bool,
    head_only: bool,
    include: bool,
    range: Option<Wanted>,
    go_on: bool,
    seed_form: bool,
    http09: bool,
    allow_unverified: bool,
    no_fail: bool,
    open: bool,
    verbose: bool,
    silent: bool,
    shutdown: Shutdown,
}

#[derive(Debug)]
enum Destination {
    Stdout,
    File(PathBuf),
}

/// What an earlier attempt left.
#[derive(Debug)]
struct Kept {
    /// Which bytes of the whole, ascending.
    have: Vec<Range<u64>>,
    info: Info,
}

impl Kept {
    /// How many bytes there are from the first without a hole.
    fn unbroken(&self) -> u64 {
        self.have
            .first()
            .filter(|part| part.start == 0)
            .map_or(0, |part| part.end)
    }

    /// What of it an answer lets us keep: a body without offsets goes on behind the first hole.
    fn usable(&self, framed: bool) -> &[Range<u64>] {
        let unbroken = usize::from(self.unbroken() > 0);
        if framed {
            &self.have
        } else {
            &self.have[..unbroken]
        }
    }
}

/// Fetches all targets, one after the other. The last failure decides the exit code.
pub(crate) fn run(args: &args::Get) -> Result<(), Code> {
    let jobs = jobs(args).map_err(|failure| report(&failure))?;
    let mut result = Ok(());
    for job in &jobs {
        if let Err(failure) = fetch(job) {
            result = Err(report(&failure.about(&job.target)));
        }
        if job.shutdown.graceful.is_stopped() {
            return Err(Code::Interrupted);
        }
    }
    result
}

#[expect(clippy::print_stderr, reason = "errors are for people")]
fn report(failure: &Failure) -> Code {
    eprintln!("cli get: {failure}");
    failure.code
}

fn jobs(args: &args::Get) -> Result<Vec<Job>, Failure> {
    args.transport.check_carrier()?;
    if args.targets.len() > 1
        && args
            .output
            .as_deref()
            .is_some_and(|name| name != Path::new("-"))
    {
        let message = "--output names one file, and there are several targets";
        return Err(
            Failure::new(Code::Usage, message).hint("leave it out to save each under its own name")
        );
    }
    let shutdown = Shutdown::on_signals()
        .map_err(|error| Failure::new(Code::Receive, format_args!("no signals: {error}")))?;
    args.targets
        .iter()
        .map(|target| job(args, target, &shutdown))
        .collect()
}

fn job(args: &args::Get, target: &str, shutdown: &Shutdown) -> Result<Job, Failure> {
    let target = Target::parse(target, args.port)?;
    let proto = target.proto.unwrap_or(args.transport.proto);
    let destination = match &args.output {
        Some(name) if name == Path::new("-") => Destination::Stdout,
        Some(name) => Destination::File(name.clone()),
        None if args.head => Destination::Stdout,
        None => Destination::File(target.file_name().into()),
    };
    Ok(Job {
        protocol: proto.into(),
        driver: args.transport.driver,
        ppid: args.transport.ppid,
        service_code: args.transport.sent_code()?,
        ccid: args.transport.ccid,
        local: args.bind.clone(),
        ipv4_only: args.ipv4,
        ipv6_only: args.ipv6,
        connect_timeout: args.connect_timeout,
        stall_timeout: args.stall_timeout,
        max_time: args.max_time,
        retries: args.retries,
        max_body: args.max_filesize,
        destination,
        no_clobber: args.no_clobber,
        head_only: args.head,
        include: args.include,
        range: args.range.as_deref().map(plan::range).transpose()?,
        go_on: args.continue_,
        seed_form: args.seed_form,
        http09: args.http09,
        allow_unverified: args.allow_unverified,
        no_fail: args.no_fail,
        open: args.open,
        verbose: args.verbose,
        silent: args.silent,
        shutdown: shutdown.clone(),
        target,
    })
}

impl Job {
    fn file_name(&self) -> Option<&Path> {
        match &self.destination {
            Destination::File(name) => Some(name),
            Destination::Stdout => None,
        }
    }

    /// Names what is fetched, to know a `.part` of it again.
    fn key(&self) -> String {
        let Target { port, path, .. } = &self.target;
        let host = self.target.host.as_deref().unwrap_or_default();
        format!("{host}:{port}{path}")
    }

    fn shows_progress(&self) -> bool {
        !self.silent && !self.verbose && !self.head_only
    }

    /// The file, if a part of it is of use to a later attempt: it begins with the first byte.
    fn resumable_name(&self) -> Option<&Path> {
        self.file_name()
            .filter(|_| self.range.is_none() && !self.include)
    }

    fn wants_body_of(&self, status: Status) -> bool {
        !self.head_only && (status.is_success() || self.no_fail)
    }

    fn open_output(&self, go_on: bool) -> io::Result<Output> {
        match self.file_name() {
            Some(name) => Output::file(name, go_on),
            None => Output::stdout(self.protocol == Protocol::Sctp),
        }
    }

    fn kept(&self) -> Option<Kept> {
        let (have, info) = partial::find(self.resumable_name()?, &self.key())?;
        Some(Kept { have, info })
    }

    /// The machine of one attempt. `handshake` is what the connection took: it tells how soon an
    /// answer may be expected.
    fn exchange(
        &self,
        kept: Option<&Kept>,
        handshake: Duration,
    ) -> Result<client::Exchange, Failure> {
        let delivery = match self.protocol {
            Protocol::Sctp => Delivery::Reliable,
            Protocol::Dccp => Delivery::Unreliable,
        };
        let mut fields = Fields::new();
        let this_machine = if self.ipv6_only { "::1" } else { "127.0.0.1" };
        fields.push("Host", self.target.host_field(this_machine));
        fields.push(
            "User-Agent",
            concat!("http-over-messages/", env!("CARGO_PKG_VERSION")),
        );
        let config = client::Config {
            method: if self.head_only {
                Method::Head
            } else {
                Method::Get
            },
            fields,
            // One byte is fetched again, so that a part that is whole already is no special case.
            range: kept
                .map(|kept| Wanted::From(kept.unbroken().min(kept.info.complete - 1)))
                .or(self.range),
            if_range: kept.map(|kept| kept.info.validator.clone()),
            have: kept.map_or_else(Vec::new, |kept| kept.have.clone()),
            seed_form: self.seed_form,
            http09: self.http09,
            ppid: self.ppid,
            max_body: self.max_body,
            stall: self.stall_timeout,
            first_retry: (handshake * 4).clamp(SHORTEST_RETRY, LONGEST_RETRY),
            ..client::Config::new(delivery, self.target.path.clone())
        };
        client::Exchange::new(config).map_err(|error| {
            Failure::new(Code::BadUrl, format_args!("cannot be asked for: {error}"))
        })
    }
}

/// Fetches one target, again if a failure may pass.
fn fetch(job: &Job) -> Result<(), Failure> {
    let deadline = job.max_time.map(|limit| clock() + limit);
    check_destination(job)?;
    let mut go_on = job.go_on;
    let mut attempt = 0;
    loop {
        let kept = job.kept().filter(|kept| go_on && kept.info.complete > 0);
        let failed = match attempt_once(job, kept.as_ref(), deadline) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        if attempt >= job.retries || !failed.may_pass || job.shutdown.graceful.is_stopped() {
            return Err(failed.failure);
        }
        let pause = failed
            .pause
            .unwrap_or(FIRST_PAUSE * (1 << attempt.min(5)))
            .min(LONGEST_PAUSE);
        if deadline.is_some_and(|deadline| clock() + pause >= deadline) {
            return Err(failed.failure);
        }
        attempt += 1;
        go_on = failed.go_on;
        if !job.silent {
            terminal::note(format_args!(
                "{}; trying again in {} ({attempt} of {})",
                failed.failure,
                terminal::duration(pause),
                job.retries
            ));
        }
        // Interrupted or not, the next step finds out.
        let mut entries = [socket::wait::Entry::new(
            job.shutdown.graceful.as_fd(),
            socket::wait::Interest::Read,
        )];
        let _ = wait(&mut entries, Some(clock() + pause));
    }
}

fn check_destination(job: &Job) -> Result<(), Failure> {
    let Some(name) = job.file_name() else {
        return Ok(());
    };
    let failure = |message: String| Failure::new(Code::Write, message);
    if name.is_dir() {
        return Err(
            failure(format!("{} is a folder", name.display())).hint("name a file with -o FILE")
        );
    }
    if job.no_clobber && name.exists() {
        return Err(failure(format!("{} exists", name.display()))
            .hint("leave out --no-clobber to replace it"));
    }
    Ok(())
}

/// A failed attempt.
struct Failed {
    failure: Failure,
    /// Whether another attempt may fare better.
    may_pass: bool,
    /// Whether it can go on with what is there.
    go_on: bool,
    /// How long the server asks to be left alone.
    pause: Option<Duration>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            may_pass: false,
            go_on: false,
            pause: None,
        }
    }
}

fn attempt_once(job: &Job, kept: Option<&Kept>, deadline: Option<Instant>) -> Result<(), Failed> {
    let started = clock();
    let (connected, handshake) = connect::connect(job, deadline).map_err(|failure| Failed {
        may_pass: matches!(failure.code, Code::Timeout | Code::Aborted),
        go_on: true,
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
    let download = Download::new(job, kept, deadline);
    let outcome = match connected {
        Connected::Sctp(socket) => exchange(job, socket, machine, download),
        Connected::Dccp(socket) => exchange(job, socket, machine, download),
    }
    .map_err(|error| Failure::new(Code::Receive, format_args!("cannot wait: {error}")))?
    .finish();
    conclude(job, outcome, started)
}

fn exchange<'a, S>(
    job: &Job,
    socket: S,
    machine: client::Exchange,
    download: Download<'a>,
) -> io::Result<Download<'a>>
where
    S: DatagramSocket<Peer = ()> + AsFd,
{
    let limits = Limits {
        stall: job.stall_timeout,
        linger: GRACE,
        ..Limits::default()
    };
    let connection = Connection::new(machine, socket, download, limits);
    match job.driver {
        Driver::Std => driver_std::run(connection, GRACE, &job.shutdown),
        Driver::Mio => driver_mio::run(connection, GRACE, &job.shutdown),
    }
}

/// Makes of an outcome what the user gets: a file, or an error and what is left.
fn conclude(job: &Job, outcome: Outcome, started: Instant) -> Result<(), Failed> {
    let Outcome {
        result,
        head,
        output,
        info,
        transferred,
    } = outcome;
    let done = match result {
        Ok(done) => done,
        Err(error) => return Err(give_up(job, error, output, info)),
    };
    if job.verbose {
        let took = terminal::duration(clock() - started);
        terminal::note(format_args!("{transferred} bytes of body in {took}"));
        if job.protocol == Protocol::Dccp {
            terminal::note(format_args!("repair rounds: {}", done.rounds));
        }
    }
    let response = head.as_ref().map(|head| &head.response);
    if job.head_only
        && let Some(response) = response
    {
        print_head(&download::head_text(response))?;
    }
    if let Some(response) = response
        && !response.status.is_success()
        && !job.no_fail
    {
        return Err(refused(response));
    }
    let Some(output) = output else {
        return if job.head_only {
            Ok(())
        } else {
            Err(Failure::new(Code::Receive, "the server sent no answer").into())
        };
    };
    let whole = head
        .as_ref()
        .is_none_or(|head| job.range.is_none() && head.response.status.is_success());
    let checked = match response {
        Some(response) if whole => output.check(&download::digests(response)),
        _ => Ok(None),
    }
    .map_err(write_failure)?;
    match checked {
        Some(false) => {
            output.discard().map_err(write_failure)?;
            let message = "the bytes do not agree with the server's digest";
            return Err(Failed {
                may_pass: true,
                ..Failure::new(Code::Digest, message).into()
            });
        }
        None if !done.verified && !job.allow_unverified => {
            let message = "nothing tells whether what came over DCCP is whole";
            return Err(Failure::new(Code::Unverified, message)
                .hint("it is in the .part file; --allow-unverified takes it as it is")
                .into());
        }
        Some(true) | None => {}
    }
    let saved = output.complete().map_err(write_failure)?;
    if let Some(name) = saved {
        saved_as(job, &name, transferred, started);
    }
    Ok(())
}

fn saved_as(job: &Job, name: &Path, transferred: u64, started: Instant) {
    if !job.silent {
        let took = clock() - started;
        terminal::note(format_args!(
            "saved {} ({} in {})",
            terminal::printable(name.display().to_string().as_bytes()),
            terminal::size(transferred),
            terminal::duration(took)
        ));
    }
    if job.open
        && let Err(error) = open::that_detached(name)
    {
        terminal::note(format_args!(
            "no viewer could be started for {}: {error}",
            name.display()
        ));
    }
}

fn print_head(text: &[u8]) -> Result<(), Failed> {
    use std::io::Write;
    let mut stdout = io::stdout();
    stdout
        .write_all(text)
        .and_then(|()| stdout.flush())
        .map_err(|error| write_failure(error).into())
}

/// The answer is not what was asked for.
fn refused(response: &proto::response::ResponseHead) -> Failed {
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
        go_on: true,
        pause: download::retry_after(response).filter(|_| unavailable),
    }
}

/// Keeps what can be gone on with, and says what went wrong.
fn give_up(job: &Job, error: Error, output: Option<Output>, info: Option<Info>) -> Failed {
    let mut may_pass = false;
    let mut worthless = false;
    let failure = match error {
        Error::Write(error) => write_failure(error),
        Error::TimedOut => Failure::new(Code::Timeout, "not finished within --max-time"),
        Error::CannotGoOn => {
            may_pass = true;
            worthless = true;
            Failure::new(
                Code::Range,
                "the .part file is not of the file that the server has",
            )
        }
        Error::Exchange(failure) => {
            may_pass = is_passing(&failure);
            worthless = matches!(failure, ExchangeFailure::Conflict);
            Failure::new(exchange_code(&failure), failure)
        }
    };
    let go_on = match output {
        Some(output) if worthless => {
            // Should it stay, it is replaced by the next attempt.
            let _ = output.discard();
            false
        }
        Some(output) => keep(job, output, info),
        None => false,
    };
    Failed {
        failure: if go_on && !may_pass {
            failure.hint("what came is in the .part file; -C goes on with it")
        } else {
            failure
        },
        may_pass,
        go_on,
        pause: None,
    }
}

/// Keeps what came, with what is needed to go on; whether there is anything to go on with.
fn keep(job: &Job, output: Output, info: Option<Info>) -> bool {
    let have = output.keep();
    let (Some(name), Some(info)) = (job.resumable_name(), info) else {
        return false;
    };
    let some = !have.is_empty();
    let info = match info.have {
        Have::All => info,
        Have::Parts(_) => Info {
            have: Have::Parts(have),
            ..info
        },
    };
    some && partial::write(name, &info).is_ok()
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

fn write_failure(error: io::Error) -> Failure {
    Failure::new(Code::Write, format_args!("cannot write: {error}"))
}
