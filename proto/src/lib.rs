//! HTTP/1.0 GET in messages, without I/O.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::wildcard_enum_match_arm, clippy::cast_possible_truncation)
)]

pub mod fields;
pub mod machine;
pub mod status;
