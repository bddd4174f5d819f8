//! What strangers send, and what peers send that mean harm: nothing dies of it, little is
//! answered, nothing is kept.

use std::time::Duration;

use dccp::packet::{
    AckVector, DccpOption, Feature, Kind, OptionWriter, PacketType, Reset, ResetCode, Side as Of,
};
use dccp::{CloseReason, Seq, ServiceCode};
use tests::link::Random;
use tests::netsim::{Carrier, Network, Node as _, address};
use tests::packets::{
    PORT, Pair, SERVICE, Scenario, Speech, Talker, config, encode, header, request_options, type_of,
};
use tests::transcript::Side;

/// A connection that has carried a few messages both ways and waits for more, in both carriers.
fn established() -> Vec<Pair> {
    [Carrier::Udp, Carrier::Ip]
        .map(|carrier| {
            let says = Speech {
                closes: false,
                ..Speech::of(20, 100)
            };
            let mut scenario = Scenario {
                client_says: says,
                ..Scenario::new(carrier, says)
            };
            // Lets nothing of its own disturb the counts.
            scenario.client.probe_mtu = false;
            scenario.server.probe_mtu = false;
            let mut pair = scenario.begin();
            pair.run(Duration::from_secs(5));
            assert_eq!((pair.client.received(), pair.server.received()), (20, 20));
            pair
        })
        .into()
}

/// The connection still carries what the client says.
fn assert_alive(mut pair: Pair, what: &str) {
    pair.run_for(Duration::from_secs(5));
    let before = pair.server.received();
    let now = pair.network.now();
    pair.client.say_more(now, 5);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.server.received(), before + 5, "after {what}");
    for talker in [&pair.client, &pair.server] {
        assert_eq!(talker.closed(), None, "after {what}");
    }
}

/// Options as bytes.
fn options(options: &[DccpOption<'_>]) -> Vec<u8> {
    let mut writer = OptionWriter::default();
    writer.reset(992);
    for option in options {
        assert!(writer.push(*option));
    }
    writer.bytes().to_vec()
}

/// A packet of each type but Request and Response, with this acknowledgement number.
fn kinds(ack: Seq) -> [Kind; 8] {
    let reset = Reset {
        code: ResetCode::ABORTED,
        data: [0; 3],
    };
    [
        Kind::Data,
        Kind::Ack { ack },
        Kind::DataAck { ack },
        Kind::CloseReq { ack },
        Kind::Close { ack },
        Kind::Reset { ack, reset },
        Kind::Sync { ack },
        Kind::SyncAck { ack },
    ]
}

#[test]
fn ds2_ds4_what_is_outside_the_windows_changes_nothing_and_brings_few_syncs() {
    for mut pair in established() {
        let mut random = Random::new(7);
        let before = pair.server.received();
        let begin = pair.network.elapsed();
        for _ in 0..2000 {
            let guess = Seq::new(random.next());
            for kind in kinds(Seq::new(random.next())) {
                pair.forge(Side::Client, kind, guess, &[], b"forged, not sent");
            }
            pair.run_for(Duration::from_millis(5));
        }
        assert_eq!(pair.server.received(), before, "nothing was delivered");
        let syncs = pair.count(Side::Server, PacketType::Sync);
        let seconds = (pair.network.elapsed() - begin).as_secs() as usize + 1;
        assert!(syncs > 0 && syncs <= 8 * seconds, "{syncs} in {seconds} s");
        assert_eq!(pair.count(Side::Server, PacketType::Reset), 0);
        assert_alive(pair, "2000 guesses of each type");
    }
}

#[test]
fn do4_forged_data_in_the_window_is_delivered_at_worst() {
    let bad = [
        options(&[
            DccpOption::Mandatory,
            DccpOption::Unknown {
                kind: 99,
                value: &[],
            },
        ]),
        options(&[DccpOption::Mandatory]),
        options(&[DccpOption::Change {
            side: Of::R,
            feature: Feature::CCID,
            value: &[77],
        }]),
        options(&[DccpOption::Confirm {
            side: Of::R,
            feature: Feature::CCID,
            value: &[],
        }]),
        options(&[DccpOption::AckVector(AckVector {
            nonce: true,
            cells: &[63; 200],
        })]),
        options(&[DccpOption::InitCookie(&[1; 200])]),
        options(&[DccpOption::DataDropped(&[0x90; 200])]),
        vec![44, 3, 1],
        vec![32, 1, 32, 255],
    ];
    for options in bad {
        for mut pair in established() {
            // Ahead of what the client is about to send.
            let next = pair.last_seq(Side::Client).plus(200);
            // A message as the talker knows them, so that it can be delivered.
            let data = pair.client.message(1000, 50);
            pair.forge(Side::Client, Kind::Data, next, &options, &data);
            pair.run_for(Duration::from_secs(1));
            assert_eq!(pair.count(Side::Server, PacketType::Reset), 0);
            assert_alive(pair, "forged data");
        }
    }
}

#[test]
fn ds3_a_sync_from_far_ahead_is_ignored_while_the_connection_is_active() {
    let mut pair = Scenario {
        client_says: Speech {
            pace: Duration::from_millis(10),
            messages: Some(1000),
            size: 100,
            closes: false,
        },
        ..Scenario::new(Carrier::Udp, Speech::NOTHING)
    }
    .begin();
    pair.run(Duration::from_secs(2));
    let answered = pair.count(Side::Server, PacketType::SyncAck);
    for step in 1..200 {
        let ack = pair.last_seq(Side::Server);
        let far = pair.last_seq(Side::Client).plus(1_000_000 * step);
        pair.forge(Side::Client, Kind::Sync { ack }, far, &[], &[]);
        pair.run_for(Duration::from_millis(10));
    }
    assert_eq!(pair.count(Side::Server, PacketType::SyncAck), answered);
    let before = pair.server.received();
    pair.run_for(Duration::from_secs(1));
    assert!(pair.server.received() > before + 90, "{:?}", pair.server);
}

#[test]
fn ds2_a_reset_with_an_old_number_is_answered_by_a_sync() {
    for mut pair in established() {
        let (ack, seq) = (pair.last_seq(Side::Server), pair.last_seq(Side::Client));
        let reset = Reset {
            code: ResetCode::CLOSED,
            data: [0; 3],
        };
        pair.forge(Side::Client, Kind::Reset { ack, reset }, seq, &[], &[]);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.count(Side::Server, PacketType::Sync), 1);
        assert_alive(pair, "an old Reset");
    }
}

