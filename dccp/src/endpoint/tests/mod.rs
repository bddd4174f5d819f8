//! Two endpoints as one test subject.

mod pair;

mod bulk;
mod close;
mod ecn;
mod handshake;
mod limits;
mod linux;
mod losses;
mod options;
mod packet_size;
mod strangers;
mod windows;
