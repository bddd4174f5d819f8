//! Marks of congestion instead of losses (RFC 4960 Appendix A, RFC 3168).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sctp::chunk::{self, ChunkType};
use sctp::congestion::Algorithm;
use sctp::packet::describe;
use sctp::{Config, PathStats, Tsn};
use tests::associations::{Pair, Scenario, Stage, encode};
use tests::netsim::{Carrier, Config as Pipe, EcnTreatment, Fate, Passing};
use tests::transcript::Side;
use transport::Ecn;

/// 20 Mbit/s in bytes a second, IP headers included.
const LINE: u64 = 2_500_000;

/// A download of 5 MB over [`LINE`] with a round trip of 20 ms, whose queue holds 200 ms.
fn scenario(marks_above: Option<usize>, ecn: EcnTreatment) -> Scenario {
    let mut scenario = Scenario::new(Carrier::Udp, &[(0, 5_000_000)]);
    scenario.up = Pipe::latency(Duration::from_millis(10));
    scenario.down = Pipe {
        rate: Some(LINE),
        queue: 500_000,
        marks_above,
        ecn,
        ..Pipe::latency(Duration::from_millis(10))
    };
    scenario
}

/// Runs it until everything has come. Returns how long that took, and the server's path.
fn run(scenario: Scenario) -> (Pair, Duration, PathStats) {
    let mut pair = scenario.begin();
    pair.client.closes = false;
    let began = pair.network.now();
    pair.run_until(Duration::from_millis(100), |pair| {
        pair.client.has_everything()
    });
    let done = pair.client.download(0).and_then(|one| one.done);
    let took = done.expect("it came") - began;
    let path = pair.server.stats().expect("it goes on").paths.remove(0);
    (pair, took, path)
}

/// The packets of a side, in words.
fn told(pair: &Pair, side: Side) -> Vec<String> {
    let packets = pair.network.trace().packets();
    let of_side = packets.filter(|(sender, _)| *sender == side);
    of_side.map(|(_, packet)| describe(packet)).collect()
}

#[test]
fn so7_su8_a_queue_that_marks_loses_nothing_and_does_not_fill() {
    for (congestion, carrier, joins) in [
        (Algorithm::Cubic, Carrier::Udp, false),
        (Algorithm::Cubic, Carrier::Ip, true),
        (Algorithm::NewReno, Carrier::Udp, true),
    ] {
        let mut scenario = scenario(Some(50_000), EcnTreatment::Passes);
        scenario.server.congestion = congestion;
        (scenario.carrier, scenario.joins) = (carrier, joins);
        let (pair, took, path) = run(scenario);
        let pipe = pair.network.pipe(Side::Server).stats();
        println!(
            "{congestion:?}: {took:?}, {} of {} packets marked, {} reductions",
            pipe.marked, pipe.sent, path.marks
        );
        assert_eq!((pipe.lost, path.retransmissions, path.lost), (0, 0, 0));
        assert!(pipe.marked > 0);
        // Once in each window: that is at most once in each round trip.
        let round_trips = u64::try_from(took.as_millis() / 20).unwrap();
        assert!((2..=round_trips).contains(&path.marks), "{path:?}");
        // The line is full, and its queue is not.
        assert!(took < Duration::from_millis(2600), "{took:?}");
        assert!(
            path.round_trip < Some(Duration::from_millis(70)),
            "{path:?}"
        );
    }
}

#[test]
fn so7_a_mark_is_told_until_the_sender_confirms() {
    let (pair, ..) = run(scenario(Some(50_000), EcnTreatment::Passes));
    let (told, answers) = (told(&pair, Side::Client), told(&pair, Side::Server));
    let echoes: Vec<&String> = told.iter().filter(|one| one.contains("ECNE")).collect();
    assert!(echoes.len() >= 2, "{echoes:?}");
    let before_its_sack = |one: &&String| one.starts_with("ECNE tsn=") && one.contains(", SACK");
    assert!(echoes.iter().all(before_its_sack), "{echoes:?}");
    let last = echoes.last().and_then(|one| one.split([' ', ',']).nth(1));
    let confirms = answers.iter().filter(|one| one.contains("CWR"));
    let confirm = format!("CWR {},", last.expect("its TSN"));
    assert!(
        confirms.clone().any(|one| one.contains(&confirm)),
        "{confirm}"
    );
    // Each mark is told for a round trip, and then no more.
    assert!(confirms.count() >= 2 && echoes.len() < told.len() / 2);
}

