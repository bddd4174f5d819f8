//! Many packets.

use std::time::Duration;

use super::pair::{Pair, client_config, messages, server_config};
use crate::packet::PacketType;
use crate::{Config, ConnectionId, Event, SendError};

/// Sends as much as is allowed of `left` datagrams from the server.
fn pour(pair: &mut Pair, id: ConnectionId, left: &mut u64) {
    while *left > 0 {
        let sent = pair.z.endpoint.send_with(pair.now, id, |room, out| {
            out.resize(out.len() + room, 7);
            Some(())
        });
        match sent {
            Ok(sent) => assert_eq!(sent, Some(())),
            Err(SendError::Full) => break,
            Err(error) => panic!("{error:?}"),
        }
        *left -= 1;
    }
    pair.poll();
}

fn bulk(client: Config, server: Config, count: u64) -> (Pair, u64) {
    let (mut pair, a, z) = Pair::new(client, server).connected();
    let mut left = count;
    let mut came = 0;
    pour(&mut pair, z, &mut left);
    for _ in 0..100_000 {
        if came == count {
            break;
        }
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        came += messages(&pair.a.take_events()).len() as u64;
        pair.z.take_events();
        pour(&mut pair, z, &mut left);
    }
    let _ = a;
    (pair, came)
}

#[test]
fn ten_thousand_datagrams_arrive() {
    let (mut pair, came) = bulk(client_config(), server_config(), 10_000);
    assert_eq!(came, 10_000);
    pair.run(Duration::from_secs(1));
    assert!(
        pair.z
            .take_events()
            .iter()
            .any(|event| matches!(event, Event::Settled))
    );
}

/// Acknowledgements that go out all the time do not keep a Change from going out.
#[test]
fn the_sequence_window_grows_with_the_congestion_window() {
    let (mut pair, _, z) = Pair::usual().connected();
    pair.delay = Duration::from_micros(50);
    let (mut left, mut came) = (60_000, 0);
    pour(&mut pair, z, &mut left);
    for _ in 0..200_000 {
        if came == 60_000 {
            break;
        }
        let due = |link: &super::pair::Link| link.front().map(|(at, ..)| *at);
        let packet = due(&pair.to_z).into_iter().chain(due(&pair.to_a)).min();
        let ends = [&pair.a.endpoint, &pair.z.endpoint];
        let timer = ends.iter().filter_map(|end| end.poll_timeout()).min();
        if packet.is_none_or(|packet| timer.is_some_and(|timer| timer < packet)) {
            pair.next_timer();
        } else {
            pair.deliver_one();
        }
        came += messages(&pair.a.take_events()).len();
        pair.z.take_events();
        pour(&mut pair, z, &mut left);
    }
    assert_eq!(came, 60_000);
    // The window of the handshake lets 750 packets be in the network.
    let stats = pair.z.endpoint.stats(z).unwrap();
    assert!(stats.congestion.cwnd > 3000, "{stats:?}");
}

/// Prints what a packet costs, both ends together, with two copies of its payload. Run with
/// `cargo test --release -p dccp cost_of -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn cost_of_a_packet() {
    let config = |config: Config| Config {
        base_packet: 1400,
        ..config
    };
    let (mut pair, _, z) = Pair::new(config(client_config()), config(server_config())).connected();
    pair.delay = Duration::from_micros(50);
    let body = vec![7; 1400];
    let mut target = vec![0; 1400];
    let mut buffer = Vec::new();
    let count = 2_000_000;
    let (mut came, mut left) = (0, count);
    let begin = std::time::Instant::now();
    while came < count {
        while left > 0
            && pair
                .z
                .endpoint
                .send_with(pair.now, z, |room, out| {
                    out.extend_from_slice(&body[..room]);
                    Some(())
                })
                .is_ok()
        {
            left -= 1;
        }
        let before = came;
        while let Some(transmit) = pair.z.endpoint.poll_transmit(pair.now, 65_507, &mut buffer) {
            // As a socket does it: the train comes in a buffer of its own.
            let datagram = crate::Datagram {
                path: super::pair::path(26),
                ecn: transmit.ecn,
                segment_size: transmit.segment_size,
                payload: bytes::Bytes::copy_from_slice(&buffer),
            };
            buffer.clear();
            pair.a.endpoint.handle_packet(pair.now, datagram);
            while let Some((_, event)) = pair.a.endpoint.poll_event() {
                if let Event::Message(data) = event {
                    target[..data.len()].copy_from_slice(&data);
                    came += 1;
                }
            }
        }
        pair.now += Duration::from_micros(50);
        let now = pair.now;
        if before == came {
            pair.a.endpoint.handle_timeout(now);
            pair.z.endpoint.handle_timeout(now);
        }
        while let Some(transmit) = pair.a.endpoint.poll_transmit(now, 65_507, &mut buffer) {
            let datagram = crate::Datagram {
                path: super::pair::path(1),
                ecn: transmit.ecn,
                segment_size: transmit.segment_size,
                payload: bytes::Bytes::copy_from_slice(&buffer),
            };
            buffer.clear();
            pair.z.endpoint.handle_packet(now, datagram);
        }
        while pair.z.endpoint.poll_event().is_some() {}
    }
    let each = begin.elapsed() / u32::try_from(count).unwrap();
    println!("{each:?} a packet; {:?}", pair.z.endpoint.stats(z));
    println!("{:?}", pair.a.endpoint.counts());
}

