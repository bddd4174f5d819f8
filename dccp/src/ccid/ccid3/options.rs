//! The options of CCID 3 (RFC 4342 §8), all sent by the receiver of data.

use std::time::Duration;

use crate::ccid::tfrc::INTERVALS;
use crate::packet::{DccpOption, OptionWriter, Options};

/// The unit of times in options.
const TICK: Duration = Duration::from_micros(10);

const LOSS_EVENT_RATE: u8 = 192;
const LOSS_INTERVALS: u8 = 193;
const RECEIVE_RATE: u8 = 194;

/// Bytes of a loss interval.
const INTERVAL_LEN: usize = 9;

/// The most packets that Skip Length leaves out: `NDUPACK` (RFC 4342 §8.6.1).
pub(super) const MAX_SKIP: u8 = 3;

/// A loss interval: lossy part, then lossless part (RFC 4342 §6.1).
///
/// ```text
/// +--------+--------+--------+--------+--------+--------+--------+--------+--------+
/// |     Lossless Length      |E|      Loss Length       |        Data Length       |
/// +--------+--------+--------+--------+--------+--------+--------+--------+--------+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    /// Packets of the lossless part: 24 bits.
    pub(super) lossless: u32,
    /// The ECN nonces of its data packets, added up.
    pub(super) nonce: bool,
    /// Packets of the lossy part: 23 bits.
    pub(super) loss: u32,
    /// Data packets, for the loss event rate: 24 bits.
    pub(super) data: u32,
}

impl Interval {
    /// Lengths that are too large become the largest that can be told.
    fn to_bytes(self) -> [u8; INTERVAL_LEN] {
        let [_, lossless @ ..] = self.lossless.min((1 << 24) - 1).to_be_bytes();
        let nonce = u32::from(self.nonce) << 23;
        let [_, loss @ ..] = (self.loss.min((1 << 23) - 1) | nonce).to_be_bytes();
        let [_, data @ ..] = self.data.min((1 << 24) - 1).to_be_bytes();
        let mut bytes = [0; INTERVAL_LEN];
        bytes[..3].copy_from_slice(&lossless);
        bytes[3..6].copy_from_slice(&loss);
        bytes[6..].copy_from_slice(&data);
        bytes
    }

    fn from_bytes(bytes: [u8; INTERVAL_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i] = bytes;
        let loss = u32::from_be_bytes([0, d, e, f]);
        Self {
            lossless: u32::from_be_bytes([0, a, b, c]),
            nonce: loss >> 23 == 1,
            loss: loss & ((1 << 23) - 1),
            data: u32::from_be_bytes([0, g, h, i]),
        }
    }
}

/// What the first Loss Intervals option of a packet says; further ones tell of intervals that
/// have no part in the loss event rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LossIntervals<'a> {
    /// How many packets, up to the one acknowledged, are in no interval yet.
    pub(super) skip: u8,
    bytes: &'a [u8],
}

impl<'a> LossIntervals<'a> {
    /// `None` if there is no whole number of intervals, or none, or the skip length is too large.
    fn read(value: &'a [u8]) -> Option<Self> {
        let (&skip, bytes) = value.split_first()?;
        let is_valid =
            skip <= MAX_SKIP && !bytes.is_empty() && bytes.len().is_multiple_of(INTERVAL_LEN);
        is_valid.then_some(Self { skip, bytes })
    }

    /// The intervals, newest first.
    pub(super) fn iter(self) -> impl Iterator<Item = Interval> + use<'a> {
        self.bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| Interval::from_bytes(bytes))
    }
}

/// What a packet's options say to the sender of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Feedback<'a> {
    /// Data packets in a loss interval, rounded up; `u32::MAX`: no loss.
    pub(super) loss_event_rate: Option<u32>,
    pub(super) loss_intervals: Option<LossIntervals<'a>>,
    /// Bytes a second.
    pub(super) receive_rate: Option<u32>,
    /// How long the acknowledgement was kept back.
    pub(super) elapsed: Option<Duration>,
}

impl<'a> Feedback<'a> {
    pub(super) fn read(options: Options<'a>) -> Self {
        let mut feedback = Self::default();
        for option in options {
            match option {
                DccpOption::ElapsedTime(elapsed) => feedback.elapsed = Some(TICK * elapsed),
                // Of the packet with the Timestamp, which is not always the one acknowledged.
                DccpOption::TimestampEcho { elapsed, .. } => {
                    feedback.elapsed.get_or_insert(TICK * elapsed);
                }
                DccpOption::Ccid {
                    kind: LOSS_EVENT_RATE,
                    value,
                } => {
                    feedback.loss_event_rate = value.try_into().ok().map(u32::from_be_bytes);
                }
                DccpOption::Ccid {
                    kind: RECEIVE_RATE,
                    value,
                } => {
                    feedback.receive_rate = value.try_into().ok().map(u32::from_be_bytes);
                }
                DccpOption::Ccid {
                    kind: LOSS_INTERVALS,
                    value,
                } if feedback.loss_intervals.is_none() => {
                    feedback.loss_intervals = LossIntervals::read(value);
                }
                DccpOption::Mandatory
                | DccpOption::SlowReceiver
                | DccpOption::Change { .. }
                | DccpOption::Confirm { .. }
                | DccpOption::InitCookie(_)
                | DccpOption::NdpCount(_)
                | DccpOption::AckVector(_)
                | DccpOption::DataDropped(_)
                | DccpOption::Timestamp(_)
                | DccpOption::DataChecksum(_)
                | DccpOption::Ccid { .. }
                | DccpOption::Unknown { .. } => {}
            }
        }
        feedback
    }
}

