//! The blocking driver: a thread for each connection.
//!
//! A driver adds the waiting to what [`transport::Connection`] does without waiting: it calls
//! [`turn`](transport::Connection::turn), sleeps in `poll(2)` until the socket, the deadline or a
//! [`Shutdown`](socket::stop::Shutdown) wants attention, and calls it again.
//!
//! - [`run`] does so for one connection, on the calling thread: a client's, or the one of a
//!   packet socket that carries many peers.
//! - [`run_until`] does so until something has happened, such as a handshake.
//! - [`serve`] accepts from any number of listeners on the calling thread, and runs each
//!   connection on a thread of its own. A packet socket with its many connections
//!   ([`transport::Resident`]) has one thread.
//!
//! This driver suits a client, a server of some hundreds of connections, and an
//! [`Application`](transport::Application) that blocks, on files or on other work: it holds up
//! its own connection only. A connection costs a thread, its stack as far as it is touched, and
//! its own buffers. `driver-mio` has the same functions for one thread in all.
//!
//! # Example
//!
//! A server that says `hello` to whoever sends it something, and stops on SIGTERM or SIGINT:
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::time::Instant;
//!
//! use driver_std::{Config, serve};
//! use socket::stop::Shutdown;
//! use transport::{
//!     Application, CloseReason, Datagram, Disposition, Listener, Machine, Transmit,
//! };
//!
//! struct Hello {
//!     asked: bool,
//!     disposition: Disposition,
//! }
//!
//! impl Machine for Hello {
//!     // ..
//! #     type Peer = ();
//! #     type Session = ();
//! #     type Event = ();
//! #     type Command = ();
//!     fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram<()>) {
//!         self.asked = true;
//!     }
//!     fn poll_transmit(
//!         &mut self,
//!         _now: Instant,
//!         _limit: usize,
//!         out: &mut Vec<u8>,
//!     ) -> Option<Transmit<()>> {
//!         if !std::mem::take(&mut self.asked) {
//!             return None;
//!         }
//!         out.extend_from_slice(b"hello");
//!         self.disposition = Disposition::Close;
//!         Some(Transmit::message(()))
//!     }
//! #     fn handle_timeout(&mut self, _now: Instant) {}
//! #     fn handle_closed(&mut self, _now: Instant, _why: CloseReason) {
//! #         self.disposition = Disposition::Close;
//! #     }
//! #     fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}
//! #     fn handle_stop(&mut self, _now: Instant) {
//! #         self.disposition = Disposition::Close;
//! #     }
//! #     fn handle_command(&mut self, _now: Instant, _session: (), _command: ()) {}
//! #     fn poll_timeout(&self) -> Option<Instant> { None }
//! #     fn poll_event(&mut self) -> Option<((), ())> { None }
//! #     fn disposition(&self) -> Disposition { self.disposition }
//! }
//!
//! struct Nothing;
//!
//! impl Application<Hello> for Nothing {
//!     fn run(&mut self, _now: Instant, machine: &mut Hello) -> Option<Instant> {
//!         while machine.poll_event().is_some() {}
//!         None
//!     }
//! }
//!
//! fn say_hello<L>(listener: L) -> std::io::Result<()>
//! where
//!     L: Listener<Socket: AsFd + Send> + AsFd,
//! {
//!     let shutdown = Shutdown::on_signals()?;
//!     let hello = |_now, _peer| {
//!         let hello = Hello { asked: false, disposition: Disposition::Open };
//!         (hello, Nothing)
//!     };
//!     let served = serve(
//!         vec![listener],
//!         Vec::new(),
//!         hello,
//!         &Config::default(),
//!         &shutdown,
//!         &mut |notice| eprintln!("{notice}"),
//!     )?;
//!     eprintln!("{} connections, {} cut short", served.accepted, served.cut);
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod config;
mod run;
mod serve;
mod wake;

pub use config::Config;
pub use run::{Until, run, run_until};
pub use serve::serve;

/// The only place where this crate reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a driver tells the time to code that reads no clock"
)]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
