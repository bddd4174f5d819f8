//! A connection of a stack of our own on a packet socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use dccp::ServiceCode;
use driver_std::Until;
use proto::client::{Exchange, Requests};
use proto::machine::Machine;
use socket::{BindError, ConnectError, PacketConfig, Protocol, RawSocket, UdpSocket};
use transport::{
    Application, ClientHost, CloseReason, Connection, DatagramSocket, DccpClient, DccpStack,
    Discard, Host, Limits, Path, Progress, Refusal, SctpClient, SctpStack, Stack,
};

use super::connect::Attempt;
use super::drive;
use super::job::Job;
use super::metered::{Gauge, Metered};
use super::rate::{self, Paced};
use crate::carrier::{self, Carrier, Sending};
use crate::clock;
use crate::sight::{Seen, Watched};

/// How long a server may take to confirm the end. That the whole answer is here is known then;
/// what the wait is for is that the server knows it too.
const LINGER: Duration = Duration::from_millis(500);

/// A host with one connection, established, and its socket.
#[derive(Debug)]
pub(super) struct Stacked<K: Stack, M: Machine<Peer = ()>, A: Application<M>, S> {
    connection: Connection<ClientHost<K, M, A>, S, Discard>,
    id: K::Id,
}

/// A DCCP connection on which one exchange will run.
pub(super) type StackedDccp<A, S> =
    Stacked<Metered<Watched<DccpStack>>, Exchange, A, Paced<Seen<S>>>;

/// An SCTP association on which several exchanges run; the first was sent with the handshake.
pub(super) type StackedSctp<A, S> = Stacked<Metered<Watched<SctpStack>>, Requests, A, Seen<S>>;

impl<K, M, A, S> Stacked<K, M, A, S>
where
    K: Stack,
    M: Machine<Peer = ()>,
    A: Application<M>,
    S: DatagramSocket<Peer = Path> + AsFd,
{
    /// Makes a connection. `machine` may speak before it is established.
    fn connect(
        job: &Job,
        stack: K,
        socket: S,
        attempt: Attempt<'_>,
        machine: Option<M>,
    ) -> Result<Box<Self>, ConnectError> {
        let limits = Limits {
            linger: LINGER,
            ..job.limits()
        };
        let mut host: ClientHost<K, M, A> = Host::client(stack, limits);
        let until = clock() + attempt.left;
        let remote = attempt.remote;
        let id = match machine {
            Some(machine) => host.connect_with(clock(), remote, machine),
            None => host.connect(clock(), remote),
        }
        .map_err(|error| ConnectError::Io(io::Error::other(error)))?;
        let mut connection = Connection::new(host, socket, Discard, Limits::SHARED);
        let cancel = Some(attempt.cancel.as_fd());
        let pending = |progress| progress == Progress::Pending;
        let ended = driver_std::run_until(
            &mut connection,
            |connection| !pending(connection.machine().progress(id)),
            until,
            cancel,
        )
        .map_err(ConnectError::Io)?;
        let error = match (ended, connection.machine().progress(id)) {
            (Until::Done | Until::Ended, Progress::Connected) => {
                return Ok(Box::new(Self { connection, id }));
            }
            (Until::Done | Until::Ended, Progress::Refused(why)) => explain(why, job.service_code),
            (Until::Cancelled, _) => ConnectError::Cancelled,
            (Until::TimedOut | Until::Ended | Until::Done, _) => ConnectError::TimedOut,
        };
        connection.abort(clock(), CloseReason::Cancelled);
        Err(error)
    }

    /// Ends it before anything ran on it.
    pub(super) fn abort(mut self) {
        self.connection.abort(clock(), CloseReason::Cancelled);
    }
}

impl<A, S> StackedDccp<A, S>
where
    A: Application<Exchange>,
    S: DatagramSocket<Peer = Path> + AsFd,
{
    /// Runs `machine` to its end.
    pub(super) fn exchange(self, job: &Job, machine: Exchange, application: A) -> io::Result<()> {
        let Self { mut connection, id } = self;
        let host = connection.machine_mut();
        host.begin(clock(), id, machine, application);
        drive(job, connection)
    }
}

