//! The half that sends data (RFC 5348 §4, RFC 4342 §5 and §8.1).

use std::time::{Duration, Instant};

use super::counter::Counter;
use super::limited::NotLimited;
use super::options::Feedback;
use super::receive_set::ReceiveSet;
use super::seconds;
use crate::Seq;
use crate::ccid::tfrc;
use crate::ccid::window::SequenceWindow;
use crate::ccid::{Acknowledgment, Ccid, DEFAULT_RTT, Permit, Report, SentData, Settings, Wishes};

#[cfg(test)]
mod tests;

/// `t_mbi` in seconds: one packet in so long is always allowed.
const MAX_BACKOFF: f64 = 64.0;

/// `q` and `q2`: the weight of the past in the round-trip time and the mean of its square root.
const PAST: f64 = 0.9;

/// The nofeedback timer before there is a round trip (RFC 5348 §4.2).
const INITIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// `t_gran`: how exactly a caller keeps the time that [`Permit::At`] names.
const GRANULARITY: Duration = Duration::from_millis(1);

/// The half that sends data.
#[derive(Debug)]
pub(crate) struct Sender {
    /// `s`: the mean size of data packets, in bytes.
    size: f64,
    /// `MSS`.
    packet_size: f64,
    max_window: u64,
    min_timeout: Duration,
    /// `R` in seconds, and `R_sqmean`.
    rtt: Option<(f64, f64)>,
    /// `X` in bytes a second.
    rate: f64,
    /// `X_inst`.
    instant_rate: f64,
    /// `X_Bps`; infinite before the first loss.
    fair_rate: f64,
    /// `p`.
    loss_event_rate: f64,
    /// Where the newest loss interval begins.
    interval: Option<Seq>,
    /// `tld`.
    doubled: Option<Instant>,
    receive_set: ReceiveSet,
    /// The nofeedback timer.
    deadline: Option<Instant>,
    /// Whether data was sent since the timer was set.
    is_active: bool,
    last_sent: Option<Instant>,
    /// The nominal time of the packet sent last. The next one follows it at whatever rate there is
    /// by then, so that a long wait ends when the rate rises (RFC 5348 §4.6).
    paced_from: Option<Instant>,
    /// That packet's size in bytes: it, not `s`, is what the rate was used for. With `s` a flow of
    /// short packets would wait for bytes that it did not send, be received at less than half of
    /// what it may send, and be allowed less and less.
    paced_size: f64,
    limited: NotLimited,
    counter: Counter,
    /// Reports since the last feedback packet that slow the sender down (DT12).
    slowed: Slowed,
    sequence_window: SequenceWindow,
    loss_events: u64,
    timeouts: u64,
}

/// Data Dropped and Slow Receiver since the last feedback packet.
#[derive(Clone, Copy, Debug, Default)]
struct Slowed {
    buffer_drops: u64,
    /// Dropped with a code from 3 on.
    as_marked: bool,
    slow_receiver: bool,
}

impl Slowed {
    const fn is_any(self) -> bool {
        self.buffer_drops > 0 || self.as_marked || self.slow_receiver
    }
}

