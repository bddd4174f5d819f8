//! The messages of a kernel's socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use socket::Protocol;
use transport::{DatagramSocket, Direction, Finish, Listener, Received, SendError, Transmit};

use super::{Watch, Watcher, lock};
use crate::clock;

/// Where the messages of one connection are told.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub(super) shared: Arc<Mutex<Watcher>>,
    /// Which of the transfers it is, among all that there were.
    pub(super) nth: u64,
}

impl Hearing {
    fn tell(&self, direction: Direction, segment_size: Option<usize>, bytes: &[u8]) {
        let mut watcher = lock(&self.shared);
        let now = clock();
        let Some(transfer) = watcher.nth(self.nth) else {
            return;
        };
        let size = segment_size.unwrap_or(bytes.len()).max(1);
        for message in bytes.chunks(size) {
            transfer.message(now, direction, message);
        }
    }
}

/// A socket with one peer whose messages are heard, or a listener that makes such.
#[derive(Debug)]
pub(crate) struct Heard<S, H> {
    socket: S,
    hearing: H,
}

impl<S> Heard<S, Option<Hearing>> {
    pub(crate) const fn new(socket: S, hearing: Option<Hearing>) -> Self {
        Self { socket, hearing }
    }
}

impl<S> Heard<S, (Watch, Protocol)> {
    pub(crate) const fn listener(socket: S, watch: Watch, protocol: Protocol) -> Self {
        let hearing = (watch, protocol);
        Self { socket, hearing }
    }
}

impl<S: DatagramSocket<Peer = ()>> DatagramSocket for Heard<S, Option<Hearing>> {
    type Peer = ();

    fn max_payload(&self) -> usize {
        self.socket.max_payload()
    }

    fn send(&mut self, transmit: &Transmit<()>, payload: &[u8]) -> Result<(), SendError> {
        self.socket.send(transmit, payload)?;
        if let Some(hearing) = &self.hearing {
            let size = transmit.segment_size.map(Into::into);
            hearing.tell(Direction::Sent, size, payload);
        }
        Ok(())
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<()>> {
        let received = self.socket.recv(buffer)?;
        if let (Some(hearing), Received::Datagram(datagram)) = (&self.hearing, &received) {
            let size = datagram.segment_size.map(Into::into);
            hearing.tell(Direction::Received, size, &datagram.payload);
        }
        Ok(received)
    }

    fn finish(&mut self) -> io::Result<Finish> {
        self.socket.finish()
    }

    fn abort(&mut self) {
        self.socket.abort();
    }
}

impl<L: Listener> Listener for Heard<L, (Watch, Protocol)> {
    type Socket = Heard<L::Socket, Option<Hearing>>;

    fn accept(&mut self) -> io::Result<(Self::Socket, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        let (watch, protocol) = &self.hearing;
        let hearing = watch.hearing(*protocol, peer);
        Ok((Heard::new(socket, hearing), peer))
    }

    fn is_out_of_resources(&self, error: &io::Error) -> bool {
        self.socket.is_out_of_resources(error)
    }
}

impl<S: AsFd, H> AsFd for Heard<S, H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
