//! Feature negotiation (RFC 4340 §6): one machine for each feature at each location.
//!
//! Preference lists are fixed for a connection's life, and a number that is to change while its
//! last change is unanswered waits until that is answered or due again. So the RFC's state
//! UNSTABLE, for preferences that changed but were not yet sent, does not come about.

mod export;
mod table;
mod wishes;
mod write;

use std::time::{Duration, Instant};

use crate::Seq;
use crate::ccid::Ccid;
use crate::packet::{DccpOption, Feature, Reset, ResetCode, Side};

pub(crate) use export::{EXPORT_LEN, Exported};
use table::{
    CCID, FEATURES, LOSS_EVENT_RATE, ccid_list, clamped, number_len, read_number, reconcile,
};
pub(crate) use table::{Location, Values};

/// The greatest Sequence Window: no valid packet is further off (RFC 4340 §7.5.2).
const MAX_WINDOW: u64 = (1 << 46) - 1;

/// All negotiations of a connection. Takes options in the order of the packet, then
/// [`Self::on_packet_done`].
#[derive(Debug)]
pub(crate) struct Features {
    server: bool,
    phase: Phase,
    /// The CCIDs, preferred first, for both directions.
    ccids: &'static [u8],
    ecn: bool,
    ndp_count: bool,
    check_data_checksum: bool,
    min_checksum_coverage: u8,
    here: Values,
    there: Values,
    /// `None` while nothing is negotiated, which is most of the time: they are large.
    machines: Option<Box<[[Machine; FEATURES.len()]; 2]>>,
    /// Whether our wish was told, so that it is not told again if the peer has another: a bit for
    /// each feature at each location.
    asked: [u16; 2],
    unknown: [Unknown; 2],
    /// Whether there may be something to send that is not merely due again.
    attention: bool,
    /// When Changes not answered are due again, and after how long from then once more.
    resend: Option<(Instant, Duration)>,
    /// FGSR and FGSS (RFC 4340 §6.6.4).
    greatest_received: Option<Seq>,
    greatest_sent: Seq,
}

/// How far the handshake is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// REQUEST or RESPOND: what is asked for is on every packet.
    First,
    /// PARTOPEN: the answers given are on every packet, since Linux makes a connection from any
    /// one of them.
    PartOpen,
    Open,
}

/// The negotiation of one feature at one location.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    state: State,
    /// A number that is to be told.
    wanted: Option<u64>,
    confirm: Option<Confirm>,
}

impl Machine {
    /// Of a feature that is not negotiated.
    const IDLE: Self = Self {
        state: State::Stable,
        wanted: None,
        confirm: None,
    };
}

/// RFC 4340 §6.6.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Stable,
    Changing(Change),
}

/// What our Change says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    List(&'static [u8]),
    Number(u64),
}

/// An answer to the peer's Change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Confirm {
    says: Says,
    sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// The value in force, and the list it was taken from.
    Value(&'static [u8]),
    Number,
    /// Not understood, or invalid.
    Nothing,
}

/// Features not understood that are to be answered with empty Confirms: a bit for each number.
#[derive(Clone, Copy, Debug, Default)]
struct Unknown {
    owed: [u64; 4],
    sent: [u64; 4],
}

impl Features {
    /// The features of an end that prefers what `config` says. `server` decides server-priority
    /// features.
    pub(crate) fn new(config: &crate::Config, server: bool, iss: Seq, isr: Option<Seq>) -> Self {
        let mut new = Self {
            server,
            phase: Phase::First,
            ccids: ccid_list(&config.ccids),
            ecn: config.ecn,
            ndp_count: config.ndp_count,
            check_data_checksum: config.check_data_checksum,
            min_checksum_coverage: config.min_checksum_coverage.min(15),
            here: Values::INITIAL,
            there: Values::INITIAL,
            machines: None,
            asked: [0; 2],
            unknown: [Unknown::default(); 2],
            attention: true,
            resend: None,
            greatest_received: isr.map(|isr| isr.minus(1)),
            greatest_sent: iss,
        };
        new.request(Feature::SEQUENCE_WINDOW, config.sequence_window);
        new
    }

