#![expect(
    clippy::single_range_in_vec_init,
    reason = "the ranges are the elements"
)]

use proptest::prelude::*;

use super::*;

/// Resolves for a representation of 10000 bytes, as the RFC's examples do.
fn resolve_10000(field: &str) -> Ranges {
    resolve(field.as_bytes(), 10_000, 16)
}

fn parts(parts: &[Range<u64>]) -> Ranges {
    Ranges::Parts(parts.to_vec())
}

#[test]
fn the_examples_of_the_rfc_resolve() {
    for (field, expected) in [
        ("bytes=0-499", &[0..500][..]),
        ("bytes=500-999", &[500..1000]),
        ("bytes=-500", &[9500..10_000]),
        ("bytes=9500-", &[9500..10_000]),
        ("bytes=0-0,-1", &[0..1, 9999..10_000]),
        (
            "bytes= 0-999, 4500-5499, -1000",
            &[0..1000, 4500..5500, 9000..10_000],
        ),
        ("bytes=500-600,601-999", &[500..1000]),
        ("bytes=500-700,601-999", &[500..1000]),
    ] {
        assert_eq!(resolve_10000(field), parts(expected), "{field}");
    }
}

#[test]
fn hg1_the_unit_is_case_insensitive_and_others_are_ignored() {
    assert_eq!(resolve_10000("ByTeS=0-499"), parts(&[0..500]));
    for field in [
        "",
        "bytes",
        "bytes 0-499",
        "bytes =0-499",
        " bytes=0-499",
        "bits=0-499",
        "items=0-4",
    ] {
        assert_eq!(resolve_10000(field), Ranges::Ignored, "{field:?}");
    }
}

#[test]
fn hg1_white_space_and_empty_elements_of_the_list_are_skipped() {
    assert_eq!(
        resolve_10000("bytes=\t,, 0-1\t ,\t4-5 ,"),
        parts(&[0..2, 4..6])
    );
    for field in ["bytes=", "bytes=,", "bytes= , ,"] {
        assert_eq!(resolve_10000(field), Ranges::Ignored, "{field:?}");
    }
}

#[test]
fn hg2_reversed_range_is_ignored() {
    assert_eq!(resolve_10000("bytes=9-3"), Ranges::Ignored);
    assert_eq!(resolve_10000("bytes=0-1,9-3"), Ranges::Ignored);
    assert_eq!(
        resolve_10000("bytes=99999999999999999999999-3"),
        Ranges::Ignored
    );
}

#[test]
fn hg2_what_is_not_digits_is_ignored_with_the_whole_field() {
    for spec in [
        "-", "0", "a-b", "0-b", "a-1", "+0-1", "0-+1", "0--1", "--1", "0-1-2", "0 -1", "0- 1",
        "0x0-1", "*", "0-1;2-3", "\u{b2}-3",
    ] {
        let field = format!("bytes=0-1,{spec}");
        assert_eq!(resolve_10000(&field), Ranges::Ignored, "{field}");
    }
}

#[test]
fn hg2_an_end_beyond_the_representation_is_clipped() {
    assert_eq!(resolve_10000("bytes=9999-10000"), parts(&[9999..10_000]));
    assert_eq!(resolve_10000("bytes=-20000"), parts(&[0..10_000]));
}

#[test]
fn hg3_a_range_without_an_existing_byte_is_unsatisfiable() {
    for field in [
        "bytes=10000-",
        "bytes=-0",
        "bytes=10000-10001,-0",
        "bytes=-00",
    ] {
        assert_eq!(resolve_10000(field), Ranges::Unsatisfiable, "{field}");
    }
    assert_eq!(resolve_10000("bytes=10000-,-1"), parts(&[9999..10_000]));
}

#[test]
fn hg3_any_range_of_an_empty_representation_is_ignored() {
    for field in ["bytes=0-", "bytes=-1", "bytes=5-9", "bytes=-0", "junk"] {
        assert_eq!(resolve(field.as_bytes(), 0, 16), Ranges::Ignored, "{field}");
    }
}

