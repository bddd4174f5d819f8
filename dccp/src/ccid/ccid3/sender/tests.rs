use proptest::prelude::*;

use super::*;
use crate::ccid::Sender as _;
use crate::ccid::ccid3::counter::COUNTERS;
use crate::ccid::ccid3::options::{self, Interval};
use crate::packet::{OptionWriter, Options};

const MS: Duration = Duration::from_millis(1);
const SIZE: f64 = 1000.0;

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    Instant::now()
}

/// A sender of packets of 1000 bytes over a round trip of 100 ms, and the next number.
struct Script {
    sender: Sender,
    now: Instant,
    next: u64,
}

/// What a feedback packet says.
#[derive(Clone, Copy)]
struct Told {
    receive_rate: u32,
    /// Lossless, loss and data lengths, newest first.
    intervals: &'static [(u32, u32, u32)],
    rtt: Duration,
    dropped: [u64; 8],
    slow_receiver: bool,
}

const TOLD: Told = Told {
    receive_rate: 0,
    intervals: &[(10, 0, 0)],
    rtt: Duration::from_millis(100),
    dropped: [0; 8],
    slow_receiver: false,
};

impl Script {
    fn new(rtt: Option<Duration>) -> Self {
        let settings = Settings {
            packet_size: 1000,
            rtt,
            ..Settings::default()
        };
        Self {
            sender: Sender::new(&settings),
            now: start(),
            next: 0,
        }
    }

    /// Sends what is permitted now; how many packets, and the last one's CCVal.
    fn fill(&mut self) -> (u64, u8) {
        let (mut count, mut ccval) = (0, 0);
        while let Permit::Now(permitted) = self.sender.permit(self.now, 0) {
            assert!(permitted > 0);
            ccval = self.send();
            count += 1;
            assert!(count < 1_000_000);
        }
        (count, ccval)
    }

    fn send(&mut self) -> u8 {
        let sent = SentData {
            seq: Seq::new(self.next),
            size: 1000,
            in_flight: 1,
        };
        self.next += 1;
        self.sender.on_sent(self.now, sent)
    }

    /// Feedback that acknowledges the last packet sent.
    fn feedback(&mut self, told: Told) {
        let mut options = OptionWriter::default();
        options.reset(500);
        let report = options::Report {
            elapsed: Duration::ZERO,
            receive_rate: told.receive_rate,
            loss_event_rate: 1,
            skip: 0,
        };
        let intervals = told
            .intervals
            .iter()
            .map(|&(lossless, loss, data)| Interval {
                lossless,
                loss,
                data,
                nonce: false,
            });
        assert!(report.write(intervals, &mut options));
        self.acknowledge(told, options.bytes());
    }

    fn acknowledge(&mut self, told: Told, options: &[u8]) {
        let what = Acknowledgment {
            ackno: Seq::new(self.next.saturating_sub(1)),
            received: 1,
            marked: 0,
            lost: 0,
            latest_loss: None,
            in_flight: 0,
            limited: true,
            rtt: Some(told.rtt),
            acks_lost: 0,
            dropped: told.dropped,
            slow_receiver: told.slow_receiver,
            options: Options::new(options),
        };
        self.sender.on_acknowledged(self.now, &what);
    }

    /// A round trip in which all is sent that may be; then feedback.
    fn round(&mut self, told: Told) {
        for _ in 0..100 {
            self.fill();
            self.now += MS;
        }
        self.feedback(told);
    }

    /// Packets in a round trip of 100 ms.
    fn rate(&self) -> f64 {
        self.sender.rate * 0.1 / SIZE
    }

    fn time_out(&mut self) -> bool {
        self.now = self.sender.poll_timeout().unwrap();
        self.sender.handle_timeout(self.now)
    }
}

fn about(value: f64, expected: f64) -> bool {
    (0.999..1.001).contains(&(value / expected))
}

#[test]
fn dt1_window_counter_counts_quarters_of_a_round_trip() {
    let mut script = Script::new(Some(MS * 100));
    let counters: Vec<u8> = [0, 24, 1, 24, 1, 50, 0, 60, 400, 100_000]
        .into_iter()
        .map(|later| {
            script.now += MS * later;
            script.send()
        })
        .collect();
    assert_eq!(
        counters,
        [0, 0, 1, 1, 2, 4, 4, 6, 11, 0],
        "by 5 at most, and modulo 16"
    );
    assert_eq!(script.sender.counter.sent, 0);
}

