//! The rules of RFC 4340 §6.

use super::*;

#[test]
fn the_default_handshake_is_small() {
    let config = Config::default();
    let (mut client, mut server) = (End::new(&config, false), End::new(&config, true));
    let [request, response, ack] = handshake(&mut client, &mut server);
    assert_eq!(
        request,
        "Change L(Sequence Window 1000), Mandatory Change L(ECN Incapable 1), \
         Change R(Send Ack Vector 1)"
    );
    assert_eq!(
        response,
        "Change L(Sequence Window 1000), Confirm R(Sequence Window 1000), \
         Mandatory Change L(ECN Incapable 1), Confirm R(ECN Incapable 1, 0 1), \
         Confirm L(Send Ack Vector 1, 1 0), Change R(Send Ack Vector 1)"
    );
    assert_eq!(
        ack,
        "Confirm R(Sequence Window 1000), Confirm R(ECN Incapable 1, 0 1), \
         Confirm L(Send Ack Vector 1, 1 0)"
    );
    assert_agreed(&client, &server);
    assert!(client.features.is_ready() && server.features.is_ready());
    assert_eq!(client.features.here().sequence_window, 1000);
    assert_eq!(server.features.poll_timeout(), None);
    assert_eq!(client.features.poll_timeout(), None);
}

#[test]
fn the_examples_of_section_6_5() {
    let ccids = |list: [Ccid; 2]| Config {
        ccids: list.to_vec(),
        ..quiet()
    };
    let (prefers_2, prefers_3) = ([Ccid::CCID2, Ccid::CCID3], [Ccid::CCID3, Ccid::CCID2]);
    // Change R(CCID, 2 3 1) to a server that prefers 3.
    let mut server = End::new(&ccids(prefers_3), true);
    server.read_as(ISS, None, &[34, 6, 1, 2, 3, 1]).unwrap();
    assert!(words(&server.write(true)).starts_with("Confirm L(CCID 3, 3 2)"));
    assert_eq!(server.features.here().ccid, Ccid::CCID3);
    // Change L(CCID, 3 2 1) of a server, lost once, to a client that prefers 2.
    let mut client = End::new(&ccids(prefers_2), false);
    client.write(false);
    client
        .read_as(ISR.plus(1), Some(ISS), &[32, 6, 1, 3, 2, 1])
        .unwrap();
    assert!(words(&client.write(true)).starts_with("Confirm R(CCID 3, 2 3)"));
    assert_eq!(client.features.there().ccid, Ccid::CCID3);
    // Change L(Ack Ratio, 3) of a server.
    client.read(&[32, 5, 5, 0, 3]).unwrap();
    assert!(words(&client.write(true)).contains("Confirm R(Ack Ratio 3)"));
    assert_eq!(client.features.there().ack_ratio, 3);
}

#[test]
fn df1_the_first_of_the_servers_list_that_the_client_has_is_taken() {
    let ccids = |list: &[u8]| Config {
        ccids: list.iter().map(|number| Ccid(*number)).collect(),
        ..quiet()
    };
    for (client, server, expected) in [
        (&[3, 2][..], &[2, 3][..], 2),
        (&[3, 2], &[3, 2], 3),
        (&[2, 3], &[3, 2], 3),
        (&[3], &[2, 3], 3),
        (&[2], &[3, 2], 2),
        (&[2, 3], &[2, 3], 2),
    ] {
        let (mut client, mut server) = (
            End::new(&ccids(client), false),
            End::new(&ccids(server), true),
        );
        let words = handshake(&mut client, &mut server);
        client.read(&server.write(true)).unwrap();
        server.read(&client.write(true)).unwrap();
        assert_agreed(&client, &server);
        assert_eq!(client.features.here().ccid, Ccid(expected), "{words:?}");
        assert_eq!(client.features.there().ccid, Ccid(expected), "{words:?}");
    }
}

