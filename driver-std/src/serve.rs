//! Many connections, each on its own thread.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder, Scope};
use std::time::Instant;

use socket::stop::Shutdown;
use socket::wait::{Entry, Interest, wait};
use transport::{
    Admission, Application, Connection, DatagramSocket, Gate, Listener, Machine, Notice, Resident,
    Served, Service, Tally,
};

use crate::clock;
use crate::config::Config;
use crate::run::{End, drive};
use crate::wake::Wake;

/// How many connections are accepted from one listener before the others have their turn.
const ACCEPT_BUDGET: usize = 64;

/// Serves who connects to `listeners`, and on the packet sockets of `residents`, until `shutdown`
/// asks for the end.
///
/// Accepts on the calling thread; each connection runs on a thread of its own with what
/// `service` made for it, and each resident on one thread with all of its connections. A panic
/// ends its own connection only. `observe` is called on the calling thread.
///
/// At the limit on connections nothing is accepted until one has ended; where the system has no
/// descriptors, memory or threads left, nothing is accepted for a while ([`Gate`] says how long).
/// Who connects meanwhile waits in the backlog. Neither spins.
///
/// When `shutdown` asks for a graceful end, the listeners are closed and every machine is told to
/// stop. What has not ended after [`Config::grace`], or when the immediate end is asked for, is
/// aborted. All threads have ended when this returns.
///
/// # Errors
///
/// When the system cannot wait, or has no descriptors or threads left to begin with. Connections that run
/// then come to their end before this returns.
pub fn serve<'r, L, V>(
    mut listeners: Vec<L>,
    residents: Vec<Box<dyn Resident + Send + 'r>>,
    mut service: V,
    config: &Config,
    shutdown: &Shutdown,
    observe: &mut dyn FnMut(Notice<'_>),
) -> io::Result<Served>
where
    L: Listener + AsFd,
    L::Socket: AsFd + Send,
    V: Service,
    V::Machine: Send,
    V::Application: Send,
{
    let ended = Ended::new()?;
    let tallies: Vec<Tally> = residents.iter().map(|resident| resident.tally()).collect();
    let mut gate = Gate::new(config.max_connections);
    let result = thread::scope(|scope| {
        let room = Room {
            scope,
            ended: &ended,
            config,
            shutdown,
            tallies: &tallies,
        };
        let result = residents
            .into_iter()
            .try_for_each(|resident| room.house(resident))
            .and_then(|()| {
                accept_until_stopped(
                    &mut listeners,
                    &mut service,
                    &room,
                    &mut gate,
                    &mut *observe,
                )
            });
        drop(listeners);
        if result.is_err() {
            // Residents would go on for ever.
            shutdown.graceful.stop();
        }
        result?;
        wind_down(&room, &mut gate, &mut *observe)
    });
    ended.collect(&mut gate, observe);
    let mut served = Served {
        accepted: gate.accepted(),
        cut: ended.cut.load(Ordering::SeqCst),
    };
    for tally in &tallies {
        served += tally.served();
    }
    // The threads keep the time themselves, and may all have been faster than this one.
    if matches!(result, Ok(CutTold::No)) && served.cut > 0 {
        observe(Notice::Cut {
            running: served.cut,
        });
    }
    result.map(|_| served)
}

fn accept_until_stopped<'scope, L, V>(
    listeners: &mut [L],
    service: &mut V,
    room: &Room<'scope, '_>,
    gate: &mut Gate,
    observe: &mut dyn FnMut(Notice<'_>),
) -> io::Result<()>
where
    L: Listener + AsFd,
    L::Socket: AsFd + Send + 'scope,
    V: Service,
    V::Machine: Send + 'scope,
    V::Application: Send + 'scope,
{
    let mut ready = Vec::with_capacity(listeners.len());
    while !room.shutdown.graceful.is_stopped() && !room.shutdown.immediate.is_stopped() {
        wait_for_work(listeners, &mut ready, room, gate)?;
        room.ended.collect(gate, observe);
        for &index in &ready {
            let listener = &mut listeners[index];
            for _ in 0..ACCEPT_BUDGET {
                let now = clock();
                match gate.admit(now, index, listener, observe) {
                    Admission::Connection(mut socket, peer) => {
                        let Some((machine, application)) = service.accept(now, peer) else {
                            socket.abort();
                            gate.on_refused();
                            continue;
                        };
                        let limits = room.config.limits;
                        let connection = Connection::new(machine, socket, application, limits);
                        if let Err(error) = room.spawn(gate.accepted(), connection) {
                            gate.on_ended();
                            gate.on_out_of_resources(now, &error, observe);
                        }
                    }
                    Admission::Failed => {}
                    Admission::Idle | Admission::Closed => break,
                }
            }
        }
    }
    Ok(())
}

/// Sleeps until a listener has a connection (their numbers are then in `ready`), a connection has
/// ended, a pause is over or a stop was asked for.
fn wait_for_work<L: AsFd>(
    listeners: &[L],
    ready: &mut Vec<usize>,
    room: &Room<'_, '_>,
    gate: &Gate,
) -> io::Result<()> {
    let now = clock();
    let mut entries = room.entries();
    let others = entries.len();
    // A listener that nothing is accepted from would end every wait.
    if gate.is_open(now) {
        let listeners = listeners.iter();
        entries.extend(listeners.map(|listener| Entry::new(listener.as_fd(), Interest::Read)));
    }
    wait(&mut entries, gate.deadline(now))?;
    ready.clear();
    let listeners = entries[others..].iter().enumerate();
    ready.extend(listeners.filter_map(|(index, entry)| entry.is_ready().then_some(index)));
    room.clear(&entries);
    Ok(())
}

