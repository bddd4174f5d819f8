//! Single rules, each with the packet that asks for it.

use std::time::Duration;

use sctp::cause::CauseCode;
use sctp::chunk::{self, Chunk, ChunkType, Init};
use sctp::packet::{Chunks, Header, describe};
use sctp::parameter::{self, ParameterType};
use sctp::{CloseReason, Config, SendError, SendOptions, Tsn, crc32c};
use tests::associations::{PORT, Scenario, Stage, State, UDP_PORT, address_of, config, encode};
use tests::netsim::{Carrier, address};
use tests::transcript::Side;

/// A chunk of that type, flags and value.
fn chunk(kind: ChunkType, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    chunk::put(&mut out, kind, flags, |out| out.extend_from_slice(value));
    out
}

/// What an end in that state answers to chunks from its peer.
fn answers(state: State, chunks: &[u8]) -> (Stage, Vec<String>) {
    let mut stage = Stage::at(state, 1);
    let victim = state.side();
    stage.poll(victim);
    stage.deliver(victim.other(), encode(stage.header(victim.other()), chunks));
    let answers = stage.poll(victim);
    let answers = answers.iter().map(|packet| describe(packet)).collect();
    (stage, answers)
}

/// An INIT with these parameters as they are.
fn init(parameters: &[u8]) -> Vec<u8> {
    let init = Init {
        initiate_tag: 0x0102_0304,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn::new(7),
        raw_parameters: parameters,
    };
    let mut out = Vec::new();
    init.encode(&mut out, ChunkType::INIT, |_| {});
    out
}

/// What a listener answers to chunks of a stranger without a tag.
fn answers_to_stranger(chunks: &[u8]) -> Vec<Vec<u8>> {
    let mut stage = Stage::at(State::Closed, 1);
    let header = Header {
        source_port: 4000,
        destination_port: PORT,
        tag: 0,
    };
    stage.deliver(Side::Client, encode(header, chunks));
    assert_eq!(stage.ends[1].endpoint_stats().associations, 0);
    let answers = stage.poll(Side::Server);
    answers.iter().map(|packet| packet.to_vec()).collect()
}

#[test]
fn sq3_a_parameter_that_does_not_fit_builds_nothing() {
    for length in [0_u16, 1, 2, 3, 9, 200, 65_535] {
        let mut bytes = ParameterType::IPV4_ADDRESS.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[192, 0, 2, 9]);
        let answers = answers_to_stranger(&init(&bytes));
        for answer in &answers {
            assert!(
                describe(answer).starts_with("ABORT"),
                "{}",
                describe(answer)
            );
        }
        assert!(answers.len() <= 1);
    }
}

#[test]
fn sq4_an_address_that_is_listed_twice_counts_once() {
    let second = address(51, 0).ip();
    let client = Config {
        addresses: vec![second, second],
        ..config(Side::Client)
    };
    let mut stage = Stage::new(client, config(Side::Server), 1);
    stage.connect();
    stage.exchange();
    let id = stage.ids[1].expect("it is connected");
    let stats = stage.ends[1].stats(id).expect("it is there");
    assert_eq!(stats.paths.len(), 2);
}

#[test]
fn se7_what_is_acknowledged_before_anything_came_is_the_initial_tsn_less_one() {
    let mut stage = Stage::new(config(Side::Client), config(Side::Server), 1);
    stage.connect();
    let mut first = None;
    for init in stage.poll(Side::Client) {
        stage.deliver(Side::Client, init);
    }
    for answer in stage.poll(Side::Server) {
        let raw = Chunks::of(&answer).next().and_then(Result::ok);
        if let Some(Ok(Chunk::InitAck(init))) = raw.map(Chunk::decode) {
            first = Some(init.initial_tsn);
        }
        stage.deliver(Side::Server, answer);
    }
    stage.exchange();
    stage.close(Side::Client);
    let shutdown = stage.poll(Side::Client).remove(0);
    let raw = Chunks::of(&shutdown).next().and_then(Result::ok);
    let Some(Ok(Chunk::Shutdown { cumulative })) = raw.map(Chunk::decode) else {
        panic!("{}", describe(&shutdown));
    };
    assert_eq!(Some(cumulative.plus(1)), first);
}

#[test]
fn se10_an_init_ack_that_nobody_waits_for_is_discarded() {
    let mut parameters = Vec::new();
    parameter::put(&mut parameters, ParameterType::STATE_COOKIE, |out| {
        out.extend_from_slice(&[7; 40]);
    });
    let mut init_ack = init(&parameters);
    init_ack[0] = ChunkType::INIT_ACK.0;
    for state in State::ALL {
        if matches!(state, State::Closed | State::CookieWait) {
            continue;
        }
        let (mut stage, answers) = answers(state, &init_ack);
        assert_eq!(answers, [""; 0], "{state:?}");
        stage.finish();
    }
}

