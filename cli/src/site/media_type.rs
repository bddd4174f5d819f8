//! What kind of thing a file is.

/// How much of a text is looked at to tell its character set, in bytes.
pub(super) const SAMPLE: usize = 4096;

/// Whether the media type of a file called `name` depends on its first bytes.
pub(super) fn is_text(name: &str) -> bool {
    mime_guess::from_path(name)
        .first_raw()
        .is_some_and(|media_type| media_type.starts_with("text/"))
}

/// The value of `Content-Type` for a file called `name` (HR5). `sample` is what it begins with, at
/// most [`SAMPLE`] bytes; it need not be given for what is not text.
///
/// A text gets `charset=utf-8` if its sample is UTF-8. What follows the sample might be something
/// else, but a text that is UTF-8 for 4 KiB and then is not is rare, while one without a charset
/// is shown wrongly by many. Other texts get none: the reader's guess is as good as ours.
pub(super) fn content_type(name: &str, sample: &[u8]) -> String {
    let media_type = mime_guess::from_path(name)
        .first_raw()
        .unwrap_or("application/octet-stream");
    if media_type.starts_with("text/") && is_utf8(sample) {
        format!("{media_type}; charset=utf-8")
    } else {
        media_type.to_owned()
    }
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
