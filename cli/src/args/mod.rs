//! What was typed. What it means is for [`crate::plan`] to say.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

mod completions;
mod demo;
mod get;
mod man;
mod probe;
mod serve;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::completions::Completions;
pub(crate) use self::demo::Demo;
pub(crate) use self::get::{Get, Showing};
pub(crate) use self::man::Man;
pub(crate) use self::probe::Probe;
pub(crate) use self::serve::{Files, LogFormat, LogLevel, Serve};

/// What one types first, for the help and the manual.
pub(crate) const EXAMPLES: &str = "\
Examples:
  cli demo                             see it all: pages, packets, figures
  cli serve --proto sctp FOLDER        serve FOLDER on 127.0.0.1:8080
  cli get --proto sctp /               fetch its index.html
  cli get --proto dccp --ladder HOST:8080/video.mp4
                                       fetch a video, and show who sent what
  cli get -h                           all that get can do";

/// HTTP/1.0 GET over SCTP and over DCCP: serve files and fetch them.
#[derive(Debug, Parser)]
#[command(name = "cli", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the files of a folder
    Serve(Box<Serve>),
    /// Fetch targets and save them
    Get(Box<Get>),
    /// Tell whether SCTP and DCCP pass to a host, and in what
    Probe(Probe),
    /// Show it: serve and fetch a page, a picture and a video, with their packets
    Demo(Demo),
    /// Write the manual: a page for each command, for man(1)
    Man(Man),
    /// Print what makes a shell complete commands and options
    Completions(Completions),
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
    /// Write the packets of our own stacks to a file for Wireshark (pcapng); - is stdout, to
    /// look at them as they come: ... --pcap - | wireshark -k -i -
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
