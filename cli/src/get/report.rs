//! What is told of each target, to programs: `--json` and `--write-out`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};
use socket::Protocol;

use super::job::Job;
use super::metered::{Figures, seconds};
use crate::args::{self, Proto};
use crate::exit::{Code, Failure};
use crate::terminal;

/// What is told of one target. Where curl has the same, the name is curl's; times are in seconds
/// from the beginning of the last attempt.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    /// When the attempt under way began.
    #[serde(skip)]
    pub(super) began: Option<Instant>,
    /// As typed, with its transport.
    pub(super) url: String,
    /// Where it was found in the end.
    pub(super) url_effective: String,
    pub(super) method: &'static str,
    /// The status of the last answer; 0 if there was none.
    pub(super) http_code: u16,
    pub(super) content_type: Option<String>,
    /// The file that has the body.
    pub(super) filename_effective: Option<String>,
    /// Bytes of the last head.
    pub(super) size_header: u64,
    /// Bytes of body that came.
    pub(super) size_download: u64,
    /// Bytes a second.
    pub(super) speed_download: u64,
    pub(super) time_namelookup: Option<f64>,
    pub(super) time_connect: Option<f64>,
    pub(super) time_starttransfer: Option<f64>,
    pub(super) time_total: f64,
    /// How many connections were made for it: 0 if it came over that of another target.
    pub(super) num_connects: u32,
    pub(super) num_redirects: usize,
    pub(super) num_retries: u32,
    pub(super) remote_ip: Option<String>,
    pub(super) remote_port: Option<u16>,
    pub(super) proto: &'static str,
    pub(super) carrier: Option<String>,
    /// What showed that the bytes are right: an option, or a field of the answer.
    pub(super) digest: Option<&'static str>,
    pub(super) repair_rounds: Option<u32>,
    #[serde(flatten)]
    pub(super) figures: Figures,
    pub(super) exitcode: u8,
    pub(super) errormsg: Option<String>,
}

impl Report {
    /// What is known before anything was sent.
    pub(super) fn of(job: &Job) -> Self {
        let (default, proto) = match job.protocol {
            Protocol::Sctp => (Proto::Sctp, "sctp"),
            Protocol::Dccp => (Proto::Dccp, "dccp"),
        };
        Self {
            url: job.typed().url(default),
            url_effective: job.target.url(default),
            method: if job.head_only { "HEAD" } else { "GET" },
            num_redirects: job.led_by.len(),
            proto,
            ..Self::default()
        }
    }

    /// How long after the beginning of the attempt that was.
    pub(super) fn since_began(&self, time: Instant) -> Duration {
        let began = self.began.unwrap_or(time);
        time.saturating_duration_since(began)
    }

    /// Takes note of how it ended, and when.
    pub(super) fn ended(&mut self, now: Instant, failure: Option<&Failure>) {
        let took = self.since_began(now);
        self.time_total = seconds(took);
        if !took.is_zero() {
            self.speed_download = (self.size_download as f64 / took.as_secs_f64()) as u64;
        }
        self.exitcode = failure.map_or(0, |failure| failure.code as u8);
        self.errormsg = failure.map(|failure| failure.message().to_owned());
    }

    fn values(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(values)) => values,
            // It has no keys but names.
            _ => Map::new(),
        }
    }

    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What of it is told, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct Telling {
    json: bool,
    format: Vec<Piece>,
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
    Json,
    Stdout,
    Stderr,
}

impl Telling {
    pub(super) fn new(args: &args::Showing) -> Result<Self, Failure> {
        let format = match args.write_out.as_deref() {
            None => Vec::new(),
            Some(text) => match text.strip_prefix('@') {
                Some(name) => parse(&read(name)?)?,
                None => parse(text)?,
            },
        };
        let json = args.json;
        Ok(Self { json, format })
    }

    /// Whether anybody wants to know.
    pub(super) const fn is_silent(&self) -> bool {
        !self.json && self.format.is_empty()
    }

