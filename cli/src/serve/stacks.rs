//! Packet sockets with stacks of our own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use dccp::ServiceCode;
use socket::{PacketConfig, Protocol, RawSocket, UdpSocket};
use transport::{
    Connection, DatagramSocket, DccpClient, Discard, Host, Limits, Path, SctpClient, Service, Stack,
};

use super::{Housed, Options, ServeError};
use crate::carrier::{self, Carrier, Sending};
use crate::sight::{Seen, Watch, Watched};

/// The first of the ports that nobody is given for good (RFC 6335 §6).
const FIRST_FREE_PORT: u16 = 49_152;

/// A port of DCCP or SCTP on a stack of our own, where every port is free.
pub(super) fn free_port() -> Result<u16, ServeError> {
    let seed = carrier::seed().map_err(ServeError::System)?;
    Ok(FIRST_FREE_PORT | u16::from_ne_bytes([seed[0], seed[1]]))
}

/// A DCCP stack that listens at `address`, and what `carrier` brings there.
pub(super) fn dccp<V>(
    options: &Options,
    carrier: Carrier,
    address: SocketAddr,
    service: V,
    watch: &Watch,
) -> Result<Housed, ServeError>
where
    V: Service<Machine: Send, Application: Send> + Send + 'static,
{
    let sending = Sending {
        ccid: options.ccid,
        mtu: options.mtu,
    };
    let default = carrier::dccp_config(carrier, address.ip(), sending);
    let config = dccp::Config {
        listen: Some(address.port()),
        service_codes: options
            .service_codes
            .iter()
            .copied()
            .map(ServiceCode)
            .collect(),
        connections: options.max_connections.unwrap_or(default.connections),
        ..default
    };
    let client = DccpClient {
        service: ServiceCode(0),
        udp_port: None,
        local: None,
    };
    let stack = carrier::dccp_stack(config, client).map_err(ServeError::System)?;
    let host = Host::server(Watched::new(stack, watch), service, options.limits());
    house(host, Protocol::Dccp, carrier, address, watch)
}

/// An SCTP stack that listens at `addresses`, of one family and with one port, and what `carrier`
/// brings there.
pub(super) fn sctp<V>(
    options: &Options,
    carrier: Carrier,
    addresses: &[SocketAddr],
    service: V,
    watch: &Watch,
) -> Result<Housed, ServeError>
where
    V: Service<Machine: Send, Application: Send> + Send + 'static,
{
    let several: Vec<IpAddr> = if addresses.len() > 1 {
        addresses.iter().map(SocketAddr::ip).collect()
    } else {
        Vec::new()
    };
    let first = addresses[0];
    let default = carrier::sctp_config(carrier, first.ip(), several.clone(), options.mtu);
    let config = sctp::Config {
        listen: Some(first.port()),
        max_associations: options.max_connections.unwrap_or(default.max_associations),
        ..default
    };
    let mut address = first;
    if !several.is_empty() {
        // One socket for all of them; the stack takes what came to those that were named.
        address.set_ip(match first {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
    }
    let client = SctpClient {
        local: several,
        ..SctpClient::default()
    };
    let stack = carrier::sctp_stack(config, client, options.shows_requests())
        .map_err(ServeError::System)?;
    let host = Host::server(Watched::new(stack, watch), service, options.limits());
    house(host, Protocol::Sctp, carrier, address, watch)
}

/// Gives `host` a packet socket at `address`, which has the port of `protocol`.
fn house<K, V>(
    host: Host<K, V>,
    protocol: Protocol,
    carrier: Carrier,
    address: SocketAddr,
    watch: &Watch,
) -> Result<Housed, ServeError>
where
    K: Stack<Id: Send> + Send + 'static,
    V: Service<Machine: Send, Application: Send> + Send + 'static,
{
    let config = PacketConfig::default();
    match carrier {
        Carrier::Raw => {
            let socket = RawSocket::bind(protocol, address, &config)?;
            let eye = watch.eye(protocol, carrier, SocketAddr::new(address.ip(), 0));
            let socket = Seen::new(socket, eye);
            Ok(housed(host, socket, carrier))
        }
        Carrier::Kernel | Carrier::Udp(_) => {
            let port = carrier.udp_port().unwrap_or(0);
            let socket = UdpSocket::bind(SocketAddr::new(address.ip(), port), &config)
                .map_err(ServeError::Udp)?;
            let local = socket.local_addr();
            let carrier = Carrier::Udp(local.port());
            let socket = Seen::new(socket, watch.eye(protocol, carrier, local));
            Ok(housed(host, socket, carrier))
        }
    }
}

fn housed<K, V, S>(host: Host<K, V>, socket: S, carrier: Carrier) -> Housed
where
    K: Stack<Id: Send> + Send + 'static,
    V: Service<Machine: Send, Application: Send> + Send + 'static,
    S: DatagramSocket<Peer = Path> + AsFd + Send + 'static,
{
    let connection = Connection::new(host, socket, Discard, Limits::SHARED);
    (Box::new(connection), carrier)
}
