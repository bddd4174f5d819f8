//! DCCP over the kernel.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::BytesMut;
use socket2::Socket;
use transport::{
    CloseReason, Datagram, DatagramSocket, Finish, Listener, Received, SendError, Transmit,
};

use crate::address;
use crate::error::{self, BindError, ConnectError, SocketError};
use crate::{Protocol, ending, sys};

const SOL_DCCP: i32 = 269;
const DCCP_SOCKOPT_SERVICE: i32 = 2;
const DCCP_SOCKOPT_GET_CUR_MPS: i32 = 5;
const DCCP_SOCKOPT_CCID: i32 = 13;
const DCCP_SOCKOPT_QPOLICY_TXQLEN: i32 = 17;
const SO_MEMINFO: i32 = 55;

// Error numbers that only Linux has.
const EBADRQC: i32 = 56;
const ECOMM: i32 = 70;
const EUSERS: i32 = 87;

/// The longest list of service codes that the kernel takes.
const MAX_SERVICE_CODES: usize = 32;

/// RFC 4340 §8.1.2: "The value 4294967295 is an invalid Service Code."
const INVALID_SERVICE_CODE: u32 = u32::MAX;

/// The most bytes that a datagram can have. The kernel silently cuts one that is longer than the
/// buffer.
const MAX_DATAGRAM: usize = 64 * 1024;

/// How much receive buffer is taken from the allocator at a time.
const RECEIVE_CHUNK: usize = 4 * MAX_DATAGRAM;

/// How many empty datagrams one receive call skips.
const MAX_SKIPPED: usize = 64;

/// How many unread datagrams the end of a connection reads at most.
const MAX_DRAINED: usize = 10_000;

/// After how many datagrams the kernel is asked for the path's packet size again.
const REFRESH_EVERY: u32 = 32;

/// The receive buffer of a client in bytes.
const CLIENT_RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Settings of a DCCP socket.
#[derive(Clone, Debug)]
pub struct DccpConfig {
    /// The service codes (RFC 4340 §8.1.2). A client sends the first one; a listener answers to
    /// all, 32 at most. Default: `?HTP`, for private use.
    pub service_codes: Vec<u32>,
    /// The congestion control for both directions (RFC 4340 §10). Default: `None`, the kernel's
    /// own, CCID 2 (TCP-like). CCID 3 (TFRC) needs a kernel that has it.
    pub ccid: Option<u8>,
    /// The size in bytes of the send buffer (`SO_SNDBUF`), which bounds what is queued. The kernel
    /// doubles it. Default: `None`, what `net.core.wmem_default` says, mostly 212992.
    pub send_buffer: Option<usize>,
    /// The size in bytes of the receive buffer. What does not fit in is lost, so it is asked for
    /// with `SO_RCVBUFFORCE`, which a privileged process may use, and else with `SO_RCVBUF`, which
    /// `net.core.rmem_max` limits. The kernel doubles it. Default: `None`, which is 4 MiB for a
    /// client and what `net.core.rmem_default` says, mostly 212992 in all, for the connections of
    /// a listener, lest strangers fill the kernel's memory.
    pub receive_buffer: Option<usize>,
    /// How many connections may wait to be accepted. Default: 1024; `net.core.somaxconn` limits
    /// it.
    pub backlog: u16,
}

impl Default for DccpConfig {
    fn default() -> Self {
        Self {
            service_codes: vec![u32::from_be_bytes(*b"?HTP")],
            ccid: None,
            send_buffer: None,
            receive_buffer: None,
            backlog: 1024,
        }
    }
}

