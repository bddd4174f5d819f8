//! Packets that nobody means well (the digest's security tests; RFC 5062).

use std::time::Duration;

use super::handshake::{local_tag, pair_port};
use super::pair::{CLIENT, Link, PORT, Pair, SERVER, packet, server_config};
use crate::chunk::{ChunkType, Init, Sack, put, put_empty, put_tsn};
use crate::packet::{describe, finish};
use crate::{CloseReason, Config, Event, Tsn};

const NOTHING: [Event; 0] = [];

pub(super) fn answers(pair: &mut Pair, to: usize) -> Vec<String> {
    pair.drain(to)
        .iter()
        .map(|packet| describe(packet))
        .collect()
}

pub(super) fn peer_tag(pair: &Pair) -> u32 {
    let line = pair
        .ladder
        .lines()
        .find(|line| line.contains("INIT tag"))
        .unwrap();
    let hex = line
        .split("tag=0x")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    u32::from_str_radix(hex, 16).unwrap()
}

/// An association, its client's port, and the tags of packets to the server and to the client.
fn victim() -> (Pair, (u16, u16), u32, u32) {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    let to_server = local_tag(&mut pair, server);
    let to_client = peer_tag(&pair);
    let ports = (pair_port(&pair), PORT);
    (pair, ports, to_server, to_client)
}

#[test]
fn sv2_a_wrong_tag_has_no_effect_and_no_answer() {
    let (mut pair, ports, right, _) = victim();
    for kind in 0..=255_u8 {
        for flags in [0, 1, 3] {
            for tag in [right ^ 1, right.wrapping_add(1), !right] {
                if matches!(kind, 1 | 10) {
                    continue;
                }
                let forged = packet(ports, tag, |out| {
                    put(out, ChunkType(kind), flags, |out| {
                        out.extend_from_slice(&[0; 20])
                    });
                });
                pair.inject(SERVER, &forged);
            }
        }
    }
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(pair.events(SERVER), NOTHING);
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 1);
}

#[test]
fn sv2_the_t_bit_goes_with_the_right_tag_only() {
    for kind in [ChunkType::ABORT, ChunkType::SHUTDOWN_COMPLETE] {
        let (mut pair, ports, own, peer) = victim();
        for (tag, flags) in [(own, 1), (peer, 0)] {
            let forged = packet(ports, tag, |out| put_empty(out, kind, flags));
            pair.inject(SERVER, &forged);
            assert_eq!(answers(&mut pair, SERVER), [""; 0]);
            assert_eq!(pair.events(SERVER), NOTHING);
        }
    }
    for (own_tag, flags) in [(true, 0), (false, 1)] {
        let (mut pair, ports, own, peer) = victim();
        let tag = if own_tag { own } else { peer };
        pair.inject(
            SERVER,
            &packet(ports, tag, |out| put_empty(out, ChunkType::ABORT, flags)),
        );
        pair.drain(SERVER);
        let closed = Event::Closed(CloseReason::AbortedByPeer(None));
        assert_eq!(pair.events(SERVER), [closed]);
    }
}

#[test]
fn sv2_blind_tags_do_nothing() {
    let (mut pair, ports, right, _) = victim();
    let mut forged: Vec<Vec<u8>> = vec![
        packet(ports, 0, |out| put_empty(out, ChunkType::ABORT, 0)),
        packet(ports, 0, |out| put_empty(out, ChunkType::ABORT, 1)),
        packet(ports, 0, |out| {
            put_tsn(out, ChunkType::SHUTDOWN, Tsn::new(1))
        }),
        packet(ports, 0, |out| put_empty(out, ChunkType::SHUTDOWN_ACK, 0)),
        packet(ports, 0, |out| put_empty(out, ChunkType::COOKIE_ACK, 0)),
    ];
    let mut tag = 1_u32;
    for _ in 0..20_000 {
        tag = tag.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if tag == right {
            continue;
        }
        for bytes in &mut forged {
            bytes[4..8].copy_from_slice(&tag.to_be_bytes());
            finish(bytes, 0);
            pair.inject(SERVER, bytes);
        }
    }
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(pair.events(SERVER), NOTHING);
}