#[test]
fn hg4_numbers_of_any_length_do_not_overflow() {
    let long = "9".repeat(100);
    let zeros = "0".repeat(100);
    assert_eq!(
        resolve_10000(&format!("bytes=0-{long}")),
        parts(&[0..10_000])
    );
    assert_eq!(
        resolve_10000(&format!("bytes=-{long}")),
        parts(&[0..10_000])
    );
    assert_eq!(
        resolve_10000(&format!("bytes={zeros}-{zeros}1")),
        parts(&[0..2])
    );
    for spec in [
        format!("{long}-"),
        format!("{long}-{long}"),
        format!("{}-", u64::MAX),
    ] {
        let field = format!("bytes={spec}");
        assert_eq!(resolve_10000(&field), Ranges::Unsatisfiable, "{field}");
        assert_eq!(
            resolve(field.as_bytes(), u64::MAX, 16),
            Ranges::Unsatisfiable
        );
    }
    assert_eq!(
        resolve(format!("bytes=5-{}", u64::MAX).as_bytes(), u64::MAX, 16),
        parts(&[5..u64::MAX])
    );
}

#[test]
fn hg5_parts_are_sorted_and_joined() {
    assert_eq!(
        resolve_10000("bytes=6-7,0-1,3-4"),
        parts(&[0..2, 3..5, 6..8])
    );
    assert_eq!(resolve_10000("bytes=5-9,0-20,7-8"), parts(&[0..21]));
    assert_eq!(resolve_10000("bytes=0-0,0-0,0-0"), parts(&[0..1]));
}

#[test]
fn hg5_more_ranges_than_allowed_are_ignored() {
    let field = |count: usize| format!("bytes={}", vec!["0-1"; count].join(",,"));
    assert_eq!(resolve_10000(&field(16)), parts(&[0..2]));
    assert_eq!(resolve_10000(&field(17)), Ranges::Ignored);
    assert_eq!(resolve_10000(&field(10_000)), Ranges::Ignored);
    assert_eq!(resolve(b"bytes=0-1", 10_000, 0), Ranges::Ignored);
}

#[test]
fn a_written_range_field_is_what_was_meant() {
    assert_eq!(write(&[0..500]), "bytes=0-499");
    assert_eq!(write(&[0..1, 5..6, 9..20]), "bytes=0-0,5-5,9-19");
    assert_eq!(write(&[500..u64::MAX]), "bytes=500-");
    assert_eq!(write(&[0..0, 3..4, 9..9]), "bytes=3-3");
    assert_eq!(write(&[]), "bytes=");
}

#[test]
fn content_range_is_read_and_written() {
    for (text, value) in [
        (
            "bytes 42-1233/1234",
            ContentRange::Bytes {
                first: 42,
                last: 1233,
                complete: Some(1234),
            },
        ),
        (
            "bytes 42-1233/*",
            ContentRange::Bytes {
                first: 42,
                last: 1233,
                complete: None,
            },
        ),
        ("bytes */1234", ContentRange::Unsatisfied { complete: 1234 }),
        ("bytes */0", ContentRange::Unsatisfied { complete: 0 }),
        (
            "bytes 0-0/1",
            ContentRange::Bytes {
                first: 0,
                last: 0,
                complete: Some(1),
            },
        ),
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes()), Some(value), "{text}");
        assert_eq!(value.to_string(), text);
    }
    assert!(ContentRange::parse(b"Bytes 0-0/1").is_some());
}

