//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), as far as a capture of IP packets
//! needs them.
//!
//! Everything is little-endian, on every machine, so that equal captures are equal files; the
//! byte-order magic of the Section Header Block tells a reader.

use std::time::Duration;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// The length of a section that is not known beforehand.
const UNKNOWN_LENGTH: u64 = u64::MAX;
/// LINKTYPE_RAW: "Raw IP; the packet begins with an IPv4 or IPv6 header".
const LINKTYPE_RAW: u16 = 101;

const OPT_ENDOFOPT: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// What a block has beside its body: type, and the total length in front and behind.
const BLOCK_OVERHEAD: usize = 12;

/// Which way a packet went, seen from where it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was received.
    Inbound,
    /// It was sent.
    Outbound,
}

/// Appends a Section Header Block, with which a file begins. `application` is the name of the
/// program that writes, `comment` what a reader is to know of the whole file.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +---------------------------------------------------------------+
/// |                   Block Type = 0x0A0D0D0A                     |
/// +---------------------------------------------------------------+
/// |                      Block Total Length                       |
/// +---------------------------------------------------------------+
/// |                      Byte-Order Magic                         |
/// +-------------------------------+-------------------------------+
/// |          Major Version        |         Minor Version         |
/// +-------------------------------+-------------------------------+
/// |                         Section Length                        |
/// |                            (64 bits)                          |
/// +---------------------------------------------------------------+
/// |                           Options ...                         |
/// +---------------------------------------------------------------+
/// |                      Block Total Length                       |
/// +---------------------------------------------------------------+
/// ```
pub fn section_header(application: &str, comment: Option<&str>, out: &mut Vec<u8>) {
    let start = begin(SECTION_HEADER, out);
    put32(BYTE_ORDER_MAGIC, out);
    put16(1, out);
    put16(0, out);
    out.extend_from_slice(&UNKNOWN_LENGTH.to_le_bytes());
    if let Some(comment) = comment {
        option(OPT_COMMENT, comment.as_bytes(), out);
    }
    option(SHB_USERAPPL, application.as_bytes(), out);
    option(OPT_ENDOFOPT, &[], out);
    end(start, out);
}

/// Appends an Interface Description Block: one of IP packets without a link layer, with times in
/// nanoseconds and no limit to the length of a packet. Packets name interfaces by their place in
/// the file, from 0.
///
/// ```text
/// +---------------------------------------------------------------+
/// |                    Block Type = 0x00000001                    |
/// +---------------------------------------------------------------+
/// |                      Block Total Length                       |
/// +-------------------------------+-------------------------------+
/// |            LinkType           |           Reserved            |
/// +-------------------------------+-------------------------------+
/// |                            SnapLen                            |
/// +---------------------------------------------------------------+
/// |                           Options ...                         |
/// +---------------------------------------------------------------+
/// |                      Block Total Length                       |
/// +---------------------------------------------------------------+
/// ```
pub fn interface_description(name: &str, out: &mut Vec<u8>) {
    let start = begin(INTERFACE_DESCRIPTION, out);
    put16(LINKTYPE_RAW, out);
    put16(0, out);
    put32(0, out);
    option(IF_NAME, name.as_bytes(), out);
    // Times are in units of ten to the power of minus this.
    option(IF_TSRESOL, &[9], out);
    option(OPT_ENDOFOPT, &[], out);
    end(start, out);
}

/// A packet to be written.
#[derive(Clone, Copy, Debug)]
pub struct EnhancedPacket<'a> {
    /// The interface's place in the file, from 0.
    pub interface: u32,
    /// When it was seen, since 1970-01-01 00:00 UTC. The file's times end in the year 2554; a
    /// later one is written as the last.
    pub at: Duration,
    /// Which way it went.
    pub direction: Direction,
    /// Its length in bytes on the wire; more than `bytes` has if it was cut.
    pub original_len: usize,
    /// What is said of it; an empty text is none.
    pub comment: Option<&'a str>,
}

/// Appends an Enhanced Packet Block. `write` appends the packet itself.
///
/// ```text
/// +---------------------------------------------------------------+
/// |                    Block Type = 0x00000006                    |
/// +---------------------------------------------------------------+
/// |                      Block Total Length                       |
/// +---------------------------------------------------------------+
/// |                         Interface ID                          |
/// +---------------------------------------------------------------+
/// |                        Timestamp (High)                       |
/// +---------------------------------------------------------------+
/// |                        Timestamp (Low)                        |
/// +---------------------------------------------------------------+
/// |                    Captured Packet Length                     |
/// +---------------------------------------------------------------+
/// |                    Original Packet Length                     |
/// +---------------------------------------------------------------+
/// |               Packet Data, padded to 32 bits ...              |
/// +---------------------------------------------------------------+
/// |                           Options ...                         |
/// +---------------------------------------------------------------+
/// |                      Block Total Length                       |
/// +---------------------------------------------------------------+
/// ```
pub fn enhanced_packet(
    packet: &EnhancedPacket<'_>,
    write: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let start = begin(ENHANCED_PACKET, out);
    put32(packet.interface, out);
    let nanoseconds = u64::try_from(packet.at.as_nanos()).unwrap_or(u64::MAX);
    let [high, low] = [nanoseconds >> 32, nanoseconds & 0xFFFF_FFFF];
    put32(length(high), out);
    put32(length(low), out);
    let captured_len = out.len();
    put32(0, out);
    put32(length(packet.original_len), out);
    let data = out.len();
    write(out);
    let captured = length(out.len() - data);
    out[captured_len..data - 4].copy_from_slice(&captured.to_le_bytes());
    pad(data, out);
    if let Some(comment) = packet.comment.filter(|comment| !comment.is_empty()) {
        option(OPT_COMMENT, comment.as_bytes(), out);
    }
    let flags: u32 = match packet.direction {
        Direction::Inbound => 0b01,
        Direction::Outbound => 0b10,
    };
    option(EPB_FLAGS, &flags.to_le_bytes(), out);
    option(OPT_ENDOFOPT, &[], out);
    end(start, out);
}

