//! Several addresses tried at once: "happy eyeballs" (RFC 8305).

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use socket::ConnectError;
use socket::stop::Stop;

use crate::clock;

/// How long an address is alone before the next one is tried beside it (RFC 8305 §5: "Connection
/// Attempt Delay", 250 ms recommended).
const STAGGER: Duration = Duration::from_millis(250);

/// How often a wait looks whether the user gave up.
const TURN: Duration = Duration::from_millis(50);

/// Tries the addresses one after the other, the next when the one before has failed or had 250 ms,
/// until one is connected: the others are called off, and a connection that comes about
/// nevertheless is given to `discard`. An error for which `is_final` holds ends it too. Fails with
/// the address that failed last.
pub(super) fn race<C, E>(
    addresses: &[SocketAddr],
    user: &Stop,
    attempt: impl Fn(SocketAddr, &Stop) -> Result<C, E> + Sync,
    is_final: impl Fn(SocketAddr, &E) -> bool,
    discard: impl Fn(C),
) -> Result<C, Option<(SocketAddr, E)>>
where
    C: Send,
    E: Send + From<ConnectError>,
{
    if let [address] = *addresses {
        return attempt(address, user).map_err(|error| Some((address, error)));
    }
    let call_off = match Stop::new() {
        Ok(call_off) => call_off,
        Err(error) => {
            let first = addresses.first();
            return Err(first.map(|first| (*first, ConnectError::Io(error).into())));
        }
    };
    let (sender, receiver) = mpsc::channel();
    let mut failed = None;
    let won = thread::scope(|scope| {
        let mut waiting = addresses.iter().copied();
        let (mut running, mut next_at) = (0_usize, clock());
        let mut is_open = true;
        loop {
            if is_open
                && (running == 0 || next_at <= clock())
                && let Some(address) = waiting.next()
            {
                let (sender, attempt, call_off) = (sender.clone(), &attempt, &call_off);
                scope.spawn(move || {
                    // Nobody listens any more when another one has won.
                    let _ = sender.send((address, attempt(address, call_off)));
                });
                running += 1;
                next_at = clock() + STAGGER;
            } else if running == 0 {
                return None;
            }
            match receiver.recv_timeout(TURN) {
                Ok((_, Ok(connected))) => {
                    call_off.stop();
                    return Some(connected);
                }
                Ok((address, Err(error))) => {
                    running -= 1;
                    if is_open {
                        is_open = !is_final(address, &error);
                        failed = Some((address, error));
                    }
                    // The next one need not wait.
                    next_at = clock();
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if !is_open || user.is_stopped() {
                call_off.stop();
            }
        }
    });
    for (_, late) in receiver.try_iter() {
        if let Ok(connected) = late {
            discard(connected);
        }
    }
    won.ok_or(failed)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::Mutex;

    use socket::wait::{Entry, Interest, wait};

    use super::*;

    const ADDRESSES: [&str; 3] = ["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.2:80"];

    /// What becomes of an attempt: an answer or an error after a time, in milliseconds.
    type Script = [(u64, Result<&'static str, &'static str>); 3];

    #[derive(Debug, PartialEq)]
    struct Error(&'static str);

    impl From<ConnectError> for Error {
        fn from(_: ConnectError) -> Self {
            Self("stop")
        }
    }

    /// The result, the attempts that were begun, those called off, and what was discarded.
    #[derive(Debug)]
    struct Told {
        result: Result<&'static str, Option<(SocketAddr, Error)>>,
        begun: Vec<usize>,
        called_off: Vec<usize>,
        discarded: Vec<&'static str>,
    }

    fn run(script: &Script, user: &Stop) -> Told {
        let addresses = ADDRESSES.map(|text| text.parse().unwrap());
        let (begun, called_off) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let discarded = Mutex::new(Vec::new());
        let result = race(
            &addresses,
            user,
            |address, call_off| {
                let index = addresses
                    .iter()
                    .position(|known| *known == address)
                    .unwrap();
                begun.lock().unwrap().push(index);
                let (after, result) = script[index];
                let due = clock() + Duration::from_millis(after);
                let mut entries = [Entry::new(call_off.as_fd(), Interest::Read)];
                wait(&mut entries, Some(due)).unwrap();
                if clock() < due {
                    called_off.lock().unwrap().push(index);
                    // A handshake may end in the moment in which it is called off.
                    return if index == 0 {
                        result.map_err(Error)
                    } else {
                        Err(Error("cancelled"))
                    };
                }
                result.map_err(Error)
            },
            |_, error| error.0 == "final",
            |late| discarded.lock().unwrap().push(late),
        );
        Told {
            result,
            begun: begun.into_inner().unwrap(),
            called_off: called_off.into_inner().unwrap(),
            discarded: discarded.into_inner().unwrap(),
        }
    }

    fn stop() -> Stop {
        Stop::new().unwrap()
    }

    /// So long that nothing waits for it.
    const NEVER: u64 = 3_600_000;

    #[test]
    fn a_silent_address_delays_the_next_by_a_moment_only() {
        let script = [(NEVER, Ok("late")), (0, Ok("second")), (0, Ok("third"))];
        let began = clock();
        let told = run(&script, &stop());
        assert_eq!(told.result, Ok("second"));
        assert!(began.elapsed() >= STAGGER);
        // The first is called off, and its connection is not left behind.
        assert_eq!((told.called_off, told.discarded), (vec![0], vec!["late"]));
        assert!(told.begun.starts_with(&[0, 1]));
    }

    #[test]
    fn a_failure_makes_way_at_once_and_the_last_one_is_told() {
        let script = [(0, Err("a")), (0, Err("b")), (0, Err("c"))];
        let told = run(&script, &stop());
        assert_eq!(told.begun, [0, 1, 2]);
        let last = ADDRESSES[2].parse().unwrap();
        assert_eq!(told.result, Err(Some((last, Error("c")))));
    }

    #[test]
    fn an_error_of_this_machine_and_the_user_end_it() {
        let script = [(0, Err("final")), (0, Ok("b")), (0, Ok("c"))];
        let told = run(&script, &stop());
        assert_eq!(told.begun, [0]);
        assert!(matches!(told.result, Err(Some((_, Error("final"))))));
        let user = stop();
        user.stop();
        let script = [
            (NEVER, Err("cancelled")),
            (NEVER, Ok("b")),
            (NEVER, Ok("c")),
        ];
        assert!(run(&script, &user).result.is_err());
    }
}
