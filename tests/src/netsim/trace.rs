//! What was sent, in order.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use transport::Ecn;

use super::pipe::Fate;
use crate::transcript::Side;

/// A thing that a node did.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How long after the network began.
    pub at: Duration,
    /// On which side the node is.
    pub side: Side,
    /// What it did.
    pub line: Line,
}

/// A line of a trace.
#[derive(Clone, Debug)]
pub enum Line {
    /// It sent a packet.
    Packet {
        /// To whom.
        destination: SocketAddr,
        /// As it was sent.
        payload: Bytes,
        /// Its ECN field as it was sent.
        ecn: Ecn,
        /// What became of it.
        fate: Fate,
    },
    /// It told something.
    Note(String),
}

/// What was sent, with what became of it: the last entries, and a digest of all.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: VecDeque<Entry>,
    keep: Option<usize>,
    digest: u64,
    packets: u64,
    unaddressed: u64,
}

impl Trace {
    pub(super) fn keep(&mut self, entries: usize) {
        self.keep = Some(entries);
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.mix(u64::try_from(entry.at.as_nanos()).unwrap_or(u64::MAX));
        self.mix(entry.side as u64);
        match &entry.line {
            Line::Packet {
                payload, ecn, fate, ..
            } => {
                self.packets += 1;
                self.mix(*ecn as u64);
                self.mix(fate.code());
                self.mix_bytes(payload);
            }
            Line::Note(note) => self.mix_bytes(note.as_bytes()),
        }
        if self.keep.is_some_and(|keep| self.entries.len() >= keep) {
            self.entries.pop_front();
        }
        if self.keep != Some(0) {
            self.entries.push_back(entry);
        }
    }

    /// A packet came for an address that no node has.
    pub(super) fn lose(&mut self, at: Duration, to: Side) {
        self.unaddressed += 1;
        self.mix(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        self.mix(to as u64);
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    const fn mix(&mut self, word: u64) {
        // Multiplication moves bits up, the rotation brings them down again.
        self.digest = (self.digest ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29);
    }

    /// The entries that were kept, the oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The packets that were kept, with who sent each.
    pub fn packets(&self) -> impl Iterator<Item = (Side, &Bytes)> {
        self.entries.iter().filter_map(|entry| match &entry.line {
            Line::Packet { payload, .. } => Some((entry.side, payload)),
            Line::Note(_) => None,
        })
    }

    /// How many packets were sent in all.
    pub const fn packet_count(&self) -> u64 {
        self.packets
    }

    /// How many packets went to addresses that no node has.
    pub const fn unaddressed(&self) -> u64 {
        self.unaddressed
    }

    /// A digest of every time, side, byte and fate: equal for equal runs.
    pub const fn digest(&self) -> u64 {
        self.digest
    }
}
