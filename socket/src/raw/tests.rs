//! Packets over loopback, where this process may send them.

use std::time::{Duration, Instant};

use super::*;
use crate::wait::{Entry, Interest, wait};

const LONG: Duration = Duration::from_secs(20);

/// A socket at `address`; `None`, told, where that cannot be had here.
fn bound(address: &str) -> Option<RawSocket> {
    let address = address.parse().unwrap();
    match RawSocket::bind(Protocol::Dccp, address, &PacketConfig::default()) {
        Ok(socket) => Some(socket),
        Err(BindError::Socket(
            why @ (SocketError::RawForbidden | SocketError::KernelAnswersToo(_)),
        )) => {
            eprintln!("not run: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn client_of(remote: &str) -> RawSocket {
    let remote = remote.parse().unwrap();
    RawSocket::connect(Protocol::Dccp, remote, None, &PacketConfig::default()).unwrap()
}

/// The next packet, waited for.
fn next(socket: &mut RawSocket) -> Datagram<Path> {
    #[expect(clippy::disallowed_methods, reason = "the wait below is in real time")]
    let deadline = Instant::now() + LONG;
    let mut buffer = BytesMut::new();
    loop {
        match socket.recv(&mut buffer) {
            Ok(Received::Datagram(datagram)) => return datagram,
            // Of a packet that came from nobody's port, before this test.
            Ok(Received::Icmp { .. }) => {}
            Ok(Received::Closed(why)) => panic!("closed: {why}"),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        let mut entries = [Entry::new(socket.as_fd(), Interest::Read)];
        assert_eq!(wait(&mut entries, Some(deadline)).unwrap(), 1, "nothing");
    }
}

/// A packet between these ports with `filling`.
fn packet(from: u16, to: u16, filling: u8) -> Vec<u8> {
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    [ports, vec![filling; 60]].concat()
}

fn transmit(to: &str, ecn: Ecn) -> Transmit<Path> {
    let mut remote: SocketAddr = to.parse().unwrap();
    remote.set_port(0);
    Transmit {
        ecn,
        ..Transmit::message(Path::to(remote))
    }
}

#[test]
fn packets_go_both_ways_with_their_addresses_and_ecn() {
    for (here, ip) in [("127.0.0.1:7001", "127.0.0.1"), ("[::1]:7001", "::1")] {
        let Some(mut server) = bound(here) else {
            return;
        };
        let mut client = client_of(here);
        let question = packet(7002, 7001, 1);
        client.send(&transmit(here, Ecn::Ect0), &question).unwrap();
        let got = next(&mut server);
        assert_eq!((&got.payload[..], got.ecn), (&question[..], Ecn::Ect0));
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!(
            (got.peer.local, got.peer.remote),
            (Some(ip), SocketAddr::new(ip, 0))
        );
        let answer = packet(7001, 7002, 2);
        let how = Transmit {
            ecn: Ecn::Ce,
            ..Transmit::message(got.peer)
        };
        server.send(&how, &answer).unwrap();
        // Its own question, which came by too, is none of its business.
        let got = next(&mut client);
        assert_eq!((&got.payload[..], got.ecn), (&answer[..], Ecn::Ce));
    }
}

#[test]
fn a_train_is_sent_packet_by_packet() {
    let Some(mut server) = bound("127.0.0.1:7003") else {
        return;
    };
    let mut client = client_of("127.0.0.1:7003");
    let packets: Vec<Vec<u8>> = (0..20).map(|n| packet(7004, 7003, n)).collect();
    let how = Transmit {
        segment_size: std::num::NonZeroUsize::new(packets[0].len()),
        ..transmit("127.0.0.1:0", Ecn::NotEct)
    };
    client.send(&how, &packets.concat()).unwrap();
    for packet in &packets {
        assert_eq!(next(&mut server).payload, packet);
    }
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let Some(mut server) = bound("0.0.0.0:7005") else {
        return;
    };
    for (port, asked) in [(7006, "127.0.0.1:7005"), (7007, "127.0.0.2:7005")] {
        let mut client = client_of(asked);
        client
            .send(&transmit(asked, Ecn::NotEct), &packet(port, 7005, 0))
            .unwrap();
        let question = next(&mut server);
        let how = Transmit::message(question.peer);
        server.send(&how, &packet(7005, port, 0)).unwrap();
        let answer = next(&mut client);
        let asked: SocketAddr = asked.parse().unwrap();
        assert_eq!(answer.peer.remote.ip(), asked.ip());
    }
}

#[test]
fn a_packet_that_the_device_does_not_take_is_refused() {
    let Some(mut server) = bound("127.0.0.1:7008") else {
        return;
    };
    let to = transmit("127.0.0.1:0", Ecn::NotEct);
    let result = server.send(&to, &vec![0; 65_600]);
    assert!(matches!(result, Err(SendError::TooBig)));
}

#[test]
fn dl18_beside_the_kernels_own_protocol_it_is_refused() {
    for protocol in [Protocol::Dccp, Protocol::Sctp] {
        if !probe().of(protocol).is_available() {
            eprintln!("not run: this kernel has no {protocol}");
            continue;
        }
        let address = "127.0.0.1:7009".parse().unwrap();
        let refused = RawSocket::bind(protocol, address, &PacketConfig::default());
        assert!(matches!(
            refused,
            Err(BindError::Socket(SocketError::KernelAnswersToo(_)))
        ));
    }
}

#[test]
fn broken_headers_are_no_packets() {
    let good = [&[0x45, 3][..], &[0; 14], &[192, 0, 2, 1], b"rest"].concat();
    let (local, ecn, rest) = strip_ipv4(Bytes::from(good.clone())).unwrap();
    assert_eq!(local, Some("192.0.2.1".parse().unwrap()));
    assert_eq!((ecn, &rest[..]), (Ecn::Ce, &b"rest"[..]));
    for cut in 0..IPV4_HEADER {
        assert!(strip_ipv4(Bytes::copy_from_slice(&good[..cut])).is_none());
    }
    for length in [0x40, 0x44, 0x4F] {
        let mut bad = good.clone();
        bad[0] = length;
        assert!(strip_ipv4(Bytes::from(bad)).is_none());
    }
}
