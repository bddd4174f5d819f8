//! Entity tags and lists of them (RFC 9110 §8.8.3, §13.1.1, §13.1.2).

use std::fmt;

/// An opaque name for one version of a representation.
///
/// Two tags are compared with [`strong_eq`](Self::strong_eq) or [`weak_eq`](Self::weak_eq), as the
/// field at hand demands; `==` asks whether they are written alike.
///
/// `Display` writes the tag as a field value has it, but puts U+FFFD for each byte above 0x7F. A
/// tag that goes back to the peer that chose it is written with [`to_bytes`](Self::to_bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    weak: bool,
    opaque: Vec<u8>,
}

impl EntityTag {
    /// A tag that changes whenever a byte of the representation does.
    ///
    /// # Errors
    ///
    /// If `opaque` holds anything but visible ASCII, or a quote or backslash.
    pub fn new_strong(opaque: &str) -> Result<Self, InvalidTag> {
        Self::new(false, opaque)
    }

    /// A tag that may stay the same over a change.
    ///
    /// # Errors
    ///
    /// As for [`new_strong`](Self::new_strong).
    pub fn new_weak(opaque: &str) -> Result<Self, InvalidTag> {
        Self::new(true, opaque)
    }

    fn new(weak: bool, opaque: &str) -> Result<Self, InvalidTag> {
        // RFC 9110 §8.8.3: "some recipients might perform backslash unescaping. Servers therefore
        // ought to avoid backslash characters in entity tags."
        let sendable = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if !opaque.bytes().all(sendable) {
            return Err(InvalidTag);
        }
        Ok(Self {
            weak,
            opaque: opaque.as_bytes().to_vec(),
        })
    }

    /// Parses a field value that is one tag, such as ETag's; `None` if it is anything else.
    ///
    /// Quotes, white space and control characters cannot be in a tag; a backslash and bytes above
    /// 0x7F can.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (tag, rest) = Self::parse_prefix(value)?;
        rest.is_empty().then_some(tag)
    }

    /// The tag that `input` begins with, and what follows it.
    fn parse_prefix(input: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, quoted) = match input.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, input),
        };
        let open = quoted.strip_prefix(b"\"")?;
        let end = open.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = (&open[..end], &open[end + 1..]);
        opaque.iter().all(|&byte| is_etagc(byte)).then(|| {
            let opaque = opaque.to_vec();
            (Self { weak, opaque }, rest)
        })
    }

    /// Whether the tag is marked as weak (`W/`).
    pub const fn is_weak(&self) -> bool {
        self.weak
    }

    /// The strong comparison of RFC 9110 §8.8.3.2: the same opaque part, and neither is weak.
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The weak comparison of RFC 9110 §8.8.3.2: the same opaque part.
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The tag as a field value has it, byte for byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let prefix: &[u8] = if self.weak { b"W/\"" } else { b"\"" };
        [prefix, self.opaque.as_slice(), b"\""].concat()
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.weak {
            f.write_str("W/")?;
        }
        f.write_str("\"")?;
        for &byte in &self.opaque {
            let shown = if byte.is_ascii() {
                char::from(byte)
            } else {
                char::REPLACEMENT_CHARACTER
            };
            write!(f, "{shown}")?;
        }
        f.write_str("\"")
    }
}

/// `%x21 / %x23-7E / obs-text`
const fn is_etagc(byte: u8) -> bool {
    (byte.is_ascii_graphic() && byte != b'"') || !byte.is_ascii()
}

/// A tag was to be made of characters that a tag cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTag;

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entity tag holds only visible ascii without quotes and backslashes")
    }
}

impl std::error::Error for InvalidTag {}

/// The value of If-Match or If-None-Match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagList {
    /// `*`: whatever the current representation is.
    Any,
    /// The tags named, in order; perhaps none.
    Tags(Vec<EntityTag>),
}

impl TagList {
    /// Parses a field value, its lines joined; `None` if it is neither `*` nor a list of tags.
    ///
    /// Empty elements are skipped (RFC 9110 §5.6.1.2) and commas between quotes belong to the tag.
    /// `*` beside tags is invalid.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut rest = skip_ows(value);
        if let Some(after) = rest.strip_prefix(b"*") {
            return skip_ows(after).is_empty().then_some(Self::Any);
        }
        let mut tags = Vec::new();
        while !rest.is_empty() {
            if !rest.starts_with(b",") {
                let (tag, after) = EntityTag::parse_prefix(rest)?;
                tags.push(tag);
                rest = skip_ows(after);
            }
            if !rest.is_empty() {
                rest = skip_ows(rest.strip_prefix(b",")?);
            }
        }
        Some(Self::Tags(tags))
    }

    /// Whether the list is `*` or has a tag that strongly equals `current`; `None` is a
    /// representation without a tag.
    pub fn strongly_matches(&self, current: Option<&EntityTag>) -> bool {
        self.matches(current, EntityTag::strong_eq)
    }

    /// Whether the list is `*` or has a tag that weakly equals `current`; `None` is a
    /// representation without a tag.
    pub fn weakly_matches(&self, current: Option<&EntityTag>) -> bool {
        self.matches(current, EntityTag::weak_eq)
    }

    fn matches(
        &self,
        current: Option<&EntityTag>,
        equal: fn(&EntityTag, &EntityTag) -> bool,
    ) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => {
                current.is_some_and(|current| tags.iter().any(|tag| equal(tag, current)))
            }
        }
    }
}

