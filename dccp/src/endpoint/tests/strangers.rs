//! What peers can do that have not proved their address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::pair::{Forged, PORT, Pair, SERVICE, client_config, messages, path, server_config};
use crate::ccid::Ccid;
use crate::packet::{Checksum, Header, Kind, Packet, PacketType, Reset, ResetCode};
use crate::{Config, Datagram, Ecn, Endpoint, Event, Path, Seq, ServiceCode};

/// A packet from some other address.
fn from(address: u32, port: u16, seq: u64, kind: Kind, options: &[u8]) -> Datagram {
    let header = Header {
        source_port: port,
        destination_port: PORT,
        ccval: 0,
        cscov: 0,
        short: false,
        seq: Seq::new(seq),
        kind,
    };
    let mut bytes = Vec::new();
    header.encode(options, &mut bytes);
    Datagram {
        path: Path {
            local: None,
            remote: SocketAddr::from((Ipv4Addr::from(address), 9000)),
        },
        ecn: Ecn::NotEct,
        segment_size: None,
        payload: Bytes::from(bytes),
    }
}

fn request(address: u32) -> Datagram {
    from(address, 5000, 7, Kind::Request { service: SERVICE }, &[])
}

fn poll(endpoint: &mut Endpoint, now: std::time::Instant) -> Vec<(PacketType, Vec<u8>)> {
    let mut packets = Vec::new();
    let mut bytes = Vec::new();
    while endpoint.poll_transmit(now, 65_507, &mut bytes).is_some() {
        let packet = Packet::decode(&bytes, &Checksum::Unused).unwrap();
        packets.push((packet.header.kind.packet_type(), bytes.clone()));
        bytes.clear();
    }
    packets
}

#[test]
fn dr1_a_reset_to_a_stranger_has_the_numbers_of_what_it_answers() {
    let now = crate::test_support::start();
    let mut endpoint = Endpoint::new(server_config(), [0; 32]);
    endpoint.handle_packet(now, from(1, 5000, 77, Kind::Ack { ack: Seq::new(99) }, &[]));
    endpoint.handle_packet(now, from(1, 5000, 78, Kind::Data, &[]));
    let sent = poll(&mut endpoint, now);
    let numbers: Vec<_> = sent
        .iter()
        .map(|(_, bytes)| {
            let packet = Packet::decode(bytes, &Checksum::Unused).unwrap();
            assert_eq!(
                (packet.header.source_port, packet.header.destination_port),
                (PORT, 5000)
            );
            let Kind::Reset { ack, reset } = packet.header.kind else {
                panic!("{packet:?}")
            };
            assert_eq!(reset.code, ResetCode::NO_CONNECTION);
            (packet.header.seq.get(), ack.get())
        })
        .collect();
    assert_eq!(numbers, [(100, 77), (0, 78)]);
}

#[test]
fn dr2_a_reset_is_never_answered_and_neither_is_what_cannot_be_read() {
    let now = crate::test_support::start();
    let mut endpoint = Endpoint::new(server_config(), [0; 32]);
    let reset = Kind::Reset {
        ack: Seq::new(1),
        reset: Reset::new(ResetCode::ABORTED),
    };
    endpoint.handle_packet(now, from(1, 5000, 7, reset, &[]));
    endpoint.handle_packet(
        now,
        from(1, 5000, 7, Kind::Listen { service: SERVICE }, &[]),
    );
    let mut broken = request(1);
    broken.payload = broken.payload.slice(..19);
    endpoint.handle_packet(now, broken);
    assert!(poll(&mut endpoint, now).is_empty());
    assert_eq!(endpoint.counts().malformed, 1);
}

#[test]
fn dr4_resets_to_strangers_have_a_rate_of_all_and_of_each_source() {
    let config = Config {
        resets_per_second: 100,
        resets_per_source: 10,
        ..server_config()
    };
    let now = crate::test_support::start();
    let refused = |address| {
        from(
            address,
            5000,
            7,
            Kind::Request {
                service: ServiceCode(1),
            },
            &[],
        )
    };
    let mut endpoint = Endpoint::new(config.clone(), [0; 32]);
    for _ in 0..1000 {
        endpoint.handle_packet(now, refused(1));
    }
    assert_eq!(poll(&mut endpoint, now).len(), 10);
    for address in 0..1000 {
        endpoint.handle_packet(now, refused(address << 8));
        assert!(poll(&mut endpoint, now).len() <= 1);
    }
    assert_eq!(endpoint.counts().resets_withheld, 2000 - 100);
    let later = now + Duration::from_secs(1);
    endpoint.handle_packet(later, refused(1));
    assert_eq!(poll(&mut endpoint, later).len(), 1);
}

