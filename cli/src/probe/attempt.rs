//! One attempt to reach the far end, with one protocol in one carrier.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use dccp::ServiceCode;
use driver_std::Until;
use socket::wait::{Entry, Interest, wait};
use socket::{
    ConnectError, DccpConfig, DccpSocket, PacketConfig, Protocol, RawSocket, SctpConfig,
    SctpSocket, UdpSocket,
};
use transport::{
    Buffers, ClientHost, Connection, DatagramSocket, DccpClient, Discard, Host, Limits, Path,
    Progress, Received, Refusal, SctpClient, Stack, Tap,
};

use super::note::{Heard, Note, Seen};
use super::verdict::{Lacks, Passage, Verdict};
use super::witness::{Testimony, Witness};
use crate::carrier::{self, Carrier, Sending};
use crate::clock;

/// So long nothing more is learnt of a connection, and what is known is told: a larger packet
/// that passes, the listener's message.
const QUIET: Duration = Duration::from_millis(250);

/// So long a connection is looked at at most.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// How long the end of a connection may take.
const LINGER: Duration = Duration::from_millis(300);

/// How soon the packets that look for the path's packet size follow one another, at least.
const SIZE_PROBES: Duration = Duration::from_millis(20);

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) protocol: Protocol,
    pub(super) carrier: Carrier,
    /// The far end, with the port of SCTP or DCCP.
    pub(super) remote: SocketAddr,
    pub(super) timeout: Duration,
    pub(super) service_code: u32,
    pub(super) ccid: Option<u8>,
    /// Whether to look at the connection, or to be content that there is one.
    pub(super) measure: bool,
}

impl Attempt {
    /// Does it.
    pub(super) fn run(&self) -> Verdict {
        let verdict = match (self.protocol, self.carrier) {
            (Protocol::Sctp, Carrier::Kernel) => self.kernel_sctp(),
            (Protocol::Dccp, Carrier::Kernel) => self.kernel_dccp(),
            (_, Carrier::Udp(port)) => self.in_udp(port),
            (_, Carrier::Raw) => self.in_ip(),
        };
        verdict.unwrap_or_else(Verdict::from)
    }

    fn kernel_sctp(&self) -> Result<Verdict, ConnectError> {
        let began = clock();
        let config = SctpConfig::default();
        let socket = SctpSocket::connect(self.remote, &[], &config, self.timeout, None)?;
        let handshake = clock() - began;
        let streams = socket.streams().ok();
        let offers = streams.map(|(out, into)| format!("streams {out} out, {into} in"));
        Ok(self.kernel(socket, handshake, offers.into_iter().collect()))
    }

    fn kernel_dccp(&self) -> Result<Verdict, ConnectError> {
        let began = clock();
        let config = DccpConfig {
            service_codes: vec![self.service_code],
            ccid: self.ccid,
            ..DccpConfig::default()
        };
        let socket = DccpSocket::connect(self.remote, &[], &config, self.timeout, None)?;
        let handshake = clock() - began;
        let offers = vec![format!("service code {}", ServiceCode(self.service_code))];
        Ok(self.kernel(socket, handshake, offers))
    }

    /// Looks at a connection of the kernel's, whose packets cannot be seen.
    fn kernel<S>(&self, mut socket: S, handshake: Duration, offers: Vec<String>) -> Verdict
    where
        S: DatagramSocket<Peer = ()> + AsFd,
    {
        let seen = if self.measure {
            hear(&mut socket, clock() + QUIET)
        } else {
            None
        };
        // What is not said by then the kernel says by itself.
        let _ = socket.finish();
        Verdict::Passes(Passage {
            handshake,
            packet_size: None,
            offers,
            local: None,
            seen,
        })
    }

    fn in_udp(&self, port: u16) -> Result<Verdict, ConnectError> {
        let mut peer = self.remote;
        peer.set_port(port);
        let socket = UdpSocket::connect(peer, None, &PacketConfig::default())?;
        let local = socket.local_addr();
        self.with_own_stack(socket, local)
    }

    fn in_ip(&self) -> Result<Verdict, ConnectError> {
        let config = PacketConfig::default();
        let socket = RawSocket::connect(self.protocol, self.remote, None, &config)?;
        let local = SocketAddr::new(socket.local_ip(), 0);
        self.with_own_stack(socket, local)
    }

    fn with_own_stack<S>(&self, socket: S, local: SocketAddr) -> Result<Verdict, ConnectError>
    where
        S: DatagramSocket<Peer = Path> + AsFd,
    {
        let (carrier, peer) = (self.carrier, self.remote.ip());
        match self.protocol {
            Protocol::Sctp => {
                let client = SctpClient {
                    udp_port: carrier.udp_port(),
                    ..SctpClient::default()
                };
                let config = sctp::Config {
                    probe_after: 0,
                    probe_timer: QUIET / 2,
                    // With a HEARTBEAT the next size is tried.
                    heartbeat_interval: SIZE_PROBES,
                    rto_min: SIZE_PROBES,
                    ..carrier::sctp_config(carrier, peer, Vec::new(), None)
                };
                let stack = carrier::sctp_stack(config, client, false).map_err(ConnectError::Io)?;
                self.stacked(stack, socket, local, |stack, id| {
                    let stats = stack.endpoint().stats(id)?;
                    Some(stats.paths.first()?.packet_size)
                })
            }
            Protocol::Dccp => {
                let client = DccpClient {
                    service: ServiceCode(self.service_code),
                    udp_port: carrier.udp_port(),
                    local: Some(local.ip()),
                };
                let sending = Sending {
                    ccid: self.ccid,
                    mtu: None,
                };
                let config = dccp::Config {
                    probe_after: 0,
                    // What is told to pass has passed.
                    link_mtu: None,
                    ..carrier::dccp_config(carrier, local.ip(), sending)
                };
                let stack = carrier::dccp_stack(config, client).map_err(ConnectError::Io)?;
                self.stacked(stack, socket, local, |stack, id| {
                    Some(stack.endpoint().stats(id)?.packet_size)
                })
            }
        }
    }

