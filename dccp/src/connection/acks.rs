//! Acknowledgements: what is owed to the peer, and what the peer tells.

use std::time::{Duration, Instant};

use super::steps::Incoming;
use super::{Connection, Settlement, Timer, Wish};
use crate::Seq;
use crate::ccid::Acknowledgment;
use crate::endpoint::{Context, Event};
use crate::packet::{DccpOption, Feature, OptionWriter};

/// An Elapsed Time below this is not worth its bytes (RFC 4340 §13.2 leaves it to the sender).
const ELAPSED_WORTH_TELLING: Duration = Duration::from_millis(1);

/// What is owed to the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Due {
    /// Nothing.
    #[default]
    No,
    /// An acknowledgement when the delayed-ack timer says.
    Later,
    /// An acknowledgement with the next packet.
    Now,
}

/// What is owed to the peer: acknowledgements of data, and of acknowledgements.
#[derive(Debug, Default)]
pub(super) struct AckDebt {
    due: Due,
    /// Data packets received since the last acknowledgement.
    data: u64,
    /// Packets received since then that were not data.
    others: u64,
    last_had_data: Had,
    /// When the packet with the greatest number came.
    newest_at: Option<Instant>,
    /// A Timestamp to echo, and when it came.
    echo: Option<(u32, Instant)>,
    /// When an acknowledgement went out last.
    sent_at: Option<Instant>,
    /// Data packets sent since the last that had an acknowledgement number.
    unacknowledging: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Had {
    Data,
    #[default]
    NoData,
}

impl AckDebt {
    pub(super) const fn owe_now(&mut self) {
        self.due = Due::Now;
    }

    pub(super) const fn owe_echo(&mut self, stamp: u32, now: Instant) {
        self.echo = Some((stamp, now));
    }

    pub(super) const fn is_due_now(&self) -> bool {
        matches!(self.due, Due::Now)
    }

    /// Whether something is to be acknowledged, now or later.
    pub(super) const fn is_owed(&self) -> bool {
        !matches!(self.due, Due::No)
    }

    pub(super) const fn last_had_data(&self) -> bool {
        matches!(self.last_had_data, Had::Data)
    }

    pub(super) const fn on_newest(&mut self, now: Instant) {
        self.newest_at = Some(now);
    }

    pub(super) const fn on_arrived(&mut self, data: bool) {
        if data {
            self.data += 1;
            self.last_had_data = Had::Data;
        } else {
            self.others += 1;
            self.last_had_data = Had::NoData;
        }
    }

    /// A Data packet went out, which acknowledges nothing.
    pub(super) const fn on_data_sent(&mut self) {
        self.unacknowledging += 1;
    }

    /// A packet went out that acknowledges everything.
    pub(super) const fn on_ack_sent(&mut self, now: Instant) {
        self.sent_at = Some(now);
        self.due = Due::No;
        self.data = 0;
        self.others = 0;
        self.unacknowledging = 0;
    }

    /// When an acknowledgement went out last.
    pub(super) const fn sent_at(&self) -> Option<Instant> {
        self.sent_at
    }

    /// Whether the peer, which sends only acknowledgements, is to be told once more that they
    /// came, so that it can forget what it keeps for them (RFC 4341 §6.2).
    pub(super) const fn ack_of_acks_is_due(&self, interval: u64) -> bool {
        self.others > 0 && self.unacknowledging >= interval
    }

    /// Writes the Timestamp Echo owed, and for how long the newest packet has waited.
    pub(super) fn write(&mut self, now: Instant, options: &mut OptionWriter) {
        if let Some((timestamp, at)) = self.echo {
            let elapsed = ticks(now.saturating_duration_since(at));
            if options.push(DccpOption::TimestampEcho { timestamp, elapsed }) {
                self.echo = None;
                // Of the packet acknowledged it tells only if that had the Timestamp.
                if self.newest_at == Some(at) {
                    return;
                }
            }
        }
        let waited = self.newest_at.map(|at| now.saturating_duration_since(at));
        if let Some(waited) = waited.filter(|waited| *waited >= ELAPSED_WORTH_TELLING) {
            options.push(DccpOption::ElapsedTime(ticks(waited)));
        }
    }
}

/// In units of 10 µs; more than can be said is said as the most (RFC 4340 §13.2).
fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_micros() / 10).unwrap_or(u32::MAX)
}

impl Connection {
    /// Data came: an acknowledgement is owed at once when a hole appeared or was filled, and for
    /// every Ack Ratio packets; else within the delay (RFC 4340 §11.3). For marks the congestion
    /// control asks, once in a round trip.
    pub(super) fn owe_for_data(&mut self, cx: &Context, now: Instant, at_once: bool) {
        if !self.receiver.uses_ack_ratio() {
            return;
        }
        let ratio = u64::from(self.features.there().ack_ratio);
        if at_once || (ratio > 0 && self.debt.data >= ratio) {
            self.debt.owe_now();
        } else if self.debt.due == Due::No {
            self.debt.due = Due::Later;
            self.timers
                .set(Timer::DelayedAck, now + cx.config.ack_delay);
        }
    }

