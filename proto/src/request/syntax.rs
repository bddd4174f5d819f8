//! Syntax that requests and responses share.

use std::fmt::Write as _;

use crate::fields::Fields;

/// Whether `byte` separates words: SP or HT.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `bytes` without SP and HT at either end.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take_while(|&&byte| is_space(byte)).count();
    let bytes = &bytes[start..];
    let end = bytes
        .iter()
        .rev()
        .take_while(|&&byte| is_space(byte))
        .count();
    &bytes[..bytes.len() - end]
}

/// Whether `bytes` is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether `bytes` is visible ASCII, 0x21 to 0x7E, and not empty.
pub(crate) fn is_visible(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)
}

/// Whether `byte` must not stand in a field value (RFC 9110 §5.5): a control character but HT.
pub(crate) const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// The first line of `bytes` without its line end, and what follows. A line ends with LF; one CR
/// before it belongs to the line end (RFC 9112 §2.2). Without a LF all of `bytes` is the line.
pub(crate) fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let line = &bytes[..end];
            (line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..])
        }
        None => (bytes, &[]),
    }
}

/// `bytes` as text for a log or a terminal: visible ASCII and SP stay as they are, `"` and `\`
/// get a backslash, each other byte becomes `\xNN`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a `String` does not fail.
            _ => _ = write!(text, "\\x{byte:02X}"),
        }
    }
    text
}

/// Why Content-Length gives no length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthError {
    /// Not a number, or several that differ.
    Invalid,
    /// Larger than `u64::MAX`.
    TooLarge,
}

/// The content length in bytes that `fields` announce; `None` when they do not.
///
/// RFC 9112 §6.3: a list, in one line or in several, counts as a single number when "all values in
/// the list are valid, and all values in the list are the same". Everything else but one number is
/// invalid, an empty element too, and `5, 05` as well.
pub(crate) fn content_length(fields: &Fields) -> Result<Option<u64>, LengthError> {
    let mut elements = fields
        .all("Content-Length")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(trim);
    let Some(first) = elements.next() else {
        return Ok(None);
    };
    let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    if !is_number || elements.any(|element| element != first) {
        return Err(LengthError::Invalid);
    }
    first
        .iter()
        .try_fold(0_u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .map(Some)
        .ok_or(LengthError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(values: &[&str]) -> Result<Option<u64>, LengthError> {
        let mut fields = Fields::new();
        for value in values {
            fields.push("content-length", *value);
        }
        content_length(&fields)
    }

    #[test]
    fn hp16_equal_numbers_count_as_one_and_anything_else_is_invalid() {
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["5"]), Ok(Some(5)));
        assert_eq!(length(&["0"]), Ok(Some(0)));
        assert_eq!(length(&["5, 5"]), Ok(Some(5)));
        assert_eq!(length(&["5", "5,\t5"]), Ok(Some(5)));
        assert_eq!(length(&["05"]), Ok(Some(5)));
        assert_eq!(length(&["18446744073709551615"]), Ok(Some(u64::MAX)));
        for invalid in [
            "", "+5", "-5", "0x5", "5 5", "5,", ",5", "5, 6", "5, 05", "\x0b5", "5;", "٥",
        ] {
            assert_eq!(length(&[invalid]), Err(LengthError::Invalid), "{invalid:?}");
        }
        assert_eq!(length(&["5", "6"]), Err(LengthError::Invalid));
    }

    #[test]
    fn hp16_a_length_above_u64_is_too_large_unless_another_differs() {
        let large = "18446744073709551616";
        assert_eq!(length(&[large]), Err(LengthError::TooLarge));
        assert_eq!(length(&[large, large]), Err(LengthError::TooLarge));
        assert_eq!(length(&[large, "5"]), Err(LengthError::Invalid));
    }

    #[test]
    fn escaped_text_is_ascii_without_control_characters() {
        assert_eq!(escape(b"GET /\"a\\\t\x1b[31m\xff HTTP/1.0"), {
            "GET /\\\"a\\\\\\x09\\x1B[31m\\xFF HTTP/1.0"
        });
    }
}
