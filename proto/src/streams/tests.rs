use bytes::Bytes;

use super::*;
use crate::date::HttpDate;
use crate::machine::Delivery;
use crate::server::{self, Answer, Command, Event, Representation};

const NOW: HttpDate = HttpDate::from_unix(784_111_777);

/// Opens the ordinary exchanges of a server over SCTP.
#[derive(Debug)]
struct Opener;

impl Exchanges for Opener {
    type Exchange = server::Exchange;

    fn open(&mut self, now: Instant, _stream: StreamId, overloaded: bool) -> server::Exchange {
        let config = server::Config::new(Delivery::Reliable);
        if overloaded {
            server::Exchange::overloaded(now, config)
        } else {
            server::Exchange::new(now, config)
        }
    }

    fn goes_on(&self, exchange: &server::Exchange) -> bool {
        exchange.goes_on()
    }
}

/// An association whose requests are for as many bytes as their path says; `/0` cannot be read.
struct Script {
    streams: Streams<Opener>,
    now: Instant,
    paths: BTreeMap<StreamId, u64>,
    finished: Vec<(StreamId, bool)>,
}

impl Script {
    fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time has to count from some instant"
        )]
        let now = Instant::now();
        Self {
            streams: Streams::new(now, Opener, Config::default()),
            now,
            paths: BTreeMap::new(),
            finished: Vec::new(),
        }
    }

    fn poll(&mut self) {
        while let Some((stream, event)) = self.streams.poll_event() {
            let command = match event {
                Event::Request { path, .. } => {
                    let name = String::from_utf8_lossy(&path.segments()[0]);
                    let length = name.parse().unwrap();
                    self.paths.insert(stream, length);
                    let answer = Answer::Found(Representation {
                        length: length.max(1),
                        content_type: "text/plain".to_owned(),
                        etag: None,
                        last_modified: None,
                        sha256: None,
                        further: crate::fields::Fields::new(),
                    });
                    Command::Respond { answer, date: NOW }
                }
                Event::Rejected(rejection) => Command::Respond {
                    answer: Answer::Error(rejection.status),
                    date: NOW,
                },
                Event::BodyWanted { .. } if self.paths[&stream] == 0 => Command::Abort,
                Event::BodyWanted { length, .. } => Command::Body(Bytes::from(vec![b'x'; length])),
                Event::Finished(summary) => {
                    self.finished.push((stream, summary.complete));
                    continue;
                }
            };
            self.streams.handle_command(self.now, stream, command);
        }
    }

    fn asks(&mut self, stream: u16, length: u64) -> &mut Self {
        self.gets(stream, &format!("GET /{length} HTTP/1.0\r\n\r\n"), true)
    }

    fn gets(&mut self, stream: u16, piece: &str, end_of_message: bool) -> &mut Self {
        self.streams.handle_datagram(
            self.now,
            Datagram {
                stream: StreamId(stream),
                end_of_message,
                ..Datagram::message((), Bytes::copy_from_slice(piece.as_bytes()))
            },
        );
        self.poll();
        self
    }

    /// The stream and the bytes of the next message.
    fn sends_one(&mut self) -> Option<(u16, Vec<u8>)> {
        let mut out = Vec::new();
        let transmit = self.streams.poll_transmit(self.now, 1 << 20, &mut out);
        self.poll();
        Some((transmit?.stream.0, out))
    }

    /// The streams of all messages that go out now, in order.
    fn sends(&mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.sends_one())
            .map(|(stream, _)| stream)
            .collect()
    }
}

#[test]
fn ht1_answers_go_out_on_the_stream_of_their_request_and_in_turn() {
    let mut script = Script::new();
    script.asks(2, 50_000).asks(7, 20_000).asks(65_535, 1);
    assert_eq!(script.sends(), [2, 7, 65_535, 2, 7, 65_535, 2, 7, 2, 2]);
    assert_eq!(script.streams.disposition(), Disposition::Close);
    script.finished.sort_unstable();
    assert_eq!(script.finished.len(), 3);
    assert!(script.finished.iter().all(|(_, complete)| *complete));
}

#[test]
fn ht7_a_small_answer_does_not_wait_for_a_large_one() {
    let mut script = Script::new();
    script.asks(0, 100 << 20);
    for _ in 0..100 {
        assert_eq!(script.sends_one().unwrap().0, 0);
    }
    script.asks(1, 1024);
    let streams: Vec<u16> = (0..4).map(|_| script.sends_one().unwrap().0).collect();
    assert_eq!(streams.iter().filter(|stream| **stream == 1).count(), 2);
    assert_eq!(script.finished, [(StreamId(1), true)]);
    assert_eq!(script.streams.disposition(), Disposition::Open);
}

