//! Status lines.

use super::HeadError;
use crate::request::syntax::is_space;
use crate::status::Status;

/// Reads `HTTP/1.x SP 3DIGIT [SP reason]`: the minor version, the status, the reason.
///
/// Tolerated are more white space than one SP before the status, a tab after it, and a line that
/// ends with it. The version is one digit, a dot and one digit (RFC 9112 §2.3).
pub(super) fn parse(line: &[u8]) -> Result<(u16, Status, String), HeadError> {
    let rest = line.strip_prefix(b"HTTP/").ok_or(HeadError::NotHttp)?;
    let [major, b'.', minor, b' ', rest @ ..] = rest else {
        return Err(HeadError::Malformed("no version and status"));
    };
    if !major.is_ascii_digit() || !minor.is_ascii_digit() {
        return Err(HeadError::Malformed("version is not two digits"));
    }
    if *major != b'1' {
        return Err(HeadError::UnsupportedVersion);
    }
    let blank = rest.iter().take_while(|&&byte| is_space(byte)).count();
    let (status, reason) = split_status(&rest[blank..])?;
    Ok((u16::from(minor - b'0'), status, printable(reason)?))
}

fn split_status(rest: &[u8]) -> Result<(Status, &[u8]), HeadError> {
    let mut parts = rest.splitn(2, |&byte| is_space(byte));
    let status = parts.next().and_then(three_digits).and_then(Status::new);
    match status {
        Some(status) => Ok((status, parts.next().unwrap_or_default())),
        None => Err(HeadError::Malformed("status is not three digits")),
    }
}

fn three_digits(code: &[u8]) -> Option<u16> {
    let is_code = code.len() == 3 && code.iter().all(u8::is_ascii_digit);
    is_code.then(|| {
        code.iter()
            .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
    })
}

/// A reason phrase that is safe to print. A bare CR or a NUL may be meant to hide something and is
/// an error (RFC 9112 §2.2); a tab becomes a space, and what else is not fit to print U+FFFD.
fn printable(reason: &[u8]) -> Result<String, HeadError> {
    if reason.iter().any(|&byte| matches!(byte, b'\r' | 0)) {
        return Err(HeadError::Malformed("bare CR or NUL in the status line"));
    }
    let replace = |character: char| {
        if character == '\t' {
            ' '
        } else if character.is_control() || changes_direction(character) {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        }
    };
    Ok(String::from_utf8_lossy(reason)
        .chars()
        .map(replace)
        .collect())
}

/// Unicode's marks, embeddings, overrides and isolates of text direction.
const fn changes_direction(character: char) -> bool {
    matches!(
        character,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}
