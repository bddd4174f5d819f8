//! Serial numbers (RFC 9260 §1.6): TSNs, and the numbers of messages.

use std::fmt;

macro_rules! serial {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It has no `Ord`, since which of two is the later one depends on how far they are apart.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The serial number with this value.
            pub const fn new(number: u32) -> Self {
                Self(number)
            }

            /// Its value.
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The number `count` later.
            #[must_use]
            pub const fn plus(self, count: u32) -> Self {
                Self(self.0.wrapping_add(count))
            }

            /// The number `count` earlier.
            #[must_use]
            pub const fn minus(self, count: u32) -> Self {
                Self(self.0.wrapping_sub(count))
            }

            /// How far `other` is ahead: from -2^31 to 2^31 - 1, negative when it is behind.
            pub const fn distance_to(self, other: Self) -> i32 {
                other.0.wrapping_sub(self.0).cast_signed()
            }

            /// How many steps `other` is ahead, counted modulo 2^32.
            pub const fn steps_to(self, other: Self) -> u32 {
                other.0.wrapping_sub(self.0)
            }

            /// Whether this number is earlier than `other`.
            pub const fn precedes(self, other: Self) -> bool {
                self.distance_to(other) > 0
            }

            /// The later of the two.
            #[must_use]
            pub const fn later(self, other: Self) -> Self {
                if self.precedes(other) { other } else { self }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

serial! {
    /// A Transmission Sequence Number: 32 bits, counted modulo 2^32.
    Tsn
}

serial! {
    /// The number of a message in its stream: the MID of RFC 8260, or a Stream Sequence Number
    /// with the 16 bits above it that both ends know (see [`Mid::from_ssn`]).
    Mid
}

impl Mid {
    /// The number nearest to `self` whose low 16 bits are `ssn`.
    #[must_use]
    pub const fn from_ssn(self, ssn: u16) -> Self {
        let [_, _, high, low] = self.0.to_be_bytes();
        let near = u16::from_be_bytes([high, low]);
        let ahead = ssn.wrapping_sub(near).cast_signed();
        Self(self.0.wrapping_add_signed(ahead as i32))
    }

    /// The Stream Sequence Number: the low 16 bits.
    pub const fn ssn(self) -> u16 {
        let [_, _, high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn st5_order_survives_the_wrap() {
        let last = Tsn::new(u32::MAX);
        assert!(last.precedes(last.plus(1)));
        assert!(!last.plus(1).precedes(last));
        assert!(!last.precedes(last));
        assert_eq!(last.plus(1).get(), 0);
        assert_eq!(last.later(last.plus(3)), Tsn::new(2));
        assert_eq!(Tsn::new(2).distance_to(last), -3);
    }

    #[test]
    fn st7_a_stream_sequence_number_is_extended_to_the_nearest_number() {
        let next = Mid::new(0x0001_fffe);
        assert_eq!(next.from_ssn(0xfffe), next);
        assert_eq!(next.from_ssn(0x0001), Mid::new(0x0002_0001));
        assert_eq!(next.from_ssn(0xfffd), Mid::new(0x0001_fffd));
        assert_eq!(Mid::new(0).from_ssn(0xffff), Mid::new(u32::MAX));
    }

    proptest! {
        /// RFC 1982 §3.2 for SERIAL_BITS = 32, but for the one pair it leaves open.
        #[test]
        fn st5_order_is_that_of_rfc_1982(a: u32, b: u32) {
            prop_assume!(a.wrapping_sub(b) != 1 << 31);
            let less = (a < b && b - a < 1 << 31) || (a > b && a - b > 1 << 31);
            prop_assert_eq!(Tsn::new(a).precedes(Tsn::new(b)), less);
        }
    }
}
