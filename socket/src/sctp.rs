//! SCTP over the kernel, one-to-one style (RFC 6458 §4).

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{MsgHdr, Socket};
use transport::{
    CloseReason, Datagram, DatagramSocket, Ecn, Finish, Listener, Received, SendError, Transmit,
};

use crate::address::{self, IPPROTO_SCTP};
use crate::control::{ReceiveInfo, send_info};
use crate::error::{self, BindError, ConnectError, SocketError};
use crate::{Protocol, ending, sys};

const SCTP_INITMSG: i32 = 2;
const SCTP_NODELAY: i32 = 3;
const SCTP_STATUS: i32 = 14;
const SCTP_RECVRCVINFO: i32 = 32;

const MSG_NOTIFICATION: i32 = 0x8000;

/// The most bytes one receive call takes; a longer message comes in pieces.
const MAX_RECEIVE: usize = 64 * 1024;

/// How much receive buffer is taken from the allocator at a time.
const RECEIVE_CHUNK: usize = 4 * MAX_RECEIVE;

/// The receive buffer of a client in bytes.
const CLIENT_RECEIVE_BUFFER: usize = 256 * 1024;

/// Settings of an SCTP socket.
#[derive(Clone, Debug)]
pub struct SctpConfig {
    /// How many outgoing streams to ask for (RFC 9260 §3.3.2, "Number of Outbound Streams"); the
    /// peer may allow fewer. Default: 100, because each exchange takes a stream. Linux asks for
    /// 10 if not told.
    pub outgoing_streams: u16,
    /// How many streams the peer may have at most ("Number of Inbound Streams"). Each costs kernel
    /// memory as soon as the association is made. Default: 100. Linux allows 65535 if not told.
    pub max_incoming_streams: u16,
    /// Whether a short message is sent at once, and not held back while others are
    /// unacknowledged (`SCTP_NODELAY`). Default: on.
    pub nodelay: bool,
    /// The size in bytes of the send buffer (`SO_SNDBUF`), which is also the largest message that
    /// can be sent. The kernel limits it to `net.core.wmem_max`, then doubles it; `None` takes
    /// `net.core.wmem_default`, mostly 212992. Default: 256 KiB, of which 425984 bytes come about
    /// where nobody has raised the limit.
    pub send_buffer: Option<usize>,
    /// The size in bytes of the receive buffer (`SO_RCVBUF`), half of which becomes the receive
    /// window (RFC 9260 §3.3.2, `a_rwnd`). The kernel limits it to `net.core.rmem_max`, then
    /// doubles it. Default: `None`, which is 256 KiB for a client (425984 bytes come about where
    /// nobody has raised the limit) and what `net.core.rmem_default` says, mostly 212992, for the
    /// associations of a listener. With less than that a client is slower by orders of magnitude
    /// on paths with large packets, such as the loopback interface: its window holds too few.
    pub receive_buffer: Option<usize>,
    /// How often to send INIT before giving up (`Max.Init.Retransmits`). Default: `None`, the
    /// kernel's own, 8.
    pub init_attempts: Option<u16>,
    /// The longest wait between two INITs, in whole milliseconds up to 65535. Default: `None`, the
    /// kernel's own, 60 s.
    pub init_timeout: Option<Duration>,
    /// How many associations may wait to be accepted. Default: 1024; `net.core.somaxconn` limits
    /// it.
    pub backlog: u16,
}

impl Default for SctpConfig {
    fn default() -> Self {
        Self {
            outgoing_streams: 100,
            max_incoming_streams: 100,
            nodelay: true,
            send_buffer: Some(256 * 1024),
            receive_buffer: None,
            init_attempts: None,
            init_timeout: None,
            backlog: 1024,
        }
    }
}

impl SctpConfig {
    /// Sets what an association inherits from its socket or from its listener.
    fn apply(&self, socket: &Socket, receive_buffer: Option<usize>) -> Result<(), SocketError> {
        if let Some(size) = self.send_buffer {
            socket
                .set_send_buffer_size(size)
                .map_err(SocketError::option("SO_SNDBUF"))?;
        }
        if let Some(size) = receive_buffer {
            socket
                .set_recv_buffer_size(size)
                .map_err(SocketError::option("SO_RCVBUF"))?;
        }
        let timeout = self.init_timeout.map_or(0, |time| {
            u16::try_from(time.as_millis()).unwrap_or(u16::MAX).max(1)
        });
        let init = [
            self.outgoing_streams,
            self.max_incoming_streams,
            self.init_attempts.unwrap_or(0),
            timeout,
        ];
        set(
            socket,
            SCTP_INITMSG,
            "SCTP_INITMSG",
            init.map(u16::to_ne_bytes).as_flattened(),
        )?;
        let nodelay = i32::from(self.nodelay).to_ne_bytes();
        set(socket, SCTP_NODELAY, "SCTP_NODELAY", &nodelay)?;
        set(
            socket,
            SCTP_RECVRCVINFO,
            "SCTP_RECVRCVINFO",
            &1_i32.to_ne_bytes(),
        )
    }
}

