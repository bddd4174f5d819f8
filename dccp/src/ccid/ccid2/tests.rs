use proptest::prelude::*;

use super::*;
use crate::ccid::{Receiver as _, Sender as _};
use crate::packet::Options;

const MS: Duration = Duration::from_millis(1);

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    Instant::now()
}

/// An acknowledgement that says nothing, by a sender whose window is full.
fn nothing() -> Acknowledgment<'static> {
    Acknowledgment {
        ackno: Seq::new(0),
        received: 0,
        marked: 0,
        lost: 0,
        latest_loss: None,
        in_flight: 1,
        limited: true,
        rtt: None,
        acks_lost: 0,
        dropped: [0; 8],
        slow_receiver: false,
        options: Options::new(&[]),
    }
}

/// A sender with the packets it has in the network.
struct Script {
    sender: Sender,
    now: Instant,
    next: u64,
    in_flight: u64,
}

impl Script {
    fn new(settings: &Settings) -> Self {
        Self {
            sender: Sender::new(settings),
            now: start(),
            next: 0,
            in_flight: 0,
        }
    }

    /// In congestion avoidance or, with `ssthresh` above, in slow start; a round trip is 100 ms.
    fn with(cwnd: u64, ssthresh: u64) -> Self {
        let rtt = Some(MS * 100);
        let mut script = Self::new(&Settings {
            rtt,
            ..Settings::default()
        });
        script.sender.cwnd = cwnd;
        script.sender.ssthresh = ssthresh;
        script
    }

    fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.in_flight += 1;
            let sent = SentData {
                seq: Seq::new(self.next),
                size: 1,
                in_flight: self.in_flight,
            };
            assert_eq!(self.sender.on_sent(self.now, sent), 0, "CCVal is 0");
            self.next += 1;
        }
    }

    /// Sends all that is permitted; how many that was.
    fn fill(&mut self) -> u64 {
        match self.sender.permit(self.now, self.in_flight) {
            Permit::Now(count) => {
                self.send(count as u64);
                count as u64
            }
            Permit::Wait => 0,
            Permit::At(_) => unreachable!("CCID 2 does not pace"),
        }
    }

    /// The oldest packets are acknowledged.
    fn receive(&mut self, received: u64) {
        self.acknowledge(Acknowledgment {
            received,
            ..nothing()
        });
    }

    /// The oldest packets settle as `what` says.
    fn acknowledge(&mut self, what: Acknowledgment<'_>) {
        self.in_flight -= what.received + what.marked + what.lost;
        let ackno = Seq::new((self.next).saturating_sub(self.in_flight + 1));
        let what = Acknowledgment {
            in_flight: self.in_flight,
            ackno,
            ..what
        };
        self.sender.on_acknowledged(self.now, &what);
    }

    /// The oldest packet is lost.
    fn lose_oldest(&mut self, received: u64) {
        let oldest = Seq::new(self.next - self.in_flight);
        let latest_loss = Some(oldest);
        self.acknowledge(Acknowledgment {
            received,
            lost: 1,
            latest_loss,
            ..nothing()
        });
    }

    fn windows(&self) -> (u64, u64) {
        (self.sender.cwnd, self.sender.ssthresh)
    }

    /// Lets the timer run out.
    fn time_out(&mut self) {
        let due = self.sender.poll_timeout().unwrap();
        assert!(!self.sender.handle_timeout(due - MS));
        self.now = due;
        assert!(self.sender.handle_timeout(due));
        self.in_flight = 0;
    }
}

#[test]
fn dd1_data_is_sent_only_while_pipe_is_below_cwnd() {
    let script = Script::with(10, 10);
    assert_eq!(script.sender.permit(script.now, 9), Permit::Now(1));
    assert_eq!(script.sender.permit(script.now, 10), Permit::Wait);
    assert_eq!(script.sender.permit(script.now, 11), Permit::Wait);
}

#[test]
fn dd3_initial_window_follows_rfc_3390() {
    for (packet_size, expected) in [
        (500, 4),
        (1095, 4),
        (1096, 3),
        (2189, 3),
        (2190, 2),
        (9000, 2),
    ] {
        let mut script = Script::new(&Settings {
            packet_size,
            ..Settings::default()
        });
        assert_eq!(script.fill(), expected);
        assert_eq!(script.sender.report().ssthresh, u64::MAX);
    }
}

