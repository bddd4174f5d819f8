//! A user-space stack with a machine on each of its connections, as one machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use proto::machine::{CloseReason, Datagram, Disposition, Machine, Transmit};

use crate::stack::{ConnectRefused, Stack, StackEvent, StackSendError};

/// Makes the machine of a connection that a peer began.
pub trait Accept {
    /// Speaks on one connection.
    type Machine: Machine<Peer = ()>;

    /// The machine for `remote`; `None` refuses the connection.
    fn accept(&mut self, now: Instant, remote: SocketAddr) -> Option<Self::Machine>;
}

/// A stack and the machines on its connections. A session is a connection and a session of its
/// machine: over SCTP an association and a stream.
///
/// Only the connections that an input touched are looked at, never all of them. Where the stack
/// takes no more for a connection, one message is held back and nothing else is polled from its
/// machine.
pub struct Host<S: Stack, A: Accept> {
    stack: S,
    accept: A,
    connections: BTreeMap<S::Id, Held<A::Machine>>,
    /// When each machine wants to be woken.
    timers: BTreeSet<(Instant, S::Id)>,
    /// Connections whose machine may have events.
    eventful: VecDeque<S::Id>,
    /// Whether new connections are taken.
    serving: bool,
    scratch: Vec<u8>,
}

struct Held<M> {
    machine: M,
    /// A message that the stack would not take yet.
    message: Option<(Transmit<()>, Vec<u8>)>,
    timer: Option<Instant>,
    /// Whether `eventful` names the connection.
    queued: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// The stack was told to end it.
    Ending,
    /// The stack has forgotten it; the machine may still have events.
    Gone,
}

impl<S: Stack + fmt::Debug, A: Accept> fmt::Debug for Host<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("stack", &self.stack)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

impl<S: Stack, A: Accept> Host<S, A> {
    /// A host that takes connections.
    pub const fn server(stack: S, accept: A) -> Self {
        Self::new(stack, accept, true)
    }

    /// A host that takes none, and is done when those it made have ended.
    pub const fn client(stack: S, accept: A) -> Self {
        Self::new(stack, accept, false)
    }

    const fn new(stack: S, accept: A, serving: bool) -> Self {
        Self {
            stack,
            accept,
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            eventful: VecDeque::new(),
            serving,
            scratch: Vec::new(),
        }
    }

    /// Connects to `remote` and runs `machine` there.
    ///
    /// # Errors
    ///
    /// When the stack has no room for another connection.
    pub fn connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        machine: A::Machine,
    ) -> Result<S::Id, ConnectRefused> {
        let id = self.stack.connect(now, remote)?;
        self.connections
            .insert(id, Held::new(machine, Phase::Connecting));
        self.drain_stack(now);
        Ok(id)
    }

    /// The stack, for its statistics.
    pub const fn stack(&self) -> &S {
        &self.stack
    }

    fn drain_stack(&mut self, now: Instant) {
        while let Some((id, event)) = self.stack.poll_event() {
            self.on_stack_event(now, id, event);
            self.settle(now, id);
        }
    }

    fn on_stack_event(&mut self, now: Instant, id: S::Id, event: StackEvent) {
        if let StackEvent::Connected { remote } = event {
            if let Some(held) = self.connections.get_mut(&id) {
                held.phase = Phase::Open;
                return;
            }
            let machine = self
                .serving
                .then(|| self.accept.accept(now, remote))
                .flatten();
            match machine {
                Some(machine) => {
                    self.connections.insert(id, Held::new(machine, Phase::Open));
                }
                None => self.stack.abort(now, id),
            }
            return;
        }
        let Some(held) = self.connections.get_mut(&id) else {
            return;
        };
        match event {
            StackEvent::Connected { .. } | StackEvent::Writable => {}
            StackEvent::Message(datagram) => {
                if held.phase == Phase::Open {
                    held.machine.handle_datagram(now, datagram);
                }
            }
            StackEvent::Closed(why) => {
                held.phase = Phase::Gone;
                held.message = None;
                held.machine.handle_closed(now, why);
            }
        }
    }

    /// Sends what the machine of `id` has, ends the connection if it is done, and sets its timer.
    fn settle(&mut self, now: Instant, id: S::Id) {
        let Some(held) = self.connections.get_mut(&id) else {
            return;
        };
        while held.phase == Phase::Open {
            let (how, message) = match held.message.take() {
                Some(message) => message,
                None => {
                    self.scratch.clear();
                    let limit = self.stack.max_message(id);
                    match held.machine.poll_transmit(now, limit, &mut self.scratch) {
                        Some(how) => (how, std::mem::take(&mut self.scratch)),
                        None => break,
                    }
                }
            };
            match self.stack.send(now, id, &how, &message) {
                Ok(()) => self.scratch = message,
                Err(StackSendError::Full) => {
                    held.message = Some((how, message));
                    break;
                }
                Err(StackSendError::TooBig) => {
                    let limit = self.stack.max_message(id);
                    held.machine.handle_rejected(now, limit);
                }
                Err(StackSendError::Closed) => {
                    held.machine.handle_closed(now, CloseReason::Aborted);
                }
            }
        }
        if held.phase == Phase::Open && held.message.is_none() {
            match held.machine.disposition() {
                Disposition::Open => {}
                Disposition::Close => {
                    held.phase = Phase::Ending;
                    self.stack.close(now, id);
                }
                Disposition::Abort => {
                    held.phase = Phase::Ending;
                    self.stack.abort(now, id);
                }
            }
        }
        if !held.queued {
            held.queued = true;
            self.eventful.push_back(id);
        }
        let timer = held
            .machine
            .poll_timeout()
            .filter(|_| held.phase != Phase::Gone);
        if timer != held.timer {
            if let Some(old) = std::mem::replace(&mut held.timer, timer) {
                self.timers.remove(&(old, id));
            }
            if let Some(new) = timer {
                self.timers.insert((new, id));
            }
        }
    }
}

