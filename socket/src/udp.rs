//! UDP, for the packets of a stack in user space (RFC 6773 for DCCP, RFC 6951 for SCTP).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use bytes::BytesMut;
use quinn_udp::{EcnCodepoint, UdpSocketState};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use transport::{Datagram, DatagramSocket, Ecn, Finish, Path, Received, SendError, Transmit};

use crate::address;
use crate::control::{PACKET_CONTROL, PacketInfo};
use crate::error::{BindError, ConnectError, SocketError};
use crate::icmp::ErrorQueue;
use crate::{fragment, sys};

/// The most bytes that one receive call gives: a train of datagrams that the kernel gathered.
const MAX_RECEIVED: usize = 64 * 1024;

/// How much receive buffer is taken from the allocator at a time.
const RECEIVE_CHUNK: usize = 4 * MAX_RECEIVED;

/// What IP's length fields leave for a UDP payload.
const MAX_PAYLOAD_IPV4: usize = 65_535 - 20 - 8;
const MAX_PAYLOAD_IPV6: usize = 65_535 - 8;

/// Settings of a packet socket: UDP or raw IP.
#[derive(Clone, Copy, Debug)]
pub struct PacketConfig {
    /// The size in bytes of the receive buffer. What does not fit in is lost, so it is asked for
    /// with `SO_RCVBUFFORCE`, which a privileged process may use, and else with `SO_RCVBUF`, which
    /// `net.core.rmem_max` limits. The kernel doubles it. Default: 4 MiB.
    pub receive_buffer: usize,
    /// The size in bytes of the send buffer, likewise. Default: 1 MiB.
    pub send_buffer: usize,
}

impl Default for PacketConfig {
    fn default() -> Self {
        Self {
            receive_buffer: 4 << 20,
            send_buffer: 1 << 20,
        }
    }
}

/// A UDP socket that carries trains of datagrams (GSO and GRO, where the kernel has them), their
/// ECN fields and both their addresses, and lets none be fragmented but those that are to be.
///
/// What cannot be sent, because there is no way to its peer or a packet filter forbids it, is as
/// good as lost, and no error: a socket with many peers must not fail for one of them.
pub struct UdpSocket {
    socket: Socket,
    state: UdpSocketState,
    local: SocketAddr,
    icmp: ErrorQueue,
    max_payload: usize,
    /// How many bytes are sent of a train that had to be cut, and of which the rest would block.
    resume: usize,
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl UdpSocket {
    /// Takes the datagrams that are sent to `address`. A port of 0 lets the kernel choose. An IPv6
    /// wildcard leaves IPv4 free for another socket.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, config: &PacketConfig) -> Result<Self, BindError> {
        let socket = open(address.is_ipv6(), config)?;
        bind(&socket, address)?;
        Self::new(socket).map_err(|error| BindError::new(address, error))
    }

    /// Takes and sends the datagrams of one peer, `remote`, from `local` or from the address that
    /// the kernel chooses, and from a port of its own (RFC 6773 §3.8: "A DCCP client ... SHOULD
    /// use a distinct UDP source port"). Waits for nothing.
    ///
    /// # Errors
    ///
    /// When the local address cannot be had, or there is no way to the peer.
    pub fn connect(
        remote: SocketAddr,
        local: Option<IpAddr>,
        config: &PacketConfig,
    ) -> Result<Self, ConnectError> {
        let socket = open(remote.is_ipv6(), config)?;
        if let Some(local) = local {
            bind(&socket, SocketAddr::new(local, 0))?;
        }
        socket
            .connect(&SockAddr::from(remote))
            .map_err(ConnectError::new)?;
        Self::new(socket).map_err(ConnectError::new)
    }

    fn new(socket: Socket) -> io::Result<Self> {
        let local = address::local(&socket)?;
        Ok(Self {
            state: UdpSocketState::new((&socket).into())?,
            socket,
            icmp: ErrorQueue::default(),
            max_payload: if local.is_ipv4() {
                MAX_PAYLOAD_IPV4
            } else {
                MAX_PAYLOAD_IPV6
            },
            local,
            resume: 0,
        })
    }

    /// This end's address, with the port that was got.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Bytes of the headers of IP and UDP.
    const fn headers(&self) -> usize {
        if self.local.is_ipv4() { 20 + 8 } else { 40 + 8 }
    }

    /// How many datagrams of `size` bytes one system call can send.
    fn segments_per_call(&self, size: usize) -> usize {
        let segments = self.max_payload / size.max(1);
        segments.clamp(1, self.state.max_gso_segments().max(1))
    }

    fn send_train(&mut self, transmit: &Transmit<Path>, payload: &[u8]) -> io::Result<()> {
        let size = transmit.segment_size.map_or(payload.len(), Into::into);
        let Path { local, remote } = transmit.peer;
        // A socket that is bound to one address sends from it in any case.
        let src_ip = local.filter(|_| self.local.ip().is_unspecified());
        loop {
            let rest = &payload[self.resume.min(payload.len())..];
            let segments = self.segments_per_call(size);
            let contents = &rest[..rest.len().min(segments * size)];
            let sent = self.state.try_send(
                (&self.socket).into(),
                &quinn_udp::Transmit {
                    destination: remote,
                    ecn: ecn_codepoint(transmit.ecn),
                    contents,
                    segment_size: transmit.segment_size.map(Into::into),
                    src_ip,
                },
            );
            match sent {
                Ok(()) => {
                    self.resume += contents.len();
                    if self.resume >= payload.len() {
                        self.resume = 0;
                        return Ok(());
                    }
                }
                // The device cannot cut trains; that is noted, and this one cut here.
                Err(error)
                    if is_refused_train(&error) && self.segments_per_call(size) < segments => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.resume = 0;
                    }
                    return Err(error);
                }
            }
        }
    }
}

