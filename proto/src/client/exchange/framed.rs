//! Bodies in blocks that say where they belong.

use std::time::Instant;

use bytes::{Buf as _, Bytes};

use super::{Asked, Exchange, MAX_RESTARTS, Phase};
use crate::client::Failure;
use crate::client::blocks::{Blocks, Taken, Version};
use crate::client::placement::Placement;
use crate::client::timers::Timer;
use crate::framing::{Block, ExchangeId, HEADER_LENGTH, Terms};
use crate::response::ResponseHead;
use crate::status::Status;

/// What an early message costs besides its bytes.
const EARLY_OVERHEAD: usize = 64;

impl Exchange {
    pub(super) fn read_framed_head(&mut self, now: Instant, head: ResponseHead, terms: Terms) {
        let id = terms.exchange;
        let current = id == self.id;
        // Heads of exchanges that are long past, or have not begun, mean nothing.
        if !current && id != self.newest && !self.newest.follows(id) {
            return;
        }
        if current {
            self.takes_besides = terms.beside;
        }
        if let Phase::Blocks(blocks) = &mut self.phase {
            if blocks.accepts(id) {
                return;
            }
            if blocks.version.is_same_as(&Version::announced_by(&head)) {
                blocks.accept(id, self.id);
                if current && head.status == Status::OK {
                    blocks.expect_all();
                }
            } else if current {
                return self.read_other_version(now, head, id);
            } else if self.is_beside(id) {
                self.adopt_beside();
                return self.read_other_version(now, head, id);
            } else {
                return;
            }
        } else if current && matches!(self.phase, Phase::Waiting(_)) {
            return self.begin_blocks(now, head, id);
        }
        if current {
            self.head_came(now);
        }
        self.on_beside_head(now, id);
        self.read_early(now);
    }

    /// Takes the head of the exchange under way when it is of another version than the body so far.
    fn read_other_version(&mut self, now: Instant, head: ResponseHead, id: ExchangeId) {
        let answers_holes_only = match head.status {
            Status::PARTIAL_CONTENT | Status::RANGE_NOT_SATISFIABLE => true,
            // All of it instead of the holes, where the application wants a part.
            Status::OK => self.config.range.is_some() && self.config.if_range.is_none(),
            _ => false,
        };
        if self.asked == Asked::Holes && answers_holes_only {
            self.start_over();
        } else {
            self.restarts += 1;
            self.begin_blocks(now, head, id);
        }
    }

    /// The head of the exchange under way came: its request needs no repeating.
    fn head_came(&mut self, now: Instant) {
        self.answered = true;
        self.timers.stop(Timer::Retry);
        self.measure(now, self.sent_at, self.repeats);
        self.timers.set(Timer::Round, now + self.quiet());
    }

    /// Takes the time from a request to its head as a sample of the round-trip time.
    pub(super) fn measure(&mut self, now: Instant, sent_at: Option<Instant>, repeats: u32) {
        let Some(sent_at) = sent_at else { return };
        let sample = now - sent_at;
        self.rtt = Some(match self.rtt {
            // Which copy of the request was answered is unknown (RFC 6298 §3), and so whether
            // the time since the last one is too short.
            Some(rtt) if repeats > 0 => rtt.max(sample),
            Some(rtt) if rtt < sample => (rtt * 7 + sample) / 8,
            // An answer may take the server some time, so a shorter sample counts at once.
            Some(_) | None => sample,
        });
    }

    /// Something came that a round of repair would ask for: it waits a little longer.
    pub(super) fn extend_round(&mut self, now: Instant) {
        let end_came = self.blocks().is_some_and(Blocks::end_came);
        let wait = if end_came {
            self.reorder()
        } else {
            self.quiet()
        };
        self.timers.set(Timer::Round, now + wait);
    }

