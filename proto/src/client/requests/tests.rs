use bytes::Bytes;

use super::*;
use crate::client::{Done, Failure};
use crate::machine::Delivery;

fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time has to count from some instant"
    )]
    Instant::now()
}

fn config(path: &str) -> Config {
    Config {
        keep_alive: true,
        ..Config::new(Delivery::Reliable, path)
    }
}

/// An association with `streams` streams on which that many requests were sent.
fn begun(streams: u16) -> Requests {
    let mut requests = Requests::default();
    requests.handle_streams(now(), streams);
    for number in 0..streams {
        let stream = requests.free_stream().unwrap();
        assert_eq!(stream, StreamId(number));
        requests.begin(stream, config("/x")).unwrap();
    }
    assert_eq!(requests.free_stream(), None);
    assert_eq!(sent(&mut requests).len(), usize::from(streams));
    requests
}

fn sent(requests: &mut Requests) -> Vec<(u16, String)> {
    let mut sent = Vec::new();
    let mut out = Vec::new();
    while let Some(transmit) = requests.poll_transmit(now(), 1000, &mut out) {
        let message = String::from_utf8(std::mem::take(&mut out)).unwrap();
        sent.push((transmit.stream.0, message));
    }
    sent
}

fn message(stream: u16, text: &str) -> Datagram<()> {
    Datagram {
        stream: StreamId(stream),
        ..Datagram::message((), Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// An answer of one byte.
fn answer(requests: &mut Requests, stream: u16) {
    let text = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n";
    requests.handle_datagram(now(), message(stream, text));
    requests.handle_datagram(now(), message(stream, "x"));
}

/// How exchanges ended that have, by their streams.
fn ended(requests: &mut Requests) -> Vec<(u16, Result<Done, Failure>)> {
    std::iter::from_fn(|| requests.poll_event())
        .filter_map(|(stream, event)| match event {
            Event::Finished(result) => Some((stream.0, result)),
            _ => None,
        })
        .collect()
}

#[test]
fn ht3_a_stream_is_free_when_its_answer_is_complete_and_not_before() {
    let mut requests = begun(3);
    for stream in [2, 0, 1] {
        answer(&mut requests, stream);
        assert_eq!(requests.free_stream(), None, "its events are not taken");
        let ended = ended(&mut requests);
        assert!(matches!(ended[..], [(number, Ok(_))] if number == stream));
        assert_eq!(requests.free_stream(), Some(StreamId(stream)));
        requests.begin(StreamId(stream), config("/y")).unwrap();
        let sent = sent(&mut requests);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0, stream);
        assert!(sent[0].1.contains("\r\nConnection: keep-alive\r\n"));
    }
}

#[test]
fn ht13_the_first_stream_is_there_before_the_others_are_known() {
    let mut requests = Requests::default();
    requests.begin(StreamId(0), config("/x")).unwrap();
    assert_eq!(requests.free_stream(), None);
    requests.handle_streams(now(), 2);
    assert_eq!(requests.free_stream(), Some(StreamId(1)));
}

#[test]
fn the_association_ends_when_no_other_begins_and_none_is_left() {
    let mut requests = begun(2);
    requests.finish();
    answer(&mut requests, 0);
    ended(&mut requests);
    assert_eq!(requests.free_stream(), None);
    assert_eq!(requests.disposition(), Disposition::Open);
    answer(&mut requests, 1);
    ended(&mut requests);
    assert_eq!(requests.disposition(), Disposition::Close);
}

#[test]
fn one_that_fails_ends_all_and_each_is_told() {
    let mut requests = begun(3);
    answer(&mut requests, 0);
    requests.handle_datagram(now(), message(1, "not HTTP"));
    assert_eq!(requests.disposition(), Disposition::Abort);
    let ended = ended(&mut requests);
    assert_eq!(ended.len(), 3);
    assert!(matches!(ended[0], (0, Ok(_))));
    assert!(matches!(ended[1], (1, Err(Failure::BadHead(_)))));
    let cancelled = Failure::Closed(CloseReason::Cancelled);
    assert_eq!(ended[2], (2, Err(cancelled)));
    assert_eq!(requests.free_stream(), None);
    assert!(requests.is_over());
}

#[test]
fn data_on_a_stream_without_a_request_is_an_error_of_the_peer() {
    let mut requests = begun(1);
    requests.handle_datagram(now(), message(5, "x"));
    assert_eq!(requests.disposition(), Disposition::Abort);
    assert_eq!(ended(&mut requests).len(), 1);
}

#[test]
fn ht12_the_end_of_the_association_ends_what_is_under_way() {
    let mut requests = begun(2);
    answer(&mut requests, 1);
    requests.handle_closed(now(), CloseReason::Graceful);
    let ended = ended(&mut requests);
    let closed = Failure::Closed(CloseReason::Graceful);
    assert_eq!(ended[0], (0, Err(closed)));
    assert!(matches!(ended[1], (1, Ok(_))));
    assert_eq!(requests.disposition(), Disposition::Close);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let mut requests = begun(2);
    let due = requests.poll_timeout().unwrap();
    requests.handle_timeout(due);
    let ended = ended(&mut requests);
    assert_eq!(ended.len(), 2);
    assert_eq!(ended[0].1, Err(Failure::Stalled));
    assert_eq!(requests.disposition(), Disposition::Abort);
}
