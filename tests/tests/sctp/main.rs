//! SCTP stacks of our own over a simulated packet network, among themselves and with others.

mod ecn;
mod files;
mod flood;
mod goodput;
mod handshake;
mod http;
mod path;
mod peers;
mod rules;
mod streams;
mod two_paths;
