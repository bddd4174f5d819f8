//! The half that receives data (RFC 5348 §6, RFC 4342 §10).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::history::{History, Packet};
use super::options::Report;
use crate::Seq;
use crate::ccid::{Arrived, Ccid, DEFAULT_RTT, tfrc};
use crate::packet::OptionWriter;

/// The most times at which feedback was sent that are remembered.
const MARKS: usize = 8;

/// The half that receives data.
#[derive(Debug)]
pub(crate) struct Receiver {
    history: History,
    round_trip: RoundTrip,
    rate: ReceiveRate,
    /// The latest packet, and when it came.
    latest: Option<(Seq, Instant)>,
    /// The greatest window counter since feedback was last sent, or that of then.
    counter: Option<u8>,
    /// `last_counter`: the greatest one when feedback was last sent.
    told_counter: Option<u8>,
    /// The mean size of data packets, in bytes.
    size: f64,
    is_due: bool,
    /// When feedback is due although no counter asks for it.
    deadline: Option<Instant>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Self {
            history: History::new(),
            round_trip: RoundTrip::default(),
            rate: ReceiveRate::default(),
            latest: None,
            counter: None,
            told_counter: None,
            size: 0.0,
            is_due: false,
            deadline: None,
        }
    }

    /// Takes note of a data packet; whether its window counter asks for feedback (DT2).
    fn on_data(&mut self, now: Instant, packet: &Arrived, size: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let bytes = size as f64;
        self.size += (bytes - self.size) * if self.size > 0.0 { 0.1 } else { 1.0 };
        self.rate.on_data(now, size as u64);
        let counter = packet.ccval & 15;
        self.round_trip.on_data(now, counter);
        let is_ahead = |of: u8| (1..=8).contains(&(counter.wrapping_sub(of) & 15));
        if self.counter.is_none_or(is_ahead) {
            self.counter = Some(counter);
        }
        // A packet is at most 5 ahead of the one before it, so at most 8 ahead of a counter that
        // no packet was 4 ahead of; what seems further ahead is late.
        let asks = |told: u8| (4..=8).contains(&(counter.wrapping_sub(told) & 15));
        self.told_counter.is_none_or(asks)
    }

    /// Chooses the length of the interval before the first loss (RFC 5348 §6.3.1).
    fn seed(&mut self, now: Instant, rtt: Duration) {
        let rate = self.rate.highest(now, rtt);
        let packets = rate * rtt.as_secs_f64() / self.size.max(1.0);
        let wanted = if self.history.is_null_seed() {
            0.5
        } else {
            packets.max(0.5)
        };
        self.history.seed(tfrc::loss_event_rate_for(wanted));
    }
}

impl crate::ccid::Receiver for Receiver {
    fn ccid(&self) -> Ccid {
        Ccid::CCID3
    }

    fn on_arrived(&mut self, now: Instant, packet: &Arrived) -> bool {
        if self.latest.is_none_or(|(seq, _)| seq.precedes(packet.seq)) {
            self.latest = Some((packet.seq, now));
        }
        if let Some(rtt) = packet.rtt {
            self.round_trip.known = Some(rtt);
        }
        let asks = packet
            .data
            .is_some_and(|size| self.on_data(now, packet, size));
        let before = self.history.loss_event_rate();
        let is_event = self.history.on_packet(&Packet {
            seq: packet.seq,
            counter: packet.ccval & 15,
            is_data: packet.data.is_some(),
            marked: packet.marked,
            nonce: packet.nonce,
            ndp_count: packet.ndp_count.unwrap_or(0),
        });
        let rtt = self.round_trip.estimate();
        if self.history.wants_seed() {
            self.seed(now, rtt);
        }
        // RFC 4342 §10.3: feedback at once "when a newly calculated loss event rate p is greater
        // than its previous value".
        let is_worse = is_event && self.history.loss_event_rate() > before;
        if asks || is_worse {
            self.is_due = true;
            self.deadline = None;
        } else if packet.data.is_some() && !self.is_due && self.deadline.is_none() {
            self.deadline = Some(now + rtt + rtt / 4);
        }
        self.is_due
    }

