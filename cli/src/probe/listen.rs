//! The far end of a probe: takes what comes in every way this machine has, and says whom it saw.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use dccp::ServiceCode;
use socket::stop::Shutdown;
use socket::{
    BindError, DccpConfig, DccpListener, PacketConfig, Protocol, RawSocket, SctpConfig,
    SctpListener, SocketError, UdpSocket,
};
use transport::{
    Connection, DatagramSocket, DccpClient, Direction, Discard, Ecn, Host, Limits, Listener,
    Observer, Path, Resident, SctpClient, Stack, Tap,
};

use super::note::{Note, Seen};
use super::{carriers_for, protocols};
use crate::args;
use crate::carrier::{self, Carrier, Sending};
use crate::exit::{self, Code, Failure};
use crate::plan::served_codes;
use crate::serve::ServeError;
use crate::terminal::tell;

/// Remembers where the packet came from that is handled now: a stack tells of a connection that
/// it brings about before the next one is looked at.
#[derive(Clone, Debug, Default)]
struct Latest(Arc<Mutex<Option<SocketAddr>>>);

impl Latest {
    fn get(&self) -> Option<SocketAddr> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Latest {
    fn packet(&mut self, direction: Direction, path: Path, _ecn: Ecn, _bytes: &[u8]) {
        if direction == Direction::Received {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.remote);
        }
    }
}

/// Listens until interrupted.
pub(super) fn run(args: &args::Probe) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals().map_err(|error| Failure::no_signals(&error))?;
    let anywhere = [IpAddr::from(Ipv4Addr::UNSPECIFIED)];
    let addresses = if args.bind.is_empty() {
        &anywhere[..]
    } else {
        &args.bind
    };
    let place = |address: &IpAddr| SocketAddr::new(*address, args.port);
    let addresses: Vec<SocketAddr> = addresses.iter().map(place).collect();
    let mut sctp = Doors::new(Protocol::Sctp);
    let mut dccp = Doors::new(Protocol::Dccp);
    for protocol in protocols(args) {
        for carrier in carriers_for(args, protocol) {
            for address in &addresses {
                match protocol {
                    Protocol::Sctp => sctp.open(args, carrier, *address, |address| {
                        SctpListener::bind(&[address], &SctpConfig::default())
                    }),
                    Protocol::Dccp => dccp.open(args, carrier, *address, |address| {
                        let config = DccpConfig {
                            service_codes: service_codes(args),
                            ccid: args.ccid,
                            ..DccpConfig::default()
                        };
                        DccpListener::bind(&[address], &config)
                    }),
                }?;
            }
        }
    }
    if sctp.is_closed() && dccp.is_closed() {
        return Err(Failure::new(
            Code::NotAvailable,
            "nothing of what was asked for can be listened for on this machine",
        )
        .hint("--via udp needs nothing of the kernel"));
    }
    thread::scope(|scope| {
        let other = scope.spawn(|| sctp.serve(&shutdown));
        let served = dccp.serve(&shutdown);
        let other = other.join().unwrap_or(Ok(()));
        served.and(other).map_err(|error| {
            let message = format_args!("cannot listen: {error}");
            Failure::new(Code::Receive, message).hint(exit::MAKE_ROOM)
        })
    })
}

fn service_codes(args: &args::Probe) -> Vec<u32> {
    served_codes(args.service_code.as_slice())
}

/// Where connections of one protocol come in.
struct Doors<L> {
    protocol: Protocol,
    listeners: Vec<L>,
    residents: Vec<Box<dyn Resident + Send>>,
}

