//! One direction of a transport in memory: messages that are late, lost, repeated or out of order
//! as DCCP's are, or in order and cut into pieces as SCTP's. Faults come from a seed, so a run can
//! be had again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport::{CloseReason, Datagram, StreamId, Transmit};

/// How a link treats what is sent on it. The default loses nothing, takes no time and has no
/// limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a message is under way.
    pub latency: Duration,
    /// By how much it may take longer, for each message anew.
    pub jitter: Duration,
    /// How many messages in a thousand are lost.
    pub loss: u32,
    /// How many in a thousand arrive twice.
    pub duplication: u32,
    /// How many in a thousand are late by [`Self::reordering_delay`] or less.
    pub reordering: u32,
    /// How late these are.
    pub reordering_delay: Duration,
    /// How many bytes a second pass; `None`: all at once.
    pub rate: Option<u64>,
    /// How many messages may wait until they pass; with one more the sender is blocked.
    pub queue: usize,
    /// The largest message in bytes.
    pub limit: usize,
    /// `Some((n, limit))`: the limit after `n` messages.
    pub shrinks: Option<(u64, usize)>,
    /// What happens to certain messages, counted from 0, whatever the numbers above say.
    pub fates: BTreeMap<u64, Fate>,
    /// Whether everything arrives once and in order, within its stream.
    pub reliable: bool,
    /// Into pieces of how many bytes messages are cut on a reliable link.
    pub pieces: Option<usize>,
    /// Whether the receiver learns how many messages are lost, as a stack that sees sequence
    /// numbers does: when three later ones have come.
    pub tells_losses: bool,
}

/// How many later messages make one that has not come a lost one, as NUMDUPACK of RFC 4341 §5.
const LATER: usize = 3;

impl Default for Config {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
            reordering: 0,
            reordering_delay: Duration::ZERO,
            rate: None,
            queue: usize::MAX,
            limit: 1424,
            shrinks: None,
            fates: BTreeMap::new(),
            reliable: false,
            pieces: None,
            tells_losses: false,
        }
    }
}

impl Config {
    /// A link that keeps everything in order, with messages of up to `limit` bytes.
    pub fn reliable(limit: usize) -> Self {
        Self {
            reliable: true,
            limit,
            latency: Duration::from_millis(20),
            ..Self::default()
        }
    }

    /// A link that loses nothing but promises nothing, with messages of up to `limit` bytes.
    pub fn unreliable(limit: usize) -> Self {
        Self {
            limit,
            latency: Duration::from_millis(20),
            ..Self::default()
        }
    }

    /// The same, where message number `index` has this fate.
    #[must_use]
    pub fn with(mut self, index: u64, fate: Fate) -> Self {
        self.fates.insert(index, fate);
        self
    }
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive.
    Lost,
    /// It arrives twice, the second time this much later.
    Twice(Duration),
    /// It arrives this much later than others.
    Late(Duration),
}

/// A small generator of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts with `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The next number in `range`, which is not empty.
    pub const fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Whether something happens that does `permille` times in a thousand.
    pub const fn happens(&mut self, permille: u32) -> bool {
        self.within(0..1000) < permille as u64
    }

    /// A duration from zero to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.within(0..nanos + 1))
    }
}

/// What comes out of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message, or a piece of one.
    Datagram(Datagram<()>),
    /// The end.
    Closed(CloseReason),
}

/// Why a link does not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its queue is full until this time.
    Blocked(Instant),
    /// The message is larger than [`Link::limit`].
    TooBig,
}

/// Finds out from numbers what is lost.
#[derive(Debug)]
struct Losses {
    /// All before this number have come or count as lost.
    settled: u64,
    /// What has come of the others.
    arrived: BTreeSet<u64>,
}

impl Losses {
    /// Takes the number of a message that came, and returns how many are lost now.
    fn arrive(&mut self, number: u64) -> u64 {
        let mut lost = 0;
        if number >= self.settled {
            self.arrived.insert(number);
        }
        loop {
            if !self.arrived.remove(&self.settled) {
                if self.arrived.len() < LATER {
                    return lost;
                }
                lost += 1;
            }
            self.settled += 1;
        }
    }
}

/// One direction.
#[derive(Debug)]
pub struct Link {
    config: Config,
    random: Random,
    sent: u64,
    /// By time of arrival, and by order of sending among those that arrive together.
    under_way: BTreeMap<(Instant, u64), (u64, Arrival)>,
    order: u64,
    losses: Losses,
    /// How many messages were found lost when the last one was received.
    missing: u64,
    /// When each message that still waits will have passed.
    queue: Vec<Instant>,
    /// When the last message arrives, on a reliable link.
    last_arrival: Option<Instant>,
    closed: bool,
}

