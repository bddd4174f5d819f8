//! The header checksum (RFC 4340 §9) and the Data Checksum (CRC-32c).

use std::net::IpAddr;

use crc_fast::CrcAlgorithm;

use super::header::CHECKSUM_FIELD;

/// DCCP's number among IP protocols (RFC 4340 §19).
const IP_PROTOCOL: u32 = 33;

/// How a packet's header checksum is made and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// In raw IP: over the pseudoheader of these addresses (RFC 4340 §9.1).
    Ip {
        /// The sender's address.
        source: IpAddr,
        /// The receiver's address, of the same family.
        destination: IpAddr,
    },
    /// In UDP: sent as 0 and not looked at (RFC 6773 §3.3).
    Unused,
}

impl Checksum {
    /// Writes the checksum of a whole encoded `packet` into it, over what its Data Offset and CsCov
    /// say is covered. A packet too short to have the field is left alone.
    pub fn seal(&self, packet: &mut [u8]) {
        let Some(field) = packet.get_mut(CHECKSUM_FIELD) else {
            return;
        };
        field.fill(0);
        let checksum = match self {
            Self::Unused => 0,
            Self::Ip { .. } => !self.sum(packet),
        };
        packet[CHECKSUM_FIELD].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Whether the checksum of `packet` is right.
    pub(super) fn is_right(&self, packet: &[u8]) -> bool {
        match self {
            Self::Unused => true,
            // The sum over data and its complement has all bits set.
            Self::Ip { .. } => self.sum(packet) == u16::MAX,
        }
    }

    /// The folded sum of pseudoheader, header and covered data, the checksum field as it is.
    fn sum(&self, packet: &[u8]) -> u16 {
        let covered = &packet[..covered_len(packet)];
        // Both pseudoheaders hold the same numbers in other places (RFC 4340 §9.1), and the sum
        // does not depend on the places. The length is the whole packet's, whatever is covered.
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let mut sum = IP_PROTOCOL + (length >> 16) + (length & 0xffff);
        if let Self::Ip {
            source,
            destination,
        } = self
        {
            for address in [source, destination] {
                sum = match address {
                    IpAddr::V4(address) => internet_checksum(sum, &address.octets()),
                    IpAddr::V6(address) => internet_checksum(sum, &address.octets()),
                };
            }
        }
        fold(u64::from(internet_checksum(sum, covered)))
    }
}

/// How many bytes from the start of `packet` its checksum covers: the header, and of the data all
/// for CsCov 0 and the first (CsCov - 1) * 4 bytes for others (RFC 4340 §9.2).
fn covered_len(packet: &[u8]) -> usize {
    let (Some(&offset), Some(coverage)) = (packet.get(4), packet.get(5).map(|b| b & 0x0f)) else {
        return packet.len();
    };
    match coverage {
        0 => packet.len(),
        n => (usize::from(offset) * 4 + (usize::from(n) - 1) * 4).min(packet.len()),
    }
}

/// The one's complement sum of `bytes` added to `sum`, an odd byte padded with 0; not folded to
/// its complement, and at most 0x2_fffd. Of several parts summed one after the other, all but the
/// last have an even length.
pub fn internet_checksum(sum: u32, bytes: &[u8]) -> u32 {
    // The sum is the same in either byte order but for the order of its own bytes (RFC 1071 §2),
    // so words are added as the machine reads them; eight lanes are what a compiler turns into
    // vector instructions. No lane overflows: it has 32 bits to spare for 2^32 additions.
    let mut lanes = [0u64; 8];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<4>().0) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<4>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    lanes[0] += u64::from(u32::from_ne_bytes(last));

    // Folded to 32 bits each, so that their sum fits.
    let total: u64 = lanes
        .iter()
        .map(|lane| (lane >> 32) + (lane & 0xffff_ffff))
        .sum();
    (sum >> 16) + (sum & 0xffff) + u32::from(fold(total).to_be())
}