#[test]
fn so7_what_is_sent_again_is_not_ecn_capable() {
    let mut pair = scenario(None, EcnTreatment::Passes).begin();
    let highest = Rc::new(RefCell::new(None::<Tsn>));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (notes, mut number) = (Rc::clone(&seen), 0);
    let choose = move |passing: Passing<'_>| {
        let words = describe(passing.payload);
        let (_, rest) = words.split_once("DATA tsn=")?;
        let first = Tsn::new(rest.split(' ').next()?.parse().expect("a TSN"));
        number += 1;
        let mut highest = highest.borrow_mut();
        let again = highest.is_some_and(|highest| !highest.precedes(first));
        if !again {
            *highest = Some(first);
        }
        notes.borrow_mut().push((again, passing.ecn));
        (number % 100 == 0).then_some(Fate::Lost)
    };
    pair.network.choose(Side::Server, Box::new(choose));
    pair.run(Duration::from_secs(60));
    assert!(pair.client.has_everything());
    let seen = seen.borrow();
    let of = |again| seen.iter().filter(move |one| one.0 == again);
    assert!(of(true).count() > 10);
    assert!(of(true).all(|(_, ecn)| *ecn == Ecn::NotEct));
    assert!(of(false).filter(|(_, ecn)| *ecn == Ecn::Ect0).count() > 1000);
}

#[test]
fn so7_without_both_ends_no_packet_is_ecn_capable() {
    for (client, server) in [(true, false), (false, true), (false, false)] {
        let mut scenario = scenario(Some(0), EcnTreatment::Passes);
        (scenario.client.ecn, scenario.server.ecn) = (client, server);
        let (pair, _, path) = run(scenario);
        assert_eq!(pair.network.pipe(Side::Server).stats().marked, 0);
        assert_eq!(path.marks, 0);
        for side in [Side::Client, Side::Server] {
            let told = told(&pair, side);
            assert!(
                !told
                    .iter()
                    .any(|one| one.contains("ECNE") || one.contains("CWR"))
            );
        }
    }
}

#[test]
fn so7_what_was_not_agreed_on_does_nothing() {
    for agreed in [true, false] {
        let config = |side| Config {
            ecn: agreed,
            ..tests::associations::config(side)
        };
        let mut stage = Stage::new(config(Side::Client), config(Side::Server), 1);
        stage.connect();
        stage.exchange();
        stage.send(Side::Server, 0, 100);
        let data = stage.poll(Side::Server);
        let words = describe(&data[0]);
        let tsn = words
            .split("tsn=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let tsn: u32 = tsn.and_then(|tsn| tsn.parse().ok()).expect("its TSN");
        for (kind, tsn) in [
            (ChunkType::ECNE, tsn),
            // Never sent, and long gone.
            (ChunkType::ECNE, tsn.wrapping_add(9)),
            (ChunkType::CWR, tsn.wrapping_sub(1)),
        ] {
            let mut chunk = Vec::new();
            chunk::put_tsn(&mut chunk, kind, Tsn::new(tsn));
            stage.deliver(Side::Client, encode(stage.header(Side::Client), &chunk));
            assert_eq!(stage.poll(Side::Server).len(), 0, "{kind}");
        }
        stage.deliver(Side::Server, data[0].clone());
        stage.exchange();
        let id = stage.ids[1].expect("it has one");
        let stats = stage.ends[1].stats(id).expect("it goes on");
        assert_eq!(stats.has_ecn, agreed);
        assert_eq!(stats.paths[0].marks, u64::from(agreed));
    }
}

#[test]
fn so7_paths_that_treat_ecn_badly_are_got_along_with() {
    for (treatment, most) in [
        (EcnTreatment::Bleaches, 2600),
        // One expiry of T3-rtx finds out.
        (EcnTreatment::Drops, 4500),
        (EcnTreatment::Marks, 4500),
    ] {
        for congestion in [Algorithm::Cubic, Algorithm::NewReno] {
            let mut scenario = scenario(None, treatment);
            scenario.server.congestion = congestion;
            let (pair, took, path) = run(scenario);
            println!(
                "{treatment:?}, {congestion:?}: {took:?}, {} reductions",
                path.marks
            );
            assert!(
                took < Duration::from_millis(most),
                "{treatment:?}: {took:?}"
            );
            let marked = pair.network.pipe(Side::Server).stats().marked;
            assert!(marked < 200, "{treatment:?}: {marked}");
        }
    }
}
