//! Resends, simultaneous Changes, and what is invalid (RFC 4340 §6.6.3 to §6.6.9).

use super::*;

#[test]
fn df7_resends_say_the_same_and_confirms_are_not_resent() {
    let mut end = End::open(&quiet(), true);
    end.read(&[32, 5, 5, 0, 9]).unwrap();
    end.features.request(Feature::SEQUENCE_WINDOW, 1 << 50);
    let first = end.write(true);
    assert_eq!(
        words(&first),
        "Change L(Sequence Window 70368744177663), Confirm R(Ack Ratio 9)"
    );
    assert_eq!(end.write(true), []);
    let at = end.features.poll_timeout().unwrap();
    assert!(at - end.now >= RTT);
    end.now = at;
    assert_eq!(
        words(&end.write(true)),
        "Change L(Sequence Window 70368744177663)"
    );
    assert!(end.features.poll_timeout().unwrap() > at + RTT);
}

#[test]
fn df7_a_round_trip_of_any_length_has_a_timer() {
    for rtt in [Duration::ZERO, Duration::from_secs(100), Duration::MAX] {
        let mut end = End::open(&quiet(), true);
        end.rtt = rtt;
        end.features.request(Feature::SEQUENCE_WINDOW, 500);
        for _ in 0..3 {
            assert_eq!(words(&end.write(true)), "Change L(Sequence Window 500)");
            let wait = end.features.poll_timeout().unwrap() - end.now;
            assert!(wait >= LEAST_WAIT && wait <= LONGEST_WAIT);
            end.now += wait;
        }
    }
}

#[test]
fn df7_what_finds_no_room_stays_due() {
    let mut end = End::open(&quiet(), true);
    end.read(&[32, 5, 5, 0, 9, 32, 4, 126, 1]).unwrap();
    end.features.request(Feature::SEQUENCE_WINDOW, 500);
    assert_eq!(
        words(&end.write_within(true, 4)),
        "empty Confirm R(feature 126)"
    );
    assert!(end.features.wants_packet());
    assert_eq!(words(&end.write_within(true, 8)), "Confirm R(Ack Ratio 9)");
    assert!(end.features.wants_packet());
    assert_eq!(
        words(&end.write_within(true, 12)),
        "Change L(Sequence Window 500)"
    );
    assert!(!end.features.wants_packet());
    // Nor does a resend without room ask for packets all the time.
    end.now = end.features.poll_timeout().unwrap();
    assert_eq!(end.write_within(true, 4), []);
    assert!(end.features.poll_timeout().unwrap() > end.now);
}

#[test]
fn df8_a_number_that_changes_again_waits_for_the_answer_or_the_timer() {
    let mut end = End::open(&quiet(), true);
    end.features.request(Feature::ACK_RATIO, 4);
    end.write(true);
    end.features.request(Feature::ACK_RATIO, 6);
    assert_eq!(end.write(true), []);
    assert!(!end.features.wants_packet());
    // The answer to the first lets the second go.
    end.read(&[35, 5, 5, 0, 4]).unwrap();
    assert_eq!(end.features.here().ack_ratio, 4);
    assert!(end.features.wants_packet());
    assert_eq!(words(&end.write(true)), "Change L(Ack Ratio 6)");
    // Without an answer the timer does, and then only its own answer counts.
    end.features.request(Feature::ACK_RATIO, 8);
    let old = end.sent;
    end.now = end.features.poll_timeout().unwrap();
    assert_eq!(words(&end.write(true)), "Change L(Ack Ratio 8)");
    let seq = end.received.unwrap();
    end.read_as(seq.plus(1), Some(old), &[35, 5, 5, 0, 6])
        .unwrap();
    assert_eq!(end.features.here().ack_ratio, 4);
    end.read(&[35, 5, 5, 0, 8]).unwrap();
    assert_eq!(end.features.here().ack_ratio, 8);
}

