//! Handshakes with each packet lost once.

use std::time::Duration;

use super::pair::{Forged, Pair, client_config, messages, server_config};
use crate::packet::{Kind, PacketType};
use crate::{CloseReason, Config, Event, Reach, ServiceCode, State};

#[test]
fn dp3_a_lost_response_is_made_again_for_a_new_request_only() {
    let mut pair = Pair::usual().with_initial(1000, 5000);
    pair.connect();
    // A -> Request -> Z, a network duplicate of it, XXX <- Response <- Z
    let duplicate = pair.to_z.front().cloned().unwrap();
    pair.deliver_one();
    pair.hand_over(true, &duplicate.1, duplicate.2);
    assert_eq!(
        pair.to_a.len(),
        1,
        "a network duplicate is not a new Request"
    );
    assert_eq!(pair.lose(false), PacketType::Response);
    // The server has no timer for it; the client's is a second.
    let start = pair.now;
    pair.next_timer();
    assert!(pair.now >= start + Duration::from_millis(900));
    assert_eq!(pair.deliver_one(), Some(PacketType::Request));
    let responses = pair.take_sent(false);
    assert!(matches!(responses[..], [Kind::Response { ack, .. }] if ack.get() == 1001));
    assert_eq!(pair.z.endpoint.connections(), 1);
}

#[test]
fn dp6_a_lost_ack_is_sent_again_after_200_ms_then_400() {
    let mut pair = Pair::usual();
    pair.connect();
    pair.deliver_one();
    pair.deliver_one();
    let start = pair.now;
    for millis in [200, 600] {
        assert_eq!(pair.lose(true), PacketType::Ack);
        while pair.to_z.is_empty() {
            pair.next_timer();
        }
        assert_eq!(pair.now, start + Duration::from_millis(millis));
    }
    assert_eq!(pair.deliver_one(), Some(PacketType::Ack));
    assert!(matches!(
        pair.z.take_events()[..],
        [Event::Connected { .. }]
    ));
}

#[test]
fn dp7_a_client_that_waits_for_a_silent_server_leaves_part_open() {
    let (mut pair, a, _) = Pair::usual().connected();
    assert_eq!(pair.a.endpoint.stats(a).unwrap().state, State::PartOpen);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.a.endpoint.stats(a).unwrap().state, State::Open);
    // And then both are silent.
    let sent = pair.a.endpoint.stats(a).unwrap().packets_sent;
    pair.run(Duration::from_secs(1000));
    assert_eq!(pair.a.endpoint.stats(a).unwrap().packets_sent, sent);
}

#[test]
fn dp6_data_in_part_open_is_a_data_ack_and_opens_the_server_if_the_ack_is_lost() {
    let mut pair = Pair::usual();
    let a = pair.connect();
    pair.deliver_one();
    pair.deliver_one();
    assert_eq!(pair.lose(true), PacketType::Ack);
    pair.a.send(pair.now, a, b"one").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::DataAck));
    let events = pair.z.take_events();
    assert!(matches!(events[0], Event::Connected { .. }));
    assert_eq!(messages(&events), ["one"]);
}

#[test]
fn dp4_data_on_a_request_is_taken_once_and_delivered_when_the_client_is_proved() {
    let mut pair = Pair::usual().with_initial(1000, 5000);
    let a = pair.connect();
    pair.to_z.clear();
    let kind = Kind::Request {
        service: super::pair::SERVICE,
    };
    pair.forge(
        true,
        a,
        1000,
        kind,
        Forged {
            options: &[],
            data: b"early",
        },
    );
    pair.forge(
        true,
        a,
        1001,
        kind,
        Forged {
            options: &[],
            data: b"twice",
        },
    );
    assert!(pair.z.take_events().is_empty());
    let answered = pair.take_sent(false);
    assert_eq!(answered.len(), 2);
    let ack = Kind::Ack {
        ack: crate::Seq::new(5001),
    };
    // The Confirms that a client owes: without them the server could not take data.
    let options = [35, 6, 4, 1, 1, 0, 0, 0];
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
    let events = pair.z.take_events();
    assert!(matches!(events[0], Event::Connected { .. }));
    assert_eq!(messages(&events), ["early"]);
    assert_eq!(events.len(), 2);
}

#[test]
fn a_client_gives_up_after_three_minutes_of_requests_with_reset_code_2() {
    let mut pair = Pair::usual();
    let a = pair.connect();
    let mut requests = 0;
    while pair.a.endpoint.stats(a).is_some() {
        requests += pair.take_sent(true).len();
        pair.next_timer();
    }
    assert!((7..=9).contains(&requests), "{requests}");
    // DR3: a client that has heard nothing acknowledges 0.
    let last = pair.take_sent(true);
    assert!(
        matches!(last[..], [Kind::Reset { ack, reset }] if ack.get() == 0 && reset.code.0 == 2),
        "{last:?}"
    );
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::TimedOut)]
    ));
}

