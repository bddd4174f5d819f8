//! Who asked for what: the access log, and what `--verbose` shows.

mod json;

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::date::HttpDate;
use proto::request::{Form, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket::hangup;
use transport::LogEntry;

use crate::clock;
use crate::terminal::printable;
pub(crate) use crate::terminal::tell;

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// NCSA's Common Log Format: `host - - [time] "request line" status bytes`.
    Common,
    /// The same and `"referer" "user-agent"`.
    Combined,
    /// A JSON object.
    Json,
}

/// The way a client came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// `sctp` or `dccp`.
    pub(crate) protocol: &'static str,
    /// `kernel`, `udp` or `raw`.
    pub(crate) carrier: &'static str,
}

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) way: Way,
}

/// Where lines about requests go, for all connections of a server.
///
/// Each line, and each block of lines, is written with one call, so that those of several threads
/// do not mix. Where nobody reads any more, the server serves on, and leaves out lines. After a SIGHUP the file is opened
/// anew under its name: the old one may have been moved away.
#[derive(Debug)]
pub(crate) struct Log {
    format: Option<Format>,
    sink: Sink,
    verbose: bool,
    /// Whether the last line could not be written.
    failing: AtomicBool,
}

#[derive(Debug)]
enum Sink {
    Stdout,
    File(Mutex<LogFile>),
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    /// How often SIGHUP had come when it was opened.
    hangups: usize,
}

/// How long the server waits for a reader of its log that is late.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a pipe takes at once when it takes any (pipe(7), on Linux).
const PIPE_BUF: usize = 4096;

/// Whether a write to `file` will not block, now or within `patience`.
fn is_writable(file: BorrowedFd<'_>, patience: Duration) -> bool {
    let until = clock() + patience;
    loop {
        let left = until.saturating_duration_since(clock());
        // A time of a second at most is one.
        let left = Timespec::try_from(left).ok();
        let mut polled = [PollFd::from_borrowed_fd(file, PollFlags::OUT)];
        match poll(&mut polled, left.as_ref()) {
            // A signal came.
            Err(Errno::INTR) => {}
            // What is wrong the write will tell.
            Ok(1..) | Err(_) => return true,
            Ok(0) => return false,
        }
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Before the file: a signal that comes meanwhile may be for the next one.
        let hangups = hangup::count();
        Ok(Self {
            path: path.to_owned(),
            file: OpenOptions::new().append(true).create(true).open(path)?,
            hangups,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if hangup::count() != self.hangups {
            match Self::open(&self.path) {
                Ok(new) => *self = new,
                Err(error) => {
                    // The old file will do until the next signal.
                    self.hangups = hangup::count();
                    let path = self.path.display();
                    tell(&format!(
                        "the access log {path} cannot be opened anew: {error}; the old one goes on\n"
                    ));
                }
            }
        }
        self.file.write_all(line)
    }
}

impl Log {
    /// A log in `format` (none, if it is `None`), which goes to the end of `file` or to stdout.
    /// `verbose` shows requests and answers on stderr too.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or made.
    pub(crate) fn open(
        format: Option<Format>,
        file: Option<&Path>,
        verbose: bool,
    ) -> io::Result<Self> {
        let sink = match file {
            Some(path) => {
                hangup::watch()?;
                Sink::File(Mutex::new(LogFile::open(path)?))
            }
            None => Sink::Stdout,
        };
        Ok(Self {
            format,
            sink,
            verbose,
            failing: AtomicBool::new(false),
        })
    }

    /// Writes the line about an answer that ended at `date`.
    pub(crate) fn write(&self, client: &Client, date: HttpDate, entry: &LogEntry<'_>) {
        let Some(format) = self.format else { return };
        let line = match format {
            Format::Json => json::line(client, date, entry),
            Format::Common | Format::Combined => {
                let host = client.peer.ip().to_canonical();
                let with_agent = format == Format::Combined;
                format!(
                    "{}\n",
                    Line {
                        with_agent,
                        host,
                        date,
                        entry
                    }
                )
            }
        };
        let result = match &self.sink {
            Sink::Stdout => self.write_to_stdout(line.as_bytes()),
            Sink::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.write(line.as_bytes())
            }
        };
        match result {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            // stderr may be read by who does not read stdout.
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed)
                    && is_writable(io::stderr().as_fd(), Duration::ZERO)
                {
                    tell(&format!("the access log cannot be written: {error}\n"));
                }
            }
        }
    }

    /// Writes a line where somebody reads. Where nobody does, a pipe fills up; its writer would
    /// wait for ever, and with it all clients.
    fn write_to_stdout(&self, line: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        for piece in line.chunks(PIPE_BUF) {
            let patience = if self.failing.load(Ordering::Relaxed) {
                Duration::ZERO
            } else {
                PATIENCE
            };
            if !is_writable(stdout.as_fd(), patience) {
                let message = "nobody reads it; lines are left out until somebody does";
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            stdout.write_all(piece)?;
        }
        stdout.flush()
    }

    /// Shows what a client asks, if that is wanted.
    pub(crate) fn show_request(&self, peer: SocketAddr, request: &Request) {
        if self.verbose {
            tell(&request_lines(peer, request));
        }
    }

    /// Shows how it was answered, if that is wanted.
    pub(crate) fn show_answer(&self, peer: SocketAddr, entry: &LogEntry<'_>) {
        if self.verbose {
            tell(&answer_lines(peer, entry));
        }
    }
}