#[test]
fn df1_without_a_shared_value_the_one_in_force_is_confirmed() {
    let mut end = End::open(&quiet(), true);
    // We send no short sequence numbers, and do not know CCID 4.
    end.read(&[34, 4, 2, 1, 34, 5, 1, 4, 5]).unwrap();
    assert_eq!(
        words(&end.write(true)),
        "Confirm L(CCID 2, 2), Confirm L(Allow Short Seqnos 0, 0)"
    );
    assert!(!end.features.here().short_seqnos);
    // The asking end takes such a Confirm.
    let mut end = End::new(
        &Config {
            ccids: vec![Ccid::CCID3, Ccid::CCID2],
            ..quiet()
        },
        false,
    );
    assert_eq!(
        words(&end.write(false)),
        "Change L(CCID 3 2), Change R(CCID 3 2)"
    );
    end.read(&[33, 5, 1, 2, 4, 35, 5, 1, 2, 4]).unwrap();
    assert_eq!(end.features.here().ccid, Ccid::CCID2);
    assert_eq!(end.state(Location::Here, Feature::CCID), State::Stable);
}

#[test]
fn df2_numbers_are_told_by_their_location_only() {
    let mut end = End::open(&quiet(), false);
    end.read(&[32, 9, 3, 0, 0, 0, 0, 4, 0, 32, 5, 5, 0, 9])
        .unwrap();
    assert_eq!(
        words(&end.write(true)),
        "Confirm R(Sequence Window 1024), Confirm R(Ack Ratio 9)"
    );
    assert_eq!(end.features.there().sequence_window, 1024);
    assert_eq!(end.features.there().ack_ratio, 9);
    end.read(&[34, 9, 3, 0, 0, 0, 0, 4, 0, 33, 5, 5, 0, 9])
        .unwrap();
    assert_eq!(words(&end.write(true)), "empty Confirm L(Sequence Window)");
    assert_eq!(*end.features.here(), Values::INITIAL);
    let refused = end.read(&[1, 34, 9, 3, 0, 0, 0, 0, 4, 0]);
    assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, [34, 3, 0])));
}

#[test]
fn df3_each_change_has_one_confirm_on_a_packet_with_an_ackno() {
    let mut end = End::open(&quiet(), true);
    end.read(&[32, 5, 5, 0, 9, 32, 5, 5, 0, 3]).unwrap();
    assert!(end.features.wants_packet());
    assert_eq!(end.write(false), []);
    assert!(end.features.wants_packet());
    // Two Changes of a feature on one packet: the last counts.
    assert_eq!(words(&end.write(true)), "Confirm R(Ack Ratio 3)");
    assert!(!end.features.wants_packet());
    assert_eq!(end.write(true), []);
    end.read(&[32, 5, 5, 0, 3]).unwrap();
    assert_eq!(
        words(&end.write(true)),
        "Confirm R(Ack Ratio 3)",
        "the same again is answered too"
    );
}

#[test]
fn df3_the_asking_end_waits_for_the_confirm() {
    let mut end = End::open(&quiet(), false);
    end.features.request(Feature::ACK_RATIO, 4);
    assert!(end.features.wants_packet());
    assert_eq!(words(&end.write(true)), "Change L(Ack Ratio 4)");
    assert_eq!(end.features.here().ack_ratio, 2);
    end.read(&[35, 5, 5, 0, 4]).unwrap();
    assert_eq!(end.features.here().ack_ratio, 4);
    assert!(!end.features.wants_packet());
    end.features.request(Feature::ACK_RATIO, 4);
    assert_eq!(end.write(true), [], "it is in force already");
}

