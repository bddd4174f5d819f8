use proptest::prelude::*;

use super::*;

/// The verdict on a whole message; any two pieces and single bytes must lead to the same.
fn read_with(message: &[u8], limits: Limits) -> Result<Request, Rejection> {
    let verdict = parse(message, &limits);
    for cut in 0..=message.len() {
        let (first, second) = message.split_at(cut);
        assert_eq!(feed(&[first, second], limits), verdict, "cut at {cut}");
    }
    let mut bytes: Vec<&[u8]> = message.chunks(1).collect();
    bytes.push(b"");
    assert_eq!(feed(&bytes, limits), verdict, "byte by byte");
    verdict
}

fn feed(pieces: &[&[u8]], limits: Limits) -> Result<Request, Rejection> {
    let mut reader = RequestReader::new(limits);
    let mut verdict = None;
    for (n, piece) in pieces.iter().enumerate() {
        let given = match reader.feed(piece, n + 1 == pieces.len()) {
            Progress::Complete(request) => verdict.replace(Ok(request)),
            Progress::Rejected(rejection) => verdict.replace(Err(rejection)),
            Progress::Incomplete => verdict.clone(),
            Progress::Dropped => None,
        };
        assert_eq!(given, None, "a second verdict, or none after one");
    }
    verdict.expect("a verdict at the end of the message")
}

fn read(message: &[u8]) -> Result<Request, Rejection> {
    read_with(message, Limits::default())
}

#[track_caller]
fn accepted(message: &[u8]) -> Request {
    read(message).unwrap_or_else(|rejection| panic!("{rejection:?}"))
}

/// Asserts that each message is rejected with this status, and with a head and a body.
#[track_caller]
fn rejected(code: u16, messages: &[&[u8]]) {
    for message in messages {
        let rejection = read(message).expect_err(&message.escape_ascii().to_string());
        assert_eq!(
            (
                rejection.status.code(),
                rejection.head_only,
                rejection.simple
            ),
            (code, false, false),
            "{} {}",
            message.escape_ascii(),
            rejection.reason
        );
    }
}

fn code(message: &[u8], limits: Limits) -> u16 {
    read_with(message, limits).unwrap_err().status.code()
}

#[test]
fn hm6_a_request_ends_with_its_message() {
    for message in [
        "GET /x HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.0\r\nHost: a\r\n",
        "GET /x HTTP/1.0\r\nHost: a",
        "GET /x HTTP/1.0\nHost: a\n\n",
        "GET /x HTTP/1.0\nHost: a",
    ] {
        let request = accepted(message.as_bytes());
        assert_eq!(request.target, "/x", "{message:?}");
        assert_eq!(request.fields.single("host"), Some(&b"a"[..]));
    }
    let request = accepted(b"GET /x HTTP/1.0");
    assert!(request.fields.is_empty());
    rejected(
        400,
        &[
            b"",
            b"G",
            b"GET /x HTTP/1.0\r",
            b"GET /x HTTP/1.0\r\nHost: a\r",
        ],
    );
}

#[test]
fn hm6_no_verdict_comes_before_the_end() {
    let mut reader = RequestReader::new(Limits::default());
    for byte in b"GET / HTTP/1.0\r\n\r\n" {
        assert_eq!(reader.feed(&[*byte], false), Progress::Incomplete);
    }
    assert!(matches!(reader.feed(b"", true), Progress::Complete(_)));
    assert_eq!(reader.feed(b"junk", true), Progress::Dropped);
    assert_eq!(reader.after_head(), 4);
}

#[test]
fn hm8_bytes_that_no_content_length_covers_are_refused() {
    rejected(
        400,
        &[
            b"GET / HTTP/1.0\r\n\r\n\n",
            b"GET / HTTP/1.0\r\n\r\nGET /secret HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello!",
        ],
    );
    let rejection = read(b"HEAD / HTTP/1.0\r\n\r\nx").unwrap_err();
    assert!(rejection.head_only);
    let rejection = read(b"GET /\r\n\r\nx").unwrap_err();
    assert!(rejection.simple);
}

#[test]
fn hp1_two_empty_lines_before_the_request_line_are_skipped() {
    for before in ["", "\r\n", "\n", "\r\n\n"] {
        let message = format!("{before}GET / HTTP/1.0\r\n\r\n");
        assert_eq!(accepted(message.as_bytes()).target, "/", "{before:?}");
    }
    rejected(
        400,
        &[
            b"\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            b"\r\n",
            b"\r\r\nGET / HTTP/1.0",
        ],
    );
}