fn begin(block_type: u32, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    put32(block_type, out);
    // The length, which `end` writes.
    put32(0, out);
    start
}

fn end(start: usize, out: &mut Vec<u8>) {
    let total = length(out.len() + 4 - start);
    debug_assert!(out.len() + 4 - start >= BLOCK_OVERHEAD);
    out[start + 4..start + 8].copy_from_slice(&total.to_le_bytes());
    put32(total, out);
}

/// Appends an option, of its value what its length field can tell.
fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut cut = usize::from(len);
    // No character is cut in two.
    while cut < value.len() && value[cut] & 0xC0 == 0x80 {
        cut -= 1;
    }
    put16(code, out);
    put16(u16::try_from(cut).unwrap_or(len), out);
    let start = out.len();
    out.extend_from_slice(&value[..cut]);
    pad(start, out);
}

/// Pads what was appended from `start` on to 32 bits.
fn pad(start: usize, out: &mut Vec<u8>) {
    let len = out.len() - start;
    out.resize(start + len.next_multiple_of(4), 0);
}

fn put16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn length<N>(value: N) -> u32
where
    u32: TryFrom<N>,
{
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_header_block() {
        let mut out = Vec::new();
        section_header("cli 1", Some("hello"), &mut out);
        let expected = [
            &[0x0A, 0x0D, 0x0D, 0x0A, 56, 0, 0, 0][..],
            &[0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0],
            &[0xFF; 8],
            &[1, 0, 5, 0],
            b"hello\0\0\0",
            &[4, 0, 5, 0],
            b"cli 1\0\0\0",
            &[0, 0, 0, 0],
            &[56, 0, 0, 0],
        ]
        .concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn an_interface_description_block() {
        let mut out = Vec::new();
        interface_description("dccp", &mut out);
        let expected = [
            &[1, 0, 0, 0, 40, 0, 0, 0][..],
            &[101, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 4, 0],
            b"dccp",
            &[9, 0, 1, 0, 9, 0, 0, 0],
            &[0, 0, 0, 0],
            &[40, 0, 0, 0],
        ]
        .concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn an_enhanced_packet_block() {
        let packet = EnhancedPacket {
            interface: 0,
            at: Duration::new(1, 2),
            direction: Direction::Outbound,
            original_len: 9,
            comment: Some("lost"),
        };
        // What stands before is left alone.
        let mut out = vec![0xEE; 3];
        enhanced_packet(&packet, |out| out.extend_from_slice(b"abcde"), &mut out);
        let expected = [
            &[0xEE; 3][..],
            &[6, 0, 0, 0, 60, 0, 0, 0],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 0x02, 0xCA, 0x9A, 0x3B],
            &[5, 0, 0, 0, 9, 0, 0, 0],
            b"abcde\0\0\0",
            &[1, 0, 4, 0],
            b"lost",
            &[2, 0, 4, 0, 2, 0, 0, 0],
            &[0, 0, 0, 0],
            &[60, 0, 0, 0],
        ]
        .concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn a_packet_without_words_and_received() {
        let packet = EnhancedPacket {
            interface: 1,
            at: Duration::from_nanos(1 << 32),
            direction: Direction::Inbound,
            original_len: 4,
            comment: Some(""),
        };
        let mut out = Vec::new();
        enhanced_packet(&packet, |out| out.extend_from_slice(b"abcd"), &mut out);
        let expected = [
            &[6, 0, 0, 0, 48, 0, 0, 0][..],
            &[1, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &[4, 0, 0, 0, 4, 0, 0, 0],
            b"abcd",
            &[2, 0, 4, 0, 1, 0, 0, 0],
            &[0, 0, 0, 0],
            &[48, 0, 0, 0],
        ]
        .concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn a_text_beyond_the_length_field_is_cut_between_characters() {
        let text = format!("{}\u{e4}x", "a".repeat(65_534));
        let mut out = Vec::new();
        option(OPT_COMMENT, text.as_bytes(), &mut out);
        assert_eq!(out[..4], [1, 0, 0xFE, 0xFF]);
        assert_eq!(out.len(), 4 + 65_536);
        let mut out = Vec::new();
        option(OPT_COMMENT, "b".repeat(70_000).as_bytes(), &mut out);
        assert_eq!(out[..4], [1, 0, 0xFF, 0xFF]);
    }
}