#[test]
fn sf10_after_a_shutdown_nobody_sends() {
    for state in [
        State::ShutdownPending,
        State::ShutdownSent,
        State::ShutdownReceived,
        State::ShutdownAckSent,
    ] {
        let mut stage = Stage::at(state, 1);
        let end = usize::from(state.side() == Side::Server);
        let id = stage.ids[end].expect("it is there");
        let (now, how) = (stage.now, SendOptions::default());
        let sent = stage.ends[end].send(now, id, how, b"late"[..].into());
        assert_eq!(sent, Err(SendError::Closed), "{state:?}");
    }
}

#[test]
fn sz1_sz8_zero_checksums_are_neither_offered_nor_taken() {
    const ACCEPTABLE: u16 = 0x8001;
    let mut parameters = Vec::new();
    parameter::put(&mut parameters, ParameterType(ACCEPTABLE), |out| {
        out.extend_from_slice(&1_u32.to_be_bytes());
    });
    let answers = answers_to_stranger(&init(&parameters));
    let [answer] = &answers[..] else {
        panic!("{answers:?}");
    };
    let holds = |packet: &[u8]| packet.windows(2).any(|two| two == ACCEPTABLE.to_be_bytes());
    assert!(describe(answer).starts_with("INIT ACK"));
    assert!(!holds(&answer[..44]) && !describe(answer).contains("unknown"));
    // An association whose peer offered it takes no packet without a checksum.
    let mut stage = Stage::at(State::EstablishedServer, 1);
    let heartbeat = chunk(ChunkType::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4]);
    let mut packet = encode(stage.header(Side::Client), &heartbeat).to_vec();
    packet[8..12].fill(0);
    stage.deliver(Side::Client, packet.into());
    assert_eq!(stage.ends[1].endpoint_stats().wrong_checksums, 1);
    assert!(stage.poll(Side::Server).is_empty());
}

#[test]
fn su1_su6_su7_sz4_packets_in_udp() {
    for (carrier, most) in [(Carrier::Udp, 1472), (Carrier::Ip, 1480)] {
        let pair = Scenario::new(carrier, &[(0, 300_000)]).run(Duration::from_secs(60));
        assert!(pair.client.has_everything());
        let mut largest = 0;
        for (_, packet) in pair.network.trace().packets() {
            assert!(crc32c::is_right(packet));
            for raw in Chunks::of(packet).map_while(Result::ok) {
                if let Ok(Chunk::Init(init) | Chunk::InitAck(init)) = Chunk::decode(raw) {
                    let parameters = init.parameters(100).expect("it is well formed");
                    assert!(parameters.addresses.is_empty());
                }
                if raw.kind == ChunkType::I_DATA {
                    largest = largest.max(packet.len());
                }
            }
        }
        assert_eq!(largest, most, "{carrier:?}");
    }
}

#[test]
fn su2_su4_answers_go_to_the_udp_port_that_was_used() {
    let mut stage = Stage::at(State::Closed, 1);
    for (index, port) in (0..).zip([9899, 1024, 65_535]) {
        let mut from = address_of(Side::Client);
        from.set_port(port);
        for (chunks, tag) in [(init(&[]), 0), (chunk(ChunkType::COOKIE_ACK, 0, &[]), 1)] {
            let header = Header {
                source_port: 4000 + index,
                destination_port: PORT,
                tag,
            };
            stage.deliver_from(from, Side::Server, encode(header, &chunks));
        }
        let shutdown_ack = chunk(ChunkType::SHUTDOWN_ACK, 0, &[]);
        let header = Header {
            source_port: 4000 + index,
            destination_port: PORT,
            tag: 77,
        };
        stage.deliver_from(from, Side::Server, encode(header, &shutdown_ack));
        let mut answers = Vec::new();
        let mut out = Vec::new();
        while let Some(transmit) = stage.ends[1].poll_transmit(stage.now, 1472, &mut out) {
            assert_eq!(transmit.path.remote, from);
            answers.push(describe(&out));
            out.clear();
        }
        assert_eq!(answers.len(), 2, "{answers:?}");
        assert_eq!(answers[1], "SHUTDOWN COMPLETE T");
    }
}

