//! Repairs while the body still flows.

use super::*;

impl Script {
    /// A server that has sent the head and two blocks of exchange 1.
    fn flowing(length: usize) -> Self {
        Self::flowing_with(Config::new(Delivery::Unreliable), length)
    }

    fn flowing_with(config: Config, length: usize) -> Self {
        let mut script = Self::with(config, length);
        script.asks(1, "");
        for _ in 0..3 {
            assert!(script.sends_one().is_some());
        }
        script
    }

    fn asks_beside(&mut self, exchange: u16, range: &str) -> &mut Self {
        self.says(beside(exchange, range))
    }

    /// The next message is the head of this repair.
    #[track_caller]
    fn sends_head(&mut self, exchange: u16, range: &str) -> &mut Self {
        let (_, message) = self.sends_one().unwrap();
        let head = head(&message);
        assert_eq!(
            field(&head, "Body-Framing").unwrap(),
            format!("offset;exchange={exchange};beside")
        );
        assert_eq!(field(&head, "Content-Range").unwrap(), range);
        self
    }
}

fn beside(exchange: u16, range: &str) -> String {
    format!(
        "GET /f HTTP/1.0\r\nIf-Range: \"v\"\r\nRange: bytes={range}\r\n\
         Body-Framing: offset;exchange={exchange};beside\r\n\r\n"
    )
}

#[test]
fn hu10_a_repair_beside_the_body_comes_first_and_then_the_body_goes_on() {
    let mut script = Script::flowing(8000);
    script.asks_beside(2, "0-9,100-199");
    script.sends_head(2, "bytes 0-199/8000");
    let sent = script.sends();
    assert_eq!(
        blocks(&sent, &script.file),
        [
            (2, 0, 10),
            (2, 100, 100),
            (1, 2832, 1416),
            (1, 4248, 1416),
            (1, 5664, 1416),
            (1, 7080, 920)
        ]
    );
    // It is one answer, and of the body each byte went out once.
    assert_eq!(script.summaries.len(), 1);
    let Summary {
        body_bytes,
        complete,
        ..
    } = script.summaries[0];
    assert_eq!((body_bytes, complete), (8000, true));
    assert_eq!(script.server.disposition(), Disposition::Open);
}

#[test]
fn hu10_a_repair_waits_for_bytes_that_were_asked_for_before_it() {
    let mut script = Script::dccp(200_000);
    script.asks(1, "");
    let mut out = Vec::new();
    // A repair comes between each two messages, also when the application owes bytes.
    for number in 2..150 {
        let sent = script
            .server
            .poll_transmit(script.now, script.limit, &mut out);
        assert!(sent.is_some());
        out.clear();
        let request = Bytes::from(beside(number, "5-9"));
        script
            .server
            .handle_datagram(script.now, Datagram::message((), request));
        script.poll();
    }
    script.sends();
    assert_eq!(script.server.disposition(), Disposition::Open);
    assert!(script.summaries[0].complete);
    assert_eq!(script.summaries[0].body_bytes, 200_000);
}

#[test]
fn hu2_a_copy_of_a_request_brings_the_head_of_its_exchange_again() {
    let mut script = Script::flowing(8000);
    script.asks_beside(2, "0-9").sends_head(2, "bytes 0-9/8000");
    script.asks_beside(2, "0-9").sends_head(2, "bytes 0-9/8000");
    let (_, block) = script.sends_one().unwrap();
    assert_eq!(blocks(&[block], &script.file), [(2, 0, 10)]);
    script.asks_beside(2, "0-9").sends_head(2, "bytes 0-9/8000");
    // The head of the body comes before all.
    let (_, block) = script
        .asks_beside(3, "7-7")
        .asks(1, "")
        .sends_one()
        .unwrap();
    assert_eq!(head(&block).status, Status::OK);
    script.sends_head(3, "bytes 7-7/8000");
    let sent = script.sends();
    assert_eq!(
        blocks(&sent, &script.file)[..2],
        [(3, 7, 1), (1, 2832, 1416)]
    );
    // When all is sent it is the same.
    script.asks_beside(3, "7-7").sends_head(3, "bytes 7-7/8000");
    assert!(script.sends().is_empty());
}

#[test]
fn hu10_as_many_repairs_are_kept_as_configured_and_others_are_taken_later() {
    let config = Config {
        max_besides: 2,
        ..Config::new(Delivery::Unreliable)
    };
    let mut script = Script::flowing_with(config, 8000);
    for number in 2..=4 {
        script.asks_beside(number, "0-9");
    }
    for number in 2..=3 {
        script.sends_head(number, "bytes 0-9/8000").sends_one();
    }
    script.asks_beside(4, "0-9").sends_head(4, "bytes 0-9/8000");
    // The oldest is forgotten.
    script.sends_one();
    script.asks_beside(2, "0-9");
    let (_, next) = script.sends_one().unwrap();
    assert_eq!(blocks(&[next], &script.file), [(1, 2832, 1416)]);
}

