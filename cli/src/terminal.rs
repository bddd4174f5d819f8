//! What people see: heads, notes and the progress bar, all on stderr.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Text of a peer made safe to show: control characters become `\xNN`.
pub(crate) fn printable(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_directional(character) {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Characters that reorder what stands around them, so that a line reads as what it is not.
const fn is_directional(character: char) -> bool {
    matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Writes to stderr, and does without when nobody reads it any more: this is the only place that
/// prints, so a full disk behind stderr ends no program.
pub(crate) fn tell(text: &str) {
    let write = || {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    };
    if io::stderr().is_terminal() {
        BARS.suspend(write);
    } else {
        write();
    }
}

/// Writes to stdout what a command is there to print.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}

/// All progress bars: there may be several at once, and lines are told above them.
static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));

/// The lines of a message, each safe to show.
pub(crate) fn printable_lines(message: &[u8]) -> impl Iterator<Item = String> {
    let text = message.strip_suffix(b"\n").unwrap_or(message);
    text.split(|&byte| byte == b'\n')
        .map(|line| printable(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Shows each line of a message behind a mark: `>` for what was sent, `<` for what came.
pub(crate) fn show_message(mark: char, message: &[u8]) {
    let lines = printable_lines(message).map(|line| format!("{mark} {line}\n"));
    tell(&lines.collect::<String>());
}

/// Shows a note of the program itself.
pub(crate) fn note(text: impl std::fmt::Display) {
    tell(&format!("* {text}\n"));
}

/// A progress bar, if someone looks.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar for the download of `name`; none when `wanted` is not set or stderr is no terminal.
    pub(crate) fn new(name: &str, wanted: bool) -> Self {
        if !wanted || !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::no_length().with_message(printable(name.as_bytes()));
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self(Some(BARS.add(bar)))
    }

    /// The body is `length` bytes long, if that is known, and begins anew with `have` of them.
    pub(crate) fn start(&self, length: Option<u64>, have: u64) {
        let Some(bar) = &self.0 else { return };
        let template = match length {
            Some(length) => {
                bar.set_length(length);
                "{msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}"
            }
            None => "{msg} {spinner} {bytes} {binary_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_position(have);
        bar.reset_eta();
    }

    pub(crate) fn add(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// A duration as people read it: `1.234 s` or `56.7 ms`.
pub(crate) fn duration(duration: Duration) -> Cow<'static, str> {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3).into()
    } else {
        format!("{:.2} s", duration.as_secs_f64()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_peer_never_reach_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\x9b\x07"), "a\\u{1b}[2Jb\\x9b\\u{7}");
        assert_eq!(
            printable("größe\u{85}\u{202e}".as_bytes()),
            "größe\\u{85}\\u{202e}"
        );
    }
}
