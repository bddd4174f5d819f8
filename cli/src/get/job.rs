//! What is to be fetched, and how: one target and all that was said about it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::client::{self, Wanted};
use proto::fields::Fields;
use proto::machine::Delivery;
use proto::request::{Method, WriteError};
use proto::status::Status;
use socket::Protocol;
use socket::stop::Shutdown;
use transport::Limits;

use super::info::Info;
use super::output::Output;
use super::sink::{self, Sink};
use crate::args::{self, Driver};
use crate::carrier::Carrier;
use crate::exit::{Code, Failure};
use crate::plan;
use crate::sight::Watch;
use crate::terminal;
use crate::url::Target;

/// The first wait for an answer over DCCP before the request is sent again, at least and at most.
const SHORTEST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// One target, and all that was said about it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) protocol: Protocol,
    /// What the packets may travel in, in the order in which they are tried.
    pub(super) carriers: Vec<Carrier>,
    pub(super) driver: Driver,
    pub(super) ppid: u32,
    pub(super) service_code: u32,
    pub(super) ccid: Option<u8>,
    pub(super) mtu: Option<u16>,
    pub(super) local: Vec<IpAddr>,
    /// Other addresses of the server.
    pub(super) peers: Vec<IpAddr>,
    /// How many targets are fetched at once over one association.
    pub(super) parallel: usize,
    pub(super) ipv4_only: bool,
    pub(super) ipv6_only: bool,
    pub(super) connect_timeout: Duration,
    pub(super) stall_timeout: Duration,
    pub(super) max_time: Option<Duration>,
    pub(super) retries: u32,
    pub(super) max_body: Option<u64>,
    pub(super) destination: Destination,
    pub(super) no_clobber: bool,
    pub(super) head_only: bool,
    pub(super) include: bool,
    pub(super) range: Option<Wanted>,
    pub(super) go_on: bool,
    pub(super) seed_form: bool,
    pub(super) http09: bool,
    pub(super) allow_unverified: bool,
    pub(super) no_fail: bool,
    pub(super) open: bool,
    pub(super) verbose: bool,
    pub(super) silent: bool,
    /// What watches the packets.
    pub(super) watch: Watch,
    pub(super) shutdown: Shutdown,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Stdout,
    /// What is written into as it is: a device, a pipe.
    Special(PathBuf),
    /// What a complete body replaces.
    File(PathBuf),
}

/// What an earlier attempt left.
#[derive(Debug)]
pub(super) struct Kept {
    /// Which bytes of the whole, ascending.
    pub(super) have: Vec<Range<u64>>,
    pub(super) info: Info,
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
    pub(super) fn usable(&self, framed: bool) -> &[Range<u64>] {
        let unbroken = usize::from(self.unbroken() > 0);
        if framed {
            &self.have
        } else {
            &self.have[..unbroken]
        }
    }
}

/// One job for each target.
pub(super) fn jobs(args: &args::Get, shutdown: &Shutdown) -> Result<Vec<Job>, Failure> {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    let targets = targets(args)?;
    if targets.len() > 1 && args.output.is_some() && !to_stdout {
        let message = "--output names one file, and there are several targets";
        return Err(
            Failure::new(Code::Usage, message).hint("leave it out to save each under its own name")
        );
    }
    if to_stdout && (args.continue_ || args.open) {
        let option = if args.open { "--open" } else { "--continue" };
        let message = format_args!("{option} needs a file, and -o - is none");
        return Err(Failure::new(Code::Usage, message).hint("name one with -o FILE"));
    }
    let mut jobs: Vec<Job> = Vec::new();
    for target in &targets {
        let new = job(args, target, shutdown)?;
        let same = |job: &&Job| job.file_name().is_some() && job.file_name() == new.file_name();
        if let Some(old) = jobs.iter().find(same) {
            let message = format_args!(
                "{} and {} would have the same name, {}",
                old.target,
                new.target,
                new.file_name().unwrap_or(Path::new("")).display()
            );
            return Err(Failure::new(Code::Usage, message).hint("fetch each with its own -o FILE"));
        }
        jobs.push(new);
    }
    Ok(jobs)
}