#[test]
fn df9_a_change_of_both_at_once_is_agreed_on() {
    // RFC 4340 §6.5, the simultaneous negotiation, of CCID 2 and 3 alone.
    let config = |ccids: [Ccid; 2]| Config {
        ccids: ccids.to_vec(),
        ..quiet()
    };
    let mut server = End::new(&config([Ccid::CCID3, Ccid::CCID2]), true);
    let mut client = End::new(&config([Ccid::CCID3, Ccid::CCID2]), false);
    let request = client.write(false);
    server.read_as(ISS, None, &[]).unwrap();
    let response = server.write(true);
    assert_eq!(words(&response), "Change L(CCID 3 2), Change R(CCID 3 2)");
    client.read_as(ISR, Some(ISS), &response).unwrap();
    assert_eq!(client.state(Location::There, Feature::CCID), State::Stable);
    server.read_as(ISS.plus(1), Some(ISR), &request).unwrap();
    assert_eq!(server.state(Location::Here, Feature::CCID), State::Stable);
    assert_agreed(&client, &server);
    assert_eq!(server.features.here().ccid, Ccid::CCID3);
    assert!(
        words(&client.write(true)).starts_with("Confirm L(CCID 3, 3 2), Confirm R(CCID 3, 3 2)")
    );
}

#[test]
fn df10_an_empty_confirm_of_what_everyone_understands_is_an_error() {
    let config = Config {
        ccids: vec![Ccid::CCID3, Ccid::CCID2],
        sequence_window: 500,
        ..quiet()
    };
    for (area, feature) in [([33, 3, 1], 1), ([35, 3, 1], 1), ([35, 3, 3], 3)] {
        let mut end = End::new(&config, false);
        end.write(false);
        let refused = end.read(&area);
        assert_eq!(
            refused,
            Err(reset(ResetCode::OPTION_ERROR, [area[0], feature, 0]))
        );
    }
    // CCID 2 cannot do without Ack Vectors, nor data without knowing of ECN.
    let mut end = End::new(
        &Config {
            ecn: false,
            ..quiet()
        },
        false,
    );
    end.write(false);
    assert_eq!(
        end.read(&[33, 3, 6]),
        Err(reset(ResetCode::OPTION_ERROR, [33, 6, 0]))
    );
    let mut end = End::new(
        &Config {
            ecn: false,
            ..quiet()
        },
        false,
    );
    end.write(false);
    assert_eq!(
        end.read(&[35, 3, 4]),
        Err(reset(ResetCode::OPTION_ERROR, [35, 4, 0]))
    );
    // Others are done without, and not asked for again.
    let mut end = End::new(
        &Config {
            ndp_count: true,
            ..quiet()
        },
        false,
    );
    assert!(words(&end.write(false)).contains("Change R(Send NDP Count 1)"));
    end.read(&[33, 5, 6, 1, 1, 33, 3, 7]).unwrap();
    assert!(!end.features.there().send_ndp_count);
    assert_eq!(end.write(true), []);
    assert_eq!(end.features.poll_timeout(), None);
    let mut end = End::open(&quiet(), true);
    end.features.request(Feature::ACK_RATIO, 5);
    end.write(true);
    end.read(&[35, 3, 5]).unwrap();
    assert_eq!(end.write(true), []);
}

#[test]
fn df11_a_confirm_that_cannot_be_is_an_error() {
    let config = Config {
        ccids: vec![Ccid::CCID3, Ccid::CCID2],
        sequence_window: 500,
        ..quiet()
    };
    for area in [
        // Not the first of the server's list, one of neither list, none of ours.
        &[33, 6, 1, 2, 3, 2][..],
        &[33, 6, 1, 7, 3, 2],
        &[33, 4, 1, 9],
        // A number of another length.
        &[35, 8, 3, 0, 0, 0, 1, 244],
        &[35, 10, 3, 0, 0, 0, 0, 0, 1, 244],
    ] {
        let mut end = End::new(&config, false);
        end.write(false);
        let refused = end.read(area);
        assert_eq!(
            refused,
            Err(reset(ResetCode::OPTION_ERROR, [area[0], area[2], area[3]]))
        );
    }
    // A list left out is that of the value alone.
    let mut end = End::new(&config, false);
    end.write(false);
    end.read(&[33, 4, 1, 3]).unwrap();
    assert_eq!(end.features.there().ccid, Ccid::CCID3);
}

