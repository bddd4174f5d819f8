//! What every driver must do, as tests that are generic over the driver.
//!
//! `driver_tests!(Type)` makes a test of each function here, for a type that implements
//! [`Driver`].
#![expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "these are tests, and their names say what they find"
)]

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use socket::stop::Shutdown;
use transport::{
    Application, CloseReason, Connection, Datagram, DatagramSocket, Disposition, Finish, Limits,
    Listener, Machine, Notice, Received, Resident, SendError, Served, Service, Transmit,
};

use crate::residents::house;
use crate::seqpacket::{Address, Client, EMFILE, SeqListener, SeqSocket};
use crate::supply::{Event, Notes, PANIC, Sink, Source};

pub use crate::residents::{
    a_packet_socket_lets_a_running_answer_end, a_panic_ends_its_own_connection_on_a_packet_socket,
    many_connections_on_one_packet_socket, packet_sockets_are_served_beside_listeners,
    the_grace_cuts_what_does_not_end_on_a_packet_socket,
};

/// What the tests call.
pub trait Driver {
    /// The driver's `serve`.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    fn serve<L, V>(
        listeners: Vec<L>,
        residents: Vec<Box<dyn Resident + Send + '_>>,
        service: V,
        settings: Settings,
        shutdown: &Shutdown,
        observe: &mut dyn FnMut(Notice<'_>),
    ) -> io::Result<Served>
    where
        L: Listener + AsFd,
        L::Socket: AsFd + Send,
        V: Service,
        V::Machine: Send,
        V::Application: Send;

    /// The driver's `run`.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    fn run<M, S, A>(
        connection: Connection<M, S, A>,
        grace: Duration,
        shutdown: &Shutdown,
    ) -> io::Result<A>
    where
        M: Machine,
        S: DatagramSocket<Peer = M::Peer> + AsFd,
        A: Application<M>;
}

/// What all drivers' configurations have.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many connections may be open at once.
    pub max_connections: usize,
    /// How long a graceful stop may take.
    pub grace: Duration,
    /// How long a connection may go without getting on.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 2000,
            grace: LONG,
            limits: Limits::default(),
        }
    }
}

/// Makes a test of every function of [`crate::drivers`] that takes a driver.
#[macro_export]
macro_rules! driver_tests {
    ($driver:ty) => {
        $crate::driver_tests!(
            $driver:
            many_exchanges_on_one_connection
            a_big_answer_passes_a_small_queue
            every_listener_is_served
            many_connections_at_once
            a_client_that_never_stops_reading_does_not_hold_up_the_others
            a_peer_that_reads_nothing_is_given_up
            a_peer_that_reads_too_slowly_is_given_up
            a_machine_gets_its_timeout
            who_comes_beyond_the_limit_waits_for_a_place
            a_graceful_stop_lets_a_running_answer_end
            the_grace_cuts_what_does_not_end
            a_second_stop_ends_at_once
            an_immediate_stop_needs_no_graceful_one
            a_stop_without_connections_returns
            lack_of_descriptors_pauses_and_passes
            real_lack_of_descriptors_passes
            a_broken_listener_does_not_spin
            a_failed_connection_does_not_stop_the_next
            a_panic_ends_its_own_connection_only
            who_is_refused_does_not_count_and_the_next_is_served
            a_client_is_cancelled
            a_client_learns_of_the_end
            one_socket_with_many_peers_runs_until_it_is_stopped
            packet_sockets_are_served_beside_listeners
            many_connections_on_one_packet_socket
            a_packet_socket_lets_a_running_answer_end
            the_grace_cuts_what_does_not_end_on_a_packet_socket
            a_panic_ends_its_own_connection_on_a_packet_socket
        );
    };
    ($driver:ty: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::drivers::$name::<$driver>();
            }
        )*
    };
}

