//! Many connections on one thread.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use socket::stop::Shutdown;
use transport::{
    Admission, Buffers, CloseReason, Connection, DatagramSocket, Deadline, Deadlines, Gate,
    Listener, Notice, Resident, Served, Service, Tally, Turn, Turns,
};

use crate::clock;
use crate::config::Config;
use crate::readiness::{is_readable, poll, watch};
use crate::slots::{Key, Named, Slots, fixed};

/// How many events are taken from the system in one pass.
const EVENTS: usize = 1024;
/// How many connections are turned in one pass; the rest of the queue is first in the next.
const TURNS: usize = 1024;
/// How many connections are accepted from one listener in one pass.
const ACCEPTS: usize = 64;

/// Serves who connects to `listeners`, and on the packet sockets of `residents`, until `shutdown`
/// asks for the end.
///
/// Everything happens on the calling thread: accepting, each connection with what `service`
/// made for it, and the residents with all of theirs. So an application must not block; it does long work in steps and asks to be
/// called again. A connection that always has something to do has its turn after all others that
/// have. A panic in one ends that connection only.
///
/// At the limit on connections nothing is accepted until one has ended; where the system has no
/// descriptors or memory left, nothing is accepted for a while ([`Gate`] says how long). Who
/// connects meanwhile waits in the backlog. Neither spins.
///
/// When `shutdown` asks for a graceful end, the listeners are closed and every machine is told to
/// stop. What has not ended after [`Config::grace`], or when the immediate end is asked for, is
/// aborted.
///
/// # Errors
///
/// When the system cannot wait, or has no descriptors left to begin with. Connections that run
/// then are lost.
pub fn serve<'r, L, V>(
    listeners: Vec<L>,
    residents: Vec<Box<dyn Resident + Send + 'r>>,
    service: V,
    config: &Config,
    shutdown: &Shutdown,
    observe: &mut dyn FnMut(Notice<'_>),
) -> io::Result<Served>
where
    L: Listener + AsFd,
    L::Socket: AsFd,
    V: Service,
{
    let multiplexer = Poll::new()?;
    let mut doors = Vec::with_capacity(listeners.len());
    for (number, listener) in listeners.into_iter().enumerate() {
        let fd = listener.as_fd().as_raw_fd();
        let registry = multiplexer.registry();
        registry.register(&mut SourceFd(&fd), fixed(number), Interest::READABLE)?;
        // One look before the first event.
        let ready = true;
        doors.push(Door { listener, ready });
    }
    watch(multiplexer.registry(), shutdown, doors.len())?;
    let mut server = Server {
        multiplexer,
        doors,
        gate: Gate::new(config.max_connections),
        service,
        slots: Slots::new(),
        ready: VecDeque::new(),
        deadlines: Deadlines::default(),
        buffers: Buffers::default(),
        panicked: 0,
        tallies: residents.iter().map(|resident| resident.tally()).collect(),
        config,
    };
    for resident in residents {
        server.insert(Tenant::Resident(resident))?;
    }
    let mut events = Events::with_capacity(EVENTS);
    while !shutdown.graceful.is_stopped() && !shutdown.immediate.is_stopped() {
        server.pass(&mut events, None)?;
        server.tell_panics(observe);
        server.accept(observe);
    }
    server.doors.clear();
    observe(Notice::Stopping {
        running: server.running(),
    });
    let cut_at = clock() + config.grace;
    if !shutdown.immediate.is_stopped() {
        server.stop();
    }
    let mut cut = 0;
    while !server.slots.is_empty() {
        if shutdown.immediate.is_stopped() || cut_at <= clock() {
            cut = server.gate.running();
            let running = server.running();
            if running > 0 {
                observe(Notice::Cut { running });
            }
            server.abort();
        } else {
            server.pass(&mut events, Some(cut_at))?;
        }
        server.tell_panics(observe);
    }
    let mut served = Served {
        accepted: server.gate.accepted(),
        cut,
    };
    for tally in &server.tallies {
        served += tally.served();
    }
    Ok(served)
}

