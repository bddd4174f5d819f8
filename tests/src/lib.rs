//! What tests share: a lossy message link in virtual time with a client and a server on it
//! ([`link`], [`pair`], [`transcript`]), sockets for tests of the drivers ([`seqpacket`],
//! [`supply`], [`drivers`]), and the checks that fuzz targets make ([`fuzzing`]).

pub mod drivers;
pub mod fuzzing;
pub mod link;
pub mod pair;
pub(crate) mod residents;
pub mod seqpacket;
pub mod supply;
pub mod transcript;
