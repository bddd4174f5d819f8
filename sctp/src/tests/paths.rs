//! Several addresses, their failure, and what size of packet they take (RFC 9260 §5.4, §6.4, §8).

use std::time::Duration;

use super::data::{assert_right, bulk, byte_at};
use super::pair::{CLIENT, Link, Pair, SERVER, ip, server_config};
use crate::packet::describe;
use crate::{CloseReason, Condition, Config, Event, PathChange, SendError};

fn two_paths(seed: u8) -> Pair {
    let client = Config {
        addresses: vec![ip(CLIENT, 1)],
        ..Config::default()
    };
    let server = Config {
        addresses: vec![ip(SERVER, 1)],
        ..server_config()
    };
    Pair::with_links(client, server, seed, vec![Link::default(), Link::default()])
}

#[test]
fn se9_a_listed_address_must_prove_itself_before_it_gets_data() {
    let mut pair = two_paths(1);
    let (_, server) = pair.connected();
    let unconfirmed = pair.ends[SERVER].endpoint.stats(server).unwrap();
    assert_eq!(unconfirmed.paths.len(), 2);
    pair.links[1].cut = true;
    pair.run_for(Duration::from_secs(20));
    let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
    assert_eq!(stats.paths[1].condition, Condition::Unconfirmed);
    assert_eq!(
        stats.paths[0].condition,
        Condition::Active,
        "nothing is held against the other"
    );
    pair.links[1].cut = false;
    pair.run_for(Duration::from_secs(60));
    let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
    assert_eq!(stats.paths[1].condition, Condition::Active);
    let second = crate::Path {
        local: None,
        ..stats.paths[1].path
    };
    let told = pair.events(SERVER).into_iter().any(|event| {
        matches!(event, Event::PathChange { path, change: PathChange::Confirmed } if path.remote == second.remote)
    });
    assert!(told);
}

#[test]
fn se8_no_address_is_told_unless_it_is_asked_for() {
    let mut pair = Pair::plain();
    pair.connected();
    assert!(!pair.ladder.contains(" 10."), "{}", pair.ladder);
    let mut pair = two_paths(1);
    pair.connected();
    let inits: Vec<_> = pair.ladder.lines().take(2).collect();
    assert!(
        inits[0].contains("10.1.0.1") && inits[1].contains("10.1.0.2"),
        "{inits:?}"
    );
}