/// What was typed, and what the input file has besides.
fn targets(args: &args::Get) -> Result<Vec<String>, Failure> {
    let mut targets = args.targets.clone();
    let Some(name) = &args.input_file else {
        if targets.is_empty() {
            targets.push("/".to_owned());
        }
        return Ok(targets);
    };
    let text = if name == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(name)
    };
    let text = text.map_err(|error| {
        let name = name.display().to_string();
        let name = terminal::printable(name.as_bytes());
        Failure::new(
            Code::Usage,
            format_args!("the targets cannot be read from {name}: {error}"),
        )
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    targets.extend(lines.map(str::to_owned));
    Ok(targets)
}

fn job(args: &args::Get, target: &str, shutdown: &Shutdown) -> Result<Job, Failure> {
    let target = Target::parse(target, args.port)?;
    let proto = target.proto.unwrap_or(args.transport.proto);
    let destination = match &args.output {
        Some(name) if name == Path::new("-") => Destination::Stdout,
        Some(name) if sink::is_special(name) => Destination::Special(name.clone()),
        Some(name) => Destination::File(name.clone()),
        None if args.head => Destination::Stdout,
        None => Destination::File(target.file_name().into()),
    };
    Ok(Job {
        protocol: proto.into(),
        carriers: carriers(args, proto.into())?,
        driver: args.transport.driver,
        ppid: args.transport.ppid,
        service_code: args.transport.sent_code()?,
        ccid: args.transport.ccid,
        mtu: args.transport.mtu,
        local: args.bind.clone(),
        peers: args.peer.clone(),
        parallel: args.parallel.into(),
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
        watch: Watch::default(),
        shutdown: shutdown.clone(),
        target,
    })
}

/// The carriers to try: the kernel's sockets are not told of a server's other addresses.
fn carriers(args: &args::Get, protocol: Protocol) -> Result<Vec<Carrier>, Failure> {
    let mut carriers = args.transport.carriers(protocol);
    if args.peer.is_empty() {
        return Ok(carriers);
    }
    let usage = |message| Err(Failure::new(Code::Usage, message));
    if protocol == Protocol::Dccp {
        return usage("--peer is for SCTP: a DCCP connection has one address");
    }
    carriers.retain(|carrier| *carrier != Carrier::Kernel);
    if carriers.is_empty() {
        return usage("--peer needs a stack of our own: --via udp or --via raw");
    }
    Ok(carriers)
}

impl Job {
    /// Whether what is fetched goes to stdout.
    pub(super) fn writes_to_stdout(&self) -> bool {
        self.destination == Destination::Stdout
    }

    /// Whether the answer to `self` and to `other` can come over one association.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let place = |job: &Self| (job.protocol, job.target.host.clone(), job.target.port);
        // An answer without a length ends with the association.
        let apart = self.seed_form || self.http09;
        self.protocol == Protocol::Sctp && !apart && place(self) == place(other)
    }

    /// The file that a complete body replaces.
    pub(super) fn file_name(&self) -> Option<&Path> {
        match &self.destination {
            Destination::File(name) => Some(name),
            Destination::Special(_) | Destination::Stdout => None,
        }
    }

    /// Names what is fetched, to know a `.part` of it again.
    pub(super) fn key(&self) -> String {
        let Target { port, path, .. } = &self.target;
        let host = self.target.host.as_deref().unwrap_or_default();
        format!("{host}:{port}{path}")
    }

    /// What the connection is held to.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            stall: self.stall_timeout,
            ..Limits::default()
        }
    }

    pub(super) fn shows_progress(&self) -> bool {
        !self.silent && !self.verbose && !self.head_only
    }

    /// Whether a part of the file is of use to a later attempt: it begins with the first byte.
    pub(super) fn is_resumable(&self) -> bool {
        self.file_name().is_some() && self.range.is_none() && !self.include && !self.head_only
    }

    pub(super) fn wants_body_of(&self, status: Status) -> bool {
        !self.head_only && (status.is_success() || self.no_fail)
    }

    /// Whether this machine, where a target names no host, is meant by its IPv6 address.
    pub(super) fn prefers_ipv6(&self) -> bool {
        let bound_to_ipv6 = !self.local.is_empty() && self.local.iter().all(IpAddr::is_ipv6);
        self.ipv6_only || (bound_to_ipv6 && !self.ipv4_only)
    }

    /// Opens what the body goes to, or tells why that cannot be.
    pub(super) fn open_output(&self) -> Result<Output, Failure> {
        let in_order = self.protocol == Protocol::Sctp || self.head_only;
        let stop = &self.shutdown.graceful;
        let name = match &self.destination {
            Destination::Stdout => return Output::stream(Sink::stdout(stop)?, in_order),
            Destination::Special(name) => {
                return Output::stream(Sink::open(name, stop)?, in_order);
            }
            Destination::File(name) => name,
        };
        let failure = |message: String| Failure::new(Code::Write, message);
        if name.is_dir() {
            return Err(
                failure(format!("{} is a folder", name.display())).hint("name a file with -o FILE")
            );
        }
        if self.no_clobber && name.exists() {
            return Err(failure(format!("{} exists", name.display()))
                .hint("leave out --no-clobber to replace it"));
        }
        Output::file(name)
    }

    /// What there is to go on with.
    pub(super) fn kept(&self, output: &Output) -> Option<Kept> {
        let (have, info) = output.kept(&self.key()).filter(|_| self.is_resumable())?;
        (info.complete > 0).then_some(Kept { have, info })
    }

    /// The machine of one attempt. `handshake` is what the connection took: it tells how soon an
    /// answer may be expected.
    pub(super) fn exchange(
        &self,
        kept: Option<&Kept>,
        handshake: Duration,
    ) -> Result<client::Exchange, Failure> {
        let config = client::Config {
            first_retry: (handshake * 4).clamp(SHORTEST_RETRY, LONGEST_RETRY),
            ..self.request(kept)
        };
        client::Exchange::new(config).map_err(|error| unfit(&error))
    }

    /// What to ask for in one attempt.
    pub(super) fn request(&self, kept: Option<&Kept>) -> client::Config {
        let delivery = match self.protocol {
            Protocol::Sctp => Delivery::Reliable,
            Protocol::Dccp => Delivery::Unreliable,
        };
        let mut fields = Fields::new();
        let this_machine = if self.prefers_ipv6() {
            "::1"
        } else {
            "127.0.0.1"
        };
        fields.push("Host", self.target.host_field(this_machine));
        fields.push(
            "User-Agent",
            concat!("http-over-messages/", env!("CARGO_PKG_VERSION")),
        );
        client::Config {
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
            ..client::Config::new(delivery, self.target.path.clone())
        }
    }
}

