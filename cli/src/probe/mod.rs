//! `probe`: does SCTP or DCCP pass to a host, and in what?

mod attempt;
mod listen;
mod note;
mod verdict;
mod witness;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use serde::Serialize;
use socket::Protocol;
use transport::Unreachable;

use self::attempt::Attempt;
use self::verdict::Verdict;
use crate::args::{self, Proto, Via};
use crate::carrier::{Carrier, carriers};
use crate::clock;
use crate::exit::{Code, Failure};
use crate::names::{self, TooLong};
use crate::plan::SERVICE_CODE;

/// At least one of what was asked for passes.
const PASSES: u8 = 0;
/// None of it does.
const BLOCKED: u8 = 1;
/// None of it can be tried on this machine.
const NOTHING_TO_TRY: u8 = 3;

/// Exit codes of `probe`, for its page of the manual.
pub(crate) const EXIT_CODES: [(u8, &str); 7] = [
    (PASSES, "at least one of what was asked for passes"),
    (BLOCKED, "none of it does"),
    (Code::Usage as u8, "wrong usage"),
    (NOTHING_TO_TRY, "none of it can be tried on this machine"),
    (Code::Resolve as u8, "host not found"),
    (Code::Timeout as u8, "finding the host took too long"),
    (Code::Write as u8, "cannot write"),
];

/// Probes, or listens for probes, and gives the exit code.
pub(crate) fn run(args: &args::Probe) -> u8 {
    let ended = match &args.host {
        Some(host) => probe(args, host),
        None => listen::run(args).map(|()| PASSES),
    };
    ended.unwrap_or_else(|failure| failure.report("probe") as u8)
}

fn probe(args: &args::Probe, host: &str) -> Result<u8, Failure> {
    if args.udp_port == Some(0) {
        return Err(
            Failure::new(Code::Usage, "--udp-port 0 is no port to reach")
                .hint("leave it out for the usual one"),
        );
    }
    let remote = resolve(args, host)?;
    let attempts = attempts(args, remote);
    // All at once: a silent one takes all of its time.
    let verdicts: Vec<Verdict> = thread::scope(|scope| {
        let tries = attempts.iter().map(|attempt| scope.spawn(|| attempt.run()));
        let tries: Vec<_> = tries.collect();
        let panicked = |_| Verdict::Impossible("the attempt failed within".to_owned());
        let joined = tries.into_iter().map(|tried| tried.join());
        joined
            .map(|verdict| verdict.unwrap_or_else(panicked))
            .collect()
    });
    let report = Report {
        host,
        remote,
        rows: attempts.iter().zip(&verdicts).collect(),
    };
    if args.json {
        print(&format!("{}\n", report.json()))?;
    } else if !args.quiet {
        print(&report.table())?;
    }
    Ok(exit_code(&verdicts))
}

fn exit_code(verdicts: &[Verdict]) -> u8 {
    if verdicts.iter().any(Verdict::passes) {
        PASSES
    } else if verdicts.iter().any(Verdict::was_tried) {
        BLOCKED
    } else {
        NOTHING_TO_TRY
    }
}

fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot_write(Path::new("stdout"), &error))
        }
        // Who reads no further knows enough.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The first address of `host` of a family that is wanted.
fn resolve(args: &args::Probe, host: &str) -> Result<SocketAddr, Failure> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let too_long = TooLong {
        until: clock() + args.timeout,
        hint: "--timeout allows more time",
    };
    // Nothing is under way yet, so a signal ends the program.
    let found = names::look_up(bare, args.port, too_long, || false)?;
    let mut usable = found
        .into_iter()
        .filter(|address| (address.is_ipv4() || !args.ipv4) && (address.is_ipv6() || !args.ipv6));
    usable.next().ok_or_else(|| {
        let kind = if args.ipv6 { "IPv6" } else { "IPv4" };
        let message = format_args!("{host} has no {kind} address");
        Failure::new(Code::Resolve, message).hint("leave out -4 and -6")
    })
}

/// The protocols that were asked for.
fn protocols(args: &args::Probe) -> Vec<Protocol> {
    let both = [Proto::Sctp, Proto::Dccp];
    let wanted = |proto: &Proto| args.proto.is_empty() || args.proto.contains(proto);
    both.into_iter().filter(wanted).map(Into::into).collect()
}

/// The carriers that were asked for, each once.
fn carriers_for(args: &args::Probe, protocol: Protocol) -> Vec<Carrier> {
    let vias = if args.via.is_empty() {
        &[Via::Auto][..]
    } else {
        &args.via
    };
    let mut chosen = Vec::new();
    for carrier in vias
        .iter()
        .flat_map(|via| carriers(*via, protocol, args.udp_port))
        .map(|carrier| native(args, protocol, carrier))
    {
        if !chosen.contains(&carrier) {
            chosen.push(carrier);
        }
    }
    chosen
}

/// Where the kernel has not the protocol, a stack of our own speaks it in IP itself, unless the
/// kernel was named.
fn native(args: &args::Probe, protocol: Protocol, carrier: Carrier) -> Carrier {
    let named = args.via.contains(&Via::Kernel);
    let has = socket::probe().of(protocol).is_available();
    match carrier {
        Carrier::Kernel if !named && !has => Carrier::Raw,
        carrier => carrier,
    }
}

