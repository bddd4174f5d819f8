//! Setting up, packet by packet, with each loss once (RFC 9260 §5.1).

use std::time::Duration;

use insta::assert_snapshot;

use super::pair::{CLIENT, Link, PORT, Pair, SERVER, packet, server_config};
use crate::chunk::{ChunkType, Init, put, put_empty};
use crate::packet::{Header, describe};
use crate::parameter::{self, ParameterType};
use crate::{AssociationId, CloseReason, Config, Event, SendError, SendOptions, Tsn};

const PAGE: &[u8] = &[b'x'; 927];

fn is_message(event: &Event) -> bool {
    matches!(event, Event::Message { .. })
}

/// One GET: the request with the COOKIE ECHO, the answer with the COOKIE ACK.
fn get(pair: &mut Pair) {
    let client = pair.connect();
    pair.send(CLIENT, client, 0, &b"GET / HTTP/1.0\r\n\r\n"[..])
        .unwrap();
    let mut answered = false;
    let mut closed = false;
    pair.run_until(|pair| {
        let asked = pair.ends[SERVER]
            .events
            .iter()
            .find(|(_, event)| is_message(event));
        if let (Some((server, _)), false) = (asked, answered) {
            answered = true;
            let (server, now) = (*server, pair.now);
            for (message, immediate) in [(&b"HTTP/1.0 200 OK\r\n\r\n"[..], false), (PAGE, true)] {
                let how = SendOptions {
                    immediate,
                    ..SendOptions::default()
                };
                pair.ends[SERVER]
                    .endpoint
                    .send(now, server, how, message.into())
                    .unwrap();
            }
        }
        let events = pair.ends[CLIENT].events.iter();
        if events.filter(|(_, event)| is_message(event)).count() == 2 && !closed {
            closed = true;
            pair.ends[CLIENT].endpoint.close(pair.now, client);
        }
        closed
            && pair
                .ends
                .iter()
                .all(|end| end.endpoint.endpoint_stats().associations == 0)
    });
}

#[test]
fn se3_a_page_costs_seven_packets() {
    let mut pair = Pair::plain();
    get(&mut pair);
    assert_snapshot!(pair.ladder);
    assert_eq!(pair.packets[CLIENT] + pair.packets[SERVER], 7);
    for end in [CLIENT, SERVER] {
        let last = pair.events(end).pop();
        assert_eq!(last, Some(Event::Closed(CloseReason::Shutdown)));
    }
}

#[test]
fn se1_a_page_arrives_whichever_packet_is_lost() {
    let mut told = String::new();
    for lost in 1..=7 {
        let mut pair = Pair::plain();
        pair.filter = Some(Box::new(move |count, _, _| count != lost));
        get(&mut pair);
        told += &format!("packet {lost} lost:\n{}\n", pair.ladder);
        for end in [CLIENT, SERVER] {
            let last = pair.events(end).pop();
            assert_eq!(last, Some(Event::Closed(CloseReason::Shutdown)), "{lost}");
        }
    }
    assert_snapshot!(told);
}

#[test]
fn se1_nobody_answers_and_the_attempt_ends() {
    let mut pair = Pair::plain();
    pair.links[0].cut = true;
    pair.connect();
    pair.run_until(|pair| !pair.ends[CLIENT].events.is_empty());
    assert_eq!(
        pair.events(CLIENT),
        [Event::Closed(CloseReason::ConnectTimeout)]
    );
    // Max.Init.Retransmits: eight times again, after 1, 2, 4, .. 60 s.
    assert_eq!(pair.packets[CLIENT], 9);
    assert_eq!(
        pair.elapsed(),
        Duration::from_secs(1 + 2 + 4 + 8 + 16 + 32 + 60 * 3)
    );
    assert!(!pair.step(), "no timer is left");
}

#[test]
fn sv3_a_closed_port_refuses() {
    let mut pair = Pair::new(Config::default(), Config::default(), 1, Link::default());
    pair.connect();
    pair.run_until(|pair| !pair.ends[CLIENT].events.is_empty());
    assert_eq!(
        pair.events(CLIENT),
        [Event::Closed(CloseReason::AbortedByPeer(None))]
    );
    assert!(pair.ladder.contains("Z -> A: ABORT\n"), "{}", pair.ladder);
    assert_eq!(pair.elapsed(), Duration::from_millis(20));
}

fn init(tag: u32) -> Init<'static> {
    Init {
        initiate_tag: tag,
        a_rwnd: 1500,
        outbound_streams: 1,
        inbound_streams: 1,
        initial_tsn: Tsn::new(1),
        raw_parameters: &[],
    }
}

/// What the server answers to a packet.
fn answer(pair: &mut Pair, packet: &[u8]) -> Vec<String> {
    pair.inject(SERVER, packet);
    pair.drain(SERVER)
        .iter()
        .map(|packet| describe(packet))
        .collect()
}

fn init_packet(init: &Init<'_>, tag: u32, more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    packet((5000, PORT), tag, |out| {
        init.encode(out, ChunkType::INIT, more)
    })
}

