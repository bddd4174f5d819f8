//! A flow as TCP would send it (Reno, RFC 5681), to stand beside ours at a bottleneck: a sender
//! that always has data, a receiver that acknowledges every second packet.
//!
//! Packets are numbered and never sent again; what TCP would retransmit is new data here, which
//! makes no difference to how fast it sends. An acknowledgement tells the last 64 packets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport::Ecn;

use crate::netsim::{Arrival, Departure, Node};
use crate::transcript::Side;

/// Later packets acknowledged after which one is lost.
const REORDERING: u64 = 3;

/// The shortest and the first retransmission timeout.
const MIN_RTO: Duration = Duration::from_millis(200);

/// RFC 1122 §4.2.3.2 allows half a second; everyone takes less.
const DELAYED_ACK: Duration = Duration::from_millis(40);

/// Sends as much as Reno allows.
#[derive(Debug)]
pub struct Sender {
    address: SocketAddr,
    to: SocketAddr,
    size: usize,
    cwnd: f64,
    ssthresh: f64,
    next: u64,
    /// When each packet was sent that is neither acknowledged nor lost.
    in_flight: VecDeque<(u64, Instant)>,
    /// Losses of packets before this one belong to an event that was answered.
    recovery: u64,
    srtt: Option<Duration>,
    rttvar: Duration,
    backoff: u32,
    last_progress: Option<Instant>,
}

impl Sender {
    /// A sender at `address` whose packets of `size` bytes go to `to`.
    pub const fn new(address: SocketAddr, to: SocketAddr, size: usize) -> Self {
        Self {
            address,
            to,
            size,
            cwnd: 3.0,
            ssthresh: f64::INFINITY,
            next: 0,
            in_flight: VecDeque::new(),
            recovery: 0,
            srtt: None,
            rttvar: Duration::ZERO,
            backoff: 0,
            last_progress: None,
        }
    }

    fn rto(&self) -> Duration {
        let base = self
            .srtt
            .map_or(Duration::from_secs(1), |srtt| srtt + 4 * self.rttvar);
        base.max(MIN_RTO) * (1 << self.backoff.min(6))
    }

    fn on_acknowledged(&mut self, now: Instant, last: u64, bitmap: u64) {
        let mut acked = 0;
        let mut lost = None;
        let mut sample = None;
        self.in_flight.retain(|&(number, sent)| {
            let back = last.wrapping_sub(number);
            let is_acked = number <= last && back < 64 && bitmap >> back & 1 == 1;
            if is_acked {
                acked += 1;
                if number == last {
                    sample = Some(now - sent);
                }
            } else if number + REORDERING <= last {
                lost = Some(number);
            } else {
                return true;
            }
            false
        });
        if let Some(sample) = sample {
            self.on_sample(sample);
        }
        if acked > 0 {
            self.backoff = 0;
            self.last_progress = Some(now);
        }
        if lost.is_some_and(|lost| lost >= self.recovery) {
            self.ssthresh = (self.cwnd / 2.0).max(2.0);
            self.cwnd = self.ssthresh;
            self.recovery = self.next;
        } else if self.cwnd < self.ssthresh {
            // RFC 5681 §3.1: at most one packet for each acknowledgement.
            self.cwnd += 1.0;
        } else {
            self.cwnd += f64::from(acked) / self.cwnd;
        }
    }

    fn on_sample(&mut self, sample: Duration) {
        match self.srtt {
            None => {
                self.srtt = Some(sample);
                self.rttvar = sample / 2;
            }
            Some(srtt) => {
                self.rttvar = self.rttvar * 3 / 4 + srtt.abs_diff(sample) / 4;
                self.srtt = Some(srtt * 7 / 8 + sample / 8);
            }
        }
    }
}

impl Node for Sender {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn side(&self) -> Side {
        Side::Server
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let word = |at: usize| arrival.payload.get(at..at + 8)?.try_into().ok();
        if let (Some(last), Some(bitmap)) = (word(0), word(8)) {
            self.on_acknowledged(now, u64::from_be_bytes(last), u64::from_be_bytes(bitmap));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.ssthresh = (self.cwnd / 2.0).max(2.0);
            self.cwnd = 1.0;
            self.in_flight.clear();
            self.recovery = self.next;
            self.backoff += 1;
            self.last_progress = Some(now);
        }
    }

