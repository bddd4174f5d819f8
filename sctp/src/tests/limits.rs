//! Every limit is reached once.

use std::time::Duration;

use super::handshake::{local_tag, pair_port};
use super::pair::{CLIENT, Link, PORT, Pair, SERVER, ip, packet, server_config};
use crate::chunk::{ChunkType, put};
use crate::packet::describe;
use crate::{CloseReason, Config, ConnectError, Event, Path, SendError, SendOptions};

fn path(pair: &Pair) -> Path {
    Path {
        local: None,
        remote: pair.ends[SERVER].addresses[0],
    }
}

#[test]
fn sk1_no_more_associations_than_configured() {
    let server = Config {
        max_associations: 2,
        ..server_config()
    };
    let client = Config {
        max_associations: 3,
        ..Config::default()
    };
    let mut pair = Pair::new(client, server, 1, Link::default());
    let to = [path(&pair)];
    let now = pair.now;
    for _ in 0..3 {
        pair.ends[CLIENT].endpoint.connect(now, &to, PORT).unwrap();
    }
    let fourth = pair.ends[CLIENT].endpoint.connect(now, &to, PORT);
    assert_eq!(fourth, Err(ConnectError::TooMany));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 2);
    let refused = pair.events(CLIENT).into_iter().filter(|event| {
        let out_of_resource = crate::cause::CauseCode::OUT_OF_RESOURCE;
        *event == Event::Closed(CloseReason::AbortedByPeer(Some(out_of_resource)))
    });
    assert_eq!(refused.count(), 1);
}

#[test]
fn se1_what_cannot_be_connected_to() {
    let mut pair = Pair::plain();
    let to = [path(&pair)];
    let now = pair.now;
    let client = &mut pair.ends[CLIENT].endpoint;
    assert_eq!(client.connect(now, &[], PORT), Err(ConnectError::NoAddress));
    assert_eq!(client.connect(now, &to, 0), Err(ConnectError::NoAddress));
    assert!(client.connect_from(now, 700, &to, PORT).is_ok());
    assert_eq!(
        client.connect_from(now, 700, &to, PORT),
        Err(ConnectError::PortInUse)
    );
}

#[test]
fn se8_no_more_addresses_than_configured() {
    let listed: Vec<_> = (1..20).map(|index| ip(CLIENT, index)).collect();
    let client = Config {
        addresses: listed,
        ..Config::default()
    };
    let server = Config {
        max_paths: 3,
        ..server_config()
    };
    let mut pair = Pair::new(client, server, 1, Link::default());
    let (_, server) = pair.connected();
    assert_eq!(
        pair.ends[SERVER]
            .endpoint
            .stats(server)
            .unwrap()
            .paths
            .len(),
        3
    );
}

#[test]
fn st11_what_is_sent_is_limited_and_room_is_told() {
    let client = Config {
        stream_send_buffer: 10_000,
        send_buffer: 26_000,
        max_message: 8_000,
        ..Config::default()
    };
    let mut pair = Pair::new(client, server_config(), 1, Link::default());
    let (client, _) = pair.connected();
    pair.events(CLIENT);
    assert_eq!(
        pair.send(CLIENT, client, 0, vec![0; 8_001]),
        Err(SendError::TooBig)
    );
    assert_eq!(pair.send(CLIENT, client, 0, vec![]), Err(SendError::Empty));
    assert_eq!(
        pair.send(CLIENT, client, 2000, vec![1]),
        Err(SendError::NoSuchStream)
    );
    pair.send(CLIENT, client, 0, vec![0; 8_000]).unwrap();
    let full = pair.send(CLIENT, client, 0, vec![0; 8_000]);
    assert_eq!(full, Err(SendError::Full), "the stream's");
    assert_eq!(pair.ends[CLIENT].endpoint.max_message(client, 0), 2_000);
    for stream in [1, 2] {
        pair.send(CLIENT, client, stream, vec![0; 8_000]).unwrap();
    }
    let full = pair.send(CLIENT, client, 3, vec![0; 8_000]);
    assert_eq!(full, Err(SendError::Full), "the association's");
    let now = pair.now;
    let client_end = &mut pair.ends[CLIENT].endpoint;
    let told = client_end.send_with(now, client, SendOptions::default(), |room, out| {
        out.resize(room, 7);
        Some(room)
    });
    assert_eq!(told, Ok(Some(2_000)));
    let none = client_end.send_with(now, client, SendOptions::default(), |_, _| Some(()));
    assert_eq!(none, Err(SendError::Full), "not called");
    // One that only asked is told too, if it is to send.
    assert_eq!(client_end.max_message(client, 4), 0);
    assert_eq!(client_end.room(client, 5), 0);
    pair.run_for(Duration::from_secs(1));
    let mut writable: Vec<_> = pair
        .events(CLIENT)
        .into_iter()
        .filter_map(|event| match event {
            Event::Writable { stream } => Some(stream),
            _ => None,
        })
        .collect();
    writable.sort_unstable();
    assert_eq!(writable, [0, 3, 5]);
    let events = pair.messages(SERVER);
    assert_eq!(
        events
            .iter()
            .map(|(_, message)| message.len())
            .sum::<usize>(),
        26_000
    );
}

#[test]
fn st5_what_is_in_flight_is_limited() {
    let client = Config {
        max_outstanding: 20_000,
        max_packet: 1200,
        ..Config::default()
    };
    let mut pair = Pair::new(client, server_config(), 1, Link::default());
    let (client, _) = pair.connected();
    let mut most = 0;
    for _ in 0..3000 {
        let _ = pair.send(CLIENT, client, 0, vec![0; 50_000]);
        pair.step();
        most = most.max(
            pair.ends[CLIENT]
                .endpoint
                .stats(client)
                .unwrap()
                .outstanding,
        );
    }
    assert!((19_000..22_000).contains(&most), "{most}");
}

#[test]
fn sf3_a_flood_of_heartbeats_does_not_pile_up() {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    let tag = local_tag(&mut pair, server);
    let beat = packet((pair_port(&pair), PORT), tag, |out| {
        for _ in 0..100 {
            put(out, ChunkType::HEARTBEAT, 0, |out| {
                out.extend_from_slice(&[0, 1, 0, 8, 1, 2, 3, 4])
            });
        }
    });
    for _ in 0..10 {
        pair.inject(SERVER, &beat);
    }
    let answers: usize = pair
        .drain(SERVER)
        .iter()
        .map(|packet| describe(packet).matches("HEARTBEAT ACK").count())
        .sum();
    assert_eq!(answers, 32);
}

#[test]
fn an_idle_association_is_small() {
    // Besides, its tables of streams, paths and addresses: some hundred bytes each.
    const { assert!(crate::association::SIZE < 2048) };
}
