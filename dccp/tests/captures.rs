//! Packets that Linux 6.1 sent: read, compared with what another decoder said of them, and written
//! again byte for byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use dccp::packet::{Checksum, DccpOption, Kind, OptionWriter, Options, Packet};

/// Each capture: before every packet a line in words, then its time, TOS and bytes. The bytes
/// are those of IP protocol 33 between 127.0.0.1 and itself.
const CAPTURES: [(&str, &str); 7] = [
    ("seed", include_str!("data/captures/seed.hex")),
    ("8-bodies", include_str!("data/captures/8-bodies.hex")),
    (
        "client-closes",
        include_str!("data/captures/client-closes.hex"),
    ),
    (
        "server-timewait",
        include_str!("data/captures/server-timewait.hex"),
    ),
    (
        "abort-unread",
        include_str!("data/captures/abort-unread.hex"),
    ),
    ("closed-port", include_str!("data/captures/closed-port.hex")),
    ("bad-service", include_str!("data/captures/bad-service.hex")),
];

const LOOPBACK: Checksum = Checksum::Ip {
    source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
};

/// Calls `look` with the name of the capture, the words and the bytes of every packet.
fn for_each_packet(mut look: impl FnMut(&str, &str, &[u8])) {
    for (name, text) in CAPTURES {
        let mut words = "";
        let mut packets = 0;
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                words = comment;
            } else if let Some(hex) = line.split(' ').nth(2) {
                look(name, words, &bytes(hex));
                packets += 1;
            }
        }
        assert!(packets >= 2, "{name} holds packets");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The beginning of a packet's line in words, as it must be for this packet.
fn expected_words(packet: &Packet<'_>) -> String {
    let header = packet.header;
    let mut words = format!(
        "{}->{} {} X={} ccval={} cscov={} off={} seq={}",
        header.source_port,
        header.destination_port,
        header.kind.packet_type(),
        u8::from(!header.short),
        header.ccval,
        header.cscov,
        packet.data_offset / 4,
        header.seq
    );
    if let Some(ack) = header.kind.ack() {
        write!(words, " ack={ack}").unwrap();
    }
    if let Kind::Request { service } | Kind::Response { service, .. } = header.kind {
        write!(words, " svc={:08x}", service.0).unwrap();
    }
    if let Kind::Reset { reset, .. } = header.kind {
        let [one, two, three] = reset.data;
        write!(
            words,
            " code={} data={one:02x}{two:02x}{three:02x}",
            reset.code.0
        )
        .unwrap();
    }
    words
}

#[test]
fn every_packet_is_read_as_another_decoder_read_it() {
    for_each_packet(|name, words, bytes| {
        let packet = Packet::decode(bytes, &LOOPBACK).unwrap();
        let expected = expected_words(&packet);
        assert!(
            words.starts_with(&format!("{expected} ")),
            "{name}: {words}\nread as {expected}"
        );
        let options = packet.data_offset - packet.header.kind.fixed_len();
        let length = format!("opts[{options}]");
        assert!(words.contains(&length), "{name}: {words}");
        if let Some((_, length)) = words.rsplit_once(" data=")
            && let Ok(length) = length.parse::<usize>()
        {
            assert_eq!(packet.data.len(), length, "{name}: {words}");
        }
    });
}

#[test]
fn every_packet_is_written_again_byte_for_byte() {
    let mut writer = OptionWriter::default();
    for_each_packet(|name, words, bytes| {
        let packet = Packet::decode(bytes, &LOOPBACK).unwrap();
        let area = &bytes[packet.header.kind.fixed_len()..packet.data_offset];
        let mut again = Vec::new();
        packet.header.encode(area, &mut again);
        again.extend_from_slice(packet.data);
        LOOPBACK.seal(&mut again);
        assert_eq!(again, bytes, "{name}: {words}");

        // The options one by one; Linux pads in front, this writer leaves that to the header.
        writer.reset(1000);
        for option in packet.options {
            assert!(writer.push(option), "{name}: {option}");
        }
        let padding = area.iter().take_while(|&&byte| byte == 0).count();
        assert_eq!(writer.bytes(), &area[padding..], "{name}: {words}");
    });
}

#[test]
fn every_flipped_bit_is_found_out() {
    for_each_packet(|name, words, bytes| {
        let mut bytes = bytes.to_vec();
        for index in 0..bytes.len() {
            bytes[index] ^= 0x10;
            assert!(
                Packet::decode(&bytes, &LOOPBACK).is_err(),
                "{name}: byte {index} of {words}"
            );
            bytes[index] ^= 0x10;
        }
    });
}

/// The handshake in words: which options Linux puts on Request, Response and first Ack.
#[test]
fn dl_the_options_of_a_linux_handshake() {
    let handshake: Vec<String> = CAPTURES[0]
        .1
        .lines()
        .filter_map(|line| line.split(' ').nth(2).filter(|_| !line.starts_with('#')))
        .take(3)
        .map(|hex| Packet::decode(&bytes(hex), &LOOPBACK).unwrap().to_string())
        .collect();
    let expected = [
        "Request(seq 42757875434466, SC=16777216) [Timestamp, Change L(CCID 2), Change R(CCID 2), \
         Mandatory Change L(Allow Short Seqnos 0), Mandatory Change L(ECN Incapable 1), \
         Mandatory Change R(Send Ack Vector 1), Mandatory Change L(Send Ack Vector 1)]",
        "Response(seq 198349669424490, ack 42757875434466, SC=16777216) [Timestamp Echo, \
         Timestamp, Confirm L(CCID 2, 2), Confirm R(CCID 2, 2), \
         Mandatory Change L(Allow Short Seqnos 0), Confirm R(Allow Short Seqnos 0, 0), \
         Mandatory Change L(ECN Incapable 1), Confirm R(ECN Incapable 1, 1), \
         Mandatory Change R(Send Ack Vector 1), Mandatory Change L(Send Ack Vector 1)]",
        "Ack(seq 42757875434467, ack 198349669424490) [Timestamp Echo, \
         Confirm R(Allow Short Seqnos 0, 0), Confirm R(ECN Incapable 1, 1), \
         Confirm R(Send Ack Vector 1, 1), Confirm L(Send Ack Vector 1, 1)]",
    ];
    assert_eq!(handshake, expected);
}

/// One packet over IPv6, whose pseudoheader is another.
#[test]
fn dc2_a_packet_in_ipv6() {
    let checksum = Checksum::Ip {
        source: "3ffe::1".parse().unwrap(),
        destination: "3ffe::2".parse().unwrap(),
    };
    let bytes = bytes("d6f013890800d538010000005cf6f10300000000200405022204010220040102");
    let packet = Packet::decode(&bytes, &checksum).unwrap();
    assert_eq!(
        packet.to_string(),
        "Request(seq 1559687427, SC=0) [Change L(Ack Ratio 2), Change R(CCID 2), Change L(CCID 2)]"
    );
    assert!(Packet::decode(&bytes, &LOOPBACK).is_err());
}

#[test]
fn options_of_the_captures_are_all_understood() {
    for_each_packet(|name, words, bytes| {
        let packet = Packet::decode(bytes, &LOOPBACK).unwrap();
        let on: Result<Vec<_>, _> = packet
            .options
            .on(packet.header.kind.packet_type())
            .collect();
        let on = on.unwrap_or_else(|reset| panic!("{name}: {words}: {reset}"));
        let plain = packet
            .options
            .filter(|option| *option != DccpOption::Mandatory)
            .count();
        assert_eq!(on.len(), plain, "{name}: {words}");
        assert!(Options::new(&[]).is_empty());
    });
}
