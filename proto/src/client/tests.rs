mod beside;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::framing::{ExchangeId, write_header};
use crate::machine::{Datagram, Disposition, Machine, Transmit};

/// A client, and a server that says what the test wants.
struct Script {
    client: Exchange,
    now: Instant,
    limit: usize,
    events: Vec<Event>,
}

impl Script {
    fn new(config: Config) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time has to count from some instant"
        )]
        let now = Instant::now();
        Self {
            client: Exchange::new(config).unwrap(),
            now,
            limit: 1424,
            events: Vec::new(),
        }
    }

    /// A client over DCCP that has sent its request.
    fn dccp() -> Self {
        Self::asking(Config::new(Delivery::Unreliable, "/f"))
    }

    /// A client over SCTP that has sent its request.
    fn sctp() -> Self {
        Self::asking(Config::new(Delivery::Reliable, "/f"))
    }

    fn asking(config: Config) -> Self {
        let mut script = Self::new(config);
        assert!(script.sent().is_some());
        script.events.clear();
        script
    }

    fn poll(&mut self) {
        while let Some(((), event)) = self.client.poll_event() {
            assert_eq!(self.result(), None, "{event:?} came after the end");
            self.events.push(event);
        }
        let ended = self.client.disposition() != Disposition::Open;
        assert_eq!(ended, self.result().is_some());
        assert!(!ended || self.client.poll_timeout().is_none());
    }

    /// The request that goes out now, if any.
    fn sent(&mut self) -> Option<String> {
        let mut out = Vec::new();
        let transmit = self.client.poll_transmit(self.now, self.limit, &mut out);
        self.poll();
        let Transmit { stream, .. } = transmit?;
        assert_eq!(stream, StreamId(0));
        assert!(out.len() <= self.limit);
        Some(String::from_utf8(out).unwrap())
    }

    fn says(&mut self, message: impl Into<Bytes>) -> &mut Self {
        let datagram = Datagram::message((), message.into());
        self.client.handle_datagram(self.now, datagram);
        self.poll();
        self
    }

    /// Says a head with these lines besides the grant of exchange 1.
    fn grants(&mut self, lines: &str) -> &mut Self {
        self.says(format!(
            "HTTP/1.0 {lines}\r\nBody-Framing: offset;exchange=1\r\n\r\n"
        ))
    }

    fn block(&mut self, exchange: u16, offset: u64, data: &str) -> &mut Self {
        self.says(block(exchange, offset, data))
    }

    /// Goes on to the client's next timer.
    fn waits(&mut self) -> Duration {
        let due = self.client.poll_timeout().expect("a timer runs");
        let waited = due - self.now;
        self.now = due;
        self.client.handle_timeout(self.now);
        self.poll();
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "it spins");
        waited
    }

    /// Goes on until the client sends a request.
    fn sends(&mut self) -> String {
        loop {
            if let Some(request) = self.sent() {
                return request;
            }
            self.waits();
        }
    }

    fn closes(&mut self, why: CloseReason) -> &mut Self {
        self.client.handle_closed(self.now, why);
        self.poll();
        self
    }

    fn result(&self) -> Option<&Result<Done, Failure>> {
        match self.events.last() {
            Some(Event::Finished(result)) => Some(result),
            _ => None,
        }
    }

    fn failure(&self) -> &Failure {
        let result = self.result().expect("the exchange has ended");
        assert_eq!(self.client.disposition(), Disposition::Abort);
        result.as_ref().expect_err("it failed")
    }

    fn done(&self) -> Done {
        assert_eq!(self.client.disposition(), Disposition::Close);
        let result = self.result().expect("the exchange has ended");
        result.clone().expect("it ended well")
    }

    /// What came of the body since the last head, piece by piece.
    fn body(&self) -> Vec<(u64, String)> {
        let heads = |event: &Event| matches!(event, Event::Head(_));
        let from = self.events.iter().rposition(heads).unwrap_or(0);
        let text = |data: &Bytes| String::from_utf8(data.to_vec()).unwrap();
        self.events[from..]
            .iter()
            .filter_map(|event| match event {
                Event::Body { offset, data } => Some((*offset, text(data))),
                _ => None,
            })
            .collect()
    }

    fn heads(&self) -> usize {
        let heads = self.events.iter();
        heads
            .filter(|event| matches!(event, Event::Head(_)))
            .count()
    }
}

fn block(exchange: u16, offset: u64, data: &str) -> Vec<u8> {
    let mut message = Vec::new();
    write_header(&mut message, ExchangeId::new(exchange).unwrap(), offset);
    message.extend_from_slice(data.as_bytes());
    message
}

fn pieces(parts: &[(u64, &str)]) -> Vec<(u64, String)> {
    parts
        .iter()
        .map(|(at, text)| (*at, (*text).to_owned()))
        .collect()
}

/// The field line of a request that begins so.
fn line<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

const TEN: &str = "200 OK\r\nContent-Length: 10\r\nETag: \"a\"";

// --- requests ---------------------------------------------------------------------------------

