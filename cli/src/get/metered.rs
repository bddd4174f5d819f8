//! A stack of our own whose figures are told, and which hands up no more than the user wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use transport::{
    Datagram, DccpStack, Fill, Icmp, NoRoom, Path, SctpStack, Stack, StackEvent, StackSendError,
    Transmit,
};

use super::rate::Meter;
use crate::sight::{Measured, Watched};

/// What a stack knows of a connection. What it does not know is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Streams that this end may send on.
    pub(super) streams: Option<u16>,
    pub(super) packets_sent: Option<u64>,
    pub(super) packets_received: Option<u64>,
    /// Chunks of SCTP that this end sent again.
    pub(super) retransmissions: Option<u64>,
    /// Chunks of SCTP that came again, so that the server must have sent them again.
    pub(super) duplicates: Option<u64>,
    /// Datagrams of DCCP that this end sent and takes for lost.
    pub(super) lost: Option<u64>,
    /// The smoothed round-trip time in seconds.
    pub(super) srtt: Option<f64>,
    /// The congestion window of this end: SCTP counts bytes, DCCP packets.
    pub(super) cwnd: Option<u64>,
    /// DCCP's congestion control.
    pub(super) ccid: Option<u8>,
}

/// The latest figures of a connection. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge(Arc<Mutex<Figures>>);

