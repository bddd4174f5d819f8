//! Messages both ways: order, loss, windows, numbers that wrap (RFC 9260 §6, RFC 8260).

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::pair::{CLIENT, Link, Pair, SERVER, server_config};
use crate::congestion::Algorithm;
use crate::packet::describe;
use crate::{AssociationId, Config, Event, Mid, SendError, SendOptions, Tsn};

/// Sends so many bytes on a stream and waits until they have arrived; returns them.
pub(super) fn bulk(pair: &mut Pair, from: usize, id: AssociationId, total: usize) -> Vec<u8> {
    let block = 48 << 10;
    let mut sent = 0;
    let mut got = Vec::new();
    pair.run_until(|pair| {
        while sent < total {
            let len = block.min(total - sent);
            let message: Vec<u8> = (sent..sent + len).map(byte_at).collect();
            match pair.send(from, id, 0, message) {
                Ok(()) => sent += len,
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some((_, event)) = pair.ends[1 - from].events.pop_front() {
            match event {
                Event::Message { payload, .. } => got.extend_from_slice(&payload),
                Event::Closed(why) => panic!("{why}"),
                _ => {}
            }
        }
        got.len() >= total
    });
    got
}

pub(super) fn byte_at(at: usize) -> u8 {
    (at / 251 * 31 + at % 251).to_le_bytes()[0]
}

pub(super) fn assert_right(got: &[u8], total: usize) {
    assert_eq!(got.len(), total);
    assert!(
        got.iter()
            .enumerate()
            .all(|(at, byte)| *byte == byte_at(at))
    );
}

#[test]
fn sr7_a_download_arrives_whole() {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    let total = 5 << 20;
    let got = bulk(&mut pair, SERVER, server, total);
    assert_right(&got, total);
    println!("{:?} packets {:?}", pair.elapsed(), pair.packets);
}

#[test]
fn sr9_a_download_arrives_whole_whatever_the_network_does() {
    for seed in 0..5 {
        let link = Link {
            loss: 500,
            duplication: 200,
            reordering: 1000,
            mtu: 1472,
            ..Link::default()
        };
        let mut pair = Pair::new(Config::default(), server_config(), seed, link);
        let (_, server) = pair.connected();
        let total = 300 << 10;
        let got = bulk(&mut pair, SERVER, server, total);
        assert_right(&got, total);
        println!("{seed}: {:?} packets {:?}", pair.elapsed(), pair.packets);
    }
}

fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Message {
            end_of_message: true,
            ..
        }
    )
}

/// Sends messages on streams, without waiting.
fn send_all(pair: &mut Pair, from: usize, id: AssociationId, list: &[(u16, usize)]) {
    for (stream, len) in list {
        let message: Vec<u8> = (0..*len).map(byte_at).collect();
        pair.send(from, id, *stream, message).unwrap();
    }
}

#[test]
fn sr7_a_loss_on_one_stream_holds_up_no_other() {
    for interleaving in [false, true] {
        let config = |config| Config {
            interleaving,
            max_packet: 1200,
            ..config
        };
        let mut pair = Pair::new(
            config(Config::default()),
            config(server_config()),
            1,
            Link::default(),
        );
        let (_, server) = pair.connected();
        // The window grows first, so that all nine may be under way at once.
        bulk(&mut pair, SERVER, server, 60_000);
        pair.run_for(Duration::from_millis(50));
        pair.events(CLIENT);
        let mut dropped = false;
        pair.filter = Some(Box::new(move |_, end, packet| {
            let hit = end == SERVER && !dropped && describe(packet).contains("stream=1 ");
            dropped |= hit;
            !hit
        }));
        // Each fills a packet of its own.
        let list: Vec<_> = (1..10).map(|stream| (stream, 1168)).collect();
        send_all(&mut pair, SERVER, server, &list);
        pair.run_until(|pair| {
            let events = pair.ends[CLIENT].events.iter();
            events.filter(|(_, event)| is_end(event)).count() == 9
        });
        let order: Vec<_> = pair
            .messages(CLIENT)
            .into_iter()
            .map(|(stream, _)| stream)
            .collect();
        assert_eq!(order, [2, 3, 4, 5, 6, 7, 8, 9, 1]);
    }
}

