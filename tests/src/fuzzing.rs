//! What the fuzz targets do with their input. Each function panics when a law is broken, so that
//! an ordinary test can call it too, with the corpus.

pub mod dccp;
pub mod sctp;

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use proto::accept;
use proto::client::{self, Wanted};
use proto::disposition;
use proto::machine::{CloseReason, Datagram, Delivery, Disposition, Machine};
use proto::request::{self, Form, Progress, Rejection, Request, RequestReader};
use proto::response::{self, HeadError, ResponseHead, ResponseReader};
use proto::server::{self, Answer};
use proto::status::Status;
use proto::target::{self, TargetPath};

use crate::link::Fate;
use crate::pair::{DATE, File, Scenario, Tag, epoch, noise};

/// What a fuzz target calls.
pub type Target = fn(&[u8]);

/// The targets by name. Each has a corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("request_parser", request_parser),
    ("response_parser", response_parser),
    ("framing", framing),
    ("target_path", target_path),
    ("dccp_packet", dccp::packet),
    ("dccp_options", dccp::options),
    ("dccp_session", dccp::session),
    ("sctp_packet", sctp::packet),
    ("sctp_cookie", sctp::cookie),
    ("sctp_session", sctp::session),
];

/// Reads `message` as a request: how it is cut does not matter, what is accepted is within the
/// limits, and it can be written and read again.
pub fn request_parser(message: &[u8]) {
    for limits in [
        request::Limits::default(),
        request::Limits {
            head: 64,
            target: 16,
            fields: 2,
            content: 8,
        },
    ] {
        let verdict = request::parse(message, &limits);
        for piece in [1, 2, 7, message.len() / 2] {
            let again = read_request(message, piece.max(1), limits);
            assert_eq!(again, verdict, "cut into pieces of {piece} bytes");
        }
        match verdict {
            Ok(request) => check_request(&request, limits),
            Err(rejection) => {
                assert!(rejection.status.is_error());
                assert!(is_printable(&rejection.line));
                assert!(rejection.line.len() <= 4 * 200 + 3);
            }
        }
    }
}

fn read_request(
    message: &[u8],
    piece: usize,
    limits: request::Limits,
) -> Result<Request, Rejection> {
    let mut reader = RequestReader::new(limits);
    let mut verdict = None;
    let mut rest = message;
    loop {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        rest = later;
        let progress = reader.feed(now, rest.is_empty());
        match progress {
            Progress::Incomplete => assert!(verdict.is_none()),
            Progress::Dropped => assert!(verdict.is_some()),
            Progress::Complete(request) => assert!(verdict.replace(Ok(request)).is_none()),
            Progress::Rejected(rejection) => assert!(verdict.replace(Err(rejection)).is_none()),
        }
        if rest.is_empty() {
            return verdict.expect("the last piece gives the verdict");
        }
    }
}