struct Server<'a, 'r, L: Listener, V: Service> {
    multiplexer: Poll,
    doors: Vec<Door<L>>,
    gate: Gate,
    service: V,
    slots: Slots<Guest<TenantOf<'r, L, V>>>,
    /// Who wants a turn, each once, in the order they came.
    ready: VecDeque<Key>,
    deadlines: Deadlines<Key>,
    buffers: Buffers,
    /// How many connections were lost to a panic since that was told last.
    panicked: usize,
    tallies: Vec<Tally>,
    config: &'a Config,
}

/// A listener, and whether connections may wait there: it is told only once when they come.
struct Door<L> {
    listener: L,
    ready: bool,
}

type ConnectionOf<L, V> =
    Connection<<V as Service>::Machine, <L as Listener>::Socket, <V as Service>::Application>;

type TenantOf<'r, L, V> = Tenant<'r, ConnectionOf<L, V>>;

/// What is turned: a connection that was accepted, or a socket with many.
enum Tenant<'r, C> {
    Accepted(Box<C>),
    Resident(Box<dyn Resident + Send + 'r>),
}

impl<'r, C: Turns + 'r> Tenant<'r, C> {
    fn turns(&mut self) -> &mut (dyn Turns + 'r) {
        match self {
            Self::Accepted(connection) => &mut **connection,
            Self::Resident(resident) => &mut **resident,
        }
    }

    fn take_panics(&mut self) -> usize {
        match self {
            Self::Accepted(_) => 0,
            Self::Resident(resident) => resident.take_panics(),
        }
    }
}

/// A tenant, and what is known of it between its turns.
struct Guest<T> {
    tenant: T,
    deadline: Deadline,
    /// Whether it is in the queue of those that want a turn.
    queued: bool,
    /// Whether input was reported since its last turn.
    readable: bool,
}

