//! Asking for what is known to be lost while the body still flows.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Asked, Exchange, Phase};
use crate::client::Event;
use crate::client::timers::Timer;
use crate::framing::{Block, ExchangeId, Terms};
use crate::range;

/// The time that an answer may wait at the server behind blocks that are on their way out already.
const QUEUED: Duration = Duration::from_millis(10);
/// The least time between two requests, so that what is lost gathers where round trips are short.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// The most time until a request is repeated.
const MAX_RETRY: Duration = Duration::from_secs(2);
/// How often a request is repeated before its holes are left to the next one, or to a round.
const MAX_REPEATS: u32 = 4;

/// A request for lost parts of the body that the server sends, and what came of it. At most one is
/// under way.
#[derive(Debug)]
pub(super) struct Beside {
    id: ExchangeId,
    message: Bytes,
    due: bool,
    sent_at: Option<Instant>,
    repeats: u32,
    head_came: bool,
    /// The end of the last part that is asked for.
    end: u64,
    /// How many lost messages it asks for.
    messages: u64,
}

impl Exchange {
    /// The transport knows that messages of the server are lost.
    pub(super) fn on_missing(&mut self, now: Instant, messages: u64) {
        self.lost = self.lost.saturating_add(messages);
        let early = self.early.back().and_then(|message| Block::peek(message));
        if !self.answered && early.is_some_and(|(exchange, _)| exchange == self.id) {
            self.hasten_retry(now);
        }
        self.ask_beside(now);
    }

    /// Asks for holes in front of the newest block of the exchange under way, the first ones first
    /// and no more than messages are known to be lost: others may only be late.
    pub(super) fn ask_beside(&mut self, now: Instant) {
        if self.lost == 0 || !self.takes_besides || !self.answered || self.beside.is_some() {
            return;
        }
        let Phase::Blocks(blocks) = &self.phase else {
            return;
        };
        if !blocks.version.is_recognizable() || !blocks.has_gap() {
            return;
        }
        if let Some(at) = self.ask_at.filter(|at| now < *at) {
            return self.timers.set(Timer::Beside, at);
        }
        let id = self.next_id();
        let terms = Terms::beside(id);
        let Ok((room, etag)) = self.room_for_ranges(terms) else {
            return;
        };
        let (parts, messages) = blocks.gaps(self.lost, room);
        let Some(end) = parts.last().map(|part| part.end) else {
            return;
        };
        let range = Some(range::write(&parts));
        let Ok(message) = self.request(terms, range, etag.as_deref()) else {
            return;
        };
        self.newest = id;
        self.lost -= messages;
        self.timers.stop(Timer::Beside);
        self.beside = Some(Beside {
            id,
            message,
            due: true,
            sent_at: None,
            repeats: 0,
            head_came: false,
            end,
            messages,
        });
    }

    /// Appends the request that is due, if it fits.
    pub(super) fn poll_beside(&mut self, now: Instant, limit: usize, out: &mut Vec<u8>) -> bool {
        let Some(beside) = self.beside.as_mut().filter(|beside| beside.due) else {
            return false;
        };
        if beside.message.len() > limit {
            self.refuse_beside();
            return false;
        }
        beside.due = false;
        beside.sent_at = Some(now);
        out.extend_from_slice(&beside.message);
        self.events.push_back(Event::Requested {
            message: beside.message.clone(),
            round: self.round,
            repeat: beside.repeats,
        });
        let rtt = self.rtt.unwrap_or(MAX_RETRY);
        // Not longer each time: the server is there, and they are few.
        let retry = (rtt * 3 / 2 + QUEUED).min(MAX_RETRY);
        self.timers.set(Timer::Beside, now + retry);
        self.ask_at = Some(now + rtt.max(MIN_PAUSE));
        true
    }

    /// The request is too large for the transport: the next one, of another number, is smaller.
    pub(super) fn refuse_beside(&mut self) {
        if let Some(beside) = self.beside.take() {
            self.lost = self.lost.saturating_add(beside.messages);
            self.ask_at = None;
            self.timers.stop(Timer::Beside);
        }
    }

    pub(super) fn on_beside_due(&mut self, now: Instant) {
        match &mut self.beside {
            Some(beside) if !beside.head_came && beside.repeats < MAX_REPEATS => {
                beside.repeats += 1;
                beside.due = true;
            }
            Some(_) => self.settle_beside(now),
            None => self.ask_beside(now),
        }
    }

    /// Nothing more is expected of the request: what it did not bring is a hole like others.
    fn settle_beside(&mut self, now: Instant) {
        self.beside = None;
        self.timers.stop(Timer::Beside);
        self.ask_beside(now);
    }

    /// Whether holes are on their way that a round would ask for once more.
    pub(super) fn awaits_beside(&self) -> bool {
        let beside = self.beside.as_ref();
        beside.is_some_and(|beside| !beside.head_came)
    }

    pub(super) fn is_beside(&self, id: ExchangeId) -> bool {
        self.beside.as_ref().is_some_and(|beside| beside.id == id)
    }

    pub(super) fn on_beside_head(&mut self, now: Instant, id: ExchangeId) {
        let Some(beside) = self.beside.as_mut().filter(|beside| beside.id == id) else {
            return;
        };
        beside.head_came = true;
        let (sent_at, repeats) = (beside.sent_at, beside.repeats);
        self.measure(now, sent_at, repeats);
        self.timers.set(Timer::Beside, now + self.quiet());
        self.extend_round(now);
    }

    /// The server answers the request instead of the exchange it was sending.
    pub(super) fn adopt_beside(&mut self) {
        if let Some(beside) = self.beside.take() {
            self.timers.stop(Timer::Beside);
            self.id = beside.id;
            self.message = beside.message;
            self.sent_at = beside.sent_at;
            self.repeats = beside.repeats;
            self.asked = Asked::Holes;
            self.answered = false;
        }
    }

    /// A block came that ends at `end`, of the exchange under way or of one beside it.
    pub(super) fn on_block_beside(&mut self, now: Instant, exchange: ExchangeId, end: u64) {
        let is_main = exchange == self.id;
        let Phase::Blocks(blocks) = &self.phase else {
            return;
        };
        if let Some(beside) = &self.beside {
            // A server sends all of a repair before it goes on with the rest.
            let is_passed = is_main && beside.head_came && blocks.front() == end;
            if is_passed || (exchange == beside.id && end == beside.end) {
                self.settle_beside(now);
            }
        } else if is_main && self.lost > 0 {
            if !blocks.has_gap() {
                // It was a head that was lost, or what was asked for once more.
                self.lost = 0;
            }
            self.ask_beside(now);
        }
    }

    /// A block came of a repair whose head did not.
    pub(super) fn hasten_beside(&mut self, now: Instant) {
        let wait = self.reorder();
        let Some(beside) = self.beside.as_ref().filter(|beside| !beside.due) else {
            return;
        };
        let Some(sent_at) = beside.sent_at else {
            return;
        };
        let at = if self.lost > 0 && beside.repeats == 0 {
            // The head is lost.
            now
        } else {
            // The answer to a repeat takes as long as the first one.
            now.max(sent_at + wait)
        };
        if beside.repeats < MAX_REPEATS {
            self.timers.set_at_latest(Timer::Beside, at);
        }
    }

    /// A new request is on its way, which asks for all that is known to be missing.
    pub(super) fn forget_beside(&mut self) {
        self.beside = None;
        self.lost = 0;
        self.timers.stop(Timer::Beside);
        if let Phase::Blocks(blocks) = &mut self.phase {
            blocks.forget_front();
        }
    }
}
