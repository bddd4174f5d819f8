//! The addresses of the peer, and what is known of the way to each.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::congestion::Congestion;
use super::ecn::Passage;
use super::mtu::Mtu;
use super::rto::Rto;
use super::timers::PathTimers;
use crate::Config;
use crate::packet::Header;
use crate::tsn::Tsn;
use crate::types::Path;

/// Whether a path is fit for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It answers, as far as is known.
    Active,
    /// It is silent, and another one is used instead (RFC 7829's "potentially failed").
    Suspect,
    /// It failed more than `Path.Max.Retrans` times (RFC 9260 §8.2).
    Inactive,
    /// The peer told the address, but has not proved that it is its own (RFC 9260 §5.4).
    Unconfirmed,
}

/// The newest packet on a path that is known to have arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    pub(crate) packet: u64,
    pub(crate) round_trip: Duration,
}

/// Limits how much leaves at once.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    tokens: usize,
    filled: Option<Instant>,
}

/// What the pacer lets out beyond its rate at once.
const PACING_GRAIN: Duration = Duration::from_millis(2);

impl Pacer {
    const fn new() -> Self {
        Self {
            tokens: 0,
            filled: None,
        }
    }

    /// Bytes per second: the window in a round trip, and somewhat more so that pacing is not what
    /// limits; twice in slow start, so that the window can grow.
    fn rate(window: usize, slow_start: bool, round_trip: Duration) -> u64 {
        let quarters = if slow_start { 8 } else { 5 };
        let micros = u64::try_from(round_trip.as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        (window as u64).saturating_mul(quarters * 250_000) / micros
    }

    fn fill(&mut self, now: Instant, rate: u64, burst: usize) {
        let grain = rate / 500;
        let most = burst.max(usize::try_from(grain).unwrap_or(usize::MAX));
        let Some(filled) = self.filled else {
            self.tokens = most;
            self.filled = Some(now);
            return;
        };
        let micros = u64::try_from(now.duration_since(filled).as_micros()).unwrap_or(u64::MAX);
        let gained = usize::try_from(rate.saturating_mul(micros) / 1_000_000).unwrap_or(usize::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(most);
            self.filled = Some(now);
        }
    }
}

/// One address of the peer.
#[derive(Debug)]
pub(crate) struct PathState {
    pub(crate) path: Path,
    pub(crate) condition: Condition,
    pub(crate) rto: Rto,
    pub(crate) congestion: Box<dyn Congestion>,
    pub(crate) mtu: Mtu,
    pub(crate) pacer: Pacer,
    pub(crate) timers: PathTimers,
    /// Bytes of chunks in flight, with padding.
    pub(crate) flight: usize,
    /// Errors in a row (RFC 9260 §8.2).
    pub(crate) errors: u32,
    /// How often data went unanswered, since some was acknowledged.
    pub(crate) silences: u32,
    /// Probes for the tail since something was acknowledged.
    pub(crate) tail_probes: u32,
    /// Packets that may go whatever the window says: fast retransmission, probes.
    pub(crate) credit: u32,
    /// The HEARTBEAT that waits for its answer, and when it left.
    pub(crate) beat: Option<(u64, Instant)>,
    /// The chunk whose acknowledgement will be the next measurement.
    pub(crate) timed: Option<Tsn>,
    pub(crate) newest: Option<Newest>,
    /// Packets before this one were sent before the last reduction of the window.
    pub(crate) recovery: u64,
    /// The highest TSN that was sent before it.
    pub(crate) window_end: Option<Tsn>,
    /// Whether ECN-capable packets get through, and marks in a row that found a small window.
    pub(super) ect: Passage,
    pub(crate) small_marks: u32,
    /// Packets are known to overtake each other here.
    pub(crate) reorders: bool,
    pub(crate) last_data: Option<Instant>,
    /// Of the SACK under way: bytes newly acknowledged, and in flight before it.
    pub(crate) acked: usize,
    pub(crate) flight_before: usize,
    pub(crate) counts: Counts,
}

/// What was counted on a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent_packets: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) retransmissions: u64,
    pub(crate) lost: u64,
    pub(crate) timeouts: u64,
    pub(crate) marks: u64,
}

impl PathState {
    pub(crate) fn new(config: &Config, path: Path, condition: Condition) -> Self {
        let packet = config.base_packet - Header::LEN;
        Self {
            path,
            condition,
            rto: Rto::new(config),
            congestion: config.congestion.start(packet, path.remote.is_ipv4()),
            mtu: Mtu::new(config),
            pacer: Pacer::new(),
            timers: PathTimers::default(),
            flight: 0,
            errors: 0,
            silences: 0,
            tail_probes: 0,
            credit: 0,
            beat: None,
            timed: None,
            newest: None,
            recovery: 0,
            window_end: None,
            ect: Passage::Untried,
            small_marks: 0,
            reorders: false,
            last_data: None,
            acked: 0,
            flight_before: 0,
            counts: Counts::default(),
        }
    }

    /// Whether the path recovers from a loss: nothing sent since has been acknowledged.
    pub(crate) fn in_recovery(&self) -> bool {
        self.newest
            .is_some_and(|newest| newest.packet < self.recovery)
    }

