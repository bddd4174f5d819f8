//! What is forged in the name of a peer, or sent by one that means harm: no connection dies of it.

use std::time::Duration;

use dccp::packet::{
    AckVector, DccpOption, Feature, Kind, OptionWriter, PacketType, Reset, ResetCode, Side as Of,
};
use dccp::{CloseReason, Seq};
use tests::link::Random;
use tests::netsim::Carrier;
use tests::packets::{Pair, Scenario, Speech};
use tests::transcript::Side;

/// A connection that has carried a few messages both ways and waits for more, in both carriers.
fn established() -> Vec<Pair> {
    [Carrier::Udp, Carrier::Ip]
        .map(|carrier| {
            let says = Speech {
                closes: false,
                ..Speech::of(20, 100)
            };
            let mut scenario = Scenario {
                client_says: says,
                ..Scenario::new(carrier, says)
            };
            // Lets nothing of its own disturb the counts.
            scenario.client.probe_mtu = false;
            scenario.server.probe_mtu = false;
            let mut pair = scenario.begin();
            pair.run(Duration::from_secs(5));
            assert_eq!((pair.client.received(), pair.server.received()), (20, 20));
            pair
        })
        .into()
}

/// The connection still carries what the client says.
fn assert_alive(mut pair: Pair, what: &str) {
    pair.run_for(Duration::from_secs(5));
    let before = pair.server.received();
    let now = pair.network.now();
    pair.client.say_more(now, 5);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.server.received(), before + 5, "after {what}");
    for talker in [&pair.client, &pair.server] {
        assert_eq!(talker.closed(), None, "after {what}");
    }
}

/// Options as bytes.
pub(super) fn options(options: &[DccpOption<'_>]) -> Vec<u8> {
    let mut writer = OptionWriter::default();
    writer.reset(992);
    for option in options {
        assert!(writer.push(*option));
    }
    writer.bytes().to_vec()
}

/// A packet of each type but Request and Response, with this acknowledgement number.
pub(super) fn kinds(ack: Seq) -> [Kind; 8] {
    let reset = Reset {
        code: ResetCode::ABORTED,
        data: [0; 3],
    };
    [
        Kind::Data,
        Kind::Ack { ack },
        Kind::DataAck { ack },
        Kind::CloseReq { ack },
        Kind::Close { ack },
        Kind::Reset { ack, reset },
        Kind::Sync { ack },
        Kind::SyncAck { ack },
    ]
}

#[test]
fn ds2_ds4_what_is_outside_the_windows_changes_nothing_and_brings_few_syncs() {
    for mut pair in established() {
        let mut random = Random::new(7);
        let before = pair.server.received();
        let begin = pair.network.elapsed();
        for _ in 0..2000 {
            let guess = Seq::new(random.next());
            for kind in kinds(Seq::new(random.next())) {
                pair.forge(Side::Client, kind, guess, &[], b"forged, not sent");
            }
            pair.run_for(Duration::from_millis(5));
        }
        assert_eq!(pair.server.received(), before, "nothing was delivered");
        let syncs = pair.count(Side::Server, PacketType::Sync);
        let seconds = (pair.network.elapsed() - begin).as_secs() as usize + 1;
        assert!(syncs > 0 && syncs <= 8 * seconds, "{syncs} in {seconds} s");
        assert_eq!(pair.count(Side::Server, PacketType::Reset), 0);
        assert_alive(pair, "2000 guesses of each type");
    }
}

#[test]
fn do4_forged_data_in_the_window_is_delivered_at_worst() {
    let bad = [
        options(&[
            DccpOption::Mandatory,
            DccpOption::Unknown {
                kind: 99,
                value: &[],
            },
        ]),
        options(&[DccpOption::Mandatory]),
        options(&[DccpOption::Change {
            side: Of::R,
            feature: Feature::CCID,
            value: &[77],
        }]),
        options(&[DccpOption::Confirm {
            side: Of::R,
            feature: Feature::CCID,
            value: &[],
        }]),
        options(&[DccpOption::AckVector(AckVector {
            nonce: true,
            cells: &[63; 200],
        })]),
        options(&[DccpOption::InitCookie(&[1; 200])]),
        options(&[DccpOption::DataDropped(&[0x90; 200])]),
        vec![44, 3, 1],
        vec![32, 1, 32, 255],
    ];
    for options in bad {
        for mut pair in established() {
            // Ahead of what the client is about to send.
            let next = pair.last_seq(Side::Client).plus(200);
            // A message as the talker knows them, so that it can be delivered.
            let data = pair.client.message(1000, 50);
            pair.forge(Side::Client, Kind::Data, next, &options, &data);
            pair.run_for(Duration::from_secs(1));
            assert_eq!(pair.count(Side::Server, PacketType::Reset), 0);
            assert_alive(pair, "forged data");
        }
    }
}

#[test]
fn ds3_a_sync_from_far_ahead_is_ignored_while_the_connection_is_active() {
    let mut pair = Scenario {
        client_says: Speech {
            pace: Duration::from_millis(10),
            messages: Some(1000),
            size: 100,
            closes: false,
        },
        ..Scenario::new(Carrier::Udp, Speech::NOTHING)
    }
    .begin();
    pair.run(Duration::from_secs(2));
    let answered = pair.count(Side::Server, PacketType::SyncAck);
    for step in 1..200 {
        let ack = pair.last_seq(Side::Server);
        let far = pair.last_seq(Side::Client).plus(1_000_000 * step);
        pair.forge(Side::Client, Kind::Sync { ack }, far, &[], &[]);
        pair.run_for(Duration::from_millis(10));
    }
    assert_eq!(pair.count(Side::Server, PacketType::SyncAck), answered);
    let before = pair.server.received();
    pair.run_for(Duration::from_secs(1));
    assert!(pair.server.received() > before + 90, "{:?}", pair.server);
}

#[test]
fn ds2_a_reset_with_an_old_number_is_answered_by_a_sync() {
    for mut pair in established() {
        let (ack, seq) = (pair.last_seq(Side::Server), pair.last_seq(Side::Client));
        let reset = Reset {
            code: ResetCode::CLOSED,
            data: [0; 3],
        };
        pair.forge(Side::Client, Kind::Reset { ack, reset }, seq, &[], &[]);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.count(Side::Server, PacketType::Sync), 1);
        assert_alive(pair, "an old Reset");
    }
}