#[test]
fn hp20_half_a_request_gets_408_on_its_stream_while_others_are_served() {
    let mut script = Script::new();
    script.gets(3, "GET /1", false).asks(4, 10);
    assert_eq!(script.sends(), [4, 4]);
    script.now = script.streams.poll_timeout().unwrap();
    script.streams.handle_timeout(script.now);
    script.poll();
    let (stream, message) = script.sends_one().unwrap();
    assert_eq!((stream, &message[..12]), (3, &b"HTTP/1.0 408"[..]));
    script.sends();
    assert_eq!(script.streams.disposition(), Disposition::Close);
}

#[test]
fn ht10_the_exchange_beyond_the_limit_gets_503_and_the_others_go_on() {
    let mut script = Script::new();
    for stream in 0..65 {
        script.asks(stream, 10);
    }
    let mut statuses = BTreeMap::new();
    while let Some((stream, message)) = script.sends_one() {
        if message.starts_with(b"HTTP/1.0 ") {
            *statuses.entry(message[9..12].to_vec()).or_insert(0) += 1;
            assert_eq!(stream == 64, message[9..12] == *b"503");
        }
    }
    assert_eq!(
        statuses,
        BTreeMap::from([(b"200".to_vec(), 64), (b"503".to_vec(), 1)])
    );
}

#[test]
fn ht10_only_exchanges_under_way_count() {
    let mut script = Script::new();
    script.asks(200, 10 << 20);
    for stream in 0..100 {
        script.asks(stream, 1);
        while script.finished.len() <= usize::from(stream) {
            let (_, message) = script.sends_one().unwrap();
            assert!(!message.starts_with(b"HTTP/1.0 503"));
        }
    }
}

#[test]
fn ht10_more_streams_than_are_worth_refusing_abort() {
    let mut script = Script::new();
    for stream in 0..256 {
        script.asks(stream, 10);
        assert_eq!(script.streams.disposition(), Disposition::Open);
    }
    script.asks(256, 10);
    assert_eq!(script.streams.disposition(), Disposition::Abort);
    assert_eq!(script.finished.len(), 256);
    script.asks(0, 10);
    assert_eq!(script.finished.len(), 256);
}

#[test]
fn ht10_an_association_without_a_request_is_closed() {
    let mut script = Script::new();
    assert_eq!(script.streams.disposition(), Disposition::Open);
    let due = script.streams.poll_timeout().unwrap();
    assert_eq!(due - script.now, Duration::from_secs(10));
    script.streams.handle_timeout(due);
    assert_eq!(script.streams.disposition(), Disposition::Close);
    assert_eq!(script.streams.poll_timeout(), None);
}

#[test]
fn hm2_one_body_that_cannot_be_read_aborts_the_association_and_all_are_told() {
    let mut script = Script::new();
    script.asks(1, 50_000).asks(2, 0);
    script.sends();
    assert_eq!(script.streams.disposition(), Disposition::Abort);
    script.finished.sort_unstable();
    assert_eq!(
        script.finished,
        [(StreamId(1), false), (StreamId(2), false)]
    );
}

#[test]
fn ht9_after_a_stop_nothing_new_is_served_and_what_runs_is_answered() {
    let mut script = Script::new();
    script.streams.handle_stop(script.now);
    assert_eq!(script.streams.disposition(), Disposition::Close);
    let mut script = Script::new();
    script.asks(1, 50_000);
    script.streams.handle_stop(script.now);
    script.asks(2, 10);
    let mut refused = false;
    while let Some((stream, message)) = script.sends_one() {
        refused |= stream == 2 && message.starts_with(b"HTTP/1.0 503");
    }
    assert!(refused && script.finished.contains(&(StreamId(1), true)));
    assert_eq!(script.streams.disposition(), Disposition::Close);
}

#[test]
fn a_refused_message_goes_back_to_its_own_stream() {
    let mut script = Script::new();
    script.asks(1, 30_000).asks(2, 30_000);
    let mut lengths: BTreeMap<u16, usize> = BTreeMap::new();
    for index in 0.. {
        let Some((stream, message)) = script.sends_one() else {
            break;
        };
        if index == 4 {
            script.streams.handle_rejected(script.now, 500);
            script.poll();
        } else if !message.starts_with(b"HTTP/1.0 ") {
            *lengths.entry(stream).or_default() += message.len();
        }
    }
    assert_eq!(lengths, BTreeMap::from([(1, 30_000), (2, 30_000)]));
}

#[test]
fn an_association_that_ends_ends_all_its_exchanges() {
    let mut script = Script::new();
    script.asks(1, 50_000).asks(2, 50_000);
    script
        .streams
        .handle_closed(script.now, CloseReason::Aborted);
    script.poll();
    assert_eq!(script.finished.len(), 2);
    assert_eq!(script.streams.disposition(), Disposition::Close);
}

