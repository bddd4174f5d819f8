//! A user-space stack with a machine and an application on each of its connections, as one
//! machine.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use proto::machine::{CloseReason, Datagram, Disposition, Icmp, Machine, Transmit};

use crate::connection::Application;
use crate::deadlines::{Deadline, Deadlines};
use crate::pace::{Limits, Pace};
use crate::path::Path;
use crate::service::Service;
use crate::stack::{NoRoom, Refusal, Stack, StackEvent, StackSendError};
use crate::tally::Tally;

/// A stack, and what runs on its connections: for each that a peer begins, what a [`Service`]
/// makes, as over the kernel's sockets.
///
/// Only the connections that an input touched are looked at, never all of them, and each once,
/// however many messages came for it. Messages go straight from a machine to the packets that
/// carry them; where the stack takes no more for a connection, nothing is polled from its
/// machine. A panic in a connection's code ends that connection only.
pub struct Host<S: Stack, V: Service> {
    stack: S,
    /// Makes what runs on connections that peers begin; `None` takes none.
    service: Option<V>,
    connections: BTreeMap<S::Id, Box<HeldBy<V>>>,
    /// When each connection wants to be looked at.
    deadlines: Deadlines<S::Id>,
    /// Connections to be looked at, each once.
    touched: VecDeque<S::Id>,
    /// Whether the stack had nothing to send when it was last asked.
    silent: bool,
    /// The connection made here that waits for [`Self::begin`] or [`Self::attach`]: nothing is
    /// sent before, so that the request can acknowledge the handshake, and the end of the
    /// connection an answer that came with it.
    waiting: Option<S::Id>,
    limits: Limits,
    refused: Option<Refusal>,
    panics: usize,
    tally: Tally,
}

/// A host that takes no connections and makes its own.
pub type ClientHost<S, M, A> = Host<S, fn(Instant, SocketAddr) -> (M, A)>;

type HeldBy<V> = Held<<V as Service>::Machine, <V as Service>::Application>;

/// A connection.
struct Held<M, A> {
    /// Speaks on it; `None` while it is not made, or until [`Host::begin`].
    machine: Option<M>,
    /// Answers the machine's events; `None` until [`Host::begin`] or [`Host::attach`].
    application: Option<A>,
    deadline: Deadline,
    pace: Pace,
    /// Whether [`Host::touched`] names it.
    touched: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// The peer began anew: another session follows.
    Restarting,
    /// The stack was told to end it, and has time for that until then.
    Ending(Instant),
    /// The stack has forgotten it; the application may still have events to take.
    Gone,
}

/// How far a connection that was begun here has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The peer has not answered yet.
    Pending,
    /// It is established.
    Connected,
    /// It did not come about.
    Refused(Refusal),
}

impl<S: Stack + fmt::Debug, V: Service> fmt::Debug for Host<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("stack", &self.stack)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

impl<S: Stack, V: Service> Host<S, V> {
    /// A host that takes connections and runs on them what `service` makes.
    pub fn server(stack: S, service: V, limits: Limits) -> Self {
        Self::new(stack, Some(service), limits)
    }

    /// A host that takes none, and is done when those it made have ended.
    pub fn client(stack: S, limits: Limits) -> Self {
        Self::new(stack, None, limits)
    }

    fn new(stack: S, service: Option<V>, limits: Limits) -> Self {
        Self {
            stack,
            service,
            connections: BTreeMap::new(),
            deadlines: Deadlines::new(),
            touched: VecDeque::new(),
            silent: false,
            waiting: None,
            limits,
            refused: None,
            panics: 0,
            tally: Tally::default(),
        }
    }

    /// Begins a connection to `remote`, an address and a port of the stack's protocol.
    ///
    /// # Errors
    ///
    /// When the stack has no room for another connection.
    pub fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<S::Id, NoRoom> {
        self.begin_connection(now, remote, None)
    }

