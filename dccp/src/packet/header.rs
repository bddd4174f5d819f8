//! The generic header, the acknowledgement subheader and the fixed fields of each type.

use std::ops::Range;

use super::checksum::Checksum;
use super::options::Options;
use super::reset::{Reset, ResetCode};
use crate::{Seq, ServiceCode};

/// Where the Checksum field is.
pub(super) const CHECKSUM_FIELD: Range<usize> = 6..8;

/// The longest header: Data Offset is a byte that counts words of four (RFC 4340 §5.1).
pub const MAX_HEADER_LEN: usize = 1020;

/// The types of packets (RFC 4340 §5.1; Listen: RFC 5596).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum PacketType {
    Request = 0,
    Response = 1,
    Data = 2,
    Ack = 3,
    DataAck = 4,
    CloseReq = 5,
    Close = 6,
    Reset = 7,
    Sync = 8,
    SyncAck = 9,
    Listen = 10,
}

impl PacketType {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Request,
        Self::Response,
        Self::Data,
        Self::Ack,
        Self::DataAck,
        Self::CloseReq,
        Self::Close,
        Self::Reset,
        Self::Sync,
        Self::SyncAck,
        Self::Listen,
    ];

    /// The type of that number; `None` for the reserved ones (DH1).
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Request),
            1 => Some(Self::Response),
            2 => Some(Self::Data),
            3 => Some(Self::Ack),
            4 => Some(Self::DataAck),
            5 => Some(Self::CloseReq),
            6 => Some(Self::Close),
            7 => Some(Self::Reset),
            8 => Some(Self::Sync),
            9 => Some(Self::SyncAck),
            10 => Some(Self::Listen),
            _ => None,
        }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether it may have short sequence numbers (RFC 4340 §5.1).
    pub const fn may_be_short(self) -> bool {
        matches!(self, Self::Data | Self::Ack | Self::DataAck)
    }

    /// Whether it has an acknowledgement number.
    pub const fn has_ack(self) -> bool {
        !matches!(self, Self::Request | Self::Data | Self::Listen)
    }

    /// Whether its data area holds application data (RFC 4340 §5.1 to §5.7; a Reset's is a text
    /// about the error).
    pub const fn has_data(self) -> bool {
        matches!(
            self,
            Self::Request | Self::Response | Self::Data | Self::DataAck
        )
    }

    /// Bytes of header before the options.
    const fn fixed_len(self, short: bool) -> usize {
        match self {
            Self::Data if short => 12,
            Self::Ack | Self::DataAck if short => 16,
            Self::Data => 16,
            Self::Request | Self::Listen => 20,
            Self::Ack
            | Self::DataAck
            | Self::CloseReq
            | Self::Close
            | Self::Sync
            | Self::SyncAck => 24,
            Self::Response | Self::Reset => 28,
        }
    }
}

/// A packet's type with the fields that only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum Kind {
    Request { service: ServiceCode },
    Response { ack: Seq, service: ServiceCode },
    Data,
    Ack { ack: Seq },
    DataAck { ack: Seq },
    CloseReq { ack: Seq },
    Close { ack: Seq },
    Reset { ack: Seq, reset: Reset },
    Sync { ack: Seq },
    SyncAck { ack: Seq },
    Listen { service: ServiceCode },
}

impl Kind {
    /// The type alone.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Request { .. } => PacketType::Request,
            Self::Response { .. } => PacketType::Response,
            Self::Data => PacketType::Data,
            Self::Ack { .. } => PacketType::Ack,
            Self::DataAck { .. } => PacketType::DataAck,
            Self::CloseReq { .. } => PacketType::CloseReq,
            Self::Close { .. } => PacketType::Close,
            Self::Reset { .. } => PacketType::Reset,
            Self::Sync { .. } => PacketType::Sync,
            Self::SyncAck { .. } => PacketType::SyncAck,
            Self::Listen { .. } => PacketType::Listen,
        }
    }

    /// The acknowledgement number, of types that have one.
    pub const fn ack(&self) -> Option<Seq> {
        match self {
            Self::Request { .. } | Self::Data | Self::Listen { .. } => None,
            Self::Response { ack, .. }
            | Self::Ack { ack }
            | Self::DataAck { ack }
            | Self::CloseReq { ack }
            | Self::Close { ack }
            | Self::Reset { ack, .. }
            | Self::Sync { ack }
            | Self::SyncAck { ack } => Some(*ack),
        }
    }

    /// Bytes of header before the options, with 48-bit numbers.
    pub const fn fixed_len(&self) -> usize {
        self.packet_type().fixed_len(false)
    }

    /// The most bytes of options that such a packet can have: what Data Offset can say (DO8).
    pub const fn max_options_len(&self) -> usize {
        MAX_HEADER_LEN - self.fixed_len()
    }
}

