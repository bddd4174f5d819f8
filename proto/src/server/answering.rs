//! An answer under way, and the repairs beside it.

use std::time::Instant;

use bytes::Bytes;

use super::Config;
use super::answer::{self, Answer, Context, Representation};
use super::beside::{Beside, Besides};
use super::sending::{Cut, Sending, Sent};
use crate::date::HttpDate;
use crate::framing::{ExchangeId, Terms};
use crate::machine::StreamId;
use crate::request::{Form, Method, Request};
use crate::response;
use crate::status::Status;

/// A request that came, as far as its answer depends on it.
#[derive(Debug)]
pub(super) struct Asked {
    /// The message as received, to know its copies. Empty without the offset framing.
    pub(super) message: Bytes,
    pub(super) framing: Option<ExchangeId>,
    pub(super) stream: StreamId,
    pub(super) head_only: bool,
    /// Whether the client was promised that the connection goes on.
    pub(super) goes_on: bool,
    pub(super) form: Form,
    pub(super) reason: &'static str,
    /// `None` for a request that is refused.
    pub(super) request: Option<Request>,
}

/// A decided answer on its way out, and after it.
#[derive(Debug)]
pub(super) struct Answering {
    pub(super) asked: Asked,
    pub(super) status: Status,
    pub(super) sending: Sending,
    /// Whether [`Event::Finished`] was told.
    pub(super) reported: bool,
    /// What repairs beside it are made of; `None` if there can be none.
    pub(super) found: Option<Found>,
    pub(super) besides: Besides,
    /// The latest exchange of which a request came.
    pub(super) latest: Option<ExchangeId>,
    /// The exchange beside this one that the last message was of, if it was of one.
    pub(super) polled: Option<ExchangeId>,
}

/// The representation that an answer is made of.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) representation: Representation,
    /// What time it was at `at`.
    pub(super) date: HttpDate,
    pub(super) at: Instant,
}

impl Found {
    fn date(&self, now: Instant) -> HttpDate {
        let passed = now.saturating_duration_since(self.at).as_secs();
        HttpDate::from_unix(self.date.unix().saturating_add(passed))
    }
}

impl Answering {
    /// What the next message is of.
    pub(super) fn current(&mut self) -> &mut Sending {
        if !self.sending.is_head_due()
            && let Some(beside) = self.besides.current()
        {
            return &mut beside.sending;
        }
        &mut self.sending
    }

    pub(super) fn poll(&mut self, limit: usize, out: &mut Vec<u8>) -> Option<Sent> {
        if !self.sending.is_head_due()
            && let Some(beside) = self.besides.current()
        {
            let sent = beside.sending.poll(limit, out)?;
            self.polled = Some(beside.exchange);
            let last = self.is_drained();
            return Some(Sent { last, ..sent });
        }
        let sent = self.sending.poll(limit, out)?;
        self.polled = None;
        let last = sent.last && self.besides.is_drained();
        Some(Sent { last, ..sent })
    }

    /// What the transport refused.
    pub(super) fn polled(&mut self) -> &mut Sending {
        if let Some(exchange) = self.polled
            && let Some(beside) = self.besides.by_exchange(exchange)
        {
            return &mut beside.sending;
        }
        &mut self.sending
    }

    /// The bytes to ask of the application now, if any; one piece at a time.
    pub(super) fn want(&mut self, limit: usize) -> Option<(u64, usize)> {
        if self.sending.is_waiting() || self.besides.waiting().is_some() {
            return None;
        }
        self.current().want(limit)
    }

    pub(super) fn give(&mut self, data: Bytes) -> bool {
        match self.besides.waiting() {
            Some(beside) => beside.sending.give(data),
            None => self.sending.give(data),
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.sending.is_drained() && self.besides.is_drained()
    }

    /// "Send the head again, go on with the body": `false` if `message` is not the request of this
    /// answer, nor of one beside it.
    pub(super) fn repeat_head(&mut self, message: &[u8]) -> bool {
        let sending = if self.asked.message == message {
            Some(&mut self.sending)
        } else {
            let beside = self.besides.by_message(message);
            beside.map(|beside| &mut beside.sending)
        };
        sending.map(Sending::repeat_head).is_some()
    }

    /// Begins the answer to a request for parts of the representation that is being sent; with as
    /// many as there may be it is dropped, and the client repeats the request. `false` if the
    /// request is about something else.
    pub(super) fn begin_beside(
        &mut self,
        now: Instant,
        request: &Request,
        exchange: ExchangeId,
        message: &Bytes,
        config: &Config,
    ) -> bool {
        let Some(found) = self.found.as_ref().filter(|_| !self.reported) else {
            return false;
        };
        let asked = self.asked.request.as_ref();
        let same_target = asked.is_some_and(|asked| asked.target == request.target);
        if request.method != Method::Get || !same_target {
            return false;
        }
        if !self.besides.has_room(config.max_besides) {
            return true;
        }
        let context = Context {
            goes_on: false,
            request: Some(request),
            head_only: false,
            reason: "",
            framing: Some(Terms::beside(exchange)),
            server: config.server,
            date: found.date(now),
        };
        let plan = answer::plan(context, Answer::Found(found.representation.clone()));
        if plan.status != Status::PARTIAL_CONTENT {
            return false;
        }
        let mut head = Vec::new();
        response::write(&mut head, plan.status, &plan.fields);
        let cut = Cut {
            message: config.body_message,
            read_ahead: config.read_ahead,
            framing: Some(exchange),
        };
        let beside = Beside {
            message: message.clone(),
            exchange,
            sending: Sending::new(head.into(), plan.body, cut),
        };
        self.besides.push(beside, config.max_besides);
        self.latest = Some(exchange);
        true
    }
}
