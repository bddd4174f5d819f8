use super::*;
use crate::ccid::tfrc;

const PATH: Path = Path {
    rate: 2000,
    queue: 100,
    rtt: Duration::from_millis(50),
    loss_of: 0,
    ack_loss_of: 0,
};

#[test]
fn dd5_ccid2_fills_a_bottleneck_with_a_queue() {
    let outcome = Simulation::run(Ccid::CCID2, PATH, Duration::from_secs(20));
    assert!(outcome.goodput > 0.97 * f64::from(PATH.rate), "{outcome:?}");
    assert_eq!(outcome.report.timeouts, 0, "{outcome:?}");
    // It had to give way to fit in.
    assert!(
        (2..20).contains(&outcome.report.congestion_events),
        "{outcome:?}"
    );
}

#[test]
fn dd5_ccid2_responds_to_losses_as_the_square_root_law_says() {
    for loss_of in [50u32, 200, 1000] {
        let path = Path {
            rate: 100_000,
            queue: 10_000,
            loss_of: loss_of.into(),
            ..PATH
        };
        let outcome = Simulation::run(Ccid::CCID2, path, Duration::from_secs(60));
        let loss_of = f64::from(loss_of);
        // Packets in a round trip: sqrt(3/2 / p).
        let law = f64::sqrt(1.5 * loss_of) / 0.05;
        assert!(
            (0.7 * law..1.3 * law).contains(&outcome.goodput),
            "{law} {outcome:?}"
        );
    }
}

/// The receiver does not delay acknowledgements but withholds them until Ack Ratio packets have
/// come, as Linux does.
#[test]
fn dd9_ccid2_goes_on_where_every_fifth_acknowledgement_is_lost() {
    let path = Path {
        ack_loss_of: 5,
        ..PATH
    };
    let outcome = Simulation::run(Ccid::CCID2, path, Duration::from_secs(30));
    assert!(outcome.wishes.ack_ratio > Some(4), "{outcome:?}");
    assert!(outcome.goodput > 0.9 * f64::from(PATH.rate), "{outcome:?}");
    assert!(outcome.report.timeouts <= 3, "{outcome:?}");
}

#[test]
fn dt8_ccid3_fills_a_bottleneck_with_a_queue() {
    let outcome = Simulation::run(Ccid::CCID3, PATH, Duration::from_secs(30));
    assert!(outcome.goodput > 0.85 * f64::from(PATH.rate), "{outcome:?}");
    assert_eq!(outcome.report.timeouts, 0, "{outcome:?}");
}

#[test]
fn dt6_ccid3_sends_at_the_rate_of_the_equation() {
    for loss_of in [50u32, 200, 1000] {
        let path = Path {
            rate: 100_000,
            queue: 10_000,
            loss_of: loss_of.into(),
            ..PATH
        };
        let outcome = Simulation::run(Ccid::CCID3, path, Duration::from_secs(60));
        let loss_of = f64::from(loss_of);
        let fair = tfrc::packets_per_rtt(1.0 / loss_of) / 0.05;
        assert!(
            (0.7 * fair..1.4 * fair).contains(&outcome.goodput),
            "{fair} {outcome:?}"
        );
        let p = outcome.loss_event_rate * loss_of;
        assert!((0.7..1.3).contains(&p), "{outcome:?}");
        // What is reported is what is done.
        let kept = outcome.rate * (1.0 - 1.0 / loss_of) / outcome.goodput;
        assert!((0.9..1.1).contains(&kept), "{outcome:?}");
    }
}

#[test]
fn dt9_ccid3_goes_on_where_every_fifth_feedback_packet_is_lost() {
    let path = Path {
        ack_loss_of: 5,
        ..PATH
    };
    let outcome = Simulation::run(Ccid::CCID3, path, Duration::from_secs(30));
    assert!(outcome.goodput > 0.85 * f64::from(PATH.rate), "{outcome:?}");
}