impl<L> Doors<L>
where
    L: Listener + AsFd + Send,
    L::Socket: AsFd + Send,
{
    const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            listeners: Vec::new(),
            residents: Vec::new(),
        }
    }

    fn is_closed(&self) -> bool {
        self.listeners.is_empty() && self.residents.is_empty()
    }

    /// Listens at `address` in `carrier`; says so, or why it cannot be.
    fn open(
        &mut self,
        args: &args::Probe,
        carrier: Carrier,
        address: SocketAddr,
        bind: impl Fn(SocketAddr) -> Result<L, BindError>,
    ) -> Result<(), Failure> {
        let protocol = self.protocol;
        let config = PacketConfig::default();
        let opened = match carrier {
            Carrier::Kernel => bind(address).map(|listener| {
                self.listeners.push(listener);
                carrier
            }),
            Carrier::Raw => RawSocket::bind(protocol, address, &config)
                .and_then(|socket| self.house(args, carrier, address, socket)),
            Carrier::Udp(port) => {
                let place = SocketAddr::new(address.ip(), port);
                UdpSocket::bind(place, &config).and_then(|socket| {
                    let carrier = Carrier::Udp(socket.local_addr().port());
                    self.house(args, carrier, address, socket)
                })
            }
        };
        match opened {
            Ok(carrier) => tell(&format!("listening on {protocol} {address} ({carrier})\n")),
            Err(BindError::Socket(
                why @ (SocketError::NotAvailable(_)
                | SocketError::RawForbidden
                | SocketError::KernelAnswersToo(_)),
            )) => tell(&format!("not listening on {protocol} ({carrier}): {why}\n")),
            Err(error) => {
                let error = match carrier {
                    Carrier::Udp(_) => ServeError::Udp(error),
                    Carrier::Kernel | Carrier::Raw => error.into(),
                };
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Puts a stack of our own on `socket`, which is of `carrier`.
    fn house<S>(
        &mut self,
        args: &args::Probe,
        carrier: Carrier,
        address: SocketAddr,
        socket: S,
    ) -> Result<Carrier, BindError>
    where
        S: DatagramSocket<Peer = Path> + AsFd + Send + 'static,
    {
        let no_seed = |error| BindError::Io(address, error);
        match self.protocol {
            Protocol::Sctp => {
                let config = sctp::Config {
                    listen: Some(address.port()),
                    ..carrier::sctp_config(carrier, address.ip(), Vec::new(), None)
                };
                let client = SctpClient::default();
                let stack = carrier::sctp_stack(config, client, false).map_err(no_seed)?;
                self.residents
                    .push(resident(self.protocol, carrier, stack, socket));
            }
            Protocol::Dccp => {
                let sending = Sending {
                    ccid: args.ccid,
                    mtu: None,
                };
                let codes = service_codes(args).into_iter().map(ServiceCode);
                let config = dccp::Config {
                    listen: Some(address.port()),
                    service_codes: codes.collect(),
                    ..carrier::dccp_config(carrier, address.ip(), sending)
                };
                let client = DccpClient {
                    service: ServiceCode(0),
                    udp_port: None,
                    local: None,
                };
                let stack = carrier::dccp_stack(config, client).map_err(no_seed)?;
                self.residents
                    .push(resident(self.protocol, carrier, stack, socket));
            }
        }
        Ok(carrier)
    }

    fn serve(self, shutdown: &Shutdown) -> std::io::Result<()> {
        let protocol = self.protocol;
        let answer = move |_: Instant, peer: SocketAddr| {
            (greet(protocol, Carrier::Kernel, peer.ip(), None), Discard)
        };
        let config = driver_std::Config::default();
        let (listeners, residents) = (self.listeners, self.residents);
        driver_std::serve(listeners, residents, answer, &config, shutdown, &mut |_| {})?;
        Ok(())
    }
}

fn resident<K, S>(
    protocol: Protocol,
    carrier: Carrier,
    stack: K,
    socket: S,
) -> Box<dyn Resident + Send>
where
    K: Stack<Id: Send> + Send + 'static,
    S: DatagramSocket<Peer = Path> + AsFd + Send + 'static,
{
    let latest = Latest::default();
    let observer = latest.clone();
    let answer = move |_: Instant, peer: SocketAddr| {
        let seen = latest.get().filter(|seen| seen.ip() == peer.ip());
        let port = seen.map(|seen| seen.port()).filter(|port| *port != 0);
        (greet(protocol, carrier, peer.ip(), port), Discard)
    };
    let host = Host::server(stack, answer, Limits::default());
    let socket = Tap::new(socket, Some(observer));
    Box::new(Connection::new(host, socket, Discard, Limits::SHARED))
}

/// Tells of a peer, here and to itself.
fn greet(protocol: Protocol, carrier: Carrier, address: IpAddr, port: Option<u16>) -> Note {
    let seen = Seen {
        address: address.to_canonical(),
        port,
    };
    tell(&format!("{protocol} ({carrier}) from {seen}\n"));
    Note::say(seen)
}