#[test]
fn icmp_ends_a_connection_in_request_and_others_only_if_the_peer_takes_no_packets() {
    let (mut pair, a, _) = Pair::usual().connected();
    pair.a.send(pair.now, a, b"x").unwrap();
    pair.poll();
    let (_, _, bytes) = pair.to_z.pop_front().unwrap();
    let say = |pair: &mut Pair, bytes: &[u8], reach| {
        let path = super::pair::path(26);
        pair.a
            .endpoint
            .handle_unreachable(pair.now, path, &bytes[..16], reach);
    };
    say(&mut pair, &bytes, Reach::Way);
    assert!(pair.a.endpoint.stats(a).is_some(), "it may pass");
    let mut forged = bytes.clone();
    forged[15] ^= 1;
    say(&mut pair, &forged, Reach::Peer);
    assert!(pair.a.endpoint.stats(a).is_some(), "no such packet");
    say(&mut pair, &bytes, Reach::Peer);
    assert!(pair.a.endpoint.stats(a).is_none());
    let b = pair.connect();
    let (_, _, bytes) = pair.to_z.pop_front().unwrap();
    let mut forged = bytes.clone();
    forged[15] ^= 1;
    say(&mut pair, &forged, Reach::Way);
    assert!(pair.a.endpoint.stats(b).is_some());
    say(&mut pair, &bytes, Reach::Way);
    assert!(pair.a.endpoint.stats(b).is_none());
    pair.poll();
    let events = pair.a.take_events();
    assert!(matches!(
        events.last(),
        Some(Event::Closed(CloseReason::Unreachable))
    ));
}

#[test]
fn du3_many_connections_share_one_udp_path() {
    let mut pair = Pair::usual();
    let ids: Vec<_> = (0..20).map(|_| pair.connect()).collect();
    pair.run(Duration::from_millis(100));
    for (index, id) in ids.iter().enumerate() {
        pair.a
            .send(pair.now, *id, format!("{index}").as_bytes())
            .unwrap();
    }
    pair.poll();
    pair.run(Duration::from_millis(100));
    let mut came: Vec<usize> = messages(&pair.z.take_events())
        .iter()
        .map(|data| std::str::from_utf8(data).unwrap().parse().unwrap())
        .collect();
    came.sort_unstable();
    assert_eq!(came, (0..20).collect::<Vec<_>>());
    assert_eq!(pair.z.endpoint.connections(), 20);
}

#[test]
fn du9_a_changed_udp_port_is_another_peer() {
    let (mut pair, a, z) = Pair::usual().connected();
    pair.a.send(pair.now, a, b"x").unwrap();
    pair.poll();
    let (_, transmit, bytes) = pair.to_z.pop_front().unwrap();
    let mut path = super::pair::path(1);
    path.remote.set_port(7000);
    let payload = bytes::Bytes::from(bytes);
    let segment_size = transmit.segment_size;
    let moved = crate::Datagram {
        path,
        ecn: transmit.ecn,
        segment_size,
        payload,
    };
    pair.z.endpoint.handle_packet(pair.now, moved);
    let mut out = Vec::new();
    let answer = pair
        .z
        .endpoint
        .poll_transmit(pair.now, 1500, &mut out)
        .unwrap();
    assert_eq!(
        answer.path.remote.port(),
        7000,
        "du4: answers go where packets came from"
    );
    assert!(matches!(super::pair::decode(&out).0, PacketType::Reset));
    assert_eq!(pair.z.endpoint.stats(z).unwrap().datagrams_received, 0);
}

#[test]
fn connections_have_a_limit() {
    let few = Config {
        connections: 2,
        ..client_config()
    };
    let mut pair = Pair::new(
        few,
        Config {
            connections: 1,
            ..server_config()
        },
    );
    let ids = [pair.connect(), pair.connect()];
    let path = super::pair::path(26);
    let third = pair.a.endpoint.connect(pair.now, path, 1, ServiceCode(1));
    assert_eq!(third, Err(crate::ConnectError::Full));
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.z.endpoint.connections(), 1);
    let refused = pair.a.take_events().into_iter().any(
        |event| matches!(event, Event::Closed(CloseReason::Reset(reset)) if reset.code.0 == 9),
    );
    assert!(refused);
    assert_eq!(
        ids.iter()
            .filter(|id| pair.a.endpoint.stats(**id).is_some())
            .count(),
        1
    );
}
