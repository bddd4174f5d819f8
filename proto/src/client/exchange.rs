//! The machine of a client's exchange.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::blocks::{Blocks, Version};
use super::timers::{Timer, Timers};
use super::{Command, Config, Done, Event, Failure, Head, Wanted};
use crate::fields::Fields;
use crate::framing::{self, Block, ExchangeId};
use crate::machine::{CloseReason, Datagram, Delivery, Disposition, Machine, Transmit};
use crate::range::{self, ContentRange};
use crate::request::{self, WriteError};
use crate::response::{BodyLength, HeadError, ResponseHead, ResponseReader};
use crate::status::Status;

/// The least time without a new byte after which a round of repair begins.
const MIN_QUIET: Duration = Duration::from_millis(250);
/// The most, before it is doubled for rounds that brought nothing.
const MAX_QUIET: Duration = Duration::from_secs(2);
/// The least time that reordered blocks are waited for when the last one of a round has come.
const MIN_REORDER: Duration = Duration::from_millis(10);
/// The most bytes of `Range` in a request that repairs: it must fit into one message beside the
/// other fields.
const MAX_RANGE_FIELD: usize = 900;
/// How often a body may start over because the file changed.
const MAX_RESTARTS: u32 = 5;
/// The most holes that a failure lists.
const MAX_LISTED_HOLES: usize = 64;

/// A request and its answer.
///
/// ```text
///           head, reliable            length reached
///  Waiting ----------------> Stream ------------------> Draining ---> Ended
///     | \                                                  peer closes, or linger
///     |  \  head, unreliable, no framing                length reached, or closed
///     |   +-----------------> Plain ---------------------------------> Ended
///     |
///     |   head, framing             last hole filled
///     +-----------------> Blocks --------------------------------------> Ended
///                         |    ^
///                         +----+ quiet: ask for the holes
/// ```
#[derive(Debug)]
pub struct Exchange {
    config: Config,
    phase: Phase,
    /// The request to send, or sent last.
    message: Bytes,
    request_due: bool,
    id: ExchangeId,
    round: u32,
    repeats: u32,
    /// When `message` was handed to the transport first.
    sent_at: Option<Instant>,
    /// Whether the head of the exchange `id` came.
    answered: bool,
    rtt: Option<Duration>,
    /// Whether the round under way brought a new byte.
    progress: bool,
    idle_rounds: u32,
    /// How often the body started over.
    restarts: u32,
    /// Messages that came before the head they belong to.
    early: VecDeque<Bytes>,
    early_bytes: usize,
    timers: Timers,
    events: VecDeque<Event>,
    limit: usize,
}

#[derive(Debug)]
enum Phase {
    Waiting(Box<ResponseReader>),
    /// A body in order.
    Stream { offset: u64, end: Option<u64> },
    /// A body over an unreliable transport without offsets, as it comes.
    Plain {
        head: Bytes,
        offset: u64,
        end: Option<u64>,
        messages: u32,
    },
    Blocks(Box<Blocks>),
    /// The body is whole; the server is to close.
    Draining,
    Ended(Disposition),
}

/// Where the body of an answer belongs.
struct Placement {
    first: u64,
    end: Option<u64>,
    complete: Option<u64>,
}

impl Exchange {
    /// An exchange whose request goes out with the first poll.
    ///
    /// # Errors
    ///
    /// If the target or a field of `config` cannot be written in a request.
    pub fn new(config: Config) -> Result<Self, WriteError> {
        let mut exchange = Self {
            phase: Phase::Waiting(Box::new(ResponseReader::new(config.limits))),
            message: Bytes::new(),
            request_due: true,
            id: ExchangeId::FIRST,
            round: 0,
            repeats: 0,
            sent_at: None,
            answered: false,
            rtt: None,
            progress: false,
            idle_rounds: 0,
            restarts: 0,
            early: VecDeque::new(),
            early_bytes: 0,
            timers: Timers::default(),
            events: VecDeque::new(),
            limit: usize::MAX,
            config,
        };
        exchange.message = exchange.first_request()?;
        Ok(exchange)
    }

