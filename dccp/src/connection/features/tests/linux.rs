//! What Linux demands of its peers.

use super::*;

/// The Request of a Linux 6.1 client.
const LINUX_REQUEST: [u8; 36] = [
    0, 0, 41, 6, 0, 6, 0x72, 0x75, 32, 4, 1, 2, 34, 4, 1, 2, 1, 32, 4, 2, 0, 1, 32, 4, 4, 1, 1, 34,
    4, 6, 1, 1, 32, 4, 6, 1,
];

/// The Response of a Linux 6.1 server to it.
const LINUX_RESPONSE: [u8; 52] = [
    42, 6, 0, 6, 0x72, 0x75, 41, 6, 0, 6, 0x72, 0x79, 33, 5, 1, 2, 2, 35, 5, 1, 2, 2, 1, 32, 4, 2,
    0, 35, 5, 2, 0, 0, 1, 32, 4, 4, 1, 35, 5, 4, 1, 1, 1, 34, 4, 6, 1, 1, 32, 4, 6, 1,
];

/// The Confirms of a Linux 6.1 client to that.
const LINUX_CONFIRMS: [u8; 20] = [
    35, 5, 2, 0, 0, 35, 5, 4, 1, 1, 35, 5, 6, 1, 1, 33, 5, 6, 1, 1,
];

#[test]
fn dl2_every_change_of_a_linux_request_is_confirmed_in_the_response() {
    let config = Config {
        ecn: false,
        ..Config::default()
    };
    let mut server = End::new(&config, true);
    server.read_as(ISS, None, &LINUX_REQUEST).unwrap();
    let response = server.write(true);
    assert_eq!(
        words(&response),
        "Confirm L(CCID 2, 2 3), Confirm R(CCID 2, 2 3), \
         Confirm R(Allow Short Seqnos 0, 0 1), Change L(Sequence Window 1000), \
         Mandatory Change L(ECN Incapable 1), Confirm R(ECN Incapable 1, 0 1), \
         Confirm L(Send Ack Vector 1, 1 0), Confirm R(Send Ack Vector 1, 1)"
    );
    assert!(
        !server.features.is_ready(),
        "it does not know yet that marks are not read"
    );
    // Its answer, as it answers a Linux server.
    let confirms = [35, 9, 3, 0, 0, 0, 0, 3, 232, 35, 5, 4, 1, 1];
    server.read_as(ISS.plus(1), Some(ISR), &confirms).unwrap();
    server.features.on_open();
    assert!(server.features.is_ready());
    assert!(!server.features.wants_packet());
    assert_eq!(server.features.poll_timeout(), None);
    let (here, there) = (server.features.here(), server.features.there());
    assert_eq!((here.sequence_window, there.sequence_window), (1000, 100));
    assert!(here.ecn_incapable && there.ecn_incapable);
    assert!(here.send_ack_vector && there.send_ack_vector);
}

#[test]
fn dl1_a_client_repeats_its_confirms_on_every_packet_in_partopen() {
    let mut client = End::new(&quiet(), false);
    assert_eq!(words(&client.write(false)), "Change R(Send Ack Vector 1)");
    client.read_as(ISR, Some(ISS), &LINUX_RESPONSE).unwrap();
    assert!(
        client.features.is_ready(),
        "the server's Changes answer ours (DF9)"
    );
    let first = client.write(true);
    assert_eq!(
        words(&first),
        "Confirm R(Allow Short Seqnos 0, 0 1), Confirm R(ECN Incapable 1, 0 1), \
         Confirm L(Send Ack Vector 1, 1 0), Confirm R(Send Ack Vector 1, 1)"
    );
    assert!(!client.features.wants_packet());
    for _ in 0..3 {
        assert_eq!(client.write(true), first);
    }
    client.features.on_open();
    assert_eq!(client.write(true), []);
}

#[test]
fn dl1_what_opens_the_connection_is_confirmed_once() {
    let mut client = End::new(&quiet(), false);
    client.write(false);
    client.read_as(ISR, Some(ISS), &LINUX_RESPONSE).unwrap();
    client.write(true);
    // Linux's first data asks for two numbers (DL5).
    let changes = [32, 9, 3, 0, 0, 0, 0, 0, 50, 32, 5, 5, 0, 1];
    client
        .read_as(ISR.plus(1), Some(client.sent), &changes)
        .unwrap();
    client.features.on_open();
    assert!(client.features.wants_packet());
    assert_eq!(
        words(&client.write(true)),
        "Confirm R(Sequence Window 50), Confirm R(Ack Ratio 1)"
    );
    assert_eq!(client.write(true), []);
    assert_eq!(client.features.there().sequence_window, 50);
    assert_eq!(client.features.there().ack_ratio, 1);
}

#[test]
fn dl1_empty_confirms_are_repeated_too() {
    let mut client = End::new(&quiet(), false);
    client.write(false);
    client.read_as(ISR, Some(ISS), &[32, 4, 126, 1]).unwrap();
    let expected = "Change R(Send Ack Vector 1), empty Confirm R(feature 126)";
    client.now += Duration::from_secs(1);
    assert_eq!(words(&client.write(true)), expected);
    assert_eq!(words(&client.write(true)), "empty Confirm R(feature 126)");
    client.features.on_open();
    assert_eq!(client.write(true), []);
}

#[test]
fn dl3_ecn_incapable_is_understood_under_mandatory() {
    for config in [quiet(), Config::default()] {
        let mut server = End::new(&config, true);
        server.read_as(ISS, None, &[1, 32, 4, 4, 1]).unwrap();
        assert!(server.features.there().ecn_incapable);
        assert!(words(&server.write(true)).contains("Confirm R(ECN Incapable 1, 0 1)"));
    }
}

#[test]
fn dl4_a_change_without_an_answer_is_asked_less_and_less_often() {
    // A Linux server that did not hear our Change in the handshake never answers it.
    let mut client = End::new(&quiet(), false);
    client.write(false);
    client.read_as(ISR, Some(ISS), &[]).unwrap();
    let mut times = Vec::new();
    for _ in 0..12 {
        let at = client.features.poll_timeout().unwrap();
        assert_eq!(client.write(true), [], "not before its time");
        times.push(at - client.now);
        client.now = at;
        assert_eq!(words(&client.write(true)), "Change R(Send Ack Vector 1)");
    }
    let times: Vec<_> = times.iter().map(Duration::as_millis).collect();
    let expected = [
        200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 64_000, 64_000, 64_000,
    ];
    assert_eq!(times, expected);
    assert!(!client.features.is_ready());
}

#[test]
fn dl_a_linux_client_that_answers_as_it_does_a_linux_server_is_understood() {
    let mut server = End::new(&quiet(), true);
    server.read_as(ISS, None, &LINUX_REQUEST).unwrap();
    server.write(true);
    assert!(server.features.is_ready(), "nothing is left to agree on");
    server
        .read_as(ISS.plus(1), Some(ISR), &LINUX_CONFIRMS)
        .unwrap();
    assert_eq!(server.write(true), []);
}
