//! What goes out: Confirms owed, Changes that are new or due again.

use std::time::{Duration, Instant};

use super::table::{FEATURES, Location, number_len};
use super::{Change, Confirm, Features, Machine, Phase, Says, State, Unknown, not_too_far_behind};
use crate::Seq;
use crate::packet::{DccpOption, Feature, OptionWriter, Side};

/// The least time after which a Change is sent again: a peer may delay what answers it by this
/// (RFC 4340 §11.3).
pub(super) const LEAST_WAIT: Duration = Duration::from_millis(200);

/// Where the back-off of Changes ends (RFC 4340 §6.6.3).
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(64);

impl Features {
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
        let first = rtt.saturating_mul(2).clamp(LEAST_WAIT, LONGEST_WAIT);
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

    /// What is to be asked for and was not yet, or a number that has changed meanwhile; and
    /// whether under Mandatory.
    pub(super) fn new_change(&self, location: Location, index: usize) -> Option<(Change, bool)> {
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
        if self.is_asked(location, index) {
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
        self.machine_mut(location, index).state = State::Changing(change);
        self.set_asked(location, index);
        Ok(wrote)
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
        self.machines().any(unsent) || self.unknown.iter().any(|unknown| unknown.owed != [0; 4])
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

/// The side that speaks in options of ours.
const fn side_of(location: Location) -> Side {
    match location {
        Location::Here => Side::L,
        Location::There => Side::R,
    }
}