#[test]
fn dt1_window_counter_is_4_ahead_of_what_is_acknowledged() {
    let mut script = Script::new(Some(MS * 100));
    assert_eq!(script.send(), 0);
    script.now += MS * 30;
    assert_eq!(script.send(), 1);
    // Sooner than expected.
    script.acknowledge(TOLD, &[]);
    assert_eq!(script.send(), 5);
    script.now += MS * 60;
    assert_eq!(script.send(), 7);
    // The first packet with counter 5 is acknowledged: 7 is made 9.
    script.next -= 1;
    script.acknowledge(TOLD, &[]);
    script.next += 1;
    assert_eq!(script.send(), 9);
    // Counters of packets in flight are remembered up to a limit.
    for _ in 0..1000 {
        script.now += MS * 30;
        script.send();
        assert!(script.sender.counter.first.len() <= COUNTERS);
    }
}

#[test]
fn dt7_without_a_round_trip_a_packet_a_second() {
    let mut script = Script::new(None);
    assert_eq!(script.fill().0, 1);
    assert_eq!(
        script.sender.poll_timeout(),
        Some(script.now + Duration::from_secs(2))
    );
    script.now += MS * 900;
    assert_eq!(script.fill().0, 0);
    script.now += MS * 100;
    assert_eq!(script.fill().0, 1);
    // The first feedback makes it the initial window in a round trip.
    script.feedback(TOLD);
    assert!(about(script.rate(), 4.0));
    assert_eq!(script.sender.report().rtt, Some(MS * 100));
}

#[test]
fn dt7_without_feedback_the_first_rate_is_halved() {
    let mut script = Script::new(None);
    script.fill();
    for expected in [500.0, 250.0, 125.0] {
        script.send();
        script.time_out();
        assert!(about(script.sender.rate, expected));
    }
    for _ in 0..20 {
        script.send();
        script.time_out();
    }
    assert!(
        about(script.sender.rate, 1000.0 / 64.0),
        "one packet in 64 s"
    );
}

#[test]
fn dt7_initial_window_follows_rfc_3390() {
    for (packet_size, window) in [(1000, 4000.0), (1400, 4380.0), (9000, 18000.0)] {
        let settings = Settings {
            packet_size,
            rtt: Some(MS * 100),
            ..Settings::default()
        };
        let sender = Sender::new(&settings);
        assert!(about(sender.rate, window / 0.1));
    }
}

#[test]
fn dt8_slow_start_doubles_once_in_a_round_trip_up_to_twice_what_is_received() {
    let mut script = Script::new(Some(MS * 100));
    script.round(TOLD);
    assert!(about(script.rate(), 8.0));
    script.feedback(TOLD);
    assert!(about(script.rate(), 8.0), "in the same round trip");
    script.round(TOLD);
    assert!(about(script.rate(), 16.0));
    // From the third round trip on what was received limits.
    script.now += MS * 150;
    script.round(Told {
        receive_rate: 100_000,
        ..TOLD
    });
    assert!(about(script.rate(), 20.0), "{}", script.rate());
    script.round(Told {
        receive_rate: 200_000,
        ..TOLD
    });
    assert!(about(script.rate(), 40.0));
}

#[test]
fn dt8_a_loss_before_any_receive_rate_leaves_the_initial_rate_at_most() {
    let mut script = Script::new(Some(MS * 100));
    script.send();
    script.now += MS * 100;
    script.feedback(TOLD);
    script.send();
    script.now += MS * 300;
    // Nothing came since then, and something is missing.
    script.feedback(Told {
        intervals: &[(1, 1, 2), (3, 0, 3)],
        ..TOLD
    });
    let rate = script.sender.rate;
    assert!(rate <= script.sender.initial_rate(), "{rate}");
    assert!(rate > 1000.0, "{rate}: less than a packet a second");
}

#[test]
fn a_short_packet_is_not_waited_for_like_a_long_one() {
    let mut script = Script::new(Some(MS * 100));
    script.sender.rate = 10_000.0;
    script.sender.instant_rate = 10_000.0;
    let sent = SentData {
        seq: Seq::new(1),
        size: 100,
        in_flight: 1,
    };
    script.sender.on_sent(script.now, sent);
    let Permit::At(next) = script.sender.permit(script.now, 0) else {
        panic!("10,000 bytes a second");
    };
    assert!(next <= script.now + MS * 10);
    script.send();
    let Permit::At(next) = script.sender.permit(script.now, 0) else {
        panic!("10,000 bytes a second");
    };
    assert!(next > script.now + MS * 90);
}

