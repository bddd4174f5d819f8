//! Service codes.

use std::fmt;
use std::str::FromStr;

/// Names the application that a connection is for (RFC 4340 §8.1.2, RFC 5595): a number, often one
/// whose four bytes can be read as text.
///
/// On the wire its most significant byte comes first. Programs for Linux often hand the kernel a
/// number in the byte order of their machine, and then mean another number than the one they
/// send: see [`Self::swapped`].
///
/// ```
/// use dccp::ServiceCode;
///
/// let code: ServiceCode = "SC:fdpz".parse()?;
/// assert_eq!(code, ServiceCode(1_717_858_426));
/// assert_eq!(code, "SC=x6664707A".parse()?);
/// assert_eq!(code.to_string(), "SC:fdpz");
/// assert_eq!(code.default_port(), 64_634);
/// # Ok::<_, dccp::ServiceCodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceCode(pub u32);

impl ServiceCode {
    /// No meaningful service code (RFC 4340 §8.1.2).
    pub const NONE: Self = Self(0);
    /// The one that is none: servers refuse it (RFC 4340 §8.1.2).
    pub const INVALID: Self = Self(u32::MAX);

    /// The code of up to four characters, padded with spaces: [`None`] for an empty text, a longer
    /// one, or characters that are not letters, digits or among `-_+.*/?@` (RFC 4340 §8.1.2).
    pub fn from_characters(text: &str) -> Option<Self> {
        let mut bytes = [b' '; 4];
        let fits = (1..=4).contains(&text.len()) && text.bytes().all(is_character);
        fits.then(|| {
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            Self(u32::from_be_bytes(bytes))
        })
    }

    /// Whether it is for private use: its first byte is `?` (RFC 4340 §8.1.2).
    pub const fn is_private(self) -> bool {
        self.0 >> 24 == b'?' as u32
    }

    /// The code with its bytes in the opposite order: what a program meant that handed the other
    /// one to the kernel as a number on a little-endian machine.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self(self.0.swap_bytes())
    }

    /// The server port that goes with it where no other is known: 49152 to 65534 (RFC 5595 §2.7).
    pub const fn default_port(self) -> u16 {
        let [c0, c1, c2, c3] = self.0.to_be_bytes();
        let hash = (c0 as u16) << 7 ^ (c1 as u16) << 5 ^ (c2 as u16) << 3 ^ c3 as u16;
        match hash | 0xc000 {
            0xffff => 0xc000,
            port => port,
        }
    }
}

/// What the `SC:` form may hold, spaces at the end aside.
const fn is_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'+' | b'.' | b'*' | b'/' | b'?' | b'@')
}

impl fmt::Display for ServiceCode {
    /// `SC:` and characters where that form can say it, else `SC=` and a decimal number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_be_bytes();
        let text = std::str::from_utf8(&bytes).map_or("", |text| text.trim_end_matches(' '));
        match Self::from_characters(text) {
            Some(_) => write!(f, "SC:{text}"),
            None => write!(f, "SC={}", self.0),
        }
    }
}

impl FromStr for ServiceCode {
    type Err = ServiceCodeError;

    /// Reads `SC:fdpz`, `SC=1717858426` or `SC=x6664707A` (RFC 4340 §8.1.2).
    ///
    /// # Errors
    ///
    /// When it is none of these, or above 4294967294.
    fn from_str(text: &str) -> Result<Self, ServiceCodeError> {
        if let Some(text) = text.strip_prefix("SC:") {
            return Self::from_characters(text).ok_or(ServiceCodeError);
        }
        let text = text.strip_prefix("SC=").ok_or(ServiceCodeError)?;
        let (digits, radix) = match text.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        // `from_str_radix` takes a sign too.
        if !digits.chars().all(|digit| digit.is_digit(radix)) {
            return Err(ServiceCodeError);
        }
        match u32::from_str_radix(digits, radix).map(Self) {
            Ok(Self::INVALID) | Err(_) => Err(ServiceCodeError),
            Ok(code) => Ok(code),
        }
    }
}

