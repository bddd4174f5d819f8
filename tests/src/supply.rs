//! A little protocol for tests of the drivers: a client asks for a number of bytes, and gets them
//! in as many messages as it takes; then it may ask again.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use transport::{Application, CloseReason, Datagram, Disposition, Machine, Transmit};

use crate::seqpacket::Client;

/// Who asks for so much makes the application panic.
pub const PANIC: u64 = u64::MAX - 1;

/// What the machines tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client asks for so many bytes.
    Asked(u64),
    /// The server has sent as many as it was asked for.
    Sent(u64),
    /// The client has got as many as it asked for.
    Got(u64),
    /// The client got something else than it asked for.
    Corrupt,
    /// The connection has ended other than as planned.
    Ended(CloseReason),
}

/// The server: sends what it is asked for, once its application says so.
#[derive(Debug)]
pub struct Source {
    events: VecDeque<Event>,
    /// How many bytes were asked for, how many of them are sent.
    order: Option<(u64, u64)>,
    stopping: bool,
    disposition: Disposition,
    idle: Duration,
    heard: Instant,
}

impl Source {
    /// Ends a connection on which nothing is asked for `idle`.
    pub fn new(now: Instant, idle: Duration) -> Self {
        Self {
            events: VecDeque::new(),
            order: None,
            stopping: false,
            disposition: Disposition::Open,
            idle,
            heard: now,
        }
    }
}

impl Machine for Source {
    type Peer = ();
    type Session = ();
    type Event = Event;
    /// So many bytes may be sent.
    type Command = u64;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<()>) {
        if let Ok(request) = <[u8; 8]>::try_from(&datagram.payload[..]) {
            let bytes = u64::from_be_bytes(request);
            self.heard = now;
            self.events.push_back(Event::Asked(bytes));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.events.push_back(Event::Ended(CloseReason::TimedOut));
            self.disposition = Disposition::Abort;
        }
    }

    fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        self.events.push_back(Event::Ended(why));
        self.disposition = Disposition::Close;
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {
        unreachable!("the limit does not change");
    }

    fn handle_stop(&mut self, _now: Instant) {
        self.stopping = true;
    }

    fn handle_command(&mut self, _now: Instant, (): (), bytes: u64) {
        self.order = Some((bytes, 0));
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        let (bytes, sent) = self.order.as_mut()?;
        let before = out.len();
        out.extend(content(*sent..*bytes).take(limit));
        *sent += (out.len() - before) as u64;
        if sent == bytes {
            let bytes = *bytes;
            self.heard = now;
            self.order = None;
            self.events.push_back(Event::Sent(bytes));
        }
        Some(Transmit::message(()))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.order.is_none() && self.disposition == Disposition::Open)
            .then_some(self.heard + self.idle)
    }

    fn poll_event(&mut self) -> Option<((), Event)> {
        self.events.pop_front().map(|event| ((), event))
    }

    fn disposition(&self) -> Disposition {
        match self.disposition {
            Disposition::Open if self.stopping && self.order.is_none() => Disposition::Close,
            disposition => disposition,
        }
    }
}

/// The client: asks for one thing after the other.
#[derive(Debug)]
pub struct Sink {
    events: VecDeque<Event>,
    wishes: VecDeque<u64>,
    /// How many bytes were asked for, how many of them came.
    order: Option<(u64, u64)>,
    disposition: Disposition,
}

impl Sink {
    /// Asks for each of `wishes`, none of them 0.
    pub fn new(wishes: impl IntoIterator<Item = u64>) -> Self {
        Self {
            events: VecDeque::new(),
            wishes: wishes.into_iter().collect(),
            order: None,
            disposition: Disposition::Open,
        }
    }
}

impl Machine for Sink {
    type Peer = ();
    type Session = ();
    type Event = Event;
    type Command = u64;

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<()>) {
        let Some((bytes, got)) = self.order.as_mut() else {
            self.events.push_back(Event::Corrupt);
            return;
        };
        if !content(*got..*bytes)
            .take(datagram.payload.len())
            .eq(datagram.payload.iter().copied())
        {
            self.events.push_back(Event::Corrupt);
        }
        *got += datagram.payload.len() as u64;
        if got >= bytes {
            self.events.push_back(Event::Got(*bytes));
            self.order = None;
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_closed(&mut self, _now: Instant, why: CloseReason) {
        self.events.push_back(Event::Ended(why));
        self.disposition = Disposition::Abort;
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {
        unreachable!("the limit does not change");
    }

    fn handle_stop(&mut self, _now: Instant) {
        self.wishes.clear();
    }

    fn handle_command(&mut self, _now: Instant, (): (), bytes: u64) {
        self.wishes.push_back(bytes);
    }

    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        if self.order.is_some() {
            return None;
        }
        let bytes = self.wishes.pop_front()?;
        out.extend_from_slice(&bytes.to_be_bytes());
        self.order = Some((bytes, 0));
        Some(Transmit::message(()))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_event(&mut self) -> Option<((), Event)> {
        self.events.pop_front().map(|event| ((), event))
    }

    fn disposition(&self) -> Disposition {
        match self.disposition {
            Disposition::Open if self.order.is_none() && self.wishes.is_empty() => {
                Disposition::Close
            }
            disposition => disposition,
        }
    }
}

/// The application of both: allows what is asked for and notes what happens.
#[derive(Debug, Default)]
pub struct Notes {
    /// What has happened so far.
    pub events: Vec<Event>,
    /// Who wants to know at once.
    pub reader: Option<Sender<Event>>,
}

impl<M> Application<M> for Notes
where
    M: Machine<Session = (), Event = Event, Command = u64>,
{
    fn run(&mut self, now: Instant, machine: &mut M) -> Option<Instant> {
        while let Some(((), event)) = machine.poll_event() {
            if let Event::Asked(bytes) = event {
                assert_ne!(bytes, PANIC, "a test asked for this");
                machine.handle_command(now, (), bytes);
            }
            self.events.push(event);
            if let Some(reader) = &self.reader {
                // A test that has seen enough no longer reads.
                let _ = reader.send(event);
            }
        }
        None
    }
}

impl Client {
    /// Asks for `bytes`.
    ///
    /// # Errors
    ///
    /// When the server is gone.
    pub fn ask(&mut self, bytes: u64) -> io::Result<()> {
        self.send(&bytes.to_be_bytes())
    }

    /// Reads what is left of an answer of `bytes` after the first `got`, and returns how much of
    /// it came before the end.
    ///
    /// # Errors
    ///
    /// When nothing comes, or something that was not asked for.
    pub fn read_answer(&mut self, mut got: u64, bytes: u64) -> io::Result<u64> {
        while got < bytes {
            let message = self.receive()?;
            if message.is_empty() {
                break;
            }
            if !content(got..bytes)
                .take(message.len())
                .eq(message.iter().copied())
            {
                return Err(io::ErrorKind::InvalidData.into());
            }
            got += message.len() as u64;
        }
        Ok(got)
    }
}

/// What stands at these places of every answer.
fn content(range: std::ops::Range<u64>) -> impl Iterator<Item = u8> {
    range.map(|place| u8::try_from(place % 251).unwrap_or_default())
}
