//! The features there are: their rules, initial values and our preferences (RFC 4340 §6.4).

use crate::ccid::Ccid;
use crate::packet::Feature;

/// Which end a feature is located at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Location {
    Here,
    There,
}

impl Location {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Here => Self::There,
            Self::There => Self::Here,
        }
    }
}

/// The values in force, read on the hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) ccid: Ccid,
    pub(crate) short_seqnos: bool,
    pub(crate) sequence_window: u64,
    pub(crate) ecn_incapable: bool,
    /// 0: none, which only CCID 3 may say (RFC 4340 §11.3).
    pub(crate) ack_ratio: u16,
    pub(crate) send_ack_vector: bool,
    pub(crate) send_ndp_count: bool,
    pub(crate) min_checksum_coverage: u8,
    pub(crate) check_data_checksum: bool,
    pub(crate) send_loss_event_rate: bool,
}

/// The features that are understood, in the order in which they are negotiated: the CCID before
/// what depends on it.
pub(super) const FEATURES: [Feature; 10] = [
    Feature::CCID,
    Feature::ALLOW_SHORT_SEQNOS,
    Feature::SEQUENCE_WINDOW,
    Feature::ECN_INCAPABLE,
    Feature::ACK_RATIO,
    Feature::SEND_ACK_VECTOR,
    Feature::SEND_NDP_COUNT,
    Feature::MIN_CHECKSUM_COVERAGE,
    Feature::CHECK_DATA_CHECKSUM,
    Feature::SEND_LOSS_EVENT_RATE,
];

/// Where in [`FEATURES`] those are that others depend on, or that depend on others.
pub(super) const CCID: usize = 0;
pub(super) const LOSS_EVENT_RATE: usize = 9;

/// The values of Sequence Window (RFC 4340 §7.5.2).
const SEQUENCE_WINDOWS: std::ops::RangeInclusive<u64> = 32..=(1 << 46) - 1;

/// The least and greatest value of a number that is asked for.
pub(super) fn clamped(feature: Feature, value: u64) -> u64 {
    match feature {
        Feature::SEQUENCE_WINDOW => value.clamp(*SEQUENCE_WINDOWS.start(), *SEQUENCE_WINDOWS.end()),
        _ => value.clamp(1, u64::from(u16::MAX)),
    }
}

/// How many bytes a number has on the wire.
pub(super) const fn number_len(feature: Feature) -> usize {
    match feature {
        Feature::SEQUENCE_WINDOW => 6,
        _ => 2,
    }
}

/// Reads the value of a non-negotiable feature; `ccid`: that of the half-connection whose sender
/// it is located at. `None`: it is invalid (RFC 4340 §6.6.8).
pub(super) fn read_number(feature: Feature, value: &[u8], ccid: Ccid) -> Option<u64> {
    if value.len() != number_len(feature) {
        return None;
    }
    let number = value
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte));
    let valid = match feature {
        Feature::SEQUENCE_WINDOW => SEQUENCE_WINDOWS.contains(&number),
        // RFC 4340 §6.6.8 calls 0 invalid, §11.3 gives it the meaning that the half-connection
        // has no use for an Ack Ratio; so it is taken where that can be.
        _ => number > 0 || ccid == Ccid::CCID3,
    };
    valid.then_some(number)
}

/// The first of the server's list that is in the client's (RFC 4340 §6.3.1).
pub(super) fn reconcile(server: &[u8], client: &[u8]) -> Option<u8> {
    server.iter().copied().find(|value| client.contains(value))
}

/// Every value of a byte up to 15, to take lists from.
const BYTES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// The list of that value alone; of one above 15, no list.
pub(super) fn only(value: u8) -> &'static [u8] {
    let at = usize::from(value);
    BYTES.get(at..=at).unwrap_or_default()
}

/// A list of CCIDs as bytes.
pub(super) fn ccid_list(ccids: &[Ccid]) -> &'static [u8] {
    let prefers_3 = ccids.first() == Some(&Ccid::CCID3);
    match (ccids.contains(&Ccid::CCID2), ccids.contains(&Ccid::CCID3)) {
        (true, true) if prefers_3 => &[3, 2],
        (true, true) => &[2, 3],
        (false, true) => &[3],
        (_, false) => &[2],
    }
}

impl Values {
    /// Those of a new connection (RFC 4340 §6.4, RFC 4342 §8.4).
    pub(super) const INITIAL: Self = Self {
        ccid: Ccid::CCID2,
        short_seqnos: false,
        sequence_window: 100,
        ecn_incapable: false,
        ack_ratio: 2,
        send_ack_vector: false,
        send_ndp_count: false,
        min_checksum_coverage: 0,
        check_data_checksum: false,
        send_loss_event_rate: false,
    };

    /// The value of a feature, as a number. 0 of one not understood.
    pub(super) fn value(&self, feature: Feature) -> u64 {
        match feature {
            Feature::CCID => u64::from(self.ccid.0),
            Feature::ALLOW_SHORT_SEQNOS => u64::from(self.short_seqnos),
            Feature::SEQUENCE_WINDOW => self.sequence_window,
            Feature::ECN_INCAPABLE => u64::from(self.ecn_incapable),
            Feature::ACK_RATIO => u64::from(self.ack_ratio),
            Feature::SEND_ACK_VECTOR => u64::from(self.send_ack_vector),
            Feature::SEND_NDP_COUNT => u64::from(self.send_ndp_count),
            Feature::MIN_CHECKSUM_COVERAGE => u64::from(self.min_checksum_coverage),
            Feature::CHECK_DATA_CHECKSUM => u64::from(self.check_data_checksum),
            Feature::SEND_LOSS_EVENT_RATE => u64::from(self.send_loss_event_rate),
            _ => 0,
        }
    }

    /// The value of a server-priority feature: the low byte of [`Self::value`].
    pub(super) fn byte(&self, feature: Feature) -> u8 {
        self.value(feature).to_le_bytes()[0]
    }

    pub(super) fn set(&mut self, feature: Feature, value: u64) {
        let [byte, high, ..] = value.to_le_bytes();
        let is_one = value == 1;
        match feature {
            Feature::CCID => self.ccid = Ccid(byte),
            Feature::ALLOW_SHORT_SEQNOS => self.short_seqnos = is_one,
            Feature::SEQUENCE_WINDOW => self.sequence_window = value,
            Feature::ECN_INCAPABLE => self.ecn_incapable = is_one,
            Feature::ACK_RATIO => self.ack_ratio = u16::from_le_bytes([byte, high]),
            Feature::SEND_ACK_VECTOR => self.send_ack_vector = is_one,
            Feature::SEND_NDP_COUNT => self.send_ndp_count = is_one,
            Feature::MIN_CHECKSUM_COVERAGE => self.min_checksum_coverage = byte,
            Feature::CHECK_DATA_CHECKSUM => self.check_data_checksum = is_one,
            Feature::SEND_LOSS_EVENT_RATE => self.send_loss_event_rate = is_one,
            _ => {}
        }
    }
}
