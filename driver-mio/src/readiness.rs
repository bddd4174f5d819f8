//! The wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry};
use socket::stop::Shutdown;

use crate::clock;
use crate::slots::fixed;

/// Waits until something happens or `deadline` has come. May return early; `events` then are
/// empty.
pub(crate) fn poll(
    multiplexer: &mut Poll,
    events: &mut Events,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let timeout = deadline.map(|deadline| deadline.saturating_duration_since(clock()));
    match multiplexer.poll(events, timeout) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result,
    }
}

/// Makes both stages of `shutdown` end a wait, once each. They have the tokens `first` and
/// `first + 1`.
pub(crate) fn watch(registry: &Registry, shutdown: &Shutdown, first: usize) -> io::Result<()> {
    for (number, stop) in (first..).zip([&shutdown.graceful, &shutdown.immediate]) {
        let fd = stop.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), fixed(number), Interest::READABLE)?;
    }
    Ok(())
}

/// Whether a receive call has something to tell: input, the end, or an error.
pub(crate) fn is_readable(event: &Event) -> bool {
    event.is_readable() || event.is_read_closed() || event.is_write_closed() || event.is_error()
}
