//! Messages and packets in words.

use bytes::Bytes;
use proto::framing::Block;

/// The longest first line of a head that is shown, in bytes.
const MAX_LINE: usize = 200;

/// The fields of a head that say which part of an answer it is about.
const FIELDS: [&str; 3] = ["body-framing", "range", "content-range"];

/// What is known of the messages of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Messages {
    /// Whether a head offered or granted the framing of bodies.
    framed: bool,
    /// How many heads of requests there were.
    requests: u64,
}

impl Messages {
    /// How many heads of requests were described.
    pub(super) const fn requests(&self) -> u64 {
        self.requests
    }

    /// A message in words; `None` where there is nothing to say but its length.
    pub(super) fn describe(&mut self, message: &[u8]) -> Option<String> {
        if let Some(line) = first_line(message) {
            self.requests += u64::from(!line.starts_with("HTTP/"));
            let mut words = line;
            for (name, value) in fields(message) {
                if name == FIELDS[0] {
                    self.framed = true;
                }
                words.push_str(&format!(", {name}: {value}"));
            }
            return Some(words);
        }
        if !self.framed {
            return None;
        }
        // The header is all that is looked at; one byte of data makes it a block.
        let length = message.len().checked_sub(8)?;
        let block = Block::decode(Bytes::copy_from_slice(message.get(..9)?))?;
        let from = block.range().start;
        let to = from + u64::try_from(length).ok()?.saturating_sub(1);
        let exchange = block.exchange.number();
        Some(format!("exchange {exchange}, bytes {from} to {to}"))
    }
}

/// The first line of a head, of a request or an answer.
fn first_line(message: &[u8]) -> Option<String> {
    let is_head = ["HTTP/", "GET ", "HEAD "]
        .iter()
        .any(|begin| message.starts_with(begin.as_bytes()));
    if !is_head {
        return None;
    }
    let line = message
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()?;
    let shown = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
    Some(shown.into_owned())
}

/// The fields worth a place in a line.
fn fields(head: &[u8]) -> impl Iterator<Item = (&'static str, String)> {
    head.split(|&byte| byte == b'\n')
        .skip(1)
        .filter_map(|line| {
            let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
            let (name, value) = line.split_once(':')?;
            let name = FIELDS
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name))?;
            Some((*name, value.trim().to_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_by_their_first_line_and_blocks_once_a_head_spoke_of_them() {
        let mut messages = Messages::default();
        let block = b"\0\x01\0\0\0\0\0\x08ijklmnop";
        assert_eq!(messages.describe(block), None);
        // HTML begins with a byte that a block could begin with.
        assert_eq!(messages.describe(b"<html><body></body></html>"), None);
        let head = b"HTTP/1.0 206 Partial Content\r\nbody-framing: offset;exchange=2\r\n\
                     Content-Range: bytes 8-15/20\r\nETag: \"x\"\r\n\r\n";
        assert_eq!(
            messages.describe(head).unwrap(),
            "HTTP/1.0 206 Partial Content, body-framing: offset;exchange=2, \
             content-range: bytes 8-15/20"
        );
        assert_eq!(
            messages.describe(block).unwrap(),
            "exchange 1, bytes 8 to 15"
        );
        assert_eq!(messages.describe(b"\0\x01\0\0\0\0\0\x08"), None);
        assert_eq!(messages.describe(b""), None);
        assert_eq!(
            messages.describe(b"GET / HTTP 1.0").unwrap(),
            "GET / HTTP 1.0"
        );
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let head = [&b"GET /"[..], &[b'a'; 10_000]].concat();
        let words = Messages::default().describe(&head).unwrap();
        assert_eq!(words.len(), MAX_LINE);
    }
}