#[test]
fn si5_a_page_during_a_download_arrives_within_three_round_trips() {
    let link = Link {
        rate: 12_500_000,
        ..Link::default()
    };
    let mut pair = Pair::new(Config::default(), server_config(), 1, link);
    let (client, server) = pair.connected();
    let fill = |pair: &mut Pair| {
        while pair.send(SERVER, server, 0, vec![7; 64 << 10]).is_ok() {}
    };
    let start = pair.now;
    pair.run_until(|pair| {
        fill(pair);
        pair.ends[CLIENT].events.clear();
        pair.now - start > Duration::from_secs(2)
    });
    let asked = pair.now;
    pair.send(CLIENT, client, 5, &b"GET /page HTTP/1.0\r\n\r\n"[..])
        .unwrap();
    let mut answered = false;
    pair.run_until(|pair| {
        fill(pair);
        let is = |stream| move |(_, event): &(AssociationId, Event)| {
            matches!(event, Event::Message { stream: s, .. } if *s == stream)
        };
        if !answered && pair.ends[SERVER].events.iter().any(is(5)) {
            answered = true;
            pair.send(SERVER, server, 5, vec![1; 1024]).unwrap();
        }
        let done = pair.ends[CLIENT].events.iter().any(is(5));
        pair.ends[CLIENT].events.clear();
        done
    });
    let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
    // The queue of the bottleneck is part of each round trip.
    let round_trip = stats.paths[0].round_trip.unwrap();
    let took = pair.now - asked;
    println!("{took:?}, round trip {round_trip:?}");
    assert!(took < 3 * round_trip, "{took:?} of {round_trip:?}");
}

#[test]
fn st1_a_window_closed_for_a_minute_is_probed_and_opens_again() {
    let server = Config {
        receive_buffer: 100_000,
        ..server_config()
    };
    let mut pair = Pair::new(Config::default(), server, 1, Link::default());
    let (client, server) = pair.connected();
    pair.ends[SERVER].endpoint.set_paused(server, true);
    let total = 300_000;
    let mut sent = 0;
    while sent < total {
        let message: Vec<u8> = (sent..sent + 1000).map(byte_at).collect();
        match pair.send(CLIENT, client, 0, message) {
            Ok(()) => sent += 1000,
            Err(_) => break,
        }
    }
    pair.run_for(Duration::from_secs(60));
    let stats = pair.ends[CLIENT].endpoint.stats(client).unwrap();
    assert!(stats.is_established);
    assert_eq!(stats.paths[0].errors, 0, "a closed window is no error");
    assert!(stats.peer_window < 1500, "{stats:?}");
    let held = pair.ends[SERVER].endpoint.stats(server).unwrap().held;
    assert!((90_000..=101_600).contains(&held), "{held}");
    let before = pair.packets[CLIENT];
    assert!(before < 250, "the window is probed, not beaten: {before}");
    pair.ends[SERVER].endpoint.set_paused(server, false);
    let opened = pair.now;
    let mut got = Vec::new();
    pair.run_until(|pair| {
        for event in pair.events(SERVER) {
            if let Event::Message { payload, .. } = event {
                got.extend_from_slice(&payload);
            }
        }
        got.len() >= sent
    });
    assert_right(&got, sent);
    let took = pair.now - opened;
    assert!(
        took < Duration::from_secs(1),
        "the update is told at once: {took:?}"
    );
}

#[test]
fn st5_numbers_wrap_within_a_download() {
    for offset in [1, 5, 64, 200] {
        let start = Some(Tsn::new(0_u32.wrapping_sub(offset)));
        let with = |config: Config| Config {
            initial_tsn: start,
            ..config
        };
        let link = Link {
            loss: 300,
            reordering: 500,
            ..Link::default()
        };
        let mut pair = Pair::new(with(Config::default()), with(server_config()), 4, link);
        let (_, server) = pair.connected();
        let got = bulk(&mut pair, SERVER, server, 300 << 10);
        assert_right(&got, 300 << 10);
    }
}