#[test]
fn df4_unknown_features_are_answered_with_nothing_or_a_reset() {
    let mut end = End::open(&quiet(), true);
    end.read(&[
        32, 4, 126, 1, 34, 4, 10, 1, 32, 3, 0, 33, 4, 127, 1, 35, 3, 127,
    ])
    .unwrap();
    assert_eq!(
        words(&end.write(true)),
        "empty Confirm L(feature 10), empty Confirm R(feature 0), empty Confirm R(feature 126)"
    );
    assert_eq!(end.write(true), []);
    let refused = end.read(&[1, 34, 4, 10, 7]);
    assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, [34, 10, 7])));
    // A Confirm of one, Mandatory or not, is nothing to us (DF10).
    end.read(&[1, 33, 4, 127, 1]).unwrap();
    // CCID 3's feature is not there with CCID 2 (RFC 4340 §10.3).
    end.read(&[34, 4, 192, 1]).unwrap();
    assert_eq!(
        words(&end.write(true)),
        "empty Confirm L(Send Loss Event Rate)"
    );
}

#[test]
fn df4_a_confirm_of_what_was_not_asked_is_ignored() {
    let mut end = End::open(&quiet(), true);
    end.read(&[33, 5, 6, 0, 0, 35, 5, 5, 0, 9, 35, 3, 1])
        .unwrap();
    assert_eq!(*end.features.here(), Values::INITIAL);
}

#[test]
fn df4_an_invalid_change_leaves_our_own_going_on() {
    let mut end = End::new(
        &Config {
            ecn: false,
            ..quiet()
        },
        false,
    );
    end.write(false);
    assert_ne!(
        end.state(Location::Here, Feature::ECN_INCAPABLE),
        State::Stable
    );
    end.read(&[34, 3, 4]).unwrap();
    assert_ne!(
        end.state(Location::Here, Feature::ECN_INCAPABLE),
        State::Stable
    );
    assert!(words(&end.write(true)).contains("empty Confirm L(ECN Incapable)"));
}

#[test]
fn df5_options_of_reordered_packets_are_ignored() {
    let mut end = End::open(&quiet(), true);
    end.read_as(ISS.plus(10), Some(end.sent), &[32, 5, 5, 0, 9])
        .unwrap();
    end.write(true);
    for (number, ratio) in [(9, 3), (10, 4), (5, 5)] {
        end.read_as(ISS.plus(number), Some(end.sent), &[32, 5, 5, 0, ratio])
            .unwrap();
        assert_eq!(end.features.there().ack_ratio, 9);
        assert_eq!(end.write(true), []);
    }
    // Packets without feature options do not count.
    end.read_as(ISS.plus(20), Some(end.sent), &[2]).unwrap();
    end.read_as(ISS.plus(11), Some(end.sent), &[32, 5, 5, 0, 3])
        .unwrap();
    assert_eq!(end.features.there().ack_ratio, 3);
}

#[test]
fn df5_all_options_of_a_packet_count_together() {
    let mut end = End::open(&quiet(), true);
    end.read(&[32, 5, 5, 0, 9, 32, 9, 3, 0, 0, 0, 0, 4, 0])
        .unwrap();
    assert_eq!(end.features.there().ack_ratio, 9);
    assert_eq!(end.features.there().sequence_window, 1024);
}

#[test]
fn df5_a_confirm_of_an_older_change_is_ignored() {
    let mut end = End::open(&quiet(), true);
    end.features.request(Feature::ACK_RATIO, 4);
    end.write(true);
    let change = end.sent;
    end.read_as(ISS.plus(2), Some(change.minus(1)), &[35, 5, 5, 0, 4])
        .unwrap();
    assert_eq!(end.features.here().ack_ratio, 2);
    // A Change sent again is no new one: either may be acknowledged.
    end.now += Duration::from_secs(1);
    assert_eq!(words(&end.write(true)), "Change L(Ack Ratio 4)");
    end.read_as(ISS.plus(3), Some(change), &[35, 5, 5, 0, 4])
        .unwrap();
    assert_eq!(end.features.here().ack_ratio, 4);
}