fn check_request(request: &Request, limits: request::Limits) {
    assert!(request.target.len() <= limits.target);
    assert!(request.fields.len() <= limits.fields);
    assert!(request.content_length <= limits.content);
    assert!(is_printable(&request.to_string()));
    for (_, value) in request.fields.iter() {
        check_preferences(value);
    }
    let mut written = Vec::new();
    request::write(
        &mut written,
        request.method,
        &request.target,
        &request.fields,
    )
    .expect("what was read can be written");
    let mut expected = request.clone();
    expected.form = Form::Full { minor: 0 };
    // What is written may be a little longer: an empty value gets a space before it.
    let generous = request::Limits {
        head: usize::MAX,
        ..limits
    };
    assert_eq!(request::parse(&written, &generous), Ok(expected));
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Reads `stream` as a response: how it is cut does not matter, heads are within the limits, and
/// a head can be written and read again.
pub fn response_parser(stream: &[u8]) {
    for limits in [
        response::Limits::default(),
        response::Limits {
            head: 64,
            fields: 2,
            interim: 1,
        },
    ] {
        let whole = read_response(stream, stream.len().max(1), limits);
        for piece in [1, 2, 7] {
            let again = read_response(stream, piece, limits);
            assert_eq!(again, whole, "cut into pieces of {piece} bytes");
        }
        let mut message = Bytes::copy_from_slice(stream);
        let alone = ResponseHead::parse(&mut message, &limits);
        match (whole, alone) {
            (Ok(Some((head, end))), Ok(alone)) if !alone.status.is_informational() => {
                assert_eq!((&head, stream.len() - end), (&alone, message.len()));
                check_head(&head, limits);
            }
            (Ok(Some((head, _))), _) => check_head(&head, limits),
            (Ok(None) | Err(_), alone) => {
                assert!(alone.is_err() || alone.is_ok_and(|head| head.status.is_informational()));
            }
        }
    }
}

/// The final head, and where its body begins.
type Read = Result<Option<(ResponseHead, usize)>, HeadError>;

fn read_response(stream: &[u8], piece: usize, limits: response::Limits) -> Read {
    let mut reader = ResponseReader::new(limits);
    let mut read = 0;
    for piece in stream.chunks(piece) {
        let mut bytes = Bytes::copy_from_slice(piece);
        let head = reader.feed(&mut bytes)?;
        read += piece.len() - bytes.len();
        assert!(reader.unfinished().len() <= limits.head);
        if let Some(head) = head {
            return Ok(Some((head, read)));
        }
        assert!(bytes.is_empty());
    }
    Ok(None)
}

fn check_head(head: &ResponseHead, limits: response::Limits) {
    assert!(head.fields.len() <= limits.fields);
    assert!(!head.reason.contains(char::is_control));
    for (name, value) in head.fields.iter() {
        assert!(name.is_ascii());
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        check_disposition(value);
    }
    let mut written = Vec::new();
    response::write(&mut written, head.status, &head.fields);
    let limits = response::Limits {
        head: usize::MAX,
        ..limits
    };
    let mut message = Bytes::from(written);
    let again = ResponseHead::parse(&mut message, &limits).expect("what was written can be read");
    assert!(message.is_empty());
    assert_eq!(
        (again.status, again.fields),
        (head.status, head.fields.clone())
    );
}

/// Reads `value` as a Content-Disposition: a name that is found in it is found again in the extended
/// notation, which is taken before the other.
fn check_disposition(value: &[u8]) {
    let Some(name) = disposition::file_name(value) else {
        return;
    };
    let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let again = format!("attachment; filename=other; filename*=UTF-8''{encoded}");
    assert_eq!(disposition::file_name(again.as_bytes()), Some(name));
}

/// Reads `value` as an Accept and an Accept-Encoding: all qualities are ones, and what is said
/// first of a coding counts.
fn check_preferences(value: &[u8]) {
    for coding in ["gzip", "br", "identity"] {
        assert!(accept::coding(Some(value), coding) <= 1000);
    }
    assert!(accept::media_type(Some(value), "text/html") <= 1000);
    let first = [b"gzip;q=0.5, ", value].concat();
    assert_eq!(accept::coding(Some(&first), "gzip"), 500);
}

/// Reads `input` as a request target: what is accepted cannot leave the folder it is looked up in,
/// and has a location that means the same.
pub fn target_path(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let encoded = target::encode_path(&text);
    assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(target::encode_path(&encoded), encoded);
    for target in [&*text, &*encoded] {
        let path = match TargetPath::parse(target) {
            Ok(path) => path,
            Err(error) => {
                assert!(matches!(
                    error.status(),
                    Status::BAD_REQUEST | Status::NOT_FOUND
                ));
                continue;
            }
        };
        for name in path.segments() {
            assert!(!matches!(&name[..], b"" | b"." | b".."));
            assert!(!name.iter().any(|byte| matches!(byte, b'/' | 0)));
        }
        for slash in [false, true] {
            let location = path.to_location(slash);
            assert!(location.starts_with('/') && !location.starts_with("//"));
            assert!(location.bytes().all(|byte| byte.is_ascii_graphic()));
            let again = TargetPath::parse(&location).expect("a location is a target");
            assert_eq!(again.segments(), path.segments());
            assert_eq!(again.is_directory(), slash || path.segments().is_empty());
        }
    }
}

/// Runs what the input describes: a client and a server with links that do their worst, or one of
/// the two alone with a peer that sends what it likes.
pub fn framing(input: &[u8]) {
    let mut input = Unstructured::new(input);
    match Play::arbitrary(&mut input) {
        Ok(Play::Pair(session)) => session.run(),
        Ok(Play::Client(acts)) => play_client(&acts),
        Ok(Play::Server(acts)) => play_server(&acts),
        Err(_) => {}
    }
}

#[derive(Arbitrary, Debug)]
enum Play {
    Pair(Session),
    Client(Vec<Act>),
    Server(Vec<Act>),
}

/// A run of both sides.
#[derive(Arbitrary, Debug)]
struct Session {
    length: u16,
    limit: u16,
    shrinks: Option<(u8, u16)>,
    tag: u8,
    digest: bool,
    /// The file changes when it is opened again after so many openings.
    changes: Vec<u8>,
    range: Option<(u16, u16)>,
    up: Vec<Doom>,
    down: Vec<Doom>,
    /// Whether the client is told what is lost.
    told: bool,
}

/// What happens to a message.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Doom {
    Arrives,
    Lost,
    Twice(u8),
    Late(u8),
}

