//! Against the kernel's SCTP.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{IoSlice, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use common::*;
use socket::wait::Interest;
use socket::{BindError, ConnectError, Protocol, SctpConfig, SctpListener, SctpSocket};
use socket2::{Domain, MsgHdr, Socket, Type};
use transport::{CloseReason, DatagramSocket, Listener, Received, SendError, StreamId, Transmit};

fn connect(remote: SocketAddr) -> SctpSocket {
    SctpSocket::connect(remote, &[], &SctpConfig::default(), LONG, None).unwrap()
}

/// Both ends of an association: client, server.
fn pair(address: SocketAddr) -> (SctpSocket, SctpSocket) {
    pair_with(address, &SctpConfig::default(), &SctpConfig::default())
}

fn pair_with(
    address: SocketAddr,
    client: &SctpConfig,
    server: &SctpConfig,
) -> (SctpSocket, SctpSocket) {
    let mut listener = SctpListener::bind(&[address], server).unwrap();
    let remote = listener.local_addrs()[0];
    let client = SctpSocket::connect(remote, &[], client, LONG, None).unwrap();
    let (server, peer) = accept(&mut listener);
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(remote, client.peer_addr().unwrap());
    (client, server)
}

/// A client that is no [`SctpSocket`], for what that one does not do.
fn raw_client(remote: SocketAddr) -> Socket {
    let domain = Domain::for_address(remote);
    let socket = Socket::new(domain, Type::STREAM, Some(132.into())).unwrap();
    socket.connect(&remote.into()).unwrap();
    socket
}

#[test]
fn keeps_messages_streams_and_ppids() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    for address in loopbacks() {
        let (mut client, mut server) = pair(address);
        let mut buffer = BytesMut::new();
        for (stream, ppid, immediate_ack) in [(0, 0, false), (7, 63, true), (99, u32::MAX, false)] {
            let transmit = Transmit {
                stream: StreamId(stream),
                ppid,
                immediate_ack,
                ..Transmit::message(())
            };
            client.send(&transmit, b"one").unwrap();
            client.send(&transmit, &pattern(5000)).unwrap();
            for expected in [b"one".to_vec(), pattern(5000)] {
                let got = datagram(&mut server, &mut buffer);
                assert_eq!(got.payload, expected);
                assert_eq!((got.stream, got.ppid), (StreamId(stream), ppid));
                assert!(got.ordered && got.end_of_message);
                server.send(&transmit, &got.payload).unwrap();
                assert_eq!(datagram(&mut client, &mut buffer), got);
            }
        }
    }
}

#[test]
fn tells_an_unordered_message() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let mut listener = SctpListener::bind(&loopbacks()[..1], &SctpConfig::default()).unwrap();
    let client = raw_client(listener.local_addrs()[0]);
    let (mut server, _) = accept(&mut listener);
    // SCTP_SNDINFO with stream 3 and the flag SCTP_UNORDERED.
    let mut control = 32_usize.to_ne_bytes().to_vec();
    control.extend([132_i32, 2].map(i32::to_ne_bytes).as_flattened());
    control.extend([3_u16, 1].map(u16::to_ne_bytes).as_flattened());
    control.extend([0; 12]);
    let parts = [IoSlice::new(b"out of turn")];
    let message = MsgHdr::new().with_buffers(&parts).with_control(&control);
    client.sendmsg(&message, 0).unwrap();
    let got = datagram(&mut server, &mut BytesMut::new());
    assert_eq!((got.stream, got.ordered), (StreamId(3), false));
}

#[test]
fn a_message_larger_than_the_receive_buffer_comes_in_pieces() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let small = SctpConfig {
        receive_buffer: Some(8 * 1024),
        ..SctpConfig::default()
    };
    for address in loopbacks() {
        let (mut client, mut server) = pair_with(address, &SctpConfig::default(), &small);
        let whole = pattern(150_000);
        let transmit = Transmit {
            stream: StreamId(5),
            ppid: 63,
            ..Transmit::message(())
        };
        client.send(&transmit, &whole).unwrap();
        let mut buffer = BytesMut::new();
        let mut got = Vec::new();
        let mut pieces = 0;
        loop {
            let piece = datagram(&mut server, &mut buffer);
            assert_eq!((piece.stream, piece.ppid), (StreamId(5), 63));
            got.extend_from_slice(&piece.payload);
            pieces += 1;
            if piece.end_of_message {
                break;
            }
        }
        assert!(
            got == whole && pieces > 1,
            "{} bytes, {pieces} pieces",
            got.len()
        );
        push(&mut client, b"next", 4);
        assert_eq!(datagram(&mut server, &mut buffer).payload, &b"next"[..]);
    }
}