#[test]
fn df6_greatest_numbers_do_not_come_round() {
    let mut end = End::open(&quiet(), true);
    end.features.request(Feature::ACK_RATIO, 4);
    end.write(true);
    end.read(&[35, 5, 5, 0, 4, 32, 5, 5, 0, 8]).unwrap();
    end.write(true);
    // Both ends send 2^47 + 5 packets without feature options, some of them with others.
    let step = 1 << 45;
    let (mut seq, start) = (end.received.unwrap(), end.sent);
    for _ in 0..5 {
        (seq, end.sent) = (seq.plus(step), end.sent.plus(step));
        end.read_as(seq, Some(end.sent), &[2]).unwrap();
        end.write(true);
    }
    assert!(end.sent.precedes(start), "far enough to seem behind");
    end.features.request(Feature::SEQUENCE_WINDOW, 500);
    end.write(true);
    end.read_as(
        seq.plus(1),
        Some(end.sent),
        &[35, 9, 3, 0, 0, 0, 0, 1, 244, 32, 5, 5, 0, 9],
    )
    .unwrap();
    assert_eq!(end.features.here().sequence_window, 500);
    assert_eq!(end.features.there().ack_ratio, 9);
}

#[test]
fn df6_even_without_any_packet_looked_at_between() {
    let mut end = End::open(&quiet(), true);
    end.read(&[32, 5, 5, 0, 8]).unwrap();
    let seq = end.received.unwrap().plus((1 << 47) + 5);
    end.read_as(seq, Some(end.sent), &[32, 5, 5, 0, 9]).unwrap();
    assert_eq!(end.features.there().ack_ratio, 9);
}

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
fn df13_one_that_cannot_do_ccid_2_insists() {
    let config = Config {
        ccids: vec![Ccid::CCID3],
        ..quiet()
    };
    let mut client = End::new(&config, false);
    let request = client.write(false);
    assert_eq!(
        words(&request),
        "Mandatory Change L(CCID 3), Mandatory Change R(CCID 3)"
    );
    let mut server = End::new(&quiet(), true);
    let refused = server.read_as(ISS, None, &request);
    assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, [32, 1, 3])));
    let refused = End::new(&config, true).read_as(ISS, None, &[1, 32, 4, 1, 2]);
    assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, [32, 1, 2])));
}

#[test]
fn df13_the_ccid_is_not_changed_after_the_handshake() {
    let mut end = End::open(
        &Config {
            ccids: vec![Ccid::CCID2, Ccid::CCID3],
            ..quiet()
        },
        true,
    );
    end.write(true);
    end.read(&[32, 4, 1, 3, 34, 5, 1, 3, 2]).unwrap();
    assert_eq!(
        words(&end.write(true)),
        "Confirm L(CCID 2, 2), Confirm R(CCID 2, 2)"
    );
    let refused = end.read(&[1, 32, 4, 1, 3]);
    assert_eq!(refused, Err(reset(ResetCode::MANDATORY_ERROR, [32, 1, 3])));
}

#[test]
fn df14_we_send_no_short_numbers_and_read_them_if_agreed() {
    let mut end = End::open(&quiet(), true);
    end.read(&[34, 5, 2, 1, 0, 32, 4, 2, 1]).unwrap();
    assert!(!end.features.here().short_seqnos);
    assert!(end.features.there().short_seqnos);
    assert_eq!(
        words(&end.write(true)),
        "Confirm L(Allow Short Seqnos 0, 0), Confirm R(Allow Short Seqnos 1, 0 1)"
    );
    end.read(&[32, 5, 2, 1, 0]).unwrap();
    assert!(
        !end.features.there().short_seqnos,
        "as a server we prefer long ones"
    );
}

