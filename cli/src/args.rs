//! What was typed. What it means is for [`crate::plan`] to say.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// HTTP/1.0 GET over SCTP and over DCCP: serve files and fetch them.
#[derive(Debug, Parser)]
#[command(name = "cli", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the files of a folder
    Serve(Serve),
    /// Fetch targets and save them
    Get(Get),
}

/// The transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proto {
    Sctp,
    Dccp,
}

/// Which event loop moves the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// Blocking: a thread for each connection
    Std,
    /// Readiness: one thread for all connections
    Mio,
}

/// What SCTP or DCCP packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// The kernel's protocol and a stack of our own in UDP: serve uses all that work here, get
    /// the first that does
    Auto,
    /// The kernel's protocol
    Kernel,
    /// A stack of our own, in UDP
    Udp,
    /// A stack of our own, in IP itself: needs CAP_NET_RAW, and a kernel without the protocol
    Raw,
}

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

/// What `serve` and `get` have in common.
#[derive(Debug, Args)]
pub(crate) struct Transport {
    /// Transport protocol
    #[arg(long, value_enum, default_value = "sctp")]
    pub(crate) proto: Proto,

    /// Event loop
    #[arg(long, value_enum, default_value = "std")]
    pub(crate) driver: Driver,

    /// What the packets travel in
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) via: Via,

    /// Server's UDP port, where packets travel in UDP [default: 6511 for DCCP, 9899 for SCTP]
    ///
    /// This is not the port of SCTP or DCCP, which --port or the target names. For serve, 0 takes
    /// a free one.
    #[arg(long, value_name = "N")]
    pub(crate) udp_port: Option<u16>,

    /// Largest IP packet in bytes that a stack of our own sends [default: what the path takes]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..))]
    pub(crate) mtu: Option<u16>,

    /// SCTP payload protocol identifier of what is sent (63: HTTP/SCTP)
    #[arg(long, value_name = "N", default_value_t = 63)]
    pub(crate) ppid: u32,

    /// DCCP service code: a number or four characters; serve takes several
    #[arg(long, value_name = "CODE", value_parser = service_code)]
    pub(crate) service_code: Vec<u32>,

    /// DCCP congestion control: 2 (TCP-like) or 3 (TFRC) [default: 2, or the
    /// kernel's choice]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub(crate) ccid: Option<u8>,
}

/// What is to be seen of the packets.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Sight {
    /// Write the packets of our own stacks to a file for Wireshark (pcapng)
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,

    /// Write packets that travel in UDP with it, as they are sent
    #[arg(long, requires = "pcap")]
    pub(crate) pcap_as_sent: bool,

    /// Show at the end who sent what in the last transfer, on stderr
    #[arg(long)]
    pub(crate) ladder: bool,

    /// Draw that as a picture, with window, round-trip time and goodput
    #[arg(long, value_name = "FILE")]
    pub(crate) ladder_svg: Option<PathBuf>,
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

/// The longest time that can be given, in seconds: some 30 years, which clocks can be ahead.
const MAX_SECONDS: Duration = Duration::from_secs(1_000_000_000);

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong =
        || "a number of seconds above 0, such as 10 or 0.5, and at most 1000000000".to_owned();
    let number: f64 = text.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= MAX_SECONDS)
        .ok_or_else(wrong)
}

/// A service code as people write it: a number, or four characters (RFC 4340 §8.1.2).
fn service_code(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    if let Some(hex) = text.strip_prefix("0x")
        && let Ok(number) = u32::from_str_radix(hex, 16)
    {
        return Ok(number);
    }
    <[u8; 4]>::try_from(text.as_bytes())
        .map(u32::from_be_bytes)
        .map_err(|_| "a number below 4294967295 or four characters, such as ?HTP".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_service_code_is_a_number_or_four_characters() {
        assert_eq!(service_code("?HTP"), Ok(0x3F48_5450));
        assert_eq!(service_code("16777216"), Ok(0x0100_0000));
        assert_eq!(service_code("0x01000000"), Ok(0x0100_0000));
        assert_eq!(service_code("1234"), Ok(1234));
        assert!(service_code("HTTP!").is_err());
        assert!(service_code("-1").is_err());
    }

    #[test]
    fn seconds_are_positive() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("1e9"), Ok(MAX_SECONDS));
        for text in ["0", "-1", "x", "inf", "NaN", "1e300", "1000000001"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