    /// Begins a connection to `remote` on which `machine` speaks, before it is established if the
    /// stack takes that ([`Stack::takes_early_data`]). [`Self::attach`] gives it an application.
    ///
    /// # Errors
    ///
    /// When the stack has no room for another connection.
    pub fn connect_with(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        machine: V::Machine,
    ) -> Result<S::Id, NoRoom> {
        self.begin_connection(now, remote, Some(machine))
    }

    fn begin_connection(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        machine: Option<V::Machine>,
    ) -> Result<S::Id, NoRoom> {
        let id = self.stack.connect(now, remote)?;
        self.refused = None;
        self.insert(id, Held::new(machine, None, Phase::Connecting));
        self.touch(id);
        self.drain_stack(now);
        Ok(id)
    }

    /// Gives the connection `id`, which [`Self::connect_with`] began, its application. Until then
    /// the machine keeps its events, and a connection that has ended is remembered. One that was
    /// refused is not: the application hears nothing.
    pub fn attach(&mut self, id: S::Id, application: V::Application) {
        self.waiting = self.waiting.filter(|waiting| *waiting != id);
        if let Some(held) = self.connections.get_mut(&id) {
            held.application = Some(application);
            self.touch(id);
        }
    }

    /// How far the connection `id` has come that [`Self::connect`] began.
    pub fn progress(&self, id: S::Id) -> Progress {
        match (self.connections.get(&id), self.refused) {
            (Some(held), _) if held.phase == Phase::Connecting => Progress::Pending,
            (Some(_), _) => Progress::Connected,
            (None, refused) => Progress::Refused(refused.unwrap_or(Refusal::Aborted)),
        }
    }

    /// Runs `machine` and `application` on the connection `id` that [`Self::connect`] began and
    /// that has none. Nothing is sent before it is [`Progress::Connected`]; if it has ended
    /// already, the machine is told.
    pub fn begin(
        &mut self,
        now: Instant,
        id: S::Id,
        mut machine: V::Machine,
        mut application: V::Application,
    ) {
        self.waiting = self.waiting.filter(|waiting| *waiting != id);
        let Some(held) = self.connections.get_mut(&id) else {
            machine.handle_closed(now, CloseReason::Aborted);
            application.run(now, &mut machine);
            return;
        };
        held.machine = Some(machine);
        held.application = Some(application);
        self.touch(id);
    }

    /// The stack, for its statistics.
    pub const fn stack(&self) -> &S {
        &self.stack
    }

    /// The counts of connections, which go on as they change.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// How many connections were lost to a panic since this was asked last.
    pub const fn take_panics(&mut self) -> usize {
        std::mem::replace(&mut self.panics, 0)
    }

    fn insert(&mut self, id: S::Id, held: HeldBy<V>) {
        self.connections.insert(id, Box::new(held));
        self.tally.set_running(self.connections.len());
    }

    fn remove(&mut self, id: S::Id) {
        self.waiting = self.waiting.filter(|waiting| *waiting != id);
        if let Some(mut held) = self.connections.remove(&id) {
            self.deadlines.remove(id, &mut held.deadline);
            self.tally.set_running(self.connections.len());
        }
    }

