//! The machine of a client's exchange.

mod beside;
mod framed;
mod ordered;
mod repair;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::beside::Beside;
use super::blocks::Blocks;
use super::placement::Placement;
use super::timers::{Timer, Timers};
use super::{Command, Config, Done, Event, Failure, Head};
use crate::fields::Fields;
use crate::framing::{self, ExchangeId, Terms};
use crate::machine::{CloseReason, Datagram, Delivery, Disposition, Ecn, Machine, Transmit};
use crate::request::{self, WriteError};
use crate::response::{ResponseHead, ResponseReader};

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
    asked: Asked,
    id: ExchangeId,
    /// The latest number given to a request: `id`, or that of a repair beside it.
    newest: ExchangeId,
    /// Whether the server takes requests beside the exchange under way.
    takes_besides: bool,
    beside: Option<Beside>,
    /// How many messages are known to be lost that were not asked for.
    lost: u64,
    /// Before when no other repair is asked for beside a body: once in a round-trip time is enough.
    ask_at: Option<Instant>,
    /// Whether the request polled last was one beside another.
    polled_beside: bool,
    round: u32,
    repeats: u32,
    /// When `message` was handed to the transport last.
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
    /// When a new byte came last, and when a block of the exchange under way did. The timers
    /// `Stall` and `Round` follow these only when they are due, so that not every block moves them.
    fed: Option<Instant>,
    heard: Option<Instant>,
    events: VecDeque<Event>,
    limit: usize,
}

#[derive(Debug)]
enum Phase {
    Waiting(Box<ResponseReader>),
    /// A body in order.
    Stream {
        offset: u64,
        end: Option<u64>,
    },
    /// A body over an unreliable transport without offsets, as it comes.
    Plain {
        head: Bytes,
        response: Box<ResponseHead>,
        offset: u64,
        end: Option<u64>,
        messages: u32,
    },
    Blocks(Box<Blocks>),
    /// The body is whole; the server is to close.
    Draining,
    Ended(Disposition),
}