#[test]
fn sv3_out_of_the_blue() {
    let mut pair = Pair::plain();
    let ports = (4000, PORT);
    let one = |kind, flags| packet(ports, 9, |out| put_empty(out, kind, flags));
    for (sent, expected) in [
        (one(ChunkType::ABORT, 0), ""),
        (one(ChunkType::SHUTDOWN_ACK, 0), "SHUTDOWN COMPLETE T"),
        (one(ChunkType::SHUTDOWN_COMPLETE, 0), ""),
        (one(ChunkType::COOKIE_ACK, 0), ""),
        (one(ChunkType::ERROR, 0), "ABORT T"),
        (one(ChunkType::HEARTBEAT, 0), "ABORT T"),
        (one(ChunkType(99), 0), "ABORT T"),
        (
            packet(ports, 9, |out| {
                put(out, ChunkType::DATA, 3, |out| out.resize(40, 1))
            }),
            "ABORT T",
        ),
        (
            packet(ports, 9, |out| {
                put_empty(out, ChunkType::HEARTBEAT, 0);
                put_empty(out, ChunkType::ABORT, 0);
            }),
            "",
        ),
        (
            packet(ports, 9, |out| {
                put(out, ChunkType::ERROR, 0, |out| {
                    out.extend_from_slice(&[0, 3, 0, 8, 0, 0, 0, 1])
                });
            }),
            "",
        ),
        (
            packet(ports, 9, |out| {
                put(out, ChunkType::COOKIE_ECHO, 0, |out| out.resize(99, 1))
            }),
            "",
        ),
        (packet(ports, 9, |_| {}), ""),
    ] {
        pair.inject(SERVER, &sent);
        assert_eq!(
            answers(&mut pair, SERVER).concat(),
            expected,
            "{}",
            describe(&sent)
        );
    }
    // The answer has the packet's tag, and is never answered itself.
    pair.inject(SERVER, &one(ChunkType::HEARTBEAT, 0));
    let abort = pair.drain(SERVER).remove(0);
    assert_eq!(abort[..8], [0x1f, 0x90, 0x0f, 0xa0, 0, 0, 0, 9]);
    pair.inject(CLIENT, &abort);
    assert_eq!(answers(&mut pair, CLIENT), [""; 0]);
    // Not from addresses that are nobody's.
    for from in [[224, 0, 0, 1], [255; 4], [0; 4]] {
        pair.inject_from(SERVER, (from, 9899).into(), &one(ChunkType::HEARTBEAT, 0));
        assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    }
}

#[test]
fn sv5_answers_to_strangers_are_limited() {
    let config = Config {
        max_replies: 8,
        stranger_rate: 5,
        strangers_rate: 50,
        ..server_config()
    };
    let mut pair = Pair::new(Config::default(), config, 1, Link::default());
    let sent = packet((4000, PORT), 9, |out| {
        put_empty(out, ChunkType::HEARTBEAT, 0)
    });
    for _ in 0..20 {
        pair.inject(SERVER, &sent);
    }
    assert_eq!(pair.drain(SERVER).len(), 5, "by source");
    // Whatever waits to be sent is limited besides.
    for last in 0..20 {
        pair.inject_from(SERVER, ([10, 5, 5, last], 9).into(), &sent);
    }
    assert_eq!(pair.drain(SERVER).len(), 8, "what waits");
    let mut answered = 0;
    for last in 0..200 {
        pair.inject_from(SERVER, ([10, 6, last, 1], 9).into(), &sent);
        answered += pair.drain(SERVER).len();
    }
    assert_eq!(answered, 50 - 25, "in all");
    pair.now += Duration::from_secs(1);
    pair.inject(SERVER, &sent);
    assert_eq!(pair.drain(SERVER).len(), 1, "the next second");
    let dropped = pair.ends[SERVER].endpoint.endpoint_stats().dropped_replies;
    assert_eq!(dropped, 15 + 12 + 175);
}

pub(super) fn cookie_echo(pair: &mut Pair) -> Vec<u8> {
    pair.connect();
    let init = pair.drain(CLIENT).remove(0);
    pair.inject(SERVER, &init);
    let ack = pair.drain(SERVER).remove(0);
    pair.inject(CLIENT, &ack);
    pair.drain(CLIENT).remove(0)
}

