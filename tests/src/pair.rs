//! A client and a server that talk over two links, in virtual time that jumps from one thing to
//! happen to the next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proto::client::{self, Done, Failure, Head};
use proto::date::HttpDate;
use proto::digest::Digests;
use proto::etag::EntityTag;
use proto::machine::{Datagram, Delivery, Disposition, Machine};
use proto::request::Request;
use proto::server::{self, Answer, Representation, Summary};
use proto::status::Status;
use proto::streams::{self, Exchanges, Streams};
use proto::target::TargetPath;
use sha2::{Digest as _, Sha256};
use transport::{
    Application, Buffers, CloseReason, Connection, DatagramSocket, Finish, Limits, LogEntry,
    Received, Responder, SendError, Site, StreamId, Transmit, Turn,
};

use crate::link::{Arrival, Config as LinkConfig, Link, Refused};
use crate::transcript::{Side, Transcript};

/// What time it is on the server: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const DATE: HttpDate = HttpDate::from_unix(784_111_777);

/// Turns at one moment after which the two are taken to spin.
const MAX_TURNS_AT_ONCE: u32 = 20_000;

/// An instant for virtual time to begin at.
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time has to count from some instant; nothing depends on which"
)]
pub fn epoch() -> Instant {
    Instant::now()
}

/// How a file is named for caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A strong tag, another one for each version.
    Strong,
    /// A weak tag, the same for all versions.
    Weak,
    /// None.
    Without,
}

/// A file of a [`Scenario`], which may change while it is fetched.
#[derive(Clone, Debug)]
pub struct File {
    /// What it holds, one version after the other.
    pub versions: Vec<Bytes>,
    /// Before which openings, counted from 0, the next version takes the place of the one before.
    pub changes: Vec<u32>,
    /// Its entity tag.
    pub tag: Tag,
    /// Whether the server knows its SHA-256.
    pub digest: bool,
    /// From which byte on it cannot be read.
    pub breaks_at: Option<u64>,
    /// The most bytes read at once.
    pub read_size: usize,
}

impl File {
    /// A file that does not change, with a strong tag and a digest.
    pub fn new(content: impl Into<Bytes>) -> Self {
        Self {
            versions: vec![content.into()],
            changes: Vec::new(),
            tag: Tag::Strong,
            digest: true,
            breaks_at: None,
            read_size: usize::MAX,
        }
    }
}

/// `length` bytes in which no two blocks are alike, different for each `seed`.
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut random = crate::link::Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_be_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Everything that decides a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where the faults of the links come from.
    pub seed: u64,
    /// From the client to the server.
    pub up: LinkConfig,
    /// From the server to the client.
    pub down: LinkConfig,
    /// The client.
    pub client: client::Config,
    /// The server.
    pub server: server::Config,
    /// Whether the server runs an exchange on each stream.
    pub streams: bool,
    /// The server's files by path, without a slash at the beginning.
    pub files: BTreeMap<String, File>,
    /// By when the client must have come to its end.
    pub time_limit: Duration,
}

impl Scenario {
    /// A GET of a file called `f`, over links that promise `delivery` and do what they can.
    pub fn new(delivery: Delivery, file: File, limit: usize) -> Self {
        let link = match delivery {
            Delivery::Reliable => LinkConfig::reliable(limit),
            Delivery::Unreliable => LinkConfig::unreliable(limit),
        };
        Self {
            seed: 0,
            up: link.clone(),
            down: link,
            client: client::Config::new(delivery, "/f"),
            server: server::Config::new(delivery),
            streams: false,
            files: BTreeMap::from([("f".to_owned(), file)]),
            time_limit: Duration::from_secs(600),
        }
    }

    /// Runs it to the end of both sides.
    ///
    /// # Panics
    ///
    /// If a side breaks a rule that holds in every run: it spins, or takes longer than it may, or
    /// the client tells of bytes what is not so. Seed and transcript are printed then.
    pub fn run(self) -> Outcome {
        Run::new(self).finish()
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed it had.
    pub seed: u64,
    /// How the client's exchange ended.
    pub result: Result<Done, Failure>,
    /// The head of the answer that counts, if any came.
    pub head: Option<Head>,
    /// How many heads were told, each of which makes what came before void.
    pub heads: u32,
    /// The body, as far as it came: from the first byte on that the answer is about, with zeros in
    /// the holes.
    pub body: Vec<u8>,
    /// Which bytes of it came.
    pub received: Vec<bool>,
    /// Whether the digest that the answer carries is that of the body; `None` if it carries none,
    /// or is a part.
    pub digest: Option<bool>,
    /// When the client came to its end.
    pub time: Duration,
    /// How many messages the server sent.
    pub answers: u64,
    /// What the server noted of each request.
    pub log: Vec<(String, Summary)>,
    /// What went over the links.
    pub transcript: Transcript,
}

impl Outcome {
    /// The body, if the client can call it whole: the framing or the transport says so, and the
    /// digest does not say otherwise.
    pub fn whole(&self) -> Option<&[u8]> {
        let verified = self.result.as_ref().is_ok_and(|done| done.verified);
        (verified && self.digest != Some(false)).then_some(&self.body[..])
    }

