use super::{ChunkType, put};
use crate::packet::DecodeError;
use crate::tsn::{Mid, Tsn};
use crate::wire::{u16_at, u32_at};

/// FORWARD-TSN (RFC 3758 §3.2) and I-FORWARD-TSN (RFC 8260 §2.3.1):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Type = 192   |  Flags = 0x00 |        Length = Variable      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      New Cumulative TSN                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         Stream-1              |       Stream Sequence-1       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// |  Type = 194   |  Flags = 0x00 |        Length = Variable      |
/// |                      New Cumulative TSN                       |
/// |       Stream Identifier       |          Reserved           |U|
/// |                      Message Identifier                       |
/// ```
///
/// Rejected: a length that is not one of whole entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardTsn<'a> {
    /// The TSN that, with all before it, need not be waited for.
    pub cumulative: Tsn,
    /// Whether this is an I-FORWARD-TSN.
    pub interleaved: bool,
    entries: &'a [u8],
}

/// A message that will not come, and with it none before it in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The stream.
    pub stream: u16,
    /// Whether unordered messages are meant: only in an I-FORWARD-TSN.
    pub unordered: bool,
    /// The message; of a FORWARD-TSN the low 16 bits.
    pub message: Mid,
}

impl<'a> ForwardTsn<'a> {
    pub(crate) fn decode(value: &'a [u8], interleaved: bool) -> Result<Self, DecodeError> {
        let cumulative = Tsn::new(u32_at(value, 0).ok_or(DecodeError::Truncated)?);
        let entries = &value[4..];
        if !entries
            .len()
            .is_multiple_of(if interleaved { 8 } else { 4 })
        {
            return Err(DecodeError::Length);
        }
        Ok(Self {
            cumulative,
            interleaved,
            entries,
        })
    }

    /// The messages that will not come.
    pub fn skipped(&self) -> impl Iterator<Item = Skipped> + 'a {
        let interleaved = self.interleaved;
        let entries = self.entries.chunks_exact(if interleaved { 8 } else { 4 });
        entries.map(move |entry| {
            let second = u16_at(entry, 2).unwrap_or_default();
            Skipped {
                stream: u16_at(entry, 0).unwrap_or_default(),
                unordered: interleaved && second & 1 != 0,
                message: if interleaved {
                    Mid::new(u32_at(entry, 4).unwrap_or_default())
                } else {
                    Mid::new(second.into())
                },
            }
        })
    }

    /// Appends a chunk that skips these messages.
    ///
    /// # Panics
    ///
    /// If the list makes the chunk longer than 65,535 bytes.
    pub fn encode(out: &mut Vec<u8>, cumulative: Tsn, interleaved: bool, skipped: &[Skipped]) {
        let kind = if interleaved {
            ChunkType::I_FORWARD_TSN
        } else {
            ChunkType::FORWARD_TSN
        };
        put(out, kind, 0, |out| {
            out.extend_from_slice(&cumulative.get().to_be_bytes());
            for entry in skipped {
                out.extend_from_slice(&entry.stream.to_be_bytes());
                if interleaved {
                    out.extend_from_slice(&u16::from(entry.unordered).to_be_bytes());
                    out.extend_from_slice(&entry.message.get().to_be_bytes());
                } else {
                    out.extend_from_slice(&entry.message.ssn().to_be_bytes());
                }
            }
        });
    }
}
