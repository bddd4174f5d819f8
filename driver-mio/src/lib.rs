//! The readiness driver: one thread, one slot for each connection.
//!
//! A driver adds the waiting to what [`transport::Connection`] does without waiting: it calls
//! [`turn`](transport::Connection::turn), and calls it again when the socket, the deadline or a
//! [`Shutdown`](socket::stop::Shutdown) wants attention. This one waits for all of them at once,
//! with mio.
//!
//! - [`serve`] accepts from any number of listeners and runs all connections on the calling
//!   thread, those of packet sockets ([`transport::Resident`]) too.
//! - [`run`] runs one connection: a client's, or the one of a packet socket that carries many
//!   peers.
//!
//! Every socket is registered once, for input and for room to send, and reported when either
//! comes (edge-triggered); waiting to send costs no system call. Nothing looks at all
//! connections: those with an event or a deadline are queued for a turn each, and deadlines are
//! kept in order. An idle connection costs its [`Connection`](transport::Connection), in a block
//! of its own size, and about 120 bytes of this driver: a slot of 64, a deadline of 24 with its
//! share of the tree, and room in two queues. Buffers are shared by all.
//!
//! The system measures this wait in milliseconds, so a deadline may be met up to 1 ms late.
//! `driver-std` has the same functions with a thread for each connection; its
//! applications may block.
//!
//! # Example
//!
//! A server that says `hello` to whoever sends it something, and stops on SIGTERM or SIGINT:
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::time::Instant;
//!
//! use driver_mio::{Config, serve};
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
//!     L: Listener<Socket: AsFd> + AsFd,
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
mod readiness;
mod run;
mod serve;
mod slots;

pub use config::Config;
pub use run::run;
pub use serve::serve;

/// The only place where this crate reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a driver tells the time to code that reads no clock"
)]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
