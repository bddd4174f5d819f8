//! Cuts an answer into messages.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::answer::Body;
use crate::framing::{self, ExchangeId};

/// How the body of one answer is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// The most bytes in one message, its block header included, where the transport takes more.
    pub(super) message: usize,
    /// How many bytes of a body are asked of the application at once; at least a message.
    pub(super) read_ahead: usize,
    /// Set if each body message says where it belongs.
    pub(super) framing: Option<ExchangeId>,
}

/// A head and a body on their way out.
#[derive(Debug)]
pub(super) struct Sending {
    head: Bytes,
    head_due: bool,
    cut: Cut,
    /// What is still to be asked of the application, in order.
    parts: VecDeque<Range<u64>>,
    /// Bytes given by the application. Those of the first piece may all be sent; it is kept until
    /// the next message, for the transport may refuse the last one.
    ready: VecDeque<Piece>,
    /// Whether the application was asked for bytes that have not come.
    wanted: bool,
    /// What the last message held, should the transport reject it.
    last: Last,
    body_bytes: u64,
}

/// Bytes of the body and where they belong.
#[derive(Debug)]
struct Piece {
    /// Where `data` belongs.
    offset: u64,
    data: Bytes,
    /// How much of `data` was sent.
    sent: usize,
}

impl Piece {
    const fn new(offset: u64, data: Bytes) -> Self {
        Self {
            offset,
            data,
            sent: 0,
        }
    }

    const fn is_sent(&self) -> bool {
        self.sent == self.data.len()
    }
}

#[derive(Clone, Copy, Debug)]
enum Last {
    Nothing,
    Head,
    /// So many bytes of the first piece.
    Data(usize),
}

/// What [`Sending::poll`] appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Whether nothing follows.
    pub(super) last: bool,
    /// Whether it is the head, and the beginning of the body is ready.
    pub(super) body_follows: bool,
}

impl Sending {
    /// An answer of which nothing was sent. An empty `head` is not sent (HTTP/0.9).
    pub(super) fn new(head: Bytes, body: Body, cut: Cut) -> Self {
        let (parts, ready) = match body {
            Body::Text(data) => (Vec::new(), VecDeque::from([Piece::new(0, data)])),
            Body::Parts(parts) => (parts, VecDeque::new()),
        };
        Self {
            head_due: !head.is_empty(),
            head,
            cut,
            parts: parts.into(),
            ready,
            wanted: false,
            last: Last::Nothing,
            body_bytes: 0,
        }
    }

    /// The bytes to ask of the application now, if any: where they begin and how many.
    pub(super) fn want(&mut self, limit: usize) -> Option<(u64, usize)> {
        if self.wanted || self.is_ready() {
            return None;
        }
        let part = self.parts.front()?;
        // Whole messages, so that none in the middle is short.
        let message = self.data_limit(limit).max(1);
        let length = (self.cut.read_ahead / message)
            .max(1)
            .saturating_mul(message);
        let left = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
        self.wanted = true;
        Some((part.start, length.min(left)))
    }

    /// Takes the bytes asked for, or the beginning of them; `false` if they were not asked for or
    /// are none.
    #[must_use]
    pub(super) fn give(&mut self, data: Bytes) -> bool {
        let Some(part) = self.parts.front_mut().filter(|_| self.wanted) else {
            return false;
        };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if data.is_empty() || length > part.end - part.start {
            return false;
        }
        self.wanted = false;
        let offset = part.start;
        part.start += length;
        if part.is_empty() {
            self.parts.pop_front();
        }
        self.ready.push_back(Piece::new(offset, data));
        true
    }

    /// Whether the application was asked for bytes that have not come.
    pub(super) const fn is_waiting(&self) -> bool {
        self.wanted
    }

    /// Whether the next message is the head.
    pub(super) const fn is_head_due(&self) -> bool {
        self.head_due
    }

    /// Whether bytes of the body are here that were not sent.
    fn is_ready(&self) -> bool {
        self.ready.iter().any(|piece| !piece.is_sent())
    }

    /// Whether the next message can be made as small as `limit`.
    pub(super) fn fits(&self, limit: usize) -> bool {
        if self.head_due {
            self.head.len() <= limit
        } else {
            !self.is_ready() || self.data_limit(limit) > 0
        }
    }

    /// Appends the next message to `out`, which is at most `limit` bytes if it [`Self::fits`].
    /// `None` if there is none now: everything was sent, or the application owes bytes.
    pub(super) fn poll(&mut self, limit: usize, out: &mut Vec<u8>) -> Option<Sent> {
        if self.head_due {
            out.extend_from_slice(&self.head);
            self.head_due = false;
            self.last = Last::Head;
        } else {
            let data_limit = self.data_limit(limit);
            if self.ready.front()?.is_sent() {
                if self.ready.len() == 1 {
                    return None;
                }
                self.ready.pop_front();
            }
            let piece = self.ready.front_mut()?;
            let (from, length) = (piece.sent, data_limit.min(piece.data.len() - piece.sent));
            if let Some(exchange) = self.cut.framing {
                // A buffer's index always fits.
                let at = piece.offset + u64::try_from(from).unwrap_or(u64::MAX);
                framing::write_header(out, exchange, at);
            }
            out.extend_from_slice(&piece.data[from..from + length]);
            piece.sent += length;
            self.body_bytes += u64::try_from(length).unwrap_or(u64::MAX);
            self.last = Last::Data(length);
        }
        Some(Sent {
            last: self.is_drained(),
            body_follows: matches!(self.last, Last::Head) && self.is_ready(),
        })
    }

    /// Takes back the message polled last, which the transport refused as larger than `limit`.
    /// `false` if it cannot be made smaller.
    #[must_use]
    pub(super) fn reject(&mut self, limit: usize) -> bool {
        match std::mem::replace(&mut self.last, Last::Nothing) {
            Last::Nothing => true,
            Last::Head => {
                self.head_due = true;
                self.head.len() <= limit
            }
            Last::Data(length) => {
                let refused = self.header_length() + length;
                if limit >= refused {
                    // The transport does not know its own limit; never try the same again.
                    self.cut.message = refused / 2;
                }
                self.body_bytes -= u64::try_from(length).unwrap_or(u64::MAX);
                if let Some(piece) = self.ready.front_mut() {
                    piece.sent -= length;
                }
                self.data_limit(limit) > 0
            }
        }
    }

    /// Sends the head once more: the client did not get it.
    pub(super) fn repeat_head(&mut self) {
        self.head_due = !self.head.is_empty();
    }

    /// Whether everything was handed to the transport.
    pub(super) fn is_drained(&self) -> bool {
        !self.head_due && self.parts.is_empty() && !self.is_ready()
    }

    /// How many bytes of the body were handed to the transport.
    pub(super) const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The most bytes of a body in one message.
    fn data_limit(&self, limit: usize) -> usize {
        limit
            .min(self.cut.message)
            .saturating_sub(self.header_length())
    }

    fn header_length(&self) -> usize {
        self.cut.framing.map_or(0, |_| framing::HEADER_LENGTH)
    }
}
