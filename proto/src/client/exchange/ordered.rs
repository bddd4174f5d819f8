//! Bodies without offsets: in order over a reliable transport, as they come over another.

use std::time::Instant;

use bytes::Bytes;

use super::{Exchange, MAX_RESTARTS, Phase, length};
use crate::client::placement::Placement;
use crate::client::timers::Timer;
use crate::client::{Event, Failure};
use crate::response::{HeadError, ResponseHead};

impl Exchange {
    /// Takes bytes from a transport that keeps them in order.
    pub(super) fn read_stream(&mut self, now: Instant, mut data: Bytes) {
        if let Phase::Waiting(reader) = &mut self.phase {
            match reader.feed(&mut data) {
                Ok(Some(head)) => self.begin_stream(head),
                Ok(None) => {
                    self.fed = Some(now);
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
        match Placement::of(&self.config, &response) {
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
                if let Err(failure) = self.check_reached(reached, end) {
                    return self.fail(failure);
                }
                if !data.is_empty() {
                    self.events.push_back(Event::Body { offset: at, data });
                    self.fed = Some(now);
                }
                if end == Some(reached) {
                    if self.config.keep_alive || self.config.linger.is_zero() {
                        // Its stream is free for another one.
                        return self.finish(true);
                    }
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

    /// Whether a body without offsets may have come as far as `reached`.
    fn check_reached(&self, reached: u64, end: Option<u64>) -> Result<(), Failure> {
        match (end, self.config.max_body) {
            (Some(end), _) if reached > end => Err(Failure::Surplus),
            // A body whose end is known was measured when its head came.
            (None, Some(max)) if reached > max => Err(Failure::TooLarge),
            (Some(_) | None, _) => Ok(()),
        }
    }

    pub(super) fn begin_plain(
        &mut self,
        now: Instant,
        response: ResponseHead,
        head: Bytes,
        body: Bytes,
    ) {
        let placement = match Placement::of(&self.config, &response) {
            Ok(placement) => placement,
            Err(failure) => return self.fail(failure),
        };
        self.phase = Phase::Plain {
            head,
            response: Box::new(response.clone()),
            offset: placement.first,
            end: placement.end,
            messages: 0,
        };
        self.announce(response, &placement, false);
        self.timers.stop(Timer::Retry);
        self.fed = Some(now);
        self.read_plain_body(now, body);
        self.read_early(now);
    }

    /// Takes a message of an answer without offsets, or of another one: the server may have
    /// answered each copy of the request (HU2, HU4).
    pub(super) fn read_plain(&mut self, now: Instant, message: Bytes) {
        let Phase::Plain { head, response, .. } = &self.phase else {
            return;
        };
        if message.starts_with(head) {
            return;
        }
        let mut body = message.clone();
        if self.repeats == 0 || !message.starts_with(b"HTTP/") {
            return self.read_plain_body(now, message);
        }
        let Ok(again) = ResponseHead::parse(&mut body, &self.config.limits) else {
            return self.read_plain_body(now, message);
        };
        if is_same_answer(response, &again) {
            return;
        }
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return self.fail(Failure::Changing);
        }
        let head_length = message.len() - body.len();
        self.begin_plain(now, again, message.slice(..head_length), body);
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
        if let Err(failure) = self.check_reached(reached, end) {
            return self.fail(failure);
        }
        if !data.is_empty() {
            self.events.push_back(Event::Body { offset: at, data });
            self.fed = Some(now);
        }
        if end == Some(reached) {
            // One message cannot have lost or exchanged its parts; with several, a copy may hide
            // a hole (HU5).
            self.finish(messages <= 1);
        }
    }
}

/// Whether two heads announce the same body, as far as they tell.
fn is_same_answer(one: &ResponseHead, other: &ResponseHead) -> bool {
    let same = |name| one.fields.single(name) == other.fields.single(name);
    one.status == other.status
        && ["ETag", "Last-Modified", "Content-Length", "Content-Range"]
            .into_iter()
            .all(same)
}
