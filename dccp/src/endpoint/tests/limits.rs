//! Each limit of the settings, reached. Those of the handshake are in `strangers` and `losses`.

use std::time::{Duration, Instant};

use super::pair::{Forged, Pair, SERVICE, client_config, server_config};
use crate::packet::{Kind, PacketType};
use crate::{CloseReason, Config, ConnectionId, Event, SendError, Seq};

/// Lets time pass until the server's or the client's connection ends; why, and when.
fn until_closed(pair: &mut Pair, server: bool) -> (CloseReason, Instant) {
    for _ in 0..10_000 {
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        let end = if server { &mut pair.z } else { &mut pair.a };
        for event in end.take_events() {
            if let Event::Closed(reason) = event {
                return (reason, pair.now);
            }
        }
    }
    panic!("it does not end");
}

#[test]
fn replies_wait_in_a_bounded_queue() {
    let mut pair = Pair::new(
        client_config(),
        Config {
            replies: 4,
            ..server_config()
        },
    );
    pair.connect();
    let (_, transmit, bytes) = pair.to_z.pop_front().unwrap();
    let mut refused = bytes;
    refused[2..4].copy_from_slice(&9u16.to_be_bytes());
    for _ in 0..20 {
        pair.z.endpoint.handle_packet(
            pair.now,
            crate::Datagram {
                path: super::pair::path(1),
                ecn: transmit.ecn,
                segment_size: None,
                payload: bytes::Bytes::from(refused.clone()),
            },
        );
    }
    pair.poll();
    assert_eq!(pair.to_a.len(), 4);
}

#[test]
fn early_data_beyond_the_limit_is_not_kept() {
    let mut pair = Pair::new(
        client_config(),
        Config {
            early_data: 4,
            ..server_config()
        },
    )
    .with_initial(1000, 5000);
    let a = pair.connect();
    pair.to_z.clear();
    let kind = Kind::Request { service: SERVICE };
    pair.forge(
        true,
        a,
        1000,
        kind,
        Forged {
            options: &[],
            data: b"12345",
        },
    );
    let ack = Kind::Ack {
        ack: Seq::new(5000),
    };
    pair.forge(true, a, 1001, ack, Forged::default());
    let events = pair.z.take_events();
    assert!(
        matches!(events[..], [Event::Connected { .. }]),
        "{events:?}"
    );
}

