//! What can go wrong before a socket carries datagrams.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use transport::Rejection;

use crate::Protocol;

/// A protocol that cannot be had from this kernel.
///
/// Its text names the way out, so show it to people as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAvailable {
    /// The protocol.
    pub protocol: Protocol,
    /// What is in the way.
    pub reason: Unavailable,
}

/// Why the kernel gives no socket of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The kernel does not know it and found no module for it (`EPROTONOSUPPORT`,
    /// `ESOCKTNOSUPPORT`).
    NoModule,
    /// The address family is off, as IPv6 often is in containers (`EAFNOSUPPORT`).
    NoAddressFamily,
    /// The kernel may have it, but this process may not use it: a sandbox's filter or a security
    /// module refused (`EPERM`, `EACCES`).
    Forbidden,
    /// The kernel refused with another error number.
    Other(i32),
}

impl Unavailable {
    /// What an error of `socket(2)` says; `None` where it says nothing of the protocol, as when no
    /// descriptor is left.
    pub(crate) fn from_error(error: &io::Error) -> Option<Self> {
        match error.raw_os_error() {
            Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => Some(Self::NoModule),
            Some(libc::EAFNOSUPPORT) => Some(Self::NoAddressFamily),
            Some(libc::EPERM | libc::EACCES) => Some(Self::Forbidden),
            Some(_) if is_out_of_resources(error) => None,
            Some(number) => Some(Self::Other(number)),
            None if error.kind() == io::ErrorKind::Unsupported => Some(Self::NoModule),
            None => None,
        }
    }
}

impl fmt::Display for NotAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol;
        match self.reason {
            Unavailable::NoModule => match protocol {
                Protocol::Sctp => {
                    f.write_str("this kernel has no SCTP: load its module (`modprobe sctp`)")
                }
                Protocol::Dccp => f.write_str(
                    "this kernel has no DCCP: load its module (`modprobe dccp`; Linux 6.16 and \
                     later have none)",
                ),
            },
            Unavailable::NoAddressFamily => write!(
                f,
                "this kernel has no {protocol} over this kind of address: IPv6 (or IPv4) is \
                 switched off here, so use an address of the other kind"
            ),
            Unavailable::Forbidden => write!(
                f,
                "this process may not use {protocol}: a sandbox or security policy forbids its \
                 sockets (in a container, allow them in its seccomp profile)"
            ),
            Unavailable::Other(number) => write!(
                f,
                "this kernel gives no {protocol} socket: {}",
                io::Error::from_raw_os_error(number)
            ),
        }
    }
}

impl std::error::Error for NotAvailable {}

/// Why a socket could not be made or configured.
#[derive(Debug)]
pub enum SocketError {
    /// The kernel has no such protocol.
    NotAvailable(NotAvailable),
    /// No descriptor or memory is left.
    OutOfResources(io::Error),
    /// The kernel's DCCP does not have this congestion control.
    Ccid(u8),
    /// The list of DCCP service codes is empty, has more than 32 entries, or holds 4294967295,
    /// which RFC 4340 §8.1.2 reserves.
    ServiceCodes,
    /// This process may not use raw IP (`EPERM`): it needs `CAP_NET_RAW`.
    RawForbidden,
    /// The kernel has the protocol itself: beside a raw IP socket it would answer the same packets
    /// with resets.
    KernelAnswersToo(Protocol),
    /// The kernel refused a socket option.
    Option {
        /// The option's name in C.
        name: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl SocketError {
    pub(crate) fn open(protocol: Protocol, error: io::Error) -> Self {
        match Unavailable::from_error(&error) {
            Some(reason) => Self::NotAvailable(NotAvailable { protocol, reason }),
            None => Self::OutOfResources(error),
        }
    }

    /// Names the option that `error` is about.
    pub(crate) fn option(name: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Option { name, error }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAvailable(what) => what.fmt(f),
            Self::OutOfResources(error) => write!(f, "no socket can be made: {error}"),
            Self::Ccid(ccid) => write!(
                f,
                "this kernel's DCCP has no congestion control {ccid} (2 is always there; 3 only if \
                 the kernel was built with it)"
            ),
            Self::ServiceCodes => f.write_str(
                "a DCCP socket needs 1 to 32 service codes, none of them the reserved 4294967295",
            ),
            Self::RawForbidden => f.write_str(
                "raw IP needs the right CAP_NET_RAW: run as root, or give it to the program with \
                 `setcap cap_net_raw+ep`",
            ),
            Self::KernelAnswersToo(protocol) => write!(
                f,
                "this kernel has {protocol} itself and would answer the packets of a raw IP socket \
                 with resets"
            ),
            Self::Option { name, error } => write!(f, "the kernel refused {name}: {error}"),
        }
    }
}

impl std::error::Error for SocketError {}

/// Why a socket could not be bound to its addresses.
#[derive(Debug)]
pub enum BindError {
    /// The socket could not be made.
    Socket(SocketError),
    /// No address was given.
    NoAddress,
    /// A DCCP socket has one address only.
    ManyAddresses,
    /// The addresses of an SCTP endpoint share one port (RFC 9260 §1.3, "SCTP endpoint").
    PortsDiffer,
    /// Another socket has the address.
    InUse(SocketAddr),
    /// The port is below 1024 (or what `net.ipv4.ip_unprivileged_port_start` says) and the
    /// process has no right to it.
    Forbidden(SocketAddr),
    /// The address is not one of this machine.
    NotLocal(SocketAddr),
    /// The kernel refused for another reason.
    Io(SocketAddr, io::Error),
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse(address),
            Some(libc::EACCES | libc::EPERM) => Self::Forbidden(address),
            Some(libc::EADDRNOTAVAIL) => Self::NotLocal(address),
            _ => Self::Io(address, error),
        }
    }
}