#[test]
fn sr9_stream_sequence_numbers_wrap() {
    for interleaving in [false, true] {
        let config = |config| Config {
            interleaving,
            ..config
        };
        let mut pair = Pair::new(
            config(Config::default()),
            config(server_config()),
            1,
            Link::default(),
        );
        let (_, server) = pair.connected();
        let (mut next, mut expected) = (0_u32, 0_u32);
        pair.run_until(|pair| {
            while next < 70_000
                && pair
                    .send(SERVER, server, 3, next.to_be_bytes().to_vec())
                    .is_ok()
            {
                next += 1;
            }
            while let Some((_, event)) = pair.ends[CLIENT].events.pop_front() {
                if let Event::Message { payload, .. } = event {
                    assert_eq!(payload[..], expected.to_be_bytes());
                    expected += 1;
                }
            }
            expected == 70_000
        });
    }
}

#[test]
fn st7_unordered_messages_overtake() {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    let now = pair.now;
    let mut first = true;
    pair.filter = Some(Box::new(move |_, end, _| {
        end == CLIENT || !std::mem::take(&mut first)
    }));
    for (unordered, text) in [(false, "first"), (true, "second"), (false, "third")] {
        let how = SendOptions {
            unordered,
            ppid: 63,
            ..SendOptions::default()
        };
        let message = vec![text.as_bytes()[0]; 1100];
        pair.ends[SERVER]
            .endpoint
            .send(now, server, how, message.into())
            .unwrap();
    }
    pair.run_until(|pair| pair.ends[CLIENT].events.len() == 3);
    let seen: Vec<_> = pair
        .events(CLIENT)
        .into_iter()
        .map(|event| match event {
            Event::Message {
                ppid,
                ordered,
                end_of_message: true,
                payload,
                ..
            } => (ppid, ordered, payload[0]),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        seen,
        [(63, false, b's'), (63, true, b'f'), (63, true, b't')]
    );
}

#[test]
fn sr10_a_large_message_is_handed_up_in_parts() {
    for (point, first_part_early) in [(0, true), (20_000, true), (1 << 20, false)] {
        let client = Config {
            partial_delivery_point: point,
            ..Config::default()
        };
        let mut pair = Pair::new(client, server_config(), 1, Link::default());
        let (_, server) = pair.connected();
        let message: Vec<u8> = (0..100_000).map(byte_at).collect();
        pair.send(SERVER, server, 2, message.clone()).unwrap();
        pair.run_until(|pair| {
            pair.ends[CLIENT]
                .events
                .iter()
                .any(|(_, event)| matches!(event, Event::Message { .. }))
        });
        let held: usize = pair.ends[CLIENT]
            .events
            .iter()
            .map(|(_, event)| match event {
                Event::Message { payload, .. } => payload.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(held < 100_000, first_part_early, "{point}: {held}");
        pair.run_for(Duration::from_secs(2));
        assert_eq!(pair.messages(CLIENT), [(2, message)]);
    }
}

#[test]
fn sr10_a_message_larger_than_the_buffer_arrives() {
    for interleaving in [false, true] {
        let client = Config {
            receive_buffer: 30_000,
            partial_delivery_point: 1 << 20,
            interleaving,
            ..Config::default()
        };
        let mut pair = Pair::new(
            client,
            server_config(),
            1,
            Link {
                loss: 300,
                ..Link::default()
            },
        );
        let (_, server) = pair.connected();
        let message: Vec<u8> = (0..200_000).map(byte_at).collect();
        pair.send(SERVER, server, 2, message.clone()).unwrap();
        let mut got = Vec::new();
        pair.run_until(|pair| {
            for event in pair.events(CLIENT) {
                if let Event::Message { payload, .. } = event {
                    got.extend_from_slice(&payload);
                }
            }
            got.len() == message.len()
        });
        assert_right(&got, 200_000);
    }
}

#[test]
fn sx2_what_the_peer_gives_up_is_not_waited_for() {
    use super::handshake::{local_tag, pair_port};
    use super::pair::{PORT, packet};
    use crate::chunk::{ForwardTsn, Skipped};
    let client = Config {
        interleaving: false,
        ..Config::default()
    };
    let mut pair = Pair::new(client, server_config(), 1, Link::default());
    let (client, server) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    // Messages 0 to 3 on stream 1, a packet each; 0 and 2 are lost for good.
    let mut count = 0;
    pair.filter = Some(Box::new(move |_, end, _| {
        count += usize::from(end == CLIENT);
        end == SERVER || !matches!(count, 1 | 3) && count < 5
    }));
    for number in 0..4 {
        pair.send(CLIENT, client, 1, vec![number; 1172]).unwrap();
    }
    pair.run_for(Duration::from_millis(12));
    assert_eq!(pair.messages(SERVER), []);
    let first = pair.ladder.lines().next().unwrap();
    let first: u32 = first
        .split("tsn=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let tag = local_tag(&mut pair, server);
    let ports = (pair_port(&pair), PORT);
    let skip = |ssn: u32| {
        [Skipped {
            stream: 1,
            unordered: false,
            message: Mid::new(ssn),
        }]
    };
    for (cumulative, ssn, delivered) in [(0, 0, vec![1]), (2, 2, vec![3]), (1, 1, vec![])] {
        let forward = packet(ports, tag, |out| {
            ForwardTsn::encode(out, Tsn::new(first).plus(cumulative), false, &skip(ssn));
        });
        pair.inject(SERVER, &forward);
        pair.drain(SERVER);
        let got: Vec<u8> = pair
            .messages(SERVER)
            .into_iter()
            .map(|(_, bytes)| bytes[0])
            .collect();
        assert_eq!(got, delivered);
    }
}

#[test]
fn equal_seeds_give_equal_packets() {
    let run = |seed| {
        let link = Link {
            loss: 300,
            duplication: 100,
            reordering: 500,
            ..Link::default()
        };
        let mut pair = Pair::new(Config::default(), server_config(), seed, link);
        let (_, server) = pair.connected();
        bulk(&mut pair, SERVER, server, 100 << 10);
        pair.ladder
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn sc1_goodput_by_loss_and_delay() {
    let mut table =
        String::from("100 Mbit/s, percent of the line\n  delay   loss   CUBIC  RFC 9260\n");
    for delay in [10, 25, 50] {
        for loss in [0, 10, 100] {
            let mut cells = String::new();
            for congestion in [Algorithm::Cubic, Algorithm::NewReno] {
                let config = |config| Config {
                    congestion,
                    ..config
                };
                let link = Link {
                    rate: 12_500_000,
                    delay: Duration::from_millis(delay),
                    loss,
                    mtu: 1472,
                    ..Link::default()
                };
                let mut pair =
                    Pair::new(config(Config::default()), config(server_config()), 7, link);
                let (client, server) = pair.connected();
                let total = if loss == 0 { 24 << 20 } else { 4 << 20 };
                // Slow start and what it overshoots are not meant.
                let warm = pair.now + Duration::from_secs(2);
                while pair.now < warm {
                    count(&mut pair, client, server, 64 << 10);
                }
                let start = pair.now;
                count(&mut pair, client, server, total);
                let seconds = (pair.now - start).as_secs_f64();
                let percent = total as f64 / 12_500_000.0 / seconds * 100.0;
                write!(cells, "{percent:>8.0}").unwrap();
            }
            let loss = f64::from(loss) / 100.0;
            writeln!(table, "{:>4} ms {loss:>5.1}%{cells}", 2 * delay).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// Downloads without looking at the bytes: until so many have arrived, in whatever order.
fn count(pair: &mut Pair, client: AssociationId, server: AssociationId, total: usize) {
    let block = Bytes::from(vec![3; 64 << 10]);
    let arrived = |pair: &Pair| {
        pair.ends[CLIENT]
            .endpoint
            .stream_stats(client, 0)
            .unwrap()
            .received
    };
    let end = arrived(pair) + total as u64;
    pair.run_until(|pair| {
        while pair.send(SERVER, server, 0, block.clone()).is_ok() {}
        pair.ends[CLIENT].events.clear();
        arrived(pair) >= end
    });
}
