//! DCCP stacks of our own over a simulated packet network.

mod fairness;
mod files;
mod handshake;
mod hostile;
mod path;
mod rules;
mod strangers;
