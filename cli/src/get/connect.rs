//! From a target to a connected socket.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use proto::client::{Exchange, Requests};
use proto::machine::Machine;
use socket::stop::Stop;
use socket::{
    ConnectError, DccpConfig, DccpSocket, RawSocket, SctpConfig, SctpSocket, SocketError, UdpSocket,
};
use transport::{Application, DatagramSocket, Unreachable};

use super::job::Job;
use super::metered::Gauge;
use super::race::race;
use super::resolve::resolve;
use super::stacked::{self, StackedDccp, StackedSctp};
use crate::carrier::Carrier;
use crate::exit::{self, Code, Failure};
use crate::{clock, terminal};

/// A DCCP connection, in any carrier. `A` is what runs on a stack of our own.
#[derive(Debug)]
pub(super) enum Dccp<A: Application<Exchange>> {
    Kernel(DccpSocket),
    Udp(Box<StackedDccp<A, UdpSocket>>),
    Raw(Box<StackedDccp<A, RawSocket>>),
}

/// An SCTP association, in any carrier, with the requests that were begun.
#[derive(Debug)]
pub(super) enum Sctp<A: Application<Requests>> {
    Kernel(SctpSocket, Requests),
    Udp(Box<StackedSctp<A, UdpSocket>>),
    Raw(Box<StackedSctp<A, RawSocket>>),
}

/// Where to, and within what time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) carrier: Carrier,
    /// With the port of SCTP or DCCP.
    pub(super) remote: SocketAddr,
    pub(super) local: &'a [SocketAddr],
    pub(super) left: Duration,
    /// Calls it off.
    pub(super) cancel: &'a Stop,
    /// Where a stack of our own tells its figures.
    pub(super) gauge: &'a Gauge,
    /// When the user's time is up.
    pub(super) deadline: Option<Instant>,
}

/// How a connection came about.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) remote: SocketAddr,
    pub(super) carrier: Carrier,
    /// When the addresses were known.
    pub(super) found: Instant,
    /// When it was established.
    pub(super) established: Instant,
    /// What the handshake took, in this carrier.
    pub(super) handshake: Duration,
    pub(super) gauge: Gauge,
}

/// Makes a DCCP connection.
pub(super) fn dccp<A: Application<Exchange> + Send>(
    job: &Job,
    deadline: Option<Instant>,
) -> Result<(Dccp<A>, Link), Failure> {
    let open = |attempt: Attempt<'_>| match attempt.carrier {
        Carrier::Kernel => {
            let config = DccpConfig {
                service_codes: vec![job.service_code],
                ccid: job.ccid,
                ..DccpConfig::default()
            };
            let cancel = Some(attempt.cancel.as_fd());
            let Attempt {
                remote,
                local,
                left,
                ..
            } = attempt;
            DccpSocket::connect(remote, local, &config, left, cancel).map(Dccp::Kernel)
        }
        Carrier::Udp(port) => stacked::dccp_in_udp(job, attempt, port).map(Dccp::Udp),
        Carrier::Raw => stacked::dccp_in_ip(job, attempt).map(Dccp::Raw),
    };
    connect(job, deadline, open, |late| match late {
        Dccp::Kernel(mut socket) => socket.abort(),
        Dccp::Udp(stacked) => stacked.abort(),
        Dccp::Raw(stacked) => stacked.abort(),
    })
}

/// Makes an SCTP association. `requests` makes what runs on it, for each attempt anew: what it has
/// begun travels with the handshake, where that is possible.
pub(super) fn sctp<A: Application<Requests> + Send>(
    job: &Job,
    deadline: Option<Instant>,
    requests: impl Fn(Carrier) -> Requests + Sync,
) -> Result<(Sctp<A>, Link), Failure> {
    let open = |attempt: Attempt<'_>| {
        let mut requests = requests(attempt.carrier);
        match attempt.carrier {
            Carrier::Kernel => {
                let config = SctpConfig::default();
                let cancel = Some(attempt.cancel.as_fd());
                let Attempt {
                    remote,
                    local,
                    left,
                    ..
                } = attempt;
                let socket = SctpSocket::connect(remote, local, &config, left, cancel)?;
                if let Ok((streams, _)) = socket.streams() {
                    requests.handle_streams(clock(), streams);
                    attempt.gauge.has_streams(streams);
                }
                Ok(Sctp::Kernel(socket, requests))
            }
            Carrier::Udp(port) => stacked::sctp_in_udp(job, attempt, port, requests).map(Sctp::Udp),
            Carrier::Raw => stacked::sctp_in_ip(job, attempt, requests).map(Sctp::Raw),
        }
    };
    connect(job, deadline, open, |late| match late {
        Sctp::Kernel(mut socket, _) => socket.abort(),
        Sctp::Udp(stacked) => stacked.abort(),
        Sctp::Raw(stacked) => stacked.abort(),
    })
}

