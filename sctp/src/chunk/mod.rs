//! Chunks (RFC 9260 §3.2, §3.3), one file for each that has content of its own.

mod data;
mod forward_tsn;
mod init;
mod sack;

use std::fmt;

pub use data::{Data, Interleave};
pub use forward_tsn::{ForwardTsn, Skipped};
pub(crate) use init::put_parameters;
pub use init::{Extensions, Init, InitParameters, ParameterError};
pub use sack::Sack;

use crate::cause::Causes;
use crate::packet::DecodeError;
use crate::parameter::Parameters;
use crate::tsn::Tsn;
use crate::wire::{close_length, padded, u32_at};

/// The type of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkType(pub u8);

macro_rules! chunk_types {
    ($($name:ident = $number:literal),* $(,)?) => {
        #[expect(missing_docs, reason = "the RFCs' names")]
        impl ChunkType {
            $(pub const $name: Self = Self($number);)*
        }

        impl fmt::Display for ChunkType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str(&stringify!($name).replace('_', " ")),)*
                    number => write!(f, "chunk {number}"),
                }
            }
        }
    };
}

chunk_types! {
    DATA = 0, INIT = 1, INIT_ACK = 2, SACK = 3, HEARTBEAT = 4, HEARTBEAT_ACK = 5, ABORT = 6,
    SHUTDOWN = 7, SHUTDOWN_ACK = 8, ERROR = 9, COOKIE_ECHO = 10, COOKIE_ACK = 11, ECNE = 12,
    CWR = 13, SHUTDOWN_COMPLETE = 14, AUTH = 15, I_DATA = 64, ASCONF_ACK = 128, RE_CONFIG = 130,
    PAD = 132, FORWARD_TSN = 192, ASCONF = 193, I_FORWARD_TSN = 194,
}

impl fmt::Debug for ChunkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What to do with a chunk or a parameter of a type that is not known, by the highest two bits
/// of its type (RFC 9260 §3.2, §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhenUnknown {
    /// Whether to go on with what follows it.
    pub skip: bool,
    /// Whether to tell the sender.
    pub report: bool,
}

impl WhenUnknown {
    pub(crate) const fn of_high_bits(type_byte: u8) -> Self {
        Self {
            skip: type_byte & 0x80 != 0,
            report: type_byte & 0x40 != 0,
        }
    }
}

/// A chunk as it lies in a packet (RFC 9260 §3.2):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Chunk Type   |  Chunk Flags  |         Chunk Length          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// \                          Chunk Value                          \
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawChunk<'a> {
    /// Its type.
    pub kind: ChunkType,
    /// Its flags.
    pub flags: u8,
    /// All of it, its padding apart.
    pub whole: &'a [u8],
}

impl<'a> RawChunk<'a> {
    /// Bytes of a chunk's header.
    pub const HEADER_LEN: usize = 4;

    /// What follows the header.
    pub fn value(&self) -> &'a [u8] {
        self.whole.get(Self::HEADER_LEN..).unwrap_or_default()
    }
}

/// The T bit of ABORT and SHUTDOWN COMPLETE: the tag is the sender's peer's (RFC 9260 §8.5.1).
pub const FLAG_REFLECTED: u8 = 1;

