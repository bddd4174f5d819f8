//! Options exchanged in order: who is asked, who answers, who decides (RFC 4340 §6.3 to §6.6.4).

use super::*;

#[test]
fn the_default_handshake_is_small() {
    let config = Config::default();
    let (mut client, mut server) = (End::new(&config, false), End::new(&config, true));
    let [request, response, ack] = handshake(&mut client, &mut server);
    assert_eq!(
        request,
        "Change L(Sequence Window 1000), Change R(Send Ack Vector 1)"
    );
    assert_eq!(
        response,
        "Change L(Sequence Window 1000), Confirm R(Sequence Window 1000), \
         Confirm L(Send Ack Vector 1, 1 0), Change R(Send Ack Vector 1)"
    );
    assert_eq!(
        ack,
        "Confirm R(Sequence Window 1000), Confirm L(Send Ack Vector 1, 1 0)"
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
