//! What `NAME.part.info` says of `NAME.part`.

use std::ops::Range;

use proto::date::HttpDate;
use proto::etag::EntityTag;
use proto::response::ResponseHead;

/// What tells whether a server still has the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// What was asked for, as `host:port/path`.
    pub(super) target: String,
    /// A value for `If-Range`.
    pub(super) validator: Vec<u8>,
    /// The length of the whole.
    pub(super) complete: u64,
    pub(super) have: Have,
}

/// Which bytes of the whole are in `NAME.part`, where they belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Have {
    /// As many as it is long, from the first: it is written in order.
    All,
    /// These, ascending. It is written in any order, and this is noted when writing ends; until
    /// then, should the program be killed, what an earlier attempt left.
    Parts(Vec<Range<u64>>),
}

const FIRST_LINE: &str = "partial download, version 1";

impl Info {
    /// What `head` says that helps to go on later; `None` if it has no strong validator.
    pub(super) fn of(
        target: String,
        head: &ResponseHead,
        complete: u64,
        have: Have,
    ) -> Option<Self> {
        Some(Self {
            target,
            validator: strong_validator(head)?,
            complete,
            have,
        })
    }

    pub(super) fn to_text(&self) -> Vec<u8> {
        let mut text = format!(
            "{FIRST_LINE}\ntarget: {}\nlength: {}\nvalidator: ",
            self.target, self.complete
        )
        .into_bytes();
        text.extend_from_slice(&self.validator);
        text.extend_from_slice(b"\nhave: ");
        match &self.have {
            Have::All => text.extend_from_slice(b"all"),
            Have::Parts(parts) => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|part| format!("{}-{}", part.start, part.end))
                    .collect();
                text.extend_from_slice(parts.join(",").as_bytes());
            }
        }
        text.push(b'\n');
        text
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|&byte| byte == b'\n');
        if lines.next()? != FIRST_LINE.as_bytes() {
            return None;
        }
        let target = lines.next()?.strip_prefix(b"target: ")?;
        let length = lines.next()?.strip_prefix(b"length: ")?;
        let validator = lines.next()?.strip_prefix(b"validator: ")?;
        let have = lines.next()?.strip_prefix(b"have: ")?;
        Some(Self {
            have: parse_have(std::str::from_utf8(have).ok()?)?,
            target: std::str::from_utf8(target).ok()?.to_owned(),
            validator: validator.to_vec(),
            complete: std::str::from_utf8(length).ok()?.parse().ok()?,
        })
    }
}

fn parse_have(text: &str) -> Option<Have> {
    if text == "all" {
        return Some(Have::All);
    }
    let part = |text: &str| {
        let (start, end) = text.split_once('-')?;
        Some(start.parse().ok()?..end.parse().ok()?)
    };
    let parts = text.split(',').filter(|text| !text.is_empty()).map(part);
    parts.collect::<Option<_>>().map(Have::Parts)
}

/// A validator that may stand in `If-Range` (RFC 9110 §13.1.5): the strong tag, or, if there is no
/// tag at all, a date that lay a second or more in the past (§8.8.2.2).
fn strong_validator(head: &ResponseHead) -> Option<Vec<u8>> {
    if head.fields.contains("ETag") {
        let tag = EntityTag::parse(head.fields.single("ETag")?)?;
        return (!tag.is_weak()).then(|| tag.to_bytes());
    }
    // The dates are compared with each other only, so it does not matter what year it is.
    let date = |name| HttpDate::parse(head.fields.single(name)?, HttpDate::from_unix(0));
    let modified = date("Last-Modified")?;
    let sent = date("Date")?;
    (modified.unix() < sent.unix()).then(|| modified.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::response::Limits;

    use super::*;

    fn head(fields: &str) -> ResponseHead {
        let text = format!("HTTP/1.0 200 OK\r\n{fields}\r\n");
        ResponseHead::parse(&mut Bytes::from(text), &Limits::default()).unwrap()
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let info = Info {
            target: "localhost:8080/größe.txt".to_owned(),
            validator: b"\"a\xFFb\"".to_vec(),
            complete: 10,
            have: Have::All,
        };
        assert_eq!(Info::parse(&info.to_text()).as_ref(), Some(&info));
        for parts in [vec![], vec![0..3, 5..9]] {
            let info = Info {
                have: Have::Parts(parts),
                ..info.clone()
            };
            assert_eq!(Info::parse(&info.to_text()), Some(info));
        }
        assert_eq!(Info::parse(b"something else"), None);
        assert_eq!(Info::parse(b""), None);
    }

    #[test]
    fn hg8_only_a_strong_validator_lets_a_download_go_on() {
        let strong = |fields: &str| strong_validator(&head(fields));
        assert_eq!(strong("ETag: \"x\"\r\n"), Some(b"\"x\"".to_vec()));
        assert_eq!(strong("ETag: W/\"x\"\r\n"), None);
        let modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let later = format!("{modified}Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
        let same = format!("{modified}Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert!(strong(&later).is_some());
        assert_eq!(strong(&same), None);
        assert_eq!(strong(modified), None);
        assert_eq!(strong(&format!("{later}ETag: W/\"x\"\r\n")), None);
    }
}
