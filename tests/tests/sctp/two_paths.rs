//! Two paths, each with a weather of its own.

use tests::associations::{Pair, Scenario, same_weather};
use tests::link::Random;
use tests::netsim::{Carrier, Fate, Passing, address};
use tests::transcript::Side;
use tests::weather::{self, Weather, weathers};

use super::files::{DAY, comes, ended};

/// A download over two paths that share a line: the first loses what `weather` says, the second one
/// packet in a hundred, or the other way round.
fn download(seed: u64, size: u64, weather: Weather) -> Pair {
    let carrier = if seed.is_multiple_of(2) {
        Carrier::Udp
    } else {
        Carrier::Ip
    };
    let mut scenario = Scenario::new(carrier, &[(0, size)]);
    let shared = Weather {
        loss: 10,
        ..weather
    };
    same_weather(&mut scenario, shared.pipe());
    scenario.seed = seed;
    scenario.second_path = true;
    scenario.keep = Some(200);
    let mut pair = scenario.begin();
    let worse = usize::from(seed % 4 >= 2);
    for (side, first) in [(Side::Client, 2), (Side::Server, 1)] {
        let first_path = address(first, 0).ip();
        let mut random = Random::new(seed ^ u64::from(first) << 32);
        let choose = move |passing: Passing<'_>| {
            let path = usize::from(passing.destination.ip() != first_path);
            let lost = path == worse && random.happens(weather.loss);
            lost.then_some(Fate::Lost)
        };
        pair.network.choose(side, Box::new(choose));
    }
    pair.run(DAY);
    pair
}

#[test]
fn sf2_a_megabyte_comes_over_two_paths_of_which_one_is_worse() {
    for (index, weather) in (0..).zip(weathers()) {
        let pair = download(3000 + index, 1_000_000, weather);
        let (came, pair) = comes(pair, 1_000_000, weather);
        assert!(came || weather.is_hopeless(), "{weather}: {pair:?}");
    }
}

/// The matrix over two paths of which one is worse:
///
/// ```text
/// cargo test --release -p tests --test sctp soak_over -- --ignored --nocapture
/// ```
///
/// [`weather::soak`] tells what may be set.
#[test]
#[ignore = "takes minutes: see its comment"]
fn soak_over_two_paths() {
    weather::soak(&[1000, 1_000_000, 4_000_000], 0, |seed, size, weather| {
        ended(&comes(download(seed, size, weather), size, weather))
    });
}