#[test]
fn sk2_each_flipped_bit_of_a_cookie_echo_is_seen() {
    let mut pair = Pair::plain();
    let echo = cookie_echo(&mut pair);
    // The ports, the tag, and the cookie: everything but checksum and chunk header.
    for bit in (0..64).chain(16 * 8..(16 + 43) * 8) {
        let mut forged = echo.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        finish(&mut forged, 0);
        pair.inject(SERVER, &forged);
        assert_eq!(answers(&mut pair, SERVER), [""; 0], "bit {bit}");
    }
    for length in 0..43 {
        let cut = packet((1, PORT), 5, |out| {
            put(out, ChunkType::COOKIE_ECHO, 0, |out| {
                out.extend_from_slice(&echo[16..16 + length]);
            });
        });
        pair.inject(SERVER, &cut);
    }
    // From another address, and another UDP port.
    let other = pair.ends[SERVER].addresses[0];
    pair.inject_from(SERVER, other, &echo);
    let mut moved = pair.ends[CLIENT].addresses[0];
    moved.set_port(1234);
    pair.inject_from(SERVER, moved, &echo);
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 0);
    pair.inject(SERVER, &echo);
    assert_eq!(answers(&mut pair, SERVER), ["COOKIE ACK"]);
}

#[test]
fn sk3_a_cookie_lives_its_time_whatever_the_secret() {
    for (wait, answer) in [
        (59, "COOKIE ACK"),
        (61, "ERROR [stale cookie]"),
        (4000, ""),
        (9000, ""),
    ] {
        for before in [0, 3570] {
            let mut pair = Pair::plain();
            pair.inject(
                SERVER,
                &packet((1, PORT), 0, |out| {
                    init(1).encode(out, ChunkType::INIT, |_| {})
                }),
            );
            pair.drain(SERVER);
            pair.run_for(Duration::from_secs(before));
            let echo = cookie_echo(&mut pair);
            pair.now += Duration::from_secs(wait);
            pair.inject(SERVER, &echo);
            let answers = answers(&mut pair, SERVER).concat();
            // After the second change of secrets nobody can tell that it was ours.
            let known = (before + wait) / 3600 - before / 3600 < 2;
            let stale = "ERROR [stale cookie]";
            let expected = if answer.is_empty() && known {
                stale
            } else {
                answer
            };
            assert_eq!(answers, expected, "after {before}, {wait}");
        }
    }
}

pub(super) fn init(tag: u32) -> Init<'static> {
    Init {
        initiate_tag: tag,
        a_rwnd: 1500,
        outbound_streams: 1,
        inbound_streams: 1,
        initial_tsn: Tsn::new(1),
        raw_parameters: &[],
    }
}

#[test]
fn sk1_a_flood_of_inits_leaves_nothing() {
    let mut pair = Pair::plain();
    let mut answered = 0;
    for source in 0..20_000_u32 {
        let [_, a, b, c] = source.to_be_bytes();
        let asked = packet((5000, PORT), 0, |out| {
            init(source + 1).encode(out, ChunkType::INIT, |_| {})
        });
        pair.inject_from(SERVER, ([10, a, b, c], 9).into(), &asked);
        answered += pair.drain(SERVER).len();
    }
    assert_eq!(answered, 20_000);
    let stats = pair.ends[SERVER].endpoint.endpoint_stats();
    assert_eq!(stats.associations, 0);
    assert_eq!(pair.ends[SERVER].endpoint.poll_timeout(), None);
}

#[test]
fn sa1_what_was_never_sent_cannot_be_acknowledged() {
    for (ahead, gaps) in [
        (1, vec![]),
        (1 << 30, vec![]),
        (0, vec![(2, 3)]),
        (0, vec![(1, 1)]),
    ] {
        let (mut pair, ports, tag, _) = victim();
        let next = client_tsn(&pair, "INIT ACK");
        let sack = packet(ports, tag, |out| {
            Sack::encode(out, Tsn::new(next).plus(ahead).minus(1), 1000, &gaps, &[]);
        });
        pair.inject(SERVER, &sack);
        assert_eq!(answers(&mut pair, SERVER), ["ABORT [protocol violation]"]);
        assert_eq!(
            pair.events(SERVER),
            [Event::Closed(CloseReason::ProtocolViolation)]
        );
    }
}

