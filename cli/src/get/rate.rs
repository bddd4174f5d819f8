//! No faster than the user wants it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket::stop::Stop;
use socket::wait::{Entry, Interest, wait};
use transport::{DatagramSocket, Finish, Received, SendError, Transmit};

use crate::clock;

/// How much comes in one receive call at most.
const LARGEST: u64 = 64 << 10;

/// The time for which a buffer holds what comes too fast.
const QUEUE: Duration = Duration::from_millis(500);

/// How long bytes may wait here that are here already.
pub(super) fn reading_time(rate: u64) -> Duration {
    2 * (time_for(LARGEST, rate) + QUEUE)
}

/// The receive buffer in bytes of a packet socket that is read at `rate`: packets that wait longer
/// would only make the acknowledgements late.
pub(super) fn receive_buffer(rate: u64, largest: usize) -> usize {
    usize::try_from(in_queue(rate)).map_or(largest, |bytes| bytes.min(largest))
}

/// The window in bytes of a stack that hands up data at `rate`: what would wait longer may as well
/// wait at the server.
pub(super) fn window(rate: u64, largest: u32) -> u32 {
    u32::try_from(in_queue(rate)).map_or(largest, |bytes| bytes.min(largest))
}

/// How many bytes come in the time of a queue, and at least what one call brings.
fn in_queue(rate: u64) -> u64 {
    let millis = u64::try_from(QUEUE.as_millis()).unwrap_or(u64::MAX);
    (rate.saturating_mul(millis) / 1000).max(LARGEST)
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Tells when more bytes may be taken, so that on average no more than `rate` are in a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    rate: u64,
    /// When what was taken is paid for.
    paid: Option<Instant>,
}

impl Meter {
    /// `rate` is in bytes a second.
    pub(super) const fn new(rate: u64) -> Self {
        Self { rate, paid: None }
    }

    /// Takes note of bytes that were taken. What was not taken in a pause is made up for as far as
    /// the pause was short.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) {
        let earliest = now.checked_sub(QUEUE).unwrap_or(now);
        let from = self.paid.map_or(now, |paid| paid.max(earliest));
        self.paid = Some(from + time_for(bytes as u64, self.rate));
    }

    /// When more may be taken; `None`: now.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.paid.filter(|paid| *paid > now)
    }
}

/// A socket that is read no faster than at a rate.
///
/// What the program does not read stays in the kernel. SCTP's window closes then. Packets of a
/// stack of our own wait, so that they are acknowledged late, and are dropped when there is no room
/// for more: a slow link looks like that, and the server's congestion control knows it. For a
/// stack with a window of its own [`super::metered::Metered`] is better.
#[derive(Debug)]
pub(super) struct Paced<S> {
    socket: S,
    meter: Option<Meter>,
    stop: Stop,
    /// When the user's time is up.
    deadline: Option<Instant>,
}

impl<S> Paced<S> {
    /// Without `rate`, in bytes a second, it is the socket itself. A wait ends with `stop`, and at
    /// `deadline`.
    pub(super) fn new(
        socket: S,
        rate: Option<u64>,
        stop: &Stop,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            socket,
            meter: rate.map(Meter::new),
            stop: stop.clone(),
            deadline,
        }
    }
}

impl<S: DatagramSocket> DatagramSocket for Paced<S> {
    type Peer = S::Peer;

    const MANY_PEERS: bool = S::MANY_PEERS;

    fn max_payload(&self) -> usize {
        self.socket.max_payload()
    }

    fn send(&mut self, transmit: &Transmit<S::Peer>, payload: &[u8]) -> Result<(), SendError> {
        self.socket.send(transmit, payload)
    }

    fn recv(&mut self, buffer: &mut BytesMut) -> io::Result<Received<S::Peer>> {
        let Some(meter) = &mut self.meter else {
            return self.socket.recv(buffer);
        };
        let now = clock();
        let is_over = self.stop.is_stopped() || self.deadline.is_some_and(|over| over <= now);
        if let Some(due) = meter.due(now).filter(|_| !is_over) {
            // One connection has this thread for itself, and what it would do meanwhile is to wait.
            let until = self.deadline.map_or(due, |deadline| due.min(deadline));
            let mut entries = [Entry::new(self.stop.as_fd(), Interest::Read)];
            wait(&mut entries, Some(until))?;
            // The turn ends here, so that the next one knows what time it is.
            return Err(io::ErrorKind::Interrupted.into());
        }
        let received = self.socket.recv(buffer)?;
        if let Received::Datagram(datagram) = &received {
            meter.take(clock(), datagram.payload.len());
        }
        Ok(received)
    }

    fn finish(&mut self) -> io::Result<Finish> {
        self.socket.finish()
    }

    fn abort(&mut self) {
        self.socket.abort();
    }
}

impl<S: AsFd> AsFd for Paced<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_the_rate_allows() {
        let start = clock();
        let mut meter = Meter::new(1000);
        assert_eq!(meter.due(start), None);
        meter.take(start, 500);
        meter.take(start, 500);
        let second = Duration::from_secs(1);
        assert_eq!(meter.due(start), Some(start + second));
        assert_eq!(meter.due(start + second), None);
        // A pause is made up for as far as it was short.
        meter.take(start + 10 * second, 1000);
        assert_eq!(
            meter.due(start + 10 * second),
            Some(start + 11 * second - QUEUE)
        );
    }

    #[test]
    fn a_slow_reader_has_a_small_buffer() {
        assert_eq!(receive_buffer(100, 4 << 20), 64 << 10);
        assert_eq!(receive_buffer(1 << 20, 4 << 20), 512 << 10);
        assert_eq!(receive_buffer(u64::MAX, 4 << 20), 4 << 20);
        assert_eq!(
            (window(100, 4 << 20), window(u64::MAX, 4 << 20)),
            (64 << 10, 4 << 20)
        );
    }
}
