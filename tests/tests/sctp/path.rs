//! What paths do to an association: cuts, holes, an MTU that falls, a window that closes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sctp::{CloseReason, PathChange};
use tests::associations::{Pair, Scenario};
use tests::netsim::{Carrier, Config as Pipe, Fate, Passing, address};
use tests::transcript::Side;

/// Cuts the first path of both ends, from `cut` on, until `mended`.
fn cut(pair: &mut Pair, cut: Duration, mended: Duration) {
    for (side, index) in [(Side::Client, 2), (Side::Server, 1)] {
        let dead = address(index, 0).ip();
        let choose = move |passing: Passing<'_>| {
            let lost = passing.destination.ip() == dead && (cut..mended).contains(&passing.at);
            lost.then_some(Fate::Lost)
        };
        pair.network.choose(side, Box::new(choose));
    }
}

/// A download over the first of two paths with 10 ms each way, 40 Mbit/s.
fn two_paths(seed: u64, size: u64) -> Pair {
    two_paths_of(seed, size, Duration::from_millis(10), 5_000_000)
}

/// The same with this latency each way, and so many bytes a second.
fn two_paths_of(seed: u64, size: u64, latency: Duration, rate: u64) -> Pair {
    let carrier = if seed.is_multiple_of(2) {
        Carrier::Udp
    } else {
        Carrier::Ip
    };
    let mut scenario = Scenario::new(carrier, &[(0, size)]);
    scenario.seed = seed;
    scenario.second_path = true;
    scenario.up = Pipe::latency(latency);
    scenario.down = Pipe {
        rate: Some(rate),
        queue: 100_000,
        ..Pipe::latency(latency)
    };
    scenario.keep = Some(300);
    scenario.begin()
}

#[test]
fn sf2_a_download_survives_the_cut_of_its_path_with_a_stall_below_a_second() {
    let mut worst = Duration::ZERO;
    for seed in 0..20 {
        let mut pair = two_paths(seed, 4_000_000);
        let when = Duration::from_millis(150 + 31 * seed);
        cut(&mut pair, when, Duration::MAX);
        pair.run(Duration::from_secs(60));
        assert!(
            pair.client.has_everything(),
            "seed {seed}: {:?}",
            pair.server.stats()
        );
        assert_eq!(pair.client.received(), 4_000_000);
        worst = worst.max(pair.client.stall());
        let used = pair.server.changes().iter();
        let used = used.filter(|(_, change)| *change == PathChange::InUse);
        assert!(used.count() >= 1, "the switch is told");
    }
    println!("longest stall: {} ms", worst.as_millis());
    assert!(worst < Duration::from_secs(1), "{worst:?}");
}

/// The client sends no data by which it would learn that the path is dead.
#[test]
fn sf5_after_a_failover_the_end_travels_where_data_did() {
    for seed in 0..10 {
        let mut pair = two_paths(seed, 2_000_000);
        cut(&mut pair, Duration::from_millis(200), Duration::MAX);
        let began = pair.network.now();
        pair.run(Duration::from_secs(60));
        assert_eq!(pair.client.closed(), Some(CloseReason::Shutdown));
        assert_eq!(pair.server.closed(), Some(CloseReason::Shutdown));
        let done = pair.client.download(0).and_then(|one| one.done);
        let took = began + pair.network.elapsed() - done.expect("it came");
        // SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE, of 10 ms each.
        assert!(took <= Duration::from_millis(40), "seed {seed}: {took:?}");
    }
}

/// What was sent when the path was cut, and both ends' SHUTDOWNs, are repeated elsewhere.
#[test]
fn sf5_an_end_whose_path_dies_meanwhile_comes_by_the_other() {
    for seed in 0..10 {
        let mut pair = two_paths(seed, 20_000);
        pair.client.closes = false;
        pair.run(Duration::from_millis(300 + 3 * seed));
        assert!(pair.client.has_everything());
        let now = pair.network.elapsed();
        cut(&mut pair, now, Duration::MAX);
        let began = pair.network.now();
        pair.client.close(began);
        pair.run(Duration::from_secs(60));
        assert_eq!(pair.client.closed(), Some(CloseReason::Shutdown));
        assert_eq!(pair.server.closed(), Some(CloseReason::Shutdown));
        let took = pair.network.now() - began;
        assert!(took < Duration::from_millis(1200), "seed {seed}: {took:?}");
    }
}

/// On a busy machine a peer waits for its turn much longer than packets need to it.
#[test]
fn sf2_a_peer_that_pauses_is_not_taken_for_one_that_is_cut_off() {
    let pause = Duration::from_millis(100);
    for seed in 0..4 {
        let latency = Duration::from_micros(50);
        let mut pair = two_paths_of(seed, 40_000_000, latency, 100_000_000);
        // What the client sends while it has to wait leaves when it may go on.
        let wait = move |passing: Passing<'_>| {
            let turn = Duration::from_millis(130) + Duration::from_micros(777 * seed);
            let into = Duration::from_nanos((passing.at.as_nanos() % turn.as_nanos()) as u64);
            let waits = passing.at > turn && into < pause;
            waits.then(|| Fate::Late(pause - into))
        };
        pair.network.choose(Side::Client, Box::new(wait));
        pair.run(Duration::from_secs(60));
        assert!(pair.client.has_everything());
        let left = [PathChange::Suspect, PathChange::InUse];
        for talker in [&pair.client, &pair.server] {
            let failed = talker.changes().iter().find(|(_, one)| left.contains(one));
            assert_eq!(failed, None, "seed {seed}");
        }
    }
}

