use proptest::prelude::*;

use super::*;

type Read = Result<Option<(ResponseHead, Vec<u8>)>, HeadError>;

/// What a stream of these pieces holds: the final head, and the body that came with it.
fn feed(pieces: &[&[u8]], limits: Limits) -> Read {
    let mut reader = ResponseReader::new(limits);
    for (n, piece) in pieces.iter().enumerate() {
        let mut rest = Bytes::copy_from_slice(piece);
        if let Some(head) = reader.feed(&mut rest)? {
            let body = [&rest[..], &pieces[n + 1..].concat()].concat();
            return Ok(Some((head, body)));
        }
        assert!(rest.is_empty());
    }
    Ok(None)
}

/// What a stream holds; any two pieces and single bytes must lead to the same.
fn read_with(stream: &[u8], limits: Limits) -> Read {
    let read = feed(&[stream], limits);
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(feed(&[first, second], limits), read, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(feed(&bytes, limits), read, "byte by byte");
    read
}

#[track_caller]
fn head(stream: &str) -> ResponseHead {
    match read_with(stream.as_bytes(), Limits::default()) {
        Ok(Some((head, _))) => head,
        other => panic!("{stream:?}: {other:?}"),
    }
}

#[track_caller]
fn error(stream: &str) -> HeadError {
    read_with(stream.as_bytes(), Limits::default()).expect_err(stream)
}

#[track_caller]
fn malformed(streams: &[&str]) {
    for stream in streams {
        assert!(
            matches!(error(stream), HeadError::Malformed(_)),
            "{stream:?}"
        );
    }
}

fn length(stream: &str) -> Result<BodyLength, HeadError> {
    head(stream).body_length(Method::Get)
}

#[test]
fn hs5_the_heads_of_the_seed_are_read() {
    let (head, body) = read_with(
        b"HTTP/1.0 200 OK\nContent-Type: text/html\n\n<html>",
        Limits::default(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        (head.minor, head.status, head.reason.as_str()),
        (0, Status::OK, "OK")
    );
    assert_eq!(head.fields.single("content-type"), Some(&b"text/html"[..]));
    assert_eq!(head.body_length(Method::Get), Ok(BodyLength::UntilClose));
    assert_eq!(body, b"<html>");
}

#[test]
fn hk1_status_lines_are_read_with_tolerance() {
    for (line, reason) in [
        ("HTTP/1.1 404 Not Found", "Not Found"),
        ("HTTP/1.1 404", ""),
        ("HTTP/1.1 404 ", ""),
        ("HTTP/1.1 \t 404\tNot Found", "Not Found"),
    ] {
        let head = head(&format!("{line}\r\n\r\n"));
        assert_eq!(
            (head.minor, head.status, head.reason.as_str()),
            (1, Status::NOT_FOUND, reason)
        );
    }
    assert_eq!(head("HTTP/1.9 999 x\n\n").status.code(), 999);
}

#[test]
fn hk1_other_status_lines_are_malformed() {
    for line in [
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 20x OK",
        "HTTP/1.1 -12 OK",
        "HTTP/1.1 OK",
        "HTTP/1 200 OK",
        "HTTP/1. 200 OK",
        "HTTP/.1 200 OK",
        "HTTP/01.1 200 OK",
        "HTTP/1.01 200 OK",
        "HTTP/11.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1200 OK",
        "HTTP/x.1 200 OK",
        "HTTP/1.1 200 \0",
        "HTTP/1.1 200 OK\rA: b",
    ] {
        malformed(&[&format!("{line}\r\n\r\n")]);
    }
    assert_eq!(
        error("HTTP/2.0 200 OK\r\n\r\n"),
        HeadError::UnsupportedVersion
    );
    assert_eq!(
        error("HTTP/0.9 200 OK\r\n\r\n"),
        HeadError::UnsupportedVersion
    );
}

#[test]
fn hk1_what_is_not_http_is_known_by_its_first_bytes() {
    for stream in [
        "<html>",
        "H3",
        "HTTPS/1.0",
        "http/1.0",
        "\r\nHTTP/1.0 200 OK\r\n\r\n",
        "HTML",
    ] {
        assert_eq!(error(stream), HeadError::NotHttp, "{stream:?}");
    }
    let mut reader = ResponseReader::new(Limits::default());
    assert_eq!(reader.feed(&mut Bytes::from("HT")), Ok(None));
    let mut piece = Bytes::from("ML>");
    assert_eq!(reader.feed(&mut piece), Err(HeadError::NotHttp));
    assert_eq!((reader.unfinished(), &piece[..]), (&b"HT"[..], &b"ML>"[..]));
}

#[test]
fn hk2_interim_heads_are_skipped_up_to_a_limit() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let limits = Limits {
        interim: 2,
        ..Limits::default()
    };
    let stream = |count: usize| interim.repeat(count) + "HTTP/1.1 200 OK\r\n\r\nbody";
    let (head, body) = read_with(stream(2).as_bytes(), limits).unwrap().unwrap();
    assert_eq!(
        (head.status, head.fields.len(), &body[..]),
        (Status::OK, 0, &b"body"[..])
    );
    assert_eq!(
        read_with(stream(3).as_bytes(), limits),
        Err(HeadError::TooManyInterim)
    );
    assert_eq!(read_with(interim.as_bytes(), limits), Ok(None));
    malformed(&[
        &format!("{interim}\r\nHTTP/1.1 200 OK\r\n\r\n"),
        &format!("{interim}<html>"),
    ]);
}

#[test]
fn hk2_after_101_no_other_head_is_awaited() {
    let head = head("HTTP/1.1 101 Switching Protocols\r\n\r\n\x02\x01");
    assert_eq!(head.status.code(), 101);
    assert_eq!(head.body_length(Method::Get), Ok(BodyLength::None));
}

#[test]
fn hk3_a_reason_is_safe_to_print() {
    for (reason, shown) in [
        ("\x1b[31mred\x07", "\u{fffd}[31mred\u{fffd}"),
        ("Ori\u{eb}ntatie\u{85}", "Ori\u{eb}ntatie\u{fffd}"),
        ("a\tb", "a b"),
        ("\u{202e}evil\u{2066}", "\u{fffd}evil\u{fffd}"),
    ] {
        assert_eq!(
            head(&format!("HTTP/1.0 200 {reason}\r\n\r\n")).reason,
            shown
        );
    }
    let read = read_with(b"HTTP/1.0 200 \xff\r\n\r\n", Limits::default());
    assert_eq!(read.unwrap().unwrap().0.reason, "\u{fffd}");
}

#[test]
fn hk4_some_responses_have_no_body_whatever_they_say() {
    for status in ["204 No Content", "304 Not Modified"] {
        for field in [
            "Content-Length: 5",
            "Content-Length: x",
            "Transfer-Encoding: chunked",
        ] {
            let stream = format!("HTTP/1.1 {status}\r\n{field}\r\n\r\n");
            assert_eq!(length(&stream), Ok(BodyLength::None));
        }
    }
    let head = head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(head.body_length(Method::Head), Ok(BodyLength::None));
    assert_eq!(head.body_length(Method::Get), Ok(BodyLength::Known(5)));
}

#[test]
fn hk4_the_length_is_known_or_lasts_until_the_end() {
    let with = |fields: &str| length(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    assert_eq!(with(""), Ok(BodyLength::UntilClose));
    assert_eq!(with("Content-Length: 0\r\n"), Ok(BodyLength::Known(0)));
    assert_eq!(
        with("Content-Length: 5, 5\r\ncontent-length: 5\r\n"),
        Ok(BodyLength::Known(5))
    );
    assert_eq!(with("Content-Length : 5\r\n"), Ok(BodyLength::Known(5)));
    for fields in [
        "Content-Length: -5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 05\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\n 6\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
    ] {
        assert!(
            matches!(with(fields), Err(HeadError::Malformed(_))),
            "{fields:?}"
        );
    }
}

#[test]
fn hk5_continued_lines_are_joined_with_a_space() {
    let head = head("HTTP/1.0 200 OK\r\nA: b\r\n c \n\t d\r\n \r\nB:\r\n e\r\nC: f\r\n\r\n");
    let lines: Vec<_> = head.fields.iter().collect();
    assert_eq!(lines, [("A", &b"b c d"[..]), ("B", b"e"), ("C", b"f")]);
    malformed(&["HTTP/1.0 200 OK\r\n A: b\r\n\r\n"]);
}

#[test]
fn field_lines_that_no_rule_allows_are_malformed() {
    malformed(&[
        "HTTP/1.0 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.0 200 OK\r\nA: b\x1b\r\n\r\n",
        "HTTP/1.0 200 OK\r\nA\r\n\r\n",
        "HTTP/1.0 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.0 200 OK\r\nA b: c\r\n\r\n",
    ]);
}

#[test]
fn hk8_a_head_at_its_limits_is_read_and_a_larger_one_is_not() {
    let limits = Limits {
        head: 40,
        fields: 2,
        ..Limits::default()
    };
    let sized = |length: usize| format!("HTTP/1.0 200 {}\r\n\r\nbody", "a".repeat(length - 17));
    assert!(read_with(sized(40).as_bytes(), limits).unwrap().is_some());
    assert_eq!(
        read_with(sized(41).as_bytes(), limits),
        Err(HeadError::TooLarge)
    );
    assert_eq!(
        read_with(&[b"HTTP/", &[b'a'; 100][..]].concat(), limits),
        Err(HeadError::TooLarge)
    );

    let counted = |count: usize| format!("HTTP/1.0 200 OK\r\n{}\r\n", "A:\r\n".repeat(count));
    assert!(read_with(counted(2).as_bytes(), limits).unwrap().is_some());
    assert_eq!(
        read_with(counted(3).as_bytes(), limits),
        Err(HeadError::TooManyFields)
    );
}

#[test]
fn hk8_no_byte_beyond_the_limit_is_judged() {
    let limits = Limits {
        head: 1,
        ..Limits::default()
    };
    assert_eq!(read_with(b"HX", limits), Err(HeadError::TooLarge));
    assert_eq!(read_with(b"X", limits), Err(HeadError::NotHttp));
}

#[test]
fn hm5_heads_and_bodies_may_share_messages_and_heads_may_be_cut() {
    let mut reader = ResponseReader::new(Limits::default());
    let mut stream = Bytes::from("HTTP/1.0 200 OK\r\n\r\nHTTP/1.0 404 Not Found\r\n\r\nx");
    assert_eq!(
        reader.feed(&mut stream).unwrap().unwrap().status,
        Status::OK
    );
    assert_eq!(
        reader.feed(&mut stream).unwrap().unwrap().status,
        Status::NOT_FOUND
    );
    assert_eq!(stream, "x");
    assert!(reader.unfinished().is_empty());
}

#[test]
fn hu4_a_message_begins_with_its_whole_head() {
    let limits = Limits::default();
    let mut message = Bytes::from("HTTP/1.0 206 Partial Content\r\nContent-Length: 3\r\n\r\nabc");
    let head = ResponseHead::parse(&mut message, &limits).unwrap();
    assert_eq!(
        (head.status, &message[..]),
        (Status::PARTIAL_CONTENT, &b"abc"[..])
    );

    let mut message = Bytes::from("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(
        ResponseHead::parse(&mut message, &limits)
            .unwrap()
            .status
            .code(),
        100
    );

    for (text, error) in [
        ("<html>", HeadError::NotHttp),
        (
            "HTTP/1.0 200 OK\r\nA: b",
            HeadError::Malformed("message ends within the head"),
        ),
        ("HTTP/2.0 200 OK\r\n\r\n", HeadError::UnsupportedVersion),
    ] {
        let mut message = Bytes::from(text);
        assert_eq!(ResponseHead::parse(&mut message, &limits), Err(error));
        assert_eq!(message, text);
    }
}

#[test]
fn hr1_a_status_line_has_its_second_space_without_a_reason_too() {
    let mut fields = Fields::new();
    fields.push("Content-Length", "0");
    let mut out = Vec::new();
    write(&mut out, Status::OK, &fields);
    assert_eq!(out, b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");

    let mut out = Vec::new();
    write(&mut out, Status::new(299).unwrap(), &Fields::new());
    assert_eq!(out, b"HTTP/1.0 299 \r\n\r\n");
}

#[test]
fn what_would_split_a_response_is_not_written() {
    let mut fields = Fields::new();
    fields.push("Location", "/\r\nSet-Cookie: a\0\x1b\tb");
    fields.push("A: b\r\nC", "d");
    let mut out = Vec::new();
    write(&mut out, Status::MOVED_PERMANENTLY, &fields);
    assert_eq!(
        out,
        b"HTTP/1.0 301 Moved Permanently\r\nLocation: /  Set-Cookie: a  \tb\r\n\r\n"
    );
}

/// A field name.
const NAME: &str = "[!#-'*+.0-9A-Z^-z|~-]{1,9}";
/// A field value without white space at its ends.
const VALUE: &str = "([!-~\u{a0}-\u{ff}]([ \t!-~]{0,20}[!-~])?)?";

/// Bytes that often come close to a response.
fn response_like() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "HTTP/1.0 200 OK",
        "HTTP/1.1 ",
        "HTTP/",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "200",
        " ",
        "\t",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "A: b",
        ":",
        "Content-Length: ",
        "5",
        ",",
        "\r\n\r\n",
        "\n ",
        "\u{e9}",
        "Transfer-Encoding: x",
    ]);
    let fragments =
        (any::<bool>(), prop::collection::vec(fragment, 0..24)).prop_map(|(http, f)| {
            let start = if http { "HTTP/1.0 200 OK\r\n" } else { "" };
            (start.to_owned() + &f.concat()).into_bytes()
        });
    prop_oneof![fragments, prop::collection::vec(any::<u8>(), 0..120)]
}

