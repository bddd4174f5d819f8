//! A sender, an ideal bottleneck and a receiver, for tests of congestion control: packets of one
//! size, and nothing else of DCCP than sequence numbers, Ack Vectors and the CCIDs' own options.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Acknowledgment, Arrived, Ccid, Permit, Receiver, SentData, Settings};
use crate::Seq;
use crate::connection::sent::Sent;
use crate::packet::{AckVector, OptionWriter, Options, PacketState, Run};

mod tests;

/// Bytes of a packet.
const SIZE: usize = 1000;

/// The most packets that an Ack Vector tells of.
const HISTORY: usize = 1024;

/// The path.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// Data packets a second through the bottleneck.
    rate: u32,
    /// Packets that wait there at most.
    queue: u128,
    /// Of a round trip without a queue.
    rtt: Duration,
    /// One packet in so many is lost at random beside; 0: none.
    loss_of: u64,
    /// One acknowledgement in so many is lost.
    ack_loss_of: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Data packets a second that arrived in the second half of the time.
    goodput: f64,
    /// The mean rate that the sender reported in that half, in packets a second.
    rate: f64,
    /// The mean loss event rate that it reported.
    loss_event_rate: f64,
    report: super::Report,
    wishes: super::Wishes,
}

#[derive(Debug)]
struct Data {
    arrives: Instant,
    seq: u64,
    ccval: u8,
}

#[derive(Debug)]
struct Ack {
    arrives: Instant,
    ackno: u64,
    cells: Vec<u8>,
    options: Vec<u8>,
}

/// What the receiving end knows of the packets that came, from `first` on.
#[derive(Debug, Default)]
struct Arrivals {
    first: u64,
    received: VecDeque<bool>,
    unacknowledged: u64,
    /// In the second half of the time.
    counted: u32,
}

impl Arrivals {
    fn on_packet(&mut self, seq: u64) {
        while self.first + (self.received.len() as u64) < seq {
            self.received.push_back(false);
        }
        self.received.push_back(true);
        let excess = self.received.len().saturating_sub(HISTORY);
        self.received.drain(..excess);
        self.first += excess as u64;
        self.unacknowledged += 1;
    }

    /// As an Ack Vector.
    fn cells(&self) -> Vec<u8> {
        let mut runs: Vec<Run> = Vec::new();
        for &received in self.received.iter().rev() {
            let state = Some(if received {
                PacketState::Received
            } else {
                PacketState::NotReceived
            });
            match runs.last_mut() {
                Some(run) if run.state == state && run.length < Run::MAX_LENGTH => run.length += 1,
                _ => runs.push(Run { state, length: 1 }),
            }
        }
        runs.iter().map(|run| run.to_cell()).collect()
    }
}

#[derive(Debug)]
struct Simulation {
    path: Path,
    now: Instant,
    /// When the second half of the time begins.
    middle: Instant,
    sender: Box<dyn super::Sender>,
    sent: Sent,
    next: u64,
    limited: bool,
    /// When the bottleneck has sent what waits there.
    free: Instant,
    data: VecDeque<Data>,
    receiver: Box<dyn Receiver>,
    arrivals: Arrivals,
    acks: VecDeque<Ack>,
    acks_lost: u64,
    /// The sums of rates and of loss event rates reported, and of how many.
    sums: (f64, f64, f64),
    random: u64,
}

impl Simulation {
    fn new(ccid: Ccid, path: Path, time: Duration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let settings = Settings {
            packet_size: SIZE,
            rtt: Some(path.rtt),
            ..Settings::default()
        };
        Self {
            path,
            now,
            middle: now + time / 2,
            sender: super::sender(ccid, &settings).unwrap(),
            sent: Sent::new(Seq::new(0), 1 << 20),
            next: 0,
            limited: false,
            free: now,
            data: VecDeque::new(),
            receiver: super::receiver(ccid).unwrap(),
            arrivals: Arrivals::default(),
            acks: VecDeque::new(),
            acks_lost: 0,
            sums: (0.0, 0.0, 0.0),
            random: 12345,
        }
    }

    /// Sends as much as is permitted for so long.
    fn run(ccid: Ccid, path: Path, time: Duration) -> Outcome {
        let mut simulation = Self::new(ccid, path, time);
        let end = simulation.middle + time / 2;
        while simulation.now < end {
            simulation.step(end);
        }
        let (rates, loss_rates, count) = simulation.sums;
        Outcome {
            goodput: f64::from(simulation.arrivals.counted) / (time / 2).as_secs_f64(),
            rate: rates / count / 1000.0,
            loss_event_rate: loss_rates / count,
            report: simulation.sender.report(),
            wishes: simulation.sender.wishes(),
        }
    }

