//! Datagrams over loopback.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport::{Icmp, IcmpKind, Unreachable};

use super::*;
use crate::wait::{Entry, Interest, wait};

const LONG: Duration = Duration::from_secs(20);

fn bound(ip: &str) -> UdpSocket {
    let address = SocketAddr::new(ip.parse().unwrap(), 0);
    UdpSocket::bind(address, &PacketConfig::default()).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests of sockets wait in real time"
)]
fn clock() -> Instant {
    Instant::now()
}

/// The next datagram or train, waited for.
fn next(socket: &mut UdpSocket, buffer: &mut BytesMut) -> io::Result<Received<Path>> {
    let deadline = clock() + LONG;
    loop {
        match socket.recv(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut entries = [Entry::new(socket.as_fd(), Interest::Read)];
                assert_eq!(wait(&mut entries, Some(deadline))?, 1, "nothing came");
            }
            other => return other,
        }
    }
}

fn datagram(received: io::Result<Received<Path>>) -> Datagram<Path> {
    match received.unwrap() {
        Received::Datagram(datagram) => datagram,
        Received::Icmp { icmp, .. } => panic!("{icmp:?}"),
        Received::Closed(why) => panic!("closed: {why}"),
    }
}

/// The next ICMP message.
fn icmp(socket: &mut UdpSocket) -> (Path, Icmp) {
    match next(socket, &mut BytesMut::new()).unwrap() {
        Received::Icmp { peer, icmp } => (peer, icmp),
        other => panic!("{other:?}"),
    }
}

/// A train of `segments` datagrams of `size` bytes, the last of them of one byte.
fn train(size: usize, segments: usize) -> Vec<u8> {
    let length = size * (segments - 1) + 1;
    (0..length)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect()
}

/// Sends a train, and gives what comes of it, datagram by datagram.
fn carry(from: &mut UdpSocket, to: &mut UdpSocket, size: usize, payload: &[u8]) -> Vec<Vec<u8>> {
    let transmit = Transmit {
        segment_size: NonZeroUsize::new(size),
        ecn: Ecn::Ect0,
        ..Transmit::message(Path::to(to.local_addr()))
    };
    from.send(&transmit, payload).unwrap();
    let (mut buffer, mut got, mut bytes) = (BytesMut::new(), Vec::new(), 0);
    while bytes < payload.len() {
        let datagram = datagram(next(to, &mut buffer));
        assert_eq!(datagram.peer.remote.port(), from.local_addr().port());
        assert_eq!(datagram.peer.local, Some(to.local_addr().ip()));
        assert_eq!(datagram.ecn, Ecn::Ect0);
        bytes += datagram.payload.len();
        let size = datagram
            .segment_size
            .map_or(datagram.payload.len(), Into::into);
        got.extend(datagram.payload.chunks(size).map(<[u8]>::to_vec));
    }
    got
}

#[test]
fn du7_a_train_arrives_as_the_datagrams_it_was_made_of_with_its_ecn_field() {
    for ip in ["127.0.0.1", "::1"] {
        let (mut from, mut to) = (bound(ip), bound(ip));
        for (size, segments) in [(1200, 45), (1200, 2), (100, 200), (9000, 20)] {
            let payload = train(size, segments);
            let got = carry(&mut from, &mut to, size, &payload);
            let expected: Vec<Vec<u8>> = payload.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(got, expected, "{ip} {size} {segments}");
        }
    }
}

#[test]
fn du4_each_client_has_a_udp_port_of_its_own() {
    let server = bound("127.0.0.1").local_addr();
    let connect = || UdpSocket::connect(server, None, &PacketConfig::default()).unwrap();
    let (first, second) = (connect(), connect());
    assert_ne!(first.local_addr().port(), second.local_addr().port());
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let mut server = bound("0.0.0.0");
    let port = server.local_addr().port();
    for ip in ["127.0.0.1", "127.0.0.2"] {
        let asked = SocketAddr::new(ip.parse().unwrap(), port);
        let mut client = UdpSocket::connect(asked, None, &PacketConfig::default()).unwrap();
        client
            .send(&Transmit::message(Path::to(asked)), b"question")
            .unwrap();
        let mut buffer = BytesMut::new();
        let question = datagram(next(&mut server, &mut buffer));
        assert_eq!(question.peer.local, Some(asked.ip()));
        server
            .send(&Transmit::message(question.peer), b"answer")
            .unwrap();
        let answer = datagram(next(&mut client, &mut buffer));
        assert_eq!(
            (answer.peer.remote, &answer.payload[..]),
            (asked, &b"answer"[..])
        );
    }
}

