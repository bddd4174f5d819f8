//! How large packets get (RFC 4340 §14).

use std::time::Duration;

use super::pair::{Pair, client_config, messages, path, server_config};
use crate::{Config, ConnectionId, SendError};

fn probing(config: Config) -> Config {
    Config {
        probe_mtu: true,
        probe_after: 0,
        ..config
    }
}

/// A pair that probes, on a path of `path_limit` whose sockets take `socket_limit`.
fn pair(path_limit: usize, socket_limit: usize) -> (Pair, ConnectionId, ConnectionId) {
    let mut pair = Pair::new(probing(client_config()), probing(server_config()));
    pair.path_limit = path_limit;
    pair.socket_limit = socket_limit;
    pair.connected()
}

fn size(pair: &Pair, z: ConnectionId) -> usize {
    pair.z.endpoint.stats(z).unwrap().packet_size
}

#[test]
fn dm4_a_loopback_path_reaches_its_full_size_in_a_round_trip() {
    let (mut pair, _, z) = pair(usize::MAX, 65_507);
    assert_eq!(size(&pair, z), 1200);
    pair.run(pair.delay * 3);
    assert_eq!(size(&pair, z), 65_507);
    let message = vec![1; 65_507 - 16];
    assert_eq!(pair.z.endpoint.max_message(z), message.len());
    pair.z.send(pair.now, z, &message).unwrap();
    pair.poll();
    pair.run(pair.delay * 2);
    assert_eq!(messages(&pair.a.take_events())[0].len(), message.len());
}

#[test]
fn dm4_a_socket_that_knows_its_limit_is_believed_at_once() {
    let (mut pair, _, z) = pair(1472, 1472);
    pair.run(pair.delay * 4);
    assert_eq!(size(&pair, z), 1472);
}

#[test]
fn dm4_an_ethernet_path_that_drops_what_is_too_big_is_found_in_the_end() {
    let (mut pair, a, z) = pair(1472, 65_507);
    pair.run(Duration::from_secs(3));
    assert_eq!(size(&pair, z), 1472);
    let client = pair.a.endpoint.stats(a).unwrap();
    assert_eq!(client.packet_size, 1472);
    // After ten minutes it looks again, and finds no more.
    pair.path_limit = 9000;
    pair.run(Duration::from_secs(610));
    assert_eq!(size(&pair, z), 8952);
}

#[test]
fn dm1_a_longer_message_is_refused_and_the_limit_told() {
    let (mut pair, _, z) = Pair::usual().connected();
    let max = pair.z.endpoint.max_message(z);
    assert_eq!(max, 1200 - 16);
    assert_eq!(
        pair.z.send(pair.now, z, &vec![0; max + 1]),
        Err(SendError::TooBig)
    );
    assert_eq!(pair.z.send(pair.now, z, &vec![0; max]), Ok(()));
    pair.poll();
    assert_eq!(pair.z.endpoint.stats(z).unwrap().datagrams_sent, 1);
}

#[test]
fn dm3_icmp_is_believed_of_packets_in_flight_only() {
    let (mut pair, _, z) = pair(usize::MAX, 9000);
    pair.run(pair.delay * 4);
    assert_eq!(size(&pair, z), 9000);
    pair.z.send(pair.now, z, &[3; 5000]).unwrap();
    pair.poll();
    let (_, _, bytes) = pair.to_a.pop_front().unwrap();
    let mut forged = bytes.clone();
    forged[10] ^= 0x40;
    pair.z
        .endpoint
        .handle_too_big(pair.now, path(1), &forged[..16], 1400);
    assert_eq!(size(&pair, z), 9000, "a number that was not sent");
    pair.z
        .endpoint
        .handle_too_big(pair.now, path(9), &bytes[..16], 1400);
    assert_eq!(size(&pair, z), 9000, "another peer");
    pair.z
        .endpoint
        .handle_too_big(pair.now, path(1), &bytes[..16], 9001);
    assert_eq!(size(&pair, z), 9000, "more than is sent");
    pair.z
        .endpoint
        .handle_too_big(pair.now, path(1), &bytes[..8], 1400);
    assert_eq!(size(&pair, z), 9000, "too little of the packet");
    pair.z
        .endpoint
        .handle_too_big(pair.now, path(1), &bytes[..16], 1400);
    assert_eq!(size(&pair, z), 1400);
    pair.z
        .endpoint
        .handle_too_big(pair.now, path(1), &bytes[..16], 0);
    assert!(size(&pair, z) >= 256, "never to nothing");
}

#[test]
fn a_path_that_swallows_large_packets_is_fallen_back_from() {
    let (mut pair, _, z) = pair(usize::MAX, 9000);
    pair.run(pair.delay * 4);
    assert_eq!(size(&pair, z), 9000);
    pair.path_limit = 1300;
    for _ in 0..20 {
        let room = pair.z.endpoint.max_message(z);
        let _ = pair.z.send(pair.now, z, &vec![1; room]);
        pair.poll();
        pair.run(Duration::from_millis(500));
    }
    assert_eq!(size(&pair, z), 1280);
    let room = pair.z.endpoint.max_message(z);
    pair.a.take_events();
    pair.z.send(pair.now, z, &vec![1; room]).unwrap();
    pair.poll();
    pair.run(Duration::from_millis(500));
    assert_eq!(messages(&pair.a.take_events()).len(), 1);
}

#[test]
fn handle_rejected_lowers_the_size_of_a_train_that_was_not_taken() {
    let (mut pair, _, z) = pair(usize::MAX, 9000);
    pair.run(pair.delay * 4);
    pair.socket_limit = 9000;
    pair.z.send(pair.now, z, &[3; 8000]).unwrap();
    let mut bytes = Vec::new();
    pair.z
        .endpoint
        .poll_transmit(pair.now, 9000, &mut bytes)
        .unwrap();
    pair.z.endpoint.handle_rejected(pair.now, 1472);
    assert!(pair.z.endpoint.max_message(z) <= 1472);
    pair.socket_limit = 1472;
    pair.poll();
    pair.run(Duration::from_secs(2));
    // What was lost is told as lost, and the connection goes on.
    pair.z.send(pair.now, z, &[3; 1000]).unwrap();
    pair.poll();
    pair.run(Duration::from_secs(2));
    assert_eq!(messages(&pair.a.take_events()).len(), 1);
    assert_eq!(pair.z.endpoint.stats(z).unwrap().datagrams_in_flight, 0);
}