/// What the request under way asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// What the application wants.
    All,
    /// What is missing of it.
    Holes,
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
            asked: Asked::All,
            id: ExchangeId::FIRST,
            newest: ExchangeId::FIRST,
            takes_besides: false,
            beside: None,
            lost: 0,
            ask_at: None,
            polled_beside: false,
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
            fed: None,
            heard: None,
            events: VecDeque::new(),
            limit: usize::MAX,
            config,
        };
        exchange.message = exchange.first_request()?;
        Ok(exchange)
    }

    /// About the time a request and the beginning of its answer take; `None` before the first.
    pub const fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    const fn is_unreliable(&self) -> bool {
        matches!(self.config.delivery, Delivery::Unreliable)
    }

    fn blocks(&self) -> Option<&Blocks> {
        if let Phase::Blocks(blocks) = &self.phase {
            Some(blocks)
        } else {
            None
        }
    }

    /// The request as the application wants it.
    fn first_request(&self) -> Result<Bytes, WriteError> {
        let range = self.config.range.map(|wanted| wanted.to_string());
        let terms = Terms::alone(self.id);
        self.request(terms, range, self.config.if_range.as_deref())
    }

    fn request(
        &self,
        terms: Terms,
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
        let connection: &[u8] = if self.config.keep_alive {
            b"keep-alive"
        } else {
            b"close"
        };
        fields.push("Connection", connection);
        if let Some(range) = range {
            if let Some(validator) = if_range {
                fields.push("If-Range", validator);
            }
            fields.push("Range", range);
        }
        if self.is_unreliable() && self.config.framing {
            fields.push(framing::FIELD, terms.to_string());
        }
        request::write(&mut out, self.config.method, &self.config.target, &fields)?;
        Ok(out.into())
    }

    const fn transmit(&self) -> Transmit<()> {
        Transmit {
            stream: self.config.stream,
            ppid: self.config.ppid,
            peer: (),
            immediate_ack: false,
            more_follows: false,
            segment_size: None,
            ecn: Ecn::NotEct,
            may_fragment: false,
        }
    }

    /// The number of the next request. That of the exchange under way, whose blocks still come, is
    /// not given again when the numbers have gone round.
    fn next_id(&self) -> ExchangeId {
        let next = self.newest.next();
        if next == self.id { next.next() } else { next }
    }

    // --- what comes -----------------------------------------------------------------------

    /// Takes a message from a transport that loses, reorders and repeats them.
    fn read_message(&mut self, now: Instant, message: Bytes) {
        if let Phase::Plain { .. } = &self.phase {
            self.read_plain(now, message);
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
            Some(terms) => self.read_framed_head(now, head, terms),
            None if matches!(self.phase, Phase::Waiting(_)) => {
                let head_length = message.len() - body.len();
                self.begin_plain(now, head, message.slice(..head_length), body);
            }
            // A plain head amid blocks is of another exchange, or an error of the peer.
            None => {}
        }
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
        self.beside = None;
        self.timers.stop_all();
        self.early.clear();
        self.events.push_back(Event::Finished(result));
    }

    /// Ends with what is missing of a body in blocks.
    fn incomplete(&mut self, why: Option<CloseReason>) {
        let holes = self.blocks().map_or_else(Vec::new, |blocks| {
            blocks.holes().take(MAX_LISTED_HOLES).collect()
        });
        self.fail(Failure::Incomplete { holes, why });
    }

    fn stalled(&mut self) {
        match &self.phase {
            Phase::Waiting(_) if self.is_unreliable() => self.fail(Failure::NoAnswer),
            Phase::Blocks(_) => self.incomplete(Some(CloseReason::Stalled)),
            Phase::Waiting(_)
            | Phase::Stream { .. }
            | Phase::Plain { .. }
            | Phase::Draining
            | Phase::Ended(_) => self.fail(Failure::Stalled),
        }
    }
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
                Timer::Beside => self.on_beside_due(now),
                Timer::Round => self.on_round_due(now),
                Timer::Stall => match self.fed.map(|fed| fed + self.config.stall) {
                    Some(due) if now < due => self.timers.set(Timer::Stall, due),
                    Some(_) | None => self.stalled(),
                },
                Timer::Linger => self.finish(true),
            }
        }
    }

    fn handle_missing(&mut self, now: Instant, messages: u64) {
        if self.is_unreliable() && !matches!(self.phase, Phase::Ended(_)) {
            self.on_missing(now, messages);
        }
    }

    fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        let graceful = why == CloseReason::Graceful;
        let may_be_simple = graceful && self.config.http09 && !self.is_unreliable();
        match &self.phase {
            // An HTTP/0.9 answer of a few bytes that did not differ from `HTTP/`, or of none.
            Phase::Waiting(reader) if may_be_simple && reader.unfinished().len() < 5 => {
                let data = Bytes::copy_from_slice(reader.unfinished());
                if !data.is_empty() {
                    self.events.push_back(Event::Body { offset: 0, data });
                }
                self.finish(true);
            }
            Phase::Waiting(_) => self.fail(Failure::Closed(why)),
            Phase::Draining => self.finish(true),
            Phase::Stream { end: None, .. } if graceful => self.finish(true),
            // The end of a DCCP connection proves nothing (HM3).
            Phase::Plain { end: None, .. } if graceful => self.finish(false),
            Phase::Stream { offset, end } | Phase::Plain { offset, end, .. } => {
                let holes = end.map(|end| *offset..end).into_iter().collect();
                self.fail(Failure::Incomplete {
                    holes,
                    why: Some(why),
                });
            }
            Phase::Blocks(_) => self.incomplete(Some(why)),
            Phase::Ended(_) => {}
        }
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.events
            .retain(|event| !matches!(event, Event::Requested { .. }));
        if self.polled_beside {
            self.limit = limit;
            self.refuse_beside();
            return self.ask_beside(now);
        }
        self.shrink_request(limit);
    }

    fn handle_stop(&mut self, _now: Instant) {
        self.fail(Failure::Cancelled);
    }

    fn handle_command(&mut self, _now: Instant, (): (), command: Command) {
        match command {
            Command::Cancel => self.fail(Failure::Cancelled),
            Command::Conflict => {
                // The block with the bytes in question may also have been the last one missing.
                let last = self.events.back_mut();
                if let Some(Event::Finished(result @ Ok(_))) = last {
                    *result = Err(Failure::Conflict);
                    self.phase = Phase::Ended(Disposition::Abort);
                }
                self.fail(Failure::Conflict);
            }
        }
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        self.limit = limit;
        if self.request_due && self.message.len() > limit {
            self.shrink_request(limit);
        }
        self.polled_beside = !self.request_due && self.poll_beside(now, limit, out);
        if self.polled_beside {
            return Some(self.transmit());
        }
        if !self.request_due {
            return None;
        }
        self.request_due = false;
        out.extend_from_slice(&self.message);
        self.sent_at = Some(now);
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
        Some(self.transmit())
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
