//! Repairs while the body still flows.

use super::*;

const RTT: Duration = Duration::from_millis(100);

/// A client whose server takes requests beside others, and says this of a body of 26 bytes.
fn granted() -> Script {
    let mut script = Script::dccp();
    script.now += RTT;
    script.grants_beside();
    script
}

impl Script {
    fn grants_beside(&mut self) -> &mut Self {
        self.says(
            "HTTP/1.0 200 OK\r\nContent-Length: 26\r\nETag: \"a\"\r\n\
             Body-Framing: offset;exchange=1;beside\r\n\r\n",
        )
    }

    fn loses(&mut self, messages: u64) -> &mut Self {
        self.client.handle_missing(self.now, messages);
        self.poll();
        self
    }

    fn part(&mut self, exchange: u16, range: &str) -> &mut Self {
        self.says(part(exchange, "a", range))
    }

    fn passes(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self.client.handle_timeout(self.now);
        self.poll();
        self
    }

    fn ranges(&mut self) -> Option<(u16, String)> {
        let request = self.sent()?;
        let framing = line(&request, "Body-Framing").unwrap();
        let number = framing
            .strip_prefix("offset;exchange=")
            .and_then(|rest| rest.strip_suffix(";beside"))
            .expect("it is beside another");
        assert_eq!(line(&request, "If-Range"), Some("\"a\""));
        let range = line(&request, "Range").unwrap().to_owned();
        Some((number.parse().unwrap(), range))
    }

    /// Holds it to a request beside the body for these bytes.
    #[track_caller]
    fn asks(&mut self, exchange: u16, range: &str) -> &mut Self {
        assert_eq!(self.ranges(), Some((exchange, format!("bytes={range}"))));
        self
    }

    #[track_caller]
    fn asks_nothing(&mut self) -> &mut Self {
        assert_eq!(self.sent(), None);
        self
    }
}

#[test]
fn hu10_what_is_lost_is_asked_for_while_the_body_flows() {
    let mut script = granted();
    script.block(1, 0, "abcd").block(1, 8, "ijkl");
    script.asks_nothing().loses(1).asks(2, "4-7");
    script.block(1, 12, "mnop");
    script.passes(RTT).part(2, "4-7/26").block(2, 4, "efgh");
    script.block(1, 16, "qrstuvwxyz");
    let done = Done {
        verified: true,
        rounds: 0,
    };
    assert_eq!(script.done(), done);
}

#[test]
fn hu10_a_stack_that_delivers_in_order_tells_before_the_hole_is_seen() {
    let mut script = granted();
    script.block(1, 0, "abcd").loses(1).asks_nothing();
    script.block(1, 8, "ijkl").asks(2, "4-7");
}

#[test]
fn hu10_no_more_is_asked_for_than_is_known_to_be_lost() {
    let mut script = granted();
    script.block(1, 0, "abcd").block(1, 8, "ijkl");
    script.block(1, 20, "uvwx").loses(2);
    // The hole of 4 bytes, and as many of the next.
    script.asks(2, "4-7,12-15");
    // A message that left no hole, such as a head, is not asked for, then or later.
    let mut script = granted();
    script.block(1, 0, "abcd").loses(5).block(1, 4, "efgh");
    script
        .block(1, 12, "mnop")
        .block(1, 16, "qrst")
        .asks_nothing();
    script.loses(1).asks(2, "8-11");
}

#[test]
fn hu10_one_request_in_a_round_trip_time_gathers_what_is_lost() {
    let mut script = granted();
    script
        .block(1, 0, "ab")
        .block(1, 4, "ef")
        .loses(1)
        .asks(2, "2-3");
    script.passes(RTT / 2);
    script.block(1, 8, "ij").loses(1).asks_nothing();
    script.block(1, 12, "mn").loses(1).asks_nothing();
    // The answer is here, and half a round-trip time is left.
    script.passes(RTT / 4);
    script.part(2, "2-3/26").block(2, 2, "cd").asks_nothing();
    script.passes(RTT / 4).asks(3, "6-7,10-11");
}