    /// The values of the features located here.
    pub(crate) const fn here(&self) -> &Values {
        &self.here
    }

    /// The values of the features located at the peer.
    pub(crate) const fn there(&self) -> &Values {
        &self.there
    }

    /// Takes a Change or Confirm of packet `seq` (acknowledging `ack`); `Err`: the connection is
    /// to be reset with this. Of Data packets, none is to be given.
    #[expect(
        clippy::too_many_arguments,
        reason = "an option and the packet it is in"
    )]
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
        let location = match side {
            Side::L => Location::There,
            Side::R => Location::Here,
        };
        let Some(index) = self.index(location, feature) else {
            return match (change, mandatory) {
                (true, true) => Err(invalid_change(side, feature, value)),
                (true, false) => {
                    self.unknown[location as usize].owe(feature);
                    self.attention = true;
                    Ok(())
                }
                (false, _) => Ok(()),
            };
        };
        if self
            .greatest_received
            .is_some_and(|greatest| !is_later(greatest, seq))
        {
            return Ok(());
        }
        if change {
            let done = self.on_change(location, index, value, mandatory);
            return done.or_else(|Invalid| match mandatory {
                true => Err(invalid_change(side, feature, value)),
                false => {
                    self.owe(location, index, Says::Nothing);
                    Ok(())
                }
            });
        }
        // A Confirm that does not acknowledge our latest new Change is of an older one.
        let acknowledges = ack.is_some_and(|ack| is_later(self.greatest_sent.minus(1), ack));
        match self.machine(location, index).state {
            State::Changing(sent) if acknowledges => self
                .on_confirm(location, index, sent, value)
                .map_err(|Invalid| {
                    DccpOption::Confirm {
                        side,
                        feature,
                        value,
                    }
                    .reset(ResetCode::OPTION_ERROR)
                }),
            State::Changing(_) | State::Stable => Ok(()),
        }
    }

    /// The whole packet was read (DF5). `had_features`: it carried a feature option.
    pub(crate) fn on_packet_done(&mut self, seq: Seq, had_features: bool) {
        let greatest = self.greatest_received.unwrap_or(seq.minus(1));
        self.greatest_received = Some(if had_features {
            greatest.later(seq)
        } else {
            not_too_far_behind(greatest, seq)
        });
        if self.phase == Phase::First && !self.server {
            self.phase = Phase::PartOpen;
            self.attention = true;
        }
        if self.machines.is_some() {
            self.release();
        }
    }

    /// The connection is in OPEN: Confirms are not repeated any more, nor Changes before time.
    pub(crate) fn on_open(&mut self) {
        self.phase = Phase::Open;
        for machine in self
            .machines
            .iter_mut()
            .flat_map(|two| two.iter_mut().flatten())
        {
            machine.confirm = machine.confirm.filter(|confirm| !confirm.sent);
        }
        for unknown in &mut self.unknown {
            unknown.sent = [0; 4];
        }
        self.release();
    }

    /// Asks for a new value of a non-negotiable feature located here; a value out of the feature's
    /// range is brought into it. Other features cannot be asked for.
    pub(crate) fn request(&mut self, feature: Feature, value: u64) {
        let Some(index) = self
            .index(Location::Here, feature)
            .filter(|_| feature.is_number())
        else {
            return;
        };
        self.machine_mut(Location::Here, index).wanted = Some(clamped(feature, value));
        self.attention = true;
    }

    /// When a Change that was not answered is due again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.resend.map(|(at, _)| at)
    }

    /// Whether data may be sent: everything that must be agreed first is (DF15, DF16).
    pub(crate) fn is_ready(&self) -> bool {
        let reported = self.here.ccid != Ccid::CCID2 || self.there.send_ack_vector;
        reported && self.may_take_data()
    }

    /// Whether the peer's data may be accepted: it knows if its marks cannot be read (RFC 4340
    /// §12.1).
    pub(crate) const fn may_take_data(&self) -> bool {
        self.ecn || self.here.ecn_incapable
    }

    /// Whether the CCID in force has an option of this type, 128 or above, on what the peer sends:
    /// from 192 on they are from the receiver of our data (RFC 4340 §10.3), and CCID 3 has Loss
    /// Event Rate, Loss Intervals and Receive Rate (RFC 4342 §8).
    pub(crate) fn has_ccid_option(&self, kind: u8) -> bool {
        self.here.ccid == Ccid::CCID3 && (192..=194).contains(&kind)
    }

    fn on_change(
        &mut self,
        location: Location,
        index: usize,
        value: &[u8],
        mandatory: bool,
    ) -> Result<(), Invalid> {
        let feature = FEATURES[index];
        if feature.is_number() {
            // Only the location tells a number (RFC 4340 §6.3.2).
            let number = match location {
                Location::There => read_number(feature, value, self.there.ccid),
                Location::Here => None,
            };
            self.set(location, feature, number.ok_or(Invalid)?);
            self.owe(location, index, Says::Number);
            return Ok(());
        }
        if value.is_empty() {
            return Err(Invalid);
        }
        let ours = match self.machine(location, index).state {
            State::Changing(Change::List(sent)) => sent,
            State::Changing(Change::Number(_)) | State::Stable => {
                self.preferences(location, feature, value)
            }
        };
        match self.reconcile(ours, value) {
            Some(picked) => self.set(location, feature, u64::from(picked)),
            None if mandatory => return Err(Invalid),
            // The value in force is confirmed.
            None => {}
        }
        self.machine_mut(location, index).state = State::Stable;
        // The lists have met; to ask with the same one again would change nothing.
        if feature == Feature::CCID {
            self.set_asked(location, index);
        }
        self.forget_resend();
        self.owe(location, index, Says::Value(ours));
        Ok(())
    }

    fn on_confirm(
        &mut self,
        location: Location,
        index: usize,
        sent: Change,
        value: &[u8],
    ) -> Result<(), Invalid> {
        let feature = FEATURES[index];
        match (sent, value) {
            (_, []) if self.is_required(location, feature) => return Err(Invalid),
            // The peer does not understand it: the value stays (RFC 4340 §6.6.7), and what was
            // wanted is not asked for again.
            (_, []) => self.machine_mut(location, index).wanted = None,
            (Change::Number(number), _) => {
                let length = number_len(feature);
                if value.len() != length {
                    return Err(Invalid);
                }
                // The answer to an older Change, late, with the packet of the new one lost: it is
                // not part of this negotiation (RFC 4340 §6.6.8), which goes on.
                if value != &number.to_be_bytes()[8 - length..] {
                    return Ok(());
                }
                self.set(location, feature, number);
            }
            (Change::List(ours), [picked, list @ ..]) => {
                let list = if list.is_empty() { &value[..1] } else { list };
                let current = self.values(location).byte(feature);
                if *picked != self.reconcile(ours, list).unwrap_or(current) {
                    return Err(Invalid);
                }
                self.set(location, feature, u64::from(*picked));
            }
        }
        self.machine_mut(location, index).state = State::Stable;
        self.attention = true;
        self.forget_resend();
        Ok(())
    }

    fn reconcile(&self, ours: &[u8], theirs: &[u8]) -> Option<u8> {
        match self.server {
            true => reconcile(ours, theirs),
            false => reconcile(theirs, ours),
        }
    }

    /// Owes the answer to one more Change of a feature; an older one is answered by it too.
    fn owe(&mut self, location: Location, index: usize, says: Says) {
        self.machine_mut(location, index).confirm = Some(Confirm { says, sent: false });
        self.attention = true;
    }

    /// Which machine is a feature's; `None`: it is not understood. Those of CCID 3 are where it is
    /// in force, or may be already as the peer sees it; number 192 and above are located at the
    /// receiver of data (RFC 4340 §10.3).
    fn index(&self, location: Location, feature: Feature) -> Option<usize> {
        let sender = location.other();
        let exists = feature != Feature::SEND_LOSS_EVENT_RATE
            || self.values(sender).ccid == Ccid::CCID3
            || match self.machine(sender, CCID).state {
                State::Changing(Change::List(ccids)) => ccids.contains(&Ccid::CCID3.0),
                State::Changing(Change::Number(_)) | State::Stable => false,
            };
        FEATURES
            .iter()
            .position(|known| *known == feature && exists)
    }

    fn set(&mut self, location: Location, feature: Feature, value: u64) {
        let values = match location {
            Location::Here => &mut self.here,
            Location::There => &mut self.there,
        };
        values.set(feature, value);
        if feature == Feature::CCID && values.ccid != Ccid::CCID3 {
            // The features of a CCID end with it.
            let receiver = location.other();
            self.set(receiver, Feature::SEND_LOSS_EVENT_RATE, 0);
            *self.machine_mut(receiver, LOSS_EVENT_RATE) = Machine::IDLE;
            self.asked[receiver as usize] &= !(1 << LOSS_EVENT_RATE);
        }
    }

    const fn values(&self, location: Location) -> &Values {
        match location {
            Location::Here => &self.here,
            Location::There => &self.there,
        }
    }

    fn machine(&self, location: Location, index: usize) -> &Machine {
        match &self.machines {
            Some(machines) => &machines[location as usize][index],
            None => &Machine::IDLE,
        }
    }

    fn machine_mut(&mut self, location: Location, index: usize) -> &mut Machine {
        let machines = self.machines.get_or_insert_with(Box::default);
        &mut machines[location as usize][index]
    }

    fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().flat_map(|two| two.iter().flatten())
    }

    const fn is_asked(&self, location: Location, index: usize) -> bool {
        self.asked[location as usize] >> index & 1 == 1
    }

    const fn set_asked(&mut self, location: Location, index: usize) {
        self.asked[location as usize] |= 1 << index;
    }

    /// As if the peer had changed it.
    #[cfg(test)]
    pub(super) fn force_ack_ratio(&mut self, ratio: u16) {
        self.there.ack_ratio = ratio;
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.machines
            .as_ref()
            .map_or(0, |machines| size_of_val(&**machines))
    }

    /// Gives the machines up if nothing is negotiated and nothing more to be asked for.
    fn release(&mut self) {
        let idle = self.phase == Phase::Open
            && self
                .machines()
                .all(|machine| machine.state == State::Stable && machine.confirm.is_none())
            && !self.wants_packet();
        if idle {
            self.machines = None;
        }
    }

    /// Stops the timer when no Change waits for its answer.
    fn forget_resend(&mut self) {
        if self
            .machines()
            .all(|machine| machine.state == State::Stable)
        {
            self.resend = None;
        }
    }
}