/// Whether the operator was told that connections are ended by force.
enum CutTold {
    Yes,
    No,
}

/// Waits until all connections have ended or are about to, because the grace is over.
fn wind_down(
    room: &Room<'_, '_>,
    gate: &mut Gate,
    observe: &mut dyn FnMut(Notice<'_>),
) -> io::Result<CutTold> {
    room.ended.collect(gate, observe);
    observe(Notice::Stopping {
        running: room.running(gate),
    });
    let cut_at: Instant = clock() + room.config.grace;
    while gate.running() > 0 || room.ended.housed() > 0 {
        if room.shutdown.immediate.is_stopped() || cut_at <= clock() {
            let running = room.running(gate);
            if running == 0 {
                return Ok(CutTold::No);
            }
            observe(Notice::Cut { running });
            return Ok(CutTold::Yes);
        }
        let mut entries = room.entries();
        // The graceful stop was heard; it would end every wait.
        entries.truncate(2);
        wait(&mut entries, Some(cut_at))?;
        room.clear(&entries);
        room.ended.collect(gate, observe);
    }
    Ok(CutTold::No)
}

/// What the accepting thread and the connections' threads share.
struct Room<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    ended: &'scope Ended,
    config: &'scope Config,
    shutdown: &'scope Shutdown,
    tallies: &'scope [Tally],
}

impl<'scope> Room<'scope, '_> {
    /// Ended connections first, then the immediate and the graceful stop.
    fn entries(&self) -> Vec<Entry<'scope>> {
        vec![
            Entry::new(self.ended.wake.as_fd(), Interest::Read),
            Entry::new(self.shutdown.immediate.as_fd(), Interest::Read),
            Entry::new(self.shutdown.graceful.as_fd(), Interest::Read),
        ]
    }

    fn clear(&self, entries: &[Entry<'_>]) {
        if entries[0].is_ready() {
            self.ended.wake.clear();
        }
    }

    /// How many connections are open, those of residents included.
    fn running(&self, gate: &Gate) -> usize {
        let tallies = self.tallies.iter().map(Tally::running);
        gate.running() + tallies.sum::<usize>()
    }

    /// Gives a resident its thread.
    fn house(&self, mut resident: Box<dyn Resident + Send + 'scope>) -> io::Result<()> {
        let (ended, grace, shutdown) = (self.ended, self.config.grace, self.shutdown);
        ended.housed.fetch_add(1, Ordering::SeqCst);
        let spawned =
            Builder::new()
                .name("packets".to_owned())
                .spawn_scoped(self.scope, move || {
                    let run = AssertUnwindSafe(|| {
                        drive(&mut *resident, grace, shutdown, |resident| {
                            ended.tell_panics(resident.take_panics());
                        })
                    });
                    ended.tell_moved_out(&catch_unwind(run));
                });
        if spawned.is_err() {
            ended.housed.fetch_sub(1, Ordering::SeqCst);
        }
        spawned.map(drop)
    }

    fn spawn<M, S, A>(&self, number: u64, connection: Connection<M, S, A>) -> io::Result<()>
    where
        M: Machine<Peer = ()> + Send + 'scope,
        S: DatagramSocket<Peer = ()> + AsFd + Send + 'scope,
        A: Application<M> + Send + 'scope,
    {
        let (ended, grace, shutdown) = (self.ended, self.config.grace, self.shutdown);
        Builder::new()
            .name(format!("conn {number}"))
            .stack_size(self.config.stack_size)
            .spawn_scoped(self.scope, move || {
                // Nothing that the panic may have left half done is looked at again.
                let mut connection = connection;
                let run = AssertUnwindSafe(|| drive(&mut connection, grace, shutdown, |_| {}));
                ended.tell(&catch_unwind(run));
            })
            .map(drop)
    }
}

/// What the threads of ended connections tell the accepting thread.
#[derive(Debug)]
struct Ended {
    /// How many have ended since the last look.
    connections: AtomicUsize,
    /// How many of them panicked.
    panicked: AtomicUsize,
    /// How many were cut in all.
    cut: AtomicUsize,
    /// How many residents have not ended.
    housed: AtomicUsize,
    wake: Wake,
}

impl Ended {
    fn new() -> io::Result<Self> {
        Ok(Self {
            connections: AtomicUsize::new(0),
            panicked: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            housed: AtomicUsize::new(0),
            wake: Wake::new()?,
        })
    }

    fn housed(&self) -> usize {
        self.housed.load(Ordering::SeqCst)
    }

    fn tell_panics(&self, panics: usize) {
        if panics > 0 {
            self.panicked.fetch_add(panics, Ordering::SeqCst);
            self.wake.wake();
        }
    }

    fn tell_moved_out(&self, result: &thread::Result<io::Result<End>>) {
        self.tell_panics(usize::from(result.is_err()));
        self.housed.fetch_sub(1, Ordering::SeqCst);
        self.wake.wake();
    }

    fn tell(&self, result: &thread::Result<io::Result<End>>) {
        match result {
            Err(_) => _ = self.panicked.fetch_add(1, Ordering::SeqCst),
            Ok(Ok(End::Cut)) => _ = self.cut.fetch_add(1, Ordering::SeqCst),
            // An error in waiting is the application's to see only as a connection that is gone.
            Ok(Ok(End::Finished) | Err(_)) => {}
        }
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.wake.wake();
    }

    fn collect(&self, gate: &mut Gate, observe: &mut dyn FnMut(Notice<'_>)) {
        for _ in 0..self.connections.swap(0, Ordering::SeqCst) {
            gate.on_ended();
        }
        for _ in 0..self.panicked.swap(0, Ordering::SeqCst) {
            observe(Notice::Panicked);
        }
    }
}