impl Link {
    /// An empty link, whose faults come from `seed`.
    pub const fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            random: Random::new(seed),
            sent: 0,
            under_way: BTreeMap::new(),
            order: 0,
            losses: Losses {
                settled: 0,
                arrived: BTreeSet::new(),
            },
            missing: 0,
            queue: Vec::new(),
            last_arrival: None,
            closed: false,
        }
    }

    /// The largest message in bytes that is taken now.
    pub fn limit(&self) -> usize {
        match self.config.shrinks {
            Some((after, limit)) if after <= self.sent => limit,
            _ => self.config.limit,
        }
    }

    /// Takes a message and decides its fate, which the result tells if it is not the ordinary one.
    ///
    /// # Errors
    ///
    /// When the message is too large, or has to wait.
    pub fn send(
        &mut self,
        now: Instant,
        transmit: &Transmit<()>,
        payload: &[u8],
    ) -> Result<Option<Fate>, Refused> {
        if payload.len() > self.limit() {
            // The limit may have shrunk since it was asked for.
            return Err(Refused::TooBig);
        }
        let passed = self.pass(now, payload.len())?;
        let fate = self.fate();
        self.sent += 1;
        if self.closed {
            return Ok(Some(Fate::Lost));
        }
        let message = Datagram {
            stream: transmit.stream,
            ppid: transmit.ppid,
            ..Datagram::message((), Bytes::copy_from_slice(payload))
        };
        let jitter = self.random.up_to(self.config.jitter);
        let arrival = passed + self.config.latency + jitter;
        if self.config.reliable {
            self.deliver_in_order(arrival, message);
            return Ok(None);
        }
        match fate {
            None => self.deliver(arrival, message),
            Some(Fate::Lost) => {}
            Some(Fate::Late(delay)) => self.deliver(arrival + delay, message),
            Some(Fate::Twice(delay)) => {
                self.deliver(arrival, message.clone());
                self.deliver(arrival + delay, message);
            }
        }
        Ok(fate)
    }

    /// When a message of `length` bytes has left the sender.
    fn pass(&mut self, now: Instant, length: usize) -> Result<Instant, Refused> {
        let Some(rate) = self.config.rate else {
            return Ok(now);
        };
        self.queue.retain(|passed| *passed > now);
        if self.queue.len() >= self.config.queue {
            return Err(Refused::Blocked(self.queue[0]));
        }
        let begin = self.queue.last().copied().unwrap_or(now);
        let passed = begin + Duration::from_secs(length as u64) / u32::try_from(rate).unwrap_or(1);
        self.queue.push(passed);
        Ok(passed)
    }

    fn fate(&mut self) -> Option<Fate> {
        if let Some(fate) = self.config.fates.get(&self.sent) {
            return Some(*fate);
        }
        // All are drawn each time, so that one number changed does not shift the others.
        let lost = self.random.happens(self.config.loss);
        let twice = self.random.happens(self.config.duplication);
        let late = self.random.happens(self.config.reordering);
        let delay = self.random.up_to(self.config.reordering_delay);
        match (lost, twice, late) {
            (true, _, _) => Some(Fate::Lost),
            (false, true, _) => Some(Fate::Twice(delay)),
            (false, false, true) => Some(Fate::Late(delay)),
            (false, false, false) => None,
        }
    }

    fn deliver(&mut self, at: Instant, message: Datagram<()>) {
        // The number was counted when it was sent.
        let number = self.sent.saturating_sub(1);
        self.under_way
            .insert((at, self.order), (number, Arrival::Datagram(message)));
        self.order += 1;
    }

    fn deliver_in_order(&mut self, at: Instant, mut message: Datagram<()>) {
        let at = self.last_arrival.map_or(at, |last| last.max(at));
        self.last_arrival = Some(at);
        let piece = self.config.pieces.unwrap_or(usize::MAX);
        while message.payload.len() > piece {
            let payload = message.payload.split_to(piece);
            self.deliver(
                at,
                Datagram {
                    payload,
                    end_of_message: false,
                    ..message.clone()
                },
            );
        }
        self.deliver(at, message);
    }

    /// Ends the link. A reliable one delivers first what is under way, if the end is a graceful
    /// one; of an unreliable one, what comes behind the end is lost.
    pub fn close(&mut self, now: Instant, why: CloseReason) {
        if self.closed {
            return;
        }
        self.closed = true;
        let passed = self.queue.last().map_or(now, |last| now.max(*last));
        let mut at = passed + self.config.latency;
        if self.config.reliable && why == CloseReason::Graceful {
            at = self.last_arrival.map_or(at, |last| last.max(at));
        } else {
            let behind = self.under_way.split_off(&(at, self.order));
            drop(behind);
        }
        self.under_way
            .insert((at, self.order), (self.sent, Arrival::Closed(why)));
        self.order += 1;
    }

    /// When something arrives next.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// When a sender that is blocked can send again.
    pub fn writable_at(&self) -> Option<Instant> {
        self.queue.first().copied()
    }

    /// What has arrived by `now`, one after the other.
    pub fn receive(&mut self, now: Instant) -> Option<Arrival> {
        self.next_arrival().filter(|at| *at <= now)?;
        let (_, (number, arrival)) = self.under_way.pop_first()?;
        if self.config.tells_losses && matches!(arrival, Arrival::Datagram(_)) {
            self.missing = self.losses.arrive(number);
        }
        Some(arrival)
    }

    /// How many messages were found lost when the last one was received, once.
    pub const fn take_missing(&mut self) -> u64 {
        std::mem::replace(&mut self.missing, 0)
    }

    /// How many messages were sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Puts a message on the link that nobody sent.
    pub fn forge(&mut self, at: Instant, stream: StreamId, payload: &[u8]) {
        let message = Datagram {
            stream,
            ..Datagram::message((), Bytes::copy_from_slice(payload))
        };
        self.deliver(at, message);
    }
}