pub(super) fn client_tsn(pair: &Pair, chunk: &str) -> u32 {
    let line = pair
        .ladder
        .lines()
        .find(|line| line.contains(chunk))
        .unwrap();
    line.split("tsn=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// A DATA chunk by hand, as an association without I-DATA has them.
pub(super) fn data(out: &mut Vec<u8>, tsn: u32, stream: u16, ssn: u16, flags: u8, payload: &[u8]) {
    put(out, ChunkType::DATA, flags, |out| {
        out.extend_from_slice(&tsn.to_be_bytes());
        out.extend_from_slice(&stream.to_be_bytes());
        out.extend_from_slice(&ssn.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(payload);
    });
}

pub(super) fn victim_of_data(config: Config) -> (Pair, (u16, u16), u32, u32) {
    let client = Config {
        interleaving: false,
        ..Config::default()
    };
    let mut pair = Pair::new(client, config, 1, Link::default());
    let (_, server) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    let tag = local_tag(&mut pair, server);
    let tsn = client_tsn(&pair, "INIT tag");
    let ports = (pair_port(&pair), PORT);
    (pair, ports, tag, tsn)
}

#[test]
fn sr10_what_is_hoarded_stays_within_the_window() {
    let buffer = 64 << 10;
    let config = Config {
        receive_buffer: buffer,
        inbound_streams: 65_535,
        ..server_config()
    };
    type Kind = fn(u32) -> (u16, u16, u8);
    let kinds: [Kind; 4] = [
        // Tiny fragments that never end, on one stream and on many.
        |_| (0, 0, 0),
        |n| (u16::try_from(n % 1000).unwrap(), 0, 2),
        // One message out of order on each stream.
        |n| (u16::try_from(n % 60_000).unwrap(), 1, 3),
        // Unordered beginnings.
        |n| (u16::try_from(n % 3).unwrap(), 0, 6),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let (mut pair, ports, tag, tsn) = victim_of_data(config.clone());
        let server = pair.ends[SERVER]
            .client_port
            .and_then(|_| pair_id(&mut pair));
        for n in 0..15_000_u32 {
            let (stream, ssn, flags) = kind(n);
            // Every second TSN, so that nothing is contiguous.
            let chunk = packet(ports, tag, |out| {
                data(out, tsn + 1 + 2 * n, stream, ssn, flags, b"x")
            });
            pair.inject(SERVER, &chunk);
            if n % 64 == 0 {
                pair.drain(SERVER);
            }
        }
        pair.drain(SERVER);
        let stats = pair.ends[SERVER].endpoint.stats(server.unwrap());
        if let Some(stats) = stats {
            assert!(stats.held <= buffer as usize, "{number}: {}", stats.held);
            assert!(stats.dropped > 10_000, "{number}: {stats:?}");
        }
        assert_eq!(pair.messages(SERVER), [], "{number}");
    }
}

/// The server's only association.
pub(super) fn pair_id(pair: &mut Pair) -> Option<crate::AssociationId> {
    pair.server_id
}

#[test]
fn sp4_data_without_user_data_ends_the_association() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let empty = packet(ports, tag, |out| data(out, tsn, 0, 0, 3, b""));
    pair.inject(SERVER, &empty);
    assert_eq!(answers(&mut pair, SERVER), ["ABORT [no user data]"]);
}

#[test]
fn sr8_contradictory_fragments_end_the_association() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    for (offset, flags) in [(1, 2), (2, 2)] {
        pair.inject(
            SERVER,
            &packet(ports, tag, |out| data(out, tsn + offset, 0, 1, flags, b"x")),
        );
    }
    assert!(
        answers(&mut pair, SERVER)
            .concat()
            .ends_with("ABORT [protocol violation]")
    );
}

#[test]
fn sr6_a_stream_that_does_not_exist_is_acknowledged_and_reported() {
    let config = Config {
        inbound_streams: 5,
        ..server_config()
    };
    let (mut pair, ports, tag, tsn) = victim_of_data(config);
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn, 5, 0, 3, b"x")),
    );
    let told = answers(&mut pair, SERVER).concat();
    assert!(
        told.starts_with(&format!(
            "ERROR [invalid stream identifier], SACK cum={tsn}"
        )),
        "{told}"
    );
    assert_eq!(pair.messages(SERVER), []);
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn + 1, 4, 0, 3, b"x")),
    );
    pair.drain(SERVER);
    assert_eq!(pair.messages(SERVER), [(4, b"x".to_vec())]);
}

