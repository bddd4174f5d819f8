//! One direction of the bottleneck.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport::Ecn;

use super::Carrier;
use crate::link::Random;

/// How a pipe treats what is sent into it. The default loses nothing, takes no time and has no
/// limit but an MTU of 1500 bytes.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a packet is under way, behind the queue.
    pub latency: Duration,
    /// By how much it may take longer, for each packet anew; packets stay in order.
    pub jitter: Duration,
    /// How many packets in a thousand are lost.
    pub loss: u32,
    /// How many are lost in a row, on average; 0 and 1: each for itself. No row goes on over a
    /// pause of 100 ms.
    pub burst: u32,
    /// How many packets in a thousand arrive twice.
    pub duplication: u32,
    /// How many in a thousand are late by [`Self::reordering_delay`] or less.
    pub reordering: u32,
    /// How late these are, and copies too.
    pub reordering_delay: Duration,
    /// How many in a thousand are damaged.
    pub corruption: u32,
    /// The largest IP packet in bytes; what may be fragmented may be larger.
    pub mtu: usize,
    /// When the MTU changes, since the beginning, and to what.
    pub mtu_changes: Vec<(Duration, usize)>,
    /// Whether a sender is told that a packet was too large; else it is silently dropped.
    pub tells: bool,
    /// How many bytes a second pass, IP headers included; `None`: all at once.
    pub rate: Option<u64>,
    /// How many bytes may wait until they pass; what comes beyond is dropped.
    pub queue: usize,
    /// Above how many waiting bytes packets of an ECN-capable transport are marked.
    pub marks_above: Option<usize>,
    /// What else becomes of them.
    pub ecn: EcnTreatment,
    /// When nothing passes, since the beginning.
    pub blackholes: Vec<Range<Duration>>,
    /// What becomes of certain packets, counted from 0, whatever the numbers above say.
    pub fates: BTreeMap<u64, Fate>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0,
            burst: 1,
            duplication: 0,
            reordering: 0,
            reordering_delay: Duration::ZERO,
            corruption: 0,
            mtu: 1500,
            mtu_changes: Vec::new(),
            tells: false,
            rate: None,
            queue: usize::MAX,
            marks_above: None,
            ecn: EcnTreatment::Passes,
            blackholes: Vec::new(),
            fates: BTreeMap::new(),
        }
    }
}

impl Config {
    /// A pipe without faults, so long.
    pub fn latency(latency: Duration) -> Self {
        Self {
            latency,
            ..Self::default()
        }
    }

    /// The same, where packet number `index` has this fate.
    #[must_use]
    pub fn with(mut self, index: u64, fate: Fate) -> Self {
        self.fates.insert(index, fate);
        self
    }
}

/// What a path does to packets of an ECN-capable transport that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnTreatment {
    /// Nothing.
    Passes,
    /// They arrive as if they were not.
    Bleaches,
    /// They are marked, each.
    Marks,
    /// They are lost.
    Drops,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It is lost.
    Lost,
    /// It arrives twice, the second time this much later.
    Twice(Duration),
    /// It arrives this much later than others.
    Late(Duration),
    /// A bit, a byte or two bytes of it change on the way; UDP's checksum drops it then.
    Damaged,
    /// The queue was full.
    Overflow,
    /// It was larger than the MTU.
    TooBig,
    /// Nothing passed at that time.
    Blackhole,
}

impl Fate {
    pub(super) fn code(self) -> u64 {
        let delay = |delay: Duration| u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX) << 3;
        match self {
            Self::Arrives => 0,
            Self::Lost => 1,
            Self::Twice(after) => 2 | delay(after),
            Self::Late(by) => 3 | delay(by),
            Self::Damaged => 4,
            Self::Overflow => 5,
            Self::TooBig => 6,
            Self::Blackhole => 7,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrives => f.write_str("arrives"),
            Self::Lost => f.write_str("lost"),
            Self::Twice(after) => write!(f, "twice, again after {} ms", after.as_millis()),
            Self::Late(by) => write!(f, "{} ms late", by.as_millis()),
            Self::Damaged => f.write_str("damaged"),
            Self::Overflow => f.write_str("dropped, the queue is full"),
            Self::TooBig => f.write_str("dropped, too big"),
            Self::Blackhole => f.write_str("lost in a blackhole"),
        }
    }
}

/// A packet as a [`Choose`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// How many passed before it.
    pub index: u64,
    /// How long after the network began.
    pub at: Duration,
    /// To whom it goes.
    pub destination: SocketAddr,
    /// Whether it may be fragmented.
    pub may_fragment: bool,
    /// Its ECN field, as it was sent.
    pub ecn: Ecn,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Decides the fate of packets; `None` leaves it to chance.