#[test]
fn dd4_slow_start_grows_by_one_for_two_acknowledged() {
    let mut script = Script::with(10, 1000);
    script.fill();
    for _ in 0..5 {
        script.receive(2);
    }
    assert_eq!(script.sender.cwnd, 15);
    // One at a time adds up.
    for _ in 0..4 {
        script.fill();
        script.receive(1);
    }
    assert_eq!(script.sender.cwnd, 17);
    // After lost acknowledgements, one of many packets counts as one of Ack Ratio.
    script.fill();
    script.acknowledge(Acknowledgment {
        received: 10,
        acks_lost: 1,
        ..nothing()
    });
    assert_eq!(script.sender.cwnd, 18);
    script.sender.ssthresh = 18;
    script.fill();
    script.receive(2);
    assert_eq!(script.sender.cwnd, 18, "slow start ends at ssthresh");
}

#[test]
fn dd4_slow_start_grows_for_a_train_acknowledged_at_once() {
    let mut script = Script::with(200, 1000);
    script.fill();
    script.receive(40);
    assert_eq!(script.sender.cwnd, 220);
    script.receive(160);
    assert_eq!(script.sender.cwnd, 252, "a train of 64 at most");
    script.sender.max_train = 0;
    script.fill();
    script.receive(10);
    assert_eq!(script.sender.ack_ratio.current(), 4);
    assert_eq!(script.sender.cwnd, 254, "as RFC 4341 has it");
}

#[test]
fn dd4_congestion_avoidance_grows_by_one_for_a_window() {
    let mut script = Script::with(10, 10);
    for _ in 0..4 {
        script.fill();
        script.receive(2);
        assert_eq!(script.sender.cwnd, 10);
    }
    script.fill();
    script.receive(2);
    assert_eq!(script.sender.cwnd, 11);
    // A loss within the window makes it begin anew.
    script.fill();
    script.receive(10);
    script.fill();
    script.sender.recover = Some(Seq::new(script.next));
    script.lose_oldest(0);
    script.receive(10);
    assert_eq!(script.sender.cwnd, 11);
    script.fill();
    script.receive(1);
    assert_eq!(script.sender.cwnd, 12);
}

#[test]
fn dd4_window_has_a_limit() {
    let settings = Settings {
        max_window: 5,
        ..Settings::default()
    };
    let mut script = Script::new(&settings);
    for _ in 0..50 {
        script.fill();
        script.receive(2);
    }
    assert_eq!(script.sender.cwnd, 5);
}

#[test]
fn dd5_losses_of_one_window_are_one_event() {
    let mut script = Script::with(21, 21);
    script.fill();
    script.lose_oldest(3);
    assert_eq!(script.windows(), (10, 10));
    // Sent before the first was detected.
    script.lose_oldest(3);
    script.lose_oldest(2);
    assert_eq!(script.windows(), (10, 10));
    script.receive(script.in_flight);
    script.fill();
    script.lose_oldest(3);
    assert_eq!(script.windows(), (5, 5));
    assert_eq!(script.sender.report().congestion_events, 2);
}

#[test]
fn dd5_a_mark_is_as_good_as_a_loss() {
    let mut script = Script::with(8, 100);
    script.fill();
    let latest_loss = Some(Seq::new(0));
    script.acknowledge(Acknowledgment {
        received: 1,
        marked: 1,
        latest_loss,
        ..nothing()
    });
    assert_eq!(script.windows(), (4, 4));
}

#[test]
fn dd5_windows_have_floors() {
    for (cwnd, expected) in [
        (1, (1, 2)),
        (2, (1, 2)),
        (3, (1, 2)),
        (5, (2, 2)),
        (6, (3, 3)),
    ] {
        let mut script = Script::with(cwnd, u64::MAX);
        script.fill();
        script.lose_oldest(0);
        assert_eq!(script.windows(), expected);
    }
}

#[test]
fn dd6_a_timeout_leaves_one_packet_and_backs_off() {
    let mut script = Script::with(20, 1000);
    script.fill();
    let sent = script.now;
    script.time_out();
    // SRTT + 4 * RTTVAR + the peer's delay, as the Ack Ratio is 2.
    assert_eq!(script.now - sent, MS * 500);
    assert_eq!(script.windows(), (1, 10));
    assert_eq!(script.sender.poll_timeout(), None);
    assert_eq!(script.sender.wishes().ack_ratio, Some(1));
    // Again: the threshold stays, the timeout doubles.
    assert_eq!(script.fill(), 1);
    let sent = script.now;
    script.time_out();
    assert_eq!(script.now - sent, MS * 600);
    assert_eq!(script.windows(), (1, 10));
    assert_eq!(script.sender.report().timeouts, 2);
    // An acknowledgement ends the back-off.
    assert_eq!(script.fill(), 1);
    script.receive(1);
    assert_eq!(script.sender.poll_timeout(), None, "nothing is in flight");
    script.fill();
    assert_eq!(script.sender.poll_timeout().unwrap() - script.now, MS * 300);
}