/// What a device says that cannot cut trains.
fn is_refused_train(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))
}

fn open(ipv6: bool, config: &PacketConfig) -> Result<Socket, SocketError> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
        .map_err(SocketError::OutOfResources)?;
    if ipv6 {
        socket
            .set_only_v6(true)
            .map_err(SocketError::option("IPV6_V6ONLY"))?;
    }
    set_buffers(&socket, config.receive_buffer, config.send_buffer)?;
    ErrorQueue::enable(socket.as_fd(), ipv6)?;
    Ok(socket)
}

/// Sets the size of the buffers, beyond the system's limits if this process may.
pub(crate) fn set_buffers(socket: &Socket, receive: usize, send: usize) -> Result<(), SocketError> {
    sys::set_receive_buffer(socket.as_fd(), receive).map_err(SocketError::option("SO_RCVBUF"))?;
    sys::set_send_buffer(socket.as_fd(), send).map_err(SocketError::option("SO_SNDBUF"))
}

fn bind(socket: &Socket, address: SocketAddr) -> Result<(), BindError> {
    socket
        .bind(&SockAddr::from(address))
        .map_err(|error| BindError::new(address, error))
}

const fn ecn_codepoint(ecn: Ecn) -> Option<EcnCodepoint> {
    match ecn {
        Ecn::NotEct => None,
        Ecn::Ect1 => Some(EcnCodepoint::Ect1),
        Ecn::Ect0 => Some(EcnCodepoint::Ect0),
        Ecn::Ce => Some(EcnCodepoint::Ce),
    }
}

/// Which address of this machine packets to `remote` are sent from.
///
/// # Errors
///
/// When there is no way to `remote`.
pub fn source_address(remote: SocketAddr) -> io::Result<IpAddr> {
    let domain = address::domain([remote]);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // The port is of no meaning: nothing is sent.
    let discard = SocketAddr::new(remote.ip(), 9);
    let target = match (discard, remote) {
        (SocketAddr::V6(mut target), SocketAddr::V6(remote)) => {
            target.set_scope_id(remote.scope_id());
            SocketAddr::V6(target)
        }
        (target, _) => target,
    };
    socket.connect(&SockAddr::from(target))?;
    Ok(address::local(&socket)?.ip())
}

impl DatagramSocket for UdpSocket {
    type Peer = Path;

    const MANY_PEERS: bool = true;

    fn max_payload(&self) -> usize {
        self.max_payload
    }

    fn send(&mut self, transmit: &Transmit<Path>, payload: &[u8]) -> Result<(), SendError> {
        let ipv6 = self.local.is_ipv6();
        if transmit.may_fragment {
            fragment::set_allowed(self.socket.as_fd(), ipv6, true);
        }
        let mut sent = self.send_train(transmit, payload);
        if let Err(error) = &sent
            && error.kind() != io::ErrorKind::WouldBlock
            && self.icmp.read(self.socket.as_fd(), self.headers())
        {
            // It was about another packet.
            sent = self.send_train(transmit, payload);
        }
        if transmit.may_fragment {
            fragment::set_allowed(self.socket.as_fd(), ipv6, false);
        }
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::WouldBlock),
            Err(error) if quinn_udp::is_msg_size_err(&error) => Err(SendError::TooBig),
            Err(_) => Ok(()),
        }
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<Path>> {
        match receive(&self.socket, buffer) {
            Ok(datagram) => Ok(Received::Datagram(datagram)),
            Err(error) => {
                let headers = self.headers();
                let fd = self.socket.as_fd();
                self.icmp.after(fd, self.local.ip(), headers, error)
            }
        }
    }

    fn finish(&mut self) -> io::Result<Finish> {
        Ok(Finish::Done)
    }

    fn abort(&mut self) {
        // What was under way is given up.
        self.resume = 0;
    }
}

fn receive(socket: &Socket, buffer: &mut BytesMut) -> io::Result<Datagram<Path>> {
    buffer.clear();
    if buffer.capacity() < MAX_RECEIVED {
        buffer.reserve(RECEIVE_CHUNK);
    }
    let mut control = Control::default();
    let (message, peer) =
        sys::recv_message_from(socket.as_fd(), buffer, MAX_RECEIVED, &mut control.0)?;
    let info = PacketInfo::find(&control.0[..message.control_len]);
    let payload = buffer.split_to(message.len).freeze();
    let path = Path {
        local: info.local,
        remote: address::ip(&peer)?,
    };
    Ok(Datagram {
        segment_size: info.segment_size.filter(|size| size.get() < payload.len()),
        ecn: info.ecn,
        ..Datagram::message(path, payload)
    })
}

/// Control messages, aligned as the kernel writes them.
#[repr(align(8))]
pub(crate) struct Control(pub(crate) [u8; PACKET_CONTROL]);

impl Default for Control {
    fn default() -> Self {
        Self([0; PACKET_CONTROL])
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
