use std::time::Instant;

use super::slow_start::SlowStart;
use super::{Acked, Congestion, initial_window};

/// The congestion control of RFC 9260 §7.2.
#[derive(Debug)]
pub struct NewReno {
    packet: usize,
    window: usize,
    threshold: usize,
    partial_bytes_acked: usize,
    was_idle: bool,
    slow_start: SlowStart,
}

impl NewReno {
    /// At the start of a path whose packets have room for `packet` bytes of chunks.
    pub fn new(packet: usize, ipv4: bool) -> Self {
        Self {
            packet,
            window: initial_window(packet, ipv4),
            threshold: usize::MAX,
            partial_bytes_acked: 0,
            was_idle: false,
            slow_start: SlowStart::new(),
        }
    }

    fn halved(&self) -> usize {
        (self.window / 2).max(4 * self.packet)
    }
}

impl Congestion for NewReno {
    fn window(&self) -> usize {
        self.window
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn on_ack(&mut self, acked: &Acked) {
        self.was_idle = false;
        let slow = self.window <= self.threshold;
        let full = acked.used(self.window, self.packet, slow);
        if slow {
            // RFC 9260 §7.2.1 lets the window grow by what was acknowledged, L packets at most.
            // A peer that sends one SACK for a train would be starved by a small L.
            if acked.cumulative_moved && full && !acked.in_recovery {
                match self.slow_start.growth(acked) {
                    Some(bytes) => self.window += bytes,
                    None => self.threshold = self.window - 1,
                }
            }
        } else {
            self.partial_bytes_acked += acked.bytes;
            if self.partial_bytes_acked > self.window && !full {
                self.partial_bytes_acked = self.window;
            }
            if self.partial_bytes_acked >= self.window && full {
                self.partial_bytes_acked -= self.window;
                self.window += self.packet;
            }
        }
        if acked.all_acked {
            self.partial_bytes_acked = 0;
        }
    }

    fn on_loss(&mut self, _now: Instant) {
        self.threshold = self.halved();
        self.window = self.threshold;
        self.partial_bytes_acked = 0;
    }

    fn on_timeout(&mut self, _now: Instant) {
        self.threshold = self.halved();
        self.window = self.packet;
        self.partial_bytes_acked = 0;
    }

    fn on_idle(&mut self) {
        if !self.was_idle {
            self.threshold = self.window;
            self.was_idle = true;
        }
        self.window = self.halved();
    }

    fn set_packet(&mut self, bytes: usize) {
        self.packet = bytes;
        self.window = self.window.max(bytes);
    }
}
