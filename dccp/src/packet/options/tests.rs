use super::*;

fn change(side: Side, feature: u8, value: &[u8]) -> DccpOption<'_> {
    DccpOption::Change {
        side,
        feature: Feature(feature),
        value,
    }
}

fn confirm(side: Side, feature: u8, value: &[u8]) -> DccpOption<'_> {
    DccpOption::Confirm {
        side,
        feature: Feature(feature),
        value,
    }
}

fn written(options: &[DccpOption<'_>]) -> Vec<u8> {
    let mut writer = OptionWriter::default();
    writer.reset(1000);
    for option in options {
        assert!(writer.push(*option), "{option:?}");
    }
    writer.bytes().to_vec()
}

fn read(area: &[u8]) -> Vec<DccpOption<'_>> {
    Options::new(area).collect()
}

fn read_on(packet: PacketType, area: &[u8]) -> Vec<Result<Bound<'_>, Reset>> {
    Options::new(area).on(packet).collect()
}

fn mandatory_error(data: [u8; 3]) -> Reset {
    Reset {
        code: ResetCode::MANDATORY_ERROR,
        data,
    }
}

#[test]
fn df_the_encodings_of_section_6_5() {
    let window = [0, 0, 0, 0, 4, 0];
    for (option, bytes) in [
        (change(Side::L, 1, &[2, 3]), &[32, 5, 1, 2, 3][..]),
        (change(Side::L, 3, &window), &[32, 9, 3, 0, 0, 0, 0, 4, 0]),
        (confirm(Side::L, 1, &[2, 2, 3]), &[33, 6, 1, 2, 2, 3]),
        (confirm(Side::L, 126, &[]), &[33, 3, 126]),
        (change(Side::R, 1, &[3, 2]), &[34, 5, 1, 3, 2]),
        (confirm(Side::R, 1, &[2, 3, 2]), &[35, 6, 1, 2, 3, 2]),
        (confirm(Side::R, 3, &window), &[35, 9, 3, 0, 0, 0, 0, 4, 0]),
        (confirm(Side::R, 126, &[]), &[35, 3, 126]),
    ] {
        assert_eq!(written(&[option]), bytes);
        assert_eq!(read(bytes), [option]);
    }
}

#[test]
fn every_option_is_read_as_it_was_written() {
    let options = [
        (DccpOption::Mandatory, 1),
        (DccpOption::SlowReceiver, 1),
        (DccpOption::InitCookie(&[1; 253]), 255),
        (DccpOption::NdpCount(0), 3),
        (DccpOption::NdpCount(255), 3),
        (DccpOption::NdpCount(256), 4),
        (DccpOption::NdpCount((1 << 48) - 1), 8),
        (
            DccpOption::AckVector(AckVector {
                nonce: false,
                cells: &[0, 192, 3, 64, 5],
            }),
            7,
        ),
        (
            DccpOption::AckVector(AckVector {
                nonce: true,
                cells: &[63],
            }),
            3,
        ),
        (DccpOption::DataDropped(&[0, 160, 3, 162]), 6),
        (DccpOption::Timestamp(0x0102_0304), 6),
        (
            DccpOption::TimestampEcho {
                timestamp: 0x0102_0304,
                elapsed: 0,
            },
            6,
        ),
        (
            DccpOption::TimestampEcho {
                timestamp: 5,
                elapsed: 65_535,
            },
            8,
        ),
        (
            DccpOption::TimestampEcho {
                timestamp: 5,
                elapsed: 65_536,
            },
            10,
        ),
        (DccpOption::ElapsedTime(0), 4),
        (DccpOption::ElapsedTime(65_535), 4),
        (DccpOption::ElapsedTime(65_536), 6),
        (DccpOption::ElapsedTime(u32::MAX), 6),
        (DccpOption::DataChecksum(0xE306_9283), 6),
        (
            DccpOption::Ccid {
                kind: 128,
                value: &[],
            },
            2,
        ),
        (
            DccpOption::Ccid {
                kind: 255,
                value: &[1, 2, 3],
            },
            5,
        ),
        (
            DccpOption::Unknown {
                kind: 45,
                value: &[9],
            },
            3,
        ),
        (
            DccpOption::Unknown {
                kind: 31,
                value: &[],
            },
            1,
        ),
    ];
    for (option, length) in options {
        let bytes = written(&[option]);
        assert_eq!(bytes.len(), length, "{option:?}");
        assert_eq!(bytes[0], option.kind());
        assert_eq!(read(&bytes), [option]);
    }
    let all: Vec<_> = options.iter().map(|(option, _)| *option).collect();
    assert_eq!(read(&written(&all)), all);
}

#[test]
fn do1_padding_may_stand_anywhere_and_the_order_is_kept() {
    let area = [0, 0, 41, 6, 0, 0, 0, 1, 0, 2, 200, 2, 0, 45, 3, 7, 0, 0];
    let expected = [
        DccpOption::Timestamp(1),
        DccpOption::SlowReceiver,
        DccpOption::Ccid {
            kind: 200,
            value: &[],
        },
        DccpOption::Unknown {
            kind: 45,
            value: &[7],
        },
    ];
    assert_eq!(read(&area), expected);
}

