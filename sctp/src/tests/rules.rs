//! Single rules that the other tests meet in passing at most.

use std::time::Duration;

use super::hostile::{answers, client_tsn, cookie_echo, data, init, pair_id, victim_of_data};
use super::pair::{CLIENT, Link, PORT, Pair, SERVER, packet, server_config};
use crate::chunk::{ChunkType, ForwardTsn, Sack, put, put_empty};
use crate::packet::{Chunks, Header, describe};
use crate::parameter::{self, ParameterType};
use crate::{Config, Event, SendOptions, Tsn};

#[test]
fn se2_an_init_ack_goes_to_where_the_init_came_from_with_fresh_numbers() {
    let mut pair = Pair::plain();
    let mut tags = std::collections::BTreeSet::new();
    for port in 1..50 {
        let from = ([10, 3, 3, 3], port).into();
        let asked = packet((5000, PORT), 0, |out| {
            init(7).encode(out, ChunkType::INIT, |_| {})
        });
        pair.inject_from(SERVER, from, &asked);
        let mut out = Vec::new();
        let now = pair.now;
        let transmit = pair.ends[SERVER]
            .endpoint
            .poll_transmit(now, 1472, &mut out)
            .unwrap();
        // SU4: to the UDP port of its cause.
        assert_eq!(transmit.path.remote, from);
        assert_eq!(Header::decode(&out).unwrap().tag, 7);
        assert!(tags.insert(out[16..20].to_vec()), "a tag twice");
        assert!(tags.insert(out[28..32].to_vec()), "a TSN twice");
    }
}

#[test]
fn se4_the_cookie_ack_comes_first_and_data_is_acknowledged_with_it() {
    let mut pair = Pair::plain();
    let client = pair.connect();
    pair.send(CLIENT, client, 0, &b"hello"[..]).unwrap();
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        for packet in pair.drain(from) {
            pair.inject(to, &packet);
        }
    }
    let echo = pair.drain(CLIENT).remove(0);
    pair.inject(SERVER, &echo);
    let told = answers(&mut pair, SERVER);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("COOKIE ACK, SACK cum="), "{told:?}");
}

#[test]
fn se5_a_cookie_ack_out_of_place_is_discarded() {
    let (mut pair, ports, tag, _) = victim_of_data(server_config());
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| put_empty(out, ChunkType::COOKIE_ACK, 0)),
    );
    // SE10: so is an INIT ACK.
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| {
            init(7).encode(out, ChunkType::INIT_ACK, |_| {})
        }),
    );
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(pair.events(SERVER), []);
}

#[test]
fn sk5_a_longer_life_is_granted_up_to_a_bound() {
    for (asked, lives) in [(0, 60), (10_000, 70), (1_000_000, 120)] {
        for (wait, good) in [(lives - 1, true), (lives + 1, false)] {
            let mut pair = Pair::plain();
            let init = packet((5000, PORT), 0, |out| {
                init(7).encode(out, ChunkType::INIT, |out| {
                    parameter::put(out, ParameterType::COOKIE_PRESERVATIVE, |out| {
                        out.extend_from_slice(&u32::to_be_bytes(asked));
                    });
                });
            });
            pair.inject(SERVER, &init);
            let ack = pair.drain(SERVER).remove(0);
            let tag = u32::from_be_bytes(ack[16..20].try_into().unwrap());
            let length = usize::from(u16::from_be_bytes([ack[34], ack[35]]));
            let echo = packet((5000, PORT), tag, |out| {
                put(out, ChunkType::COOKIE_ECHO, 0, |out| {
                    out.extend_from_slice(&ack[36..32 + length]);
                });
            });
            pair.now += Duration::from_secs(wait);
            pair.inject(SERVER, &echo);
            let told = answers(&mut pair, SERVER).concat();
            assert_eq!(told == "COOKIE ACK", good, "{asked} {wait}: {told}");
        }
    }
}

