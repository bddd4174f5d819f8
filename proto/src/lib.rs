//! HTTP/1.0 GET in messages, without I/O.
//!
//! This crate knows HTTP (RFC 1945, RFC 9110, RFC 9112) and how its requests and answers are put
//! into messages; it knows no socket, no clock, no file and no thread. What carries the messages
//! is only known by what it promises ([`machine::Delivery`]):
//!
//! - *reliable*, as SCTP is on each of its streams: messages arrive once and in order;
//! - *unreliable*, as DCCP is: messages may be lost, late or doubled. There the body comes in
//!   blocks that say where they belong ([`framing`]), and the client asks for what is missing.
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`] | the trait between protocol and I/O, and its calling contract |
//! | [`client`], [`server`] | the two sides of an exchange, as machines |
//! | [`streams`] | one exchange on each stream of an association, as one machine |
//! | [`request`], [`response`], [`fields`], [`status`] | heads |
//! | [`target`], [`date`], [`etag`], [`conditions`], [`range`](mod@range), [`digest`] | what the fields mean |
//! | [`framing`], [`intervals`] | bodies over transports that lose messages |
//!
//! It serves GET and HEAD. It does not do POST, TLS, compression, cookies, or HTTP/1.1's
//! persistent connections.
//!
//! # Example
//!
//! A client and a server, and a transport that is two lines long:
//!
//! ```
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use proto::date::HttpDate;
//! use proto::machine::{Datagram, Delivery, Disposition, Machine};
//! use proto::server::{Answer, Command, Representation};
//! use proto::{client, server};
//!
//! let file = b"hello, messages";
//! let now = Instant::now();
//! let delivery = Delivery::Unreliable;
//! let mut client = client::Exchange::new(client::Config::new(delivery, "/greeting.txt"))?;
//! let mut server = server::Exchange::new(now, server::Config::new(delivery));
//! let mut received = Vec::new();
//! while client.disposition() == Disposition::Open {
//!     // A driver would use a socket here.
//!     let mut message = Vec::new();
//!     while client.poll_transmit(now, 1400, &mut message).is_some() {
//!         let payload = Bytes::from(std::mem::take(&mut message));
//!         server.handle_datagram(now, Datagram::message((), payload));
//!     }
//!     while let Some(((), event)) = server.poll_event() {
//!         let command = match event {
//!             server::Event::Request { path, .. } => Command::Respond {
//!                 answer: if path.segments() == [b"greeting.txt"] {
//!                     Answer::Found(Representation {
//!                         length: file.len() as u64,
//!                         content_type: "text/plain; charset=utf-8".into(),
//!                         etag: None,
//!                         last_modified: None,
//!                         sha256: None,
//!                         further: proto::fields::Fields::new(),
//!                     })
//!                 } else {
//!                     Answer::Error(proto::status::Status::NOT_FOUND)
//!                 },
//!                 date: HttpDate::from_unix(784_111_777),
//!             },
//!             server::Event::Rejected(why) => Command::Respond {
//!                 answer: Answer::Error(why.status),
//!                 date: HttpDate::from_unix(784_111_777),
//!             },
//!             server::Event::BodyWanted { offset, length } => {
//!                 let from = offset as usize;
//!                 Command::Body(Bytes::copy_from_slice(&file[from..from + length]))
//!             }
//!             server::Event::Finished(_) => continue,
//!         };
//!         server.handle_command(now, (), command);
//!     }
//!     while server.poll_transmit(now, 1400, &mut message).is_some() {
//!         let payload = Bytes::from(std::mem::take(&mut message));
//!         client.handle_datagram(now, Datagram::message((), payload));
//!     }
//!     while let Some(((), event)) = client.poll_event() {
//!         if let client::Event::Body { data, .. } = event {
//!             received.extend_from_slice(&data);
//!         }
//!     }
//! }
//! assert_eq!(received, file);
//! # Ok::<(), proto::request::WriteError>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::wildcard_enum_match_arm, clippy::cast_possible_truncation)
)]

pub mod accept;
pub mod client;
pub mod conditions;
pub mod date;
pub mod digest;
pub mod disposition;
pub mod etag;
pub mod fields;
pub mod framing;
pub mod intervals;
pub mod machine;
pub mod range;
pub mod request;
pub mod response;
pub mod server;
pub mod status;
pub mod streams;
pub mod target;
