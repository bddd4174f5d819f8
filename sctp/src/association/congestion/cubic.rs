use std::time::Instant;

use super::slow_start::SlowStart;
use super::{Acked, Congestion, initial_window};

/// RFC 9438 §4.6: the window after a loss, to the one before.
const BETA: f64 = 0.7;
/// RFC 9438 §5: how fast the window grows, in packets per second cubed.
const C: f64 = 0.4;
/// RFC 9438 §4.3: the growth of a flow that shares as Reno does, with [`BETA`].
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// CUBIC (RFC 9438), in bytes of chunks.
#[derive(Debug)]
pub struct Cubic {
    packet: usize,
    window: usize,
    threshold: usize,
    /// Where the window stood when it was last reduced (W_max), in packets.
    w_max: f64,
    /// The window of a Reno-like flow (W_est), in packets.
    w_est: f64,
    /// When this growth began, and from which window, in packets.
    epoch: Option<(Instant, f64)>,
    /// Growth that is not a whole byte yet.
    fraction: f64,
    slow_start: SlowStart,
}

impl Cubic {
    /// At the start of a path whose packets have room for `packet` bytes of chunks.
    pub fn new(packet: usize, ipv4: bool) -> Self {
        Self {
            packet,
            window: initial_window(packet, ipv4),
            threshold: usize::MAX,
            w_max: 0.0,
            w_est: 0.0,
            epoch: None,
            fraction: 0.0,
            slow_start: SlowStart::new(),
        }
    }

    fn in_packets(&self, bytes: usize) -> f64 {
        to_f64(bytes) / to_f64(self.packet)
    }

    fn reduce(&mut self) {
        let window = self.in_packets(self.window);
        // RFC 9438 §4.7, fast convergence: give way to new flows.
        self.w_max = if window < self.w_max {
            window * (1.0 + BETA) / 2.0
        } else {
            window
        };
        self.threshold = to_usize(to_f64(self.window) * BETA).max(2 * self.packet);
        self.epoch = None;
        self.fraction = 0.0;
    }

    /// RFC 9438 §4.2 to §4.5.
    fn avoid(&mut self, acked: &Acked) {
        let window = self.in_packets(self.window);
        let (began, start) = *self.epoch.get_or_insert((acked.now, window));
        if began == acked.now {
            self.w_est = start;
            if self.w_max < start {
                self.w_max = start;
            }
        }
        let k = ((self.w_max - start) / C).cbrt();
        let elapsed = acked.now.duration_since(began) + acked.srtt;
        let target = C * (elapsed.as_secs_f64() - k).powi(3) + self.w_max;
        let packets = self.in_packets(acked.bytes);
        let alpha = if self.w_est >= self.w_max { 1.0 } else { ALPHA };
        self.w_est += alpha * packets / window;
        let growth = if target.max(self.w_est) <= self.w_est {
            self.w_est - window
        } else {
            (target.clamp(window, 1.5 * window) - window) * packets / window
        };
        self.fraction += growth.max(0.0) * to_f64(self.packet);
        let whole = to_usize(self.fraction);
        self.window += whole;
        self.fraction -= to_f64(whole);
    }
}

impl Congestion for Cubic {
    fn window(&self) -> usize {
        self.window
    }

    fn threshold(&self) -> usize {
        self.threshold
    }

    fn on_ack(&mut self, acked: &Acked) {
        let slow = self.window < self.threshold;
        // RFC 9438 §5.8
        if acked.in_recovery || !acked.used(self.window, self.packet, slow) {
            return;
        }
        if !slow {
            self.avoid(acked);
            return;
        }
        match self.slow_start.growth(acked) {
            Some(bytes) => self.window += bytes,
            None => self.threshold = self.window,
        }
    }

    fn on_loss(&mut self, _now: Instant) {
        self.reduce();
        self.window = self.threshold;
    }

    fn on_timeout(&mut self, _now: Instant) {
        self.reduce();
        self.window = self.packet;
    }

    fn on_idle(&mut self) {
        self.threshold = self.threshold.max(self.window / 4 * 3);
        self.window = (self.window / 2).max(4 * self.packet);
        self.epoch = None;
    }

    fn set_packet(&mut self, bytes: usize) {
        let change = to_f64(self.packet) / to_f64(bytes);
        self.w_max *= change;
        self.w_est *= change;
        self.packet = bytes;
        self.window = self.window.max(bytes);
        self.epoch = None;
    }
}

#[expect(clippy::cast_precision_loss, reason = "windows are far below 2^52")]
const fn to_f64(bytes: usize) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a window: not negative, and saturating"
)]
const fn to_usize(bytes: f64) -> usize {
    bytes as usize
}