#[test]
fn sd5_data_with_a_cookie_that_is_not_ours_is_discarded() {
    let mut pair = Pair::plain();
    let echo = cookie_echo(&mut pair);
    let mut forged = echo.clone();
    forged[20] ^= 1;
    data(&mut forged, 1, 0, 0, 3, b"x");
    crate::packet::finish(&mut forged, 0);
    pair.inject(SERVER, &forged);
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(pair.events(SERVER), []);
}

#[test]
fn sr4_the_window_shrinks_by_what_is_held_and_grows_when_it_is_taken() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let window = |text: &str| -> u32 {
        let told = text.split("a_rwnd=").nth(1).unwrap();
        told.split([' ', ',']).next().unwrap().parse().unwrap()
    };
    let whole = Config::default().receive_buffer;
    let id = pair_id(&mut pair).unwrap();
    pair.ends[SERVER].endpoint.set_paused(id, true);
    for count in 1..=3_u32 {
        let sent = packet(ports, tag, |out| {
            data(
                out,
                tsn + count - 1,
                0,
                u16::try_from(count - 1).unwrap(),
                11,
                &[1; 1000],
            );
        });
        pair.inject(SERVER, &sent);
        let told = answers(&mut pair, SERVER).concat();
        let overhead = u32::try_from(crate::OVERHEAD).unwrap();
        assert_eq!(window(&told), whole - count * (1000 + overhead));
    }
    // SR2: no SACK for its own sake while the window has grown by little.
    pair.ends[SERVER].endpoint.set_paused(id, false);
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(pair.messages(SERVER).len(), 3);
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn + 3, 0, 3, 11, b"x")),
    );
    pair.ends[SERVER].endpoint.set_paused(id, true);
    let told = pair.drain(SERVER);
    let told = describe(&told[0]);
    assert!(window(&told) > whole - 1000, "{told}");
}

#[test]
fn sr5_a_full_buffer_takes_nothing_new_but_what_fills_the_gap() {
    let config = Config {
        receive_buffer: 10_000,
        ..server_config()
    };
    let (mut pair, ports, tag, tsn) = victim_of_data(config);
    let id = pair_id(&mut pair).unwrap();
    for offset in 1..40_u32 {
        let ssn = u16::try_from(offset).unwrap();
        pair.inject(
            SERVER,
            &packet(ports, tag, |out| {
                data(out, tsn + offset, 0, ssn, 3, &[1; 1000])
            }),
        );
    }
    pair.drain(SERVER);
    let stats = pair.ends[SERVER].endpoint.stats(id).unwrap();
    assert!(stats.held <= 10_000 && stats.dropped == 39 - 8, "{stats:?}");
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn, 0, 0, 3, &[1; 1000])),
    );
    let told = answers(&mut pair, SERVER).concat();
    assert!(
        told.contains(&format!("SACK cum={}", tsn.wrapping_add(8))),
        "{told}"
    );
    assert_eq!(pair.messages(SERVER).len(), 9);
}

#[test]
fn sr2_one_sack_answers_a_train() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let mut train = Vec::new();
    let mut size = 0;
    for offset in 0..40_u32 {
        let ssn = u16::try_from(offset).unwrap();
        let sent = packet(ports, tag, |out| {
            data(out, tsn + offset, 0, ssn, 3, &[1; 1000])
        });
        size = sent.len();
        train.extend_from_slice(&sent);
    }
    let datagram = crate::Datagram {
        path: crate::Path {
            local: None,
            remote: pair.ends[CLIENT].addresses[0],
        },
        ecn: crate::Ecn::NotEct,
        segment_size: std::num::NonZeroUsize::new(size),
        payload: train.into(),
    };
    let now = pair.now;
    pair.ends[SERVER].endpoint.handle_packet(now, datagram);
    let told = answers(&mut pair, SERVER);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with(&format!("SACK cum={}", tsn.wrapping_add(39))));
    assert_eq!(pair.messages(SERVER).len(), 40);
}

