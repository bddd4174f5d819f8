//! How large packets may be (RFC 4340 §14): a base size that every path carries, and probes with
//! padded Syncs for more, as RFC 8899 has them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::output::Output;
use super::sent::Settled;
use super::{Connection, Phase, Timer};
use crate::endpoint::Context;
use crate::{Carrier, Config, Seq};

/// Sizes that are worth a probe: carrier payloads of links and tunnels that are common. The
/// largest size allowed is tried first.
const LADDER: [usize; 11] = [
    548, 996, 1280, 1372, 1400, 1452, 1472, 1480, 4052, 8952, 16_332,
];

/// A size is tried so often (RFC 8899 MAX_PROBES).
const TRIES: u32 = 3;

/// A probe is waited for at least so long.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// So many timeouts, or acknowledgements that told of losses, without any large packet that
/// arrived, and the path is taken to carry no more than the base size (RFC 8899 §4.3, black hole
/// detection). If it does, a probe finds out in a round trip.
const SUSPICIOUS_TIMEOUTS: u32 = 2;
const SUSPICIOUS_LOSSES: u32 = 4;

/// The size for paths that do not even carry the base size (RFC 8899 §5.1.2 MIN_PLPMTU): what an
/// IPv4 path of 576 bytes leaves, with room to spare.
const LEAST: usize = 512;

/// So many acknowledgements that told of losses, without any packet above [`LEAST`] that arrived,
/// for a path to be taken for one of these. Timeouts say nothing there: where nothing arrives,
/// small packets do not either.
const SUSPICIOUS_LOSSES_AT_BASE: u32 = 8;

/// What is being found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Search {
    /// Nothing, before the connection is open or while nothing more is to be tried.
    Rest,
    /// A probe waits to be polled.
    Wanted { size: usize, tries: u32 },
    /// A probe is out.
    Sent { size: usize, tries: u32, seq: Seq },
}

/// What bounds the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ceiling {
    /// The settings or the socket allow so much; it is tried first, which on a loopback
    /// interface, or where the socket knows the path, is all.
    Allowed(usize),
    /// A probe of this size got no answer.
    Failed(usize),
}

/// The packet size of a path.
#[derive(Debug)]
pub(super) struct Mtu {
    base: usize,
    current: usize,
    ceiling: Ceiling,
    search: Search,
    /// Bytes that arrived; `None` once a search has begun.
    arrived: Option<u64>,
    /// Of large packets, since one was acknowledged.
    timeouts: u32,
    losses: u32,
}

impl Mtu {
    pub(super) fn new(config: &Config, remote: IpAddr) -> Self {
        let ip = if remote.is_ipv4() { 20 } else { 40 };
        let outer = match config.carrier {
            Carrier::Udp => ip + 8,
            Carrier::Ip => ip,
        };
        let first = config.link_mtu.map_or(0, |mtu| mtu.saturating_sub(outer));
        Self {
            base: config.base_packet,
            current: first.clamp(config.base_packet, config.max_packet),
            ceiling: Ceiling::Allowed(config.max_packet),
            search: Search::Rest,
            arrived: Some(0),
            timeouts: 0,
            losses: 0,
        }
    }

    /// Bytes of the largest packet to be sent.
    pub(super) const fn size(&self) -> usize {
        self.current
    }

    /// A probe of `size` bytes went out as `seq`: until when to wait for its answer.
    pub(super) fn on_probe_sent(
        &mut self,
        now: Instant,
        seq: Seq,
        size: usize,
        wait: Duration,
    ) -> Instant {
        let tries = match self.search {
            Search::Wanted { tries, .. } | Search::Sent { tries, .. } => tries,
            Search::Rest => 1,
        };
        self.search = Search::Sent { size, tries, seq };
        now + wait.max(LEAST_WAIT)
    }

    /// The size of the next probe, if one is wanted.
    fn next_probe(&mut self) -> Option<usize> {
        let size = match self.ceiling {
            Ceiling::Allowed(size) => Some(size).filter(|size| *size > self.current),
            Ceiling::Failed(failed) => {
                let mut rungs = LADDER.into_iter();
                rungs.find(|size| *size > self.current && *size < failed)
            }
        };
        self.search = size.map_or(Search::Rest, |size| Search::Wanted { size, tries: 1 });
        size
    }