#[test]
fn a_message_longer_than_one_receive_call_comes_in_pieces() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let (mut client, mut server) = pair(loopbacks()[0]);
    let whole = pattern(100_000);
    send(&mut client, &whole);
    let mut buffer = BytesMut::new();
    let mut got = Vec::new();
    loop {
        let piece = datagram(&mut server, &mut buffer);
        assert!(piece.payload.len() <= 64 * 1024);
        got.extend_from_slice(&piece.payload);
        if piece.end_of_message {
            break;
        }
    }
    assert!(got == whole);
}

#[test]
fn a_message_larger_than_the_send_buffer_is_too_big() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let (mut client, mut server) = pair(loopbacks()[0]);
    let limit = client.max_payload();
    let too_big = client.send(&Transmit::message(()), &vec![1; limit + 1]);
    assert!(matches!(too_big, Err(SendError::TooBig)), "{too_big:?}");
    assert_eq!(client.max_payload(), limit);
    let empty = client.send(&Transmit::message(()), b"");
    assert!(matches!(empty, Err(SendError::Io(_))), "{empty:?}");
    let reader = thread::spawn(move || receive_all(&mut server));
    send(&mut client, &vec![1; limit]);
    finish(client);
    let (all, why) = reader.join().unwrap();
    assert_eq!((all.len(), why), (limit, CloseReason::Graceful));
}

#[test]
fn delivers_all_that_is_queued_when_it_finishes() {
    let Some(mut lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    for mtu in [65536, 1500] {
        if mtu != 65536 && !lo.change(mtu, "delay 5ms") {
            return;
        }
        for address in loopbacks() {
            let (mut client, mut server) = pair(address);
            let whole = pattern(200_000);
            assert_eq!(fill(&mut server, &whole, 10_000), whole.len());
            let began = now();
            let ending = thread::spawn(move || finish(server));
            assert!(receive_all(&mut client) == (whole, CloseReason::Graceful));
            let (why, asked) = ending.join().unwrap();
            let took = now() - began;
            say(&format!(
                "sctp: 200 kB, mtu {mtu}, finished in {took:?}, asked {asked} times: {why:?}"
            ));
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
    }
}

#[test]
fn unread_junk_does_not_turn_the_end_into_an_abort() {
    let Some(mut lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    for network in [None, Some((1500, "delay 5ms"))] {
        if network.is_some_and(|(mtu, netem)| !lo.change(mtu, netem)) {
            return;
        }
        for address in loopbacks() {
            let (mut client, mut server) = pair(address);
            let whole = pattern(200_000);
            assert!(fill(&mut client, &pattern(20_000), 3_000) > 0);
            assert_eq!(fill(&mut server, &whole, 16_384), whole.len());
            let ending = thread::spawn(move || finish(server));
            // More junk while the server ends, of which some arrives in fragments.
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            let why = loop {
                let _ = client.send(&Transmit::message(()), &pattern(4_000));
                match receive(&mut client, &mut buffer) {
                    Received::Datagram(datagram) => got.extend_from_slice(&datagram.payload),
                    Received::Icmp { .. } => {}
                    Received::Closed(why) => break why,
                }
            };
            assert!(got == whole, "{} of {} bytes", got.len(), whole.len());
            assert_eq!(why, CloseReason::Graceful);
            drop(client);
            ending.join().unwrap();
        }
    }
}

#[test]
fn an_idle_association_finishes_at_once() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let (mut client, server) = pair(loopbacks()[0]);
    let began = now();
    let (_, asked) = finish(server);
    assert!(
        now() - began < Duration::from_millis(100),
        "asked {asked} times"
    );
    assert_eq!(receive_all(&mut client).1, CloseReason::Graceful);
}

#[test]
fn the_peer_sees_an_abort() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    for address in loopbacks() {
        let (mut client, mut server) = pair(address);
        fill(&mut server, &pattern(300_000), 10_000);
        server.abort();
        drop(server);
        assert_eq!(receive_all(&mut client).1, CloseReason::Aborted);
        // And it stays so.
        assert_eq!(receive_all(&mut client).1, CloseReason::Aborted);
        let refused = client.send(&Transmit::message(()), b"late");
        assert!(
            matches!(refused, Err(SendError::Closed(CloseReason::Aborted))),
            "{refused:?}"
        );
    }
}

#[test]
fn aborts_while_it_finishes() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let (mut client, mut server) = pair(loopbacks()[0]);
    fill(&mut server, &pattern(300_000), 10_000);
    server.finish().unwrap();
    server.abort();
    drop(server);
    assert_eq!(receive_all(&mut client).1, CloseReason::Aborted);
}

