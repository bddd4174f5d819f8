//! Packets: the common header and the chunks after it.

mod describe;

use std::fmt;

pub use describe::describe;

use crate::chunk::{ChunkType, RawChunk};
use crate::crc32c;
use crate::wire::{padded, u16_at, u32_at};

/// The common header (RFC 9260 §3.1):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |      Source Port Number       |    Destination Port Number    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Verification Tag                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           Checksum                            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Rejected: a port of 0, and fewer bytes than 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The SCTP port it comes from.
    pub source_port: u16,
    /// The SCTP port it goes to.
    pub destination_port: u16,
    /// The verification tag, as a rule the receiver's own.
    pub tag: u32,
}

impl Header {
    /// Bytes of a common header.
    pub const LEN: usize = 12;

    /// Reads the header of a packet; the checksum is the business of [`crc32c`].
    ///
    /// # Errors
    ///
    /// When it is too short, or has a port of 0.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Truncated;
        let header = Self {
            source_port: u16_at(packet, 0).ok_or(short)?,
            destination_port: u16_at(packet, 2).ok_or(short)?,
            tag: u32_at(packet, 4).ok_or(short)?,
        };
        if packet.len() < Self::LEN {
            return Err(short);
        }
        if header.source_port == 0 || header.destination_port == 0 {
            return Err(DecodeError::PortZero);
        }
        Ok(header)
    }

    /// Appends the header, with a checksum of 0 that [`finish`] puts right.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.source_port.to_be_bytes());
        out.extend_from_slice(&self.destination_port.to_be_bytes());
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    /// The header of an answer with this tag.
    #[must_use]
    pub const fn answer(&self, tag: u32) -> Self {
        Self {
            source_port: self.destination_port,
            destination_port: self.source_port,
            tag,
        }
    }
}

/// Ends the packet that begins at `start`: its checksum is written.
///
/// # Panics
///
/// If fewer than 12 bytes follow `start`.
pub fn finish(out: &mut [u8], start: usize) {
    crc32c::write(&mut out[start..]);
}

/// The chunks of a packet, in their order.
///
/// Ends with an error at a chunk that is shorter than its header or runs past the packet
/// (RFC 9260 §6.10: what came before it stays processed).
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// The chunks of `packet`, which begins with a common header.
    pub fn of(packet: &'a [u8]) -> Self {
        Self {
            rest: packet.get(Header::LEN..).unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<RawChunk<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        if rest.is_empty() {
            return None;
        }
        self.rest = &[];
        let Some(length) = u16_at(rest, 2).map(usize::from) else {
            return Some(Err(DecodeError::ChunkLength));
        };
        if length < RawChunk::HEADER_LEN || length > rest.len() {
            return Some(Err(DecodeError::ChunkLength));
        }
        // A packet may lack the padding of its last chunk.
        self.rest = rest.get(padded(length)..).unwrap_or_default();
        Some(Ok(RawChunk {
            kind: ChunkType(rest[0]),
            flags: rest[1],
            whole: &rest[..length],
        }))
    }
}

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the fixed part has.
    Truncated,
    /// A port of 0.
    PortZero,
    /// A chunk shorter than its header, or longer than what is left of the packet.
    ChunkLength,
    /// A parameter shorter than its header, or longer than what is left of the chunk.
    ParameterLength,
    /// A chunk or a parameter whose length does not fit its content.
    Length,
    /// A DATA chunk without user data (RFC 9260 §3.3.1).
    NoUserData,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than its fixed part",
            Self::PortZero => "a port of 0",
            Self::ChunkLength => "a chunk length that does not fit the packet",
            Self::ParameterLength => "a parameter length that does not fit the chunk",
            Self::Length => "a length that does not fit the content",
            Self::NoUserData => "a DATA chunk without user data",
        })
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests;