impl Sender {
    pub(crate) fn new(settings: &Settings) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "packets are far smaller than 2^52"
        )]
        let size = settings.packet_size.max(1) as f64;
        let mut sender = Self {
            size,
            packet_size: size,
            max_window: settings.max_window.max(1),
            min_timeout: settings.min_rto,
            rtt: None,
            rate: size,
            instant_rate: size,
            fair_rate: f64::INFINITY,
            loss_event_rate: 0.0,
            interval: None,
            doubled: None,
            receive_set: ReceiveSet::new(),
            deadline: None,
            is_active: false,
            last_sent: None,
            paced_from: None,
            paced_size: size,
            limited: NotLimited::default(),
            counter: Counter::default(),
            slowed: Slowed::default(),
            sequence_window: SequenceWindow::new(settings.sequence_window),
            loss_events: 0,
            timeouts: 0,
        };
        // RFC 5348 §4.2: "the first round-trip time measurement (e.g., after the first feedback
        // packet or the SYN exchange from the connection setup [..])".
        if let Some(rtt) = settings.rtt {
            sender.on_sample(rtt);
            sender.rate = sender.initial_rate();
            sender.instant_rate = sender.rate;
        }
        sender
    }

    /// `R` in seconds.
    fn round_trip(&self) -> f64 {
        self.rtt.map_or(DEFAULT_RTT.as_secs_f64(), |(rtt, _)| rtt)
    }

    /// `initial_rate` and `recover_rate` (RFC 5348 §4.2, §4.4).
    fn initial_rate(&self) -> f64 {
        let window = (4.0 * self.packet_size).min((2.0 * self.packet_size).max(4380.0));
        window / self.round_trip()
    }

    /// One packet in 64 seconds.
    fn lowest_rate(&self) -> f64 {
        self.size / MAX_BACKOFF
    }

    /// `t_ipi`.
    fn gap(&self) -> Duration {
        self.time_for(self.size)
    }

    /// How long so many bytes take at the rate now.
    fn time_for(&self, bytes: f64) -> Duration {
        seconds(bytes / self.instant_rate)
    }

    /// How much earlier than its nominal time a packet may be sent (RFC 5348 §8.3).
    fn early(&self) -> Duration {
        self.gap().min(GRANULARITY).min(seconds(self.round_trip())) / 2
    }

    /// The nominal time of the next packet. What was not used of the time before counts for a
    /// round trip and no longer (RFC 5348 §4.6).
    fn nominal(&self, now: Instant) -> Instant {
        let credit = self.rtt.map_or(Duration::ZERO, |(rtt, _)| seconds(rtt));
        let oldest = now.checked_sub(credit).unwrap_or(now);
        self.paced_from.map_or(now, |last| {
            (last + self.time_for(self.paced_size)).max(oldest)
        })
    }

    /// The nofeedback timer's length.
    fn timeout(&self) -> Duration {
        let Some((rtt, _)) = self.rtt else {
            return INITIAL_TIMEOUT;
        };
        seconds((4.0 * rtt).max(2.0 * self.size / self.rate)).max(self.min_timeout)
    }

    fn set_timer(&mut self, now: Instant) {
        self.deadline = Some(now + self.timeout());
        self.is_active = false;
    }

    /// Takes a round trip; gives it in seconds.
    fn on_sample(&mut self, rtt: Duration) -> f64 {
        let sample = rtt.max(Duration::from_micros(1)).as_secs_f64();
        self.rtt = Some(match self.rtt {
            None => (sample, sample.sqrt()),
            Some((rtt, mean)) => (
                PAST * rtt + (1.0 - PAST) * sample,
                PAST * mean + (1.0 - PAST) * sample.sqrt(),
            ),
        });
        sample
    }

    /// RFC 5348 §4.3.
    fn on_feedback(&mut self, now: Instant, what: &Acknowledgment<'_>, feedback: &Feedback<'_>) {
        let Some(reported) = feedback.receive_rate else {
            return;
        };
        let Some((p, is_worse)) = self.take_losses(what.ackno, feedback) else {
            return;
        };
        let had_round_trip = self.rtt.is_some();
        let sample = what.rtt.map(|rtt| self.on_sample(rtt));
        if self.rtt.is_none() {
            return;
        }
        let elapsed = feedback.elapsed.unwrap_or_default();
        let was_sent = what.rtt.and_then(|rtt| now.checked_sub(rtt + elapsed));
        let round_trip = seconds(self.round_trip());
        let is_data_limited = reported > 0
            && was_sent.is_some_and(|sent| self.limited.is_interval_limited(sent, round_trip));
        self.limited.on_feedback(now, was_sent);
        let is_slowed = self.slowed.is_any();
        let received = self.slow_down(f64::from(reported));
        self.loss_event_rate = p;
        if had_round_trip {
            let limit = if is_slowed {
                // RFC 4342 §5.2 was written before the set: what is in it must not hide this.
                self.receive_set.replace(now, received);
                2.0 * received
            } else if reported == 0 && self.receive_set.is_known() {
                // Nothing came since the last feedback: a packet without data gave a loss away.
                // That says nothing of what the path takes.
                if is_worse {
                    self.receive_set.halve();
                }
                2.0 * self.received()
            } else if is_data_limited && is_worse {
                self.receive_set.halve();
                self.receive_set.maximize(now, received * 0.85);
                self.received()
            } else if is_data_limited {
                self.receive_set.maximize(now, received);
                2.0 * self.received()
            } else {
                self.receive_set.update(now, received, round_trip * 2);
                2.0 * self.received()
            };
            self.set_rate(now, limit);
        } else {
            self.rate = self.initial_rate();
            self.doubled = Some(now);
            self.receive_set.update(now, received, round_trip * 2);
        }
        self.reduce_oscillation(sample);
        self.set_timer(now);
        let packets = self.packets_in_flight();
        self.sequence_window.update(packets, p == 0.0);
    }

    /// The greatest `X_recv` known. The first report is 0 (RFC 5348 §6.3) and may be the only one
    /// when a loss or the nofeedback timer comes: then half of the initial rate, which RFC 4342
    /// §5.1 keeps for those who send little, and not the least rate there is.
    fn received(&self) -> f64 {
        let most = self.receive_set.max();
        if most > 0.0 {
            most
        } else {
            self.initial_rate() / 2.0
        }
    }

    /// Step 4 of RFC 5348 §4.3, from `recv_limit` on.
    fn set_rate(&mut self, now: Instant, limit: f64) {
        let round_trip = self.round_trip();
        if self.loss_event_rate > 0.0 {
            self.fair_rate = tfrc::throughput(self.size, round_trip, self.loss_event_rate);
            self.rate = self.fair_rate.min(limit).max(self.lowest_rate());
        } else {
            let since = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
            if self.doubled.is_none_or(|at| since(at) >= round_trip) {
                self.rate = (2.0 * self.rate).min(limit).max(self.initial_rate());
                self.doubled = Some(now);
            }
        }
    }

    /// RFC 5348 §4.5: `X_inst`, lower while the round trip is longer than it used to be.
    fn reduce_oscillation(&mut self, sample: Option<f64>) {
        self.instant_rate = match (self.rtt, sample) {
            (Some((_, mean)), Some(sample)) => self.rate * mean / sample.sqrt(),
            _ => self.rate,
        }
        .max(self.lowest_rate());
    }

    /// The loss event rate that feedback tells, and whether it tells of a new loss event or of a
    /// higher rate than before; `None` if it does not tell.
    fn take_losses(&mut self, ackno: Seq, feedback: &Feedback<'_>) -> Option<(f64, bool)> {
        if let Some(intervals) = feedback.loss_intervals {
            let p = tfrc::loss_event_rate(intervals.iter().map(|it| f64::from(it.data)));
            let newest = intervals.iter().next()?;
            let length = u64::from(newest.lossless) + u64::from(newest.loss);
            let begin = ackno.plus(1).minus(u64::from(intervals.skip) + length);
            let is_new =
                newest.loss > 0 && self.interval.is_none_or(|before| before.precedes(begin));
            if is_new {
                self.interval = Some(begin);
            }
            self.loss_events += u64::from(is_new);
            return Some((p, is_new || p > self.loss_event_rate));
        }
        // RFC 4342 §8.5; Linux sends this and no Loss Intervals.
        let p = match feedback.loss_event_rate? {
            u32::MAX => 0.0,
            mean => 1.0 / f64::from(mean.max(1)),
        };
        let is_worse = p > self.loss_event_rate;
        self.loss_events += u64::from(is_worse);
        Some((p, is_worse))
    }

    /// RFC 4342 §5.2: the receive rate that stands for the one reported, when the receiver's end
    /// dropped data or is slow.
    fn slow_down(&mut self, reported: f64) -> f64 {
        let slowed = std::mem::take(&mut self.slowed);
        let mut bound = f64::INFINITY;
        if slowed.buffer_drops > 0 {
            let packet = self.size / self.round_trip();
            #[expect(clippy::cast_precision_loss, reason = "packets of a round trip")]
            let less = reported - slowed.buffer_drops as f64 * packet;
            bound = less.max(reported.min(packet));
        }
        if slowed.slow_receiver {
            bound = bound.min(reported);
        }
        if slowed.as_marked {
            // RFC 4340 §11.7.2 wants corrupt data taken as marked. The loss intervals are the
            // receiver's to make; half the rate is what a mark costs a window.
            bound = bound.min(reported / 2.0);
        }
        reported.min(bound / 2.0)
    }

    /// What the rate puts into the network: packets in a round trip, at least 1.
    fn packets_in_flight(&self) -> u64 {
        let packets = self.rate * self.round_trip() / self.size;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        let packets = packets as u64;
        packets.clamp(1, self.max_window)
    }

    /// The nofeedback timer has run out: RFC 5348 §4.4. Whether something was done.
    fn halve(&mut self, now: Instant) -> bool {
        let received = self.received();
        let recover = self.initial_rate();
        let is_idle = !self.is_active;
        let is_low = if self.loss_event_rate > 0.0 {
            received < recover
        } else {
            self.rate < 2.0 * recover
        };
        if is_idle && (is_low || self.rtt.is_none()) {
            return false;
        }
        if self.loss_event_rate > 0.0 {
            let limit = if self.fair_rate > 2.0 * received {
                received
            } else {
                self.fair_rate / 2.0
            };
            self.receive_set
                .replace(now, limit.max(self.lowest_rate()) / 2.0);
            self.set_rate(now, 2.0 * self.received());
        } else {
            self.rate = (self.rate / 2.0).max(self.lowest_rate());
        }
        self.instant_rate = self.rate;
        true
    }
}