    /// Holds the outcome to the law of the framing: what the client has, holes or not, is all of
    /// one of `versions`, and what it calls whole is just the part of it that it wanted.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn assert_lawful(&self, versions: &[Bytes]) {
        let Some(head) = &self.head else {
            assert_eq!(self.whole(), None, "a body came without a head\n{self}");
            return;
        };
        if !matches!(head.response.status.code(), 200 | 206) {
            return;
        }
        if !head.framed && self.whole().is_none() {
            // Nothing is promised of such a body (HU6).
            return;
        }
        let first = usize::try_from(head.first).unwrap_or(usize::MAX);
        let is_part_of = |version: &Bytes| {
            let there = version.get(first..).unwrap_or_default();
            let bytes = self.body.iter().zip(&self.received).enumerate();
            let received = bytes.filter_map(|(at, (byte, came))| came.then_some((at, byte)));
            let mut agrees = received.map(|(at, byte)| there.get(at) == Some(byte));
            agrees.all(|agrees| agrees)
        };
        let lengths = |version: &Bytes| {
            let end = head.end.map_or(version.len(), |end| {
                usize::try_from(end).unwrap_or(usize::MAX)
            });
            self.whole().is_none_or(|body| body.len() == end - first)
                && (head
                    .complete
                    .is_none_or(|complete| complete == version.len() as u64))
        };
        assert!(
            versions
                .iter()
                .any(|version| is_part_of(version) && lengths(version)),
            "wrong bytes\n{self}"
        );
    }

    /// The status of the answer.
    pub fn status(&self) -> Option<Status> {
        self.head.as_ref().map(|head| head.response.status)
    }

    /// How many rounds of repair there were, if it ended well.
    pub fn rounds(&self) -> Option<u32> {
        self.result.as_ref().ok().map(|done| done.rounds)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {:?} after {:?}\n{}",
            self.seed, self.result, self.time, self.transcript
        )
    }
}

/// What both sides share.
#[derive(Clone, Debug)]
struct World {
    clock: Rc<Cell<Instant>>,
    transcript: Rc<RefCell<Transcript>>,
}

/// One end of the two links.
#[derive(Debug)]
struct End {
    world: World,
    side: Side,
    outgoing: Rc<RefCell<Link>>,
    incoming: Rc<RefCell<Link>>,
    /// The limit as far as it is known here: a message that is refused tells more.
    limit: usize,
}

impl End {
    fn close(&self, why: CloseReason, words: &str) {
        let now = self.world.clock.get();
        let mut transcript = self.world.transcript.borrow_mut();
        transcript.note(now, self.side, words);
        self.outgoing.borrow_mut().close(now, why);
    }
}

impl DatagramSocket for End {
    type Peer = ();

    fn max_payload(&self) -> usize {
        self.limit
    }

    fn send(&mut self, transmit: &Transmit<()>, payload: &[u8]) -> Result<(), SendError> {
        assert!(!payload.is_empty(), "HM10: no message is ever empty");
        assert!(payload.len() <= self.limit, "the limit was told");
        let now = self.world.clock.get();
        let mut link = self.outgoing.borrow_mut();
        match link.send(now, transmit, payload) {
            Ok(fate) => {
                let mut transcript = self.world.transcript.borrow_mut();
                transcript.message(now, self.side, payload, fate);
                Ok(())
            }
            Err(Refused::Blocked(_)) => Err(SendError::WouldBlock),
            Err(Refused::TooBig) => {
                self.limit = link.limit();
                Err(SendError::TooBig)
            }
        }
    }