impl DccpConfig {
    /// Sets what a connection inherits from its socket or from its listener.
    fn apply(
        &self,
        socket: &Socket,
        service_codes: &[u32],
        receive_buffer: Option<usize>,
    ) -> Result<(), SocketError> {
        if service_codes.is_empty()
            || service_codes.len() > MAX_SERVICE_CODES
            || service_codes.contains(&INVALID_SERVICE_CODE)
        {
            return Err(SocketError::ServiceCodes);
        }
        let codes: Vec<u8> = service_codes
            .iter()
            .flat_map(|code| code.to_be_bytes())
            .collect();
        set(socket, DCCP_SOCKOPT_SERVICE, "DCCP_SOCKOPT_SERVICE", &codes)?;
        if let Some(ccid) = self.ccid {
            set(socket, DCCP_SOCKOPT_CCID, "DCCP_SOCKOPT_CCID", &[ccid]).map_err(|error| {
                match &error {
                    SocketError::Option { error: cause, .. } if says_no_ccid(cause) => {
                        SocketError::Ccid(ccid)
                    }
                    _ => error,
                }
            })?;
        }
        // Without this the queue has 5 packets, and a send that finds it full makes a packet and
        // frees it again, which the kernel reports as room to send, for ever.
        set(
            socket,
            DCCP_SOCKOPT_QPOLICY_TXQLEN,
            "DCCP_SOCKOPT_QPOLICY_TXQLEN",
            &0_i32.to_ne_bytes(),
        )?;
        if let Some(size) = self.send_buffer {
            socket
                .set_send_buffer_size(size)
                .map_err(SocketError::option("SO_SNDBUF"))?;
        }
        let Some(size) = receive_buffer else {
            return Ok(());
        };
        sys::set_receive_buffer(socket.as_fd(), size).map_err(SocketError::option("SO_RCVBUF"))
    }
}

fn says_no_ccid(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT)
    )
}

fn set(socket: &Socket, option: i32, name: &'static str, value: &[u8]) -> Result<(), SocketError> {
    sys::set_option(socket.as_fd(), SOL_DCCP, option, value).map_err(SocketError::option(name))
}

/// Accepts DCCP connections.
#[derive(Debug)]
pub struct DccpListener {
    socket: Socket,
    addresses: Vec<SocketAddr>,
}

impl DccpListener {
    /// Listens at the one address of `addresses`. A port of 0 lets the kernel choose. An IPv6
    /// listener leaves IPv4 free for another one.
    ///
    /// # Errors
    ///
    /// When the kernel has no DCCP, or not the congestion control, or the address cannot be had.
    pub fn bind(addresses: &[SocketAddr], config: &DccpConfig) -> Result<Self, BindError> {
        let address = match addresses {
            [] => return Err(BindError::NoAddress),
            [address] => *address,
            [..] => return Err(BindError::ManyAddresses),
        };
        let domain = address::domain([address]);
        let socket = address::open(Protocol::Dccp, domain)?;
        // Lets a restarted server have its port while old connections are in TIMEWAIT.
        socket
            .set_reuse_address(true)
            .map_err(SocketError::option("SO_REUSEADDR"))?;
        config.apply(&socket, &config.service_codes, config.receive_buffer)?;
        let addresses = address::bind(&socket, domain, addresses)?;
        socket
            .listen(config.backlog.into())
            .map_err(|error| BindError::new(address, error))?;
        Ok(Self { socket, addresses })
    }

    /// The address it listens at, with the port that was got.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The size in bytes of the receive buffer that each connection gets, half of which is the
    /// kernel's own overhead.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }
}

impl Listener for DccpListener {
    type Socket = DccpSocket;

    fn accept(&mut self) -> io::Result<(DccpSocket, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        Ok((DccpSocket::new(socket)?, address::ip(&peer)?))
    }

    fn is_out_of_resources(&self, error: &io::Error) -> bool {
        error::is_out_of_resources(error)
    }
}

impl AsFd for DccpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A DCCP connection.
///
/// [`AsFd`] does not give the kernel's socket, of which `poll` always says that it is writable, but
/// an epoll instance that watches it. It becomes *readable* both for input and, after a send that
/// would have blocked, for room to send; it is never writable. That works with `poll`, and with
/// epoll in both its modes: whatever is reported, receive, and send what is held back. Takes three
/// descriptors.
#[derive(Debug)]
pub struct DccpSocket {
    socket: Socket,
    ready: sys::Epoll,
    /// The same socket by another descriptor, which `ready` watches apart from the first.
    output: OwnedFd,
    /// Whether the queue is full, and the end of that is watched for.
    watches_room: bool,
    max_payload: usize,
    sent: u32,
    ended: Option<CloseReason>,
}