#[test]
fn hu2_the_same_request_is_repeated_after_1_2_4_8_and_16_seconds() {
    let mut script = Script::new(Config {
        stall: Duration::from_secs(100),
        ..Config::new(Delivery::Unreliable, "/f")
    });
    let request = script.sent().unwrap();
    for seconds in [1, 2, 4, 8, 16] {
        assert_eq!(script.waits(), Duration::from_secs(seconds));
        assert_eq!(script.sent().as_ref(), Some(&request));
    }
    assert_eq!(script.waits(), Duration::from_secs(32));
    assert_eq!(script.failure(), &Failure::NoAnswer);
}

#[test]
fn hm1_a_reliable_transport_gets_the_request_once() {
    let mut script = Script::sctp();
    assert_eq!(script.waits(), Duration::from_secs(30));
    assert_eq!(script.failure(), &Failure::Stalled);
}

#[test]
fn hs6_the_seed_form_has_no_fields() {
    let mut script = Script::new(Config {
        seed_form: true,
        ..Config::new(Delivery::Unreliable, "/")
    });
    assert_eq!(script.sent().as_deref(), Some("GET / HTTP 1.0"));
}

#[test]
fn hk9_a_request_asks_for_a_part_under_the_condition_that_it_is_the_same_file() {
    let mut script = Script::new(Config {
        range: Some(Wanted::From(500)),
        if_range: Some(b"\"a\"".to_vec()),
        ..Config::new(Delivery::Unreliable, "/f")
    });
    assert_eq!(
        script.sent().as_deref(),
        Some(
            "GET /f HTTP/1.0\r\nConnection: close\r\nIf-Range: \"a\"\r\nRange: bytes=500-\r\n\
             Body-Framing: offset;exchange=1\r\n\r\n"
        )
    );
}

#[test]
fn hu2_a_request_that_no_message_holds_fails() {
    let mut script = Script::new(Config::new(Delivery::Unreliable, "/f"));
    script.limit = 50;
    assert_eq!(script.sent(), None);
    let failure = Failure::RequestTooLarge {
        length: 71,
        limit: 50,
    };
    assert_eq!(script.failure(), &failure);
}

// --- heads ------------------------------------------------------------------------------------

#[test]
fn hk8_an_endless_head_ends_at_the_limit() {
    let mut script = Script::sctp();
    script.says("HTTP/1.0 200 OK\r\n");
    for _ in 0..10_000 {
        if script.result().is_some() {
            break;
        }
        script.says("X: 12345\r\n");
    }
    assert_eq!(script.failure(), &Failure::BadHead(HeadError::TooLarge));
}

#[test]
fn hk2_endless_interim_heads_end_at_the_limit() {
    let mut script = Script::sctp();
    for _ in 0..9 {
        script.says("HTTP/1.1 103 Early Hints\r\n\r\n");
    }
    assert_eq!(
        script.failure(),
        &Failure::BadHead(HeadError::TooManyInterim)
    );
    // Over DCCP they are no answer, however many come.
    let mut script = Script::dccp();
    for _ in 0..1000 {
        script.says("HTTP/1.1 103 Early Hints\r\n\r\n");
        assert!(script.events.is_empty());
    }
    script.waits();
    assert!(script.sent().is_some());
}

#[test]
fn hk4_a_transfer_coding_or_two_lengths_are_an_error() {
    for lines in [
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
    ] {
        for mut script in [Script::dccp(), Script::sctp()] {
            script.says(format!("HTTP/1.0 200 OK\r\n{lines}\r\n"));
            assert!(matches!(script.failure(), Failure::BadHead(_)), "{lines}");
        }
    }
}

#[test]
fn hg7_a_part_that_was_not_asked_for_is_refused() {
    let head = "HTTP/1.0 206 X\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\n\r\n";
    for (wanted, honoured) in [
        (None, false),
        (Some(Wanted::From(5)), true),
        (Some(Wanted::From(4)), false),
        (Some(Wanted::Between(5, 9)), true),
        (Some(Wanted::Between(5, 20)), true),
        (Some(Wanted::Between(5, 8)), false),
        (Some(Wanted::Last(5)), true),
        (Some(Wanted::Last(6)), false),
    ] {
        let mut script = Script::asking(Config {
            range: wanted,
            ..Config::new(Delivery::Reliable, "/f")
        });
        script.says(head);
        if honoured {
            assert_eq!(script.says("fghij").body(), pieces(&[(5, "fghij")]));
        } else {
            assert_eq!(script.failure(), &Failure::RangeNotHonoured, "{wanted:?}");
        }
    }
}

#[test]
fn hg7_a_part_that_ends_early_is_refused() {
    let head = "HTTP/1.0 206 X\r\nContent-Range: bytes 5-9/20\r\n\r\n";
    for wanted in [Wanted::From(5), Wanted::Between(5, 12), Wanted::Last(15)] {
        let mut script = Script::asking(Config {
            range: Some(wanted),
            ..Config::new(Delivery::Reliable, "/f")
        });
        let failure = script.says(head).failure();
        assert_eq!(failure, &Failure::RangeNotHonoured, "{wanted}");
    }
}

