//! The fields of a head: names with values, in the order they came.

use std::fmt;

/// An ordered list of header fields (RFC 9110 §5).
///
/// Names are tokens and compared without regard to case; values are bytes without CR, LF and NUL,
/// with no white space at either end. The list itself is unbounded: whoever fills it from the
/// network holds the limits.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    lines: Vec<(String, Vec<u8>)>,
}

impl Fields {
    /// An empty list.
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Appends a field line.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.lines.push((name.into(), value.into()));
    }

    /// All lines in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The values of all lines called `name`, in order.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.lines
            .iter()
            .filter(move |(line, _)| line.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The value of the only line called `name`; `None` when there is none or more than one.
    pub fn single(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.all(name);
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// The values of all lines called `name` joined with `, ` (RFC 9110 §5.3); `None` when there
    /// is no such line.
    pub fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let mut values = self.all(name);
        let mut joined = values.next()?.to_vec();
        for value in values {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        Some(joined)
    }

    /// Whether a line is called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(name, value)| (name, String::from_utf8_lossy(value))),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hp14_lines_of_one_name_are_joined_in_order_and_case_does_not_matter() {
        let mut fields = Fields::new();
        fields.push("If-None-Match", *b"\"a\"");
        fields.push("Host", *b"x");
        fields.push("if-none-match", *b"\"b\"");
        assert_eq!(
            fields.joined("IF-NONE-MATCH").as_deref(),
            Some(&b"\"a\", \"b\""[..])
        );
        assert_eq!(fields.single("If-None-Match"), None);
        assert_eq!(fields.single("host"), Some(&b"x"[..]));
        assert_eq!(fields.joined("Range"), None);
    }
}
