//! Two endpoints as one test subject.

mod pair;

mod bulk;
mod close;
mod handshake;
mod linux;
mod losses;
mod options;
mod packet_size;
mod strangers;
mod windows;