#[test]
fn hg8_a_part_of_another_version_than_if_range_named_is_refused() {
    for (tag, honoured) in [
        ("ETag: \"v\"\r\n", true),
        ("", true),
        ("ETag: \"w\"\r\n", false),
    ] {
        let mut script = Script::asking(Config {
            range: Some(Wanted::From(5)),
            if_range: Some(b"\"v\"".to_vec()),
            ..Config::new(Delivery::Reliable, "/f")
        });
        script.says(format!(
            "HTTP/1.0 206 X\r\n{tag}Content-Range: bytes 5-9/10\r\n\r\n"
        ));
        let refused = script.result() == Some(&Err(Failure::RangeNotHonoured));
        assert_eq!(refused, !honoured, "{tag}");
    }
}

#[test]
fn hk8_what_is_here_already_counts_towards_the_most_that_is_accepted() {
    let mut script = Script::asking(Config {
        range: Some(Wanted::From(5)),
        if_range: Some(b"\"v\"".to_vec()),
        max_body: Some(9),
        ..Config::new(Delivery::Reliable, "/f")
    });
    script.says("HTTP/1.0 206 X\r\nContent-Range: bytes 5-9/10\r\n\r\n");
    assert_eq!(script.failure(), &Failure::TooLarge);
}

#[test]
fn hg7_all_of_it_instead_of_a_part_is_refused_unless_the_file_may_have_changed() {
    let head = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab";
    let config = Config {
        range: Some(Wanted::From(5)),
        ..Config::new(Delivery::Reliable, "/f")
    };
    let mut script = Script::asking(config.clone());
    assert_eq!(script.says(head).failure(), &Failure::RangeNotHonoured);
    let mut script = Script::asking(Config {
        if_range: Some(b"\"a\"".to_vec()),
        ..config
    });
    assert_eq!(script.says(head).body(), pieces(&[(0, "ab")]));
}

#[test]
fn hm4_a_content_length_that_contradicts_the_content_range_is_refused() {
    let mut script = Script::asking(Config {
        range: Some(Wanted::From(5)),
        ..Config::new(Delivery::Reliable, "/f")
    });
    script.says("HTTP/1.0 206 X\r\nContent-Length: 9\r\nContent-Range: bytes 5-9/10\r\n\r\n");
    assert!(matches!(script.failure(), Failure::BadHead(_)));
}

// --- bodies over a reliable transport ---------------------------------------------------------

#[test]
fn hm5_how_an_answer_is_cut_does_not_matter() {
    let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for cut in 1..answer.len() {
        let mut script = Script::sctp();
        for piece in answer.chunks(cut) {
            script.says(piece);
        }
        let body: String = script.body().into_iter().map(|(_, text)| text).collect();
        assert_eq!(body, "hello");
        script.closes(CloseReason::Graceful);
        assert!(script.done().verified);
    }
}

#[test]
fn hm2_without_a_length_a_graceful_end_makes_the_body_whole_and_an_abort_does_not() {
    let head = "HTTP/1.0 200 OK\n\nhello";
    let mut script = Script::sctp();
    script.says(head).closes(CloseReason::Graceful);
    assert!(script.done().verified);
    let mut script = Script::sctp();
    script.says(head).closes(CloseReason::Aborted);
    let failure = Failure::Incomplete {
        holes: Vec::new(),
        why: Some(CloseReason::Aborted),
    };
    assert_eq!(script.failure(), &failure);
}

#[test]
fn hm4_without_patience_the_client_ends_when_it_has_what_was_announced() {
    let head = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhel";
    for (linger, ends) in [(Duration::ZERO, true), (Duration::from_millis(1), false)] {
        let mut script = Script::asking(Config {
            linger,
            ..Config::new(Delivery::Reliable, "/f")
        });
        script.says(head);
        assert_eq!(script.client.disposition(), Disposition::Open);
        script.says("lo");
        let disposition = script.client.disposition();
        assert_eq!(disposition == Disposition::Close, ends, "{linger:?}");
    }
}

#[test]
fn hm4_fewer_or_more_bytes_than_announced_are_an_error() {
    let head = "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let mut script = Script::sctp();
    script.says(head).closes(CloseReason::Graceful);
    #[expect(clippy::single_range_in_vec_init, reason = "one hole")]
    let failure = Failure::Incomplete {
        holes: vec![5..9],
        why: Some(CloseReason::Graceful),
    };
    assert_eq!(script.failure(), &failure);
    for more in ["world", "worl!"] {
        let mut script = Script::sctp();
        script
            .says(head)
            .says(&more.as_bytes()[..4])
            .says(&more.as_bytes()[4..]);
        assert_eq!(script.failure(), &Failure::Surplus);
    }
}

#[test]
fn hm2_the_client_closes_when_the_server_does_not() {
    let mut script = Script::sctp();
    script.says("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab");
    assert_eq!(script.result(), None);
    assert_eq!(script.waits(), Duration::from_millis(500));
    assert!(script.done().verified);
}

