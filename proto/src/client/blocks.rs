//! A body that comes in blocks, over a transport that loses them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::Event;
use crate::digest::Digests;
use crate::etag::EntityTag;
use crate::framing::ExchangeId;
use crate::intervals::Intervals;
use crate::range::{self, ContentRange};
use crate::request::Method;
use crate::response::{BodyLength, ResponseHead};
use crate::status::Status;

/// How many exchanges back blocks are still accepted: later than that they are not on their way
/// any more.
const MAX_ACCEPTED: usize = 8;

/// What tells one version of a representation from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    etag: Option<EntityTag>,
    digests: Digests,
    complete: u64,
}

impl Version {
    pub(super) fn of(head: &ResponseHead, complete: u64) -> Self {
        let digests = head.fields.joined("Repr-Digest");
        Self {
            etag: head.fields.single("ETag").and_then(EntityTag::parse),
            digests: digests.map_or_else(Digests::default, |field| Digests::parse(&field)),
            complete,
        }
    }

    /// The version that a later head announces. One that does not say its length is like no other.
    pub(super) fn announced_by(head: &ResponseHead) -> Self {
        let range = head.fields.single("Content-Range");
        let complete = match range.and_then(ContentRange::parse) {
            Some(ContentRange::Bytes { complete, .. }) => complete,
            Some(ContentRange::Unsatisfied { complete }) => Some(complete),
            None => match head.body_length(Method::Get) {
                Ok(BodyLength::Known(length)) if head.status == Status::OK => Some(length),
                _ => None,
            },
        };
        Self::of(head, complete.unwrap_or(u64::MAX))
    }

    /// Whether bytes of both may be joined: they share a strong validator (RFC 9110 §15.3.7.3), or
    /// a digest of the whole.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let same_tag = match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a.strong_eq(b),
            _ => false,
        };
        let same_digest = |a: Option<&[u8]>, b: Option<&[u8]>| a.is_some() && a == b;
        let Digests { sha256, sha512 } = &self.digests;
        self.complete == other.complete
            && (same_tag
                || same_digest(
                    sha256.as_ref().map(<[u8; 32]>::as_slice),
                    other.digests.sha256.as_ref().map(<[u8; 32]>::as_slice),
                )
                || same_digest(
                    sha512.as_ref().map(<[u8; 64]>::as_slice),
                    other.digests.sha512.as_ref().map(<[u8; 64]>::as_slice),
                ))
    }

    /// Whether a later answer can be recognized as of this version.
    pub(super) fn is_recognizable(&self) -> bool {
        self.strong_etag().is_some() || self.digests != Digests::default()
    }

    /// The tag for an `If-Range` field, which takes no weak one (RFC 9110 §13.1.5).
    pub(super) fn strong_etag(&self) -> Option<&EntityTag> {
        self.etag.as_ref().filter(|etag| !etag.is_weak())
    }
}

/// What has come of a body, and which blocks belong to it.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) version: Version,
    /// Which part of the representation is wanted.
    wanted: Range<u64>,
    received: Intervals,
    /// Exchanges whose head said that their blocks are of this version, the latest last.
    accepted: VecDeque<ExchangeId>,
    /// The end of what the last request asked for.
    asked_end: u64,
    /// Whether a block came that ends there.
    end_came: bool,
    /// The end of the furthest block of the exchange under way, which comes in ascending order.
    front: u64,
    /// The most bytes that a block had.
    block_length: u64,
    new: Vec<Range<u64>>,
}

/// What a block brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether any byte of it is new.
    pub(super) progress: bool,
    /// Whether a block came, this or another, that ends where the last request does: what is
    /// still missing was lost or is late.
    pub(super) end_came: bool,
    /// The end of the block.
    pub(super) end: u64,
}

impl Blocks {
    pub(super) fn new(
        version: Version,
        wanted: Range<u64>,
        exchange: ExchangeId,
        max_intervals: usize,
    ) -> Self {
        Self {
            version,
            asked_end: wanted.end,
            end_came: false,
            front: 0,
            block_length: 1,
            wanted,
            received: Intervals::new(max_intervals),
            accepted: VecDeque::from([exchange]),
            new: Vec::new(),
        }
    }

    /// Notes what is here already, and tells whether any of it is wanted.
    pub(super) fn preload(&mut self, have: &[Range<u64>]) -> bool {
        for part in have {
            let inside = part.start.max(self.wanted.start)..part.end.min(self.wanted.end);
            // With too many intervals some of it is asked for once more.
            let _ = self.received.insert(inside, &mut self.new);
        }
        self.new.clear();
        !self.received.is_empty()
    }

    /// Whether the blocks of `exchange` are of this version.
    pub(super) fn accepts(&self, exchange: ExchangeId) -> bool {
        self.accepted.front() == Some(&exchange) || self.accepted.contains(&exchange)
    }

    /// The head of `exchange` said that it sends this version. `main` is under way all the while.
    pub(super) fn accept(&mut self, exchange: ExchangeId, main: ExchangeId) {
        if self.accepted.len() == MAX_ACCEPTED {
            let oldest = usize::from(self.accepted.front() == Some(&main));
            self.accepted.remove(oldest);
        }
        self.accepted.push_back(exchange);
    }

