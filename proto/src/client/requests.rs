//! Several exchanges on one association, each on a stream of its own.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Command, Config, Event, Exchange};
use crate::machine::{CloseReason, Datagram, Disposition, Machine, Room, StreamId, Transmit};
use crate::request::WriteError;
use crate::streams::poll_in_turn;

/// The exchanges that a client has under way on one association, at most one on a stream (HT3).
/// A stream is free again when its exchange has told its last event. The association ends when
/// none is left and [`Self::finish`] was called.
///
/// When one of them fails, all do, and the association is aborted: what the server still sends
/// for it would be in the way of the others, and nothing less stops that.
#[derive(Debug)]
pub struct Requests {
    by_stream: BTreeMap<StreamId, Exchange>,
    /// How many streams there are.
    streams: u16,
    /// Whether no others begin.
    finished: bool,
    /// Where the next round of sending begins.
    cursor: StreamId,
    /// Whose message was polled last.
    last: StreamId,
    ended: Option<Disposition>,
}

impl Default for Requests {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Requests {
    /// An association with `streams` streams to send on, as far as is known; every one has the
    /// first. [`Machine::handle_streams`] says it better.
    pub const fn new(streams: u16) -> Self {
        Self {
            by_stream: BTreeMap::new(),
            streams,
            finished: false,
            cursor: StreamId(0),
            last: StreamId(0),
            ended: None,
        }
    }

    /// A stream on which an exchange can begin now.
    pub fn free_stream(&self) -> Option<StreamId> {
        if self.ended.is_some() || self.finished {
            return None;
        }
        let is_free = |stream: &StreamId| !self.by_stream.contains_key(stream);
        (0..self.streams).map(StreamId).find(is_free)
    }

    /// Begins an exchange on `stream`, which is a [`Self::free_stream`].
    ///
    /// # Errors
    ///
    /// If the target or a field of `config` cannot be written in a request.
    pub fn begin(&mut self, stream: StreamId, config: Config) -> Result<(), WriteError> {
        let exchange = Exchange::new(Config { stream, ..config })?;
        self.by_stream.insert(stream, exchange);
        Ok(())
    }

    /// Tells that no other exchange will begin.
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether the association is over, so that nothing can begin any more.
    pub const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Ends everything if the exchange of `stream` failed.
    fn settle(&mut self, now: Instant, stream: StreamId) {
        let exchange = self.by_stream.get(&stream);
        if exchange.is_some_and(|exchange| exchange.disposition() == Disposition::Abort) {
            self.abort(now, CloseReason::Cancelled);
        }
    }

    fn abort(&mut self, now: Instant, why: CloseReason) {
        self.handle_closed(now, why);
        self.ended = Some(Disposition::Abort);
    }
}

impl Machine for Requests {
    type Peer = ();
    type Session = StreamId;
    type Event = Event;
    type Command = Command;

    fn handle_streams(&mut self, _now: Instant, count: u16) {
        self.streams = count;
    }

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        if self.ended.is_some() {
            return;
        }
        let stream = datagram.stream;
        match self.by_stream.get_mut(&stream) {
            Some(exchange) => exchange.handle_datagram(now, datagram),
            // Nothing is outstanding there.
            None => return self.abort(now, CloseReason::Failed),
        }
        self.settle(now, stream);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let is_due = |exchange: &Exchange| exchange.poll_timeout().is_some_and(|due| due <= now);
        while let Some((&stream, exchange)) = self
            .by_stream
            .iter_mut()
            .find(|(_, exchange)| is_due(exchange))
        {
            exchange.handle_timeout(now);
            self.settle(now, stream);
        }
    }

    fn handle_closed(&mut self, now: Instant, why: CloseReason) {
        self.ended.get_or_insert(Disposition::Close);
        for exchange in self.by_stream.values_mut() {
            exchange.handle_closed(now, why);
        }
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        if let Some(exchange) = self.by_stream.get_mut(&self.last) {
            exchange.handle_rejected(now, limit);
        }
        self.settle(now, self.last);
    }

    fn handle_stop(&mut self, now: Instant) {
        for exchange in self.by_stream.values_mut() {
            exchange.handle_stop(now);
        }
        self.ended = Some(Disposition::Abort);
    }

    fn handle_command(&mut self, now: Instant, stream: StreamId, command: Command) {
        if let Some(exchange) = self.by_stream.get_mut(&stream) {
            exchange.handle_command(now, (), command);
        }
        self.settle(now, stream);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        self.poll_streams(now, &mut |_| limit, out)
    }

    fn poll_streams(
        &mut self,
        now: Instant,
        room: &mut Room<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        let polled = poll_in_turn(&mut self.by_stream, self.cursor, now, room, out);
        let Some((stream, transmit)) = polled else {
            // A request that can never be sent fails when it is asked for.
            let is_lost = |exchange: &Exchange| exchange.disposition() == Disposition::Abort;
            if self.ended.is_none() && self.by_stream.values().any(is_lost) {
                self.abort(now, CloseReason::Cancelled);
            }
            return None;
        };
        self.last = stream;
        self.cursor = StreamId(stream.0.wrapping_add(1));
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.by_stream
            .values()
            .filter_map(Machine::poll_timeout)
            .min()
    }

    fn poll_event(&mut self) -> Option<(StreamId, Event)> {
        let mut done = None;
        let event = self.by_stream.iter_mut().find_map(|(stream, exchange)| {
            let ((), event) = exchange.poll_event()?;
            if matches!(event, Event::Finished(_)) {
                done = Some(*stream);
            }
            Some((*stream, event))
        });
        if let Some(stream) = done {
            // Its last: the stream is free.
            self.by_stream.remove(&stream);
        }
        event
    }

    fn disposition(&self) -> Disposition {
        match self.ended {
            Some(ended) => ended,
            None if self.finished && self.by_stream.is_empty() => Disposition::Close,
            None => Disposition::Open,
        }
    }
}

#[cfg(test)]
mod tests;
