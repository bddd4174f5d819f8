//! What holds for every packet of every session.

use std::time::Duration;

use dccp::ccid::Ccid;
use dccp::packet::{Checksum, DccpOption, Kind, Packet, PacketType, Reset, ResetCode};
use dccp::{CloseReason, Seq, ServiceCode, State};
use tests::netsim::{Carrier, Line, address};
use tests::packets::{PORT, Pair, SERVICE, Scenario, Speech, header};
use tests::transcript::Side;

const LATENCY: Duration = Duration::from_millis(20);

/// Sessions of many kinds, on paths that take 20 ms each way, to the end of each.
fn sessions() -> Vec<Pair> {
    let mut all = Vec::new();
    for ccid in [Ccid::CCID2, Ccid::CCID3] {
        for carrier in [Carrier::Udp, Carrier::Ip] {
            for (loss, client) in [(0, 0), (0, 200), (50, 200)] {
                let mut scenario = Scenario {
                    client_says: Speech {
                        closes: false,
                        ..Speech::of(client, 300)
                    },
                    ..Scenario::new(carrier, Speech::of(400, 1400))
                };
                scenario.client.ccids = vec![ccid];
                scenario.server.ccids = vec![ccid];
                scenario.up.loss = loss;
                scenario.down.loss = loss;
                all.push(scenario.run(Duration::from_secs(300)));
            }
        }
    }
    assert!(
        all.iter()
            .all(|pair| pair.server.closed() == Some(CloseReason::Graceful))
    );
    all
}

/// Calls `check` with each packet, who sent it when, and whether it arrives.
fn each_packet(pair: &Pair, mut check: impl FnMut(Duration, Side, &Packet<'_>, bool)) {
    for entry in pair.network.trace().entries() {
        if let Line::Packet { payload, fate, .. } = &entry.line {
            let packet = Packet::decode(payload, &Checksum::Unused).expect("it is a packet");
            let arrives = *fate == tests::netsim::Fate::Arrives;
            check(entry.at, entry.side, &packet, arrives);
        }
    }
}

#[test]
fn dh9_every_packet_has_the_next_number() {
    for pair in sessions() {
        let mut last = [None, None];
        let mut ended = [false, false];
        each_packet(&pair, |_, side, packet, _| {
            let side = side as usize;
            if ended[side] {
                // What answers late packets has numbers from them (DR1).
                return;
            }
            let next = last[side].map_or(packet.header.seq, |last: Seq| last.plus(1));
            assert_eq!(packet.header.seq, next);
            last[side] = Some(next);
            ended[side] = packet.header.kind.packet_type() == PacketType::Reset;
        });
    }
}

#[test]
fn ds6_every_acknowledgement_number_is_the_greatest_that_came() {
    for pair in sessions() {
        // For each side, the greatest number that has come by when.
        let mut greatest: [Vec<(Duration, Seq)>; 2] = Default::default();
        each_packet(&pair, |at, side, packet, arrives| {
            let (own, other) = (side as usize, side.other() as usize);
            if arrives {
                let last = greatest[other].last();
                let seq = packet.header.seq;
                let seq = last.map_or(seq, |(_, last)| last.later(seq));
                greatest[other].push((at + LATENCY, seq));
            }
            // Of what comes at this very moment, some may come after the packet is written.
            let before = greatest[own].iter().rfind(|(when, _)| *when < at);
            let now = greatest[own].iter().filter(|(when, _)| *when == at);
            let mut possible = before.into_iter().chain(now);
            let kind = packet.header.kind;
            match kind {
                Kind::Sync { .. } | Kind::SyncAck { .. } | Kind::Reset { .. } => {}
                _ => assert!(
                    kind.ack()
                        .is_none_or(|ack| possible.any(|(_, seq)| *seq == ack)),
                    "{packet} at {at:?}"
                ),
            }
        });
    }
}

#[test]
fn dl6_dh4_numbers_are_long_and_reserved_fields_zero() {
    for pair in sessions() {
        each_packet(&pair, |_, _, packet, _| assert!(!packet.header.short));
        for (_, packet) in pair.network.trace().packets() {
            assert_eq!(packet[8] >> 5, 0);
            assert_eq!(packet[9], 0);
        }
    }
}

#[test]
fn dh5_ccval_is_zero_but_on_data_of_ccid_3() {
    let mut counted = 0;
    for pair in sessions() {
        let ccid_3 = pair.network.trace().packets().any(|(_, packet)| {
            let packet = Packet::decode(packet, &Checksum::Unused).expect("it is a packet");
            packet
                .options
                .into_iter()
                .any(|option| matches!(option, DccpOption::Ccid { .. }))
        });
        each_packet(&pair, |_, _, packet, _| {
            let data = packet.header.kind.packet_type().has_data();
            assert!(packet.header.ccval == 0 || (ccid_3 && data), "{packet}");
            counted += usize::from(packet.header.ccval != 0);
        });
    }
    assert!(counted > 100, "CCID 3 counts windows");
}

#[test]
fn dh6_a_response_repeats_the_service_code_and_acknowledges_the_request() {
    for pair in sessions() {
        let (mut requests, mut responses) = (Vec::new(), 0);
        each_packet(&pair, |_, _, packet, _| match packet.header.kind {
            Kind::Request { service } => {
                assert_eq!(service, SERVICE);
                requests.push(packet.header.seq);
            }
            Kind::Response { ack, service } => {
                assert_eq!(service, SERVICE);
                assert!(requests.contains(&ack));
                responses += 1;
            }
            _ => {}
        });
        assert!(responses > 0);
    }
}

#[test]
fn dd10_every_ack_of_ccid_2_has_an_ack_vector() {
    let mut acks = 0;
    for pair in sessions().into_iter().take(6) {
        each_packet(&pair, |_, _, packet, _| {
            if packet.header.kind.packet_type() == PacketType::Ack {
                let mut options = packet.options;
                assert!(
                    options.any(|option| matches!(option, DccpOption::AckVector(_))),
                    "{packet}"
                );
                acks += 1;
            }
        });
    }
    assert!(acks > 100);
}

#[test]
fn dp6_dp7_a_client_sends_data_with_acknowledgements_until_the_server_has_spoken() {
    for pair in sessions() {
        let mut heard = None;
        each_packet(&pair, |at, side, packet, arrives| {
            let kind = packet.header.kind.packet_type();
            let ends_part_open = side == Side::Server
                && !matches!(
                    kind,
                    PacketType::Response | PacketType::Reset | PacketType::Sync
                );
            if ends_part_open && arrives {
                heard.get_or_insert(at + LATENCY);
            }
            if side == Side::Client && kind == PacketType::Data {
                assert!(heard.is_some_and(|heard| heard <= at), "{packet} at {at:?}");
            }
        });
    }
}

#[test]
fn dp9_a_close_req_is_for_servers_only() {
    let says = Speech {
        closes: false,
        ..Speech::of(3, 100)
    };
    let mut pair = Scenario::new(Carrier::Udp, says).begin();
    pair.run(Duration::from_secs(3));
    let (syncs, seq) = (
        pair.count(Side::Server, PacketType::Sync),
        pair.last_seq(Side::Client).plus(1),
    );
    let ack = pair.last_seq(Side::Server);
    pair.forge(Side::Client, Kind::CloseReq { ack }, seq, &[], &[]);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.count(Side::Server, PacketType::Sync), syncs + 1);
    assert_eq!(pair.count(Side::Server, PacketType::Close), 0);
    assert_eq!(pair.server.closed(), None);
}