#[test]
fn an_answer_is_not_lost_when_a_send_finds_the_end_first() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    for abort in [false, true] {
        let (mut client, mut server) = pair(loopbacks()[0]);
        send(&mut server, b"the answer");
        if abort {
            // Lets the answer get there first.
            assert!(ready(client.as_fd(), Interest::Read, LONG));
            server.abort();
            drop(server);
        } else {
            finish(server);
        }
        let late = client.send(&Transmit::message(()), b"another request");
        assert!(matches!(late, Err(SendError::WouldBlock)), "{late:?}");
        let (all, why) = receive_all(&mut client);
        assert_eq!(all, b"the answer");
        assert_eq!(why == CloseReason::Aborted, abort, "{why}");
        let late = client.send(&Transmit::message(()), b"another request");
        assert!(
            matches!(late, Err(SendError::Closed(_) | SendError::WouldBlock)),
            "{late:?}"
        );
    }
}

#[test]
fn names_why_no_association_came_about() {
    let Some(mut lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let try_it = |remote: SocketAddr, time, cancel| {
        SctpSocket::connect(remote, &[], &SctpConfig::default(), time, cancel)
    };
    for address in loopbacks() {
        let mut nobody = address;
        nobody.set_port(9);
        let result = try_it(nobody, LONG, None);
        assert!(matches!(result, Err(ConnectError::Refused)), "{result:?}");
    }
    if !lo.change(65536, "loss 100%") {
        return;
    }
    let remote = "127.0.0.1:9".parse().unwrap();
    let began = now();
    let result = try_it(remote, Duration::from_millis(300), None);
    assert!(matches!(result, Err(ConnectError::TimedOut)), "{result:?}");
    let took = now() - began;
    assert!((300..600).contains(&took.as_millis()), "{took:?}");

    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let result = try_it(remote, LONG, Some(reader.as_fd()));
    assert!(matches!(result, Err(ConnectError::Cancelled)), "{result:?}");

    let impatient = SctpConfig {
        init_attempts: Some(1),
        init_timeout: Some(Duration::from_millis(100)),
        ..SctpConfig::default()
    };
    let began = now();
    let result = SctpSocket::connect(remote, &[], &impatient, LONG, None);
    assert!(matches!(result, Err(ConnectError::TimedOut)), "{result:?}");
    assert!(now() - began < Duration::from_secs(10));
}

#[test]
fn a_full_queue_is_waited_for_without_spinning() {
    let Some(mut lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    for mtu in [65536, 1500] {
        if mtu != 65536 && !lo.change(mtu, "delay 1ms") {
            return;
        }
        let (mut client, mut server) = pair(loopbacks()[0]);
        // Nobody reads: after the first refusal the socket is silent.
        let queued = fill(&mut server, &pattern(2_000_000), 8_192);
        let silent = !ready(
            server.as_fd(),
            Interest::ReadWrite,
            Duration::from_millis(600),
        ) || fill(&mut server, &pattern(2_000_000), 8_192) > 0;
        assert!(queued > 100_000 && silent);

        let rest = pattern(1_000_000);
        let sent = rest.len();
        let writer = thread::spawn(move || {
            let effort = push(&mut server, &rest, 8_192);
            finish(server);
            effort
        });
        let (all, why) = receive_all(&mut client);
        let effort = writer.join().unwrap();
        assert!(all.len() >= queued + sent && why == CloseReason::Graceful);
        say(&format!("sctp: mtu {mtu}, with poll: {effort:?}"));
        assert!(effort.vain <= effort.sends / 4 + 10, "{effort:?}");
    }
}

#[test]
fn an_endpoint_has_several_addresses() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let list = |texts: &[&str]| -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    for (server, client) in [
        (
            list(&["127.0.0.1:0", "127.0.0.2:0"]),
            list(&["127.0.0.3:0", "127.0.0.4:0"]),
        ),
        (list(&["127.0.0.1:0", "[::1]:0"]), list(&[])),
        (
            list(&["[::1]:0", "127.0.0.1:0"]),
            list(&["127.0.0.1:0", "[::1]:0"]),
        ),
    ] {
        let mut listener = SctpListener::bind(&server, &SctpConfig::default()).unwrap();
        let addresses = listener.local_addrs().to_vec();
        assert_eq!(addresses.len(), server.len());
        for remote in addresses {
            let config = SctpConfig::default();
            let mut client = SctpSocket::connect(remote, &client, &config, LONG, None).unwrap();
            let (mut accepted, peer) = accept(&mut listener);
            assert_eq!(peer.port(), client.local_addr().unwrap().port());
            assert_eq!(peer.is_ipv4(), remote.is_ipv4(), "{peer} {remote}");
            send(&mut client, b"hello");
            let got = datagram(&mut accepted, &mut BytesMut::new());
            assert_eq!(got.payload, &b"hello"[..]);
        }
    }
}

#[test]
fn names_why_an_address_cannot_be_had() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let bind = |texts: &[&str]| {
        let list: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        SctpListener::bind(&list, &SctpConfig::default())
    };
    let first = bind(&["127.0.0.1:0"]).unwrap();
    let taken = first.local_addrs()[0].to_string();
    assert!(matches!(bind(&[&taken]), Err(BindError::InUse(_))));
    assert!(matches!(
        bind(&["192.0.2.1:0"]),
        Err(BindError::NotLocal(_))
    ));
    assert!(matches!(
        bind(&["127.0.0.1:0", "192.0.2.1:0"]),
        Err(BindError::NotLocal(_))
    ));
    assert!(matches!(
        bind(&["127.0.0.1:1", "127.0.0.2:2"]),
        Err(BindError::PortsDiffer)
    ));
    assert!(matches!(bind(&[]), Err(BindError::NoAddress)));
    // Both wildcards, on one port.
    let v4 = bind(&["0.0.0.0:0"]).unwrap();
    let v6 = bind(&[&format!("[::]:{}", v4.local_addrs()[0].port())]).unwrap();
    assert_eq!(v4.local_addrs()[0].port(), v6.local_addrs()[0].port());
}

