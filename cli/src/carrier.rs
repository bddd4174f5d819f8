//! What SCTP or DCCP packets travel in, and the stacks of our own for where it is not the kernel.

use std::fmt;
use std::io;
use std::net::IpAddr;

use dccp::Endpoint;
use dccp::ccid::Ccid;
use socket::Protocol;
use transport::{DccpClient, DccpStack, SctpClient, SctpStack};

use crate::args::Via;
use crate::terminal;

/// The UDP ports of RFC 6951 and RFC 6773.
const SCTP_UDP_PORT: u16 = 9899;
const DCCP_UDP_PORT: u16 = 6511;

/// Bytes of a packet on most links.
const ETHERNET_MTU: usize = 1500;

/// What packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The kernel's own protocol.
    Kernel,
    /// UDP, with the server's port.
    Udp(u16),
    /// IP itself.
    Raw,
}

impl Carrier {
    /// The server's UDP port, in UDP.
    pub(crate) const fn udp_port(self) -> Option<u16> {
        match self {
            Self::Udp(port) => Some(port),
            Self::Kernel | Self::Raw => None,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel"),
            Self::Udp(port) => write!(f, "udp port {port}"),
            Self::Raw => f.write_str("raw ip"),
        }
    }
}

/// The carriers that `--via` and `--udp-port` mean, in the order in which they are tried.
pub(crate) fn carriers(via: Via, protocol: Protocol, udp_port: Option<u16>) -> Vec<Carrier> {
    let udp = Carrier::Udp(udp_port.unwrap_or(match protocol {
        Protocol::Sctp => SCTP_UDP_PORT,
        Protocol::Dccp => DCCP_UDP_PORT,
    }));
    match via {
        Via::Auto => vec![Carrier::Kernel, udp],
        Via::Kernel => vec![Carrier::Kernel],
        Via::Udp => vec![udp],
        Via::Raw => vec![Carrier::Raw],
    }
}

/// Bytes that nobody can guess.
pub(crate) fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// What was said of how a stack of our own sends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sending {
    /// The congestion control; `None` leaves it to the two ends.
    pub(crate) ccid: Option<u8>,
    /// The largest IP packet in bytes; `None` looks for what the path takes.
    pub(crate) mtu: Option<u16>,
}

/// Bytes of an IP packet before those of the protocol.
pub(crate) const fn headers(carrier: Carrier, address: IpAddr) -> usize {
    let ip = if address.is_ipv4() { 20 } else { 40 };
    match carrier {
        Carrier::Raw => ip,
        Carrier::Kernel | Carrier::Udp(_) => ip + 8,
    }
}

/// The settings of a DCCP stack in `carrier`, for a client of `address` or a server at it.
pub(crate) fn dccp_config(carrier: Carrier, address: IpAddr, sending: Sending) -> dccp::Config {
    let default = dccp::Config::default();
    let headers = headers(carrier, address);
    dccp::Config {
        carrier: match carrier {
            Carrier::Raw => dccp::Carrier::Ip,
            Carrier::Kernel | Carrier::Udp(_) => dccp::Carrier::Udp,
        },
        ccids: sending.ccid.map_or(default.ccids, |ccid| vec![Ccid(ccid)]),
        max_packet: sending
            .mtu
            .map_or(default.max_packet, |mtu| usize::from(mtu) - headers),
        // Raw IP is used beside kernels, which begin with the size of their link.
        link_mtu: (carrier == Carrier::Raw).then_some(ETHERNET_MTU),
        ..dccp::Config::default()
    }
}

/// A DCCP stack that nobody can guess the numbers of. `client` is of no meaning to a server.
pub(crate) fn dccp_stack(config: dccp::Config, client: DccpClient) -> io::Result<DccpStack> {
    Ok(DccpStack::new(Endpoint::new(config, seed()?), client))
}

/// The settings of an SCTP stack in `carrier`, for a client of `address` or a server at it. The
/// peer is told `addresses` of this end.
pub(crate) fn sctp_config(
    carrier: Carrier,
    address: IpAddr,
    addresses: Vec<IpAddr>,
    mtu: Option<u16>,
) -> sctp::Config {
    let default = sctp::Config::default();
    let largest = mtu.map_or(default.max_packet, |mtu| {
        usize::from(mtu) - headers(carrier, address)
    });
    let base = if address.is_loopback() {
        LOOPBACK_PACKET
    } else {
        default.base_packet
    };
    sctp::Config {
        addresses,
        base_packet: base.min(largest),
        max_packet: largest,
        outbound_streams: STREAMS,
        inbound_streams: STREAMS,
        stream_send_buffer: 128 << 10,
        send_buffer: usize::from(STREAMS) * (128 << 10),
        ..default
    }
}

/// Bytes of packets that need no probing where nothing smaller than the loopback interface is on
/// the way.
const LOOPBACK_PACKET: usize = 16 << 10;

/// Streams of an association with a stack of our own, as over the kernel.
const STREAMS: u16 = 100;

/// An SCTP stack that nobody can guess the numbers of, which tells of its paths if `verbose`.
pub(crate) fn sctp_stack(
    config: sctp::Config,
    client: SctpClient,
    verbose: bool,
) -> io::Result<SctpStack> {
    let stack = SctpStack::new(config, seed()?, client);
    Ok(if verbose {
        stack.observed(terminal::note)
    } else {
        stack
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn du1_auto_is_the_kernel_and_then_udp_on_the_registered_port() {
        let of = |via, protocol| carriers(via, protocol, None);
        let udp = Carrier::Udp(6511);
        assert_eq!(of(Via::Auto, Protocol::Dccp), [Carrier::Kernel, udp]);
        assert_eq!(of(Via::Udp, Protocol::Dccp), [udp]);
        let udp = Carrier::Udp(9899);
        assert_eq!(of(Via::Auto, Protocol::Sctp), [Carrier::Kernel, udp]);
        assert_eq!(of(Via::Raw, Protocol::Sctp), [Carrier::Raw]);
        assert_eq!(
            carriers(Via::Udp, Protocol::Dccp, Some(7)),
            [Carrier::Udp(7)]
        );
    }

    #[test]
    fn an_mtu_is_that_of_ip() {
        let largest = |carrier, address: &str| {
            let sending = Sending {
                mtu: Some(1500),
                ..Sending::default()
            };
            dccp_config(carrier, address.parse().unwrap(), sending).max_packet
        };
        assert_eq!(largest(Carrier::Udp(1), "192.0.2.1"), 1472);
        assert_eq!(largest(Carrier::Udp(1), "::1"), 1452);
        assert_eq!(largest(Carrier::Raw, "192.0.2.1"), 1480);
        assert_eq!(largest(Carrier::Raw, "::1"), 1460);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(seed().unwrap(), seed().unwrap());
    }
}