#[test]
fn sf2_a_path_that_comes_back_is_used_again() {
    let mut pair = two_paths(3, 40_000_000);
    cut(
        &mut pair,
        Duration::from_millis(500),
        Duration::from_secs(3),
    );
    pair.run(Duration::from_secs(120));
    assert!(pair.client.has_everything());
    assert_eq!(pair.client.closed(), Some(CloseReason::Shutdown));
}

/// What is in flight on the path that data leaves, since a better one is back, arrives: it is not
/// sent again, even where the other path is so much quicker that packets overtake it.
#[test]
fn sf2_what_is_in_flight_when_a_path_comes_back_is_not_sent_again() {
    for seed in 0..6 {
        let mut pair = two_paths(seed, 40_000_000);
        let slow = [address(51, 0).ip(), address(52, 0).ip()];
        let back = Duration::from_secs(3);
        for (side, index) in [(Side::Client, 2), (Side::Server, 1)] {
            let first = address(index, 0).ip();
            let choose = move |passing: Passing<'_>| {
                let to = passing.destination.ip();
                let cut = Duration::from_millis(500)..back + Duration::from_millis(17 * seed);
                if slow.contains(&to) {
                    return Some(Fate::Late(Duration::from_millis(20)));
                }
                (to == first && cut.contains(&passing.at)).then_some(Fate::Lost)
            };
            pair.network.choose(side, Box::new(choose));
        }
        pair.run(back);
        let counts = |pair: &mut Pair| {
            let server = pair.server.stats().expect("it goes on");
            let again: u64 = server.paths.iter().map(|path| path.retransmissions).sum();
            let duplicates = pair.client.stats().expect("it goes on").duplicates;
            (server.current_path, server.outstanding, again, duplicates)
        };
        let mut before = counts(&mut pair);
        let mut now = before;
        while now.0 == 1 && pair.network.elapsed() < 2 * back {
            before = now;
            pair.run_for(Duration::from_millis(1));
            now = counts(&mut pair);
        }
        let (_, outstanding, again, duplicates) = before;
        assert_eq!((before.0, now.0), (1, 0), "seed {seed}");
        assert!(outstanding > 50_000, "much is in flight: {outstanding}");
        pair.run_for(Duration::from_millis(300));
        let (current, _, again_now, duplicates_now) = counts(&mut pair);
        println!(
            "seed {seed}: {outstanding} bytes in flight, {again_now} - {again} again, {duplicates_now} - {duplicates} twice"
        );
        assert_eq!(current, 0, "seed {seed}");
        assert!(duplicates_now - duplicates <= 2, "seed {seed}");
    }
}

#[test]
fn sf1_a_hole_of_five_seconds_is_survived_and_one_that_lasts_is_reported() {
    for (seconds, came) in [(5, true), (3600, false)] {
        let mut scenario = Scenario::new(Carrier::Udp, &[(0, 3_000_000)]);
        let begin = Duration::from_millis(500);
        for pipe in [&mut scenario.up, &mut scenario.down] {
            pipe.blackholes = vec![begin..begin + Duration::from_secs(seconds)];
            pipe.rate = Some(1_250_000);
            pipe.queue = 50_000;
        }
        scenario.keep = Some(200);
        let pair = scenario.run(Duration::from_secs(3600));
        assert_eq!(pair.client.has_everything(), came);
        let closed = if came {
            CloseReason::Shutdown
        } else {
            CloseReason::Unreachable
        };
        assert_eq!(pair.client.closed(), Some(closed));
        assert_eq!(pair.server.closed(), Some(closed));
    }
}

/// A download whose path takes smaller packets from `when` on; `told`: the sender is told.
fn shrinking(mtu: (usize, usize), when: Duration, told: bool) -> Pair {
    let mut scenario = Scenario::new(Carrier::Udp, &[(0, 6_000_000)]);
    let pipe = Pipe {
        mtu: mtu.0,
        mtu_changes: vec![(when, mtu.1)],
        tells: told,
        ..Pipe::latency(Duration::from_millis(5))
    };
    scenario.up = pipe.clone();
    scenario.down = Pipe {
        rate: Some(2_500_000),
        queue: 400_000,
        ..pipe
    };
    scenario.keep = Some(500);
    scenario.begin()
}