/// Loses one packet or train in `one_in`, both ways, and gives what the client was told.
fn lossy(one_in: u64, count: u64) -> (Pair, Vec<Event>, Vec<Event>) {
    let (mut pair, a, z) = Pair::new(client_config(), server_config()).connected();
    let (mut left, mut step) = (count, 0);
    let (mut client, mut server) = (Vec::new(), Vec::new());
    for _ in 0..200_000 {
        pour(&mut pair, z, &mut left);
        if left == 0 {
            pair.z.endpoint.close(pair.now, z);
            pair.poll();
        }
        let due = |link: &super::pair::Link| link.front().map(|(at, ..)| *at);
        let (to_z, to_a) = (due(&pair.to_z), due(&pair.to_a));
        step = (step * 1_103_515_245 + 12_345) % (1 << 31);
        let next = [to_z, to_a].into_iter().flatten().min();
        let timers = [
            pair.a.endpoint.poll_timeout(),
            pair.z.endpoint.poll_timeout(),
        ];
        let timer = timers.into_iter().flatten().min();
        match (next, timer) {
            (Some(next), timer) if timer.is_none_or(|timer| next <= timer) => {
                if (step >> 12) % one_in == 0 {
                    pair.now = pair.now.max(next);
                    pair.lose(to_z == Some(next));
                } else {
                    pair.deliver_one();
                }
            }
            (_, Some(_)) => pair.next_timer(),
            _ => break,
        }
        client.extend(pair.a.take_events());
        server.extend(pair.z.take_events());
        if pair.a.endpoint.connections() + pair.z.endpoint.connections() == 0 {
            break;
        }
    }
    let _ = a;
    (pair, client, server)
}

#[test]
fn losses_are_told_and_the_connection_still_ends_in_good_order() {
    let (pair, client, server) = lossy(20, 3000);
    assert_eq!(
        pair.a.endpoint.connections() + pair.z.endpoint.connections(),
        0
    );
    let came = messages(&client).len() as u64;
    let missing: u64 = client
        .iter()
        .map(|event| {
            if let Event::Missing(count) = event {
                *count
            } else {
                0
            }
        })
        .sum();
    assert!((2000..3000).contains(&came), "{came}");
    // What is lost at the very end has no later packets that would tell.
    assert!(
        (2950..=3010).contains(&(came + missing)),
        "{came} came, {missing} missing"
    );
    assert!(server.iter().any(|event| matches!(event, Event::Settled)));
    assert!(matches!(
        server.last(),
        Some(Event::Closed(
            crate::CloseReason::Graceful | crate::CloseReason::TimedOut
        ))
    ));
    assert!(matches!(
        client.last(),
        Some(Event::Closed(crate::CloseReason::Graceful))
    ));
}

/// An application that sends only when it is told that it may, over a lossy link.
#[test]
fn writable_is_said_whenever_there_is_room_after_full() {
    for one_in in [u64::MAX, 50, 10] {
        let (mut pair, _, z) = Pair::new(client_config(), server_config()).connected();
        let mut left: u64 = 2000;
        pour(&mut pair, z, &mut left);
        let mut step: u64 = 1;
        while left > 0 {
            let due = |link: &super::pair::Link| link.front().map(|(at, ..)| *at);
            let (to_z, to_a) = (due(&pair.to_z), due(&pair.to_a));
            let next = [to_z, to_a].into_iter().flatten().min();
            let timers = [
                pair.a.endpoint.poll_timeout(),
                pair.z.endpoint.poll_timeout(),
            ];
            let timer = timers.into_iter().flatten().min();
            step = (step * 1_103_515_245 + 12_345) % (1 << 31);
            match next {
                Some(next) if timer.is_none_or(|timer| next <= timer) => {
                    if (step >> 12).is_multiple_of(one_in) {
                        pair.now = pair.now.max(next);
                        pair.lose(to_z == Some(next));
                    } else {
                        pair.deliver_one();
                    }
                }
                _ => pair.next_timer(),
            }
            let events = pair.z.take_events();
            assert!(!events.iter().any(|event| matches!(event, Event::Closed(_))));
            if events.iter().any(|event| matches!(event, Event::Writable)) {
                pour(&mut pair, z, &mut left);
            }
        }
    }
}

