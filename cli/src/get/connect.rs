//! From a host name to a connected socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use proto::client::{Exchange, Requests};
use proto::machine::Machine;
use socket::{
    ConnectError, DccpConfig, DccpSocket, RawSocket, SctpConfig, SctpSocket, SocketError, UdpSocket,
};
use transport::{Application, Unreachable};

use super::job::Job;
use super::stacked::{self, StackedDccp, StackedSctp};
use crate::carrier::Carrier;
use crate::exit::{self, Code, Failure};
use crate::sight::Seen;
use crate::{clock, terminal};

/// How often a wait for the resolver looks whether the user gave up.
const RESOLVER_TURN: Duration = Duration::from_millis(50);

/// A DCCP connection, in any carrier. `A` is what runs on a stack of our own.
#[derive(Debug)]
pub(super) enum Dccp<A: Application<Exchange>> {
    Kernel(DccpSocket),
    Udp(Box<StackedDccp<A, Seen<UdpSocket>>>),
    Raw(Box<StackedDccp<A, Seen<RawSocket>>>),
}

/// An SCTP association, in any carrier, with the requests that were begun.
#[derive(Debug)]
pub(super) enum Sctp<A: Application<Requests>> {
    Kernel(SctpSocket, Requests),
    Udp(Box<StackedSctp<A, Seen<UdpSocket>>>),
    Raw(Box<StackedSctp<A, Seen<RawSocket>>>),
}

/// Where to, and within what time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    carrier: Carrier,
    /// With the port of SCTP or DCCP.
    remote: SocketAddr,
    local: &'a [SocketAddr],
    left: Duration,
}

/// Makes a DCCP connection.
pub(super) fn dccp<A: Application<Exchange>>(
    job: &Job,
    deadline: Option<Instant>,
) -> Result<(Dccp<A>, Duration), Failure> {
    let cancel = Some(job.shutdown.graceful.as_fd());
    connect(job, deadline, |attempt| {
        let Attempt {
            carrier,
            remote,
            local,
            left,
        } = attempt;
        match carrier {
            Carrier::Kernel => {
                let config = DccpConfig {
                    service_codes: vec![job.service_code],
                    ccid: job.ccid,
                    ..DccpConfig::default()
                };
                DccpSocket::connect(remote, local, &config, left, cancel).map(Dccp::Kernel)
            }
            Carrier::Udp(port) => {
                stacked::dccp_in_udp(job, remote, port, local, left).map(Dccp::Udp)
            }
            Carrier::Raw => stacked::dccp_in_ip(job, remote, local, left).map(Dccp::Raw),
        }
    })
}

/// Makes an SCTP association. `requests` makes what runs on it, for each attempt anew: what it has
/// begun travels with the handshake, where that is possible.
pub(super) fn sctp<A: Application<Requests>>(
    job: &Job,
    deadline: Option<Instant>,
    requests: impl Fn(Carrier) -> Requests,
) -> Result<(Sctp<A>, Duration), Failure> {
    let cancel = Some(job.shutdown.graceful.as_fd());
    connect(job, deadline, |attempt| {
        let Attempt {
            carrier,
            remote,
            local,
            left,
        } = attempt;
        let mut requests = requests(carrier);
        match carrier {
            Carrier::Kernel => {
                let config = SctpConfig::default();
                let socket = SctpSocket::connect(remote, local, &config, left, cancel)?;
                if let Ok((streams, _)) = socket.streams() {
                    requests.handle_streams(clock(), streams);
                }
                Ok(Sctp::Kernel(socket, requests))
            }
            Carrier::Udp(port) => {
                stacked::sctp_in_udp(job, remote, port, local, left, requests).map(Sctp::Udp)
            }
            Carrier::Raw => stacked::sctp_in_ip(job, remote, local, left, requests).map(Sctp::Raw),
        }
    })
}

