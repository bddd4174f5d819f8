//! Files over DCCP from end to end: whole hosts, whatever the network does.

use std::time::Duration;

use dccp::ccid::Ccid;
use tests::hosts::{Get, Got};
use tests::netsim::{Carrier, Fate, Stop};
use tests::pair::{File, noise};
use tests::weather::{self, Ended, Weather, weathers};

/// The size of `www/index.html`'s ancestor, which the first programs served.
const PAGE: usize = 1292;

fn page() -> Get {
    Get::new(Carrier::Udp, File::new(noise(1, PAGE)))
}

#[test]
fn a_page_takes_eight_packets_at_most() {
    let got = page().run();
    assert_eq!(got.whole(), Some(&noise(1, PAGE)[..]), "{got}");
    assert!(got.network.trace().packet_count() <= 8, "{got}");
    insta::assert_snapshot!(got);
}

#[test]
fn a_page_comes_whichever_packet_is_lost() {
    let packets = page().run().network.trace().packet_count();
    for lost in 0..packets {
        for up in [true, false] {
            let mut get = page();
            let pipe = if up { &mut get.up } else { &mut get.down };
            pipe.fates.insert(lost, Fate::Lost);
            let got = get.run();
            assert_eq!(got.whole(), Some(&noise(1, PAGE)[..]), "{got}");
            assert_eq!(got.stop, Stop::Done, "{got}");
        }
    }
}

/// A GET in such weather, its other choices from the seed.
fn get(seed: u64, size: usize, weather: Weather) -> Got {
    let carrier = if seed.is_multiple_of(2) {
        Carrier::Udp
    } else {
        Carrier::Ip
    };
    let file = File {
        digest: size < 100_000,
        ..File::new(noise(seed, size))
    };
    let mut get = Get::new(carrier, file);
    get.seed = seed;
    get.up = weather.pipe();
    get.down = weather.pipe();
    get.joins = seed % 4 >= 2;
    get.keep = Some(500);
    // A fifth lost, and a round trip of 200 ms: megabytes take more than an hour.
    get.time_limit = Duration::from_secs(6 * 3600);
    if seed % 8 >= 4 {
        get.server_dccp.ccids = vec![Ccid::CCID3];
        get.client_dccp.ccids = vec![Ccid::CCID3];
    }
    get.run()
}

/// Runs it, and says whether the file came. A file that did not come must be reported.
fn comes(seed: u64, size: usize, weather: Weather) -> (bool, Got) {
    let got = get(seed, size, weather);
    match got.whole() {
        Some(body) => assert!(body == noise(seed, size), "a wrong file\n{got}"),
        None => assert!(
            got.is_reported(),
            "nothing was reported in {weather:?}\n{got}"
        ),
    }
    (got.whole().is_some(), got)
}

#[test]
fn small_files_come_in_any_weather() {
    for (index, weather) in (0..).zip(weathers()) {
        for size in [1, 1000] {
            let seed = 1000 + 2 * index + u64::from(size > 1);
            let (came, got) = comes(seed, size, weather);
            assert!(came || weather.is_hopeless(), "{weather:?}\n{got}");
        }
    }
}

#[test]
fn a_megabyte_comes_in_any_weather() {
    for (index, weather) in (0..).zip(weathers()) {
        let (came, got) = comes(2000 + index, 1_000_000, weather);
        assert!(came || weather.is_hopeless(), "{weather:?}\n{got}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let worst = Weather {
        loss: 50,
        burst: 3,
        reordering: 100,
        duplication: 50,
        corruption: 10,
        latency: 20,
    };
    for seed in 0..4 {
        let [first, second] = [(); 2].map(|()| get(seed, 200_000, worst));
        assert_eq!(first.to_string(), second.to_string());
        assert_eq!(
            first.network.trace().digest(),
            second.network.trace().digest()
        );
    }
    assert_ne!(
        get(0, 1000, worst).network.trace().digest(),
        get(4, 1000, worst).network.trace().digest()
    );
}

#[test]
fn a_hole_of_five_seconds_is_survived_and_one_of_a_minute_reported() {
    for (seconds, came) in [(5, true), (60, false)] {
        let mut get = Get::new(Carrier::Udp, File::new(noise(1, 3_000_000)));
        let begin = Duration::from_millis(500);
        let hole = begin..begin + Duration::from_secs(seconds);
        for pipe in [&mut get.up, &mut get.down] {
            pipe.blackholes = vec![hole.clone()];
            pipe.rate = Some(1_250_000);
            pipe.queue = 50_000;
        }
        get.keep = Some(500);
        let got = get.run();
        assert_eq!(got.whole().is_some(), came, "{got}");
        assert!(came || got.is_reported(), "{got}");
        assert!(got.time < Duration::from_secs(90), "{got}");
    }
}

#[test]
fn a_file_comes_though_the_mtu_falls() {
    for tells in [true, false] {
        let mut get = Get::new(Carrier::Udp, File::new(noise(1, 2_000_000)));
        get.down.rate = Some(1_250_000);
        get.down.queue = 50_000;
        get.down.mtu_changes = vec![(Duration::from_millis(1200), 576)];
        get.down.tells = tells;
        get.keep = Some(500);
        let got = get.run();
        assert_eq!(got.whole(), Some(&noise(1, 2_000_000)[..]), "{got}");
    }
}

/// The whole matrix: every weather, every size, many seeds. Takes minutes in a release build:
///
/// ```text
/// cargo test --release -p tests --test dccp soak -- --ignored --nocapture
/// ```
///
/// [`weather::soak`] tells what may be set.
#[test]
#[ignore = "takes minutes: see its comment"]
fn soak() {
    weather::soak(
        &[1, 1000, 1_000_000, 16_000_000],
        2,
        |seed, size, weather| {
            let size = usize::try_from(size).expect("it fits into memory");
            let (came, got) = comes(seed, size, weather);
            Ended {
                came,
                time: got.time,
                told: format!("{:?} {:?}", got.result, got.refused),
            }
        },
    );
}