    fn uses_ack_ratio(&self) -> bool {
        false
    }

    fn write_feedback(&mut self, now: Instant, ackno: Seq, options: &mut OptionWriter) {
        if !self.is_due {
            return;
        }
        let rtt = self.round_trip.estimate();
        let (skip, intervals) = self.history.intervals(ackno);
        let elapsed = self.latest.filter(|(seq, _)| *seq == ackno);
        let report = Report {
            elapsed: elapsed.map_or(Duration::ZERO, |(_, at)| now.saturating_duration_since(at)),
            receive_rate: whole(self.rate.measure(now, rtt)),
            loss_event_rate: self.history.mean_interval(),
            skip,
        };
        if report.write(intervals, options) {
            self.rate.mark(now, rtt);
            self.told_counter = self.counter;
            self.is_due = false;
            self.deadline = None;
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.is_due = true;
        }
        self.is_due
    }
}

/// Bytes a second as they are told.
fn whole(rate: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let whole = rate as u32;
    whole
}

/// The round-trip time as the sender's window counters tell it (RFC 4342 §8.1).
#[derive(Debug, Default)]
struct RoundTrip {
    /// When the first data packet with each counter came, of the last four counters.
    first: [Option<Instant>; 16],
    /// The greatest counter.
    counter: Option<u8>,
    smoothed: Option<Duration>,
    /// Whether it was made of packets four counters apart.
    is_exact: bool,
    /// What this end has measured itself.
    known: Option<Duration>,
}

impl RoundTrip {
    fn on_data(&mut self, now: Instant, counter: u8) {
        let Some(latest) = self.counter else {
            self.counter = Some(counter);
            self.first[usize::from(counter)] = Some(now);
            return;
        };
        let ahead = counter.wrapping_sub(latest) & 15;
        if !(1..=8).contains(&ahead) {
            return;
        }
        for skipped in 1..=ahead {
            self.first[usize::from((latest + skipped) & 15)] = None;
        }
        self.counter = Some(counter);
        self.first[usize::from(counter)] = Some(now);
        // `(T(K+D) - T(K)) * 4/D` for D = 4, and until there is such a one, 3 or 2.
        let sample = |distance: u8| {
            let before = self.first[usize::from(counter.wrapping_sub(distance) & 15)]?;
            Some(now.saturating_duration_since(before) * 4 / u32::from(distance))
        };
        if let Some(sample) = sample(4) {
            self.smoothed = Some(match self.smoothed {
                Some(rtt) if self.is_exact => rtt - rtt / 8 + sample / 8,
                _ => sample,
            });
            self.is_exact = true;
        } else if !self.is_exact {
            self.smoothed = sample(3).or_else(|| sample(2)).or(self.smoothed);
        }
        // Out of reach of the next ones: the number comes round.
        self.first[usize::from(counter.wrapping_add(8) & 15)] = None;
    }

    fn estimate(&self) -> Duration {
        let rtt = self.smoothed.or(self.known).unwrap_or(DEFAULT_RTT);
        rtt.max(Duration::from_micros(1))
    }
}

/// Bytes that came, and since when.
#[derive(Debug, Default)]
struct ReceiveRate {
    bytes: u64,
    /// When feedback was sent, and `bytes` then, oldest first: the latest that is at least a round
    /// trip ago, and those after it.
    marks: VecDeque<(Instant, u64)>,
    /// The highest rate told so far.
    highest: f64,
}

impl ReceiveRate {
    fn on_data(&mut self, now: Instant, size: u64) {
        if self.marks.is_empty() {
            // The first packet begins the time that rates are measured over.
            self.marks.push_back((now, size));
        }
        self.bytes += size;
    }

