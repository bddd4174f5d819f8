//! What tests share: a lossy message link in virtual time with a client and a server on it
//! ([`link`], [`pair`], [`transcript`]), a lossy packet network for whole stacks ([`netsim`],
//! [`ladder`]), sockets for tests of the drivers ([`seqpacket`], [`supply`], [`drivers`]), and the
//! checks that fuzz targets make ([`fuzzing`]). On the network run whole programs ([`hosts`]), DCCP
//! and SCTP without HTTP ([`packets`], [`associations`]), and a flow as TCP would send it ([`reno`]).

pub mod associations;
pub mod drivers;
pub mod fuzzing;
pub mod hosts;
pub mod ladder;
pub mod link;
pub mod netsim;
pub mod packets;
pub mod pair;
pub mod reno;
pub(crate) mod residents;
pub mod seqpacket;
pub mod supply;
pub mod transcript;
pub mod weather;
