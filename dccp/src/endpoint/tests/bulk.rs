//! Many packets.

use std::time::Duration;

use super::pair::{Pair, client_config, messages, server_config};
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
