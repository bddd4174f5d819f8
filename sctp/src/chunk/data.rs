use super::{ChunkType, RawChunk};
use crate::packet::DecodeError;
use crate::tsn::{Mid, Tsn};
use crate::wire::{pad, u16_at, u32_at};

/// How a fragment tells its place in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interleave {
    /// DATA: by its TSN, and the message by its Stream Sequence Number.
    Ssn(u16),
    /// I-DATA: by its Message Identifier, and its number in the message (0 with the B bit).
    Mid {
        /// Which message of the stream, ordered and unordered ones counted apart.
        mid: Mid,
        /// Which fragment of the message.
        fsn: u32,
    },
}

/// DATA (RFC 9260 §3.3.1) and I-DATA (RFC 8260 §2.1):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0    |  Res  |I|U|B|E|            Length             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                              TSN                              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |      Stream Identifier S      |   Stream Sequence Number n    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                  Payload Protocol Identifier                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// \                 User Data (seq n of Stream S)                 \
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// |   Type = 64   |  Res  |I|U|B|E|            Length             |
/// |                              TSN                              |
/// |        Stream Identifier      |           Reserved            |
/// |                      Message Identifier                       |
/// |    Payload Protocol Identifier / Fragment Sequence Number     |
/// \                           User Data                           \
/// ```
///
/// Rejected: no user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Its number among the chunks of the association.
    pub tsn: Tsn,
    /// Which stream.
    pub stream: u16,
    /// Its place in its message, and its message's in the stream.
    pub place: Interleave,
    /// The Payload Protocol Identifier; of I-DATA, `None` in all but the first fragment.
    pub ppid: Option<u32>,
    /// The U bit: outside the order of its stream.
    pub unordered: bool,
    /// The B bit: the first fragment.
    pub begins: bool,
    /// The E bit: the last fragment.
    pub ends: bool,
    /// The I bit (RFC 7053): the sender asks for a SACK at once.
    pub immediate: bool,
    /// The user data.
    pub payload: &'a [u8],
}

const FLAG_END: u8 = 0x01;
const FLAG_BEGIN: u8 = 0x02;
const FLAG_UNORDERED: u8 = 0x04;
const FLAG_IMMEDIATE: u8 = 0x08;

impl<'a> Data<'a> {
    /// Bytes of a DATA chunk before its user data.
    pub const HEADER_LEN: usize = 16;
    /// Bytes of an I-DATA chunk before its user data.
    pub const INTERLEAVED_HEADER_LEN: usize = 20;

    /// Reads the value of a DATA chunk.
    pub(crate) fn decode(flags: u8, value: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Truncated;
        let ssn = u16_at(value, 6).ok_or(short)?;
        let ppid = u32_at(value, 8).ok_or(short)?;
        let payload = &value[Self::HEADER_LEN - RawChunk::HEADER_LEN..];
        Self::with(
            flags,
            value,
            Interleave::Ssn(ssn),
            move |_| Some(ppid),
            payload,
        )
    }

    /// Reads the value of an I-DATA chunk.
    pub(crate) fn decode_interleaved(flags: u8, value: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Truncated;
        let mid = Mid::new(u32_at(value, 8).ok_or(short)?);
        let word = u32_at(value, 12).ok_or(short)?;
        let payload = &value[Self::INTERLEAVED_HEADER_LEN - RawChunk::HEADER_LEN..];
        let fsn = if flags & FLAG_BEGIN == 0 { word } else { 0 };
        let place = Interleave::Mid { mid, fsn };
        Self::with(
            flags,
            value,
            place,
            |begins| begins.then_some(word),
            payload,
        )
    }

    fn with(
        flags: u8,
        value: &'a [u8],
        place: Interleave,
        ppid: impl FnOnce(bool) -> Option<u32>,
        payload: &'a [u8],
    ) -> Result<Self, DecodeError> {
        if payload.is_empty() {
            return Err(DecodeError::NoUserData);
        }
        let begins = flags & FLAG_BEGIN != 0;
        Ok(Self {
            tsn: Tsn::new(u32_at(value, 0).ok_or(DecodeError::Truncated)?),
            stream: u16_at(value, 4).ok_or(DecodeError::Truncated)?,
            place,
            ppid: ppid(begins),
            unordered: flags & FLAG_UNORDERED != 0,
            begins,
            ends: flags & FLAG_END != 0,
            immediate: flags & FLAG_IMMEDIATE != 0,
            payload,
        })
    }

    /// Bytes before the user data, in the form that `place` says.
    pub const fn header_len(interleaved: bool) -> usize {
        if interleaved {
            Self::INTERLEAVED_HEADER_LEN
        } else {
            Self::HEADER_LEN
        }
    }

    /// Appends the chunk with its padding. `ppid` is not sent in later fragments of I-DATA.
    ///
    /// # Panics
    ///
    /// If the user data is longer than 65,515 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut flags = 0;
        for (set, flag) in [
            (self.ends, FLAG_END),
            (self.begins, FLAG_BEGIN),
            (self.unordered, FLAG_UNORDERED),
            (self.immediate, FLAG_IMMEDIATE),
        ] {
            if set {
                flags |= flag;
            }
        }
        let ppid = self.ppid.unwrap_or_default();
        let mut header = [0; Self::INTERLEAVED_HEADER_LEN];
        let length = match self.place {
            Interleave::Ssn(ssn) => {
                header[0] = ChunkType::DATA.0;
                header[10..12].copy_from_slice(&ssn.to_be_bytes());
                header[12..16].copy_from_slice(&ppid.to_be_bytes());
                Self::HEADER_LEN
            }
            Interleave::Mid { mid, fsn } => {
                header[0] = ChunkType::I_DATA.0;
                header[12..16].copy_from_slice(&mid.get().to_be_bytes());
                let word = if self.begins { ppid } else { fsn };
                header[16..20].copy_from_slice(&word.to_be_bytes());
                Self::INTERLEAVED_HEADER_LEN
            }
        };
        let whole = u16::try_from(length + self.payload.len()).expect("a chunk fits its packet");
        header[1] = flags;
        header[2..4].copy_from_slice(&whole.to_be_bytes());
        header[4..8].copy_from_slice(&self.tsn.get().to_be_bytes());
        header[8..10].copy_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&header[..length]);
        out.extend_from_slice(self.payload);
        pad(out, start);
    }
}
