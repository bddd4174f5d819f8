//! A packet socket whose packets somebody watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::BytesMut;
use proto::machine::{Ecn, Transmit};

use crate::path::Path;
use crate::socket::{DatagramSocket, Finish, Received, SendError};

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From this end to the peer.
    Sent,
    /// From the peer to this end.
    Received,
}

/// Watches the packets of a [`Tap`].
pub trait Observer {
    /// A packet was sent, or came. It is told before anything that it brings about.
    fn packet(&mut self, direction: Direction, path: Path, ecn: Ecn, bytes: &[u8]);
}

/// A packet socket that shows every packet to an [`Observer`], trains as the packets they are
/// made of.
///
/// A packet counts as sent when the socket has taken it; one that the socket is offered again
/// later is seen once. Without an observer a tap is the socket itself.
#[derive(Debug)]
pub struct Tap<S, O> {
    socket: S,
    observer: Option<O>,
}

impl<S, O> Tap<S, O> {
    /// Makes a tap on `socket`, for `observer` if there is one.
    pub const fn new(socket: S, observer: Option<O>) -> Self {
        Self { socket, observer }
    }

    /// The socket.
    pub const fn socket(&self) -> &S {
        &self.socket
    }

    /// The observer.
    pub const fn observer(&self) -> Option<&O> {
        self.observer.as_ref()
    }
}

impl<S, O: Observer> Tap<S, O> {
    /// Shows the packets of a train. `segment_size` is that of all but the last.
    fn show(
        &mut self,
        direction: Direction,
        path: Path,
        ecn: Ecn,
        segment_size: Option<usize>,
        bytes: &[u8],
    ) {
        let Some(observer) = &mut self.observer else {
            return;
        };
        match segment_size {
            Some(size) => {
                for packet in bytes.chunks(size) {
                    observer.packet(direction, path, ecn, packet);
                }
            }
            None => observer.packet(direction, path, ecn, bytes),
        }
    }
}

impl<S, O> DatagramSocket for Tap<S, O>
where
    S: DatagramSocket<Peer = Path>,
    O: Observer,
{
    type Peer = Path;

    const MANY_PEERS: bool = S::MANY_PEERS;

    fn max_payload(&self) -> usize {
        self.socket.max_payload()
    }

    fn send(&mut self, transmit: &Transmit<Path>, payload: &[u8]) -> Result<(), SendError> {
        self.socket.send(transmit, payload)?;
        let size = transmit.segment_size.map(Into::into);
        self.show(Direction::Sent, transmit.peer, transmit.ecn, size, payload);
        Ok(())
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<Path>> {
        let received = self.socket.recv(buffer)?;
        if let Received::Datagram(datagram) = &received {
            let size = datagram.segment_size.map(Into::into);
            let (path, ecn) = (datagram.peer, datagram.ecn);
            self.show(Direction::Received, path, ecn, size, &datagram.payload);
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

impl<S: AsFd, O> AsFd for Tap<S, O> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::num::NonZeroUsize;

    use bytes::Bytes;
    use proto::machine::{CloseReason, Datagram};

    use super::*;

    /// Takes packets until it is full, and gives what it was given.
    #[derive(Default)]
    struct Script {
        full: bool,
        sent: Vec<Vec<u8>>,
        coming: VecDeque<Received<Path>>,
    }

    impl DatagramSocket for Script {
        type Peer = Path;
        const MANY_PEERS: bool = true;

        fn max_payload(&self) -> usize {
            1234
        }

        fn send(&mut self, _: &Transmit<Path>, payload: &[u8]) -> Result<(), SendError> {
            if self.full {
                return Err(SendError::WouldBlock);
            }
            self.sent.push(payload.to_vec());
            Ok(())
        }

        fn recv(&mut self, _: &mut BytesMut) -> io::Result<Received<Path>> {
            let next = self.coming.pop_front();
            next.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        }

        fn finish(&mut self) -> io::Result<Finish> {
            Ok(Finish::Pending)
        }

        fn abort(&mut self) {
            self.full = true;
        }
    }

    #[derive(Default)]
    struct Seen(Vec<(Direction, Ecn, String)>);

    impl Observer for Seen {
        fn packet(&mut self, direction: Direction, path: Path, ecn: Ecn, bytes: &[u8]) {
            assert_eq!(path, peer());
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.push((direction, ecn, text));
        }
    }

    fn peer() -> Path {
        Path::to(([192, 0, 2, 1], 6511).into())
    }

    fn train(size: usize) -> Transmit<Path> {
        Transmit {
            segment_size: NonZeroUsize::new(size),
            ecn: Ecn::Ect0,
            ..Transmit::message(peer())
        }
    }

    #[test]
    fn a_train_is_seen_as_its_packets_in_both_directions() {
        let mut tap = Tap::new(Script::default(), Some(Seen::default()));
        tap.send(&train(3), b"aaabbbc").unwrap();
        tap.send(&Transmit::message(peer()), b"whole").unwrap();
        tap.socket.coming.push_back(Received::Datagram(Datagram {
            segment_size: NonZeroUsize::new(2),
            ecn: Ecn::Ce,
            ..Datagram::message(peer(), Bytes::from_static(b"xxyy"))
        }));
        let closed = Received::Closed(CloseReason::Refused);
        tap.socket.coming.push_back(closed.clone());
        let mut buffer = BytesMut::new();
        let Received::Datagram(datagram) = tap.recv(&mut buffer).unwrap() else {
            panic!("it is handed on");
        };
        assert_eq!(datagram.payload, "xxyy");
        assert_eq!(tap.recv(&mut buffer).unwrap(), closed);
        assert!(tap.recv(&mut buffer).is_err());

        let sent = |ecn, text: &str| (Direction::Sent, ecn, text.to_owned());
        let came = |text: &str| (Direction::Received, Ecn::Ce, text.to_owned());
        let expected = [
            sent(Ecn::Ect0, "aaa"),
            sent(Ecn::Ect0, "bbb"),
            sent(Ecn::Ect0, "c"),
            sent(Ecn::NotEct, "whole"),
            came("xx"),
            came("yy"),
        ];
        assert_eq!(tap.observer().unwrap().0, expected);
        assert_eq!(tap.socket().sent, [&b"aaabbbc"[..], b"whole"]);
    }

    #[test]
    fn what_the_socket_does_not_take_is_seen_when_it_does() {
        let mut tap = Tap::new(Script::default(), Some(Seen::default()));
        tap.socket.full = true;
        for _ in 0..2 {
            let refused = tap.send(&train(3), b"aaa");
            assert!(matches!(refused, Err(SendError::WouldBlock)));
        }
        assert!(tap.observer().unwrap().0.is_empty());
        tap.socket.full = false;
        tap.send(&train(3), b"aaa").unwrap();
        assert_eq!(tap.observer().unwrap().0.len(), 1);
    }

    #[test]
    fn without_an_observer_it_is_the_socket() {
        let mut tap: Tap<_, Seen> = Tap::new(Script::default(), None);
        assert_eq!(tap.max_payload(), 1234);
        const { assert!(<Tap<Script, Seen>>::MANY_PEERS) };
        tap.send(&train(3), b"aaab").unwrap();
        assert_eq!(tap.socket().sent.len(), 1);
        assert_eq!(tap.finish().unwrap(), Finish::Pending);
        tap.abort();
        assert!(tap.socket().full && tap.observer().is_none());
    }
}