/// Connects to the first address of the target that answers, in the first carrier that works, and
/// tells how long that one took.
fn connect<C>(
    job: &Job,
    deadline: Option<Instant>,
    mut open: impl FnMut(Attempt<'_>) -> Result<C, ConnectError>,
) -> Result<(C, Duration), Failure> {
    let started = clock();
    let limit = deadline.map_or(job.connect_timeout, |deadline| {
        job.connect_timeout
            .min(deadline.saturating_duration_since(started))
    });
    let until = started + limit;
    let addresses = resolve(job, until)?;
    let count = addresses.len();
    let mut last = None;
    for (tried, address) in addresses.into_iter().enumerate() {
        let left = until.saturating_duration_since(clock());
        match connect_to(job, address, share(left, count - tried), &mut open) {
            Ok(connected) => return Ok(connected),
            Err((carrier, error)) if is_about_this_machine(&error) => {
                return Err(failure(job, carrier, address, error));
            }
            Err((carrier, error)) => {
                if job.verbose && count > 1 {
                    terminal::note(format_args!("{address}: {error}"));
                }
                last = Some(failure(job, carrier, address, error));
            }
        }
    }
    Err(last.unwrap_or_else(|| Failure::new(Code::Resolve, "the host has no usable address")))
}

/// Connects to one address, in the first carrier that works. Of those that fail, the first that
/// is here says why.
fn connect_to<C>(
    job: &Job,
    address: SocketAddr,
    left: Duration,
    open: &mut impl FnMut(Attempt<'_>) -> Result<C, ConnectError>,
) -> Result<(C, Duration), (Carrier, ConnectError)> {
    let until = clock() + left;
    let local: Vec<SocketAddr> = job
        .local
        .iter()
        .filter(|own| own.is_ipv4() == address.is_ipv4())
        .map(|own| SocketAddr::new(*own, 0))
        .collect();
    let count = job.carriers.len();
    let mut failed: Option<(Carrier, ConnectError)> = None;
    for (tried, &carrier) in job.carriers.iter().enumerate() {
        let began = clock();
        let left = until.saturating_duration_since(began);
        let attempt = Attempt {
            carrier,
            remote: address,
            local: &local,
            left: share(left, count - tried),
        };
        let error = match open(attempt) {
            Ok(connected) => {
                let took = clock() - began;
                if job.verbose {
                    terminal::note(format_args!(
                        "connected to {} {address} ({carrier}) in {}",
                        job.protocol,
                        terminal::duration(took)
                    ));
                }
                return Ok((connected, took));
            }
            Err(error) => error,
        };
        let more = tried + 1 < count;
        if job.verbose && more {
            terminal::note(format_args!("{address} ({carrier}): {error}"));
        }
        let goes_on = may_be_the_carrier(&error);
        if failed.as_ref().is_none_or(|(_, error)| is_missing(error)) {
            failed = Some((carrier, error));
        }
        if !goes_on {
            break;
        }
    }
    Err(failed.unwrap_or((Carrier::Kernel, ConnectError::TimedOut)))
}

/// Whether the protocol is not to be had here.
const fn is_missing(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Socket(SocketError::NotAvailable(_)))
}

/// Whether another carrier may fare better: the server, or a firewall, may know one only.
const fn may_be_the_carrier(error: &ConnectError) -> bool {
    is_missing(error)
        || matches!(
            error,
            ConnectError::Refused
                | ConnectError::Unreachable(_)
                | ConnectError::Rejected(_)
                | ConnectError::TimedOut
                | ConnectError::Io(_)
        )
}

/// What one of the addresses that remain may use of the time left: a silent one leaves the others
/// their part.
fn share(left: Duration, remaining: usize) -> Duration {
    left / u32::try_from(remaining).unwrap_or(u32::MAX).max(1)
}

/// Another address would meet the same.
const fn is_about_this_machine(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Cancelled
            | ConnectError::Bind(_)
            | ConnectError::Socket(
                SocketError::Ccid(_)
                    | SocketError::ServiceCodes
                    | SocketError::RawForbidden
                    | SocketError::KernelAnswersToo(_)
            )
    )
}