    /// A SyncAck for `ack` came: whether it answers the probe.
    fn on_sync_ack(&mut self, ack: Seq) -> bool {
        let Search::Sent { size, seq, .. } = self.search else {
            return false;
        };
        if ack != seq {
            return false;
        }
        self.current = self.current.max(size);
        self.timeouts = 0;
        self.losses = 0;
        true
    }

    /// A probe was not answered: whether it is to be sent again, with which size.
    fn on_probe_lost(&mut self) -> Option<usize> {
        let Search::Sent { size, tries, .. } = self.search else {
            return None;
        };
        // What is allowed is a guess, and is tried once; a lost packet costs little there.
        let guess = self.ceiling == Ceiling::Allowed(size);
        if tries < TRIES && !guess {
            self.search = Search::Wanted {
                size,
                tries: tries + 1,
            };
            return Some(size);
        }
        self.ceiling = Ceiling::Failed(size);
        None
    }

    /// The path takes packets of at most `limit` bytes; the packet that showed it may say more.
    fn on_limit(&mut self, limit: usize) {
        self.ceiling = match self.search {
            // A socket that says "less than that" does not know how much: it is found from below.
            Search::Sent { size, .. } if size <= limit + 1 => Ceiling::Failed(size),
            Search::Sent { .. } => Ceiling::Allowed(limit),
            // A size that was in use is refused, and why is not known.
            Search::Wanted { .. } | Search::Rest if limit >= self.current => {
                let failed = Ceiling::Failed(self.current);
                self.current = self.base;
                failed
            }
            Search::Wanted { .. } | Search::Rest => Ceiling::Allowed(limit),
        };
        self.current = self.current.min(limit);
        self.base = self.base.min(limit);
    }

    /// Whether so many bytes have arrived since the beginning; true once.
    fn is_worth_a_search(&mut self, bytes: u64) -> bool {
        let due = self.arrived.is_some_and(|arrived| arrived >= bytes);
        if due {
            self.arrived = None;
        }
        due
    }

    /// Acknowledgements tell whether large packets arrive.
    fn on_settled(&mut self, settled: &Settled) {
        if let Some(arrived) = &mut self.arrived {
            *arrived = arrived.saturating_add(settled.received_bytes);
        }
        let Some(lower) = self.lower() else {
            return;
        };
        let lower = u64::try_from(lower).unwrap_or(u64::MAX);
        if settled.received_bytes > settled.received.saturating_mul(lower) {
            self.timeouts = 0;
            self.losses = 0;
        } else if settled.lost > 0 {
            self.losses += 1;
        }
    }

    /// The congestion control's timeout struck.
    pub(super) const fn on_timeout(&mut self) {
        self.timeouts += 1;
    }

    /// The size to fall back to, if there is one.
    fn lower(&self) -> Option<usize> {
        [self.base, LEAST]
            .into_iter()
            .find(|size| *size < self.current)
    }

    /// Whether large packets seem to get lost always; falls back to a smaller size then.
    fn falls_back(&mut self) -> bool {
        let suspicious = if self.current > self.base {
            self.timeouts >= SUSPICIOUS_TIMEOUTS || self.losses >= SUSPICIOUS_LOSSES
        } else {
            self.losses >= SUSPICIOUS_LOSSES_AT_BASE
        };
        let Some(lower) = self.lower().filter(|_| suspicious) else {
            return false;
        };
        self.ceiling = Ceiling::Allowed(self.current);
        self.current = lower;
        self.base = self.base.min(lower);
        self.timeouts = 0;
        self.losses = 0;
        true
    }
}

impl Connection {
    /// What happened to data packets tells of the path, and begins the search.
    pub(super) fn on_settled_sizes(&mut self, cx: &Context, now: Instant, settled: &Settled) {
        self.mtu.on_settled(settled);
        self.check_black_hole(cx, now);
        self.consider_probing(cx, now);
    }

