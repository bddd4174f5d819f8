//! A session as text: when which side sent what.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::framing::{self, Block};

use crate::link::Fate;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    pub(crate) const fn arrow(self) -> &'static str {
        match self {
            Self::Client => "->",
            Self::Server => "<-",
        }
    }
}

/// The messages of a session in the order they were sent.
#[derive(Clone, Debug)]
pub struct Transcript {
    began: Instant,
    text: String,
    /// Whether the head sent last granted the framing.
    framed: bool,
    /// Where the next byte of a body without offsets belongs among the others.
    offset: u64,
}

impl Transcript {
    /// An empty one of a session that begins at `now`.
    pub const fn new(now: Instant) -> Self {
        Self {
            began: now,
            text: String::new(),
            framed: false,
            offset: 0,
        }
    }

    /// Writes down a message and what becomes of it.
    pub fn message(&mut self, now: Instant, side: Side, message: &[u8], fate: Option<Fate>) {
        let fate = match fate {
            None => String::new(),
            Some(Fate::Lost) => ", lost".to_owned(),
            Some(Fate::Late(delay)) => format!(", {} ms late", delay.as_millis()),
            Some(Fate::Twice(delay)) => format!(", twice, again after {} ms", delay.as_millis()),
        };
        let length = message.len();
        let words = match side {
            Side::Client => self.head(message),
            Side::Server if message.starts_with(b"HTTP/") => {
                self.offset = 0;
                let words = self.head(message);
                self.framed = words.contains(framing::FIELD);
                words
            }
            Side::Server => self.body(message),
        };
        let mut lines = words.lines();
        let first = lines.next().unwrap_or_default();
        self.line(now, side, &format!("{first}  [{length} bytes{fate}]"));
        for line in lines {
            let _ = writeln!(self.text, "{:15}{line}", "");
        }
    }

    /// Writes down something else that a side does.
    pub fn note(&mut self, now: Instant, side: Side, what: &str) {
        self.line(now, side, what);
    }

    fn line(&mut self, now: Instant, side: Side, words: &str) {
        let since = now.saturating_duration_since(self.began);
        let _ = writeln!(
            self.text,
            "{:>9}  {}  {words}",
            Milliseconds(since),
            side.arrow()
        );
    }

    fn head(&self, message: &[u8]) -> String {
        String::from_utf8_lossy(message)
            .chars()
            .map(|c| match c {
                '\n' => '\n',
                '\r' => '\r',
                c if c.is_control() => '\u{fffd}',
                c => c,
            })
            .collect::<String>()
            .replace('\r', "")
            .trim_end()
            .to_owned()
    }

    fn body(&mut self, message: &[u8]) -> String {
        let block = Block::decode(Bytes::copy_from_slice(message)).filter(|_| self.framed);
        if let Some(block) = block {
            let range = block.range();
            return format!(
                "exchange {}, bytes {}..{}",
                block.exchange, range.start, range.end
            );
        }
        let from = self.offset;
        self.offset += message.len() as u64;
        format!("body, bytes {from}..{}", self.offset)
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A duration with one digit behind the point.
pub(crate) struct Milliseconds(pub(crate) Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.as_micros() / 100;
        f.pad(&format!("{}.{} ms", tenths / 10, tenths % 10))
    }
}
