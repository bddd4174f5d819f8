//! Dates as HTTP writes them (RFC 9110 §5.6.7).

use std::fmt;

const SECONDS_PER_DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A point in time in whole seconds, from 1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
///
/// `Display` writes IMF-fixdate, the only form a sender may use:
///
/// ```
/// use proto::date::HttpDate;
///
/// let date = HttpDate::from_unix(784_111_777);
/// assert_eq!(date.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(u64);

impl HttpDate {
    /// 9999-12-31T23:59:59Z, the last second a year of four digits can name.
    const MAX: Self = Self(253_402_300_799);

    /// The date `seconds` after 1970-01-01T00:00:00Z, leap seconds not counted; the last second of
    /// the year 9999 if that is later.
    pub const fn from_unix(seconds: u64) -> Self {
        if seconds < Self::MAX.0 {
            Self(seconds)
        } else {
            Self::MAX
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// Parses the three forms a recipient must accept, IMF-fixdate, RFC 850 and asctime; `None`
    /// for anything else, white space at the ends included.
    ///
    /// Names are case-sensitive and the weekday must be one, but it need not be the right one. A
    /// leap second (`23:59:60`) is the second after it. Dates before 1970 become 1970-01-01, so
    /// that they stay dates: earlier than any other.
    ///
    /// `now` is needed for the two-digit year of the RFC 850 form, which lies at most 50 years in
    /// the future.
    pub fn parse(text: &[u8], now: Self) -> Option<Self> {
        parse_imf_fixdate(text)
            .or_else(|| parse_rfc850(text, now))
            .or_else(|| parse_asctime(text))?
            .to_date()
    }

    /// Writes the date as RFC 3339 has it, for what is not HTTP: `1994-11-06T08:49:37Z`.
    pub fn rfc3339(self) -> String {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.civil();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    fn civil(self) -> Civil {
        let (year, month, day) = civil_from_days(self.0 / SECONDS_PER_DAY);
        let second = self.0 % SECONDS_PER_DAY;
        Civil {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.civil();
        // 1970-01-01 was a Thursday.
        let weekday = nth((self.0 / SECONDS_PER_DAY + 4) % 7, &WEEKDAYS);
        let month = nth(month - 1, &MONTHS);
        write!(
            f,
            "{weekday:.3}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
        )
    }
}

/// The entry of `names` at `index`, which the caller has reduced to their number.
fn nth(index: u64, names: &[&'static str]) -> &'static str {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or_default()
}

/// A date taken apart; the order of the fields is the order of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Civil {
    /// 0 to 9999 when parsed, and somewhat more when a two-digit year was completed.
    year: u64,
    /// 1 to 12.
    month: u64,
    /// 1 to 31.
    day: u64,
    /// 0 to 23.
    hour: u64,
    /// 0 to 59.
    minute: u64,
    /// 0 to 60.
    second: u64,
}

impl Civil {
    /// `None` if no such day or time of day exists.
    fn to_date(self) -> Option<HttpDate> {
        let exists = 1 <= self.day
            && self.day <= days_in_month(self.year, self.month)
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 60;
        if !exists {
            return None;
        }
        if self.year < 1970 {
            return Some(HttpDate::from_unix(0));
        }
        let days = days_from_civil(self.year, self.month, self.day);
        let time = self.hour * 3600 + self.minute * 60 + self.second;
        Some(HttpDate::from_unix(days * SECONDS_PER_DAY + time))
    }
}

const fn is_leap_year(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 0000-01-01 to the first day of `year`, in the Gregorian calendar.
const fn days_before_year(year: u64) -> u64 {
    if year == 0 {
        return 0;
    }
    let past = year - 1;
    // Year 0 was a leap year; the quotients count those after it.
    year * 365 + 1 + past / 4 - past / 100 + past / 400
}

/// Days from 1970-01-01 to a day that is not before it.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    days_before_year(year) - days_before_year(1970) + months + day - 1
}

/// The year, month and day that lie `days` after 1970-01-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + days_before_year(1970);
    // Years of 366 days end too late, so this is too early a year, by 20 at most.
    let mut year = days / 366;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while days_in_month(year, month) <= day {
        day -= days_in_month(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn parse_imf_fixdate(text: &[u8]) -> Option<Civil> {
    let mut text = Text(text);
    text.weekday(3)?;
    text.literal(b", ")?;
    let day = text.number(2)?;
    text.literal(b" ")?;
    let month = text.month()?;
    text.literal(b" ")?;
    let year = text.number(4)?;
    text.literal(b" ")?;
    let (hour, minute, second) = text.time_of_day()?;
    text.literal(b" GMT")?;
    text.end()?;
    Some(Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn parse_rfc850(text: &[u8], now: HttpDate) -> Option<Civil> {
    let mut text = Text(text);
    text.weekday(usize::MAX)?;
    text.literal(b", ")?;
    let day = text.number(2)?;
    text.literal(b"-")?;
    let month = text.month()?;
    text.literal(b"-")?;
    let year = text.number(2)?;
    text.literal(b" ")?;
    let (hour, minute, second) = text.time_of_day()?;
    text.literal(b" GMT")?;
    text.end()?;
    let short = Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    };
    Some(complete_year(short, now))
}

/// `Sun Nov  6 08:49:37 1994`
fn parse_asctime(text: &[u8]) -> Option<Civil> {
    let mut text = Text(text);
    text.weekday(3)?;
    text.literal(b" ")?;
    let month = text.month()?;
    text.literal(b" ")?;
    let day = match text.literal(b" ") {
        Some(()) => text.number(1)?,
        None => text.number(2)?,
    };
    text.literal(b" ")?;
    let (hour, minute, second) = text.time_of_day()?;
    text.literal(b" ")?;
    let year = text.number(4)?;
    text.end()?;
    Some(Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    })
}

/// Puts the century before a year of two digits: the latest that does not put the date more than
/// 50 years in the future (RFC 9110 §5.6.7).
fn complete_year(short: Civil, now: HttpDate) -> Civil {
    let now = now.civil();
    let latest = Civil {
        year: now.year + 50,
        ..now
    };
    let century = latest.year / 100 * 100;
    let candidate = Civil {
        year: century + short.year,
        ..short
    };
    if candidate <= latest {
        candidate
    } else {
        Civil {
            year: candidate.year - 100,
            ..short
        }
    }
}

/// What is left to parse.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// Exactly `digits` decimal digits.
    fn number(&mut self, digits: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |value, &digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + u64::from(digit - b'0'))
        })
    }

    /// `hh:mm:ss`
    fn time_of_day(&mut self) -> Option<(u64, u64, u64)> {
        let hour = self.number(2)?;
        self.literal(b":")?;
        let minute = self.number(2)?;
        self.literal(b":")?;
        Some((hour, minute, self.number(2)?))
    }

    /// A month's name, as 1 to 12.
    fn month(&mut self) -> Option<u64> {
        (1..)
            .zip(MONTHS)
            .find_map(|(month, name)| self.literal(name.as_bytes()).map(|()| month))
    }

    /// The first `letters` letters of a weekday's name.
    fn weekday(&mut self, letters: usize) -> Option<()> {
        WEEKDAYS.iter().find_map(|name| {
            let name = name.as_bytes();
            self.literal(name.get(..letters).unwrap_or(name))
        })
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests;
