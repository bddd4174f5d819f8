//! Decides when a server may accept.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::service::Notice;
use crate::socket::Listener;

/// The first pause after the system ran out of resources; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many failures in a row, a listener's errors no longer count as single connections
/// that failed: the listener itself is broken, and trying it without a pause would spin.
const FAILURES_IN_A_ROW: u32 = 16;
/// How often a lack of resources, and the limit, are told.
const TELL_RESOURCES: Duration = Duration::from_secs(60);
/// How often failures to accept are told.
const TELL_FAILURES: Duration = Duration::from_secs(1);

/// What [`Gate::admit`] did.
#[derive(Debug)]
pub enum Admission<S> {
    /// It let this connection in. [`Gate::on_ended`] is to be called when it has ended.
    Connection(S, SocketAddr),
    /// One connection failed; others may wait behind it.
    Failed,
    /// Nobody waits.
    Idle,
    /// The gate is closed: ask again after [`Gate::deadline`] or when a connection has ended.
    Closed,
}

/// Stands between listeners and a driver: holds the limit on connections, and pauses where
/// accepting would only fail.
///
/// While it is closed nothing is accepted and nothing is refused: who connects waits in the
/// listeners' backlogs. Pauses take 100 ms at first, then twice as long each time, at most 1 s,
/// until something is accepted. Of notices of one kind, failures are told at most once a second,
/// a lack of resources and the limit at most once a minute.
#[derive(Debug)]
pub struct Gate {
    max_connections: usize,
    running: usize,
    accepted: u64,
    failures: u32,
    next_pause: Duration,
    paused_until: Option<Instant>,
    told_failure: Option<Instant>,
    told_resources: Option<Instant>,
    told_limit: Option<Instant>,
}

impl Gate {
    /// Opens a gate for at most `max_connections` at once.
    pub const fn new(max_connections: usize) -> Self {
        Self {
            max_connections,
            running: 0,
            accepted: 0,
            failures: 0,
            next_pause: FIRST_PAUSE,
            paused_until: None,
            told_failure: None,
            told_resources: None,
            told_limit: None,
        }
    }

    /// How many connections that were let in have not ended.
    pub const fn running(&self) -> usize {
        self.running
    }

    /// How many connections were let in.
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether [`Self::admit`] would try to accept now.
    pub fn is_open(&self, now: Instant) -> bool {
        self.running < self.max_connections && self.paused_until.is_none_or(|until| until <= now)
    }