#[test]
fn dd2_acknowledgements_of_what_was_never_sent_are_not_believed() {
    for mut pair in established() {
        let seq = pair.last_seq(Side::Client).plus(1);
        let ack = pair.last_seq(Side::Server).plus(100);
        let vector = options(&[DccpOption::AckVector(AckVector {
            nonce: false,
            cells: &[63; 50],
        })]);
        let before = pair.server.stats().expect("it is there").congestion;
        for _ in 0..100 {
            pair.forge(Side::Client, Kind::Ack { ack }, seq, &vector, &[]);
        }
        pair.run_for(Duration::from_millis(500));
        let after = pair.server.stats().expect("it is there").congestion;
        assert_eq!(before.cwnd, after.cwnd);
        assert_alive(pair, "acknowledgements of what was not sent");
    }
}

#[test]
fn dd2_one_packet_acknowledged_a_hundred_times_counts_once() {
    for mut pair in established() {
        let ack = pair.last_seq(Side::Server);
        let vector = options(&[DccpOption::AckVector(AckVector {
            nonce: false,
            cells: &[20; 1],
        })]);
        let before = pair.server.stats().expect("it is there").congestion;
        for _ in 0..100 {
            let seq = pair.last_seq(Side::Client).plus(1);
            pair.forge(Side::Client, Kind::Ack { ack }, seq, &vector, &[]);
        }
        pair.run_for(Duration::from_millis(500));
        let after = pair.server.stats().expect("it is there").congestion;
        // A nonce echo that happens to be wrong makes it smaller.
        assert!(after.cwnd <= before.cwnd, "{after:?}");
    }
}