/// Downloads with the first path cut after some time; returns the longest pause between two parts.
fn download_with_a_cut(pair: &mut Pair, server: crate::AssociationId, cut: Duration) -> Duration {
    let total = 3 << 20;
    let (mut sent, mut got) = (0, Vec::new());
    let mut last = pair.now;
    let mut stall = Duration::ZERO;
    pair.run_until(|pair| {
        if pair.elapsed() > cut {
            pair.links[0].cut = true;
        }
        while sent < total {
            let message: Vec<u8> = (sent..sent + 4096).map(byte_at).collect();
            match pair.send(SERVER, server, 0, message) {
                Ok(()) => sent += 4096,
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some((_, event)) = pair.ends[CLIENT].events.pop_front() {
            if let Event::Message { payload, .. } = event {
                got.extend_from_slice(&payload);
                stall = stall.max(pair.now - last);
                last = pair.now;
            }
        }
        got.len() >= total
    });
    assert_right(&got, total);
    stall
}

#[test]
fn sf2_a_download_goes_on_over_the_other_path_within_a_second() {
    let mut worst = Duration::ZERO;
    for seed in 0..4 {
        let mut pair = two_paths(seed);
        for link in &mut pair.links {
            link.rate = 2_000_000;
            link.mtu = 1472;
        }
        let (_, server) = pair.connected();
        pair.run_for(Duration::from_millis(100));
        let cut = Duration::from_millis(400 + 37 * u64::from(seed));
        let stall = download_with_a_cut(&mut pair, server, cut);
        println!("seed {seed}: longest stall {stall:?}");
        worst = worst.max(stall);
        let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
        assert_eq!((stats.current_path, stats.failovers), (1, 1));
        let changes: Vec<_> = pair.events(SERVER).into_iter().collect();
        let told = |change| {
            changes
                .iter()
                .any(|event| matches!(event, Event::PathChange { change: c, .. } if *c == change))
        };
        assert!(told(PathChange::Suspect) && told(PathChange::InUse));
    }
    assert!(worst < Duration::from_secs(1), "{worst:?}");
}

#[test]
fn sf2_a_path_that_answers_again_is_used_again() {
    let mut pair = two_paths(3);
    for link in &mut pair.links {
        link.rate = 2_000_000;
    }
    let (_, server) = pair.connected();
    pair.run_for(Duration::from_millis(100));
    download_with_a_cut(&mut pair, server, Duration::from_millis(300));
    // The path is found dead by its heartbeats.
    pair.run_for(Duration::from_secs(300));
    let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
    assert_eq!(stats.paths[0].condition, Condition::Inactive);
    pair.links[0].cut = false;
    pair.run_for(Duration::from_secs(200));
    let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
    assert_eq!(
        (stats.paths[0].condition, stats.current_path),
        (Condition::Active, 0)
    );
}

#[test]
fn sf1_a_peer_that_is_gone_is_found_out() {
    let mut pair = Pair::plain();
    let (client, server) = pair.connected();
    pair.links[0].cut = true;
    pair.send(SERVER, server, 0, &b"lost"[..]).unwrap();
    pair.run_for(Duration::from_secs(600));
    assert_eq!(
        pair.events(SERVER).pop(),
        Some(Event::Closed(CloseReason::Unreachable))
    );
    pair.run_for(Duration::from_secs(3600));
    // The client had nothing to send: its heartbeats find out.
    assert_eq!(
        pair.events(CLIENT).pop(),
        Some(Event::Closed(CloseReason::Unreachable))
    );
    assert_eq!(pair.ends[CLIENT].endpoint.stats(client), None);
}

#[test]
fn sf3_idle_paths_are_asked_each_half_minute() {
    let mut pair = Pair::plain();
    pair.connected();
    pair.run_for(Duration::from_secs(320));
    let beats = pair
        .ladder
        .lines()
        .filter(|line| line.contains("A -> Z: HEARTBEAT ("))
        .count();
    assert!((9..=11).contains(&beats), "{beats}");
    let answers = pair
        .ladder
        .lines()
        .filter(|line| line.contains("Z -> A: HEARTBEAT ACK"))
        .count();
    assert_eq!(beats, answers);
}

#[test]
fn so6_larger_packets_are_found_and_used() {
    for (mtu, expected) in [(1472, 1472), (1452, 1452), (1300, 1200), (65_507, 65_504)] {
        let mut pair = Pair::plain();
        pair.links[0].mtu = mtu;
        let (_, server) = pair.connected();
        let got = bulk(&mut pair, SERVER, server, 4 << 20);
        assert_right(&got, 4 << 20);
        let stats = pair.ends[SERVER].endpoint.stats(server).unwrap();
        assert_eq!(stats.paths[0].packet_size, expected);
        assert_eq!(stats.paths[0].lost, 0, "a lost probe is no loss of data");
        assert_eq!(stats.paths[0].errors, 0);
    }
}

#[test]
fn so6_a_short_exchange_is_not_probed() {
    let mut pair = Pair::plain();
    let (client, _) = pair.connected();
    pair.send(CLIENT, client, 0, vec![1; 10_000]).unwrap();
    pair.run_for(Duration::from_secs(5));
    assert!(!pair.ladder.contains("PAD"));
}

#[test]
fn so6_a_path_that_shrinks_is_survived() {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    let got = bulk(&mut pair, SERVER, server, 1 << 20);
    assert_right(&got, 1 << 20);
    let _ = pair.events(CLIENT);
    pair.links[0].mtu = 1300;
    pair.limit = 1300;
    // Chunks that were cut for the larger packets cannot be cut again (RFC 9260 §6.9): nothing is
    // in flight here, and what is cut from now on is smaller.
    pair.run_for(Duration::from_secs(1));
    let got = bulk(&mut pair, SERVER, server, 1 << 18);
    assert_right(&got, 1 << 18);
}

#[test]
fn a_train_has_packets_of_one_size() {
    let mut pair = Pair::plain();
    pair.links[0].mtu = 1472;
    let (_, server) = pair.connected();
    bulk(&mut pair, SERVER, server, 1 << 20);
    let mut longest = 0;
    for _ in 0..200 {
        let _ = pair.send(SERVER, server, 0, vec![5; 100_000]);
        let mut out = Vec::new();
        let now = pair.now;
        while let Some(transmit) = pair.ends[SERVER]
            .endpoint
            .poll_transmit(now, 65_507, &mut out)
        {
            let size = transmit
                .segment_size
                .map_or(out.len(), std::num::NonZeroUsize::get);
            assert!(size <= 1472 && out.len() <= 65_507);
            for packet in out.chunks(size) {
                assert!(!describe(packet).contains('['), "{}", describe(packet));
            }
            longest = longest.max(out.len().div_ceil(size));
            out.clear();
        }
        pair.run_for(Duration::from_millis(1));
    }
    assert!(longest >= 30, "{longest}");
}