#[test]
fn dd6_losses_of_before_a_timeout_are_no_event_after_it() {
    let mut script = Script::with(20, 20);
    script.fill();
    script.time_out();
    script.send(1);
    let latest_loss = Some(Seq::new(19));
    let before = script.windows();
    script.sender.on_acknowledged(
        script.now,
        &Acknowledgment {
            latest_loss,
            ..nothing()
        },
    );
    assert_eq!(script.windows(), before);
}

#[test]
fn dd6_an_acknowledgement_restarts_the_timer() {
    let mut script = Script::with(20, 20);
    script.fill();
    script.now += MS * 400;
    script.receive(2);
    assert_eq!(script.sender.poll_timeout(), Some(script.now + MS * 500));
    // One that tells nothing new does not.
    script.now += MS * 10;
    script.receive(0);
    assert_eq!(script.sender.poll_timeout(), Some(script.now + MS * 490));
}

#[test]
fn dd6_one_round_trip_is_taken_in_a_window() {
    let mut script = Script::new(&Settings::default());
    script.fill();
    let sample = |rtt| Acknowledgment {
        received: 1,
        rtt: Some(rtt),
        ..nothing()
    };
    script.acknowledge(sample(MS * 80));
    assert_eq!(script.sender.report().rtt, Some(MS * 80));
    script.acknowledge(sample(MS * 800));
    assert_eq!(
        script.sender.report().rtt,
        Some(MS * 80),
        "of the same window"
    );
    script.receive(1);
    script.fill();
    script.acknowledge(sample(MS * 160));
    assert_eq!(script.sender.report().rtt, Some(MS * 90));
}

#[test]
fn dd7_an_idle_window_is_halved_for_each_timeout() {
    let mut script = Script::with(64, 64);
    script.fill();
    script.receive(64);
    assert_eq!(script.sender.cwnd, 65);
    let timeout = script.sender.timeout();
    for (periods, expected) in [(0, 65), (1, 32), (2, 16), (3, 8), (6, 3), (1_000_000, 3)] {
        let later = script.now + timeout * periods;
        assert_eq!(
            script.sender.permit(later, 0),
            Permit::Now(expected),
            "{periods} periods"
        );
    }
    script.now += timeout * 2;
    script.fill();
    assert_eq!(
        script.windows(),
        (16, 64),
        "the threshold remembers the window"
    );
}

#[test]
fn dd7_an_idle_period_does_not_raise_a_small_window() {
    let mut script = Script::with(1, 10);
    script.fill();
    script.receive(1);
    script.now += Duration::from_secs(100);
    assert_eq!(script.fill(), 1);
}

#[test]
fn dd7_a_window_that_is_not_full_does_not_grow() {
    for ssthresh in [10, 1000] {
        let mut script = Script::with(10, ssthresh);
        for _ in 0..20 {
            script.send(5);
            script.acknowledge(Acknowledgment {
                received: 5,
                limited: false,
                ..nothing()
            });
        }
        assert_eq!(script.sender.cwnd, 10);
    }
}

#[test]
fn dd8_drops_in_the_receive_buffer_cost_a_packet_each() {
    let mut script = Script::with(10, 1000);
    script.fill();
    let dropped = |code: usize, count| {
        let mut dropped = [0; 8];
        dropped[code] = count;
        Acknowledgment {
            received: count,
            dropped,
            ..nothing()
        }
    };
    script.acknowledge(dropped(2, 3));
    assert_eq!(script.windows(), (7, 7), "slow start has ended");
    script.acknowledge(dropped(2, 7));
    assert_eq!(script.windows().0, 1);
    // Codes 0 and 1 end slow start only.
    for code in [0, 1] {
        let mut script = Script::with(10, 1000);
        script.fill();
        script.acknowledge(dropped(code, 2));
        assert_eq!(script.windows(), (10, 10));
    }
    // The others are marks.
    for code in 3..8 {
        let mut script = Script::with(10, 1000);
        script.fill();
        let latest_loss = Some(Seq::new(0));
        script.acknowledge(Acknowledgment {
            latest_loss,
            ..dropped(code, 2)
        });
        assert_eq!(script.windows(), (5, 5));
    }
}