#[test]
fn a_wait_ends_sooner_when_the_rate_rises() {
    let mut script = Script::new(Some(MS * 100));
    script.sender.rate = 10.0;
    script.sender.instant_rate = 10.0;
    script.send();
    let Permit::At(slow) = script.sender.permit(script.now, 0) else {
        panic!("a packet in a hundred seconds");
    };
    script.sender.rate = 10_000.0;
    script.sender.instant_rate = 10_000.0;
    let Permit::At(fast) = script.sender.permit(script.now, 0) else {
        panic!("ten packets a second");
    };
    assert!(slow > script.now + MS * 50_000);
    assert!(fast <= script.now + MS * 100);
}

#[test]
fn dt8_losses_make_the_rate_that_of_the_equation() {
    let mut script = Script::new(Some(MS * 100));
    let rate = 10_000_000;
    script.round(Told {
        receive_rate: rate,
        ..TOLD
    });
    let intervals = &[(50, 1, 51), (99, 1, 100), (10, 0, 100)];
    script.round(Told {
        receive_rate: rate,
        intervals,
        ..TOLD
    });
    assert!(about(script.rate(), tfrc::packets_per_rtt(0.01)));
    let report = script.sender.report();
    assert_eq!(
        (report.loss_event_rate, report.congestion_events),
        (0.01, 1)
    );
    // The same event again.
    script.next -= 1;
    script.round(Told {
        receive_rate: rate,
        intervals,
        ..TOLD
    });
    // Less is received than the equation grants.
    for _ in 0..4 {
        script.round(Told {
            receive_rate: 20_000,
            intervals,
            ..TOLD
        });
    }
    assert!(about(script.rate(), 4.0), "twice the 2 that arrive");
}

#[test]
fn dt8_a_data_limited_sender_keeps_its_rate() {
    let intervals = &[(50, 1, 51), (99, 1, 100), (10, 0, 100)];
    let mut script = Script::new(Some(MS * 100));
    for _ in 0..5 {
        script.round(Told {
            receive_rate: 120_000,
            intervals,
            ..TOLD
        });
    }
    let full = script.rate();
    assert!(about(full, tfrc::packets_per_rtt(0.01)), "{full}");
    // Two packets a round trip only.
    for _ in 0..20 {
        for _ in 0..2 {
            script.now += MS * 50;
            script.send();
        }
        script.feedback(Told {
            receive_rate: 20_000,
            intervals: &[(60, 1, 61), (99, 1, 100), (10, 0, 100)],
            ..TOLD
        });
    }
    // The newest interval moves on with each packet here, so that each report tells of a new
    // loss: the set is reduced, but what the equation grants is no less than half used.
    assert!(script.rate() < full);
    let mut script = Script::new(Some(MS * 100));
    for _ in 0..5 {
        script.round(Told {
            receive_rate: 120_000,
            intervals,
            ..TOLD
        });
    }
    script.sender.interval = Some(Seq::new(1 << 40));
    for _ in 0..20 {
        for _ in 0..2 {
            script.now += MS * 50;
            script.send();
        }
        script.feedback(Told {
            receive_rate: 20_000,
            intervals,
            ..TOLD
        });
    }
    assert!(about(script.rate(), full), "{} {full}", script.rate());
}

#[test]
fn dt9_nofeedback_timer_halves_the_rate_down_to_one_packet_in_64_s() {
    let mut script = Script::new(Some(MS * 100));
    for _ in 0..4 {
        script.round(Told {
            receive_rate: 1_000_000,
            ..TOLD
        });
    }
    assert_eq!(
        script.sender.poll_timeout(),
        Some(script.now + MS * 400),
        "four round trips"
    );
    let mut rate = script.sender.rate;
    for _ in 0..20 {
        script.now += MS;
        script.send();
        assert!(
            !script.time_out(),
            "what was sent may still be in the network"
        );
        rate = (rate / 2.0).max(script.sender.lowest_rate());
        assert!(about(script.sender.rate, rate));
    }
    assert!(about(rate, 1000.0 / 64.0));
    assert_eq!(script.sender.report().timeouts, 20);
}

