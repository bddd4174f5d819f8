//! Kernel SCTP and DCCP sockets.
#![warn(clippy::cast_possible_truncation)]

mod address;
mod dccp;
mod ending;
mod error;
mod probe;
mod sctp;
pub mod stop;
mod sys;
pub mod wait;

use std::fmt;

pub use dccp::{DccpConfig, DccpListener, DccpSocket};
pub use error::{BindError, ConnectError, NotAvailable, SocketError, Unavailable};
pub use probe::{Probe, Support, probe};
pub use sctp::{SctpConfig, SctpListener, SctpSocket};

/// The protocols that this crate makes sockets of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The Stream Control Transmission Protocol, RFC 9260.
    Sctp,
    /// The Datagram Congestion Control Protocol, RFC 4340.
    Dccp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sctp => "SCTP",
            Self::Dccp => "DCCP",
        })
    }
}