/// What the receiver of data tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) elapsed: Duration,
    /// Bytes a second.
    pub(super) receive_rate: u32,
    /// As in [`Feedback`].
    pub(super) loss_event_rate: u32,
    pub(super) skip: u8,
}

impl Report {
    /// The bytes of all options at their longest, with all intervals.
    const LEN: usize = 6 + 6 + 6 + 3 + INTERVALS * INTERVAL_LEN;

    /// Appends the options, with the newest intervals; `false`, and nothing, if there is no room.
    pub(super) fn write(
        &self,
        intervals: impl Iterator<Item = Interval>,
        options: &mut OptionWriter,
    ) -> bool {
        if options.room() < Self::LEN {
            return false;
        }
        let mut value = [0; 1 + INTERVALS * INTERVAL_LEN];
        value[0] = self.skip;
        let mut len = 1;
        for interval in intervals.take(INTERVALS) {
            value[len..len + INTERVAL_LEN].copy_from_slice(&interval.to_bytes());
            len += INTERVAL_LEN;
        }
        let units = self.elapsed.as_micros() / 10;
        let receive_rate = self.receive_rate.to_be_bytes();
        let loss_event_rate = self.loss_event_rate.to_be_bytes();
        [
            DccpOption::ElapsedTime(u32::try_from(units).unwrap_or(u32::MAX)),
            DccpOption::Ccid {
                kind: LOSS_EVENT_RATE,
                value: &loss_event_rate,
            },
            DccpOption::Ccid {
                kind: RECEIVE_RATE,
                value: &receive_rate,
            },
            DccpOption::Ccid {
                kind: LOSS_INTERVALS,
                value: &value[..len],
            },
        ]
        .into_iter()
        .all(|option| options.push(option))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4342 §8.6.2.
    const EXAMPLE: [u8; 39] = [
        193, 39, 2, 0, 0, 10, 128, 0, 1, 0, 0, 10, 0, 0, 8, 0, 0, 5, 0, 0, 10, 0, 0, 8, 0, 0, 1, 0,
        0, 8, 0, 0, 10, 128, 0, 0, 0, 0, 15,
    ];

    const INTERVALS_OF_EXAMPLE: [Interval; 4] = [
        Interval {
            lossless: 10,
            nonce: true,
            loss: 1,
            data: 10,
        },
        Interval {
            lossless: 8,
            nonce: false,
            loss: 5,
            data: 10,
        },
        Interval {
            lossless: 8,
            nonce: false,
            loss: 1,
            data: 8,
        },
        Interval {
            lossless: 10,
            nonce: true,
            loss: 0,
            data: 15,
        },
    ];

    #[test]
    fn dt4_the_example_of_section_8_6_2_is_read() {
        let feedback = Feedback::read(Options::new(&EXAMPLE));
        let intervals = feedback.loss_intervals.unwrap();
        assert_eq!(intervals.skip, 2);
        assert_eq!(intervals.iter().collect::<Vec<_>>(), INTERVALS_OF_EXAMPLE);
    }

    #[test]
    fn dt4_the_example_of_section_8_6_2_is_written() {
        let mut options = OptionWriter::default();
        options.reset(200);
        let report = Report {
            elapsed: Duration::from_micros(1230),
            receive_rate: 1_000_000,
            loss_event_rate: 7,
            skip: 2,
        };
        assert!(report.write(INTERVALS_OF_EXAMPLE.into_iter(), &mut options));
        let written = options.bytes();
        assert_eq!(written[written.len() - 39..], EXAMPLE);
        // DT2: with the other options of a feedback packet.
        let feedback = Feedback::read(Options::new(written));
        assert_eq!(feedback.elapsed, Some(Duration::from_micros(1230)));
        assert_eq!(feedback.receive_rate, Some(1_000_000));
        assert_eq!(feedback.loss_event_rate, Some(7));
        // No room for all: nothing.
        options.reset(50);
        assert!(!report.write(INTERVALS_OF_EXAMPLE.into_iter(), &mut options));
        assert!(options.bytes().is_empty());
    }

    #[test]
    fn dt4_lengths_too_large_to_tell_are_the_largest() {
        let huge = Interval {
            lossless: u32::MAX,
            nonce: true,
            loss: u32::MAX,
            data: u32::MAX,
        };
        assert_eq!(huge.to_bytes(), [255; 9]);
        let largest = Interval::from_bytes([255; 9]);
        assert_eq!((largest.lossless, largest.loss), (0xff_ffff, 0x7f_ffff));
    }

    #[test]
    fn dt4_options_that_cannot_be_are_ignored() {
        for bytes in [
            &[193, 12, 4, 0, 0, 1, 0, 0, 1, 0, 0, 1][..],
            &[193, 11, 0, 0, 0, 1, 0, 0, 1, 0, 0],
            &[193, 3, 0],
            &[193, 2],
            &[192, 5, 0, 0, 1],
            &[194, 7, 0, 0, 0, 0, 1],
        ] {
            assert_eq!(
                Feedback::read(Options::new(bytes)),
                Feedback::default(),
                "{bytes:?}"
            );
        }
    }
}