#[test]
fn a_flood_of_requests_keeps_so_many_connections_and_then_cookies_or_nothing() {
    let now = crate::test_support::start();
    let mut endpoint = Endpoint::new(server_config(), [0; 32]);
    for address in 0..10_000 {
        endpoint.handle_packet(now, request(address));
        let sent = poll(&mut endpoint, now);
        assert!(sent.len() <= 1, "one Response for a Request");
        let bytes: usize = sent.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes <= 3 * 20, "{bytes} bytes for a Request of 20");
    }
    assert_eq!(endpoint.connections(), endpoint.cx.config.cookies_above);

    let plain = Config {
        cookies_above: usize::MAX,
        resets_per_second: 1_000_000,
        ..server_config()
    };
    let mut endpoint = Endpoint::new(plain, [0; 32]);
    for address in 0..10_000 {
        endpoint.handle_packet(now, request(address << 8));
        poll(&mut endpoint, now);
    }
    assert_eq!(endpoint.connections(), endpoint.cx.config.half_open);
    endpoint.handle_packet(now, request(1));
    let sent = poll(&mut endpoint, now);
    let packet = Packet::decode(&sent[0].1, &Checksum::Unused).unwrap();
    assert!(
        matches!(packet.header.kind, Kind::Reset { reset, .. } if reset.code == ResetCode::TOO_BUSY)
    );
    // They are given up in time, without a word to the application.
    for second in 1..=40 {
        endpoint.handle_timeout(now + Duration::from_secs(second));
    }
    assert_eq!(endpoint.connections(), 0);
    assert!(endpoint.poll_event().is_none());
}

/// A pair whose server answers every Request with a cookie.
fn with_cookies() -> Pair {
    Pair::new(
        client_config(),
        Config {
            cookies_above: 0,
            ..server_config()
        },
    )
}

#[test]
fn di2_a_server_with_cookies_keeps_nothing_until_the_client_comes_back() {
    let mut pair = with_cookies();
    let a = pair.connect();
    // A -> Request -> Z, Z -> Response with cookie -> A
    assert_eq!(pair.deliver_one(), Some(PacketType::Request));
    assert_eq!(pair.z.endpoint.connections(), 0);
    assert_eq!(pair.deliver_one(), Some(PacketType::Response));
    // A -> Ack with cookie XXX, A -> DataAck with cookie -> Z
    assert_eq!(pair.lose(true), PacketType::Ack);
    pair.a.send(pair.now, a, b"hello").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::DataAck));
    assert_eq!(pair.z.endpoint.connections(), 1);
    let (z, event) = pair.z.events.pop_front().unwrap();
    assert!(matches!(event, Event::Connected { service, .. } if service == SERVICE));
    assert_eq!(messages(&pair.z.take_events()), ["hello"]);
    pair.z.send(pair.now, z, b"hello yourself").unwrap();
    pair.poll();
    pair.deliver_one();
    pair.a.take_events();
    pair.a.endpoint.close(pair.now, a);
    pair.run(Duration::from_secs(1));
    assert_eq!(
        pair.z.endpoint.connections() + pair.a.endpoint.connections(),
        0
    );
}

