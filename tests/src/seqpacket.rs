//! Datagram sockets that every machine has: Unix sockets of the sequenced-packet type, which
//! connect, accept, block and end like those the drivers are made for.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use socket2::{Domain, SockAddr, Socket, Type};
use transport::{
    CloseReason, Datagram, DatagramSocket, Finish, Listener, Received, SendError, Transmit,
};

/// The largest message in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// One end of a connection.
#[derive(Debug)]
pub struct SeqSocket {
    socket: Socket,
}

impl SeqSocket {
    /// Connects to `address`.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(address: &Address) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&address.0)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Makes two that are connected with each other.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }
}

impl DatagramSocket for SeqSocket {
    type Peer = ();

    fn max_payload(&self) -> usize {
        MAX_MESSAGE
    }

    fn send(&mut self, _transmit: &Transmit<()>, payload: &[u8]) -> Result<(), SendError> {
        match self.socket.send(payload) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::WouldBlock => SendError::WouldBlock,
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    SendError::Closed(CloseReason::Aborted)
                }
                _ => SendError::Io(error),
            }),
        }
    }

    fn recv(&mut self, into: &mut BytesMut) -> io::Result<Received<()>> {
        into.resize(MAX_MESSAGE, 0);
        match (&self.socket).read(into) {
            Ok(0) => Ok(Received::Closed(CloseReason::Graceful)),
            Ok(length) => {
                let payload = into.split_to(length).freeze();
                Ok(Received::Datagram(Datagram::message((), payload)))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Ok(Received::Closed(CloseReason::Aborted))
            }
            Err(error) => Err(error),
        }
    }

    fn finish(&mut self) -> io::Result<Finish> {
        // The system keeps what was sent for the peer after this end is closed.
        Ok(Finish::Done)
    }

    fn abort(&mut self) {}
}

impl AsFd for SeqSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where a [`SeqListener`] listens.
#[derive(Clone, Debug)]
pub struct Address(SockAddr);

/// Accepts connections.
#[derive(Debug)]
pub struct SeqListener {
    socket: Socket,
    path: PathBuf,
    send_buffer: Option<usize>,
}

impl SeqListener {
    /// Listens in a file of its own in the system's folder for temporary files.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written to.
    pub fn bind() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seqpacket-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        socket.listen(1024)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path,
            send_buffer: None,
        })
    }

    /// Gives the sockets it accepts a send queue of `bytes`, or the least that the system has.
    #[must_use]
    pub const fn with_send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// When its path is too long for an address.
    pub fn address(&self) -> io::Result<Address> {
        SockAddr::unix(&self.path).map(Address)
    }
}

impl Listener for SeqListener {
    type Socket = SeqSocket;

    fn accept(&mut self) -> io::Result<(SeqSocket, SocketAddr)> {
        let (socket, _) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        // A Unix socket has no address that a service knows.
        Ok((SeqSocket { socket }, (Ipv4Addr::LOCALHOST, 0).into()))
    }

    fn is_out_of_resources(&self, error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE))
    }
}

impl AsFd for SeqListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for SeqListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
/// No descriptors left, on all Unix systems.
pub const EMFILE: i32 = 24;

/// A client without a driver: its calls block, for 20 s at most, and nothing is read before it
/// is asked for.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
}

impl Client {
    /// Connects to `address`, waiting for a place in its backlog.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(address: &Address) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        let limit = Some(std::time::Duration::from_secs(20));
        socket.set_read_timeout(limit)?;
        socket.set_write_timeout(limit)?;
        socket.connect(&address.0)?;
        Ok(Self { socket })
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// When the peer is gone.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        (&self.socket).write_all(message)
    }

    /// The next message, empty at the end.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut message = vec![0; MAX_MESSAGE];
        let length = (&self.socket).read(&mut message)?;
        message.truncate(length);
        Ok(message)
    }

    /// Whether a message, or the end, is there to be received now.
    ///
    /// # Errors
    ///
    /// When the socket cannot be asked.
    pub fn has_message(&self) -> io::Result<bool> {
        self.socket.set_nonblocking(true)?;
        let looked = self.socket.peek(&mut [std::mem::MaybeUninit::uninit()]);
        self.socket.set_nonblocking(false)?;
        match looked {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}