#[test]
fn sk4_an_init_ack_is_smaller_than_three_inits() {
    let mut pair = Pair::plain();
    let smallest = init_packet(&init(7), 0, |_| {});
    pair.inject(SERVER, &smallest);
    let answers = pair.drain(SERVER);
    let (asked, answered) = (smallest.len(), answers[0].len());
    println!(
        "INIT {asked} bytes, INIT ACK {answered} bytes: {:.2}",
        answered as f64 / asked as f64
    );
    assert_eq!((asked, answered), (32, 80));
    // Nor does it with parameters that must be reported, or with many addresses to tell.
    let listed: Vec<_> = (1..60)
        .map(|last| std::net::IpAddr::from([10, 9, 9, last]))
        .collect();
    let mut pair = Pair::new(
        Config::default(),
        Config {
            addresses: listed,
            ..server_config()
        },
        1,
        Link::default(),
    );
    for reported in 0..20 {
        let asked = init_packet(&init(7), 0, |out| {
            for _ in 0..reported {
                parameter::put(out, ParameterType(0xc123), |_| {});
            }
        });
        pair.inject(SERVER, &asked);
        let answers = pair.drain(SERVER);
        assert!(
            answers.len() == 1 && answers[0].len() < 3 * asked.len(),
            "{reported}"
        );
    }
    assert_eq!(
        pair.ends[SERVER].endpoint.endpoint_stats().associations,
        0,
        "nothing is kept"
    );
}

#[test]
fn sq5_an_init_with_values_that_are_not_allowed_is_refused() {
    let mut pair = Pair::plain();
    let good = init(7);
    assert!(answer(&mut pair, &init_packet(&good, 0, |_| {}))[0].starts_with("INIT ACK"));
    let nothing: [&str; 0] = [];
    assert_eq!(
        answer(&mut pair, &init_packet(&init(0), 0, |_| {})),
        nothing
    );
    assert_eq!(
        answer(&mut pair, &init_packet(&good, 1, |_| {})),
        nothing,
        "SV2: with a tag"
    );
    for bad in [
        Init {
            a_rwnd: 1499,
            ..good
        },
        Init {
            outbound_streams: 0,
            ..good
        },
        Init {
            inbound_streams: 0,
            ..good
        },
    ] {
        let answers = answer(&mut pair, &init_packet(&bad, 0, |_| {}));
        assert_eq!(answers, ["ABORT [protocol violation]"]);
    }
    let host = init_packet(&good, 0, |out| {
        parameter::put(out, ParameterType::HOST_NAME, |_| {})
    });
    assert_eq!(answer(&mut pair, &host), ["ABORT [unresolvable address]"]);
    let cut = init_packet(&good, 0, |out| out.extend_from_slice(&[0x80, 0x77, 0, 9]));
    assert_eq!(answer(&mut pair, &cut), ["ABORT [protocol violation]"]);
    // SP2: INIT is alone in its packet.
    let two = packet((5000, PORT), 0, |out| {
        good.encode(out, ChunkType::INIT, |_| {});
        put_empty(out, ChunkType::COOKIE_ACK, 0);
    });
    assert_eq!(answer(&mut pair, &two), nothing);
}

#[test]
fn sq2_unknown_parameters_are_reported_both_ways() {
    let mut pair = Pair::plain();
    let asked = init_packet(&init(7), 0, |out| {
        parameter::put(out, ParameterType(0xc123), |_| {})
    });
    pair.inject(SERVER, &asked);
    let answers = pair.drain(SERVER);
    assert!(answers[0].ends_with(&[0, 8, 0, 8, 0xc1, 0x23, 0, 4]));
    // And from an INIT ACK in an ERROR with the COOKIE ECHO.
    let client = pair.connect();
    let (header, first) = take_init(&mut pair);
    let ack = packet((PORT, header.source_port), first, |out| {
        init(9).encode(out, ChunkType::INIT_ACK, |out| {
            parameter::put(out, ParameterType::STATE_COOKIE, |out| out.push(1));
            parameter::put(out, ParameterType(0xc123), |_| {});
        });
    });
    pair.inject(CLIENT, &ack);
    let answers: Vec<_> = pair
        .drain(CLIENT)
        .iter()
        .map(|packet| describe(packet))
        .collect();
    assert_eq!(
        answers,
        ["COOKIE ECHO (1), ERROR [unrecognized parameters]"]
    );
    let _ = client;
}

/// The client's INIT: its header and its initiate tag.
fn take_init(pair: &mut Pair) -> (Header, u32) {
    let packets = pair.drain(CLIENT);
    let header = Header::decode(&packets[0]).unwrap();
    (
        header,
        u32::from_be_bytes(packets[0][16..20].try_into().unwrap()),
    )
}