proptest! {
    #[test]
    fn what_is_read_does_not_depend_on_the_cut(stream in response_like(), head in 0_usize..80) {
        let limits = Limits { head, fields: 2, interim: 1 };
        for limits in [limits, Limits::default()] {
            if let Ok(Some((head, _))) = read_with(&stream, limits) {
                let _ = head.body_length(Method::Get);
                prop_assert!(!head.reason.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn a_written_head_is_read_as_it_was(
        code in 200_u16..1000,
        lines in prop::collection::vec((NAME, VALUE), 0..9),
        body in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let status = Status::new(code).unwrap();
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value);
        }
        let mut out = Vec::new();
        write(&mut out, status, &fields);
        out.extend_from_slice(&body);
        let mut message = Bytes::from(out);
        let head = ResponseHead::parse(&mut message, &Limits::default()).unwrap();
        let reason = status.reason().to_owned();
        prop_assert_eq!(head, ResponseHead { minor: 0, status, reason, fields });
        prop_assert_eq!(message, body);
    }

    #[test]
    fn whatever_the_fields_hold_a_written_head_has_one_empty_line_at_its_end(
        lines in prop::collection::vec((any::<String>(), any::<Vec<u8>>()), 0..5),
    ) {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value);
        }
        let mut out = Vec::new();
        write(&mut out, Status::OK, &fields);
        let mut message = Bytes::from(out);
        prop_assert!(ResponseHead::parse(&mut message, &Limits::default()).is_ok());
        prop_assert!(message.is_empty());
    }
}