/// So long that a test that waits for it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// `limits` under which nothing is given up.
pub(crate) fn patient() -> Limits {
    Limits {
        stall: LONG,
        min_rate: 0,
        ..Limits::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests of drivers pass real time")]
fn clock() -> Instant {
    Instant::now()
}

/// What a server told its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    AcceptFailed,
    OutOfResources,
    LimitReached(usize),
    Panicked,
    /// How many run then is a race between the drivers' threads.
    Stopping,
    Cut(usize),
}

impl From<Notice<'_>> for Told {
    fn from(notice: Notice<'_>) -> Self {
        assert!(!notice.to_string().is_empty());
        match notice {
            Notice::AcceptFailed { .. } => Self::AcceptFailed,
            Notice::OutOfResources { .. } => Self::OutOfResources,
            Notice::LimitReached { connections } => Self::LimitReached(connections),
            Notice::Panicked => Self::Panicked,
            Notice::Stopping { .. } => Self::Stopping,
            Notice::Cut { running } => Self::Cut(running),
        }
    }
}

/// A server on a thread of its own.
pub(crate) struct Server {
    pub(crate) shutdown: Shutdown,
    pub(crate) events: Receiver<Event>,
    told: Receiver<Told>,
    thread: JoinHandle<io::Result<Served>>,
}

impl Server {
    pub(crate) fn start<D, L>(listeners: Vec<L>, settings: Settings) -> Self
    where
        D: Driver,
        L: Listener + AsFd + Send + 'static,
        L::Socket: AsFd + Send,
    {
        Self::start_with_idle::<D, L>(listeners, settings, LONG)
    }

    fn start_with_idle<D, L>(listeners: Vec<L>, settings: Settings, idle: Duration) -> Self
    where
        D: Driver,
        L: Listener + AsFd + Send + 'static,
        L::Socket: AsFd + Send,
    {
        Self::start_with_sockets::<D, L>(listeners, Vec::new(), settings, idle)
    }

    /// Serves on `sockets` too, with a stack on each.
    pub(crate) fn start_with_sockets<D, L>(
        listeners: Vec<L>,
        sockets: Vec<socket::UdpSocket>,
        settings: Settings,
        idle: Duration,
    ) -> Self
    where
        D: Driver,
        L: Listener + AsFd + Send + 'static,
        L::Socket: AsFd + Send,
    {
        let shutdown = Shutdown::new().unwrap();
        let (send_event, events) = channel();
        let (send_told, told) = channel();
        let stop = shutdown.clone();
        let thread = thread::spawn(move || {
            let service = move |now, _peer| {
                let reader = Some(send_event.clone());
                let events = Vec::new();
                (Source::new(now, idle), Notes { events, reader })
            };
            let residents = sockets
                .into_iter()
                .map(|socket| house(socket, service.clone(), settings.limits))
                .collect();
            D::serve(
                listeners,
                residents,
                service,
                settings,
                &stop,
                &mut |notice| {
                    _ = send_told.send(notice.into());
                },
            )
        });
        Self {
            shutdown,
            events,
            told,
            thread,
        }
    }

    /// Waits for `event` on any connection.
    pub(crate) fn expect(&self, event: Event) {
        while self.events.recv_timeout(LONG).unwrap() != event {}
    }

    /// Waits for this notice.
    pub(crate) fn expect_told(&self, told: Told) {
        while self.told.recv_timeout(LONG).unwrap() != told {}
    }

    /// Waits for the end.
    pub(crate) fn join(self) -> Served {
        self.thread.join().unwrap().unwrap()
    }

    /// Stops it, and waits until no connection runs any more.
    pub(crate) fn stop(self) -> Served {
        self.shutdown.request();
        self.join()
    }
}

pub(crate) fn listen() -> (SeqListener, Address) {
    let listener = SeqListener::bind().unwrap();
    let address = listener.address().unwrap();
    (listener, address)
}

/// A client that asks for all of `wishes` with the driver's `run`, and what it noted.
pub(crate) fn get<D: Driver>(address: &Address, wishes: &[u64]) -> Vec<Event> {
    let socket = SeqSocket::connect(address).unwrap();
    let machine = Sink::new(wishes.iter().copied());
    let connection = Connection::new(machine, socket, Notes::default(), patient());
    let shutdown = Shutdown::new().unwrap();
    D::run(connection, LONG, &shutdown).unwrap().events
}

pub(crate) fn got(wishes: &[u64]) -> Vec<Event> {
    wishes.iter().copied().map(Event::Got).collect()
}

