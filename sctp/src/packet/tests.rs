use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::cause::Cause;
use crate::chunk::{
    Chunk, ChunkType, Data, ForwardTsn, Init, Interleave, Sack, Skipped, put, put_empty,
};
use crate::tsn::{Mid, Tsn};

/// The packets of a capture: what follows the IP header (and the UDP header, if there is one).
fn capture(text: &str, skip: usize) -> Vec<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let hex = line.split(' ').nth(2).expect("seconds, TOS, hex");
            let digits = hex.as_bytes().chunks(2);
            let bytes = digits
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
            bytes.skip(skip).collect()
        })
        .collect()
}

macro_rules! captured {
    ($name:literal, $skip:literal) => {
        capture(
            include_str!(concat!("../../tests/data/sctp-", $name, ".hex")),
            $skip,
        )
    };
}

fn told(packets: &[Vec<u8>]) -> String {
    let lines = packets.iter().map(|packet| {
        let header = Header::decode(packet).unwrap();
        // The kernel leaves the checksum of its loopback packets at 0.
        let text = describe(packet).replace("[wrong checksum] ", "");
        format!(
            "{} -> {}: {text}\n",
            header.source_port, header.destination_port
        )
    });
    lines.collect()
}

#[test]
fn sp1_a_whole_exchange_of_two_kernels_is_read() {
    assert_snapshot!(told(&captured!("seed", 0)));
}

#[test]
fn sp3_a_packet_longer_than_the_mtu_is_read() {
    assert_snapshot!(told(&captured!("20k-mtu1500", 0)));
}

#[test]
fn si2_interleaved_fragments_are_read() {
    assert_snapshot!(told(&captured!("idata", 0)));
}

#[test]
fn so1_announced_extensions_are_read() {
    assert_snapshot!(told(&captured!("extensions", 0)));
    assert_snapshot!(told(&captured!("closed-port", 0)));
}

#[test]
fn sp5_checksums_of_a_kernel_are_right() {
    let packets = captured!("udp-encap", 8);
    assert!(packets.len() >= 10);
    for packet in &packets {
        assert!(crc32c::is_right(packet));
    }
    assert_snapshot!(told(&packets));
}

/// What is read and written again is the same bytes.
#[test]
fn sp2_chunks_of_a_kernel_are_written_as_it_wrote_them() {
    let mut seen = 0;
    let files = [
        captured!("seed", 0),
        captured!("20k-mtu1500", 0),
        captured!("idata", 0),
    ];
    for packet in files.iter().flatten() {
        let mut copy = packet[..12].to_vec();
        for raw in Chunks::of(packet) {
            let raw = raw.unwrap();
            match Chunk::decode(raw).unwrap() {
                Chunk::Data(data) => data.encode(&mut copy),
                Chunk::Init(init) | Chunk::InitAck(init) => {
                    init.encode(&mut copy, raw.kind, |_| {})
                }
                Chunk::Sack(sack) => {
                    let gaps: Vec<_> = sack.gaps().collect();
                    let duplicates: Vec<_> = sack.duplicates().collect();
                    Sack::encode(&mut copy, sack.cumulative, sack.a_rwnd, &gaps, &duplicates);
                }
                Chunk::Shutdown { cumulative } => {
                    crate::chunk::put_tsn(&mut copy, ChunkType::SHUTDOWN, cumulative)
                }
                _ => put(&mut copy, raw.kind, raw.flags, |out| {
                    out.extend_from_slice(raw.value());
                }),
            }
            seen += 1;
        }
        assert_eq!(copy, *packet);
    }
    assert!(seen > 40, "{seen}");
}

fn packet(chunks: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0];
    packet.extend_from_slice(chunks);
    packet
}

fn kinds(packet: &[u8]) -> Vec<Result<u8, DecodeError>> {
    Chunks::of(packet)
        .map(|raw| raw.map(|raw| raw.kind.0))
        .collect()
}

#[test]
fn sp3_a_length_past_the_packet_ends_it() {
    let bad = Err(DecodeError::ChunkLength);
    for length in 0..=3 {
        assert_eq!(
            kinds(&packet(&[11, 0, 0, 4, 14, 0, 0, length, 11, 0, 0, 4])),
            [Ok(11), bad]
        );
    }
    assert_eq!(kinds(&packet(&[11, 0, 0, 4, 8, 0, 0, 5])), [Ok(11), bad]);
    assert_eq!(kinds(&packet(&[11, 0, 0, 4, 8, 0])), [Ok(11), bad]);
    // The padding of the last chunk may be missing, that of others may not.
    assert_eq!(kinds(&packet(&[4, 0, 0, 5, 9])), [Ok(4)]);
    assert_eq!(
        kinds(&packet(&[4, 0, 0, 5, 9, 0, 0, 0, 11, 0, 0, 4])),
        [Ok(4), Ok(11)]
    );
}