    /// The time a request and the head of its answer took; `None` before the first.
    pub const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    const fn is_unreliable(&self) -> bool {
        matches!(self.config.delivery, Delivery::Unreliable)
    }

    /// The request as the application wants it.
    fn first_request(&self) -> Result<Bytes, WriteError> {
        let range = self.config.range.map(|wanted| wanted.to_string());
        self.request(range, self.config.if_range.as_deref())
    }

    fn request(
        &self,
        range: Option<String>,
        if_range: Option<&[u8]>,
    ) -> Result<Bytes, WriteError> {
        let mut out = Vec::new();
        if self.config.seed_form {
            request::write_seed(&mut out, &self.config.target)?;
            return Ok(out.into());
        }
        let mut fields = Fields::new();
        for (name, value) in self.config.fields.iter() {
            fields.push(name, value);
        }
        fields.push("Connection", *b"close");
        if let Some(range) = range {
            if let Some(validator) = if_range {
                fields.push("If-Range", validator);
            }
            fields.push("Range", range);
        }
        if self.is_unreliable() && self.config.framing {
            fields.push(framing::FIELD, framing::field_value(self.id));
        }
        request::write(&mut out, self.config.method, &self.config.target, &fields)?;
        Ok(out.into())
    }

    // --- what comes -----------------------------------------------------------------------

    /// Takes bytes from a transport that keeps them in order.
    fn read_stream(&mut self, now: Instant, mut data: Bytes) {
        if let Phase::Waiting(reader) = &mut self.phase {
            match reader.feed(&mut data) {
                Ok(Some(head)) => self.begin_stream(head),
                Ok(None) => {
                    self.timers.set(Timer::Stall, now + self.config.stall);
                    return;
                }
                Err(HeadError::NotHttp) if self.config.http09 => {
                    data = [reader.unfinished(), &data].concat().into();
                    self.phase = Phase::Stream {
                        offset: 0,
                        end: None,
                    };
                }
                Err(error) => return self.fail(Failure::BadHead(error)),
            }
        }
        self.read_stream_body(now, data);
    }