impl DccpSocket {
    /// Connects to `remote` from `local`, which has one address at most; none lets the kernel
    /// choose. Waits until the connection is made, for `timeout` at most, or until `cancel`
    /// becomes readable.
    ///
    /// # Errors
    ///
    /// When the kernel has no DCCP, the local address cannot be had, or no connection came about.
    pub fn connect(
        remote: SocketAddr,
        local: &[SocketAddr],
        config: &DccpConfig,
        timeout: Duration,
        cancel: Option<BorrowedFd<'_>>,
    ) -> Result<Self, ConnectError> {
        let Some(&service_code) = config.service_codes.first() else {
            return Err(SocketError::ServiceCodes.into());
        };
        if local.len() > 1 {
            return Err(BindError::ManyAddresses.into());
        }
        let domain = address::domain(local.iter().copied().chain([remote]));
        let socket = address::open(Protocol::Dccp, domain)?;
        let receive_buffer = config.receive_buffer.unwrap_or(CLIENT_RECEIVE_BUFFER);
        config.apply(&socket, &[service_code], Some(receive_buffer))?;
        if !local.is_empty() {
            address::bind(&socket, domain, local)?;
        }
        address::connect(&socket, remote, timeout, cancel)
            .map_err(|error| explain(error, service_code))?;
        Self::new(socket).map_err(ConnectError::Io)
    }

    fn new(socket: Socket) -> io::Result<Self> {
        let output = socket.as_fd().try_clone_to_owned()?;
        let ready = sys::Epoll::new(socket.as_fd(), output.as_fd())?;
        let mut this = Self {
            socket,
            ready,
            output,
            watches_room: false,
            max_payload: 0,
            sent: 0,
            ended: None,
        };
        this.max_payload = this.packet_size()?;
        Ok(this)
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address::local(&self.socket)
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// When the connection has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        address::peer(&self.socket)
    }

    /// The size in bytes of the receive buffer that was got, half of which is the kernel's own
    /// overhead. What does not fit in is lost.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// The largest payload that goes into one packet on the path as the kernel knows it (RFC 4340
    /// §14, "maximum packet size", less the header).
    fn packet_size(&self) -> io::Result<usize> {
        let size = sys::int_option(self.socket.as_fd(), SOL_DCCP, DCCP_SOCKOPT_GET_CUR_MPS)?;
        Ok(usize::try_from(size).unwrap_or(0))
    }

    /// Whether the peer has ended the connection and nothing from before is left to read, and
    /// why. To be asked after a receive call returned nothing, which an empty datagram does too.
    fn end(&self) -> io::Result<Option<CloseReason>> {
        // The kernel notes the end before it queues the packet that ended the connection, and
        // takes no datagram after it. So what is queued now is all there will ever be.
        if !sys::is_hung_up(self.socket.as_fd())? || self.bytes_unread()? > 0 {
            return Ok(None);
        }
        let why = match self.socket.take_error()? {
            Some(error) => ending::reason(&error).unwrap_or(CloseReason::Aborted),
            None => CloseReason::Graceful,
        };
        Ok(Some(why))
    }

    /// The bytes that the receive queue takes, with the kernel's overhead, so that an empty
    /// datagram counts too (`SK_MEMINFO_RMEM_ALLOC`).
    fn bytes_unread(&self) -> io::Result<u32> {
        let mut memory = [0; 4];
        sys::option(
            self.socket.as_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            &mut memory,
        )?;
        Ok(u32::from_ne_bytes(memory))
    }

    /// Sends once more after the queue was full, with the end of that being watched for.
    ///
    /// The order matters: what made room before the second try needs no report, and what makes
    /// room after it is reported, because reports are forgotten before it.
    fn send_or_watch(&mut self, payload: &[u8]) -> io::Result<()> {
        self.watch_room(true)?;
        self.ready.forget_room()?;
        self.send_once(payload)
    }

    fn watch_room(&mut self, watch: bool) -> io::Result<()> {
        if self.watches_room != watch {
            self.ready.watch_room(self.output.as_fd(), watch)?;
            self.watches_room = watch;
        }
        Ok(())
    }

