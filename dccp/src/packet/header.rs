//! The generic header, the acknowledgement subheader and the fixed fields of each type.

use super::checksum::Checksum;
use super::options::Options;
use super::reset::Reset;
use crate::{Seq, ServiceCode};

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
        todo!()
    }
    /// The acknowledgement number, of types that have one.
    pub const fn ack(&self) -> Option<Seq> {
        todo!()
    }
    /// Bytes of header before the options, with 48-bit numbers.
    pub const fn fixed_len(&self) -> usize {
        todo!()
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
    /// Appends the header with `options` (padded here to a multiple of four, at most what
    /// Data Offset can say) to `out`, checksum field 0. The application data is to follow;
    /// [`Checksum::seal`] then fills the checksum in. Always written with 48-bit numbers.
    pub fn encode(&self, options: &[u8], out: &mut Vec<u8>) {
        let _ = (options, out);
        todo!()
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
    ///
    /// # Errors
    ///
    /// Every error means that the packet is to be dropped silently.
    pub fn decode(bytes: &'a [u8], checksum: &Checksum) -> Result<Self, DecodeError> {
        let _ = (bytes, checksum);
        todo!()
    }
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