/// Connects to the address of the target that answers first, in the first carrier that works
/// there. What was connected beside it is given to `discard`.
fn connect<C: Send>(
    job: &Job,
    deadline: Option<Instant>,
    open: impl Fn(Attempt<'_>) -> Result<C, ConnectError> + Sync,
    discard: impl Fn(C),
) -> Result<(C, Link), Failure> {
    let started = clock();
    let limit = deadline.map_or(job.connect_timeout, |deadline| {
        job.connect_timeout
            .min(deadline.saturating_duration_since(started))
    });
    let until = started + limit;
    let addresses = resolve(job, until)?;
    let found = clock();
    let several = addresses.len() > 1;
    let one = |address, call_off: &Stop| {
        connect_to(job, address, until, deadline, call_off, &open)
            .map(|(connected, link)| (connected, Link { found, ..link }))
    };
    let is_final = |address, Failing { error, .. }: &Failing| {
        if job.verbose && several {
            terminal::note(format_args!("{address}: {error}"));
        }
        is_about_this_machine(error)
    };
    let user = &job.shutdown.graceful;
    race(&addresses, user, one, is_final, |(late, _)| discard(late)).map_err(
        |failed| match failed {
            Some((address, Failing { carrier, error })) => failure(job, carrier, address, error),
            None => Failure::new(Code::Resolve, "the host has no usable address")
                .hint("name it by its address"),
        },
    )
}

/// Why a carrier could not be connected.
#[derive(Debug)]
struct Failing {
    carrier: Carrier,
    error: ConnectError,
}

impl From<ConnectError> for Failing {
    fn from(error: ConnectError) -> Self {
        let carrier = Carrier::Kernel;
        Self { carrier, error }
    }
}

/// Connects to one address, in the first carrier that works. Of those that fail, the first that
/// is here says why.
fn connect_to<C>(
    job: &Job,
    address: SocketAddr,
    until: Instant,
    deadline: Option<Instant>,
    cancel: &Stop,
    open: &impl Fn(Attempt<'_>) -> Result<C, ConnectError>,
) -> Result<(C, Link), Failing> {
    let local: Vec<SocketAddr> = job
        .local
        .iter()
        .filter(|own| own.is_ipv4() == address.is_ipv4())
        .map(|own| SocketAddr::new(*own, 0))
        .collect();
    let count = job.carriers.len();
    let mut failed: Option<Failing> = None;
    for (tried, &carrier) in job.carriers.iter().enumerate() {
        let began = clock();
        let left = until.saturating_duration_since(began);
        let gauge = Gauge::default();
        let attempt = Attempt {
            carrier,
            remote: address,
            local: &local,
            left: share(left, count - tried),
            cancel,
            gauge: &gauge,
            deadline,
        };
        let error = match open(attempt) {
            Ok(connected) => {
                let established = clock();
                let handshake = established - began;
                job.watch.connected(carrier, handshake);
                if job.verbose {
                    terminal::note(format_args!(
                        "connected to {} {address} ({carrier}) in {}",
                        job.protocol,
                        terminal::duration(handshake)
                    ));
                }
                let link = Link {
                    remote: address,
                    carrier,
                    found: began,
                    established,
                    handshake,
                    gauge,
                };
                return Ok((connected, link));
            }
            Err(error) => error,
        };
        let more = tried + 1 < count;
        if job.verbose && more {
            terminal::note(format_args!("{address} ({carrier}): {error}"));
        }
        let goes_on = may_be_the_carrier(&error);
        if failed
            .as_ref()
            .is_none_or(|failed| is_missing(&failed.error))
        {
            failed = Some(Failing { carrier, error });
        }
        if !goes_on {
            break;
        }
    }
    Err(failed.unwrap_or_else(|| ConnectError::TimedOut.into()))
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

/// What one of the carriers that remain may use of the time left: a silent one leaves the others
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

/// What to do where there is no way to the server.
const IS_IT_UP: &str = "is the address right, and the network up?";

fn failure(job: &Job, carrier: Carrier, address: SocketAddr, error: ConnectError) -> Failure {
    let protocol = job.protocol;
    let (code, hint) = match &error {
        ConnectError::Socket(SocketError::NotAvailable(what)) => {
            (Code::NotAvailable, Some(exit::way_out(what)))
        }
        ConnectError::Socket(SocketError::RawForbidden | SocketError::KernelAnswersToo(_)) => {
            (Code::NotAvailable, Some(exit::TRY_UDP))
        }
        ConnectError::Socket(SocketError::OutOfResources(_)) => {
            (Code::Connect, Some(exit::MAKE_ROOM))
        }
        ConnectError::Socket(_) => (Code::Connect, Some(exit::TRY_UDP)),
        ConnectError::Bind(error) => (Code::Connect, Some(exit::other_address(error))),
        ConnectError::TimedOut => (
            Code::Timeout,
            Some(match carrier {
                Carrier::Udp(_) => {
                    "has the server another --proto? --connect-timeout allows more time"
                }
                Carrier::Kernel | Carrier::Raw => {
                    "a firewall may drop the protocol: --via udp may pass; --connect-timeout \
                     allows more time"
                }
            }),
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
                Unreachable::Network | Unreachable::Host => Some(IS_IT_UP),
            },
        ),
        ConnectError::ServiceCode(_) => (
            Code::Connect,
            Some("--service-code must name one that the server has; 16777216 is the seed's"),
        ),
        ConnectError::Aborted => (Code::Aborted, Some(exit::TRY_AGAIN)),
        ConnectError::Busy => (Code::Connect, Some("try again later")),
        ConnectError::Negotiation(_) => (Code::Connect, Some("leave out --ccid")),
        ConnectError::Unreachable(_) | ConnectError::Io(_) => (Code::Connect, Some(IS_IT_UP)),
    };
    let failure = match &error {
        ConnectError::Socket(SocketError::NotAvailable(missing)) => Failure::new(code, missing),
        ConnectError::Cancelled => Failure::interrupted(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_carrier_leaves_the_others_their_part() {
        let total = Duration::from_secs(15);
        assert_eq!(share(total, 3), Duration::from_secs(5));
        assert_eq!(share(total - share(total, 3), 2), Duration::from_secs(5));
        assert_eq!(share(total, 1), total);
    }
}
