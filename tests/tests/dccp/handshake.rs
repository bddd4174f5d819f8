//! How connections begin and end, packet by packet, with each packet lost once.

use std::time::Duration;

use dccp::CloseReason;
use dccp::ccid::Ccid;
use dccp::packet::{PacketType, ResetCode};
use tests::netsim::{Carrier, Fate};
use tests::packets::{Pair, Scenario, Speech};
use tests::transcript::Side;

const MINUTE: Duration = Duration::from_secs(60);

/// A client that connects, a server that says one thing and closes.
fn one_message() -> Scenario {
    Scenario::new(Carrier::Udp, Speech::of(1, 1000))
}

fn assert_delivered(pair: &Pair) {
    assert_eq!((pair.client.received(), pair.client.duplicates()), (1, 0));
    for talker in [&pair.client, &pair.server] {
        assert_eq!(talker.closed(), Some(CloseReason::Graceful), "{talker:?}");
    }
}

#[test]
fn dh9_a_message_from_the_handshake_to_the_end() {
    let pair = one_message().run(MINUTE);
    assert_delivered(&pair);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn dc2_the_same_in_raw_ip() {
    let mut scenario = one_message();
    scenario = Scenario {
        ..Scenario::new(Carrier::Ip, scenario.server_says)
    };
    assert_delivered(&scenario.run(MINUTE));
}

#[test]
fn dp5_a_request_that_is_lost_is_sent_again() {
    let mut scenario = one_message();
    scenario.up = scenario.up.with(0, Fate::Lost).with(1, Fate::Lost);
    let pair = scenario.run(MINUTE);
    assert_delivered(&pair);
    assert_eq!(pair.count(Side::Client, PacketType::Request), 3);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn dp3_a_response_that_is_lost_is_sent_again_for_a_new_request() {
    let mut scenario = one_message();
    scenario.down = scenario.down.with(0, Fate::Lost);
    let pair = scenario.run(MINUTE);
    assert_delivered(&pair);
    assert_eq!(pair.count(Side::Client, PacketType::Request), 2);
    assert_eq!(pair.count(Side::Server, PacketType::Response), 2);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn dp3_a_request_that_the_network_doubles_is_one_request() {
    let mut scenario = one_message();
    let after = Duration::from_millis(1);
    scenario.up = scenario.up.with(0, Fate::Twice(after));
    let pair = scenario.run(MINUTE);
    assert_delivered(&pair);
    assert_eq!(pair.server.connected(), 1);
}

#[test]
fn dp6_a_third_packet_that_is_lost_is_sent_again() {
    let mut scenario = one_message();
    scenario.up = scenario.up.with(1, Fate::Lost);
    let pair = scenario.run(MINUTE);
    assert_delivered(&pair);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn each_packet_lost_once_leaves_a_connection_that_ends_well() {
    for lost in 0..8 {
        for (up, down) in [
            (Some(lost), None),
            (None, Some(lost)),
            (Some(lost), Some(lost)),
        ] {
            let mut scenario = one_message();
            scenario
                .up
                .fates
                .extend(up.map(|index| (index, Fate::Lost)));
            scenario
                .down
                .fates
                .extend(down.map(|index| (index, Fate::Lost)));
            let pair = scenario.run(5 * MINUTE);
            let (client, server) = (&pair.client, &pair.server);
            assert!(client.received() <= 1 && client.duplicates() == 0);
            assert_eq!((client.connected(), server.connected()), (1, 1));
            for talker in [client, server] {
                // The Reset that ends a connection is not sent again (DR5): its peer may find
                // nobody any more, which is as good an end.
                let ended = match talker.closed() {
                    Some(CloseReason::Graceful) => true,
                    Some(CloseReason::Reset(reset)) => reset.code == ResetCode::NO_CONNECTION,
                    _ => false,
                };
                assert!(ended, "{up:?} {down:?}: {talker:?}");
            }
        }
    }
}

#[test]
fn dp10_a_server_that_keeps_timewait_sends_close() {
    let mut scenario = one_message();
    scenario.server.server_time_wait = true;
    let pair = scenario.run(MINUTE);
    assert_delivered(&pair);
    assert_eq!(pair.count(Side::Server, PacketType::CloseReq), 0);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn dp10_a_client_that_closes_gets_a_reset_of_code_closed() {
    let scenario = Scenario {
        client_says: Speech::of(1, 100),
        ..Scenario::new(Carrier::Udp, Speech::NOTHING)
    };
    let pair = scenario.run(MINUTE);
    assert_eq!(pair.server.received(), 1);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn dp8_both_close_at_once() {
    let mut pair = Scenario {
        client_says: Speech::of(1, 100),
        ..one_message()
    }
    .begin();
    pair.run(MINUTE);
    for talker in [&pair.client, &pair.server] {
        assert_eq!(talker.received(), 1);
        assert_eq!(talker.closed(), Some(CloseReason::Graceful), "{talker:?}");
    }
}

#[test]
fn dr3_a_client_gives_up_a_request_that_nobody_answers() {
    let mut scenario = one_message();
    scenario.up.loss = 1000;
    let pair = scenario.run(10 * MINUTE);
    assert_eq!(pair.client.closed(), Some(CloseReason::TimedOut));
    assert_eq!(pair.server.connected(), 0);
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn an_abort_is_told_to_the_peer() {
    let mut pair = Scenario::new(Carrier::Udp, Speech::ENDLESS).begin();
    pair.run(Duration::from_millis(500));
    pair.server.abort(pair.network.now());
    pair.run_for(MINUTE);
    assert_eq!(pair.server.closed(), Some(CloseReason::Aborted));
    assert!(
        matches!(pair.client.closed(), Some(CloseReason::Reset(reset)) if reset.code == ResetCode::ABORTED),
        "{:?}",
        pair.client
    );
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let digest = |seed| {
        let mut scenario = Scenario {
            seed,
            ..Scenario::new(Carrier::Udp, Speech::of(500, 1400))
        };
        scenario.down.loss = 50;
        scenario.up.loss = 50;
        scenario.run(MINUTE).network.trace().digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn di1_di2_a_connection_comes_about_by_a_cookie_alone() {
    let mut scenario = Scenario::new(Carrier::Udp, Speech::of(10, 1000));
    scenario.server.cookies_above = 0;
    let pair = scenario.run(Duration::from_secs(60));
    assert_eq!(pair.client.received(), 10);
    assert_eq!(pair.client.closed(), Some(CloseReason::Graceful));
    insta::assert_snapshot!(pair.ladder());
}

#[test]
fn di5_what_was_negotiated_comes_back_with_the_cookie() {
    for ccid in [Ccid::CCID2, Ccid::CCID3] {
        let says = Speech {
            closes: false,
            ..Speech::of(20, 1000)
        };
        let mut scenario = Scenario::new(Carrier::Udp, says);
        scenario.server.cookies_above = 0;
        scenario.client.ccids = vec![ccid];
        let pair = scenario.run(Duration::from_secs(2));
        assert!(pair.client.received() > 10);
        let congestion = pair.server.stats().expect("it is there").congestion;
        assert_eq!(congestion.rate > 0, ccid == Ccid::CCID3, "{congestion:?}");
    }
}