    /// Tells of a target, of which the body went to stdout or not.
    pub(super) fn tell(&self, report: &Report, body_on_stdout: bool) -> Result<(), Failure> {
        let mut stdout = String::new();
        if self.json {
            let line = report.json() + "\n";
            if body_on_stdout {
                terminal::tell(&line);
            } else {
                stdout.push_str(&line);
            }
        }
        let mut stderr = String::new();
        let (values, mut out) = (report.values(), &mut stdout);
        for piece in &self.format {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(name) => {
                    out.push_str(&values.get(name).map(shown).unwrap_or_default());
                }
                Piece::Json => out.push_str(&report.json()),
                Piece::Stdout => out = &mut stdout,
                Piece::Stderr => out = &mut stderr,
            }
        }
        terminal::tell(&stderr);
        let mut out = io::stdout().lock();
        let written = out.write_all(stdout.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            // The reader has what it wants.
            io::ErrorKind::BrokenPipe => Failure::silent(Code::Write),
            _ => Failure::cannot_write(Path::new("stdout"), &error),
        })
    }
}

/// A value as curl writes it: times with six places, and nothing for what is not known.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.6}", number.as_f64().unwrap_or_default())
        }
        value => value.to_string(),
    }
}

fn read(name: &str) -> Result<String, Failure> {
    let text = if name == "-" {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(name)
    };
    text.map_err(|error| {
        let name = terminal::printable(name.as_bytes());
        let message = format_args!("--write-out cannot be read from {name}: {error}");
        Failure::new(Code::Usage, message).hint("name a file of text, or - for stdin")
    })
}

/// Reads a format, in which all names must be known.
fn parse(text: &str) -> Result<Vec<Piece>, Failure> {
    let known = Report::default().values();
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let tail = &rest[first.len_utf8()..];
        let (text, length) = match (first, tail.chars().next()) {
            ('\\', Some('n')) => ("\n", 2),
            ('\\', Some('r')) => ("\r", 2),
            ('\\', Some('t')) => ("\t", 2),
            ('\\', Some('\\')) => ("\\", 2),
            ('%', Some('%')) => ("%", 2),
            ('%', Some('{')) => {
                let (name, _) = tail[1..].split_once('}').ok_or_else(|| {
                    Failure::new(Code::Usage, "--write-out: a %{ has no }")
                        .hint("write %{NAME}, or %%{ to have the sign itself")
                })?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(match name {
                    "json" => Piece::Json,
                    "stdout" => Piece::Stdout,
                    "stderr" => Piece::Stderr,
                    "response_code" => Piece::Value("http_code".to_owned()),
                    name if known.contains_key(name) => Piece::Value(name.to_owned()),
                    name => {
                        let message = format_args!("--write-out knows no {name:?}");
                        return Err(Failure::new(Code::Usage, message)
                            .hint("the names are those that --json has"));
                    }
                });
                ("", name.len() + 3)
            }
            _ => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        plain.push_str(text);
        rest = &rest[length..];
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_text_and_names() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            parse(r"a%{http_code}\t%{json}%%{x\n").unwrap(),
            [
                text("a"),
                Piece::Value("http_code".to_owned()),
                text("\t"),
                Piece::Json,
                text("%{x\n"),
            ]
        );
        assert_eq!(parse(r"ü\x%\").unwrap(), [text(r"ü\x%\")]);
        for format in ["%{http_code", "%{no_such_name}", "%{}"] {
            assert_eq!(parse(format).unwrap_err().code, Code::Usage, "{format}");
        }
    }

    #[test]
    fn times_have_six_places_and_what_is_not_known_none() {
        let report = Report {
            time_total: 0.25,
            http_code: 200,
            ..Report::default()
        };
        let values = report.values();
        let value = |name: &str| shown(&values[name]);
        assert_eq!(value("time_total"), "0.250000");
        assert_eq!(value("http_code"), "200");
        assert_eq!(
            (value("cwnd"), value("content_type")),
            (String::new(), String::new())
        );
    }
}