#[test]
fn hp2_a_bare_cr_or_a_nul_is_refused_wherever_it_is() {
    rejected(
        400,
        &[
            b"GET / HTTP/1.0\rHost: a\r\n\r\n",
            b"GET\r/ HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.0\r\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: b\rc\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: b\r\r\n\r\n",
            b"GET / HTTP/1.0\r\nA\r: b\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: b\r\n\rc",
            b"G\0T / HTTP/1.0\r\n\r\n",
            b"GET /\0 HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: b\0\r\n\r\n",
            b"GET / HTTP/1.0\r\n\0: b\r\n\r\n",
        ],
    );
}

#[test]
fn hp3_words_are_split_at_any_number_of_spaces_and_tabs_only() {
    let request = accepted(b"GET \t /x\t\tHTTP/1.0  \r\n\r\n");
    assert_eq!(
        (request.target.as_str(), request.form),
        ("/x", Form::Full { minor: 0 })
    );
    rejected(
        400,
        &[
            b"GET\x0b/ HTTP/1.0\r\n\r\n",
            b"GET /\x0c/ HTTP/1.0\r\n\r\n",
            b"GET\xa0/ HTTP/1.0",
        ],
    );
}

#[test]
fn hp4_two_words_are_http_0_9_for_get_alone() {
    for message in [
        &b"GET /x"[..],
        b"GET /x\r\n",
        b"GET /x\n",
        b"GET /x\r\n\r\n",
        b"\r\nGET /x\r\n",
    ] {
        let request = accepted(message);
        assert_eq!(
            (request.form, request.target.as_str()),
            (Form::Simple, "/x")
        );
    }
    rejected(
        400,
        &[
            b"POST /x\r\n",
            b"NONE /x\r\n",
            b"GET\r\n",
            b"GET /x\r\nHost: a\r\n\r\n",
        ],
    );
    // A missing target, not a target of this name.
    rejected(400, &[b"GET HTTP/1.0\r\n\r\n"]);
    assert!(read(b"HEAD /x\r\n").unwrap_err().head_only);
    assert!(read(b"GET /\x7f\r\n").unwrap_err().simple);
}

#[test]
fn hp5_hp8_any_minor_version_of_major_version_1_is_served() {
    for (version, minor) in [
        ("1.0", 0),
        ("1.1", 1),
        ("1.2", 2),
        ("1.999", 999),
        ("01.001", 1),
    ] {
        let message = format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n");
        assert_eq!(
            accepted(message.as_bytes()).form,
            Form::Full { minor },
            "{version}"
        );
    }
    for version in [
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/10.0",
        "HTTP/000.0",
        "HTTP/5.6",
    ] {
        rejected(505, &[format!("GET / {version}\r\n\r\n").as_bytes()]);
    }
    for version in [
        "http/1.0",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/1.0000",
        "HTTP/1000.0",
        "HTTP/1.0.0",
        "HTTP/+1.0",
        "HTTP/1.x",
        "HTTP1.0",
        "XHTTP/1.0",
        "HTTP",
        "1.0",
        "HTTP/1.\u{661}",
    ] {
        rejected(400, &[format!("GET / {version}\r\n\r\n").as_bytes()]);
    }
}

#[test]
fn hp6_seed_form_is_a_request_of_14_bytes() {
    let message = b"GET / HTTP 1.0";
    assert_eq!(message.len(), 14);
    let request = accepted(message);
    assert_eq!((request.form, request.target.as_str()), (Form::Seed, "/"));
    assert_eq!(request.method, Method::Get);

    let request = accepted(b"GET / HTTP 1.0\r\nRange: bytes=0-9\r\n\r\n");
    assert_eq!(request.form, Form::Seed);
    assert_eq!(request.fields.len(), 1);
}

#[test]
fn hp7_any_other_request_line_is_refused() {
    rejected(
        400,
        &[
            b"GET / HTTP 1.1",
            b"GET / http 1.0",
            b"GET / HTTP/1.0 1.0",
            b"GET /spaced out HTTP/1.0\r\n\r\n",
            b"GET / HTTP 1.0 x",
            b" \r\n",
        ],
    );
}