#[test]
fn df15_without_ecn_no_data_is_sent_or_taken_before_the_peer_knows() {
    let config = Config {
        ecn: false,
        ..quiet()
    };
    let (mut client, mut server) = (End::new(&config, false), End::new(&config, true));
    let request = client.write(false);
    assert_eq!(
        words(&request),
        "Mandatory Change L(ECN Incapable 1), Change R(Send Ack Vector 1)"
    );
    assert_eq!(
        client.write(false),
        request,
        "until it is acknowledged, on every Request"
    );
    server.read_as(ISS, None, &request).unwrap();
    assert!(!server.features.may_take_data());
    let response = server.write(true);
    assert_eq!(
        server.write(true),
        response_again(&response),
        "and on every Response"
    );
    assert!(!client.features.is_ready() && !client.features.may_take_data());
    client.read_as(ISR, Some(ISS), &response).unwrap();
    assert!(client.features.is_ready() && client.features.may_take_data());
    let ack = client.write(true);
    server.read_as(ISS.plus(2), Some(ISR), &ack).unwrap();
    assert!(server.features.is_ready() && server.features.may_take_data());
    assert_agreed(&client, &server);
    assert!(client.features.there().ecn_incapable);
}

/// A Response as it is made again for a Request without options: the Changes alone.
fn response_again(response: &[u8]) -> Vec<u8> {
    let mut options = OptionWriter::default();
    options.reset(900);
    for option in Options::new(response) {
        if !matches!(option, DccpOption::Confirm { .. }) {
            options.push(option);
        }
    }
    options.bytes().to_vec()
}

#[test]
fn df16_a_ccid_2_sender_asks_for_ack_vectors_before_it_sends() {
    let (mut client, mut server) = (End::new(&quiet(), false), End::new(&quiet(), true));
    assert!(!client.features.is_ready());
    let [request, response, ack] = handshake(&mut client, &mut server);
    assert_eq!(request, "Change R(Send Ack Vector 1)");
    assert_eq!(
        response,
        "Confirm L(Send Ack Vector 1, 1 0), Change R(Send Ack Vector 1)"
    );
    assert_eq!(ack, "Confirm L(Send Ack Vector 1, 1 0)");
    assert!(client.features.is_ready() && server.features.is_ready());
    // A peer that answers with 0 is not sent to.
    let mut client = End::new(&quiet(), false);
    client.write(false);
    client.read(&[33, 5, 6, 0, 0]).unwrap();
    assert!(!client.features.is_ready());
}

#[test]
fn df17_features_of_a_ccid_wait_until_it_is_agreed_on() {
    let config = Config {
        ccids: vec![Ccid::CCID3, Ccid::CCID2],
        ..quiet()
    };
    let (mut client, mut server) = (End::new(&config, false), End::new(&config, true));
    let [request, response, ack] = handshake(&mut client, &mut server);
    assert_eq!(request, "Change L(CCID 3 2), Change R(CCID 3 2)");
    assert_eq!(
        response,
        "Confirm L(CCID 3, 3 2), Confirm R(CCID 3, 3 2), Change R(Send Loss Event Rate 1)"
    );
    assert_eq!(
        ack,
        "Confirm L(Send Loss Event Rate 1, 0 1), Change R(Send Loss Event Rate 1)"
    );
    assert!(server.features.is_ready() && client.features.is_ready());
    let answer = server.write(true);
    assert_eq!(words(&answer), "Confirm L(Send Loss Event Rate 1, 0 1)");
    client.read(&answer).unwrap();
    assert_agreed(&client, &server);
    assert!(client.features.here().send_loss_event_rate);
    assert!(client.features.there().send_loss_event_rate);
    assert!(
        [192, 193, 194]
            .into_iter()
            .all(|kind| client.features.has_ccid_option(kind))
    );
    assert!(
        ![128, 191, 195, 255]
            .into_iter()
            .any(|kind| client.features.has_ccid_option(kind))
    );
    // An Ack Ratio of 0 says that it has no use for one.
    client.read(&[32, 5, 5, 0, 0]).unwrap();
    assert_eq!(client.features.there().ack_ratio, 0);
}