#[test]
fn df11_a_bomb_of_options_is_answered_by_one_packet() {
    for mut pair in established() {
        let bomb: Vec<u8> = [32, 4, 3, 0].repeat(248);
        let seq = pair.last_seq(Side::Client).plus(1);
        let ack = pair.last_seq(Side::Server);
        let before = pair.network.pipe(Side::Server).stats();
        for later in 0..100 {
            pair.forge(Side::Client, Kind::Ack { ack }, seq.plus(later), &bomb, &[]);
        }
        pair.run_for(Duration::from_secs(1));
        let after = pair.network.pipe(Side::Server).stats();
        let (packets, bytes) = (
            after.sent - before.sent,
            after.sent_bytes - before.sent_bytes,
        );
        assert!(
            packets <= 100 && bytes <= 100 * 1020,
            "{packets} packets, {bytes} bytes"
        );
        assert_eq!(pair.count(Side::Server, PacketType::Reset), 0);
        assert_eq!(pair.server.closed(), None);
    }
}

#[test]
fn df11_a_sequence_window_beyond_the_limit_is_refused_and_one_below_allocates_nothing() {
    for (window, taken) in [(1u64 << 46, false), ((1 << 46) - 1, true), (31, false)] {
        for mut pair in established() {
            let seq = pair.last_seq(Side::Client).plus(1);
            let ack = pair.last_seq(Side::Server);
            let change = options(&[DccpOption::Change {
                side: Of::L,
                feature: Feature::SEQUENCE_WINDOW,
                value: &window.to_be_bytes()[2..],
            }]);
            pair.forge(Side::Client, Kind::Ack { ack }, seq, &change, &[]);
            pair.run_for(Duration::from_secs(1));
            let answer = pair.last_confirm(Side::Server, Feature::SEQUENCE_WINDOW);
            let value = answer.expect("each Change is confirmed");
            assert_eq!(value.is_empty(), !taken, "{window}");
            assert_eq!(pair.server.closed(), None);
        }
    }
}

#[test]
fn df2_the_greatest_ack_ratio_does_not_stop_acknowledgements() {
    let mut pair = Scenario::new(
        Carrier::Udp,
        Speech {
            messages: Some(100),
            size: 100,
            pace: Duration::from_millis(20),
            closes: true,
        },
    )
    .begin();
    pair.run(Duration::from_millis(500));
    let seq = pair.last_seq(Side::Server).plus(1);
    let ack = pair.last_seq(Side::Client);
    let change = options(&[DccpOption::Change {
        side: Of::L,
        feature: Feature::ACK_RATIO,
        value: &[255, 255],
    }]);
    pair.forge(Side::Server, Kind::Ack { ack }, seq, &change, &[]);
    pair.run_for(Duration::from_secs(60));
    // The one with the forged packet's number is lost to it.
    assert!(pair.client.received() >= 99, "{:?}", pair.server);
    assert_eq!(pair.server.closed(), Some(CloseReason::Graceful));
}

// --- strangers --------------------------------------------------------------------------------

/// A server that nobody is connected to, and what it answers to packets from strangers.
struct Besieged {
    network: Network,
    server: Talker,
    strangers: u16,
}

impl Besieged {
    fn new(change: impl FnOnce(&mut dccp::Config)) -> Self {
        let mut settings = config(Side::Server, Carrier::Udp);
        change(&mut settings);
        let pipe = tests::netsim::Config::default;
        let speech = Speech::of(1, 1000);
        Self {
            network: Network::new(Carrier::Udp, pipe(), pipe(), 1),
            server: Talker::new(2, Side::Server, Carrier::Udp, settings, 9, speech),
            strangers: 0,
        }
    }

    /// Sends a packet from a stranger's address, a new one each time.
    fn send(&mut self, mut with: dccp::packet::Header, options: &[u8], data: &[u8]) -> usize {
        self.strangers += 1;
        with.source_port = 1000 + self.strangers;
        let [high, low] = self.strangers.to_be_bytes();
        let from = (std::net::Ipv4Addr::new(198, 51, high, low), 6511).into();
        let packet = encode(Carrier::Udp, from, address(2, 0), &with, options, data);
        let (to, length) = (self.server.address(), packet.len());
        self.network
            .forge(Duration::ZERO, from, to, Side::Server, packet);
        length
    }

