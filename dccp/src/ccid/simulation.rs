//! A sender, an ideal bottleneck and a receiver, for tests of congestion control: packets of one
//! size, and nothing else of DCCP than sequence numbers, Ack Vectors and the CCIDs' own options.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Acknowledgment, Arrived, Ccid, Permit, SentData, Settings};
use crate::Seq;
use crate::connection::sent::Sent;
use crate::packet::{AckVector, OptionWriter, Options, PacketState, Run};

const SIZE: usize = 1000;

/// The path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Data packets a second through the bottleneck.
    pub(super) rate: u32,
    /// Packets that wait there at most.
    pub(super) queue: usize,
    /// Of a round trip without a queue.
    pub(super) rtt: Duration,
    /// One packet in so many is lost at random beside; 0: none.
    pub(super) loss_of: u64,
    /// One acknowledgement in so many is lost.
    pub(super) ack_loss_of: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Data packets that arrived in the second half of the time, a second.
    pub(super) goodput: f64,
    /// The mean rate that the sender reported in that half, bytes a second.
    pub(super) rate: f64,
    /// The mean loss event rate that it reported.
    pub(super) loss_event_rate: f64,
    pub(super) report: super::Report,
    pub(super) wishes: super::Wishes,
    /// Packets lost, of those sent.
    pub(super) lost: u64,
}

struct InFlight {
    arrives: Instant,
    seq: u64,
    ccval: u8,
}

struct Ack {
    arrives: Instant,
    ackno: u64,
    cells: Vec<u8>,
    options: Vec<u8>,
}

/// Sends as much as is permitted for so long.
pub(super) fn run(ccid: Ccid, path: Path, time: Duration) -> Outcome {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    let start = Instant::now();
    let end = start + time;
    let settings = Settings {
        packet_size: SIZE,
        rtt: Some(path.rtt),
        ..Settings::default()
    };
    let mut sender = super::sender(ccid, &settings).unwrap();
    let mut receiver = super::receiver(ccid).unwrap();
    let mut sent = Sent::new(Seq::new(0), 1 << 20);
    let (mut data, mut acks) = (VecDeque::<InFlight>::new(), VecDeque::<Ack>::new());
    let mut free = start;
    let gap = Duration::from_secs(1) / path.rate;
    let mut now = start;
    let (mut next, mut random, mut limited) = (0u64, 12345u64, false);
    let mut states: VecDeque<bool> = VecDeque::new();
    let mut first_state = 0u64;
    let (mut unacked, mut acks_lost, mut arrived) = (0u64, 0u64, 0u64);
    let (mut samples, mut rates, mut loss_rates) = (0.0, 0.0, 0.0);
    let mut lost = 0;
    let mut chance = |of: u64| {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        of > 0 && (random >> 33).is_multiple_of(of)
    };
    while now < end {
        // What arrives at the receiver.
        while data.front().is_some_and(|packet| packet.arrives <= now) {
            let packet = data.pop_front().unwrap();
            let seq = Seq::new(packet.seq);
            while first_state + (states.len() as u64) < packet.seq {
                states.push_back(false);
            }
            states.push_back(true);
            while states.len() > 4096 {
                states.pop_front();
                first_state += 1;
            }
            let late = now > start + time / 2;
            arrived += u64::from(late);
            unacked += 1;
            let due = receiver.on_arrived(
                now,
                &Arrived {
                    seq,
                    ccval: packet.ccval,
                    data: Some(SIZE),
                    marked: false,
                    nonce: false,
                    ndp_count: None,
                    rtt: None,
                },
            );
            let ratio = u64::from(sender.wishes().ack_ratio.unwrap_or(2));
            if due || receiver.uses_ack_ratio() && unacked >= ratio {
                unacked = 0;
                let mut options = OptionWriter::default();
                options.reset(500);
                receiver.write_feedback(now, seq, &mut options);
                if chance(path.ack_loss_of) {
                    acks_lost += 1;
                } else {
                    acks.push_back(Ack {
                        arrives: now + path.rtt / 2,
                        ackno: packet.seq,
                        cells: cells(&states),
                        options: options.bytes().to_vec(),
                    });
                }
            }
        }
        // What arrives at the sender.
        while acks.front().is_some_and(|ack| ack.arrives <= now) {
            let ack = acks.pop_front().unwrap();
            let ackno = Seq::new(ack.ackno);
            let vector = AckVector {
                nonce: false,
                cells: &ack.cells,
            };
            let settled = sent.on_acknowledged(
                now,
                ackno,
                [vector].into_iter(),
                std::iter::empty(),
                Duration::ZERO,
                |_, _| (),
            );
            lost += settled.lost;
            sender.on_acknowledged(
                now,
                &Acknowledgment {
                    ackno,
                    received: settled.received,
                    received_bytes: settled.received_bytes,
                    marked: settled.marked,
                    lost: settled.lost,
                    latest_loss: settled.latest_loss,
                    in_flight: sent.in_flight(),
                    limited: std::mem::take(&mut limited),
                    rtt: settled.rtt,
                    acks_lost: std::mem::take(&mut acks_lost),
                    dropped: settled.dropped,
                    slow_receiver: false,
                    options: Options::new(&ack.options),
                },
            );
            if now > start + time / 2 {
                let report = sender.report();
                samples += 1.0;
                rates += report.rate as f64;
                loss_rates += report.loss_event_rate;
            }
        }
        if sender.handle_timeout(now) {
            sent.forget_in_flight();
        }
        receiver.handle_timeout(now);
        // What is sent.
        let mut wake = None;
        for _ in 0..100_000 {
            match sender.permit(now, sent.in_flight()) {
                Permit::Now(count) => assert!(count > 0),
                Permit::At(at) => {
                    assert!(at > now);
                    wake = Some(at);
                    limited = true;
                    break;
                }
                Permit::Wait => {
                    limited = true;
                    break;
                }
            }
            sent.on_sent(now, Seq::new(next), Some(SIZE));
            let in_flight = sent.in_flight();
            let ccval = sender.on_sent(
                now,
                SentData {
                    seq: Seq::new(next),
                    size: SIZE,
                    in_flight,
                },
            );
            let waits = free.saturating_duration_since(now).as_nanos() / gap.as_nanos();
            if !chance(path.loss_of) && waits <= path.queue as u128 {
                free = free.max(now) + gap;
                data.push_back(InFlight {
                    arrives: free + path.rtt / 2,
                    seq: next,
                    ccval,
                });
            }
            next += 1;
        }
        let times = [
            data.front().map(|packet| packet.arrives),
            acks.front().map(|ack| ack.arrives),
            sender.poll_timeout(),
            receiver.poll_timeout(),
            wake,
        ];
        now = times
            .into_iter()
            .flatten()
            .min()
            .map_or(end, |at| at.max(now));
    }
    Outcome {
        goodput: arrived as f64 / (time / 2).as_secs_f64(),
        rate: rates / samples,
        loss_event_rate: loss_rates / samples,
        report: sender.report(),
        wishes: sender.wishes(),
        lost,
    }
}

