//! The machine of a server's exchange.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::answer::{self, Answer, Context, Representation};
use super::answering::{Answering, Asked, Found};
use super::beside::Besides;
use super::sending::{Cut, Sending};
use super::{Command, Config, Event, Summary};
use crate::date::HttpDate;
use crate::framing::{self, ExchangeId, Terms};
use crate::machine::{CloseReason, Datagram, Delivery, Disposition, Machine, StreamId, Transmit};
use crate::request::{self, Form, Method, Progress, Rejection, Request, RequestReader};
use crate::response;
use crate::status::Status;
use crate::target::TargetPath;

/// Over SCTP, one exchange: a request on a stream, its answer on the same stream. Over DCCP, the
/// exchanges of one connection, one after the other: with the offset framing the client asks
/// again for what it lacks, and it closes when it has everything.
///
/// ```text
///            request, or none in time         Respond              all sent
///  Reading ----------------------> Deciding ---------> Answering ----------> Ended: Close
///                                     ^                  |  |
///                                     |  next exchange   |  | bytes missing
///                                     +------------------+  +--------------> Ended: Abort
/// ```
///
/// With the offset framing an exchange stays in Answering when all is sent, until the client
/// closes, asks again, or is silent for [`Config::idle_timeout`]. While it is not all sent, repairs
/// may be answered beside it.
#[derive(Debug)]
pub struct Exchange {
    config: Config,
    reader: RequestReader,
    state: State,
    events: VecDeque<Event>,
    /// The largest message the transport took when it last asked.
    limit: usize,
    deadline: Option<Instant>,
    /// When a message of the offset framing came or went last. `deadline` follows it only when it
    /// is reached, so that not every block moves a timer.
    active: Instant,
}

#[derive(Debug)]
enum State {
    Reading {
        /// Where a piece of a request was received; `None` before the first.
        stream: Option<StreamId>,
        /// Whether the request will be refused, whatever it is.
        overloaded: bool,
    },
    Deciding(Box<Asked>),
    Answering(Box<Answering>),
    Ended(Disposition),
}

impl Exchange {
    /// An exchange that waits for its request.
    pub fn new(now: Instant, config: Config) -> Self {
        Self {
            reader: RequestReader::new(config.limits),
            state: State::Reading {
                stream: None,
                overloaded: false,
            },
            events: VecDeque::new(),
            limit: config.body_message,
            deadline: Some(now + config.request_timeout),
            active: now,
            config,
        }
    }

    /// An exchange that answers with 503 whatever it is asked: for a client that has too many
    /// under way. It keeps nothing of the request.
    pub fn overloaded(now: Instant, config: Config) -> Self {
        Self {
            state: State::Reading {
                stream: None,
                overloaded: true,
            },
            ..Self::new(now, config)
        }
    }

    /// Whether its request asked for the connection to go on, and its answer agreed (HT9).
    pub fn goes_on(&self) -> bool {
        match &self.state {
            State::Deciding(asked) => asked.goes_on,
            State::Answering(answering) => answering.asked.goes_on,
            State::Reading { .. } | State::Ended(_) => false,
        }
    }

    /// Takes a request that was read whole.
    fn ask(&mut self, request: Request, message: Bytes, stream: StreamId) {
        let unreliable = self.config.delivery == Delivery::Unreliable;
        if unreliable && request.form == Form::Simple {
            let rejection = Rejection {
                line: request.to_string(),
                ..rejection(
                    Status::BAD_REQUEST,
                    "an HTTP/0.9 answer has no head, which this transport needs",
                )
            };
            return self.refuse(rejection, stream, None);
        }
        let framing = request.offered_framing().filter(|_| unreliable);
        let goes_on = !unreliable && asks_to_go_on(&request);
        let framing = framing.map(|terms| terms.exchange);
        let path = match TargetPath::parse(&request.target) {
            Ok(path) => path,
            Err(error) => {
                let rejection = Rejection {
                    status: error.status(),
                    reason: error.reason(),
                    head_only: request.method == Method::Head,
                    simple: request.form == Form::Simple,
                    line: request.to_string(),
                };
                self.refuse(rejection, stream, framing.map(|id| (id, message)));
                if let State::Deciding(asked) = &mut self.state {
                    asked.goes_on = goes_on;
                }
                return;
            }
        };
        self.decide(Asked {
            message: framing.map_or_else(Bytes::new, |_| message),
            framing,
            stream,
            head_only: request.method == Method::Head,
            goes_on,
            form: request.form,
            reason: "",
            request: Some(request.clone()),
        });
        self.events.push_back(Event::Request { request, path });
    }

