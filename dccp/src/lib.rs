//! DCCP without I/O: many connections on one packet socket, listener and client at once.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

pub mod ccid;
mod config;
mod connection;
mod cookie;
mod endpoint;
pub mod packet;
mod seq;
mod service_code;
#[cfg(test)]
mod test_support;

pub use config::{Carrier, Config};
pub use connection::{CloseReason, SendError, State, Stats};
pub use endpoint::{
    ConnectError, ConnectionId, Counts, Datagram, Ecn, Endpoint, Event, Path, Transmit,
};
pub use seq::Seq;
pub use service_code::{ServiceCode, ServiceCodeError};
