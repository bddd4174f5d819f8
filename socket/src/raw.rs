//! Raw IP, for the packets of a stack in user space: they are then those that a kernel's SCTP or
//! DCCP sends and takes.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use bytes::{Buf, Bytes, BytesMut};
use socket2::{Domain, MsgHdr, SockAddr, Socket, Type};
use transport::{Datagram, DatagramSocket, Ecn, Finish, Path, Received, SendError, Transmit};

use crate::address::{self, IPPROTO_DCCP, IPPROTO_SCTP};
use crate::control::{PacketControl, PacketInfo, ecn_of};
use crate::error::{BindError, ConnectError, SocketError};
use crate::icmp::ErrorQueue;
use crate::udp::{Control, PacketConfig, set_buffers, source_address};
use crate::{Protocol, fragment, probe, sys};

/// The longest packet, its IPv4 header included.
const MAX_PACKET: usize = 64 * 1024;

/// How much receive buffer is taken from the allocator at a time.
const RECEIVE_CHUNK: usize = 4 * MAX_PACKET;

/// How many packets for other ports one receive call skips.
const MAX_SKIPPED: usize = 64;

const IPV4_HEADER: usize = 20;

const IPPROTO_IP: i32 = 0;
const IPPROTO_IPV6: i32 = 41;
const IP_MTU_DISCOVER: i32 = 10;
const IPV6_CHECKSUM: i32 = 7;
const IPV6_MTU_DISCOVER: i32 = 23;
const IPV6_RECVPKTINFO: i32 = 49;
const IPV6_DONTFRAG: i32 = 62;
const IPV6_RECVTCLASS: i32 = 66;
/// "Always set DF, and do not listen to what the kernel knows of the path" (`ip(7)`).
const PMTUDISC_PROBE: i32 = 3;

/// A raw IP socket for one protocol and one of its ports.
///
/// The kernel gives a raw socket every packet of the protocol, and the program cannot know whose
/// they are. So this one has a port: packets for others are not taken, because answering them
/// would reset connections of other programs; and nobody then answers that a port is closed.
///
/// What cannot be sent is as good as lost, and no error, as with [`UdpSocket`](crate::UdpSocket).
pub struct RawSocket {
    socket: Socket,
    /// This end's address, maybe the wildcard.
    local: IpAddr,
    /// The port that is taken; `None` until the first packet is sent, whose source port it is.
    port: Option<u16>,
    icmp: ErrorQueue,
    /// How many bytes are sent of a train of which the rest would block.
    resume: usize,
}