    /// Lets a request be answered with an error.
    fn refuse(
        &mut self,
        rejection: Rejection,
        stream: StreamId,
        framed: Option<(ExchangeId, Bytes)>,
    ) {
        let (framing, message) = framed.unzip();
        self.decide(Asked {
            message: message.unwrap_or_default(),
            framing,
            stream,
            head_only: rejection.head_only,
            goes_on: false,
            form: if rejection.simple {
                Form::Simple
            } else {
                Form::Full { minor: 0 }
            },
            reason: rejection.reason,
            request: None,
        });
        self.events.push_back(Event::Rejected(rejection));
    }

    fn decide(&mut self, asked: Asked) {
        self.state = State::Deciding(Box::new(asked));
        self.deadline = None;
    }

    fn read(&mut self, datagram: Datagram<()>, overloaded: bool) {
        if !datagram.ordered {
            // Its place among the others of the stream is unknown (HM7).
            self.state = State::Ended(Disposition::Abort);
            return;
        }
        let stream = datagram.stream;
        self.state = State::Reading {
            stream: Some(stream),
            overloaded,
        };
        if overloaded {
            let rejection = Rejection {
                head_only: datagram.payload.starts_with(b"HEAD "),
                ..rejection(
                    Status::SERVICE_UNAVAILABLE,
                    "too many requests at once on this connection",
                )
            };
            return self.refuse(rejection, stream, None);
        }
        let progress = self.reader.feed(&datagram.payload, datagram.end_of_message);
        match progress {
            Progress::Incomplete | Progress::Dropped => {}
            Progress::Complete(request) => self.ask(request, datagram.payload, stream),
            Progress::Rejected(rejection) => self.refuse(rejection, stream, None),
        }
    }

    /// Takes a message that came after the request. Over SCTP, and from a client without exchange
    /// numbers, it is dropped: an exchange takes one request, and a copy of a request cannot be
    /// told from a new one (HU2).
    fn read_later(&mut self, now: Instant, datagram: Datagram<()>) {
        let asked = match &self.state {
            State::Deciding(asked) => asked,
            State::Answering(answering) => &answering.asked,
            State::Reading { .. } | State::Ended(_) => return,
        };
        let Some(current) = asked.framing else { return };
        let is_copy = datagram.payload == asked.message;
        let mut latest = current;
        if let State::Answering(answering) = &mut self.state {
            latest = answering.latest.unwrap_or(current);
            if answering.repeat_head(&datagram.payload) {
                return self.extend(now);
            }
        }
        if is_copy {
            return;
        }
        let Ok(request) = request::parse(&datagram.payload, &self.config.limits) else {
            return;
        };
        // An older exchange's request was late. A later one's replaces the one under way, for the
        // client knows best what it lacks, unless it asks for something beside it.
        let Some(terms) = request.offered_framing() else {
            return;
        };
        if !terms.exchange.follows(latest) {
            return;
        }
        if !terms.beside || !self.answer_beside(now, &request, terms.exchange, &datagram.payload) {
            self.report();
            self.ask(request, datagram.payload, datagram.stream);
        }
    }

    /// Answers a request for parts of the representation that is being sent, before it goes on.
    /// `false` if it has to take the place of what is sent.
    fn answer_beside(
        &mut self,
        now: Instant,
        request: &Request,
        exchange: ExchangeId,
        message: &Bytes,
    ) -> bool {
        let State::Answering(answering) = &mut self.state else {
            return false;
        };
        let is_taken = answering.begin_beside(now, request, exchange, message, &self.config);
        if is_taken {
            self.extend(now);
            self.want();
        }
        is_taken
    }

