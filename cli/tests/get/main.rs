//! `cli get` as people and scripts use it: the real program against the real `cli serve`, and
//! against servers that answer what no good server would.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests of programs that run in real time"
)]

mod conditions;
mod disk;
mod errors;
mod limits;
mod naming;
mod odd;
mod race;
mod redirects;
mod report;
mod request;
mod server;
mod streams;
