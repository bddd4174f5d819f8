//! Laws of the framing that hold over every network.

use std::time::Duration;

use proptest::prelude::*;
use proto::client::Wanted;
use proto::machine::{Delivery, StreamId};
use tests::link::Config as Link;
use tests::pair::{File, Scenario, Tag, noise};

/// The largest file of these tests.
const MAX_LENGTH: usize = 60_000;

fn milliseconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

/// A link that does its worst, but lets some messages through.
fn network() -> impl Strategy<Value = Link> {
    let faults = (0u32..400, 0u32..300, 0u32..500, milliseconds(0..400));
    let times = (milliseconds(0..300), milliseconds(0..100));
    let limits = (600usize..9000, prop::option::of((0u64..40, 600usize..9000)));
    let rates = prop::option::of((20_000u64..2_000_000, 1usize..20));
    (faults, times, limits, rates, any::<bool>()).prop_map(
        |(faults, times, limits, rates, tells)| Link {
            tells_losses: tells,
            loss: faults.0,
            duplication: faults.1,
            reordering: faults.2,
            reordering_delay: faults.3,
            latency: times.0,
            jitter: times.1,
            limit: limits.0,
            shrinks: limits.1,
            rate: rates.map(|(rate, _)| rate),
            queue: rates.map_or(usize::MAX, |(_, queue)| queue),
            ..Link::default()
        },
    )
}

/// A file that changes up to three times, as often as it is opened.
fn changing_file() -> impl Strategy<Value = File> {
    let tags = prop::sample::select(vec![Tag::Strong, Tag::Weak, Tag::Without]);
    let lengths = prop::collection::vec(0..MAX_LENGTH, 1..4);
    let changes = prop::collection::vec(0u32..8, 0..4);
    (lengths, changes, tags, any::<bool>()).prop_map(|(lengths, changes, tag, digest)| File {
        versions: (0..)
            .zip(lengths)
            .map(|(seed, length)| noise(seed, length))
            .collect(),
        changes,
        tag,
        digest,
        ..File::new("")
    })
}

fn part() -> impl Strategy<Value = Option<Wanted>> {
    let length = MAX_LENGTH as u64;
    prop_oneof![
        2 => Just(None),
        1 => (0..length, 0..length).prop_map(|(a, b)| Some(Wanted::Between(a.min(b), a.max(b)))),
        1 => (0..length).prop_map(|from| Some(Wanted::From(from))),
        1 => (1..length).prop_map(|length| Some(Wanted::Last(length))),
    ]
}

fn dccp(file: File, up: Link, down: Link, seed: u64) -> Scenario {
    Scenario {
        seed,
        up: Link {
            limit: up.limit.max(1000),
            shrinks: None,
            ..up
        },
        down,
        ..Scenario::new(Delivery::Unreliable, file, 1424)
    }
}

/// What holds of every run is asserted while it runs: that it ends in time, that no timer spins,
/// that no message is empty or too large, that new bytes are new and repeated ones were there.
fn law(scenario: Scenario) {
    let versions = scenario.files["f"].versions.clone();
    scenario.run().assert_lawful(&versions);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hu8_the_result_is_the_file_or_a_list_of_holes_whatever_the_network_does(
        length in 0..MAX_LENGTH,
        (up, down) in (network(), network()),
        seed: u64,
    ) {
        law(dccp(File::new(noise(7, length)), up, down, seed));
    }

    #[test]
    fn hg7_versions_of_a_file_are_never_mixed(
        file in changing_file(),
        (up, down) in (network(), network()),
        range in part(),
        seed: u64,
    ) {
        let mut scenario = dccp(file, up, down, seed);
        scenario.client.range = range;
        law(scenario);
    }

    #[test]
    fn hu8_limits_on_memory_cost_rounds_and_not_bytes(
        length in 0..MAX_LENGTH,
        (up, down) in (network(), network()),
        max_intervals in 1usize..20,
        max_early in 0usize..20_000,
        seed: u64,
    ) {
        let mut scenario = dccp(File::new(noise(7, length)), up, down, seed);
        scenario.client.max_intervals = max_intervals;
        scenario.client.max_early = max_early;
        law(scenario);
    }

    #[test]
    fn hu6_what_a_peer_without_the_framing_sends_is_verified_only_if_it_is_right(
        length in 0usize..5000,
        (up, down) in (network(), network()),
        seed: u64,
    ) {
        let mut scenario = dccp(File::new(noise(7, length)), up, down, seed);
        scenario.client.framing = false;
        law(scenario);
    }

    #[test]
    fn the_same_seed_gives_the_same_messages_at_the_same_times(
        file in changing_file(),
        (up, down) in (network(), network()),
        seed: u64,
    ) {
        let scenario = dccp(file, up, down, seed);
        let (one, other) = (scenario.clone().run(), scenario.run());
        prop_assert_eq!(one.transcript.to_string(), other.transcript.to_string());
        prop_assert_eq!(one.result, other.result);
    }

    #[test]
    fn hm5_a_reliable_transport_brings_the_file_however_it_cuts_messages(
        length in 0usize..40_000,
        limit in 600usize..70_000,
        pieces in prop::option::of(1usize..5000),
        stream: u16,
        streams: bool,
        seed_form: bool,
        rate in prop::option::of(100_000u64..10_000_000),
    ) {
        let file = noise(7, length);
        let mut scenario = Scenario::new(Delivery::Reliable, File::new(file.clone()), limit);
        for link in [&mut scenario.up, &mut scenario.down] {
            link.pieces = pieces;
            link.rate = rate;
            link.queue = 5;
        }
        scenario.streams = streams;
        scenario.client.stream = StreamId(stream);
        scenario.client.seed_form = seed_form;
        let outcome = scenario.run();
        prop_assert_eq!(outcome.whole(), Some(&file[..]), "{}", outcome);
    }
}