#[test]
fn dp1_a_reset_ends_a_connection_from_every_state() {
    let reset = Reset {
        code: ResetCode::ABORTED,
        data: [0; 3],
    };
    // When it comes, from whom, and in which state its receiver is then.
    let cases = [
        (5, Side::Server, State::Request),
        (25, Side::Client, State::Respond),
        (45, Side::Server, State::PartOpen),
        (1000, Side::Server, State::Open),
        (1000, Side::Client, State::Open),
        (2010, Side::Client, State::CloseReq),
        (2025, Side::Server, State::Closing),
    ];
    for (at, from, state) in cases {
        let says = Speech {
            closes: false,
            ..Speech::of(1, 100)
        };
        let mut pair = Scenario::new(Carrier::Udp, says).begin();
        pair.run(Duration::from_millis(at.min(2000)));
        if at > 2000 {
            pair.server.close(pair.network.now());
            pair.run(Duration::from_millis(at));
        }
        let to = from.other();
        if let Some(stats) = pair.talker_mut(to).stats() {
            assert_eq!(stats.state, state);
        }
        let ack = pair.last_seq(to);
        let seq = pair.try_last_seq(from).unwrap_or_default().plus(1);
        pair.forge(from, Kind::Reset { ack, reset }, seq, &[], &[]);
        pair.run_for(Duration::from_millis(1));
        let talker = pair.talker_mut(to);
        assert!(talker.stats().is_none(), "in {state:?}");
        if state != State::Respond {
            assert_eq!(
                talker.closed(),
                Some(CloseReason::Reset(reset)),
                "{state:?}"
            );
        }
    }
}

#[test]
fn dh7_an_empty_data_packet_is_an_empty_message() {
    let says = Speech {
        closes: false,
        ..Speech::of(1, 100)
    };
    let mut pair = Scenario::new(Carrier::Udp, says).begin();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.client.received(), 1, "Request and Response were empty");
    pair.client.tolerate();
    let (now, id) = (pair.network.now(), pair.server.id().expect("connected"));
    let sent = pair
        .server
        .endpoint_mut()
        .send_with(now, id, |_, _| Some(()));
    assert_eq!(sent, Ok(Some(())));
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.client.received(), pair.client.strange()), (1, 1));
}

