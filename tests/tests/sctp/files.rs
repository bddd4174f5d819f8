//! Bytes from end to end, whatever the network does.

use std::time::Duration;

use sctp::CloseReason;
use sctp::congestion::Algorithm;
use tests::associations::{Pair, Scenario, same_weather};
use tests::netsim::Carrier;
use tests::weather::{self, Ended, Weather, weathers};

const HOUR: Duration = Duration::from_secs(3600);

/// A fifth lost in rows, and a round trip of 200 ms: a megabyte may take more than an hour, and one
/// whose peer gave up finds that out by heartbeats, of which it needs one that comes through.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A download in such weather, its other choices from the seed.
fn download(seed: u64, size: u64, weather: Weather) -> Pair {
    let carrier = if seed.is_multiple_of(2) {
        Carrier::Udp
    } else {
        Carrier::Ip
    };
    let mut scenario = Scenario::new(carrier, &[(0, size)]);
    same_weather(&mut scenario, weather.pipe());
    scenario.seed = seed;
    scenario.joins = seed % 4 >= 2;
    scenario.keep = Some(200);
    if seed % 8 >= 4 {
        scenario.server.congestion = Algorithm::NewReno;
        scenario.client.interleaving = false;
    }
    scenario.run(DAY)
}

/// Sees that it ended well. What did not come must be reported; what came is checked as it comes.
pub(crate) fn comes(mut pair: Pair, size: u64, weather: Weather) -> (bool, Pair) {
    let came = pair.client.received() == size;
    let closed = pair.client.closed();
    assert!(
        came == pair.client.has_everything() && closed.is_some(),
        "{weather}: {:?} {closed:?} {:?}",
        pair.client,
        pair.server.stats()
    );
    (came, pair)
}

/// The same for the soak's table.
pub(crate) fn ended((came, pair): &(bool, Pair)) -> Ended {
    let client = &pair.client;
    Ended {
        came: *came,
        time: pair.network.elapsed(),
        told: format!("{:?}, {} bytes came", client.closed(), client.received()),
    }
}

#[test]
fn sr9_small_answers_come_in_any_weather() {
    for (index, weather) in (0..).zip(weathers()) {
        for size in [1, 1000] {
            let (came, pair) = comes(
                download(1000 + 2 * index + size % 2, size, weather),
                size,
                weather,
            );
            assert!(came || weather.is_hopeless(), "{weather}: {pair:?}");
        }
    }
}

#[test]
fn sr9_a_megabyte_comes_in_any_weather() {
    for (index, weather) in (0..).zip(weathers()) {
        let (came, pair) = comes(
            download(2000 + index, 1_000_000, weather),
            1_000_000,
            weather,
        );
        assert!(came || weather.is_hopeless(), "{weather}: {pair:?}");
    }
}

#[test]
fn st6_the_same_seed_gives_the_same_trace() {
    let worst = Weather {
        loss: 50,
        burst: 3,
        reordering: 100,
        duplication: 50,
        corruption: 10,
        latency: 20,
    };
    let digest = |seed, size| download(seed, size, worst).network.trace().digest();
    for seed in 0..8 {
        assert_eq!(digest(seed, 200_000), digest(seed, 200_000));
    }
    assert_ne!(digest(0, 1000), digest(8, 1000));
}

#[test]
fn st5_tsns_wrap_in_mid_transfer() {
    for before in [0, 1, 2, 50, 500] {
        for loss in [0, 30] {
            let mut scenario = Scenario::new(Carrier::Udp, &[(0, 1_500_000), (7, 100_000)]);
            scenario.up.loss = loss;
            scenario.down.loss = loss;
            scenario.keep = Some(200);
            let pair = scenario.wrapping(before).run(HOUR);
            assert_eq!(
                pair.client.received(),
                1_600_000,
                "{before} before the wrap"
            );
            assert_eq!(pair.client.closed(), Some(CloseReason::Shutdown));
        }
    }
}

/// The whole matrix: every weather, every size, many seeds. Takes minutes in a release build:
///
/// ```text
/// cargo test --release -p tests --test sctp soak -- --ignored --nocapture
/// ```
///
/// [`weather::soak`] tells what may be set.
#[test]
#[ignore = "takes minutes: see its comment"]
fn soak() {
    weather::soak(
        &[1, 1000, 1_000_000, 16_000_000],
        0,
        |seed, size, weather| ended(&comes(download(seed, size, weather), size, weather)),
    );
}
