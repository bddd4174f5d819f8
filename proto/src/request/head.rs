//! The buffer a head is collected in.

use super::syntax::{escape, split_line};

/// How many bytes of a line [`show`] shows.
const SHOWN: usize = 200;

/// `line` for a log, see [`escape`]; at most its first 200 bytes, then `...`.
pub(crate) fn show(line: &[u8]) -> String {
    match line.get(..SHOWN) {
        Some(start) if line.len() > SHOWN => escape(start) + "...",
        Some(_) | None => escape(line),
    }
}

/// Collects the bytes of a head that comes in pieces, up to the empty line that ends it.
#[derive(Debug)]
pub(crate) struct HeadBuffer {
    bytes: Vec<u8>,
    /// The most bytes to collect.
    limit: usize,
    /// How many empty lines before the first line belong to the head.
    leading: usize,
    /// How many of them may still come.
    leading_left: usize,
    /// Where the line begins whose end was not seen yet.
    line: usize,
    /// How many bytes were searched for line ends.
    searched: usize,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All of it was taken, and the head goes on.
    All,
    /// The head is complete with this many bytes of the piece.
    Complete(usize),
    /// The head is not complete with as many bytes as the limit allows, this many of them from the
    /// piece.
    TooLarge(usize),
}

impl HeadBuffer {
    /// An empty buffer for at most `limit` bytes, that takes up to `leading` empty lines before
    /// the first line as part of the head.
    pub(crate) const fn new(limit: usize, leading: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            leading,
            leading_left: leading,
            line: 0,
            searched: 0,
        }
    }

    /// What was collected.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes bytes of `piece`, at most up to the end of the head. How the bytes are cut into
    /// pieces does not change the outcome.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Taken {
        let before = self.bytes.len();
        let room = self.limit.saturating_sub(before).min(piece.len());
        self.bytes.extend_from_slice(&piece[..room]);
        if let Some(end) = self.find_end() {
            self.bytes.truncate(end);
            Taken::Complete(end - before)
        } else if room < piece.len() {
            Taken::TooLarge(room)
        } else {
            Taken::All
        }
    }

    /// Ends a head whose empty line, and perhaps whose last line end, never came.
    pub(crate) fn finish(&mut self) {
        if !self.bytes.ends_with(b"\n") {
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The first line and what follows it, without the empty lines before it.
    pub(crate) fn split_first_line(&self) -> (&[u8], &[u8]) {
        let mut parts = split_line(&self.bytes);
        for _ in 0..self.leading {
            if !parts.0.is_empty() {
                break;
            }
            parts = split_line(parts.1);
        }
        parts
    }

    /// Forgets all but what [`show`] shows of the first line.
    pub(crate) fn keep_first_line(&mut self) {
        let (line, _) = self.split_first_line();
        self.bytes = line[..line.len().min(SHOWN + 1)].to_vec();
    }

    /// Forgets all, for the next head.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.leading_left = self.leading;
        self.line = 0;
        self.searched = 0;
    }

    /// Where the head ends, if it does.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let unsearched = &self.bytes[self.searched..];
            let Some(length) = unsearched.iter().position(|&byte| byte == b'\n') else {
                self.searched = self.bytes.len();
                return None;
            };
            let end = self.searched + length;
            let is_empty = matches!(&self.bytes[self.line..end], b"" | b"\r");
            self.line = end + 1;
            self.searched = end + 1;
            if !is_empty {
                self.leading_left = 0;
            } else if self.leading_left > 0 {
                self.leading_left -= 1;
            } else {
                return Some(end + 1);
            }
        }
    }
}
