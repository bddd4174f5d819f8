use proptest::prelude::*;

use super::*;

const NOW: HttpDate = HttpDate::from_unix(784_111_777);
const SEND: Outcome = Outcome::Send { range: false };
const SEND_RANGE: Outcome = Outcome::Send { range: true };

/// A representation with the strong tag `"ours"` that was modified this many seconds ago.
fn evaluate_modified(seconds_ago: u64, method: Method, lines: &[(&str, &str)]) -> Outcome {
    let etag = EntityTag::new_strong("ours").unwrap();
    let validators = Validators {
        etag: Some(&etag),
        last_modified: Some(ago(seconds_ago)),
    };
    evaluate(method, &fields(lines), validators, NOW)
}

fn get(lines: &[(&str, &str)]) -> Outcome {
    evaluate_modified(10, Method::Get, lines)
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.push(*name, *value);
    }
    fields
}

fn ago(seconds: u64) -> HttpDate {
    HttpDate::from_unix(NOW.unix() - seconds)
}

fn date(seconds_ago: u64) -> String {
    ago(seconds_ago).to_string()
}

#[test]
fn a_request_without_conditions_is_answered() {
    assert_eq!(get(&[]), SEND);
    assert_eq!(get(&[("Range", "bytes=0-1")]), SEND_RANGE);
}

#[test]
fn if_match_is_true_for_a_star_or_a_strongly_equal_tag() {
    assert_eq!(get(&[("If-Match", "*")]), SEND);
    assert_eq!(get(&[("If-Match", "\"other\", \"ours\"")]), SEND);
    assert_eq!(
        get(&[("If-Match", "\"other\""), ("If-Match", "\"ours\"")]),
        SEND
    );
    for false_condition in ["\"other\"", "W/\"ours\"", ""] {
        assert_eq!(
            get(&[("If-Match", false_condition)]),
            Outcome::PreconditionFailed
        );
    }
}

#[test]
fn if_unmodified_since_is_true_up_to_its_second() {
    assert_eq!(get(&[("If-Unmodified-Since", &date(9))]), SEND);
    assert_eq!(get(&[("If-Unmodified-Since", &date(10))]), SEND);
    assert_eq!(
        get(&[("If-Unmodified-Since", &date(11))]),
        Outcome::PreconditionFailed
    );
}

#[test]
fn if_none_match_is_false_for_a_star_or_a_weakly_equal_tag() {
    for false_condition in ["*", "\"ours\"", "W/\"ours\"", "\"other\",,\"ours\""] {
        assert_eq!(
            get(&[("If-None-Match", false_condition)]),
            Outcome::NotModified
        );
    }
    assert_eq!(get(&[("If-None-Match", "\"other\"")]), SEND);
}

#[test]
fn if_modified_since_is_false_from_the_second_of_the_modification_on() {
    assert_eq!(get(&[("If-Modified-Since", &date(11))]), SEND);
    assert_eq!(
        get(&[("If-Modified-Since", &date(10))]),
        Outcome::NotModified
    );
    assert_eq!(
        get(&[("If-Modified-Since", &date(9))]),
        Outcome::NotModified
    );
}

#[test]
fn if_none_match_of_another_tag_beats_a_false_if_modified_since() {
    let lines = [
        ("If-Modified-Since", &*date(10)),
        ("If-None-Match", "\"other\""),
    ];
    assert_eq!(get(&lines), SEND);
}

#[test]
fn a_false_if_match_beats_a_false_if_none_match() {
    let lines = [("If-None-Match", "\"ours\""), ("If-Match", "\"other\"")];
    assert_eq!(get(&lines), Outcome::PreconditionFailed);
}

#[test]
fn hc2_a_field_that_is_no_date_is_ignored() {
    for no_date in ["yesterday", "", &date(10).to_lowercase()] {
        assert_eq!(get(&[("If-Modified-Since", no_date)]), SEND);
        assert_eq!(get(&[("If-Unmodified-Since", no_date)]), SEND);
    }
}

#[test]
fn hp14_a_repeated_date_condition_is_ignored() {
    let since = date(10);
    let twice = [
        ("If-Modified-Since", &*since),
        ("if-modified-since", &since),
    ];
    assert_eq!(get(&twice), SEND);
    let since = date(11);
    let twice = [
        ("If-Unmodified-Since", &*since),
        ("If-Unmodified-Since", &since),
    ];
    assert_eq!(get(&twice), SEND);
}

#[test]
fn hc2_dates_are_ignored_beside_tags() {
    let lines = [
        ("If-Unmodified-Since", &*date(11)),
        ("If-Match", "\"ours\""),
    ];
    assert_eq!(get(&lines), SEND);
    let lines = [("If-Modified-Since", &*date(9)), ("If-None-Match", "junk")];
    assert_eq!(get(&lines), SEND);
}