#[test]
fn nobody_at_the_port_is_told_at_once() {
    for ip in ["127.0.0.1", "::1"] {
        let nobody = bound(ip).local_addr();
        let mut client = UdpSocket::connect(nobody, None, &PacketConfig::default()).unwrap();
        let transmit = Transmit::message(Path::to(nobody));
        client.send(&transmit, b"question").unwrap();
        let (path, icmp) = icmp(&mut client);
        assert_eq!((path.local, path.remote), (Some(nobody.ip()), nobody));
        let expected = Icmp {
            kind: IcmpKind::Unreachable(Unreachable::Port),
            from: Some(nobody.ip()),
            quoted: Bytes::from_static(b"question"),
        };
        assert_eq!(icmp, expected);
    }
}

#[test]
fn what_the_peer_said_last_is_read_before_it_is_gone() {
    let mut server = bound("127.0.0.1");
    let address = server.local_addr();
    let to = Transmit::message(Path::to(address));
    let mut client = UdpSocket::connect(address, None, &PacketConfig::default()).unwrap();
    client.send(&to, b"question").unwrap();
    let mut buffer = BytesMut::new();
    let question = datagram(next(&mut server, &mut buffer));
    server
        .send(&Transmit::message(question.peer), b"farewell")
        .unwrap();
    drop(server);
    client.send(&to, b"more").unwrap();
    let farewell = datagram(next(&mut client, &mut buffer));
    assert_eq!(&farewell.payload[..], b"farewell");
    assert_eq!(icmp(&mut client).1.quoted, "more");
}

#[test]
fn what_is_said_of_one_packet_costs_no_other() {
    let mut client = bound("127.0.0.1");
    let mut server = bound("127.0.0.1");
    let nobody = bound("127.0.0.1").local_addr();
    let to = |remote| Transmit::message(Path::to(remote));
    for _ in 0..10 {
        // The kernel would fail the second call for the first one's packet.
        client.send(&to(nobody), b"lost").unwrap();
        client.send(&to(server.local_addr()), b"kept").unwrap();
        let kept = datagram(next(&mut server, &mut BytesMut::new()));
        assert_eq!(kept.payload, "kept");
    }
    for _ in 0..10 {
        assert_eq!(icmp(&mut client).1.quoted, "lost");
    }
}

#[test]
fn a_flood_of_icmp_is_read_in_pieces_and_kept_in_part() {
    let mut client = bound("127.0.0.1");
    let nobody = bound("127.0.0.1").local_addr();
    let to = Transmit::message(Path::to(nobody));
    // Each call reads what is said of the one before; only a few of them are kept.
    for _ in 0..200 {
        client.send(&to, b"lost").unwrap();
    }
    let mut told = 0;
    let mut buffer = BytesMut::new();
    loop {
        match client.recv(&mut buffer) {
            Ok(Received::Icmp { .. }) => told += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
    }
    assert!((1..=16).contains(&told), "{told}");
}

#[test]
fn what_one_peer_does_ends_no_socket_with_many() {
    let mut server = bound("127.0.0.1");
    let nobody = bound("127.0.0.1").local_addr();
    for _ in 0..3 {
        server
            .send(&Transmit::message(Path::to(nobody)), b"hello")
            .unwrap();
    }
    // Not even an address that cannot be sent to.
    let broadcast = "255.255.255.255:9".parse().unwrap();
    server
        .send(&Transmit::message(Path::to(broadcast)), b"hello")
        .unwrap();
    for _ in 0..3 {
        assert_eq!(icmp(&mut server).0.remote, nobody);
    }
    let error = server.recv(&mut BytesMut::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn du8_what_leaves_no_room_for_the_udp_header_is_refused() {
    let mut server = bound("127.0.0.1");
    let to = Transmit::message(Path::to(server.local_addr()));
    let payload = vec![0; server.max_payload() + 1];
    assert!(matches!(server.send(&to, &payload), Err(SendError::TooBig)));
    // The system may have no memory for one so big at the moment, and drops it then.
    let mut buffer = BytesMut::new();
    let received = (0..100).find_map(|_| {
        server.send(&to, &payload[1..]).unwrap();
        let mut entries = [Entry::new(server.as_fd(), Interest::Read)];
        wait(&mut entries, Some(clock() + Duration::from_millis(200))).unwrap();
        server.recv(&mut buffer).ok()
    });
    let whole = datagram(Ok(received.expect("one of many arrives"))).payload;
    assert_eq!(whole.len(), server.max_payload());
}

#[test]
fn the_receive_buffer_is_used_again() {
    let mut socket = bound("127.0.0.1");
    let to = Transmit::message(Path::to(socket.local_addr()));
    let mut buffer = BytesMut::new();
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..2000 {
        socket.send(&to, &[7; 1200]).unwrap();
        let payload = datagram(next(&mut socket, &mut buffer)).payload;
        places.insert(payload.as_ptr() as usize / RECEIVE_CHUNK);
    }
    // 2.4 MB passed through one or two blocks of 256 KiB, wherever they begin.
    assert!(places.len() <= 4, "{places:?}");
}

#[test]
fn two_sockets_do_not_share_a_port() {
    let first = bound("127.0.0.1");
    let second = UdpSocket::bind(first.local_addr(), &PacketConfig::default());
    assert!(matches!(second, Err(BindError::InUse(_))));
}
