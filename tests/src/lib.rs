//! Placeholder while the workspace is laid out.

pub mod drivers;
pub mod fuzzing;
pub mod link;
pub mod pair;
pub mod seqpacket;
pub mod supply;
pub mod transcript;
