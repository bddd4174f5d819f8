//! What a request says besides what is asked for: its fields, and its conditions.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proto::client::{self, Wanted};
use proto::date::HttpDate;
use proto::etag::EntityTag;
use proto::fields::Fields;
use proto::machine::Delivery;
use proto::request::{Method, WriteError};
use socket::Protocol;

use super::job::{Job, Kept};
use super::rate;
use crate::args;
use crate::exit::{Code, Failure};
use crate::terminal;

const USER_AGENT: &str = "User-Agent";

/// Fields that say how messages are told apart or what connection they are of, and those that this
/// program makes of its other options.
const OWN: [&str; 11] = [
    "Host",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Expect",
    "Range",
    "If-Range",
    "Body-Framing",
];

/// The fields of a request but `Host` and those that [`client::Config`] has places for.
pub(super) fn fields(args: &args::Get) -> Result<Fields, Failure> {
    let asking = &args.asking;
    let mut fields = Fields::new();
    let agent = concat!("http-over-messages/", env!("CARGO_PKG_VERSION"));
    let agent = asking.user_agent.as_deref().unwrap_or(agent);
    let typed: Vec<(&str, &str)> = asking
        .header
        .iter()
        .map(|text| header(text))
        .collect::<Result<_, _>>()?;
    let is_typed = |name: &str| {
        let mut names = typed.iter().map(|(typed, _)| typed);
        names.any(|typed| typed.eq_ignore_ascii_case(name))
    };
    if !agent.is_empty() && !is_typed(USER_AGENT) {
        fields.push(USER_AGENT, checked("--user-agent", agent)?);
    }
    if let Some(referer) = &asking.referer {
        fields.push("Referer", checked("--referer", referer)?);
    }
    if let Some((name, date)) = time_condition(asking.time_cond.as_deref())? {
        fields.push(name, date.to_string());
    }
    if let Some(file) = &asking.etag_compare
        && let Some(tag) = read_tag(file)?
    {
        fields.push("If-None-Match", tag);
    }
    for (name, value) in typed {
        if !value.is_empty() {
            fields.push(name, value);
        }
    }
    Ok(fields)
}

/// Splits `Name: value`; the value of `Name:` is empty.
fn header(text: &str) -> Result<(&str, &str), Failure> {
    let usage = |why: &str| {
        let text = terminal::printable(text.as_bytes());
        Failure::new(Code::Usage, format_args!("--header {text:?}: {why}"))
    };
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| usage("it is no field").hint("write --header \"Name: value\""))?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(usage("the name of a field has no such characters")
            .hint("write --header \"Name: value\""));
    }
    let has_prefix = |prefix: &str| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_own = OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
    if is_own || has_prefix("Content-") || has_prefix("Proxy-") {
        return Err(
            usage("this field says what the program does, and is not changed").hint("leave it out"),
        );
    }
    checked("--header", value.trim()).map(|value| (name, value))
}

/// A value that stays one line.
fn checked<'a>(option: &str, value: &'a str) -> Result<&'a str, Failure> {
    if value.chars().any(|char| char.is_control() && char != '\t') {
        let message = format_args!("{option}: a value is one line, without control characters");
        return Err(Failure::new(Code::Usage, message).hint("leave them out"));
    }
    Ok(value)
}

/// The field and the date that `--time-cond` means. A file that is not there is no condition.
fn time_condition(text: Option<&str>) -> Result<Option<(&'static str, HttpDate)>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let (name, rest) = match text.strip_prefix('-') {
        Some(rest) => ("If-Unmodified-Since", rest),
        None => ("If-Modified-Since", text),
    };
    if let Some(date) = date(rest) {
        return Ok(Some((name, date)));
    }
    match fs::metadata(rest).and_then(|file| file.modified()) {
        Ok(modified) => Ok(Some((name, http_date(modified)))),
        // As the first run of a script that keeps a file fresh has it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !looks_like_a_date(rest) => {
            Ok(None)
        }
        Err(error) => {
            let rest = terminal::printable(rest.as_bytes());
            let message = format_args!("{rest} is neither a date nor a file: {error}");
            Err(Failure::new(Code::Usage, message)
                .hint("write a date as 1994-11-06, or as HTTP has it"))
        }
    }
}