    fn step(&mut self, end: Instant) {
        while self
            .data
            .front()
            .is_some_and(|data| data.arrives <= self.now)
        {
            let data = self.data.pop_front().unwrap();
            self.on_data(&data);
        }
        while self.acks.front().is_some_and(|ack| ack.arrives <= self.now) {
            let ack = self.acks.pop_front().unwrap();
            self.on_ack(&ack);
        }
        if self.sender.handle_timeout(self.now) {
            self.sent.forget_in_flight();
        }
        if self.receiver.handle_timeout(self.now) {
            self.acknowledge();
        }
        let wake = self.send();
        let times = [
            self.data.front().map(|packet| packet.arrives),
            self.acks.front().map(|ack| ack.arrives),
            self.sender.poll_timeout(),
            self.receiver.poll_timeout(),
            wake,
        ];
        self.now = times
            .into_iter()
            .flatten()
            .min()
            .map_or(end, |at| at.max(self.now));
    }

    /// True once in so many times; never for 0.
    fn chance(&mut self, of: u64) -> bool {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        of > 0 && (self.random >> 33).is_multiple_of(of)
    }

    /// Sends what is permitted; when to try again, if not after an acknowledgement.
    fn send(&mut self) -> Option<Instant> {
        for _ in 0..100_000 {
            match self.sender.permit(self.now, self.sent.in_flight()) {
                Permit::Now(count) => assert!(count > 0),
                Permit::At(at) => {
                    assert!(at > self.now);
                    self.limited = true;
                    return Some(at);
                }
                Permit::Wait => {
                    self.limited = true;
                    return None;
                }
            }
            self.send_one();
        }
        panic!("too many packets at once");
    }

    fn send_one(&mut self) {
        let seq = Seq::new(self.next);
        self.sent.on_sent(self.now, seq, Some(SIZE));
        let sent = SentData {
            seq,
            size: SIZE,
            in_flight: self.sent.in_flight(),
        };
        let ccval = self.sender.on_sent(self.now, sent);
        let gap = Duration::from_secs(1) / self.path.rate;
        let waiting = self.free.saturating_duration_since(self.now).as_nanos() / gap.as_nanos();
        if !self.chance(self.path.loss_of) && waiting <= self.path.queue {
            self.free = self.free.max(self.now) + gap;
            let arrives = self.free + self.path.rtt / 2;
            self.data.push_back(Data {
                arrives,
                seq: self.next,
                ccval,
            });
        }
        self.next += 1;
    }

    fn on_data(&mut self, data: &Data) {
        self.arrivals.on_packet(data.seq);
        self.arrivals.counted += u32::from(self.now > self.middle);
        let due = self.receiver.on_arrived(
            self.now,
            &Arrived {
                seq: Seq::new(data.seq),
                ccval: data.ccval,
                data: Some(SIZE),
                marked: false,
                nonce: false,
                ndp_count: None,
                rtt: None,
            },
        );
        let ratio = self.sender.wishes().ack_ratio.map_or(2, u64::from);
        let is_full = self.arrivals.unacknowledged >= ratio;
        if due || self.receiver.uses_ack_ratio() && is_full {
            self.acknowledge();
        }
    }

    fn acknowledge(&mut self) {
        self.arrivals.unacknowledged = 0;
        let ackno = self.arrivals.first + self.arrivals.received.len() as u64 - 1;
        let mut options = OptionWriter::default();
        options.reset(500);
        self.receiver
            .write_feedback(self.now, Seq::new(ackno), &mut options);
        if self.chance(self.path.ack_loss_of) {
            self.acks_lost += 1;
        } else {
            let cells = self.arrivals.cells();
            let options = options.bytes().to_vec();
            let arrives = self.now + self.path.rtt / 2;
            self.acks.push_back(Ack {
                arrives,
                ackno,
                cells,
                options,
            });
        }
    }

    fn on_ack(&mut self, ack: &Ack) {
        let ackno = Seq::new(ack.ackno);
        let vector = AckVector {
            nonce: false,
            cells: &ack.cells,
        };
        let settled = self.sent.on_acknowledged(
            self.now,
            ackno,
            [vector].into_iter(),
            std::iter::empty(),
            Duration::ZERO,
            |_, _| (),
        );
        self.sender.on_acknowledged(
            self.now,
            &Acknowledgment {
                ackno,
                received: settled.received,
                marked: settled.marked,
                lost: settled.lost,
                latest_loss: settled.latest_loss,
                in_flight: self.sent.in_flight(),
                limited: std::mem::take(&mut self.limited),
                rtt: settled.rtt,
                acks_lost: std::mem::take(&mut self.acks_lost),
                dropped: settled.dropped,
                slow_receiver: false,
                options: Options::new(&ack.options),
            },
        );
        if self.now > self.middle {
            let report = self.sender.report();
            #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
            let rate = report.rate as f64;
            self.sums.0 += rate;
            self.sums.1 += report.loss_event_rate;
            self.sums.2 += 1.0;
        }
    }
}