#[test]
fn do1_options_not_understood_are_left_out() {
    let area = [31, 45, 3, 7, 46, 2, 120, 3, 1, 2];
    let expected = [Ok(Bound {
        option: DccpOption::SlowReceiver,
        mandatory: false,
    })];
    assert_eq!(read_on(PacketType::Ack, &area), expected);
}

#[test]
fn do2_a_length_that_cannot_be_ends_the_options() {
    for broken in [
        &[41, 0, 0, 0, 2][..],
        &[41, 1, 2, 2],
        &[41, 6, 0, 0, 0],
        &[41],
        &[250, 255, 2],
    ] {
        let area = [&[2][..], broken].concat();
        assert_eq!(read(&area), [DccpOption::SlowReceiver], "{broken:?}");
        let expected = [Ok(Bound {
            option: DccpOption::SlowReceiver,
            mandatory: false,
        })];
        assert_eq!(read_on(PacketType::Ack, &area), expected);
    }
}

#[test]
fn do3_a_known_type_with_a_wrong_length_is_not_understood() {
    for (kind, valid) in [
        (32, 3..=255),
        (33, 3..=255),
        (34, 3..=255),
        (35, 3..=255),
        (36, 3..=255),
        (37, 3..=8),
        (38, 3..=255),
        (39, 3..=255),
        (40, 3..=255),
        (41, 6..=6),
        (43, 4..=6),
        (44, 6..=6),
    ] {
        for length in 2..=255u8 {
            let mut area = vec![0; usize::from(length)];
            (area[0], area[1]) = (kind, length);
            let option = read(&area)[0];
            let odd = kind == 43 && length == 5;
            let known = !matches!(option, DccpOption::Unknown { .. });
            assert_eq!(
                known,
                valid.contains(&length) && !odd,
                "type {kind}, length {length}"
            );
            assert_eq!(option.kind(), kind);
        }
    }
    for length in 2..=12u8 {
        let mut area = vec![0; usize::from(length)];
        (area[0], area[1]) = (42, length);
        let known = matches!(read(&area)[0], DccpOption::TimestampEcho { .. });
        assert_eq!(known, [6, 8, 10].contains(&length), "{length}");
    }
}

#[test]
fn do4_on_data_packets_nothing_is_an_error() {
    let timestamp = DccpOption::Timestamp(1);
    for area in [
        &[1, 41, 6, 0, 0, 0, 1][..],
        &[41, 6, 0, 0, 0, 1, 1],
        &[1, 1, 41, 6, 0, 0, 0, 1],
        &[1, 1, 1, 41, 6, 0, 0, 0, 1],
        &[1, 45, 2, 41, 6, 0, 0, 0, 1],
        &[
            1, 32, 4, 1, 9, 33, 3, 1, 34, 3, 1, 35, 3, 3, 41, 6, 0, 0, 0, 1,
        ],
        &[
            36, 3, 1, 38, 3, 0, 39, 3, 0, 40, 3, 0, 43, 4, 0, 0, 41, 6, 0, 0, 0, 1,
        ],
    ] {
        let expected = [Ok(Bound {
            option: timestamp,
            mandatory: false,
        })];
        assert_eq!(read_on(PacketType::Data, area), expected, "{area:?}");
    }
    let allowed = [
        DccpOption::SlowReceiver,
        DccpOption::NdpCount(3),
        timestamp,
        DccpOption::TimestampEcho {
            timestamp: 1,
            elapsed: 0,
        },
        DccpOption::DataChecksum(1),
        DccpOption::Ccid {
            kind: 192,
            value: &[1],
        },
    ];
    let area = written(&allowed);
    let read: Vec<_> = read_on(PacketType::Data, &area)
        .into_iter()
        .map(|o| o.unwrap().option)
        .collect();
    assert_eq!(read, allowed);
}

#[test]
fn on_a_request_only_changes_speak_of_features() {
    let area = [
        33, 4, 1, 2, 36, 3, 1, 38, 3, 0, 40, 3, 0, 43, 4, 0, 1, 32, 4, 1, 2, 1, 35, 3, 3,
    ];
    let option = change(Side::L, 1, &[2]);
    assert_eq!(
        read_on(PacketType::Request, &area),
        [Ok(Bound {
            option,
            mandatory: false
        })]
    );
    // What must not be ignored resets, but for a Confirm.
    let refused = read_on(PacketType::Request, &[1, 38, 3, 7, 2]);
    assert_eq!(refused, [Err(mandatory_error([38, 7, 0]))]);
    assert_eq!(read_on(PacketType::Ack, &area).len(), 7);
}

