//! What was typed after `demo`.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

use std::path::PathBuf;

use clap::Args;

use super::{Driver, Proto, Via};

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder whose page, picture and video are served and fetched [default: www if it is here,
    /// else what the program carries along]
    pub(crate) dir: Option<PathBuf>,

    /// Show this transport protocol only
    #[arg(long, value_enum)]
    pub(crate) proto: Option<Proto>,

    /// Event loop of both ends
    #[arg(long, value_enum, default_value = "mio")]
    pub(crate) driver: Driver,

    /// What the packets travel in
    #[arg(long, value_enum, default_value = "udp")]
    pub(crate) via: Via,

    /// Lose so many of a hundred packets on the way, 30 at most, the same ones each time
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=30))]
    pub(crate) loss: u8,

    /// Save what is fetched, the packets and the pictures in this folder [default: a new one]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