    /// When a pause ends; `None` when the gate is open, or waits for a connection to end.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.paused_until
            .filter(|until| *until > now && self.running < self.max_connections)
    }

    /// Accepts one connection from `listener`, which is number `index`.
    pub fn admit<L: Listener>(
        &mut self,
        now: Instant,
        index: usize,
        listener: &mut L,
        observe: &mut dyn FnMut(Notice<'_>),
    ) -> Admission<L::Socket> {
        if !self.is_open(now) {
            return Admission::Closed;
        }
        let error = match listener.accept() {
            Ok((socket, peer)) => {
                self.on_accepted(now, observe);
                return Admission::Connection(socket, peer);
            }
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::WouldBlock => Admission::Idle,
            io::ErrorKind::Interrupted => Admission::Failed,
            _ if listener.is_out_of_resources(&error) => {
                self.on_out_of_resources(now, &error, observe);
                Admission::Closed
            }
            _ => {
                if is_due(&mut self.told_failure, now, TELL_FAILURES) {
                    observe(Notice::AcceptFailed {
                        listener: index,
                        error: &error,
                    });
                }
                self.failures += 1;
                if self.failures >= FAILURES_IN_A_ROW {
                    self.pause(now);
                }
                Admission::Failed
            }
        }
    }

    /// Closes the gate for a while, because there is no room for another connection.
    pub fn on_out_of_resources(
        &mut self,
        now: Instant,
        error: &io::Error,
        observe: &mut dyn FnMut(Notice<'_>),
    ) {
        let pause = self.pause(now);
        if is_due(&mut self.told_resources, now, TELL_RESOURCES) {
            observe(Notice::OutOfResources { error, pause });
        }
    }

    /// Makes room for another connection, because the one let in last is refused, and does not
    /// count.
    pub const fn on_refused(&mut self) {
        self.accepted = self.accepted.saturating_sub(1);
        self.on_ended();
    }

    /// Makes room for another connection, because one has ended.
    pub const fn on_ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    fn on_accepted(&mut self, now: Instant, observe: &mut dyn FnMut(Notice<'_>)) {
        self.accepted += 1;
        self.running += 1;
        self.failures = 0;
        self.next_pause = FIRST_PAUSE;
        self.paused_until = None;
        if self.running >= self.max_connections && is_due(&mut self.told_limit, now, TELL_RESOURCES)
        {
            observe(Notice::LimitReached {
                connections: self.running,
            });
        }
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let pause = self.next_pause;
        self.paused_until = Some(now + pause);
        self.next_pause = LONGEST_PAUSE.min(pause * 2);
        pause
    }
}

/// Whether `interval` has passed since `last`, which is then `now`.
fn is_due(last: &mut Option<Instant>, now: Instant, interval: Duration) -> bool {
    let due = last.is_none_or(|last| last + interval <= now);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::BytesMut;
    use proto::machine::Transmit;

    use super::*;
    use crate::socket::{DatagramSocket, Finish, Received, SendError};

    #[derive(Debug)]
    struct NoSocket;

    impl DatagramSocket for NoSocket {
        type Peer = ();

        fn max_payload(&self) -> usize {
            0
        }

        fn send(&mut self, _transmit: &Transmit<()>, _payload: &[u8]) -> Result<(), SendError> {
            Err(SendError::WouldBlock)
        }

        fn recv(&mut self, _into: &mut BytesMut) -> io::Result<Received<()>> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn finish(&mut self) -> io::Result<Finish> {
            Ok(Finish::Done)
        }

        fn abort(&mut self) {}
    }

    /// Fails with these errors in turn, then accepts.
    struct Script(VecDeque<io::ErrorKind>);

    impl Listener for Script {
        type Socket = NoSocket;

        fn accept(&mut self) -> io::Result<(NoSocket, SocketAddr)> {
            match self.0.pop_front() {
                Some(kind) => Err(kind.into()),
                None => Ok((NoSocket, ([127, 0, 0, 1], 1).into())),
            }
        }

        fn is_out_of_resources(&self, error: &io::Error) -> bool {
            error.kind() == io::ErrorKind::OutOfMemory
        }
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn start() -> Instant {
        Instant::now()
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Admits once, and returns in a word what came of it, and the notices.
    fn admit(gate: &mut Gate, now: Instant, listener: &mut Script) -> (&'static str, Vec<String>) {
        let mut notices = Vec::new();
        let mut observe = |notice: Notice<'_>| notices.push(notice.to_string());
        let word = match gate.admit(now, 0, listener, &mut observe) {
            Admission::Connection(..) => "connection",
            Admission::Failed => "failed",
            Admission::Idle => "idle",
            Admission::Closed => "closed",
        };
        (word, notices)
    }

    #[test]
    fn pauses_grow_to_a_second_and_start_again_after_success() {
        let mut listener = Script(vec![io::ErrorKind::OutOfMemory; 6].into());
        let mut gate = Gate::new(10);
        let mut now = start();
        for (attempt, pause) in [100, 200, 400, 800, 1000, 1000].into_iter().enumerate() {
            let (word, notices) = admit(&mut gate, now, &mut listener);
            assert_eq!((word, notices.len()), ("closed", usize::from(attempt == 0)));
            assert_eq!(gate.deadline(now), Some(now + millis(pause)));
            now += millis(pause);
            assert!(!gate.is_open(now - millis(1)));
            assert!(gate.is_open(now));
        }
        assert_eq!(admit(&mut gate, now, &mut listener).0, "connection");
        assert_eq!(gate.deadline(now), None);
        listener.0.push_back(io::ErrorKind::OutOfMemory);
        assert_eq!(admit(&mut gate, now, &mut listener).0, "closed");
        assert_eq!(gate.deadline(now), Some(now + millis(100)));
    }

    #[test]
    fn a_closed_gate_does_not_call_the_listener() {
        let mut listener = Script(vec![io::ErrorKind::OutOfMemory].into());
        let mut gate = Gate::new(1);
        let now = start();
        admit(&mut gate, now, &mut listener);
        assert_eq!(
            admit(&mut gate, now + millis(99), &mut listener).0,
            "closed"
        );
        let (word, notices) = admit(&mut gate, now + millis(100), &mut listener);
        assert_eq!(word, "connection");
        assert_eq!(notices, ["the limit of 1 connections is reached"]);
        assert_eq!(
            admit(&mut gate, now + millis(100), &mut listener).0,
            "closed"
        );
        gate.on_ended();
        assert_eq!((gate.running(), gate.accepted()), (0, 1));
        assert!(gate.is_open(now + millis(100)));
    }

    #[test]
    fn single_failures_do_not_pause_and_are_told_once_a_second() {
        let aborted = io::ErrorKind::ConnectionAborted;
        let mut listener = Script(vec![aborted; 3].into());
        let mut gate = Gate::new(1);
        let now = start();
        let told =
            [0, 999, 1000].map(|at| admit(&mut gate, now + millis(at), &mut listener).1.len());
        assert_eq!(told, [1, 0, 1]);
        let last = now + millis(1000);
        assert_eq!(admit(&mut gate, last, &mut listener).0, "connection");
    }

    #[test]
    fn a_listener_that_always_fails_is_paused() {
        let invalid = io::ErrorKind::InvalidInput;
        let mut listener = Script(vec![invalid; 100].into());
        let mut gate = Gate::new(1);
        let now = start();
        for _ in 0..FAILURES_IN_A_ROW {
            assert_eq!(admit(&mut gate, now, &mut listener).0, "failed");
        }
        assert_eq!(admit(&mut gate, now, &mut listener).0, "closed");
        assert_eq!(gate.deadline(now), Some(now + millis(100)));
    }

    #[test]
    fn nobody_waiting_is_no_failure() {
        let mut listener = Script(vec![io::ErrorKind::WouldBlock; 100].into());
        let mut gate = Gate::new(1);
        for _ in 0..100 {
            assert_eq!(
                admit(&mut gate, start(), &mut listener),
                ("idle", Vec::new())
            );
        }
    }
}