#[test]
fn hp9_known_methods_get_405_unknown_ones_501() {
    assert_eq!(accepted(b"HEAD / HTTP/1.0\r\n\r\n").method, Method::Head);
    for method in [
        "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ] {
        rejected(405, &[format!("{method} / HTTP/1.0\r\n\r\n").as_bytes()]);
    }
    let long = "M".repeat(300);
    for method in ["get", "Get", "GETS", "PRI", "!#$%&'*+-.^_`|~09", &long] {
        rejected(501, &[format!("{method} / HTTP/1.0\r\n\r\n").as_bytes()]);
    }
    rejected(
        400,
        &[
            b"G(T / HTTP/1.0",
            b":GET / HTTP/1.0",
            b"G\xc3\x84T / HTTP/1.0",
        ],
    );
}

#[test]
fn hp10_the_target_is_visible_ascii() {
    for target in [
        "*",
        "foo",
        "a:1",
        "http://h/x",
        "/a#b",
        "/%zz",
        "/\"<>\\^`{|}~",
    ] {
        let message = format!("GET {target} HTTP/1.0\r\n\r\n");
        assert_eq!(accepted(message.as_bytes()).target, target);
    }
    rejected(
        400,
        &[
            b"GET /\x7f HTTP/1.0",
            b"GET /\x01 HTTP/1.0",
            b"GET /\xc3\xa9 HTTP/1.0",
        ],
    );
}

#[test]
fn hp11_a_target_at_the_limit_is_served_and_a_longer_one_gets_414() {
    let limits = Limits {
        target: 20,
        head: 80,
        ..Limits::default()
    };
    let message = |length: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(length - 1));
    assert!(read_with(message(20).as_bytes(), limits).is_ok());
    assert_eq!(code(message(21).as_bytes(), limits), 414);
    // Over the limit of the head, by the target and by the request line.
    let fields = format!(
        "GET /{} HTTP/1.0\r\nA: {}\r\n\r\n",
        "a".repeat(30),
        "b".repeat(50)
    );
    assert_eq!(code(fields.as_bytes(), limits), 414);
    assert_eq!(code(message(200).as_bytes(), limits), 414);
    assert_eq!(code(&[b' '; 100], limits), 414);
}

#[test]
fn hp11_a_head_at_the_limit_is_served_and_a_longer_one_gets_431() {
    let message = |length: usize| {
        let head = "GET / HTTP/1.0\r\nA: \r\n\r\n";
        head.replace("A: ", &format!("A: {}", "b".repeat(length - head.len())))
    };
    let limits = Limits {
        head: 60,
        ..Limits::default()
    };
    assert!(read_with(message(60).as_bytes(), limits).is_ok());
    assert_eq!(code(message(61).as_bytes(), limits), 431);
    assert_eq!(code(message(500).as_bytes(), limits), 431);
    // What never ends within the message may fill the limit, and not exceed it.
    assert!(read_with(&message(64).as_bytes()[..60], limits).is_ok());
    assert_eq!(code(&message(64).as_bytes()[..61], limits), 431);
    let head_only = message(500).replace("GET", "HEAD");
    assert!(
        read_with(head_only.as_bytes(), limits)
            .unwrap_err()
            .head_only
    );
}

#[test]
fn hp11_the_fields_are_counted() {
    let message = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "A:\r\n".repeat(count));
    assert_eq!(accepted(message(100).as_bytes()).fields.len(), 100);
    rejected(431, &[message(101).as_bytes()]);
    let limits = Limits {
        fields: 0,
        ..Limits::default()
    };
    assert!(read_with(message(0).as_bytes(), limits).is_ok());
    assert_eq!(code(message(1).as_bytes(), limits), 431);
}

#[test]
fn hp11_an_oversized_message_is_refused_at_once_and_its_rest_counted() {
    let mut reader = RequestReader::new(Limits::default());
    assert_eq!(reader.feed(b"GET /", false), Progress::Incomplete);
    let piece = [b'a'; 65536];
    let Progress::Rejected(rejection) = reader.feed(&piece, false) else {
        panic!("refused at the limit");
    };
    assert_eq!(rejection.status, Status::URI_TOO_LONG);
    assert_eq!(rejection.line.len(), 203);
    for _ in 0..100 {
        assert_eq!(reader.feed(&piece, false), Progress::Dropped);
    }
    assert_eq!(reader.after_head(), 5 + 101 * 65536 - 16384);
    assert_eq!(reader.first_line(), rejection.line);
}

