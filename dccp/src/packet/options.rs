//! Options (RFC 4340 §5.8).

use crate::packet::{AckVector, PacketType, Reset, ResetCode};

mod writer;

pub use writer::OptionWriter;

/// The types of options (RFC 4340 §5.8, table 3).
pub(super) mod kind {
    pub(crate) const PADDING: u8 = 0;
    pub(crate) const MANDATORY: u8 = 1;
    pub(crate) const SLOW_RECEIVER: u8 = 2;
    /// From here on options have a length byte.
    pub(crate) const FIRST_LONG: u8 = 32;
    pub(crate) const CHANGE_L: u8 = 32;
    pub(crate) const CONFIRM_L: u8 = 33;
    pub(crate) const CHANGE_R: u8 = 34;
    pub(crate) const CONFIRM_R: u8 = 35;
    pub(crate) const INIT_COOKIE: u8 = 36;
    pub(crate) const NDP_COUNT: u8 = 37;
    pub(crate) const ACK_VECTOR_0: u8 = 38;
    pub(crate) const ACK_VECTOR_1: u8 = 39;
    pub(crate) const DATA_DROPPED: u8 = 40;
    pub(crate) const TIMESTAMP: u8 = 41;
    pub(crate) const TIMESTAMP_ECHO: u8 = 42;
    pub(crate) const ELAPSED_TIME: u8 = 43;
    pub(crate) const DATA_CHECKSUM: u8 = 44;
    /// From here on options belong to the CCID.
    pub(crate) const FIRST_CCID: u8 = 128;
}

/// Which end a Change or Confirm speaks for: L is the feature's location (RFC 4340 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender of the option is the feature location.
    L,
    /// The receiver of the option is.
    R,
}

/// A feature number (RFC 4340 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature(pub u8);

#[expect(missing_docs, reason = "the RFC's names")]
impl Feature {
    pub const CCID: Self = Self(1);
    pub const ALLOW_SHORT_SEQNOS: Self = Self(2);
    pub const SEQUENCE_WINDOW: Self = Self(3);
    pub const ECN_INCAPABLE: Self = Self(4);
    pub const ACK_RATIO: Self = Self(5);
    pub const SEND_ACK_VECTOR: Self = Self(6);
    pub const SEND_NDP_COUNT: Self = Self(7);
    pub const MIN_CHECKSUM_COVERAGE: Self = Self(8);
    pub const CHECK_DATA_CHECKSUM: Self = Self(9);
    /// Of CCID 3.
    pub const SEND_LOSS_EVENT_RATE: Self = Self(192);

    /// Whether it is non-negotiable, so that its value is a number rather than a list of
    /// preferences (RFC 4340 §6.3.2).
    pub const fn is_number(self) -> bool {
        matches!(self, Self::SEQUENCE_WINDOW | Self::ACK_RATIO)
    }
}

