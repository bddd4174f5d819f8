//! DCCP stacks of our own over a simulated packet network.

mod fairness;
mod handshake;
mod hostile;
mod path;