#[test]
fn di2_a_cookie_finds_room_whatever_the_ends_want_to_agree_on() {
    let wishes = [
        client_config(),
        Config {
            ecn: false,
            ..client_config()
        },
        Config {
            ccids: vec![Ccid::CCID3, Ccid::CCID2],
            ndp_count: true,
            check_data_checksum: true,
            min_checksum_coverage: 1,
            ..client_config()
        },
    ];
    for (client, server) in wishes
        .iter()
        .flat_map(|a| wishes.iter().map(move |z| (a, z)))
    {
        let listening = Config {
            cookies_above: 0,
            listen: server_config().listen,
            service_codes: server_config().service_codes,
            ..server.clone()
        };
        let mut pair = Pair::new(client.clone(), listening);
        let a = pair.connect();
        pair.run(Duration::from_millis(900));
        let kinds = (client, server);
        assert_eq!(pair.z.endpoint.counts().cookies_sent, 1, "{kinds:?}");
        let (z, _) = pair.z.events.pop_front().expect("established");
        pair.a.send(pair.now, a, b"hello").unwrap();
        pair.z.send(pair.now, z, b"hello yourself").unwrap();
        pair.poll();
        pair.run(Duration::from_millis(50));
        let came = [&mut pair.z, &mut pair.a].map(|end| messages(&end.take_events()));
        assert_eq!(came, [["hello"], ["hello yourself"]], "{kinds:?}");
    }
}

#[test]
fn di3_a_cookie_that_is_forged_or_from_elsewhere_or_too_old_makes_no_connection() {
    let mut pair = with_cookies();
    pair.connect();
    pair.deliver_one();
    pair.deliver_one();
    let (_, transmit, genuine) = pair.to_z.pop_front().unwrap();
    let refused = |pair: &mut Pair| {
        let sent = pair.take_sent(false);
        assert!(
            matches!(sent[..], [Kind::Reset { reset, .. }]
                if reset.code == ResetCode::BAD_INIT_COOKIE),
            "{sent:?}"
        );
        assert_eq!(pair.z.endpoint.connections(), 0);
    };
    // Forged: the options of the client's first packet are its cookie and Confirms.
    let mut forged = genuine.clone();
    forged[24 + 2 + 30] ^= 1;
    pair.hand_over(true, &transmit, forged);
    refused(&mut pair);
    // From another address.
    let elsewhere = Datagram {
        path: path(77),
        ecn: Ecn::NotEct,
        segment_size: None,
        payload: Bytes::from(genuine.clone()),
    };
    pair.z.endpoint.handle_packet(pair.now, elsewhere);
    pair.poll();
    refused(&mut pair);
    // Too old.
    pair.now += Duration::from_secs(61);
    pair.hand_over(true, &transmit, genuine);
    refused(&mut pair);
}

#[test]
fn dp11_time_wait_refuses_a_new_request_until_it_ends_and_is_limited() {
    let config = Config {
        time_wait_entries: 2,
        ..client_config()
    };
    let (mut pair, a, _) = Pair::new(config, server_config()).connected();
    let ends = *pair.a.endpoint.get(a).unwrap().ends();
    pair.a.endpoint.close(pair.now, a);
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::Close));
    assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
    assert_eq!(pair.a.endpoint.routes.len(), 1);
    // A packet of the old connection.
    let mut late = from(0, ends.remote_port, 9, Kind::Ack { ack: Seq::new(10) }, &[]);
    late.path = path(26);
    let mut bytes = late.payload.to_vec();
    bytes[2..4].copy_from_slice(&ends.local_port.to_be_bytes());
    late.payload = Bytes::from(bytes);
    pair.a.endpoint.handle_packet(pair.now, late);
    pair.poll();
    assert!(matches!(pair.take_sent(true)[..], [Kind::Reset { .. }]));
    for _ in 0..5 {
        let id = pair.connect();
        pair.run(Duration::from_millis(100));
        pair.a.endpoint.close(pair.now, id);
        pair.poll();
        pair.run(Duration::from_secs(1));
    }
    assert_eq!(pair.a.endpoint.routes.len(), 2);
    pair.run(Duration::from_secs(241));
    assert_eq!(pair.a.endpoint.routes.len(), 0);
    assert_eq!(pair.a.endpoint.poll_timeout(), None);
}

#[test]
fn do4_a_forged_data_packet_in_the_window_is_delivered_at_worst() {
    let (mut pair, a, _) = Pair::usual().with_initial(1000, 5000).connected();
    // Mandatory before an unknown option, before nothing, a bad Change, a bad Ack Vector.
    for (seq, options) in [
        &[1, 31][..],
        &[1],
        &[1, 32, 4, 3, 9],
        &[38, 9, 192, 192, 192, 192, 192, 192, 192],
        &[44, 4, 0, 0],
    ]
    .into_iter()
    .enumerate()
    {
        let seq = 1002 + seq as u64;
        pair.forge(
            true,
            a,
            seq,
            Kind::Data,
            Forged {
                options,
                data: b"x",
            },
        );
    }
    assert_eq!(messages(&pair.z.take_events()).len(), 5);
    let sent = pair.take_sent(false);
    assert!(
        sent.iter().all(|kind| matches!(kind, Kind::Ack { .. })),
        "{sent:?}"
    );
}

