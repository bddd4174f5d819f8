//! Host names, asked of the system's resolver.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::exit::{Code, Failure};

/// How often a wait for the resolver looks whether the user gave up.
const TURN: Duration = Duration::from_millis(50);

/// When the resolver is waited for no longer, and what gives it more time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooLong {
    pub(crate) until: Instant,
    pub(crate) hint: &'static str,
}

/// The addresses of `host`, in the resolver's order. It cannot be interrupted, so it runs on a
/// thread that may be left behind; `is_stopped` tells that the user gave up.
pub(crate) fn look_up(
    host: &str,
    port: u16,
    too_long: TooLong,
    is_stopped: impl Fn() -> bool,
) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let question = if host.contains(':') {
        // An IPv6 address with a zone.
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    thread::spawn(move || {
        let answer = question.to_socket_addrs().map(Iterator::collect);
        // Nobody listens any more if it took too long.
        let _ = sender.send(answer);
    });
    loop {
        match receiver.recv_timeout(TURN) {
            Ok(Ok(addresses)) => return Ok(addresses),
            Ok(Err(error)) => {
                let error = error.to_string();
                let reason = error
                    .strip_prefix("failed to lookup address information: ")
                    .unwrap_or(&error);
                return Err(Failure::new(
                    Code::Resolve,
                    format_args!("cannot find the address of {host:?}: {reason}"),
                )
                .hint("is the name right, and the network up?"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Code::Resolve, "the resolver failed")
                    .hint("name the host by its address"));
            }
            Err(RecvTimeoutError::Timeout) if is_stopped() => {
                return Err(Failure::interrupted());
            }
            Err(RecvTimeoutError::Timeout) if clock() >= too_long.until => {
                return Err(Failure::new(
                    Code::Timeout,
                    format_args!("finding the address of {host:?} took too long"),
                )
                .hint(too_long.hint));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