#[test]
fn sq6_an_init_ack_that_is_not_allowed_ends_the_attempt() {
    type Change = fn(&mut Init<'static>);
    let changes: [(Change, bool, &str); 5] = [
        (|_| {}, false, "ABORT [missing mandatory parameter]"),
        (
            |init| init.inbound_streams = 0,
            true,
            "ABORT [protocol violation]",
        ),
        (
            |init| init.outbound_streams = 0,
            true,
            "ABORT [protocol violation]",
        ),
        (|init| init.a_rwnd = 0, true, "ABORT [protocol violation]"),
        (|init| init.initiate_tag = 0, true, ""),
    ];
    for (change, cookie, expected) in changes {
        let mut pair = Pair::plain();
        pair.connect();
        let (header, tag) = take_init(&mut pair);
        let mut values = init(9);
        change(&mut values);
        let ack = packet((PORT, header.source_port), tag, |out| {
            values.encode(out, ChunkType::INIT_ACK, |out| {
                if cookie {
                    parameter::put(out, ParameterType::STATE_COOKIE, |out| out.push(1));
                }
            });
        });
        pair.inject(CLIENT, &ack);
        let answers: Vec<_> = pair
            .drain(CLIENT)
            .iter()
            .map(|packet| describe(packet))
            .collect();
        assert_eq!(answers.concat(), expected);
        assert_eq!(
            pair.events(CLIENT),
            [Event::Closed(CloseReason::ProtocolViolation)]
        );
    }
}

#[test]
fn se6_streams_are_the_lesser_of_both_ends_wishes() {
    let client = Config {
        outbound_streams: 100,
        inbound_streams: 7,
        ..Config::default()
    };
    let server = Config {
        outbound_streams: 50,
        inbound_streams: 20,
        ..server_config()
    };
    let mut pair = Pair::new(client, server, 1, Link::default());
    let id = pair.connect();
    pair.run_until(|pair| pair.ends.iter().all(|end| !end.events.is_empty()));
    for (end, outbound, inbound) in [(CLIENT, 20, 7), (SERVER, 7, 20)] {
        let events = pair.events(end);
        let told = events.iter().find_map(|event| match event {
            Event::Connected {
                outbound_streams,
                inbound_streams,
                ..
            } => Some((*outbound_streams, *inbound_streams)),
            _ => None,
        });
        assert_eq!(told, Some((outbound, inbound)));
    }
    assert_eq!(
        pair.send(CLIENT, id, 20, &b"x"[..]),
        Err(SendError::NoSuchStream)
    );
    assert_eq!(pair.send(CLIENT, id, 19, &b"x"[..]), Ok(()));
}

#[test]
fn se11_a_stale_cookie_begins_anew_with_a_wish_for_a_longer_life() {
    let mut pair = Pair::plain();
    // The COOKIE ECHO is late by more than a cookie lives.
    let mut late = None;
    let id = pair.connect();
    pair.filter = Some(Box::new(|_, end, packet| {
        !(end == CLIENT && describe(packet).starts_with("COOKIE ECHO"))
    }));
    pair.run_for(Duration::from_millis(25));
    for packet in pair.ladder.lines() {
        late = Some(packet.to_owned());
    }
    assert!(late.is_some_and(|line| line.contains("COOKIE ECHO")));
    pair.run_for(Duration::from_secs(61));
    pair.filter = None;
    pair.run_until(|pair| pair.ends.iter().all(|end| !end.events.is_empty()));
    assert!(
        pair.ladder.contains("ERROR [stale cookie]"),
        "{}",
        pair.ladder
    );
    assert!(pair.ends[CLIENT].endpoint.stats(id).unwrap().is_established);
}

#[test]
fn si1_interleaving_is_used_when_both_ends_have_it() {
    for (client, server) in [(true, true), (true, false), (false, true), (false, false)] {
        let with = |interleaving, config| Config {
            interleaving,
            ..config
        };
        let mut pair = Pair::new(
            with(client, Config::default()),
            with(server, server_config()),
            1,
            Link::default(),
        );
        let (a, z) = pair.connected();
        for (end, id) in [(CLIENT, a), (SERVER, z)] {
            let stats = pair.ends[end].endpoint.stats(id).unwrap();
            assert_eq!(stats.is_interleaved, client && server);
        }
        pair.send(CLIENT, a, 3, vec![9; 5000]).unwrap();
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.messages(SERVER), [(3, vec![9; 5000])]);
        assert_eq!(pair.ladder.contains("I DATA"), client && server);
    }
}

#[test]
fn si1_the_other_kind_of_data_is_a_violation() {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    let tag = local_tag(&mut pair, server);
    let wrong = packet((pair_port(&pair), PORT), tag, |out| {
        put(out, ChunkType::DATA, 3, |out| {
            out.extend_from_slice(&[1; 20])
        });
    });
    pair.inject(SERVER, &wrong);
    let events = {
        let _ = pair.drain(SERVER);
        pair.events(SERVER)
    };
    assert_eq!(events, [Event::Closed(CloseReason::ProtocolViolation)]);
}

/// The tag that packets to the server have.
pub(super) fn local_tag(pair: &mut Pair, _server: AssociationId) -> u32 {
    let line = pair
        .ladder
        .lines()
        .find(|line| line.contains("INIT ACK"))
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

/// The SCTP port of the client.
pub(super) fn pair_port(pair: &Pair) -> u16 {
    pair.ends[SERVER]
        .client_port
        .expect("an association was set up")
}