#[test]
fn hc2_dates_are_ignored_when_the_modification_is_unknown() {
    let validators = Validators {
        etag: None,
        last_modified: None,
    };
    for name in ["If-Modified-Since", "If-Unmodified-Since"] {
        let fields = fields(&[(name, &date(0))]);
        assert_eq!(evaluate(Method::Get, &fields, validators, NOW), SEND);
    }
    let fields = fields(&[("Range", "bytes=0-1"), ("If-Range", &date(0))]);
    assert_eq!(evaluate(Method::Get, &fields, validators, NOW), SEND);
}

#[test]
fn hc3_if_modified_since_later_than_the_clock_is_ignored() {
    let later = HttpDate::from_unix(NOW.unix() + 1).to_string();
    assert_eq!(get(&[("If-Modified-Since", &later)]), SEND);
    assert_eq!(
        get(&[("If-Modified-Since", &date(0))]),
        Outcome::NotModified
    );
}

#[test]
fn hc4_head_is_conditional_like_get_but_has_no_range() {
    fn head(lines: &[(&str, &str)]) -> Outcome {
        evaluate_modified(10, Method::Head, lines)
    }
    assert_eq!(
        head(&[("If-Modified-Since", &date(10))]),
        Outcome::NotModified
    );
    assert_eq!(head(&[("If-Match", "\"x\"")]), Outcome::PreconditionFailed);
    assert_eq!(head(&[("Range", "bytes=0-1")]), SEND);
}

#[test]
fn hc6_an_unparsable_list_makes_if_match_false_and_if_none_match_true() {
    for junk in ["ours", "\"ours", "*, \"ours\""] {
        assert_eq!(get(&[("If-Match", junk)]), Outcome::PreconditionFailed);
        assert_eq!(get(&[("If-None-Match", junk)]), SEND);
    }
}

#[test]
fn if_range_with_a_tag_wants_strong_equality() {
    let outcome = |tag| get(&[("Range", "bytes=0-1"), ("If-Range", tag)]);
    assert_eq!(outcome("\"ours\""), SEND_RANGE);
    assert_eq!(outcome("W/\"ours\""), SEND);
    assert_eq!(outcome("\"other\""), SEND);
    assert_eq!(outcome("\"ours\", \"other\""), SEND);
    assert_eq!(outcome("junk"), SEND);
    assert_eq!(outcome(""), SEND);
}

#[test]
fn if_range_with_a_weak_tag_is_false_even_if_ours_is_the_same() {
    let etag = EntityTag::new_weak("ours").unwrap();
    let validators = Validators {
        etag: Some(&etag),
        last_modified: None,
    };
    for tag in ["W/\"ours\"", "\"ours\""] {
        let fields = fields(&[("Range", "bytes=0-1"), ("If-Range", tag)]);
        assert_eq!(evaluate(Method::Get, &fields, validators, NOW), SEND);
    }
}

#[test]
fn if_range_with_a_date_wants_exactly_the_last_modification() {
    let outcome = |date: &str| get(&[("Range", "bytes=0-1"), ("If-Range", date)]);
    assert_eq!(outcome(&date(10)), SEND_RANGE);
    assert_eq!(outcome(&date(9)), SEND);
    assert_eq!(outcome(&date(11)), SEND);
}

#[test]
fn if_range_with_a_date_is_weak_until_its_second_is_over() {
    let outcome = |seconds| {
        let lines = [("Range", "bytes=0-1"), ("If-Range", &*date(seconds))];
        evaluate_modified(seconds, Method::Get, &lines)
    };
    assert_eq!(outcome(0), SEND);
    assert_eq!(outcome(1), SEND_RANGE);
}

#[test]
fn hp14_a_repeated_range_or_if_range_means_everything() {
    let lines = [("Range", "bytes=0-1"), ("Range", "bytes=0-1")];
    assert_eq!(get(&lines), SEND);
    let lines = [
        ("Range", "bytes=0-1"),
        ("If-Range", "\"ours\""),
        ("If-Range", "\"ours\""),
    ];
    assert_eq!(get(&lines), SEND);
}

#[test]
fn if_range_alone_changes_nothing() {
    assert_eq!(get(&[("If-Range", "\"ours\"")]), SEND);
    assert_eq!(get(&[("If-Range", "\"other\"")]), SEND);
}

proptest! {
    #[test]
    fn no_fields_panic(values: [Vec<u8>; 6], now: u64, modified: u64) {
        let names = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"];
        let mut fields = Fields::new();
        for (name, value) in names.into_iter().zip(values) {
            fields.push(name, value);
        }
        let last_modified = Some(HttpDate::from_unix(modified));
        let validators = Validators { etag: None, last_modified };
        evaluate(Method::Get, &fields, validators, HttpDate::from_unix(now));
    }
}
