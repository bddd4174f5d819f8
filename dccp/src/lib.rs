//! DCCP without I/O: many connections on one packet socket, listener and client at once.
//!
//! The Datagram Congestion Control Protocol carries datagrams that may be lost or come out of
//! order, but in a connection with a handshake, acknowledgements and congestion control: what UDP
//! leaves to the application. This crate is a whole user-space stack for it: packets and options
//! ([`packet`]), connections with feature negotiation, and the congestion controls CCID 2 and
//! CCID 3 ([`ccid`]). Packets travel in UDP (RFC 6773), which needs nothing but a UDP socket, or
//! in IP protocol 33, as kernels have it.
//!
//! It is not: a socket (the caller sends and receives), a clock (the caller tells the time), a
//! source of randomness (the caller gives a seed), a way to make datagrams reliable (the
//! application repairs what it needs; [`Event::Missing`] and [`Event::Settled`] help), or a secure
//! channel (numbers cannot be guessed, but who sees the packets can read and forge them).
//!
//! # The calling contract
//!
//! One [`Endpoint`] stands for one packet socket.
//!
//! 1. Times are those of one clock, and never go back.
//! 2. Packets that come go to [`Endpoint::handle_packet`], as they come or as the trains that UDP
//!    GRO makes; when the time that [`Endpoint::poll_timeout`] gives has come,
//!    [`Endpoint::handle_timeout`] is called.
//! 3. After each of these, and after calls of the application (`connect`, `send_with`, `close`,
//!    `abort`), call [`Endpoint::poll_event`] until `None`, let the application act, and call
//!    [`Endpoint::poll_transmit`] until `None`; start over if there were events again, since
//!    sending makes room ([`Event::Writable`]). Then look at `poll_timeout` anew.
//! 4. The socket sends each packet with the ECN field that it is given, tells that of each that
//!    comes ([`Config::ecn`] is for sockets that cannot), and does not fragment (DF), but for
//!    packets of less than 600 bytes if it likes. In UDP it sends checksums and drops packets with
//!    none (RFC 6773 §3.3); in raw IP it tells [`Path::local`], which the checksum is made over.
//! 5. What the network says goes in with [`Endpoint::handle_rejected`] (the socket did not take
//!    the packet polled last), [`Endpoint::handle_too_big`] and [`Endpoint::handle_unreachable`].
//!
//! Equal seeds, settings and inputs give equal packets. Input from the network never panics and
//! never fails a call; memory, rates and times have limits, all of them in [`Config`].
//!
//! A sender calls [`Endpoint::send_with`] until [`SendError::Full`] and goes on at
//! [`Event::Writable`]. Nothing is queued: data is written straight into the train that is polled
//! next, so that at most [`Config::pending_trains`] trains wait, and no file is read ahead.
//!
//! # Example
//!
//! A client and a server in memory. A real driver sends what is polled with a UDP socket, with
//! `segment_size` for UDP GSO, and waits until `poll_timeout` or for a packet.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::{Duration, Instant};
//!
//! use bytes::Bytes;
//! use dccp::{Config, Datagram, Endpoint, Event, Path, ServiceCode};
//!
//! /// Carries everything that `from` has to say to `to`, and tells whether it was anything.
//! fn carry(now: Instant, from: &mut Endpoint, to: &mut Endpoint, path: Path) -> bool {
//!     let mut carried = false;
//!     let mut buffer = Vec::new();
//!     while let Some(transmit) = from.poll_transmit(now, 1472, &mut buffer) {
//!         let payload = Bytes::from(std::mem::take(&mut buffer));
//!         let segment_size = transmit.segment_size;
//!         to.handle_packet(now, Datagram { path, ecn: transmit.ecn, segment_size, payload });
//!         carried = true;
//!     }
//!     carried
//! }
//!
//! let service: ServiceCode = "SC:DEMO".parse()?;
//! let config = Config { listen: Some(5001), service_codes: vec![service], ..Config::default() };
//! let mut server = Endpoint::new(config, [1; 32]);
//! let mut client = Endpoint::new(Config::default(), [2; 32]);
//!
//! // Paths as each end sees the other; in UDP the port is 6511 by default.
//! let to_server = Path { local: None, remote: SocketAddr::from(([192, 0, 2, 1], 6511)) };
//! let to_client = Path { local: None, remote: SocketAddr::from(([192, 0, 2, 2], 40_000)) };
//!
//! let mut now = Instant::now();
//! let id = client.connect(now, to_server, 5001, service)?;
//! let mut echoed = None;
//! for _ in 0..1000 {
//!     // What happened at the server: it sends back what comes.
//!     while let Some((id, event)) = server.poll_event() {
//!         if let Event::Message(data) = event {
//!             let _ = server.send_with(now, id, |room, out| {
//!                 out.extend_from_slice(&data[..data.len().min(room)]);
//!                 Some(())
//!             });
//!         }
//!     }
//!     // And at the client.
//!     let mut over = false;
//!     while let Some((_, event)) = client.poll_event() {
//!         match event {
//!             Event::Connected { .. } => {
//!                 let sent = client.send_with(now, id, |_, out| {
//!                     out.extend_from_slice(b"hello");
//!                     Some(())
//!                 });
//!                 assert_eq!(sent, Ok(Some(())));
//!             }
//!             Event::Message(data) => {
//!                 echoed = Some(data);
//!                 client.close(now, id);
//!             }
//!             Event::Closed(_) => over = true,
//!             Event::Missing(_) | Event::Writable | Event::Settled => {}
//!         }
//!     }
//!     if over {
//!         break;
//!     }
//!     let there = carry(now, &mut client, &mut server, to_client);
//!     let back = carry(now, &mut server, &mut client, to_server);
//!     if !there && !back {
//!         // Nothing is under way: time passes.
//!         now += Duration::from_millis(1);
//!         client.handle_timeout(now);
//!         server.handle_timeout(now);
//!     }
//! }
//! assert_eq!(echoed.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # States
//!
//! ```text
//!           client                              server
//!
//!           CLOSED                              LISTEN
//!             | connect: Request                  | Request, or a valid Init Cookie
//!             v                                   v
//!          REQUEST ----- Reset, give up       RESPOND ----- give up: gone
//!             | Response: Ack        \            | anything but a Request
//!             v                       \           v
//!          PARTOPEN                    \        OPEN
//!             | anything but Response,  |         | close, all settled
//!             v Sync                    |         v
//!           OPEN                        |      CLOSEREQ
//!             | CloseReq, or close:     |         | Close: Reset code 1
//!             v Close                   |         v
//!          CLOSING                      |       CLOSED
//!             | Reset                   |
//!             v                         |   Close in any state: Reset code 1, CLOSED
//!          TIMEWAIT <-------------------'   Reset in any state: TIMEWAIT
//! ```
//!
//! [`Endpoint::close`] waits until everything sent is acknowledged or known to be lost, as a Close
//! would cut off what is in flight.
//!
//! # Limits
//!
//! | what | setting | beyond it |
//! |---|---|---|
//! | connections | [`Config::connections`] | Reset code 9, Too Busy |
//! | half-open connections | [`Config::half_open`], [`Config::cookies_above`] | Init Cookies; without them Reset code 9 |
//! | TIMEWAIT entries | [`Config::time_wait_entries`] | the oldest is forgotten |
//! | Resets to strangers | [`Config::resets_per_second`], [`Config::resets_per_source`] | silence |
//! | packets to strangers not polled | [`Config::replies`] | silence |
//! | data on a Request | [`Config::early_data`] | dropped; the peer is told (code 0) |
//! | Syncs for invalid packets | [`Config::syncs_per_second`] | silence |
//! | bytes of a Response | three times the Request's | options left out, or silence |
//! | messages not polled | [`Config::receive_bytes`], [`Config::receive_messages`] | dropped; the peer is told (Data Dropped, code 2) |
//! | trains not polled | [`Config::pending_trains`], [`Config::max_train`] | [`SendError::Full`] |
//! | packets in the network | [`Config::max_window`] and the Sequence Window | [`SendError::Full`] |
//! | Ack Vector runs | [`Config::ack_runs`] | the oldest is forgotten |
//! | silence of the peer | [`Config::give_up`], [`Config::connect_timeout`], .. | [`CloseReason::TimedOut`] |
//!
//! A connection that is established and over which nothing is sent lasts until the application
//! ends it: DCCP has no keep-alive.
//!
//! # What is implemented
//!
//! | RFC | what | |
//! |---|---|---|
//! | 4340 §5, §9 | headers, options, checksums, coverage, Data Checksum | all |
//! | 4340 §6 | feature negotiation, all features | all; short sequence numbers are understood, never sent |
//! | 4340 §7, §8 | sequence validity, handshake, closing, Init Cookies | all |
//! | 4340 §11 | Ack Vectors, Ack Ratio, Data Dropped, Slow Receiver | all; data is still sent to a peer whose application does not listen (§11.7.2 SHOULD NOT) |
//! | 4340 §12 | ECN | marks; nonces, which are checked in Ack Vectors, but not in CCID 3's Loss Intervals (RFC 4342 §9 has it optional) |
//! | 4340 §14 | packet size | probes, ICMP; no fragmentation |
//! | 4341, 4342 | CCID 2 and CCID 3 | see [`ccid`] |
//! | 5595 | service codes | [`ServiceCode`] |
//! | 6773 | DCCP in UDP | many connections on one UDP 4-tuple (§3.8) |
//! | 4340 §16, 5596 | middleboxes' Listen packets | ignored |
//! | 4340 §7.5.4, §8.1.1 | packets kept for later, data sent on a Request | not done, both are optional |
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation)]
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod ccid;
mod config;
mod connection;
mod cookie;
mod endpoint;
mod iss;
pub mod packet;
mod seq;
mod service_code;
#[cfg(test)]
mod test_support;

pub use config::{Carrier, Config};
pub use connection::{CloseReason, SendError, State, Stats};
pub use endpoint::{
    ConnectError, ConnectionId, Counts, Datagram, Ecn, Endpoint, Event, Path, Reach, Transmit,
};
pub use seq::Seq;
pub use service_code::{ServiceCode, ServiceCodeError};