impl<A, S> StackedSctp<A, S>
where
    A: Application<Requests>,
    S: DatagramSocket<Peer = Path> + AsFd,
{
    /// Runs to the end what was begun.
    pub(super) fn exchanges(self, job: &Job, application: A) -> io::Result<()> {
        let Self { mut connection, id } = self;
        connection.machine_mut().attach(id, application);
        drive(job, connection)
    }
}

/// Makes a DCCP connection in UDP, to `udp_port`.
pub(super) fn dccp_in_udp<A: Application<Exchange>>(
    job: &Job,
    attempt: Attempt<'_>,
    udp_port: u16,
) -> Result<Box<StackedDccp<A, UdpSocket>>, ConnectError> {
    let remote = SocketAddr::new(attempt.remote.ip(), udp_port);
    let socket = UdpSocket::connect(remote, only(attempt.local)?, &packets(job))?;
    let address = socket.local_addr();
    dccp(job, attempt, socket, address)
}

/// The same in IP itself.
pub(super) fn dccp_in_ip<A: Application<Exchange>>(
    job: &Job,
    attempt: Attempt<'_>,
) -> Result<Box<StackedDccp<A, RawSocket>>, ConnectError> {
    let local = only(attempt.local)?;
    let socket = RawSocket::connect(Protocol::Dccp, attempt.remote, local, &packets(job))?;
    let address = SocketAddr::new(socket.local_ip(), 0);
    dccp(job, attempt, socket, address)
}

fn dccp<A, S>(
    job: &Job,
    attempt: Attempt<'_>,
    socket: S,
    address: SocketAddr,
) -> Result<Box<StackedDccp<A, S>>, ConnectError>
where
    A: Application<Exchange>,
    S: DatagramSocket<Peer = Path> + AsFd,
{
    let carrier = attempt.carrier;
    let stack = dccp_stack(job, carrier, address.ip())?;
    let socket = Seen::new(socket, job.watch.eye(Protocol::Dccp, carrier, address));
    // It has no window to tell the server of.
    let stop = &job.shutdown.graceful;
    let socket = Paced::new(socket, job.limit_rate, stop, attempt.deadline);
    let stack = Metered::new(stack, gauge(job, attempt), None);
    Stacked::connect(job, stack, socket, attempt, None)
}

/// Makes an association in UDP, to `udp_port`; what `requests` has begun travels with the
/// handshake.
pub(super) fn sctp_in_udp<A: Application<Requests>>(
    job: &Job,
    attempt: Attempt<'_>,
    udp_port: u16,
    requests: Requests,
) -> Result<Box<StackedSctp<A, UdpSocket>>, ConnectError> {
    let Attempt { remote, local, .. } = attempt;
    let config = PacketConfig::default();
    let socket = if several(job, remote, local) {
        UdpSocket::bind(SocketAddr::new(wildcard(remote), 0), &config)?
    } else {
        let remote = SocketAddr::new(remote.ip(), udp_port);
        UdpSocket::connect(remote, only(local)?, &config)?
    };
    let address = socket.local_addr();
    sctp(job, attempt, socket, address, requests)
}

/// The same in IP itself.
pub(super) fn sctp_in_ip<A: Application<Requests>>(
    job: &Job,
    attempt: Attempt<'_>,
    requests: Requests,
) -> Result<Box<StackedSctp<A, RawSocket>>, ConnectError> {
    let Attempt { remote, local, .. } = attempt;
    let config = PacketConfig::default();
    let socket = if several(job, remote, local) {
        RawSocket::unconnected(Protocol::Sctp, wildcard(remote), &config)?
    } else {
        RawSocket::connect(Protocol::Sctp, remote, only(local)?, &config)?
    };
    let address = SocketAddr::new(socket.local_ip(), 0);
    sctp(job, attempt, socket, address, requests)
}