#[test]
fn dd8_slow_receiver_holds_the_window_for_a_round_trip() {
    let mut script = Script::with(10, 1000);
    script.fill();
    script.acknowledge(Acknowledgment {
        received: 2,
        slow_receiver: true,
        ..nothing()
    });
    assert_eq!(script.windows(), (10, 10));
    for _ in 0..10 {
        script.fill();
        script.receive(4);
    }
    assert_eq!(script.windows(), (10, 10));
    script.now += MS * 100;
    for _ in 0..5 {
        script.fill();
        script.receive(2);
    }
    assert_eq!(script.windows(), (11, 10));
}

#[test]
fn da9_network_losses_and_drops_at_the_end_add_up() {
    let mut script = Script::with(20, 20);
    script.fill();
    let latest_loss = Some(Seq::new(0));
    let dropped = [0, 0, 4, 0, 0, 0, 0, 0];
    let what = Acknowledgment {
        received: 4,
        lost: 1,
        latest_loss,
        dropped,
        ..nothing()
    };
    script.acknowledge(what);
    // 20 + (10 - 20) + (16 - 20).
    assert_eq!(script.windows(), (6, 6));
}

/// Lets a whole window be acknowledged, with or without lost acknowledgements.
fn window(script: &mut Script, acks_lost: u64) {
    script.fill();
    script.acknowledge(Acknowledgment {
        received: script.in_flight,
        acks_lost,
        ..nothing()
    });
}

#[test]
fn dd9_ack_ratio_doubles_with_lost_acknowledgements_and_returns_slowly() {
    let mut script = Script::with(160, 160);
    let ratio = |script: &Script| script.sender.wishes().ack_ratio.unwrap();
    window(&mut script, 0);
    // So large a window does not return to 2.
    assert_eq!(ratio(&script), 4);
    script.sender.ack_ratio = AckRatio::new(2);
    window(&mut script, 0);
    assert_eq!(ratio(&script), 2);
    for expected in [4, 8, 16, 20, 20] {
        window(&mut script, 1);
        assert_eq!(
            ratio(&script),
            expected,
            "at least eight acknowledgements in a window"
        );
    }
    // cwnd / (R^2 - R) windows for each step.
    let mut windows = 0;
    while ratio(&script) > 3 {
        window(&mut script, 0);
        windows += 1;
    }
    let expected: u64 = (4..=20)
        .map(|ratio| (170 / (ratio * ratio - ratio)).max(1))
        .sum();
    assert!(
        (expected - 5..=expected + 15).contains(&windows),
        "{windows} {expected}"
    );
    let (before, cwnd) = (windows, script.sender.cwnd);
    while ratio(&script) > 2 {
        window(&mut script, 0);
        windows += 1;
    }
    let last = windows - before;
    assert!((cwnd / 6..=cwnd / 5).contains(&last), "{last} {cwnd}");
}

#[test]
fn dd9_ack_ratio_changes_once_in_a_window() {
    let mut script = Script::with(80, 80);
    window(&mut script, 0);
    script.fill();
    for _ in 0..10 {
        script.acknowledge(Acknowledgment {
            received: 2,
            acks_lost: 1,
            ..nothing()
        });
        script.fill();
        assert_eq!(script.sender.wishes().ack_ratio, Some(4));
    }
    script.receive(script.in_flight);
    assert_eq!(script.sender.wishes().ack_ratio, Some(8));
}

#[test]
fn dd9_ack_ratio_is_never_more_than_the_window() {
    let mut script = Script::with(64, 64);
    for _ in 0..6 {
        window(&mut script, 1);
    }
    assert!(script.sender.wishes().ack_ratio >= Some(8));
    while script.sender.cwnd > 1 {
        script.fill();
        script.lose_oldest(0);
        let ratio = u64::from(script.sender.wishes().ack_ratio.unwrap());
        assert!(
            ratio
                <= script
                    .sender
                    .cwnd
                    .div_ceil(2)
                    .max(2)
                    .min(script.sender.cwnd)
        );
        script.receive(script.in_flight);
    }
}

#[test]
fn dd9_ack_ratio_stays_1_after_a_timeout_until_the_window_is_4() {
    let mut script = Script::with(20, 20);
    script.fill();
    script.time_out();
    while script.sender.cwnd < 4 {
        assert_eq!(script.sender.wishes().ack_ratio, Some(1));
        window(&mut script, 0);
    }
    window(&mut script, 0);
    assert_eq!(script.sender.wishes().ack_ratio, Some(2));
}