/// The network of the kernel tests: 10 % loss, 10 % reordering, 2 % duplication, 20 ms.
fn lossy() -> Link {
    Link {
        loss: 100,
        duplication: 20,
        reordering: 100,
        reordering_delay: Duration::from_millis(10),
        ..Link::unreliable(1400)
    }
}

#[test]
fn hu10_two_hundred_downloads_over_a_lossy_link_are_all_whole_after_a_few_rounds() {
    let file = File::new(noise(1, 317_172));
    let (mut rounds, mut times) = (Vec::new(), Vec::new());
    for seed in 0..200 {
        let down = Link {
            rate: Some(1_250_000),
            queue: 5,
            ..lossy()
        };
        let outcome = dccp(file.clone(), lossy(), down, seed).run();
        assert_eq!(outcome.whole(), Some(&file.versions[0][..]), "{outcome}");
        rounds.extend(outcome.rounds());
        times.push(outcome.time);
    }
    rounds.sort_unstable();
    times.sort_unstable();
    let (median, max) = (times[100], times[199]);
    println!("rounds: median {}, most {}", rounds[100], rounds[199]);
    println!(
        "time: median {median:?}, 95 % {:?}, longest {max:?}",
        times[190]
    );
    assert!(rounds[100] <= 2 && rounds[199] <= 5, "{rounds:?}");
    assert!(median < Duration::from_millis(700), "{median:?}");
}

#[test]
fn hu8_a_hole_is_told_when_the_server_goes_away() {
    let file = noise(1, 20_000);
    let mut scenario = dccp(File::new(file.clone()), lossy(), lossy(), 3);
    scenario.files.get_mut("f").unwrap().breaks_at = Some(9000);
    let outcome = scenario.run();
    let proto::client::Failure::Incomplete { holes, .. } = outcome.result.clone().unwrap_err()
    else {
        panic!("{outcome}");
    };
    let missing = |at: usize| holes.iter().any(|hole| hole.contains(&(at as u64)));
    for at in 0..file.len() {
        let came = outcome.received.get(at) == Some(&true);
        assert_eq!(came, !missing(at), "byte {at} of {outcome}");
        assert!(!came || outcome.body[at] == file[at]);
    }
}

/// What a download of a million bytes takes over a link of 10 Mbit/s and 40 ms there and back that
/// loses so many messages in a thousand, and whose receiver is told or not: the median time, the
/// median number of rounds, and the messages of the server in all, of 20 runs.
fn repaired(loss: u32, tells_losses: bool) -> (Duration, u32, u64) {
    let file = File::new(noise(1, 1_000_000));
    let link = Link {
        loss,
        tells_losses,
        ..Link::unreliable(1400)
    };
    let down = Link {
        rate: Some(1_250_000),
        queue: 5,
        ..link.clone()
    };
    let outcomes: Vec<_> = (0..20)
        .map(|seed| dccp(file.clone(), link.clone(), down.clone(), seed).run())
        .collect();
    let (mut times, mut rounds, mut answers) = (Vec::new(), Vec::new(), 0);
    for outcome in outcomes {
        assert_eq!(outcome.whole(), Some(&file.versions[0][..]), "{outcome}");
        rounds.extend(outcome.rounds());
        times.push(outcome.time);
        answers += outcome.answers;
    }
    rounds.sort_unstable();
    times.sort_unstable();
    (times[10], rounds[10], answers)
}

#[test]
fn hu10_what_is_known_to_be_lost_is_repaired_while_the_body_flows() {
    let mut table =
        String::from("loss    told: time rounds messages    waiting: time rounds messages\n");
    for loss in [0, 10, 50, 200] {
        let (told, waiting) = (repaired(loss, true), repaired(loss, false));
        let show = |(time, rounds, messages): (Duration, u32, u64)| {
            format!("{:>7} ms {rounds:>6} {messages:>8}", time.as_millis())
        };
        let percent = loss / 10;
        table += &format!("{percent:>3} %  {}     {}\n", show(told), show(waiting));
        assert!(told.0 <= waiting.0 && told.1 <= waiting.1, "{table}");
        assert!(loss == 0 || told.0 < waiting.0, "{table}");
    }
    insta::assert_snapshot!(table);
}