    /// The rate since feedback was last sent, or over a round trip if that is longer (RFC 4342
    /// §8.3), in bytes a second; 0 for the first packet (RFC 5348 §6.3). `rtt` is not zero.
    fn measure(&mut self, now: Instant, rtt: Duration) -> f64 {
        let since = |mark: Instant| now.saturating_duration_since(mark);
        let old = self.marks.iter().rev().find(|(at, _)| since(*at) >= rtt);
        let Some(&(at, bytes)) = old.or(self.marks.front()) else {
            return 0.0;
        };
        let time = since(at).max(rtt).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "bytes of a few round trips")]
        let bytes = (self.bytes - bytes) as f64;
        let rate = bytes / time;
        self.highest = self.highest.max(rate);
        rate
    }

    /// The highest rate so far, the current one included.
    fn highest(&mut self, now: Instant, rtt: Duration) -> f64 {
        self.measure(now, rtt);
        self.highest
    }

    /// Feedback is sent now.
    fn mark(&mut self, now: Instant, rtt: Duration) {
        while let Some(&(second, _)) = self.marks.get(1) {
            if now.saturating_duration_since(second) < rtt {
                break;
            }
            self.marks.pop_front();
        }
        // Closer marks would not make the rate more exact by much.
        let is_close = |at: Instant| now.saturating_duration_since(at) < rtt / 4;
        if self.marks.len() < MARKS && !self.marks.back().is_some_and(|(at, _)| is_close(*at)) {
            self.marks.push_back((now, self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ccid::Receiver as _;
    use crate::ccid::ccid3::options::Feedback;
    use crate::packet::Options;

    const MS: Duration = Duration::from_millis(1);

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        Instant::now()
    }

    fn data(seq: u64, ccval: u8) -> Arrived {
        Arrived {
            seq: Seq::new(seq),
            ccval,
            data: Some(1000),
            marked: false,
            nonce: false,
            ndp_count: None,
            rtt: None,
        }
    }

    /// What goes out now, on an acknowledgement of `ackno`.
    fn feedback<T>(
        receiver: &mut Receiver,
        now: Instant,
        ackno: u64,
        look: impl FnOnce(Feedback<'_>) -> T,
    ) -> T {
        let mut options = OptionWriter::default();
        options.reset(500);
        receiver.write_feedback(now, Seq::new(ackno), &mut options);
        look(Feedback::read(Options::new(options.bytes())))
    }

    #[test]
    fn dt2_feedback_is_due_four_counters_on() {
        let now = start();
        let mut receiver = Receiver::new();
        assert!(
            receiver.on_arrived(now, &data(0, 0)),
            "the first data packet"
        );
        feedback(&mut receiver, now + MS, 0, |it| {
            assert_eq!(it.elapsed, Some(MS));
            assert_eq!(it.receive_rate, Some(0));
            assert_eq!(it.loss_event_rate, Some(u32::MAX));
            let intervals: Vec<_> = it.loss_intervals.unwrap().iter().collect();
            assert_eq!(intervals.len(), 1);
            assert_eq!((intervals[0].lossless, intervals[0].data), (1, 0));
        });
        let due: Vec<_> = (1..=6)
            .map(|step| {
                let at = now + MS * 25 * step;
                let seq = u64::from(step);
                let due = receiver.on_arrived(at, &data(seq, u8::try_from(step).unwrap()));
                feedback(&mut receiver, at, seq, |it| {
                    assert_eq!(it.receive_rate.is_some(), due)
                });
                due
            })
            .collect();
        assert_eq!(due, [false, false, false, true, false, false]);
        // A jump by 5, as after a pause, from 2 ahead of what was told.
        assert!(receiver.on_arrived(now + MS * 900, &data(7, 11)));
    }

    #[test]
    fn dt2_feedback_is_due_when_a_loss_raises_the_rate() {
        let now = start();
        let mut receiver = Receiver::new();
        receiver.on_arrived(now, &data(0, 0));
        feedback(&mut receiver, now, 0, |_| ());
        for seq in [1, 3, 4] {
            assert!(!receiver.on_arrived(now + MS, &data(seq, 0)));
        }
        assert!(receiver.on_arrived(now + MS, &data(5, 0)));
        feedback(&mut receiver, now + MS, 5, |it| {
            let intervals: Vec<_> = it.loss_intervals.unwrap().iter().collect();
            assert_eq!(intervals.len(), 2);
            assert_eq!((intervals[0].loss, intervals[0].lossless), (1, 3));
            let packets = tfrc::packets_per_rtt(1.0 / f64::from(it.loss_event_rate.unwrap()));
            assert!(
                (3.9..4.1).contains(&packets),
                "what came in the round trip: {packets}"
            );
        });
        assert!(!receiver.on_arrived(now + MS, &data(6, 0)));
    }

    #[test]
    fn the_last_packets_are_told_after_a_round_trip() {
        let now = start();
        let mut receiver = Receiver::new();
        receiver.on_arrived(now, &data(0, 0));
        feedback(&mut receiver, now, 0, |_| ());
        assert_eq!(receiver.poll_timeout(), None);
        receiver.on_arrived(now, &data(1, 0));
        let due = receiver.poll_timeout().unwrap();
        assert!(due >= now + DEFAULT_RTT);
        assert!(!receiver.handle_timeout(due - MS));
        assert!(receiver.handle_timeout(due));
        feedback(&mut receiver, due, 1, |it| {
            assert!(it.receive_rate.is_some())
        });
        assert!(!receiver.handle_timeout(due));
        assert_eq!(receiver.poll_timeout(), None);
    }

    #[test]
    fn dt1_round_trips_are_told_from_counters() {
        let now = start();
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.estimate(), DEFAULT_RTT);
        round_trip.known = Some(MS * 70);
        assert_eq!(round_trip.estimate(), MS * 70);
        // The drawing of RFC 4342 §8.1, with K = 14; K + 3 and K + 4 come a second time, mixed.
        let arrivals = [(0, 13), (5, 13), (10, 14), (14, 14), (30, 15)];
        for (at, counter) in arrivals.into_iter().chain([(82, 2), (86, 1), (90, 2)]) {
            round_trip.on_data(now + MS * at, counter);
        }
        // T(K+4) - T(K).
        assert_eq!(round_trip.estimate(), MS * 72);
        // Not over a jump by 5.
        let mut round_trip = RoundTrip::default();
        for step in 0..10u8 {
            round_trip.on_data(now + MS * 300 * u32::from(step), (step * 5) & 15);
        }
        assert_eq!(round_trip.smoothed, None);
    }

    #[test]
    fn the_receive_rate_is_over_a_round_trip_at_least() {
        let now = start();
        let rtt = MS * 100;
        let mut rate = ReceiveRate::default();
        // 1000 bytes every 10 ms: 100 kB/s.
        rate.on_data(now, 1000);
        assert_eq!(rate.measure(now, rtt), 0.0);
        for step in 1..=40 {
            let at = now + MS * 10 * step;
            rate.on_data(at, 1000);
            // Feedback much more often than once in a round trip.
            let measured = rate.measure(at, rtt);
            let expected = if at - now < rtt {
                f64::from(step) * 10_000.0
            } else {
                100_000.0
            };
            assert!(
                (0.999..1.001).contains(&(measured / expected)),
                "{measured}"
            );
            rate.mark(at, rtt);
            assert!(rate.marks.len() <= MARKS);
        }
        let later = now + MS * 600;
        assert!(
            rate.measure(later, rtt) < 10_001.0,
            "since the last feedback, nearly"
        );
        assert!(rate.highest(later, rtt) > 99_999.0);
    }

    #[test]
    fn dt10_the_first_interval_is_that_of_the_highest_receive_rate() {
        let now = start();
        let mut receiver = Receiver::new();
        // 20 packets in a round trip of 100 ms, and number 150 is lost.
        let mut at = now;
        for seq in (0..154).filter(|seq| *seq != 150) {
            at = now + MS * 5 * u32::try_from(seq).unwrap();
            receiver.on_arrived(at, &data(seq, u8::try_from((seq / 5) & 15).unwrap()));
            feedback(&mut receiver, at, seq, |_| ());
        }
        assert!(at > now);
        let p = receiver.history.loss_event_rate();
        let packets = tfrc::packets_per_rtt(p);
        assert!((19.0..21.0).contains(&packets), "{packets}");
        // The first packet marked: half a packet in a round trip.
        let mut receiver = Receiver::new();
        receiver.on_arrived(
            now,
            &Arrived {
                marked: true,
                ..data(0, 0)
            },
        );
        let packets = tfrc::packets_per_rtt(receiver.history.loss_event_rate());
        assert!((0.45..0.55).contains(&packets), "{packets}");
    }
}