#[test]
fn hu2_a_lost_request_beside_a_body_is_repeated_and_then_left_to_a_round() {
    let mut script = granted();
    script.block(1, 0, "ab").block(1, 4, "ef").loses(1);
    let request = script.sent().unwrap();
    for _ in 0..4 {
        script.passes(RTT * 8 / 5);
        assert_eq!(script.sent().as_ref(), Some(&request));
    }
    script.passes(RTT * 8 / 5).asks_nothing();
    let round = script.sends();
    assert_eq!(line(&round, "Range"), Some("bytes=2-3,6-25"));
    assert_eq!(
        line(&round, "Body-Framing"),
        Some("offset;exchange=3"),
        "not beside"
    );
}

#[test]
fn hu4_a_lost_head_beside_a_body_is_asked_for_soon() {
    for (lost, wait) in [(0, RTT), (1, Duration::ZERO)] {
        let mut script = granted();
        script.block(1, 0, "ab").block(1, 4, "ef").loses(1);
        let request = script.sent().unwrap();
        script.now += RTT / 2;
        if lost > 0 {
            script.loses(lost);
        }
        script.block(2, 2, "cd");
        assert_eq!(script.body(), pieces(&[(0, "ab"), (4, "ef")]));
        let due = script.client.poll_timeout().unwrap();
        assert_eq!(due - script.now, wait.saturating_sub(RTT / 2));
        script.waits();
        assert_eq!(script.sent(), Some(request));
        script.part(2, "2-3/26");
        assert_eq!(script.body()[2], (2, "cd".to_owned()));
    }
}

#[test]
fn hu10_a_repair_that_is_lost_is_asked_for_again_when_the_body_goes_on() {
    let mut script = granted();
    script
        .block(1, 0, "ab")
        .block(1, 4, "ef")
        .block(1, 8, "ij")
        .loses(2)
        .asks(2, "2-3,6-7");
    script.passes(RTT).part(2, "2-7/26").block(2, 2, "cd");
    // A block that is late, or one that is next: only the latter was sent after the repair.
    script.loses(1).block(1, 0, "ab").asks_nothing();
    script.block(1, 10, "kl").asks(3, "6-7");
    // And when only its end came.
    script.passes(RTT).part(3, "6-7/26").block(3, 6, "gh");
    script.block(1, 14, "op").loses(1).asks(4, "12-13");
}

#[test]
fn hu8_a_server_that_does_not_say_so_is_not_asked_beside() {
    let mut script = Script::dccp();
    script.now += RTT;
    script.grants(TEN).block(1, 0, "ab").block(1, 4, "ef");
    script.loses(1).asks_nothing();
    assert_eq!(script.waits(), RTT * 4);
    let round = script.sends();
    assert_eq!(line(&round, "Body-Framing"), Some("offset;exchange=2"));
}

#[test]
fn hu8_a_server_that_stops_the_body_for_a_repair_is_asked_for_the_rest() {
    let mut script = granted();
    script
        .block(1, 0, "abcd")
        .block(1, 8, "ijkl")
        .loses(1)
        .asks(2, "4-7");
    script.passes(RTT).part(2, "4-7/26").block(2, 4, "efgh");
    assert_eq!(script.waits(), RTT * 4);
    let round = script.sent().unwrap();
    assert_eq!(line(&round, "Range"), Some("bytes=12-25"));
    assert_eq!(line(&round, "Body-Framing"), Some("offset;exchange=3"));
    script.part(3, "12-25/26").block(3, 12, "mnopqrstuvwxyz");
    assert!(script.done().verified);
}