#[test]
fn hg7_a_content_range_that_contradicts_itself_is_invalid() {
    for text in [
        "bytes 5-4/10",
        "bytes 5-4/*",
        "bytes 0-10/10",
        "bytes 0-9/0",
        "bytes 0-18446744073709551615/*",
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_malformed_content_range_is_invalid() {
    for text in [
        "",
        "bytes",
        "bytes ",
        "bytes 0-9",
        "bytes=0-9/10",
        "bytes  0-9/10",
        "bytes 0-9/10 ",
        "bytes 0-9/",
        "bytes -9/10",
        "bytes 0-/10",
        "bytes */*",
        "bytes */",
        "bytes +0-9/10",
        "bytes 0-9/18446744073709551616",
        "bytes 0-0/18446744073709551620",
        "items 0-9/10",
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes()), None, "{text:?}");
    }
}

/// Whether byte `at` of a representation of `length` bytes is asked for, by the letter of the RFC.
fn asked_for(spec: (Option<u64>, Option<u64>), at: u64, length: u64) -> bool {
    match spec {
        (Some(first), Some(last)) => first <= at && at <= last,
        (Some(first), None) => first <= at,
        (None, Some(suffix)) => at + suffix >= length,
        (None, None) => false,
    }
}

fn spec() -> impl Strategy<Value = (Option<u64>, Option<u64>)> {
    let first_and_last = (0..40u64, 0..40u64);
    prop_oneof![
        first_and_last.prop_map(|(a, b)| (Some(a.min(b)), Some(a.max(b)))),
        (0..40u64).prop_map(|first| (Some(first), None)),
        (0..40u64).prop_map(|suffix| (None, Some(suffix))),
    ]
}

proptest! {
    #[test]
    fn resolved_parts_are_the_bytes_of_a_bitmap(
        specs in prop::collection::vec(spec(), 1..8),
        length in 1..32u64,
    ) {
        let text = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
        let set: Vec<String> = specs.iter().map(|&(a, b)| format!("{}-{}", text(a), text(b))).collect();
        let field = format!("bytes={}", set.join(","));
        let wanted = |at: u64| specs.iter().any(|&spec| asked_for(spec, at, length));
        match resolve(field.as_bytes(), length, 8) {
            Ranges::Ignored => prop_assert!(false, "{} is valid", field),
            Ranges::Unsatisfiable => prop_assert!(!(0..length).any(wanted)),
            Ranges::Parts(parts) => {
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|part| !part.is_empty() && part.end <= length));
                prop_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
                for at in 0..length {
                    prop_assert_eq!(parts.iter().any(|part| part.contains(&at)), wanted(at));
                }
            }
        }
    }

    #[test]
    fn what_a_client_writes_is_what_a_server_resolves(
        edges in prop::collection::btree_set(0..1000u64, 2..20),
        length in 1000..2000u64,
    ) {
        let edges: Vec<u64> = edges.into_iter().collect();
        let ranges: Vec<Range<u64>> = edges.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        let field = write(&ranges);
        prop_assert_eq!(resolve(field.as_bytes(), length, ranges.len()), Ranges::Parts(ranges));
    }

    #[test]
    fn no_bytes_panic(tail: Vec<u8>, length: u64) {
        resolve(&tail, length, 16);
        ContentRange::parse(&tail);
        resolve(&[b"bytes=", &tail[..]].concat(), length, 16);
        ContentRange::parse(&[b"bytes ", &tail[..]].concat());
    }

    #[test]
    fn no_likely_text_panics(tail in "[-0-9*/, ]{0,40}", length: u64) {
        resolve(format!("bytes={tail}").as_bytes(), length, 16);
        ContentRange::parse(format!("bytes {tail}").as_bytes());
    }

    #[test]
    fn a_content_range_is_read_as_it_was_written(first: u32, more: u32, complete: Option<u32>) {
        let (first, last) = (u64::from(first), u64::from(first) + u64::from(more));
        let complete = complete.map(|beyond| last + 1 + u64::from(beyond));
        let value = ContentRange::Bytes { first, last, complete };
        prop_assert_eq!(ContentRange::parse(value.to_string().as_bytes()), Some(value));
    }
}
