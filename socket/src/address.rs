//! Making, binding and connecting, as both protocols do it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::{BindError, ConnectError, SocketError};
use crate::wait::{Entry, Interest, wait};
use crate::{Protocol, sys};

/// `SOCK_DCCP`, which not every system's headers have.
const SOCK_DCCP: i32 = 6;
pub(crate) const IPPROTO_DCCP: i32 = 33;
pub(crate) const IPPROTO_SCTP: i32 = 132;
const SCTP_SOCKOPT_BINDX_ADD: i32 = 100;

/// The address family that can have all of `addresses`: an IPv6 socket can be bound to IPv4
/// addresses too.
pub(crate) fn domain(addresses: impl IntoIterator<Item = SocketAddr>) -> Domain {
    if addresses.into_iter().any(|address| address.is_ipv6()) {
        Domain::IPV6
    } else {
        Domain::IPV4
    }
}

/// A new socket, closed by exec, that never waits.
pub(crate) fn open(protocol: Protocol, domain: Domain) -> Result<Socket, SocketError> {
    open_raw(protocol, domain).map_err(|error| SocketError::open(protocol, error))
}

/// [`open`] with the kernel's own error.
pub(crate) fn open_raw(protocol: Protocol, domain: Domain) -> io::Result<Socket> {
    let (kind, number) = match protocol {
        Protocol::Sctp => (Type::STREAM, IPPROTO_SCTP),
        Protocol::Dccp => (Type::from(SOCK_DCCP), IPPROTO_DCCP),
    };
    let socket = Socket::new(domain, kind, Some(number.into()))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds to all of `addresses`, which must not be empty, and returns them with the port that was
/// got where they name none.
pub(crate) fn bind(
    socket: &Socket,
    domain: Domain,
    addresses: &[SocketAddr],
) -> Result<Vec<SocketAddr>, BindError> {
    let mut addresses = addresses.to_vec();
    let port = same_port(&addresses)?;
    // The first bind decides what kind of addresses the kernel expects, and IPv6 takes both.
    addresses.sort_by_key(SocketAddr::is_ipv4);
    let Some((first, others)) = addresses.split_first_mut() else {
        return Err(BindError::NoAddress);
    };
    first.set_port(port);
    if domain == Domain::IPV6 {
        // Without this an IPv6 wildcard would take the IPv4 port too.
        let only_v6 = others.iter().all(SocketAddr::is_ipv6);
        socket
            .set_only_v6(only_v6)
            .map_err(SocketError::option("IPV6_V6ONLY"))?;
    }
    socket
        .bind(&SockAddr::from(*first))
        .map_err(|error| BindError::new(*first, error))?;
    let bound = local(socket).map_err(|error| BindError::new(*first, error))?;
    first.set_port(bound.port());
    for other in others {
        other.set_port(bound.port());
        sys::set_option(
            socket.as_fd(),
            IPPROTO_SCTP,
            SCTP_SOCKOPT_BINDX_ADD,
            &packed(*other),
        )
        .map_err(|error| BindError::new(*other, error))?;
    }
    Ok(addresses)
}

/// The one port that `addresses` name; 0 if none does.
fn same_port(addresses: &[SocketAddr]) -> Result<u16, BindError> {
    let mut named = addresses
        .iter()
        .map(SocketAddr::port)
        .filter(|&port| port != 0);
    let port = named.next().unwrap_or(0);
    if named.all(|other| other == port) {
        Ok(port)
    } else {
        Err(BindError::PortsDiffer)
    }
}

/// `address` as the `sockaddr` of its own family, without padding: RFC 6458 §9.1.
fn packed(address: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    let family = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    bytes.extend_from_slice(&u16::try_from(family).unwrap_or_default().to_ne_bytes());
    bytes.extend_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => {
            bytes.extend_from_slice(&address.ip().octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(address) => {
            bytes.extend_from_slice(&address.flowinfo().to_be_bytes());
            bytes.extend_from_slice(&address.ip().octets());
            bytes.extend_from_slice(&address.scope_id().to_ne_bytes());
        }
    }
    bytes
}

/// The socket's own address.
pub(crate) fn local(socket: &Socket) -> io::Result<SocketAddr> {
    ip(&socket.local_addr()?)
}

/// The peer's address; an IPv4 address mapped into IPv6 is given as IPv4.
pub(crate) fn peer(socket: &Socket) -> io::Result<SocketAddr> {
    ip(&socket.peer_addr()?)
}

/// As a plain address; one of IPv4 mapped into IPv6 becomes one of IPv4.
pub(crate) fn ip(address: &SockAddr) -> io::Result<SocketAddr> {
    let address = address
        .as_socket()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
        .map(|plain| if plain.is_ipv6() { address } else { plain })
}

/// Connects a socket that does not wait, and waits for it.
pub(crate) fn connect(
    socket: &Socket,
    remote: SocketAddr,
    timeout: Duration,
    cancel: Option<BorrowedFd<'_>>,
) -> Result<(), ConnectError> {
    match socket.connect(&SockAddr::from(remote)) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            wait_connected(socket, timeout, cancel)?;
        }
        Err(error) => return Err(ConnectError::new(error)),
    }
    match socket.take_error() {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return Err(ConnectError::new(error)),
    }
    match socket.peer_addr() {
        Ok(_) => Ok(()),
        // It ended between the two, in good order.
        Err(_) => Err(ConnectError::Aborted),
    }
}

fn wait_connected(
    socket: &Socket,
    timeout: Duration,
    cancel: Option<BorrowedFd<'_>>,
) -> Result<(), ConnectError> {
    #[expect(clippy::disallowed_methods, reason = "the wait below is in real time")]
    let deadline = Instant::now().checked_add(timeout);
    let mut entries = vec![Entry::new(socket.as_fd(), Interest::ReadWrite)];
    entries.extend(cancel.map(|fd| Entry::new(fd, Interest::Read)));
    wait(&mut entries, deadline).map_err(ConnectError::Io)?;
    match entries.as_slice() {
        [_, cancel] if cancel.is_ready() => Err(ConnectError::Cancelled),
        [socket, ..] if socket.is_ready() => Ok(()),
        _ => Err(ConnectError::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_of_an_endpoint_share_a_port() {
        assert_eq!(same_port(&[]).unwrap(), 0);
        let list = addresses(&["127.0.0.1:80", "127.0.0.2:0", "[::1]:80"]);
        assert_eq!(same_port(&list).unwrap(), 80);
        let list = addresses(&["127.0.0.1:80", "127.0.0.2:81"]);
        assert!(matches!(same_port(&list), Err(BindError::PortsDiffer)));
    }

    #[test]
    fn an_address_is_packed_as_its_own_family() {
        let v4 = packed("127.0.0.1:80".parse().unwrap());
        assert_eq!(v4.len(), size_of::<libc::sockaddr_in>());
        assert_eq!(v4[2..8], [0, 80, 127, 0, 0, 1]);
        let v6 = packed("[::1]:80".parse().unwrap());
        assert_eq!(v6.len(), size_of::<libc::sockaddr_in6>());
        assert_eq!(v6[2..4], [0, 80]);
        assert_eq!(v6[23], 1);
    }

    #[test]
    fn a_mapped_address_is_shown_as_ipv4() {
        let mapped = SockAddr::from("[::ffff:192.0.2.1]:80".parse::<SocketAddr>().unwrap());
        assert_eq!(ip(&mapped).unwrap(), "192.0.2.1:80".parse().unwrap());
        let plain: SocketAddr = "[fe80::1%3]:80".parse().unwrap();
        assert_eq!(ip(&SockAddr::from(plain)).unwrap(), plain);
    }
}
