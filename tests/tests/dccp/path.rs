//! What a path does to a connection: holes, an MTU that falls, trains, numbers that wrap.

use std::time::Duration;

use dccp::CloseReason;
use tests::netsim::{Carrier, Config as Pipe, Stop};
use tests::packets::{Scenario, Speech};
use tests::transcript::Side;

/// A server that sends so many messages, on a path of 10 Mbit/s and 20 ms each way.
fn bulk(messages: u64) -> Scenario {
    let mut scenario = Scenario::new(Carrier::Udp, Speech::of(messages, 1400));
    scenario.down.rate = Some(1_250_000);
    scenario.down.queue = 50_000;
    scenario
}

/// The pipe with nothing passing from two seconds after the beginning on, for so long.
fn with_hole(mut pipe: Pipe, seconds: u64) -> Pipe {
    let begin = Duration::from_secs(2);
    pipe.blackholes = vec![begin..begin + Duration::from_secs(seconds)];
    pipe
}

#[test]
fn dd6_a_hole_of_five_seconds_is_survived() {
    for (up, down) in [(5, 5), (5, 0), (0, 5)] {
        let mut scenario = bulk(5000);
        scenario.up = with_hole(scenario.up, up);
        scenario.down = with_hole(scenario.down, down);
        let pair = scenario.run(Duration::from_secs(120));
        assert_eq!(pair.client.closed(), Some(CloseReason::Graceful));
        let lost = pair.server.sent() - pair.client.received();
        assert!(lost < 500, "{lost} lost in holes of {up} s and {down} s");
    }
}

#[test]
fn a_hole_of_a_minute_is_reported() {
    let mut scenario = bulk(20_000);
    scenario.up = with_hole(scenario.up, 60);
    scenario.down = with_hole(scenario.down, 60);
    let pair = scenario.run(Duration::from_secs(120));
    assert_eq!(pair.server.closed(), Some(CloseReason::TimedOut));
}

#[test]
fn dm1_an_mtu_that_falls_in_mid_transfer_is_found_out() {
    for tells in [true, false] {
        for carrier in [Carrier::Udp, Carrier::Ip] {
            let mut scenario = Scenario {
                carrier,
                ..Scenario::new(carrier, Speech::of(3000, 1400))
            };
            scenario.down.rate = Some(1_250_000);
            scenario.down.queue = 50_000;
            scenario.down.mtu_changes = vec![(Duration::from_millis(1500), 576)];
            scenario.down.tells = tells;
            scenario.keep = Some(2000);
            let pair = scenario.run(Duration::from_secs(300));
            assert_eq!(pair.client.closed(), Some(CloseReason::Graceful));
            let lost = pair.server.sent() - pair.client.received();
            assert!(lost < 300, "{lost} lost over {carrier:?}, told: {tells}");
        }
    }
}

#[test]
fn dm4_larger_packets_are_found_to_pass() {
    let mut scenario = bulk(5000);
    scenario.server_says.size = 3000;
    scenario.keep = Some(100);
    let pair = scenario.run(Duration::from_secs(60));
    let mut sizes = pair
        .network
        .trace()
        .packets()
        .map(|(_, packet)| packet.len());
    // 1500 less the headers of IP and UDP, at least to a few bytes.
    assert!(sizes.any(|size| size > 1440), "{:?}", pair.server);
}

#[test]
fn du7_marks_of_the_outer_header_slow_a_sender_down() {
    for (client_ecn, server_ecn) in [(true, true), (true, false), (false, true)] {
        let mut scenario = bulk(3000);
        scenario.client.ecn = client_ecn;
        scenario.server.ecn = server_ecn;
        scenario.server_says.closes = false;
        // Deep enough for nothing to be dropped by those who heed marks.
        scenario.down.queue = 5_000_000;
        scenario.down.marks_above = Some(20_000);
        let pair = scenario.run(Duration::from_secs(10));
        assert_eq!(pair.client.received(), 3000);
        let marked = pair.network.pipe(Side::Server).stats().marked;
        let congestion = pair.server.stats().expect("it lives").congestion;
        let capable = client_ecn && server_ecn;
        assert_eq!(marked > 0, capable, "{marked}");
        assert_eq!(congestion.congestion_events > 0, capable, "{congestion:?}");
    }
}

#[test]
fn du8_a_datagram_in_udp_is_eight_bytes_less() {
    let longest = |carrier| {
        let says = Speech {
            closes: false,
            ..Speech::of(1, 100)
        };
        let mut scenario = Scenario::new(carrier, says);
        scenario.server.link_mtu = Some(1500);
        let mut pair = scenario.begin();
        pair.run(Duration::from_secs(1));
        let id = pair.server.id().expect("it is connected");
        pair.server.endpoint_mut().max_message(id)
    };
    assert_eq!(longest(Carrier::Udp) + 8, longest(Carrier::Ip));
}

#[test]
fn ds1_numbers_wrap_in_mid_transfer() {
    for before in [1, 3, 50, 700] {
        let mut scenario = Scenario {
            client_says: Speech {
                closes: false,
                ..Speech::of(500, 200)
            },
            ..bulk(2000)
        };
        let first = dccp::Seq::new(0).minus(before);
        scenario.client.initial_sequence = Some(first);
        scenario.server.initial_sequence = Some(first);
        let pair = scenario.run(Duration::from_secs(60));
        assert_eq!(pair.client.closed(), Some(CloseReason::Graceful));
        let lost = pair.server.sent() - pair.client.received();
        assert!(lost < 100, "{lost} of {} lost", pair.server.sent());
        assert_eq!(pair.server.received(), 500);
    }
}

#[test]
fn trains_make_no_difference_to_what_arrives() {
    for joins in [false, true] {
        let scenario = Scenario {
            joins,
            ..Scenario::new(Carrier::Udp, Speech::of(3000, 1400))
        };
        let pair = scenario.run(Duration::from_secs(60));
        assert_eq!(pair.client.received(), 3000);
    }
}

#[test]
fn an_idle_connection_lives_on() {
    let mut scenario = Scenario::new(Carrier::Udp, Speech::NOTHING);
    scenario.server_says = Speech {
        messages: Some(3),
        size: 100,
        pace: Duration::from_secs(900),
        closes: true,
    };
    let mut pair = scenario.begin();
    assert_eq!(pair.run(Duration::from_secs(3600)), Stop::Done);
    assert_eq!(pair.client.received(), 3);
}
