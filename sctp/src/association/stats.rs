//! What is known of an association.

use std::time::Duration;

use super::Association;
use super::paths::Condition;
use crate::types::Path;

/// What was counted in an association since it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Whether it is established, and not ending.
    pub is_established: bool,
    /// Whether both ends know ECN.
    pub has_ecn: bool,
    /// Whether I-DATA is used.
    pub is_interleaved: bool,
    /// Each address of the peer.
    pub paths: Vec<PathStats>,
    /// Which of them data goes to.
    pub current_path: usize,
    /// How often another path took over.
    pub failovers: u64,
    /// DATA chunks that arrived for the first time, and again.
    pub data_chunks: u64,
    /// DATA chunks that arrived again.
    pub duplicates: u64,
    /// DATA chunks that were dropped: no room, or too far ahead.
    pub dropped: u64,
    /// SACKs that were sent.
    pub sacks_sent: u64,
    /// SACKs that were taken.
    pub sacks_received: u64,
    /// Messages that were handed up to their end.
    pub messages_received: u64,
    /// Bytes of user data in flight.
    pub outstanding: usize,
    /// Bytes that wait to be sent for the first time.
    pub queued: usize,
    /// Bytes that the peer still takes, by its last SACK.
    pub peer_window: u32,
    /// Bytes that are held for the application and for order, with their overhead.
    pub held: usize,
}

/// What is known of one address of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStats {
    /// The addresses.
    pub path: Path,
    /// Whether it is fit for data.
    pub condition: Condition,
    /// The smoothed round-trip time, once one was measured.
    pub round_trip: Option<Duration>,
    /// The retransmission timeout.
    pub timeout: Duration,
    /// cwnd, in bytes.
    pub window: usize,
    /// ssthresh, in bytes.
    pub threshold: usize,
    /// Bytes of chunks in flight.
    pub flight: usize,
    /// Bytes of the largest packet that is sent.
    pub packet_size: usize,
    /// Packets with DATA that were sent.
    pub sent_packets: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Chunks that were sent again.
    pub retransmissions: u64,
    /// Chunks that were taken for lost.
    pub lost: u64,
    /// Expiries of T3-rtx.
    pub timeouts: u64,
    /// How often the peer told of marked packets, once in each window of data.
    pub marks: u64,
    /// Errors in a row.
    pub errors: u32,
}

/// Bytes of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Bytes that the application gave to be sent.
    pub sent: u64,
    /// Bytes that arrived.
    pub received: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// The receive buffer, once the association is set up.
    pub(super) buffer: u32,
    pub(super) failovers: u64,
    pub(super) data_chunks: u64,
    pub(super) duplicates: u64,
    pub(super) dropped: u64,
    pub(super) sacks_sent: u64,
    pub(super) sacks_received: u64,
}

impl Association {
    pub(crate) fn stats(&self) -> Stats {
        let paths = self.paths.iter().map(|path| PathStats {
            path: path.path,
            condition: path.condition,
            round_trip: path.rto.smoothed(),
            timeout: path.rto.timeout(),
            window: path.congestion.window(),
            threshold: path.congestion.threshold(),
            flight: path.flight,
            packet_size: path.mtu.current(),
            sent_packets: path.counts.sent_packets,
            sent_bytes: path.counts.sent_bytes,
            retransmissions: path.counts.retransmissions,
            lost: path.counts.lost,
            timeouts: path.counts.timeouts,
            marks: path.counts.marks,
            errors: path.errors,
        });
        Stats {
            is_established: matches!(self.state, super::State::Established),
            has_ecn: self.ecn.is_agreed,
            is_interleaved: self.flight.is_interleaved(),
            paths: paths.collect(),
            current_path: self.paths.current,
            failovers: self.counts.failovers,
            data_chunks: self.counts.data_chunks,
            duplicates: self.counts.duplicates,
            dropped: self.counts.dropped,
            sacks_sent: self.counts.sacks_sent,
            sacks_received: self.counts.sacks_received,
            messages_received: self.inbound.messages(),
            outstanding: self.flight.bytes,
            queued: self.outbound.bytes(),
            peer_window: self.peer_window,
            held: self.inbound.held(),
        }
    }

    pub(crate) fn stream_stats(&self, stream: u16) -> StreamStats {
        StreamStats {
            sent: self.outbound.stream_bytes(stream),
            received: self.inbound.stream_bytes(stream),
        }
    }
}