#[test]
fn hp12_field_lines_are_a_token_a_colon_and_a_value() {
    rejected(
        400,
        &[
            b"GET / HTTP/1.0\r\nHost : a\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost\t: a\r\n\r\n",
            b"GET / HTTP/1.0\r\n Host: a\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: b\r\n c\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: b\r\n\tc\r\n\r\n",
            b"GET / HTTP/1.0\r\n \r\n\r\n",
            b"GET / HTTP/1.0\r\n: b\r\n\r\n",
            b"GET / HTTP/1.0\r\nA\r\n\r\n",
            b"GET / HTTP/1.0\r\nA",
            b"GET / HTTP/1.0\r\nA(: b\r\n\r\n",
            b"GET / HTTP/1.0\r\n\xc3\xa4: b\r\n\r\n",
        ],
    );
}

#[test]
fn hp13_values_are_trimmed_and_opaque() {
    let request = accepted(b"GET / HTTP/1.0\r\nA: \t b\tc \t\r\nB:\r\nC:\xff\xfe\r\n\r\n");
    let lines: Vec<_> = request.fields.iter().collect();
    assert_eq!(lines, [("A", &b"b\tc"[..]), ("B", b""), ("C", b"\xff\xfe")]);
    rejected(
        400,
        &[
            b"GET / HTTP/1.0\r\nA: b\x1bc\r\n\r\n",
            b"GET / HTTP/1.0\r\nA: \x7f\r\n\r\n",
        ],
    );
}