#[test]
fn hm7_unordered_data_and_other_streams_are_errors_of_the_server() {
    let message = || Datagram::message((), Bytes::from_static(b"HTTP/1.0 200 OK\r\n\r\n"));
    let unordered = Datagram {
        ordered: false,
        ..message()
    };
    let astray = Datagram {
        stream: StreamId(1),
        ..message()
    };
    for datagram in [unordered, astray] {
        let mut script = Script::sctp();
        script.client.handle_datagram(script.now, datagram);
        script.poll();
        assert!(matches!(script.failure(), Failure::Protocol(_)));
    }
}

#[test]
fn hk1_an_answer_without_a_head_is_taken_only_if_it_was_allowed() {
    let mut script = Script::sctp();
    script.says("<html>");
    assert_eq!(script.failure(), &Failure::BadHead(HeadError::NotHttp));
    for answer in [&["<ht", "ml>"][..], &["HTT", "Q"], &["HT"], &[]] {
        let mut script = Script::asking(Config {
            http09: true,
            ..Config::new(Delivery::Reliable, "/f")
        });
        for piece in answer {
            script.says(*piece);
        }
        script.closes(CloseReason::Graceful);
        let body: String = script.body().into_iter().map(|(_, text)| text).collect();
        assert_eq!(body, answer.concat());
        assert!(script.done().verified);
    }
}

#[test]
fn hk8_a_body_may_have_as_many_bytes_as_the_user_says_wherever_it_begins() {
    let config = |range, delivery| Config {
        range,
        max_body: Some(5),
        ..Config::new(delivery, "/f")
    };
    let part = "HTTP/1.0 206 X\r\nContent-Range: bytes 900-904/905\r\n\r\n";
    for delivery in [Delivery::Reliable, Delivery::Unreliable] {
        let mut script = Script::asking(config(Some(Wanted::From(900)), delivery));
        script.says(part).says("hello");
        assert_eq!(script.body(), pieces(&[(900, "hello")]));
        for head in [
            "HTTP/1.0 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello!",
        ] {
            let mut script = Script::asking(config(None, delivery));
            assert_eq!(script.says(head).failure(), &Failure::TooLarge, "{head}");
        }
    }
}

#[test]
fn hk8_a_length_of_2_to_the_64_costs_nothing() {
    let length = "200 OK\r\nContent-Length: 18446744073709551615";
    let mut script = Script::sctp();
    script.says(format!("HTTP/1.0 {length}\r\n\r\nabc"));
    script.closes(CloseReason::Graceful);
    assert!(matches!(script.failure(), Failure::Incomplete { .. }));
    let mut script = Script::dccp();
    script.grants(length).block(1, 0, "abc");
    script.block(1, (1 << 48) - 3, "xyz");
    assert_eq!(script.body().len(), 2);
    script.closes(CloseReason::Graceful);
    assert!(matches!(script.failure(), Failure::Incomplete { .. }));
}

// --- a peer without the framing ---------------------------------------------------------------

#[test]
fn hu5_a_plain_body_of_one_message_is_verified_by_its_length() {
    let mut script = Script::dccp();
    script
        .says("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n")
        .says("hello");
    assert_eq!(script.body(), pieces(&[(0, "hello")]));
    assert!(script.done().verified);
}

#[test]
fn hu7_a_plain_part_in_the_message_of_its_head_is_verified() {
    let mut script = Script::asking(Config {
        range: Some(Wanted::Between(5, 9)),
        ..Config::new(Delivery::Unreliable, "/f")
    });
    script.says("HTTP/1.0 206 X\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\n\r\nfghij");
    assert_eq!(script.body(), pieces(&[(5, "fghij")]));
    assert!(script.done().verified);
}

#[test]
fn hu6_a_plain_body_of_several_messages_is_never_verified() {
    let mut script = Script::dccp();
    script
        .says("HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n")
        .says("hello")
        .says("world");
    assert!(!script.done().verified);
}

#[test]
fn hu5_a_plain_body_without_a_length_is_never_verified() {
    let mut script = Script::dccp();
    script
        .says("HTTP/1.0 200 OK\n\n")
        .says("hello")
        .closes(CloseReason::Graceful);
    assert_eq!(script.body(), pieces(&[(0, "hello")]));
    assert!(!script.done().verified);
}

#[test]
fn hm3_a_plain_body_that_is_aborted_is_incomplete() {
    let mut script = Script::dccp();
    script
        .says("HTTP/1.0 200 OK\n\n")
        .says("hello")
        .closes(CloseReason::Aborted);
    assert!(matches!(script.failure(), Failure::Incomplete { .. }));
}