/// Asks and takes the whole answer.
pub(crate) fn exchange(client: &mut Client, bytes: u64) {
    client.ask(bytes).unwrap();
    assert_eq!(client.read_answer(0, bytes).unwrap(), bytes);
}

pub fn many_exchanges_on_one_connection<D: Driver>() {
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let wishes: Vec<u64> = (0..100).map(|n| 1 + n * n).collect();
    assert_eq!(get::<D>(&address, &wishes), got(&wishes));
    let served = server.stop();
    assert_eq!(
        served,
        Served {
            accepted: 1,
            cut: 0
        }
    );
}

pub fn a_big_answer_passes_a_small_queue<D: Driver>() {
    let (listener, address) = listen();
    let listener = listener.with_send_buffer(1);
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let wishes = [4 << 20, 1, 4 << 20];
    assert_eq!(get::<D>(&address, &wishes), got(&wishes));
    server.stop();
}

pub fn every_listener_is_served<D: Driver>() {
    let (listeners, addresses): (Vec<_>, Vec<_>) = (0..3).map(|_| listen()).unzip();
    let server = Server::start::<D, _>(listeners, Settings::default());
    for address in &addresses {
        assert_eq!(get::<D>(address, &[5000]), got(&[5000]));
    }
    assert_eq!(server.stop().accepted, 3);
}

pub fn many_connections_at_once<D: Driver>() {
    // Each has two descriptors in this process.
    let count = u64::try_from(1000.min((soft_limit() - 20) / 3)).unwrap();
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = Client::connect(&address).unwrap();
        client.ask(10_000 + number).unwrap();
        clients.push(client);
    }
    for (client, number) in clients.iter_mut().zip(0..) {
        let bytes = 10_000 + number;
        assert_eq!(client.read_answer(0, bytes).unwrap(), bytes);
    }
    for client in &mut clients {
        exchange(client, 1);
    }
    let served = server.stop();
    assert_eq!((served.accepted, served.cut), (count, 0));
    for client in &mut clients {
        assert_eq!(client.receive().unwrap(), []);
    }
}

/// How many descriptors this process may have.
fn soft_limit() -> usize {
    let output = Command::new("sh").args(["-c", "ulimit -n"]).output();
    let words = String::from_utf8(output.unwrap().stdout).unwrap();
    words.trim().parse().unwrap_or(usize::MAX)
}

pub fn a_client_that_never_stops_reading_does_not_hold_up_the_others<D: Driver>() {
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut greedy = Client::connect(&address).unwrap();
    greedy.ask(u64::MAX).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                assert!(!greedy.receive().unwrap().is_empty());
            }
        });
        for _ in 0..20 {
            exchange(&mut Client::connect(&address).unwrap(), 100_000);
        }
        over.store(true, Ordering::SeqCst);
    });
    server.shutdown.immediate.stop();
    assert_eq!(server.join().accepted, 21);
}