#[test]
fn st3_what_is_lost_goes_before_what_is_new() {
    let mut pair = Pair::plain();
    let (client, _) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    let before = pair.packets[CLIENT] + pair.packets[SERVER];
    pair.filter = Some(Box::new(move |count, _, _| count != before + 1));
    pair.send(CLIENT, client, 0, vec![1; 200_000]).unwrap();
    pair.run_for(Duration::from_millis(200));
    let mut seen = Vec::new();
    for line in pair
        .ladder
        .lines()
        .filter(|line| line.contains("A -> Z: I DATA"))
    {
        for tsn in line.split("tsn=").skip(1) {
            seen.push(tsn.split(' ').next().unwrap().parse::<u32>().unwrap());
        }
    }
    let first = seen[0];
    let again = seen.iter().skip(1).position(|tsn| *tsn == first).unwrap() + 1;
    // It went as soon as three later packets had arrived: within the second flight.
    assert!(again < 16, "{again}");
    assert!(seen[again + 1..].iter().all(|tsn| *tsn != first), "once");
}

#[test]
fn st4_what_leaves_at_once_is_limited() {
    let config = Config {
        max_burst: 4,
        ..server_config()
    };
    let link = Link {
        delay: Duration::from_millis(50),
        rate: 12_500_000,
        ..Link::default()
    };
    let mut pair = Pair::new(Config::default(), config, 1, link);
    let (_, server) = pair.connected();
    for _ in 0..400 {
        while pair.send(SERVER, server, 0, vec![7; 64 << 10]).is_ok() {}
        let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
        let before = pair.bytes[SERVER];
        pair.step();
        let burst = usize::try_from(pair.bytes[SERVER] - before).unwrap();
        let path = &stats.paths[0];
        // Four packets, or what 2 ms bring of twice the window in a round trip; and a packet that
        // was begun.
        let grain = path.window * 2 / 40;
        let limit = (4 * path.packet_size).max(grain) + 9000 + 65_504;
        assert!(burst <= limit, "{burst} of {limit}");
    }
}

#[test]
fn st9_the_end_of_what_is_sent_asks_for_a_sack_when_closing() {
    let mut pair = Pair::plain();
    let (client, _) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    pair.ladder.clear();
    for immediate in [false, true] {
        let how = SendOptions {
            immediate,
            ..SendOptions::default()
        };
        let now = pair.now;
        pair.ends[CLIENT]
            .endpoint
            .send(now, client, how, vec![1; 1000].into())
            .unwrap();
        pair.run_for(Duration::from_millis(300));
    }
    pair.send(CLIENT, client, 0, vec![1; 1000]).unwrap();
    let now = pair.now;
    pair.ends[CLIENT].endpoint.close(now, client);
    pair.run_for(Duration::from_millis(300));
    let flags: Vec<_> = pair
        .ladder
        .lines()
        .filter(|line| line.contains("I DATA"))
        .map(|line| {
            line.split("ppid=0 ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(flags, ["BE", "IBE", "IBE"]);
}

#[test]
fn st10_no_runt_is_sent_because_the_window_is_small() {
    let (mut pair, ports, tag, _) = victim_of_data(server_config());
    let id = pair_id(&mut pair).unwrap();
    let next = client_tsn(&pair, "INIT ACK");
    pair.send(SERVER, id, 0, vec![1; 10_000]).unwrap();
    let first: Vec<_> = pair.drain(SERVER);
    let chunks = first.iter().flat_map(|packet| Chunks::of(packet)).count();
    assert!(chunks >= 3);
    // One is acknowledged, and the window is what is in flight and ten bytes more.
    let in_flight = u32::try_from((chunks - 1) * 1172).unwrap();
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| {
            Sack::encode(out, Tsn::new(next), in_flight + 10, &[], &[]);
        }),
    );
    assert_eq!(pair.drain(SERVER).len(), 0);
}

#[test]
fn st2_one_packet_may_overshoot_the_window() {
    let mut pair = Pair::plain();
    let (client, _) = pair.connected();
    pair.send(CLIENT, client, 0, vec![1; 100_000]).unwrap();
    let packets = pair.drain(CLIENT);
    let stats = pair.ends[CLIENT].endpoint.stats(client).unwrap();
    let path = &stats.paths[0];
    assert!(path.flight >= path.window && path.flight < path.window + path.packet_size);
    assert_eq!(packets.len(), 4);
}

#[test]
fn sv4_a_packet_with_an_abort_is_never_answered() {
    let mut pair = Pair::plain();
    for kind in 0..=255 {
        let sent = packet((4000, PORT), 9, |out| {
            put(out, ChunkType(kind), 0, |out| {
                out.extend_from_slice(&[0; 16])
            });
            put_empty(out, ChunkType::ABORT, 0);
        });
        pair.inject(SERVER, &sent);
        assert_eq!(answers(&mut pair, SERVER), [""; 0], "{kind}");
    }
    // An ABORT with a format error is discarded.
    let (mut pair, ports, tag, _) = victim_of_data(server_config());
    let bad = packet(ports, tag, |out| {
        put(out, ChunkType::ABORT, 0, |out| {
            out.extend_from_slice(&[0, 12, 0, 99])
        });
    });
    pair.inject(SERVER, &bad);
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 1);
}