impl<'r, L, V> Server<'_, 'r, L, V>
where
    L: Listener + AsFd,
    L::Socket: AsFd,
    V: Service,
    ConnectionOf<L, V>: 'r,
{
    /// How many connections are open, those of residents included.
    fn running(&self) -> usize {
        let tallies = self.tallies.iter().map(Tally::running);
        self.gate.running() + tallies.sum::<usize>()
    }

    /// Waits for work, until `deadline` at most, and does it.
    fn pass(&mut self, events: &mut Events, deadline: Option<Instant>) -> io::Result<()> {
        let deadline = self.deadline(clock(), deadline);
        poll(&mut self.multiplexer, events, deadline)?;
        for event in &*events {
            match Named::from(event.token()) {
                Named::Fixed(number) => {
                    if let Some(door) = self.doors.get_mut(number) {
                        door.ready = true;
                    }
                }
                Named::Slot(key) => self.enqueue(key, is_readable(event)),
            }
        }
        self.enqueue_due(clock());
        for _ in 0..self.ready.len().min(TURNS) {
            self.turn_next();
        }
        Ok(())
    }

    /// When to end the wait for events.
    fn deadline(&self, now: Instant, limit: Option<Instant>) -> Option<Instant> {
        let someone_waits = self.doors.iter().any(|door| door.ready);
        if !self.ready.is_empty() || (someone_waits && self.gate.is_open(now)) {
            return Some(now);
        }
        let gate = self.gate.deadline(now).filter(|_| someone_waits);
        [limit, gate, self.deadlines.next()]
            .into_iter()
            .flatten()
            .min()
    }

    fn enqueue(&mut self, key: Key, readable: bool) {
        // What the key named may be gone, and its slot taken by another.
        let Some(guest) = self.slots.get(key) else {
            return;
        };
        guest.readable |= readable;
        if !std::mem::replace(&mut guest.queued, true) {
            self.ready.push_back(key);
        }
    }

    fn enqueue_due(&mut self, now: Instant) {
        while let Some(key) = self.deadlines.pop(now) {
            let Some(guest) = self.slots.get(key) else {
                continue;
            };
            if self.deadlines.is_due(key, &mut guest.deadline, now) {
                self.enqueue(key, false);
            }
        }
    }

    fn turn_next(&mut self) {
        let Some(key) = self.ready.pop_front() else {
            return;
        };
        let Some(guest) = self.slots.get(key) else {
            return;
        };
        guest.queued = false;
        let readable = std::mem::take(&mut guest.readable);
        self.with(key, |connection, buffers| {
            connection.turn(clock(), readable, buffers)
        });
    }

    /// Lets a connection work, and does what it wants then.
    fn with(&mut self, key: Key, work: impl FnOnce(&mut dyn Turns, &mut Buffers) -> Turn) {
        let Some(guest) = self.slots.get(key) else {
            return;
        };
        // What a panic may have left half done is not looked at again.
        let work = AssertUnwindSafe(|| work(guest.tenant.turns(), &mut self.buffers));
        let turn = catch_unwind(work);
        self.panicked += guest.tenant.take_panics();
        match turn {
            Err(_) => {
                self.buffers = Buffers::default();
                self.panicked += 1;
                self.remove(key);
            }
            Ok(Turn::Done) => self.remove(key),
            Ok(Turn::Again) => self.enqueue(key, false),
            // Room to send is always waited for.
            Ok(Turn::Wait { write: _, deadline }) => {
                if let Some(guest) = self.slots.get(key) {
                    self.deadlines.set(key, &mut guest.deadline, deadline);
                }
            }
        }
    }

    fn accept(&mut self, observe: &mut dyn FnMut(Notice<'_>)) {
        for index in 0..self.doors.len() {
            for _ in 0..ACCEPTS {
                let now = clock();
                let door = &mut self.doors[index];
                if !door.ready {
                    break;
                }
                match self.gate.admit(now, index, &mut door.listener, observe) {
                    Admission::Connection(socket, peer) => {
                        if let Err(error) = self.let_in(now, socket, peer) {
                            self.gate.on_ended();
                            self.gate.on_out_of_resources(now, &error, observe);
                        }
                    }
                    Admission::Failed => {}
                    Admission::Idle => door.ready = false,
                    Admission::Closed => return,
                }
            }
        }
    }

    fn let_in(&mut self, now: Instant, mut socket: L::Socket, peer: SocketAddr) -> io::Result<()> {
        let Some((machine, application)) = self.service.accept(now, peer) else {
            socket.abort();
            self.gate.on_refused();
            return Ok(());
        };
        let connection = Connection::new(machine, socket, application, self.config.limits);
        self.insert(Tenant::Accepted(Box::new(connection)))
    }

    fn insert(&mut self, tenant: TenantOf<'r, L, V>) -> io::Result<()> {
        let guest = Guest {
            tenant,
            deadline: Deadline::default(),
            queued: false,
            readable: false,
        };
        let key = self
            .slots
            .insert(guest)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        let Some(guest) = self.slots.get(key) else {
            return Ok(());
        };
        let fd = guest.tenant.turns().as_fd().as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.multiplexer.registry();
        match registry.register(&mut SourceFd(&fd), key.token(), both) {
            Ok(()) => {
                self.enqueue(key, false);
                Ok(())
            }
            Err(error) => {
                guest.tenant.turns().abort(clock(), CloseReason::Failed);
                self.slots.remove(key);
                Err(error)
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(mut guest) = self.slots.remove(key) else {
            return;
        };
        self.deadlines.remove(key, &mut guest.deadline);
        if matches!(guest.tenant, Tenant::Accepted(_)) {
            self.gate.on_ended();
        }
        let fd = guest.tenant.turns().as_fd().as_raw_fd();
        // Closing the descriptor would do, unless a child of this process still holds it.
        let _ = self.multiplexer.registry().deregister(&mut SourceFd(&fd));
    }

    /// Tells every machine to come to its end.
    fn stop(&mut self) {
        for key in self.slots.keys() {
            self.with(key, |connection, buffers| connection.stop(clock(), buffers));
        }
    }

    /// Ends every connection.
    fn abort(&mut self) {
        for key in self.slots.keys() {
            self.with(key, |connection, _| {
                connection.abort(clock(), CloseReason::Cancelled);
                Turn::Done
            });
        }
    }

    fn tell_panics(&mut self, observe: &mut dyn FnMut(Notice<'_>)) {
        for _ in 0..std::mem::take(&mut self.panicked) {
            observe(Notice::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slot;

    #[test]
    fn an_idle_connection_costs_few_bytes_beside_its_own() {
        assert!(size_of::<Slot<Guest<Tenant<'_, ()>>>>() <= 64);
        assert!(size_of::<(Instant, Key)>() <= 24);
        assert!(size_of::<Key>() <= 8);
    }
}
