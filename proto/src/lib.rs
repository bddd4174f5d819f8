//! HTTP/1.0 GET in messages, without I/O.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::wildcard_enum_match_arm, clippy::cast_possible_truncation)
)]

pub mod client;
pub mod conditions;
pub mod date;
pub mod digest;
pub mod etag;
pub mod fields;
pub mod framing;
pub mod intervals;
pub mod machine;
pub mod range;
pub mod request;
pub mod response;
pub mod server;
pub mod status;
pub mod streams;
pub mod target;