#[test]
fn sx3_a_forward_tsn_far_ahead_costs_nothing() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let far = Tsn::new(tsn).plus(1 << 30);
    let skipped: Vec<_> = (0..3000)
        .map(|stream| crate::chunk::Skipped {
            stream,
            unordered: false,
            message: crate::Mid::new(5),
        })
        .collect();
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| {
            ForwardTsn::encode(out, far, false, &skipped)
        }),
    );
    let told = answers(&mut pair, SERVER).concat();
    assert!(told.starts_with(&format!("SACK cum={far}")), "{told}");
    let id = pair_id(&mut pair).unwrap();
    assert_eq!(pair.ends[SERVER].endpoint.stats(id).unwrap().held, 0);
    // What went before is out of date; what comes after is taken.
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| {
            ForwardTsn::encode(out, Tsn::new(tsn), false, &[]);
        }),
    );
    assert!(
        answers(&mut pair, SERVER)
            .concat()
            .starts_with(&format!("SACK cum={far}"))
    );
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| {
            data(out, far.plus(1).get(), 0, 6, 3, b"x")
        }),
    );
    pair.drain(SERVER);
    assert_eq!(pair.messages(SERVER), [(0, b"x".to_vec())]);
}

#[test]
fn so2_extensions_that_are_not_spoken_are_answered_by_their_type() {
    // RE-CONFIG is skipped, ASCONF skipped and reported, PAD (SO5) is nothing; ECNE and CWR (SO7)
    // are ignored. What follows them is taken in all cases.
    for (kind, reported) in [
        (130, false),
        (193, true),
        (128, false),
        (132, false),
        (12, false),
        (13, false),
    ] {
        let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
        pair.inject(
            SERVER,
            &packet(ports, tag, |out| {
                put(out, ChunkType(kind), 0, |out| {
                    out.extend_from_slice(&[0; 8])
                });
                data(out, tsn, 0, 0, 3, b"x");
            }),
        );
        let told = answers(&mut pair, SERVER).concat();
        assert_eq!(
            told.contains("unrecognized chunk"),
            reported,
            "{kind}: {told}"
        );
        assert_eq!(pair.messages(SERVER).len(), 1, "{kind}");
    }
    // SO1: nothing is announced that is not complete.
    let mut pair = Pair::plain();
    pair.connected();
    let init = pair.ladder.lines().next().unwrap();
    assert!(init.ends_with("forward-tsn i-data"), "{init}");
}