#[test]
fn hu3_a_message_that_overtook_its_head_is_body_and_not_http_0_9() {
    let mut script = Script::dccp();
    script.says("hello");
    assert!(script.events.is_empty());
    script.says("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(script.body(), pieces(&[(0, "hello")]));
    assert!(script.done().verified);
}

#[test]
fn hu4_a_copy_of_a_plain_head_is_not_body() {
    for head in [
        "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.0 200 OK\n\n",
    ] {
        let mut script = Script::dccp();
        script
            .says(head)
            .says(head)
            .says("abc")
            .says(head)
            .says("def");
        assert_eq!(script.body(), pieces(&[(0, "abc"), (3, "def")]));
    }
    // A head and its body in one message.
    let mut script = Script::dccp();
    script
        .says("HTTP/1.0 200 OK\n\nabc")
        .says("HTTP/1.0 200 OK\n\nabc");
    assert_eq!(script.body(), pieces(&[(0, "abc")]));
}

#[test]
fn hu4_a_second_answer_to_a_repeated_request_starts_over_if_it_is_another() {
    let head = |date, length| {
        format!("HTTP/1.0 200 OK\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n")
    };
    let mut script = Script::dccp();
    script.waits();
    assert!(script.sent().is_some());
    script
        .says(head("now", 6))
        .says("abc")
        .says(head("later", 6));
    assert_eq!(script.heads(), 1);
    script.says(head("later still", 4)).says("wxyz");
    assert_eq!((script.heads(), script.body()), (2, pieces(&[(0, "wxyz")])));
    assert!(script.done().verified);
}

#[test]
fn hm4_a_plain_body_longer_than_announced_is_an_error() {
    let mut script = Script::dccp();
    script
        .says("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n")
        .says("hello");
    assert_eq!(script.failure(), &Failure::Surplus);
}

#[test]
fn hu8_a_grant_that_was_not_asked_for_does_not_count() {
    let mut script = Script::asking(Config {
        framing: false,
        ..Config::new(Delivery::Unreliable, "/f")
    });
    script.grants("200 OK\r\nContent-Length: 5").says("hello");
    assert_eq!(script.body(), pieces(&[(0, "hello")]));
}

// --- blocks -----------------------------------------------------------------------------------

#[test]
fn hu8_blocks_in_any_order_with_copies_make_the_body() {
    let mut script = Script::dccp();
    script
        .grants(TEN)
        .block(1, 5, "fgh")
        .block(1, 5, "fgh")
        .block(1, 0, "abc");
    script.block(1, 2, "cdefg").block(1, 8, "ij");
    let expected = [(5, "fgh"), (0, "abc"), (3, "de"), (8, "ij")];
    assert_eq!(script.body(), pieces(&expected));
    let repeated = |event: &&Event| matches!(event, Event::Repeated { .. });
    assert_eq!(script.events.iter().filter(repeated).count(), 3);
    assert_eq!(
        script.done(),
        Done {
            verified: true,
            rounds: 0
        }
    );
}

#[test]
fn hu8_blocks_before_their_head_are_kept_up_to_a_limit() {
    let mut script = Script::asking(Config {
        max_early: 3 * 70,
        ..Config::new(Delivery::Unreliable, "/f")
    });
    for offset in 0..10 {
        script.block(1, offset, "x");
    }
    assert!(script.events.is_empty());
    script.grants(TEN);
    assert_eq!(script.body(), pieces(&[(0, "x"), (1, "x")]));
}

#[test]
fn hu8_what_is_kept_without_a_head_is_bounded_however_small_it_is() {
    let mut script = Script::dccp();
    for _ in 0..100_000 {
        script.says("x").says("");
    }
    script.says("HTTP/1.0 200 OK\n\n");
    let kept = script.body().len();
    assert!(10_000 < kept && kept <= (1 << 20) / 64, "{kept}");
}

#[test]
fn hu8_a_block_outside_the_body_or_of_another_exchange_is_dropped() {
    let mut script = Script::dccp();
    script
        .grants(TEN)
        .block(1, 10, "x")
        .block(1, 1 << 40, "x")
        .block(2, 0, "abcdefghij");
    script
        .block(16383, 0, "abcdefghij")
        .says("")
        .says("junk")
        .says(&[0; 9][..]);
    assert_eq!(script.body(), []);
    script.block(1, 8, "ij and more");
    assert_eq!(script.body(), pieces(&[(8, "ij")]));
}

#[test]
fn hu8_a_framed_answer_without_a_length_is_an_error_of_the_server() {
    let mut script = Script::dccp();
    script.grants("200 OK");
    assert!(matches!(script.failure(), Failure::Protocol(_)));
}

#[test]
fn hu8_an_answer_without_a_body_is_complete_with_its_head() {
    for lines in [
        "200 OK\r\nContent-Length: 0",
        "304 Not Modified\r\nETag: \"a\"",
    ] {
        let mut script = Script::dccp();
        script.grants(lines);
        assert!(script.done().verified, "{lines}");
    }
    let mut script = Script::asking(Config {
        method: Method::Head,
        ..Config::new(Delivery::Unreliable, "/f")
    });
    script.grants(TEN);
    assert!(script.done().verified);
}

#[test]
fn hu9_bytes_that_came_twice_and_differ_make_the_transfer_bad() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "abc").block(1, 0, "abX");
    script
        .client
        .handle_command(script.now, (), Command::Conflict);
    script.poll();
    assert_eq!(script.failure(), &Failure::Conflict);
}

#[test]
fn hu9_a_conflict_counts_even_if_the_same_block_was_the_last_one_missing() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "abcde");
    let message = Datagram::message((), block(1, 4, "Xfghij").into());
    script.client.handle_datagram(script.now, message);
    // The application takes one event after the other.
    assert!(matches!(
        script.client.poll_event(),
        Some(((), Event::Repeated { .. }))
    ));
    script
        .client
        .handle_command(script.now, (), Command::Conflict);
    script.poll();
    assert_eq!(script.failure(), &Failure::Conflict);
}