impl<M> Held<M> {
    const fn new(machine: M, phase: Phase) -> Self {
        Self {
            machine,
            message: None,
            timer: None,
            queued: false,
            phase,
        }
    }
}

impl<S: Stack, A: Accept> Machine for Host<S, A> {
    type Peer = SocketAddr;
    type Session = (S::Id, <A::Machine as Machine>::Session);
    type Event = <A::Machine as Machine>::Event;
    type Command = <A::Machine as Machine>::Command;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<SocketAddr>) {
        self.stack.handle_packet(now, datagram);
        self.drain_stack(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.stack.handle_timeout(now);
            self.drain_stack(now);
        }
        // Each once, even if a machine leaves its timer where it was.
        let due = self.timers.iter().take_while(|(due, _)| *due <= now);
        let ids: Vec<S::Id> = due.map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(held) = self.connections.get_mut(&id) {
                held.machine.handle_timeout(now);
            }
            self.settle(now, id);
        }
    }

    fn handle_closed(&mut self, now: Instant, why: CloseReason) {
        self.serving = false;
        let ids: Vec<S::Id> = self.connections.keys().copied().collect();
        for id in ids {
            self.on_stack_event(now, id, StackEvent::Closed(why));
            self.settle(now, id);
        }
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.stack.handle_rejected(now, limit);
        self.drain_stack(now);
    }

    fn handle_stop(&mut self, now: Instant) {
        self.serving = false;
        let ids: Vec<S::Id> = self.connections.keys().copied().collect();
        for id in ids {
            if let Some(held) = self.connections.get_mut(&id) {
                held.machine.handle_stop(now);
            }
            self.settle(now, id);
        }
        self.drain_stack(now);
    }

    fn handle_command(&mut self, now: Instant, session: Self::Session, command: Self::Command) {
        let (id, session) = session;
        if let Some(held) = self.connections.get_mut(&id) {
            held.machine.handle_command(now, session, command);
        }
        self.settle(now, id);
        self.drain_stack(now);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<SocketAddr>> {
        let transmit = self.stack.poll_transmit(now, limit, out);
        self.drain_stack(now);
        transmit
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let machines = self.timers.first().map(|(due, _)| *due);
        [machines, self.stack.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_event(&mut self) -> Option<(Self::Session, Self::Event)> {
        while let Some(&id) = self.eventful.front() {
            if let Some(held) = self.connections.get_mut(&id) {
                if let Some((session, event)) = held.machine.poll_event() {
                    return Some(((id, session), event));
                }
                held.queued = false;
                if held.phase == Phase::Gone {
                    self.connections.remove(&id);
                }
            }
            self.eventful.pop_front();
        }
        None
    }

    fn disposition(&self) -> Disposition {
        if self.serving || !self.connections.is_empty() {
            Disposition::Open
        } else {
            Disposition::Close
        }
    }
}

#[cfg(test)]
mod tests;