#[test]
fn sz5_a_checksum_of_zero_is_wrong_like_any_other() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let mut sent = packet(ports, tag, |out| data(out, tsn, 0, 0, 3, b"x"));
    sent[8..12].fill(0);
    pair.inject(SERVER, &sent);
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    assert_eq!(
        pair.ends[SERVER].endpoint.endpoint_stats().wrong_checksums,
        1
    );
    assert_eq!(pair.messages(SERVER), []);
}

#[test]
fn si3_fragments_of_several_messages_are_told_apart_by_their_numbers() {
    let mut pair = Pair::new(
        Config {
            max_packet: 1200,
            ..Config::default()
        },
        Config {
            max_packet: 1200,
            ..server_config()
        },
        3,
        Link {
            loss: 1000,
            reordering: 2000,
            ..Link::default()
        },
    );
    let (client, _) = pair.connected();
    let message = |stream: u16| vec![u8::try_from(stream).unwrap(); 20_000 + usize::from(stream)];
    for stream in 0..8 {
        pair.send(CLIENT, client, stream, message(stream)).unwrap();
    }
    let mut whole = 0;
    let mut parts = std::collections::BTreeMap::<u16, Vec<u8>>::new();
    pair.run_until(|pair| {
        for event in pair.events(SERVER) {
            if let Event::Message {
                stream,
                payload,
                end_of_message,
                ..
            } = event
            {
                parts.entry(stream).or_default().extend_from_slice(&payload);
                whole += usize::from(end_of_message);
            }
        }
        whole == 8
    });
    for (stream, bytes) in parts {
        assert_eq!(bytes, message(stream));
    }
    // Chunks of different messages took turns.
    let first = pair
        .ladder
        .lines()
        .find(|line| line.contains("stream=1 mid=0 fsn=0"))
        .unwrap();
    let last_of_0 = pair
        .ladder
        .lines()
        .rfind(|line| line.contains("stream=0 mid=0"))
        .unwrap();
    let at = |line: &str| {
        line.trim_start()
            .split(' ')
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(at(first) < at(last_of_0));
}

#[test]
fn sf7_a_shutdown_complete_out_of_place_is_ignored() {
    let (mut pair, ports, tag, _) = victim_of_data(server_config());
    for kind in [ChunkType::SHUTDOWN_COMPLETE, ChunkType::SHUTDOWN_ACK] {
        pair.inject(SERVER, &packet(ports, tag, |out| put_empty(out, kind, 0)));
        assert_eq!(answers(&mut pair, SERVER), [""; 0]);
        assert_eq!(pair.events(SERVER), []);
    }
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 1);
}

#[test]
fn sp6_the_largest_packet_is_taken() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let large = packet(ports, tag, |out| {
        data(out, tsn, 0, 0, 3, &vec![5; 65_507 - 28])
    });
    assert_eq!(large.len(), 65_508);
    pair.inject(SERVER, &large);
    pair.drain(SERVER);
    assert_eq!(pair.messages(SERVER), [(0, vec![5; 65_479])]);
}

#[test]
fn sq3_a_parameter_length_that_does_not_fit_refuses_the_init() {
    for length in [0, 1, 2, 3, 9, 0xffff] {
        let mut pair = Pair::plain();
        let asked = packet((5000, PORT), 0, |out| {
            init(7).encode(out, ChunkType::INIT, |out| {
                out.extend_from_slice(&[0x80, 0x77]);
                out.extend_from_slice(&u16::to_be_bytes(length));
                out.extend_from_slice(&[0; 4]);
            });
        });
        pair.inject(SERVER, &asked);
        assert_eq!(
            answers(&mut pair, SERVER),
            ["ABORT [protocol violation]"],
            "{length}"
        );
    }
}

