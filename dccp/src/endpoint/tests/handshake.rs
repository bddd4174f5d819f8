//! How connections begin and end.

use std::time::Duration;

use super::pair::{Forged, PORT, Pair, client_config, messages, server_config};
use crate::packet::{Header, Kind, PacketType, Reset, ResetCode};
use crate::{CloseReason, Config, Ecn, Event, SendError, Seq, State, Transmit};

#[test]
fn a_connection_is_made_used_and_closed_by_the_client() {
    // A -> Request -> Z, Z -> Response -> A, A -> Ack -> Z
    let (mut pair, a, z) = Pair::usual().connected();
    // A -> DataAck -> Z
    pair.a.send(pair.now, a, b"GET / HTTP/1.0").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::DataAck));
    assert_eq!(messages(&pair.z.take_events()), ["GET / HTTP/1.0"]);
    // Z -> DataAck -> A
    pair.z.send(pair.now, z, b"HTTP/1.0 200 OK").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::DataAck));
    assert_eq!(pair.a.endpoint.stats(a).unwrap().state, State::Open);
    let events = pair.a.take_events();
    assert_eq!(messages(&events), ["HTTP/1.0 200 OK"]);
    assert!(events.iter().any(|event| matches!(event, Event::Settled)));
    // A -> Close -> Z, Z -> Reset -> A
    pair.a.endpoint.close(pair.now, a);
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::Close));
    assert!(matches!(
        pair.z.take_events()[..],
        [Event::Settled, Event::Closed(CloseReason::Graceful)]
            | [Event::Closed(CloseReason::Graceful)]
    ));
    assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
    assert_eq!(pair.deliver_one(), None);
    assert_eq!(pair.a.send(pair.now, a, b"late"), Err(SendError::Closed));
    assert_eq!(
        (pair.a.endpoint.connections(), pair.z.endpoint.connections()),
        (0, 0)
    );
}

#[test]
fn dp10_a_server_that_closes_leaves_time_wait_to_the_client() {
    let (mut pair, a, z) = Pair::usual().connected();
    // Z -> CloseReq -> A, A -> Close -> Z, Z -> Reset -> A
    pair.z.endpoint.close(pair.now, z);
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::CloseReq));
    assert_eq!(pair.a.endpoint.stats(a).unwrap().state, State::Closing);
    assert_eq!(pair.deliver_one(), Some(PacketType::Close));
    assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
    assert!(matches!(
        pair.z.take_events()[..],
        [Event::Closed(CloseReason::Graceful)]
    ));
    // The client holds TIMEWAIT for four minutes, the server nothing.
    let until = pair.a.endpoint.poll_timeout().unwrap();
    assert_eq!(until, pair.now + Duration::from_secs(240));
    assert_eq!(pair.z.endpoint.poll_timeout(), None);
}

#[test]
fn a_request_that_is_lost_is_repeated_after_a_second_then_two() {
    let mut pair = Pair::usual();
    pair.connect();
    let start = pair.now;
    assert_eq!(pair.lose(true), PacketType::Request);
    pair.next_timer();
    assert_eq!(pair.now, start + Duration::from_secs(1));
    assert_eq!(pair.lose(true), PacketType::Request);
    pair.next_timer();
    assert_eq!(pair.now, start + Duration::from_secs(3));
    assert_eq!(pair.deliver_one(), Some(PacketType::Request));
    assert_eq!(pair.deliver_one(), Some(PacketType::Response));
    assert!(matches!(
        pair.a.take_events()[..],
        [Event::Connected { .. }]
    ));
}

#[test]
fn dv3_a_port_that_is_not_open_and_a_service_that_is_not_known_are_refused() {
    for (port, service, code) in [
        (1, super::pair::SERVICE, ResetCode::CONNECTION_REFUSED),
        (PORT, crate::ServiceCode(7), ResetCode::BAD_SERVICE_CODE),
        (
            PORT,
            crate::ServiceCode(u32::MAX),
            ResetCode::BAD_SERVICE_CODE,
        ),
    ] {
        let mut pair = Pair::usual();
        let path = super::pair::path(26);
        pair.a
            .endpoint
            .connect(pair.now, path, port, service)
            .unwrap();
        pair.poll();
        assert_eq!(pair.deliver_one(), Some(PacketType::Request));
        assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
        let events = pair.a.take_events();
        let [Event::Closed(CloseReason::Reset(reset))] = events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(reset.code, code);
    }
}