pub fn a_peer_that_reads_nothing_is_given_up<D: Driver>() {
    let (listener, address) = listen();
    let limits = Limits {
        stall: Duration::from_millis(50),
        ..patient()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let server = Server::start::<D, _>(vec![listener], settings);
    let mut client = Client::connect(&address).unwrap();
    client.ask(u64::MAX).unwrap();
    server.expect(Event::Ended(CloseReason::Stalled));
    server.stop();
}

pub fn a_peer_that_reads_too_slowly_is_given_up<D: Driver>() {
    let (listener, address) = listen();
    let listener = listener.with_send_buffer(1);
    let limits = Limits {
        min_rate: 100 << 20,
        rate_window: Duration::from_millis(100),
        ..patient()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let server = Server::start::<D, _>(vec![listener], settings);
    let mut client = Client::connect(&address).unwrap();
    client.ask(u64::MAX).unwrap();
    // It does read, one message in two milliseconds.
    let two_milliseconds = Duration::from_millis(2);
    let mut events = Vec::new();
    while !events.contains(&Event::Ended(CloseReason::Stalled)) {
        assert!(client.receive().is_ok());
        events.extend(server.events.recv_timeout(two_milliseconds));
    }
    server.stop();
}

pub fn a_machine_gets_its_timeout<D: Driver>() {
    let (listener, address) = listen();
    let idle = Duration::from_millis(40);
    let server = Server::start_with_idle::<D, _>(vec![listener], Settings::default(), idle);
    let start = clock();
    let mut client = Client::connect(&address).unwrap();
    server.expect(Event::Ended(CloseReason::TimedOut));
    assert!(clock() - start >= idle);
    assert_eq!(client.receive().unwrap(), []);
    assert_eq!(server.stop().cut, 0);
}

pub fn who_comes_beyond_the_limit_waits_for_a_place<D: Driver>() {
    let (listener, address) = listen();
    let (listener, faults) = FaultyListener::new(listener);
    let settings = Settings {
        max_connections: 2,
        ..Settings::default()
    };
    let server = Server::start::<D, _>(vec![listener], settings);
    let mut first = Client::connect(&address).unwrap();
    let mut second = Client::connect(&address).unwrap();
    exchange(&mut first, 10);
    exchange(&mut second, 10);
    server.expect_told(Told::LimitReached(2));
    let tried = faults.attempts();
    let mut third = Client::connect(&address).unwrap();
    third.ask(10).unwrap();
    // The first two go on, the third is not even looked at.
    for _ in 0..100 {
        exchange(&mut first, 10);
        exchange(&mut second, 10);
    }
    assert_eq!(faults.attempts(), tried);
    assert!(!third.has_message().unwrap());
    drop(first);
    assert_eq!(third.read_answer(0, 10).unwrap(), 10);
    assert_eq!(
        server.stop(),
        Served {
            accepted: 3,
            cut: 0
        }
    );
}

pub fn a_graceful_stop_lets_a_running_answer_end<D: Driver>() {
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut idle = Client::connect(&address).unwrap();
    exchange(&mut idle, 1);
    let mut running = Client::connect(&address).unwrap();
    let bytes = 4 << 20;
    running.ask(bytes).unwrap();
    let first = running.receive().unwrap();
    server.shutdown.request();
    server.expect_told(Told::Stopping);
    assert_eq!(idle.receive().unwrap(), []);
    assert!(Client::connect(&address).is_err());
    let first = u64::try_from(first.len()).unwrap();
    assert_eq!(running.read_answer(first, bytes).unwrap(), bytes);
    assert_eq!(running.receive().unwrap(), []);
    assert_eq!(
        server.join(),
        Served {
            accepted: 2,
            cut: 0
        }
    );
}

pub fn the_grace_cuts_what_does_not_end<D: Driver>() {
    let (listener, address) = listen();
    let grace = Duration::from_millis(50);
    let settings = Settings {
        grace,
        limits: patient(),
        ..Settings::default()
    };
    let server = Server::start::<D, _>(vec![listener], settings);
    let mut client = Client::connect(&address).unwrap();
    client.ask(u64::MAX).unwrap();
    client.receive().unwrap();
    let start = clock();
    server.shutdown.request();
    server.expect_told(Told::Stopping);
    server.expect_told(Told::Cut(1));
    server.expect(Event::Ended(CloseReason::Cancelled));
    assert!(clock() - start >= grace);
    assert_eq!(
        server.join(),
        Served {
            accepted: 1,
            cut: 1
        }
    );
}

pub fn a_second_stop_ends_at_once<D: Driver>() {
    let (listener, address) = listen();
    let settings = Settings {
        limits: patient(),
        ..Settings::default()
    };
    let server = Server::start::<D, _>(vec![listener], settings);
    let mut client = Client::connect(&address).unwrap();
    client.ask(u64::MAX).unwrap();
    client.receive().unwrap();
    let start = clock();
    server.shutdown.request();
    server.expect_told(Told::Stopping);
    server.shutdown.request();
    server.expect(Event::Ended(CloseReason::Cancelled));
    assert_eq!(
        server.join(),
        Served {
            accepted: 1,
            cut: 1
        }
    );
    assert!(clock() - start < LONG);
}

pub fn an_immediate_stop_needs_no_graceful_one<D: Driver>() {
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut client = Client::connect(&address).unwrap();
    exchange(&mut client, 1);
    server.shutdown.immediate.stop();
    server.expect(Event::Ended(CloseReason::Cancelled));
    assert_eq!(
        server.join(),
        Served {
            accepted: 1,
            cut: 1
        }
    );
}

pub fn a_stop_without_connections_returns<D: Driver>() {
    let (listener, _address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    assert_eq!(server.stop(), Served::default());
}

pub fn lack_of_descriptors_pauses_and_passes<D: Driver>() {
    let (listener, address) = listen();
    let (listener, faults) = FaultyListener::new(listener);
    faults.fail_with(Some(EMFILE));
    let start = clock();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut client = Client::connect(&address).unwrap();
    let attempts = faults.wait_for_attempts(3);
    // The pauses after the first two attempts.
    assert!(attempts[2] - start >= Duration::from_millis(100 + 200));
    faults.fail_with(None);
    exchange(&mut client, 10);
    let told: Vec<Told> = server.told.try_iter().collect();
    assert_eq!(told, [Told::OutOfResources]);
    assert_eq!(server.stop().accepted, 1);
}

/// Runs in a child process with few descriptors.
pub fn real_lack_of_descriptors_passes<D: Driver>() {
    const CHILD: &str = "TEST_WITH_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let status = Command::new("sh")
            .args(["-c", r#"ulimit -n 40 && exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "real_lack_of_descriptors_passes"])
            .env(CHILD, "")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let (listener, address) = listen();
    let (listener, faults) = FaultyListener::new(listener);
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    // It has the descriptors that it needs for itself.
    exchange(&mut Client::connect(&address).unwrap(), 10);
    let mut clients = Vec::new();
    while let Ok(client) = Client::connect(&address) {
        clients.push(client);
    }
    // There is no descriptor left for the server to accept the last of them.
    server.expect_told(Told::OutOfResources);
    let mut last = clients.pop().unwrap();
    last.ask(10).unwrap();
    clients.clear();
    assert_eq!(last.read_answer(0, 10).unwrap(), 10);
    // Some attempts for each connection and each pause; without pauses it would be thousands.
    assert!(faults.attempts() < 200);
    server.stop();
}

pub fn a_broken_listener_does_not_spin<D: Driver>() {
    let (listener, address) = listen();
    let (listener, faults) = FaultyListener::new(listener);
    let einval = 22;
    faults.fail_with(Some(einval));
    let start = clock();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let _client = Client::connect(&address).unwrap();
    let attempts = faults.wait_for_attempts(18);
    // The pauses after the last of 16 failures in a row, and after the next.
    assert!(attempts[16] - start >= Duration::from_millis(100));
    assert!(attempts[17] - start >= Duration::from_millis(100 + 200));
    server.expect_told(Told::AcceptFailed);
    server.stop();
}

pub fn a_failed_connection_does_not_stop_the_next<D: Driver>() {
    let (listener, address) = listen();
    let (listener, faults) = FaultyListener::new(listener);
    let econnaborted = 103;
    faults.fail_once_with(econnaborted);
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut client = Client::connect(&address).unwrap();
    exchange(&mut client, 10);
    server.expect_told(Told::AcceptFailed);
    server.stop();
}

pub fn a_panic_ends_its_own_connection_only<D: Driver>() {
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let mut other = Client::connect(&address).unwrap();
    exchange(&mut other, 10);
    let mut client = Client::connect(&address).unwrap();
    client.ask(PANIC).unwrap();
    assert_eq!(client.receive().unwrap(), []);
    server.expect_told(Told::Panicked);
    exchange(&mut other, 10);
    assert_eq!(
        server.stop(),
        Served {
            accepted: 2,
            cut: 0
        }
    );
}

/// Refuses so many connections, and takes those that come after them.
struct RefuseFirst(usize);

impl Service for RefuseFirst {
    type Machine = Source;
    type Application = Notes;

    fn accept(&mut self, now: Instant, _peer: SocketAddr) -> Option<(Source, Notes)> {
        let Some(left) = self.0.checked_sub(1) else {
            return Some((Source::new(now, LONG), Notes::default()));
        };
        self.0 = left;
        None
    }
}

pub fn who_is_refused_does_not_count_and_the_next_is_served<D: Driver>() {
    let (listener, address) = listen();
    let settings = Settings {
        max_connections: 1,
        ..Settings::default()
    };
    let shutdown = Shutdown::new().unwrap();
    let stop = shutdown.clone();
    let thread = thread::spawn(move || {
        let service = RefuseFirst(3);
        let residents = Vec::new();
        D::serve(
            vec![listener],
            residents,
            service,
            settings,
            &stop,
            &mut |_| (),
        )
    });
    for _ in 0..3 {
        let mut client = Client::connect(&address).unwrap();
        // It may have been aborted before it asks.
        let _ = client.ask(10);
        assert!(client.receive().unwrap_or_default().is_empty());
    }
    let mut client = Client::connect(&address).unwrap();
    exchange(&mut client, 10);
    drop(client);
    shutdown.request();
    let served = thread.join().unwrap().unwrap();
    assert_eq!(served.accepted, 1);
}

pub fn a_client_is_cancelled<D: Driver>() {
    let (socket, _silent) = SeqSocket::pair().unwrap();
    let connection = Connection::new(Sink::new([1]), socket, Notes::default(), patient());
    let shutdown = Shutdown::new().unwrap();
    let stop = shutdown.clone();
    let thread = thread::spawn(move || D::run(connection, LONG, &stop));
    shutdown.immediate.stop();
    let notes = thread.join().unwrap().unwrap();
    assert_eq!(notes.events, [Event::Ended(CloseReason::Cancelled)]);

    let (socket, _silent) = SeqSocket::pair().unwrap();
    let connection = Connection::new(Sink::new([1]), socket, Notes::default(), patient());
    let shutdown = Shutdown::new().unwrap();
    let stop = shutdown.clone();
    let grace = Duration::from_millis(10);
    let thread = thread::spawn(move || D::run(connection, grace, &stop));
    shutdown.graceful.stop();
    let notes = thread.join().unwrap().unwrap();
    assert!(matches!(
        notes.events[..],
        // The stop may come before the client has asked for anything.
        [Event::Ended(CloseReason::Cancelled)] | []
    ));
}

pub fn a_client_learns_of_the_end<D: Driver>() {
    let (listener, address) = listen();
    let server = Server::start::<D, _>(vec![listener], Settings::default());
    let client = thread::spawn(move || get::<D>(&address, &[u64::MAX]));
    server.expect(Event::Asked(u64::MAX));
    server.shutdown.immediate.stop();
    server.join();
    let events = client.join().unwrap();
    assert!(matches!(
        events[..],
        [Event::Ended(CloseReason::Graceful | CloseReason::Aborted)]
    ));
}

pub fn one_socket_with_many_peers_runs_until_it_is_stopped<D: Driver>() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let connection = Connection::new(
        Mirror::default(),
        PacketSocket::new(socket),
        Peers::default(),
        Limits::default(),
    );
    let shutdown = Shutdown::new().unwrap();
    let stop = shutdown.clone();
    let thread = thread::spawn(move || D::run(connection, LONG, &stop));
    let clients: Vec<UdpSocket> = (0..10)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    for client in &clients {
        client.set_read_timeout(Some(LONG)).unwrap();
        client.connect(address).unwrap();
        for round in 0..3_u8 {
            let mut back = [0];
            client.send(&[round]).unwrap();
            client.recv(&mut back).unwrap();
            assert_eq!(back, [round]);
        }
    }
    shutdown.request();
    let peers = thread.join().unwrap().unwrap();
    let seen: Vec<usize> = peers.datagrams.values().copied().collect();
    assert_eq!(seen, [3; 10]);
}

/// A listener whose calls can be made to fail, and are counted.
struct FaultyListener {
    listener: SeqListener,
    faults: Faults,
    attempted: Sender<()>,
}

/// The test's hand on a [`FaultyListener`].
struct FaultHandle {
    faults: Faults,
    attempted: Receiver<()>,
}

type Faults = Arc<Mutex<FaultState>>;

#[derive(Debug, Default)]
struct FaultState {
    error: Option<i32>,
    once: Option<i32>,
    attempts: Vec<Instant>,
}

impl FaultyListener {
    fn new(listener: SeqListener) -> (Self, FaultHandle) {
        let faults = Faults::default();
        let (sender, attempted) = channel();
        let handle = FaultHandle {
            faults: Arc::clone(&faults),
            attempted,
        };
        let faulty = Self {
            listener,
            faults,
            attempted: sender,
        };
        (faulty, handle)
    }
}

impl FaultHandle {
    fn fail_with(&self, error: Option<i32>) {
        self.faults.lock().unwrap().error = error;
    }

    fn fail_once_with(&self, error: i32) {
        self.faults.lock().unwrap().once = Some(error);
    }

    /// How often a connection was there and `accept` was called.
    fn attempts(&self) -> usize {
        self.faults.lock().unwrap().attempts.len()
    }

    fn wait_for_attempts(&self, count: usize) -> Vec<Instant> {
        while self.attempts() < count {
            self.attempted.recv_timeout(LONG).unwrap();
        }
        self.faults.lock().unwrap().attempts.clone()
    }
}

impl Listener for FaultyListener {
    type Socket = SeqSocket;

    fn accept(&mut self) -> io::Result<(SeqSocket, SocketAddr)> {
        let mut faults = self.faults.lock().unwrap();
        if let Some(error) = faults.once.take().or(faults.error) {
            faults.attempts.push(clock());
            _ = self.attempted.send(());
            return Err(io::Error::from_raw_os_error(error));
        }
        let result = self.listener.accept();
        let idle = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if !result.as_ref().is_err_and(idle) {
            faults.attempts.push(clock());
        }
        result
    }

    fn is_out_of_resources(&self, error: &io::Error) -> bool {
        self.listener.is_out_of_resources(error)
    }
}

impl AsFd for FaultyListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// A socket with many peers.
struct PacketSocket(UdpSocket);

impl PacketSocket {
    fn new(socket: UdpSocket) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }
}

impl DatagramSocket for PacketSocket {
    type Peer = SocketAddr;

    fn max_payload(&self) -> usize {
        1200
    }

    fn send(&mut self, transmit: &Transmit<SocketAddr>, payload: &[u8]) -> Result<(), SendError> {
        match self.0.send_to(payload, transmit.peer) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::WouldBlock),
            Err(error) => Err(SendError::Io(error)),
        }
    }

    fn recv(&mut self, into: &mut BytesMut) -> io::Result<Received<SocketAddr>> {
        into.resize(1200, 0);
        let (length, peer) = self.0.recv_from(into)?;
        let payload = into.split_to(length).freeze();
        Ok(Received::Datagram(Datagram::message(peer, payload)))
    }

    fn finish(&mut self) -> io::Result<Finish> {
        Ok(Finish::Done)
    }

    fn abort(&mut self) {}
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends back what it gets, and names who sent it.
#[derive(Debug, Default)]
struct Mirror {
    received: Vec<(SocketAddr, Bytes)>,
    peers: Vec<SocketAddr>,
    stopped: bool,
}

impl Machine for Mirror {
    type Peer = SocketAddr;
    type Session = SocketAddr;
    type Event = ();
    type Command = ();

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<SocketAddr>) {
        self.received.push((datagram.peer, datagram.payload));
        self.peers.push(datagram.peer);
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_closed(&mut self, _now: Instant, _why: CloseReason) {
        self.stopped = true;
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}

    fn handle_stop(&mut self, _now: Instant) {
        self.stopped = true;
    }

    fn handle_command(&mut self, _now: Instant, _session: SocketAddr, (): ()) {}

    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<SocketAddr>> {
        let (peer, payload) = self.received.pop()?;
        out.extend_from_slice(&payload);
        Some(Transmit::message(peer))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_event(&mut self) -> Option<(SocketAddr, ())> {
        self.peers.pop().map(|peer| (peer, ()))
    }

    fn disposition(&self) -> Disposition {
        if self.stopped {
            Disposition::Close
        } else {
            Disposition::Open
        }
    }
}

/// Counts the datagrams of each peer.
#[derive(Debug, Default)]
struct Peers {
    datagrams: BTreeMap<SocketAddr, usize>,
}

impl Application<Mirror> for Peers {
    fn run(&mut self, _now: Instant, machine: &mut Mirror) -> Option<Instant> {
        while let Some((peer, ())) = machine.poll_event() {
            *self.datagrams.entry(peer).or_default() += 1;
        }
        None
    }
}
