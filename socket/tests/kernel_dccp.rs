//! Against the kernel's DCCP.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use common::*;
use mio::unix::SourceFd;
use mio::{Events, Interest as Ready, Poll, Token};
use socket::wait::Interest;
use socket::{
    BindError, ConnectError, DccpConfig, DccpListener, DccpSocket, Protocol, SocketError,
};
use socket2::{Domain, SockRef, Socket, Type};
use transport::{CloseReason, DatagramSocket, Finish, Received, SendError, Transmit};

/// The address to listen at, and the listener.
fn listen(address: SocketAddr) -> (DccpListener, SocketAddr) {
    let listener = DccpListener::bind(&[address], &DccpConfig::default()).unwrap();
    let remote = listener.local_addrs()[0];
    (listener, remote)
}

fn with_codes(codes: &[u32]) -> DccpConfig {
    DccpConfig {
        service_codes: codes.to_vec(),
        ..DccpConfig::default()
    }
}

/// Both ends of a connection: client, server.
fn pair(address: SocketAddr) -> (DccpSocket, DccpSocket) {
    let (mut listener, remote) = listen(address);
    let config = DccpConfig::default();
    let client = DccpSocket::connect(remote, &[], &config, LONG, None).unwrap();
    let (server, peer) = accept(&mut listener);
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(remote, client.peer_addr().unwrap());
    (client, server)
}

/// A client that is no [`DccpSocket`], for what that one does not do.
fn raw_client(remote: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(remote), Type::from(6), Some(33.into())).unwrap();
    socket
        .set_dccp_service(u32::from_ne_bytes(*b"?HTP"))
        .unwrap();
    socket.connect(&remote.into()).unwrap();
    socket
}

#[test]
fn keeps_datagrams() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    for address in loopbacks() {
        let (mut client, mut server) = pair(address);
        let mut buffer = BytesMut::new();
        for len in [
            1,
            100,
            1400,
            20_000,
            client.max_payload().min(server.max_payload()),
        ] {
            let payload = pattern(len);
            send(&mut client, &payload);
            let got = datagram(&mut server, &mut buffer);
            assert!(
                got.payload == payload && got.ordered && got.end_of_message,
                "{len}"
            );
            // The rest of the buffer is still there for the next one.
            assert!(buffer.capacity() > 100_000, "{}", buffer.capacity());
            send(&mut server, &payload);
            assert!(
                datagram(&mut client, &mut buffer).payload == payload,
                "{len}"
            );
        }
        let empty = client.send(&Transmit::message(()), b"");
        assert!(matches!(empty, Err(SendError::Io(_))), "{empty:?}");
    }
}

#[test]
fn knows_the_packet_size() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    // What Linux 6.1 reports for client and server.
    for (mtu, sizes) in [
        (65536, [(65475, 65459), (65456, 65440)]),
        (1500, [(1440, 1424), (1420, 1404)]),
    ] {
        if mtu != 65536 && !lo.change(mtu, "") {
            return;
        }
        for (address, sizes) in loopbacks().into_iter().zip(sizes) {
            let (client, server) = pair(address);
            assert_eq!((client.max_payload(), server.max_payload()), sizes);
        }
    }
}

#[test]
fn follows_a_path_that_takes_less() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    if !lo.change(1500, "delay 5ms") {
        return;
    }
    let (mut client, mut server) = pair(loopbacks()[0]);
    let before = server.max_payload();
    let too_big = server.send(&Transmit::message(()), &pattern(before + 1));
    assert!(matches!(too_big, Err(SendError::TooBig)), "{too_big:?}");
    assert_eq!(server.max_payload(), before);
    lo.change(1280, "delay 5ms");
    // The kernel notices with the first packet that it sends. (It would not without the delay: an
    // ICMP message that comes back while the send call still runs is ignored.)
    let payload = pattern(before);
    let refused = (0..10).any(|_| {
        let result = server.send(&Transmit::message(()), &payload);
        let refused = matches!(result, Err(SendError::TooBig));
        thread_yield();
        refused
    });
    assert!(refused);
    assert_eq!(server.max_payload(), 1204);
    let limit = server.max_payload();
    send(&mut server, &pattern(limit));
    let mut buffer = BytesMut::new();
    while datagram(&mut client, &mut buffer).payload.len() != limit {}
}

/// Gives the kernel's own work a moment.
fn thread_yield() {
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(!ready(
        reader.as_fd(),
        Interest::Read,
        Duration::from_millis(20)
    ));
}

