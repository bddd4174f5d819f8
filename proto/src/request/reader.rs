//! Reading one request from the pieces of its message.

use std::mem;

use super::head::{HeadBuffer, Taken, show};
use super::judge;
use super::{Form, Limits, Method, Rejection, Request};
use crate::status::Status;

/// How many empty lines before the request line are skipped. RFC 9112 §2.2 asks for at least one.
const LEADING_EMPTY_LINES: usize = 2;

/// Reads one request, which is one message, from the pieces the transport delivers it in.
///
/// It collects the head, at most [`Limits::head`] bytes of it, and only counts what comes after.
/// The verdict depends on the bytes of the message alone, not on how they are cut into pieces.
///
/// ```
/// use proto::request::{Form, Limits, Progress, RequestReader};
///
/// let mut reader = RequestReader::new(Limits::default());
/// assert_eq!(reader.feed(b"GET / HT", false), Progress::Incomplete);
/// let Progress::Complete(request) = reader.feed(b"TP 1.0", true) else {
///     panic!("the message has ended, and so has the request");
/// };
/// assert_eq!(request.target, "/");
/// assert_eq!(request.form, Form::Seed);
/// ```
#[derive(Debug)]
pub struct RequestReader {
    limits: Limits,
    head: HeadBuffer,
    state: State,
    after_head: u64,
}

#[derive(Debug)]
enum State {
    /// The empty line has not come yet.
    Head,
    /// The head is good; content comes.
    Content(Request),
    /// The verdict was given.
    Decided,
}

/// What a piece of a message led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No verdict yet; the message goes on.
    Incomplete,
    /// The message has ended and is a request to answer.
    ///
    /// It may hold less content than its [`Request::content_length`]: a request is one message, so
    /// what is missing never comes, and GET and HEAD do not need it.
    Complete(Request),
    /// The message is to be answered with an error. It may not have ended; what else comes of it
    /// is to be fed nevertheless, so that nothing is left unread when the transport is closed.
    Rejected(Rejection),
    /// The verdict was given before; the piece was counted and dropped.
    Dropped,
}

impl RequestReader {
    /// A reader for one message.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: HeadBuffer::new(limits.head, LEADING_EMPTY_LINES),
            state: State::Head,
            after_head: 0,
        }
    }

    /// Takes the next piece of the message; `end_of_message` tells that it is the last. A piece
    /// may be empty.
    ///
    /// A message that ends before its empty line, or before any line end, is a whole head.
    pub fn feed(&mut self, piece: &[u8], end_of_message: bool) -> Progress {
        match mem::replace(&mut self.state, State::Decided) {
            State::Head => self.on_head(piece, end_of_message),
            State::Content(request) => self.on_content(request, piece, end_of_message),
            State::Decided => {
                self.count(piece);
                Progress::Dropped
            }
        }
    }

    /// How many bytes of the message came after the end of its head, or after [`Limits::head`]
    /// bytes when its head is longer.
    pub const fn after_head(&self) -> u64 {
        self.after_head
    }

    /// The request line as far as it came, for an access log: visible ASCII and spaces, `"` and
    /// `\` with a backslash before them, other bytes as `\xNN`. Of a line longer than 200 bytes,
    /// the first 200 and `...`.
    pub fn first_line(&self) -> String {
        show(self.head.split_first_line().0)
    }

    fn on_head(&mut self, piece: &[u8], end_of_message: bool) -> Progress {
        match self.head.take(piece) {
            Taken::All if end_of_message => {
                self.head.finish();
                self.on_head_end(&[], true)
            }
            Taken::All => {
                self.state = State::Head;
                Progress::Incomplete
            }
            Taken::Complete(taken) => self.on_head_end(&piece[taken..], end_of_message),
            Taken::TooLarge(taken) => {
                let (line, rest) = self.head.split_first_line();
                let rejection = judge::too_large(line, rest, &self.limits);
                self.head.keep_first_line();
                self.count(&piece[taken..]);
                Progress::Rejected(rejection)
            }
        }
    }

    fn on_head_end(&mut self, after: &[u8], end_of_message: bool) -> Progress {
        let (line, section) = self.head.split_first_line();
        let verdict = judge::judge(line, section, &self.limits);
        self.head.keep_first_line();
        match verdict {
            Ok(request) => self.on_content(request, after, end_of_message),
            Err(rejection) => {
                self.count(after);
                Progress::Rejected(rejection)
            }
        }
    }

    fn on_content(&mut self, request: Request, piece: &[u8], end_of_message: bool) -> Progress {
        self.count(piece);
        if self.after_head > request.content_length {
            return Progress::Rejected(Rejection {
                status: Status::BAD_REQUEST,
                reason: "bytes after the request that no content length covers",
                head_only: request.method == Method::Head,
                simple: request.form == Form::Simple,
                line: self.first_line(),
            });
        }
        if end_of_message {
            return Progress::Complete(request);
        }
        self.state = State::Content(request);
        Progress::Incomplete
    }

    fn count(&mut self, piece: &[u8]) {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.after_head = self.after_head.saturating_add(length);
    }
}
