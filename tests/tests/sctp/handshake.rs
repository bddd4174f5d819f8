//! How associations begin, end and begin again.

use std::time::Duration;

use sctp::CloseReason;
use tests::associations::{PORT, Pair, Scenario};
use tests::netsim::{Carrier, Fate, Stop};
use tests::transcript::Side;

const MINUTE: Duration = Duration::from_secs(60);

/// The size of the page that the first programs served.
const PAGE: u64 = 1292;

fn assert_came(pair: &Pair) {
    assert_eq!(pair.client.received(), PAGE);
    for talker in [&pair.client, &pair.server] {
        assert_eq!(talker.closed(), Some(CloseReason::Shutdown), "{talker:?}");
    }
}

#[test]
fn se3_a_page_takes_seven_packets_two_round_trips_and_no_pause() {
    // One that fits the first packet, and one that does not.
    for (size, packets) in [(1000, 7), (PAGE, 8)] {
        let pair = Scenario::new(Carrier::Udp, &[(0, size)]).run(MINUTE);
        assert_eq!(pair.client.received(), size);
        let sent = pair.network.trace().packet_count();
        assert!(sent <= packets, "{}", pair.ladder());
        // The answer after two round trips, the end after three and a half.
        let done = pair
            .client
            .download(0)
            .and_then(|one| Some(one.done? - one.asked));
        assert_eq!(done, Some(Duration::from_millis(80)));
        assert_eq!(pair.network.elapsed(), Duration::from_millis(140));
        insta::assert_snapshot!(format!("page_of_{size}"), pair.ladder());
    }
}

#[test]
fn se1_a_page_comes_whichever_packet_is_lost_or_doubled() {
    for lost in 0..4 {
        for up in [true, false] {
            let late = Duration::from_millis(7);
            for fate in [Fate::Lost, Fate::Twice(late), Fate::Late(late)] {
                let mut scenario = Scenario::new(Carrier::Udp, &[(0, PAGE)]);
                let pipe = if up {
                    &mut scenario.up
                } else {
                    &mut scenario.down
                };
                pipe.fates.insert(lost, fate);
                assert_came(&scenario.run(MINUTE));
            }
        }
    }
}

#[test]
fn sp5_a_byte_that_changes_in_a_packet_of_the_handshake_is_found() {
    let lengths = |side| -> Vec<usize> {
        let pair = Scenario::new(Carrier::Ip, &[(0, PAGE)]).run(MINUTE);
        let packets = pair.network.trace().packets();
        let lengths = packets.filter(|(sender, _)| *sender == side);
        lengths.map(|(_, packet)| packet.len()).collect()
    };
    for side in [Side::Client, Side::Server] {
        for (index, length) in lengths(side).into_iter().enumerate().take(2) {
            for at in 0..length {
                let mut pair = Scenario::new(Carrier::Ip, &[(0, PAGE)]).begin();
                let choose = move |passing: tests::netsim::Passing<'_>| {
                    (passing.index == index as u64).then_some(Fate::Lost)
                };
                pair.network.choose(side, Box::new(choose));
                // What was lost comes damaged.
                let sent = |pair: &Pair| {
                    let packets = pair.network.trace().packets();
                    let mut of_side = packets.filter(|(sender, _)| *sender == side);
                    of_side.nth(index).map(|(_, packet)| packet.to_vec())
                };
                let step = Duration::from_millis(10);
                pair.run_until(step, |pair| sent(pair).is_some());
                let mut packet = sent(&pair).unwrap_or_default();
                packet[at] ^= [1, 0x80, 0xFF][at % 3];
                pair.forge_bytes(side, packet.into());
                pair.run(MINUTE);
                assert_came(&pair);
                let counts = [&mut pair.client, &mut pair.server]
                    .map(|talker| talker.endpoint_mut().endpoint_stats().wrong_checksums);
                assert_eq!(counts.iter().sum::<u64>(), 1, "byte {at} of packet {index}");
            }
        }
    }
}

#[test]
fn sd1_both_ends_begin_at_once() {
    for shift in [0, 1, 5, 19, 21, 45] {
        let mut scenario = Scenario::new(Carrier::Udp, &[(0, 20_000)]);
        scenario.client.listen = Some(PORT);
        let mut pair = scenario.set_up();
        pair.client.connect(pair.network.now(), 2, Some(PORT));
        pair.run_for(Duration::from_millis(shift));
        if pair.server.connected().0 == 0 {
            pair.server.ask(pair.network.now(), 1, 30_000);
            pair.server.connect(pair.network.now(), 1, Some(PORT));
        }
        assert_eq!(pair.run(MINUTE), Stop::Done, "{shift} ms later");
        assert_eq!(pair.client.received(), 20_000, "{shift} ms later");
        for talker in [&pair.client, &pair.server] {
            assert_eq!(talker.connected(), (1, 0), "{shift} ms later");
            assert_eq!(talker.closed(), Some(CloseReason::Shutdown));
        }
    }
}

#[test]
fn sf8_both_ends_close_at_once() {
    for shift in [0, 1, 10, 20, 30, 40] {
        let mut pair = Scenario::new(Carrier::Udp, &[(0, 3000)]).begin();
        pair.client.closes = false;
        pair.run(Duration::from_secs(1));
        pair.client.close(pair.network.now());
        pair.run_for(Duration::from_millis(shift));
        pair.server.close(pair.network.now());
        assert_eq!(pair.run(MINUTE), Stop::Done);
        for talker in [&pair.client, &pair.server] {
            assert_eq!(
                talker.closed(),
                Some(CloseReason::Shutdown),
                "{shift} ms later"
            );
        }
    }
}

#[test]
fn sd4_sd6_a_client_that_lost_its_state_in_mid_transfer_begins_anew() {
    for loss in [0, 50] {
        let mut scenario = Scenario::new(Carrier::Udp, &[(0, 5_000_000)]);
        scenario.down.rate = Some(1_250_000);
        scenario.down.queue = 60_000;
        scenario.down.loss = loss;
        scenario.up.loss = loss;
        scenario.keep = Some(300);
        let fresh = scenario.clone();
        let mut pair = scenario.set_up();
        let port = Some(50_000);
        pair.client.connect(pair.network.now(), 2, port);
        pair.run(Duration::from_secs(2));
        assert!(pair.client.received() > 0);
        // The same addresses and ports, but nothing that it knew.
        let mut other = Scenario { seed: 99, ..fresh }.set_up();
        std::mem::swap(&mut pair.client, &mut other.client);
        pair.client.connect(pair.network.now(), 2, port);
        assert_eq!(pair.run(Duration::from_secs(600)), Stop::Done);
        assert_eq!(pair.server.connected().1, 1, "the restart is told");
        assert_eq!(pair.client.received(), 5_000_000);
        assert_eq!(pair.client.closed(), Some(CloseReason::Shutdown));
    }
}