/// One decoded option. An option of a known type whose length or value is invalid is
/// [`Self::Unknown`] (DO3), so that Mandatory before it has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DccpOption<'a> {
    /// The next option must be understood and acted on (RFC 4340 §5.8.2).
    Mandatory,
    /// RFC 4340 §11.6.
    SlowReceiver,
    /// RFC 4340 §6.1. `value` is what follows the feature number.
    Change {
        /// L or R.
        side: Side,
        /// Which feature.
        feature: Feature,
        /// A preference list or a number.
        value: &'a [u8],
    },
    /// RFC 4340 §6.2.
    Confirm {
        /// L or R.
        side: Side,
        /// Which feature.
        feature: Feature,
        /// The value and the confirmer's list; empty: not understood.
        value: &'a [u8],
    },
    /// RFC 4340 §8.1.4.
    InitCookie(&'a [u8]),
    /// RFC 4340 §7.7.
    NdpCount(u64),
    /// RFC 4340 §11.4.
    AckVector(AckVector<'a>),
    /// RFC 4340 §11.7: the block bytes.
    DataDropped(&'a [u8]),
    /// RFC 4340 §13.1, units of 10 µs.
    Timestamp(u32),
    /// RFC 4340 §13.3, both in units of 10 µs.
    TimestampEcho {
        /// What the Timestamp said.
        timestamp: u32,
        /// How long ago it came.
        elapsed: u32,
    },
    /// RFC 4340 §13.2, units of 10 µs.
    ElapsedTime(u32),
    /// RFC 4340 §9.3: CRC-32c of the data.
    DataChecksum(u32),
    /// 128 to 255: of the CCID in force.
    Ccid {
        /// The option's type.
        kind: u8,
        /// What follows type and length.
        value: &'a [u8],
    },
    /// Not understood, or not valid.
    Unknown {
        /// The option's type.
        kind: u8,
        /// What follows type and length.
        value: &'a [u8],
    },
}

impl<'a> DccpOption<'a> {
    /// Reads an option of type `kind` from what follows its type and length.
    fn read(kind: u8, value: &'a [u8]) -> Self {
        let known = match (kind, value) {
            (kind::MANDATORY, []) => Some(Self::Mandatory),
            (kind::SLOW_RECEIVER, []) => Some(Self::SlowReceiver),
            (kind::CHANGE_L, [feature, value @ ..]) => Some(Self::Change {
                side: Side::L,
                feature: Feature(*feature),
                value,
            }),
            (kind::CHANGE_R, [feature, value @ ..]) => Some(Self::Change {
                side: Side::R,
                feature: Feature(*feature),
                value,
            }),
            (kind::CONFIRM_L, [feature, value @ ..]) => Some(Self::Confirm {
                side: Side::L,
                feature: Feature(*feature),
                value,
            }),
            (kind::CONFIRM_R, [feature, value @ ..]) => Some(Self::Confirm {
                side: Side::R,
                feature: Feature(*feature),
                value,
            }),
            (kind::INIT_COOKIE, [_, ..]) => Some(Self::InitCookie(value)),
            (kind::NDP_COUNT, _) if (1..=6).contains(&value.len()) => {
                let count = value
                    .iter()
                    .fold(0, |count, &byte| count << 8 | u64::from(byte));
                Some(Self::NdpCount(count))
            }
            (kind::ACK_VECTOR_0, cells @ [_, ..]) => Some(Self::AckVector(AckVector {
                nonce: false,
                cells,
            })),
            (kind::ACK_VECTOR_1, cells @ [_, ..]) => {
                Some(Self::AckVector(AckVector { nonce: true, cells }))
            }
            (kind::DATA_DROPPED, [_, ..]) => Some(Self::DataDropped(value)),
            (kind::TIMESTAMP, _) => number(value).map(Self::Timestamp),
            (kind::TIMESTAMP_ECHO, _) => {
                value.split_first_chunk::<4>().and_then(|(stamp, rest)| {
                    let elapsed = if rest.is_empty() {
                        Some(0)
                    } else {
                        short_or_long(rest)
                    };
                    let timestamp = u32::from_be_bytes(*stamp);
                    elapsed.map(|elapsed| Self::TimestampEcho { timestamp, elapsed })
                })
            }
            (kind::ELAPSED_TIME, _) => short_or_long(value).map(Self::ElapsedTime),
            (kind::DATA_CHECKSUM, _) => number(value).map(Self::DataChecksum),
            (kind::FIRST_CCID.., _) => Some(Self::Ccid { kind, value }),
            _ => None,
        };
        known.unwrap_or(Self::Unknown { kind, value })
    }

    /// Its type on the wire.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Mandatory => kind::MANDATORY,
            Self::SlowReceiver => kind::SLOW_RECEIVER,
            Self::Change { side: Side::L, .. } => kind::CHANGE_L,
            Self::Change { side: Side::R, .. } => kind::CHANGE_R,
            Self::Confirm { side: Side::L, .. } => kind::CONFIRM_L,
            Self::Confirm { side: Side::R, .. } => kind::CONFIRM_R,
            Self::InitCookie(_) => kind::INIT_COOKIE,
            Self::NdpCount(_) => kind::NDP_COUNT,
            Self::AckVector(AckVector { nonce: false, .. }) => kind::ACK_VECTOR_0,
            Self::AckVector(AckVector { nonce: true, .. }) => kind::ACK_VECTOR_1,
            Self::DataDropped(_) => kind::DATA_DROPPED,
            Self::Timestamp(_) => kind::TIMESTAMP,
            Self::TimestampEcho { .. } => kind::TIMESTAMP_ECHO,
            Self::ElapsedTime(_) => kind::ELAPSED_TIME,
            Self::DataChecksum(_) => kind::DATA_CHECKSUM,
            Self::Ccid { kind, .. } | Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Whether it is a Change or a Confirm.
    pub const fn is_feature(&self) -> bool {
        matches!(self, Self::Change { .. } | Self::Confirm { .. })
    }

    /// Whether it has a meaning on packets of that type; it is ignored on others (RFC 4340 §5.8,
    /// table 3, and the section of each option). Options of a CCID are for it to judge.
    pub const fn is_for(&self, packet: PacketType) -> bool {
        let ignored = match self {
            Self::Mandatory | Self::Change { .. } => matches!(packet, PacketType::Data),
            Self::Confirm { .. }
            | Self::InitCookie(_)
            | Self::AckVector(_)
            | Self::DataDropped(_)
            | Self::ElapsedTime(_) => !packet.has_ack(),
            Self::SlowReceiver
            | Self::NdpCount(_)
            | Self::Timestamp(_)
            | Self::TimestampEcho { .. }
            | Self::DataChecksum(_)
            | Self::Ccid { .. }
            | Self::Unknown { .. } => false,
        };
        !ignored
    }

    /// A Reset that blames this option: data 1 is its type, data 2 and 3 the first two bytes of
    /// its data (RFC 4340 §5.6, codes 5 and 6).
    pub fn reset(&self, code: ResetCode) -> Reset {
        let two = |bytes: &[u8]| [0, 1].map(|at| bytes.get(at).copied().unwrap_or(0));
        let [one, two] = match *self {
            Self::Mandatory | Self::SlowReceiver => [0, 0],
            Self::Change { feature, value, .. } | Self::Confirm { feature, value, .. } => {
                [feature.0, value.first().copied().unwrap_or(0)]
            }
            Self::InitCookie(value)
            | Self::AckVector(AckVector { cells: value, .. })
            | Self::DataDropped(value)
            | Self::Ccid { value, .. }
            | Self::Unknown { value, .. } => two(value),
            Self::NdpCount(count) => two(ndp_count_bytes(&count.to_be_bytes())),
            Self::ElapsedTime(elapsed) => two(elapsed_bytes(&elapsed.to_be_bytes())),
            Self::Timestamp(number)
            | Self::TimestampEcho {
                timestamp: number, ..
            }
            | Self::DataChecksum(number) => two(&number.to_be_bytes()),
        };
        Reset {
            code,
            data: [self.kind(), one, two],
        }
    }
}

/// A number of four bytes.
fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A number of two or four bytes.
fn short_or_long(value: &[u8]) -> Option<u32> {
    let short = value
        .try_into()
        .ok()
        .map(|bytes| u32::from(u16::from_be_bytes(bytes)));
    short.or_else(|| number(value))
}

/// An NDP Count in the fewest bytes, 1 to 6 (RFC 4340 §7.7).
fn ndp_count_bytes(count: &[u8; 8]) -> &[u8] {
    let zeroes = count.iter().take_while(|&&byte| byte == 0).count();
    &count[zeroes.clamp(2, 7)..]
}

/// An elapsed time in two bytes if it fits, else in four (RFC 4340 §13.2).
fn elapsed_bytes(elapsed: &[u8; 4]) -> &[u8] {
    match elapsed {
        [0, 0, short @ ..] => short,
        _ => elapsed,
    }
}

/// The options of a packet, in order; Padding is skipped, and a length that cannot be ends them
/// (DO2). Mandatory before Padding is padding too (RFC 4340 §5.8.2).
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// Reads the option area of a header.
    pub const fn new(area: &'a [u8]) -> Self {
        Self(area)
    }

    /// Whether there is none at all.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The options as the receiver of a packet of that type is to take them: with Mandatory bound
    /// to the option after it (RFC 4340 §5.8.2), and without those that are not understood or are
    /// ignored on such packets. On Data packets nothing is Mandatory and nothing an error (DO4).
    ///
    /// An `Err` is what to reset the connection with; it ends the options.
    pub const fn on(self, packet: PacketType) -> OptionsOn<'a> {
        OptionsOn {
            options: self,
            packet,
        }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = DccpOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<DccpOption<'a>> {
        loop {
            let (&kind, rest) = self.0.split_first()?;
            match kind {
                kind::PADDING => self.0 = rest,
                kind::MANDATORY if rest.first() == Some(&kind::PADDING) => self.0 = &rest[1..],
                _ if kind < kind::FIRST_LONG => {
                    self.0 = rest;
                    return Some(DccpOption::read(kind, &[]));
                }
                _ => {
                    let length = rest.first().copied().map_or(0, usize::from);
                    if length < 2 || length > self.0.len() {
                        self.0 = &[];
                        return None;
                    }
                    let (option, rest) = self.0.split_at(length);
                    self.0 = rest;
                    return Some(DccpOption::read(kind, &option[2..]));
                }
            }
        }
    }
}