#[test]
fn df17_if_the_answer_is_ccid_2_its_features_are_asked_for() {
    let config = Config {
        ccids: vec![Ccid::CCID3, Ccid::CCID2],
        ..quiet()
    };
    let (mut client, mut server) = (End::new(&config, false), End::new(&quiet(), true));
    let [request, response, ack] = handshake(&mut client, &mut server);
    assert_eq!(request, "Change L(CCID 3 2), Change R(CCID 3 2)");
    assert_eq!(
        response,
        "Confirm L(CCID 2, 2), Confirm R(CCID 2, 2), Change R(Send Ack Vector 1)"
    );
    assert_eq!(
        ack,
        "Confirm L(Send Ack Vector 1, 1 0), Change R(Send Ack Vector 1)"
    );
    assert!(!client.features.is_ready());
    let answer = server.write(true);
    client.read(&answer).unwrap();
    assert!(client.features.is_ready());
    assert_agreed(&client, &server);
}

#[test]
fn wishes_of_the_config_are_asked_for() {
    let config = Config {
        ndp_count: true,
        check_data_checksum: true,
        min_checksum_coverage: 3,
        ..quiet()
    };
    let (mut client, mut server) = (End::new(&config, false), End::new(&quiet(), true));
    let [request, response, ack] = handshake(&mut client, &mut server);
    assert_eq!(
        request,
        "Change R(Send Ack Vector 1), Change R(Send NDP Count 1), \
         Change L(Minimum Checksum Coverage 3), Change R(Check Data Checksum 1)"
    );
    assert_eq!(
        response,
        "Confirm L(Send Ack Vector 1, 1 0), Change R(Send Ack Vector 1), \
         Confirm L(Send NDP Count 1, 0 1), Confirm R(Minimum Checksum Coverage 3, 3), \
         Confirm L(Check Data Checksum 1, 0 1)"
    );
    assert_eq!(ack, "Confirm L(Send Ack Vector 1, 1 0)");
    assert_agreed(&client, &server);
    assert_eq!(client.features.here().min_checksum_coverage, 3);
    assert!(client.features.there().send_ndp_count && client.features.there().check_data_checksum);
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

#[test]
fn a_servers_features_are_exported_and_imported() {
    let ccids = vec![Ccid::CCID3, Ccid::CCID2];
    let wishes = Config {
        ndp_count: true,
        check_data_checksum: true,
        min_checksum_coverage: 15,
        ..Config::default()
    };
    for (ours, theirs) in [
        (Config::default(), Config::default()),
        (quiet(), Config::default()),
        (
            Config::default(),
            Config {
                ccids: ccids.clone(),
                ..quiet()
            },
        ),
        (
            Config {
                ccids: ccids.clone(),
                ..Config::default()
            },
            Config {
                ccids,
                ..wishes.clone()
            },
        ),
        (
            wishes,
            Config {
                sequence_window: (1 << 46) - 1,
                ..Config::default()
            },
        ),
    ] {
        let (mut client, mut server) = (End::new(&theirs, false), End::new(&ours, true));
        let request = client.write(false);
        server.read_as(ISS, None, &request).unwrap();
        let response = server.write(true);
        let exported = server.features.export();
        client.read_as(ISR, Some(ISS), &response).unwrap();
        let ack = client.write(true);

        let mut again = End::new(&ours, true);
        again.sent = ISR;
        again.features = Features::import(&ours, &exported, ISR, ISS);
        assert_eq!(again.features.export(), exported);
        for end in [&mut server, &mut again] {
            end.read_as(ISS.plus(1), Some(ISR), &ack).unwrap();
            end.features.on_open();
        }
        assert_eq!(again.features.here(), server.features.here());
        assert_eq!(again.features.there(), server.features.there());
        let states = |end: &End| end.features.machines().map(|m| m.state).collect::<Vec<_>>();
        assert_eq!(states(&again), states(&server));
        assert_eq!(again.write(true), server.write(true));
        assert_eq!(again.features.is_ready(), server.features.is_ready());
    }
}
