//! The seam between protocol machines and datagram sockets.
//!
//! A kernel SCTP association or DCCP connection is a datagram socket with one peer; a UDP or raw
//! IP socket is one with many. So there is one socket trait below ([`DatagramSocket`]) and one
//! machine trait above ([`Machine`]), and [`Pump`] is the only code that carries bytes from one to
//! the other. [`Connection`] adds the application; a driver adds nothing but the waiting.
//!
//! Over the kernel's protocols the machine is an exchange of messages. Over UDP or raw IP it is a
//! [`Host`]: a protocol in user space (a [`Stack`]: [`DccpStack`] or [`SctpStack`]), and on each of its
//! connections what a [`Service`] makes, which is the same there as over the kernel.
//!
//! No I/O happens here, and no clock is read: both are behind the traits.
#![forbid(unsafe_code)]

mod connection;
mod dccp;
mod deadlines;
mod gate;
mod host;
mod icmp;
mod pace;
mod path;
mod pump;
mod resident;
mod responder;
mod sctp;
mod service;
mod socket;
mod stack;
mod tally;
mod tap;

pub use self::dccp::{DccpClient, DccpStack};
pub use self::sctp::{PathNews, PathNote, SctpClient, SctpStack};
pub use connection::{Application, Buffers, Connection, Discard, Turn};
pub use deadlines::{Deadline, Deadlines};
pub use gate::{Admission, Gate};
pub use host::{ClientHost, Host, Progress};
pub use icmp::Rejection;
pub use pace::Limits;
pub use path::Path;
pub use proto::machine::{
    CloseReason, Datagram, Delivery, Disposition, Ecn, Icmp, IcmpKind, Machine, Room, StreamId,
    Transmit, Unreachable,
};
pub use pump::{Flow, Pump};
pub use resident::{Resident, Turns};
pub use responder::{ExchangeKey, LogEntry, Responder, Site};
pub use service::{Notice, Served, Service};
pub use socket::{DatagramSocket, Finish, Listener, Received, SendError};
pub use stack::{Fill, NoRoom, Refusal, Stack, StackEvent, StackSendError};
pub use tally::Tally;
pub use tap::{Direction, Observer, Tap};
