//! Body messages that say where they belong, for transports that lose, reorder and duplicate.
//!
//! A request offers the framing in its `Body-Framing` field and a response grants it in the same
//! field; a peer that does not know it ignores the field. Each body message then begins with
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |0 0|    Exchange (1..16383)    |       Offset (upper 16)       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       Offset (lower 32)                       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                            Data ...
//! ```
//!
//! The first byte is at most 0x3F, so it never is the `H` of `HTTP/`: a head and a block cannot
//! be confused. `docs/framing.md` in the repository is the specification.

use std::fmt;
use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};

/// The field that offers and grants the framing.
pub const FIELD: &str = "Body-Framing";

/// The bytes in front of a block's data.
pub const HEADER_LENGTH: usize = 8;

/// The first offset that a block cannot name, in bytes: 2^48.
pub const OFFSET_LIMIT: u64 = 1 << 48;

/// Numbers an exchange of one connection: 1 to 16383.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId(u16);

impl ExchangeId {
    /// The number of a connection's first exchange.
    pub const FIRST: Self = Self(1);
    /// The largest number; 1 follows it.
    pub const MAX: u16 = 0x3FFF;

    /// The number as an id; `None` outside 1 to 16383.
    pub const fn new(number: u16) -> Option<Self> {
        if 1 <= number && number <= Self::MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The id of the exchange after this one.
    pub const fn next(self) -> Self {
        if self.0 == Self::MAX {
            Self(1)
        } else {
            Self(self.0 + 1)
        }
    }

    /// How many exchanges after `earlier` this one began, 0 to 16382, going round.
    pub const fn distance_from(self, earlier: Self) -> u16 {
        if self.0 >= earlier.0 {
            self.0 - earlier.0
        } else {
            self.0 + Self::MAX - earlier.0
        }
    }

    /// Whether this exchange began after `other`: it lies in the half of the circle before us.
    pub const fn follows(self, other: Self) -> bool {
        let distance = self.distance_from(other);
        0 < distance && distance <= Self::MAX / 2
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a value of [`FIELD`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The exchange that the framing is offered or granted for.
    pub exchange: ExchangeId,
    /// In a request: to be answered beside the exchange under way, not instead of it. In an answer:
    /// the server takes such requests.
    pub beside: bool,
}

impl Terms {
    /// Terms for an exchange that stands alone.
    pub const fn alone(exchange: ExchangeId) -> Self {
        Self {
            exchange,
            beside: false,
        }
    }

    /// Terms with the parameter `beside`.
    pub const fn beside(exchange: ExchangeId) -> Self {
        Self {
            exchange,
            beside: true,
        }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beside = if self.beside { ";beside" } else { "" };
        write!(f, "offset;exchange={}{beside}", self.exchange)
    }
}

/// Reads a value of [`FIELD`]; `None` when it is not this framing or names no exchange. Unknown
/// parameters are skipped; of a parameter that comes twice the last counts (RFC 8941 §3.1.2).
pub fn parse_field(value: &[u8]) -> Option<Terms> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    if parts.next()? != "offset" {
        return None;
    }
    let (mut number, mut beside) = (None, false);
    for part in parts {
        match part.split_once('=').unwrap_or((part, "?1")) {
            ("exchange", value) => number = Some(value),
            ("beside", value) => beside = value == "?1",
            _ => {}
        }
    }
    let number = number?;
    if number.is_empty() || number.len() > 5 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exchange = ExchangeId::new(number.parse().ok()?)?;
    Some(Terms { exchange, beside })
}

/// A body message: bytes of the representation and where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The exchange that asked for it.
    pub exchange: ExchangeId,
    /// Where the data begins in the representation, in bytes from its first.
    pub offset: u64,
    /// The bytes; at least one.
    pub data: Bytes,
}

impl Block {
    /// Reads a message. `None` when it is too short, holds no data, names no exchange, or would
    /// end beyond [`OFFSET_LIMIT`].
    pub fn decode(mut message: Bytes) -> Option<Self> {
        let (exchange, offset) = Self::peek(&message)?;
        message.advance(HEADER_LENGTH);
        Some(Self {
            exchange,
            offset,
            data: message,
        })
    }