/// What it means that a request cannot be written.
pub(super) fn unfit(error: &WriteError) -> Failure {
    Failure::new(Code::BadUrl, format_args!("cannot be asked for: {error}"))
}

/// The jobs of a command line, for tests.
#[cfg(test)]
pub(super) fn of_words(words: &[&str]) -> Result<Vec<Job>, Failure> {
    use clap::Parser;
    let words = [&["cli", "get"], words].concat();
    let args::Command::Get(args) = args::Cli::parse_from(words).command else {
        unreachable!("get was asked for");
    };
    jobs(&args, &Shutdown::new().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(words: &[&str]) -> Destination {
        of_words(words).unwrap().remove(0).destination
    }

    #[test]
    fn a_device_is_no_file_to_replace() {
        let null = || "/dev/null".into();
        assert_eq!(
            destination(&["-o", "/dev/null"]),
            Destination::Special(null())
        );
        assert_eq!(destination(&["-o", "-"]), Destination::Stdout);
        assert_eq!(destination(&["-o", "x"]), Destination::File("x".into()));
        assert_eq!(destination(&["-I"]), Destination::Stdout);
        assert_eq!(
            destination(&["-I", "-o", "x"]),
            Destination::File("x".into())
        );
        // What exists is not in the way of it, and nothing of it is gone on with.
        let jobs = of_words(&["--no-clobber", "-C", "-o", "/dev/null"]).unwrap();
        let output = jobs[0].open_output().unwrap();
        assert!(jobs[0].kept(&output).is_none() && !jobs[0].is_resumable());
    }

    #[test]
    fn options_without_effect_are_refused() {
        for words in [
            &["/", "/docs/"][..],
            &["/x", "/a/x"],
            &["-C", "-o", "-"],
            &["--open", "-o", "-"],
            &["-o", "x", "/a", "/b"],
        ] {
            assert_eq!(of_words(words).unwrap_err().code, Code::Usage, "{words:?}");
        }
        assert_eq!(of_words(&["/", "/docs/x"]).unwrap().len(), 2);
        assert_eq!(of_words(&["-o", "-", "/", "/docs/"]).unwrap().len(), 2);
        assert_eq!(of_words(&["-I", "/", "/docs/"]).unwrap().len(), 2);
    }

    #[test]
    fn a_local_ipv6_address_means_this_machine_by_ipv6() {
        let prefers = |words: &[&str]| of_words(words).unwrap()[0].prefers_ipv6();
        assert!(prefers(&["--bind", "::1"]) && prefers(&["-6"]));
        assert!(!prefers(&["--bind", "::1", "--bind", "127.0.0.1"]));
        assert!(!prefers(&["--bind", "::1", "-4"]) && !prefers(&[]));
    }
}
