//! What the connections of an endpoint share.

use std::collections::VecDeque;
use std::time::Instant;

use super::limit::Limiter;
use super::random::Random;
use super::types::{ConnectionId, Ecn, Event, Path};
use crate::packet::{Checksum, Header, OptionWriter};
use crate::{Carrier, Config};

/// Buffers for trains that are kept for reuse.
const POOLED: usize = 8;

/// Bytes reserved in a train's buffer: more than the longest train.
pub(crate) const TRAIN_BYTES: usize = 65_536;

/// What the connections of an endpoint share: settings, events, buffers.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) events: VecDeque<(ConnectionId, Event)>,
    /// Scratch for the options of the packet that is written.
    pub(crate) options: OptionWriter,
    pub(crate) limiter: Limiter,
    /// The largest packet that the socket takes, as it was told last.
    pub(crate) socket_limit: usize,
    pub(crate) replies: VecDeque<(Path, Vec<u8>)>,
    pool: Vec<Vec<u8>>,
    /// The initial number of the next connections.
    #[cfg(test)]
    pub(crate) initial: Option<crate::Seq>,
    /// The port of the next connections begun here.
    #[cfg(test)]
    pub(crate) forced_port: Option<u16>,
}

impl Context {
    pub(crate) fn new(config: Config, random: Random) -> Self {
        let socket_limit = config.max_packet;
        Self {
            config,
            random,
            events: VecDeque::new(),
            options: OptionWriter::default(),
            limiter: Limiter::new(),
            socket_limit,
            replies: VecDeque::new(),
            pool: Vec::new(),
            #[cfg(test)]
            initial: None,
            #[cfg(test)]
            forced_port: None,
        }
    }

    /// An empty buffer for a train.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.pool
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(TRAIN_BYTES))
    }

    /// Gives a buffer back.
    pub(crate) fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOLED && buffer.capacity() >= TRAIN_BYTES {
            buffer.clear();
            self.pool.push(buffer);
        }
    }

    /// How packets on `path` are checksummed, sent from here.
    pub(crate) fn checksum_out(&self, path: &Path) -> Checksum {
        match (self.config.carrier, path.local) {
            (Carrier::Ip, Some(local)) => Checksum::Ip {
                source: local,
                destination: path.remote.ip(),
            },
            (Carrier::Ip, None) | (Carrier::Udp, _) => Checksum::Unused,
        }
    }

    /// How packets that came on `path` are checked; `None`: they cannot be.
    pub(crate) fn checksum_in(&self, path: &Path) -> Option<Checksum> {
        match (self.config.carrier, path.local) {
            (Carrier::Ip, Some(local)) => Some(Checksum::Ip {
                source: path.remote.ip(),
                destination: local,
            }),
            (Carrier::Ip, None) => None,
            (Carrier::Udp, _) => Some(Checksum::Unused),
        }
    }

    /// Makes a packet that belongs to no connection, or ends one, from `header` and the options
    /// written last. Beyond [`Config::replies`] it is not made.
    pub(crate) fn reply(&mut self, path: Path, header: &Header) {
        if self.replies.len() >= self.config.replies {
            return;
        }
        let mut bytes = Vec::with_capacity(128);
        header.encode(self.options.bytes(), &mut bytes);
        self.checksum_out(&path).seal(&mut bytes);
        self.replies.push_back((path, bytes));
    }

    /// Whether a Reset may go to a stranger at `path`.
    pub(crate) fn may_reset(&mut self, now: Instant, path: &Path) -> bool {
        self.limiter
            .allows(now, path.remote.ip(), &self.random, &self.config)
    }

    /// The ECN field for the next train: ECT(0) or ECT(1) at random (RFC 4340 §12.2).
    pub(crate) fn next_ecn(&mut self) -> Ecn {
        if self.random.next() & 1 == 0 {
            Ecn::Ect0
        } else {
            Ecn::Ect1
        }
    }
}