/// What was cut for larger packets cannot be cut again (RFC 9260 §6.9): it goes in packets that IP
/// may fragment, and all that is cut from then on fits.
#[test]
fn st8_an_mtu_that_falls_under_what_is_in_flight_is_survived() {
    for mtu in [(1500, 1280), (65_535, 1500)] {
        for told in [true, false] {
            for seed in 0..4 {
                let when = Duration::from_millis(700 + 53 * seed);
                let mut pair = shrinking(mtu, when, told);
                pair.run(Duration::from_secs(600));
                let took = pair.network.elapsed();
                let stall = pair.client.stall();
                println!("{mtu:?}, told: {told}: {took:?}, longest stall {stall:?}");
                assert!(pair.client.has_everything(), "{mtu:?}, told: {told}");
                assert_eq!(pair.client.closed(), Some(CloseReason::Shutdown));
                assert_eq!(pair.server.closed(), Some(CloseReason::Shutdown));
                // Two expiries of T3-rtx tell what nobody else does (RFC 8899 §4.3).
                let most = if told { 500 } else { 4000 };
                assert!(stall < Duration::from_millis(most), "{stall:?}");
            }
        }
    }
}

#[test]
fn st8_only_what_was_cut_before_is_left_to_ip() {
    for told in [true, false] {
        let when = Duration::from_millis(700);
        let mut pair = shrinking((1500, 1280), when, told);
        let fragmented = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&fragmented);
        let watch = move |passing: Passing<'_>| {
            if passing.may_fragment {
                let at = passing.at;
                seen.borrow_mut().push((at, passing.payload.len()));
            }
            None
        };
        pair.network.choose(Side::Server, Box::new(watch));
        pair.run(when);
        assert!(fragmented.borrow().is_empty(), "nothing is too large yet");
        let outstanding = pair.server.stats().expect("it goes on").outstanding;
        pair.run(Duration::from_secs(600));
        assert!(pair.client.has_everything());
        let fragmented = fragmented.borrow();
        assert!(!fragmented.is_empty());
        assert!(fragmented.iter().all(|(_, size)| *size > 1200));
        // What was in flight, each a few times at most.
        let bytes: usize = fragmented.iter().map(|(_, size)| size).sum();
        assert!(bytes < 3 * outstanding + 30_000, "{bytes} of {outstanding}");
    }
}

/// Only large packets are lost on the first path; HEARTBEATs pass. It must not be taken again and
/// again for a path that has come back.
#[test]
fn st8_a_path_that_takes_only_small_packets_does_not_hold_up_for_long() {
    let mut pair = two_paths(0, 20_000_000);
    let narrow = address(1, 0).ip();
    let choose = move |passing: Passing<'_>| {
        let large = passing.payload.len() > 1252 && !passing.may_fragment;
        let hit = passing.destination.ip() == narrow && passing.at > Duration::from_millis(900);
        (large && hit).then_some(Fate::Lost)
    };
    pair.network.choose(Side::Server, Box::new(choose));
    pair.run(Duration::from_secs(120));
    assert!(pair.client.has_everything());
    assert_eq!(pair.server.closed(), Some(CloseReason::Shutdown));
    let took = pair.network.elapsed();
    println!("20 MB in {took:?}, longest stall {:?}", pair.client.stall());
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn st1_a_window_closed_for_a_minute_opens_again() {
    let mut scenario = Scenario::new(Carrier::Udp, &[(0, 5_000_000)]);
    scenario.client.receive_buffer = 200_000;
    scenario.keep = Some(100);
    let mut pair = scenario.begin();
    pair.run(Duration::from_millis(300));
    let id = pair.client.id().expect("it has one");
    pair.client.endpoint_mut().set_paused(id, true);
    pair.run_for(Duration::from_secs(2));
    let received = pair.client.received();
    let before = pair.network.pipe(Side::Server).stats().sent;
    pair.run_for(Duration::from_secs(60));
    let probes = pair.network.pipe(Side::Server).stats().sent - before;
    assert_eq!(pair.client.received(), received);
    assert!(
        (1..=60).contains(&probes),
        "{probes} packets to a closed window"
    );
    let stats = pair.client.stats().expect("it goes on");
    assert!(stats.held <= 202_000, "{stats:?}");
    pair.client.endpoint_mut().set_paused(id, false);
    let opened = pair.network.now();
    pair.client.run(opened);
    pair.run_for(Duration::from_secs(60));
    assert!(pair.client.has_everything());
    let done = pair.client.download(0).and_then(|one| one.done);
    let took = done.expect("it came") - opened;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn sr10_what_a_sender_hoards_at_a_receiver_stays_within_its_window() {
    // Every second packet of data is lost for ever: the receiver holds what it cannot hand up.
    let mut scenario = Scenario::new(Carrier::Udp, &[(0, 20_000_000)]);
    scenario.client.receive_buffer = 100_000;
    scenario.client.partial_delivery_point = usize::MAX;
    scenario.keep = Some(100);
    let mut pair = scenario.begin();
    pair.server.piece = 200_000;
    pair.run(Duration::from_secs(2));
    for _ in 0..100 {
        pair.run_for(Duration::from_millis(50));
        if let Some(stats) = pair.client.stats() {
            assert!(stats.held <= 101_600, "{stats:?}");
        }
    }
}