    /// A message of the framing came or went: the connection is not idle.
    fn extend(&mut self, now: Instant) {
        self.active = now;
        if self.deadline.is_none() {
            self.deadline = Some(now + self.config.idle_timeout);
        }
    }

    fn respond(&mut self, now: Instant, answer: Answer, date: HttpDate) {
        if !matches!(self.state, State::Deciding(_)) {
            return;
        }
        let ended = State::Ended(Disposition::Abort);
        let State::Deciding(mut asked) = std::mem::replace(&mut self.state, ended) else {
            return;
        };
        if let Answer::Found(representation) = &answer
            && representation.length > framing::OFFSET_LIMIT
        {
            // A block could not say where its bytes belong.
            asked.framing = None;
        }
        let context = Context {
            request: asked.request.as_ref(),
            head_only: asked.head_only,
            goes_on: asked.goes_on,
            reason: asked.reason,
            framing: asked.framing.map(|exchange| Terms {
                exchange,
                beside: self.config.max_besides > 0,
            }),
            server: self.config.server,
            date,
        };
        let found = self
            .repairable(&asked, &answer)
            .map(|representation| Found {
                representation,
                date,
                at: now,
            });
        let plan = answer::plan(context, answer);
        let found = found.filter(|_| plan.status.is_success());
        let mut head = Vec::new();
        if asked.form != Form::Simple {
            response::write(&mut head, plan.status, &plan.fields);
        }
        let in_one_message = self.is_best_in_one_message(&asked);
        let cut = Cut {
            message: if in_one_message {
                usize::MAX
            } else {
                self.config.body_message
            },
            read_ahead: self.config.read_ahead,
            framing: asked.framing,
        };
        self.state = State::Answering(Box::new(Answering {
            sending: Sending::new(head.into(), plan.body, cut),
            status: plan.status,
            latest: asked.framing,
            asked: *asked,
            reported: false,
            found,
            besides: Besides::default(),
            polled: None,
        }));
        if !in_one_message {
            self.want();
        }
        // Else it is asked for when the head goes out and the limit of the transport is known.
    }

    /// The representation, if parts of it can be asked for while it is sent.
    fn repairable(&self, asked: &Asked, answer: &Answer) -> Option<Representation> {
        match answer {
            Answer::Found(representation)
                if asked.framing.is_some() && !asked.head_only && self.config.max_besides > 0 =>
            {
                Some(representation.clone())
            }
            Answer::Found(_) | Answer::Moved(_) | Answer::Error(_) => None,
        }
    }

    /// Whether the client can put a body together only if it is one message: the seed's client
    /// reads one (HS3), and over an unreliable transport no other can be verified without the
    /// framing (HU5).
    fn is_best_in_one_message(&self, asked: &Asked) -> bool {
        let unframed = self.config.delivery == Delivery::Unreliable && asked.framing.is_none();
        asked.form == Form::Seed || unframed
    }

    /// Asks the application for the next bytes of the body, if it is time.
    fn want(&mut self) {
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        if let Some((offset, length)) = answering.want(self.limit) {
            self.events.push_back(Event::BodyWanted { offset, length });
        }
    }

    /// Tells how the answer under way went, once.
    fn report(&mut self) {
        let summary = match &mut self.state {
            State::Answering(answering) => {
                if std::mem::replace(&mut answering.reported, true) {
                    return;
                }
                Summary {
                    status: Some(answering.status),
                    body_bytes: answering.sending.body_bytes(),
                    complete: answering.is_drained(),
                }
            }
            State::Deciding(_) => Summary {
                status: None,
                body_bytes: 0,
                complete: false,
            },
            State::Reading { .. } | State::Ended(_) => return,
        };
        // What was asked for the old answer is no longer wanted.
        self.events
            .retain(|event| !matches!(event, Event::BodyWanted { .. }));
        self.events.push_back(Event::Finished(summary));
    }

    fn end(&mut self, disposition: Disposition) {
        self.report();
        self.state = State::Ended(disposition);
        self.deadline = None;
    }
}

