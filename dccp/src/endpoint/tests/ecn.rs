//! Explicit Congestion Notification (RFC 4340 §12).

use super::pair::{Pair, client_config, messages, server_config};
use crate::{Config, ConnectionId, Ecn};

fn capable(config: Config) -> Config {
    Config {
        ecn: true,
        ..config
    }
}

fn pair(client: Config) -> (Pair, ConnectionId) {
    let (pair, _, z) = Pair::new(client, capable(server_config())).connected();
    (pair, z)
}

/// Sends `count` datagrams from the server; how many trains had each ECN field, and how many
/// datagrams came.
fn send(pair: &mut Pair, z: ConnectionId, count: usize) -> ([usize; 4], usize) {
    let (mut left, mut came, mut fields) = (count, 0, [0; 4]);
    for _ in 0..10_000 {
        while left > 0 && pair.z.send(pair.now, z, &[5; 500]).is_ok() {
            left -= 1;
        }
        pair.poll();
        if let Some((_, transmit, _)) = pair.to_a.front() {
            fields[transmit.ecn as usize] += 1;
        }
        if pair.deliver_one().is_none() {
            if left == 0 {
                break;
            }
            pair.next_timer();
        }
        came += messages(&pair.a.take_events()).len();
    }
    (fields, came)
}

#[test]
fn dd13_data_is_sent_with_both_codepoints_and_right_echoes_change_nothing() {
    let (mut pair, z) = pair(capable(client_config()));
    let (fields, came) = send(&mut pair, z, 2000);
    assert_eq!(came, 2000);
    let [_, ect1, ect0, ce] = fields;
    assert!(ect1 > 10 && ect0 > 10 && ce == 0, "{fields:?}");
    let congestion = pair.z.endpoint.stats(z).unwrap().congestion;
    assert_eq!(congestion.congestion_events, 0);
}

#[test]
fn df15_a_peer_that_cannot_read_the_field_gets_none() {
    let (mut pair, z) = pair(client_config());
    let ([not_ect, ect1, ect0, _], came) = send(&mut pair, z, 200);
    assert_eq!((came, ect1, ect0), (200, 0, 0));
    assert!(not_ect > 0);
}

#[test]
fn dd13_marks_slow_the_sender_and_lose_nothing() {
    let (mut pair, z) = pair(capable(client_config()));
    send(&mut pair, z, 500);
    pair.remark = Some(Ecn::Ce);
    let before = pair.z.endpoint.stats(z).unwrap();
    let (_, came) = send(&mut pair, z, 100);
    let after = pair.z.endpoint.stats(z).unwrap();
    assert_eq!((came, after.datagrams_lost), (100, 0));
    assert!(after.congestion.congestion_events > before.congestion.congestion_events);
    assert!(after.congestion.cwnd < before.congestion.cwnd);
}

#[test]
fn dd13_a_path_that_clears_the_field_is_found_out_and_ecn_given_up() {
    let (mut pair, z) = pair(capable(client_config()));
    pair.remark = Some(Ecn::NotEct);
    let (_, came) = send(&mut pair, z, 1000);
    assert_eq!(came, 1000);
    assert!(
        pair.z
            .endpoint
            .stats(z)
            .unwrap()
            .congestion
            .congestion_events
            >= 1
    );
    let ([not_ect, ect1, ect0, _], came) = send(&mut pair, z, 1000);
    assert_eq!((came, ect1 + ect0), (1000, 0));
    assert!(not_ect > 0);
}