#[test]
fn sp3_the_common_header_is_checked() {
    assert_eq!(Header::decode(&[0; 11]), Err(DecodeError::Truncated));
    assert_eq!(Header::decode(&[0; 12]), Err(DecodeError::PortZero));
    let half = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Header::decode(&half), Err(DecodeError::PortZero));
}

#[test]
fn sp1_what_to_do_with_an_unknown_chunk_is_in_its_type() {
    for (kind, skip, report) in [
        (0x3f, false, false),
        (0x7f, false, true),
        (0xbf, true, false),
        (0xff, true, true),
    ] {
        let bytes = packet(&[kind, 0, 0, 4]);
        let raw = Chunks::of(&bytes).next().unwrap().unwrap();
        match Chunk::decode(raw).unwrap() {
            Chunk::Unknown(_, when) => assert_eq!((when.skip, when.report), (skip, report)),
            other => panic!("{other:?}"),
        }
    }
}

fn decode(kind: u8, flags: u8, value: &[u8]) -> Result<(), DecodeError> {
    let mut bytes = packet(&[]);
    put(&mut bytes, ChunkType(kind), flags, |out| {
        out.extend_from_slice(value)
    });
    let raw = Chunks::of(&bytes).next().unwrap().unwrap();
    Chunk::decode(raw).map(|_| ())
}

#[test]
fn sp4_each_chunk_shorter_than_its_fixed_part_is_refused() {
    for (kind, fixed) in [
        (0, 12),
        (64, 16),
        (1, 16),
        (2, 16),
        (3, 12),
        (7, 4),
        (192, 4),
        (194, 4),
    ] {
        for length in 0..fixed {
            let value = vec![0; length];
            assert_eq!(
                decode(kind, 0, &value),
                Err(DecodeError::Truncated),
                "{kind} {length}"
            );
        }
    }
    assert_eq!(decode(0, 3, &[0; 12]), Err(DecodeError::NoUserData));
    assert_eq!(decode(64, 3, &[0; 16]), Err(DecodeError::NoUserData));
    assert_eq!(decode(0, 3, &[0; 13]), Ok(()));
    assert_eq!(decode(192, 0, &[0; 6]), Err(DecodeError::Length));
}

#[test]
fn sa1_a_sack_with_blocks_that_are_not_there_is_refused() {
    let mut value = vec![0; 12];
    value[8..10].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(decode(3, 0, &value), Err(DecodeError::Length));
    value[8..12].copy_from_slice(&[0, 1, 0, 1]);
    assert_eq!(decode(3, 0, &value), Err(DecodeError::Length));
    value.extend_from_slice(&[0; 8]);
    assert_eq!(decode(3, 0, &value), Ok(()));
}

#[test]
fn sr3_the_example_of_the_rfc() {
    // RFC 9260 §3.3.4: 10 to 12, 14, 15 and 17 arrived.
    let mut bytes = packet(&[]);
    Sack::encode(&mut bytes, Tsn::new(12), 4660, &[(2, 3), (5, 5)], &[]);
    assert_eq!(
        bytes[12..],
        [
            3, 0, 0, 24, 0, 0, 0, 12, 0, 0, 18, 52, 0, 2, 0, 0, 0, 2, 0, 3, 0, 5, 0, 5
        ]
    );
}

#[test]
fn sx1_forward_tsn_comes_in_two_forms() {
    let entry = |unordered| Skipped {
        stream: 3,
        unordered,
        message: Mid::new(0x0001_0005),
    };
    let mut bytes = packet(&[]);
    ForwardTsn::encode(&mut bytes, Tsn::new(9), false, &[entry(false)]);
    ForwardTsn::encode(&mut bytes, Tsn::new(9), true, &[entry(true)]);
    crc32c::write(&mut bytes);
    assert_eq!(
        describe(&bytes),
        "FORWARD TSN cum=9 3:5, I FORWARD TSN cum=9 3:65541"
    );
}

