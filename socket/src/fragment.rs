//! Whether IP may fragment what a packet socket sends. Mostly it must not: the stacks find the size
//! of packets that a path takes by sending them. But a DATA chunk of SCTP cannot be cut again when
//! that size falls (RFC 9260 §6.9: "IP fragmentation MUST be used").

use std::os::fd::BorrowedFd;

use crate::sys;

/// An option: its level and number, and its value while IP may fragment and while it must not.
type Setting = (i32, i32, i32, i32);

#[cfg(any(target_os = "linux", target_os = "android"))]
mod settings {
    use super::Setting;

    /// Without DF, as small as the route is known to need, and for routers to cut further.
    pub(super) const IPV4: &[Setting] = &[(
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::IP_PMTUDISC_DONT,
        libc::IP_PMTUDISC_PROBE,
    )];

    /// Routers do not cut what is IPv6: so in fragments that every path takes (RFC 8200 §5). 0 is
    /// `IPV6_MTU` unset.
    pub(super) const IPV6: &[Setting] = &[
        (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DONT,
            libc::IPV6_PMTUDISC_PROBE,
        ),
        (libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0, 1),
        (libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280, 0),
    ];
}

/// Other systems have no such options, or others: what is too large is lost there.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod settings {
    pub(super) const IPV4: &[super::Setting] = &[];
    pub(super) const IPV6: &[super::Setting] = &[];
}

/// Lets IP fragment what the socket sends, or no longer. Such packets are few: the next packet must
/// not be one of them by mistake. A failure leaves a packet unfragmented, which is then lost.
pub(crate) fn set_allowed(socket: BorrowedFd<'_>, ipv6: bool, allowed: bool) {
    let settings = if ipv6 { settings::IPV6 } else { settings::IPV4 };
    for (level, option, yes, no) in settings {
        let value = if allowed { yes } else { no };
        let _ = sys::set_option(socket, *level, *option, &value.to_ne_bytes());
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_allowed_for_one_packet_is_forbidden_for_the_next() {
        for (address, settings) in [("127.0.0.1:0", settings::IPV4), ("[::1]:0", settings::IPV6)] {
            let socket = UdpSocket::bind(address).unwrap();
            let value = |&(level, option, ..): &Setting| {
                let mut bytes = [0; 4];
                sys::option(socket.as_fd(), level, option, &mut bytes).unwrap();
                i32::from_ne_bytes(bytes)
            };
            for allowed in [true, false] {
                set_allowed(socket.as_fd(), address.starts_with('['), allowed);
                for setting in settings {
                    // What `IPV6_MTU` tells is the route's, not what was set.
                    if setting.1 != libc::IPV6_MTU || setting.0 == libc::IPPROTO_IP {
                        let expected = if allowed { setting.2 } else { setting.3 };
                        assert_eq!(value(setting), expected, "{setting:?}");
                    }
                }
            }
        }
    }
}