#[test]
fn do5_mandatory_binds_to_the_next_option() {
    let area = [1, 32, 4, 4, 1, 32, 4, 1, 2];
    let expected = [
        Ok(Bound {
            option: change(Side::L, 4, &[1]),
            mandatory: true,
        }),
        Ok(Bound {
            option: change(Side::L, 1, &[2]),
            mandatory: false,
        }),
    ];
    assert_eq!(read_on(PacketType::Ack, &area), expected);
}

#[test]
fn do5_mandatory_before_what_is_not_understood_is_an_error_with_its_first_bytes() {
    for (area, data) in [
        (&[1, 45, 5, 7, 8, 9, 2][..], [45, 7, 8]),
        (&[1, 45, 3, 7, 2], [45, 7, 0]),
        (&[1, 31, 2], [31, 0, 0]),
        // Known types, impossible lengths.
        (&[1, 41, 5, 7, 8, 9, 2], [41, 7, 8]),
        (&[1, 32, 2, 2], [32, 0, 0]),
    ] {
        assert_eq!(
            read_on(PacketType::Ack, area),
            [Err(mandatory_error(data))],
            "{area:?}"
        );
    }
    assert_eq!(
        change(Side::R, 8, &[5, 6]).reset(ResetCode::MANDATORY_ERROR),
        mandatory_error([34, 8, 5])
    );
}

#[test]
fn do5_mandatory_alone_or_twice_is_an_option_error() {
    let error = Reset {
        code: ResetCode::OPTION_ERROR,
        data: [1, 0, 0],
    };
    let slow = Ok(Bound {
        option: DccpOption::SlowReceiver,
        mandatory: false,
    });
    assert_eq!(read_on(PacketType::Ack, &[2, 1]), [slow, Err(error)]);
    assert_eq!(read_on(PacketType::Ack, &[1, 1, 2]), [Err(error)]);
    // What follows is cut off by its length, so nothing follows.
    assert_eq!(read_on(PacketType::Ack, &[1, 41, 1]), [Err(error)]);
}

#[test]
fn do5_mandatory_before_padding_is_padding() {
    let slow = Ok(Bound {
        option: DccpOption::SlowReceiver,
        mandatory: false,
    });
    assert_eq!(read_on(PacketType::Ack, &[1, 0, 2]), [slow]);
    assert_eq!(read_on(PacketType::Ack, &[1, 0]), []);
    assert_eq!(read_on(PacketType::Ack, &[1, 0, 1, 0, 0]), []);
}

#[test]
fn da6_ack_vectors_on_request_and_data_are_ignored() {
    let area = [38, 3, 0, 39, 4, 0, 192, 41, 6, 0, 0, 0, 1];
    for packet in PacketType::ALL {
        let vectors = read_on(packet, &area)
            .into_iter()
            .filter(|bound| matches!(bound.unwrap().option, DccpOption::AckVector(_)))
            .count();
        assert_eq!(vectors, if packet.has_ack() { 2 } else { 0 }, "{packet}");
    }
}

#[test]
fn da_the_example_of_section_11_7() {
    // Ackno 100: packet 100 delivered, 99 dropped in the receive buffer, 98 to 95 delivered, 94 to
    // 92 dropped in the receive buffer.
    let area = [40, 6, 0, 160, 3, 162];
    assert_eq!(read(&area), [DccpOption::DataDropped(&[0, 160, 3, 162])]);
}

#[test]
fn do8_what_does_not_fit_is_not_written() {
    let mut writer = OptionWriter::default();
    assert!(!writer.push(DccpOption::SlowReceiver));
    writer.reset(11);
    assert_eq!(writer.room(), 8);
    assert!(writer.push(DccpOption::Timestamp(1)));
    assert!(!writer.push(DccpOption::Timestamp(2)));
    assert!(!writer.push_mandatory(change(Side::L, 126, &[])));
    assert_eq!(writer.bytes(), [41, 6, 0, 0, 0, 1]);
    assert!(writer.push(DccpOption::SlowReceiver) && writer.push(DccpOption::Mandatory));
    assert!(!writer.push(DccpOption::SlowReceiver));
    assert_eq!(writer.room(), 0);
    writer.reset(1000);
    assert_eq!(writer.bytes(), []);
    assert!(writer.push_mandatory(change(Side::L, 4, &[1])));
    assert_eq!(writer.bytes(), [1, 32, 4, 4, 1]);
    // Not to be said in an option.
    assert!(!writer.push(DccpOption::InitCookie(&[0; 254])));
    assert!(!writer.push(change(Side::L, 1, &[0; 253])));
    assert!(!writer.push(DccpOption::NdpCount(1 << 48)));
    assert!(!writer.push(DccpOption::Unknown {
        kind: 31,
        value: &[1]
    }));
    assert_eq!(writer.bytes().len(), 5);
}

#[test]
fn any_area_is_read_to_its_end() {
    // Every area of two bytes, and of three with the first type that has a length.
    for bytes in 0..=u16::MAX {
        let area = bytes.to_be_bytes();
        assert!(read(&area).len() <= 2);
        for packet in PacketType::ALL {
            assert!(read_on(packet, &[&area[..], &[2]].concat()).len() <= 3);
        }
    }
}