/// A line in one of NCSA's formats, without its end.
struct Line<'a> {
    /// Whether it is the Combined Log Format.
    with_agent: bool,
    host: IpAddr,
    date: HttpDate,
    entry: &'a LogEntry<'a>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            with_agent,
            host,
            date,
            entry,
        } = self;
        let line = if entry.line.is_empty() {
            "-"
        } else {
            entry.line
        };
        write!(f, "{host} - - [{}] \"{line}\" ", Time(*date))?;
        match entry.summary.status {
            Some(status) => write!(f, "{status} ")?,
            None => f.write_str("- ")?,
        }
        match entry.summary.body_bytes {
            0 => f.write_str("-")?,
            bytes => write!(f, "{bytes}")?,
        }
        if !with_agent {
            return Ok(());
        }
        let field = |name| {
            entry
                .request
                .and_then(|request| request.fields.single(name))
        };
        let referer = Quoted(field("Referer"));
        write!(f, " {referer} {}", Quoted(field("User-Agent")))
    }
}

/// A time as logs have it: `10/Oct/2000:13:55:36 +0000`.
struct Time(HttpDate);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tue, 10 Oct 2000 13:55:36 GMT
        let date = self.0.to_string();
        let mut words = date.split(' ').skip(1);
        let mut word = || words.next().unwrap_or_default();
        let (day, month, year, time) = (word(), word(), word(), word());
        write!(f, "{day}/{month}/{year}:{time} +0000")
    }
}

/// A field value between quotes: visible ASCII and SP stay as they are, `"` and `\` get a
/// backslash, each other byte becomes `\xNN`. A field that is missing or empty is `-`.
struct Quoted<'a>(Option<&'a [u8]>);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.filter(|value| !value.is_empty()).unwrap_or(b"-");
        f.write_str("\"")?;
        for &byte in value {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02X}")?,
            }
        }
        f.write_str("\"")
    }
}

/// The head of a request, line by line, each behind the client's address and `>`.
fn request_lines(peer: SocketAddr, request: &Request) -> String {
    let version = match request.form {
        Form::Full { minor } => format!(" HTTP/1.{minor}"),
        Form::Seed => " HTTP 1.0".to_owned(),
        Form::Simple => String::new(),
    };
    let mut lines = format!("{peer} > {} {}{version}\n", request.method, request.target);
    for (name, value) in request.fields.iter() {
        // Writing to a `String` does not fail.
        let _ = writeln!(lines, "{peer} > {name}: {}", printable(value));
    }
    lines
}