#[test]
fn hu8_the_number_of_intervals_is_bounded_and_what_is_dropped_is_asked_for_again() {
    let mut script = Script::asking(Config {
        max_intervals: 3,
        ..Config::new(Delivery::Unreliable, "/f")
    });
    script.grants("200 OK\r\nContent-Length: 100\r\nETag: \"a\"");
    for offset in (0..100).step_by(10) {
        script.block(1, offset, "x");
    }
    assert_eq!(script.body().len(), 3);
    let request = script.sends();
    assert_eq!(line(&request, "Range"), Some("bytes=1-9,11-19,21-99"));
}

// --- rounds of repair -------------------------------------------------------------------------

#[test]
fn hu10_holes_are_asked_for_when_the_body_falls_silent() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "ab").block(1, 4, "ef");
    let request = script.sends();
    assert_eq!(line(&request, "Range"), Some("bytes=2-3,6-9"));
    assert_eq!(line(&request, "If-Range"), Some("\"a\""));
    assert_eq!(line(&request, "Body-Framing"), Some("offset;exchange=2"));
    assert!(script.events.contains(&Event::Round {
        round: 1,
        holes: 2,
        missing: 6
    }));
    script
        .says(part(2, "a", "2-9/10"))
        .block(2, 2, "cd")
        .block(2, 6, "ghij");
    assert_eq!(script.done().rounds, 1);
}

/// The head of exchange `number`, which sends a part of the version `tag`.
fn part(number: u16, tag: &str, range: &str) -> String {
    format!(
        "HTTP/1.0 206 X\r\nContent-Length: 1\r\nContent-Range: bytes {range}\r\nETag: \"{tag}\"\r\n\
         Body-Framing: offset;exchange={number}\r\n\r\n"
    )
}

/// A client that has bytes 0 to 1, 4 to 5 and 8 to 9 of ten from an earlier connection.
fn going_on() -> Script {
    Script::asking(Config {
        range: Some(Wanted::From(2)),
        if_range: Some(b"\"v\"".to_vec()),
        have: vec![0..2, 4..6, 8..10],
        ..Config::new(Delivery::Unreliable, "/f")
    })
}

#[test]
fn hg8_a_download_that_goes_on_asks_for_its_holes_only() {
    let mut script = going_on();
    script.grants(
        "206 Partial Content\r\nETag: \"v\"\r\nContent-Length: 8\r\n\
         Content-Range: bytes 2-9/10",
    );
    let request = script.sent().expect("it asks at once");
    assert_eq!(line(&request, "Range"), Some("bytes=2-3,6-7"));
    assert_eq!(line(&request, "If-Range"), Some("\"v\""));
    // What the first answer still sends counts, and what is here already must agree.
    script.block(1, 2, "cd").block(1, 4, "ef");
    script.says(part(2, "v", "6-7/10")).block(2, 6, "gh");
    assert!(script.done().verified);
    assert_eq!(script.body(), pieces(&[(2, "cd"), (6, "gh")]));
    let repeated = |event: &Event| matches!(event, Event::Repeated { offset: 4, .. });
    assert!(script.events.iter().any(repeated));
}

#[test]
fn hg8_a_download_does_not_go_on_with_what_it_has_when_the_file_changed() {
    let mut script = going_on();
    script.grants("200 OK\r\nETag: \"w\"\r\nContent-Length: 10");
    assert_eq!(script.sent(), None);
    script.block(1, 0, "ABCDEFGHIJ");
    assert!(script.done().verified);
    assert_eq!(script.body(), pieces(&[(0, "ABCDEFGHIJ")]));
}

#[test]
fn hg8_a_download_of_which_everything_is_here_ends_with_the_head() {
    let mut script = Script::asking(Config {
        range: Some(Wanted::From(9)),
        if_range: Some(b"\"v\"".to_vec()),
        have: vec![0..2, 2..10],
        ..Config::new(Delivery::Unreliable, "/f")
    });
    script.grants(
        "206 Partial Content\r\nETag: \"v\"\r\nContent-Length: 1\r\n\
         Content-Range: bytes 9-9/10",
    );
    assert!(script.done().verified);
}

#[test]
fn hu10_late_blocks_of_an_earlier_exchange_fill_holes_too() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "abcde");
    script.sends();
    script.block(1, 5, "fghij");
    assert!(script.done().verified);
}

#[test]
fn hu10_the_end_of_the_body_hastens_a_round_and_copies_behind_it_do_not_put_it_off() {
    let mut script = Script::dccp();
    script.now += Duration::from_millis(50);
    script.grants(TEN).block(1, 0, "ab").block(1, 8, "ij");
    script.now += Duration::from_millis(40);
    script.block(1, 0, "ab");
    assert_eq!(script.waits(), Duration::from_millis(10));
    assert!(script.sent().is_some());
}