    /// The exchange and the offset of a message, if it is a block.
    pub(crate) fn peek(message: &[u8]) -> Option<(ExchangeId, u64)> {
        let (header, data) = message.split_first_chunk::<HEADER_LENGTH>()?;
        let header = u64::from_be_bytes(*header);
        // The upper 16 bits of a number of 64 always fit.
        let exchange = ExchangeId::new(u16::try_from(header >> 48).ok()?)?;
        let offset = header & (OFFSET_LIMIT - 1);
        let length = u64::try_from(data.len()).ok()?;
        (length > 0 && offset + length <= OFFSET_LIMIT).then_some((exchange, offset))
    }

    /// The bytes of the representation that the block holds.
    pub fn range(&self) -> Range<u64> {
        // The length of a buffer always fits; saturation keeps the conversion total.
        self.offset..self.offset + u64::try_from(self.data.len()).unwrap_or(u64::MAX)
    }
}

/// Appends the header of a block whose data the caller appends.
///
/// # Panics
///
/// If `offset` is not below [`OFFSET_LIMIT`].
pub fn write_header(out: &mut Vec<u8>, exchange: ExchangeId, offset: u64) {
    assert!(offset < OFFSET_LIMIT, "offset {offset} needs over 48 bits");
    out.put_u16(exchange.number());
    out.put_uint(offset, 6);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hu8_a_block_has_its_documented_bytes() {
        let mut out = Vec::new();
        write_header(&mut out, ExchangeId(0x0102), 0x0304_0506_0708);
        out.extend_from_slice(b"data");
        assert_eq!(out, *b"\x01\x02\x03\x04\x05\x06\x07\x08data");
        let block = Block::decode(Bytes::from(out)).unwrap();
        assert_eq!(block.exchange.number(), 0x0102);
        assert_eq!(block.range(), 0x0304_0506_0708..0x0304_0506_070C);
    }

    #[test]
    fn hu8_what_is_no_block_is_refused() {
        for message in [
            &b""[..],
            b"\x00\x01\x00\x00\x00\x00\x00\x00",   // no data
            b"\x00\x00\x00\x00\x00\x00\x00\x00x",  // exchange 0
            b"HTTP/1.0 200 OK\r\n\r\n",            // a head
            b"\x40\x00\x00\x00\x00\x00\x00\x00x",  // exchange 16384
            b"\x00\x01\xFF\xFF\xFF\xFF\xFF\xFFxx", // ends beyond 2^48
        ] {
            assert_eq!(Block::decode(Bytes::copy_from_slice(message)), None);
        }
        let last = Bytes::from_static(b"\x00\x01\xFF\xFF\xFF\xFF\xFF\xFFx");
        assert_eq!(Block::decode(last).unwrap().range().end, OFFSET_LIMIT);
    }

    #[test]
    fn hu8_the_field_is_read_and_written() {
        let alone = |n| ExchangeId::new(n).map(Terms::alone);
        let beside = |n| ExchangeId::new(n).map(Terms::beside);
        assert_eq!(Terms::alone(ExchangeId(7)).to_string(), "offset;exchange=7");
        let value = Terms::beside(ExchangeId(7)).to_string();
        assert_eq!(value, "offset;exchange=7;beside");
        assert_eq!(parse_field(value.as_bytes()), beside(7));
        assert_eq!(parse_field(b"offset;exchange=7"), alone(7));
        assert_eq!(parse_field(b"offset; exchange=16383;x=y"), alone(16383));
        assert_eq!(parse_field(b"offset;exchange=1;exchange=2"), alone(2));
        for value in [
            &b"offset"[..],
            b"",
            b"chunk;exchange=1",
            b"offset;exchange=0",
            b"offset;exchange=16384",
            b"offset;exchange=+1",
            b"offset;exchange=99999999999999999999",
            b"offset;exchange=\xFF",
        ] {
            assert_eq!(parse_field(value), None, "{value:?}");
        }
    }

    #[test]
    fn hu8_exchange_numbers_go_round() {
        let last = ExchangeId(ExchangeId::MAX);
        assert_eq!(last.next(), ExchangeId(1));
        assert!(ExchangeId(1).follows(last));
        assert!(!last.follows(ExchangeId(1)));
        assert!(ExchangeId(9).follows(ExchangeId(8)));
        assert!(!ExchangeId(8).follows(ExchangeId(8)));
        assert_eq!(ExchangeId(2).distance_from(last), 2);
    }

    /// The cells of the rows of the table in `docs/framing.md` that stands behind `heading`.
    fn table(heading: &str) -> Vec<Vec<&'static str>> {
        let specification = include_str!("../../docs/framing.md");
        let (_, text) = specification.split_once(heading).unwrap();
        text.lines()
            .skip_while(|line| !line.starts_with('|'))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells = line.trim_matches('|').split('|');
                cells.map(|cell| cell.trim().trim_matches('`')).collect()
            })
            .collect()
    }

    fn bytes(hexadecimal: &str) -> Bytes {
        let byte = |digits| u8::from_str_radix(digits, 16).unwrap();
        hexadecimal.split_whitespace().map(byte).collect()
    }

    fn id(number: &str) -> ExchangeId {
        ExchangeId::new(number.parse().unwrap()).unwrap()
    }

    #[test]
    fn hu8_blocks_are_as_the_specification_shows_them() {
        let rows = table("Blocks, in hexadecimal:");
        assert_eq!(rows.len(), 5);
        for row in rows {
            let message = bytes(row[0]);
            let block = Block {
                exchange: id(row[1]),
                offset: row[2].parse().unwrap(),
                data: bytes(row[3]),
            };
            assert_eq!(Block::decode(message.clone()).as_ref(), Some(&block));
            let mut out = Vec::new();
            write_header(&mut out, block.exchange, block.offset);
            out.extend_from_slice(&block.data);
            assert_eq!(out, message);
        }
        let rows = table("Messages that are not blocks:");
        assert_eq!(rows.len(), 6);
        for row in rows {
            assert_eq!(Block::decode(bytes(row[0])), None, "{}", row[1]);
        }
    }

    #[test]
    fn hu8_the_field_and_the_order_are_as_the_specification_shows_them() {
        let rows = table("Values of the field:");
        assert_eq!(rows.len(), 16);
        for row in rows {
            let expected = (row[1] != "none").then(|| Terms {
                exchange: id(row[1]),
                beside: row[2] == "yes",
            });
            assert_eq!(parse_field(row[0].as_bytes()), expected, "{}", row[0]);
        }
        let rows = table("\nOrder:");
        assert_eq!(rows.len(), 5);
        for row in rows {
            assert!(id(row[0]).follows(id(row[1])), "{row:?}");
            assert!(!id(row[1]).follows(id(row[0])), "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn hu8_blocks_survive_encoding(
            id in 1u16..=ExchangeId::MAX,
            offset in 0u64..OFFSET_LIMIT - 100,
            data in prop::collection::vec(any::<u8>(), 1..100),
        ) {
            let mut out = Vec::new();
            write_header(&mut out, ExchangeId(id), offset);
            out.extend_from_slice(&data);
            prop_assert!(out[0] < b'H');
            let block = Block::decode(Bytes::from(out)).unwrap();
            prop_assert_eq!(block.exchange.number(), id);
            prop_assert_eq!(block.offset, offset);
            prop_assert_eq!(&block.data[..], &data[..]);
        }

        #[test]
        fn hu8_one_of_two_exchanges_follows_the_other(a in 1u16..=0x3FFF, b in 1u16..=0x3FFF) {
            let (a, b) = (ExchangeId(a), ExchangeId(b));
            prop_assert_eq!(a.next().distance_from(a), 1);
            prop_assert_eq!(a == b, !a.follows(b) && !b.follows(a));
            prop_assert!(!(a.follows(b) && b.follows(a)));
        }
    }
}