/// The options of a packet of a known type; see [`Options::on`].
#[derive(Clone, Debug)]
pub struct OptionsOn<'a> {
    options: Options<'a>,
    packet: PacketType,
}

impl<'a> Iterator for OptionsOn<'a> {
    type Item = Result<Bound<'a>, Reset>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut option = self.options.next()?;
            let mut mandatory = option == DccpOption::Mandatory;
            if mandatory {
                let next = self.options.next();
                // On Data packets Mandatory is ignored, alone or twice as well.
                mandatory = self.packet != PacketType::Data;
                option = match next {
                    Some(DccpOption::Mandatory) | None if mandatory => {
                        self.options = Options::new(&[]);
                        return Some(Err(DccpOption::Mandatory.reset(ResetCode::OPTION_ERROR)));
                    }
                    Some(DccpOption::Mandatory) => continue,
                    Some(option) => option,
                    None => return None,
                };
            }
            let understood = !matches!(option, DccpOption::Unknown { .. });
            if understood && option.is_for(self.packet) {
                return Some(Ok(Bound { option, mandatory }));
            }
            // A Mandatory Confirm is no different from a plain one (DF12).
            if mandatory && !matches!(option, DccpOption::Confirm { .. }) {
                self.options = Options::new(&[]);
                return Some(Err(option.reset(ResetCode::MANDATORY_ERROR)));
            }
        }
    }
}

/// An option, and whether Mandatory stood before it: then whoever does not act on it is to reset
/// the connection with `option.reset(ResetCode::MANDATORY_ERROR)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// Never [`DccpOption::Mandatory`] or [`DccpOption::Unknown`].
    pub option: DccpOption<'a>,
    /// Whether Mandatory stood before it.
    pub mandatory: bool,
}

#[cfg(test)]
mod tests;