/// A text that is no service code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCodeError;

impl fmt::Display for ServiceCodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a service code: expected SC:abcd, SC=number or SC=xhex, below 4294967295")
    }
}

impl std::error::Error for ServiceCodeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dv2_none_is_legal_and_all_ones_is_not() {
        assert_eq!("SC=0".parse(), Ok(ServiceCode::NONE));
        assert_eq!("SC=4294967294".parse(), Ok(ServiceCode(u32::MAX - 1)));
        assert_eq!(
            "SC=4294967295".parse::<ServiceCode>(),
            Err(ServiceCodeError)
        );
        assert_eq!("SC=xFFFFFFFF".parse::<ServiceCode>(), Err(ServiceCodeError));
    }

    #[test]
    fn dv4_the_three_forms_are_read() {
        let code = ServiceCode(0x6664_707a);
        for text in [
            "SC:fdpz",
            "SC=1717858426",
            "SC=x6664707A",
            "SC=X6664707a",
            "SC=x006664707a",
        ] {
            assert_eq!(text.parse(), Ok(code), "{text}");
        }
        assert_eq!("SC:a".parse(), Ok(ServiceCode(0x6120_2020)));
        assert_eq!("SC:-_+.".parse(), Ok(ServiceCode(0x2d5f_2b2e)));
        assert_eq!("SC:*/?@".parse(), Ok(ServiceCode(0x2a2f_3f40)));
    }

    #[test]
    fn dv4_what_is_no_service_code_is_refused() {
        for text in [
            "",
            "SC",
            "SC:",
            "SC:fdpzx",
            "SC:a b",
            "SC:é",
            "SC:a,b",
            "SC=",
            "SC=x",
            "SC=-1",
            "SC=+1",
            "SC=4294967296",
            "SC=x100000000",
            "SC=12a",
            "SC=x12g",
            "sc:fdpz",
            "fdpz",
            "1",
            " SC=1",
        ] {
            assert_eq!(
                text.parse::<ServiceCode>(),
                Err(ServiceCodeError),
                "{text:?}"
            );
        }
    }

    #[test]
    fn dv4_what_is_written_is_read_again() {
        for (number, text) in [
            (0x6664_707a, "SC:fdpz"),
            (0x6120_2020, "SC:a"),
            (0x3f48_5450, "SC:?HTP"),
            (0, "SC=0"),
            (1, "SC=1"),
            (0x2020_2020, "SC=538976288"),
            (0x6120_6120, "SC=1629511968"),
            (0xc3a9_2020, "SC=3282640928"),
        ] {
            assert_eq!(ServiceCode(number).to_string(), text);
            assert_eq!(text.parse(), Ok(ServiceCode(number)));
        }
    }

    #[test]
    fn dv5_private_codes_begin_with_a_question_mark() {
        assert!(ServiceCode(0x3f00_0000).is_private());
        assert!(ServiceCode(0x3fff_ffff).is_private());
        assert!(!ServiceCode(0x3eff_ffff).is_private());
        assert!(!ServiceCode(0x4000_0000).is_private());
    }

    #[test]
    fn dv6_the_default_port_is_made_from_the_bytes() {
        let port = |text: &str| text.parse::<ServiceCode>().unwrap().default_port();
        assert_eq!(port("SC:fdpz"), 64_634);
        assert_eq!(port("SC:fooo"), 65_015);
        assert_eq!(port("SC:foop"), 65_000);
        assert_eq!(port("SC:Fooo"), 60_919);
        assert_eq!(port("SC:Foop"), 60_904);
        // 0xffff is no port to have.
        assert_eq!(ServiceCode(0x7f00_007f).default_port(), 0xc000);
    }

    #[test]
    fn dv7_a_number_can_be_read_in_both_byte_orders() {
        assert_eq!(ServiceCode(16_777_216).swapped(), ServiceCode(1));
        assert_eq!(ServiceCode(16_777_216).0.to_be_bytes(), [1, 0, 0, 0]);
    }
}