    fn touch(&mut self, id: S::Id) {
        if let Some(held) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut held.touched, true)
        {
            self.touched.push_back(id);
        }
    }

    /// Hands what happened in the stack to the machines.
    fn drain_stack(&mut self, now: Instant) {
        self.silent = false;
        while let Some((id, event)) = self.stack.poll_event() {
            self.on_stack_event(now, id, event);
        }
    }

    fn on_stack_event(&mut self, now: Instant, id: S::Id, event: StackEvent) {
        let Some(held) = self.connections.get_mut(&id) else {
            if let StackEvent::Connected { remote, streams } = event {
                self.on_accepted(now, id, remote, streams);
            }
            return;
        };
        if !std::mem::replace(&mut held.touched, true) {
            self.touched.push_back(id);
        }
        match (event, held.machine.as_mut()) {
            (StackEvent::Connected { remote, streams }, _) if held.phase == Phase::Restarting => {
                self.on_accepted(now, id, remote, streams);
            }
            (StackEvent::Connected { streams, .. }, machine) => {
                held.phase = Phase::Open;
                let is_spoken_for = machine.is_some();
                if let Some(machine) = machine {
                    machine.handle_streams(now, streams);
                }
                let wants_data = is_spoken_for || self.stack.ends_handshake_with_data();
                if held.application.is_none() && wants_data {
                    self.waiting = Some(id);
                }
            }
            (StackEvent::Restarted, _) => self.on_restarted(now, id),
            (StackEvent::Message(datagram), Some(machine)) if held.phase == Phase::Open => {
                machine.handle_datagram(now, datagram);
            }
            (StackEvent::Missing(messages), Some(machine)) if held.phase == Phase::Open => {
                machine.handle_missing(now, messages);
            }
            (StackEvent::Message(_) | StackEvent::Missing(_) | StackEvent::Writable, _) => {}
            (StackEvent::Refused(refusal), _) => {
                self.refused = Some(refusal);
                self.remove(id);
            }
            (StackEvent::Closed(why), _)
                if held.phase == Phase::Connecting && held.application.is_none() =>
            {
                self.refused = Some(refusal(why));
                self.remove(id);
            }
            (StackEvent::Closed(why), machine) => {
                if held.phase == Phase::Connecting {
                    self.refused = Some(refusal(why));
                }
                // A machine that wanted the end need not be told of it.
                let phase = std::mem::replace(&mut held.phase, Phase::Gone);
                if let (Some(machine), Phase::Connecting | Phase::Open) = (machine, phase) {
                    machine.handle_closed(now, why);
                }
            }
        }
    }

    fn on_accepted(&mut self, now: Instant, id: S::Id, remote: SocketAddr, streams: u16) {
        let service = self.service.as_mut();
        match service.and_then(|service| service.accept(now, remote)) {
            Some((mut machine, application)) => {
                machine.handle_streams(now, streams);
                self.tally.on_accepted();
                // One that the peer began anew may be there, and is done.
                self.remove(id);
                self.insert(id, Held::new(Some(machine), Some(application), Phase::Open));
                self.touch(id);
            }
            None => {
                self.remove(id);
                self.stack.abort(now, id);
            }
        }
    }

    /// The peer began anew: what ran here is over (HT11). A server goes on with a new session.
    fn on_restarted(&mut self, now: Instant, id: S::Id) {
        let Some(held) = self.connections.get_mut(&id) else {
            return;
        };
        if let Some(machine) = &mut held.machine {
            machine.handle_closed(now, CloseReason::Aborted);
            if let Some(application) = &mut held.application {
                let run = AssertUnwindSafe(|| application.run(now, machine));
                self.panics += usize::from(catch_unwind(run).is_err());
            }
        }
        if self.service.is_some() {
            held.phase = Phase::Restarting;
        } else {
            held.phase = Phase::Gone;
            self.stack.abort(now, id);
        }
    }

    /// Lets the application of `id` work, sends what its machine has, ends the connection if it is
    /// done, and sets its deadline.
    fn settle(&mut self, now: Instant, id: S::Id) {
        let Some(held) = self.connections.get_mut(&id) else {
            return;
        };
        held.touched = false;
        let (stack, limits) = (&mut self.stack, &self.limits);
        // What a panic may have left half done is not looked at again.
        let settled = catch_unwind(AssertUnwindSafe(|| held.settle(now, stack, limits, id)));
        match settled {
            Ok(Settled::Until(due)) => self.deadlines.set(id, &mut held.deadline, due),
            Ok(Settled::Gone) => self.remove(id),
            Err(_) => {
                self.panics += 1;
                self.stack.abort(now, id);
                self.remove(id);
            }
        }
    }

    /// Looks at a connection whose deadline has come.
    fn on_due(&mut self, now: Instant, id: S::Id) {
        let Some(held) = self.connections.get_mut(&id) else {
            return;
        };
        if let Phase::Ending(until) = held.phase
            && until <= now
        {
            // The peer does not say that it agrees, and need not be waited for.
            held.phase = Phase::Gone;
            self.stack.abort(now, id);
        } else if held.pace.is_stalled(now, &self.limits) {
            held.phase = Phase::Gone;
            self.stack.abort(now, id);
            if let Some(machine) = &mut held.machine {
                machine.handle_closed(now, CloseReason::Stalled);
            }
        } else if let Some(machine) = &mut held.machine
            && machine.poll_timeout().is_some_and(|due| due <= now)
        {
            machine.handle_timeout(now);
        }
        self.touch(id);
    }
}