#[test]
fn dd2_acknowledgements_of_what_was_never_sent_are_not_believed() {
    for mut pair in established() {
        let seq = pair.last_seq(Side::Client).plus(1);
        let ack = pair.last_seq(Side::Server).plus(100);
        let vector = options(&[DccpOption::AckVector(AckVector {
            nonce: false,
            cells: &[63; 50],
        })]);
        let before = pair.server.stats().expect("it is there").congestion;
        for _ in 0..100 {
            pair.forge(Side::Client, Kind::Ack { ack }, seq, &vector, &[]);
        }
        pair.run_for(Duration::from_millis(500));
        let after = pair.server.stats().expect("it is there").congestion;
        assert_eq!(before.cwnd, after.cwnd);
        assert_alive(pair, "acknowledgements of what was not sent");
    }
}

#[test]
fn dd2_one_packet_acknowledged_a_hundred_times_counts_once() {
    for mut pair in established() {
        let ack = pair.last_seq(Side::Server);
        let vector = options(&[DccpOption::AckVector(AckVector {
            nonce: false,
            cells: &[20; 1],
        })]);
        let before = pair.server.stats().expect("it is there").congestion;
        for _ in 0..100 {
            let seq = pair.last_seq(Side::Client).plus(1);
            pair.forge(Side::Client, Kind::Ack { ack }, seq, &vector, &[]);
        }
        pair.run_for(Duration::from_millis(500));
        let after = pair.server.stats().expect("it is there").congestion;
        // A nonce echo that happens to be wrong makes it smaller.
        assert!(after.cwnd <= before.cwnd, "{after:?}");
    }
}

#[test]
fn df11_a_bomb_of_options_is_answered_by_one_packet() {
    for mut pair in established() {
        let bomb: Vec<u8> = [32, 4, 3, 0].repeat(248);
        let seq = pair.last_seq(Side::Client).plus(1);
        let ack = pair.last_seq(Side::Server);
        let before = pair.network.pipe(Side::Server).stats();
        for later in 0..100 {
            pair.forge(Side::Client, Kind::Ack { ack }, seq.plus(later), &bomb, &[]);
        }
        pair.run_for(Duration::from_secs(1));
        let after = pair.network.pipe(Side::Server).stats();
        let (packets, bytes) = (
            after.sent - before.sent,
            after.sent_bytes - before.sent_bytes,
        );
        assert!(
            packets <= 100 && bytes <= 100 * 1020,
            "{packets} packets, {bytes} bytes"
        );
        assert_eq!(pair.count(Side::Server, PacketType::Reset), 0);
        assert_eq!(pair.server.closed(), None);
    }
}

#[test]
fn df11_a_sequence_window_beyond_the_limit_is_refused_and_one_below_allocates_nothing() {
    for (window, taken) in [(1u64 << 46, false), ((1 << 46) - 1, true), (31, false)] {
        for mut pair in established() {
            let seq = pair.last_seq(Side::Client).plus(1);
            let ack = pair.last_seq(Side::Server);
            let change = options(&[DccpOption::Change {
                side: Of::L,
                feature: Feature::SEQUENCE_WINDOW,
                value: &window.to_be_bytes()[2..],
            }]);
            pair.forge(Side::Client, Kind::Ack { ack }, seq, &change, &[]);
            pair.run_for(Duration::from_secs(1));
            let answer = pair.last_confirm(Side::Server, Feature::SEQUENCE_WINDOW);
            let value = answer.expect("each Change is confirmed");
            assert_eq!(value.is_empty(), !taken, "{window}");
            assert_eq!(pair.server.closed(), None);
        }
    }
}

#[test]
fn df2_the_greatest_ack_ratio_does_not_stop_acknowledgements() {
    let mut pair = Scenario::new(
        Carrier::Udp,
        Speech {
            messages: Some(100),
            size: 100,
            pace: Duration::from_millis(20),
            closes: true,
        },
    )
    .begin();
    pair.run(Duration::from_millis(500));
    let seq = pair.last_seq(Side::Server).plus(1);
    let ack = pair.last_seq(Side::Client);
    let change = options(&[DccpOption::Change {
        side: Of::L,
        feature: Feature::ACK_RATIO,
        value: &[255, 255],
    }]);
    pair.forge(Side::Server, Kind::Ack { ack }, seq, &change, &[]);
    pair.run_for(Duration::from_secs(60));
    // The one with the forged packet's number is lost to it.
    assert!(pair.client.received() >= 99, "{:?}", pair.server);
    assert_eq!(pair.server.closed(), Some(CloseReason::Graceful));
}