impl From<SocketError> for BindError {
    fn from(error: SocketError) -> Self {
        Self::Socket(error)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => error.fmt(f),
            Self::NoAddress => f.write_str("there is no address to bind to"),
            Self::ManyAddresses => f.write_str("a DCCP socket binds to one address only"),
            Self::PortsDiffer => {
                f.write_str("all addresses of one SCTP endpoint must have the same port")
            }
            Self::InUse(address) => write!(f, "{address} is in use by another program"),
            Self::Forbidden(address) => write!(
                f,
                "no permission to use {address}: take a port of 1024 or more, or run with the \
                 right to low ports"
            ),
            Self::NotLocal(address) => {
                write!(f, "{} is not an address of this machine", address.ip())
            }
            Self::Io(address, error) => write!(f, "cannot bind to {address}: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// Why no connection came about.
#[derive(Debug)]
pub enum ConnectError {
    /// The socket could not be made.
    Socket(SocketError),
    /// The local address could not be had.
    Bind(BindError),
    /// The peer is there, but nobody listens at the port.
    Refused,
    /// There is no way to the peer.
    Unreachable(io::Error),
    /// The network said that the peer's stack cannot be reached.
    Rejected(Rejection),
    /// The peer did not answer in time.
    TimedOut,
    /// The cancel descriptor became readable.
    Cancelled,
    /// The peer listens at the port, but not for this DCCP service code.
    ServiceCode(u32),
    /// The peer has no room for more connections now (DCCP Reset code 9, Too Busy).
    Busy,
    /// The two DCCP stacks could not agree on features.
    Negotiation(io::Error),
    /// The peer broke the handshake off.
    Aborted,
    /// The kernel refused for another reason.
    Io(io::Error),
}

impl ConnectError {
    pub(crate) fn new(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(libc::ETIMEDOUT) => Self::TimedOut,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => {
                Self::Unreachable(error)
            }
            Some(libc::ECONNRESET | libc::ECONNABORTED) => Self::Aborted,
            _ => Self::Io(error),
        }
    }
}

impl From<SocketError> for ConnectError {
    fn from(error: SocketError) -> Self {
        Self::Socket(error)
    }
}

impl From<BindError> for ConnectError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Socket(error) => Self::Socket(error),
            error => Self::Bind(error),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Refused => f.write_str("connection refused: nobody listens there"),
            Self::Unreachable(error) => write!(f, "the peer cannot be reached: {error}"),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::TimedOut => f.write_str("the peer did not answer in time"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::ServiceCode(code) => write!(
                f,
                "the server has another DCCP service code than {}: both sides must use the same",
                ServiceCode(*code)
            ),
            Self::Busy => f.write_str("the server has no room for another connection"),
            Self::Negotiation(error) => {
                write!(
                    f,
                    "the two DCCP stacks could not agree on features: {error}"
                )
            }
            Self::Aborted => f.write_str("the peer broke the handshake off"),
            Self::Io(error) => write!(f, "cannot connect: {error}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Writes a service code as its number and, if they can be printed, its four characters
/// (RFC 4340 §8.1.2).
struct ServiceCode(u32);

impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let characters = self.0.to_be_bytes();
        if characters.iter().all(|byte| (0x21..0x7f).contains(byte)) {
            write!(f, " ({})", characters.escape_ascii())?;
        }
        Ok(())
    }
}

/// Whether `error` means that no descriptor or memory is left.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_protocol_names_the_way_out() {
        let text = |protocol, number| {
            SocketError::open(protocol, io::Error::from_raw_os_error(number)).to_string()
        };
        assert!(text(Protocol::Sctp, libc::EPROTONOSUPPORT).contains("modprobe sctp"));
        assert!(text(Protocol::Dccp, libc::ESOCKTNOSUPPORT).contains("6.16"));
        assert!(text(Protocol::Dccp, libc::EPERM).contains("sandbox"));
        assert!(text(Protocol::Sctp, libc::EAFNOSUPPORT).contains("IPv6"));
        assert!(text(Protocol::Sctp, libc::EMFILE).contains("no socket can be made"));
    }

    #[test]
    fn a_service_code_shows_its_characters() {
        assert_eq!(ServiceCode(0x3F48_5450).to_string(), "1061704784 (?HTP)");
        assert_eq!(ServiceCode(16_777_216).to_string(), "16777216");
        assert!(ConnectError::ServiceCode(7).to_string().contains(" 7:"));
    }

    #[test]
    fn each_bind_error_has_its_own_text() {
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let text =
            |number| BindError::new(address, io::Error::from_raw_os_error(number)).to_string();
        assert!(text(libc::EADDRINUSE).contains("in use"));
        assert!(text(libc::EACCES).contains("1024"));
        assert!(text(libc::EADDRNOTAVAIL).contains("not an address of this machine"));
    }
}