/// A chunk in its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// DATA and I-DATA: user data.
    Data(Data<'a>),
    /// INIT: begins an association.
    Init(Init<'a>),
    /// INIT ACK: answers it.
    InitAck(Init<'a>),
    /// SACK: what arrived.
    Sack(Sack<'a>),
    /// HEARTBEAT, with its parameters.
    Heartbeat(&'a [u8]),
    /// HEARTBEAT ACK, with the same.
    HeartbeatAck(&'a [u8]),
    /// ABORT: an end at once.
    Abort {
        /// The T bit.
        reflected: bool,
        /// Why.
        causes: Causes<'a>,
    },
    /// SHUTDOWN: the end in good order.
    Shutdown {
        /// The highest TSN with none missing below it.
        cumulative: Tsn,
    },
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// ERROR: what the peer did not like.
    Error(Causes<'a>),
    /// COOKIE ECHO.
    CookieEcho(&'a [u8]),
    /// COOKIE ACK.
    CookieAck,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete {
        /// The T bit.
        reflected: bool,
    },
    /// PAD (RFC 4820): nothing.
    Pad,
    /// FORWARD-TSN and I-FORWARD-TSN (RFC 3758, RFC 8260): what will not come.
    ForwardTsn(ForwardTsn<'a>),
    /// ECNE (RFC 4960 Appendix A): a packet came marked by a router.
    Ecne {
        /// The lowest TSN in it.
        lowest: Tsn,
    },
    /// CWR (RFC 4960 Appendix A): the sender knows of the mark.
    Cwr {
        /// The TSN of the ECNE that told of it.
        lowest: Tsn,
    },
    /// A chunk of a type that this crate does not know or use, as [`WhenUnknown`] has it.
    Unknown(RawChunk<'a>, WhenUnknown),
}

impl<'a> Chunk<'a> {
    /// Reads a chunk's content.
    ///
    /// # Errors
    ///
    /// When it is shorter than its type demands, or contradicts itself.
    pub fn decode(raw: RawChunk<'a>) -> Result<Self, DecodeError> {
        let value = raw.value();
        let reflected = raw.flags & FLAG_REFLECTED != 0;
        let tsn = || u32_at(value, 0).map(Tsn::new).ok_or(DecodeError::Truncated);
        Ok(match raw.kind {
            ChunkType::DATA => Self::Data(Data::decode(raw.flags, value)?),
            ChunkType::I_DATA => Self::Data(Data::decode_interleaved(raw.flags, value)?),
            ChunkType::INIT => Self::Init(Init::decode(value)?),
            ChunkType::INIT_ACK => Self::InitAck(Init::decode(value)?),
            ChunkType::SACK => Self::Sack(Sack::decode(value)?),
            ChunkType::HEARTBEAT => Self::Heartbeat(value),
            ChunkType::HEARTBEAT_ACK => Self::HeartbeatAck(value),
            ChunkType::ABORT => Self::Abort {
                reflected,
                causes: Causes::of(value),
            },
            ChunkType::SHUTDOWN => Self::Shutdown { cumulative: tsn()? },
            ChunkType::ECNE => Self::Ecne { lowest: tsn()? },
            ChunkType::CWR => Self::Cwr { lowest: tsn()? },
            ChunkType::SHUTDOWN_ACK => Self::ShutdownAck,
            ChunkType::ERROR => Self::Error(Causes::of(value)),
            ChunkType::COOKIE_ECHO => Self::CookieEcho(value),
            ChunkType::COOKIE_ACK => Self::CookieAck,
            ChunkType::SHUTDOWN_COMPLETE => Self::ShutdownComplete { reflected },
            ChunkType::PAD => Self::Pad,
            ChunkType::FORWARD_TSN => Self::ForwardTsn(ForwardTsn::decode(value, false)?),
            ChunkType::I_FORWARD_TSN => Self::ForwardTsn(ForwardTsn::decode(value, true)?),
            ChunkType(other) => Self::Unknown(raw, WhenUnknown::of_high_bits(other)),
        })
    }
}

/// Appends a chunk whose value `fill` appends, with its length and padding.
///
/// # Panics
///
/// If the chunk grows past 65,535 bytes.
pub fn put(out: &mut Vec<u8>, kind: ChunkType, flags: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[kind.0, flags, 0, 0]);
    fill(out);
    close_length(out, start);
}

/// Appends a chunk whose value is `fixed` bytes and then parameters or error causes, all of which
/// `fill` appends. Chunk Length includes "any padding of variable-length parameters other than the
/// last parameter in the chunk" (RFC 9260 §3.2).
///
/// # Panics
///
/// If the chunk grows past 65,535 bytes.
pub fn put_with_parameters(
    out: &mut Vec<u8>,
    kind: ChunkType,
    flags: u8,
    fixed: usize,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    put(out, kind, flags, fill);
    let value = out.get(start + RawChunk::HEADER_LEN + fixed..);
    let value = value.unwrap_or_default();
    let lengths = Parameters::of(value).map_while(Result::ok);
    let (mut end, mut padding) = (0, 0);
    for length in lengths.map(|parameter| parameter.whole.len()) {
        end += padded(length);
        padding = padded(length) - length;
    }
    if end != value.len() {
        return;
    }
    let end = out.len() - padding;
    out.truncate(end);
    close_length(out, start);
}

/// Appends a chunk that has no value.
pub fn put_empty(out: &mut Vec<u8>, kind: ChunkType, flags: u8) {
    out.extend_from_slice(&[kind.0, flags, 0, 4]);
}

/// Appends a chunk whose value is a TSN: SHUTDOWN, ECNE, CWR.
pub fn put_tsn(out: &mut Vec<u8>, kind: ChunkType, tsn: Tsn) {
    put(out, kind, 0, |out| {
        out.extend_from_slice(&tsn.get().to_be_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::{self, ParameterType};

    #[test]
    fn chunk_length_leaves_out_the_padding_of_the_last_parameter() {
        let mut out = vec![0; 3];
        put_with_parameters(&mut out, ChunkType::INIT, 0, 4, |out| {
            out.extend_from_slice(&[7; 4]);
            parameter::put(out, ParameterType::STATE_COOKIE, |out| out.push(1));
            parameter::put(out, ParameterType::STATE_COOKIE, |out| out.push(2));
        });
        // Header, fixed bytes, one parameter with its padding, one without; then the chunk's own.
        assert_eq!(out[3 + 2..3 + 4], [0, 4 + 4 + 8 + 5]);
        assert_eq!(out.len(), 3 + 24);
    }
}
