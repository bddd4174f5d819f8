//! Many connections on one packet socket.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::config::LEAST_PACKET;
use crate::connection::{Connection, Ends, SendError, Stats};
use crate::cookie::Cookies;
use crate::iss::{Flow, InitialSeqs, mac};
use crate::{Carrier, Config, ServiceCode};

mod context;
mod deadlines;
mod incoming;
mod limit;
mod network;
mod random;
mod types;

pub(crate) use context::{Context, TRAIN_BYTES};
use deadlines::Deadlines;
pub(crate) use limit::Bucket;
use random::Random;
pub use types::{ConnectError, ConnectionId, Datagram, Ecn, Event, Path, Reach, Transmit};

/// Ports that clients choose from (RFC 6335 §6).
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// A connection's 6-tuple: the local UDP port is the socket's (RFC 6773 §3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    local_port: u16,
    remote_port: u16,
    remote: SocketAddr,
    local: Option<IpAddr>,
}

impl Route {
    const fn of(ends: &Ends) -> Self {
        Self {
            local_port: ends.local_port,
            remote_port: ends.remote_port,
            remote: ends.path.remote,
            local: ends.path.local,
        }
    }
}

/// Where packets of a [`Route`] go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Connection(u32),
    TimeWait,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
    /// Whether it is in the queue of those that may have something to send.
    queued: Queued,
    /// Whether it is counted as half-open.
    counted: Counted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queued {
    #[default]
    No,
    Yes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Counted {
    #[default]
    No,
    HalfOpen,
}

/// Many connections on one packet socket, listener and client at once. The crate's text has the
/// calling contract.
#[derive(Debug)]
pub struct Endpoint {
    cx: Context,
    slots: Vec<Slot>,
    free: Vec<u32>,
    routes: BTreeMap<Route, Target>,
    /// TIMEWAIT entries, the one that ends first in front.
    time_wait: VecDeque<(Instant, Route)>,
    deadlines: Deadlines,
    /// Connections that may have something to send, in turn.
    ready: VecDeque<u32>,
    half_open: usize,
    /// The connection whose packets were polled last.
    polled: Option<ConnectionId>,
    initial: InitialSeqs,
    cookies: Cookies,
    counts: Counts,
}

/// What an endpoint has seen that no connection counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets dropped because they could not be read (RFC 4340 §8.5 step 1).
    pub malformed: u64,
    /// Packets that belonged to no connection.
    pub stray: u64,
    /// Requests that were refused, or not answered because too much is going on.
    pub refused: u64,
    /// Requests that were answered with an Init Cookie and not remembered.
    pub cookies_sent: u64,
    /// Packets whose Init Cookie was not one of ours, or too old.
    pub cookies_refused: u64,
    /// Resets that were not sent because of the limits on their rate.
    pub resets_withheld: u64,
}

