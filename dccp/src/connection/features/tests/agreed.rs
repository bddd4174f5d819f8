//! What is to be agreed on: CCIDs and what they need, ECN, the wishes of the config.

use super::*;

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
        "Confirm L(CCID 3, 3 2), Confirm R(CCID 3, 3 2), Change R(Send NDP Count 1), \
         Change R(Send Loss Event Rate 1)"
    );
    assert_eq!(
        ack,
        "Confirm L(Send NDP Count 1, 0 1), Change R(Send NDP Count 1), \
         Confirm L(Send Loss Event Rate 1, 0 1), Change R(Send Loss Event Rate 1)"
    );
    assert!(server.features.is_ready() && client.features.is_ready());
    let answer = server.write(true);
    assert_eq!(
        words(&answer),
        "Confirm L(Send NDP Count 1, 0 1), Confirm L(Send Loss Event Rate 1, 0 1)"
    );
    client.read(&answer).unwrap();
    assert_agreed(&client, &server);
    assert!(client.features.here().send_loss_event_rate);
    assert!(client.features.there().send_loss_event_rate);
    assert!(client.features.here().send_ndp_count && client.features.there().send_ndp_count);
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