    /// Begins the search once enough has arrived: what is short does not gain by it what the
    /// probes cost.
    pub(super) fn consider_probing(&mut self, cx: &Context, now: Instant) {
        let open = matches!(self.phase, Phase::Open);
        if open && self.mtu.is_worth_a_search(cx.config.probe_after) {
            self.begin_probing(cx, now);
        }
    }

    /// Looks for a larger packet size, in OPEN.
    fn begin_probing(&mut self, cx: &Context, now: Instant) {
        if !cx.config.probe_mtu || !matches!(self.phase, Phase::Open) {
            return;
        }
        self.mtu.ceiling = Ceiling::Allowed(cx.config.max_packet.min(cx.socket_limit));
        self.continue_probing(cx, now);
    }

    fn continue_probing(&mut self, cx: &Context, now: Instant) {
        match self.mtu.next_probe() {
            Some(size) => self.push_output(Output::Probe(size)),
            None => self.timers.set(Timer::Mtu, now + cx.config.probe_again),
        }
    }

    /// A valid SyncAck came.
    pub(super) fn on_sync_ack(&mut self, cx: &Context, now: Instant, ack: Seq) {
        if self.mtu.on_sync_ack(ack) {
            self.timers.stop(Timer::Mtu);
            self.continue_probing(cx, now);
        }
    }

    /// A probe was not answered in time, or it is time to look again.
    pub(super) fn on_mtu_timer(&mut self, cx: &Context, now: Instant) {
        if self.mtu.search == Search::Rest {
            return self.begin_probing(cx, now);
        }
        match self.mtu.on_probe_lost() {
            Some(size) => self.push_output(Output::Probe(size)),
            None => self.continue_probing(cx, now),
        }
    }

    /// What was polled last was too large for the socket, which takes `limit` bytes.
    pub(crate) fn on_rejected(&mut self, cx: &Context, now: Instant, limit: usize) {
        let probing = matches!(self.mtu.search, Search::Sent { .. });
        self.mtu.on_limit(limit);
        // What waits and is larger would be refused as well: it counts as lost.
        self.trains.retain(|train| train.segment() <= limit);
        if probing {
            self.timers.stop(Timer::Mtu);
            self.continue_probing(cx, now);
        }
    }

    /// A router says that a packet was too large for its next link, which takes `limit` bytes of
    /// what carries DCCP; `seq`: the number of that packet. Believed only for packets in flight
    /// and for less than what is sent now (RFC 4340 §14.1).
    pub(crate) fn on_too_big(&mut self, cx: &Context, now: Instant, seq: Seq, limit: usize) {
        let in_flight = seq.is_within(self.numbers.gar, self.numbers.gss);
        let probed = match self.mtu.search {
            Search::Sent {
                size, seq: probe, ..
            } => (probe == seq).then_some(size),
            Search::Rest | Search::Wanted { .. } => None,
        };
        if !in_flight || limit >= probed.unwrap_or(self.mtu.current) {
            return;
        }
        // No path is taken to carry less than an Ack with its options needs.
        self.on_rejected(cx, now, limit.max(crate::config::LEAST_PACKET));
    }