    /// The `Range` field for as many holes as fit into `room` bytes, but at least one.
    pub(super) fn ask(&mut self, room: usize) -> String {
        let holes = fitting(self.received.holes(self.wanted.clone()), room);
        self.asked_end = holes.last().map_or(self.wanted.end, |hole| hole.end);
        self.end_came = false;
        range::write(&holes)
    }

    /// Whether something is missing in front of the furthest block of the exchange under way.
    pub(super) fn has_gap(&self) -> bool {
        !self.received.covers(self.wanted.start..self.front)
    }

    /// The first holes in front of the furthest block, as far as `lost` messages may explain them
    /// and a Range field of `room` bytes holds them, but at least one; and how many messages that
    /// are.
    pub(super) fn gaps(&self, lost: u64, room: usize) -> (Vec<Range<u64>>, u64) {
        let mut left = lost;
        let gaps = self.received.holes(self.wanted.start..self.front);
        let gaps = gaps.map_while(|gap| {
            let most = left.saturating_mul(self.block_length);
            let part = gap.start..gap.end.min(gap.start.saturating_add(most));
            left -= self.messages(&part);
            (!part.is_empty()).then_some(part)
        });
        let gaps = fitting(gaps, room);
        let messages = gaps.iter().map(|gap| self.messages(gap)).sum();
        (gaps, messages)
    }

    /// How many blocks at least hold this many bytes.
    const fn messages(&self, part: &Range<u64>) -> u64 {
        (part.end - part.start).div_ceil(self.block_length)
    }

    /// Another exchange is under way, of which nothing came.
    pub(super) const fn forget_front(&mut self) {
        self.front = 0;
    }

    pub(super) const fn front(&self) -> u64 {
        self.front
    }

    pub(super) const fn end_came(&self) -> bool {
        self.end_came
    }

    /// Everything is on its way, whatever was asked for.
    pub(super) const fn expect_all(&mut self) {
        self.asked_end = self.wanted.end;
    }

    /// Takes a block with `data` for `offset`, which are at most 2^48 together, of an accepted
    /// exchange, which is the one under way if `is_main`. `None` if it
    /// was dropped: it lies outside the part that is wanted, or would need one interval too many
    /// and is to be asked for again.
    pub(super) fn take(
        &mut self,
        offset: u64,
        data: Bytes,
        is_main: bool,
        events: &mut VecDeque<Event>,
    ) -> Option<Taken> {
        // The length of a buffer always fits.
        let range = offset..offset + u64::try_from(data.len()).unwrap_or(0);
        let inside = range.start.max(self.wanted.start)..range.end.min(self.wanted.end);
        if inside.is_empty() {
            return None;
        }
        self.new.clear();
        self.received.insert(inside.clone(), &mut self.new).ok()?;
        self.block_length = self.block_length.max(range.end - range.start);
        if is_main {
            self.front = self.front.max(inside.end);
        }
        self.end_came |= inside.end == self.asked_end;
        let taken = Taken {
            progress: !self.new.is_empty(),
            end_came: self.end_came,
            end: inside.end,
        };
        if self.new.first() == Some(&range) {
            // All of it is new, as ever when nothing is lost.
            events.push_back(Event::Body { offset, data });
            return Some(taken);
        }
        let cut = |part: &Range<u64>| slice(&data, range.start, part);
        let mut from = inside.start;
        for new in &self.new {
            if from < new.start {
                events.push_back(repeated(from, cut(&(from..new.start))));
            }
            events.push_back(Event::Body {
                offset: new.start,
                data: cut(new),
            });
            from = new.end;
        }
        if from < inside.end {
            events.push_back(repeated(from, cut(&(from..inside.end))));
        }
        Some(taken)
    }

    pub(super) fn is_complete(&self) -> bool {
        // Nothing else is ever received.
        self.missing() == 0
    }

    pub(super) fn holes(&self) -> impl Iterator<Item = Range<u64>> {
        self.received.holes(self.wanted.clone())
    }

    pub(super) fn missing(&self) -> u64 {
        (self.wanted.end - self.wanted.start).saturating_sub(self.received.covered())
    }
}

/// As many of `holes` as a Range field of `room` bytes holds, but at least one.
fn fitting(holes: impl Iterator<Item = Range<u64>>, room: usize) -> Vec<Range<u64>> {
    let mut fitting = Vec::new();
    let mut length = 0;
    for hole in holes {
        let alone = range::write(std::slice::from_ref(&hole)).len();
        // Behind another, a comma takes the place of the unit.
        length += if fitting.is_empty() {
            alone
        } else {
            alone - "bytes=".len() + ",".len()
        };
        if length > room && !fitting.is_empty() {
            break;
        }
        fitting.push(hole);
    }
    fitting
}

fn repeated(offset: u64, data: Bytes) -> Event {
    Event::Repeated { offset, data }
}

/// The bytes of `part` in `data`, which begins at `start`.
fn slice(data: &Bytes, start: u64, part: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
    data.slice(at(part.start)..at(part.end))
}
