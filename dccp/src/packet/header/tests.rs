use proptest::prelude::*;

use super::*;

const SEQ: Seq = Seq::new(0x0102_0304_0506);
const ACK: Seq = Seq::new(0xf1f2_f3f4_f5f6);
const SERVICE: ServiceCode = ServiceCode(0x3f48_5450);

fn kinds() -> [Kind; 11] {
    let reset = Reset {
        code: ResetCode::MANDATORY_ERROR,
        data: [32, 4, 1],
    };
    [
        Kind::Request { service: SERVICE },
        Kind::Response {
            ack: ACK,
            service: SERVICE,
        },
        Kind::Data,
        Kind::Ack { ack: ACK },
        Kind::DataAck { ack: ACK },
        Kind::CloseReq { ack: ACK },
        Kind::Close { ack: ACK },
        Kind::Reset { ack: ACK, reset },
        Kind::Sync { ack: ACK },
        Kind::SyncAck { ack: ACK },
        Kind::Listen { service: SERVICE },
    ]
}

fn header(kind: Kind) -> Header {
    Header {
        source_port: 0xa1a2,
        destination_port: 0xb1b2,
        ccval: 9,
        cscov: 0,
        short: false,
        seq: SEQ,
        kind,
    }
}

fn encoded(kind: Kind, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    header(kind).encode(options, &mut out);
    out.extend_from_slice(data);
    out
}

fn decode(bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    Packet::decode(bytes, &Checksum::Unused)
}

#[test]
fn each_type_has_its_number_and_fixed_length() {
    let lengths = [20, 28, 16, 24, 24, 24, 24, 28, 24, 24, 20];
    for ((kind, length), number) in kinds().iter().zip(lengths).zip(0..) {
        let packet_type = kind.packet_type();
        assert_eq!(packet_type.number(), number);
        assert_eq!(PacketType::from_number(number), Some(packet_type));
        assert_eq!(PacketType::ALL[usize::from(number)], packet_type);
        assert_eq!(kind.fixed_len(), length);
        assert_eq!(kind.ack().is_some(), packet_type.has_ack());
        assert_eq!(encoded(*kind, &[], &[]).len(), length);
    }
}

#[test]
fn the_bytes_of_a_response() {
    let bytes = encoded(
        Kind::Response {
            ack: ACK,
            service: SERVICE,
        },
        &[2, 2, 2],
        b"data",
    );
    let expected = [
        0xa1, 0xa2, 0xb1, 0xb2, // ports
        8, 0x90, 0, 0, // Data Offset, CCVal and CsCov, Checksum
        0x03, 0, 1, 2, 3, 4, 5, 6, // type 1 with X, reserved, sequence number
        0, 0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, // reserved, acknowledgement number
        0x3f, 0x48, 0x54, 0x50, // service code
        2, 2, 2, 0, // options, padded
        b'd', b'a', b't', b'a',
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn every_type_is_read_as_it_was_written() {
    for kind in kinds() {
        for options in [&[][..], &[2], &[41, 6, 1, 2, 3, 4]] {
            let bytes = encoded(kind, options, b"some data");
            let packet = decode(&bytes).unwrap();
            assert_eq!(packet.header, header(kind));
            assert_eq!(packet.data, b"some data");
            assert_eq!(packet.data_offset, bytes.len() - 9);
            assert_eq!(packet.options.count(), usize::from(!options.is_empty()));
        }
    }
}

#[test]
fn short_numbers_are_read() {
    let data = [0xa1, 0xa2, 0xb1, 0xb2, 3, 0x90, 0, 0, 2 << 1, 4, 5, 6, b'x'];
    let packet = decode(&data).unwrap();
    assert!(packet.header.short);
    assert_eq!(packet.header.seq, Seq::new(0x04_0506));
    assert_eq!(packet.header.kind, Kind::Data);
    assert_eq!(packet.data, b"x");

    for (number, kind) in [
        (
            3,
            Kind::Ack {
                ack: Seq::new(0xf4_f5f6),
            },
        ),
        (
            4,
            Kind::DataAck {
                ack: Seq::new(0xf4_f5f6),
            },
        ),
    ] {
        // A reserved byte before the acknowledgement number is not part of it.
        let ack = [
            0xa1,
            0xa2,
            0xb1,
            0xb2,
            5,
            0,
            0,
            0,
            number << 1,
            4,
            5,
            6,
            0xee,
            0xf4,
            0xf5,
            0xf6,
            2,
            0,
            0,
            0,
            b'y',
        ];
        let packet = decode(&ack).unwrap();
        assert!(packet.header.short);
        assert_eq!(packet.header.seq, Seq::new(0x04_0506));
        assert_eq!(packet.header.kind, kind);
        assert_eq!(packet.options.count(), 1);
        assert_eq!(packet.data, b"y");
        assert_eq!(decode(&ack[..16]).unwrap_err(), DecodeError::Length);
    }
}

#[test]
fn dh1_reserved_types_are_an_error() {
    let mut bytes = encoded(Kind::Data, &[], &[]);
    for number in 11..16 {
        bytes[8] = number << 1 | 1;
        assert_eq!(decode(&bytes).unwrap_err(), DecodeError::Type);
    }
}

#[test]
fn dh2_data_offset_is_neither_too_small_nor_past_the_end() {
    for kind in kinds() {
        let mut bytes = encoded(kind, &[], &[0; 8]);
        let words = bytes[4];
        for offset in 0..=u8::MAX {
            bytes[4] = offset;
            let fits = (words..=words + 2).contains(&offset);
            let result = decode(&bytes).map(|packet| packet.data_offset);
            let expected = if fits {
                Ok(usize::from(offset) * 4)
            } else {
                Err(DecodeError::Length)
            };
            assert_eq!(result, expected, "{kind:?}, Data Offset {offset}");
        }
    }
}

#[test]
fn dh2_every_cut_is_an_error() {
    for kind in kinds() {
        let bytes = encoded(kind, &[44, 6, 1, 2, 3, 4], &[]);
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]).unwrap_err(), DecodeError::Length);
        }
        assert!(decode(&bytes).is_ok());
    }
}