/// A header without options and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The DCCP port it comes from.
    pub source_port: u16,
    /// The DCCP port it goes to.
    pub destination_port: u16,
    /// For the CCID's use, 0 to 15 (RFC 4340 §5.1).
    pub ccval: u8,
    /// Checksum coverage, 0 to 15 (RFC 4340 §9.2).
    pub cscov: u8,
    /// Whether the numbers are short ones (X = 0): then `seq` and an ackno hold their low 24 bits
    /// only, until extended with [`Seq::extend`](crate::Seq::extend).
    pub short: bool,
    /// The sequence number.
    pub seq: Seq,
    /// The type and its own fields.
    pub kind: Kind,
}

impl Header {
    /// Appends the header with `options` (padded here to a multiple of four) to `out`, checksum
    /// field 0. The application data is to follow; [`Checksum::seal`] then fills the checksum in.
    /// Always written with 48-bit numbers.
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |          Source Port          |           Dest Port           |
    /// |  Data Offset  | CCVal | CsCov |           Checksum            |
    /// | Res | Type  |1|   Reserved    |  Sequence Number (high bits)  |
    /// |                  Sequence Number (low bits)                   |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// |           Reserved            |   Ackno (high bits), if any   |
    /// |                       Ackno (low bits)                        |
    /// |      Service Code, or Reset Code and Data 1 to 3, if any      |
    /// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    /// ```
    ///
    /// # Panics
    ///
    /// When `options` is longer than [`Kind::max_options_len`].
    pub fn encode(&self, options: &[u8], out: &mut Vec<u8>) {
        let packet_type = self.kind.packet_type();
        let fixed_len = packet_type.fixed_len(false);
        let header_len = (fixed_len + options.len()).next_multiple_of(4);
        let data_offset = u8::try_from(header_len / 4).expect("options fit into the header");

        let mut fixed = [0; 28];
        fixed[0..2].copy_from_slice(&self.source_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.destination_port.to_be_bytes());
        fixed[4] = data_offset;
        fixed[5] = self.ccval << 4 | self.cscov & 0x0f;
        fixed[8..16].copy_from_slice(&self.seq.get().to_be_bytes());
        fixed[8] = packet_type.number() << 1 | 1;
        let mut at = 16;
        if let Some(ack) = self.kind.ack() {
            fixed[16..24].copy_from_slice(&ack.get().to_be_bytes());
            at = 24;
        }
        let last = match self.kind {
            Kind::Request { service }
            | Kind::Response { service, .. }
            | Kind::Listen { service } => service.0.to_be_bytes(),
            Kind::Reset {
                reset:
                    Reset {
                        code,
                        data: [one, two, three],
                    },
                ..
            } => [code.0, one, two, three],
            Kind::Data
            | Kind::Ack { .. }
            | Kind::DataAck { .. }
            | Kind::CloseReq { .. }
            | Kind::Close { .. }
            | Kind::Sync { .. }
            | Kind::SyncAck { .. } => [0; 4],
        };
        fixed[at..at + 4].copy_from_slice(&last);

        out.extend_from_slice(&fixed[..fixed_len]);
        out.extend_from_slice(options);
        out.resize(out.len() + header_len - fixed_len - options.len(), 0);
    }
}