#[test]
fn drain_and_close_timeouts_end_what_is_not_answered() {
    let config = Config {
        drain_timeout: Duration::from_millis(100),
        ..server_config()
    };
    let (mut pair, _, z) = Pair::new(client_config(), config).connected();
    pair.path_limit = 0;
    pair.z.send(pair.now, z, b"never").unwrap();
    pair.z.endpoint.close(pair.now, z);
    pair.poll();
    let start = pair.now;
    while pair.z.endpoint.stats(z).unwrap().state != crate::State::CloseReq {
        pair.next_timer();
    }
    assert_eq!(pair.now, start + Duration::from_millis(100));
    let (reason, at) = until_closed(&mut pair, true);
    assert_eq!(reason, CloseReason::TimedOut);
    let took = at - start;
    assert!((30..=60).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn part_open_is_left_after_its_timeout() {
    let mut pair = Pair::usual();
    pair.connect();
    pair.deliver_one();
    pair.deliver_one();
    pair.to_z.clear();
    pair.path_limit = 0;
    let start = pair.now;
    let (reason, at) = until_closed(&mut pair, false);
    assert_eq!(reason, CloseReason::TimedOut);
    let took = at - start;
    assert!((480..600).contains(&took.as_secs()), "{took:?}");
}

/// Sends from the server until it is refused; how many were taken.
fn sent_at_once(pair: &mut Pair, z: ConnectionId, length: usize) -> usize {
    let message = vec![1; length];
    (0..1000)
        .take_while(|_| match pair.z.send(pair.now, z, &message) {
            Ok(()) => true,
            Err(SendError::Full) => false,
            Err(error) => panic!("{error:?}"),
        })
        .count()
}

/// A pair whose server may send many packets at once.
fn opened(server: Config) -> (Pair, ConnectionId) {
    let (mut pair, _, z) = Pair::new(client_config(), server).connected();
    let mut rounds = 0;
    while pair.z.endpoint.stats(z).unwrap().congestion.cwnd < 200 && rounds < 400 {
        sent_at_once(&mut pair, z, 500);
        pair.poll();
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        rounds += 1;
    }
    pair.run(Duration::from_millis(100));
    pair.z.take_events();
    (pair, z)
}

#[test]
fn trains_and_packets_in_them_that_wait_have_limits() {
    let config = Config {
        pending_trains: 2,
        max_train: 8,
        ..server_config()
    };
    let (mut pair, z) = opened(config);
    assert_eq!(sent_at_once(&mut pair, z, 500), 16);
    pair.poll();
    assert_eq!(pair.to_a.len(), 2);
    assert!(matches!(pair.z.take_events()[..], [Event::Writable, ..]));
    // Bytes too: the kernel takes no more than 65,535 in one call.
    let config = Config {
        base_packet: 9000,
        max_train: 64,
        ..server_config()
    };
    let (mut pair, z) = opened(config);
    assert_eq!(sent_at_once(&mut pair, z, 8984), 14);
    pair.poll();
    assert!(pair.to_a.iter().all(|(_, _, bytes)| bytes.len() <= 65_000));
}

#[test]
fn packets_in_the_network_have_a_limit() {
    let (mut pair, z) = opened(Config {
        max_window: 6,
        ..server_config()
    });
    assert_eq!(sent_at_once(&mut pair, z, 500), 6);
}

#[test]
fn ds7_no_more_is_sent_than_the_sequence_window_lets_be_acknowledged() {
    let (mut pair, z) = opened(server_config());
    let connection = pair.z.endpoint.get(z).unwrap();
    assert!(connection.windows().0 >= 1000, "{:?}", connection.windows());
    pair.path_limit = 0;
    let mut sent = 0;
    for _ in 0..100 {
        sent += sent_at_once(&mut pair, z, 500);
        pair.poll();
    }
    let (_, window) = pair.z.endpoint.get(z).unwrap().windows();
    assert!(sent as u64 <= window - window / 4, "{sent} of {window}");
}

#[test]
fn an_acknowledgement_is_delayed_as_long_as_is_set_and_not_at_a_hole() {
    let config = Config {
        ack_delay: Duration::from_millis(50),
        ..client_config()
    };
    let (mut pair, _, z) = Pair::new(config, server_config()).connected();
    pair.run(Duration::from_secs(2));
    pair.z.send(pair.now, z, b"one").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::Data));
    let came = pair.now;
    assert!(pair.to_z.is_empty());
    while pair.to_z.is_empty() {
        pair.next_timer();
        pair.to_a.clear();
    }
    assert!(pair.now <= came + Duration::from_millis(50));
    pair.run(Duration::from_secs(2));
    // One is lost: the next shows it.
    pair.z.send(pair.now, z, b"two").unwrap();
    pair.poll();
    pair.lose(false);
    pair.z.send(pair.now, z, b"three").unwrap();
    pair.poll();
    pair.deliver_one();
    assert_eq!(pair.to_z.len(), 1, "at once");
}

#[test]
fn settings_out_of_range_are_brought_into_it() {
    let config = Config {
        ccids: vec![crate::ccid::Ccid(9)],
        sequence_window: 1 << 47,
        min_checksum_coverage: 99,
        max_train: 0,
        pending_trains: 0,
        max_packet: 1,
        base_packet: 0,
        max_window: 0,
        ack_delay: Duration::from_secs(9),
        ..Config::default()
    }
    .in_range();
    assert_eq!(config.ccids, [crate::ccid::Ccid::CCID2]);
    assert_eq!(config.sequence_window, (1 << 46) - 1);
    assert_eq!(config.min_checksum_coverage, 15);
    assert_eq!((config.max_train, config.pending_trains), (1, 1));
    assert_eq!((config.max_packet, config.base_packet), (512, 256));
    assert_eq!(
        (config.max_window, config.ack_delay),
        (4, Duration::from_millis(200))
    );
}