pub type Choose = Box<dyn FnMut(Passing<'_>) -> Option<Fate>>;

/// What a pipe did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipeStats {
    /// Packets that were sent into it.
    pub sent: u64,
    /// Their bytes, without the carrier's headers.
    pub sent_bytes: u64,
    /// Packets that did not arrive, whatever the reason.
    pub lost: u64,
    /// Of these, packets that found the queue full.
    pub overflows: u64,
    /// Packets that were marked.
    pub marked: u64,
    /// Packets that were damaged.
    pub damaged: u64,
}

/// A packet that is sent into a pipe.
#[derive(Debug)]
pub(super) struct Sent {
    /// How long after the network began.
    pub(super) at: Duration,
    pub(super) destination: SocketAddr,
    pub(super) ecn: Ecn,
    pub(super) may_fragment: bool,
    pub(super) payload: Bytes,
}

/// A packet that arrives.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) at: Instant,
    pub(super) ecn: Ecn,
    pub(super) payload: Bytes,
}

/// How long nothing is sent until losses in a row are over.
const LULL: Duration = Duration::from_millis(100);

/// What came of a packet.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) fate: Fate,
    pub(super) copies: [Option<Copied>; 2],
}

/// One direction.
pub struct Pipe {
    config: Config,
    carrier: Carrier,
    random: Random,
    choose: Option<Choose>,
    stats: PipeStats,
    /// Whether losses are in a burst.
    bursting: bool,
    /// When the last packet was sent.
    last_sent: Option<Instant>,
    /// When everything that waits will have passed.
    passed: Option<Instant>,
    /// When the last packet arrives that is not late.
    last_arrival: Option<Instant>,
    /// The largest packet of the carrier's payload that the sender knows of.
    known_limit: usize,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe")
            .field("config", &self.config)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Pipe {
    pub(super) fn new(config: Config, carrier: Carrier, seed: u64) -> Self {
        Self {
            known_limit: config.mtu.saturating_sub(carrier.overhead()),
            config,
            carrier,
            random: Random::new(seed),
            choose: None,
            stats: PipeStats::default(),
            bursting: false,
            last_sent: None,
            passed: None,
            last_arrival: None,
        }
    }

    pub(super) fn choose(&mut self, choose: Choose) {
        self.choose = Some(choose);
    }

    /// What it did so far.
    pub const fn stats(&self) -> PipeStats {
        self.stats
    }

    pub(super) const fn known_limit(&self) -> usize {
        self.known_limit
    }

    fn mtu(&self, at: Duration) -> usize {
        let mut changes = self.config.mtu_changes.iter();
        let last = changes.rfind(|(when, _)| *when <= at);
        last.map_or(self.config.mtu, |(_, mtu)| *mtu)
    }

    /// The limit, if a packet of `size` bytes is beyond it and the sender is told.
    pub(super) fn reject(&mut self, at: Duration, size: usize) -> Option<usize> {
        let limit = self.mtu(at).saturating_sub(self.carrier.overhead());
        if !self.config.tells || size <= limit {
            return None;
        }
        self.known_limit = limit;
        Some(limit)
    }

    pub(super) fn send(&mut self, now: Instant, sent: Sent) -> Passed {
        let chosen = self.chosen(&sent);
        let Sent {
            at,
            ecn,
            may_fragment,
            payload,
            ..
        } = sent;
        let by_chance = self.by_chance(now);
        let jitter = self.random.up_to(self.config.jitter);
        self.stats.sent += 1;
        self.stats.sent_bytes += payload.len() as u64;
        let size = payload.len() + self.carrier.overhead();
        let mut fate = chosen.unwrap_or(by_chance);
        if chosen.is_none() {
            if size > self.mtu(at) && !may_fragment {
                fate = Fate::TooBig;
            } else if self.config.ecn == EcnTreatment::Drops && ecn != Ecn::NotEct {
                fate = Fate::Lost;
            } else if self.config.blackholes.iter().any(|hole| hole.contains(&at)) {
                fate = Fate::Blackhole;
            }
        }
        // What is lost on the wire has passed the queue before.
        let mut passes = None;
        if fate != Fate::TooBig {
            passes = self.pass(now, size);
            if passes.is_none() {
                fate = Fate::Overflow;
            }
        }
        let Some((passed, waiting)) = passes else {
            self.stats.lost += 1;
            self.stats.overflows += u64::from(fate == Fate::Overflow);
            return Passed {
                fate,
                copies: [None, None],
            };
        };
        let ecn = self.mark(ecn, waiting);
        let mut arrival = passed + self.config.latency + jitter;
        if !matches!(fate, Fate::Late(_)) {
            arrival = self.last_arrival.map_or(arrival, |last| last.max(arrival));
            self.last_arrival = Some(arrival);
        }
        let copy = |at, payload| Some(Copied { at, ecn, payload });
        let copies = match fate {
            Fate::Arrives => [copy(arrival, payload), None],
            Fate::Late(by) => [copy(arrival + by, payload), None],
            Fate::Twice(after) => [
                copy(arrival, payload.clone()),
                copy(arrival + after, payload),
            ],
            Fate::Damaged if self.carrier == Carrier::Ip => {
                self.stats.damaged += 1;
                [copy(arrival, self.damage(&payload)), None]
            }
            Fate::Damaged | Fate::Lost | Fate::Overflow | Fate::TooBig | Fate::Blackhole => {
                self.stats.damaged += u64::from(fate == Fate::Damaged);
                self.stats.lost += 1;
                [None, None]
            }
        };
        Passed { fate, copies }
    }

    fn chosen(&mut self, sent: &Sent) -> Option<Fate> {
        let index = self.stats.sent;
        if let Some(fate) = self.config.fates.get(&index) {
            return Some(*fate);
        }
        self.choose.as_mut()?(Passing {
            index,
            at: sent.at,
            destination: sent.destination,
            may_fragment: sent.may_fragment,
            ecn: sent.ecn,
            payload: &sent.payload,
        })
    }

    fn by_chance(&mut self, now: Instant) -> Fate {
        // All are drawn each time, so that one number changed does not shift the others.
        let lost = self.is_lost(now);
        let twice = self.random.happens(self.config.duplication);
        let late = self.random.happens(self.config.reordering);
        let damaged = self.random.happens(self.config.corruption);
        let delay = self.random.up_to(self.config.reordering_delay);
        match (lost, damaged, twice, late) {
            (true, _, _, _) => Fate::Lost,
            (false, true, _, _) => Fate::Damaged,
            (false, false, true, _) => Fate::Twice(delay),
            (false, false, false, true) => Fate::Late(delay),
            (false, false, false, false) => Fate::Arrives,
        }
    }

    /// Two states, as Gilbert has them: in a burst everything is lost, else nothing. How likely
    /// each change is follows from the share of losses and the length of bursts.
    fn is_lost(&mut self, now: Instant) -> bool {
        // What loses packets in a row, such as a full queue, does not last for their number: else
        // one that is sent again after each timeout would never get out of it.
        if self
            .last_sent
            .replace(now)
            .is_some_and(|last| now - last >= LULL)
        {
            self.bursting = false;
        }
        let draw = self.random.within(0..1_000_000);
        let (loss, burst) = (
            u64::from(self.config.loss),
            u64::from(self.config.burst.max(1)),
        );
        if burst == 1 || loss >= 1000 {
            return draw < loss * 1000;
        }
        let changes = if self.bursting {
            draw < 1_000_000 / burst
        } else {
            draw < loss * 1_000_000 / (burst * (1000 - loss))
        };
        self.bursting ^= changes;
        self.bursting
    }

    /// When a packet of `size` bytes has passed the queue, and how many bytes wait before it;
    /// `None` if there is no room for it.
    fn pass(&mut self, now: Instant, size: usize) -> Option<(Instant, usize)> {
        let Some(rate) = self.config.rate else {
            return Some((now, 0));
        };
        let begin = self.passed.map_or(now, |passed| passed.max(now));
        let nanos = (begin - now).as_nanos() * u128::from(rate) / 1_000_000_000;
        let waiting = usize::try_from(nanos).unwrap_or(usize::MAX);
        if waiting + size > self.config.queue {
            return None;
        }
        let nanos = size as u64 * 1_000_000_000 / rate;
        let passed = begin + Duration::from_nanos(nanos);
        self.passed = Some(passed);
        Some((passed, waiting))
    }

    fn mark(&mut self, ecn: Ecn, waiting: usize) -> Ecn {
        if self.config.ecn == EcnTreatment::Bleaches {
            return Ecn::NotEct;
        }
        let congested = self.config.ecn == EcnTreatment::Marks
            || self.config.marks_above.is_some_and(|most| waiting > most);
        match ecn {
            Ecn::Ect0 | Ecn::Ect1 if congested => {
                self.stats.marked += 1;
                Ecn::Ce
            }
            Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1 | Ecn::Ce => ecn,
        }
    }

    /// Changes one bit, one byte, or two bytes that the checksum counts together: what the
    /// checksum of RFC 1071 always finds.
    fn damage(&mut self, payload: &[u8]) -> Bytes {
        let mut bytes = payload.to_vec();
        let at = usize::try_from(self.random.within(0..bytes.len() as u64)).unwrap_or(0);
        let change = u8::try_from(self.random.within(1..256)).unwrap_or(1);
        match self.random.within(0..3) {
            0 => bytes[at] ^= 1 << (change % 8),
            1 => bytes[at] ^= change,
            _ => {
                // 0 and 0xFFFF are the same to it, so one of the bytes keeps a bit.
                let pair = at & !1;
                bytes[pair] ^= change & 0x7F | 1;
                if let Some(second) = bytes.get_mut(pair + 1) {
                    *second ^= change;
                }
            }
        }
        bytes.into()
    }
}
