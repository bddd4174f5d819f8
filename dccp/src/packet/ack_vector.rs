//! Ack Vectors (RFC 4340 §11.4).

use std::fmt;

/// What is known of a packet (RFC 4340 §11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketState {
    /// Received.
    Received,
    /// Received with a Congestion Experienced mark.
    Marked,
    /// Not yet received.
    NotReceived,
}

/// A number of neighbouring packets in the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Their state; `None` for the reserved one.
    pub state: Option<PacketState>,
    /// How many: 1 to 64.
    pub length: u8,
}

impl Run {
    /// The most packets that one run tells of.
    pub const MAX_LENGTH: u8 = 64;

    /// Reads a byte of an Ack Vector.
    ///
    /// ```text
    ///  0 1 2 3 4 5 6 7
    /// +-+-+-+-+-+-+-+-+
    /// |Sta| Run Length|
    /// +-+-+-+-+-+-+-+-+
    /// ```
    pub const fn from_cell(cell: u8) -> Self {
        let state = match cell >> 6 {
            0 => Some(PacketState::Received),
            1 => Some(PacketState::Marked),
            3 => Some(PacketState::NotReceived),
            _ => None,
        };
        Self {
            state,
            length: (cell & 0x3f) + 1,
        }
    }

    /// The byte of an Ack Vector; a length outside 1 to 64 is brought inside.
    pub const fn to_cell(self) -> u8 {
        let state = match self.state {
            Some(PacketState::Received) => 0,
            Some(PacketState::Marked) => 1,
            Some(PacketState::NotReceived) => 3,
            None => 2,
        };
        let length = match self.length {
            0 => 1,
            1..=64 => self.length,
            _ => 64,
        };
        state << 6 | (length - 1)
    }
}

/// One Ack Vector option: runs from the newest packet to older ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AckVector<'a> {
    /// The ECN nonce echo: whether the option is of type 39.
    pub nonce: bool,
    /// The bytes, a run each.
    pub cells: &'a [u8],
}

impl<'a> AckVector<'a> {
    /// The runs.
    pub fn runs(&self) -> impl Iterator<Item = Run> + use<'a> {
        self.cells.iter().map(|&cell| Run::from_cell(cell))
    }
}

impl fmt::Debug for AckVector<'_> {
    /// Such as `AckVector 0 [1 received, 2 missing]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AckVector {} [", u8::from(self.nonce))?;
        for (index, run) in self.runs().enumerate() {
            let state = match run.state {
                Some(PacketState::Received) => "received",
                Some(PacketState::Marked) => "marked",
                Some(PacketState::NotReceived) => "missing",
                None => "reserved",
            };
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {state}", run.length)?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4340 §11.4: with ackno 100, packet 100 was received, 99 was not, 98 to 95 were, 94 with
    /// a mark, 93 to 88 were received.
    #[test]
    fn da_the_example_of_section_11_4() {
        let vector = AckVector {
            nonce: false,
            cells: &[0, 192, 3, 64, 5],
        };
        let mut numbers = (0..=100u8).rev();
        let read: Vec<_> = vector
            .runs()
            .map(|run| {
                let newest = numbers.next().unwrap();
                let oldest = numbers.by_ref().take(usize::from(run.length) - 1).last();
                let oldest = oldest.unwrap_or(newest);
                (newest, oldest, run.state.unwrap())
            })
            .collect();
        let expected = [
            (100, 100, PacketState::Received),
            (99, 99, PacketState::NotReceived),
            (98, 95, PacketState::Received),
            (94, 94, PacketState::Marked),
            (93, 88, PacketState::Received),
        ];
        assert_eq!(read, expected);
        assert_eq!(
            format!("{vector:?}"),
            "AckVector 0 [1 received, 1 missing, 4 received, 1 marked, 6 received]"
        );
    }

    #[test]
    fn every_cell_is_a_run_and_back() {
        for cell in 0..=u8::MAX {
            let run = Run::from_cell(cell);
            assert_eq!(run.state.is_none(), cell >> 6 == 2);
            assert!((1..=Run::MAX_LENGTH).contains(&run.length));
            assert_eq!(run.to_cell(), cell);
        }
        assert_eq!(
            Run {
                state: Some(PacketState::Received),
                length: 200
            }
            .to_cell(),
            63
        );
        assert_eq!(
            Run {
                state: Some(PacketState::Received),
                length: 0
            }
            .to_cell(),
            0
        );
    }
}
