//! What was typed after `man`.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for the pages; made if it is not there
    pub(crate) dir: PathBuf,
}