#[test]
fn su9_neither_a_wrong_tag_nor_another_address_moves_the_peer() {
    let mut stage = Stage::at(State::EstablishedServer, 1);
    let id = stage.ids[1].expect("it is connected");
    let heartbeat = chunk(ChunkType::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4]);
    let right = stage.header(Side::Client);
    let wrong = Header {
        tag: right.tag ^ 1,
        ..right
    };
    let peer = |stage: &mut Stage| {
        let stats = stage.ends[1].stats(id).expect("it is there");
        (stats.paths.len(), stats.paths[0].path.remote)
    };
    let mut moved = address_of(Side::Client);
    moved.set_port(4321);
    stage.deliver_from(moved, Side::Server, encode(wrong, &heartbeat));
    assert_eq!(peer(&mut stage), (1, address_of(Side::Client)));
    let elsewhere = address(66, UDP_PORT);
    stage.deliver_from(elsewhere, Side::Server, encode(right, &heartbeat));
    assert_eq!(peer(&mut stage), (1, address_of(Side::Client)));
    // What does move it.
    stage.deliver_from(moved, Side::Server, encode(right, &heartbeat));
    assert_eq!(peer(&mut stage), (1, moved));
}

#[test]
fn si4_with_i_data_the_peer_gives_up_by_i_forward_tsn() {
    for (kind, interleaving, works) in [
        (ChunkType::I_FORWARD_TSN, true, true),
        (ChunkType::FORWARD_TSN, true, false),
        (ChunkType::FORWARD_TSN, false, true),
        (ChunkType::I_FORWARD_TSN, false, false),
    ] {
        let client = Config {
            interleaving,
            initial_tsn: Some(Tsn::new(1000)),
            ..config(Side::Client)
        };
        let mut stage = Stage::new(client, config(Side::Server), 1);
        stage.connect();
        stage.exchange();
        let forward = chunk(kind, 0, &1005_u32.to_be_bytes());
        let packet = encode(stage.header(Side::Client), &forward);
        stage.deliver(Side::Client, packet);
        let answers = stage.poll(Side::Server);
        let moved = answers
            .iter()
            .any(|answer| describe(answer).contains("SACK cum=1005"));
        assert_eq!(moved, works, "{kind} with interleaving {interleaving}");
    }
}

#[test]
fn so3_so5_what_is_not_ours_is_passed_over() {
    for kind in [ChunkType::AUTH, ChunkType::PAD, ChunkType::RE_CONFIG] {
        for state in [State::EstablishedClient, State::EstablishedServer] {
            let (mut stage, answers) = answers(state, &chunk(kind, 0, &[0, 0, 0, 1]));
            assert_eq!(answers, [""; 0], "{kind}");
            stage.send(state.side(), 0, 100);
            stage.exchange();
            let other = usize::from(state.side() == Side::Client);
            assert_eq!(stage.received[other], 100, "{kind}");
        }
    }
}

#[test]
fn so4_asconf_is_reported() {
    let asconf = chunk(
        ChunkType::ASCONF,
        0,
        &[0, 0, 0, 1, 0, 5, 0, 8, 192, 0, 2, 9],
    );
    let (_, answers) = answers(State::EstablishedServer, &asconf);
    let reported = format!("ERROR [{}]", CauseCode::UNRECOGNIZED_CHUNK);
    assert_eq!(answers, [reported]);
}

/// The INIT of Linux 6.1, as it was captured.
const LINUX_INIT: [u8; 44] = [
    1, 0, 0, 0x2c, 0x49, 0xe5, 7, 0x0c, 0, 1, 0xa0, 0, 0, 0x0a, 0xff, 0xff, 0x69, 0x86, 0xe9, 0x88,
    0, 0x0c, 0, 6, 0, 5, 0, 0, 0x80, 0, 0, 4, 0x80, 8, 0, 5, 0x40, 0, 0, 0, 0xc0, 0, 0, 4,
];

#[test]
fn sl1_sl12_an_init_of_linux_is_answered_with_what_both_have() {
    let answers = answers_to_stranger(&LINUX_INIT);
    let [answer] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert!(answer.len() <= 3 * 56, "{}", answer.len());
    let words = describe(answer);
    assert!(words.starts_with("INIT ACK"), "{words}");
    assert!(words.contains("forward-tsn i-data") && !words.contains("unknown"));
    // It offers 10 streams and takes 65,535.
    assert!(words.contains("streams=1024/"), "{words}");
}

#[test]
fn sl7_a_closed_port_of_linux_refuses_without_a_cause() {
    let (stage, answers) = answers(State::CookieWait, &chunk(ChunkType::ABORT, 0, &[]));
    assert_eq!(answers, [""; 0]);
    assert_eq!(stage.closed, [1, 0]);
    let pair = {
        let mut scenario = Scenario::new(Carrier::Udp, &[(0, 100)]);
        scenario.server.listen = None;
        scenario.run(Duration::from_secs(60))
    };
    assert!(matches!(
        pair.client.closed(),
        Some(CloseReason::AbortedByPeer(_))
    ));
}