#[test]
fn dt9_nofeedback_timer_halves_what_the_equation_grants() {
    let intervals = &[(50, 1, 51), (99, 1, 100), (10, 0, 100)];
    for receive_rate in [120_000, 30_000] {
        let mut script = Script::new(Some(MS * 100));
        for _ in 0..6 {
            script.round(Told {
                receive_rate,
                intervals,
                ..TOLD
            });
        }
        let rate = script.sender.rate;
        script.send();
        script.time_out();
        assert!(
            about(script.sender.rate, rate / 2.0),
            "{} {rate}",
            script.sender.rate
        );
    }
}

#[test]
fn dt9_an_idle_sender_is_not_slowed_below_the_initial_rate() {
    let mut script = Script::new(Some(MS * 100));
    for _ in 0..5 {
        script.round(Told {
            receive_rate: 1_000_000,
            ..TOLD
        });
    }
    let mut timers = 0;
    while script.sender.poll_timeout().is_some() {
        assert!(script.time_out(), "nothing is in the network any more");
        timers += 1;
        assert!(timers < 20);
    }
    assert!((4.0..8.0).contains(&script.rate()), "{}", script.rate());
    // The next packet sets the timer.
    script.now += Duration::from_secs(1000);
    script.send();
    assert!(script.sender.poll_timeout() > Some(script.now));
}

#[test]
fn dt12_drops_in_the_receive_buffer_and_a_slow_receiver_limit_the_rate() {
    let steady = Told {
        receive_rate: 100_000,
        ..TOLD
    };
    let start = || {
        let mut script = Script::new(Some(MS * 100));
        for _ in 0..6 {
            script.round(steady);
        }
        assert!(about(script.rate(), 20.0), "{}", script.rate());
        script
    };
    // X_drop = 10 - 3 packets in a round trip.
    let mut script = start();
    script.round(Told {
        dropped: [0, 0, 3, 0, 0, 0, 0, 0],
        ..steady
    });
    assert!(about(script.rate(), 7.0), "{}", script.rate());
    // Not below one, nor (here) the initial rate of slow start.
    let mut script = start();
    script.sender.slowed.buffer_drops = 300;
    assert!(about(script.sender.slow_down(100_000.0), 5_000.0));
    script.sender.slowed.buffer_drops = 300;
    assert!(about(script.sender.slow_down(4_000.0), 2_000.0));
    let mut script = start();
    script.round(Told {
        slow_receiver: true,
        ..steady
    });
    assert!(
        about(script.rate(), 10.0),
        "no faster than what is received"
    );
    script.round(steady);
    assert!(about(script.rate(), 20.0), "for one round trip");
    let mut script = start();
    script.round(Told {
        dropped: [0, 0, 0, 1, 0, 0, 0, 0],
        ..steady
    });
    assert!(about(script.rate(), 5.0), "corrupt: half");
    // Codes 0 and 1 are no reason.
    let mut script = start();
    script.round(Told {
        dropped: [5, 5, 0, 0, 0, 0, 0, 0],
        ..steady
    });
    assert!(about(script.rate(), 20.0));
}

#[test]
fn dt14_loss_event_rate_serves_where_loss_intervals_are_missing() {
    let mut script = Script::new(Some(MS * 100));
    script.round(Told {
        receive_rate: 1_000_000,
        ..TOLD
    });
    let told = Told {
        receive_rate: 1_000_000,
        ..TOLD
    };
    let linux = |mean: [u8; 4]| {
        let mut options = vec![192, 6];
        options.extend(mean);
        options.extend([194, 6, 0, 15, 66, 64]);
        options
    };
    script.now += MS * 100;
    script.acknowledge(told, &linux([255; 4]));
    assert!(about(script.rate(), 16.0));
    script.now += MS * 100;
    script.acknowledge(told, &linux([0, 0, 0, 100]));
    assert!(about(script.rate(), tfrc::packets_per_rtt(0.01)));
    assert_eq!(script.sender.report().congestion_events, 1);
    // 0 would be more than one event for a packet.
    script.acknowledge(told, &linux([0; 4]));
    assert_eq!(script.sender.report().loss_event_rate, 1.0);
}

#[test]
fn dt2_what_is_not_feedback_does_not_count_as_feedback() {
    let mut script = Script::new(Some(MS * 100));
    script.send();
    let timer = script.sender.poll_timeout();
    for options in [
        &[][..],
        &[192, 6, 0, 0, 0, 1],
        &[194, 6, 0, 0, 0, 1],
        &[193, 3, 0],
    ] {
        script.now += MS * 100;
        script.acknowledge(TOLD, options);
        assert!(about(script.rate(), 4.0));
        assert_eq!(script.sender.poll_timeout(), timer);
    }
}

