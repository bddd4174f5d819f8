//! Asking again: for an answer, for what is missing of it, or for all of it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Asked, Exchange, MAX_RESTARTS, Phase};
use crate::client::blocks::Blocks;
use crate::client::timers::Timer;
use crate::client::{Event, Failure};
use crate::etag::EntityTag;
use crate::framing::Terms;
use crate::request::WriteError;
use crate::response::ResponseReader;

/// The longest time without a new byte after which a round of repair begins, unless
/// [`Config::least_quiet`](crate::client::Config::least_quiet) is longer, and before it is doubled
/// for rounds that brought nothing.
const MAX_QUIET: Duration = Duration::from_secs(2);
/// The least time after which a request is repeated when it is known how long answers take.
const MIN_RETRY: Duration = Duration::from_millis(100);
/// How often the time until a request is repeated doubles.
const MAX_DOUBLINGS: u32 = 5;
/// The least time that reordered blocks are waited for when the last one of a round has come.
const MIN_REORDER: Duration = Duration::from_millis(10);
/// The most bytes of a request that repairs, where the transport takes more: every server reads a
/// head of this size, and no answer needs more parts.
const MAX_REPAIR_REQUEST: usize = 4096;

impl Exchange {
    /// How long the body may be silent before a round begins.
    pub(super) fn quiet(&self) -> Duration {
        let base = self.rtt.map_or(MAX_QUIET, |rtt| rtt * 4);
        let least = self.config.least_quiet;
        base.clamp(least, MAX_QUIET.max(least)) * (1 << self.idle_rounds.min(3))
    }

    /// How long blocks may be late behind the last one of a round.
    pub(super) fn reorder(&self) -> Duration {
        let base = self.rtt.unwrap_or(MAX_QUIET);
        base.clamp(MIN_REORDER, MAX_QUIET) * (1 << self.idle_rounds.min(3))
    }

    /// Begins a round, unless something came since its timer was set, or is on its way.
    pub(super) fn on_round_due(&mut self, now: Instant) {
        let end_came = self.blocks().is_some_and(Blocks::end_came);
        let due = self.heard.map(|heard| heard + self.quiet());
        match due.filter(|due| now < *due && !end_came) {
            Some(due) => self.timers.set(Timer::Round, due),
            None if self.awaits_beside() => self.extend_round(now),
            None => self.begin_round(),
        }
    }

    /// Asks for what is missing.
    pub(super) fn begin_round(&mut self) {
        let Phase::Blocks(blocks) = &self.phase else {
            return;
        };
        self.idle_rounds = if self.progress {
            0
        } else {
            self.idle_rounds + 1
        };
        let recognizable = blocks.version.is_recognizable();
        if self.idle_rounds > self.config.idle_rounds
            || (!recognizable && self.restarts >= MAX_RESTARTS)
        {
            return self.incomplete(None);
        }
        let (holes, missing) = (blocks.holes().count(), blocks.missing());
        self.round += 1;
        self.renumber();
        self.progress = false;
        let request = if recognizable {
            self.request_holes()
        } else {
            // Without a validator nothing can be joined: all of it, once more.
            self.asked = Asked::All;
            self.first_request()
        };
        match request {
            Ok(message) => self.message = message,
            Err(_) => return self.fail(Failure::Protocol("the server's ETag cannot be sent back")),
        }
        self.events.push_back(Event::Round {
            round: self.round,
            holes,
            missing,
        });
        self.await_answer();
    }

    /// The request for as many of the holes as fit into a message.
    fn request_holes(&mut self) -> Result<Bytes, WriteError> {
        self.asked = Asked::Holes;
        let terms = Terms::alone(self.id);
        let (room, etag) = self.room_for_ranges(terms)?;
        let range = if let Phase::Blocks(blocks) = &mut self.phase {
            blocks.ask(room)
        } else {
            String::new()
        };
        self.request(terms, Some(range), etag.as_deref())
    }

    /// How many bytes a Range field may have, and what is to be in If-Range.
    pub(super) fn room_for_ranges(
        &self,
        terms: Terms,
    ) -> Result<(usize, Option<Vec<u8>>), WriteError> {
        let tag = self
            .blocks()
            .and_then(|blocks| blocks.version.strong_etag());
        let etag = tag.map(EntityTag::to_bytes);
        let without = self.request(terms, Some(String::new()), etag.as_deref())?;
        let room = self
            .limit
            .min(MAX_REPAIR_REQUEST)
            .saturating_sub(without.len());
        Ok((room, etag))
    }

    /// The request under way becomes another one.
    fn renumber(&mut self) {
        self.id = self.next_id();
        self.newest = self.id;
    }

    /// Asks for fewer holes, as the transport takes only `limit` bytes; other requests cannot be
    /// made smaller.
    pub(super) fn shrink_request(&mut self, limit: usize) {
        self.limit = limit;
        let length = self.message.len();
        if self.asked == Asked::Holes && length > limit {
            // What a number stands for never changes.
            self.renumber();
            if let Ok(message) = self.request_holes()
                && message.len() <= limit
            {
                self.message = message;
                return self.await_answer();
            }
        }
        self.fail(Failure::RequestTooLarge { length, limit });
    }

    /// Forgets what came: it was of another version, and nothing tells what of it is still good.
    pub(super) fn start_over(&mut self) {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return self.fail(Failure::Changing);
        }
        self.round += 1;
        self.renumber();
        self.asked = Asked::All;
        match self.first_request() {
            Ok(message) => self.message = message,
            Err(_) => return self.fail(Failure::Protocol("the request cannot be repeated")),
        }
        self.phase = Phase::Waiting(Box::new(ResponseReader::new(self.config.limits)));
        self.await_answer();
    }

    fn await_answer(&mut self) {
        self.request_due = true;
        self.answered = false;
        self.sent_at = None;
        self.repeats = 0;
        self.timers.stop(Timer::Round);
        self.forget_beside();
    }

    pub(super) fn retry_delay(&self) -> Duration {
        let longest = self.config.first_retry.max(MIN_RETRY);
        let first = match self.rtt {
            Some(rtt) => (rtt * 3).clamp(MIN_RETRY, longest),
            None => self.config.first_retry,
        };
        // Blocks without their head show that the server is there.
        let doublings = if self.early.is_empty() {
            MAX_DOUBLINGS
        } else {
            1
        };
        first * (1 << self.repeats.min(doublings))
    }

    /// Blocks come, and their head did not: it is late or lost, so do not wait for it long.
    pub(super) fn hasten_retry(&mut self, now: Instant) {
        let Some(sent_at) = self.sent_at else { return };
        let rtt = *self.rtt.get_or_insert(now - sent_at);
        let late = if self.lost > 0 && self.repeats == 0 {
            // It is lost.
            Duration::ZERO
        } else {
            rtt.clamp(MIN_REORDER, MAX_QUIET) * (1 << self.repeats.min(MAX_DOUBLINGS))
        };
        self.timers.set_at_latest(Timer::Retry, now + late);
    }

    pub(super) fn retry(&mut self) {
        // A server of which something came gets as long as `Config::stall` says.
        let silent = self.blocks().is_none() && self.early.is_empty();
        if silent && self.repeats >= self.config.retries {
            return self.fail(Failure::NoAnswer);
        }
        self.repeats += 1;
        self.request_due = true;
    }
}
