//! A server's features after its Response, in few bytes: what an Init Cookie has to remember.

use super::table::{CCID, FEATURES, Location, Values};
use super::{Features, State};
use crate::Seq;
use crate::ccid::Ccid;
use crate::packet::Feature;

/// Bytes of what is exported.
pub(crate) const EXPORT_LEN: usize = 15;

/// The outcome of a Request and a Response, but for what the config says.
pub(crate) type Exported = [u8; EXPORT_LEN];

/// The features of one bit, in the order of their bits.
const BITS: [Feature; 6] = [
    Feature::ALLOW_SHORT_SEQNOS,
    Feature::ECN_INCAPABLE,
    Feature::SEND_ACK_VECTOR,
    Feature::SEND_NDP_COUNT,
    Feature::CHECK_DATA_CHECKSUM,
    Feature::SEND_LOSS_EVENT_RATE,
];

impl Features {
    /// What is to be remembered of a server's features once its Response is written. The numbers
    /// located here are not: a Request cannot confirm them.
    pub(crate) fn export(&self) -> Exported {
        let mut out = [0; EXPORT_LEN];
        let (here, there) = (&self.here, &self.there);
        out[0] = bits(here);
        out[1] = bits(there);
        out[2] = here.ccid.0 << 4 | there.ccid.0 & 0x0f;
        out[3] = here.min_checksum_coverage << 4 | there.min_checksum_coverage & 0x0f;
        out[4..10].copy_from_slice(&there.sequence_window.to_be_bytes()[2..]);
        out[10..12].copy_from_slice(&there.ack_ratio.to_be_bytes());
        let mut flags = 0u32;
        for (shift, location) in [(0, Location::Here), (12, Location::There)] {
            for index in 0..FEATURES.len() {
                let changing = self.machine(location, index).state != State::Stable;
                flags |= u32::from(changing) << (shift + index);
            }
            flags |= u32::from(self.is_asked(location, CCID)) << (shift + FEATURES.len());
        }
        out[12..].copy_from_slice(&flags.to_be_bytes()[1..]);
        out
    }

    /// The features of a server with the same `config` as the one that exported them, its Response
    /// having had number `iss`.
    pub(crate) fn import(config: &crate::Config, out: &Exported, iss: Seq, isr: Seq) -> Self {
        let mut new = Self::new(config, true, iss, Some(isr));
        new.greatest_received = Some(isr);
        set_bits(&mut new.here, out[0]);
        set_bits(&mut new.there, out[1]);
        (new.here.ccid, new.there.ccid) = (Ccid(out[2] >> 4), Ccid(out[2] & 0x0f));
        new.here.min_checksum_coverage = out[3] >> 4;
        new.there.min_checksum_coverage = out[3] & 0x0f;
        new.there.sequence_window = number(&out[4..10]);
        new.there.set(Feature::ACK_RATIO, number(&out[10..12]));
        let flags = number(&out[12..]);
        for (shift, location) in [(0, Location::Here), (12, Location::There)] {
            for index in 0..FEATURES.len() {
                if flags >> (shift + index) & 1 == 1
                    && let Some((change, _)) = new.new_change(location, index)
                {
                    new.machine_mut(location, index).state = State::Changing(change);
                    new.set_asked(location, index);
                }
            }
            if flags >> (shift + FEATURES.len()) & 1 == 1 {
                new.set_asked(location, CCID);
            }
        }
        new
    }
}

fn bits(values: &Values) -> u8 {
    (0..)
        .zip(BITS)
        .fold(0, |bits, (at, feature)| bits | values.byte(feature) << at)
}

fn set_bits(values: &mut Values, bits: u8) {
    for (at, feature) in BITS.into_iter().enumerate() {
        values.set(feature, u64::from(bits >> at & 1));
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}