    fn handle_rejected(&mut self, _now: Instant, limit: usize) {
        self.in_flight.pop_back();
        self.size = limit;
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        if self.in_flight.len() as f64 + 1.0 > self.cwnd {
            return None;
        }
        out.extend_from_slice(&self.next.to_be_bytes());
        out.resize(self.size.min(limit).max(8), 0);
        if self.in_flight.is_empty() {
            self.last_progress = Some(now);
        }
        self.in_flight.push_back((self.next, now));
        self.next += 1;
        Some(Departure {
            destination: self.to,
            ecn: Ecn::NotEct,
            segment_size: None,
            may_fragment: false,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let waits = !self.in_flight.is_empty();
        self.last_progress
            .filter(|_| waits)
            .map(|since| since + self.rto())
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Counts what comes and acknowledges it.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    last: Option<u64>,
    bitmap: u64,
    /// Whom to acknowledge to, since when, and how many packets.
    owed: Option<(SocketAddr, Instant, u32)>,
    received: u64,
}

impl Receiver {
    /// A receiver at `address`.
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            last: None,
            bitmap: 0,
            owed: None,
            received: 0,
        }
    }

    /// How many bytes came.
    pub const fn received(&self) -> u64 {
        self.received
    }

    fn on_packet(&mut self, now: Instant, source: SocketAddr, payload: &Bytes) {
        let Some(number) = payload.get(..8).and_then(|bytes| bytes.try_into().ok()) else {
            return;
        };
        let number = u64::from_be_bytes(number);
        self.received += payload.len() as u64;
        let (last, in_order) = match self.last {
            None => (number, true),
            Some(last) => (last, number == last + 1),
        };
        if number >= last {
            self.bitmap = self
                .bitmap
                .checked_shl(u32::try_from(number - last).unwrap_or(64))
                .unwrap_or(0)
                | 1;
            self.last = Some(number);
        } else if last - number < 64 {
            self.bitmap |= 1 << (last - number);
        }
        let (_, since, packets) = self.owed.unwrap_or((source, now, 0));
        // RFC 5681 §4.2: at once when something is missing.
        let packets = if in_order { packets + 1 } else { 2 };
        self.owed = Some((source, since, packets));
    }
}

impl Node for Receiver {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn side(&self) -> Side {
        Side::Client
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let size = arrival
            .segment_size
            .map_or(arrival.payload.len(), std::num::NonZeroUsize::get);
        let mut rest = arrival.payload;
        while !rest.is_empty() {
            let packet = rest.split_to(size.min(rest.len()));
            self.on_packet(now, arrival.source, &packet);
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn poll_transmit(
        &mut self,
        now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        let (destination, since, packets) = self.owed?;
        if packets < 2 && now < since + DELAYED_ACK {
            return None;
        }
        self.owed = None;
        out.extend_from_slice(&self.last?.to_be_bytes());
        out.extend_from_slice(&self.bitmap.to_be_bytes());
        // As long as a TCP header with options.
        out.resize(out.len() + 16, 0);
        Some(Departure {
            destination,
            ecn: Ecn::NotEct,
            segment_size: None,
            may_fragment: false,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.owed.map(|(_, since, _)| since + DELAYED_ACK)
    }

    fn is_done(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netsim::{Carrier, Config, Network, address};

    /// The goodput of `flows` of Reno at a bottleneck of 10 Mbit/s, in bytes a second each.
    fn goodput(flows: u8, loss: u32) -> Vec<u64> {
        let latency = Duration::from_millis(25);
        let down = Config {
            latency,
            loss,
            rate: Some(1_250_000),
            queue: 62_500,
            ..Config::default()
        };
        let mut senders: Vec<Sender> = (0..flows)
            .map(|flow| Sender::new(address(100 + flow, 1), address(flow, 1), 1472))
            .collect();
        let mut receivers: Vec<Receiver> = (0..flows)
            .map(|flow| Receiver::new(address(flow, 1)))
            .collect();
        let mut network = Network::new(Carrier::Udp, Config::latency(latency), down, 1).keeping(0);
        let mut nodes: Vec<&mut dyn Node> = Vec::new();
        nodes.extend(senders.iter_mut().map(|node| node as &mut dyn Node));
        nodes.extend(receivers.iter_mut().map(|node| node as &mut dyn Node));
        network.run(&mut nodes, Duration::from_secs(60));
        receivers.iter().map(|node| node.received / 60).collect()
    }

    #[test]
    fn one_flow_fills_the_bottleneck() {
        let alone = goodput(1, 0);
        assert!((1_100_000..1_250_000).contains(&alone[0]), "{alone:?}");
    }

    #[test]
    fn two_flows_share_the_bottleneck() {
        let both = goodput(2, 0);
        assert!(
            (1_100_000..1_250_000).contains(&both.iter().sum::<u64>()),
            "{both:?}"
        );
        assert!(both.iter().all(|rate| *rate > 400_000), "{both:?}");
    }

    #[test]
    fn losses_slow_a_flow_down_as_the_square_root_says() {
        // 1.22 packets in a round trip over the square root of the loss (RFC 3448 §3.1 with b = 1
        // has 1.22, delayed acknowledgements less): about 0.75 times 280,000 bytes a second.
        let alone = goodput(1, 10);
        assert!((180_000..420_000).contains(&alone[0]), "{alone:?}");
    }
}