#[test]
fn sq5_values_that_an_init_may_not_have() {
    let good = Init {
        initiate_tag: 1,
        a_rwnd: 1500,
        outbound_streams: 1,
        inbound_streams: 1,
        initial_tsn: Tsn::new(0),
        raw_parameters: &[],
    };
    assert!(good.is_acceptable());
    assert!(
        !Init {
            a_rwnd: 1499,
            ..good
        }
        .is_acceptable()
    );
    assert!(
        !Init {
            outbound_streams: 0,
            ..good
        }
        .is_acceptable()
    );
    assert!(
        !Init {
            inbound_streams: 0,
            ..good
        }
        .is_acceptable()
    );
}

fn init(raw_parameters: &[u8]) -> Init<'_> {
    Init {
        initiate_tag: 1,
        a_rwnd: 1500,
        outbound_streams: 1,
        inbound_streams: 1,
        initial_tsn: Tsn::new(0),
        raw_parameters,
    }
}

#[test]
fn sq1_unknown_parameters_are_told_apart_by_their_high_bits() {
    use crate::chunk::ParameterError;
    // Skip, skip and report, stop and report; what is behind the last is not read.
    let list = [
        0x80, 0x77, 0, 4, 0xc0, 0x77, 0, 5, 1, 0, 0, 0, 0xc0, 0, 0, 4, 0x40, 0x77, 0, 4, 0, 5, 0,
        8, 1, 2, 3, 4,
    ];
    let found = init(&list).parameters(9).unwrap();
    assert_eq!(found.unrecognized, [&list[4..9], &list[16..20]]);
    assert!(found.extensions.forward_tsn);
    assert!(found.addresses.is_empty());
    // SQ3: lengths below 4 and past the end.
    for length in [0, 3, 9] {
        let list = [0x80, 0x77, 0, length, 0, 0, 0, 0];
        assert_eq!(
            init(&list).parameters(9),
            Err(ParameterError::Malformed),
            "{length}"
        );
    }
    assert_eq!(
        init(&[0, 5, 0, 6, 1, 2, 0, 0]).parameters(9),
        Err(ParameterError::Malformed)
    );
    assert_eq!(
        init(&[0, 11, 0, 6, 65, 0, 0, 0]).parameters(9),
        Err(ParameterError::HostName)
    );
    // Addresses beyond what was asked for are left out.
    let two = [0, 5, 0, 8, 1, 2, 3, 4, 0, 5, 0, 8, 1, 2, 3, 5];
    assert_eq!(init(&two).parameters(1).unwrap().addresses.len(), 1);
    assert_eq!(init(&two).parameters(9).unwrap().addresses.len(), 2);
}

#[test]
fn sq6_causes_are_written_as_they_are_read() {
    let mut bytes = packet(&[]);
    let unknown: &[u8] = &[0xff, 0, 0, 4];
    put(&mut bytes, ChunkType::ABORT, 1, |out| {
        for cause in [
            Cause::InvalidStream(9),
            Cause::MissingCookie,
            Cause::StaleCookie(7),
            Cause::OutOfResource,
            Cause::UnresolvableAddress,
            Cause::UnrecognizedChunk(unknown),
            Cause::UnrecognizedParameters(&[unknown]),
            Cause::NoUserData(Tsn::new(1)),
            Cause::ShuttingDown,
            Cause::NewAddresses,
            Cause::UserAbort(b"enough"),
            Cause::ProtocolViolation("no"),
        ] {
            cause.encode(out);
        }
    });
    put_empty(&mut bytes, ChunkType::COOKIE_ACK, 0);
    crc32c::write(&mut bytes);
    assert_snapshot!(describe(&bytes));
}

proptest! {
    #[test]
    fn sp3_any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = describe(&packet(&bytes));
        let _ = describe(&bytes);
    }

    #[test]
    fn sp4_data_is_read_as_it_was_written(
        tsn: u32, stream: u16, number: u32, flags in 0_u8..16, payload in prop::collection::vec(any::<u8>(), 1..50),
        interleaved: bool,
    ) {
        let begins = flags & 1 != 0;
        let data = Data {
            tsn: Tsn::new(tsn),
            stream,
            place: if interleaved {
                Interleave::Mid { mid: Mid::new(number), fsn: if begins { 0 } else { number } }
            } else {
                Interleave::Ssn(stream)
            },
            ppid: (begins || !interleaved).then_some(number),
            unordered: flags & 2 != 0,
            begins,
            ends: flags & 4 != 0,
            immediate: flags & 8 != 0,
            payload: &payload,
        };
        let mut bytes = packet(&[]);
        data.encode(&mut bytes);
        prop_assert!(bytes.len().is_multiple_of(4));
        let raw = Chunks::of(&bytes).next().unwrap().unwrap();
        prop_assert_eq!(Chunk::decode(raw), Ok(Chunk::Data(data)));
    }
}