impl fmt::Debug for RawSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSocket")
            .field("local", &self.local)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl RawSocket {
    /// Takes the packets of `protocol` that are sent to `address`, an address and a port of the
    /// protocol.
    ///
    /// # Errors
    ///
    /// When this process may not use raw IP, when the kernel has the protocol itself and would
    /// answer too, or when the address cannot be had.
    pub fn bind(
        protocol: Protocol,
        address: SocketAddr,
        config: &PacketConfig,
    ) -> Result<Self, BindError> {
        let socket = open(protocol, address.is_ipv6(), config)?;
        bind(&socket, address.ip(), address)?;
        Ok(Self {
            socket,
            local: address.ip(),
            port: Some(address.port()),
            icmp: ErrorQueue::default(),
            resume: 0,
        })
    }

    /// Exchanges packets of `protocol` with one peer, from `local` or from the address that the
    /// kernel chooses. Waits for nothing.
    ///
    /// # Errors
    ///
    /// When this process may not use raw IP, when the kernel has the protocol itself and would
    /// answer too, when the local address cannot be had, or there is no way to the peer.
    pub fn connect(
        protocol: Protocol,
        remote: SocketAddr,
        local: Option<IpAddr>,
        config: &PacketConfig,
    ) -> Result<Self, ConnectError> {
        let socket = open(protocol, remote.is_ipv6(), config)?;
        let local = match local {
            Some(local) => local,
            None => source_address(remote).map_err(ConnectError::new)?,
        };
        bind(&socket, local, SocketAddr::new(local, 0))?;
        let mut peer = remote;
        peer.set_port(0);
        socket
            .connect(&SockAddr::from(peer))
            .map_err(ConnectError::new)?;
        Ok(Self {
            socket,
            local,
            port: None,
            icmp: ErrorQueue::default(),
            resume: 0,
        })
    }

    /// Exchanges packets of `protocol` with several peers, or from several addresses, as a client
    /// does with more than one path: `local` is mostly the wildcard. The port is that of the first
    /// packet that is sent.
    ///
    /// # Errors
    ///
    /// When this process may not use raw IP, when the kernel has the protocol itself and would
    /// answer too, or when the address cannot be had.
    pub fn unconnected(
        protocol: Protocol,
        local: IpAddr,
        config: &PacketConfig,
    ) -> Result<Self, BindError> {
        let socket = open(protocol, local.is_ipv6(), config)?;
        bind(&socket, local, SocketAddr::new(local, 0))?;
        Ok(Self {
            socket,
            local,
            port: None,
            icmp: ErrorQueue::default(),
            resume: 0,
        })
    }

    /// This end's address: the wildcard where packets to all of them are taken.
    pub const fn local_ip(&self) -> IpAddr {
        self.local
    }

    /// Bytes of IP's header.
    const fn header(&self) -> usize {
        if self.local.is_ipv4() {
            IPV4_HEADER
        } else {
            40
        }
    }

    fn send_packet(&self, transmit: &Transmit<Path>, packet: &[u8]) -> io::Result<()> {
        let path = transmit.peer;
        let mut remote = path.remote;
        remote.set_port(0);
        let remote = SockAddr::from(remote);
        let source = path.local.filter(|_| self.local.is_unspecified());
        let control = PacketControl::new(path.remote.is_ipv6(), transmit.ecn, source);
        let parts = [IoSlice::new(packet)];
        let message = MsgHdr::new()
            .with_addr(&remote)
            .with_buffers(&parts)
            .with_control(control.bytes());
        let ipv6 = self.local.is_ipv6();
        if transmit.may_fragment {
            fragment::set_allowed(self.socket.as_fd(), ipv6, true);
        }
        let sent = loop {
            match self.socket.sendmsg(&message, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map(drop),
            }
        };
        if transmit.may_fragment {
            fragment::set_allowed(self.socket.as_fd(), ipv6, false);
        }
        sent
    }

    /// The packet in what was received, and its path; `None` if it is not for this socket.
    fn accept(&self, peer: SocketAddr, info: &PacketInfo, bytes: Bytes) -> Option<Datagram<Path>> {
        let (local, ecn, packet) = if peer.is_ipv4() {
            strip_ipv4(bytes)?
        } else {
            (info.local, info.ecn, bytes)
        };
        let port = packet.get(2..4)?.try_into().ok()?;
        if self.port != Some(u16::from_be_bytes(port)) {
            return None;
        }
        let mut remote = peer;
        remote.set_port(0);
        Some(Datagram {
            ecn,
            ..Datagram::message(Path { local, remote }, packet)
        })
    }
}

/// Takes the header off (RFC 791 §3.1), and what it says of the destination and ECN.
fn strip_ipv4(mut packet: Bytes) -> Option<(Option<IpAddr>, Ecn, Bytes)> {
    let header = packet.get(..IPV4_HEADER)?;
    let length = usize::from(header[0] & 0x0F) * 4;
    let ecn = ecn_of(header[1]);
    let destination: [u8; 4] = header[16..20].try_into().ok()?;
    if length < IPV4_HEADER || length > packet.len() {
        return None;
    }
    packet.advance(length);
    Some((Some(Ipv4Addr::from(destination).into()), ecn, packet))
}