#[test]
fn dh7_an_empty_datagram_is_delivered_and_an_empty_request_carries_none() {
    let (mut pair, a, z) = Pair::usual().connected();
    assert!(pair.z.take_events().is_empty());
    pair.a.send(pair.now, a, b"").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::DataAck));
    assert_eq!(messages(&pair.z.take_events()), [""]);
    pair.z.send(pair.now, z, b"").unwrap();
    pair.poll();
    pair.deliver_one();
    assert_eq!(messages(&pair.a.take_events()), [""]);
}

#[test]
fn dv1_a_port_answers_to_several_service_codes() {
    let codes: Vec<_> = [7, 8].map(crate::ServiceCode).to_vec();
    let server = Config {
        service_codes: codes.clone(),
        ..server_config()
    };
    let mut pair = Pair::new(client_config(), server);
    for asked in codes {
        let path = crate::endpoint::tests::pair::path(26);
        let now = pair.now;
        pair.a.endpoint.connect(now, path, PORT, asked).unwrap();
        pair.poll();
        pair.run(Duration::from_millis(100));
        let events = pair.z.take_events();
        assert!(
            matches!(events[..], [Event::Connected { service, .. }] if service == asked),
            "{events:?}"
        );
    }
}

#[test]
fn dp1_a_reset_leads_to_time_wait_from_every_state() {
    // What is delivered before the Reset, and whether the server then wants to close.
    for (steps, closes, state) in [
        (0, false, State::Request),
        (2, false, State::PartOpen),
        (4, false, State::Open),
        (4, true, State::Closing),
    ] {
        let mut pair = Pair::usual().with_initial(1000, 5000);
        let a = pair.connect();
        for step in 0..steps {
            if step == 3 {
                let z = pair.z.events.pop_front().expect("established").0;
                pair.z.send(pair.now, z, b"hello").unwrap();
                pair.poll();
            }
            pair.deliver_one();
        }
        if closes {
            pair.a.endpoint.close(pair.now, a);
        }
        assert_eq!(pair.a.endpoint.stats(a).unwrap().state, state);
        let (_, connection) = pair.a.endpoint.get_mut(a).unwrap();
        let ack = connection.iss().plus(connection.stats().packets_sent - 1);
        let reset = Reset::new(ResetCode::ABORTED);
        let header = Header {
            source_port: PORT,
            destination_port: connection.ends().local_port,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: Seq::new(5050),
            kind: Kind::Reset { ack, reset },
        };
        let path = connection.ends().path;
        let mut bytes = Vec::new();
        header.encode(&[], &mut bytes);
        let transmit = Transmit {
            path,
            ecn: Ecn::NotEct,
            segment_size: None,
        };
        pair.hand_over(false, &transmit, bytes);
        let last = pair.a.take_events().pop();
        assert!(
            matches!(last, Some(Event::Closed(CloseReason::Reset(why))) if why == reset),
            "{state:?}: {last:?}"
        );
        assert_eq!(pair.a.endpoint.connections(), 0);
        assert_eq!(pair.a.endpoint.time_wait.len(), 1, "{state:?}");
    }
}

#[test]
fn do7_the_options_of_a_reset_are_read_before_it_counts() {
    let (mut pair, a, z) = Pair::usual().with_initial(1000, 5000).connected();
    pair.z.send(pair.now, z, b"hello").unwrap();
    pair.poll();
    let kind = Kind::Reset {
        ack: Seq::new(5001),
        reset: Reset::new(ResetCode::ABORTED),
    };
    let options = &[38, 3, 0];
    pair.forge(true, a, 1002, kind, Forged { options, data: b"" });
    let events = pair.z.take_events();
    assert!(
        matches!(
            events[..],
            [Event::Settled, Event::Closed(CloseReason::Reset(_))]
        ),
        "{events:?}"
    );
}