fn set(socket: &Socket, option: i32, name: &'static str, value: &[u8]) -> Result<(), SocketError> {
    sys::set_option(socket.as_fd(), IPPROTO_SCTP, option, value).map_err(SocketError::option(name))
}

/// Accepts SCTP associations.
#[derive(Debug)]
pub struct SctpListener {
    socket: Socket,
    addresses: Vec<SocketAddr>,
}

impl SctpListener {
    /// Listens at all of `addresses`, which are one endpoint: they have the same port, and a peer
    /// that reaches one of them learns of the others (RFC 9260 §6.4). A port of 0 lets the kernel
    /// choose.
    ///
    /// If all are of IPv6, IPv4 stays free for another listener; a mixed list is one endpoint
    /// that has both.
    ///
    /// # Errors
    ///
    /// When the kernel has no SCTP, or an address cannot be had.
    pub fn bind(addresses: &[SocketAddr], config: &SctpConfig) -> Result<Self, BindError> {
        let &[first, ..] = addresses else {
            return Err(BindError::NoAddress);
        };
        let domain = address::domain(addresses.iter().copied());
        let socket = address::open(Protocol::Sctp, domain)?;
        // Lets a restarted server have its port while old associations still end.
        socket
            .set_reuse_address(true)
            .map_err(SocketError::option("SO_REUSEADDR"))?;
        config.apply(&socket, config.receive_buffer)?;
        let addresses = address::bind(&socket, domain, addresses)?;
        socket
            .listen(config.backlog.into())
            .map_err(|error| BindError::new(first, error))?;
        Ok(Self { socket, addresses })
    }

    /// The addresses it listens at, with the port that was got.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Listener for SctpListener {
    type Socket = SctpSocket;

    fn accept(&mut self) -> io::Result<(SctpSocket, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        Ok((SctpSocket::new(socket)?, address::ip(&peer)?))
    }

    fn is_out_of_resources(&self, error: &io::Error) -> bool {
        error::is_out_of_resources(error)
    }
}

impl AsFd for SctpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// An SCTP association.
///
/// [`AsFd`] gives the kernel's socket, for waiting only: it is readable for input and the end, and
/// writable while there is room to send.
#[derive(Debug)]
pub struct SctpSocket {
    socket: Socket,
    max_payload: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Our side has shut down: the kernel delivers what is queued and takes nothing more.
    Finishing,
    /// The association is gone, or will be as soon as what it left is read.
    Ended(CloseReason),
}

impl SctpSocket {
    /// Makes an association with `remote`, from `local`: none lets the kernel choose, several are
    /// one endpoint with several addresses. Waits until it is made, for `timeout` at most, or
    /// until `cancel` becomes readable.
    ///
    /// # Errors
    ///
    /// When the kernel has no SCTP, a local address cannot be had, or no association came about.
    pub fn connect(
        remote: SocketAddr,
        local: &[SocketAddr],
        config: &SctpConfig,
        timeout: Duration,
        cancel: Option<BorrowedFd<'_>>,
    ) -> Result<Self, ConnectError> {
        let domain = address::domain(local.iter().copied().chain([remote]));
        let socket = address::open(Protocol::Sctp, domain)?;
        let receive_buffer = config.receive_buffer.unwrap_or(CLIENT_RECEIVE_BUFFER);
        config.apply(&socket, Some(receive_buffer))?;
        if !local.is_empty() {
            address::bind(&socket, domain, local)?;
        }
        address::connect(&socket, remote, timeout, cancel)?;
        Self::new(socket).map_err(ConnectError::Io)
    }

    fn new(socket: Socket) -> io::Result<Self> {
        // RFC 6458 §8.1.7: the send buffer "bounds the maximum size of data that can be sent in a
        // single send call".
        let max_payload = socket.send_buffer_size()?;
        Ok(Self {
            socket,
            max_payload,
            state: State::Open,
        })
    }