#[test]
fn reports_of_missing_packets_wait_in_a_bounded_queue() {
    let config = Config {
        receive_messages: 4,
        ..server_config()
    };
    let (mut pair, _, z) = Pair::new(client_config(), config)
        .with_initial(1000, 5000)
        .connected();
    pair.poll();
    let ends = *pair.z.endpoint.get(z).unwrap().ends();
    // Every second number is missing, and the application takes nothing.
    let arrive = |pair: &mut Pair, seq: u64| {
        let header = crate::packet::Header {
            source_port: ends.remote_port,
            destination_port: ends.local_port,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: Seq::new(seq),
            kind: Kind::Data,
        };
        let mut bytes = Vec::new();
        header.encode(&[], &mut bytes);
        let datagram = crate::Datagram {
            path: ends.path,
            ecn: crate::Ecn::NotEct,
            segment_size: None,
            payload: bytes::Bytes::from(bytes),
        };
        pair.z.endpoint.handle_packet(pair.now, datagram);
    };
    for number in 1..=200 {
        arrive(&mut pair, 1001 + 2 * number);
    }
    assert!(
        pair.z.endpoint.cx.events.len() <= 5,
        "{:?}",
        pair.z.endpoint.cx.events
    );
    pair.poll();
    pair.z.take_events();
    // All of it is told at last, before the next message.
    arrive(&mut pair, 1001 + 2 * 201);
    pair.poll();
    let events = pair.z.take_events();
    let [Event::Missing(told), Event::Message(_)] = events[..] else {
        panic!("{events:?}");
    };
    assert!(told > 190, "{told}");
}

#[test]
fn times_for_ever_and_sockets_of_no_size_do_no_harm() {
    let for_ever = |config: Config| Config {
        probe_again: Duration::MAX,
        connect_timeout: Duration::MAX,
        respond_timeout: Duration::MAX,
        part_open_timeout: Duration::MAX,
        give_up: Duration::MAX,
        drain_timeout: Duration::MAX,
        close_timeout: Duration::MAX,
        time_wait: Duration::MAX,
        server_time_wait: true,
        probe_mtu: true,
        probe_after: 0,
        ..config
    };
    let mut pair = Pair::new(for_ever(client_config()), for_ever(server_config()));
    pair.socket_limit = 256;
    let (mut pair, a, z) = pair.connected();
    for limit in [0, 1, 15, 100] {
        pair.a.endpoint.handle_rejected(pair.now, limit);
        pair.a
            .endpoint
            .poll_transmit(pair.now, limit, &mut Vec::new());
        let room = pair.a.endpoint.max_message(a);
        assert!(room > 0, "{room}");
    }
    pair.a.send(pair.now, a, &[1; 50]).unwrap();
    pair.poll();
    pair.run(Duration::from_secs(1));
    assert_eq!(super::pair::messages(&pair.z.take_events()).len(), 1);
    pair.z.endpoint.close(pair.now, z);
    pair.poll();
    pair.run(Duration::from_secs(1));
    assert_eq!(
        pair.z.endpoint.connections() + pair.a.endpoint.connections(),
        0
    );
}

#[test]
fn a_clock_that_goes_back_a_little_does_no_harm() {
    let config = Config {
        cookies_above: 0,
        ..server_config()
    };
    let mut pair = Pair::new(client_config(), config);
    let start = pair.now;
    for second in [0, 61, 59, 122, 118, 300] {
        pair.now = start + Duration::from_secs(second);
        let a = pair.connect();
        for _ in 0..3 {
            pair.deliver_one();
            pair.now -= Duration::from_millis(500);
            pair.a.endpoint.handle_timeout(pair.now);
            pair.z.endpoint.handle_timeout(pair.now);
        }
        let (z, _) = pair.z.events.pop_front().expect("established");
        for number in 0..50 {
            let _ = pair.z.send(pair.now, z, &[number; 100]);
            let _ = pair.a.send(pair.now, a, &[number; 100]);
            pair.poll();
            pair.deliver_one();
            pair.now -= Duration::from_millis(3);
        }
        pair.a.endpoint.close(pair.now, a);
        pair.z.take_events();
        pair.poll();
        pair.run(Duration::from_millis(300));
        pair.z.events.clear();
        pair.a.events.clear();
    }
    assert_eq!(pair.z.endpoint.counts().cookies_refused, 0);
}