/// The states, oldest first, as an Ack Vector.
fn cells(states: &VecDeque<bool>) -> Vec<u8> {
    let mut runs: Vec<Run> = Vec::new();
    for &received in states.iter().rev() {
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

mod tests {
    use super::*;
    use crate::ccid::tfrc;

    const MS: Duration = Duration::from_millis(1);

    const PATH: Path = Path {
        rate: 2000,
        queue: 100,
        rtt: Duration::from_millis(50),
        loss_of: 0,
        ack_loss_of: 0,
    };

    #[test]
    fn dd5_ccid2_fills_a_bottleneck_with_a_queue() {
        let outcome = run(Ccid::CCID2, PATH, Duration::from_secs(20));
        println!("{outcome:?}");
        assert!(outcome.goodput > 0.97 * f64::from(PATH.rate), "{outcome:?}");
        assert!(outcome.report.timeouts <= 1, "{outcome:?}");
    }

    #[test]
    fn dd5_ccid2_shares_in_losses_as_the_square_root_law_says() {
        let path = Path {
            rate: 100_000,
            queue: 10_000,
            loss_of: 200,
            ..PATH
        };
        let outcome = run(Ccid::CCID2, path, Duration::from_secs(40));
        println!("{outcome:?}");
        // Mathis: sqrt(3/2 / p) packets in a round trip.
        let law = (1.5f64 * 200.0).sqrt() / 0.05;
        assert!(
            (0.6 * law..1.4 * law).contains(&outcome.goodput),
            "{law} {outcome:?}"
        );
    }

    #[test]
    fn dd9_ccid2_asks_for_fewer_acknowledgements_where_they_are_lost() {
        let path = Path {
            ack_loss_of: 5,
            ..PATH
        };
        let outcome = run(Ccid::CCID2, path, Duration::from_secs(30));
        println!("{outcome:?}");
        assert!(outcome.wishes.ack_ratio > Some(4), "{outcome:?}");
        assert!(outcome.goodput > 0.9 * f64::from(PATH.rate), "{outcome:?}");
    }

    #[test]
    fn dt8_ccid3_fills_a_bottleneck_with_a_queue() {
        let outcome = run(Ccid::CCID3, PATH, Duration::from_secs(30));
        println!("{outcome:?}");
        assert!(outcome.goodput > 0.85 * f64::from(PATH.rate), "{outcome:?}");
        assert_eq!(outcome.report.timeouts, 0, "{outcome:?}");
    }

    #[test]
    fn dt6_ccid3_sends_at_the_rate_of_the_equation() {
        for loss_of in [50, 200, 1000] {
            let path = Path {
                rate: 100_000,
                queue: 10_000,
                loss_of,
                rtt: MS * 40,
                ..PATH
            };
            let outcome = run(Ccid::CCID3, path, Duration::from_secs(60));
            println!("{outcome:?}");
            let fair = tfrc::packets_per_rtt(1.0 / loss_of as f64) / 0.04;
            assert!(
                (0.7 * fair..1.5 * fair).contains(&outcome.goodput),
                "{fair} {outcome:?}"
            );
            let p = outcome.loss_event_rate * loss_of as f64;
            assert!((0.6..1.5).contains(&p), "{outcome:?}");
        }
    }
}
