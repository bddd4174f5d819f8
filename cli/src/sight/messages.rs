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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use bytes::Bytes;
    use capture::ladder::{Strokes, Style};
    use transport::Datagram;

    use super::*;
    use crate::args;
    use crate::sight::Role;

    /// Takes everything and has one answer.
    struct Kernel;

    impl DatagramSocket for Kernel {
        type Peer = ();

        fn max_payload(&self) -> usize {
            100
        }

        fn send(&mut self, _: &Transmit<()>, _: &[u8]) -> Result<(), SendError> {
            Ok(())
        }

        fn recv(&mut self, _: &mut BytesMut) -> io::Result<Received<()>> {
            let head = Bytes::from_static(b"HTTP/1.0 200 OK\r\n\r\n");
            Ok(Received::Datagram(Datagram::message((), head)))
        }

        fn finish(&mut self) -> io::Result<Finish> {
            Ok(Finish::Done)
        }

        fn abort(&mut self) {}
    }

    struct Door;

    impl Listener for Door {
        type Socket = Kernel;

        fn accept(&mut self) -> io::Result<(Kernel, SocketAddr)> {
            Ok((Kernel, ([192, 0, 2, 1], 5000).into()))
        }

        fn is_out_of_resources(&self, _: &io::Error) -> bool {
            true
        }
    }

    fn watch(ladder: bool) -> Watch {
        let args = args::Sight {
            ladder,
            ..args::Sight::default()
        };
        Watch::begin(&args, Role::Server).unwrap()
    }

    #[test]
    fn over_the_kernel_messages_are_shown_and_why_is_told() {
        let watch = watch(true);
        let mut door = Heard::listener(Door, watch.clone(), Protocol::Sctp);
        let (mut socket, peer) = door.accept().unwrap();
        assert_eq!(peer.port(), 5000);
        let train = Transmit {
            segment_size: NonZeroUsize::new(2),
            ..Transmit::message(())
        };
        socket.send(&train, b"aabbc").unwrap();
        let received = socket.recv(&mut BytesMut::new()).unwrap();
        assert!(matches!(received, Received::Datagram(_)));
        let mut watcher = lock(watch.0.as_ref().unwrap());
        let transfer = watcher.nth(0).unwrap();
        assert_eq!(transfer.title, "SCTP (kernel) with 192.0.2.1:5000");
        let style = Style {
            width: None,
            strokes: Strokes::Ascii,
        };
        let text = transfer.ladder.to_text(style).to_string();
        let words: Vec<&str> = text
            .lines()
            .map(|line| {
                line.split_once("ms  ")
                    .map_or(line.trim(), |(_, rest)| rest)
            })
            .collect();
        assert_eq!(
            words,
            [
                "<-  the kernel's packets cannot be seen: these are messages",
                "<-  body, 2 bytes",
                "<-  body, 2 bytes",
                "<-  body, 1 byte",
                "->  HTTP/1.0 200 OK  [19 bytes]",
                "4 messages: 1 from the client, 3 from the server",
            ]
        );
    }

    #[test]
    fn of_many_connections_the_last_are_kept() {
        let watch = watch(true);
        let mut door = Heard::listener(Door, watch.clone(), Protocol::Sctp);
        let mut sockets: Vec<_> = (0..20).map(|_| door.accept().unwrap().0).collect();
        for socket in &mut sockets {
            socket.send(&Transmit::message(()), b"x").unwrap();
        }
        let mut watcher = lock(watch.0.as_ref().unwrap());
        assert_eq!(watcher.transfers.len(), crate::sight::MAX_TRANSFERS);
        assert!(watcher.nth(11).is_none());
        for nth in 12..20 {
            let ladder = &watcher.nth(nth).unwrap().ladder;
            assert!(ladder.summary().starts_with("1 message"), "{nth}");
        }
    }

    #[test]
    fn where_nothing_is_watched_nothing_is_kept() {
        let watch = watch(false);
        assert!(watch.hearing(Protocol::Dccp, "x").is_none());
        let mut socket = Heard::new(Kernel, None);
        assert_eq!(socket.max_payload(), 100);
        socket.send(&Transmit::message(()), b"x").unwrap();
        socket.abort();
        assert_eq!(socket.finish().unwrap(), Finish::Done);
        assert!(watch.finish().is_ok());
    }
}
