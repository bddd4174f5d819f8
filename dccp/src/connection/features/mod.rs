//! Feature negotiation (RFC 4340 §6): one machine for each feature at each location.
//!
//! Preference lists are fixed for a connection's life, and a number that is to change while its
//! last change is unanswered waits until that is answered or due again. So the RFC's state
//! UNSTABLE, for preferences that changed but were not yet sent, does not come about.

mod export;
mod table;

use std::time::{Duration, Instant};

use crate::Seq;
use crate::ccid::Ccid;
use crate::packet::{DccpOption, Feature, OptionWriter, Reset, ResetCode, Side};

pub(crate) use export::{EXPORT_LEN, Exported};
use table::{
    CCID, FEATURES, LOSS_EVENT_RATE, ccid_list, clamped, number_len, only, read_number, reconcile,
};
pub(crate) use table::{Location, Values};

/// The greatest Sequence Window: no valid packet is further off (RFC 4340 §7.5.2).
const MAX_WINDOW: u64 = (1 << 46) - 1;

/// The least time after which a Change is sent again: a peer may delay what answers it by this
/// (RFC 4340 §11.3).
const LEAST_WAIT: Duration = Duration::from_millis(200);

/// Where the back-off of Changes ends (RFC 4340 §6.6.3).
const LONGEST_WAIT: Duration = Duration::from_secs(64);

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
    machines: [[Machine; FEATURES.len()]; 2],
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
    /// Whether our wish was told, so that it is not told again if the peer has another.
    asked: bool,
    /// A number that is to be told.
    wanted: Option<u64>,
    confirm: Option<Confirm>,
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
            machines: [[Machine::default(); FEATURES.len()]; 2],
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
    }

    /// The connection is in OPEN: Confirms are not repeated any more, nor Changes before time.
    pub(crate) fn on_open(&mut self) {
        self.phase = Phase::Open;
        for machine in self.machines.iter_mut().flatten() {
            machine.confirm = machine.confirm.filter(|confirm| !confirm.sent);
        }
        for unknown in &mut self.unknown {
            unknown.sent = [0; 4];
        }
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

    /// Appends what is due on packet `seq`: Confirms owed, and Changes that are new or due again.
    /// `confirms`: whether the packet may carry Confirms (has an ackno). Not to be called for Data
    /// packets, which carry neither (RFC 4340 §6). What does not fit stays due.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        seq: Seq,
        confirms: bool,
        rtt: Duration,
        options: &mut OptionWriter,
    ) {
        self.greatest_sent = not_too_far_behind(self.greatest_sent, seq);
        let due = self.phase == Phase::First || self.resend.is_some_and(|(at, _)| at <= now);
        if !self.attention && !due && self.phase != Phase::PartOpen {
            return;
        }
        let mut left = !confirms && self.owes_confirm();
        let mut wrote = Wrote::Nothing;
        for index in 0..FEATURES.len() {
            for location in [Location::Here, Location::There] {
                if confirms {
                    left |= !self.write_confirm(location, index, options);
                }
                match self.write_change(location, index, due, options) {
                    Ok(change) => wrote = wrote.max(change),
                    Err(NoRoom) => left = true,
                }
            }
        }
        if confirms {
            left |= !self.write_unknown(options);
        }
        self.attention = left;
        let first = (2 * rtt).max(LEAST_WAIT);
        match (wrote, self.resend) {
            (Wrote::New, _) => {
                self.greatest_sent = seq;
                self.resend = Some((now + first, first));
            }
            (Wrote::Again, Some((_, wait))) => {
                let wait = (2 * wait).clamp(first, LONGEST_WAIT);
                self.resend = Some((now + wait, wait));
            }
            (Wrote::Again, None) => self.resend = Some((now + first, first)),
            // No room for it here: after the same time once more.
            (Wrote::Nothing, Some((at, wait))) if at <= now => {
                self.resend = Some((now + wait, wait));
                self.forget_resend();
            }
            (Wrote::Nothing, _) => self.forget_resend(),
        }
    }

    /// Whether a packet should be sent for the negotiation's sake: a Confirm is owed, or a Change
    /// is new. Such packets go out at most once in a round trip (RFC 4340 §6.6.1).
    pub(crate) fn wants_packet(&self) -> bool {
        self.attention
            && (self.owes_confirm()
                || (0..FEATURES.len()).any(|index| {
                    [Location::Here, Location::There]
                        .into_iter()
                        .any(|location| self.new_change(location, index).is_some())
                }))
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
        let machine = self.machine_mut(location, index);
        machine.state = State::Stable;
        // The lists have met; to ask with the same one again would change nothing.
        machine.asked |= feature == Feature::CCID;
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
                if value != &number.to_be_bytes()[8 - length..] {
                    return Err(Invalid);
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

    /// Our list for a server-priority feature, when the peer asks with the list `theirs`.
    fn preferences(&self, location: Location, feature: Feature, theirs: &[u8]) -> &'static [u8] {
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
            (Location::There, Feature::SEND_NDP_COUNT) if self.ndp_count => &[1],
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
    fn wish(&self, location: Location, feature: Feature) -> Option<(&'static [u8], bool)> {
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
            (Location::There, Feature::SEND_NDP_COUNT) => unmet(1, false, self.ndp_count),
            (Location::There, Feature::CHECK_DATA_CHECKSUM) => {
                unmet(1, false, self.check_data_checksum)
            }
            (Location::Here, Feature::MIN_CHECKSUM_COVERAGE) => {
                unmet(self.min_checksum_coverage, false, true)
            }
            _ => None,
        }
    }

    /// Whether nothing is left to ask for.
    fn wish_is_told(&self, location: Location, index: usize) -> bool {
        self.machine(location, index).asked || self.wish(location, FEATURES[index]).is_none()
    }

    /// What is to be asked for and was not yet, or a number that has changed meanwhile; and
    /// whether under Mandatory.
    fn new_change(&self, location: Location, index: usize) -> Option<(Change, bool)> {
        let feature = FEATURES[index];
        self.index(location, feature)?;
        let machine = self.machine(location, index);
        if machine.state != State::Stable {
            return None;
        }
        if feature.is_number() {
            let wanted = machine.wanted?;
            let current = self.values(location).value(feature);
            return (wanted != current).then_some((Change::Number(wanted), false));
        }
        if machine.asked {
            return None;
        }
        self.wish(location, feature)
            .map(|(list, mandatory)| (Change::List(list), mandatory))
    }

    fn write_confirm(
        &mut self,
        location: Location,
        index: usize,
        options: &mut OptionWriter,
    ) -> bool {
        let feature = FEATURES[index];
        let Some(confirm) = self.machine(location, index).confirm else {
            return true;
        };
        let mut bytes = [0; 8];
        let value: &[u8] = match confirm.says {
            Says::Nothing => &[],
            Says::Number => {
                bytes = self.values(location).value(feature).to_be_bytes();
                &bytes[8 - number_len(feature)..]
            }
            Says::Value(list) => {
                bytes[0] = self.values(location).byte(feature);
                let length = 1 + list.len().min(bytes.len() - 1);
                bytes[1..length].copy_from_slice(&list[..length - 1]);
                &bytes[..length]
            }
        };
        let side = side_of(location);
        if !options.push(DccpOption::Confirm {
            side,
            feature,
            value,
        }) {
            return false;
        }
        let repeated = self.phase == Phase::PartOpen;
        self.machine_mut(location, index).confirm = repeated.then_some(Confirm {
            sent: true,
            ..confirm
        });
        true
    }

    fn write_change(
        &mut self,
        location: Location,
        index: usize,
        due: bool,
        options: &mut OptionWriter,
    ) -> Result<Wrote, NoRoom> {
        let feature = FEATURES[index];
        let machine = *self.machine(location, index);
        let (change, mandatory, wrote) = match (machine.state, machine.wanted) {
            (State::Stable, _) => match self.new_change(location, index) {
                Some((change, mandatory)) => (change, mandatory, Wrote::New),
                None => return Ok(Wrote::Nothing),
            },
            (State::Changing(_), _) if !due => return Ok(Wrote::Nothing),
            // The number has changed meanwhile: this is a new Change.
            (State::Changing(Change::Number(old)), Some(new)) if old != new => {
                (Change::Number(new), false, Wrote::New)
            }
            (State::Changing(change), _) => {
                (change, self.is_mandatory(location, feature), Wrote::Again)
            }
        };
        let bytes;
        let value: &[u8] = match change {
            Change::List(list) => list,
            Change::Number(number) => {
                bytes = number.to_be_bytes();
                &bytes[8 - number_len(feature)..]
            }
        };
        let option = DccpOption::Change {
            side: side_of(location),
            feature,
            value,
        };
        let fits = match mandatory {
            true => options.push_mandatory(option),
            false => options.push(option),
        };
        if !fits {
            return Err(NoRoom);
        }
        let machine = self.machine_mut(location, index);
        machine.state = State::Changing(change);
        machine.asked = true;
        Ok(wrote)
    }

    /// Whether our Change of it goes under Mandatory.
    fn is_mandatory(&self, location: Location, feature: Feature) -> bool {
        match (location, feature) {
            (_, Feature::CCID) => !self.ccids.contains(&Ccid::CCID2.0),
            (Location::Here, Feature::ECN_INCAPABLE) => !self.ecn,
            _ => false,
        }
    }

    fn write_unknown(&mut self, options: &mut OptionWriter) -> bool {
        let repeated = self.phase == Phase::PartOpen;
        for location in [Location::Here, Location::There] {
            let unknown = &mut self.unknown[location as usize];
            if unknown.owed == [0; 4] && unknown.sent == [0; 4] {
                continue;
            }
            for number in 0..=u8::MAX {
                let (word, bit) = Unknown::place(number);
                if (unknown.owed[word] | unknown.sent[word]) & bit == 0 {
                    continue;
                }
                let side = side_of(location);
                let feature = Feature(number);
                if !options.push(DccpOption::Confirm {
                    side,
                    feature,
                    value: &[],
                }) {
                    return false;
                }
                unknown.owed[word] &= !bit;
                if repeated {
                    unknown.sent[word] |= bit;
                }
            }
        }
        true
    }

    fn owes_confirm(&self) -> bool {
        let unsent = |machine: &Machine| machine.confirm.is_some_and(|confirm| !confirm.sent);
        self.machines.iter().flatten().any(unsent)
            || self.unknown.iter().any(|unknown| unknown.owed != [0; 4])
    }

    /// Owes the answer to one more Change of a feature; an older one is answered by it too.
    fn owe(&mut self, location: Location, index: usize, says: Says) {
        self.machine_mut(location, index).confirm = Some(Confirm { says, sent: false });
        self.attention = true;
    }

    /// Whether an empty Confirm ends the connection: every DCCP understands these features (RFC
    /// 4340 §6.4), or the connection cannot do without.
    fn is_required(&self, location: Location, feature: Feature) -> bool {
        match feature {
            Feature::CCID | Feature::ALLOW_SHORT_SEQNOS | Feature::SEQUENCE_WINDOW => true,
            Feature::SEND_ACK_VECTOR => {
                location == Location::There && self.here.ccid == Ccid::CCID2
            }
            _ => self.is_mandatory(location, feature),
        }
    }

    /// Which machine is a feature's; `None`: it is not understood. Those of CCID 3 are where it is
    /// in force; number 192 and above are located at the receiver of data (RFC 4340 §10.3).
    fn index(&self, location: Location, feature: Feature) -> Option<usize> {
        let exists = feature != Feature::SEND_LOSS_EVENT_RATE
            || self.values(location.other()).ccid == Ccid::CCID3;
        FEATURES
            .iter()
            .position(|known| *known == feature && exists)
    }

    fn set(&mut self, location: Location, feature: Feature, value: u64) {
        let before = self.values(location).ccid;
        let values = match location {
            Location::Here => &mut self.here,
            Location::There => &mut self.there,
        };
        values.set(feature, value);
        if values.ccid != before {
            // The features of a CCID begin with it.
            let receiver = location.other();
            self.set(receiver, Feature::SEND_LOSS_EVENT_RATE, 0);
            *self.machine_mut(receiver, LOSS_EVENT_RATE) = Machine::default();
        }
    }

    const fn values(&self, location: Location) -> &Values {
        match location {
            Location::Here => &self.here,
            Location::There => &self.there,
        }
    }

    const fn machine(&self, location: Location, index: usize) -> &Machine {
        &self.machines[location as usize][index]
    }

    const fn machine_mut(&mut self, location: Location, index: usize) -> &mut Machine {
        &mut self.machines[location as usize][index]
    }

    /// Stops the timer when no Change waits for its answer.
    fn forget_resend(&mut self) {
        if self
            .machines
            .iter()
            .flatten()
            .all(|machine| machine.state == State::Stable)
        {
            self.resend = None;
        }
    }
}

/// What of Changes was written to a packet; the most that any of them was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrote {
    Nothing,
    Again,
    New,
}

/// An option that does not fit any more.
struct NoRoom;

/// An option whose value cannot be (RFC 4340 §6.6.8), or under Mandatory shares none of ours.
struct Invalid;

/// The side that speaks in options of ours.
const fn side_of(location: Location) -> Side {
    match location {
        Location::Here => Side::L,
        Location::There => Side::R,
    }
}

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
