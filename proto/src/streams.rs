//! One exchange on each stream of an SCTP association.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use crate::machine::{CloseReason, Datagram, Disposition, Machine, Room, StreamId, Transmit};

/// What a server makes of a stream on which something came.
pub trait Exchanges {
    /// The machine of one stream.
    type Exchange: Machine<Peer = (), Session = ()>;

    /// Makes the machine of `stream`. `overloaded` says that [`Config::max_streams`] are in use:
    /// the machine should refuse what it is asked.
    fn open(&mut self, now: Instant, stream: StreamId, overloaded: bool) -> Self::Exchange;

    /// Whether the client of a finished exchange said that others will follow, and was promised
    /// that they may (HT9): the stream then takes another one, and the association stays.
    fn goes_on(&self, exchange: &Self::Exchange) -> bool {
        let _ = exchange;
        false
    }
}

/// The limits of one association.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many streams may have an exchange under way at once. Default: 64 (HT10).
    pub max_streams: usize,
    /// How long the association may stay without its first exchange. Default: 10 s.
    pub idle_timeout: Duration,
    /// How long it may stay without another one, where others may follow. Default: 15 s (HT10).
    pub keep_alive_timeout: Duration,
    /// How many messages may wait for the exchanges before them on their streams, on all streams
    /// together, before the association is aborted. Default: 64.
    pub max_waiting: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 64,
            idle_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(15),
            max_waiting: 64,
        }
    }
}

/// The streams of one association on which anything may come, as a multiple of
/// [`Config::max_streams`], before it is aborted: what is refused or finished needs memory too.
const STREAMS_EVER: usize = 4;

/// The exchanges of one association, by the stream they run on. Requests on different streams are
/// answered at the same time, message by message in turn, so that a long answer does not hold up a
/// short one. The association ends when no exchange is left under way, unless the client asked
/// for it to go on; and it is aborted when one of them fails: the peer of a stack of the kernel
/// cannot be told in another way.
pub struct Streams<E: Exchanges> {
    exchanges: E,
    by_stream: BTreeMap<StreamId, E::Exchange>,
    /// Requests that came while one before them on their stream was answered (HT4).
    waiting: VecDeque<Datagram<()>>,
    /// What exchanges told that gave way to others.
    events: VecDeque<(StreamId, EventOf<E>)>,
    config: Config,
    /// How many streams there are to answer on, if that was told.
    streams: Option<u16>,
    /// Where the next round of sending begins.
    cursor: StreamId,
    /// Whose message was polled last.
    last: StreamId,
    idle_deadline: Option<Instant>,
    /// When something came or went last.
    active: Instant,
    stopping: bool,
    ended: Option<Disposition>,
}

type EventOf<E> = <<E as Exchanges>::Exchange as Machine>::Event;

