//! Packets on the wire: headers, options, checksums (RFC 4340 §5, §9).
//!
//! What is decoded borrows from the packet; what is encoded is appended to the caller's buffer.

mod ack_vector;
mod checksum;
mod header;
mod options;
mod reset;

pub use ack_vector::{AckVector, PacketState, Run};
pub use checksum::{Checksum, internet_checksum};
pub use header::{DecodeError, Header, Kind, Packet, PacketType};
pub use options::{Feature, DccpOption, OptionWriter, Options, Side};
pub use reset::{Reset, ResetCode};
