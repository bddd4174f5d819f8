//! The sight of packets: [`pcapng`] files, [`ladder`]s in text, diagrams in [`svg`].
#![forbid(unsafe_code)]

mod ip;
pub mod ladder;
pub mod pcapng;
mod recorder;
mod series;
pub mod svg;
mod words;

pub use recorder::{Carrier, Config, Form, Protocol, Recorder, Sight};