impl<E: Exchanges + fmt::Debug> fmt::Debug for Streams<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("exchanges", &self.exchanges)
            .field("streams", &self.by_stream.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<E: Exchanges> Streams<E> {
    /// An association on which nothing came yet.
    pub fn new(now: Instant, exchanges: E, config: Config) -> Self {
        Self {
            exchanges,
            by_stream: BTreeMap::new(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            config,
            streams: None,
            cursor: StreamId(0),
            last: StreamId(0),
            idle_deadline: Some(now + config.idle_timeout),
            active: now,
            stopping: false,
            ended: None,
        }
    }

    /// The exchange of `stream`, made when it is new; `None` when there are too many.
    fn exchange(&mut self, now: Instant, stream: StreamId) -> Option<&mut E::Exchange> {
        self.make_way(stream);
        if !self.by_stream.contains_key(&stream) {
            if self.by_stream.len() >= self.config.max_streams * STREAMS_EVER {
                return None;
            }
            let overloaded = self.stopping || self.under_way() >= self.config.max_streams;
            let exchange = self.exchanges.open(now, stream, overloaded);
            self.by_stream.insert(stream, exchange);
            self.idle_deadline = None;
        }
        self.by_stream.get_mut(&stream)
    }

    /// Forgets the exchange of `stream` if it is finished and another one may follow (HT3).
    fn make_way(&mut self, stream: StreamId) {
        let done = |exchange: &&mut E::Exchange| {
            exchange.disposition() == Disposition::Close && self.exchanges.goes_on(exchange)
        };
        let Some(exchange) = self.by_stream.get_mut(&stream).filter(done) else {
            return;
        };
        while let Some(((), event)) = exchange.poll_event() {
            self.events.push_back((stream, event));
        }
        self.by_stream.remove(&stream);
    }

    fn poll_exchange(&mut self) -> Option<(StreamId, EventOf<E>)> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.by_stream
            .iter_mut()
            .find_map(|(stream, exchange)| Some((*stream, exchange.poll_event()?.1)))
    }

    /// Whether a message on `stream` is for the exchange after the one that is under way there.
    fn must_wait(&self, stream: StreamId) -> bool {
        let exchange = self.by_stream.get(&stream);
        exchange.is_some_and(|exchange| {
            exchange.disposition() == Disposition::Open && self.exchanges.goes_on(exchange)
        })
    }

    /// Begins exchanges that waited for others on their streams.
    fn begin_waiting(&mut self, now: Instant) {
        for _ in 0..self.waiting.len() {
            let Some(datagram) = self.waiting.pop_front() else {
                return;
            };
            // Once round, so that those of one stream keep their order.
            if self.must_wait(datagram.stream) {
                self.waiting.push_back(datagram);
            } else {
                self.handle_datagram(now, datagram);
            }
        }
    }

    /// Whether the association waits for other exchanges, all those before being finished.
    fn is_kept(&self) -> bool {
        let mut exchanges = self.by_stream.values();
        !self.stopping
            && self.waiting.is_empty()
            && !self.by_stream.is_empty()
            && exchanges.all(|exchange| {
                exchange.disposition() == Disposition::Close && self.exchanges.goes_on(exchange)
            })
    }

    fn under_way(&self) -> usize {
        self.by_stream
            .values()
            .filter(|exchange| exchange.disposition() == Disposition::Open)
            .count()
    }

    /// Ends all exchanges if one failed.
    fn settle(&mut self, now: Instant, stream: StreamId) {
        let exchange = self.by_stream.get(&stream);
        if exchange.is_some_and(|exchange| exchange.disposition() == Disposition::Abort) {
            self.abort(now);
        }
    }

    fn abort(&mut self, now: Instant) {
        self.handle_closed(now, CloseReason::Failed);
        self.ended = Some(Disposition::Abort);
    }
}

impl<E: Exchanges> Machine for Streams<E> {
    type Peer = ();
    type Session = StreamId;
    type Event = EventOf<E>;
    type Command = <E::Exchange as Machine>::Command;

    fn handle_streams(&mut self, _now: Instant, count: u16) {
        self.streams = Some(count);
    }

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        if self.ended.is_some() {
            return;
        }
        self.active = now;
        let stream = datagram.stream;
        if self.streams.is_some_and(|count| stream.0 >= count) {
            // There is no stream to answer it on (HT2).
            return self.abort(now);
        }
        if self.must_wait(stream) {
            if self.waiting.len() >= self.config.max_waiting {
                return self.abort(now);
            }
            return self.waiting.push_back(datagram);
        }
        match self.exchange(now, stream) {
            Some(exchange) => exchange.handle_datagram(now, datagram),
            None => return self.abort(now),
        }
        self.settle(now, stream);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.idle_deadline.is_some_and(|due| due <= now) {
            self.idle_deadline = None;
            self.ended = Some(Disposition::Close);
        }
        if self.active + self.config.keep_alive_timeout <= now && self.is_kept() {
            self.ended = Some(Disposition::Close);
        }
        for exchange in self.by_stream.values_mut() {
            if exchange.poll_timeout().is_some_and(|due| due <= now) {
                exchange.handle_timeout(now);
            }
        }
    }

    fn handle_closed(&mut self, now: Instant, why: CloseReason) {
        self.idle_deadline = None;
        self.ended = Some(Disposition::Close);
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
        self.stopping = true;
        if self.by_stream.is_empty() {
            self.idle_deadline = None;
            self.ended = Some(Disposition::Close);
        }
        for exchange in self.by_stream.values_mut() {
            exchange.handle_stop(now);
        }
    }

    fn handle_command(&mut self, now: Instant, stream: StreamId, command: Self::Command) {
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
        let (stream, transmit) = poll_in_turn(&mut self.by_stream, self.cursor, now, room, out)?;
        self.active = now;
        self.last = stream;
        self.cursor = StreamId(stream.0.wrapping_add(1));
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.by_stream
            .values()
            .filter_map(Machine::poll_timeout)
            .chain(self.idle_deadline)
            .chain(
                self.is_kept()
                    .then(|| self.active + self.config.keep_alive_timeout),
            )
            .min()
    }

    fn poll_event(&mut self) -> Option<(StreamId, Self::Event)> {
        let told = self.poll_exchange();
        if told.is_some() || self.waiting.is_empty() {
            return told;
        }
        // The end of an answer is told: its stream is free.
        self.begin_waiting(self.active);
        self.poll_exchange()
    }

    fn disposition(&self) -> Disposition {
        if let Some(ended) = self.ended {
            return ended;
        }
        if self.by_stream.is_empty() {
            return Disposition::Open;
        }
        let mut overall = Disposition::Close;
        for exchange in self.by_stream.values() {
            match exchange.disposition() {
                Disposition::Abort => return Disposition::Abort,
                Disposition::Open => overall = Disposition::Open,
                Disposition::Close => {}
            }
        }
        if overall == Disposition::Close && (self.is_kept() || !self.waiting.is_empty()) {
            return Disposition::Open;
        }
        overall
    }
}

/// Asks the exchanges of `by_stream` for a message, from the stream `from` on and round, where
/// there is room.
pub(crate) fn poll_in_turn<M: Machine<Peer = ()>>(
    by_stream: &mut BTreeMap<StreamId, M>,
    from: StreamId,
    now: Instant,
    room: &mut Room<'_>,
    out: &mut Vec<u8>,
) -> Option<(StreamId, Transmit<()>)> {
    let mut poll = |(stream, exchange): (&StreamId, &mut M)| {
        if exchange.disposition() != Disposition::Open {
            return None;
        }
        let transmit = match room(*stream) {
            0 => return None,
            limit => exchange.poll_transmit(now, limit, out)?,
        };
        Some((*stream, transmit))
    };
    if let Some(polled) = by_stream.range_mut(from..).find_map(&mut poll) {
        return Some(polled);
    }
    by_stream.range_mut(..from).find_map(&mut poll)
}

#[cfg(test)]
mod tests;
