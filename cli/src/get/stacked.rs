//! A connection of a stack of our own on a packet socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use dccp::{ConnectionId, ServiceCode};
use driver_std::Until;
use proto::client;
use socket::{BindError, ConnectError, PacketConfig, Protocol, RawSocket, UdpSocket};
use transport::{
    Application, ClientHost, CloseReason, Connection, DatagramSocket, DccpClient, DccpStack,
    Discard, Host, Limits, Path, Progress, Refusal,
};

use super::drive;
use super::job::Job;
use crate::carrier::{self, Carrier, Sending};
use crate::clock;
use crate::sight::{Seen, Watched};

/// How long a server may take to confirm the end. That the whole answer is here is known then;
/// what the wait is for is that the server knows it too.
const LINGER: Duration = Duration::from_millis(500);

/// A host with one connection, established, and its socket.
#[derive(Debug)]
pub(super) struct Stacked<S, A>
where
    A: Application<client::Exchange>,
{
    connection: Connection<ClientHost<Watched, client::Exchange, A>, S, Discard>,
    id: ConnectionId,
}

impl<S, A> Stacked<S, A>
where
    S: DatagramSocket<Peer = Path> + AsFd,
    A: Application<client::Exchange>,
{
    /// Makes a connection, within `left`.
    fn connect(
        job: &Job,
        stack: DccpStack,
        socket: S,
        remote: SocketAddr,
        left: Duration,
    ) -> Result<Box<Self>, ConnectError> {
        let limits = Limits {
            linger: LINGER,
            ..job.limits()
        };
        let mut host = Host::client(Watched::new(stack, &job.watch), limits);
        let until = clock() + left;
        let id = host
            .connect(clock(), remote)
            .map_err(|error| ConnectError::Io(io::Error::other(error)))?;
        let mut connection = Connection::new(host, socket, Discard, Limits::SHARED);
        let cancel = Some(job.shutdown.graceful.as_fd());
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

    /// Runs `machine` to its end.
    pub(super) fn exchange(
        self,
        job: &Job,
        machine: client::Exchange,
        application: A,
    ) -> io::Result<()> {
        let Self { mut connection, id } = self;
        connection
            .machine_mut()
            .begin(clock(), id, machine, application);
        drive(job, connection)
    }
}

/// Connects to `remote`, which has the DCCP port, in UDP to `udp_port`.
pub(super) fn in_udp<A: Application<client::Exchange>>(
    job: &Job,
    remote: SocketAddr,
    udp_port: u16,
    local: &[SocketAddr],
    left: Duration,
) -> Result<Box<Stacked<Seen<UdpSocket>, A>>, ConnectError> {
    let mut carrier_address = remote;
    carrier_address.set_port(udp_port);
    let config = PacketConfig::default();
    let socket = UdpSocket::connect(carrier_address, only(local)?, &config)?;
    let (carrier, address) = (Carrier::Udp(udp_port), socket.local_addr());
    let stack = stack(job, carrier, address.ip())?;
    let socket = Seen::new(socket, job.watch.eye(Protocol::Dccp, carrier, address));
    Stacked::connect(job, stack, socket, remote, left)
}

/// Connects to `remote`, which has the DCCP port, in IP itself.
pub(super) fn in_ip<A: Application<client::Exchange>>(
    job: &Job,
    remote: SocketAddr,
    local: &[SocketAddr],
    left: Duration,
) -> Result<Box<Stacked<Seen<RawSocket>, A>>, ConnectError> {
    let config = PacketConfig::default();
    let socket = RawSocket::connect(Protocol::Dccp, remote, only(local)?, &config)?;
    let address = SocketAddr::new(socket.local_ip(), 0);
    let stack = stack(job, Carrier::Raw, address.ip())?;
    let eye = job.watch.eye(Protocol::Dccp, Carrier::Raw, address);
    let socket = Seen::new(socket, eye);
    Stacked::connect(job, stack, socket, remote, left)
}

/// The one address to connect from, if there is one.
fn only(local: &[SocketAddr]) -> Result<Option<IpAddr>, BindError> {
    match local {
        [] => Ok(None),
        [local] => Ok(Some(local.ip())),
        [..] => Err(BindError::ManyAddresses),
    }
}

fn stack(job: &Job, carrier: Carrier, local: IpAddr) -> Result<DccpStack, ConnectError> {
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
    carrier::dccp_stack(config, client).map_err(ConnectError::Io)
}

/// A refusal as the kernel's sockets tell it.
fn explain(why: Refusal, service_code: u32) -> ConnectError {
    match why {
        Refusal::NoStack | Refusal::NobodyListens => ConnectError::Refused,
        Refusal::ServiceCode => ConnectError::ServiceCode(service_code),
        Refusal::Busy => ConnectError::Busy,
        Refusal::Negotiation => {
            ConnectError::Negotiation(io::Error::other("an option was not understood"))
        }
        Refusal::Aborted => ConnectError::Aborted,
        Refusal::TimedOut => ConnectError::TimedOut,
    }
}