#[test]
fn hu10_blocks_without_their_head_bring_the_request_again_soon() {
    let mut script = Script::dccp();
    script.now += Duration::from_millis(50);
    script.block(1, 0, "ab");
    assert_eq!(script.waits(), Duration::from_millis(50));
    let request = script.sent().unwrap();
    assert_eq!(line(&request, "Body-Framing"), Some("offset;exchange=1"));
    script.grants(TEN);
    assert_eq!(script.body(), pieces(&[(0, "ab")]));
}

#[test]
fn hu10_a_repair_asks_for_as_many_holes_as_a_message_holds() {
    let mut script = Script::dccp();
    script.limit = 150;
    script.grants("200 OK\r\nContent-Length: 1000\r\nETag: \"a\"");
    for offset in (0..1000).step_by(20) {
        script.block(1, offset, "0123456789");
    }
    let request = script.sends();
    assert!(request.len() <= 150 && request.len() > 135, "{request}");
    let range = line(&request, "Range").unwrap();
    assert!(range.starts_with("bytes=10-19,30-39"), "{range}");
}

#[test]
fn hu12_a_repair_that_is_refused_asks_for_less_under_a_new_number() {
    let mut script = Script::dccp();
    script.grants("200 OK\r\nContent-Length: 1000\r\nETag: \"a\"");
    for offset in (0..1000).step_by(20) {
        script.block(1, offset, "0123456789");
    }
    let refused = script.sends();
    script.client.handle_rejected(script.now, 150);
    script.limit = 150;
    let request = script.sent().unwrap();
    assert!(request.len() < refused.len());
    assert_eq!(line(&request, "Body-Framing"), Some("offset;exchange=3"));
    script.client.handle_rejected(script.now, 40);
    script.poll();
    assert!(matches!(script.failure(), Failure::RequestTooLarge { .. }));
}

#[test]
fn hu10_the_client_gives_up_after_so_many_rounds_without_a_new_byte() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "abcd");
    // The first round follows one that brought something.
    for number in 2..=10 {
        script.sends();
        assert_eq!(script.result(), None, "round {number}");
        script.says(part(number, "a", "4-9/10"));
    }
    while script.result().is_none() {
        script.waits();
    }
    #[expect(clippy::single_range_in_vec_init, reason = "one hole")]
    let holes = vec![4..10];
    assert!(matches!(script.failure(), Failure::Incomplete { holes: h, .. } if *h == holes));
}

#[test]
fn hu10_a_dead_server_is_given_up_when_nothing_came_for_as_long_as_allowed() {
    let mut script = Script::dccp();
    let began = script.now;
    script.grants(TEN).block(1, 0, "abcd");
    while script.result().is_none() {
        if script.sent().is_none() {
            script.waits();
        }
    }
    assert_eq!(script.now - began, Duration::from_secs(30));
    let stalled = Some(CloseReason::Stalled);
    assert!(matches!(script.failure(), Failure::Incomplete { why, .. } if *why == stalled));
}

#[test]
fn hu10_a_server_that_sends_all_of_it_again_is_not_interrupted_at_the_first_hole() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "ab").block(1, 4, "efghij");
    script.sends();
    script.says(format!(
        "HTTP/1.0 {TEN}\r\nBody-Framing: offset;exchange=2\r\n\r\n"
    ));
    script.block(2, 0, "ab").block(2, 2, "cd");
    assert!(script.done().verified);
}

// --- files that change ------------------------------------------------------------------------

#[test]
fn hg7_all_of_a_changed_file_makes_void_what_came_before() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "abcde");
    script.sends();
    let changed = "HTTP/1.0 200 OK\r\nContent-Length: 4\r\nETag: \"b\"\r\nBody-Framing: offset;exchange=2\r\n\r\n";
    script
        .block(2, 0, "WX")
        .says(changed)
        .block(1, 2, "cd")
        .block(2, 2, "YZ");
    assert_eq!(
        (script.heads(), script.body()),
        (2, pieces(&[(0, "WX"), (2, "YZ")]))
    );
    assert!(script.done().verified);
}

#[test]
fn hg7_a_part_of_a_changed_file_is_not_joined_but_starts_over() {
    for answer in [
        part(2, "b", "5-9/10"),
        "HTTP/1.0 416 X\r\nContent-Length: 0\r\nContent-Range: bytes */3\r\n\
         Body-Framing: offset;exchange=2\r\n\r\n"
            .to_owned(),
    ] {
        let mut script = Script::dccp();
        script.grants(TEN).block(1, 0, "abcde");
        script.sends();
        script.block(2, 5, "FGHIJ").says(answer);
        let request = script.sent().expect("it asks at once");
        assert_eq!(line(&request, "Range"), None);
        assert_eq!(line(&request, "Body-Framing"), Some("offset;exchange=3"));
        script.says("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nETag: \"b\"\r\nBody-Framing: offset;exchange=3\r\n\r\n");
        script.block(3, 0, "AB");
        assert_eq!(script.body(), pieces(&[(0, "AB")]));
        assert!(script.done().verified);
    }
}