/// What [`Held::settle`] leaves.
enum Settled {
    /// Look again then, if nothing happens before.
    Until(Option<Instant>),
    /// Forget it.
    Gone,
}

impl<M: Machine<Peer = ()>, A: Application<M>> Held<M, A> {
    const fn new(machine: Option<M>, application: Option<A>, phase: Phase) -> Self {
        Self {
            machine,
            application,
            deadline: Deadline::NEVER,
            pace: Pace::new(),
            touched: false,
            phase,
        }
    }

    fn settle<S: Stack>(
        &mut self,
        now: Instant,
        stack: &mut S,
        limits: &Limits,
        id: S::Id,
    ) -> Settled {
        let Some(machine) = &mut self.machine else {
            return if self.phase == Phase::Gone {
                Settled::Gone
            } else {
                Settled::Until(None)
            };
        };
        let early = self.phase == Phase::Connecting && stack.takes_early_data();
        let sends = self.phase == Phase::Open || early;
        let mut full = false;
        let wake = loop {
            let application = self.application.as_mut();
            let wake = application.and_then(|application| application.run(now, machine));
            // Of an end that comes after this, the application has not heard.
            let told_end = machine.disposition() != Disposition::Open;
            if !sends || full {
                break wake;
            }
            let sent = send_all(now, stack, id, machine, &mut self.pace);
            full = sent.full;
            // What was sent, or asked for, may have made the machine ask for more, or tell something.
            if sent.messages == 0 && (told_end || machine.disposition() == Disposition::Open) {
                break wake;
            }
        };
        if !full {
            self.pace.rest();
        }
        // Without its application a machine may have told less than it knows.
        if self.phase == Phase::Open && !full && self.application.is_some() {
            match machine.disposition() {
                Disposition::Open => {}
                Disposition::Close => {
                    self.phase = Phase::Ending(now + limits.linger);
                    stack.close(now, id);
                }
                Disposition::Abort => {
                    self.phase = Phase::Gone;
                    stack.abort(now, id);
                }
            }
        }
        match self.phase {
            Phase::Gone if self.application.is_some() => Settled::Gone,
            Phase::Gone | Phase::Restarting => Settled::Until(None),
            Phase::Ending(until) => Settled::Until(Some(until)),
            Phase::Connecting | Phase::Open => {
                let times = [machine.poll_timeout(), wake, self.pace.deadline(limits)];
                Settled::Until(times.into_iter().flatten().min())
            }
        }
    }
}

/// What [`send_all`] did.
struct Sent {
    messages: usize,
    /// Whether the stack takes no more now.
    full: bool,
}

