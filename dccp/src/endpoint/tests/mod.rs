//! Two endpoints as one test subject.

mod pair;

mod bulk;
mod handshake;
mod linux;
mod strangers;
mod windows;