#[test]
fn hp15_http_1_1_needs_one_host_and_http_1_0_none() {
    rejected(400, &[b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.2\r\n\r\n"]);
    assert!(read(b"GET / HTTP/1.0\r\n\r\n").is_ok());
    for version in ["HTTP/1.0", "HTTP/1.1", "HTTP 1.0"] {
        rejected(
            400,
            &[format!("GET / {version}\r\nHost: a\r\nHost: a\r\n\r\n").as_bytes()],
        );
    }
    for host in [
        "",
        "a",
        "a.b:80",
        "a:",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:80",
        "%C3%B1",
        "a=b",
    ] {
        let message = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(read(message.as_bytes()).is_ok(), "{host:?}");
    }
    for host in [
        "a b", "a/b", "u@a", "::1", "[::1", "a:b", "é", "a:80:80", "[a]b",
    ] {
        rejected(
            400,
            &[format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()],
        );
    }
}

#[test]
fn hp16_content_length_is_one_number() {
    let message = |value: &str| format!("GET / HTTP/1.0\r\nContent-Length: {value}\r\n\r\nhello");
    for value in ["5", "5, 5", "5\r\nContent-Length: 5", "005"] {
        assert_eq!(
            accepted(message(value).as_bytes()).content_length,
            5,
            "{value}"
        );
    }
    for value in [
        "+5",
        "0x5",
        "\x0b5",
        "5, 6",
        "5\r\nContent-Length: 6",
        "",
        "5,",
        "five",
    ] {
        rejected(400, &[message(value).as_bytes()]);
    }
    rejected(413, &[message("18446744073709551616").as_bytes()]);
}

#[test]
fn hp17_a_transfer_coding_is_refused() {
    for fields in [
        "Transfer-Encoding: chunked",
        "Content-Length: 5\r\ntransfer-encoding: x",
    ] {
        rejected(
            400,
            &[format!("GET / HTTP/1.0\r\n{fields}\r\n\r\n0\r\n\r\n").as_bytes()],
        );
        rejected(
            400,
            &[format!("GET / HTTP 1.0\r\n{fields}\r\n\r\n0\r\n\r\n").as_bytes()],
        );
        rejected(
            501,
            &[format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").as_bytes()],
        );
    }
}

#[test]
fn hp18_content_is_counted_up_to_the_limit() {
    let head = |length: u64| format!("HEAD / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
    assert_eq!(accepted(head(65536).as_bytes()).content_length, 65536);
    let rejection = read(head(65537).as_bytes()).unwrap_err();
    assert_eq!(
        (rejection.status, rejection.head_only),
        (Status::CONTENT_TOO_LARGE, true)
    );

    let mut reader = RequestReader::new(Limits::default());
    assert_eq!(
        reader.feed(head(65536).as_bytes(), false),
        Progress::Incomplete
    );
    assert_eq!(reader.feed(&[b'x'; 65535], false), Progress::Incomplete);
    assert!(matches!(reader.feed(b"x", true), Progress::Complete(_)));
    assert_eq!(reader.after_head(), 65536);
}

#[test]
fn hp18_content_that_does_not_come_is_not_waited_for() {
    let request = accepted(b"GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhe");
    assert_eq!(request.content_length, 5);
}

#[test]
fn hp19_an_expectation_is_ignored() {
    let request = accepted(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    assert!(request.fields.contains("Expect"));
}

#[test]
fn a_request_line_is_shown_without_control_characters() {
    let rejection = read(b"GET /\x1b[2J\"\\\xff HTTP/1.0\r\nA: b\r\n\r\n").unwrap_err();
    assert_eq!(rejection.line, "GET /\\x1B[2J\\\"\\\\\\xFF HTTP/1.0");
    assert_eq!(
        accepted(b"GET /\"\\ HTTP/1.1\r\nHost:\r\n").to_string(),
        "GET /\\\"\\\\ HTTP/1.1"
    );
    assert_eq!(accepted(b"HEAD / HTTP 1.0").to_string(), "HEAD / HTTP 1.0");
    assert_eq!(accepted(b"GET /").to_string(), "GET /");

    let mut reader = RequestReader::new(Limits::default());
    reader.feed(b"\r\nGET /sl", false);
    assert_eq!(reader.first_line(), "GET /sl");
}

#[test]
fn hk9_a_request_is_written_as_its_bytes_say() {
    let mut fields = Fields::new();
    fields.push("Host", "example.org");
    let mut out = Vec::new();
    write(&mut out, Method::Get, "/x?y", &fields).unwrap();
    assert_eq!(out, b"GET /x?y HTTP/1.0\r\nHost: example.org\r\n\r\n");

    let mut out = Vec::new();
    write_seed(&mut out, "/").unwrap();
    assert_eq!(out, b"GET / HTTP 1.0");
}

#[test]
fn what_would_split_a_request_is_not_written() {
    let mut out = b"before".to_vec();
    for target in ["", "/a b", "/\r\n", "/\0", "/é"] {
        let refused = write(&mut out, Method::Get, target, &Fields::new());
        assert_eq!(refused, Err(WriteError::Target), "{target:?}");
        assert_eq!(write_seed(&mut out, target), Err(WriteError::Target));
    }
    for (name, value, error) in [
        ("A", "b\r\nC: d", WriteError::FieldValue),
        ("A", "b\0", WriteError::FieldValue),
        ("A b", "c", WriteError::FieldName),
        ("", "c", WriteError::FieldName),
        ("A:", "c", WriteError::FieldName),
    ] {
        let mut fields = Fields::new();
        fields.push(name, value);
        assert_eq!(
            write(&mut out, Method::Get, "/", &fields),
            Err(error),
            "{name:?}"
        );
    }
    assert_eq!(out, b"before");
}

/// A field name that none of the rules is about.
const NAME: &str = "X-[!#-'*+.0-9A-Z^-z|~-]{0,9}";
/// A field value without white space at its ends.
const VALUE: &str = "([!-~\u{a0}-\u{ff}]([ \t!-~]{0,20}[!-~])?)?";

/// Bytes that often come close to a request.
fn request_like() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "GET ",
        "HEAD ",
        "POST ",
        "/",
        "a",
        " ",
        "\t",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "HTTP/1.0",
        "HTTP/1.1",
        "HTTP 1.0",
        "Host: a",
        "Content-Length: ",
        "3",
        ",",
        ":",
        "Transfer-Encoding: x",
        "\r\n\r\n",
        "\u{e9}",
    ]);
    let fragments = prop::collection::vec(fragment, 0..24).prop_map(|f| f.concat().into_bytes());
    prop_oneof![fragments, prop::collection::vec(any::<u8>(), 0..120)]
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_the_cut(message in request_like(), head in 0_usize..80) {
        let limits = Limits { head, target: 10, fields: 2, content: 4 };
        let _ = read_with(&message, limits);
        let _ = read_with(&message, Limits::default());
    }

    #[test]
    fn a_written_request_is_read_as_it_was(
        head_only: bool,
        target in "[!-~]{1,60}",
        lines in prop::collection::vec((NAME, VALUE), 0..9),
    ) {
        let method = if head_only { Method::Head } else { Method::Get };
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value);
        }
        let mut out = Vec::new();
        write(&mut out, method, &target, &fields).unwrap();
        let request = parse(&out, &Limits::default()).unwrap();
        let form = Form::Full { minor: 0 };
        prop_assert_eq!(request, Request { method, target, form, fields, content_length: 0 });
    }

    #[test]
    fn a_seed_request_is_read_as_it_was(target in "[!-~]{1,60}") {
        let mut out = Vec::new();
        write_seed(&mut out, &target).unwrap();
        let request = parse(&out, &Limits::default()).unwrap();
        prop_assert_eq!((request.form, request.target), (Form::Seed, target));
    }
}