/// How a request was answered, behind the client's address and `<`; before it the request, if it
/// was not shown because it could not be understood.
fn answer_lines(peer: SocketAddr, entry: &LogEntry<'_>) -> String {
    let mut lines = String::new();
    if entry.request.is_none() && !entry.line.is_empty() {
        let _ = writeln!(lines, "{peer} > {}", entry.line);
    }
    let _ = write!(lines, "{peer} < ");
    let _ = match entry.summary.status {
        Some(status) => write!(lines, "{status} {}", status.reason()),
        None => write!(lines, "no answer"),
    };
    if !entry.reason.is_empty() {
        let _ = write!(lines, " ({})", entry.reason);
    }
    let _ = write!(lines, ", {} bytes of body", entry.summary.body_bytes);
    if !entry.summary.complete {
        let _ = write!(lines, ", incomplete");
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use proto::request::{Limits, parse};
    use proto::server::Summary;
    use proto::status::Status;

    use super::*;

    fn request(head: &[u8]) -> Request {
        parse(head, &Limits::default()).unwrap()
    }

    fn entry<'a>(line: &'a str, request: Option<&'a Request>, body_bytes: u64) -> LogEntry<'a> {
        LogEntry {
            line,
            request,
            reason: "",
            summary: Summary {
                status: Some(Status::OK),
                body_bytes,
                complete: true,
            },
            stream: None,
            took: Duration::from_millis(1500),
        }
    }

    fn client(peer: &str) -> Client {
        Client {
            peer: peer.parse().unwrap(),
            way: Way {
                protocol: "sctp",
                carrier: "udp",
            },
        }
    }

    fn written(format: Format, entry: &LogEntry<'_>) -> String {
        Line {
            with_agent: format == Format::Combined,
            host: "127.0.0.1".parse().unwrap(),
            date: HttpDate::from_unix(971_186_136),
            entry,
        }
        .to_string()
    }

    #[test]
    fn the_common_format_is_kept_byte_for_byte() {
        let request = request(b"GET /apache_pb.gif HTTP/1.0\r\n\r\n");
        let line = request.to_string();
        assert_eq!(
            written(Format::Common, &entry(&line, Some(&request), 2326)),
            "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.0\" 200 2326"
        );
    }

    #[test]
    fn the_combined_format_is_kept_byte_for_byte() {
        let head =
            b"GET /x HTTP/1.0\r\nReferer: http://a/\r\nUser-Agent: Mozilla/4.08 [en]\r\n\r\n";
        let request = request(head);
        let line = request.to_string();
        assert_eq!(
            written(Format::Combined, &entry(&line, Some(&request), 1)),
            "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /x HTTP/1.0\" 200 1 \
             \"http://a/\" \"Mozilla/4.08 [en]\""
        );
    }

    #[test]
    fn what_is_missing_is_a_hyphen() {
        let mut nothing = entry("", None, 0);
        nothing.summary.status = None;
        assert_eq!(
            written(Format::Combined, &nothing),
            "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"-\" - - \"-\" \"-\""
        );
    }

    #[test]
    fn hostile_bytes_reach_neither_log_nor_terminal() {
        let head = b"GET /\"\\x HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\\t\x80\xff\r\n\r\n";
        let request = request(head);
        let line = request.to_string();
        let entry = entry(&line, Some(&request), 0);
        assert_eq!(
            written(Format::Combined, &entry),
            "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /\\\"\\\\x HTTP/1.1\" 200 - \
             \"-\" \"\\\"\\\\\\x09\\x80\\xFF\""
        );
        let peer = SocketAddr::from(([127, 0, 0, 1], 5));
        for text in [request_lines(peer, &request), answer_lines(peer, &entry)] {
            assert!(text.lines().all(|line| !line.contains(char::is_control)));
        }
    }

    #[test]
    fn verbose_lines_name_the_client() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5));
        assert_eq!(
            request_lines(peer, &request(b"GET / HTTP/1.0\nAccept: */*\n\n")),
            "127.0.0.1:5 > GET / HTTP/1.0\n127.0.0.1:5 > Accept: */*\n"
        );
        let seed = request(b"GET / HTTP 1.0");
        assert_eq!(request_lines(peer, &seed), "127.0.0.1:5 > GET / HTTP 1.0\n");
        let mut entry = entry("GET / HTTP 1.0", Some(&seed), 10);
        let shown = "127.0.0.1:5 < 200 OK, 10 bytes of body\n";
        assert_eq!(answer_lines(peer, &entry), shown);
        entry.summary.complete = false;
        let shown = "127.0.0.1:5 < 200 OK, 10 bytes of body, incomplete\n";
        assert_eq!(answer_lines(peer, &entry), shown);
    }

    #[test]
    fn a_refused_request_is_shown_with_the_reason() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5));
        let mut entry = entry("GET foo", None, 123);
        entry.summary.status = Some(Status::BAD_REQUEST);
        entry.reason = "because";
        assert_eq!(
            answer_lines(peer, &entry),
            "127.0.0.1:5 > GET foo\n127.0.0.1:5 < 400 Bad Request (because), 123 bytes of body\n"
        );
    }

    #[test]
    fn lines_are_added_to_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "before\n").unwrap();
        let log = Log::open(Some(Format::Common), Some(file.path()), false).unwrap();
        log.write(
            &client("[::1]:80"),
            HttpDate::from_unix(0),
            &entry("GET / HTTP/1.0", None, 1),
        );
        let mut text = String::new();
        file.as_file().read_to_string(&mut text).unwrap();
        assert_eq!(
            text,
            "before\n::1 - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/1.0\" 200 1\n"
        );
    }

    #[test]
    fn a_log_that_cannot_be_written_stops_nothing() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            eprintln!("skipped: there is no /dev/full");
            return;
        }
        let log = Log::open(Some(Format::Common), Some(full), false).unwrap();
        for _ in 0..2 {
            log.write(
                &client("127.0.0.1:5"),
                HttpDate::from_unix(0),
                &entry("", None, 1),
            );
            assert!(log.failing.load(Ordering::Relaxed));
        }
    }
}