impl Gauge {
    pub(super) fn figures(&self) -> Figures {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes note of how many streams this end may send on.
    pub(super) fn has_streams(&self, streams: u16) {
        self.change(|figures| figures.streams = Some(streams));
    }

    fn change(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A stack that knows its connections, and may be told to hand up nothing for a while.
pub(super) trait Known: Stack {
    /// Puts what it knows of a connection into `figures`.
    fn fill(&self, id: Self::Id, figures: &mut Figures);

    /// Stops handing up messages of a connection, or goes on to, if the protocol has a window to
    /// tell the peer of.
    fn set_paused(&mut self, id: Self::Id, paused: bool);
}

impl Known for SctpStack {
    fn fill(&self, id: Self::Id, figures: &mut Figures) {
        let Some(stats) = self.endpoint().stats(id) else {
            return;
        };
        let paths = stats.paths.iter();
        figures.retransmissions = Some(paths.map(|path| path.retransmissions).sum());
        figures.duplicates = Some(stats.duplicates);
        if let Some(path) = stats.paths.get(stats.current_path) {
            figures.srtt = path.round_trip.map(seconds);
            figures.cwnd = Some(path.window as u64);
        }
    }

    fn set_paused(&mut self, id: Self::Id, paused: bool) {
        self.endpoint_mut().set_paused(id, paused);
    }
}

impl Known for DccpStack {
    fn fill(&self, id: Self::Id, figures: &mut Figures) {
        let Some(stats) = self.endpoint().stats(id) else {
            return;
        };
        let congestion = stats.congestion;
        // A control with a window is CCID 2, one with a rate is CCID 3 (`dccp::ccid::Report`).
        let has_window = congestion.cwnd > 0;
        figures.ccid = Some(if has_window { 2 } else { 3 });
        figures.cwnd = has_window.then_some(congestion.cwnd);
        figures.lost = Some(stats.datagrams_lost);
        figures.srtt = stats.rtt.map(seconds);
    }

    fn set_paused(&mut self, _: Self::Id, _: bool) {}
}

impl<K: Known + Measured> Known for Watched<K> {
    fn fill(&self, id: Self::Id, figures: &mut Figures) {
        self.stack().fill(id, figures);
    }

    fn set_paused(&mut self, id: Self::Id, paused: bool) {
        self.stack_mut().set_paused(id, paused);
    }
}

/// A time as the figures have it: in seconds, and to the microsecond.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// A stack with one connection whose figures go to a gauge, and whose messages are handed up no
/// faster than at a rate.
#[derive(Debug)]
pub(super) struct Metered<K: Stack> {
    stack: K,
    gauge: Option<Gauge>,
    meter: Option<Meter>,
    /// The connection that is held up, and until when.
    paused: Option<(K::Id, Instant)>,
    id: Option<K::Id>,
    now: Option<Instant>,
}

impl<K: Known> Metered<K> {
    /// Nothing is measured without `gauge`. `rate` is in bytes a second; without it there is no
    /// limit.
    pub(super) fn new(stack: K, gauge: Option<Gauge>, rate: Option<u64>) -> Self {
        Self {
            stack,
            gauge,
            meter: rate.map(Meter::new),
            paused: None,
            id: None,
            now: None,
        }
    }

    fn measure(&self) {
        if let Some(id) = self.id {
            self.change(|figures| self.stack.fill(id, figures));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Figures)) {
        if let Some(gauge) = &self.gauge {
            gauge.change(change);
        }
    }

    /// Takes note of what is handed up, and of how long nothing else is.
    fn take(&mut self, id: K::Id, bytes: usize) {
        let (Some(meter), Some(now)) = (&mut self.meter, self.now) else {
            return;
        };
        meter.take(now, bytes);
        if let Some(due) = meter.due(now) {
            self.paused = Some((id, due));
            self.stack.set_paused(id, true);
        }
    }
}

/// How many packets a train is.
fn packets(bytes: usize, segment_size: Option<usize>) -> u64 {
    segment_size.map_or(1, |size| bytes.div_ceil(size.max(1)) as u64)
}

fn add(count: &mut Option<u64>, packets: u64) {
    *count = Some(count.unwrap_or(0) + packets);
}

impl<K: Known> Stack for Metered<K> {
    type Id = K::Id;

    fn handle_packet(&mut self, now: Instant, packet: Datagram<Path>) {
        self.now = Some(now);
        let count = packets(packet.payload.len(), packet.segment_size.map(Into::into));
        self.change(|figures| add(&mut figures.packets_received, count));
        self.stack.handle_packet(now, packet);
        self.measure();
    }

    fn handle_icmp(&mut self, now: Instant, path: Path, icmp: &Icmp) {
        self.stack.handle_icmp(now, path, icmp);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        if let Some((id, _)) = self.paused.take_if(|(_, due)| *due <= now) {
            self.stack.set_paused(id, false);
        }
        self.stack.handle_timeout(now);
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
        let before = out.len();
        let transmit = self.stack.poll_transmit(now, limit, out)?;
        let count = packets(out.len() - before, transmit.segment_size.map(Into::into));
        self.change(|figures| add(&mut figures.packets_sent, count));
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let paused = self.paused.map(|(_, due)| due);
        [self.stack.poll_timeout(), paused]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_event(&mut self) -> Option<(K::Id, StackEvent)> {
        if self.paused.is_some() {
            // A stack hands up at once what it holds when the peer has ended the connection.
            return None;
        }
        let (id, event) = self.stack.poll_event()?;
        match &event {
            StackEvent::Connected { streams, .. } => {
                self.id = Some(id);
                self.change(|figures| figures.streams = Some(*streams));
                self.measure();
            }
            StackEvent::Message(message) => self.take(id, message.payload.len()),
            StackEvent::Restarted
            | StackEvent::Missing(_)
            | StackEvent::Writable
            | StackEvent::Refused(_)
            | StackEvent::Closed(_) => {}
        }
        Some((id, event))
    }

    fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<K::Id, NoRoom> {
        self.stack.connect(now, remote)
    }

    fn takes_early_data(&self) -> bool {
        self.stack.takes_early_data()
    }

    fn send_with(
        &mut self,
        now: Instant,
        id: K::Id,
        fill: &mut Fill<'_>,
    ) -> Result<bool, StackSendError> {
        self.stack.send_with(now, id, fill)
    }

    fn max_message(&self, id: K::Id) -> usize {
        self.stack.max_message(id)
    }

    fn close(&mut self, now: Instant, id: K::Id) {
        self.measure();
        self.stack.close(now, id);
    }

    fn ends_handshake_with_data(&self) -> bool {
        self.stack.ends_handshake_with_data()
    }

    fn abort(&mut self, now: Instant, id: K::Id) {
        self.stack.abort(now, id);
    }
}
