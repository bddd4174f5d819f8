//! Words for people: times, and texts that a peer may have a hand in.

use std::fmt;
use std::time::Duration;

/// A duration in milliseconds, with one digit behind the point or as many as are asked for, cut
/// and not rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(pub Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1).min(6);
        let whole = self.0.as_millis();
        let rest = self.0.subsec_nanos() % 1_000_000;
        let rest = format!("{rest:06}");
        let text = match digits {
            0 => format!("{whole} ms"),
            digits => format!("{whole}.{} ms", &rest[..digits]),
        };
        // `pad` would take the precision for a length.
        let width = f.width().unwrap_or(0);
        write!(f, "{text:>width$}")
    }
}

/// One line of text in which nothing moves a cursor, ends a line or turns the direction of
/// writing: such characters are shown as a replacement.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            // What the bidirectional algorithm obeys, and what XML forbids.
            '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                char::REPLACEMENT_CHARACTER
            }
            '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}' => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Breaks a line into lines of at most `width` characters: at spaces, and within words that are
/// longer. There is at least one line. A `width` of 0 counts as 1.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    loop {
        let Some((end, _)) = rest.char_indices().nth(width) else {
            lines.push(rest);
            return lines;
        };
        let fits = &rest[..end];
        // A line may end where a space follows it.
        let cut = if rest[end..].starts_with(' ') {
            end
        } else {
            fits.rfind(' ').filter(|&at| at > 0).unwrap_or(end)
        };
        lines.push(rest[..cut].trim_end());
        rest = rest[cut..].trim_start();
    }
}

/// How many characters a text has; each is taken to be one column wide.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A number with its noun.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_the_digits_asked_for() {
        let time = Milliseconds(Duration::from_nanos(12_345_678));
        assert_eq!(time.to_string(), "12.3 ms");
        assert_eq!(format!("{time:>11}"), "    12.3 ms");
        assert_eq!(format!("{time:12.3}"), "   12.345 ms");
        assert_eq!(format!("{time:.0}"), "12 ms");
        assert_eq!(
            format!("{:.9}", Milliseconds(Duration::new(1, 5))),
            "1000.000005 ms"
        );
    }

    #[test]
    fn lines_are_broken_at_spaces_and_else_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("one two three", 6), ["one", "two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(
            wrap("\u{e4}\u{f6}\u{fc}", 0),
            ["\u{e4}", "\u{f6}", "\u{fc}"]
        );
        for width in 1..20 {
            for line in wrap("a bb  ccc dddd eeeee ffffff", width) {
                assert!(columns(line) <= width, "{line:?} in {width}");
            }
        }
    }

    #[test]
    fn nothing_a_peer_sends_moves_the_cursor() {
        assert_eq!(
            clean("a\x1b[2Jb\r\n\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c"
        );
        assert_eq!(clean("stra\u{df}e"), "stra\u{df}e");
    }
}
