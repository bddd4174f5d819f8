//! SCTP (RFC 9260) without I/O.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::wildcard_enum_match_arm)]

pub mod cause;
pub mod chunk;
pub mod crc32c;
mod hmac;
pub mod packet;
pub mod parameter;
mod tsn;
mod wire;

pub use tsn::{Mid, Tsn};