    /// Whether the window lets another packet out (RFC 9260 §6.1 B).
    pub(crate) fn has_window(&self) -> bool {
        self.credit > 0 || self.flight < self.congestion.window()
    }

    /// How many bytes pacing lets out now, and if none, when some.
    pub(crate) fn paced(&mut self, now: Instant, config: &Config) -> Result<usize, Instant> {
        let packet = self.mtu.current();
        let Some(round_trip) = self.rto.smoothed() else {
            return Ok(usize::MAX);
        };
        let window = self.congestion.window();
        let rate = Pacer::rate(window, window < self.congestion.threshold(), round_trip);
        self.pacer.fill(now, rate, config.max_burst * packet);
        if self.credit > 0 {
            return Ok(self.pacer.tokens.max(packet));
        }
        if self.pacer.tokens >= packet {
            return Ok(self.pacer.tokens);
        }
        Err(now + PACING_GRAIN / 2)
    }

    pub(crate) fn on_packet_sent(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(1);
        self.pacer.tokens = self.pacer.tokens.saturating_sub(bytes);
        self.mtu.on_sent(bytes);
    }

    /// RFC 9260 §7.2.1: a path that was idle begins anew, by halves for each RTO.
    pub(crate) fn on_idle(&mut self, now: Instant) {
        let Some(last) = self.last_data.filter(|_| self.flight == 0) else {
            return;
        };
        let timeout = self.rto.timeout();
        let mut idle = now.duration_since(last);
        // Sixteen halvings bring any window to its floor.
        for _ in 0..16 {
            if idle < timeout {
                break;
            }
            idle -= timeout;
            self.congestion.on_idle();
        }
    }

    /// How long after the last packet the tail is probed for: two round trips, and what a lone
    /// packet may wait for its SACK (RFC 8985 §7.2).
    pub(crate) fn probe_timeout(&self, config: &Config) -> Option<Duration> {
        let round_trip = self.rto.smoothed()?;
        let mut wait = 2 * round_trip + Duration::from_millis(2);
        if self.flight <= self.mtu.current() {
            wait += config.sack_delay;
        }
        Some((wait * (1 << self.tail_probes.min(6))).min(self.rto.timeout()))
    }

    /// How long the probe of a tail may stay unanswered until another path is taken.
    ///
    /// RFC 9260 §8.2 waits for `Path.Max.Retrans` expiries of T3-rtx, RFC 7829 §3 for as many as
    /// `PotentiallyFailed.Max.Retrans`, 0: one, of `RTO.Min` at least, so a second. That is longer
    /// than a page should stand still. But round trips alone, on a path where they take no time, do
    /// not tell a peer that is cut off from one that waits for its turn on a busy machine. So a path
    /// is given what a peer may wait with a SACK (RFC 9260 §6.2), and a round trip.
    pub(crate) fn failover_timeout(&self, config: &Config) -> Option<Duration> {
        let least = config.sack_delay + 2 * self.rto.smoothed()?;
        Some(
            self.probe_timeout(config)?
                .max(least)
                .min(self.rto.timeout()),
        )
    }
}

/// All addresses of the peer.
#[derive(Debug)]
pub(crate) struct Paths {
    list: Vec<PathState>,
    /// Where data goes unless it fails (RFC 9260 §6.4).
    pub(crate) primary: usize,
    /// Where data goes now.
    pub(crate) current: usize,
}

impl Paths {
    pub(crate) fn new(first: PathState) -> Self {
        Self {
            list: vec![first],
            primary: 0,
            current: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn push(&mut self, path: PathState) {
        self.list.push(path);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PathState> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PathState> {
        self.list.iter_mut()
    }

    pub(crate) fn find(&self, address: IpAddr) -> Option<usize> {
        self.list
            .iter()
            .position(|path| path.path.remote.ip() == address)
    }

    pub(crate) fn current(&self) -> &PathState {
        &self.list[self.current]
    }

    /// Chooses where data goes: the primary path if it answers, else the best of the others.
    /// Returns whether that changed.
    pub(crate) fn choose(&mut self) -> bool {
        let primary = self.primary;
        let fit = |index: &usize| (self.list[*index].condition, *index != primary);
        let best = (0..self.list.len()).min_by_key(fit).unwrap_or(primary);
        std::mem::replace(&mut self.current, best) != best
    }

    /// Whether there is another path than this one that answers.
    pub(crate) fn has_other(&self, than: usize) -> bool {
        let mut others = self
            .list
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != than);
        others.any(|(_, path)| path.condition == Condition::Active)
    }

    /// The largest packet that fits every path that data may come to use (AMDCS, RFC 9260 §1.3).
    pub(crate) fn smallest_packet(&self) -> usize {
        let usable = self
            .list
            .iter()
            .filter(|path| path.condition != Condition::Unconfirmed);
        usable.map(|path| path.mtu.current()).min().unwrap_or(512)
    }
}

impl std::ops::Index<usize> for Paths {
    type Output = PathState;

    fn index(&self, index: usize) -> &PathState {
        &self.list[index]
    }
}

impl std::ops::IndexMut<usize> for Paths {
    fn index_mut(&mut self, index: usize) -> &mut PathState {
        &mut self.list[index]
    }
}
