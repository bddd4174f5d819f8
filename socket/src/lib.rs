//! Kernel SCTP and DCCP sockets, UDP and raw IP sockets, and the waiting on them: the only unsafe
//! code of the workspace.
//!
//! A one-to-one style SCTP association and a DCCP connection are both sockets with one peer that
//! carry messages. [`SctpSocket`] and [`DccpSocket`] make them [`transport::DatagramSocket`]s,
//! [`SctpListener`] and [`DccpListener`] are [`transport::Listener`]s, and [`probe()`] says which
//! of them this kernel has. What the kernel does and the traits do not expect is settled here: an
//! end that is told only once, a `poll` that always says "writable", a close that throws away what
//! is queued.
//!
//! [`UdpSocket`] and [`RawSocket`] have many peers and carry the packets of a stack in user space:
//! a [`transport::Path`] names both ends of a packet's way.
//!
//! It is not a stack: without the kernel's protocol there is [`NotAvailable`], with a text that
//! says what to do. It is no driver either: every socket here is non-blocking, and only the two
//! `connect` functions and [`wait::wait`] wait.
//!
//! # Contract
//!
//! - [`AsFd`](std::os::fd::AsFd) of a socket or listener is for waiting only. Wait for input, and
//!   for room to send only after a send that would have blocked. A [`DccpSocket`] reports room as
//!   *input*, so after every wake-up receive, and send again what is held back. Level-triggered
//!   `poll` and edge-triggered epoll both work; with the latter, receive until it would block.
//! - A send that finds the session ended says "would block" as long as something is left to
//!   read; the receive calls give that, and then the end. So an answer is not lost because the
//!   next request found the association closed.
//! - To end in good order, call `finish` until it is done, receive meanwhile, then drop. To drop a
//!   socket without that may lose what is queued, and the peer may see a failure.
//!
//! # Limits
//!
//! - SCTP: a message is at most [`SctpConfig::send_buffer`]. A received one comes in pieces of at
//!   most 64 KiB; nothing is gathered here, so a peer cannot make this crate hold memory.
//!   Notifications, partial reliability, sending unordered messages and adding addresses to a
//!   living association are not offered.
//! - DCCP: what a full receive buffer drops is lost. A process with `CAP_NET_ADMIN` gets the
//!   [`DccpConfig::receive_buffer`] it asks for; others are limited by `net.core.rmem_max`, and
//!   lose a tenth of a fast transfer over a short path. After a path's packet size has shrunk,
//!   the kernel notices with the first packet that does not get through, so a few are lost.
//! - UDP: a datagram whose checksum is 0 is taken over IPv4, because a socket cannot see that
//!   (RFC 6773 §3.3 and RFC 6951 want it dropped). What ICMP says of a path's packet size is not
//!   passed on; the stack probes.
//! - Raw IP: a packet costs a system call, and one for a port where nobody listens gets no answer.
//!   The address, ECN and don't-fragment options are Linux's.
//! - Linux has both protocols. Elsewhere this crate compiles; DCCP is [`NotAvailable`] there, and
//!   SCTP is untried.
//!
//! # Example
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use bytes::BytesMut;
//! use socket::wait::{Entry, Interest, wait};
//! use socket::{SctpConfig, SctpSocket};
//! use std::os::fd::AsFd;
//! use transport::{DatagramSocket, Received, Transmit};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = "127.0.0.1:8080".parse()?;
//! let timeout = Duration::from_secs(10);
//! let mut socket = SctpSocket::connect(server, &[], &SctpConfig::default(), timeout, None)?;
//! socket.send(&Transmit::message(()), b"GET / HTTP/1.0\r\n\r\n")?;
//! let mut buffer = BytesMut::new();
//! loop {
//!     match socket.recv(&mut buffer) {
//!         Ok(Received::Datagram(datagram)) => println!("{} bytes", datagram.payload.len()),
//!         Ok(Received::Icmp { .. }) => {}
//!         Ok(Received::Closed(why)) => break println!("{why}"),
//!         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
//!             wait(&mut [Entry::new(socket.as_fd(), Interest::Read)], None)?;
//!         }
//!         Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![warn(clippy::cast_possible_truncation)]

mod address;
mod control;
mod dccp;
mod ending;
mod error;
mod fragment;
pub mod hangup;
mod icmp;
mod probe;
mod raw;
mod sctp;
pub mod stop;
mod sys;
mod udp;
pub mod wait;

use std::fmt;

pub use dccp::{DccpConfig, DccpListener, DccpSocket};
pub use error::{BindError, ConnectError, NotAvailable, SocketError, Unavailable};
pub use probe::{Probe, Support, probe};
pub use raw::RawSocket;
pub use sctp::{SctpConfig, SctpListener, SctpSocket};
pub use udp::{PacketConfig, UdpSocket, source_address};

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