fn sctp<A, S>(
    job: &Job,
    attempt: Attempt<'_>,
    socket: S,
    address: SocketAddr,
    requests: Requests,
) -> Result<Box<StackedSctp<A, S>>, ConnectError>
where
    A: Application<Requests>,
    S: DatagramSocket<Peer = Path> + AsFd,
{
    let carrier = attempt.carrier;
    let stack = sctp_stack(job, attempt.remote, carrier, attempt.local)?;
    let stack = Metered::new(stack, gauge(job, attempt), job.limit_rate);
    let socket = Seen::new(socket, job.watch.eye(Protocol::Sctp, carrier, address));
    Stacked::connect(job, stack, socket, attempt, Some(requests))
}

/// Where figures go, if anybody wants them: they are taken with each packet.
fn gauge(job: &Job, attempt: Attempt<'_>) -> Option<Gauge> {
    (!job.telling.is_silent()).then(|| attempt.gauge.clone())
}

/// The buffers of a socket whose stack has no window of its own.
fn packets(job: &Job) -> PacketConfig {
    let config = PacketConfig::default();
    let largest = config.receive_buffer;
    let receive_buffer = |rate| rate::receive_buffer(rate, largest);
    PacketConfig {
        receive_buffer: job.limit_rate.map_or(largest, receive_buffer),
        ..config
    }
}

/// Whether an association has several paths from the start, so that no socket with one peer and
/// one address can carry it.
fn several(job: &Job, remote: SocketAddr, local: &[SocketAddr]) -> bool {
    local.len() > 1 || peers(job, remote).next().is_some()
}

/// The other addresses of the server, as far as one socket reaches them.
fn peers(job: &Job, remote: SocketAddr) -> impl Iterator<Item = IpAddr> {
    let peers = job.peers.iter().copied();
    peers.filter(move |peer| peer.is_ipv4() == remote.is_ipv4() && *peer != remote.ip())
}

fn wildcard(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The one address to connect from, if there is one.
fn only(local: &[SocketAddr]) -> Result<Option<IpAddr>, BindError> {
    match local {
        [] => Ok(None),
        [local] => Ok(Some(local.ip())),
        [..] => Err(BindError::ManyAddresses),
    }
}

fn dccp_stack(
    job: &Job,
    carrier: Carrier,
    local: IpAddr,
) -> Result<Watched<DccpStack>, ConnectError> {
    let client = DccpClient {
        service: ServiceCode(job.service_code),
        udp_port: carrier.udp_port(),
        local: Some(local),
    };
    let sending = Sending {
        ccid: job.ccid,
        mtu: job.mtu,
    };
    let config = carrier::dccp_config(carrier, local, sending);
    let stack = carrier::dccp_stack(config, client).map_err(ConnectError::Io)?;
    Ok(Watched::new(stack, &job.watch))
}

fn sctp_stack(
    job: &Job,
    remote: SocketAddr,
    carrier: Carrier,
    local: &[SocketAddr],
) -> Result<Watched<SctpStack>, ConnectError> {
    let local: Vec<IpAddr> = local.iter().map(SocketAddr::ip).collect();
    // The peer is told of several addresses only: of one it knows.
    let told = if local.len() > 1 {
        local.clone()
    } else {
        Vec::new()
    };
    let client = SctpClient {
        udp_port: carrier.udp_port(),
        local,
        peers: peers(job, remote).collect(),
    };
    let config = carrier::sctp_config(carrier, remote.ip(), told, job.mtu);
    let config = sctp::Config {
        receive_buffer: job.limit_rate.map_or(config.receive_buffer, |rate| {
            rate::window(rate, config.receive_buffer)
        }),
        ..config
    };
    let stack = carrier::sctp_stack(config, client, job.verbose).map_err(ConnectError::Io)?;
    Ok(Watched::new(stack, &job.watch))
}

/// A refusal as the kernel's sockets tell it.
fn explain(why: Refusal, service_code: u32) -> ConnectError {
    match why {
        Refusal::NobodyListens => ConnectError::Refused,
        Refusal::Rejected(rejection) => ConnectError::Rejected(rejection),
        Refusal::ServiceCode => ConnectError::ServiceCode(service_code),
        Refusal::Busy => ConnectError::Busy,
        Refusal::Negotiation => {
            ConnectError::Negotiation(io::Error::other("an option was not understood"))
        }
        Refusal::Aborted => ConnectError::Aborted,
        Refusal::TimedOut => ConnectError::TimedOut,
    }
}
