//! Congestion control of one path (RFC 9260 §7).

mod cubic;
mod new_reno;
mod slow_start;

use std::fmt;
use std::time::{Duration, Instant};

pub use cubic::Cubic;
pub use new_reno::NewReno;

/// Which congestion control to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 9260 §7.2, in the manner of TCP NewReno.
    NewReno,
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
}

impl Algorithm {
    pub(crate) fn start(self, packet: usize, ipv4: bool) -> Box<dyn Congestion> {
        match self {
            Self::NewReno => Box::new(NewReno::new(packet, ipv4)),
            Self::Cubic => Box::new(Cubic::new(packet, ipv4)),
        }
    }
}

/// What a SACK acknowledged on one path.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// When it came.
    pub now: Instant,
    /// Bytes that it acknowledged for the first time, of whole chunks with padding.
    pub bytes: usize,
    /// Bytes in flight on the path before it.
    pub flight_before: usize,
    /// Whether the Cumulative TSN Ack Point moved.
    pub cumulative_moved: bool,
    /// Whether the path recovers from a loss.
    pub in_recovery: bool,
    /// Whether nothing is in flight on the path any more.
    pub all_acked: bool,
    /// The smoothed round-trip time.
    pub srtt: Duration,
    /// That of the newest packet that has arrived.
    pub round_trip: Duration,
    /// The number of that packet, and of the next that will be sent.
    pub newest_packet: u64,
    /// The number of the next packet.
    pub next_packet: u64,
}

impl Acked {
    /// Whether the window was what limited: one that is not used does not grow. Pacing spreads
    /// what the window lets out, so it need not be full at each SACK.
    fn used(&self, window: usize, packet: usize, slow_start: bool) -> bool {
        self.flight_before + 2 * packet > window || (slow_start && self.flight_before * 2 >= window)
    }
}

/// A congestion control of one path. All sizes are bytes of whole chunks with padding.
pub trait Congestion: fmt::Debug + Send {
    /// How much may be in flight (cwnd).
    fn window(&self) -> usize;
    /// Where slow start ends (ssthresh).
    fn threshold(&self) -> usize;
    /// Something was acknowledged.
    fn on_ack(&mut self, acked: &Acked);
    /// A packet is known to be lost, or to have been marked (RFC 3168 §5: "the congestion control
    /// response ... MUST be essentially the same"); at most once per round trip.
    fn on_loss(&mut self, now: Instant);
    /// The retransmission timer expired (T3-rtx).
    fn on_timeout(&mut self, now: Instant);
    /// Nothing was sent for an RTO.
    fn on_idle(&mut self);
    /// The largest packet's room for chunks (PMDCS) is now so many bytes.
    fn set_packet(&mut self, bytes: usize);
}

/// The initial window (RFC 9260 §7.2.1).
pub(crate) fn initial_window(packet: usize, ipv4: bool) -> usize {
    let floor = if ipv4 { 4404 } else { 4344 };
    (4 * packet).min((2 * packet).max(floor))
}

#[cfg(test)]
mod tests;
