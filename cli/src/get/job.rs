//! What is to be fetched, and how: one target and all that was said about it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proto::client::Wanted;
use proto::fields::Fields;
use proto::status::Status;
use socket::Protocol;
use socket::stop::Shutdown;
use transport::Limits;

use super::info::Info;
use super::output::Output;
use super::report::Telling;
use super::sink::{self, Sink};
use super::{partial, request};
use crate::args::{self, Driver};
use crate::carrier::Carrier;
use crate::exit::{Code, Failure};
use crate::plan;
use crate::sight::Watch;
use crate::terminal;
use crate::url::Target;

/// How long a download may be slow where `--speed-limit` is given alone.
const DEFAULT_SPEED_TIME: Duration = Duration::from_secs(30);

/// One target, and all that was said about it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) target: Target,
    /// Where the server was asked before it led here, in this order.
    pub(super) led_by: Vec<Target>,
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
    /// When that is over, if it began with another target.
    pub(super) deadline: Option<Instant>,
    pub(super) slowest: Option<Slowest>,
    /// In bytes a second.
    pub(super) limit_rate: Option<u64>,
    pub(super) retries: u32,
    pub(super) retry_delay: Option<Duration>,
    pub(super) retry_max_time: Option<Duration>,
    pub(super) max_body: Option<u64>,
    pub(super) destination: Destination,
    pub(super) no_clobber: bool,
    pub(super) create_dirs: bool,
    /// Whether the server may propose the name.
    pub(super) takes_name: bool,
    pub(super) keeps_time: bool,
    pub(super) sha256: Option<[u8; 32]>,
    /// Where the heads of answers go.
    pub(super) heads: Option<Arc<Mutex<Sink>>>,
    pub(super) etag_save: Option<PathBuf>,
    /// Fields of the request, besides `Host`.
    pub(super) fields: Fields,
    /// How often the server may lead elsewhere, if it may.
    pub(super) max_redirs: Option<u32>,
    pub(super) telling: Arc<Telling>,
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

/// The rate below which a download is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slowest {
    /// In bytes a second.
    pub(super) rate: u64,
    /// How long it may be slower.
    pub(super) time: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub(super) fn unbroken(&self) -> u64 {
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
    let targets = targets(args)?;
    check(args, targets.len())?;
    let common = Common {
        heads: None,
        telling: Arc::new(Telling::new(&args.showing)?),
        fields: request::fields(args)?,
    };
    let mut jobs: Vec<Job> = Vec::new();
    for target in &targets {
        let target = Target::parse(target, args.connecting.port)?;
        let new = job(args, target, &common, shutdown)?;
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
    // What was typed is looked at before a file is made.
    if let Some(name) = &args.saving.dump_header {
        let sink = Sink::create(name, &shutdown.graceful)?;
        let heads = Arc::new(Mutex::new(sink));
        for job in &mut jobs {
            job.heads = Some(Arc::clone(&heads));
        }
    }
    Ok(jobs)
}

/// Refuses options that contradict each other in ways that `clap` does not know.
fn check(args: &args::Get, targets: usize) -> Result<(), Failure> {
    let (saving, asking) = (&args.saving, &args.asking);
    let to_stdout = saving.output.as_deref() == Some(Path::new("-"));
    let usage = |message: String, hint| Err(Failure::new(Code::Usage, message).hint(hint));
    if targets > 1 {
        let of_one = [
            ("--sha256", saving.sha256.is_some()),
            ("--etag-save", asking.etag_save.is_some()),
            ("--etag-compare", asking.etag_compare.is_some()),
        ];
        if saving.output.is_some() && !to_stdout {
            let message = "--output names one file, and there are several targets".to_owned();
            return usage(message, "leave it out to save each under its own name");
        }
        if let Some((option, _)) = of_one.iter().find(|(_, given)| *given) {
            let message = format!("{option} is of one file, and there are several targets");
            return usage(message, "fetch each with its own");
        }
    }
    let of_files = [
        ("--continue", asking.continue_),
        ("--open", saving.open),
        ("--remote-time", saving.remote_time),
    ];
    if let Some((option, _)) = of_files.iter().find(|(_, given)| *given && to_stdout) {
        let message = format!("{option} needs a file, and -o - is none");
        return usage(message, "name one with -o FILE");
    }
    Ok(())
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
        .hint("name a file that has one in each line, or - for stdin")
    })?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    targets.extend(lines.map(str::to_owned));
    if targets.is_empty() {
        let name = name.display().to_string();
        let name = terminal::printable(name.as_bytes());
        return Err(
            Failure::new(Code::Usage, format_args!("there is no target in {name}"))
                .hint("name a file that has one in each line"),
        );
    }
    Ok(targets)
}

/// What the jobs of a command line share.
#[derive(Debug)]
struct Common {
    heads: Option<Arc<Mutex<Sink>>>,
    telling: Arc<Telling>,
    fields: Fields,
}

