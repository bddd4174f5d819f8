use proptest::prelude::*;

use super::*;

/// The names, those that are not UTF-8 with U+FFFD.
fn segments(target: &str) -> Vec<String> {
    let path = TargetPath::parse(target).unwrap();
    let names = path.segments.iter();
    names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

fn status(target: &str) -> u16 {
    match TargetPath::parse(target) {
        Ok(_) => 200,
        Err(error) => error.status().code(),
    }
}

#[test]
fn hp10_a_path_is_taken_apart() {
    let path = TargetPath::parse("/a/b.html?x=1?y&z=%2f").unwrap();
    assert_eq!(path.segments(), [&b"a"[..], b"b.html"]);
    assert_eq!(path.query(), Some("x=1?y&z=%2f"));
    assert!(!path.is_directory());
    assert_eq!(TargetPath::parse("/a").unwrap().query(), None);
    assert_eq!(TargetPath::parse("/a?").unwrap().query(), Some(""));
}

#[test]
fn hp10_the_root_and_paths_that_end_in_a_slash_are_directories() {
    for target in [
        "/", "//", "/.", "/?x", "/a/", "/a//", "/a/.", "/a/%2e", "/a/?x", "/a/./",
    ] {
        assert!(
            TargetPath::parse(target).unwrap().is_directory(),
            "{target}"
        );
    }
    for target in ["/a", "/./a", "//a", "/a/b", "/a?/", "/a.", "/a/b..."] {
        assert!(
            !TargetPath::parse(target).unwrap().is_directory(),
            "{target}"
        );
    }
}

#[test]
fn hp10_the_authority_of_an_absolute_uri_is_ignored() {
    for target in [
        "http://host/a/b",
        "http://host:80/a/b",
        "HTTP://user@[::1]:8080//a/b",
        "http+sctp://host:8080/a/b",
        "http+dccp://host/a/./b",
    ] {
        assert_eq!(segments(target), ["a", "b"], "{target}");
    }
    for target in [
        "http://host",
        "http://host/",
        "http://host?x",
        "http+sctp://h",
    ] {
        assert_eq!(segments(target), [""; 0], "{target}");
        assert!(
            TargetPath::parse(target).unwrap().is_directory(),
            "{target}"
        );
    }
    assert_eq!(
        TargetPath::parse("http://host?x/y").unwrap().query(),
        Some("x/y")
    );
}

#[test]
fn hp10_other_forms_are_bad_requests() {
    for target in [
        "",
        "*",
        "foo",
        "foo/bar",
        ".",
        "..",
        "?x",
        "%2f",
        "\\",
        "host:80",
        "http:",
        "http:/",
        "http:/a",
        "http://",
        "http:///a",
        "http://:80/a",
        "http://?x",
        "ftp://host/a",
        "file:///etc/passwd",
        "http+sctp:/a",
        "httpx://host/a",
    ] {
        assert_eq!(status(target), 400, "{target:?}");
    }
}

#[test]
fn hp10_a_fragment_or_a_byte_that_is_not_visible_ascii_is_a_bad_request() {
    for target in [
        "/a#b",
        "/a?b#c",
        "/a b",
        "/a\tb",
        "/a\0",
        "/a\u{7f}",
        "/\u{e4}",
        "/a?\u{e4}",
        "/a\r\n",
    ] {
        assert_eq!(status(target), 400, "{target:?}");
    }
}

#[test]
fn hp21_the_path_is_decoded_once_and_without_the_query() {
    assert_eq!(segments("/%61%2Eb"), ["a.b"]);
    assert_eq!(segments("/a%3Fb"), ["a?b"]);
    assert_eq!(segments("/a%20b"), ["a b"]);
    assert_eq!(segments("/a+b"), ["a+b"]);
    assert_eq!(segments("/%252e%252e"), ["%2e%2e"]);
    assert_eq!(segments("/a?../%00/%zz"), ["a"]);
}

#[test]
fn hp21_a_bad_escape_or_nul_is_a_bad_request() {
    for target in [
        "/%",
        "/%4",
        "/%zz",
        "/%4g",
        "/%%41",
        "/%+1",
        "/%4/1",
        "/x%00.html",
        "/%2%35",
    ] {
        assert_eq!(status(target), 400, "{target}");
    }
    // Also when a later step would find something in an earlier segment.
    assert_eq!(status("/../.git/%5c/%"), 400);
}

#[test]
fn hp22_a_name_may_be_any_bytes_but_slash_and_nul() {
    assert_eq!(
        segments("/caf%C3%A9/%F0%9F%A6%80"),
        ["caf\u{e9}", "\u{1f980}"]
    );
    let names: [(&str, &[u8]); 8] = [
        ("/%ff", b"\xff"),
        ("/%c0%af", b"\xc0\xaf"),
        ("/%01", b"\x01"),
        ("/a%0d%0ab", b"a\r\nb"),
        ("/%7f", b"\x7f"),
        ("/a\\b", b"a\\b"),
        ("/a%5C..%5Cb", b"a\\..\\b"),
        ("/%e2%80%ae", b"\xe2\x80\xae"),
    ];
    for (target, name) in names {
        let path = TargetPath::parse(target).unwrap();
        assert_eq!(path.segments(), [name], "{target}");
        let again = TargetPath::parse(&format!("/{}", encode_name(name))).unwrap();
        assert_eq!(again.segments(), [name], "{target}");
    }
}

#[test]
fn hp23_empty_and_dot_segments_are_dropped_and_nothing_leads_upwards() {
    assert_eq!(segments("//a///./b/%2e/c"), ["a", "b", "c"]);
    assert_eq!(segments("/a.."), ["a.."]);
    for target in [
        "/..", "/a/..", "/a/../b", "/%2e%2e", "/.%2e/a", "/%2E./a", "/a%2fb", "/%2f", "/%2F..",
    ] {
        assert_eq!(status(target), 404, "{target}");
    }
}

#[test]
fn hp24_hidden_names_are_known() {
    let hidden = |target| TargetPath::parse(target).unwrap().is_hidden();
    for target in ["/.git", "/.git/config", "/a/.b", "/%2egit", "/...", "/.a/"] {
        assert!(hidden(target), "{target}");
    }
    for target in ["/", "/.", "/a/./b", "/a.", "/?.git"] {
        assert!(!hidden(target), "{target}");
    }
}

#[test]
fn security_4_the_traversal_list_never_gets_out() {
    for target in ["/../x", "/..%2fx", "/%2e%2e/x", "/a/%2e./x"] {
        assert_eq!(status(target), 404, "{target}");
    }
    assert_eq!(segments("/\\..\\x"), ["\\..\\x"]);
    assert_eq!(status("/x%00.html"), 400);
    assert_eq!(segments("//etc"), ["etc"]);
}

#[test]
fn hp26_a_location_begins_with_one_slash_and_is_escaped() {
    let location = |target: &str, slash| TargetPath::parse(target).unwrap().to_location(slash);
    assert_eq!(location("/a", true), "/a/");
    assert_eq!(location("/a/", false), "/a");
    assert_eq!(location("//evil.example/b", true), "/evil.example/b/");
    assert_eq!(location("http://evil.example//b", true), "/b/");
    assert_eq!(location("/", false), "/");
    assert_eq!(location("/", true), "/");
    assert_eq!(location("/?x", true), "/?x");
    assert_eq!(location("/a?x=1&y", true), "/a/?x=1&y");
    assert_eq!(location("/a?", true), "/a/?");
    assert_eq!(
        location("/a%20b'%22<>&%25%3F%23:@%e4%b8%ad", false),
        "/a%20b%27%22%3C%3E%26%25%3F%23%3A%40%E4%B8%AD"
    );
    assert_eq!(location("/-._~!$()*+,;=", false), "/-._~!$()*+,;=");
}

#[test]
fn security_6_line_ends_never_reach_a_location() {
    let path = TargetPath::parse("/a%0d%0aSet-Cookie:x").unwrap();
    assert_eq!(path.to_location(true), "/a%0D%0ASet-Cookie%3Ax/");
    let path = TargetPath::parse("/a?%0d%0aSet-Cookie:x\"<%>").unwrap();
    assert_eq!(path.to_location(true), "/a/?%0d%0aSet-Cookie:x%22%3C%25%3E");
}

#[test]
fn what_a_person_types_is_escaped_and_valid_escapes_are_kept() {
    assert_eq!(encode_path("/a b/caf\u{e9}"), "/a%20b/caf%C3%A9");
    assert_eq!(encode_path("/a%20b?x=%3f&y='1'"), "/a%20b?x=%3f&y='1'");
    assert_eq!(encode_path("/100%"), "/100%25");
    assert_eq!(encode_path("/100%zz%4"), "/100%25zz%254");
    assert_eq!(encode_path("/%%41"), "/%25%41");
    assert_eq!(
        encode_path("/a#b\"<>\\^`{|}"),
        "/a%23b%22%3C%3E%5C%5E%60%7B%7C%7D"
    );
    assert_eq!(encode_path("/:@!$&()*+,;=-._~"), "/:@!$&()*+,;=-._~");
    assert_eq!(encode_path("\r\n\0\u{7f}"), "%0D%0A%00%7F");
    assert_eq!(encode_path(""), "");
}

/// What holds of every target that is served.
fn is_harmless(path: &TargetPath) -> bool {
    let harmless = |name: &[u8]| {
        !is_dropped(name) && name != b".." && !name.contains(&b'/') && !name.contains(&0)
    };
    path.segments().iter().all(|name| harmless(name))
}

/// Targets made of what traversal attacks are made of.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("\\".to_owned()),
        Just("?".to_owned()),
        Just("a".to_owned()),
        Just("http://".to_owned()),
        any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        Just("%2e".to_owned()),
        Just("%2F".to_owned()),
        Just("%5c".to_owned()),
        Just("%25".to_owned()),
        Just("%".to_owned()),
        Just("%c3%a9".to_owned()),
        "[!-~]",
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hp22_hp23_hp24_no_segment_is_ever_harmful(target in hostile()) {
        if let Ok(path) = TargetPath::parse(&target) {
            prop_assert!(is_harmless(&path), "{:?}", path);
        }
    }

    #[test]
    fn no_text_panics(target: String) {
        if let Ok(path) = TargetPath::parse(&target) {
            prop_assert!(is_harmless(&path), "{:?}", path);
        }
    }

    #[test]
    fn hp26_a_location_leads_back_to_the_same_path(target in hostile(), slash: bool) {
        if let Ok(path) = TargetPath::parse(&target) {
            let location = path.to_location(slash);
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(location.starts_with('/') && !location.starts_with("//"));
            let again = TargetPath::parse(&location).unwrap();
            prop_assert_eq!(again.segments(), path.segments());
            prop_assert_eq!(again.is_directory(), slash || path.segments().is_empty());
            prop_assert_eq!(again.query().is_some(), path.query().is_some());
        }
    }

    #[test]
    fn an_encoded_path_is_a_target_that_means_what_was_typed(typed in "[^%?\0]{0,20}") {
        let encoded = encode_path(&format!("/{typed}"));
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(encode_path(&encoded), encoded.as_str());
        match TargetPath::parse(&encoded) {
            Ok(path) => {
                let names = typed.split('/').map(str::as_bytes);
                prop_assert!(names.filter(|name| !is_dropped(name)).eq(path.segments()));
            }
            Err(error) => prop_assert_eq!(error.status(), Status::NOT_FOUND),
        }
    }
}
