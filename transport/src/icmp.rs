//! What the network said of an attempt to connect.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use proto::machine::Unreachable;

use crate::path::Path;

/// The network said that packets do not reach the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What was said.
    pub why: Unreachable,
    /// Where the packets were sent, with the UDP port; 0 in raw IP.
    pub to: SocketAddr,
    /// Who said it, if that is known.
    pub from: Option<IpAddr>,
}

impl Rejection {
    /// `why`, of packets on `path`, said by `from`.
    pub const fn new(why: Unreachable, path: Path, from: Option<IpAddr>) -> Self {
        Self {
            why,
            to: path.remote,
            from,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, to, from } = self;
        let host = to.ip();
        match why {
            Unreachable::Port => write!(f, "nobody listens at UDP port {} of {host}", to.port()),
            Unreachable::Protocol => write!(f, "{host} does not take this protocol"),
            Unreachable::Host => write!(f, "packets do not reach {host}"),
            Unreachable::Network => write!(f, "there is no way to {host}"),
            Unreachable::Prohibited => write!(f, "a firewall forbids packets to {host}"),
        }?;
        match from {
            Some(from) if *from != host => write!(f, " (ICMP {why} from {from})"),
            Some(_) | None => write!(f, " (ICMP {why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_it_is_told_where_it_is_not_the_peer() {
        let text = |why, from: &str| {
            let path = Path::to("192.0.2.1:9899".parse().unwrap());
            Rejection::new(why, path, Some(from.parse().unwrap())).to_string()
        };
        assert_eq!(
            text(Unreachable::Port, "192.0.2.1"),
            "nobody listens at UDP port 9899 of 192.0.2.1 (ICMP port unreachable)"
        );
        assert_eq!(
            text(Unreachable::Prohibited, "192.0.2.254"),
            "a firewall forbids packets to 192.0.2.1 (ICMP administratively prohibited from \
             192.0.2.254)"
        );
    }
}