    fn run_for(&mut self, time: Duration) {
        let limit = self.network.elapsed() + time;
        self.network.run(&mut [&mut self.server], limit);
    }

    fn answers(&self, kind: PacketType) -> usize {
        let packets = self.network.trace().packets();
        packets
            .filter(|(_, packet)| type_of(packet) == Some(kind))
            .count()
    }
}

fn request(service: ServiceCode) -> Kind {
    Kind::Request { service }
}

#[test]
fn dr2_a_reset_from_a_stranger_is_not_answered() {
    let mut besieged = Besieged::new(|_| {});
    for code in 0..=255 {
        let reset = Reset {
            code: ResetCode(code),
            data: [0; 3],
        };
        let ack = Seq::new(5);
        besieged.send(header(Kind::Reset { ack, reset }, Seq::new(7)), &[], &[]);
    }
    besieged.run_for(Duration::from_secs(1));
    assert_eq!(besieged.network.trace().packet_count(), 0);
}

#[test]
fn dr1_dr4_other_packets_from_strangers_get_so_many_resets_a_second() {
    let mut besieged = Besieged::new(|config| config.resets_per_second = 100);
    for round in 0..10 {
        for _ in 0..100 {
            for kind in kinds(Seq::new(11)) {
                besieged.send(header(kind, Seq::new(500 + round)), &[], b"data");
            }
        }
        besieged.run_for(Duration::from_millis(100));
    }
    let resets = besieged.answers(PacketType::Reset);
    assert!((90..=210).contains(&resets), "{resets} in a second");
    assert_eq!(besieged.network.trace().packet_count(), resets as u64);
}

#[test]
fn dv3_dr4_requests_for_other_services_and_ports_are_refused() {
    for (service, port, code) in [
        (ServiceCode(77), PORT, ResetCode::BAD_SERVICE_CODE),
        (ServiceCode::INVALID, PORT, ResetCode::BAD_SERVICE_CODE),
        (SERVICE, PORT + 1, ResetCode::CONNECTION_REFUSED),
    ] {
        let mut besieged = Besieged::new(|_| {});
        let with = dccp::packet::Header {
            destination_port: port,
            ..header(request(service), Seq::new(5))
        };
        besieged.send(with, &[], &[]);
        besieged.run_for(Duration::from_secs(1));
        let mut packets = besieged.network.trace().packets();
        let (_, packet) = packets.next().expect("it is answered");
        let packet = dccp::packet::Packet::decode(packet, &dccp::packet::Checksum::Unused)
            .expect("a packet");
        match packet.header.kind {
            Kind::Reset { reset, ack } => {
                assert_eq!((reset.code, ack), (code, Seq::new(5)));
            }
            other => panic!("{other:?}"),
        }
        assert!(packets.next().is_none());
    }
}

#[test]
fn dh1_dh2_dh3_what_is_no_packet_is_not_answered() {
    let mut besieged = Besieged::new(|_| {});
    let mut random = Random::new(3);
    let good = encode(
        Carrier::Udp,
        address(1, 0),
        address(2, 0),
        &header(request(SERVICE), Seq::new(5)),
        &[],
        &[],
    );
    let from = address(1, 6511);
    let send = |network: &mut Network, bytes: Vec<u8>| {
        network.forge(
            Duration::ZERO,
            from,
            address(2, 6511),
            Side::Server,
            bytes.into(),
        );
    };
    for length in 0..good.len() {
        send(&mut besieged.network, good[..length].to_vec());
    }
    for kind in 11..=15 {
        let mut packet = good.to_vec();
        packet[8] = kind << 1 | 1;
        send(&mut besieged.network, packet);
    }
    for offset in (0..5).chain(6..=255) {
        let mut packet = good.to_vec();
        packet[4] = offset;
        send(&mut besieged.network, packet);
    }
    let mut short = good.to_vec();
    short[8] &= !1;
    send(&mut besieged.network, short);
    let mut coverage = good.to_vec();
    coverage[5] = 5;
    send(&mut besieged.network, coverage);
    for _ in 0..1000 {
        // Too short for any type.
        let noise = tests::pair::noise(random.next(), random.within(1..12) as usize);
        send(&mut besieged.network, noise.to_vec());
    }
    besieged.run_for(Duration::from_secs(1));
    assert_eq!(besieged.network.trace().packet_count(), 0);
}