#[test]
fn empty_datagrams_are_no_end() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    for address in loopbacks() {
        let (mut listener, remote) = listen(address);
        let client = raw_client(remote);
        let (mut server, _) = accept(&mut listener);
        let mut buffer = BytesMut::new();
        for payload in [&b""[..], b"one", b"", b"", b"two", b""] {
            client.send(payload).unwrap();
        }
        assert_eq!(datagram(&mut server, &mut buffer).payload, &b"one"[..]);
        assert_eq!(datagram(&mut server, &mut buffer).payload, &b"two"[..]);
        let time = Duration::from_millis(50);
        assert_eq!(receive_for(&mut server, &mut buffer, time), None);
        // Two of them, one message and two more in front of the end.
        for payload in [&b""[..], b"", b"three", b"", b""] {
            client.send(payload).unwrap();
        }
        thread_yield();
        drop(client);
        thread_yield();
        assert_eq!(datagram(&mut server, &mut buffer).payload, &b"three"[..]);
        for _ in 0..2 {
            let end = receive(&mut server, &mut buffer);
            assert_eq!(end, Received::Closed(CloseReason::Graceful));
        }
    }
}

#[test]
fn more_empty_datagrams_than_one_call_skips_are_no_end() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let (mut listener, remote) = listen(loopbacks()[0]);
    let client = raw_client(remote);
    let (mut server, _) = accept(&mut listener);
    // 64 is what one call skips; 92 would fill the receive buffer.
    for _ in 0..70 {
        while client.send(b"").is_err() {}
    }
    while client.send(b"last").is_err() {}
    let mut buffer = BytesMut::new();
    assert_eq!(datagram(&mut server, &mut buffer).payload, &b"last"[..]);
}

#[test]
fn delivers_all_that_is_queued_when_it_finishes() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    if !lo.change(1500, "delay 10ms") {
        return;
    }
    for address in loopbacks() {
        let (mut client, mut server) = pair(address);
        let whole = pattern(40 * 1400);
        assert_eq!(fill(&mut server, &whole, 1400), whole.len());
        // What nobody read must not turn the end into a reset.
        send(&mut client, b"unread");
        thread_yield();
        let began = now();
        let ending = thread::spawn(move || finish(server));
        assert!(receive_all(&mut client) == (whole, CloseReason::Graceful));
        let (_, asked) = ending.join().unwrap();
        let took = now() - began;
        say(&format!(
            "dccp: 40 packets at 20 ms, finished in {took:?}, asked {asked} times"
        ));
    }
}

#[test]
fn an_idle_connection_finishes_at_once() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let (mut client, mut server) = pair(loopbacks()[0]);
    send(&mut client, b"unread");
    thread_yield();
    assert_eq!(server.finish().unwrap(), Finish::Done);
    drop(server);
    assert_eq!(receive_all(&mut client).1, CloseReason::Graceful);
}

#[test]
fn the_peer_sees_an_abort() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    for address in loopbacks() {
        for client_aborts in [false, true] {
            let (client, server) = pair(address);
            let (mut one, mut other) = if client_aborts {
                (client, server)
            } else {
                (server, client)
            };
            send(&mut one, b"sent before");
            assert!(ready(other.as_fd(), Interest::Read, LONG));
            one.abort();
            drop(one);
            thread_yield();
            // The end is told after what came before it, also if a send finds it first.
            if client_aborts {
                let late = other.send(&Transmit::message(()), b"late");
                assert!(matches!(late, Err(SendError::WouldBlock)), "{late:?}");
            }
            let (all, why) = receive_all(&mut other);
            assert_eq!((&all[..], why), (&b"sent before"[..], CloseReason::Aborted));
            assert_eq!(receive_all(&mut other).1, CloseReason::Aborted);
        }
    }
}

#[test]
fn an_answer_is_not_lost_when_a_send_finds_the_end_first() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let (mut client, mut server) = pair(loopbacks()[0]);
    send(&mut server, b"the answer");
    finish(server);
    thread_yield();
    let late = client.send(&Transmit::message(()), b"another request");
    assert!(matches!(late, Err(SendError::WouldBlock)), "{late:?}");
    assert_eq!(
        receive_all(&mut client),
        (b"the answer".to_vec(), CloseReason::Graceful)
    );
}

