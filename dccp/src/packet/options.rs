//! Options (RFC 4340 §5.8).

use crate::packet::AckVector;

/// Which end a Change or Confirm speaks for: L is the feature's location (RFC 4340 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender of the option is the feature location.
    L,
    /// The receiver of the option is.
    R,
}

/// A feature number (RFC 4340 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature(pub u8);

#[expect(missing_docs, reason = "the RFC's names")]
impl Feature {
    pub const CCID: Self = Self(1);
    pub const ALLOW_SHORT_SEQNOS: Self = Self(2);
    pub const SEQUENCE_WINDOW: Self = Self(3);
    pub const ECN_INCAPABLE: Self = Self(4);
    pub const ACK_RATIO: Self = Self(5);
    pub const SEND_ACK_VECTOR: Self = Self(6);
    pub const SEND_NDP_COUNT: Self = Self(7);
    pub const MIN_CHECKSUM_COVERAGE: Self = Self(8);
    pub const CHECK_DATA_CHECKSUM: Self = Self(9);
    /// Of CCID 3.
    pub const SEND_LOSS_EVENT_RATE: Self = Self(192);
}

/// One decoded option. An option of a known type whose length or value is invalid is
/// [`Self::Unknown`] (DO3), so that Mandatory before it has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DccpOption<'a> {
    /// The next option must be understood and acted on (RFC 4340 §5.8.2).
    Mandatory,
    /// RFC 4340 §11.6.
    SlowReceiver,
    /// RFC 4340 §6.1. `value` is what follows the feature number.
    Change {
        /// L or R.
        side: Side,
        /// Which feature.
        feature: Feature,
        /// A preference list or a number.
        value: &'a [u8],
    },
    /// RFC 4340 §6.2.
    Confirm {
        /// L or R.
        side: Side,
        /// Which feature.
        feature: Feature,
        /// The value and the confirmer's list; empty: not understood.
        value: &'a [u8],
    },
    /// RFC 4340 §8.1.4.
    InitCookie(&'a [u8]),
    /// RFC 4340 §7.7.
    NdpCount(u64),
    /// RFC 4340 §11.4.
    AckVector(AckVector<'a>),
    /// RFC 4340 §11.7: the block bytes.
    DataDropped(&'a [u8]),
    /// RFC 4340 §13.1, units of 10 µs.
    Timestamp(u32),
    /// RFC 4340 §13.3, both in units of 10 µs.
    TimestampEcho {
        /// What the Timestamp said.
        timestamp: u32,
        /// How long ago it came.
        elapsed: u32,
    },
    /// RFC 4340 §13.2, units of 10 µs.
    ElapsedTime(u32),
    /// RFC 4340 §9.3: CRC-32c of the data.
    DataChecksum(u32),
    /// 128 to 255: of the CCID in force.
    Ccid {
        /// The option's type.
        kind: u8,
        /// What follows type and length.
        value: &'a [u8],
    },
    /// Not understood, or not valid.
    Unknown {
        /// The option's type.
        kind: u8,
        /// What follows type and length.
        value: &'a [u8],
    },
}

/// The options of a packet, in order; Padding is skipped, and a length that cannot be ends them
/// (DO2).
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(#[expect(dead_code)] &'a [u8]);

impl<'a> Options<'a> {
    /// Reads the option area of a header.
    pub const fn new(area: &'a [u8]) -> Self {
        Self(area)
    }
    /// Whether there is none at all.
    pub const fn is_empty(&self) -> bool {
        todo!()
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = DccpOption<'a>;

    fn next(&mut self) -> Option<DccpOption<'a>> {
        todo!()
    }
}

/// Collects options to send, up to a limit in bytes. Reused from packet to packet.
#[derive(Clone, Debug, Default)]
pub struct OptionWriter {
    bytes: Vec<u8>,
    limit: usize,
}

impl OptionWriter {
    /// Empties it, for at most `limit` bytes.
    pub fn reset(&mut self, limit: usize) {
        self.bytes.clear();
        self.limit = limit;
    }
    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// How many bytes still fit.
    pub fn room(&self) -> usize {
        self.limit - self.bytes.len()
    }
    /// Appends an option if it fits whole; tells whether it did. For `Ccid` and `Unknown` the
    /// bytes as given.
    pub fn push(&mut self, option: DccpOption<'_>) -> bool {
        let _ = option;
        todo!()
    }
}
