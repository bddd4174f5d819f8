//! What kind of thing a file is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How much of a text is looked at to tell its character set, in bytes.
pub(super) const SAMPLE: usize = 4096;

/// What a file is whose ending is not known.
const UNKNOWN: &str = "application/octet-stream";

/// Media types by the endings of names: those that everyone agrees on, and the operator's own,
/// which count more.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaTypes {
    /// By ending, in small letters and without its dot.
    own: BTreeMap<Vec<u8>, String>,
}

/// Why a line does not say which media type an ending has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MediaTypeError {
    /// This is not a media type, as `type/subtype` is.
    NotAMediaType(String),
    /// An ending is empty.
    NoEnding,
}

impl fmt::Display for MediaTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMediaType(text) => write!(f, "{text:?} is not a media type"),
            Self::NoEnding => f.write_str("there is no ending of names"),
        }
    }
}

impl MediaTypes {
    /// Gives files whose names end in `.ending`, large letters or small, this media type. What was
    /// said before of the ending is forgotten.
    pub(crate) fn set(&mut self, ending: &str, media_type: &str) -> Result<(), MediaTypeError> {
        if !is_media_type(media_type) {
            return Err(MediaTypeError::NotAMediaType(media_type.to_owned()));
        }
        let ending = ending.strip_prefix('.').unwrap_or(ending);
        if ending.is_empty() {
            return Err(MediaTypeError::NoEnding);
        }
        let ending = ending.to_ascii_lowercase().into_bytes();
        self.own.insert(ending, media_type.to_owned());
        Ok(())
    }

    /// Reads what Apache and many systems have as `mime.types`: in each line a media type and the
    /// endings that have it; from `#` on a line is a comment.
    ///
    /// # Errors
    ///
    /// With the number of the first line that is none, from 1.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), (usize, MediaTypeError)> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(media_type) = words.next() else {
                continue;
            };
            for ending in words {
                self.set(ending, media_type)
                    .map_err(|error| (number, error))?;
            }
        }
        Ok(())
    }

    fn of(&self, name: &[u8]) -> Option<&str> {
        let path = Path::new(OsStr::from_bytes(name));
        let ending = path.extension()?.as_bytes().to_ascii_lowercase();
        let own = self.own.get(&ending).map(String::as_str);
        own.or_else(|| mime_guess::from_path(path).first_raw())
    }

    /// Whether the media type of a file called `name` depends on its first bytes.
    pub(super) fn is_text(&self, name: &[u8]) -> bool {
        self.of(name)
            .is_some_and(|media_type| media_type.starts_with("text/"))
    }

    /// The value of `Content-Type` for a file called `name` (HR5). `sample` is what it begins with,
    /// at most [`SAMPLE`] bytes; it need not be given for what is not text.
    ///
    /// A text gets `charset=utf-8` if its sample is UTF-8. What follows the sample might be
    /// something else, but a text that is UTF-8 for 4 KiB and then is not is rare, while one
    /// without a charset is shown wrongly by many. Other texts get none: the reader's guess is as
    /// good as ours.
    pub(super) fn content_type(&self, name: &[u8], sample: &[u8]) -> String {
        let media_type = self.of(name).unwrap_or(UNKNOWN);
        if media_type.starts_with("text/") && is_utf8(sample) {
            format!("{media_type}; charset=utf-8")
        } else {
            media_type.to_owned()
        }
    }
}

/// Whether a text is `type/subtype`, without parameters (RFC 9110 §8.3.1).
fn is_media_type(text: &str) -> bool {
    let is_token = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        !text.is_empty() && text.bytes().all(plain)
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Whether the sample is UTF-8 as far as it goes. NUL is UTF-8 too, but means UTF-16 or no text.
fn is_utf8(sample: &[u8]) -> bool {
    let valid = match std::str::from_utf8(sample) {
        Ok(_) => true,
        // A character was cut by the sample's end.
        Err(error) => error.error_len().is_none() && sample.len() == SAMPLE,
    };
    valid && !sample.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(name: &str, sample: &[u8]) -> String {
        MediaTypes::default().content_type(name.as_bytes(), sample)
    }

    #[test]
    fn hr5_what_the_operator_says_counts_more() {
        let mut types = MediaTypes::default();
        let text = "# types\n\ntext/x-own own OWNER # mine\napplication/x-cat png\nmodel/none\n";
        types.read(text).unwrap();
        types.set(".Log", "text/plain").unwrap();
        let table = [
            ("a.own", "text/x-own; charset=utf-8"),
            ("a.owner", "text/x-own; charset=utf-8"),
            ("a.PNG", "application/x-cat"),
            ("a.log", "text/plain; charset=utf-8"),
            ("a.gif", "image/gif"),
            (".own", "application/octet-stream"),
            ("own", "application/octet-stream"),
        ];
        for (name, media_type) in table {
            assert_eq!(
                types.content_type(name.as_bytes(), b"x"),
                media_type,
                "{name}"
            );
        }
        assert!(types.is_text(b"\xff.own"));
    }

    #[test]
    fn what_is_no_media_type_is_named_with_its_line() {
        let not = |text: &str| MediaTypeError::NotAMediaType(text.to_owned());
        let mut types = MediaTypes::default();
        assert_eq!(
            types.read("text/plain txt\ntext txt"),
            Err((2, not("text")))
        );
        assert_eq!(types.set("x", "a/b\r\nc"), Err(not("a/b\r\nc")));
        assert_eq!(types.set("x", "a/b/c"), Err(not("a/b/c")));
        assert_eq!(types.set(".", "a/b"), Err(MediaTypeError::NoEnding));
    }

    #[test]
    fn hr5_the_ending_decides() {
        let table = [
            ("index.html", "text/html; charset=utf-8"),
            ("NOTE.TXT", "text/plain; charset=utf-8"),
            ("cat.png", "image/png"),
            ("cat.svg", "image/svg+xml"),
            ("video.mp4", "video/mp4"),
            ("sound.ogg", "audio/ogg"),
            ("hello", "application/octet-stream"),
            ("hello.unheard-of", "application/octet-stream"),
        ];
        for (name, media_type) in table {
            assert_eq!(content_type(name, b"text"), media_type, "{name}");
        }
    }

    #[test]
    fn hr5_a_charset_is_named_only_if_it_is_known() {
        let latin1 = b"gr\xf6\xdfe";
        let utf16 = b"\xff\xfea\0b\0";
        let utf16_without_mark = b"a\0b\0";
        let cut_at_the_end_of_the_file = "grö".as_bytes().split_last().unwrap().1;
        for sample in [
            &latin1[..],
            utf16,
            utf16_without_mark,
            cut_at_the_end_of_the_file,
        ] {
            assert_eq!(content_type("a.txt", sample), "text/plain", "{sample:?}");
        }
        let mut cut_by_the_sample = vec![b' '; SAMPLE - 1];
        cut_by_the_sample.push("ö".as_bytes()[0]);
        for sample in ["größe".as_bytes(), b"", &cut_by_the_sample] {
            let media_type = "text/plain; charset=utf-8";
            assert_eq!(content_type("a.txt", sample), media_type, "{sample:?}");
        }
    }
}