#[test]
fn names_why_no_connection_came_about() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    for address in loopbacks() {
        let (_listener, remote) = listen(address);
        let connect = |remote, codes: &[u32]| {
            DccpSocket::connect(remote, &[], &with_codes(codes), LONG, None)
        };
        let result = connect(remote, &[42]);
        assert!(
            matches!(result, Err(ConnectError::ServiceCode(42))),
            "{result:?}"
        );
        let mut nobody = remote;
        nobody.set_port(9);
        let result = connect(nobody, &[42]);
        assert!(matches!(result, Err(ConnectError::Refused)), "{result:?}");
    }
    if !lo.change(65536, "loss 100%") {
        return;
    }
    let remote = "127.0.0.1:9".parse().unwrap();
    let connect =
        |time, cancel| DccpSocket::connect(remote, &[], &DccpConfig::default(), time, cancel);
    let began = now();
    let result = connect(Duration::from_millis(300), None);
    assert!(matches!(result, Err(ConnectError::TimedOut)), "{result:?}");
    let took = now() - began;
    assert!((300..600).contains(&took.as_millis()), "{took:?}");
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let result = connect(LONG, Some(reader.as_fd()));
    assert!(matches!(result, Err(ConnectError::Cancelled)), "{result:?}");
}

#[test]
fn a_listener_answers_to_several_service_codes() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let codes = [u32::from_be_bytes(*b"?HTP"), 0, 16_777_216];
    for address in loopbacks() {
        let mut listener = DccpListener::bind(&[address], &with_codes(&codes)).unwrap();
        let remote = listener.local_addrs()[0];
        for code in codes {
            let config = with_codes(&[code, 77]);
            let mut client = DccpSocket::connect(remote, &[], &config, LONG, None).unwrap();
            let (mut server, _) = accept(&mut listener);
            send(&mut client, b"hello");
            assert_eq!(
                datagram(&mut server, &mut BytesMut::new()).payload,
                &b"hello"[..]
            );
        }
        let result = DccpSocket::connect(remote, &[], &with_codes(&[77]), LONG, None);
        assert!(
            matches!(result, Err(ConnectError::ServiceCode(77))),
            "{result:?}"
        );
    }
    for wrong in [vec![], vec![u32::MAX], vec![1; 33]] {
        let result = DccpListener::bind(&loopbacks()[..1], &with_codes(&wrong));
        let is_it = matches!(result, Err(BindError::Socket(SocketError::ServiceCodes)));
        assert!(is_it, "{result:?}");
    }
}

#[test]
fn names_a_congestion_control_that_is_not_there() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let with = |ccid| {
        let config = DccpConfig {
            ccid: Some(ccid),
            ..DccpConfig::default()
        };
        DccpListener::bind(&loopbacks()[..1], &config)
    };
    with(2).unwrap();
    for ccid in [9, 200] {
        let result = with(ccid);
        assert!(
            matches!(&result, Err(BindError::Socket(SocketError::Ccid(got))) if *got == ccid),
            "{result:?}"
        );
    }
}

#[test]
fn names_why_an_address_cannot_be_had() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let bind = |texts: &[&str]| {
        let list: Vec<SocketAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        DccpListener::bind(&list, &DccpConfig::default())
    };
    let first = bind(&["127.0.0.1:0"]).unwrap();
    let taken = first.local_addrs()[0];
    assert!(matches!(
        bind(&[&taken.to_string()]),
        Err(BindError::InUse(_))
    ));
    assert!(matches!(
        bind(&["192.0.2.1:0"]),
        Err(BindError::NotLocal(_))
    ));
    assert!(matches!(
        bind(&["127.0.0.1:0", "127.0.0.2:0"]),
        Err(BindError::ManyAddresses)
    ));
    assert!(matches!(bind(&[]), Err(BindError::NoAddress)));
    // The same port at a second address, and both wildcards on one port.
    bind(&[&format!("127.0.0.2:{}", taken.port())]).unwrap();
    let v4 = bind(&["0.0.0.0:0"]).unwrap();
    bind(&[&format!("[::]:{}", v4.local_addrs()[0].port())]).unwrap();
}

#[test]
fn a_client_has_the_address_it_asked_for() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let mut listener =
        DccpListener::bind(&["127.0.0.2:0".parse().unwrap()], &DccpConfig::default()).unwrap();
    let remote = listener.local_addrs()[0];
    let local = ["127.0.0.3:0".parse().unwrap()];
    let config = DccpConfig::default();
    let client = DccpSocket::connect(remote, &local, &config, LONG, None).unwrap();
    let (_server, peer) = accept(&mut listener);
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(peer.ip(), local[0].ip());
}

#[test]
fn a_restarted_server_has_its_port_at_once() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let (mut listener, address) = listen(loopbacks()[0]);
    let config = DccpConfig::default();
    let _client = DccpSocket::connect(address, &[], &config, LONG, None).unwrap();
    let (server, _) = accept(&mut listener);
    drop(listener);
    let _again = DccpListener::bind(&[address], &config).unwrap();
    drop(server);
}

