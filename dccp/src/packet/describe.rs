//! Packets in words, for people who read a trace.

use std::fmt;

use super::header::{Kind, Packet, PacketType};
use super::options::{DccpOption, Feature, Side};

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Request => "Request",
            Self::Response => "Response",
            Self::Data => "Data",
            Self::Ack => "Ack",
            Self::DataAck => "DataAck",
            Self::CloseReq => "CloseReq",
            Self::Close => "Close",
            Self::Reset => "Reset",
            Self::Sync => "Sync",
            Self::SyncAck => "SyncAck",
            Self::Listen => "Listen",
        })
    }
}

impl fmt::Display for Packet<'_> {
    /// One line, such as `DataAck(seq 5, ack 7) 1400 bytes [Ack Vector, Change L(CCID 2)]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packet_type = self.header.kind.packet_type();
        let short = if self.header.short { "short " } else { "" };
        write!(f, "{packet_type}({short}seq {}", self.header.seq)?;
        if let Some(ack) = self.header.kind.ack() {
            write!(f, ", ack {ack}")?;
        }
        match self.header.kind {
            Kind::Request { service }
            | Kind::Response { service, .. }
            | Kind::Listen { service } => {
                write!(f, ", {service}")?;
            }
            Kind::Reset { reset, .. } => write!(f, ", {reset}")?,
            Kind::Data
            | Kind::Ack { .. }
            | Kind::DataAck { .. }
            | Kind::CloseReq { .. }
            | Kind::Close { .. }
            | Kind::Sync { .. }
            | Kind::SyncAck { .. } => {}
        }
        f.write_str(")")?;
        let length = self.data.len();
        if length > 0 || matches!(packet_type, PacketType::Data | PacketType::DataAck) {
            write!(
                f,
                " {length} {}",
                if length == 1 { "byte" } else { "bytes" }
            )?;
        }
        let mut separator = " [";
        for option in self.options {
            write!(f, "{separator}{option}")?;
            separator = if option == DccpOption::Mandatory {
                " "
            } else {
                ", "
            };
        }
        if separator != " [" {
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Display for DccpOption<'_> {
    /// The RFC's name and the value, but for values that are long and mean nothing to a reader.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Mandatory => f.write_str("Mandatory"),
            Self::SlowReceiver => f.write_str("Slow Receiver"),
            Self::Change {
                side,
                feature,
                value,
            } => {
                write!(f, "Change {side}({feature}")?;
                if !value.is_empty() {
                    f.write_str(" ")?;
                    write_value(f, feature, value)?;
                }
                f.write_str(")")
            }
            Self::Confirm {
                side,
                feature,
                value,
            } => {
                if value.is_empty() {
                    return write!(f, "empty Confirm {side}({feature})");
                }
                write!(f, "Confirm {side}({feature} ")?;
                // The value chosen, then the confirmer's list (RFC 4340 §6.3.1).
                match value.split_first() {
                    Some((chosen, list)) if !list.is_empty() && !feature.is_number() => {
                        write!(f, "{chosen}, ")?;
                        write_value(f, feature, list)?;
                    }
                    _ => write_value(f, feature, value)?,
                }
                f.write_str(")")
            }
            Self::InitCookie(_) => f.write_str("Init Cookie"),
            Self::NdpCount(count) => write!(f, "NDP Count {count}"),
            Self::AckVector(_) => f.write_str("Ack Vector"),
            Self::DataDropped(_) => f.write_str("Data Dropped"),
            Self::Timestamp(_) => f.write_str("Timestamp"),
            Self::TimestampEcho { .. } => f.write_str("Timestamp Echo"),
            Self::ElapsedTime(_) => f.write_str("Elapsed Time"),
            Self::DataChecksum(_) => f.write_str("Data Checksum"),
            Self::Ccid { kind, .. } => write!(f, "CCID option {kind}"),
            Self::Unknown { kind, .. } => write!(f, "unknown option {kind}"),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L => "L",
            Self::R => "R",
        })
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::CCID => "CCID",
            Self::ALLOW_SHORT_SEQNOS => "Allow Short Seqnos",
            Self::SEQUENCE_WINDOW => "Sequence Window",
            Self::ECN_INCAPABLE => "ECN Incapable",
            Self::ACK_RATIO => "Ack Ratio",
            Self::SEND_ACK_VECTOR => "Send Ack Vector",
            Self::SEND_NDP_COUNT => "Send NDP Count",
            Self::MIN_CHECKSUM_COVERAGE => "Minimum Checksum Coverage",
            Self::CHECK_DATA_CHECKSUM => "Check Data Checksum",
            Self::SEND_LOSS_EVENT_RATE => "Send Loss Event Rate",
            Self(number) => return write!(f, "feature {number}"),
        })
    }
}