fn attempts(args: &args::Probe, remote: SocketAddr) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for protocol in protocols(args) {
        for carrier in carriers_for(args, protocol) {
            attempts.push(Attempt {
                protocol,
                carrier,
                remote,
                timeout: args.timeout,
                service_code: args.service_code.unwrap_or(SERVICE_CODE),
                ccid: args.ccid,
                measure: !args.quiet,
            });
        }
    }
    attempts
}

/// What is told at the end.
struct Report<'a> {
    host: &'a str,
    remote: SocketAddr,
    rows: Vec<(&'a Attempt, &'a Verdict)>,
}

/// A report as JSON has it.
#[derive(Serialize)]
struct Document<'a> {
    host: &'a str,
    address: String,
    port: u16,
    passes: bool,
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Route {
    protocol: &'static str,
    via: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp_port: Option<u16>,
    #[serde(flatten)]
    result: verdict::Result,
}

impl Report<'_> {
    /// One line for each attempt, and what to do next.
    fn table(&self) -> String {
        let mut lines = vec![format!("{} ({})", self.host, self.remote)];
        for (attempt, verdict) in &self.rows {
            let carrier = attempt.carrier.to_string();
            let (protocol, word) = (attempt.protocol, verdict.word());
            let detail = verdict.detail();
            lines.push(format!("{protocol} {carrier:<14} {word:<17} {detail}"));
        }
        lines.push(format!("next: {}", self.next()));
        lines.join("\n") + "\n"
    }

    /// What to do next: to use what passes, or what the most telling failure calls for.
    fn next(&self) -> String {
        let passing = self.rows.iter().filter(|(_, verdict)| verdict.passes());
        // What needs the least comes first.
        let passing = passing.min_by_key(|(attempt, _)| attempt.carrier == Carrier::Raw);
        if let Some((attempt, _)) = passing {
            let proto = name(attempt.protocol);
            let via = via(attempt.carrier);
            let udp_port = match attempt.carrier {
                Carrier::Udp(port) => format!(" --udp-port {port}"),
                Carrier::Kernel | Carrier::Raw => String::new(),
            };
            let remote = self.remote;
            return format!("cli get --proto {proto} --via {via}{udp_port} {remote}/");
        }
        let told = |verdict: &Verdict| match verdict {
            Verdict::Refused { .. } => 0,
            Verdict::WrongProtocol(_) => 1,
            Verdict::Unreachable(rejection) if rejection.why == Unreachable::Port => 2,
            Verdict::Unreachable(_) | Verdict::NoWay(_) => 3,
            Verdict::Silent => 4,
            Verdict::Impossible(_) => 5,
            Verdict::Passes(_) => 6,
        };
        let telling = self.rows.iter().min_by_key(|(_, verdict)| told(verdict));
        telling.map_or_else(String::new, |(_, verdict)| verdict.advice().to_owned())
    }

    fn json(&self) -> String {
        let routes = self.rows.iter().map(|(attempt, verdict)| Route {
            protocol: name(attempt.protocol),
            via: via(attempt.carrier),
            udp_port: attempt.carrier.udp_port(),
            result: verdict.result(),
        });
        let document = Document {
            host: self.host,
            address: self.remote.ip().to_string(),
            port: self.remote.port(),
            passes: self.rows.iter().any(|(_, verdict)| verdict.passes()),
            routes: routes.collect(),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}

const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Sctp => "sctp",
        Protocol::Dccp => "dccp",
    }
}

const fn via(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Kernel => "kernel",
        Carrier::Udp(_) => "udp",
        Carrier::Raw => "raw",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn typed(words: &[&str]) -> args::Probe {
        match Cli::parse_from([&["cli", "probe"], words].concat()).command {
            Command::Probe(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_protocols_are_tried_in_ip_and_in_udp() {
        let args = typed(&["192.0.2.1"]);
        let remote = resolve(&args, "192.0.2.1").unwrap();
        assert_eq!(remote, "192.0.2.1:8080".parse().unwrap());
        let tried: Vec<_> = attempts(&args, remote)
            .iter()
            .map(|attempt| (name(attempt.protocol), attempt.carrier.udp_port()))
            .collect();
        let sctp = [("sctp", None), ("sctp", Some(9899))];
        let dccp = [("dccp", None), ("dccp", Some(6511))];
        assert_eq!(tried, [sctp, dccp].concat());
    }

    #[test]
    fn what_is_named_twice_is_tried_once() {
        let args = typed(&["h", "--proto", "dccp", "--via", "udp", "--via", "udp"]);
        let carriers = carriers_for(&args, Protocol::Dccp);
        assert_eq!(carriers, [Carrier::Udp(6511)]);
        assert_eq!(protocols(&args), [Protocol::Dccp]);
    }

    #[test]
    fn an_address_in_brackets_is_one() {
        let args = typed(&["[::1]", "--port", "80"]);
        assert_eq!(
            resolve(&args, "[::1]").unwrap(),
            "[::1]:80".parse().unwrap()
        );
        let args = typed(&["::1", "-4"]);
        assert_eq!(resolve(&args, "::1").unwrap_err().code, Code::Resolve);
    }

    #[test]
    fn the_exit_code_is_that_of_the_best_result() {
        let impossible = || Verdict::Impossible(String::new());
        assert_eq!(exit_code(&[impossible(), impossible()]), NOTHING_TO_TRY);
        assert_eq!(exit_code(&[impossible(), Verdict::Silent]), BLOCKED);
    }
}