#[test]
fn dv1_a_port_may_have_several_service_codes() {
    let mut scenario = Scenario::new(Carrier::Udp, Speech::NOTHING);
    scenario.server.service_codes = vec![ServiceCode(0), ServiceCode(77), SERVICE];
    let mut pair = scenario.begin();
    let now = pair.network.now();
    let path = pair.client.path(address(2, 6511));
    for service in [ServiceCode(0), ServiceCode(77), ServiceCode(78)] {
        let begun = pair.client.endpoint_mut().connect(now, path, PORT, service);
        begun.expect("there is room");
    }
    pair.client.run(now);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.server.connected(), 3);
    assert_eq!(pair.count(Side::Server, PacketType::Reset), 1);
}

/// Forges a message of the server to the client with this coverage, and says how many were
/// delivered and dropped.
fn with_coverage(carrier: Carrier, least: u8, coverage: u8) -> (u64, u64) {
    let says = Speech {
        closes: false,
        ..Speech::of(1, 100)
    };
    let mut scenario = Scenario::new(carrier, says);
    scenario.client.min_checksum_coverage = least;
    let mut pair = scenario.begin();
    pair.run(Duration::from_secs(1));
    let ack = pair.last_seq(Side::Client);
    let seq = pair.last_seq(Side::Server).plus(1);
    let data = pair.server.message(1000, 64);
    let covered = dccp::packet::Header {
        cscov: coverage,
        ..header(Kind::DataAck { ack }, seq)
    };
    pair.forge_header(Side::Server, covered, &[], &data);
    pair.run_for(Duration::from_secs(1));
    let stats = pair.client.stats().expect("it lives");
    (pair.client.received() - 1, stats.datagrams_dropped)
}

#[test]
fn dc4_data_is_refused_whose_coverage_is_below_the_minimum() {
    assert_eq!(with_coverage(Carrier::Ip, 0, 0), (1, 0));
    assert_eq!(with_coverage(Carrier::Ip, 0, 1), (0, 1));
    assert_eq!(with_coverage(Carrier::Ip, 4, 1), (0, 1));
    assert_eq!(with_coverage(Carrier::Ip, 4, 4), (1, 0));
    assert_eq!(with_coverage(Carrier::Ip, 4, 5), (1, 0));
}

#[test]
fn du6_in_udp_coverage_has_no_effect() {
    for (least, coverage) in [(0, 0), (0, 1), (4, 1), (4, 4)] {
        assert_eq!(with_coverage(Carrier::Udp, least, coverage), (1, 0));
    }
}

#[test]
fn du1_every_datagram_is_one_packet() {
    for pair in sessions() {
        each_packet(&pair, |_, _, packet, _| {
            let kind = packet.header.kind.packet_type();
            let padded = kind == PacketType::Sync;
            assert!(
                kind.has_data() || padded || packet.data.is_empty(),
                "{packet}"
            );
        });
    }
}

#[test]
fn dr5_dp11_each_late_packet_gets_a_reset_of_its_own() {
    let mut pair = Scenario::new(Carrier::Udp, Speech::of(1, 1000)).begin();
    pair.run(Duration::from_secs(60));
    let before = pair.count(Side::Client, PacketType::Reset);
    let (seq, ack) = (
        pair.last_seq(Side::Server).plus(1),
        pair.last_seq(Side::Client),
    );
    for late in 0..3 {
        pair.forge(
            Side::Server,
            Kind::DataAck { ack },
            seq.plus(late),
            &[],
            b"late",
        );
    }
    pair.run_for(Duration::from_secs(1));
    let resets = pair.network.trace().packets().filter_map(|(side, packet)| {
        let packet = Packet::decode(packet, &Checksum::Unused).ok()?;
        match packet.header.kind {
            Kind::Reset { ack, reset } if side == Side::Client => Some((ack, reset.code)),
            _ => None,
        }
    });
    let resets: Vec<(Seq, ResetCode)> = resets.skip(before).collect();
    let code = ResetCode::NO_CONNECTION;
    assert_eq!(resets, [0, 1, 2].map(|late| (seq.plus(late), code)));
}

#[test]
fn du3_many_connections_share_two_udp_ports() {
    let says = Speech {
        closes: false,
        ..Speech::of(5, 100)
    };
    let mut pair = Scenario::new(Carrier::Udp, says).begin();
    for _ in 0..20 {
        pair.client.connect(pair.network.now(), 2);
    }
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.server.connected(), 21);
    let mut ports = Vec::new();
    each_packet(&pair, |_, side, packet, _| {
        if side == Side::Client {
            assert_eq!(packet.header.destination_port, PORT);
            ports.push(packet.header.source_port);
        }
    });
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 21);
}
