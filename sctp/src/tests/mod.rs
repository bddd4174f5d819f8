//! Whole endpoints, against each other over a simulated network and against packets by hand.

mod data;
mod handshake;
mod pair;
