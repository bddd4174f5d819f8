//! Answers requests from what a site has.

use std::collections::BTreeMap;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::date::HttpDate;
use proto::machine::{Machine, StreamId};
use proto::request::Request;
use proto::server::{Answer, Command, Event, Summary};
use proto::target::TargetPath;

use crate::connection::Application;

/// Where answers come from: a folder, an archive, a table in memory.
///
/// Calls run on the thread that moves the packets, so each should take a few milliseconds at most;
/// longer work is done in pieces behind [`Self::poll_answer`].
pub trait Site {
    /// What was opened for one request, such as a file.
    type Resource;

    /// Looks up what a request asks for.
    fn open(&mut self, request: &Request, path: &TargetPath) -> Self::Resource;

    /// What there is to answer. `Pending` asks to be called again soon: a piece of the work was
    /// done, and others had their turn.
    fn poll_answer(&mut self, resource: &mut Self::Resource) -> Poll<Answer>;

    /// Reads at most `length` bytes of the representation from `offset`, at least one.
    ///
    /// # Errors
    ///
    /// When the bytes are not there any more, or cannot be read; the session is then aborted.
    fn read(
        &mut self,
        resource: &mut Self::Resource,
        offset: u64,
        length: usize,
    ) -> io::Result<Bytes>;

    /// The time now, for `Date` and for conditions.
    fn date(&mut self) -> HttpDate;

    /// Is told how each answer went.
    fn finished(&mut self, entry: &LogEntry<'_>);
}

/// What is known of an answered request, for an access log.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'a> {
    /// The request line in clean visible ASCII; empty when none came.
    pub line: &'a str,
    /// The request; `None` if it could not be understood.
    pub request: Option<&'a Request>,
    /// Why it was refused; empty if it was not.
    pub reason: &'static str,
    /// How the answer went.
    pub summary: Summary,
    /// The stream it went out on, where the transport has streams.
    pub stream: Option<StreamId>,
    /// How long that took, from the request to the last byte handed to the transport.
    pub took: Duration,
}

/// What names the exchanges of one connection.
pub trait ExchangeKey: Copy + Ord {
    /// The stream of the exchange; `None` where there are none.
    fn stream(self) -> Option<StreamId>;
}

impl ExchangeKey for () {
    fn stream(self) -> Option<StreamId> {
        None
    }
}

impl ExchangeKey for StreamId {
    fn stream(self) -> Option<StreamId> {
        Some(self)
    }
}

/// The application of a server: it answers every request of a machine from a [`Site`]. Written
/// once for all transports and drivers.
#[derive(Debug)]
pub struct Responder<S: Site, K> {
    site: S,
    under_way: BTreeMap<K, UnderWay<S::Resource>>,
    /// Sessions whose answer is not known yet.
    pending: Vec<K>,
}

#[derive(Debug)]
struct UnderWay<R> {
    line: String,
    request: Option<Request>,
    reason: &'static str,
    resource: Option<R>,
    since: Instant,
}

impl<S: Site, K: ExchangeKey> Responder<S, K> {
    /// A responder without requests.
    pub const fn new(site: S) -> Self {
        Self {
            site,
            under_way: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    fn on_event<M>(&mut self, now: Instant, machine: &mut M, session: K, event: Event)
    where
        M: Machine<Session = K, Event = Event, Command = Command>,
    {
        match event {
            Event::Request { request, path } => {
                let resource = self.site.open(&request, &path);
                let under_way = UnderWay {
                    line: request.to_string(),
                    request: Some(request),
                    reason: "",
                    resource: Some(resource),
                    since: now,
                };
                self.under_way.insert(session, under_way);
                self.pending.push(session);
            }
            Event::Rejected(rejection) => {
                let answer = Answer::Error(rejection.status);
                let under_way = UnderWay {
                    line: rejection.line,
                    request: None,
                    reason: rejection.reason,
                    resource: None,
                    since: now,
                };
                self.under_way.insert(session, under_way);
                let date = self.site.date();
                machine.handle_command(now, session, Command::Respond { answer, date });
            }
            Event::BodyWanted { offset, length } => {
                let resource = self.under_way.get_mut(&session);
                let data = resource
                    .and_then(|under_way| under_way.resource.as_mut())
                    .map(|resource| self.site.read(resource, offset, length));
                let command = match data {
                    Some(Ok(data)) if !data.is_empty() => Command::Body(data),
                    _ => Command::Abort,
                };
                machine.handle_command(now, session, command);
            }
            Event::Finished(summary) => {
                self.pending.retain(|pending| *pending != session);
                if let Some(under_way) = self.under_way.remove(&session) {
                    self.site.finished(&LogEntry {
                        line: &under_way.line,
                        request: under_way.request.as_ref(),
                        reason: under_way.reason,
                        summary,
                        stream: session.stream(),
                        took: now.saturating_duration_since(under_way.since),
                    });
                }
            }
        }
    }

    /// Does a piece of work for each session whose answer is not known yet.
    fn poll_answers<M>(&mut self, now: Instant, machine: &mut M)
    where
        M: Machine<Session = K, Event = Event, Command = Command>,
    {
        for session in std::mem::take(&mut self.pending) {
            let resource = self
                .under_way
                .get_mut(&session)
                .and_then(|under_way| under_way.resource.as_mut());
            let Some(resource) = resource else { continue };
            match self.site.poll_answer(resource) {
                Poll::Pending => self.pending.push(session),
                Poll::Ready(answer) => {
                    let date = self.site.date();
                    machine.handle_command(now, session, Command::Respond { answer, date });
                }
            }
        }
    }
}

impl<S, M> Application<M> for Responder<S, M::Session>
where
    S: Site,
    M: Machine<Session: ExchangeKey, Event = Event, Command = Command>,
{
    fn run(&mut self, now: Instant, machine: &mut M) -> Option<Instant> {
        loop {
            while let Some((session, event)) = machine.poll_event() {
                self.on_event(now, machine, session, event);
            }
            if self.pending.is_empty() {
                return None;
            }
            let before = self.pending.len();
            self.poll_answers(now, machine);
            if self.pending.len() == before {
                return Some(now);
            }
        }
    }
}