#[test]
fn a_train_of_equal_packets_is_one_transmit_and_gets_one_acknowledgement() {
    let (mut pair, a, z) = Pair::usual().connected();
    let mut left = u64::MAX;
    for _ in 0..60 {
        pour(&mut pair, z, &mut left);
        pair.deliver_one();
    }
    while pair.deliver_one().is_some() {}
    let before = pair.a.endpoint.stats(a).unwrap();
    pour(&mut pair, z, &mut left);
    let trains = pair.to_a.len();
    let packets: usize = pair
        .to_a
        .iter()
        .map(|(_, transmit, bytes)| bytes.len().div_ceil(transmit.segment_size.unwrap().get()))
        .sum();
    assert!(
        trains <= 2 && packets > 64,
        "{packets} packets in {trains} trains"
    );
    while !pair.to_a.is_empty() {
        pair.deliver_one();
    }
    let after = pair.a.endpoint.stats(a).unwrap();
    assert!(after.packets_sent - before.packets_sent <= trains as u64);
    assert_eq!(
        after.packets_received - before.packets_received,
        packets as u64
    );
}

#[test]
fn a_short_message_ends_a_train_and_a_longer_one_begins_another() {
    let (mut pair, _, z) = Pair::usual().connected();
    for length in [300, 300, 200] {
        pair.z.send(pair.now, z, &vec![1; length]).unwrap();
    }
    pair.poll();
    let (_, transmit, bytes) = pair.to_a.front().unwrap();
    assert_eq!(transmit.segment_size.unwrap().get(), 316);
    assert_eq!(bytes.len(), 316 * 2 + 216);
    pair.deliver_one();
    let lengths: Vec<_> = messages(&pair.a.take_events())
        .iter()
        .map(bytes::Bytes::len)
        .collect();
    assert_eq!(lengths, [300, 300, 200]);
    pair.run(Duration::from_secs(1));
    for length in [100, 300, 300] {
        pair.z.send(pair.now, z, &vec![2; length]).unwrap();
    }
    pair.poll();
    assert_eq!(pair.to_a.len(), 2);
    pair.run(Duration::from_secs(1));
    let lengths: Vec<_> = messages(&pair.a.take_events())
        .iter()
        .map(bytes::Bytes::len)
        .collect();
    assert_eq!(lengths, [100, 300, 300]);
}

/// Buffers of trains are the endpoint's, and the machines of feature negotiation are gone; what
/// remains is the connection itself and its two congestion controls.
#[test]
fn an_idle_connection_takes_less_than_two_kilobytes() {
    let (mut pair, a, z) = Pair::usual().connected();
    let memory = |pair: &Pair| {
        [(&pair.a, a), (&pair.z, z)].map(|(end, id)| end.endpoint.get(id).unwrap().memory())
    };
    pair.run(Duration::from_secs(2));
    assert!(
        memory(&pair).iter().all(|bytes| *bytes < 2048),
        "{:?}",
        memory(&pair)
    );
    let mut left = 5000;
    while left > 0 {
        pour(&mut pair, z, &mut left);
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
    }
    // Half a minute after the last data. The client remembers its last acknowledgements, which
    // nothing has acknowledged yet.
    pair.run(Duration::from_secs(70));
    let [client, server] = memory(&pair);
    assert!(server < 2048 && client < 8192, "{client}, {server}");
}