#[test]
fn hu10_a_server_that_takes_no_repairs_beside_a_body_does_not_say_so() {
    let config = Config {
        max_besides: 0,
        ..Config::new(Delivery::Unreliable)
    };
    let mut script = Script::with(config, 8000);
    script.asks(1, "");
    let (_, first) = script.sends_one().unwrap();
    let framing = field(&head(&first), "Body-Framing").unwrap();
    assert_eq!(framing, "offset;exchange=1");
    let sent = script.asks_beside(2, "0-9").sends();
    assert_eq!(blocks(&sent[1..], &script.file), [(2, 0, 10)]);
}

#[test]
fn hu8_what_is_no_repair_of_what_is_sent_takes_its_place() {
    let other =
        "GET /g HTTP/1.0\r\nRange: bytes=0-9\r\nBody-Framing: offset;exchange=2;beside\r\n\r\n";
    let whole = "GET /f HTTP/1.0\r\nBody-Framing: offset;exchange=2;beside\r\n\r\n";
    let head_only =
        "HEAD /f HTTP/1.0\r\nRange: bytes=0-9\r\nBody-Framing: offset;exchange=2;beside\r\n\r\n";
    let changed = beside(2, "0-9").replace("\"v\"", "\"w\"");
    let behind = beside(2, "8000-");
    for request in [other, whole, head_only, &changed, &behind] {
        let mut script = Script::flowing(8000);
        let sent = script.says(request.to_owned()).sends();
        assert_eq!(
            field(&head(&sent[0]), "Body-Framing").unwrap(),
            "offset;exchange=2;beside"
        );
        let first = script.summaries[0];
        assert_eq!(
            (first.complete, first.body_bytes),
            (false, 2832),
            "{request}"
        );
        assert_eq!(script.summaries.len(), 2);
        let rest = sent[1..].iter().filter(|message| message[1] == 1);
        assert_eq!(rest.count(), 0, "{request}");
    }
}

#[test]
fn hu8_an_earlier_number_beside_a_body_means_nothing() {
    let mut script = Script::flowing(8000);
    script.asks_beside(5, "0-9").sends_head(5, "bytes 0-9/8000");
    script.sends_one();
    script.asks_beside(4, "0-9").asks(3, "");
    let (_, next) = script.sends_one().unwrap();
    assert_eq!(blocks(&[next], &script.file), [(1, 2832, 1416)]);
    // A later one without the parameter ends all.
    script.asks_beside(6, "0-9");
    let sent = script.asks(7, "Range: bytes=1-2\r\n").sends();
    assert_eq!(blocks(&sent[1..], &script.file), [(7, 1, 2)]);
}

#[test]
fn hu10_a_repair_after_the_last_block_is_an_answer_of_its_own() {
    let mut script = Script::flowing(2900);
    script.sends();
    assert_eq!(script.summaries.len(), 1);
    script.asks_beside(2, "0-9").sends_head(2, "bytes 0-9/2900");
    assert_eq!(blocks(&script.sends(), &file(2900)), [(2, 0, 10)]);
    assert_eq!(script.summaries.len(), 2);
}

#[test]
fn hu12_what_is_refused_of_a_repair_is_cut_smaller() {
    let mut script = Script::flowing(8000);
    script
        .asks_beside(2, "0-1415")
        .sends_head(2, "bytes 0-1415/8000");
    script.server.handle_rejected(script.now, 1424);
    script.sends_head(2, "bytes 0-1415/8000").sends_one();
    script.limit = 708;
    script.server.handle_rejected(script.now, 708);
    let sent = script.sends();
    assert_eq!(
        blocks(&sent[..3], &script.file),
        [(2, 0, 700), (2, 700, 700), (2, 1400, 16)]
    );
    assert_eq!(script.summaries[0].body_bytes, 8000);
}

#[test]
fn hu11_the_idle_timer_follows_what_went_last() {
    let mut script = Script::dccp(100_000);
    script.asks(1, "");
    while script.sends_one().is_some() {
        script.now += Duration::from_secs(1);
        script.server.handle_timeout(script.now);
        script.poll();
        assert_eq!(script.server.disposition(), Disposition::Open);
    }
    let mut waited = Duration::from_secs(1);
    while script.server.disposition() == Disposition::Open {
        waited += script.waits();
    }
    // The last message went a second before the loop found that there is none.
    assert_eq!(waited, Duration::from_secs(15));
}

#[test]
fn hr1_the_date_of_a_repair_is_when_it_was_made() {
    let mut script = Script::flowing(8000);
    script.now += Duration::from_secs(60);
    script.asks_beside(2, "0-9");
    let (_, message) = script.sends_one().unwrap();
    let date = field(&head(&message), "Date").unwrap();
    assert_eq!(date, HttpDate::from_unix(NOW.unix() + 60).to_string());
}