fn failure(job: &Job, carrier: Carrier, address: SocketAddr, error: ConnectError) -> Failure {
    let protocol = job.protocol;
    let (code, hint) = match &error {
        ConnectError::Socket(SocketError::NotAvailable(what)) => {
            (Code::NotAvailable, Some(exit::way_out(what)))
        }
        ConnectError::Socket(SocketError::RawForbidden | SocketError::KernelAnswersToo(_)) => {
            (Code::NotAvailable, Some(exit::TRY_UDP))
        }
        ConnectError::Socket(_) => (Code::Connect, None),
        ConnectError::Bind(_) => (Code::Connect, None),
        ConnectError::TimedOut => (
            Code::Timeout,
            Some("a firewall may drop the protocol; --connect-timeout allows more time"),
        ),
        ConnectError::Cancelled => (Code::Interrupted, None),
        ConnectError::Refused => (
            Code::Connect,
            Some(match carrier {
                Carrier::Udp(_) => "is the server running, on this port and this --udp-port?",
                Carrier::Kernel | Carrier::Raw => "is the server running, on this port?",
            }),
        ),
        ConnectError::Rejected(rejection) => (
            Code::Connect,
            match rejection.why {
                Unreachable::Port => Some("is the server running, with this --udp-port?"),
                Unreachable::Protocol => Some(exit::TRY_UDP),
                Unreachable::Prohibited => {
                    Some("another carrier (--via) or --udp-port may pass; cli probe tells which")
                }
                Unreachable::Network | Unreachable::Host => None,
            },
        ),
        ConnectError::ServiceCode(_) => (
            Code::Connect,
            Some("--service-code must name one that the server has; 16777216 is the seed's"),
        ),
        ConnectError::Aborted => (Code::Aborted, None),
        ConnectError::Unreachable(_)
        | ConnectError::Busy
        | ConnectError::Negotiation(_)
        | ConnectError::Io(_) => (Code::Connect, None),
    };
    let failure = match &error {
        ConnectError::Socket(SocketError::NotAvailable(missing)) => Failure::new(code, missing),
        ConnectError::Cancelled => Failure::new(code, "interrupted"),
        error => match carrier {
            Carrier::Kernel => Failure::new(
                code,
                format_args!("cannot connect to {address} over {protocol}: {error}"),
            ),
            Carrier::Udp(_) | Carrier::Raw => Failure::new(
                code,
                format_args!("cannot connect to {address} over {protocol} ({carrier}): {error}"),
            ),
        },
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The addresses of the target, those of the wanted kind, in the resolver's order.
fn resolve(job: &Job, until: Instant) -> Result<Vec<SocketAddr>, Failure> {
    let port = job.target.port;
    let Some(host) = &job.target.host else {
        let address: IpAddr = if job.prefers_ipv6() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        };
        return reachable(job, "this machine", vec![SocketAddr::new(address, port)]);
    };
    let found = look_up(job, host, port, until)?;
    let (count, mut usable) = (found.len(), found);
    usable.retain(|address| {
        (address.is_ipv4() || !job.ipv4_only) && (address.is_ipv6() || !job.ipv6_only)
    });
    if usable.is_empty() {
        let kind = if job.ipv6_only { "IPv6" } else { "IPv4" };
        let message = if count == 0 {
            format!("{host} has no address")
        } else {
            format!("{host} has no {kind} address")
        };
        return Err(Failure::new(Code::Resolve, message));
    }
    reachable(job, host, usable)
}

/// Those of the addresses that the local ones can reach: a socket has one family.
fn reachable(
    job: &Job,
    host: &str,
    mut addresses: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Failure> {
    let local = &job.local;
    addresses.retain(|remote| {
        local.is_empty() || local.iter().any(|own| own.is_ipv4() == remote.is_ipv4())
    });
    if addresses.is_empty() {
        let kind = if local.iter().any(IpAddr::is_ipv4) {
            "IPv4"
        } else {
            "IPv6"
        };
        let message = format_args!("{host} has no {kind} address, and --bind names only such");
        return Err(Failure::new(Code::Resolve, message));
    }
    Ok(addresses)
}

/// Asks the system's resolver, which cannot be interrupted, on a thread that may be left behind.
fn look_up(job: &Job, host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let question = if host.contains(':') {
        // An IPv6 address with a zone.
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    thread::spawn(move || {
        let answer = question.to_socket_addrs().map(Iterator::collect);
        // Nobody listens any more if it took too long.
        let _ = sender.send(answer);
    });
    loop {
        match receiver.recv_timeout(RESOLVER_TURN) {
            Ok(Ok(addresses)) => return Ok(addresses),
            Ok(Err(error)) => {
                let error = error.to_string();
                let reason = error
                    .strip_prefix("failed to lookup address information: ")
                    .unwrap_or(&error);
                return Err(Failure::new(
                    Code::Resolve,
                    format_args!("cannot find the address of {host:?}: {reason}"),
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Code::Resolve, "the resolver failed"));
            }
            Err(RecvTimeoutError::Timeout) if job.shutdown.graceful.is_stopped() => {
                return Err(Failure::new(Code::Interrupted, "interrupted"));
            }
            Err(RecvTimeoutError::Timeout) if clock() >= until => {
                return Err(Failure::new(
                    Code::Timeout,
                    format_args!("finding the address of {host:?} took too long"),
                ));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::job;
    use super::*;

    #[test]
    fn a_silent_address_leaves_the_others_their_part() {
        let total = Duration::from_secs(15);
        assert_eq!(share(total, 3), Duration::from_secs(5));
        assert_eq!(share(total - share(total, 3), 2), Duration::from_secs(5));
        assert_eq!(share(total, 1), total);
    }

    #[test]
    fn a_local_address_reaches_those_of_its_family() {
        let found: Vec<SocketAddr> = ["[::1]:80", "127.0.0.1:80"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let usable = |words: &[&str], found: &[SocketAddr]| {
            let jobs = job::of_words(&[&["h/x"], words].concat()).unwrap();
            reachable(&jobs[0], "h", found.to_vec())
        };
        assert_eq!(usable(&[], &found).unwrap(), found);
        let both = ["--bind", "::1", "--bind", "127.0.0.1"];
        assert_eq!(usable(&both, &found).unwrap(), found);
        let one = ["--bind", "127.0.0.1"];
        assert_eq!(usable(&one, &found).unwrap(), found[1..]);
        let failure = usable(&one, &found[..1]).unwrap_err();
        assert_eq!(failure.code, Code::Resolve);
        assert_eq!(
            failure.to_string(),
            "h has no IPv4 address, and --bind names only such"
        );
    }
}