/// What a client sends that will send more.
fn more(length: u64) -> String {
    format!("GET /{length} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
}

#[test]
fn ht9_an_association_goes_on_if_the_client_asks_for_it() {
    let mut script = Script::new();
    for _ in 0..1000 {
        script.gets(1, &more(10), true);
        let (stream, head) = script.sends_one().unwrap();
        let head = String::from_utf8(head).unwrap();
        assert_eq!(stream, 1);
        assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
        assert_eq!(script.sends(), [1]);
        assert_eq!(script.streams.disposition(), Disposition::Open);
    }
    assert_eq!(script.finished.len(), 1000);
    // One that does not ask for it is the last.
    script.asks(2, 10);
    script.sends();
    assert_eq!(script.streams.disposition(), Disposition::Close);
}

#[test]
fn ht9_a_stop_ends_an_association_that_waits() {
    let mut script = Script::new();
    script.gets(1, &more(10), true);
    script.sends();
    script.streams.handle_stop(script.now);
    assert_eq!(script.streams.disposition(), Disposition::Close);
}

#[test]
fn ht10_an_association_that_waits_for_others_too_long_is_closed() {
    let mut script = Script::new();
    script.gets(1, &more(10), true);
    assert_eq!(script.streams.poll_timeout(), None);
    script.now += Duration::from_secs(3);
    script.sends();
    let due = script.streams.poll_timeout().unwrap();
    assert_eq!(due - script.now, Duration::from_secs(15));
    script
        .streams
        .handle_timeout(due - Duration::from_millis(1));
    assert_eq!(script.streams.disposition(), Disposition::Open);
    script.streams.handle_timeout(due);
    assert_eq!(script.streams.disposition(), Disposition::Close);
}

#[test]
fn ht3_the_end_of_an_answer_is_told_before_the_next_one_on_its_stream() {
    let mut script = Script::new();
    script.gets(1, &more(10), true);
    let mut out = Vec::new();
    while script
        .streams
        .poll_transmit(script.now, 1 << 20, &mut out)
        .is_some()
    {}
    // Nobody asked for events in between.
    script.gets(1, &more(20), true);
    assert_eq!(script.finished, [(StreamId(1), true)]);
    assert_eq!(script.sends(), [1, 1]);
    assert_eq!(script.finished.len(), 2);
}

#[test]
fn ht2_a_request_that_cannot_be_answered_on_its_stream_aborts() {
    let mut script = Script::new();
    script.streams.handle_streams(script.now, 10);
    script.asks(9, 10);
    assert_eq!(script.streams.disposition(), Disposition::Open);
    script.asks(10, 10);
    assert_eq!(script.streams.disposition(), Disposition::Abort);
}

#[test]
fn ht6_a_stream_that_takes_nothing_does_not_hold_up_the_others() {
    let mut script = Script::new();
    for stream in 1..10 {
        script.asks(stream, 40_000);
    }
    let mut sent = Vec::new();
    loop {
        let mut out = Vec::new();
        let mut room = |stream: StreamId| if stream.0 == 1 { 0 } else { 1 << 20 };
        let polled = script.streams.poll_streams(script.now, &mut room, &mut out);
        script.poll();
        let Some(transmit) = polled else { break };
        sent.push(transmit.stream.0);
    }
    assert!(!sent.contains(&1));
    let others: Vec<_> = (2..10).map(|stream| (StreamId(stream), true)).collect();
    script.finished.sort_unstable();
    assert_eq!(script.finished, others);
    // It has lost nothing.
    assert_eq!(script.sends(), [1, 1, 1, 1]);
}

#[test]
fn ht4_requests_on_one_stream_are_answered_in_order() {
    let mut script = Script::new();
    for length in [30_000, 1, 20_000] {
        script.gets(1, &more(length), true);
    }
    script.gets(2, &more(10), true);
    let mut lengths = Vec::new();
    let mut others = 0;
    while let Some((stream, message)) = script.sends_one() {
        if stream == 2 {
            others += 1;
        } else if message.starts_with(b"HTTP/1.0 200") {
            lengths.push(0);
        } else {
            *lengths.last_mut().unwrap() += message.len();
        }
    }
    assert_eq!(lengths, [30_000, 1, 20_000]);
    assert_eq!(others, 2);
    assert_eq!(script.finished.len(), 4);
    assert_eq!(script.streams.disposition(), Disposition::Open);
}

#[test]
fn ht4_no_more_requests_wait_than_may() {
    let mut script = Script::new();
    for _ in 0..=64 {
        script.gets(1, &more(10), true);
        assert_eq!(script.streams.disposition(), Disposition::Open);
    }
    script.gets(1, &more(10), true);
    assert_eq!(script.streams.disposition(), Disposition::Abort);
}