    /// Falls back to the base size when large packets get lost always.
    pub(super) fn check_black_hole(&mut self, cx: &Context, now: Instant) {
        if self.mtu.falls_back() {
            self.continue_probing(cx, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn search(takes: usize) -> (usize, Vec<usize>) {
        let mut mtu = Mtu::new(&Config::default(), LOCALHOST);
        let start = crate::test_support::start();
        let mut probes = Vec::new();
        let mut next = mtu.next_probe();
        while let Some(size) = next {
            probes.push(size);
            let seq = Seq::new(probes.len() as u64);
            mtu.on_probe_sent(start, seq, size, Duration::ZERO);
            next = if size <= takes {
                assert!(mtu.on_sync_ack(seq));
                mtu.next_probe()
            } else {
                mtu.on_probe_lost().or_else(|| mtu.next_probe())
            };
        }
        (mtu.size(), probes)
    }

    #[test]
    fn a_loopback_interface_takes_one_probe() {
        assert_eq!(search(65_507), (65_507, vec![65_507]));
    }

    #[test]
    fn an_ethernet_path_is_found_from_below() {
        let (size, probes) = search(1472);
        assert_eq!(size, 1472);
        assert_eq!(probes[..6], [65_507, 1280, 1372, 1400, 1452, 1472]);
        assert!(probes.len() <= 6 + 3 + 1, "{probes:?}");
    }

    #[test]
    fn a_path_of_the_base_size_stays_there() {
        let (size, probes) = search(1200);
        assert_eq!(size, 1200);
        assert!(probes.len() <= 8, "{probes:?}");
    }

    fn on_ethernet() -> Mtu {
        let config = Config {
            carrier: Carrier::Ip,
            link_mtu: Some(1500),
            ..Config::default()
        };
        Mtu::new(&config, LOCALHOST)
    }

    #[test]
    fn a_known_link_is_used_from_the_first_packet() {
        assert_eq!(on_ethernet().size(), 1480);
        assert_eq!(Mtu::new(&Config::default(), LOCALHOST).size(), 1200);
    }

    #[test]
    fn a_path_that_is_narrower_than_the_link_falls_back() {
        let mut mtu = on_ethernet();
        assert!(!mtu.falls_back());
        mtu.on_timeout();
        mtu.on_timeout();
        assert!(mtu.falls_back());
        assert_eq!(mtu.size(), 1200);
    }

    #[test]
    fn a_path_below_the_base_size_is_known_by_what_still_arrives() {
        let mut mtu = Mtu::new(&Config::default(), LOCALHOST);
        for _ in 0..100 {
            mtu.on_timeout();
        }
        assert!(!mtu.falls_back(), "where nothing arrives, size is not why");
        let lost = Settled {
            lost: 1,
            ..Settled::default()
        };
        let large = Settled {
            received: 1,
            received_bytes: 1100,
            ..Settled::default()
        };
        for settled in [lost, lost, lost, lost, large, lost, lost, lost, lost] {
            mtu.on_settled(&settled);
            assert!(!mtu.falls_back(), "large packets arrive");
        }
        for _ in 0..4 {
            mtu.on_settled(&lost);
        }
        assert!(mtu.falls_back());
        assert_eq!(mtu.size(), LEAST);
        assert!(!mtu.falls_back(), "there is nothing below");
        assert_eq!(
            mtu.next_probe(),
            Some(1200),
            "whether it was that after all"
        );
    }

    #[test]
    fn a_socket_that_does_not_know_its_limit_is_not_asked_for_each_size_below() {
        let mut mtu = Mtu::new(&Config::default(), LOCALHOST);
        let start = crate::test_support::start();
        let (mut probes, takes) = (0, 1472);
        while let Some(size) = mtu.next_probe() {
            probes += 1;
            let seq = Seq::new(probes);
            mtu.on_probe_sent(start, seq, size, Duration::ZERO);
            if size <= takes {
                assert!(mtu.on_sync_ack(seq));
            } else {
                mtu.on_limit(size - 1);
            }
        }
        assert_eq!(mtu.size(), takes);
        assert_eq!(probes, 7);
    }

    #[test]
    fn a_size_that_the_socket_refuses_is_not_tried_again() {
        let mut mtu = on_ethernet();
        mtu.on_limit(65_515);
        assert_eq!((mtu.size(), mtu.next_probe()), (1200, Some(1280)));
        // A probe: the size is one that the socket says it takes, and yet does not.
        let start = crate::test_support::start();
        mtu.on_probe_sent(start, Seq::new(1), 1280, Duration::ZERO);
        mtu.on_limit(65_515);
        assert_eq!((mtu.size(), mtu.next_probe()), (1200, None));
    }

    #[test]
    fn a_search_begins_once_and_not_for_a_page() {
        let mut mtu = Mtu::new(&Config::default(), LOCALHOST);
        let settled = |received, received_bytes| Settled {
            received,
            received_bytes,
            ..Settled::default()
        };
        mtu.on_settled(&settled(3, 1700));
        assert!(!mtu.is_worth_a_search(9600));
        mtu.on_settled(&settled(8, 9600));
        assert!(mtu.is_worth_a_search(9600));
        mtu.on_settled(&settled(8, 9600));
        assert!(!mtu.is_worth_a_search(9600));
    }
}