#[test]
fn df3_a_packet_full_of_changes_gets_no_more_confirms_than_fit_into_one() {
    let (mut pair, a, z) = Pair::usual().with_initial(1000, 5000).connected();
    // Change L of 248 features that nobody knows.
    let options: Vec<u8> = (4..=251).flat_map(|number| [32, 4, number, 1]).collect();
    let ack = Kind::Ack {
        ack: Seq::new(5000),
    };
    pair.forge(
        true,
        a,
        1002,
        ack,
        Forged {
            options: &options,
            data: b"",
        },
    );
    pair.run(Duration::from_secs(1));
    let before = pair.z.endpoint.stats(z).unwrap().packets_sent;
    let again = Forged {
        options: &options,
        data: b"",
    };
    let gss = Seq::new(5000 + before - 1);
    pair.forge(true, a, 1020, Kind::Ack { ack: gss }, again);
    pair.run(Duration::from_millis(500));
    let stats = pair.z.endpoint.stats(z).expect("it goes on");
    assert!(
        stats.packets_sent - before <= 2,
        "{}",
        stats.packets_sent - before
    );
}

#[test]
fn dl5_an_ack_ratio_of_65535_does_not_stop_acknowledgements() {
    let (mut pair, a, z) = Pair::usual().with_initial(1000, 5000).connected();
    let ack = Kind::DataAck {
        ack: Seq::new(5000),
    };
    let options = [32, 5, 5, 0xff, 0xff, 0, 0, 0];
    pair.forge(
        true,
        a,
        1002,
        ack,
        Forged {
            options: &options,
            data: b"x",
        },
    );
    pair.take_sent(false);
    pair.forge(
        true,
        a,
        1003,
        Kind::Data,
        Forged {
            options: &[],
            data: b"y",
        },
    );
    pair.forge(
        true,
        a,
        1004,
        Kind::Data,
        Forged {
            options: &[],
            data: b"z",
        },
    );
    let start = pair.now;
    while pair.to_a.is_empty() {
        pair.next_timer();
    }
    assert!(pair.now <= start + Duration::from_millis(200));
    let sent = pair.take_sent(false);
    assert!(
        matches!(sent[..], [Kind::Ack { ack }] if ack.get() == 1004),
        "{sent:?}"
    );
    let _ = z;
}

/// Genuine packets with a few bytes changed, cut or repeated, in all states.
#[test]
fn broken_packets_never_panic_and_memory_stays_bounded() {
    let mut state = 0x1234_5678_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..150 {
        let cookies_above = if round % 3 == 0 { 0 } else { 128 };
        let mut pair = Pair::new(
            client_config(),
            Config {
                cookies_above,
                ..server_config()
            },
        );
        let mut id = pair.connect();
        let mut z = None;
        for _ in 0..60 {
            for to_z in [true, false] {
                let link = if to_z { &pair.to_z } else { &pair.to_a };
                let Some((_, transmit, bytes)) = link.front().cloned() else {
                    continue;
                };
                let mut broken = bytes;
                for _ in 0..1 + random(3) {
                    let at = random(broken.len());
                    broken[at] ^= 1 << random(8);
                }
                broken.truncate(broken.len() - random(3).min(broken.len() - 1));
                pair.hand_over(to_z, &transmit, broken);
            }
            if pair.deliver_one().is_none() {
                pair.next_timer();
            }
            if let Some((new, _)) = pair.z.events.back() {
                z = Some(*new);
            }
            let _ = pair.a.send(pair.now, id, b"from the client");
            if let Some(z) = z {
                let _ = pair.z.send(pair.now, z, &[7; 600]);
            }
            pair.poll();
            if pair.a.endpoint.stats(id).is_none() {
                id = pair.connect();
            }
        }
        assert!(pair.z.endpoint.connections() <= 150);
    }
}
