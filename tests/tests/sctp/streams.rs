//! Streams beside each other: losses, bulk, numbers that wrap.

use std::time::Duration;

use sctp::chunk::{Data, ForwardTsn, Interleave, Skipped};
use sctp::packet::{Chunks, describe};
use sctp::{Config, Mid, Tsn};
use tests::associations::{Pair, REQUEST, Scenario, Stage, config, encode};
use tests::netsim::{Carrier, Config as Pipe, Fate};
use tests::transcript::Side;

/// 100 Mbit/s with 10 ms each way and a queue of a round trip.
fn line() -> Pipe {
    Pipe {
        rate: Some(12_500_000),
        queue: 250_000,
        ..Pipe::latency(Duration::from_millis(10))
    }
}

#[test]
fn sr7_what_is_lost_of_stream_1_does_not_hold_up_streams_2_to_9() {
    for interleaving in [false, true] {
        let mut scenario = Scenario::new(Carrier::Udp, &[]);
        scenario.server.interleaving = interleaving;
        let mut pair = scenario.begin();
        pair.client.closes = false;
        pair.run(Duration::from_secs(1));
        // The window grows first, so that all nine may be under way at once.
        let now = pair.network.now();
        pair.client.ask(now, 0, 200_000);
        pair.client.run(now);
        pair.run_for(Duration::from_secs(2));
        assert!(pair.client.has_everything());
        let mut lost = false;
        let choose = move |passing: tests::netsim::Passing<'_>| {
            let hit = !lost && describe(passing.payload).contains("stream=1 ");
            lost |= hit;
            hit.then_some(Fate::Lost)
        };
        pair.network.choose(Side::Server, Box::new(choose));
        let now = pair.network.now();
        for stream in 1..10 {
            // Each fills a packet of its own, at any size of packets.
            pair.client.ask(now, stream, 1400);
        }
        pair.client.run(now);
        pair.run_for(Duration::from_secs(5));
        let done = |stream| pair.client.download(stream).and_then(|one| one.done);
        let first = done(1).expect("it was sent again");
        for stream in 2..10 {
            let other = done(stream).expect("it came");
            assert!(
                other < first,
                "stream {stream}, interleaving {interleaving}"
            );
        }
    }
}

#[test]
fn si5_a_page_during_a_download_of_a_gibibyte_comes_within_three_round_trips() {
    for interleaving in [false, true] {
        let mut scenario = Scenario::new(Carrier::Udp, &[(1, 1 << 30)]);
        (scenario.up, scenario.down) = (line(), line());
        scenario.client.interleaving = interleaving;
        scenario.keep = Some(100);
        let mut pair = scenario.begin();
        let mut worst = 0.0_f64;
        for page in 0..10 {
            pair.run_for(Duration::from_millis(700));
            let now = pair.network.now();
            pair.client.ask(now, 2 + page, 1024);
            pair.client.run(now);
            pair.run_for(Duration::from_millis(500));
            let download = *pair.client.download(2 + page).expect("it was asked for");
            let took = download.done.expect("it came") - download.asked;
            // The queue of the bottleneck is part of each round trip.
            let stats = pair.server.stats().expect("it is there");
            let round_trip = stats.paths[0].round_trip.expect("it was measured");
            worst = worst.max(took.as_secs_f64() / round_trip.as_secs_f64());
        }
        println!("interleaving {interleaving}: {worst:.2} round trips at most");
        assert!(worst < 3.0, "{worst} round trips");
        assert!(pair.client.received() > 50_000_000);
    }
}

/// Messages of one byte, so many, on one stream, beside two others.
fn many_messages(interleaving: bool) -> Pair {
    let mut scenario = Scenario::new(Carrier::Udp, &[(3, 140_000), (4, 1000)]);
    scenario.client.interleaving = interleaving;
    scenario.down.loss = 5;
    scenario.keep = Some(3000);
    let mut pair = scenario.begin();
    pair.server.piece = 2;
    pair.run(Duration::from_secs(600));
    pair
}

#[test]
fn st7_ssns_wrap_in_mid_transfer() {
    // 70,000 messages: the number of 16 bits begins again.
    let pair = many_messages(false);
    assert_eq!(pair.client.received(), 141_000);
    let [_, _, high, low] = 69_999_u32.to_be_bytes();
    let last = pair.network.trace().packets().any(|(_, packet)| {
        let mut chunks = Chunks::of(packet).map_while(Result::ok);
        chunks.any(|chunk| chunk.whole.get(8..12) == Some(&[0, 3, high, low]))
    });
    assert!(last, "the last message has the number that is left");
}

#[test]
fn si2_mids_go_on_where_ssns_wrap() {
    let pair = many_messages(true);
    assert_eq!(pair.client.received(), 141_000);
}

/// Nobody sends four thousand million messages here: the peer gives most of them up. In two steps,
/// as one over more than half of the numbers would lead back.
#[test]
fn si2_mids_wrap() {
    let first = Tsn::new(1000);
    let client = Config {
        initial_tsn: Some(first),
        ..config(Side::Client)
    };
    let mut stage = Stage::new(client, config(Side::Server), 1);
    stage.connect();
    stage.exchange();
    let mut tell = |chunk: &[u8]| {
        let packet = encode(stage.header(Side::Client), chunk);
        stage.deliver(Side::Client, packet);
        stage.received[1]
    };
    for (after, message) in [(0, 0x7FFF_FFFF), (1, 0xFFFF_FFFD)] {
        let skipped = Skipped {
            stream: 3,
            unordered: false,
            message: Mid::new(message),
        };
        let mut chunk = Vec::new();
        ForwardTsn::encode(&mut chunk, first.plus(after), true, &[skipped]);
        tell(&chunk);
    }
    // Bytes that are delivered by then: the first two wait for the third.
    for (after, message, delivered) in [
        (4, 0, 0),
        (3, u32::MAX, 0),
        (2, u32::MAX - 1, 111),
        (6, 2, 111),
        (5, 1, 11_111),
    ] {
        // Each has another length.
        let length = 10_usize.pow(after - 2);
        let data = Data {
            tsn: first.plus(after),
            stream: 3,
            place: Interleave::Mid {
                mid: Mid::new(message),
                fsn: 0,
            },
            ppid: Some(REQUEST),
            unordered: false,
            begins: true,
            ends: true,
            immediate: false,
            payload: &[7; 10_000][..length],
        };
        let mut chunk = Vec::new();
        data.encode(&mut chunk);
        assert_eq!(tell(&chunk), delivered, "after message {message}");
    }
}

#[test]
fn se6_each_of_a_thousand_streams_brings_its_answer() {
    let wishes: Vec<(u16, u64)> = (0..1000)
        .map(|stream| (stream, 500 + u64::from(stream)))
        .collect();
    for carrier in [Carrier::Udp, Carrier::Ip] {
        let mut scenario = Scenario::new(carrier, &wishes);
        scenario.down.loss = 20;
        scenario.keep = Some(500);
        let pair = scenario.run(Duration::from_secs(120));
        assert!(pair.client.has_everything(), "{pair:?}");
    }
}
