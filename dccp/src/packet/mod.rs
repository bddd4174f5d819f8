//! Packets on the wire: headers, options, checksums (RFC 4340 §5, §9).
//!
//! What is decoded borrows from the packet; what is encoded is appended to the caller's buffer.

mod ack_vector;
mod checksum;
mod describe;
mod header;
mod options;
mod reset;

pub use ack_vector::{AckVector, PacketState, Run};
pub use checksum::{Checksum, data_checksum, internet_checksum};
pub use header::{DecodeError, Header, Kind, MAX_HEADER_LEN, Packet, PacketType};
pub use options::{Bound, DccpOption, Feature, OptionWriter, Options, OptionsOn, Side};
pub use reset::{Reset, ResetCode};
