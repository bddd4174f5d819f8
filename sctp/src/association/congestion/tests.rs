use super::*;

const PACKET: usize = 1440;

#[expect(clippy::disallowed_methods, reason = "an Instant to begin with")]
fn start() -> Instant {
    Instant::now()
}

fn acked(now: Instant, bytes: usize, flight: usize) -> Acked {
    Acked {
        now,
        bytes,
        flight_before: flight,
        cumulative_moved: true,
        in_recovery: false,
        all_acked: false,
        srtt: Duration::from_millis(50),
        round_trip: Duration::from_millis(50),
        newest_packet: 1,
        next_packet: 100,
    }
}

fn both() -> [Box<dyn Congestion>; 2] {
    [Algorithm::NewReno, Algorithm::Cubic].map(|algorithm| algorithm.start(PACKET, true))
}

#[test]
fn sc1_the_initial_window_of_the_rfc() {
    assert_eq!(initial_window(1440, true), 4404);
    assert_eq!(initial_window(1440, false), 4344);
    assert_eq!(initial_window(1000, true), 4000);
    assert_eq!(initial_window(9000, true), 18_000);
}

#[test]
fn sc1_slow_start_grows_by_what_is_acknowledged_if_the_window_is_used() {
    let now = start();
    for mut control in both() {
        let before = control.window();
        control.on_ack(&acked(now, 2 * PACKET, before));
        assert_eq!(control.window(), before + 2 * PACKET);
        // Not used, or recovering: no growth.
        let before = control.window();
        control.on_ack(&acked(now, PACKET, PACKET));
        control.on_ack(&Acked {
            in_recovery: true,
            ..acked(now, PACKET, before)
        });
        assert_eq!(control.window(), before);
    }
}

#[test]
fn sc2_avoidance_grows_by_a_packet_for_each_window() {
    let now = start();
    let mut control = NewReno::new(PACKET, true);
    while control.window() < 100 * PACKET {
        control.on_ack(&acked(now, 2 * PACKET, control.window()));
    }
    control.on_loss(now);
    let window = control.window();
    assert_eq!(window, control.threshold());
    // One above the threshold, and it is avoidance.
    control.on_ack(&acked(now, PACKET, window));
    let first = control.window();
    let mut acks = 0;
    while control.window() == first {
        control.on_ack(&acked(now, PACKET, first));
        acks += 1;
    }
    assert_eq!(control.window(), first + PACKET);
    assert_eq!(acks, first.div_ceil(PACKET));
}

#[test]
fn sc4_a_loss_halves_and_a_timeout_leaves_one_packet() {
    let now = start();
    for (mut control, kept) in both().into_iter().zip([0.5, 0.7]) {
        while control.window() < 100 * PACKET {
            control.on_ack(&acked(now, 2 * PACKET, control.window()));
        }
        let before = control.window() as f64;
        control.on_loss(now);
        let after = control.window() as f64;
        assert!((after / before - kept).abs() < 0.01, "{before} {after}");
        control.on_timeout(now);
        assert_eq!(control.window(), PACKET);
        assert!(control.threshold() as f64 >= after * kept - 1.0);
        for _ in 0..20 {
            control.on_loss(now);
            control.on_timeout(now);
        }
        assert!(control.threshold() >= 2 * PACKET);
    }
}

#[test]
fn sc3_an_idle_path_falls_back_by_halves() {
    let now = start();
    for mut control in both() {
        while control.window() < 100 * PACKET {
            control.on_ack(&acked(now, 2 * PACKET, control.window()));
        }
        let before = control.window();
        control.on_idle();
        assert_eq!(control.window(), before / 2);
        for _ in 0..20 {
            control.on_idle();
        }
        assert_eq!(control.window(), 4 * PACKET);
        assert!(
            control.threshold() >= before / 4 * 3,
            "slow start to where it was"
        );
    }
}

#[test]
fn sc2_cubic_comes_back_to_where_it_was_and_then_goes_on() {
    // RFC 9438 §4.2: K = cbrt(W_max * (1 - beta) / C).
    let mut now = start();
    let mut control = Cubic::new(PACKET, true);
    while control.window() < 400 * PACKET {
        control.on_ack(&acked(now, 2 * PACKET, control.window()));
    }
    let w_max = control.window();
    control.on_loss(now);
    let k = (400.0 * 0.3 / 0.4_f64).cbrt();
    let began = now;
    let mut reached = None;
    for _ in 0..400 {
        now += Duration::from_millis(50);
        let window = control.window();
        control.on_ack(&acked(now, window, window));
        if reached.is_none() && control.window() >= w_max {
            reached = Some((now - began).as_secs_f64());
        }
    }
    let reached = reached.expect("it comes back");
    assert!((reached - k).abs() < k * 0.15, "{reached} for {k}");
    assert!(control.window() > 2 * w_max);
}

#[test]
fn sc1_slow_start_ends_when_round_trips_grow() {
    let now = start();
    for mut control in both() {
        let mut packet = 0;
        let mut rounds = 0;
        let mut window = 0;
        while window != control.window() && rounds < 40 {
            window = control.window();
            rounds += 1;
            let round_trip = Duration::from_millis(if rounds < 6 { 50 } else { 50 + 10 * rounds });
            for _ in 0..10 {
                packet += 1;
                let sample = Acked {
                    round_trip,
                    newest_packet: packet,
                    next_packet: packet + 10,
                    ..acked(now, control.window() / 10, control.window())
                };
                control.on_ack(&sample);
            }
            if control.threshold() < usize::MAX {
                break;
            }
        }
        assert!(
            control.threshold() < usize::MAX && rounds < 20,
            "{control:?}"
        );
    }
}
