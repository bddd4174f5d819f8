//! SCTP (RFC 9260) without I/O: many associations on one packet socket, listener and client at
//! once, for UDP (RFC 6951) and for IP protocol 132 alike.
//!
//! An [`Endpoint`] takes packets and the time, and gives packets, events and the time when it wants
//! to be called again. It reads no clock, asks for no randomness and opens no socket: equal seeds
//! and equal inputs give equal packets.
//!
//! # What is in it
//!
//! - The four-way handshake with a signed cookie ([`Config::cookie_life`]): nothing is kept for a
//!   stranger, and an INIT ACK is smaller than three INITs. Messages given before the association
//!   is set up travel with the COOKIE ECHO. Duplicates, collisions and restarts as RFC 9260 §5.2
//!   has them ([`Event::PeerRestarted`]).
//! - Streams, ordered and unordered messages, fragmentation, I-DATA (RFC 8260) with peers that have
//!   it. Streams take turns, so that a small message does not wait for a large one's end. What
//!   arrives is handed up as slices of the received buffers, large messages in parts.
//! - Several addresses at each end: heartbeats, proof of addresses, failure and return
//!   ([`Event::PathChange`]). No address is told to a peer that is not in [`Config::addresses`].
//! - Congestion control of RFC 9260 and CUBIC (RFC 9438) behind [`congestion::Congestion`], with
//!   pacing and ECN (RFC 4960 Appendix A, [`Config::ecn`]); loss detection by miss indications, later packets and lateness (RFC 8985), probes for
//!   a lost tail.
//! - The packet size of each path by probing (RFC 8899), and trains of packets of one size for UDP
//!   GSO and GRO. What was cut for larger packets than the path comes to take is marked for IP to
//!   fragment ([`Transmit::may_fragment`]).
//! - FORWARD-TSN is understood (RFC 3758, RFC 8260), never sent.
//!
//! # What is not
//!
//! AUTH, ASCONF, RE-CONFIG and zero checksums: a peer that offers them is told so in the
//! protocol's own way, and goes on without.
//!
//! # The contract
//!
//! - `now` never goes back.
//! - After each `handle_*` call and each call of the application: poll events until `None`, let the
//!   application answer, then poll transmits until `None`, then ask for the next timeout. An answer
//!   that is given before the transmits are polled shares a packet with the acknowledgement.
//! - Packets that cannot be sent now are kept by the caller, and nothing is polled meanwhile: so
//!   nothing piles up.
//! - Input from the network fails no call. It is counted ([`EndpointStats`]), or ends an association
//!   with [`Event::Closed`], which comes always and once.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use sctp::{Config, Datagram, Ecn, Endpoint, Event, Path, SendOptions};
//!
//! let server_at: SocketAddr = "192.0.2.1:9899".parse()?;
//! let client_at: SocketAddr = "192.0.2.2:9899".parse()?;
//! let config = Config { listen: Some(8080), ..Config::default() };
//! let mut server = Endpoint::new(config, [1; 32]);
//! let mut client = Endpoint::new(Config::default(), [2; 32]);
//!
//! # #[expect(clippy::disallowed_methods)]
//! let now = Instant::now();
//! let id = client.connect(now, &[Path { local: None, remote: server_at }], 8080)?;
//! client.send(now, id, SendOptions::default(), Bytes::from_static(b"GET /"))?;
//!
//! let mut answer = None;
//! let mut out = Vec::new();
//! while answer.is_none() {
//!     // A socket would carry this.
//!     while client.poll_transmit(now, 1472, &mut out).is_some() {
//!         let payload = Bytes::from(std::mem::take(&mut out));
//!         let path = Path { local: None, remote: client_at };
//!         server.handle_packet(now, Datagram { path, ecn: Ecn::NotEct, segment_size: None, payload });
//!     }
//!     while let Some((id, event)) = server.poll_event() {
//!         if let Event::Message { stream, .. } = event {
//!             let how = SendOptions { stream, ..SendOptions::default() };
//!             server.send(now, id, how, Bytes::from_static(b"<html>"))?;
//!         }
//!     }
//!     while server.poll_transmit(now, 1472, &mut out).is_some() {
//!         let payload = Bytes::from(std::mem::take(&mut out));
//!         let path = Path { local: None, remote: server_at };
//!         client.handle_packet(now, Datagram { path, ecn: Ecn::NotEct, segment_size: None, payload });
//!     }
//!     while let Some((_, event)) = client.poll_event() {
//!         if let Event::Message { payload, .. } = event {
//!             answer = Some(payload);
//!         }
//!     }
//! }
//! assert_eq!(answer.as_deref(), Some(&b"<html>"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation)]
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod association;
pub mod cause;
pub mod chunk;
mod config;
mod cookie;
pub mod crc32c;
mod endpoint;
mod hmac;
pub mod packet;
pub mod parameter;
mod tsn;
mod types;
mod wire;

#[cfg(test)]
mod tests;

pub use association::congestion;
pub use association::paths::Condition;
pub use association::{OVERHEAD, PathStats, Stats, StreamStats};
pub use config::Config;
pub use endpoint::{Endpoint, EndpointStats};
pub use tsn::{Mid, Tsn};
pub use types::{
    AssociationId, CloseReason, ConnectError, Datagram, Ecn, Event, Path, PathChange, Reach,
    SendError, SendOptions, Transmit,
};