#[test]
fn connections_get_the_receive_buffer_that_is_asked_for() {
    let Some(_lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    let plain = Socket::new(Domain::IPV4, Type::from(6), Some(33.into())).unwrap();
    let plain = plain.recv_buffer_size().unwrap();
    for asked in [None, Some(1 << 20)] {
        let server = DccpConfig {
            receive_buffer: asked,
            ..DccpConfig::default()
        };
        let mut listener = DccpListener::bind(&loopbacks()[..1], &server).unwrap();
        let size = listener.receive_buffer().unwrap();
        let remote = listener.local_addrs()[0];
        let config = DccpConfig::default();
        let client = DccpSocket::connect(remote, &[], &config, LONG, None).unwrap();
        let (server, _) = accept(&mut listener);
        assert_eq!(server.receive_buffer().unwrap(), size);
        // Privileged or not, what was asked for is more than the kernel's own.
        assert_eq!(size > plain, asked.is_some());
        assert!(client.receive_buffer().unwrap() > plain);
        assert!(SockRef::from(&listener).nonblocking().unwrap());
    }
}

#[test]
fn a_full_queue_is_waited_for_without_spinning() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    if !lo.change(1500, "delay 10ms") {
        return;
    }
    let (mut client, mut server) = pair(loopbacks()[0]);
    // Nothing leaves the queue without acknowledgements.
    lo.change(1500, "loss 100%");
    let payload = vec![1; 1400];
    let queued = fill(&mut server, &vec![1; 1_000_000], 1400);
    assert!((10 * 1400..1_000_000).contains(&queued), "{queued}");
    let mut waits = 0;
    let end = now() + Duration::from_millis(500);
    while now() < end {
        let left = end.saturating_duration_since(now());
        ready(server.as_fd(), Interest::ReadWrite, left);
        let _ = server.send(&Transmit::message(()), &payload);
        let _ = server.recv(&mut BytesMut::new());
        waits += 1;
    }
    say(&format!("dccp: stuck for 500 ms: {waits} waits with poll"));
    assert!(waits < 50, "{waits}");

    lo.change(1500, "delay 10ms");
    let rest = pattern(1400 * 1000);
    let writer = thread::spawn(move || {
        let effort = push(&mut server, &rest, 1400);
        finish(server);
        effort
    });
    let (all, why) = receive_all(&mut client);
    let effort = writer.join().unwrap();
    say(&format!(
        "dccp: with poll: {effort:?}, {} bytes arrived",
        all.len()
    ));
    assert_eq!(why, CloseReason::Graceful);
    assert!(effort.vain <= effort.sends / 4 + 20, "{effort:?}");
}

#[test]
fn a_full_queue_is_waited_for_with_edge_triggered_epoll() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    if !lo.change(1500, "delay 10ms") {
        return;
    }
    let (mut client, mut server) = pair(loopbacks()[0]);
    let writer = thread::spawn(move || {
        let mut poll = Poll::new().unwrap();
        let fd = server.as_fd().as_raw_fd();
        let both = Ready::READABLE | Ready::WRITABLE;
        poll.registry()
            .register(&mut SourceFd(&fd), Token(0), both)
            .unwrap();
        let mut events = Events::with_capacity(8);
        let mut buffer = BytesMut::new();
        let (mut sent, mut waits) = (0, 0);
        while sent < 1000 {
            match server.send(&Transmit::message(()), &pattern(1400)) {
                Ok(()) => sent += 1,
                Err(SendError::WouldBlock) => {
                    waits += 1;
                    poll.poll(&mut events, Some(LONG)).unwrap();
                    assert!(!events.is_empty(), "stuck after {sent}");
                    assert!(server.recv(&mut buffer).is_err());
                }
                Err(error) => panic!("{error}"),
            }
        }
        finish(server);
        waits
    });
    let (all, why) = receive_all(&mut client);
    let waits = writer.join().unwrap();
    say(&format!(
        "dccp: with mio: {waits} waits for 1000 datagrams, {} bytes arrived",
        all.len()
    ));
    assert_eq!(why, CloseReason::Graceful);
    assert!(waits < 2000, "{waits}");
}

#[test]
fn input_is_reported_while_the_queue_is_full() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    if !lo.change(1500, "delay 100ms") {
        return;
    }
    let (mut client, mut server) = pair(loopbacks()[0]);
    fill(&mut server, &vec![1; 1_000_000], 1400);
    send(&mut client, b"stop");
    let mut buffer = BytesMut::new();
    let began = now();
    assert_eq!(datagram(&mut server, &mut buffer).payload, &b"stop"[..]);
    assert!(now() - began < Duration::from_secs(1));
    // And again, after the refusals of another try.
    fill(&mut server, &vec![1; 1_000_000], 1400);
    send(&mut client, b"go on");
    assert_eq!(datagram(&mut server, &mut buffer).payload, &b"go on"[..]);
}
