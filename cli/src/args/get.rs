//! What was typed after `get`.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Sight, Transport, seconds};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// What to fetch: /path, host[:port]/path, http://host[:port]/path, or with http+sctp:// or
    /// http+dccp://; without a host, 127.0.0.1:8080 [default: /]
    ///
    /// Targets of one server are fetched over one SCTP association, several at once.
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,

    /// Read more targets from FILE, one on each line; - is stdin
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,

    /// Fetch at most so many targets at once over one SCTP association
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) parallel: u16,

    #[command(flatten)]
    pub(crate) transport: Transport,

    /// SCTP or DCCP port, when the target names none [default: 80 with a host, 8080 without]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,

    /// Local address to use; repeatable for SCTP, which tells the server of all of them
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Vec<IpAddr>,

    /// Another address of the SCTP server, to go on with should the first be cut off; repeatable.
    /// Takes a stack of our own
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<IpAddr>,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// Save as FILE; - is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "remote_name")]
    pub(crate) output: Option<PathBuf>,

    /// Save under the target's name in the current folder (the default)
    #[arg(short = 'O', long)]
    pub(crate) remote_name: bool,

    /// Do not replace a file that exists
    #[arg(long)]
    pub(crate) no_clobber: bool,

    /// Fetch the head only (HEAD) and print it
    #[arg(short = 'I', long, conflicts_with_all = ["include", "range", "continue_", "seed_form"])]
    pub(crate) head: bool,

    /// Put the head of the answer before the body
    #[arg(long, conflicts_with = "continue_")]
    pub(crate) include: bool,

    /// Fetch a part: 0-499, 500- or -500 (the last 500 bytes)
    #[arg(short, long, value_name = "RANGE", conflicts_with_all = ["continue_", "seed_form"])]
    pub(crate) range: Option<String>,

    /// Go on with FILE.part, if the server still has the same file
    #[arg(short = 'C', long = "continue", conflicts_with = "seed_form")]
    pub(crate) continue_: bool,

    /// Time for all of it, connection included
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,

    /// Time for the connection
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,

    /// Time without a new byte after which to give up
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) stall_timeout: Duration,

    /// Times to try again after a failure that may pass, going on where it stopped
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) retries: u32,

    /// Largest body to accept, in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_filesize: Option<u64>,

    /// Send the 14-byte request of the course project: GET / HTTP 1.0
    #[arg(long)]
    pub(crate) seed_form: bool,

    /// Take an answer without a head (SCTP only)
    #[arg(long = "http0.9", id = "http09")]
    pub(crate) http09: bool,

    /// Save what came over DCCP even if nothing tells whether it is whole
    #[arg(long)]
    pub(crate) allow_unverified: bool,

    /// Save the body of an answer that is an error, too
    #[arg(long)]
    pub(crate) no_fail: bool,

    /// Open the file in the viewer for its type, after success
    #[arg(long, conflicts_with = "head")]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) sight: Sight,

    /// Show what is sent and received on stderr
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// No progress bar, no messages but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) silent: bool,
}