#[test]
fn oscillation_is_reduced_while_the_round_trip_is_longer_than_it_was() {
    let mut script = Script::new(Some(MS * 100));
    for _ in 0..5 {
        script.round(Told {
            receive_rate: 1_000_000,
            ..TOLD
        });
    }
    assert!(about(script.sender.instant_rate, script.sender.rate));
    script.round(Told {
        receive_rate: 1_000_000,
        rtt: MS * 200,
        ..TOLD
    });
    let ratio = script.sender.instant_rate / script.sender.rate;
    assert!((0.70..0.76).contains(&ratio), "{ratio}");
}

#[test]
fn pace_is_kept_by_a_caller_that_wakes_late() {
    // 400 packets in a round trip of 100 ms, and a clock of 10 ms.
    let mut script = Script::new(Some(MS * 100));
    script.sender.rate = 4_000_000.0;
    script.sender.instant_rate = script.sender.rate;
    let mut sent = 0;
    for _ in 0..100 {
        sent += script.fill().0;
        script.now += MS * 10;
    }
    assert!((3960..=4010).contains(&sent), "{sent}");
    // Of a pause, a round trip counts and no more.
    script.now += Duration::from_secs(10);
    let burst = script.fill().0;
    assert!((400..=402).contains(&burst), "{burst}");
    let Permit::At(at) = script.sender.permit(script.now, 0) else {
        panic!("nothing is due")
    };
    assert!(at > script.now && at <= script.now + MS * 2);
    // Not more than the window's limit.
    script.now += MS * 100;
    assert_eq!(script.sender.permit(script.now, 1 << 16), Permit::Wait);
    assert_eq!(
        script.sender.permit(script.now, (1 << 16) - 5),
        Permit::Now(5)
    );
}

#[test]
fn the_sequence_window_grows_with_the_rate() {
    let mut script = Script::new(Some(MS * 100));
    let wish = |script: &Script| script.sender.wishes().sequence_window.unwrap();
    assert_eq!(wish(&script), 100);
    for _ in 0..8 {
        script.round(Told {
            receive_rate: 100_000_000,
            ..TOLD
        });
    }
    let packets = script.rate();
    assert!((1000.0..1030.0).contains(&packets), "{packets}");
    assert_eq!(wish(&script), 32768);
    assert_eq!(script.sender.data_ack_interval(), 1024);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a peer says, and whenever.
    #[test]
    fn dt9_the_rate_keeps_its_bounds(
        steps in prop::collection::vec(
            (0..4u8, 0..2_000_000u64, prop::collection::vec(any::<u8>(), 28), 0..3u64),
            1..200,
        ),
    ) {
        let mut script = Script::new(None);
        for (kind, micros, bytes, dropped) in steps {
            script.now += Duration::from_micros(micros);
            match kind {
                0 => {
                    script.send();
                }
                1 => {
                    let mut options = vec![194, 6, bytes[0], bytes[1], bytes[2], bytes[3]];
                    options.extend([193, 30, bytes[4] & 3]);
                    options.extend(&bytes[5..23]);
                    options.extend([192, 6]);
                    options.extend(&bytes[24..28]);
                    // As it is, the length takes in more than there is of intervals.
                    if bytes[23] & 1 == 0 {
                        options[7] = 21;
                    }
                    let rtt = Duration::from_micros(micros / u64::from(bytes[23].max(1)));
                    let dropped = [dropped; 8];
                    let slow_receiver = dropped[0] == 2;
                    script.acknowledge(Told { rtt, dropped, slow_receiver, ..TOLD }, &options);
                }
                2 => {
                    script.sender.handle_timeout(script.now);
                }
                _ => match script.sender.permit(script.now, 0) {
                    Permit::Now(count) => prop_assert!(count > 0),
                    Permit::At(at) => prop_assert!(at > script.now),
                    Permit::Wait => prop_assert!(false, "the rate is never 0"),
                },
            }
            let sender = &script.sender;
            let lowest = sender.lowest_rate() * 0.999;
            prop_assert!(sender.rate >= lowest && sender.instant_rate >= lowest);
            prop_assert!((0.0..=1.0).contains(&sender.loss_event_rate));
            prop_assert!(sender.gap() <= Duration::from_secs(65));
        }
    }
}