    fn recv(&mut self, _buffer: &mut BytesMut) -> io::Result<Received<()>> {
        let now = self.world.clock.get();
        match self.incoming.borrow_mut().receive(now) {
            Some(Arrival::Datagram(datagram)) => Ok(Received::Datagram(datagram)),
            Some(Arrival::Closed(why)) => Ok(Received::Closed(why)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn finish(&mut self) -> io::Result<Finish> {
        self.close(CloseReason::Graceful, "closes");
        Ok(Finish::Done)
    }

    fn abort(&mut self) {
        self.close(CloseReason::Aborted, "aborts");
    }
}

/// The client's application: stores what comes, and holds the machine to what it tells.
#[derive(Debug, Default)]
pub(crate) struct Download {
    pub(crate) head: Option<Head>,
    heads: u32,
    pub(crate) body: Vec<u8>,
    received: Vec<bool>,
    pub(crate) result: Option<Result<Done, Failure>>,
}

impl Download {
    /// Where `offset` is in the body.
    fn at(&self, offset: u64) -> usize {
        let first = self.head.as_ref().map_or(0, |head| head.first);
        usize::try_from(offset - first).unwrap_or(usize::MAX)
    }

    fn store(&mut self, offset: u64, data: &[u8]) {
        let range = self.at(offset)..self.at(offset) + data.len();
        if self.body.len() < range.end {
            self.body.resize(range.end, 0);
            self.received.resize(range.end, false);
        }
        assert!(
            self.received[range.clone()]
                .iter()
                .all(|received| !received),
            "bytes that came before were told as new"
        );
        self.body[range.clone()].copy_from_slice(data);
        self.received[range].fill(true);
    }

    /// Whether bytes that came again are the same.
    fn agrees(&self, offset: u64, data: &[u8]) -> bool {
        let range = self.at(offset)..self.at(offset) + data.len();
        assert!(
            self.received[range.clone()]
                .iter()
                .all(|received| *received),
            "new bytes were told as repeated"
        );
        self.body[range] == *data
    }

    fn finish(&mut self, result: Result<Done, Failure>) {
        assert!(self.result.is_none(), "the end was told twice");
        if matches!(result, Ok(Done { verified: true, .. })) {
            assert!(
                self.received.iter().all(|received| *received),
                "holes were called whole"
            );
        }
        self.result = Some(result);
    }

    fn digest(&self) -> Option<bool> {
        let head = self.head.as_ref()?;
        let field = head.response.fields.joined("Repr-Digest")?;
        let sha256 = Digests::parse(&field).sha256?;
        let is_whole = head.response.status == Status::OK && head.end != Some(0);
        is_whole.then(|| Sha256::digest(&self.body)[..] == sha256)
    }
}

/// [`Download`] as its connection has it.
pub(crate) struct Downloading(pub(crate) Rc<RefCell<Download>>);

impl<M> Application<M> for Downloading
where
    M: Machine<Session = (), Event = client::Event, Command = client::Command>,
{
    fn run(&mut self, now: Instant, machine: &mut M) -> Option<Instant> {
        let mut download = self.0.borrow_mut();
        while let Some(((), event)) = machine.poll_event() {
            assert!(download.result.is_none(), "{event:?} came after the end");
            match event {
                client::Event::Head(head) => {
                    download.head = Some(*head);
                    download.heads += 1;
                    download.body.clear();
                    download.received.clear();
                }
                client::Event::Body { offset, data } => download.store(offset, &data),
                client::Event::Repeated { offset, data } => {
                    if !download.agrees(offset, &data) {
                        machine.handle_command(now, (), client::Command::Conflict);
                    }
                }
                client::Event::Finished(result) => download.finish(result),
                client::Event::Requested { .. } | client::Event::Round { .. } => {}
            }
        }
        None
    }
}

/// The client's machine below a transport that tells it what is lost.
struct Told {
    machine: client::Exchange,
    incoming: Rc<RefCell<Link>>,
}

impl Machine for Told {
    type Peer = ();
    type Session = ();
    type Event = client::Event;
    type Command = client::Command;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        let missing = self.incoming.borrow_mut().take_missing();
        if missing > 0 {
            self.machine.handle_missing(now, missing);
        }
        self.machine.handle_datagram(now, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }

    fn handle_closed(&mut self, now: Instant, why: CloseReason) {
        self.machine.handle_closed(now, why);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.machine.handle_rejected(now, limit);
    }

    fn handle_stop(&mut self, now: Instant) {
        self.machine.handle_stop(now);
    }

    fn handle_command(&mut self, now: Instant, (): (), command: client::Command) {
        self.machine.handle_command(now, (), command);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        self.machine.poll_transmit(now, limit, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<((), client::Event)> {
        self.machine.poll_event()
    }

    fn disposition(&self) -> Disposition {
        self.machine.disposition()
    }
}

/// The server's site: a table of files.
pub(crate) struct Files {
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) opened: BTreeMap<String, u32>,
    pub(crate) log: Rc<RefCell<Vec<(String, Summary)>>>,
}

/// A version of a file.
pub(crate) struct Opened {
    file: File,
    version: usize,
}

impl Opened {
    fn content(&self) -> &Bytes {
        &self.file.versions[self.version]
    }

    fn representation(&self) -> Representation {
        let tag = match self.file.tag {
            Tag::Strong => EntityTag::new_strong(&format!("v{}", self.version)).ok(),
            Tag::Weak => EntityTag::new_weak("v").ok(),
            Tag::Without => None,
        };
        Representation {
            length: self.content().len() as u64,
            content_type: "application/octet-stream".to_owned(),
            etag: tag,
            last_modified: Some(HttpDate::from_unix(DATE.unix() - 86400)),
            sha256: self
                .file
                .digest
                .then(|| Sha256::digest(self.content()).into()),
            further: proto::fields::Fields::new(),
        }
    }
}

impl Site for Files {
    type Resource = Option<Opened>;

    fn open(&mut self, _request: &Request, path: &TargetPath) -> Option<Opened> {
        let path = String::from_utf8(path.segments().join(&b'/')).ok()?;
        let file = self.files.get(&path)?.clone();
        let opened = self.opened.entry(path).or_default();
        let version = file.changes.iter().filter(|at| **at <= *opened).count();
        *opened += 1;
        let version = version.min(file.versions.len() - 1);
        Some(Opened { file, version })
    }

    fn poll_answer(&mut self, resource: &mut Option<Opened>) -> Poll<Answer> {
        Poll::Ready(match resource {
            Some(opened) => Answer::Found(opened.representation()),
            None => Answer::Error(Status::NOT_FOUND),
        })
    }

    fn read(
        &mut self,
        resource: &mut Option<Opened>,
        offset: u64,
        length: usize,
    ) -> io::Result<Bytes> {
        let opened = resource.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let breaks_at = opened.file.breaks_at.unwrap_or(u64::MAX);
        let left = usize::try_from(breaks_at.saturating_sub(offset)).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let length = length.min(opened.file.read_size).min(left);
        Ok(opened.content().slice(from..from + length))
    }

    fn date(&mut self) -> HttpDate {
        DATE
    }

    fn finished(&mut self, entry: &LogEntry<'_>) {
        let mut log = self.log.borrow_mut();
        log.push((entry.line.to_owned(), entry.summary));
    }
}

/// Makes the exchanges of a [`Streams`] of the server.
#[derive(Debug)]
struct ServerExchanges(server::Config);

impl Exchanges for ServerExchanges {
    type Exchange = server::Exchange;

    fn open(&mut self, now: Instant, _stream: StreamId, overloaded: bool) -> server::Exchange {
        if overloaded {
            server::Exchange::overloaded(now, self.0.clone())
        } else {
            server::Exchange::new(now, self.0.clone())
        }
    }
}

/// A [`Connection`] whatever it is made of.
trait Turning {
    fn turn(&mut self, now: Instant, buffers: &mut Buffers) -> Turn;
}

impl<M, A> Turning for Connection<M, End, A>
where
    M: Machine<Peer = ()>,
    A: Application<M>,
{
    fn turn(&mut self, now: Instant, buffers: &mut Buffers) -> Turn {
        Self::turn(self, now, true, buffers)
    }
}

/// A side that is turned until it is done.
struct Turned {
    connection: Option<Box<dyn Turning>>,
    outgoing: Rc<RefCell<Link>>,
    incoming: Rc<RefCell<Link>>,
    /// When to turn again.
    next: Option<Instant>,
}

impl Turned {
    fn turn(&mut self, now: Instant, buffers: &mut Buffers) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        match connection.turn(now, buffers) {
            Turn::Again => self.next = Some(now),
            Turn::Wait { write, deadline } => {
                let arrival = self.incoming.borrow().next_arrival();
                let room = self.outgoing.borrow().writable_at().filter(|_| write);
                self.next = [arrival, room, deadline].into_iter().flatten().min();
            }
            Turn::Done => {
                self.connection = None;
                self.next = None;
            }
        }
    }

    /// The next time something happens here, as things are now.
    fn next(&self) -> Option<Instant> {
        self.connection.as_ref()?;
        let arrival = self.incoming.borrow().next_arrival();
        [self.next, arrival].into_iter().flatten().min()
    }
}

/// A scenario under way.
struct Run {
    scenario: Scenario,
    world: World,
    began: Instant,
    client: Turned,
    server: Turned,
    download: Rc<RefCell<Download>>,
    log: Rc<RefCell<Vec<(String, Summary)>>>,
    down: Rc<RefCell<Link>>,
}

impl Run {
    fn new(scenario: Scenario) -> Self {
        let began = epoch();
        let world = World {
            clock: Rc::new(Cell::new(began)),
            transcript: Rc::new(RefCell::new(Transcript::new(began))),
        };
        let link = |config: &LinkConfig, salt| {
            let link = Link::new(config.clone(), scenario.seed.wrapping_mul(2) + salt);
            Rc::new(RefCell::new(link))
        };
        let (up, down) = (link(&scenario.up, 0), link(&scenario.down, 1));
        let end = |side, outgoing: &Rc<RefCell<Link>>, incoming: &Rc<RefCell<Link>>| End {
            world: world.clone(),
            side,
            limit: outgoing.borrow().limit(),
            outgoing: outgoing.clone(),
            incoming: incoming.clone(),
        };
        let download = Rc::<RefCell<Download>>::default();
        let log = Rc::<RefCell<Vec<_>>>::default();
        let site = Files {
            files: scenario.files.clone(),
            opened: BTreeMap::new(),
            log: log.clone(),
        };
        let machine = client::Exchange::new(scenario.client.clone());
        let client = connect(
            Told {
                machine: machine.expect("the request can be written"),
                incoming: down.clone(),
            },
            end(Side::Client, &up, &down),
            Downloading(download.clone()),
        );
        let server_end = end(Side::Server, &down, &up);
        let config = scenario.server.clone();
        let server = if scenario.streams {
            let exchanges = ServerExchanges(config);
            let machine = Streams::new(began, exchanges, streams::Config::default());
            connect(machine, server_end, Responder::new(site))
        } else {
            let machine = server::Exchange::new(began, config);
            connect(machine, server_end, Responder::new(site))
        };
        let turned =
            |connection, outgoing: &Rc<RefCell<Link>>, incoming: &Rc<RefCell<Link>>| Turned {
                connection: Some(connection),
                outgoing: outgoing.clone(),
                incoming: incoming.clone(),
                next: None,
            };
        Self {
            client: turned(client, &up, &down),
            server: turned(server, &down, &up),
            scenario,
            world,
            began,
            download,
            log,
            down,
        }
    }

    fn finish(mut self) -> Outcome {
        let mut buffers = Buffers::default();
        let mut turns = 0;
        let mut ended = None;
        loop {
            let now = self.world.clock.get();
            self.client.turn(now, &mut buffers);
            self.server.turn(now, &mut buffers);
            turns += 1;
            assert!(turns < MAX_TURNS_AT_ONCE, "time stands still");
            if self.client.connection.is_none() && ended.is_none() {
                ended = Some(now);
            }
            let next = [self.client.next(), self.server.next()];
            let Some(next) = next.into_iter().flatten().min() else {
                break;
            };
            if next > now {
                turns = 0;
                self.world.clock.set(next);
                let time = next - self.began;
                assert!(
                    ended.is_some() || time <= self.scenario.time_limit,
                    "the client is not done in time"
                );
                // The server has its own limits; half an hour is beyond them all.
                assert!(time < Duration::from_secs(1800) + self.scenario.time_limit);
            }
        }
        assert!(
            self.server.connection.is_none(),
            "the server waits for ever"
        );
        let ended = ended.expect("the client does not wait for ever");
        let download = self.download.take();
        Outcome {
            seed: self.scenario.seed,
            digest: download.digest(),
            result: download.result.expect("the client told its end"),
            head: download.head,
            heads: download.heads,
            body: download.body,
            received: download.received,
            time: ended - self.began,
            answers: self.down.borrow().sent(),
            log: self.log.take(),
            transcript: self.world.transcript.borrow().clone(),
        }
    }
}

fn connect<M, A>(machine: M, end: End, application: A) -> Box<dyn Turning>
where
    M: Machine<Peer = ()> + 'static,
    A: Application<M> + 'static,
{
    Box::new(Connection::new(
        machine,
        end,
        application,
        Limits::default(),
    ))
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, transcript) = (self.scenario.seed, self.world.transcript.borrow());
            eprintln!("seed {seed}\n{transcript}");
        }
    }
}
