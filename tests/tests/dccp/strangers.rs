//! What comes from addresses that nobody is connected to: little is answered, nothing is kept.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use dccp::packet::{Checksum, DccpOption, Header, Kind, Packet, PacketType, Reset, ResetCode};
use dccp::{Config, Seq, ServiceCode};
use tests::link::Random;
use tests::netsim::{self, Carrier, Line, Network, Node as _, address};
use tests::packets::{
    PORT, SERVICE, Speech, Talker, config, encode, header, request_options, type_of,
};
use tests::pair::noise;
use tests::transcript::Side;

use super::hostile::{kinds, options};

/// A server that nobody is connected to, and what it answers to packets from strangers.
struct Besieged {
    network: Network,
    server: Talker,
    strangers: u16,
}

impl Besieged {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut settings = config(Side::Server, Carrier::Udp);
        change(&mut settings);
        let pipe = netsim::Config::default;
        let speech = Speech::of(1, 1000);
        Self {
            network: Network::new(Carrier::Udp, pipe(), pipe(), 1),
            server: Talker::new(2, Side::Server, Carrier::Udp, settings, 9, speech),
            strangers: 0,
        }
    }

    /// Sends a packet from a stranger's address, a new one each time.
    fn send(&mut self, mut with: Header, options: &[u8], data: &[u8]) -> usize {
        self.strangers += 1;
        with.source_port = 1000 + self.strangers;
        let [high, low] = self.strangers.to_be_bytes();
        let from = (Ipv4Addr::new(198, 51, high, low), 6511).into();
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
        let with = Header {
            destination_port: port,
            ..header(request(service), Seq::new(5))
        };
        besieged.send(with, &[], &[]);
        besieged.run_for(Duration::from_secs(1));
        let mut packets = besieged.network.trace().packets();
        let (_, packet) = packets.next().expect("it is answered");
        let packet = Packet::decode(packet, &Checksum::Unused).expect("a packet");
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
fn dh1_dh2_dh3_du2_what_is_no_packet_is_not_answered() {
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
        let noise = noise(random.next(), random.within(1..12) as usize);
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
        let _ = writeln!(
            table,
            "{name}: {} packets for 10000, {factor:.2} times the bytes",
            stats.sent
        );
        assert!(stats.sent <= 10_000, "{table}");
        assert!(stats.sent_bytes <= 3 * requests, "{table}");
        assert!(stats.sent > 100, "{table}");
    }
    insta::assert_snapshot!(table);
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
    let pipe = netsim::Config::default;
    let mut network = Network::new(Carrier::Udp, pipe(), pipe(), 1);
    for index in 10..74 {
        client.connect(network.now(), index);
    }
    network.run(&mut [&mut client], Duration::from_millis(500));
    for (_, packet) in network.trace().packets() {
        let packet = Packet::decode(packet, &Checksum::Unused).expect("a packet");
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
    let increments: BTreeSet<u16> = ports
        .windows(2)
        .map(|pair| pair[1].wrapping_sub(pair[0]))
        .collect();
    assert!(increments.len() > 48, "ports {ports:?}");
}

#[test]
fn di4_without_cookies_a_table_of_limited_size_takes_requests() {
    let mut besieged = Besieged::new(|config| {
        config.half_open = 4;
        config.cookies_above = usize::MAX;
    });
    for _ in 0..10 {
        besieged.send(
            header(request(SERVICE), Seq::new(5)),
            &request_options(),
            &[],
        );
    }
    besieged.run_for(Duration::from_secs(1));
    assert_eq!(besieged.answers(PacketType::Response), 4);
    assert_eq!(besieged.answers(PacketType::Reset), 6);
    // They are forgotten in time.
    besieged.run_for(Duration::from_secs(40));
    besieged.send(
        header(request(SERVICE), Seq::new(5)),
        &request_options(),
        &[],
    );
    besieged.run_for(Duration::from_secs(1));
    assert_eq!(besieged.answers(PacketType::Response), 5);
}

#[test]
fn du4_a_server_answers_to_the_port_that_a_packet_came_from() {
    let mut besieged = Besieged::new(|_| {});
    for port in [1, 6511, 40_000, 65_535] {
        let from = (Ipv4Addr::new(198, 51, 100, 7), port).into();
        let with = Header {
            source_port: port,
            ..header(request(SERVICE), Seq::new(5))
        };
        let packet = encode(
            Carrier::Udp,
            from,
            address(2, 0),
            &with,
            &request_options(),
            &[],
        );
        let to = besieged.server.address();
        besieged
            .network
            .forge(Duration::ZERO, from, to, Side::Server, packet);
        besieged.run_for(Duration::from_millis(10));
        let last = besieged.network.trace().entries().last();
        let last = last.map(|entry| &entry.line);
        assert!(
            matches!(last, Some(Line::Packet { destination, .. }) if *destination == from),
            "{last:?}"
        );
    }
}

#[test]
fn di3_a_cookie_that_is_not_ours_makes_no_connection() {
    let mut besieged = Besieged::new(|config| config.cookies_above = 0);
    for length in [1, 16, 60, 120, 253] {
        for kind in [
            Kind::Ack { ack: Seq::new(9) },
            Kind::DataAck { ack: Seq::new(9) },
        ] {
            let cookie = noise(length, length as usize);
            let options = options(&[DccpOption::InitCookie(&cookie)]);
            besieged.send(header(kind, Seq::new(100)), &options, b"");
        }
    }
    besieged.run_for(Duration::from_secs(1));
    assert_eq!(besieged.server.connected(), 0);
    assert_eq!(besieged.answers(PacketType::Response), 0);
}
