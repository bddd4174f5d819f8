//! The sight of packets: files that Wireshark reads, ladders in text, diagrams in SVG.
//!
//! A stack in user space shows its packets to nobody else: in UDP they look like any others, and
//! capturing needs rights that a user may not have. So the program that has the stack writes them
//! down itself.
//!
//! - A [`Recorder`] makes a pcapng file of packets, each in the IP header that it has or would
//!   have; [`pcapng`] has the blocks it consists of.
//! - A [`ladder::Ladder`] tells who sent what, and is drawn as text for a terminal of any width.
//! - A [`svg::Diagram`] draws the same as a picture, with quantities over time below it.
//!
//! The crate does no I/O, reads no clock and knows neither SCTP nor DCCP: the caller gives times
//! and words, and writes what is appended to its buffer.
//!
//! ```
//! use std::time::Duration;
//!
//! use capture::ladder::{Act, Ladder, Side, Step, Strokes, Style};
//! use capture::pcapng::Direction;
//! use capture::{Carrier, Config, Form, Protocol, Recorder, Sight};
//! use proto::machine::Ecn;
//!
//! // A DCCP Request in UDP, where its checksum is 0.
//! let request = [
//!     0x9C, 0x40, 0x1F, 0x90, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, b'?', b'H', b'T', b'P',
//! ];
//! let mut recorder = Recorder::new(Config {
//!     protocol: Protocol::Dccp,
//!     carrier: Carrier::Udp,
//!     form: Form::Unwrapped,
//!     local: "192.0.2.1:50000".parse()?,
//!     application: "example".into(),
//! });
//! let mut file = Vec::new();
//! recorder.begin(&mut file);
//! let sight = Sight {
//!     direction: Direction::Outbound,
//!     local: None,
//!     remote: "198.51.100.2:6511".parse()?,
//!     ecn: Ecn::NotEct,
//!     bytes: &request,
//! };
//! recorder.packet(Duration::from_secs(1_700_000_000), &sight, Some("the first"), &mut file);
//! assert_eq!(file.len() % 4, 0);
//!
//! let mut ladder = Ladder::new("client", "server", 100);
//! ladder.push(Step {
//!     at: Duration::ZERO,
//!     side: Side::Left,
//!     act: Act::Packet,
//!     words: "Request(seq 7, SC:?HTP)".into(),
//! });
//! let style = Style { width: Some(80), strokes: Strokes::Ascii };
//! println!("{}", ladder.to_text(style));
//! # Ok::<(), std::net::AddrParseError>(())
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

mod ip;
pub mod ladder;
pub mod pcapng;
mod recorder;
mod series;
pub mod svg;
mod words;

pub use recorder::{Carrier, Config, Form, Protocol, Recorder, Sight};