    /// This end's first address.
    ///
    /// # Errors
    ///
    /// When the association has ended.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address::local(&self.socket)
    }

    /// The peer's primary address.
    ///
    /// # Errors
    ///
    /// When the association has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        address::peer(&self.socket)
    }

    /// How many streams the association has: outgoing, incoming. Stream ids are below these.
    ///
    /// # Errors
    ///
    /// When the association has ended.
    pub fn streams(&self) -> io::Result<(u16, u16)> {
        let status = self.status()?;
        let at = |index: usize| u16::from_ne_bytes([status[index], status[index + 1]]);
        Ok((at(18), at(16)))
    }

    /// `struct sctp_status` (RFC 6458 §8.2.1); fails when there is no association.
    fn status(&self) -> io::Result<[u8; 176]> {
        let mut status = [0; 176];
        sys::option(self.socket.as_fd(), IPPROTO_SCTP, SCTP_STATUS, &mut status)?;
        Ok(status)
    }

    /// What a receive call that found nothing means. A socket that never waits is not told by
    /// the kernel that the association has ended in good order after our own shutdown, nor twice
    /// that it failed.
    fn nothing_to_read(&mut self, error: io::Error) -> io::Result<Received<()>> {
        match self.state {
            State::Ended(why) => Ok(Received::Closed(why)),
            State::Finishing if self.status().is_err() => Ok(self.end(CloseReason::Graceful)),
            State::Open | State::Finishing => Err(error),
        }
    }

    fn end(&mut self, why: CloseReason) -> Received<()> {
        match self.state {
            State::Ended(why) => Received::Closed(why),
            State::Open | State::Finishing => {
                self.state = State::Ended(why);
                Received::Closed(why)
            }
        }
    }
}

impl DatagramSocket for SctpSocket {
    type Peer = ();

    fn max_payload(&self) -> usize {
        self.max_payload
    }

    fn send(&mut self, transmit: &Transmit<()>, payload: &[u8]) -> Result<(), SendError> {
        if let State::Ended(why) = self.state {
            return Err(ending::after_end(self.socket.as_fd(), why));
        }
        if payload.is_empty() || transmit.segment_size.is_some() {
            let error = "SCTP sends one message at a time, and no empty one";
            return Err(SendError::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                error,
            )));
        }
        let parts = [IoSlice::new(payload)];
        let control = send_info(transmit);
        let message = MsgHdr::new().with_buffers(&parts).with_control(&control);
        let mut flags = libc::MSG_NOSIGNAL;
        if transmit.more_follows {
            flags |= libc::MSG_MORE;
        }
        let Err(error) = self.socket.sendmsg(&message, flags) else {
            return Ok(());
        };
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            self.max_payload = self
                .socket
                .send_buffer_size()
                .unwrap_or(self.max_payload)
                .min(payload.len() - 1);
            return Err(SendError::TooBig);
        }
        let mut ended = None;
        let error = ending::on_send_error(self.socket.as_fd(), &mut ended, error);
        if let Some(why) = ended {
            self.state = State::Ended(why);
        }
        Err(error)
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<()>> {
        buffer.clear();
        if buffer.capacity() < MAX_RECEIVE {
            buffer.reserve(RECEIVE_CHUNK);
        }
        let mut control = [0; 128];
        let message =
            match sys::recv_message(self.socket.as_fd(), buffer, MAX_RECEIVE, &mut control) {
                Ok(message) if message.flags & MSG_NOTIFICATION != 0 => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                // RFC 9260 §6.2: no message is empty, so this is the end.
                Ok(message) if message.len == 0 => return Ok(self.end(CloseReason::Graceful)),
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.nothing_to_read(error);
                }
                Err(error) => {
                    return match ending::reason(&error) {
                        Some(why) => Ok(self.end(why)),
                        None => Err(error),
                    };
                }
            };
        let info = ReceiveInfo::find(control.get(..message.control_len).unwrap_or_default());
        Ok(Received::Datagram(Datagram {
            peer: (),
            stream: info.stream,
            ppid: info.ppid,
            ordered: info.ordered,
            end_of_message: message.flags & libc::MSG_EOR != 0,
            segment_size: None,
            ecn: Ecn::NotEct,
            payload: buffer.split().freeze(),
        }))
    }

    /// SCTP knows no half-close (RFC 9260 §9): from the first call on the peer can send no new
    /// message, and what it had sent before is still to be received. The socket must not be
    /// dropped before the association has ended, because to drop it with something unread in it
    /// sends an ABORT, which destroys what the peer has not got yet.
    fn finish(&mut self) -> io::Result<Finish> {
        if self.state == State::Open {
            self.socket.shutdown(std::net::Shutdown::Write)?;
            self.state = State::Finishing;
        }
        match self.status() {
            Ok(_) => Ok(Finish::Pending),
            Err(_) => Ok(Finish::Done),
        }
    }

    fn abort(&mut self) {
        // RFC 6458 §8.1.4: a linger time of 0 makes closing send ABORT. It cannot fail on a socket.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

impl AsFd for SctpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