impl Doom {
    fn fate(self) -> Option<Fate> {
        let delay = |quarters: u8| Duration::from_millis(u64::from(quarters) * 4);
        match self {
            Self::Arrives => None,
            Self::Lost => Some(Fate::Lost),
            Self::Twice(after) => Some(Fate::Twice(delay(after))),
            Self::Late(by) => Some(Fate::Late(delay(by))),
        }
    }
}

impl Session {
    fn run(self) {
        let length = usize::from(self.length) % 20_000;
        let versions: Vec<Bytes> = (0..=self.changes.len().min(8) as u64)
            .map(|version| noise(version, length))
            .collect();
        let file = File {
            versions: versions.clone(),
            changes: self.changes.iter().map(|at| u32::from(at % 16)).collect(),
            tag: [Tag::Strong, Tag::Weak, Tag::Without][usize::from(self.tag % 3)],
            digest: self.digest,
            ..File::new("")
        };
        // A head needs about 450 bytes.
        let limit = |bytes: u16| 600 + usize::from(bytes) % 1000;
        let mut scenario = Scenario::new(Delivery::Unreliable, file, limit(self.limit));
        scenario.down.shrinks = self
            .shrinks
            .map(|(after, to)| (u64::from(after), limit(to)));
        let fates = |dooms: &[Doom]| {
            let fates = dooms.iter().map(|doom| doom.fate());
            (0..)
                .zip(fates)
                .filter_map(|(index, fate)| Some((index, fate?)))
                .collect()
        };
        scenario.down.tells_losses = self.told;
        scenario.up.fates = fates(&self.up);
        scenario.down.fates = fates(&self.down);
        scenario.client.range = self.range.map(|(from, length)| {
            let (from, length) = (u64::from(from), u64::from(length));
            Wanted::Between(from, from + length)
        });
        scenario.run().assert_lawful(&versions);
    }
}

/// What happens to a machine.
#[derive(Arbitrary, Debug)]
enum Act {
    /// A message comes.
    Message(Vec<u8>),
    /// A piece of a message comes.
    Piece(Vec<u8>),
    /// A block comes: of which exchange, where, how much.
    Block(u8, u16, u8),
    /// A head comes: of which status, exchange and length, and which part.
    Head(u8, u8, u16, Option<(u16, u16)>),
    /// A request comes: of which exchange, and for which part.
    Request(u8, Option<(u16, u16)>),
    /// Time passes.
    Wait(u16),
    /// A message is refused.
    Refuse(u16),
    /// The transport ends.
    Close,
    /// Messages of the peer are known to be lost.
    Missing(u8),
    /// A head comes from a server that takes requests beside others: of which exchange.
    Granted(u8),
    /// A request beside others comes: of which exchange, and for which part.
    Beside(u8, u16, u16),
}

impl Act {
    fn message(&self) -> Option<Vec<u8>> {
        match self {
            Self::Message(bytes) | Self::Piece(bytes) => Some(bytes.clone()),
            Self::Block(exchange, offset, length) => {
                let mut message = vec![0, *exchange, 0, 0, 0, 0];
                message.extend_from_slice(&offset.to_be_bytes());
                message.resize(message.len() + usize::from(*length), *exchange);
                Some(message)
            }
            Self::Head(status, exchange, length, part) => {
                let status = [200, 206, 404, 416, 103, 304][usize::from(status % 6)];
                let part = part.map_or(String::new(), |(first, last)| {
                    format!("Content-Range: bytes {first}-{last}/{length}\r\n")
                });
                Some(
                    format!(
                        "HTTP/1.0 {status} X\r\nContent-Length: {length}\r\n{part}ETag: \"{}\"\r\n\
                         Body-Framing: offset;exchange={exchange}\r\n\r\n",
                        exchange / 64
                    )
                    .into(),
                )
            }
            Self::Request(exchange, part) => {
                let part = part.map_or(String::new(), |(first, last)| {
                    format!("Range: bytes={first}-{last},-9\r\n")
                });
                Some(
                    format!(
                        "GET /f HTTP/1.0\r\nBody-Framing: offset;exchange={exchange}\r\n{part}\r\n"
                    )
                    .into(),
                )
            }
            Self::Granted(exchange) => Some(
                format!(
                    "HTTP/1.0 200 X\r\nContent-Length: 9999\r\nETag: \"v\"\r\n\
                     Body-Framing: offset;exchange={exchange};beside\r\n\r\n"
                )
                .into(),
            ),
            Self::Beside(exchange, first, last) => Some(
                format!(
                    "GET /f HTTP/1.0\r\nBody-Framing: offset;exchange={exchange};beside\r\n\
                     Range: bytes={first}-{last},4990-\r\n\r\n"
                )
                .into(),
            ),
            Self::Wait(_) | Self::Refuse(_) | Self::Close | Self::Missing(_) => None,
        }
    }
}

