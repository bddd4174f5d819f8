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
    /// A JSON object in each line, with all that is known
    Json,
    /// No access log
    Off,
}

/// What is told on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What keeps the server from its work (as --quiet)
    Error,
    /// What you may want to change, too
    Warn,
    /// Where it listens, and what it did, too
    Info,
    /// Requests and answers, too (as --verbose)
    Debug,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Folder to serve
    #[arg(default_value = "www")]
    pub(crate) dir: PathBuf,

    /// Address to listen on; repeatable [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR", help_heading = TRANSPORT)]
    pub(crate) bind: Vec<IpAddr>,

    /// Listen at all --bind addresses as one SCTP endpoint: clients learn of all of them, and go
    /// on with another when one is cut off
    #[arg(long, help_heading = TRANSPORT)]
    pub(crate) multihomed: bool,

    /// SCTP or DCCP port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = TRANSPORT)]
    pub(crate) port: u16,

    #[command(flatten, next_help_heading = TRANSPORT)]
    pub(crate) transport: Transport,

    #[command(flatten, next_help_heading = FILES)]
    pub(crate) files: Files,

    #[command(flatten, next_help_heading = LIMITS)]
    pub(crate) limits: Limits,

    /// Give up root for this user once all ports and files are open: names or numbers
    #[arg(long, value_name = "USER[:GROUP]", help_heading = SECURITY)]
    pub(crate) user: Option<String>,

    /// Do not let the kernel (Landlock) keep the server to the folder it serves
    #[arg(long, help_heading = SECURITY)]
    pub(crate) no_sandbox: bool,

    /// Access log format
    #[arg(long, value_enum, default_value = "common", help_heading = LOG)]
    pub(crate) log_format: LogFormat,

    /// Write the access log to a file instead of stdout; SIGHUP opens it anew
    #[arg(long, value_name = "FILE", help_heading = LOG)]
    pub(crate) log_file: Option<PathBuf>,

    /// What to tell on stderr [default: info]
    #[arg(long, value_enum, value_name = "LEVEL", help_heading = LOG)]
    pub(crate) log_level: Option<LogLevel>,

    /// Show requests and answers on stderr
    #[arg(short, long, conflicts_with = "log_level", help_heading = LOG)]
    pub(crate) verbose: bool,

    /// Print errors only
    #[arg(short, long, conflicts_with_all = ["verbose", "log_level"], help_heading = LOG)]
    pub(crate) quiet: bool,

    #[command(flatten, next_help_heading = SIGHT)]
    pub(crate) sight: Sight,
}

/// What is served of the folder.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// File that stands for a folder; repeatable, the first that is there counts
    #[arg(long, value_name = "NAME", default_value = "index.html", value_parser = file_name)]
    pub(crate) index: Vec<String>,

    /// List folders without an index file: as a page, or as JSON to ?format=json and to
    /// "Accept: application/json"
    #[arg(long)]
    pub(crate) list: bool,

    /// Most entries that are listed of a folder
    #[arg(long, value_name = "N", default_value_t = 5000, requires = "list")]
    pub(crate) list_limit: usize,

    /// Serve and list names that begin with a dot
    #[arg(long)]
    pub(crate) hidden: bool,

    /// Send NAME.br, NAME.zst or NAME.gz for NAME, where it is there, not older, and the client
    /// takes it
    #[arg(long, visible_alias = "compression-static")]
    pub(crate) precompressed: bool,

    /// Media types in the format of mime.types
    #[arg(long, value_name = "FILE")]
    pub(crate) mime_types: Option<PathBuf>,

    /// Media type of files with this ending; repeatable
    #[arg(long, value_name = "ENDING=TYPE")]
    pub(crate) mime: Vec<String>,

    /// Field to send with files and listings, such as "Cache-Control: max-age=60"; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,

    /// Answer "ok" to this path, and do not log it, such as /healthz
    #[arg(long, value_name = "PATH")]
    pub(crate) health: Option<String>,
}

/// What clients are held to.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Most connections at once [default: 1024 with std, 65536 with mio]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Most connections at once of one client: an IPv4 address, or 64 bits of an IPv6 address
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections_per_peer: Option<u32>,

    /// Most requests a second of one client; who was silent for 10 seconds may send those at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_request_rate: Option<u32>,

    /// Largest head of a request
    #[arg(long, value_name = "BYTES", default_value_t = 16384,
        value_parser = clap::value_parser!(u32).range(128..=1_048_576))]
    pub(crate) max_header_size: u32,

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
}

const TRANSPORT: &str = "Transport";
const FILES: &str = "Files";
const LIMITS: &str = "Limits";
const SECURITY: &str = "Security";
const LOG: &str = "Log";
const SIGHT: &str = "Packets";

/// A name of a file in a folder.
fn file_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\0']) {
        return Err("the name of a file, without its folder".to_owned());
    }
    Ok(text.to_owned())
}
