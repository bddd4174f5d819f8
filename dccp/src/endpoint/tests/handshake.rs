//! How connections begin and end.

use std::time::Duration;

use super::pair::{Pair, messages};
use crate::packet::{PacketType, ResetCode};
use crate::{CloseReason, Event, SendError, State};

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
        (
            super::pair::PORT,
            crate::ServiceCode(7),
            ResetCode::BAD_SERVICE_CODE,
        ),
        (
            super::pair::PORT,
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