impl crate::ccid::Sender for Sender {
    fn ccid(&self) -> Ccid {
        Ccid::CCID3
    }

    fn permit(&self, now: Instant, in_flight: u64) -> Permit {
        let room = self.max_window.saturating_sub(in_flight);
        if room == 0 {
            return Permit::Wait;
        }
        let gap = self.gap();
        let early = self.early();
        let nominal = self.nominal(now);
        let Some(late) = (now + early).checked_duration_since(nominal) else {
            // A caller that sleeps wakes late by as much as a time slice of its clock: no use in
            // waking it for each packet, as what it sends late is not lost (RFC 5348 §8.3).
            let slice = GRANULARITY.min(seconds(self.round_trip()) / 2);
            return Permit::At((nominal - early).max(now + slice.min(gap * 16)));
        };
        let count = 1 + late.as_nanos() / gap.as_nanos().max(1);
        let count = u64::try_from(count).unwrap_or(u64::MAX).min(room);
        Permit::Now(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn on_sent(&mut self, now: Instant, sent: SentData) -> u8 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "packets are far smaller than 2^52"
        )]
        let size = sent.size.max(1) as f64;
        // RFC 4342 §5.3: over many packets, so that a short one does not change the rate.
        self.size += (size - self.size) / 128.0;
        self.paced_from = Some(self.nominal(now));
        self.paced_size = size;
        self.last_sent = Some(now);
        if self.deadline.is_none() {
            self.set_timer(now);
        }
        self.is_active = true;
        if self.rtt.is_some() {
            // `tld` of a round trip known from the handshake.
            self.doubled.get_or_insert(now);
        }
        if now + self.early() < self.nominal(now) {
            self.limited.on_all_sent(now);
        }
        self.counter.on_sent(now, sent.seq, self.round_trip())
    }

    fn on_acknowledged(&mut self, now: Instant, what: &Acknowledgment<'_>) {
        self.slowed.buffer_drops += what.dropped[2];
        self.slowed.as_marked |= what.dropped[3..].iter().any(|&count| count > 0);
        self.slowed.slow_receiver |= what.slow_receiver;
        self.counter.on_acknowledged(now, what.ackno);
        let feedback = Feedback::read(what.options);
        self.on_feedback(now, what, &feedback);
    }

    fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return false;
        }
        let is_halved = self.halve(now);
        self.timeouts += u64::from(is_halved && self.is_active);
        let timeout = self.timeout();
        let is_over = self.last_sent.is_none_or(|sent| sent + timeout <= now);
        if is_halved || self.is_active {
            self.set_timer(now);
        } else {
            // Idle, and as slow as that makes it: the next packet sets the timer.
            self.deadline = None;
        }
        is_over
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            ack_ratio: None,
            sequence_window: Some(self.sequence_window.current()),
        }
    }

    fn data_ack_interval(&self) -> u64 {
        self.packets_in_flight()
    }

    fn report(&self) -> Report {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        let rate = self.instant_rate as u64;
        Report {
            ssthresh: u64::MAX,
            rate,
            loss_event_rate: self.loss_event_rate,
            rtt: self.rtt.map(|(rtt, _)| seconds(rtt)),
            congestion_events: self.loss_events,
            timeouts: self.timeouts,
            ..Report::default()
        }
    }
}