/// Adds carries back in until 16 bits are left.
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// The Data Checksum of an application data area: its CRC-32c, 0 of no bytes (RFC 4340 §9.3).
pub fn data_checksum(data: &[u8]) -> u32 {
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, data);
    u32::try_from(crc).expect("a CRC of 32 bits")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::Seq;
    use crate::packet::{DecodeError, Header, Kind, Packet};

    /// As RFC 1071 §4.1 writes it, one 16-bit word at a time.
    fn plain_sum(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum >> 16) + (sum & 0xffff);
        }
        u16::try_from(sum).unwrap()
    }

    fn packet(cscov: u8, data: &[u8]) -> Vec<u8> {
        let header = Header {
            source_port: 5000,
            destination_port: 8080,
            ccval: 3,
            cscov,
            short: false,
            seq: Seq::new(0x1234_5678_9abc),
            kind: Kind::DataAck {
                ack: Seq::new(0xfedc_ba98_7654),
            },
        };
        let mut out = Vec::new();
        header.encode(&[], &mut out);
        out.extend_from_slice(data);
        out
    }

    fn v4() -> Checksum {
        Checksum::Ip {
            source: Ipv4Addr::new(192, 0, 2, 1).into(),
            destination: Ipv4Addr::new(198, 51, 100, 7).into(),
        }
    }

    fn v6() -> Checksum {
        Checksum::Ip {
            source: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            destination: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 7, 8, 9, 10, 11).into(),
        }
    }

    #[test]
    fn the_example_of_rfc_1071() {
        // RFC 1071 §3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2 with the carries added.
        let sum = internet_checksum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(fold(u64::from(sum)), 0xddf2);
    }

    #[test]
    fn sums_agree_with_the_plain_ones_at_every_length() {
        let bytes: Vec<u8> = (0..300u32)
            .map(|n| (n * 151 + 7).to_le_bytes()[0])
            .collect();
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            assert_eq!(
                fold(u64::from(internet_checksum(0, bytes))),
                plain_sum(bytes),
                "{length}"
            );
            // In two parts, the first of them even.
            let (one, two) = bytes.split_at(length / 4 * 2);
            let sum = internet_checksum(internet_checksum(0, one), two);
            assert_eq!(fold(u64::from(sum)), plain_sum(bytes), "{length}");
        }
        let ones = vec![0xff; 65_536];
        assert_eq!(fold(u64::from(internet_checksum(u32::MAX, &ones))), 0xffff);
    }

    #[test]
    fn dc1_an_odd_byte_is_padded_on_the_right() {
        let mut odd = packet(0, &[1, 2, 3]);
        v4().seal(&mut odd);
        let mut even = packet(0, &[1, 2, 3, 0]);
        v4().seal(&mut even);
        // They differ by the length in the pseudoheader alone.
        let field = |packet: &[u8]| u16::from_be_bytes([packet[6], packet[7]]);
        assert_eq!(field(&odd), field(&even) + 1);
        assert!(Packet::decode(&odd, &v4()).is_ok());
    }

    #[test]
    fn dc2_the_pseudoheader_is_that_of_the_address_family() {
        let mut bytes = packet(0, b"hello");
        let length = u8::try_from(bytes.len()).unwrap();
        let mut whole = vec![192, 0, 2, 1, 198, 51, 100, 7, 0, 33, 0, length];
        whole.extend_from_slice(&bytes);
        v4().seal(&mut bytes);
        assert_eq!(bytes[6..8], (!plain_sum(&whole)).to_be_bytes());

        let mut bytes = packet(0, b"hello");
        let mut whole = Vec::new();
        if let Checksum::Ip {
            source: IpAddr::V6(source),
            destination: IpAddr::V6(destination),
        } = v6()
        {
            whole.extend_from_slice(&source.octets());
            whole.extend_from_slice(&destination.octets());
        }
        whole.extend_from_slice(&[0, 0, 0, length, 0, 0, 0, 33]);
        whole.extend_from_slice(&bytes);
        v6().seal(&mut bytes);
        assert_eq!(bytes[6..8], (!plain_sum(&whole)).to_be_bytes());
        assert_eq!(
            Packet::decode(&bytes, &v4()).unwrap_err(),
            DecodeError::Checksum
        );
    }

    #[test]
    fn dc3_coverage_says_how_much_of_the_data_is_summed() {
        for (cscov, covered) in [(0, 10), (1, 0), (2, 4), (3, 8)] {
            let mut bytes = packet(cscov, b"0123456789");
            v4().seal(&mut bytes);
            assert!(Packet::decode(&bytes, &v4()).is_ok(), "{cscov}");
            for index in 0..10 {
                let mut changed = bytes.clone();
                changed[24 + index] ^= 0x40;
                let seen = Packet::decode(&changed, &v4()).is_err();
                assert_eq!(seen, index < covered, "coverage {cscov}, byte {index}");
            }
        }
        // The length in the pseudoheader is the whole packet's: one cut short is found out.
        let mut bytes = packet(1, b"0123456789");
        v4().seal(&mut bytes);
        assert_eq!(
            Packet::decode(&bytes[..32], &v4()).unwrap_err(),
            DecodeError::Checksum
        );
    }

    #[test]
    fn dc3_coverage_beyond_the_data_is_refused_before_summing() {
        for carrier in [v4(), Checksum::Unused] {
            let mut bytes = packet(4, b"0123456789");
            carrier.seal(&mut bytes);
            assert_eq!(
                Packet::decode(&bytes, &carrier).unwrap_err(),
                DecodeError::Coverage
            );
            let mut bytes = packet(4, b"0123456789ab");
            carrier.seal(&mut bytes);
            assert!(Packet::decode(&bytes, &carrier).is_ok());
        }
    }

    #[test]
    fn dc5_the_data_checksum_is_crc32c() {
        assert_eq!(data_checksum(b"123456789"), 0xE306_9283);
        assert_eq!(data_checksum(b""), 0);
        // RFC 3720 §B.4: 32 bytes of zeroes, and of ones.
        assert_eq!(data_checksum(&[0; 32]), 0x8A91_36AA);
        assert_eq!(data_checksum(&[0xff; 32]), 0x62A8_AB43);
    }

    #[test]
    fn dc6_a_wrong_checksum_is_an_error_wherever_a_bit_flipped() {
        let mut bytes = packet(0, b"hello");
        v4().seal(&mut bytes);
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                assert!(
                    Packet::decode(&changed, &v4()).is_err(),
                    "byte {index} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn dc7_in_udp_it_is_sent_as_zero_and_not_looked_at() {
        let mut bytes = packet(0, b"hello");
        bytes[6..8].copy_from_slice(&[1, 2]);
        assert!(Packet::decode(&bytes, &Checksum::Unused).is_ok());
        Checksum::Unused.seal(&mut bytes);
        assert_eq!(bytes[6..8], [0, 0]);
    }

    #[test]
    fn what_is_no_packet_is_left_alone() {
        let mut bytes = [1, 2, 3, 4, 5, 6, 7];
        v4().seal(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7]);
    }
}
