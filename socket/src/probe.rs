//! Tells which protocols this kernel has.

use socket2::Domain;

use crate::Protocol;
use crate::address;
use crate::error::{NotAvailable, SocketError, Unavailable};

/// Which protocols this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// SCTP.
    pub sctp: Support,
    /// DCCP.
    pub dccp: Support,
}

impl Probe {
    /// What was found for `protocol`.
    pub const fn of(&self, protocol: Protocol) -> Support {
        match protocol {
            Protocol::Sctp => self.sctp,
            Protocol::Dccp => self.dccp,
        }
    }
}

/// Over which address families the kernel has a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// Over IPv4, or why not.
    pub ipv4: Result<(), NotAvailable>,
    /// Over IPv6, or why not.
    pub ipv6: Result<(), NotAvailable>,
}

impl Support {
    /// Whether there is at least one family to use it over.
    pub const fn is_available(&self) -> bool {
        self.ipv4.is_ok() || self.ipv6.is_ok()
    }

    /// Why it cannot be used at all; `None` if it can.
    pub fn missing(&self) -> Option<NotAvailable> {
        match (self.ipv4, self.ipv6) {
            (Ok(()), _) | (_, Ok(())) => None,
            // That a family is off says less than what the other family's answer says.
            (Err(ipv4), Err(ipv6)) if ipv4.reason == Unavailable::NoAddressFamily => Some(ipv6),
            (Err(ipv4), Err(_)) => Some(ipv4),
        }
    }
}

/// Asks the kernel for a socket of each protocol and family, and closes it at once.
///
/// Nothing is bound or sent. The kernel may load a protocol's module because of it, as it would
/// for any program that uses the protocol. A lack of descriptors counts as support, because it
/// says nothing against it.
pub fn probe() -> Probe {
    Probe {
        sctp: support(Protocol::Sctp),
        dccp: support(Protocol::Dccp),
    }
}

fn support(protocol: Protocol) -> Support {
    Support {
        ipv4: family(protocol, Domain::IPV4),
        ipv6: family(protocol, Domain::IPV6),
    }
}

fn family(protocol: Protocol, domain: Domain) -> Result<(), NotAvailable> {
    match address::open(protocol, domain) {
        Err(SocketError::NotAvailable(what)) => Err(what),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_telling_reason_is_given() {
        let missing = |reason| NotAvailable {
            protocol: Protocol::Dccp,
            reason,
        };
        let support = |ipv4, ipv6| Support { ipv4, ipv6 };
        let no_family = Err(missing(Unavailable::NoAddressFamily));
        let no_module = Err(missing(Unavailable::NoModule));
        assert_eq!(support(Ok(()), no_family).missing(), None);
        assert_eq!(support(no_family, Ok(())).missing(), None);
        assert_eq!(support(no_family, no_module).missing(), no_module.err());
        assert_eq!(support(no_module, no_family).missing(), no_module.err());
    }

    #[test]
    fn probing_twice_gives_the_same() {
        assert_eq!(probe(), probe());
        assert_eq!(probe().of(Protocol::Sctp), probe().sctp);
    }
}
