//! What the stacks allocate. In a program of its own, since it counts every allocation.

mod counting;
mod dccp;
mod sctp;