#[test]
fn sq4_of_a_parameter_that_comes_twice_the_first_counts() {
    let mut pair = Pair::plain();
    pair.connect();
    let asked = pair.drain(CLIENT).remove(0);
    let port = Header::decode(&asked).unwrap().source_port;
    let tag = u32::from_be_bytes(asked[16..20].try_into().unwrap());
    let ack = packet((PORT, port), tag, |out| {
        init(9).encode(out, ChunkType::INIT_ACK, |out| {
            for cookie in [1, 2] {
                parameter::put(out, ParameterType::STATE_COOKIE, |out| out.push(cookie));
            }
        });
    });
    pair.inject(CLIENT, &ack);
    let echo = pair.drain(CLIENT).remove(0);
    assert_eq!(echo[12..17], [10, 0, 0, 5, 1]);
}

#[test]
fn se7_both_ends_begin_at_their_initial_tsn() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    // The first is missing: the cumulative TSN is the one before it.
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn + 1, 0, 1, 3, b"x")),
    );
    let told = answers(&mut pair, SERVER).concat();
    assert!(
        told.starts_with(&format!("SACK cum={} ", tsn.wrapping_sub(1))),
        "{told}"
    );
    let id = pair_id(&mut pair).unwrap();
    pair.send(SERVER, id, 0, &b"y"[..]).unwrap();
    let told = answers(&mut pair, SERVER).concat();
    let first = client_tsn(&pair, "INIT ACK");
    assert!(told.contains(&format!("DATA tsn={first} ")), "{told}");
}

#[test]
fn st6_a_sack_that_waits_goes_with_data() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    for offset in 0..2 {
        let ssn = u16::try_from(offset).unwrap();
        pair.inject(
            SERVER,
            &packet(ports, tag, |out| data(out, tsn + offset, 0, ssn, 3, b"x")),
        );
        if offset == 0 {
            pair.drain(SERVER);
        }
    }
    assert_eq!(answers(&mut pair, SERVER), [""; 0], "it is delayed");
    let id = pair_id(&mut pair).unwrap();
    pair.send(SERVER, id, 0, &b"y"[..]).unwrap();
    let told = answers(&mut pair, SERVER);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("SACK ") && told[0].contains(", DATA "),
        "{told:?}"
    );
    pair.run_for(Duration::from_millis(300));
    let sacks = pair.ends[SERVER].endpoint.stats(id).unwrap().sacks_sent;
    assert_eq!(sacks, 2, "not once more after the delay");
}

#[test]
fn sr1_a_lone_packet_is_acknowledged_after_the_delay() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn, 0, 0, 3, b"x")),
    );
    pair.drain(SERVER);
    pair.inject(
        SERVER,
        &packet(ports, tag, |out| data(out, tsn + 1, 0, 1, 3, b"x")),
    );
    let start = pair.now;
    pair.now += Duration::from_millis(199);
    let now = pair.now;
    pair.ends[SERVER].endpoint.handle_timeout(now);
    assert_eq!(answers(&mut pair, SERVER), [""; 0]);
    pair.now = start + Duration::from_millis(200);
    let now = pair.now;
    pair.ends[SERVER].endpoint.handle_timeout(now);
    let told = answers(&mut pair, SERVER).concat();
    assert!(told.starts_with(&format!("SACK cum={}", tsn + 1)), "{told}");
}

#[test]
fn sr1_a_packet_of_duplicates_is_answered_at_once() {
    let (mut pair, ports, tag, tsn) = victim_of_data(server_config());
    let sent = packet(ports, tag, |out| data(out, tsn, 0, 0, 3, b"x"));
    pair.inject(SERVER, &sent);
    pair.drain(SERVER);
    for _ in 0..3 {
        pair.inject(SERVER, &sent);
        let told = answers(&mut pair, SERVER).concat();
        assert!(told.ends_with(&format!("dup={tsn}")), "{told}");
    }
    assert_eq!(pair.messages(SERVER).len(), 1);
}