    /// The delay of an acknowledgement is over.
    pub(super) fn on_delayed_ack(&mut self) {
        if self.debt.due == Due::Later {
            self.debt.owe_now();
        }
    }

    /// Takes note of what packet `p` acknowledges.
    pub(super) fn on_acknowledged(
        &mut self,
        cx: &mut Context,
        now: Instant,
        p: &Incoming<'_>,
        ack: Seq,
    ) {
        self.received.on_acknowledged(ack);
        let options = p.packet.options;
        let dropped = options.filter_map(|option| {
            if let DccpOption::DataDropped(blocks) = option {
                Some(blocks)
            } else {
                None
            }
        });
        let ignore = |_, _| {};
        let vectors = options.filter_map(|option| {
            if let DccpOption::AckVector(vector) = option {
                Some(vector)
            } else {
                None
            }
        });
        let elapsed = p.said.elapsed;
        let mut settled = if self.features.there().send_ack_vector || !self.is_established() {
            let vectors = vectors.clone();
            self.sent
                .on_acknowledged(now, ack, vectors, dropped, elapsed, ignore)
        } else {
            self.sent
                .on_acknowledged_all(now, ack, dropped, elapsed, ignore)
        };
        if let Some(nonces) = &mut self.nonces
            && !nonces.check(ack, vectors)
        {
            // Marks are hidden, by the peer or on the way: taken as one (RFC 4340 §12.2).
            settled.marked += 1;
            settled.latest_loss = Some(ack);
        }
        if let Some(sample) = settled.rtt {
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
        self.counts.datagrams_lost += settled.lost;
        self.on_settled_sizes(cx, now, &settled);
        let hole = p.gsr_before.distance_to(p.seq) - 1;
        self.sender.on_acknowledged(
            now,
            &Acknowledgment {
                ackno: ack,
                received: settled.received,
                marked: settled.marked,
                lost: settled.lost,
                latest_loss: settled.latest_loss,
                in_flight: self.sent.in_flight(),
                limited: self.limited,
                rtt: settled.rtt,
                acks_lost: u64::try_from(hole).unwrap_or(0),
                dropped: settled.dropped,
                slow_receiver: p.said.slow_receiver,
                options,
            },
        );
        self.limited = false;
        self.allowance = 0;
        self.ack_interval = self.sender.data_ack_interval();
        self.ask_for_wishes();
        if settled.received + settled.marked + settled.lost > 0 {
            self.tail_syncs = 0;
            self.check_settled(cx, now);
        }
    }

    fn is_established(&self) -> bool {
        self.phase.state() >= super::State::PartOpen
    }

    /// Negotiates what the congestion control wants to be in force.
    pub(super) fn ask_for_wishes(&mut self) {
        let wishes = self.sender.wishes();
        if wishes == self.asked {
            return;
        }
        self.asked = wishes;
        if let Some(ratio) = wishes.ack_ratio {
            self.features.request(Feature::ACK_RATIO, u64::from(ratio));
        }
        if let Some(window) = wishes.sequence_window {
            // It does not shrink below what was asked for in the handshake: a window costs
            // nothing, and growing it again costs a round trip.
            let window = window.max(self.least_window);
            self.features.request(Feature::SEQUENCE_WINDOW, window);
        }
    }

    /// Says [`Event::Settled`] when everything sent is acknowledged or known to be lost, and goes
    /// on with a close that waited for it.
    pub(super) fn check_settled(&mut self, cx: &mut Context, now: Instant) {
        let waiting = self.trains.iter().any(|train| train.has_data());
        if self.unsettled == Settlement::Told || waiting || !self.sent.is_settled() {
            return;
        }
        self.unsettled = Settlement::Told;
        self.tell(cx, Event::Settled);
        if self.wish == Wish::Close {
            self.begin_close(cx, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_of_an_older_packet_does_not_stand_for_elapsed_time() {
        let start = crate::test_support::start();
        let ms = Duration::from_millis;
        let written = |newest: Instant| {
            let mut debt = AckDebt::default();
            debt.owe_echo(7, start);
            debt.on_newest(newest);
            let mut options = OptionWriter::default();
            options.reset(100);
            debt.write(start + ms(30), &mut options);
            let read = crate::packet::Options::new(options.bytes());
            read.map(|option| format!("{option:?}")).collect::<Vec<_>>()
        };
        let echo = "TimestampEcho { timestamp: 7, elapsed: 3000 }";
        assert_eq!(written(start), [echo]);
        assert_eq!(written(start + ms(20)), [echo, "ElapsedTime(1000)"]);
    }
}