/// Does all of `acts` to a machine, and calls `poll` after each.
fn play<M>(machine: &mut M, acts: &[Act], mut poll: impl FnMut(&mut M, std::time::Instant))
where
    M: Machine<Peer = (), Session = ()>,
{
    let mut now = epoch();
    let mut limit = 1424;
    let mut out = Vec::new();
    poll(machine, now);
    for act in acts {
        match act {
            Act::Wait(milliseconds) => {
                now += Duration::from_millis(u64::from(*milliseconds));
                machine.handle_timeout(now);
                let due = machine.poll_timeout();
                assert!(
                    due.is_none_or(|due| due > now),
                    "a timer is due again at once"
                );
            }
            Act::Refuse(bytes) => {
                limit = usize::from(*bytes);
                machine.handle_rejected(now, limit);
            }
            Act::Close => machine.handle_closed(now, CloseReason::Graceful),
            Act::Missing(messages) => machine.handle_missing(now, u64::from(*messages)),
            Act::Message(_)
            | Act::Piece(_)
            | Act::Block(..)
            | Act::Head(..)
            | Act::Request(..)
            | Act::Granted(_)
            | Act::Beside(..) => {
                let payload = act.message().unwrap_or_default().into();
                machine.handle_datagram(
                    now,
                    Datagram {
                        end_of_message: !matches!(act, Act::Piece(_)),
                        ..Datagram::message((), payload)
                    },
                );
            }
        }
        poll(machine, now);
        for _ in 0..1000 {
            out.clear();
            if machine.poll_transmit(now, limit, &mut out).is_none() {
                break;
            }
            assert!(!out.is_empty() && out.len() <= limit);
            poll(machine, now);
        }
    }
}

fn play_client(acts: &[Act]) {
    for delivery in [Delivery::Unreliable, Delivery::Reliable] {
        let config = client::Config {
            max_early: 4096,
            max_intervals: 8,
            ..client::Config::new(delivery, "/f")
        };
        let mut machine = client::Exchange::new(config).expect("the request can be written");
        let mut place = None;
        let mut ended = false;
        play(&mut machine, acts, |machine, _now| {
            while let Some(((), event)) = machine.poll_event() {
                assert!(!ended, "{event:?} came after the end");
                match event {
                    client::Event::Head(head) => {
                        place = Some(head.first..head.end.unwrap_or(u64::MAX));
                    }
                    client::Event::Body { offset, data }
                    | client::Event::Repeated { offset, data } => {
                        let place = place.as_ref().expect("a body has a head");
                        assert!(!data.is_empty());
                        assert!(place.start <= offset && offset + data.len() as u64 <= place.end);
                    }
                    client::Event::Finished(_) => ended = true,
                    client::Event::Requested { .. } | client::Event::Round { .. } => {}
                }
            }
            assert_eq!(ended, machine.disposition() != Disposition::Open);
            assert!(!ended || machine.poll_timeout().is_none());
        });
    }
}

fn play_server(acts: &[Act]) {
    let content = noise(1, 5000);
    for delivery in [Delivery::Unreliable, Delivery::Reliable] {
        let mut machine = server::Exchange::new(epoch(), server::Config::new(delivery));
        let mut open = false;
        play(&mut machine, acts, |machine, now| {
            while let Some(((), event)) = machine.poll_event() {
                let command = match event {
                    server::Event::Request { .. } => {
                        assert!(!std::mem::replace(&mut open, true), "two requests at once");
                        let answer = Answer::Found(server::Representation {
                            length: content.len() as u64,
                            content_type: "text/plain".to_owned(),
                            etag: None,
                            last_modified: Some(DATE),
                            sha256: None,
                            further: proto::fields::Fields::new(),
                        });
                        server::Command::Respond { answer, date: DATE }
                    }
                    server::Event::Rejected(rejection) => {
                        assert!(!std::mem::replace(&mut open, true), "two requests at once");
                        let answer = Answer::Error(rejection.status);
                        server::Command::Respond { answer, date: DATE }
                    }
                    server::Event::BodyWanted { offset, length } => {
                        assert!(open, "bytes for no request");
                        let from = usize::try_from(offset).unwrap_or(usize::MAX);
                        server::Command::Body(content.slice(from..from + length))
                    }
                    server::Event::Finished(_) => {
                        assert!(std::mem::take(&mut open), "the end of no request");
                        continue;
                    }
                };
                machine.handle_command(now, (), command);
            }
        });
    }
}
