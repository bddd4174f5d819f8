//! What came: a run-length history, written as Ack Vectors (RFC 4340 §11.4, Appendix A).

use crate::Seq;
use crate::packet::{OptionWriter, PacketState};

/// The packets received, newest first, as runs; forgets what the peer knows (DA3).
#[derive(Debug)]
pub(crate) struct Received {}

impl Received {
    /// Nothing received yet, `isr` the first number to come.
    pub(crate) fn new(isr: Seq) -> Self {
        let _ = isr;
        todo!()
    }
    /// Takes note of an acknowledgeable packet; whether it left a gap behind or filled one (an
    /// acknowledgement is due at once). `nonce`: its ECN nonce (ECT(1)). O(1) in order.
    pub(crate) fn on_received(&mut self, seq: Seq, state: PacketState, nonce: bool) -> bool {
        let _ = (seq, state, nonce);
        todo!()
    }
    /// Appends Ack Vectors from `ackno` (GSR) down to what the peer is not known to know, as far
    /// as `options` has room (what does not fit is the oldest).
    pub(crate) fn write(&self, options: &mut OptionWriter) {
        let _ = options;
    }
    /// Remembers that our packet `seq` carried vectors, and what they covered.
    pub(crate) fn on_vector_sent(&mut self, seq: Seq) {
        let _ = seq;
    }
    /// The peer has received our packet `ackno`: what its vectors covered is forgotten.
    pub(crate) fn on_acknowledged(&mut self, ackno: Seq) {
        let _ = ackno;
    }
    /// Whether the history has reached its limit in runs, so that packets must be dropped
    /// unprocessed rather than lied about (DA7).
    pub(crate) fn is_full(&self) -> bool {
        todo!()
    }
}
