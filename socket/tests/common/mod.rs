//! What the tests of both protocols share.
//!
//! They need a kernel that has the protocol, and say so where it has not. Those that change the
//! loopback interface need a machine of their own, which is one whose host name is `uml` or whose
//! environment has `OWN_NETWORK=1`.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket::Protocol;
use socket::wait::{Entry, Interest, wait};
use transport::{
    CloseReason, Datagram, DatagramSocket, Finish, Listener, Received, SendError, Transmit,
};

pub(crate) const LONG: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "kernel sockets run in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The loopback interface, for one test at a time; as it was before, when dropped.
pub(crate) struct Loopback {
    changed: bool,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Loopback {
    /// Waits for the turn; `None`, after a line that says why, when the kernel has no `protocol`.
    pub(crate) fn with(protocol: Protocol) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(missing) = socket::probe().of(protocol).missing() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| say(&format!("not run: {missing}")));
            return None;
        }
        Some(Self {
            changed: false,
            _turn: turn,
        })
    }

    /// Changes the interface; false, after a line that says why, when that is not allowed.
    pub(crate) fn change(&mut self, mtu: u32, netem: &str) -> bool {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        if host.trim() != "uml" && std::env::var_os("OWN_NETWORK").is_none() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| say("not run: may not change this machine's loopback interface"));
            return false;
        }
        self.changed = true;
        run(&format!("ip link set lo mtu {mtu}"));
        let _ = shell("tc qdisc del dev lo root 2>/dev/null");
        if !netem.is_empty() {
            run(&format!(
                "tc qdisc add dev lo root netem limit 100000 {netem}"
            ));
        }
        true
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if self.changed {
            let _ = shell("tc qdisc del dev lo root 2>/dev/null; ip link set lo mtu 65536");
        }
    }
}

fn shell(command: &str) -> bool {
    let path = "/usr/sbin:/sbin:/usr/bin:/bin";
    Command::new("sh")
        .args(["-c", command])
        .env("PATH", path)
        .status()
        .is_ok_and(|status| status.success())
}

pub(crate) fn run(command: &str) {
    assert!(shell(command), "failed: {command}");
}

/// Writes a line that the test harness does not hold back.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The loopback addresses of both families, with a port of the kernel's choice.
pub(crate) fn loopbacks() -> [SocketAddr; 2] {
    ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]
}

/// Waits for a descriptor; true when it is ready in time.
pub(crate) fn ready(fd: BorrowedFd<'_>, interest: Interest, time: Duration) -> bool {
    wait(&mut [Entry::new(fd, interest)], Some(now() + time)).unwrap() > 0
}

pub(crate) fn accept<L: Listener + AsFd>(listener: &mut L) -> (L::Socket, SocketAddr) {
    assert!(ready(listener.as_fd(), Interest::Read, LONG), "nobody came");
    listener.accept().unwrap()
}

/// The next datagram or the end, within `LONG`.
pub(crate) fn receive<S: DatagramSocket<Peer = ()> + AsFd>(
    socket: &mut S,
    buffer: &mut BytesMut,
) -> Received<()> {
    receive_for(socket, buffer, LONG).expect("nothing came")
}

/// The next datagram or the end, if it comes in `time`.
pub(crate) fn receive_for<S: DatagramSocket<Peer = ()> + AsFd>(
    socket: &mut S,
    buffer: &mut BytesMut,
    time: Duration,
) -> Option<Received<()>> {
    let end = now() + time;
    loop {
        match socket.recv(buffer) {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
        }
        let left = end.saturating_duration_since(now());
        if left.is_zero() || !ready(socket.as_fd(), Interest::Read, left) {
            return None;
        }
    }
}

pub(crate) fn datagram<S: DatagramSocket<Peer = ()> + AsFd>(
    socket: &mut S,
    buffer: &mut BytesMut,
) -> Datagram<()> {
    match receive(socket, buffer) {
        Received::Datagram(datagram) => datagram,
        Received::Icmp { icmp, .. } => panic!("{icmp:?}"),
        Received::Closed(why) => panic!("{why}"),
    }
}

/// All payloads until the end, as one, and the end.
pub(crate) fn receive_all<S: DatagramSocket<Peer = ()> + AsFd>(
    socket: &mut S,
) -> (Vec<u8>, CloseReason) {
    let mut all = Vec::new();
    let mut buffer = BytesMut::new();
    loop {
        match receive(socket, &mut buffer) {
            Received::Datagram(datagram) => all.extend_from_slice(&datagram.payload),
            Received::Icmp { .. } => {}
            Received::Closed(why) => return (all, why),
        }
    }
}

pub(crate) fn send<S: DatagramSocket<Peer = ()>>(socket: &mut S, payload: &[u8]) {
    socket.send(&Transmit::message(()), payload).unwrap();
}

/// Sends `payload` in pieces until all is queued or the queue is full, and tells how much was.
pub(crate) fn fill<S: DatagramSocket<Peer = ()>>(
    socket: &mut S,
    payload: &[u8],
    piece: usize,
) -> usize {
    let mut sent = 0;
    for piece in payload.chunks(piece) {
        match socket.send(&Transmit::message(()), piece) {
            Ok(()) => sent += piece.len(),
            Err(SendError::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

/// What [`push`] took.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    pub(crate) sends: usize,
    pub(crate) waits: usize,
    /// Waits after which the send would still block.
    pub(crate) vain: usize,
}

/// Sends all of `payload` in pieces, with poll(2) when the queue is full.
pub(crate) fn push<S: DatagramSocket<Peer = ()> + AsFd>(
    socket: &mut S,
    payload: &[u8],
    piece: usize,
) -> Effort {
    let mut effort = Effort::default();
    let mut buffer = BytesMut::new();
    for piece in payload.chunks(piece) {
        let mut waited = false;
        loop {
            match socket.send(&Transmit::message(()), piece) {
                Ok(()) => break,
                Err(SendError::WouldBlock) => {}
                Err(error) => panic!("{error}"),
            }
            effort.vain += usize::from(waited);
            effort.waits += 1;
            waited = true;
            assert!(
                ready(socket.as_fd(), Interest::ReadWrite, LONG),
                "stuck: {effort:?}"
            );
            // As every driver does: whatever is reported may be input.
            match socket.recv(&mut buffer) {
                Ok(Received::Datagram(_) | Received::Icmp { .. }) => {}
                Ok(Received::Closed(why)) => panic!("{why}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
        }
        effort.sends += 1;
    }
    effort
}

/// Ends as the pump does: asks every 5 ms, and throws away what comes. Returns the end, and how
/// often it asked.
pub(crate) fn finish<S: DatagramSocket<Peer = ()> + AsFd>(
    mut socket: S,
) -> (Option<CloseReason>, usize) {
    let mut buffer = BytesMut::new();
    for asked in 1..4000 {
        match socket.finish() {
            Ok(Finish::Done) => return (None, asked),
            Ok(Finish::Pending) => {}
            Err(error) => panic!("{error}"),
        }
        let again = now() + Duration::from_millis(5);
        while let Some(received) = receive_for(
            &mut socket,
            &mut buffer,
            again.saturating_duration_since(now()),
        ) {
            if let Received::Closed(why) = received {
                return (Some(why), asked);
            }
        }
    }
    panic!("it does not end");
}

/// Bytes of which each place differs from its neighbours.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| (index * 31 + index / 256) as u8)
        .collect()
}