#[test]
fn df11_the_late_answer_to_an_older_number_is_no_error() {
    let mut end = End::open(&quiet(), true);
    end.features.request(Feature::ACK_RATIO, 4);
    end.write(true);
    // The peer did not get this packet but one after it, and answers what it got before.
    end.read(&[35, 5, 5, 0, 3]).unwrap();
    assert_eq!(end.features.here().ack_ratio, 2);
    end.now = end.features.poll_timeout().unwrap();
    assert_eq!(words(&end.write(true)), "Change L(Ack Ratio 4)");
    end.read(&[35, 5, 5, 0, 4]).unwrap();
    assert_eq!(end.features.here().ack_ratio, 4);
}

#[test]
fn df11_an_invalid_change_is_answered_with_nothing() {
    let mut end = End::open(&quiet(), true);
    for area in [
        &[32, 8, 3, 0, 0, 0, 4, 0][..],
        &[32, 10, 3, 0, 0, 0, 0, 0, 4, 0],
        // Windows of 31 and of 2^46.
        &[32, 9, 3, 0, 0, 0, 0, 0, 31],
        &[32, 9, 3, 0x40, 0, 0, 0, 0, 0],
        &[32, 3, 3],
    ] {
        end.read(area).unwrap();
        assert_eq!(
            words(&end.write(true)),
            "empty Confirm R(Sequence Window)",
            "{area:?}"
        );
        assert_eq!(end.features.there().sequence_window, 100);
        let refused = end.read(&[&[1], area].concat());
        let data = [32, 3, area.get(3).copied().unwrap_or(0)];
        assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, data)));
        end.write(true);
    }
    for valid in [[0, 0, 0, 0, 0, 32], [0x3f, 255, 255, 255, 255, 255]] {
        end.read(&[&[32, 9, 3][..], &valid].concat()).unwrap();
        assert!(words(&end.write(true)).starts_with("Confirm R(Sequence Window "));
    }
    assert_eq!(end.features.there().sequence_window, (1 << 46) - 1);
    // An Ack Ratio of 0 has a meaning for CCID 3 only.
    end.read(&[32, 5, 5, 0, 0]).unwrap();
    assert_eq!(words(&end.write(true)), "empty Confirm R(Ack Ratio)");
    end.read(&[32, 4, 5, 1, 32, 3, 6]).unwrap();
    assert_eq!(
        words(&end.write(true)),
        "empty Confirm R(Ack Ratio), empty Confirm R(Send Ack Vector)"
    );
}

#[test]
fn df12_a_mandatory_change_without_a_shared_value_resets() {
    let mut end = End::open(&quiet(), true);
    let refused = end.read(&[1, 34, 5, 1, 4, 5]);
    assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, [34, 1, 4])));
    // On a reordered packet it does not.
    end.read_as(ISS.plus(10), Some(end.sent), &[32, 5, 5, 0, 9])
        .unwrap();
    end.read_as(ISS.plus(9), Some(end.sent), &[1, 34, 5, 1, 4, 5])
        .unwrap();
    // Under Mandatory a value that is shared is as any other.
    end.read(&[1, 34, 5, 1, 4, 2]).unwrap();
}

#[test]
fn option_bombs_are_answered_within_one_packet() {
    // 992 bytes of Changes, every feature number many times.
    let area: Vec<u8> = (0..248u8)
        .flat_map(|number| [32 + number % 2 * 2, 4, number, 1])
        .collect();
    let mut end = End::open(&quiet(), true);
    end.read(&area).unwrap();
    let answer = end.write(true);
    assert!(Options::new(&answer).count() <= 248);
    let rest = end.write(true);
    assert!(answer.len() + rest.len() <= 248 * 6);
    assert_eq!(end.write(true), [], "one answer each");
}