fn skip_ows(mut input: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = input {
        input = rest;
    }
    input
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(text.as_bytes()).unwrap()
    }

    fn list(text: &str) -> Option<Vec<String>> {
        match TagList::parse(text.as_bytes())? {
            TagList::Any => Some(vec!["any".into()]),
            TagList::Tags(tags) => Some(tags.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn hc1_strong_and_weak_comparison_follow_the_table_of_the_rfc() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(tag(one).strong_eq(&tag(other)), strong, "{one} {other}");
            assert_eq!(tag(other).strong_eq(&tag(one)), strong, "{other} {one}");
            assert_eq!(tag(one).weak_eq(&tag(other)), weak, "{one} {other}");
        }
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        for text in [&b"\"\""[..], b"W/\"\"", b"\"a,b\\\xe4\xff\""] {
            assert_eq!(EntityTag::parse(text).unwrap().to_bytes(), text);
        }
        assert!(tag("W/\"x\"").is_weak());
        assert!(!tag("\"x\"").is_weak());
    }

    #[test]
    fn what_is_not_one_whole_tag_is_none() {
        for text in [
            &b""[..],
            b"x",
            b"\"",
            b"\"x",
            b"x\"",
            b"w/\"x\"",
            b"W/ \"x\"",
            b"W\"x\"",
            b"\"x\" ",
            b" \"x\"",
            b"\"x\"y",
            b"\"x y\"",
            b"\"x\ty\"",
            b"\"\x7f\"",
            b"\"\0\"",
            b"\"a\", \"b\"",
        ] {
            assert_eq!(EntityTag::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn hr7_a_tag_of_ours_has_no_quote_backslash_space_or_foreign_letter() {
        for opaque in ["a\"b", "a\\b", "a b", "a\n", "ä", "\u{7f}"] {
            assert_eq!(EntityTag::new_strong(opaque), Err(InvalidTag), "{opaque:?}");
        }
        let strong = EntityTag::new_strong("1-2,x").unwrap();
        assert_eq!(strong.to_string(), "\"1-2,x\"");
        let weak = EntityTag::new_weak("").unwrap();
        assert_eq!(weak.to_string(), "W/\"\"");
    }

    #[test]
    fn display_shows_no_byte_above_ascii() {
        let tag = EntityTag::parse(b"\"\xc2\x9b1m\"").unwrap();
        assert_eq!(tag.to_string(), "\"\u{fffd}\u{fffd}1m\"");
    }

    #[test]
    fn hc6_empty_elements_are_skipped_and_commas_in_quotes_belong_to_the_tag() {
        let of = |tags: &[&str]| Some(tags.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(list("\"a\",,\"b\""), of(&["\"a\"", "\"b\""]));
        assert_eq!(
            list(" , \"a\" ,\t,W/\"b,c\" , "),
            of(&["\"a\"", "W/\"b,c\""])
        );
        assert_eq!(list("\"a\""), of(&["\"a\""]));
        assert_eq!(list(""), of(&[]));
        assert_eq!(list(",, ,"), of(&[]));
        assert_eq!(list(" *\t"), of(&["any"]));
    }

    #[test]
    fn hc6_what_is_neither_a_star_nor_a_list_does_not_parse() {
        for text in [
            "x",
            "\"a\" \"b\"",
            "\"a\"\"b\"",
            "\"a\", b",
            "*, \"a\"",
            "\"a\", *",
            "**",
            "\"a",
            "\"a\";",
        ] {
            assert_eq!(list(text), None, "{text}");
        }
    }

    #[test]
    fn a_representation_without_a_tag_matches_only_a_star() {
        let tags = TagList::parse(b"\"a\"").unwrap();
        assert!(!tags.strongly_matches(None));
        assert!(!tags.weakly_matches(None));
        assert!(TagList::Any.strongly_matches(None));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_parses_is_written_alike(value: Vec<u8>) {
            TagList::parse(&value);
            if let Some(tag) = EntityTag::parse(&value) {
                prop_assert_eq!(tag.to_bytes(), value);
            }
        }

        #[test]
        fn a_list_of_tags_is_read_back(opaques in prop::collection::vec("[!#-~]{0,4}", 0..9)) {
            let tags: Vec<String> = opaques.iter().map(|opaque| format!("W/\"{opaque}\"")).collect();
            prop_assert_eq!(list(&tags.join(", ")), Some(tags));
        }
    }
}