#[test]
fn si4_with_interleaving_i_forward_tsn_is_the_one() {
    for interleaving in [false, true] {
        let client = Config {
            interleaving,
            ..Config::default()
        };
        let mut pair = Pair::new(client, server_config(), 1, Link::default());
        let (_, server) = pair.connected();
        pair.run_for(Duration::from_millis(50));
        let tag = super::handshake::local_tag(&mut pair, server);
        let ports = (super::handshake::pair_port(&pair), PORT);
        let tsn = Tsn::new(client_tsn(&pair, "INIT tag"));
        for kind in [false, true] {
            pair.inject(
                SERVER,
                &packet(ports, tag, |out| {
                    ForwardTsn::encode(out, tsn.plus(u32::from(kind)), kind, &[]);
                }),
            );
            let told = answers(&mut pair, SERVER).concat();
            assert_eq!(told.starts_with("SACK"), kind == interleaving, "{told}");
            assert_eq!(
                told.contains("ERROR [unrecognized chunk type]"),
                kind != interleaving
            );
        }
    }
}

#[test]
fn sz8_zero_checksums_are_never_offered() {
    let mut pair = Pair::plain();
    pair.connect();
    let asked = pair.drain(CLIENT).remove(0);
    let offered = parameter::Parameters::of(&asked[32..]).map(|found| found.unwrap().kind.0);
    assert_eq!(offered.collect::<Vec<_>>(), [0x8000, 0xc000, 0x8008]);
}

#[test]
fn sf10_there_is_no_half_close() {
    let mut pair = Pair::plain();
    let (client, server) = pair.connected();
    let now = pair.now;
    pair.ends[CLIENT].endpoint.close(now, client);
    let closed = Err(crate::SendError::Closed);
    assert_eq!(pair.send(CLIENT, client, 0, &b"x"[..]), closed);
    assert_eq!(pair.ends[CLIENT].endpoint.max_message(client, 0), 0);
    pair.run_for(Duration::from_millis(11));
    assert_eq!(pair.send(SERVER, server, 0, &b"x"[..]), closed);
}

#[test]
fn sd6_a_restart_is_told_and_what_was_queued_is_dropped() {
    let mut pair = Pair::new(server_config(), server_config(), 1, Link::default());
    let path = |end: usize, pair: &Pair| crate::Path {
        local: None,
        remote: pair.ends[end].addresses[0],
    };
    let to = [path(SERVER, &pair)];
    let now = pair.now;
    pair.ends[CLIENT]
        .endpoint
        .connect_from(now, PORT, &to, PORT)
        .unwrap();
    pair.run_for(Duration::from_millis(50));
    let server = pair.ends[SERVER].events[0].0;
    pair.events(SERVER);
    pair.ends[CLIENT].endpoint = crate::Endpoint::new(server_config(), [50; 32]);
    pair.links[0].cut = true;
    pair.send(SERVER, server, 0, vec![1; 200_000]).unwrap();
    pair.flush();
    pair.links[0].cut = false;
    let now = pair.now;
    pair.ends[CLIENT]
        .endpoint
        .connect_from(now, PORT, &to, PORT)
        .unwrap();
    pair.run_for(Duration::from_secs(10));
    assert_eq!(pair.events(SERVER)[0], Event::PeerRestarted);
    let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
    assert_eq!((stats.queued, stats.outstanding), (0, 0));
    assert_eq!(pair.messages(CLIENT), []);
}

#[test]
fn sc3_an_idle_path_begins_slowly_again() {
    let link = Link {
        rate: 12_500_000,
        ..Link::default()
    };
    let mut pair = Pair::new(Config::default(), server_config(), 1, link);
    let (_, server) = pair.connected();
    super::data::bulk(&mut pair, SERVER, server, 2 << 20);
    pair.run_for(Duration::from_millis(500));
    let window = |pair: &Pair| pair.ends[SERVER].endpoint.stats(server).unwrap().paths[0].window;
    let before = window(&pair);
    pair.run_for(Duration::from_secs(3));
    pair.send(SERVER, server, 0, vec![1; 100]).unwrap();
    let after = window(&pair);
    assert!(after * 6 < before, "{before} {after}");
}