#[test]
fn raw_ip_has_packets_with_checksums_and_no_trains() {
    let ip = |config: Config| Config {
        carrier: crate::Carrier::Ip,
        ..config
    };
    let (mut pair, _, z) = Pair::new(ip(client_config()), ip(server_config())).connected();
    let mut left = 200;
    let mut came = 0;
    while came < 200 {
        pour(&mut pair, z, &mut left);
        assert!(pair.to_a.iter().all(|(_, transmit, bytes)| {
            transmit.segment_size.is_none() && bytes.len() <= 1200 && bytes[6..8] != [0, 0]
        }));
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        came += messages(&pair.a.take_events()).len();
    }
    assert_eq!(pair.a.endpoint.counts().malformed, 0);
    // A wrong checksum is dropped silently.
    left = 1;
    pair.run(Duration::from_secs(1));
    pour(&mut pair, z, &mut left);
    pair.to_a[0].2[20] ^= 1;
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.a.endpoint.counts().malformed, 1);
    assert!(messages(&pair.a.take_events()).is_empty());
}

#[test]
fn ccid_3_carries_data_too() {
    let three = |config: Config| Config {
        ccids: vec![crate::ccid::Ccid::CCID3],
        ..config
    };
    let (mut pair, came) = bulk(three(client_config()), three(server_config()), 300);
    assert_eq!(came, 300);
    pair.run(Duration::from_secs(2));
    assert!(
        pair.z
            .take_events()
            .iter()
            .any(|event| matches!(event, Event::Settled))
    );
}

#[test]
fn dd12_acknowledgements_are_acknowledged_once_a_window_so_that_vectors_stay_short() {
    let (mut pair, _, z) = Pair::usual().connected();
    let (mut left, mut data, mut data_acks, mut longest) = (3000u64, 0u64, 0u64, 0);
    while left > 0 {
        pour(&mut pair, z, &mut left);
        for (_, transmit, bytes) in &pair.to_a {
            let size = transmit
                .segment_size
                .map_or(bytes.len(), std::num::NonZeroUsize::get);
            for packet in bytes.chunks(size) {
                match super::pair::decode(packet).0 {
                    PacketType::Data => data += 1,
                    PacketType::DataAck => data_acks += 1,
                    _ => {}
                }
            }
        }
        if let Some((_, _, bytes)) = pair.to_z.front() {
            longest = longest.max(bytes.len());
        }
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
    }
    let cwnd = pair.z.endpoint.stats(z).unwrap().congestion.cwnd;
    assert!(
        data_acks >= data / (2 * cwnd),
        "{data_acks} for {data}, window {cwnd}"
    );
    assert!(
        data_acks < data / 4,
        "{data_acks} for {data}: trains are of one size"
    );
    // A window of a few hundred packets is a few runs of 64.
    assert!(longest < 64, "{longest} bytes");
}

#[test]
fn ds11_missing_counts_data_only_where_ndp_counts_are_agreed_on() {
    let missing = |ndp_count| {
        let config = Config {
            ndp_count,
            ..client_config()
        };
        let (mut pair, _, z) = Pair::new(config, server_config()).connected();
        pair.run(Duration::from_secs(2));
        let mut missing = 0;
        for lost in [false, true, false, true, false, false, false] {
            // Syncs that ask for what is lost are lost too: they are packets without data.
            pair.z.send(pair.now, z, b"x").unwrap();
            pair.poll();
            pair.path_limit = if lost { 0 } else { usize::MAX };
            if lost {
                pair.to_a.clear();
            }
            pair.run(Duration::from_millis(300));
            pair.path_limit = usize::MAX;
            pair.run(Duration::from_secs(2));
            missing += pair
                .a
                .take_events()
                .into_iter()
                .map(|event| {
                    if let Event::Missing(count) = event {
                        count
                    } else {
                        0
                    }
                })
                .sum::<u64>();
        }
        missing
    };
    assert_eq!(missing(true), 2);
    assert!(missing(false) > 2);
}

#[test]
fn dc5_data_with_a_wrong_checksum_is_dropped_and_the_packet_is_not() {
    let config = Config {
        check_data_checksum: true,
        ..client_config()
    };
    let (mut pair, a, z) = Pair::new(config, server_config()).connected();
    for (message, right) in [(b"right", true), (b"wrong", false), (b"again", true)] {
        pair.a.send(pair.now, a, message).unwrap();
        pair.poll();
        let (_, _, bytes) = pair.to_z.back_mut().unwrap();
        if !right {
            *bytes.last_mut().unwrap() ^= 1;
        }
        pair.run(Duration::from_secs(1));
    }
    assert_eq!(messages(&pair.z.take_events()), ["right", "again"]);
    let server = pair.z.endpoint.stats(z).unwrap();
    assert_eq!(
        (server.datagrams_received, server.datagrams_dropped),
        (2, 1)
    );
    let client = pair.a.endpoint.stats(a).unwrap();
    assert_eq!((client.datagrams_lost, client.datagrams_in_flight), (0, 0));
}
