//! The packet size of a path, found by probing (RFC 8899 §6.2: HEARTBEAT with PAD).

use crate::Config;

/// Sizes of packets that paths often have room for, IP and UDP headers apart: tunnels, Ethernet
/// under IPv6 and IPv4, jumbo frames, loopback.
const SIZES: [usize; 8] = [1392, 1452, 1472, 8952, 8972, 16_384, 32_768, 65_504];

/// Bytes of packets that every socket must take: chunks need some room.
const SMALLEST: usize = 512;

/// RFC 8899's `MAX_PROBES`.
const MAX_PROBES: u32 = 3;

/// A probe that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) size: usize,
    pub(crate) nonce: u64,
    tries: u32,
}

/// What is known of a path's packet size.
#[derive(Clone, Debug)]
pub(crate) struct Mtu {
    base: usize,
    current: usize,
    /// The most that makes sense to probe for.
    ceiling: usize,
    probe: Option<Probe>,
    carried: usize,
}

impl Mtu {
    pub(crate) const fn new(config: &Config) -> Self {
        Self {
            base: config.base_packet,
            current: config.base_packet,
            ceiling: config.max_packet,
            probe: None,
            carried: 0,
        }
    }

    /// Bytes of the largest packet that is sent.
    pub(crate) const fn current(&self) -> usize {
        self.current
    }

    /// The socket takes no more than this. Returns whether packets became smaller.
    pub(crate) fn set_limit(&mut self, limit: usize) -> bool {
        let limit = (limit / 4 * 4).max(SMALLEST);
        self.ceiling = self.ceiling.min(limit);
        if self.probe.is_some_and(|probe| probe.size > limit) {
            self.probe = None;
        }
        let smaller = self.current > limit;
        self.current = self.current.min(limit);
        smaller
    }

    /// The socket did not take a packet, and takes no more than this. One that cannot tell how much
    /// it takes names one byte less than it was given: then the next size that paths often have
    /// comes closer than all sizes between. Returns whether packets became smaller.
    pub(crate) fn on_rejected(&mut self, limit: usize) -> bool {
        let tried = self.current;
        let smaller = self.set_limit(limit);
        if smaller && self.current + 4 >= tried {
            let mut below = SIZES.into_iter().rev().chain([self.base]);
            let next = below.find(|size| *size < tried);
            self.current = next.unwrap_or(self.current);
        }
        smaller
    }

    /// Notes that the path carried user data.
    pub(crate) const fn on_sent(&mut self, bytes: usize) {
        self.carried = self.carried.saturating_add(bytes);
    }

    /// The size to probe next, if it is time to.
    pub(crate) fn wanted(&self, config: &Config) -> Option<usize> {
        if self.probe.is_some() || self.carried < config.probe_after || self.current >= self.ceiling
        {
            return None;
        }
        let next = SIZES.into_iter().find(|size| *size > self.current);
        Some(next.unwrap_or(self.ceiling).min(self.ceiling))
    }

    /// Begins to probe; or, with the same size, tries again.
    pub(crate) fn begin(&mut self, size: usize, nonce: u64) {
        self.probe = Some(Probe {
            size,
            nonce,
            tries: 1,
        });
    }

    /// The probe's timer expired. Returns what to send again.
    pub(crate) fn on_timeout(&mut self) -> Option<Probe> {
        let probe = self.probe.as_mut()?;
        if probe.tries < MAX_PROBES {
            probe.tries += 1;
            return Some(*probe);
        }
        self.ceiling = self.current;
        self.probe = None;
        None
    }

    /// A HEARTBEAT ACK with this nonce came. Returns whether it answers the probe.
    pub(crate) fn on_answer(&mut self, nonce: u64) -> bool {
        let Some(probe) = self.probe.take_if(|probe| probe.nonce == nonce) else {
            return false;
        };
        self.current = self.current.max(probe.size);
        true
    }

    pub(crate) const fn probe(&self) -> Option<Probe> {
        self.probe
    }

    /// The search may go on above what failed (RFC 8899's `PMTU_RAISE_TIMER`).
    pub(crate) fn raise(&mut self, config: &Config) {
        self.ceiling = config.max_packet;
    }

    /// Nothing passes any more: perhaps packets of this size do not (RFC 8899 §4.3). Returns
    /// whether packets became smaller.
    pub(crate) fn on_black_hole(&mut self) -> bool {
        let smaller = self.current > self.base;
        if smaller {
            self.ceiling = self.current - 4;
            self.current = self.base;
        }
        smaller
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(fits: usize, limit: usize) -> (usize, usize) {
        let config = Config::default();
        let mut mtu = Mtu::new(&config);
        mtu.set_limit(limit);
        assert_eq!(mtu.wanted(&config), None, "nothing was carried yet");
        mtu.on_sent(config.probe_after);
        let mut probes = 0;
        while let Some(size) = mtu.wanted(&config) {
            assert!(size <= limit && size > mtu.current() && size.is_multiple_of(4));
            probes += 1;
            mtu.begin(size, probes);
            if size <= fits {
                assert!(!mtu.on_answer(probes + 1), "another's answer");
                assert!(mtu.on_answer(probes));
                assert_eq!(mtu.current(), size);
            } else {
                assert!(mtu.on_timeout().is_some());
                assert!(mtu.on_timeout().is_some());
                assert!(mtu.on_timeout().is_none());
            }
        }
        (mtu.current(), usize::try_from(probes).unwrap())
    }

    #[test]
    fn so6_probes_find_what_fits() {
        assert_eq!(search(1472, 65_507), (1472, 4));
        assert_eq!(search(65_507, 65_507), (65_504, 8));
        assert_eq!(search(65_507, 1452), (1452, 2));
        assert_eq!(search(1300, 65_507), (1200, 1));
        assert_eq!(search(65_507, 1430), (1428, 2));
    }

    #[test]
    fn so6_a_socket_that_cannot_tell_what_it_takes_is_asked_seldom() {
        let mut mtu = Mtu::new(&Config::default());
        mtu.begin(65_504, 1);
        mtu.on_answer(1);
        assert!(mtu.on_rejected(9000));
        assert_eq!(mtu.current(), 9000, "one that can is believed");
        let mut asked = 0;
        while mtu.current() > 1252 {
            assert!(mtu.on_rejected(mtu.current() - 1));
            asked += 1;
        }
        assert_eq!((mtu.current(), asked), (1200, 6));
        assert!(mtu.on_rejected(1199), "below the base it is asked for all");
        assert_eq!(mtu.current(), 1196);
    }

    #[test]
    fn so6_a_black_hole_brings_the_base_back() {
        let config = Config::default();
        let mut mtu = Mtu::new(&config);
        assert!(!mtu.on_black_hole());
        mtu.on_sent(1 << 20);
        mtu.begin(1452, 1);
        mtu.on_answer(1);
        assert!(mtu.on_black_hole());
        assert_eq!(mtu.current(), 1200);
        assert!(mtu.set_limit(1000));
        assert_eq!(mtu.current(), 1000);
        mtu.set_limit(3);
        assert_eq!(mtu.current(), SMALLEST);
    }
}