    fn begin_blocks(&mut self, now: Instant, response: ResponseHead, id: ExchangeId) {
        if self.restarts > MAX_RESTARTS {
            return self.fail(Failure::Changing);
        }
        let placement = match Placement::of(&self.config, &response) {
            Ok(placement) => placement,
            Err(failure) => return self.fail(failure),
        };
        let Some(end) = placement.end else {
            return self.fail(Failure::Protocol("the framing needs a Content-Length"));
        };
        let version = Version::of(&response, placement.complete.unwrap_or(end));
        let wanted = placement.first..end;
        let mut blocks = Blocks::new(version, wanted, id, self.config.max_intervals);
        // A part in answer to If-Range is of the version that the application has.
        let goes_on = response.status == Status::PARTIAL_CONTENT && self.config.if_range.is_some();
        let ask_for_less = goes_on && blocks.preload(&self.config.have);
        self.forget_beside();
        self.phase = Phase::Blocks(Box::new(blocks));
        self.announce(response, &placement, true);
        self.head_came(now);
        self.timers.set(Timer::Stall, now + self.config.stall);
        self.finish_if_complete();
        if ask_for_less {
            self.progress = true;
            self.begin_round();
        }
        self.read_early(now);
    }

    pub(super) fn read_block(&mut self, now: Instant, mut message: Bytes) {
        let header = Block::peek(&message);
        let exchange = header.map(|(exchange, _)| exchange);
        if let Phase::Blocks(blocks) = &mut self.phase
            && let Some((exchange, offset)) = header
            && blocks.accepts(exchange)
        {
            let is_main = exchange == self.id;
            message.advance(HEADER_LENGTH);
            if let Some(taken) = blocks.take(offset, message, is_main, &mut self.events) {
                self.on_taken(now, exchange, taken);
            }
            return;
        }
        let is_beside = exchange.is_some_and(|exchange| self.is_beside(exchange));
        match (&self.phase, exchange) {
            (Phase::Blocks(_) | Phase::Waiting(_), Some(exchange))
                if !self.answered && exchange == self.id =>
            {
                self.keep_early(message);
                self.hasten_retry(now);
            }
            (Phase::Blocks(_), _) if is_beside => {
                self.keep_early(message);
                self.hasten_beside(now);
            }
            // Perhaps a body without offsets that overtook its head (HU3).
            (Phase::Waiting(_), _) => self.keep_early(message),
            _ => {}
        }
    }

    fn on_taken(&mut self, now: Instant, exchange: ExchangeId, taken: Taken) {
        if taken.progress {
            self.progress = true;
            self.fed = Some(now);
        }
        if self.answered && exchange == self.id {
            if !taken.end_came {
                self.heard = Some(now);
                if !self.timers.is_set(Timer::Round) {
                    self.timers.set(Timer::Round, now + self.quiet());
                }
            } else if taken.progress {
                self.timers.set(Timer::Round, now + self.reorder());
            } else {
                // A copy, behind the end: nothing to wait for.
            }
        } else if self.answered && taken.progress && exchange.follows(self.id) {
            self.extend_round(now);
        }
        if self.beside.is_some() || self.lost > 0 {
            self.on_block_beside(now, exchange, taken.end);
        }
        self.finish_if_complete();
    }

    fn finish_if_complete(&mut self) {
        if let Phase::Blocks(blocks) = &self.phase
            && blocks.is_complete()
        {
            self.finish(true);
        }
    }

    /// Keeps a message whose head has not come, within the limit; beyond it the message is a hole.
    fn keep_early(&mut self, message: Bytes) {
        let cost = message.len() + EARLY_OVERHEAD;
        if self.early_bytes + cost <= self.config.max_early && !message.is_empty() {
            self.early_bytes += cost;
            self.early.push_back(message);
        }
    }

    pub(super) fn read_early(&mut self, now: Instant) {
        self.early_bytes = 0;
        for message in std::mem::take(&mut self.early) {
            self.read_message(now, message);
        }
    }
}
