//! The figures of a stack.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use transport::{Datagram, Fill, Icmp, NoRoom, Path, Stack, StackEvent, StackSendError, Transmit};

use super::figures::Measured;
use super::{Eye, Watch, Watcher};

/// A stack of which the figures of the connection that began last are taken.
#[derive(Debug)]
pub(crate) struct Watched<S: Stack> {
    stack: S,
    shared: Option<Arc<Mutex<Watcher>>>,
    latest: Option<(S::Id, SocketAddr)>,
}

impl<S: Measured> Watched<S> {
    pub(crate) fn new(stack: S, watch: &Watch) -> Self {
        Self {
            stack,
            shared: watch.0.clone(),
            latest: None,
        }
    }

    /// The stack, for its figures.
    pub(crate) const fn stack(&self) -> &S {
        &self.stack
    }

    /// The stack, to be told what only its kind can be.
    pub(crate) const fn stack_mut(&mut self) -> &mut S {
        &mut self.stack
    }

    fn sample(&self) {
        if let (Some(shared), Some((id, remote))) = (&self.shared, self.latest)
            && let Some(figures) = self.stack.figures(id)
        {
            Eye::sample(shared, remote, figures);
        }
    }
}

impl<S: Measured> Stack for Watched<S> {
    type Id = S::Id;

    fn handle_packet(&mut self, now: Instant, packet: Datagram<Path>) {
        self.stack.handle_packet(now, packet);
        self.sample();
    }

    fn handle_icmp(&mut self, now: Instant, path: Path, icmp: &Icmp) {
        self.stack.handle_icmp(now, path, icmp);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.sample();
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.stack.handle_rejected(now, limit);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Path>> {
        self.stack.poll_transmit(now, limit, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<(S::Id, StackEvent)> {
        let (id, event) = self.stack.poll_event()?;
        if let StackEvent::Connected { remote, .. } = event {
            self.latest = Some((id, remote));
        }
        Some((id, event))
    }

    fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<S::Id, NoRoom> {
        self.stack.connect(now, remote)
    }

    fn takes_early_data(&self) -> bool {
        self.stack.takes_early_data()
    }

    fn send_with(
        &mut self,
        now: Instant,
        id: S::Id,
        fill: &mut Fill<'_>,
    ) -> Result<bool, StackSendError> {
        self.stack.send_with(now, id, fill)
    }

    fn ends_handshake_with_data(&self) -> bool {
        self.stack.ends_handshake_with_data()
    }

    fn max_message(&self, id: S::Id) -> usize {
        self.stack.max_message(id)
    }

    fn close(&mut self, now: Instant, id: S::Id) {
        self.stack.close(now, id);
    }

    fn abort(&mut self, now: Instant, id: S::Id) {
        self.stack.abort(now, id);
    }
}