#[test]
fn di2_a_flood_of_requests_is_answered_with_less_than_three_times_its_bytes() {
    let mut table = String::new();
    for (name, cookies_above) in [
        ("Init Cookies", 0),
        ("no Init Cookies", usize::MAX),
        ("as set", 128),
    ] {
        let mut besieged = Besieged::new(|config| config.cookies_above = cookies_above);
        let mut requests = 0;
        for round in 0..200 {
            for _ in 0..50 {
                let with = header(request(SERVICE), Seq::new(round));
                let length = besieged.send(with, &request_options(), &[]);
                requests += length as u64;
            }
            besieged.run_for(Duration::from_millis(100));
        }
        assert_eq!(besieged.server.connected(), 0);
        // With the headers of UDP and IP, as a victim counts.
        let stats = besieged.network.pipe(Side::Server).stats();
        let (sent, got) = (stats.sent_bytes + 28 * stats.sent, requests + 28 * 10_000);
        let factor = sent as f64 / got as f64;
        table += &format!(
            "{name}: {} packets for 10000, {factor:.2} times the bytes\n",
            stats.sent
        );
        assert!(stats.sent <= 10_000, "{table}");
        assert!(stats.sent_bytes <= 3 * requests, "{table}");
        assert!(stats.sent > 100, "{table}");
    }
    println!("{table}");
}

#[test]
fn ds9_numbers_and_ports_of_two_connections_have_nothing_in_common() {
    let mut numbers = Vec::new();
    let mut ports = Vec::new();
    let mut client = Talker::new(
        1,
        Side::Client,
        Carrier::Udp,
        config(Side::Client, Carrier::Udp),
        3,
        Speech::NOTHING,
    );
    let pipe = tests::netsim::Config::default;
    let mut network = Network::new(Carrier::Udp, pipe(), pipe(), 1);
    for index in 10..74 {
        client.connect(network.now(), index);
    }
    network.run(&mut [&mut client], Duration::from_millis(500));
    for (_, packet) in network.trace().packets() {
        let packet = dccp::packet::Packet::decode(packet, &dccp::packet::Checksum::Unused)
            .expect("a packet");
        numbers.push(packet.header.seq.get());
        ports.push(packet.header.source_port);
    }
    assert_eq!(numbers.len(), 64);
    // Each of the 48 bits is set in about half of them; in less than 12 or more than 52 of 64 once
    // in ten million times.
    for bit in 0..48 {
        let set = numbers
            .iter()
            .filter(|number| *number >> bit & 1 == 1)
            .count();
        assert!((12..=52).contains(&set), "bit {bit} is set in {set} of 64");
    }
    let increments: std::collections::BTreeSet<u16> = ports
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    assert!(increments.len() > 48, "ports {ports:?}");
}

#[test]
fn di3_a_cookie_that_is_not_ours_makes_no_connection() {
    let mut besieged = Besieged::new(|config| config.cookies_above = 0);
    for length in [1, 16, 60, 120, 253] {
        for kind in [
            Kind::Ack { ack: Seq::new(9) },
            Kind::DataAck { ack: Seq::new(9) },
        ] {
            let cookie = tests::pair::noise(length, length as usize);
            let options = options(&[DccpOption::InitCookie(&cookie)]);
            besieged.send(header(kind, Seq::new(100)), &options, b"");
        }
    }
    besieged.run_for(Duration::from_secs(1));
    assert_eq!(besieged.server.connected(), 0);
    assert_eq!(besieged.answers(PacketType::Response), 0);
}

#[test]
fn di1_di2_a_connection_comes_about_by_a_cookie_alone() {
    let mut scenario = Scenario::new(Carrier::Udp, Speech::of(10, 1000));
    scenario.server.cookies_above = 0;
    let pair = scenario.run(Duration::from_secs(60));
    assert_eq!(pair.client.received(), 10);
    assert_eq!(pair.client.closed(), Some(CloseReason::Graceful));
    insta::assert_snapshot!(pair.ladder());
}
