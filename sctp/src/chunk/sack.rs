use super::{ChunkType, put};
use crate::packet::DecodeError;
use crate::tsn::Tsn;
use crate::wire::{u16_at, u32_at};

/// SACK (RFC 9260 §3.3.4):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 3    |  Chunk Flags  |         Chunk Length          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      Cumulative TSN Ack                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          Advertised Receiver Window Credit (a_rwnd)           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Number of Gap Ack Blocks = N  |  Number of Duplicate TSNs = M |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    Gap Ack Block #1 Start     |     Gap Ack Block #1 End      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// \                              ...                              \
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                        Duplicate TSN 1                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// \                              ...                              \
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Rejected: announced blocks or duplicates that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sack<'a> {
    /// The highest TSN with none missing below it.
    pub cumulative: Tsn,
    /// Bytes the receiver still takes.
    pub a_rwnd: u32,
    gaps: &'a [u8],
    duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    /// Bytes of a SACK without blocks and duplicates.
    pub const LEN: usize = 16;

    pub(crate) fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Truncated;
        let gaps = usize::from(u16_at(value, 8).ok_or(short)?) * 4;
        let duplicates = usize::from(u16_at(value, 10).ok_or(short)?) * 4;
        let lists = &value[12..];
        if lists.len() < gaps + duplicates {
            return Err(DecodeError::Length);
        }
        Ok(Self {
            cumulative: Tsn::new(u32_at(value, 0).ok_or(short)?),
            a_rwnd: u32_at(value, 4).ok_or(short)?,
            gaps: &lists[..gaps],
            duplicates: &lists[gaps..gaps + duplicates],
        })
    }

    /// The blocks that arrived above the cumulative TSN, as offsets to it, ends included; as the
    /// peer wrote them, not checked for order or overlap.
    pub fn gaps(&self) -> impl Iterator<Item = (u16, u16)> + 'a {
        self.gaps.chunks_exact(4).map(|block| {
            let start = u16_at(block, 0).unwrap_or_default();
            (start, u16_at(block, 2).unwrap_or_default())
        })
    }

    /// The TSNs that arrived more than once.
    pub fn duplicates(&self) -> impl ExactSizeIterator<Item = Tsn> + 'a {
        let list = self.duplicates.chunks_exact(4);
        list.map(|tsn| Tsn::new(u32_at(tsn, 0).unwrap_or_default()))
    }

    /// Appends a SACK.
    ///
    /// # Panics
    ///
    /// If the lists make the chunk longer than 65,535 bytes.
    pub fn encode(
        out: &mut Vec<u8>,
        cumulative: Tsn,
        a_rwnd: u32,
        gaps: &[(u16, u16)],
        duplicates: &[Tsn],
    ) {
        let count = |len: usize| u16::try_from(len).expect("a bounded list").to_be_bytes();
        put(out, ChunkType::SACK, 0, |out| {
            out.extend_from_slice(&cumulative.get().to_be_bytes());
            out.extend_from_slice(&a_rwnd.to_be_bytes());
            out.extend_from_slice(&count(gaps.len()));
            out.extend_from_slice(&count(duplicates.len()));
            for (start, end) in gaps {
                out.extend_from_slice(&start.to_be_bytes());
                out.extend_from_slice(&end.to_be_bytes());
            }
            for tsn in duplicates {
                out.extend_from_slice(&tsn.get().to_be_bytes());
            }
        });
    }
}