    fn begin_stream(&mut self, response: ResponseHead) {
        match self.place(&response) {
            Ok(placement) => {
                self.phase = Phase::Stream {
                    offset: placement.first,
                    end: placement.end,
                };
                self.announce(response, &placement, false);
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn read_stream_body(&mut self, now: Instant, data: Bytes) {
        match &mut self.phase {
            Phase::Stream { offset, end } => {
                let at = *offset;
                *offset += length(&data);
                let (reached, end) = (*offset, *end);
                if end.is_some_and(|end| reached > end) {
                    return self.fail(Failure::Surplus);
                }
                if self.config.max_body.is_some_and(|max| reached > max) {
                    return self.fail(Failure::TooLarge);
                }
                if !data.is_empty() {
                    self.events.push_back(Event::Body { offset: at, data });
                    self.timers.set(Timer::Stall, now + self.config.stall);
                }
                if end == Some(reached) {
                    self.phase = Phase::Draining;
                    self.timers.stop_all();
                    self.timers.set(Timer::Linger, now + self.config.linger);
                }
            }
            Phase::Draining if !data.is_empty() => self.fail(Failure::Surplus),
            Phase::Draining
            | Phase::Waiting(_)
            | Phase::Plain { .. }
            | Phase::Blocks(_)
            | Phase::Ended(_) => {}
        }
    }

    /// Takes a message from a transport that loses, reorders and repeats them.
    fn read_message(&mut self, now: Instant, message: Bytes) {
        if let Phase::Plain { head, .. } = &self.phase {
            if message != *head {
                self.read_plain_body(now, message);
            }
        } else if message.starts_with(b"HTTP/") {
            self.read_head(now, message);
        } else {
            self.read_block(now, message);
        }
    }

    fn read_head(&mut self, now: Instant, message: Bytes) {
        let mut body = message.clone();
        let head = match ResponseHead::parse(&mut body, &self.config.limits) {
            Ok(head) if head.status.is_informational() => return,
            Ok(head) => head,
            // A second head that is broken does no harm.
            Err(_) if !matches!(self.phase, Phase::Waiting(_)) => return,
            Err(error) => return self.fail(Failure::BadHead(error)),
        };
        let granted = head
            .fields
            .single(framing::FIELD)
            .and_then(framing::parse_field)
            .filter(|_| self.config.framing && !self.config.seed_form);
        match granted {
            Some(id) => self.read_framed_head(now, head, id),
            None if matches!(self.phase, Phase::Waiting(_)) => {
                let head_length = message.len() - body.len();
                self.begin_plain(now, head, message.slice(..head_length), body);
            }
            // A plain head amid blocks is of another exchange, or an error of the peer.
            None => {}
        }
    }

    fn read_framed_head(&mut self, now: Instant, head: ResponseHead, id: ExchangeId) {
        let current = id == self.id;
        // Heads of exchanges that are long past, or have not begun, mean nothing.
        if !current && !self.id.follows(id) {
            return;
        }
        if let Phase::Blocks(blocks) = &mut self.phase {
            if blocks.accepts(id) {
                return;
            }
            if blocks.version.is_same_as(&complete_version(&head)) {
                blocks.accept(id);
            } else if !current {
                return;
            } else if head.status == Status::PARTIAL_CONTENT {
                return self.start_over();
            } else {
                self.restarts += 1;
                return self.begin_blocks(now, head, id);
            }
        } else if current && matches!(self.phase, Phase::Waiting(_)) {
            return self.begin_blocks(now, head, id);
        }
        if current {
            self.head_came(now);
        }
        self.read_early(now);
    }

    /// The head of the exchange under way came: its request needs no repeating.
    fn head_came(&mut self, now: Instant) {
        self.answered = true;
        self.timers.stop(Timer::Retry);
        if self.repeats == 0
            && let Some(sent_at) = self.sent_at
        {
            // A request that was repeated does not tell which copy was answered (RFC 6298 §3).
            let sample = now - sent_at;
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
        self.timers.set(Timer::Round, now + self.quiet());
    }

    fn begin_blocks(&mut self, now: Instant, response: ResponseHead, id: ExchangeId) {
        if self.restarts > MAX_RESTARTS {
            return self.fail(Failure::Changing);
        }
        let placement = match self.place(&response) {
            Ok(placement) => placement,
            Err(failure) => return self.fail(failure),
        };
        let Some(end) = placement.end else {
            return self.fail(Failure::Protocol("the framing needs a Content-Length"));
        };
        let version = Version::of(&response, placement.complete.unwrap_or(end));
        let wanted = placement.first..end;
        self.phase = Phase::Blocks(Box::new(Blocks::new(
            version,
            wanted,
            id,
            self.config.max_intervals,
        )));
        self.announce(response, &placement, true);
        self.head_came(now);
        self.timers.set(Timer::Stall, now + self.config.stall);
        self.finish_if_complete();
        self.read_early(now);
    }

    fn read_block(&mut self, now: Instant, message: Bytes) {
        let Phase::Blocks(blocks) = &mut self.phase else {
            return self.keep_early(message);
        };
        let Some(block) = Block::decode(message.clone()) else {
            return;
        };
        if !blocks.accepts(block.exchange) {
            if block.exchange == self.id && !self.answered {
                self.keep_early(message);
            }
            return;
        }
        let taken = blocks.take(&block, &mut self.events);
        if taken.progress {
            self.progress = true;
            self.timers.set(Timer::Stall, now + self.config.stall);
        }
        if self.answered && taken.at_end {
            self.timers.set(Timer::Round, now + self.reorder());
        } else if self.answered && taken.progress {
            self.timers.set(Timer::Round, now + self.quiet());
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
        if matches!(self.phase, Phase::Ended(_))
            || self.early_bytes + message.len() > self.config.max_early
        {
            return;
        }
        self.early_bytes += message.len();
        self.early.push_back(message);
    }

    fn read_early(&mut self, now: Instant) {
        self.early_bytes = 0;
        for message in std::mem::take(&mut self.early) {
            self.read_message(now, message);
        }
    }

    fn begin_plain(&mut self, now: Instant, response: ResponseHead, head: Bytes, body: Bytes) {
        let placement = match self.place(&response) {
            Ok(placement) => placement,
            Err(failure) => return self.fail(failure),
        };
        self.phase = Phase::Plain {
            head,
            offset: placement.first,
            end: placement.end,
            messages: 0,
        };
        self.announce(response, &placement, false);
        self.timers.stop(Timer::Retry);
        self.timers.set(Timer::Stall, now + self.config.stall);
        self.read_plain_body(now, body);
        self.read_early(now);
    }

    fn read_plain_body(&mut self, now: Instant, data: Bytes) {
        let Phase::Plain {
            offset,
            end,
            messages,
            ..
        } = &mut self.phase
        else {
            return;
        };
        let at = *offset;
        *offset += length(&data);
        *messages += u32::from(!data.is_empty());
        let (reached, end, messages) = (*offset, *end, *messages);
        if end.is_some_and(|end| reached > end) {
            return self.fail(Failure::Surplus);
        }
        if self.config.max_body.is_some_and(|max| reached > max) {
            return self.fail(Failure::TooLarge);
        }
        if !data.is_empty() {
            self.events.push_back(Event::Body { offset: at, data });
            self.timers.set(Timer::Stall, now + self.config.stall);
        }
        if end == Some(reached) {
            // One message cannot have lost or exchanged its parts; with several, a copy may hide
            // a hole (HU5).
            self.finish(messages <= 1);
        }
    }

    // --- rounds of repair -----------------------------------------------------------------

    /// How long the body may be silent before a round begins.
    fn quiet(&self) -> Duration {
        let base = self.rtt.map_or(MAX_QUIET, |rtt| rtt * 4);
        base.clamp(MIN_QUIET, MAX_QUIET) * (1 << self.idle_rounds.min(3))
    }

    /// How long blocks may be late behind the last one of a round.
    fn reorder(&self) -> Duration {
        let base = self.rtt.unwrap_or(MAX_QUIET);
        base.clamp(MIN_REORDER, MAX_QUIET) * (1 << self.idle_rounds.min(3))
    }

    /// Asks for what is missing.
    fn begin_round(&mut self) {
        let Phase::Blocks(blocks) = &mut self.phase else {
            return;
        };
        self.idle_rounds = if self.progress { 0 } else { self.idle_rounds + 1 };
        if self.idle_rounds > self.config.idle_rounds {
            let holes = blocks.holes().take(MAX_LISTED_HOLES).collect();
            return self.fail(Failure::Incomplete { holes, why: None });
        }
        self.round += 1;
        self.id = self.id.next();
        self.progress = false;
        let (holes, missing) = (blocks.holes().count(), blocks.missing());
        let request = if blocks.version.is_recognizable() {
            let field = holes_that_fit(blocks);
            let etag = blocks.version.strong_etag().map(|etag| etag.to_bytes());
            self.request(Some(field), etag.as_deref())
        } else {
            // Without a validator nothing can be joined: all of it, once more.
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

    /// Forgets what came: it was of another version, and nothing tells what of it is still good.
    fn start_over(&mut self) {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return self.fail(Failure::Changing);
        }
        self.round += 1;
        self.id = self.id.next();
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
    }

    fn retry_delay(&self) -> Duration {
        let first = match self.rtt {
            Some(rtt) => (rtt * 3).clamp(MIN_QUIET, self.config.first_retry.max(MIN_QUIET)),
            None => self.config.first_retry,
        };
        first * (1 << self.repeats.min(16))
    }

    fn retry(&mut self) {
        if self.repeats >= self.config.retries {
            let failure = match &self.phase {
                Phase::Blocks(blocks) => Failure::Incomplete {
                    holes: blocks.holes().take(MAX_LISTED_HOLES).collect(),
                    why: None,
                },
                Phase::Waiting(_)
                | Phase::Stream { .. }
                | Phase::Plain { .. }
                | Phase::Draining
                | Phase::Ended(_) => Failure::NoAnswer,
            };
            return self.fail(failure);
        }
        self.repeats += 1;
        self.request_due = true;
    }

    // --- heads ----------------------------------------------------------------------------

    /// Where the body of an answer belongs, if the answer is one to what was asked.
    fn place(&self, head: &ResponseHead) -> Result<Placement, Failure> {
        let body = head
            .body_length(self.config.method)
            .map_err(Failure::BadHead)?;
        let length = match body {
            BodyLength::None => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::UntilClose => None,
        };
        if let (Some(length), Some(max)) = (length, self.config.max_body)
            && length > max
        {
            return Err(Failure::TooLarge);
        }
        if head.status == Status::PARTIAL_CONTENT && body != BodyLength::None {
            return self.place_part(head, length);
        }
        if head.status == Status::OK && self.config.range.is_some() && !self.config.seed_form {
            // With If-Range all of it was asked for, should it have changed.
            if self.config.if_range.is_none() {
                return Err(Failure::RangeNotHonoured);
            }
        }
        Ok(Placement {
            first: 0,
            end: length,
            complete: length.filter(|_| head.status.is_success() && body != BodyLength::None),
        })
    }

    fn place_part(&self, head: &ResponseHead, length: Option<u64>) -> Result<Placement, Failure> {
        let range = head
            .fields
            .single("Content-Range")
            .and_then(ContentRange::parse);
        let Some(ContentRange::Bytes {
            first,
            last,
            complete,
        }) = range
        else {
            let rule = "a partial answer without a valid Content-Range";
            return Err(Failure::BadHead(HeadError::Malformed(rule)));
        };
        let honoured = match self.config.range {
            None => false,
            Some(Wanted::From(from)) => first == from,
            Some(Wanted::Between(from, to)) => first == from && last <= to,
            Some(Wanted::Last(count)) => {
                complete.is_some_and(|complete| first == complete.saturating_sub(count))
            }
        };
        if !honoured {
            return Err(Failure::RangeNotHonoured);
        }
        if length.is_some_and(|length| length != last - first + 1) {
            let rule = "Content-Length and Content-Range disagree";
            return Err(Failure::BadHead(HeadError::Malformed(rule)));
        }
        Ok(Placement {
            first,
            end: Some(last + 1),
            complete,
        })
    }

    fn announce(&mut self, response: ResponseHead, placement: &Placement, framed: bool) {
        self.events.push_back(Event::Head(Box::new(Head {
            response,
            first: placement.first,
            end: placement.end,
            complete: placement.complete,
            framed,
        })));
    }

    // --- ends -----------------------------------------------------------------------------

    fn finish(&mut self, verified: bool) {
        self.end(
            Disposition::Close,
            Ok(Done {
                verified,
                rounds: self.round,
            }),
        );
    }

    fn fail(&mut self, failure: Failure) {
        self.end(Disposition::Abort, Err(failure));
    }

    fn end(&mut self, disposition: Disposition, result: Result<Done, Failure>) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.phase = Phase::Ended(disposition);
        self.request_due = false;
        self.timers.stop_all();
        self.early.clear();
        self.events.push_back(Event::Finished(result));
    }

    fn stalled(&mut self) {
        let failure = match &self.phase {
            Phase::Waiting(_) if self.is_unreliable() => Failure::NoAnswer,
            Phase::Blocks(blocks) => Failure::Incomplete {
                holes: blocks.holes().take(MAX_LISTED_HOLES).collect(),
                why: Some(CloseReason::Stalled),
            },
            Phase::Waiting(_)
            | Phase::Stream { .. }
            | Phase::Plain { .. }
            | Phase::Draining
            | Phase::Ended(_) => Failure::Stalled,
        };
        self.fail(failure);
    }
}

/// The version that a head announces.
fn complete_version(head: &ResponseHead) -> Version {
    let range = head.fields.single("Content-Range");
    let complete = match range.and_then(ContentRange::parse) {
        Some(ContentRange::Bytes { complete, .. }) => complete,
        Some(ContentRange::Unsatisfied { complete }) => Some(complete),
        None => match head.body_length(request::Method::Get) {
            Ok(BodyLength::Known(length)) if head.status == Status::OK => Some(length),
            _ => None,
        },
    };
    // A version without a length is like no other.
    Version::of(head, complete.unwrap_or(u64::MAX))
}

/// The `Range` field for as many holes as fit into a request, and notes where they end.
fn holes_that_fit(blocks: &mut Blocks) -> String {
    let mut field = String::new();
    let mut holes = Vec::new();
    for hole in blocks.holes() {
        holes.push(hole);
        let longer = range::write(&holes);
        if longer.len() > MAX_RANGE_FIELD {
            holes.pop();
            break;
        }
        field = longer;
    }
    blocks.asked_end = holes.last().map_or(0, |hole: &Range<u64>| hole.end);
    field
}

fn length(data: &Bytes) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

impl Machine for Exchange {
    type Peer = ();
    type Session = ();
    type Event = Event;
    type Command = Command;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        if self.is_unreliable() {
            return self.read_message(now, datagram.payload);
        }
        if !datagram.ordered {
            return self.fail(Failure::Protocol("an unordered message"));
        }
        if datagram.stream != self.config.stream {
            return self.fail(Failure::Protocol("data on a stream without a request"));
        }
        self.read_stream(now, datagram.payload);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Retry => self.retry(),
                Timer::Round => self.begin_round(),
                Timer::Stall => self.stalled(),
                Timer::Linger => self.finish(true),
            }
        }
    }

    fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        let graceful = why == CloseReason::Graceful;
        match &self.phase {
            Phase::Waiting(_) => self.fail(Failure::Closed(why)),
            Phase::Draining => self.finish(true),
            Phase::Stream { end: None, .. } if graceful => self.finish(true),
            // The end of a DCCP connection proves nothing (HM3).
            Phase::Plain { end: None, .. } if graceful => self.finish(false),
            Phase::Stream { offset, end } | Phase::Plain { offset, end, .. } => {
                let holes = end.map_or_else(Vec::new, |end| vec![*offset..end]);
                self.fail(Failure::Incomplete {
                    holes,
                    why: Some(why),
                });
            }
            Phase::Blocks(blocks) => {
                let holes = blocks.holes().take(MAX_LISTED_HOLES).collect();
                self.fail(Failure::Incomplete {
                    holes,
                    why: Some(why),
                });
            }
            Phase::Ended(_) => {}
        }
    }

    fn handle_rejected(&mut self, _now: Instant, limit: usize) {
        self.fail(Failure::RequestTooLarge {
            length: self.message.len(),
            limit,
        });
    }

    fn handle_stop(&mut self, _now: Instant) {
        self.fail(Failure::Cancelled);
    }

    fn handle_command(&mut self, _now: Instant, (): (), command: Command) {
        self.fail(match command {
            Command::Cancel => Failure::Cancelled,
            Command::Conflict => Failure::Conflict,
        });
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        self.limit = limit;
        if !self.request_due {
            return None;
        }
        if self.message.len() > limit {
            self.handle_rejected(now, limit);
            return None;
        }
        self.request_due = false;
        out.extend_from_slice(&self.message);
        if self.sent_at.is_none() {
            self.sent_at = Some(now);
        }
        if self.round == 0 && self.repeats == 0 {
            self.timers.set(Timer::Stall, now + self.config.stall);
        }
        if self.is_unreliable() {
            self.timers.set(Timer::Retry, now + self.retry_delay());
        }
        self.events.push_back(Event::Requested {
            message: self.message.clone(),
            round: self.round,
            repeat: self.repeats,
        });
        Some(Transmit {
            stream: self.config.stream,
            ppid: self.config.ppid,
            ..Transmit::message(())
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn poll_event(&mut self) -> Option<((), Event)> {
        self.events.pop_front().map(|event| ((), event))
    }

    fn disposition(&self) -> Disposition {
        match &self.phase {
            Phase::Ended(disposition) => *disposition,
            Phase::Waiting(_)
            | Phase::Stream { .. }
            | Phase::Plain { .. }
            | Phase::Blocks(_)
            | Phase::Draining => Disposition::Open,
        }
    }
}
