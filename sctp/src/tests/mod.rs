//! Whole endpoints, against each other over a simulated network and against packets by hand.

mod data;
mod ending;
mod handshake;
mod hostile;
mod icmp;
mod limits;
mod pair;
mod paths;
mod rules;
mod session;
mod set_up_again;
