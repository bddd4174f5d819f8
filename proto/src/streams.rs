//! One exchange on each stream of an SCTP association.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::machine::{CloseReason, Datagram, Disposition, Machine, StreamId, Transmit};

/// What a server makes of a stream on which something came.
pub trait Exchanges {
    /// The machine of one stream.
    type Exchange: Machine<Peer = (), Session = ()>;

    /// Makes the machine of `stream`. `overloaded` says that [`Config::max_streams`] are in use:
    /// the machine should refuse what it is asked.
    fn open(&mut self, now: Instant, stream: StreamId, overloaded: bool) -> Self::Exchange;
}

/// The limits of one association.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many streams may have an exchange under way at once. Default: 64 (HT10).
    pub max_streams: usize,
    /// How long the association may stay without any exchange. Default: 10 s.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 64,
            idle_timeout: Duration::from_secs(10),
        }
    }
}

/// Streams refused beyond [`Config::max_streams`], as a multiple of it, before the association is
/// aborted: refusals need memory too.
const REFUSALS: usize = 4;

/// The exchanges of one association, by the stream they run on. Requests on different streams are
/// answered at the same time, message by message in turn, so that a long answer does not hold up a
/// short one. The association ends when no exchange is left under way.
pub struct Streams<E: Exchanges> {
    exchanges: E,
    by_stream: BTreeMap<StreamId, E::Exchange>,
    config: Config,
    /// Where the next round of sending begins.
    cursor: StreamId,
    /// Whose message was polled last.
    last: StreamId,
    idle_deadline: Option<Instant>,
    ended: Option<Disposition>,
}

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
            config,
            cursor: StreamId(0),
            last: StreamId(0),
            idle_deadline: Some(now + config.idle_timeout),
            ended: None,
        }
    }

    /// The exchange of `stream`, made when it is new.
    fn exchange(&mut self, now: Instant, stream: StreamId) -> Option<&mut E::Exchange> {
        if !self.by_stream.contains_key(&stream) {
            let open = self.by_stream.len();
            if open >= self.config.max_streams * REFUSALS {
                self.ended = Some(Disposition::Abort);
                return None;
            }
            let overloaded = open >= self.config.max_streams;
            let exchange = self.exchanges.open(now, stream, overloaded);
            self.by_stream.insert(stream, exchange);
            self.idle_deadline = None;
        }
        self.by_stream.get_mut(&stream)
    }
}

impl<E: Exchanges> Machine for Streams<E> {
    type Peer = ();
    type Session = StreamId;
    type Event = <E::Exchange as Machine>::Event;
    type Command = <E::Exchange as Machine>::Command;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        if self.ended.is_some() {
            return;
        }
        if let Some(exchange) = self.exchange(now, datagram.stream) {
            exchange.handle_datagram(now, datagram);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.idle_deadline.is_some_and(|due| due <= now) {
            self.idle_deadline = None;
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
    }

    fn handle_stop(&mut self, now: Instant) {
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
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        let from = self.cursor;
        let mut poll = |(stream, exchange): (&StreamId, &mut E::Exchange)| {
            Some((*stream, exchange.poll_transmit(now, limit, out)?))
        };
        let (stream, transmit) = self
            .by_stream
            .range_mut(from..)
            .find_map(&mut poll)
            .or_else(|| self.by_stream.range_mut(..from).find_map(&mut poll))?;
        self.last = stream;
        self.cursor = StreamId(stream.0.wrapping_add(1));
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.by_stream
            .values()
            .filter_map(Machine::poll_timeout)
            .chain(self.idle_deadline)
            .min()
    }

    fn poll_event(&mut self) -> Option<(StreamId, Self::Event)> {
        self.by_stream
            .iter_mut()
            .find_map(|(stream, exchange)| Some((*stream, exchange.poll_event()?.1)))
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
        overall
    }
}
