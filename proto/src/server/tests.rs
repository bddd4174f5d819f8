mod beside;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::etag::EntityTag;
use crate::framing::Block;
use crate::machine::{CloseReason, Datagram, Disposition, Machine, StreamId, Transmit};
use crate::response::{self, ResponseHead};

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const NOW: HttpDate = HttpDate::from_unix(784_111_777);

/// A server with one file, and a client that says what the test wants.
struct Script {
    server: Exchange,
    now: Instant,
    limit: usize,
    file: Bytes,
    etag: Option<EntityTag>,
    /// What there is instead of the file.
    answer: Option<Answer>,
    breaks: bool,
    wanted: Vec<(u64, usize)>,
    summaries: Vec<Summary>,
    rejections: Vec<Status>,
}

fn file(length: usize) -> Bytes {
    (0..length)
        .map(|at| b'a' + u8::try_from(at % 26).unwrap())
        .collect()
}

impl Script {
    fn new(delivery: Delivery, length: usize) -> Self {
        Self::with(Config::new(delivery), length)
    }

    fn with(config: Config, length: usize) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time has to count from some instant"
        )]
        let now = Instant::now();
        Self {
            server: Exchange::new(now, config),
            now,
            limit: 1424,
            file: file(length),
            etag: EntityTag::new_strong("v").ok(),
            answer: None,
            breaks: false,
            wanted: Vec::new(),
            summaries: Vec::new(),
            rejections: Vec::new(),
        }
    }

    fn dccp(length: usize) -> Self {
        Self::new(Delivery::Unreliable, length)
    }

    fn sctp(length: usize) -> Self {
        Self {
            limit: 100_000,
            ..Self::new(Delivery::Reliable, length)
        }
    }

    /// Answers the server's events, as an application does.
    fn poll(&mut self) {
        while let Some(((), event)) = self.server.poll_event() {
            let command = match event {
                Event::Request { .. } => Command::Respond {
                    answer: self.answer.clone().unwrap_or_else(|| self.found()),
                    date: NOW,
                },
                Event::Rejected(rejection) => {
                    self.rejections.push(rejection.status);
                    let answer = Answer::Error(rejection.status);
                    Command::Respond { answer, date: NOW }
                }
                Event::BodyWanted { .. } if self.breaks => Command::Abort,
                Event::BodyWanted { offset, length } => {
                    self.wanted.push((offset, length));
                    let from = usize::try_from(offset).unwrap();
                    Command::Body(self.file.slice(from..from + length))
                }
                Event::Finished(summary) => {
                    self.summaries.push(summary);
                    continue;
                }
            };
            self.server.handle_command(self.now, (), command);
        }
    }

    fn found(&self) -> Answer {
        Answer::Found(Representation {
            length: self.file.len() as u64,
            content_type: "text/plain".to_owned(),
            etag: self.etag.clone(),
            last_modified: Some(HttpDate::from_unix(NOW.unix() - 60)),
            sha256: Some([7; 32]),
            further: crate::fields::Fields::new(),
        })
    }

    fn says(&mut self, message: impl Into<Bytes>) -> &mut Self {
        self.gets(Datagram::message((), message.into()))
    }

    fn gets(&mut self, datagram: Datagram<()>) -> &mut Self {
        self.server.handle_datagram(self.now, datagram);
        self.poll();
        self
    }

    fn asks(&mut self, exchange: u16, fields: &str) -> &mut Self {
        self.says(request(exchange, fields))
    }

    fn sends_one(&mut self) -> Option<(Transmit<()>, Vec<u8>)> {
        let mut out = Vec::new();
        let transmit = self.server.poll_transmit(self.now, self.limit, &mut out);
        let transmit = transmit.map(|transmit| (transmit, out));
        self.poll();
        let (transmit, out) = transmit?;
        assert!(!out.is_empty(), "HM10: no message is ever empty");
        assert!(out.len() <= self.limit);
        Some((transmit, out))
    }

    fn sends(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.sends_one())
            .map(|(_, message)| message)
            .collect()
    }

    fn waits(&mut self) -> Duration {
        let due = self.server.poll_timeout().expect("a timer runs");
        let waited = due - self.now;
        self.now = due;
        self.server.handle_timeout(due);
        self.poll();
        let next = self.server.poll_timeout();
        assert!(next.is_none_or(|next| next > due), "it spins");
        waited
    }
}

