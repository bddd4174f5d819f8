//! The ceiling: what UDP with GSO and GRO carries when nothing is done but what must be done. The
//! sender reads a file straight into the packets, the receiver copies it out of them, and every
//! quarter of a window it says how far it is, so that nothing is lost.

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::{Result, children};

/// Bytes under way: well within what the receive buffer holds, whatever a packet costs there.
const WINDOW: u64 = 1 << 20;

/// Asked for; the system may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// The longest payload of IPv4 with UDP.
const LONGEST: usize = 65507;

/// How long one end waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// A blocking socket that sends and receives trains.
struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    fn bind() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        socket.set_nonblocking(false)?;
        Ok(Self { socket, state })
    }

    fn send(&self, destination: SocketAddr, contents: &[u8], segment: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: Some(segment),
            src_ip: None,
        };
        self.state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut meta = [RecvMeta::default()];
        let mut buffers = [IoSliceMut::new(buffer)];
        let socket = UdpSockRef::from(&self.socket);
        self.state.recv(socket, &mut buffers, &mut meta)?;
        Ok((meta[0].len, meta[0].addr))
    }
}

/// Serves the file that is named: to a request for packets of so many bytes, all of it.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [file] = arguments else {
        return Err("no file".into());
    };
    let socket = Socket::bind()?;
    children::announce(socket.socket.local_addr()?)?;
    let mut train = vec![0; LONGEST];
    loop {
        let mut request = [0; 8];
        socket.socket.set_read_timeout(None)?;
        let (length, client) = socket.receive(&mut request)?;
        // The last client's last words are longer.
        let Ok(request) = <[u8; 4]>::try_from(&request[..length]) else {
            continue;
        };
        socket.socket.set_read_timeout(Some(PATIENCE))?;
        let segment = usize::try_from(u32::from_be_bytes(request))?;
        let segments = (LONGEST / segment).min(socket.state.max_gso_segments());
        let train = &mut train[..segment * segments];
        send_file(&socket, client, File::open(file)?, train, segment)?;
    }
}

fn send_file(
    socket: &Socket,
    client: SocketAddr,
    mut file: File,
    train: &mut [u8],
    segment: usize,
) -> Result<()> {
    let (mut sent, mut acknowledged) = (0, 0);
    loop {
        let length = file.read(train)?;
        if length == 0 {
            return Ok(());
        }
        while sent + length as u64 > acknowledged + WINDOW {
            let mut number = [0; 8];
            socket.receive(&mut number)?;
            acknowledged = acknowledged.max(u64::from_be_bytes(number));
        }
        socket.send(client, &train[..length], segment)?;
        sent += length as u64;
    }
}

/// Fetches `length` bytes from a server in packets of `segment` bytes.
pub(crate) fn fetch(server: SocketAddr, length: u64, segment: usize) -> Result<()> {
    let socket = Socket::bind()?;
    socket.socket.set_read_timeout(Some(PATIENCE))?;
    let request = u32::try_from(segment)?.to_be_bytes();
    socket.socket.send_to(&request, server)?;
    let (mut train, mut sink) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut received, mut acknowledged) = (0, 0);
    while received < length {
        let (count, _) = socket
            .receive(&mut train)
            .map_err(|error| format!("{received} of {length} bytes came: {error}"))?;
        sink[..count].copy_from_slice(&train[..count]);
        std::hint::black_box(&mut sink);
        received += count as u64;
        if received >= acknowledged + WINDOW / 4 {
            acknowledged = received;
            socket.socket.send_to(&acknowledged.to_be_bytes(), server)?;
        }
    }
    Ok(())
}