impl Endpoint {
    /// An endpoint. Equal seeds and inputs give equal packets. The seed must not be known to
    /// others: initial numbers, ports and cookies are made from it.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            cx: Context::new(config.in_range(), Random::new(seed)),
            slots: Vec::new(),
            free: Vec::new(),
            routes: BTreeMap::new(),
            time_wait: VecDeque::new(),
            deadlines: Deadlines::default(),
            ready: VecDeque::new(),
            half_open: 0,
            polled: None,
            initial: InitialSeqs::new(mac(&seed, &[b"initial numbers"])),
            cookies: Cookies::new(mac(&seed, &[b"cookies"])),
            counts: Counts::default(),
        }
    }

    /// Tells that the time [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire_time_wait(now);
        // Each at most once, so that a timer that is due again at once cannot hold the loop.
        for _ in 0..self.deadlines.len() {
            let Some(slot) = self.deadlines.pop(now) else {
                break;
            };
            if let Some(connection) = self.connection_in(slot) {
                connection.1.handle_timeout(connection.0, now);
            }
            self.finish(now, slot);
        }
    }

    /// Appends the next packet, or a train of them, to `out` (swapping buffers if it is empty).
    /// `limit`: the largest packet in bytes that the socket takes; less than 256 is taken for 256.
    /// A train is longer: up to 65,000 bytes.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        self.cx.socket_limit = limit.max(LEAST_PACKET);
        if let Some((path, bytes)) = self.cx.replies.pop_front() {
            out.extend_from_slice(&bytes);
            self.polled = None;
            return Some(Transmit {
                path,
                ecn: Ecn::NotEct,
                segment_size: None,
            });
        }
        while let Some(slot) = self.ready.pop_front() {
            self.slots[slot as usize].queued = Queued::No;
            let Some((cx, connection)) = self.connection_in(slot) else {
                continue;
            };
            let transmit = connection.poll_transmit(cx, now, out);
            let id = connection.id();
            self.finish(now, slot);
            if transmit.is_some() {
                self.polled = Some(id);
                return transmit;
            }
        }
        None
    }

    /// When to call [`Self::handle_timeout`]. It may be early for what a connection waits for;
    /// then nothing happens there.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let time_wait = self.time_wait.front().map(|(at, _)| *at);
        [self.deadlines.next(), time_wait]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next thing that happened. To be called until `None` after every other call; events that
    /// wait are counted against [`Config::receive_messages`](crate::Config::receive_messages).
    pub fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        let (id, event) = self.cx.events.pop_front()?;
        let bytes = match &event {
            Event::Message(data) => Some(data.len()),
            Event::Missing(_) => Some(0),
            Event::Connected { .. } | Event::Writable | Event::Settled | Event::Closed(_) => None,
        };
        if let Some(bytes) = bytes
            && let Some((_, connection)) = self.get_mut(id)
        {
            connection.on_message_taken(bytes);
        }
        Some((id, event))
    }

    /// Begins a connection. Its events come with the id that is given.
    ///
    /// # Errors
    ///
    /// When there is no room for another, or the local address is needed and not known.
    pub fn connect(
        &mut self,
        now: Instant,
        path: Path,
        port: u16,
        service: ServiceCode,
    ) -> Result<ConnectionId, ConnectError> {
        let same_family = path
            .local
            .is_some_and(|local| local.is_ipv4() == path.remote.is_ipv4());
        if self.cx.config.carrier == Carrier::Ip && !same_family {
            return Err(ConnectError::LocalAddress);
        }
        if self.connections() >= self.cx.config.connections {
            return Err(ConnectError::Full);
        }
        let mut ends = Ends {
            path,
            local_port: 0,
            remote_port: port,
            service,
        };
        self.choose_port(&mut ends).ok_or(ConnectError::Full)?;
        let iss = self.initial_number(now, &ends);
        let (slot, id) = self.free_slot();
        let connection = Connection::request(&self.cx, now, id, ends, iss);
        self.insert(slot, connection);
        self.finish(now, slot);
        Ok(id)
    }

    /// Sends one datagram: `fill` appends it, at most as many bytes as it is told, straight to
    /// the packet train under way. `Ok(None)`: `fill` had nothing. Nothing is queued: what may
    /// not be sent now is [`SendError::Full`], and `fill` is not called.
    ///
    /// # Errors
    ///
    /// Every error means that nothing was sent.
    ///
    /// # Panics
    ///
    /// When `fill` does not append to its buffer but takes bytes away, which are other packets'.
    pub fn send_with<T>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        fill: impl FnOnce(usize, &mut Vec<u8>) -> Option<T>,
    ) -> Result<Option<T>, SendError> {
        let (cx, connection) = self.get_mut(id).ok_or(SendError::Closed)?;
        let sent = connection.send_with(cx, now, fill)?;
        if sent.is_some() {
            self.queue(id.slot());
        }
        Ok(sent)
    }

    /// The longest datagram in bytes that [`Self::send_with`] takes next, at least; 0 for a
    /// connection that is over. It may fall when the path changes, and is smaller for a packet
    /// that carries an acknowledgement too.
    pub fn max_message(&self, id: ConnectionId) -> usize {
        self.get(id)
            .map_or(0, |connection| connection.max_message(&self.cx))
    }

    /// Ends a connection in good order: what was sent is waited for, then Close or CloseReq.
    /// [`Event::Closed`] follows.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        if let Some((cx, connection)) = self.get_mut(id) {
            connection.close(cx, now);
            self.finish(now, slot_number(id));
        }
    }

    /// Ends a connection at once, with Reset code 2. [`Event::Closed`] follows.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        if let Some((cx, connection)) = self.get_mut(id) {
            connection.abort(cx, now);
            self.finish(now, slot_number(id));
        }
    }

    /// What is known of a connection; `None` once it is over.
    pub fn stats(&self, id: ConnectionId) -> Option<Stats> {
        self.get(id).map(Connection::stats)
    }

    /// What was seen that no connection counts.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How many connections there are, in any state but TIMEWAIT.
    pub const fn connections(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let connection = self.slots.get(id.slot())?.connection.as_deref()?;
        (connection.id() == id).then_some(connection)
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<(&mut Context, &mut Connection)> {
        let connection = self.slots.get_mut(id.slot())?.connection.as_deref_mut()?;
        (connection.id() == id).then_some((&mut self.cx, connection))
    }

    fn connection_in(&mut self, slot: u32) -> Option<(&mut Context, &mut Connection)> {
        let connection = self
            .slots
            .get_mut(slot as usize)?
            .connection
            .as_deref_mut()?;
        Some((&mut self.cx, connection))
    }

    /// As if packets up to `seq` had been sent and lost.
    #[cfg(test)]
    fn jump(&mut self, id: ConnectionId, seq: u64) {
        self.get_mut(id)
            .expect("a connection")
            .1
            .jump(crate::Seq::new(seq));
    }

    /// A client's port at random (RFC 4340 §5.1), free towards that peer.
    fn choose_port(&mut self, ends: &mut Ends) -> Option<()> {
        #[cfg(test)]
        if let Some(port) = self.cx.forced_port {
            ends.local_port = port;
            return Some(());
        }
        let count = u64::from(u16::MAX - FIRST_DYNAMIC_PORT) + 1;
        let first = self.cx.random.next() % count;
        for step in 0..count {
            let offset = u16::try_from((first + step) % count).unwrap_or(0);
            ends.local_port = FIRST_DYNAMIC_PORT + offset;
            let listening = self.cx.config.listen == Some(ends.local_port);
            if !listening && !self.routes.contains_key(&Route::of(ends)) {
                return Some(());
            }
        }
        None
    }

    /// An initial number that nobody can guess from another connection's (RFC 4340 §7.2).
    fn initial_number(&mut self, now: Instant, ends: &Ends) -> crate::Seq {
        #[cfg(test)]
        if let Some(iss) = self.cx.initial {
            return iss;
        }
        if let Some(first) = self.cx.config.initial_sequence {
            return first;
        }
        self.initial.next(now, &flow(ends))
    }

    fn free_slot(&mut self) -> (u32, ConnectionId) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        (
            slot,
            ConnectionId::new(slot, self.slots[slot as usize].generation),
        )
    }

    fn insert(&mut self, slot: u32, connection: Connection) {
        if connection.is_half_open() {
            self.half_open += 1;
            self.slots[slot as usize].counted = Counted::HalfOpen;
        }
        self.routes
            .insert(Route::of(connection.ends()), Target::Connection(slot));
        self.slots[slot as usize].connection = Some(Box::new(connection));
    }

    fn queue(&mut self, slot: usize) {
        let entry = &mut self.slots[slot];
        if entry.queued == Queued::No {
            entry.queued = Queued::Yes;
            self.ready
                .push_back(u32::try_from(slot).unwrap_or(u32::MAX));
        }
    }

    /// To be called once for everything that touched a connection: takes it away if it is over,
    /// queues it if it has something to send, and sets its deadline.
    fn finish(&mut self, now: Instant, slot: u32) {
        let Some((cx, connection)) = self.connection_in(slot) else {
            return;
        };
        let next = connection.settle(cx, now);
        if let Some((_, time_wait)) = connection.ended() {
            return self.remove(now, slot, time_wait);
        }
        let (has_output, half_open) = (connection.has_output(), connection.is_half_open());
        if !half_open {
            self.uncount(slot);
        }
        self.deadlines.set(slot, next);
        if has_output {
            self.queue(slot as usize);
        }
    }

    /// It is not half-open any more.
    fn uncount(&mut self, slot: u32) {
        let counted = &mut self.slots[slot as usize].counted;
        if std::mem::take(counted) == Counted::HalfOpen {
            self.half_open -= 1;
        }
    }

    fn remove(&mut self, now: Instant, slot: u32, time_wait: bool) {
        self.uncount(slot);
        let entry = &mut self.slots[slot as usize];
        let Some(connection) = entry.connection.take() else {
            return;
        };
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        self.deadlines.remove(slot);
        let route = Route::of(connection.ends());
        self.routes.remove(&route);
        if time_wait {
            self.enter_time_wait(now, route);
        }
    }

    fn enter_time_wait(&mut self, now: Instant, route: Route) {
        let limit = self.cx.config.time_wait_entries;
        if limit == 0 {
            return;
        }
        if self.time_wait.len() >= limit
            && let Some((_, oldest)) = self.time_wait.pop_front()
        {
            self.routes.remove(&oldest);
        }
        self.routes.insert(route, Target::TimeWait);
        self.time_wait
            .push_back((now + self.cx.config.time_wait, route));
    }

    fn expire_time_wait(&mut self, now: Instant) {
        while let Some((_, route)) = self.time_wait.front().filter(|(at, _)| *at <= now) {
            self.routes.remove(route);
            self.time_wait.pop_front();
        }
    }
}

fn flow(ends: &Ends) -> Flow<'_> {
    Flow {
        path: &ends.path,
        local_port: ends.local_port,
        remote_port: ends.remote_port,
    }
}

fn slot_number(id: ConnectionId) -> u32 {
    u32::try_from(id.slot()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