fn job(
    args: &args::Get,
    target: Target,
    common: &Common,
    shutdown: &Shutdown,
) -> Result<Job, Failure> {
    let args::Get {
        transport,
        connecting,
        saving,
        asking,
        limits,
        showing,
        ..
    } = args;
    let proto = target.proto.unwrap_or(transport.proto);
    let destination = match &saving.output {
        Some(name) if name == Path::new("-") => Destination::Stdout,
        Some(name) if sink::is_special(name) => Destination::Special(name.clone()),
        Some(name) => Destination::File(name.clone()),
        None if asking.head => Destination::Stdout,
        None => Destination::File(target.file_name().into()),
    };
    let slowest = Slowest {
        rate: limits.speed_limit.unwrap_or(1),
        time: limits.speed_time.unwrap_or(DEFAULT_SPEED_TIME),
    };
    let looks_at_speed = limits.speed_limit.is_some() || limits.speed_time.is_some();
    Ok(Job {
        led_by: Vec::new(),
        protocol: proto.into(),
        carriers: carriers(args, proto.into())?,
        driver: transport.driver,
        ppid: transport.ppid,
        service_code: transport.sent_code()?,
        ccid: transport.ccid,
        mtu: transport.mtu,
        local: connecting.bind.clone(),
        peers: connecting.peer.clone(),
        parallel: connecting.parallel.into(),
        ipv4_only: connecting.ipv4,
        ipv6_only: connecting.ipv6,
        connect_timeout: limits.connect_timeout,
        stall_timeout: limits.stall_timeout,
        max_time: limits.max_time,
        deadline: None,
        slowest: looks_at_speed.then_some(slowest),
        limit_rate: limits.limit_rate,
        retries: limits.retries,
        retry_delay: limits.retry_delay,
        retry_max_time: limits.retry_max_time,
        max_body: limits.max_filesize,
        destination,
        no_clobber: saving.no_clobber,
        create_dirs: saving.create_dirs,
        takes_name: saving.remote_header_name,
        keeps_time: saving.remote_time,
        sha256: saving.sha256,
        heads: common.heads.clone(),
        etag_save: asking.etag_save.clone(),
        fields: common.fields.clone(),
        max_redirs: asking.location.then_some(asking.max_redirs),
        telling: Arc::clone(&common.telling),
        head_only: asking.head,
        include: saving.include,
        range: asking.range.as_deref().map(plan::range).transpose()?,
        go_on: asking.continue_,
        seed_form: asking.seed_form,
        http09: asking.http09,
        allow_unverified: saving.allow_unverified,
        no_fail: saving.no_fail,
        open: saving.open,
        verbose: showing.verbose,
        silent: showing.silent,
        watch: Watch::default(),
        shutdown: shutdown.clone(),
        target,
    })
}

/// The carriers to try: the kernel's sockets are not told of a server's other addresses.
fn carriers(args: &args::Get, protocol: Protocol) -> Result<Vec<Carrier>, Failure> {
    let mut carriers = args.transport.carriers(protocol);
    if args.connecting.peer.is_empty() {
        return Ok(carriers);
    }
    let usage = |message, hint| Err(Failure::new(Code::Usage, message).hint(hint));
    if protocol == Protocol::Dccp {
        let message = "--peer is for SCTP: a DCCP connection has one address";
        return usage(message, "leave it out, or use --proto sctp");
    }
    carriers.retain(|carrier| *carrier != Carrier::Kernel);
    if carriers.is_empty() {
        let message = "--peer needs a stack of our own";
        return usage(message, "add --via udp or --via raw");
    }
    Ok(carriers)
}

impl Job {
    /// Whether what is fetched goes to stdout.
    pub(super) fn writes_to_stdout(&self) -> bool {
        self.destination == Destination::Stdout
    }

    /// The same for `target`, to which the server leads. Time is up at `deadline`.
    pub(super) fn led_to(
        &self,
        args: &args::Get,
        target: Target,
        deadline: Option<Instant>,
    ) -> Result<Self, Failure> {
        let mut fields = Fields::new();
        let is_secret = |name: &str| {
            let secrets = ["Authorization", "Cookie"];
            secrets
                .iter()
                .any(|secret| secret.eq_ignore_ascii_case(name))
        };
        for (name, value) in self.fields.iter() {
            // They are for the server that was named.
            if target.is_beside(&self.target) || !is_secret(name) {
                fields.push(name, value);
            }
        }
        let common = Common {
            heads: self.heads.clone(),
            telling: Arc::clone(&self.telling),
            fields,
        };
        let job = job(args, target, &common, &self.shutdown)?;
        Ok(Self {
            led_by: [&self.led_by[..], std::slice::from_ref(&self.target)].concat(),
            // The server has no say in what is written.
            destination: self.destination.clone(),
            watch: self.watch.clone(),
            deadline,
            ..job
        })
    }

    /// What was typed.
    pub(super) fn typed(&self) -> &Target {
        self.led_by.first().unwrap_or(&self.target)
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
        let (stop, hashed) = (&self.shutdown.graceful, self.sha256.is_some());
        let name = match &self.destination {
            Destination::Stdout => return Output::stream(Sink::stdout(stop)?, in_order, hashed),
            Destination::Special(name) => {
                return Output::stream(Sink::open(name, stop)?, in_order, hashed);
            }
            Destination::File(name) => name,
        };
        let failure = |message: String| Failure::new(Code::Write, message);
        if name.is_dir() {
            let name = terminal::printable(name.as_os_str().as_encoded_bytes());
            return Err(failure(format!("{name} is a folder")).hint("name a file with -o FILE"));
        }
        if self.no_clobber && name.exists() {
            return Err(partial::exists(name).hint("leave out --no-clobber to replace it"));
        }
        if self.create_dirs
            && let Some(folder) = name.parent()
        {
            fs::create_dir_all(folder).map_err(|error| Failure::cannot_write(folder, &error))?;
        }
        Output::file(name, !self.no_clobber)
    }

    /// What there is to go on with.
    pub(super) fn kept(&self, output: &Output) -> Option<Kept> {
        let (have, info) = output.kept(&self.key()).filter(|_| self.is_resumable())?;
        (info.complete > 0).then_some(Kept { have, info })
    }
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
            &["--etag-save", "x", "/a", "/b"],
            &["--etag-compare", "x", "/a", "/b"],
            &["--sha256", &"0".repeat(64), "/a", "/b"],
            &["-R", "-o", "-", "/a"],
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