/// Sends what `machine` has, as far as the stack takes it.
fn send_all<S: Stack, M: Machine<Peer = ()>>(
    now: Instant,
    stack: &mut S,
    id: S::Id,
    machine: &mut M,
    pace: &mut Pace,
) -> Sent {
    let (mut messages, mut full) = (0, false);
    loop {
        let mut bytes = 0;
        let sent = stack.send_with(now, id, &mut |room, out| {
            let before = out.len();
            let how = machine.poll_streams(now, room, out);
            bytes = out.len() - before;
            how
        });
        match sent {
            Ok(true) => {
                messages += 1;
                pace.on_sent(bytes as u64);
            }
            Ok(false) => break,
            Err(StackSendError::Full) => {
                full = true;
                pace.on_blocked(now);
                break;
            }
            Err(StackSendError::TooBig) => machine.handle_rejected(now, stack.max_message(id)),
            // The stack says why in an event.
            Err(StackSendError::Closed) => break,
        }
    }
    Sent { messages, full }
}

/// What the end of a connection means that was not made yet.
const fn refusal(why: CloseReason) -> Refusal {
    match why {
        CloseReason::Refused => Refusal::NobodyListens,
        CloseReason::TimedOut => Refusal::TimedOut,
        CloseReason::Graceful
        | CloseReason::Aborted
        | CloseReason::Stalled
        | CloseReason::Cancelled
        | CloseReason::Failed => Refusal::Aborted,
    }
}

impl<S: Stack, V: Service> Machine for Host<S, V> {
    type Peer = Path;
    type Session = S::Id;
    /// The applications run inside.
    type Event = Infallible;
    type Command = Infallible;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<Path>) {
        self.stack.handle_packet(now, datagram);
        self.drain_stack(now);
    }

    fn handle_icmp(&mut self, now: Instant, path: Path, icmp: &Icmp) {
        self.stack.handle_icmp(now, path, icmp);
        self.drain_stack(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.stack.handle_timeout(now);
        }
        // Nothing is queued again before it is settled, so each has one look.
        while let Some(id) = self.deadlines.pop(now) {
            if let Some(held) = self.connections.get_mut(&id)
                && self.deadlines.is_due(id, &mut held.deadline, now)
            {
                self.on_due(now, id);
            }
        }
        self.drain_stack(now);
    }

    fn handle_closed(&mut self, now: Instant, why: CloseReason) {
        (self.service, self.waiting) = (None, None);
        let ids: Vec<S::Id> = self.connections.keys().copied().collect();
        if why == CloseReason::Cancelled {
            self.tally.on_cut(ids.len());
        }
        for id in ids {
            self.on_stack_event(now, id, StackEvent::Closed(why));
            self.stack.abort(now, id);
            self.settle(now, id);
        }
        self.drain_stack(now);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.stack.handle_rejected(now, limit);
        self.drain_stack(now);
    }

    fn handle_stop(&mut self, now: Instant) {
        (self.service, self.waiting) = (None, None);
        let ids: Vec<S::Id> = self.connections.keys().copied().collect();
        for id in ids {
            let Some(held) = self.connections.get_mut(&id) else {
                continue;
            };
            match &mut held.machine {
                Some(machine) => machine.handle_stop(now),
                None => self.stack.abort(now, id),
            }
            self.touch(id);
        }
        self.drain_stack(now);
    }

    fn handle_command(&mut self, _now: Instant, _session: S::Id, command: Infallible) {
        match command {}
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Path>> {
        if self.waiting.is_some() {
            return None;
        }
        loop {
            // First, so that what is sent can carry the acknowledgement that is due.
            if let Some(id) = self.touched.pop_front() {
                self.settle(now, id);
            }
            let transmit = self.stack.poll_transmit(now, limit, out);
            self.drain_stack(now);
            if transmit.is_some() {
                return transmit;
            }
            if self.touched.is_empty() {
                self.silent = true;
                return None;
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.deadlines.next(), self.stack.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_event(&mut self) -> Option<(S::Id, Infallible)> {
        None
    }

    fn disposition(&self) -> Disposition {
        let busy = self.service.is_some() || !self.connections.is_empty() || !self.silent;
        if busy {
            Disposition::Open
        } else {
            Disposition::Close
        }
    }
}

#[cfg(test)]
mod tests;