/// Whether somebody who wrote this meant a date: a file of such a name is unlikely.
fn looks_like_a_date(text: &str) -> bool {
    text.contains([' ', ',']) || text.starts_with(|first: char| first.is_ascii_digit())
}

/// A date as HTTP has it, or `YYYY-MM-DD`.
fn date(text: &str) -> Option<HttpDate> {
    let now = http_date(SystemTime::UNIX_EPOCH);
    HttpDate::parse(text.as_bytes(), now).or_else(|| {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let (year, rest) = text.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let at = 3 * month.parse::<usize>().ok()?.checked_sub(1)?;
        let lengths = (year.len(), month.len(), day.len());
        let month = MONTHS.get(at..at + 3).filter(|_| lengths == (4, 2, 2))?;
        // The weekday need not be the right one.
        let text = format!("Mon, {day} {month} {year} 00:00:00 GMT");
        HttpDate::parse(text.as_bytes(), now)
    })
}

pub(super) fn http_date(time: SystemTime) -> HttpDate {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    HttpDate::from_unix(since.unwrap_or(Duration::ZERO).as_secs())
}

/// The tag that `--etag-save` kept; `None` if there is none yet.
fn read_tag(name: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let text = match fs::read(name) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let name = terminal::printable(name.as_os_str().as_encoded_bytes());
            let message = format_args!("the ETag cannot be read from {name}: {error}");
            return Err(
                Failure::new(Code::Usage, message).hint("name a file that --etag-save wrote")
            );
        }
    };
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let name = terminal::printable(name.as_os_str().as_encoded_bytes());
    let tag = EntityTag::parse(text).ok_or_else(|| {
        Failure::new(Code::Usage, format_args!("{name} holds no ETag"))
            .hint("name a file that --etag-save wrote")
    })?;
    Ok(Some(tag.to_bytes()))
}

impl Job {
    /// Whether the server may answer that there is nothing new.
    pub(super) fn is_conditional(&self) -> bool {
        let conditions = ["If-Modified-Since", "If-None-Match"];
        conditions.iter().any(|name| self.fields.contains(name))
    }

    /// The machine of one attempt. `handshake` is what the connection took: it tells how soon an
    /// answer may be expected.
    pub(super) fn exchange(
        &self,
        kept: Option<&Kept>,
        handshake: Duration,
    ) -> Result<client::Exchange, Failure> {
        let reading = self.reading_time();
        let config = client::Config {
            first_retry: (handshake * 4).clamp(SHORTEST_RETRY, LONGEST_RETRY) + reading,
            ..self.request(kept)
        };
        client::Exchange::new(config).map_err(|error| unfit(&error))
    }

    /// What to ask for in one attempt.
    pub(super) fn request(&self, kept: Option<&Kept>) -> client::Config {
        let delivery = match self.protocol {
            Protocol::Sctp => Delivery::Reliable,
            Protocol::Dccp => Delivery::Unreliable,
        };
        let mut fields = Fields::new();
        let this_machine = if self.prefers_ipv6() {
            "::1"
        } else {
            "127.0.0.1"
        };
        fields.push("Host", self.target.host_field(this_machine));
        for (name, value) in self.fields.iter() {
            fields.push(name, value);
        }
        let config = client::Config::new(delivery, self.target.path.clone());
        let reading = self.reading_time();
        client::Config {
            method: if self.head_only {
                Method::Head
            } else {
                Method::Get
            },
            fields,
            // One byte is fetched again, so that a part that is whole already is no special case.
            range: kept
                .map(|kept| Wanted::From(kept.unbroken().min(kept.info.complete - 1)))
                .or(self.range),
            if_range: kept.map(|kept| kept.info.validator.clone()),
            have: kept.map_or_else(Vec::new, |kept| kept.have.clone()),
            seed_form: self.seed_form,
            http09: self.http09,
            ppid: self.ppid,
            max_body: self.max_body,
            stall: self.stall_timeout + reading,
            least_quiet: config.least_quiet + reading,
            ..config
        }
    }

