//! A UDP socket that sends and receives trains: what the ceiling and the other stacks run on.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::Result;

/// Asked for; the system may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// The longest payload of IPv4 with UDP.
pub(crate) const LONGEST: usize = 65507;

/// Bytes of the buffers that are received into: several of the longest.
const BLOCK: usize = 1 << 20;

pub(crate) struct Link {
    socket: UdpSocket,
    state: UdpSocketState,
    block: BytesMut,
    train: Train,
}

/// Packets of one size that leave with one call; the last may be shorter.
#[derive(Default)]
struct Train {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    complete: bool,
}

/// A train that came.
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    bytes: Bytes,
    segment: usize,
}

impl Arrival {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its packets, as slices.
    pub(crate) fn packets(&self) -> impl Iterator<Item = Bytes> {
        let (length, segment) = (self.bytes.len(), self.segment.max(1));
        (0..length)
            .step_by(segment)
            .map(move |at| self.bytes.slice(at..(at + segment).min(length)))
    }
}

impl Link {
    pub(crate) fn bind() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        socket.set_nonblocking(false)?;
        Ok(Self {
            socket,
            state,
            block: BytesMut::new(),
            train: Train::default(),
        })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// How long [`Self::receive`] waits.
    pub(crate) fn set_patience(&self, patience: Option<Duration>) -> Result<()> {
        Ok(self.socket.set_read_timeout(patience)?)
    }

    pub(crate) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(crate) fn send(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment: usize,
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: (segment < contents.len()).then_some(segment),
            src_ip: None,
        };
        self.state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    /// Adds a packet to the train under way, which leaves first if this one does not fit.
    pub(crate) fn push(&mut self, destination: SocketAddr, packet: &[u8]) -> io::Result<()> {
        let train = &self.train;
        let fits = !train.complete
            && packet.len() <= train.segment
            && train.bytes.len() + packet.len() <= LONGEST
            && train.count < self.max_segments();
        if train.count > 0 && !fits {
            self.flush(destination)?;
        }
        let train = &mut self.train;
        if train.count == 0 {
            train.segment = packet.len();
        }
        train.complete = packet.len() < train.segment;
        train.count += 1;
        train.bytes.extend_from_slice(packet);
        Ok(())
    }

    /// Sends the train under way.
    pub(crate) fn flush(&mut self, destination: SocketAddr) -> io::Result<()> {
        if self.train.count > 0 {
            self.send(destination, &self.train.bytes, self.train.segment)?;
            self.train.bytes.clear();
            self.train.count = 0;
            self.train.complete = false;
        }
        Ok(())
    }

    /// Waits for a train; `None`: none came.
    pub(crate) fn receive(&mut self) -> Result<Option<Arrival>> {
        if self.block.len() < 1 << 16 {
            self.block = BytesMut::zeroed(BLOCK);
        }
        let mut meta = [RecvMeta::default()];
        let mut buffers = [IoSliceMut::new(&mut self.block[..1 << 16])];
        let socket = UdpSockRef::from(&self.socket);
        match self.state.recv(socket, &mut buffers, &mut meta) {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Some(Arrival {
            from: meta[0].addr,
            bytes: self.block.split_to(meta[0].len).freeze(),
            segment: meta[0].stride,
        }))
    }
}