#[test]
fn dh3_types_other_than_data_ack_and_data_ack_have_long_numbers() {
    for kind in kinds() {
        let mut bytes = encoded(kind, &[], &[]);
        bytes[8] &= !1;
        let refused = decode(&bytes).err() == Some(DecodeError::ShortSeq);
        assert_eq!(refused, !kind.packet_type().may_be_short(), "{kind:?}");
    }
}

#[test]
fn dh4_reserved_bits_change_nothing() {
    for kind in kinds() {
        let mut bytes = encoded(kind, &[], b"data");
        bytes[8] |= 0xe0;
        bytes[9] = 0xff;
        if kind.ack().is_some() {
            bytes[16..18].fill(0xff);
        }
        assert_eq!(decode(&bytes).unwrap().header, header(kind));
    }
}

#[test]
fn dh8_a_data_area_is_no_error_on_any_type() {
    for kind in kinds() {
        let bytes = encoded(kind, &[], &[7; 1000]);
        assert_eq!(decode(&bytes).unwrap().data, [7; 1000]);
    }
    let with_data: Vec<_> = PacketType::ALL
        .into_iter()
        .filter(|packet_type| packet_type.has_data())
        .collect();
    let expected = [
        PacketType::Request,
        PacketType::Response,
        PacketType::Data,
        PacketType::DataAck,
    ];
    assert_eq!(with_data, expected);
}

#[test]
fn do6_options_are_padded_to_whole_words() {
    for length in 0..12 {
        let options = vec![2; length];
        let bytes = encoded(Kind::Data, &options, &[]);
        assert_eq!(bytes.len(), (16 + length).next_multiple_of(4));
        assert_eq!(usize::from(bytes[4]) * 4, bytes.len());
        assert!(bytes[16 + length..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn do8_the_longest_option_area_can_be_written_and_read() {
    for kind in kinds() {
        let options = vec![2; kind.max_options_len()];
        let bytes = encoded(kind, &options, b"x");
        assert_eq!(bytes[4], 255);
        let packet = decode(&bytes).unwrap();
        assert_eq!(packet.data, b"x");
        assert_eq!(packet.options.count(), options.len());
    }
}

#[test]
fn ccval_and_cscov_do_not_mix() {
    for (ccval, cscov) in [(15, 0), (0, 1), (15, 1), (5, 1)] {
        let mut out = Vec::new();
        Header {
            ccval,
            cscov,
            ..header(Kind::Data)
        }
        .encode(&[], &mut out);
        assert_eq!(out[5], ccval << 4 | cscov);
        let read = decode(&out).unwrap().header;
        assert_eq!((read.ccval, read.cscov), (ccval, cscov));
    }
}

/// Bytes that look like a packet often enough to get past the first checks.
fn bytes_of_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let fields = (any::<[u8; 12]>(), 0..16u8, any::<bool>(), 3..12u8, 0..16u8);
    (fields, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(fields, rest)| {
        let (mut bytes, number, long, offset, coverage) = fields;
        bytes[4] = offset;
        // Mostly full coverage.
        bytes[5] = bytes[5] & 0xf0 | coverage.saturating_sub(10);
        bytes[8] = bytes[8] & 0xe0 | number << 1 | u8::from(long);
        [&bytes[..], &rest].concat()
    })
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_so_that_it_is_read_again(bytes in bytes_of_a_packet()) {
        let Ok(packet) = decode(&bytes) else { return Ok(()) };
        let header = packet.header;
        let area = &bytes[header.kind.packet_type().fixed_len(header.short)..packet.data_offset];
        let mut again = Vec::new();
        header.encode(area, &mut again);
        again.extend_from_slice(packet.data);
        let twice = decode(&again).unwrap();
        prop_assert_eq!(twice.header, Header { short: false, ..header });
        prop_assert_eq!(twice.data, packet.data);
        prop_assert!(twice.options.eq(packet.options));
        prop_assert_eq!(packet.header.seq.get() >> 24 > 0 && header.short, false);
        // In words, without a panic.
        prop_assert!(packet.to_string().starts_with(&header.kind.packet_type().to_string()));
        // The options that are read are written again, in as many bytes or fewer.
        let mut writer = crate::packet::OptionWriter::default();
        writer.reset(1000);
        for option in packet.options {
            prop_assert!(writer.push(option), "{}", option);
        }
        prop_assert!(writer.bytes().len() <= area.len());
        prop_assert!(Options::new(writer.bytes()).eq(packet.options));
    }
}
