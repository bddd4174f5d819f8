//! Two endpoints as one test subject.

mod pair;

mod bulk;
mod handshake;
mod windows;
