//! How connections end, and what they do when nothing arrives.

use std::time::Duration;

use super::pair::{Pair, client_config, messages, server_config};
use crate::packet::{DccpOption, PacketType};
use crate::{CloseReason, Config, Event, SendError, State};

#[test]
fn both_close_at_once_and_both_end_in_good_order() {
    let (mut pair, a, z) = Pair::usual().connected();
    pair.a.endpoint.close(pair.now, a);
    pair.z.endpoint.close(pair.now, z);
    pair.poll();
    pair.run(Duration::from_secs(1));
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
    assert!(matches!(
        pair.z.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
}

#[test]
fn both_send_close_at_once_and_answer_each_other() {
    let config = Config {
        server_time_wait: true,
        ..server_config()
    };
    let (mut pair, a, z) = Pair::new(client_config(), config).connected();
    pair.a.endpoint.close(pair.now, a);
    pair.z.endpoint.close(pair.now, z);
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::Close));
    assert_eq!(pair.deliver_one(), Some(PacketType::Close));
    pair.run(Duration::from_secs(1));
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
    assert!(matches!(
        pair.z.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
}

#[test]
fn a_lost_close_req_close_or_reset_is_made_good() {
    for lost in [PacketType::CloseReq, PacketType::Close, PacketType::Reset] {
        let (mut pair, _, z) = Pair::usual().connected();
        pair.z.endpoint.close(pair.now, z);
        pair.poll();
        loop {
            let to_z = pair.to_a.is_empty();
            let link = if to_z { &pair.to_z } else { &pair.to_a };
            let (_, _, bytes) = link.front().expect("a packet of the closing handshake");
            if super::pair::decode(bytes).0 == lost {
                pair.lose(to_z);
                break;
            }
            pair.deliver_one();
        }
        pair.run(Duration::from_secs(2));
        let events = pair.a.take_events();
        assert_eq!(events.len(), 1, "{lost:?}");
        match lost {
            // The Close that is repeated meets no connection any more.
            PacketType::Reset => assert!(
                matches!(events[0], Event::Closed(CloseReason::Reset(reset)) if reset.code.0 == 3)
            ),
            _ => assert!(matches!(events[0], Event::Closed(CloseReason::Graceful))),
        }
        assert!(matches!(
            pair.z.take_events()[..],
            [Event::Closed(CloseReason::Graceful)]
        ));
    }
}

#[test]
fn close_waits_for_what_was_sent_and_asks_for_its_acknowledgement() {
    let (mut pair, a, z) = Pair::usual().connected();
    pair.z.send(pair.now, z, b"the only message").unwrap();
    pair.z.endpoint.close(pair.now, z);
    assert_eq!(pair.z.send(pair.now, z, b"more"), Err(SendError::Closed));
    pair.poll();
    let start = pair.now;
    // Z -> Data, Sync -> A; A -> SyncAck -> Z; only then CloseReq.
    assert_eq!(pair.deliver_one(), Some(PacketType::Data));
    assert_eq!(pair.deliver_one(), Some(PacketType::Sync));
    assert_eq!(pair.deliver_one(), Some(PacketType::SyncAck));
    let events = pair.z.take_events();
    assert!(matches!(events[..], [Event::Settled]), "{events:?}");
    assert_eq!(pair.deliver_one(), Some(PacketType::CloseReq));
    assert_eq!(
        pair.now,
        start + pair.delay * 3,
        "no delayed acknowledgement was waited for"
    );
    assert_eq!(messages(&pair.a.take_events()), ["the only message"]);
    assert_eq!(pair.a.endpoint.stats(a).unwrap().state, State::Closing);
}

#[test]
fn close_ends_also_when_the_last_data_is_lost() {
    let (mut pair, _, z) = Pair::usual().connected();
    pair.z.send(pair.now, z, b"lost").unwrap();
    pair.z.endpoint.close(pair.now, z);
    pair.poll();
    assert_eq!(pair.lose(false), PacketType::Data);
    let start = pair.now;
    let mut events = Vec::new();
    while events.is_empty() {
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        events = pair.z.take_events();
    }
    assert!(matches!(events[..], [Event::Settled]), "{events:?}");
    assert!(
        pair.now < start + Duration::from_secs(2),
        "{:?}",
        pair.now - start
    );
    pair.run(Duration::from_secs(1));
    assert!(matches!(
        pair.z.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
}

#[test]
fn a_peer_that_is_gone_is_given_up_after_30_seconds() {
    let (mut pair, _, z) = Pair::usual().connected();
    pair.run(Duration::from_secs(1));
    pair.z.send(pair.now, z, b"anyone?").unwrap();
    pair.poll();
    let start = pair.now;
    pair.path_limit = 0;
    pair.to_a.clear();
    let mut reason = None;
    while reason.is_none() {
        pair.next_timer();
        // It keeps trying.
        let _ = pair.z.send(pair.now, z, b"anyone?");
        pair.poll();
        reason = pair
            .z
            .take_events()
            .into_iter()
            .find_map(|event| match event {
                Event::Closed(reason) => Some(reason),
                _ => None,
            });
    }
    assert_eq!(reason, Some(CloseReason::TimedOut));
    let took = pair.now - start;
    assert!((29..=31).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn five_seconds_without_a_network_are_survived() {
    let (mut pair, _, z) = Pair::usual().connected();
    let limit = std::mem::replace(&mut pair.path_limit, 0);
    let until = pair.now + Duration::from_secs(5);
    while pair.now < until {
        let _ = pair.z.send(pair.now, z, b"into the void");
        pair.poll();
        pair.run(Duration::from_millis(100));
    }
    pair.path_limit = limit;
    pair.z.take_events();
    for _ in 0..200 {
        let _ = pair.z.send(pair.now, z, b"and back");
        pair.poll();
        pair.run(Duration::from_millis(100));
    }
    assert!(messages(&pair.a.take_events()).len() > 100);
    assert!(
        !pair
            .z
            .take_events()
            .iter()
            .any(|event| matches!(event, Event::Closed(_)))
    );
}

#[test]
fn an_abort_is_a_reset_with_code_2() {
    let (mut pair, a, _) = Pair::usual().connected();
    pair.a.endpoint.abort(pair.now, a);
    pair.poll();
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::Aborted)]
    ));
    assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
    let events = pair.z.take_events();
    assert!(matches!(events[..], [Event::Closed(CloseReason::Reset(reset))] if reset.code.0 == 2));
    assert_eq!(pair.deliver_one(), None);
}

#[test]
fn ds1_numbers_wrap_in_both_directions() {
    let last = (1 << 48) - 3;
    let (mut pair, a, z) = Pair::usual().with_initial(last, last - 1).connected();
    let (mut to_z, mut to_a) = (0, 0);
    let (mut came_z, mut came_a) = (0, 0);
    for _ in 0..1000 {
        while to_z < 100 && pair.a.send(pair.now, a, b"up").is_ok() {
            to_z += 1;
        }
        while to_a < 100 && pair.z.send(pair.now, z, b"down").is_ok() {
            to_a += 1;
        }
        pair.poll();
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        came_z += messages(&pair.z.take_events()).len();
        came_a += messages(&pair.a.take_events()).len();
        if (came_z, came_a) == (100, 100) {
            break;
        }
    }
    assert_eq!((came_z, came_a), (100, 100));
    pair.run(Duration::from_secs(1));
    let stats = pair.a.endpoint.stats(a).unwrap();
    assert_eq!((stats.datagrams_lost, stats.datagrams_in_flight), (0, 0));
    assert_eq!(pair.z.endpoint.stats(z).unwrap().datagrams_in_flight, 0);
}

#[test]
fn di1_a_close_out_of_part_open_carries_the_cookie() {
    let config = Config {
        cookies_above: 0,
        ..server_config()
    };
    let mut pair = Pair::new(client_config(), config);
    let a = pair.connect();
    pair.deliver_one();
    pair.deliver_one();
    assert_eq!(pair.lose(true), PacketType::Ack);
    pair.a.take_events();
    pair.a.endpoint.close(pair.now, a);
    pair.poll();
    pair.run(Duration::from_secs(1));
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
    assert!(matches!(
        pair.z.take_events()[..],
        [
            Event::Connected { .. },
            Event::Closed(CloseReason::Graceful)
        ]
    ));
}

#[test]
fn messages_that_are_not_polled_have_a_limit_and_the_peer_is_told() {
    let config = Config {
        receive_messages: 1,
        receive_bytes: 100,
        ..client_config()
    };
    let (mut pair, a, z) = Pair::new(config, server_config()).connected();
    let mut sent = 0;
    // The pair polls events at once; so they are handed over without it.
    while sent < 10 && pair.z.send(pair.now, z, b"0123456789").is_ok() {
        sent += 1;
    }
    let mut bytes = Vec::new();
    let transmit = pair
        .z
        .endpoint
        .poll_transmit(pair.now, 1500, &mut bytes)
        .unwrap();
    pair.a.endpoint.handle_packet(
        pair.now,
        crate::Datagram {
            path: super::pair::path(26),
            ecn: transmit.ecn,
            segment_size: transmit.segment_size,
            payload: bytes::Bytes::from(bytes),
        },
    );
    let stats = pair.a.endpoint.stats(a).unwrap();
    assert_eq!(
        (stats.datagrams_received, stats.datagrams_dropped),
        (1, sent - 1)
    );
    let mut out = Vec::new();
    pair.a
        .endpoint
        .poll_transmit(pair.now, 1500, &mut out)
        .unwrap();
    let packet = crate::packet::Packet::decode(&out, &crate::packet::Checksum::Unused).unwrap();
    let dropped = vec![0x80 | 2 << 4; usize::try_from(sent - 1).unwrap()];
    let mut options = packet.options;
    assert!(options.any(|option| option == DccpOption::DataDropped(&dropped)));
    assert!(
        packet
            .options
            .into_iter()
            .any(|option| option == DccpOption::SlowReceiver)
    );
    // Polled, there is room again.
    pair.poll();
    assert_eq!(messages(&pair.a.take_events()).len(), 1);
}
