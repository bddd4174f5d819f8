//! What was typed after `serve`.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Sight, Transport, seconds};

/// How access is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Common Log Format
    Common,
    /// Combined Log Format: with Referer and User-Agent
    Combined,
    /// No access log
    Off,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Folder to serve
    #[arg(default_value = "www")]
    pub(crate) dir: PathBuf,

    #[command(flatten)]
    pub(crate) transport: Transport,

    /// Address to listen on; repeatable [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Vec<IpAddr>,

    /// Listen at all --bind addresses as one SCTP endpoint: clients learn of all of them, and go
    /// on with another when one is cut off
    #[arg(long)]
    pub(crate) multihomed: bool,

    /// SCTP or DCCP port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,

    /// Most connections at once [default: 1024 with std, 65536 with mio]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Time a client may take to send its request
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) request_timeout: Duration,

    /// Time a client may stay silent after an answer that it may still have to repair (DCCP)
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) idle_timeout: Duration,

    /// Time a client may take for the next piece of an answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) stall_timeout: Duration,

    /// Fewest bytes a second, over 30 seconds, that a client must take; 0 for any
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) min_rate: u64,

    /// Time that running transfers have to end after SIGINT or SIGTERM; a second signal ends them
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) grace: Duration,

    /// Access log format
    #[arg(long, value_enum, default_value = "common")]
    pub(crate) log_format: LogFormat,

    /// Write the access log to a file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) sight: Sight,

    /// Show requests and answers on stderr
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}