#[test]
fn a_restarted_server_has_its_port_at_once() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let config = SctpConfig::default();
    let mut listener = SctpListener::bind(&loopbacks()[..1], &config).unwrap();
    let address = listener.local_addrs()[0];
    let _client = connect(address);
    let (server, _) = accept(&mut listener);
    drop(listener);
    let _again = SctpListener::bind(&[address], &config).unwrap();
    drop(server);
}

#[test]
fn the_fewer_streams_of_both_sides_are_used() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let client = SctpConfig {
        outgoing_streams: 20,
        max_incoming_streams: 3,
        ..SctpConfig::default()
    };
    let server = SctpConfig {
        outgoing_streams: 30,
        max_incoming_streams: 5,
        ..SctpConfig::default()
    };
    let (mut client, server) = pair_with(loopbacks()[0], &client, &server);
    assert_eq!(client.streams().unwrap(), (5, 3));
    assert_eq!(server.streams().unwrap(), (3, 5));
    let transmit = Transmit {
        stream: StreamId(5),
        ..Transmit::message(())
    };
    let refused = client.send(&transmit, b"x");
    assert!(matches!(refused, Err(SendError::Io(_))), "{refused:?}");
}

#[test]
fn nothing_waits_to_be_accepted() {
    let Some(_lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    let mut listener = SctpListener::bind(&loopbacks()[..1], &SctpConfig::default()).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(!listener.is_out_of_resources(&error));
    assert!(listener.is_out_of_resources(&std::io::Error::from_raw_os_error(libc::EMFILE)));
}
