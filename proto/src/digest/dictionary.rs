//! Dictionaries of structured fields (RFC 8941 §3.2, §4.2.2), as much of them as digests need.
//!
//! All types are parsed, since one wrong byte anywhere makes the whole field void; only integers
//! and byte sequences are kept.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// RFC 8941 §4.2.7: "parsers SHOULD NOT fail when "=" padding is not present", nor "when non-zero
/// pad bits are present".
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The value of a member, without its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// A byte sequence, decoded.
    Bytes(Vec<u8>),
    /// A decimal, string, token, boolean or inner list.
    Other,
}

/// Parses a field value into its members, in order, repeated keys included; `None` if it is not a
/// dictionary.
pub(super) fn parse(field: &[u8]) -> Option<Vec<(&str, Value)>> {
    let mut input = Input(str::from_utf8(field).ok()?);
    input.skip(&[' ']);
    let mut members = Vec::new();
    while !input.0.is_empty() {
        members.push(input.member()?);
        input.skip(&[' ', '\t']);
        if input.0.is_empty() {
            break;
        }
        input.literal(',')?;
        input.skip(&[' ', '\t']);
        if input.0.is_empty() {
            return None;
        }
    }
    Some(members)
}

/// The value of `key`. RFC 8941 §4.2.2: "when duplicate Dictionary keys are encountered, all but
/// the last instance are ignored."
pub(super) fn last<'a>(members: &'a [(&str, Value)], key: &str) -> Option<&'a Value> {
    let (_, value) = members.iter().rfind(|(member, _)| *member == key)?;
    Some(value)
}

/// What is left to parse. A character outside ASCII is accepted nowhere.
struct Input<'a>(&'a str);

impl<'a> Input<'a> {
    fn member(&mut self) -> Option<(&'a str, Value)> {
        let key = self.key()?;
        if self.literal('=').is_none() {
            // A key alone is the boolean true.
            self.parameters()?;
            return Some((key, Value::Other));
        }
        let value = if self.0.starts_with('(') {
            self.inner_list()?
        } else {
            self.bare_item()?
        };
        self.parameters()?;
        Some((key, value))
    }

    /// RFC 8941 §4.2.1.2, without the parameters of the list itself.
    fn inner_list(&mut self) -> Option<Value> {
        self.literal('(')?;
        loop {
            self.skip(&[' ']);
            if self.literal(')').is_some() {
                return Some(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !self.0.starts_with([' ', ')']) {
                return None;
            }
        }
    }

    /// RFC 8941 §4.2.3.2.
    fn parameters(&mut self) -> Option<()> {
        while self.literal(';').is_some() {
            self.skip(&[' ']);
            self.key()?;
            if self.literal('=').is_some() {
                self.bare_item()?;
            }
        }
        Some(())
    }

    /// RFC 8941 §4.2.3.3.
    fn key(&mut self) -> Option<&'a str> {
        if !self
            .0
            .starts_with(|c: char| c.is_ascii_lowercase() || c == '*')
        {
            return None;
        }
        Some(self.take_while(|c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.' | '*')
        }))
    }

    /// RFC 8941 §4.2.3.1.
    fn bare_item(&mut self) -> Option<Value> {
        match self.0.chars().next()? {
            '-' | '0'..='9' => self.number(),
            '"' => self.string(),
            'A'..='Z' | 'a'..='z' | '*' => self.token(),
            ':' => self.byte_sequence(),
            '?' => self.boolean(),
            _ => None,
        }
    }

    /// RFC 8941 §4.2.4.
    fn number(&mut self) -> Option<Value> {
        let sign = if self.literal('-').is_some() { -1 } else { 1 };
        let digits = self.digits(15)?;
        if self.literal('.').is_some() {
            if digits.len() > 12 {
                return None;
            }
            self.digits(3)?;
            return Some(Value::Other);
        }
        digits.parse().ok().map(|n: i64| Value::Integer(sign * n))
    }

    /// One to `most` digits.
    fn digits(&mut self, most: usize) -> Option<&'a str> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        (1..=most).contains(&digits.len()).then_some(digits)
    }

    /// RFC 8941 §4.2.5.
    fn string(&mut self) -> Option<Value> {
        self.literal('"')?;
        loop {
            self.take_while(|c| matches!(c, ' '..='~') && c != '"' && c != '\\');
            if self.literal('"').is_some() {
                return Some(Value::Other);
            }
            self.literal('\\')?;
            self.0 = self.0.strip_prefix(['"', '\\'])?;
        }
    }

    /// RFC 8941 §4.2.6; the caller has looked at the first character.
    fn token(&mut self) -> Option<Value> {
        self.take_while(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c));
        Some(Value::Other)
    }

    /// RFC 8941 §4.2.7.
    fn byte_sequence(&mut self) -> Option<Value> {
        self.literal(':')?;
        let (encoded, rest) = self.0.split_once(':')?;
        self.0 = rest;
        LENIENT_BASE64.decode(encoded).ok().map(Value::Bytes)
    }

    /// RFC 8941 §4.2.8.
    fn boolean(&mut self) -> Option<Value> {
        self.literal('?')?;
        self.0 = self.0.strip_prefix(['0', '1'])?;
        Some(Value::Other)
    }

    fn literal(&mut self, expected: char) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn skip(&mut self, blanks: &[char]) {
        self.0 = self.0.trim_start_matches(blanks);
    }

    fn take_while(&mut self, accepted: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !accepted(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}