#[test]
fn hg7_a_part_that_the_user_wants_is_asked_for_again_when_the_file_changed() {
    let mut script = Script::asking(Config {
        range: Some(Wanted::From(5)),
        ..Config::new(Delivery::Unreliable, "/f")
    });
    script.says(
        "HTTP/1.0 206 X\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\nETag: \"a\"\r\n\
         Body-Framing: offset;exchange=1\r\n\r\n",
    );
    script.block(1, 5, "fg");
    script.sends();
    script.says("HTTP/1.0 200 OK\r\nContent-Length: 8\r\nETag: \"b\"\r\nBody-Framing: offset;exchange=2\r\n\r\n");
    let request = script.sent().expect("it asks at once");
    assert_eq!(line(&request, "Range"), Some("bytes=5-"));
    assert_eq!(line(&request, "If-Range"), None);
}

#[test]
fn hg8_a_weak_tag_is_not_sent_back_and_a_digest_joins_what_is_the_same() {
    let digest = "Repr-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let mut script = Script::dccp();
    script.grants(&format!(
        "200 OK\r\nContent-Length: 4\r\nETag: W/\"a\"\r\n{digest}"
    ));
    script.block(1, 0, "ab");
    let request = script.sends();
    assert_eq!(
        (line(&request, "Range"), line(&request, "If-Range")),
        (Some("bytes=2-3"), None)
    );
    script.says(format!(
        "HTTP/1.0 206 X\r\nContent-Length: 2\r\nContent-Range: bytes 2-3/4\r\n{digest}\r\n\
         Body-Framing: offset;exchange=2\r\n\r\n"
    ));
    script.block(2, 2, "cd");
    assert!(script.done().verified);
}

#[test]
fn hg8_without_a_validator_all_of_it_is_asked_for_again_and_nothing_is_joined() {
    let head = |number| {
        format!(
            "HTTP/1.0 200 OK\r\nContent-Length: 4\r\nBody-Framing: offset;exchange={number}\r\n\r\n"
        )
    };
    let mut script = Script::dccp();
    script.says(head(1)).block(1, 0, "ab");
    let request = script.sends();
    assert_eq!(line(&request, "Range"), None);
    script.says(head(2)).block(1, 2, "cd").block(2, 2, "YZ");
    assert_eq!(script.body(), pieces(&[(2, "YZ")]));
    script.block(2, 0, "WX");
    assert!(script.done().verified);
    // It cannot go on like this for ever.
    let mut script = Script::dccp();
    for number in 1.. {
        script.says(head(number)).block(number, 0, "ab");
        while script.result().is_none() && script.sent().is_none() {
            script.waits();
        }
        if script.result().is_some() {
            assert_eq!(number, 6);
            break;
        }
    }
    assert!(matches!(script.failure(), Failure::Incomplete { .. }));
}

#[test]
fn hu4_a_file_that_changes_again_and_again_is_given_up() {
    let mut script = Script::dccp();
    for number in 1.. {
        script.says(format!(
            "HTTP/1.0 200 OK\r\nContent-Length: 4\r\nETag: \"{number}\"\r\n\
             Body-Framing: offset;exchange={number}\r\n\r\n"
        ));
        if script.result().is_some() {
            assert_eq!(number, 7);
            break;
        }
        script.sends();
    }
    assert_eq!(script.failure(), &Failure::Changing);
}

#[test]
fn hu4_heads_of_the_past_and_of_the_future_mean_nothing() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "ab");
    script.sends();
    for head in [
        part(16383, "b", "0-9/10"),
        part(3, "b", "0-9/10"),
        part(1, "b", "0-9/10"),
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n".to_owned(),
        "HTTP/1.0 broken".to_owned(),
    ] {
        script.says(head);
        assert_eq!((script.heads(), script.result()), (1, None));
    }
}

#[test]
fn hu4_an_error_in_a_round_is_the_answer() {
    let mut script = Script::dccp();
    script.grants(TEN).block(1, 0, "ab");
    script.sends();
    script.says(
        "HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\nBody-Framing: offset;exchange=2\r\n\r\n",
    );
    script.block(2, 0, "gone");
    assert_eq!((script.heads(), script.body()), (2, pieces(&[(0, "gone")])));
}

// --- ends -------------------------------------------------------------------------------------

#[test]
fn hm3_the_end_of_the_connection_before_the_last_byte_leaves_holes() {
    let mut script = Script::dccp();
    script
        .grants(TEN)
        .block(1, 2, "cd")
        .closes(CloseReason::Graceful);
    let failure = Failure::Incomplete {
        holes: vec![0..2, 4..10],
        why: Some(CloseReason::Graceful),
    };
    assert_eq!(script.failure(), &failure);
}

#[test]
fn the_end_is_told_once_whatever_comes_after_it() {
    let mut script = Script::dccp();
    script
        .grants("200 OK\r\nContent-Length: 2")
        .block(1, 0, "ab");
    assert!(script.done().verified);
    let told = script.events.len();
    script
        .closes(CloseReason::Aborted)
        .says("HTTP/1.0 200 OK\r\n\r\n")
        .block(1, 0, "XY");
    script
        .client
        .handle_command(script.now, (), Command::Cancel);
    script.client.handle_stop(script.now);
    script.client.handle_rejected(script.now, 1);
    script
        .client
        .handle_timeout(script.now + Duration::from_secs(99));
    assert_eq!(script.sent(), None);
    assert_eq!(script.events.len(), told);
}
