//! SCTP (RFC 9260) without I/O.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

mod association;
pub mod cause;
pub mod chunk;
mod config;
mod cookie;
pub mod crc32c;
mod endpoint;
mod hmac;
pub mod packet;
pub mod parameter;
mod tsn;
mod types;
mod wire;

#[cfg(test)]
mod tests;

pub use association::congestion;
pub use association::paths::Condition;
pub use association::{OVERHEAD, PathStats, Stats, StreamStats};
pub use config::Config;
pub use endpoint::{Endpoint, EndpointStats};
pub use tsn::{Mid, Tsn};
pub use types::{
    AssociationId, CloseReason, ConnectError, Datagram, Ecn, Event, Path, PathChange, SendError,
    SendOptions, Transmit,
};