    /// How long `--limit-rate` makes bytes wait that are here already: they are no sign that the
    /// server has stopped.
    fn reading_time(&self) -> Duration {
        self.limit_rate.map_or(Duration::ZERO, rate::reading_time)
    }
}

/// The first wait for an answer over DCCP before the request is sent again, at least and at most.
const SHORTEST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// What it means that a request cannot be written.
pub(super) fn unfit(error: &WriteError) -> Failure {
    Failure::new(Code::BadUrl, format_args!("cannot be asked for: {error}"))
        .hint("shorten the path, or leave out --header")
}

#[cfg(test)]
mod tests {
    use super::super::job;
    use super::*;

    fn fields_of(words: &[&str]) -> Result<Vec<String>, Failure> {
        let jobs = job::of_words(&[&["h/x", "-A", ""], words].concat())?;
        let line =
            |(name, value): (&str, &[u8])| format!("{name}: {}", String::from_utf8_lossy(value));
        Ok(jobs[0].fields.iter().map(line).collect())
    }

    #[test]
    fn fields_are_added_and_left_out() {
        let typed = [
            "-H",
            "Accept: a/b",
            "-H",
            "X-Y:  z ",
            "-e",
            "http://r/",
            "-H",
            "Z:",
        ];
        let fields = fields_of(&typed).unwrap();
        assert_eq!(fields, ["Referer: http://r/", "Accept: a/b", "X-Y: z"]);
        let agent = |words: &[&str]| {
            let jobs = job::of_words(&[&["h/x"], words].concat()).unwrap();
            let agent = jobs[0].fields.joined("User-Agent");
            agent.map(|agent| String::from_utf8(agent).unwrap())
        };
        assert!(agent(&[]).unwrap().starts_with("http-over-messages/"));
        assert_eq!(agent(&["-A", "me"]).as_deref(), Some("me"));
        assert_eq!(agent(&["-H", "user-agent: you"]).as_deref(), Some("you"));
        assert_eq!(agent(&["-H", "User-Agent:"]), None);
    }

    #[test]
    fn fields_that_would_change_the_message_are_refused() {
        for field in [
            "Host: other",
            "content-length: 5",
            "Transfer-Encoding: chunked",
            "Proxy-Authorization: x",
            "range: bytes=0-",
            "Body-Framing: x",
            "no colon",
            ": empty",
            "two words: x",
            "X: a\r\nHost: b",
            "X: a\0",
            "X\n: a",
        ] {
            let failure = fields_of(&["-H", field]).unwrap_err();
            assert_eq!(failure.code, Code::Usage, "{field:?}");
        }
        assert!(fields_of(&["-e", "a\nb"]).is_err());
    }

    #[test]
    fn a_condition_is_a_date_or_that_of_a_file() {
        let since = |text: &str| fields_of(&["-z", text]).map(|fields| fields.join("|"));
        let when = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(since(when).unwrap(), format!("If-Modified-Since: {when}"));
        let midnight = "If-Unmodified-Since: Sun, 06 Nov 1994 00:00:00 GMT";
        assert_eq!(since("-1994-11-06").unwrap(), midnight);
        let file = tempfile::NamedTempFile::new().unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        file.as_file().set_modified(modified).unwrap();
        let name = file.path().to_str().unwrap();
        assert_eq!(since(name).unwrap(), format!("If-Modified-Since: {when}"));
        assert_eq!(since("no-such-file").unwrap(), "");
        for text in ["1994-13-01", "06 Nov 1994", "1994-1-1"] {
            assert_eq!(since(text).unwrap_err().code, Code::Usage, "{text}");
        }
    }

    #[test]
    fn a_tag_is_compared_if_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("tag");
        let name = name.to_str().unwrap();
        let compared = || fields_of(&["--etag-compare", name]);
        assert_eq!(compared().unwrap(), Vec::<String>::new());
        fs::write(name, "\n").unwrap();
        assert_eq!(compared().unwrap(), Vec::<String>::new());
        fs::write(name, "W/\"a b\"").unwrap();
        assert!(compared().is_err());
        fs::write(name, "W/\"a\"\n").unwrap();
        assert_eq!(compared().unwrap(), ["If-None-Match: W/\"a\""]);
    }
}