/// Whether a request says that others follow on the connection (RFC 9112 §9.3 and appendix C.2.2).
fn asks_to_go_on(request: &Request) -> bool {
    let field = request.fields.joined("Connection").unwrap_or_default();
    let is_full = matches!(request.form, Form::Full { .. });
    let mut options = field.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    is_full && options.any(|option| option.eq_ignore_ascii_case(b"keep-alive"))
}

/// A refusal of a request of which nothing is known.
fn rejection(status: Status, reason: &'static str) -> Rejection {
    Rejection {
        status,
        reason,
        head_only: false,
        simple: false,
        line: String::new(),
    }
}

impl Machine for Exchange {
    type Peer = ();
    type Session = ();
    type Event = Event;
    type Command = Command;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        match &self.state {
            State::Reading { overloaded, .. } => {
                let overloaded = *overloaded;
                self.read(datagram, overloaded);
            }
            State::Deciding(_) | State::Answering(_) => self.read_later(now, datagram),
            State::Ended(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|due| now < due) {
            return;
        }
        self.deadline = None;
        let idle_at = self.active + self.config.idle_timeout;
        match &self.state {
            State::Reading {
                stream: Some(stream),
                ..
            } => {
                let stream = *stream;
                self.refuse(rejection(Status::REQUEST_TIMEOUT, ""), stream, None);
            }
            State::Answering(_) if now < idle_at => self.deadline = Some(idle_at),
            State::Answering(answering) if !answering.is_drained() => {
                // The transport's own limits end an answer that does not get on.
                self.deadline = Some(now + self.config.idle_timeout);
            }
            State::Reading { stream: None, .. } | State::Answering(_) => {
                self.end(Disposition::Close);
            }
            State::Deciding(_) | State::Ended(_) => {}
        }
    }

    fn handle_closed(&mut self, _now: Instant, _why: CloseReason) {
        self.end(Disposition::Close);
    }

    fn handle_rejected(&mut self, _now: Instant, limit: usize) {
        self.limit = limit;
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        if !answering.polled().reject(limit) {
            self.end(Disposition::Abort);
        }
    }

    fn handle_stop(&mut self, _now: Instant) {
        if matches!(self.state, State::Reading { .. }) {
            self.end(Disposition::Close);
        }
    }

    fn handle_command(&mut self, now: Instant, (): (), command: Command) {
        match command {
            Command::Respond { answer, date } => self.respond(now, answer, date),
            Command::Body(data) => {
                if let State::Answering(answering) = &mut self.state
                    && !answering.give(data)
                {
                    self.end(Disposition::Abort);
                }
                // Something else may have waited for these bytes to come.
                self.want();
            }
            Command::Abort => self.end(Disposition::Abort),
        }
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        self.limit = limit;
        let State::Answering(answering) = &mut self.state else {
            return None;
        };
        if !answering.current().fits(limit) {
            self.end(Disposition::Abort);
            return None;
        }
        let sent = answering.poll(limit, out)?;
        let framed = answering.asked.framing.is_some();
        let transmit = Transmit {
            stream: answering.asked.stream,
            ppid: self.config.ppid,
            // Where others follow, nobody waits for this to be acknowledged (HM11).
            immediate_ack: sent.last && !answering.asked.goes_on,
            more_follows: sent.body_follows,
            ..Transmit::message(())
        };
        if framed {
            self.extend(now);
        }
        self.want();
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn poll_event(&mut self) -> Option<((), Event)> {
        if self.events.is_empty()
            && let State::Answering(answering) = &self.state
            && answering.is_drained()
        {
            self.report();
        }
        self.events.pop_front().map(|event| ((), event))
    }

    fn disposition(&self) -> Disposition {
        match &self.state {
            State::Ended(disposition) => *disposition,
            State::Answering(answering)
                if answering.is_drained() && answering.asked.framing.is_none() =>
            {
                Disposition::Close
            }
            State::Reading { .. } | State::Deciding(_) | State::Answering(_) => Disposition::Open,
        }
    }
}
