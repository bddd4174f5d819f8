//! Options to send.

use super::{DccpOption, elapsed_bytes, kind, ndp_count_bytes};

/// The longest option, type and length byte included.
const MAX_OPTION_LEN: usize = 255;

/// Collects options to send, up to a limit in bytes. Reused from packet to packet.
#[derive(Clone, Debug, Default)]
pub struct OptionWriter {
    bytes: Vec<u8>,
    limit: usize,
}

impl OptionWriter {
    /// Empties it, for at most `limit` bytes, rounded down to a multiple of four since that is what
    /// a header can hold.
    pub fn reset(&mut self, limit: usize) {
        self.bytes.clear();
        self.limit = limit & !3;
    }

    /// Sets another limit for what is still to come, with what was written kept.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = (limit & !3).max(self.bytes.len());
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes still fit.
    pub fn room(&self) -> usize {
        self.limit - self.bytes.len()
    }

    /// Appends an option if it fits whole; tells whether it did. For `Ccid` and `Unknown` the
    /// bytes as given. What cannot be written, such as a value that is too long for its length
    /// byte, does not fit either.
    pub fn push(&mut self, option: DccpOption<'_>) -> bool {
        let kind = option.kind();
        match option {
            DccpOption::Mandatory | DccpOption::SlowReceiver => self.put_short(kind),
            DccpOption::Change { feature, value, .. }
            | DccpOption::Confirm { feature, value, .. } => self.put(kind, &[feature.0], value),
            DccpOption::NdpCount(count) => {
                count < 1 << 48 && self.put(kind, ndp_count_bytes(&count.to_be_bytes()), &[])
            }
            DccpOption::ElapsedTime(elapsed) => {
                self.put(kind, elapsed_bytes(&elapsed.to_be_bytes()), &[])
            }
            DccpOption::TimestampEcho { timestamp, elapsed } => {
                let elapsed = elapsed.to_be_bytes();
                let elapsed = if elapsed == [0; 4] {
                    &[]
                } else {
                    elapsed_bytes(&elapsed)
                };
                self.put(kind, &timestamp.to_be_bytes(), elapsed)
            }
            DccpOption::Timestamp(number) | DccpOption::DataChecksum(number) => {
                self.put(kind, &number.to_be_bytes(), &[])
            }
            DccpOption::Unknown { value: [], .. } if kind < kind::FIRST_LONG => {
                self.put_short(kind)
            }
            DccpOption::Unknown { .. } if kind < kind::FIRST_LONG => false,
            DccpOption::InitCookie(value)
            | DccpOption::DataDropped(value)
            | DccpOption::Ccid { value, .. }
            | DccpOption::Unknown { value, .. } => self.put(kind, value, &[]),
            DccpOption::AckVector(vector) => self.put(kind, vector.cells, &[]),
        }
    }

    /// Appends Mandatory and `option`, both or neither; tells whether they fitted.
    pub fn push_mandatory(&mut self, option: DccpOption<'_>) -> bool {
        let before = self.bytes.len();
        let done = self.push(DccpOption::Mandatory) && self.push(option);
        if !done {
            self.bytes.truncate(before);
        }
        done
    }

    /// Appends Padding until there are `length` bytes, as far as they fit.
    pub(crate) fn pad_to(&mut self, length: usize) {
        let length = length.min(self.limit).max(self.bytes.len());
        self.bytes.resize(length, kind::PADDING);
    }

    /// The bytes, for a caller that writes whole options itself and minds [`Self::room`].
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn put_short(&mut self, kind: u8) -> bool {
        let fits = self.room() >= 1;
        if fits {
            self.bytes.push(kind);
        }
        fits
    }

    /// An option whose data is `head` and `tail`.
    fn put(&mut self, kind: u8, head: &[u8], tail: &[u8]) -> bool {
        let length = 2 + head.len() + tail.len();
        if length > MAX_OPTION_LEN || length > self.room() {
            return false;
        }
        let Ok(length) = u8::try_from(length) else {
            return false;
        };
        self.bytes.extend_from_slice(&[kind, length]);
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        true
    }
}