/// A number, or a list as RFC 4340 §6.5 writes it.
fn write_value(f: &mut fmt::Formatter<'_>, feature: Feature, value: &[u8]) -> fmt::Result {
    if feature.is_number() {
        let number = value
            .iter()
            .take(8)
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        return write!(f, "{number}");
    }
    for (index, byte) in value.iter().enumerate() {
        write!(f, "{}{byte}", if index == 0 { "" } else { " " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::packet::{
        AckVector, Checksum, DccpOption, Feature, Header, Kind, OptionWriter, Packet, PacketType,
        Reset, ResetCode, Side,
    };
    use crate::{Seq, ServiceCode};

    fn described(kind: Kind, options: &[DccpOption<'_>], data: usize) -> String {
        let mut writer = OptionWriter::default();
        writer.reset(kind.max_options_len());
        assert!(options.iter().all(|option| writer.push(*option)));
        let header = Header {
            source_port: 1,
            destination_port: 2,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: Seq::new(5),
            kind,
        };
        let mut bytes = Vec::new();
        header.encode(writer.bytes(), &mut bytes);
        bytes.resize(bytes.len() + data, 0);
        Packet::decode(&bytes, &Checksum::Unused)
            .unwrap()
            .to_string()
    }

    #[test]
    fn packets_in_words() {
        let ack = Seq::new(7);
        let service = ServiceCode(0x3f48_5450);
        let change = |feature, value| DccpOption::Change {
            side: Side::L,
            feature,
            value,
        };
        let confirm = |feature, value| DccpOption::Confirm {
            side: Side::R,
            feature,
            value,
        };
        let vector = DccpOption::AckVector(AckVector {
            nonce: true,
            cells: &[0],
        });
        assert_eq!(
            described(
                Kind::DataAck { ack },
                &[vector, change(Feature::CCID, &[2])],
                1400
            ),
            "DataAck(seq 5, ack 7) 1400 bytes [Ack Vector, Change L(CCID 2)]"
        );
        assert_eq!(
            described(
                Kind::Request { service },
                &[
                    DccpOption::Timestamp(9),
                    DccpOption::Mandatory,
                    change(Feature::ECN_INCAPABLE, &[1]),
                    change(Feature::CCID, &[3, 2])
                ],
                1
            ),
            "Request(seq 5, SC:?HTP) 1 byte \
             [Timestamp, Mandatory Change L(ECN Incapable 1), Change L(CCID 3 2)]"
        );
        assert_eq!(
            described(
                Kind::Response { ack, service },
                &[
                    confirm(Feature::CCID, &[2, 2, 3]),
                    confirm(Feature::SEQUENCE_WINDOW, &[0, 0, 0, 0, 4, 0]),
                    confirm(Feature(126), &[])
                ],
                0
            ),
            "Response(seq 5, ack 7, SC:?HTP) \
             [Confirm R(CCID 2, 2 3), Confirm R(Sequence Window 1024), empty Confirm R(feature 126)]"
        );
        let reset = Reset {
            code: ResetCode::MANDATORY_ERROR,
            data: [32, 4, 1],
        };
        assert_eq!(
            described(Kind::Reset { ack, reset }, &[], 0),
            "Reset(seq 5, ack 7, Mandatory Error 32 4 1)"
        );
        assert_eq!(described(Kind::Data, &[], 0), "Data(seq 5) 0 bytes");
        assert_eq!(
            described(
                Kind::Ack { ack },
                &[DccpOption::Ccid {
                    kind: 192,
                    value: &[1]
                }],
                0
            ),
            "Ack(seq 5, ack 7) [CCID option 192]"
        );
        assert_eq!(format!("{:>8}|", PacketType::Close), "   Close|");
    }

    #[test]
    fn short_numbers_are_said_to_be_short() {
        let bytes = [0, 1, 0, 2, 3, 0, 0, 0, 4, 0, 0, 9];
        let packet = Packet::decode(&bytes, &Checksum::Unused).unwrap();
        assert_eq!(packet.to_string(), "Data(short seq 9) 0 bytes");
    }
}