#[test]
fn sp1_unknown_chunks_are_treated_as_their_type_says() {
    for (kind, reported, skipped) in [
        (0x3f, false, false),
        (0x7f, true, false),
        (0xbf, false, true),
        (0xff, true, true),
    ] {
        let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
        pair.inject(
            SERVER,
            &packet(ports, tag, |out| {
                put(out, ChunkType(kind), 0, |out| {
                    out.extend_from_slice(b"what")
                });
                data(out, tsn, 0, 0, 3, b"x");
            }),
        );
        let told = answers(&mut pair, SERVER).concat();
        assert_eq!(
            told.contains("ERROR [unrecognized chunk type]"),
            reported,
            "{kind:x}"
        );
        assert_eq!(told.contains("SACK"), skipped, "{kind:x}");
    }
}

#[test]
fn sf3_a_heartbeat_comes_back_unchanged() {
    let (mut pair, ports, tag, _) = victim();
    let info = [0, 1, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 1, 0, 4];
    let beat = packet(ports, tag, |out| {
        put(out, ChunkType::HEARTBEAT, 0, |out| {
            out.extend_from_slice(&info)
        });
    });
    pair.inject(SERVER, &beat);
    let answer = pair.drain(SERVER).remove(0);
    assert_eq!(answer.len(), beat.len());
    assert_eq!(answer[12..16], [5, 0, 0, 20]);
    assert_eq!(answer[16..], info);
}

#[test]
fn sp5_each_corrupted_byte_of_each_packet_is_harmless() {
    let mut pair = Pair::plain();
    let mut turn = CLIENT;
    pair.connect();
    for _ in 0..4 {
        let packets = pair.drain(turn);
        for packet in &packets {
            for at in 0..packet.len() {
                for mask in [0x01, 0x80, 0xff] {
                    let mut wrong = packet.clone();
                    wrong[at] ^= mask;
                    pair.inject(1 - turn, &wrong);
                }
            }
            assert!(pair.drain(1 - turn).is_empty());
            pair.inject(1 - turn, packet);
        }
        turn = 1 - turn;
    }
    for end in [CLIENT, SERVER] {
        assert_eq!(pair.ends[end].endpoint.endpoint_stats().associations, 1);
        assert!(pair.ends[end].endpoint.endpoint_stats().wrong_checksums > 50);
    }
}

#[test]
fn su3_the_udp_port_follows_only_a_right_tag() {
    let (mut pair, ports, tag, _) = victim();
    let mut moved = pair.ends[CLIENT].addresses[0];
    moved.set_port(7777);
    let beat = |tag| {
        packet(ports, tag, |out| {
            put(out, ChunkType::HEARTBEAT, 0, |out| {
                out.extend_from_slice(&[0, 1, 0, 4])
            })
        })
    };
    pair.inject_from(SERVER, moved, &beat(tag ^ 1));
    pair.drain(SERVER);
    let id = pair_id(&mut pair).unwrap();
    let port = |pair: &mut Pair| {
        pair.ends[SERVER].endpoint.stats(id).unwrap().paths[0]
            .path
            .remote
            .port()
    };
    assert_eq!(port(&mut pair), 9899);
    pair.inject_from(SERVER, moved, &beat(tag));
    pair.drain(SERVER);
    assert_eq!(port(&mut pair), 7777);
    // SU9: another address is not followed.
    pair.inject_from(SERVER, ([10, 8, 8, 8], 7777).into(), &beat(tag));
    let stats = pair.ends[SERVER].endpoint.stats(id).unwrap();
    assert_eq!(stats.paths.len(), 1);
    assert_eq!(stats.paths[0].path.remote, moved);
}