#[test]
fn dd9_a_large_full_window_is_spared_acknowledgements() {
    let mut script = Script::with(1024, 1024);
    window(&mut script, 0);
    window(&mut script, 0);
    assert_eq!(script.sender.wishes().ack_ratio, Some(32));
    // Not one that the application does not fill: its last packets would wait.
    script.send(100);
    script.acknowledge(Acknowledgment {
        received: 100,
        limited: false,
        ..nothing()
    });
    script.send(100);
    script.acknowledge(Acknowledgment {
        received: 100,
        limited: false,
        ..nothing()
    });
    assert_eq!(script.sender.wishes().ack_ratio, Some(2));
    // Nor beyond the limit.
    let mut script = Script::with(60_000, 60_000);
    window(&mut script, 0);
    window(&mut script, 0);
    assert_eq!(script.sender.wishes().ack_ratio, Some(32));
}

#[test]
fn dd12_a_quiescent_peer_gets_a_data_ack_in_each_window() {
    let script = Script::with(17, 17);
    assert_eq!(script.sender.data_ack_interval(), 17);
}

#[test]
fn the_sequence_window_is_asked_for_ahead_of_the_congestion_window() {
    let mut script = Script::new(&Settings::default());
    let wish = |script: &Script| script.sender.wishes().sequence_window.unwrap();
    assert_eq!(wish(&script), 100);
    // What was asked for is in force six windows later; the window grows by half in each.
    let mut asked = vec![wish(&script); 7];
    let mut changes = 0;
    while script.sender.cwnd < 60_000 {
        script.fill();
        while script.in_flight >= 2 {
            script.receive(2);
        }
        let in_force = asked[asked.len() - 7];
        assert!(
            in_force * 3 / 4 > script.sender.cwnd,
            "{in_force} for {}",
            script.sender.cwnd
        );
        changes += u32::from(wish(&script) != asked[asked.len() - 1]);
        asked.push(wish(&script));
    }
    assert!(changes <= 16, "{changes}");
    // Shrunk when the window has become much smaller.
    script.fill();
    script.time_out();
    script.send(1);
    script.receive(1);
    assert!(wish(&script) < 1000);
}

#[test]
fn a_mark_is_told_at_once_but_once_in_a_round_trip() {
    let mut receiver = Receiver::default();
    let now = start();
    let packet = |marked| Arrived {
        seq: Seq::new(0),
        ccval: 0,
        data: Some(1),
        marked,
        nonce: false,
        ndp_count: None,
        rtt: Some(MS * 50),
    };
    assert!(!receiver.on_arrived(now, &packet(false)));
    assert!(receiver.on_arrived(now, &packet(true)));
    assert!(!receiver.on_arrived(now + MS * 49, &packet(true)));
    assert!(receiver.on_arrived(now + MS * 50, &packet(true)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a peer says, and whenever.
    #[test]
    fn dd5_dd9_windows_and_ack_ratio_keep_their_bounds(
        steps in prop::collection::vec(
            (0..6u8, 0..40u64, 0..1000u32, prop::array::uniform8(0..3u64)),
            1..300,
        ),
    ) {
        let mut script = Script::new(&Settings { max_window: 300, ..Settings::default() });
        for (kind, count, later, dropped) in steps {
            script.now += MS * later;
            let settled = count.min(script.in_flight);
            let latest_loss = Some(Seq::new(script.next.saturating_sub(script.in_flight.max(1))));
            match kind {
                0 | 1 => {
                    script.fill();
                }
                2 => script.receive(settled),
                3 => script.acknowledge(Acknowledgment { lost: settled, latest_loss, ..nothing() }),
                4 => script.acknowledge(Acknowledgment {
                    received: settled,
                    rtt: Some(MS * later),
                    dropped,
                    latest_loss,
                    acks_lost: count,
                    slow_receiver: count == 7,
                    ..nothing()
                }),
                _ => {
                    if script.sender.handle_timeout(script.now) {
                        script.in_flight = 0;
                    }
                }
            }
            let (cwnd, ssthresh) = script.windows();
            prop_assert!((1..=300).contains(&cwnd) && ssthresh >= 2);
            let ratio = u64::from(script.sender.ack_ratio.current());
            prop_assert!(ratio >= 1 && (ratio <= 2 || ratio <= cwnd.div_ceil(2)) && ratio <= cwnd);
            prop_assert!(script.sender.wishes().sequence_window >= Some(cwnd * 5));
            // Data in the network is watched, and nothing else.
            prop_assert_eq!(script.sender.poll_timeout().is_some(), script.in_flight > 0);
        }
    }
}
