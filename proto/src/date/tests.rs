use proptest::prelude::*;

use super::*;

/// 1994-11-06T08:49:37Z, the RFC's example.
const EXAMPLE: HttpDate = HttpDate(784_111_777);

fn parse(text: &str) -> Option<u64> {
    HttpDate::parse(text.as_bytes(), EXAMPLE).map(HttpDate::unix)
}

#[test]
fn all_three_forms_of_the_example_are_the_same_second() {
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(parse(text), Some(784_111_777), "{text}");
    }
}

#[test]
fn hr2_only_imf_fixdate_is_written() {
    let written = |seconds| HttpDate::from_unix(seconds).to_string();
    assert_eq!(written(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(written(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(written(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(written(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    assert_eq!(written(253_402_300_799), "Fri, 31 Dec 9999 23:59:59 GMT");
}

#[test]
fn dates_after_the_year_9999_are_its_last_second() {
    assert_eq!(HttpDate::from_unix(253_402_300_800), HttpDate::MAX);
    assert_eq!(HttpDate::from_unix(u64::MAX), HttpDate::MAX);
    assert_eq!(
        parse("Fri, 31 Dec 9999 23:59:60 GMT"),
        Some(HttpDate::MAX.unix())
    );
}

#[test]
fn dates_before_1970_are_the_first_second_of_it() {
    for text in [
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "Mon Feb 29 12:00:00 1904",
        "Saturday, 29-Feb-64 00:00:00 GMT",
    ] {
        let now = HttpDate::from_unix(0);
        assert_eq!(
            HttpDate::parse(text.as_bytes(), now),
            Some(HttpDate(0)),
            "{text}"
        );
    }
}

#[test]
fn a_leap_second_is_the_second_after_it() {
    assert_eq!(
        parse("Sat, 31 Dec 2016 23:59:60 GMT"),
        parse("Sun, 01 Jan 2017 00:00:00 GMT")
    );
    assert_eq!(parse("Sat, 31 Dec 2016 23:59:61 GMT"), None);
}

#[test]
fn the_wrong_weekday_is_accepted_but_no_other_word() {
    assert_eq!(parse("Mon, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    assert_eq!(parse("Tuesday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
    assert_eq!(parse("Xyz, 06 Nov 1994 08:49:37 GMT"), None);
    assert_eq!(parse("Sunday, 06 Nov 1994 08:49:37 GMT"), None);
    assert_eq!(parse("Sun, 06-Nov-94 08:49:37 GMT"), None);
}

#[test]
fn the_day_of_asctime_is_padded_with_a_space_or_has_two_digits() {
    assert_eq!(parse("Sun Nov 06 08:49:37 1994"), Some(784_111_777));
    assert_eq!(
        parse("Wed Nov 16 08:49:37 1994"),
        Some(784_111_777 + 864_000)
    );
    assert_eq!(parse("Sun Nov 6 08:49:37 1994"), None);
}

#[test]
fn a_two_digit_year_is_at_most_50_years_in_the_future() {
    let year_of = |text: &str| {
        let date = HttpDate::parse(text.as_bytes(), EXAMPLE).unwrap();
        date.civil().year
    };
    assert_eq!(year_of("Sunday, 06-Nov-94 08:49:37 GMT"), 1994);
    assert_eq!(year_of("Sunday, 06-Nov-95 08:49:37 GMT"), 1995);
    assert_eq!(year_of("Sunday, 01-Jan-00 00:00:00 GMT"), 2000);
    assert_eq!(year_of("Sunday, 06-Nov-44 08:49:37 GMT"), 2044);
    // One second more than 50 years ahead: 1944, which is before 1970.
    assert_eq!(year_of("Sunday, 06-Nov-44 08:49:38 GMT"), 1970);
    assert_eq!(year_of("Sunday, 31-Dec-93 00:00:00 GMT"), 1993);
}

#[test]
fn a_two_digit_year_at_the_turn_of_a_century_is_a_recent_one() {
    // 2060-01-01: 99 is 2099, 10 is 2110, 11 is 2011.
    let now = HttpDate::from_unix(2_840_140_800);
    let year_of = |text: &str| HttpDate::parse(text.as_bytes(), now).unwrap().civil().year;
    assert_eq!(year_of("Sunday, 01-Jan-99 00:00:00 GMT"), 2099);
    assert_eq!(year_of("Sunday, 01-Jan-10 00:00:00 GMT"), 2110);
    assert_eq!(year_of("Sunday, 01-Jan-11 00:00:00 GMT"), 2011);
}

#[test]
fn days_and_times_that_do_not_exist_are_not_dates() {
    for text in [
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 32 Dec 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 2100 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn anything_but_the_three_forms_is_not_a_date() {
    for text in [
        "",
        "0",
        "784111777",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 NOV 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov +994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994 GMT",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(seconds in 0..=HttpDate::MAX.unix()) {
        let date = HttpDate::from_unix(seconds);
        let text = date.to_string();
        prop_assert_eq!(text.len(), 29);
        prop_assert_eq!(HttpDate::parse(text.as_bytes(), EXAMPLE), Some(date));
    }

    #[test]
    fn no_bytes_panic(text: Vec<u8>, now: u64) {
        HttpDate::parse(&text, HttpDate::from_unix(now));
    }

    #[test]
    fn no_altered_date_panics(at in 0usize..24, byte: u8, now: u64) {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            let mut text = text.as_bytes().to_vec();
            text[at] = byte;
            HttpDate::parse(&text, HttpDate::from_unix(now));
        }
    }
}

#[test]
fn rfc_3339_has_the_same_second() {
    let date = HttpDate::from_unix(784_111_777);
    assert_eq!(date.rfc3339(), "1994-11-06T08:49:37Z");
    assert_eq!(HttpDate::from_unix(0).rfc3339(), "1970-01-01T00:00:00Z");
    assert_eq!(
        HttpDate::from_unix(u64::MAX).rfc3339(),
        "9999-12-31T23:59:59Z"
    );
}