/// An option whose value cannot be (RFC 4340 §6.6.8), or under Mandatory shares none of ours.
struct Invalid;

fn invalid_change(side: Side, feature: Feature, value: &[u8]) -> Reset {
    DccpOption::Change {
        side,
        feature,
        value,
    }
    .reset(ResetCode::MANDATORY_ERROR)
}

/// Whether a valid packet's number is after `greatest`, one of the same kind that was. Numbers in
/// a window are no further apart than it: one that seems further behind has come round.
const fn is_later(greatest: Seq, seq: Seq) -> bool {
    let ahead = greatest.distance_to(seq);
    ahead > 0 || ahead.unsigned_abs() > MAX_WINDOW
}

/// A greatest number moved on with the packets, so that it is never taken for one to come (RFC 4340
/// erratum 974).
const fn not_too_far_behind(greatest: Seq, seq: Seq) -> Seq {
    match is_later(greatest, seq) {
        true if greatest.distance_to(seq).unsigned_abs() > MAX_WINDOW => seq.minus(MAX_WINDOW),
        _ => greatest,
    }
}

impl Unknown {
    const fn place(number: u8) -> (usize, u64) {
        (number as usize / 64, 1 << (number % 64))
    }

    fn owe(&mut self, feature: Feature) {
        let (word, bit) = Self::place(feature.0);
        self.owed[word] |= bit;
    }
}

#[cfg(test)]
mod tests;
