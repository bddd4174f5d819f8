//! The checksum of SCTP packets: CRC32c (RFC 9260 §6.8, appendix A).

use crc_fast::{CrcAlgorithm, Digest};

/// Where the checksum lies in a packet.
const FIELD: std::ops::Range<usize> = 8..12;

/// The CRC32c of a packet with its checksum field taken as zero.
///
/// # Panics
///
/// If the packet is shorter than the common header, 12 bytes.
pub fn of_packet(packet: &[u8]) -> u32 {
    let mut header = *packet.first_chunk::<12>().expect("a whole common header");
    header[FIELD].fill(0);
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&header);
    digest.update(&packet[header.len()..]);
    u32::try_from(digest.finalize()).expect("a CRC of 32 bits")
}

/// Whether the checksum of a packet is right; not of one too short to have one.
pub fn is_right(packet: &[u8]) -> bool {
    packet.len() >= FIELD.end && packet[FIELD] == of_packet(packet).to_le_bytes()
}

/// Computes the checksum and writes it into its field, least significant byte first.
///
/// # Panics
///
/// If the packet is shorter than the common header, 12 bytes.
pub fn write(packet: &mut [u8]) {
    packet[FIELD].fill(0);
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, packet);
    let crc = u32::try_from(crc).expect("a CRC of 32 bits");
    packet[FIELD].copy_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sp5_the_check_value_of_crc32c() {
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, b"123456789");
        assert_eq!(crc, 0xE306_9283);
    }

    /// RFC 9653, figure 1: the right checksum of this packet is 0.
    #[test]
    fn sz6_zero_can_be_the_right_checksum() {
        let mut packet = [
            0x13, 0x89, 0x13, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0xFC, 0xB7, 0x5C, 0xCA, 0,
            0, 0x05, 0xDC, 0, 1, 0, 1, 0, 0, 0, 0,
        ];
        assert_eq!(of_packet(&packet), 0);
        assert!(is_right(&packet));
        packet[20] ^= 1;
        assert!(!is_right(&packet));
    }

    #[test]
    fn sp5_each_flipped_bit_is_seen() {
        let mut packet: Vec<u8> = (0..=99).collect();
        write(&mut packet);
        assert!(is_right(&packet));
        for bit in 0..packet.len() * 8 {
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_right(&packet), "bit {bit}");
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(!is_right(&packet[..11]));
    }
}