fn request(exchange: u16, fields: &str) -> String {
    format!("GET /f HTTP/1.0\r\nBody-Framing: offset;exchange={exchange}\r\n{fields}\r\n")
}

fn head(message: &[u8]) -> ResponseHead {
    let mut message = Bytes::copy_from_slice(message);
    let head = ResponseHead::parse(&mut message, &response::Limits::default()).unwrap();
    assert!(message.is_empty(), "HM9: a head is alone in its message");
    head
}

fn field(head: &ResponseHead, name: &str) -> Option<String> {
    let value = head.fields.single(name)?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

/// Exchange, offset and length of each block.
fn blocks(messages: &[Vec<u8>], file: &Bytes) -> Vec<(u16, u64, usize)> {
    let block = |message: &Vec<u8>| {
        let block = Block::decode(Bytes::copy_from_slice(message)).unwrap();
        let from = usize::try_from(block.offset).unwrap();
        assert_eq!(block.data, file[from..from + block.data.len()]);
        (block.exchange.number(), block.offset, block.data.len())
    };
    messages.iter().map(block).collect()
}

// --- what is sent -----------------------------------------------------------------------------

#[test]
fn hm9_a_head_is_one_message_and_the_body_follows_in_messages_of_the_configured_size() {
    let mut script = Script::sctp(40_000);
    let sent = script.says("GET /f HTTP/1.0\r\n\r\n").sends();
    assert_eq!(head(&sent[0]).status, Status::OK);
    let lengths: Vec<usize> = sent[1..].iter().map(Vec::len).collect();
    assert_eq!(lengths, [16384, 16384, 7232]);
    assert_eq!(sent[1..].concat(), script.file);
    assert_eq!(script.server.disposition(), Disposition::Close);
}

#[test]
fn hm11_only_the_last_message_asks_for_an_immediate_acknowledgement() {
    for (request, expected) in [
        ("GET /f HTTP/1.0\r\n\r\n", &[false, false, true][..]),
        ("HEAD /f HTTP/1.0\r\n\r\n", &[true]),
    ] {
        let mut script = Script::sctp(20_000);
        script.says(request);
        let asked: Vec<bool> = std::iter::from_fn(|| script.sends_one())
            .map(|(transmit, _)| transmit.immediate_ack)
            .collect();
        assert_eq!(asked, expected);
    }
}

#[test]
fn hm9_a_head_may_share_its_packet_with_the_body_that_follows() {
    for (request, expected) in [
        ("GET /f HTTP/1.0\r\n\r\n", &[true, false, false][..]),
        ("HEAD /f HTTP/1.0\r\n\r\n", &[false]),
    ] {
        let mut script = Script::sctp(20_000);
        script.says(request);
        let followed: Vec<bool> = std::iter::from_fn(|| script.sends_one())
            .map(|(transmit, _)| transmit.more_follows)
            .collect();
        assert_eq!(followed, expected);
    }
}

#[test]
fn hs1_the_seed_form_gets_a_head_and_a_body_of_one_message_if_it_fits() {
    for (delivery, limit, expected) in [
        (Delivery::Reliable, 212_992, &[40_000][..]),
        (Delivery::Reliable, 30_000, &[30_000, 10_000]),
        (Delivery::Unreliable, 65_475, &[40_000]),
    ] {
        let mut script = Script::new(delivery, 40_000);
        script.limit = limit;
        let sent = script.says("GET / HTTP 1.0").sends();
        assert_eq!(head(&sent[0]).status, Status::OK);
        let lengths: Vec<usize> = sent[1..].iter().map(Vec::len).collect();
        assert_eq!(lengths, expected);
        assert_eq!(script.server.disposition(), Disposition::Close);
        assert_eq!(script.summaries.len(), 1);
    }
}

#[test]
fn hs4_the_page_of_a_404_says_not_found() {
    let mut script = Script::sctp(0);
    script.answer = Some(Answer::Error(Status::NOT_FOUND));
    let sent = script.says("GET /x HTTP 1.0").sends();
    assert_eq!(head(&sent[0]).status, Status::NOT_FOUND);
    assert!(String::from_utf8_lossy(&sent[1]).contains("Not Found"));
}

#[test]
fn hs7_an_empty_body_is_no_message() {
    for mut script in [Script::sctp(0), Script::dccp(0)] {
        let sent = script.says("GET / HTTP 1.0").sends();
        assert_eq!(field(&head(&sent[0]), "Content-Length").unwrap(), "0");
        assert_eq!(sent.len(), 1);
    }
}

#[test]
fn hr4_head_gets_the_fields_of_get_and_no_body() {
    let ask = |method: &str| {
        let mut script = Script::sctp(100);
        script.says(format!("{method} /f HTTP/1.0\r\n\r\n")).sends()
    };
    let (get, head_only) = (ask("GET"), ask("HEAD"));
    assert_eq!(get[0], head_only[0]);
    assert_eq!((get.len(), head_only.len()), (2, 1));
    let mut script = Script::sctp(0);
    assert_eq!(script.says("HEAD /../x HTTP/1.0\r\n\r\n").sends().len(), 1);
}

#[test]
fn hp4_a_simple_request_gets_a_body_without_a_head_and_an_error_as_text() {
    let mut script = Script::sctp(20_000);
    assert_eq!(script.says("GET /f\r\n").sends().concat(), script.file);
    assert_eq!(script.server.disposition(), Disposition::Close);
    let mut script = Script::sctp(0);
    let sent = script.says("GET /../f\r\n").sends();
    assert!(sent[0].starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn hu3_a_simple_request_over_dccp_gets_400_with_a_head() {
    let mut script = Script::dccp(100);
    let sent = script.says("GET /f\r\n").sends();
    assert_eq!(head(&sent[0]).status, Status::BAD_REQUEST);
    assert_eq!(script.rejections, [Status::BAD_REQUEST]);
}

#[test]
fn hu5_a_plain_body_over_dccp_is_one_message_if_it_fits() {
    let mut script = Script::dccp(20_000);
    script.limit = 65_475;
    let sent = script.says("GET /f HTTP/1.0\r\n\r\n").sends();
    assert_eq!(sent.len(), 2);
    assert_eq!(script.server.disposition(), Disposition::Close);
}

// --- requests ---------------------------------------------------------------------------------

#[test]
fn hp20_half_a_request_gets_408_on_its_stream() {
    let mut script = Script::sctp(100);
    let half = Datagram {
        stream: StreamId(5),
        end_of_message: false,
        ..Datagram::message((), Bytes::from_static(b"GET /f HT"))
    };
    script.gets(half);
    assert_eq!(script.waits(), Duration::from_secs(10));
    let (transmit, message) = script.sends_one().unwrap();
    assert_eq!(head(&message).status, Status::REQUEST_TIMEOUT);
    assert_eq!(transmit.stream, StreamId(5));
    script.sends();
    assert_eq!(script.server.disposition(), Disposition::Close);
}

#[test]
fn hp20_a_client_that_asks_nothing_is_closed_without_a_word() {
    let mut script = Script::dccp(100);
    assert_eq!(script.waits(), Duration::from_secs(10));
    assert_eq!(script.server.disposition(), Disposition::Close);
    assert!(script.sends().is_empty() && script.summaries.is_empty());
}

#[test]
fn hp20_one_byte_at_a_time_is_not_too_slow_if_it_is_done_in_time_and_408_if_not() {
    let request = b"GET /f HTTP/1.0\r\n\r\n";
    for (pause, status) in [(500, Status::OK), (600, Status::REQUEST_TIMEOUT)] {
        let mut script = Script::sctp(100);
        for (at, byte) in request.iter().enumerate() {
            script.now += Duration::from_millis(pause);
            script.server.handle_timeout(script.now);
            script.poll();
            script.gets(Datagram {
                end_of_message: at + 1 == request.len(),
                ..Datagram::message((), Bytes::copy_from_slice(&[*byte]))
            });
        }
        let sent = script.sends();
        assert_eq!(head(&sent[0]).status, status);
        assert_eq!(script.summaries.len(), 1);
    }
}

#[test]
fn hu2_junk_over_dccp_gets_400_and_the_end() {
    for junk in [
        &b"\0"[..],
        b"G",
        b"\xff\xfe\xfd",
        b"HTTP/1.0 200 OK\r\n\r\n",
        &[b'A'; 60_000],
    ] {
        let mut script = Script::dccp(100);
        let sent = script.says(Bytes::copy_from_slice(junk)).sends();
        assert!(head(&sent[0]).status.is_error());
        assert_eq!(script.server.disposition(), Disposition::Close);
        script.asks(1, "");
        assert!(script.sends().is_empty());
    }
}

#[test]
fn hm8_what_follows_the_request_gets_no_answer_of_its_own() {
    let mut script = Script::sctp(10);
    script
        .says("GET /f HTTP/1.0\r\n\r\n")
        .says("GET /g HTTP/1.0\r\n\r\n");
    assert_eq!(script.sends().len(), 2);
    script.says("GET /h HTTP/1.0\r\n\r\n");
    assert!(script.sends().is_empty());
    assert_eq!(script.summaries.len(), 1);
}

#[test]
fn hm7_an_unordered_message_aborts() {
    let mut script = Script::sctp(10);
    script.gets(Datagram {
        ordered: false,
        ..Datagram::message((), Bytes::from_static(b"GET /f HTTP/1.0\r\n\r\n"))
    });
    assert_eq!(script.server.disposition(), Disposition::Abort);
}

#[test]
fn ht10_an_overloaded_server_answers_503_and_keeps_nothing() {
    for (request, messages) in [
        ("GET /f HTTP/1.0\r\n\r\n", 2),
        ("HEAD /f HTTP/1.0\r\n\r\n", 1),
    ] {
        let mut script = Script::sctp(10);
        script.server = Exchange::overloaded(script.now, Config::new(Delivery::Reliable));
        let sent = script
            .gets(Datagram {
                stream: StreamId(70),
                ..Datagram::message((), Bytes::from(request))
            })
            .sends();
        let head = head(&sent[0]);
        assert_eq!(head.status, Status::SERVICE_UNAVAILABLE);
        assert!(field(&head, "Retry-After").is_some());
        assert_eq!(sent.len(), messages);
    }
}

// --- the framing ------------------------------------------------------------------------------

#[test]
fn hu8_blocks_carry_the_exchange_and_the_offset_and_fill_the_messages() {
    let mut script = Script::dccp(3000);
    let sent = script.asks(9, "").sends();
    let head = head(&sent[0]);
    assert_eq!(
        field(&head, "Body-Framing").unwrap(),
        "offset;exchange=9;beside"
    );
    assert!(sent[0].len() < 1000);
    assert_eq!(
        blocks(&sent[1..], &script.file),
        [(9, 0, 1416), (9, 1416, 1416), (9, 2832, 168)]
    );
    // HU11: the client closes, for it knows what it lacks.
    assert_eq!(script.server.disposition(), Disposition::Open);
    assert_eq!(script.waits(), Duration::from_secs(15));
    assert_eq!(script.server.disposition(), Disposition::Close);
}

#[test]
fn hu8_the_framing_is_never_used_unasked_nor_over_sctp() {
    let mut script = Script::dccp(10);
    let sent = script.says("GET /f HTTP/1.0\r\n\r\n").sends();
    assert_eq!(
        (field(&head(&sent[0]), "Body-Framing"), &sent[1]),
        (None, &script.file.to_vec())
    );
    let mut script = Script::sctp(10);
    let sent = script.asks(1, "").sends();
    assert_eq!(
        (field(&head(&sent[0]), "Body-Framing"), &sent[1]),
        (None, &script.file.to_vec())
    );
}

#[test]
fn hu8_a_file_that_offsets_cannot_name_is_sent_plainly() {
    let mut script = Script::dccp(0);
    let Answer::Found(mut sparse) = script.found() else {
        panic!("the file is there");
    };
    sparse.length = framing::OFFSET_LIMIT + 1;
    script.answer = Some(Answer::Found(sparse));
    script.breaks = true;
    script.asks(1, "Range: bytes=281474976710656-\r\n");
    let (_, message) = script.sends_one().unwrap();
    assert_eq!(field(&head(&message), "Body-Framing"), None);
}

#[test]
fn hu8_several_ranges_are_one_answer_whose_blocks_say_where_they_belong() {
    let mut script = Script::dccp(10_000);
    let sent = script
        .asks(2, "Range: bytes=8000-8099,0-9,5-19,-1\r\n")
        .sends();
    let head = head(&sent[0]);
    assert_eq!(head.status, Status::PARTIAL_CONTENT);
    assert_eq!(field(&head, "Content-Range").unwrap(), "bytes 0-9999/10000");
    assert_eq!(field(&head, "Content-Length").unwrap(), "121");
    assert_eq!(
        blocks(&sent[1..], &script.file),
        [(2, 0, 20), (2, 8000, 100), (2, 9999, 1)]
    );
}

#[test]
fn hg5_ten_thousand_ranges_are_one_bounded_answer() {
    let ranges: Vec<String> = (0..10_000)
        .map(|at| format!("{}-{}", at * 2, at * 2))
        .collect();
    for delivery in [Delivery::Reliable, Delivery::Unreliable] {
        let mut config = Config::new(delivery);
        config.limits.head = 1 << 20;
        let mut script = Script::with(config, 30_000);
        let sent = script
            .asks(1, &format!("Range: bytes={}\r\n", ranges.join(",")))
            .sends();
        assert_eq!(head(&sent[0]).status, Status::OK);
        assert!(sent.len() < 30);
    }
}

#[test]
fn hu2_a_copy_of_the_request_brings_the_head_again_and_the_body_goes_on() {
    let mut script = Script::dccp(3000);
    script.asks(1, "");
    let (_, first) = script.sends_one().unwrap();
    let (_, block) = script.sends_one().unwrap();
    let rest = script.asks(1, "").asks(1, "").sends();
    assert_eq!(rest[0], first);
    let all: Vec<Vec<u8>> = [vec![block], rest[1..].to_vec()].concat();
    let offsets = blocks(&all, &script.file);
    assert_eq!(offsets, [(1, 0, 1416), (1, 1416, 1416), (1, 2832, 168)]);
    // And once more when all is sent: only the head.
    assert_eq!(script.asks(1, "").sends(), [first]);
    assert_eq!(script.summaries.len(), 1);
    assert_eq!(script.summaries[0].body_bytes, 3000);
}

#[test]
fn hu8_a_later_exchange_takes_the_place_of_the_one_under_way() {
    let mut script = Script::dccp(300_000);
    script.asks(1, "");
    for _ in 0..3 {
        script.sends_one();
    }
    let sent = script.asks(2, "Range: bytes=5-9\r\n").sends();
    assert_eq!(blocks(&sent[1..], &script.file), [(2, 5, 5)]);
    let first = script.summaries[0];
    assert_eq!((first.complete, first.body_bytes), (false, 2832));
    assert_eq!(
        (script.summaries.len(), script.summaries[1].complete),
        (2, true)
    );
}

#[test]
fn hu8_earlier_exchanges_and_other_requests_of_the_same_number_mean_nothing() {
    let mut script = Script::dccp(100);
    assert_eq!(script.asks(5, "").sends().len(), 2);
    script
        .asks(4, "")
        .asks(5, "Range: bytes=0-1\r\n")
        .asks(16_000, "");
    script.says("GET /f HTTP/1.0\r\n\r\n").says("junk").says("");
    assert!(script.sends().is_empty());
    assert_eq!(script.summaries.len(), 1);
    // Half the circle ahead is still later.
    assert_eq!(script.asks(5 + 8191, "").sends().len(), 2);
}

#[test]
fn hu8_an_error_is_framed_too_and_another_exchange_may_follow() {
    let mut script = Script::dccp(100);
    script.answer = Some(Answer::Error(Status::NOT_FOUND));
    let sent = script.asks(1, "").sends();
    let head = head(&sent[0]);
    let page = Block::decode(Bytes::from(sent[1].clone())).unwrap();
    assert_eq!(
        field(&head, "Content-Length").unwrap(),
        page.data.len().to_string()
    );
    assert_eq!((page.exchange.number(), page.offset), (1, 0));
    script.answer = None;
    assert_eq!(script.asks(2, "").sends().len(), 2);
}

#[test]
fn hu11_the_server_waits_as_long_as_something_comes() {
    let mut script = Script::dccp(100);
    script.asks(1, "").sends();
    for _ in 0..5 {
        script.now += Duration::from_secs(14);
        script.server.handle_timeout(script.now);
        script.asks(1, "").sends();
        assert_eq!(script.server.disposition(), Disposition::Open);
    }
    script
        .server
        .handle_closed(script.now, CloseReason::Graceful);
    script.poll();
    assert_eq!(script.summaries.len(), 1);
}

// --- limits of the transport ------------------------------------------------------------------

#[test]
fn hu12_what_is_refused_is_cut_smaller_and_nothing_is_lost_or_doubled() {
    for first_refused in 0..6 {
        let mut script = Script::dccp(5000);
        script.asks(1, "");
        let mut messages = Vec::new();
        for index in 0.. {
            let mut out = Vec::new();
            if script
                .server
                .poll_transmit(script.now, script.limit, &mut out)
                .is_none()
            {
                break;
            }
            if index == first_refused && out.len() > 700 {
                script.limit = 700;
                script.server.handle_rejected(script.now, 700);
            } else {
                messages.push(out);
            }
            script.poll();
        }
        let offsets = blocks(&messages[1..], &script.file);
        let mut expected = 0;
        for (_, offset, length) in offsets {
            assert_eq!(offset, expected);
            expected += length as u64;
        }
        assert_eq!(expected, 5000);
        let mut asked = 0;
        for (offset, length) in &script.wanted {
            assert_eq!(*offset, asked);
            asked += *length as u64;
        }
        assert_eq!((asked, script.summaries[0].body_bytes), (5000, 5000));
    }
}

#[test]
fn hu12_a_transport_that_does_not_know_its_limit_is_not_asked_for_ever() {
    let mut script = Script::dccp(5000);
    script.asks(1, "").sends_one();
    let mut tries = 0;
    while script.server.disposition() == Disposition::Open {
        assert!(script.sends_one().is_some());
        script.server.handle_rejected(script.now, 1424);
        tries += 1;
    }
    assert_eq!(script.server.disposition(), Disposition::Abort);
    assert!(tries <= 12, "{tries}");
}

#[test]
fn hm9_a_head_that_no_message_holds_aborts() {
    let mut script = Script::dccp(100);
    script.limit = 100;
    assert!(script.asks(1, "").sends().is_empty());
    assert_eq!(script.server.disposition(), Disposition::Abort);
    assert_eq!(
        (script.summaries.len(), script.summaries[0].complete),
        (1, false)
    );
}

#[test]
fn less_than_was_wanted_is_enough() {
    let mut script = Script::sctp(1000);
    script.server = Exchange::new(
        script.now,
        Config {
            read_ahead: 100,
            body_message: 100,
            ..Config::new(Delivery::Reliable)
        },
    );
    assert_eq!(
        script.says("GET /f HTTP/1.0\r\n\r\n").sends()[1..].concat(),
        script.file
    );
    assert_eq!(script.wanted.len(), 10);
}

// --- ends -------------------------------------------------------------------------------------

#[test]
fn hm2_a_body_that_cannot_be_read_aborts() {
    for mut script in [Script::sctp(100), Script::dccp(100)] {
        script.breaks = true;
        script.asks(1, "").sends();
        assert_eq!(script.server.disposition(), Disposition::Abort);
        assert_eq!(script.summaries.len(), 1);
        assert!(!script.summaries[0].complete);
    }
}

#[test]
fn hp27_bytes_that_nobody_asked_for_or_too_many_of_them_abort() {
    let mut script = Script::sctp(100);
    script.says("GET /f HTTP/1.0\r\n\r\n").sends();
    let body = |length| Command::Body(file(length));
    script.server.handle_command(script.now, (), body(1));
    assert_eq!(script.server.disposition(), Disposition::Abort);
    let mut script = Script::sctp(100);
    let request = Bytes::from_static(b"GET /f HTTP/1.0\r\n\r\n");
    script
        .server
        .handle_datagram(script.now, Datagram::message((), request));
    let answer = script.found();
    script
        .server
        .handle_command(script.now, (), Command::Respond { answer, date: NOW });
    script.server.handle_command(script.now, (), body(101));
    assert_eq!(script.server.disposition(), Disposition::Abort);
}

#[test]
fn the_end_of_an_answer_is_told_once() {
    let mut script = Script::sctp(100);
    script.says("GET /f HTTP/1.0\r\n\r\n").sends();
    let complete = Summary {
        status: Some(Status::OK),
        body_bytes: 100,
        complete: true,
    };
    script
        .server
        .handle_closed(script.now, CloseReason::Graceful);
    script.server.handle_stop(script.now);
    script.server.handle_command(script.now, (), Command::Abort);
    script.poll();
    assert_eq!(script.summaries, [complete]);
}

#[test]
fn a_client_that_goes_away_before_the_answer_is_known_is_told_too() {
    let mut script = Script::sctp(100);
    let request = Bytes::from_static(b"GET /f HTTP/1.0\r\n\r\n");
    script
        .server
        .handle_datagram(script.now, Datagram::message((), request));
    assert!(matches!(
        script.server.poll_event(),
        Some(((), Event::Request { .. }))
    ));
    script
        .server
        .handle_closed(script.now, CloseReason::Aborted);
    script.poll();
    assert_eq!(script.summaries.len(), 1);
    assert_eq!(script.summaries[0].status, None);
    let answer = script.found();
    script
        .server
        .handle_command(script.now, (), Command::Respond { answer, date: NOW });
    assert!(script.sends().is_empty());
}

#[test]
fn a_stop_ends_who_waits_for_a_request_and_lets_answers_go_on() {
    let mut script = Script::sctp(100);
    script.server.handle_stop(script.now);
    assert_eq!(script.server.disposition(), Disposition::Close);
    let mut script = Script::sctp(100);
    script.says("GET /f HTTP/1.0\r\n\r\n");
    script.server.handle_stop(script.now);
    assert_eq!(script.sends().len(), 2);
    assert!(script.summaries[0].complete);
}