    /// Connects with `stack`, and looks at the connection; `size` tells the packet size.
    fn stacked<K, S>(
        &self,
        stack: K,
        socket: S,
        local: SocketAddr,
        size: impl Fn(&K, K::Id) -> Option<usize>,
    ) -> Result<Verdict, ConnectError>
    where
        K: Stack,
        S: DatagramSocket<Peer = Path> + AsFd,
    {
        let witness = Witness::new(self.protocol);
        let heard = Heard::default();
        let limits = Limits {
            linger: LINGER,
            ..Limits::default()
        };
        let mut host: ClientHost<K, Note, Discard> = Host::client(stack, limits);
        let began = clock();
        let id = host
            .connect_with(began, self.remote, Note::hear(heard.clone()))
            .map_err(|error| ConnectError::Io(io::Error::other(error)))?;
        let socket = Tap::new(socket, Some(witness.clone()));
        let mut connection = Connection::new(host, socket, Discard, Limits::SHARED);
        let pending = |progress| progress == Progress::Pending;
        driver_std::run_until(
            &mut connection,
            |connection| !pending(connection.machine().progress(id)),
            began + self.timeout,
            None,
        )
        .map_err(ConnectError::Io)?;
        let handshake = clock() - began;
        match connection.machine().progress(id) {
            Progress::Connected => {}
            Progress::Refused(why) => return Ok(refused(why, &witness)),
            Progress::Pending => {
                connection.abort(clock(), transport::CloseReason::Cancelled);
                return Ok(silent(&witness.testimony()));
            }
        }
        connection.machine_mut().attach(id, Discard);
        let size = |host: &ClientHost<K, Note, Discard>| size(host.stack(), id);
        let mut packet_size = None;
        let until = clock() + LONGEST_LOOK;
        while self.measure && clock() < until {
            packet_size = size(connection.machine()).or(packet_size);
            let known = (packet_size, heard.get());
            let ended = driver_std::run_until(
                &mut connection,
                |connection| (size(connection.machine()), heard.get()) != known,
                until.min(clock() + QUIET),
                None,
            );
            if !matches!(ended, Ok(Until::Done)) {
                break;
            }
        }
        connection.stop(clock(), &mut Buffers::default());
        // That the far end knows of the end is a courtesy.
        let _ = driver_std::run_until(&mut connection, |_| false, clock() + LINGER, None);
        let headers = carrier::headers(self.carrier, self.remote.ip());
        Ok(Verdict::Passes(Passage {
            handshake,
            packet_size: packet_size.map(|size| size + headers),
            offers: witness.testimony().offers,
            local: Some(local),
            seen: heard.get(),
        }))
    }
}

/// Waits for the listener's message on a connection of the kernel's.
fn hear<S: DatagramSocket<Peer = ()> + AsFd>(socket: &mut S, until: Instant) -> Option<Seen> {
    let mut buffer = BytesMut::new();
    loop {
        match socket.recv(&mut buffer) {
            Ok(Received::Datagram(datagram)) => return Seen::read(&datagram.payload),
            Ok(Received::Icmp { .. }) => {}
            Ok(Received::Closed(_)) => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut entries = [Entry::new(socket.as_fd(), Interest::Read)];
                if wait(&mut entries, Some(until)).ok()? == 0 {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

/// What a refusal means, with the code that the packet had.
fn refused(why: Refusal, witness: &Witness) -> Verdict {
    let testimony = witness.testimony();
    match why {
        Refusal::Rejected(rejection) => Verdict::Unreachable(rejection),
        Refusal::TimedOut => silent(&testimony),
        // Where packets come back, a refusal is what this end said to one of its own.
        Refusal::NobodyListens
        | Refusal::ServiceCode
        | Refusal::Busy
        | Refusal::Negotiation
        | Refusal::Aborted
            if testimony.echoed > 0 =>
        {
            silent(&testimony)
        }
        Refusal::NobodyListens
        | Refusal::ServiceCode
        | Refusal::Busy
        | Refusal::Negotiation
        | Refusal::Aborted => Verdict::Refused {
            why: why.to_string(),
            code: testimony.refusal,
            lacks: if why == Refusal::ServiceCode {
                Lacks::ServiceCode
            } else {
                Lacks::Server
            },
        },
    }
}

/// No answer came in time; maybe something else did.
fn silent(testimony: &Testimony) -> Verdict {
    if testimony.echoed > 0 {
        Verdict::WrongProtocol("what is sent comes back as it is".to_owned())
    } else if testimony.foreign > 0 {
        Verdict::WrongProtocol("what answers there speaks something else".to_owned())
    } else {
        Verdict::Silent
    }
}

/// What lies between where this end believes to be and where the far end saw it.
pub(super) fn rebinding(local: SocketAddr, seen: Seen) -> &'static str {
    let same_address = local.ip().to_canonical() == seen.address;
    let same_port = seen.port.is_none_or(|port| port == local.port());
    match (same_address, same_port) {
        (true, true) => "none",
        (true, false) => "port changed",
        (false, true) => "address changed",
        (false, false) => "address and port changed",
    }
}
