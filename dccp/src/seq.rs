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

    /// The 48-bit number that a short one stands for: this one's low 24 bits with the high bits that
    /// bring it nearest to `reference`, which is GSR for a sequence number and GSS for an
    /// acknowledgement number (RFC 4340 §7.6).
    #[must_use]
    pub const fn extend(self, reference: Self) -> Self {
        const LOW: u64 = (1 << 24) - 1;
        const HALF: u64 = 1 << 23;
        let short = self.0 & LOW;
        let low = reference.0 & LOW;
        let high = reference.0 & !LOW;
        let high = if short.wrapping_sub(low) & LOW <= HALF && short < low {
            high.wrapping_add(1 << 24)
        } else if low.wrapping_sub(short) & LOW <= HALF && low < short {
            high.wrapping_sub(1 << 24)
        } else {
            high
        };
        Self::new(high | short)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_windows_wrap() {
        let last = Seq::new(u64::MAX);
        assert_eq!(last.get(), (1 << 48) - 1);
        assert_eq!(last.plus(1), Seq::new(0));
        assert_eq!(Seq::new(0).minus(1), last);
        assert_eq!(last.distance_to(Seq::new(2)), 3);
        assert_eq!(Seq::new(2).distance_to(last), -3);
        assert_eq!(Seq::new(0).distance_to(Seq::new(1 << 47)), -(1 << 47));
        assert!(last.precedes(Seq::new(0)));
        assert!(!last.precedes(last));
        assert_eq!(last.later(Seq::new(1)), Seq::new(1));
        assert_eq!(Seq::new(1).later(last), Seq::new(1));
        let window = (Seq::new((1 << 48) - 2), Seq::new(1));
        assert!(last.is_within(window.0, window.1));
        assert!(Seq::new(1).is_within(window.0, window.1));
        assert!(!Seq::new(2).is_within(window.0, window.1));
        assert!(!Seq::new((1 << 48) - 3).is_within(window.0, window.1));
    }

    #[test]
    fn ds8_short_numbers_take_the_high_bits_nearest_to_the_reference() {
        let extend = |short, reference| Seq::new(short).extend(Seq::new(reference)).get();
        assert_eq!(extend(0x00_0005, 0x12_0000_0003), 0x12_0000_0005);
        assert_eq!(extend(0x00_0003, 0x12_0000_0003), 0x12_0000_0003);
        assert_eq!(extend(0x00_0001, 0x12_0000_0003), 0x12_0000_0001);
        // The low bits wrapped, forwards and backwards.
        assert_eq!(extend(0x00_0001, 0x12_00ff_ffff), 0x12_0100_0001);
        assert_eq!(extend(0xff_ffff, 0x12_0100_0001), 0x12_00ff_ffff);
        // The high bits wrap too.
        assert_eq!(extend(0x00_0001, 0xffff_ffff_ffff), 1);
        assert_eq!(extend(0xff_ffff, 1), 0xffff_ffff_ffff);
        // Exactly half the space apart both conditions hold, and the high bits change.
        assert_eq!(extend(0x00_0000, 0x12_0080_0000), 0x12_0100_0000);
        assert_eq!(extend(0x80_0000, 0x12_0000_0000), 0x11_ff80_0000);
        assert_eq!(extend(0x7f_ffff, 0x12_0000_0000), 0x12_007f_ffff);
        assert_eq!(extend(0x80_0001, 0x12_0000_0000), 0x11_ff80_0001);
        // Bits above the low 24 are not looked at.
        assert_eq!(extend(0xab00_0005, 0x12_0000_0003), 0x12_0000_0005);
    }
}