fn open(protocol: Protocol, ipv6: bool, config: &PacketConfig) -> Result<Socket, SocketError> {
    if probe().of(protocol).is_available() {
        return Err(SocketError::KernelAnswersToo(protocol));
    }
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let number = match protocol {
        Protocol::Sctp => IPPROTO_SCTP,
        Protocol::Dccp => IPPROTO_DCCP,
    };
    let socket =
        Socket::new(domain, Type::RAW, Some(number.into())).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => SocketError::RawForbidden,
                _ => SocketError::OutOfResources(error),
            }
        })?;
    socket
        .set_nonblocking(true)
        .map_err(SocketError::option("O_NONBLOCK"))?;
    set_buffers(&socket, config.receive_buffer, config.send_buffer)?;
    let set = |level, option, name, value: i32| {
        sys::set_option(socket.as_fd(), level, option, &value.to_ne_bytes())
            .map_err(SocketError::option(name))
    };
    ErrorQueue::enable(socket.as_fd(), ipv6)?;
    let probing = PMTUDISC_PROBE;
    if ipv6 {
        set(
            IPPROTO_IPV6,
            IPV6_MTU_DISCOVER,
            "IPV6_MTU_DISCOVER",
            probing,
        )?;
        set(IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", 1)?;
        set(IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", 1)?;
        set(IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", 1)?;
        // The checksum is the stack's to make.
        set(IPPROTO_IPV6, IPV6_CHECKSUM, "IPV6_CHECKSUM", -1)?;
    } else {
        set(IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", probing)?;
    }
    Ok(socket)
}

/// Binds to `ip`; `address` is what a failure is told of.
fn bind(socket: &Socket, ip: IpAddr, address: SocketAddr) -> Result<(), BindError> {
    socket
        .bind(&SockAddr::from(SocketAddr::new(ip, 0)))
        .map_err(|error| BindError::new(address, error))
}

impl DatagramSocket for RawSocket {
    type Peer = Path;

    const MANY_PEERS: bool = true;

    fn max_payload(&self) -> usize {
        if self.local.is_ipv4() {
            65_535 - IPV4_HEADER
        } else {
            65_535
        }
    }

    fn send(&mut self, transmit: &Transmit<Path>, payload: &[u8]) -> Result<(), SendError> {
        if let (None, Some(&[high, low])) = (self.port, payload.first_chunk()) {
            self.port = Some(u16::from_be_bytes([high, low]));
        }
        let size = transmit.segment_size.map_or(payload.len(), Into::into);
        for packet in payload[self.resume.min(payload.len())..].chunks(size.max(1)) {
            let mut sent = self.send_packet(transmit, packet);
            if let Err(error) = &sent
                && error.kind() != io::ErrorKind::WouldBlock
                && self.icmp.read(self.socket.as_fd(), self.header())
            {
                // It was about another packet.
                sent = self.send_packet(transmit, packet);
            }
            match sent {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(SendError::WouldBlock);
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    self.resume = 0;
                    return Err(SendError::TooBig);
                }
                Err(_) => {}
            }
            self.resume += packet.len();
        }
        self.resume = 0;
        Ok(())
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<Path>> {
        for _ in 0..MAX_SKIPPED {
            buffer.clear();
            if buffer.capacity() < MAX_PACKET {
                buffer.reserve(RECEIVE_CHUNK);
            }
            let mut control = Control::default();
            let fd = self.socket.as_fd();
            let received = sys::recv_message_from(fd, buffer, MAX_PACKET, &mut control.0);
            let (message, peer) = match received {
                Ok(received) => received,
                Err(error) => {
                    let header = self.header();
                    let fd = self.socket.as_fd();
                    return self.icmp.after(fd, self.local, header, error);
                }
            };
            let info = PacketInfo::find(&control.0[..message.control_len]);
            let bytes = buffer.split_to(message.len).freeze();
            if let Some(datagram) = self.accept(address::ip(&peer)?, &info, bytes) {
                return Ok(Received::Datagram(datagram));
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn finish(&mut self) -> io::Result<Finish> {
        Ok(Finish::Done)
    }

    fn abort(&mut self) {
        // What was under way is given up.
        self.resume = 0;
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
