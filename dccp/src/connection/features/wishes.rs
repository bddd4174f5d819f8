//! What this end prefers, asks for and insists on.

use super::table::{CCID, FEATURES, Location, only};
use super::{Features, Phase, State};
use crate::ccid::Ccid;
use crate::packet::Feature;

impl Features {
    /// Our list for a server-priority feature, when the peer asks with the list `theirs`.
    pub(super) fn preferences(
        &self,
        location: Location,
        feature: Feature,
        theirs: &[u8],
    ) -> &'static [u8] {
        match (location, feature) {
            // What was agreed in the handshake stays: changing the congestion control often is
            // a way around it (RFC 4340 §10.5).
            (_, Feature::CCID) if self.phase == Phase::Open => only(self.values(location).ccid.0),
            (_, Feature::CCID) => self.ccids,
            // Short numbers are read but never sent.
            (Location::Here, Feature::ALLOW_SHORT_SEQNOS) => &[0],
            (Location::Here, Feature::ECN_INCAPABLE) if !self.ecn => &[1],
            // CCID 2 works with Ack Vectors alone (RFC 4341 §4).
            (Location::There, Feature::SEND_ACK_VECTOR) if self.here.ccid == Ccid::CCID2 => &[1],
            (Location::Here, Feature::SEND_ACK_VECTOR) if self.there.ccid == Ccid::CCID2 => &[1, 0],
            (Location::There, Feature::SEND_NDP_COUNT) if self.wants_ndp_count() => &[1],
            (Location::There, Feature::CHECK_DATA_CHECKSUM) if self.check_data_checksum => &[1],
            (Location::There, Feature::SEND_LOSS_EVENT_RATE) => &[1, 0],
            (Location::Here, Feature::MIN_CHECKSUM_COVERAGE) => only(self.min_checksum_coverage),
            // Which coverage the peer accepts is for it to say.
            (Location::There, Feature::MIN_CHECKSUM_COVERAGE) => {
                theirs.first().map_or(&[], |value| only(*value))
            }
            _ => &[0, 1],
        }
    }

    /// What we would ask for, once in a connection; and whether under Mandatory.
    pub(super) fn wish(
        &self,
        location: Location,
        feature: Feature,
    ) -> Option<(&'static [u8], bool)> {
        let stable = self.machine(Location::Here, CCID).state == State::Stable;
        let unmet = |wanted: u8, mandatory: bool, wished: bool| {
            let met = self.values(location).byte(feature) == wanted;
            (wished && !met).then(|| (only(wanted), mandatory))
        };
        match (location, feature) {
            // One that cannot do the initial CCID 2 has to insist (RFC 4340 §10).
            (_, Feature::CCID) if self.ccids[0] != self.values(location).ccid.0 => {
                Some((self.ccids, !self.ccids.contains(&Ccid::CCID2.0)))
            }
            (Location::Here, Feature::ECN_INCAPABLE) => unmet(1, true, !self.ecn),
            (Location::There, Feature::SEND_ACK_VECTOR) => {
                // If another CCID is asked for, its answer is waited for (RFC 4340 §10.3).
                let settled = stable && self.wish_is_told(Location::Here, CCID);
                unmet(1, false, settled && self.here.ccid == Ccid::CCID2)
            }
            (Location::There, Feature::SEND_LOSS_EVENT_RATE) => {
                unmet(1, false, stable && self.here.ccid == Ccid::CCID3)
            }
            (Location::There, Feature::SEND_NDP_COUNT) => {
                let agreed = self.machine(Location::There, CCID).state == State::Stable;
                let wished = self.ndp_count || agreed && self.wants_ndp_count();
                unmet(1, false, wished)
            }
            (Location::There, Feature::CHECK_DATA_CHECKSUM) => {
                unmet(1, false, self.check_data_checksum)
            }
            (Location::Here, Feature::MIN_CHECKSUM_COVERAGE) => {
                unmet(self.min_checksum_coverage, false, true)
            }
            _ => None,
        }
    }

    /// Whether the peer's NDP Counts are of use: with CCID 3 each acknowledgement of the peer that
    /// is lost would otherwise count as lost data (RFC 4342 §6.1.1), and a peer that sends little
    /// data and many acknowledgements would hardly be allowed to send any.
    fn wants_ndp_count(&self) -> bool {
        self.ndp_count || self.there.ccid == Ccid::CCID3
    }

    /// Whether nothing is left to ask for.
    fn wish_is_told(&self, location: Location, index: usize) -> bool {
        self.is_asked(location, index) || self.wish(location, FEATURES[index]).is_none()
    }

    /// Whether our Change of it goes under Mandatory.
    pub(super) fn is_mandatory(&self, location: Location, feature: Feature) -> bool {
        match (location, feature) {
            (_, Feature::CCID) => !self.ccids.contains(&Ccid::CCID2.0),
            (Location::Here, Feature::ECN_INCAPABLE) => !self.ecn,
            _ => false,
        }
    }

    /// Whether an empty Confirm ends the connection: every DCCP understands these features (RFC
    /// 4340 §6.4), or the connection cannot do without.
    pub(super) fn is_required(&self, location: Location, feature: Feature) -> bool {
        match feature {
            Feature::CCID | Feature::ALLOW_SHORT_SEQNOS | Feature::SEQUENCE_WINDOW => true,
            Feature::SEND_ACK_VECTOR => {
                location == Location::There && self.here.ccid == Ccid::CCID2
            }
            _ => self.is_mandatory(location, feature),
        }
    }
}