#[test]
fn hg7_a_repair_of_another_version_starts_over() {
    let mut script = granted();
    script.block(1, 0, "ab").block(1, 4, "ef");
    script.loses(1).asks(2, "2-3");
    script.says(part(2, "b", "2-3/26")).block(2, 2, "CD");
    script.block(1, 6, "gh");
    let request = script.sent().expect("it asks at once");
    assert_eq!(line(&request, "Range"), None);
    assert_eq!(line(&request, "Body-Framing"), Some("offset;exchange=3"));
    assert_eq!(script.body(), pieces(&[(0, "ab"), (4, "ef")]));
    // All of it, instead of the holes.
    let mut script = granted();
    script.block(1, 0, "ab").block(1, 4, "ef");
    script.loses(1).asks(2, "2-3");
    script.says("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nETag: \"b\"\r\nBody-Framing: offset;exchange=2\r\n\r\n");
    script.block(2, 0, "XY");
    assert_eq!((script.heads(), script.body()), (2, pieces(&[(0, "XY")])));
    assert!(script.done().verified);
}

#[test]
fn hu10_a_round_does_not_ask_for_what_a_repair_brings() {
    let mut script = granted();
    script.block(1, 0, "abcd").block(1, 8, "ijklmnopqrstuvwxyz");
    script.loses(1).asks(2, "4-7");
    // The end has come: a round would be due after a round-trip time.
    script.passes(RTT).asks_nothing();
    script.passes(RTT / 4).part(2, "4-7/26").asks_nothing();
    script.block(2, 4, "efgh");
    assert_eq!(script.done().rounds, 0);
}

#[test]
fn hu12_a_repair_that_no_message_holds_is_asked_for_in_a_smaller_one() {
    let mut script = granted();
    for at in (0..26).step_by(2) {
        script.block(1, at, "x");
    }
    script.loses(12);
    let all = script.sent().unwrap();
    let limit = all.len() - 1;
    script.client.handle_rejected(script.now, limit);
    script.poll();
    script.limit = limit;
    script.asks(3, "1-1,3-3,5-5,7-7,9-9,11-11,13-13,15-15,17-17,19-19,21-21");
}

#[test]
fn hu8_numbers_that_have_gone_round_pass_over_the_exchange_under_way() {
    let mut script = Script::dccp();
    script.now += RTT;
    script.says(
        "HTTP/1.0 200 OK\r\nContent-Length: 999999\r\nETag: \"a\"\r\n\
         Body-Framing: offset;exchange=1;beside\r\n\r\n",
    );
    let mut expected = 2;
    for repair in 0..16_390 {
        let at = repair * 2;
        script.events.clear();
        script.block(1, at + 1, "x").loses(1);
        script.asks(expected, &format!("{at}-{at}"));
        script.now += RTT;
        script.part(expected, &format!("{at}-{at}/999999"));
        script.block(expected, at, "y");
        assert_eq!(script.body().len(), 2, "{repair}");
        expected = if expected == 16383 { 2 } else { expected + 1 };
    }
}

#[test]
fn hu4_a_head_that_is_known_to_be_lost_is_asked_for_at_once() {
    let mut script = Script::dccp();
    script.now += RTT;
    script.block(1, 0, "ab");
    let wait = script.client.poll_timeout().unwrap() - script.now;
    assert_eq!(wait, RTT, "it may be late");
    script.loses(1);
    assert_eq!(script.waits(), Duration::ZERO);
    assert!(script.sent().is_some());
    // Once: the answer to that takes its time.
    script.loses(1).block(1, 2, "cd").asks_nothing();
    assert_ne!(script.client.poll_timeout(), Some(script.now));
    // A peer without the framing may take a copy for another request.
    let mut script = Script::dccp();
    script.now += RTT;
    script.says("hello").loses(1).asks_nothing();
    assert_ne!(script.client.poll_timeout(), Some(script.now));
}

#[test]
fn hu8_without_a_validator_nothing_is_asked_for_beside_a_body() {
    let mut script = Script::dccp();
    script.now += RTT;
    script.says(
        "HTTP/1.0 200 OK\r\nContent-Length: 26\r\nBody-Framing: offset;exchange=1;beside\r\n\r\n",
    );
    script.block(1, 0, "ab").block(1, 4, "ef");
    script.loses(1).asks_nothing();
}
