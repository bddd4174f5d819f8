//! Feature negotiation (RFC 4340 §6): one machine for each feature at each location.

use std::time::{Duration, Instant};

use crate::Seq;
use crate::ccid::Ccid;
use crate::packet::{Feature, OptionWriter, Reset, Side};

/// Which end a feature is located at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Location {
    Here,
    There,
}

/// The values in force, read on the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) ccid: Ccid,
    pub(crate) short_seqnos: bool,
    pub(crate) sequence_window: u64,
    pub(crate) ecn_incapable: bool,
    pub(crate) ack_ratio: u16,
    pub(crate) send_ack_vector: bool,
    pub(crate) send_ndp_count: bool,
    pub(crate) min_checksum_coverage: u8,
    pub(crate) check_data_checksum: bool,
    pub(crate) send_loss_event_rate: bool,
}

/// All negotiations of a connection. Takes options in the order of the packet, then
/// [`Self::on_packet_done`].
#[derive(Debug)]
pub(crate) struct Features {}

impl Features {
    /// The features of an end that prefers what `config` says. `server` decides server-priority
    /// features.
    pub(crate) fn new(config: &crate::Config, server: bool, iss: Seq, isr: Option<Seq>) -> Self {
        let _ = (config, server, iss, isr);
        todo!()
    }
    /// The values of the features located here.
    pub(crate) fn here(&self) -> &Values {
        todo!()
    }
    /// The values of the features located at the peer.
    pub(crate) fn there(&self) -> &Values {
        todo!()
    }
    /// Takes a Change or Confirm of packet `seq` (acknowledging `ack`); `Err`: the connection is
    /// to be reset with this.
    pub(crate) fn on_option(
        &mut self,
        seq: Seq,
        ack: Option<Seq>,
        change: bool,
        side: Side,
        feature: Feature,
        value: &[u8],
        mandatory: bool,
    ) -> Result<(), Reset> {
        let _ = (seq, ack, change, side, feature, value, mandatory);
        todo!()
    }
    /// The whole packet was read (DF5). `had_features`: it carried a feature option.
    pub(crate) fn on_packet_done(&mut self, seq: Seq, had_features: bool) {
        let _ = (seq, had_features);
    }
    /// Asks for a new value of a non-negotiable feature located here.
    pub(crate) fn request(&mut self, feature: Feature, value: u64) {
        let _ = (feature, value);
    }
    /// Appends what is due on packet `seq`: Confirms owed, and Changes that are new or due again.
    /// `confirms`: whether the packet may carry Confirms (has an ackno).
    pub(crate) fn write(
        &mut self,
        now: Instant,
        seq: Seq,
        confirms: bool,
        rtt: Duration,
        options: &mut OptionWriter,
    ) {
        let _ = (now, seq, confirms, rtt, options);
    }
    /// Whether a packet should be sent for the negotiation's sake (a Confirm is owed, or a Change
    /// is due again).
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Whether data may be sent: everything that must be agreed first is (DF15, DF16).
    pub(crate) fn is_ready(&self) -> bool {
        todo!()
    }
}