    fn send_once(&self, payload: &[u8]) -> io::Result<()> {
        let flags = libc::MSG_NOSIGNAL;
        self.socket.send_with_flags(payload, flags).map(drop)
    }

    fn on_sent(&mut self) {
        self.sent += 1;
        if self.sent >= REFRESH_EVERY {
            self.sent = 0;
            if let Ok(size) = self.packet_size() {
                self.max_payload = size;
            }
        }
    }

    fn closed(&mut self, why: CloseReason) -> Received<()> {
        Received::Closed(*self.ended.get_or_insert(why))
    }

    fn on_send_error(&mut self, error: io::Error, payload: &[u8]) -> SendError {
        if error.raw_os_error() == Some(libc::EMSGSIZE) {
            let smaller = payload.len() - 1;
            let size = self.packet_size().unwrap_or(smaller);
            self.max_payload = size.min(smaller);
            return SendError::TooBig;
        }
        ending::on_send_error(self.socket.as_fd(), &mut self.ended, error)
    }
}

fn is_blocked(result: &io::Result<()>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Gives DCCP's own errors their names. The kernel makes them of Reset codes.
fn explain(error: ConnectError, service_code: u32) -> ConnectError {
    let ConnectError::Io(error) = error else {
        return error;
    };
    match error.raw_os_error() {
        Some(EBADRQC) => ConnectError::ServiceCode(service_code),
        Some(EUSERS) => ConnectError::Busy,
        Some(ECOMM) => ConnectError::Negotiation(error),
        _ => ConnectError::Io(error),
    }
}

impl DatagramSocket for DccpSocket {
    type Peer = ();

    fn max_payload(&self) -> usize {
        self.max_payload
    }

    fn send(&mut self, transmit: &Transmit<()>, payload: &[u8]) -> Result<(), SendError> {
        if let Some(why) = self.ended {
            return Err(ending::after_end(self.socket.as_fd(), why));
        }
        if payload.is_empty() || transmit.segment_size.is_some() {
            let error = "DCCP sends one datagram at a time, and no empty one";
            return Err(SendError::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                error,
            )));
        }
        let mut result = self.send_once(payload);
        if is_blocked(&result) {
            result = self.send_or_watch(payload);
        }
        if !is_blocked(&result) {
            // Should this ever fail, the driver is woken too often, never too seldom.
            let _ = self.watch_room(false);
        }
        match result {
            Ok(()) => self.on_sent(),
            Err(error) => return Err(self.on_send_error(error, payload)),
        }
        Ok(())
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<()>> {
        buffer.clear();
        if buffer.capacity() < MAX_DATAGRAM {
            buffer.reserve(RECEIVE_CHUNK);
        }
        for _ in 0..MAX_SKIPPED {
            match sys::recv_message(self.socket.as_fd(), buffer, MAX_DATAGRAM, &mut []) {
                Ok(message) if message.len > 0 => {
                    let payload = buffer.split().freeze();
                    return Ok(Received::Datagram(Datagram::message((), payload)));
                }
                Ok(_) => {
                    if let Some(why) = self.end()? {
                        return Ok(self.closed(why));
                    }
                }
                Err(error) => {
                    let blocked = error.kind() == io::ErrorKind::WouldBlock;
                    let why = if blocked {
                        self.ended
                    } else {
                        ending::reason(&error)
                    };
                    return why.map_or(Err(error), |why| Ok(self.closed(why)));
                }
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// To close a DCCP socket throws away what its congestion control still holds back, and to
    /// close one with something unread in it resets the connection. So this waits for the first
    /// and reads the second. What is lost on the path is lost: DCCP repeats nothing.
    fn finish(&mut self) -> io::Result<Finish> {
        self.watch_room(false)?;
        if sys::bytes_queued(self.socket.as_fd())? > 0 {
            return Ok(Finish::Pending);
        }
        let mut buffer = BytesMut::new();
        for _ in 0..MAX_DRAINED {
            match self.recv(&mut buffer) {
                Ok(Received::Datagram(_) | Received::Icmp { .. }) => {}
                Ok(Received::Closed(_)) | Err(_) => break,
            }
        }
        Ok(Finish::Done)
    }

    fn abort(&mut self) {
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

impl AsFd for DccpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}