/// A decoded packet, borrowing from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// The options.
    pub options: Options<'a>,
    /// Where the application data begins: the whole header's length in bytes.
    pub data_offset: usize,
    /// The application data area; of types without data, what is to be ignored.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Decodes one packet, and checks what RFC 4340 §8.5 step 1 demands, the checksum included.
    /// Reserved bits are not looked at (DH4).
    ///
    /// # Errors
    ///
    /// Every error means that the packet is to be dropped silently.
    pub fn decode(bytes: &'a [u8], checksum: &Checksum) -> Result<Self, DecodeError> {
        let Some((generic, _)) = bytes.split_first_chunk::<12>() else {
            return Err(DecodeError::Length);
        };
        let Some(packet_type) = PacketType::from_number(generic[8] >> 1 & 0x0f) else {
            return Err(DecodeError::Type);
        };
        let short = generic[8] & 1 == 0;
        let fixed_len = packet_type.fixed_len(short);
        let data_offset = usize::from(generic[4]) * 4;
        if data_offset < fixed_len || data_offset > bytes.len() {
            return Err(DecodeError::Length);
        }
        if short && !packet_type.may_be_short() {
            return Err(DecodeError::ShortSeq);
        }
        let (whole, data) = bytes.split_at(data_offset);
        let (fixed, options) = whole.split_at(fixed_len);
        let cscov = generic[5] & 0x0f;
        if cscov > 0 && (usize::from(cscov) - 1) * 4 > data.len() {
            return Err(DecodeError::Coverage);
        }
        if !checksum.is_right(bytes) {
            return Err(DecodeError::Checksum);
        }

        // Bits above the number's own fall away in `Seq::new` or with the mask.
        let number = |at: usize| match short {
            false => Seq::new(u64::from_be_bytes(array(fixed, at))),
            true => Seq::new(u64::from(
                u32::from_be_bytes(array(fixed, at)) & 0x00ff_ffff,
            )),
        };
        let ack = || number(if short { 12 } else { 16 });
        let service = |at| ServiceCode(u32::from_be_bytes(array(fixed, at)));
        let kind = match packet_type {
            PacketType::Request => Kind::Request {
                service: service(16),
            },
            PacketType::Response => Kind::Response {
                ack: ack(),
                service: service(24),
            },
            PacketType::Data => Kind::Data,
            PacketType::Ack => Kind::Ack { ack: ack() },
            PacketType::DataAck => Kind::DataAck { ack: ack() },
            PacketType::CloseReq => Kind::CloseReq { ack: ack() },
            PacketType::Close => Kind::Close { ack: ack() },
            PacketType::Reset => {
                let [code, data @ ..]: [u8; 4] = array(fixed, 24);
                Kind::Reset {
                    ack: ack(),
                    reset: Reset {
                        code: ResetCode(code),
                        data,
                    },
                }
            }
            PacketType::Sync => Kind::Sync { ack: ack() },
            PacketType::SyncAck => Kind::SyncAck { ack: ack() },
            PacketType::Listen => Kind::Listen {
                service: service(16),
            },
        };
        let header = Header {
            source_port: u16::from_be_bytes([generic[0], generic[1]]),
            destination_port: u16::from_be_bytes([generic[2], generic[3]]),
            ccval: generic[5] >> 4,
            cscov,
            short,
            seq: number(8),
            kind,
        };
        Ok(Self {
            header,
            options: Options::new(options),
            data_offset,
            data,
        })
    }
}

/// The `N` bytes at `at`; zeroes past the end, which [`PacketType::fixed_len`] has ruled out.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes
        .get(at..)
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

/// Why a packet is dropped before anything is looked at (RFC 4340 §8.5 step 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than the header it claims to have, or Data Offset below the type's fixed length.
    Length,
    /// A reserved or unknown type.
    Type,
    /// Short sequence numbers on a type that must have long ones.
    ShortSeq,
    /// Checksum coverage beyond the data.
    Coverage,
    /// The checksum is wrong.
    Checksum,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "length that does not fit the type",
            Self::Type => "reserved packet type",
            Self::ShortSeq => "short sequence number on a type that needs a long one",
            Self::Coverage => "checksum coverage beyond the data",
            Self::Checksum => "wrong checksum",
        })
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
