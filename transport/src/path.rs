//! Between which addresses packets travel.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Both ends of the way of a packet, as the socket that carries it sees them: the peer of a
/// packet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// This end's address, so that an answer comes from where the question went, and so that a
    /// checksum over the addresses can be made; `None` where it is not known and the system
    /// chooses.
    pub local: Option<IpAddr>,
    /// The peer's address, with its UDP port; the port is 0 in raw IP.
    pub remote: SocketAddr,
}

impl Path {
    /// To `remote`, from wherever the system chooses.
    pub const fn to(remote: SocketAddr) -> Self {
        Self {
            local: None,
            remote,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.fmt(f)
    }
}
