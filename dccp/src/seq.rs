//! Sequence numbers.

use std::fmt;

const BITS: u32 = 48;
const MASK: u64 = (1 << BITS) - 1;

/// A sequence or acknowledgement number: 48 bits, counted modulo 2^48 (RFC 4340 §7).
///
/// It has no `Ord`, since which of two is the later one depends on how far they are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(u64);

impl Seq {
    /// The low 48 bits of `number`.
    pub const fn new(number: u64) -> Self {
        Self(number & MASK)
    }

    /// The number, below 2^48.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number `count` later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self::new(self.0.wrapping_add(count))
    }

    /// The number `count` earlier.
    #[must_use]
    pub const fn minus(self, count: u64) -> Self {
        Self::new(self.0.wrapping_sub(count))
    }

    /// How far `other` is ahead: from -2^47 to 2^47 - 1, negative when it is behind.
    pub const fn distance_to(self, other: Self) -> i64 {
        let shift = u64::BITS - BITS;
        (other.0.wrapping_sub(self.0) << shift).cast_signed() >> shift
    }

    /// Whether this number is earlier than `other`.
    pub const fn precedes(self, other: Self) -> bool {
        self.distance_to(other) > 0
    }

    /// Whether this number is `low`, `high` or one between them.
    pub const fn is_within(self, low: Self, high: Self) -> bool {
        self.0.wrapping_sub(low.0) & MASK <= high.0.wrapping_sub(low.0) & MASK
    }

    /// The later of the two.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.precedes(other) { other } else { self }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
