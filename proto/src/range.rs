//! Byte ranges: Range and Content-Range (RFC 9110 §14).

use std::fmt::{self, Write};
use std::ops::Range;

/// What a Range field asks of one representation.
///
/// ```
/// use proto::range::{Ranges, resolve};
///
/// assert_eq!(resolve(b"bytes=-500", 10_000, 16), Ranges::Parts(vec![9_500..10_000]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Nothing this server understands or wants to do: it answers as if the field were not there.
    Ignored,
    /// No byte of what is asked for exists: 416.
    Unsatisfiable,
    /// These bytes, in ascending order, at least one part and none empty. No two parts overlap or
    /// touch.
    Parts(Vec<Range<u64>>),
}

/// Resolves the value of a Range field for a representation of `length` bytes.
///
/// The field is ignored as a whole if its unit is not `bytes`, if one of its ranges is invalid, if
/// it has more than `max_specs` ranges, or if the representation is empty. Numbers above
/// [`u64::MAX`] count as that.
pub fn resolve(field: &[u8], length: u64, max_specs: usize) -> Ranges {
    // RFC 9110 §14.2: "MAY ignore a Range header field when the selected representation has no
    // content".
    if length == 0 {
        return Ranges::Ignored;
    }
    let Some(specs) = parse_specs(field, max_specs) else {
        return Ranges::Ignored;
    };
    let parts = specs.iter().filter_map(|spec| spec.within(length));
    let parts = join(parts.collect());
    if parts.is_empty() {
        Ranges::Unsatisfiable
    } else {
        Ranges::Parts(parts)
    }
}

/// One range as asked for (RFC 9110 §14.1.1).
enum Spec {
    /// `first-last`, both inclusive, or `first-` for all from there.
    Int { first: u64, last: Option<u64> },
    /// `-n`: the last `n` bytes.
    Suffix(u64),
}

impl Spec {
    /// `None` if the range is invalid.
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&text[..dash], &text[dash + 1..]);
        if first.is_empty() {
            return Some(Self::Suffix(saturating_number(last)?));
        }
        let first = saturating_number(first)?;
        if last.is_empty() {
            return Some(Self::Int { first, last: None });
        }
        // RFC 9110 §14.1.1: "An int-range is invalid if the last-pos value is present and less
        // than the first-pos."
        let last = saturating_number(last).filter(|&last| first <= last)?;
        Some(Self::Int {
            first,
            last: Some(last),
        })
    }

    /// The bytes that exist in a representation of `length` bytes; `None` if there are none.
    fn within(&self, length: u64) -> Option<Range<u64>> {
        let bytes = match *self {
            Self::Int { first, last } => {
                let end = last.map_or(length, |last| last.saturating_add(1));
                first..end.min(length)
            }
            Self::Suffix(count) => length.saturating_sub(count)..length,
        };
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// The ranges of a field; `None` if it is to be ignored. Empty list elements are skipped
/// (RFC 9110 §5.6.1.2), and so is white space around the commas.
fn parse_specs(field: &[u8], max_specs: usize) -> Option<Vec<Spec>> {
    let (unit, set) = field.split_at_checked(b"bytes=".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut specs = Vec::new();
    for element in set.split(|&byte| byte == b',').map(trim_ows) {
        if element.is_empty() {
            continue;
        }
        if specs.len() == max_specs {
            return None;
        }
        specs.push(Spec::parse(element)?);
    }
    (!specs.is_empty()).then_some(specs)
}

/// Sorts `parts` and joins those that overlap or touch.
fn join(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    parts.dedup_by(|part, before| {
        let joins = part.start <= before.end;
        if joins {
            before.end = before.end.max(part.end);
        }
        joins
    });
    parts
}

fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// A decimal number of any length, [`u64::MAX`] if it is above that; `None` if `digits` is empty
/// or has anything else in it.
fn saturating_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let append = |value: u64, digit: &u8| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(digits.iter().fold(0, append))
}

/// A decimal number; `None` also if it is above [`u64::MAX`].
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes the value of a Range field that asks for `ranges`.
///
/// A range that ends at [`u64::MAX`] is written without an end, `bytes=500-`: the rest, however
/// long. Empty ranges are left out; without any other, the result is `bytes=`, which servers ignore
/// as invalid.
pub fn write(ranges: &[Range<u64>]) -> String {
    let mut field = String::from("bytes=");
    let mut separator = "";
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        field.push_str(separator);
        separator = ",";
        // Writing to a string does not fail.
        let _ = match range.end {
            u64::MAX => write!(field, "{}-", range.start),
            end => write!(field, "{}-{}", range.start, end - 1),
        };
    }
    field
}

/// The value of a Content-Range field in bytes (RFC 9110 §14.4).
///
/// `Display` writes the field value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// In a 206: which bytes the content is.
    Bytes {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last byte.
        last: u64,
        /// The length of the whole representation in bytes; `None`: the sender does not know.
        complete: Option<u64>,
    },
    /// In a 416: nothing, because the representation has a length that was not expected.
    Unsatisfied {
        /// The length of the whole representation in bytes.
        complete: u64,
    },
}

impl ContentRange {
    /// Parses a field value; `None` if its unit is not `bytes` or it is invalid: RFC 9110 §14.4,
    /// "has a last-pos value less than its first-pos value, or a complete-length value less than
    /// or equal to its last-pos value".
    ///
    /// A parsed `last` is below [`u64::MAX`], so that the end of the range is a [`u64`] too.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let (unit, rest) = field.split_at_checked(b"bytes ".len())?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let slash = rest.iter().position(|&byte| byte == b'/')?;
        let (range, complete) = (&rest[..slash], &rest[slash + 1..]);
        if range == b"*" {
            let complete = number(complete)?;
            return Some(Self::Unsatisfied { complete });
        }
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let first = number(&range[..dash])?;
        let last = number(&range[dash + 1..])?;
        let complete = match complete {
            b"*" => None,
            digits => Some(number(digits)?),
        };
        let valid = first <= last && last < complete.unwrap_or(u64::MAX);
        valid.then_some(Self::Bytes {
            first,
            last,
            complete,
        })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes {
                first,
                last,
                complete: Some(complete),
            } => write!(f, "bytes {first}-{last}/{complete}"),
            Self::Bytes {
                first,
                last,
                complete: None,
            } => write!(f, "bytes {first}-{last}/*"),
            Self::Unsatisfied { complete } => write!(f, "bytes */{complete}"),
        }
    }
}

#[cfg(test)]
mod tests;
