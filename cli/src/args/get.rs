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
#[command(after_help = "\
Sizes and rates take a suffix: K, M, G or T, in powers of 1024. HTTP_PROXY and its kin are not used:
no proxy speaks SCTP or DCCP. The exit code says what went wrong: 0 all fetched, 22 the server
refused, 18 and 56 cut off, 28 too slow, 23 cannot write; README.md has them all.")]
pub(crate) struct Get {
    /// What to fetch: /path, host[:port]/path, http://host[:port]/path, or with http+sctp:// or
    /// http+dccp://; without a host, 127.0.0.1:8080 [default: /]
    ///
    /// Targets of one server are fetched over one SCTP association, several at once.
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,

    /// Read more targets from FILE, one on each line, but not lines that begin with #; - is stdin
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,

    #[command(flatten, next_help_heading = "Transport")]
    pub(crate) transport: Transport,

    #[command(flatten)]
    pub(crate) connecting: Connecting,

    #[command(flatten)]
    pub(crate) saving: Saving,

    #[command(flatten)]
    pub(crate) asking: Asking,

    #[command(flatten)]
    pub(crate) limits: Limits,

    #[command(flatten)]
    pub(crate) showing: Showing,

    #[command(flatten, next_help_heading = "What is shown")]
    pub(crate) sight: Sight,
}

/// How the server is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transport")]
pub(crate) struct Connecting {
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
    ///
    /// Without -4 and -6, a host with addresses of both kinds is tried at one after the other,
    /// 250 ms apart, and the first that answers is taken.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// Fetch at most so many targets at once over one SCTP association
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) parallel: u16,
}

/// What becomes of what was fetched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Saving {
    /// Save as FILE; - is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "remote_name")]
    pub(crate) output: Option<PathBuf>,

    /// Save under the target's name in the current folder (the default)
    #[arg(short = 'O', long)]
    pub(crate) remote_name: bool,

    /// Save under the name that the server proposes, if it proposes a harmless one; never replaces
    /// a file by it
    #[arg(short = 'J', long, conflicts_with_all = ["output", "continue_", "head"])]
    pub(crate) remote_header_name: bool,

    /// Do not replace a file that exists
    #[arg(long)]
    pub(crate) no_clobber: bool,

    /// Make the folders that are missing on the way to the file
    #[arg(long)]
    pub(crate) create_dirs: bool,

    /// Give the file the time at which the server says it was changed
    #[arg(short = 'R', long)]
    pub(crate) remote_time: bool,

    /// Put the head of the answer before the body
    #[arg(long, conflicts_with = "continue_")]
    pub(crate) include: bool,

    /// Write the heads of all answers to FILE; - is stdout
    #[arg(short = 'D', long, value_name = "FILE")]
    pub(crate) dump_header: Option<PathBuf>,

    /// The SHA-256 that the file must have, in hex; if it has another, nothing is saved
    #[arg(long, value_name = "HEX", value_parser = sha256, conflicts_with_all = ["range", "head"])]
    pub(crate) sha256: Option<[u8; 32]>,

    /// Save what came over DCCP even if nothing tells whether it is whole
    #[arg(long)]
    pub(crate) allow_unverified: bool,

    /// Save the body of an answer that is an error, too
    #[arg(long)]
    pub(crate) no_fail: bool,

    /// Open the file in the viewer for its type, after success
    #[arg(long, conflicts_with = "head")]
    pub(crate) open: bool,
}

/// What is asked for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Request, range and resume")]
pub(crate) struct Asking {
    /// Fetch the head only (HEAD) and print it
    #[arg(short = 'I', long, conflicts_with_all = ["include", "range", "continue_", "seed_form"])]
    pub(crate) head: bool,

    /// Fetch a part: 0-499, 500- or -500 (the last 500 bytes)
    #[arg(short, long, value_name = "RANGE", conflicts_with_all = ["continue_", "seed_form"])]
    pub(crate) range: Option<String>,

    /// Go on with FILE.part, if the server still has the same file
    #[arg(short = 'C', long = "continue", conflicts_with = "seed_form")]
    pub(crate) continue_: bool,

    /// Fetch only what was changed after DATE, or after the file of that name was; with - before
    /// it, only what was not
    ///
    /// DATE is as in HTTP (Sun, 06 Nov 1994 08:49:37 GMT) or 1994-11-06, which is its midnight UTC.
    #[arg(
        short = 'z',
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        conflicts_with = "seed_form"
    )]
    pub(crate) time_cond: Option<String>,

    /// Fetch only what has another ETag than FILE holds
    #[arg(long, value_name = "FILE", conflicts_with = "seed_form")]
    pub(crate) etag_compare: Option<PathBuf>,

    /// Keep the ETag of what was fetched in FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) etag_save: Option<PathBuf>,

    /// Follow the server to where it says the file is, over SCTP and DCCP only
    #[arg(short = 'L', long)]
    pub(crate) location: bool,

    /// How often it is followed
    #[arg(long, value_name = "N", default_value_t = 50, requires = "location")]
    pub(crate) max_redirs: u32,

    /// Send this field, too, as "Name: value"; repeatable. "Name:" leaves out one that is sent
    /// anyway
    #[arg(short = 'H', long, value_name = "FIELD", conflicts_with = "seed_form")]
    pub(crate) header: Vec<String>,

    /// Send this name of the program
    #[arg(short = 'A', long, value_name = "NAME", conflicts_with = "seed_form")]
    pub(crate) user_agent: Option<String>,

    /// Send this as the page that the target was found on
    #[arg(short = 'e', long, value_name = "URL", conflicts_with = "seed_form")]
    pub(crate) referer: Option<String>,

    /// Send the 14-byte request of the course project: GET / HTTP 1.0
    #[arg(long)]
    pub(crate) seed_form: bool,

    /// Take an answer without a head (SCTP only)
    #[arg(long = "http0.9", id = "http09")]
    pub(crate) http09: bool,
}

/// How long, how much, how often.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Time for all of it, finding the host and connecting included
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,

    /// Time for finding the host and connecting
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,

    /// Time without a new byte after which to give up
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) stall_timeout: Duration,

    /// Give up when less than so many bytes a second come for as long as --speed-time says
    /// [default: 1 with --speed-time]
    #[arg(short = 'Y', long, value_name = "BYTES", value_parser = size)]
    pub(crate) speed_limit: Option<u64>,

    /// How long it may be slower than --speed-limit [default: 30 with --speed-limit]
    #[arg(short = 'y', long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) speed_time: Option<Duration>,

    /// Fetch no faster than so many bytes a second, on average
    ///
    /// Over SCTP the window that the server is told closes, so that it waits. DCCP has no such
    /// window: packets are read, and so acknowledged, at that rate, and the server's congestion
    /// control follows as it does on a slow link.
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub(crate) limit_rate: Option<u64>,

    /// Largest body to accept, in bytes
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_filesize: Option<u64>,

    /// Times to try again after a failure that may pass, going on where it stopped
    #[arg(long, visible_alias = "retry", value_name = "N", default_value_t = 2)]
    pub(crate) retries: u32,

    /// Pause before each of them [default: 1, doubled each time up to 30, or what the server asks
    /// for]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) retry_delay: Option<Duration>,

    /// Begin none of them later than this after the first attempt
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) retry_max_time: Option<Duration>,
}

/// What a person or a program is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is shown")]
pub(crate) struct Showing {
    /// Show what is sent and received on stderr
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// No progress bar, no messages but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) silent: bool,

    /// Tell of each target as a line of JSON: on stdout, or on stderr if a body goes there
    #[arg(long)]
    pub(crate) json: bool,

    /// Write FORMAT to stdout after each target; @FILE reads it from there, @- from stdin
    ///
    /// %{NAME} stands for a value, \n for a new line, %% for %. The names are those of --json, such
    /// as http_code, size_download, speed_download, time_connect, time_starttransfer, time_total,
    /// remote_ip, remote_port, url_effective, filename_effective, num_redirects, exitcode, errormsg,
    /// proto, carrier, retransmissions, srtt, cwnd and ccid; json stands for all of them. What
    /// follows %{stderr} goes there.
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) write_out: Option<String>,
}

/// A number of bytes, with or without a suffix.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a number of bytes, such as 1000, 100K, 1.5M or 2G".to_owned();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" | "b" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return Err(wrong()),
    };
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let whole = whole.checked_mul(1 << shift).ok_or_else(wrong)?;
    // Of a fraction more digits than these tell less than a byte.
    let fraction = &fraction[..fraction.len().min(15)];
    let part = fraction.parse().map_or(0, |part: u128| {
        (part << shift) / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0))
    });
    whole
        .checked_add(u64::try_from(part).unwrap_or(0))
        .ok_or_else(wrong)
}

/// A rate in bytes a second that something can come with.
fn rate(text: &str) -> Result<u64, String> {
    size(text).and_then(|rate| {
        if rate > 0 {
            Ok(rate)
        } else {
            Err("a rate above 0".to_owned())
        }
    })
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    for (index, byte) in hash.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap_or(0);
    }
    if is_hex {
        Ok(hash)
    } else {
        Err("64 hexadecimal digits, as sha256sum prints them".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes_of_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("1000B", 1000),
            ("100K", 102_400),
            ("100k", 102_400),
            ("1.5M", 1_572_864),
            ("2G", 2 << 30),
            ("0.5T", 1 << 39),
            ("1.999999999999999999999K", 2047),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "K",
            "-1",
            "1KB",
            "1,5M",
            ".5M",
            "1.5.5",
            "1e3",
            "99999999T",
            "+1",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        assert!(rate("0").is_err() && rate("0.0001K").is_err());
    }

    #[test]
    fn a_sha_256_has_64_digits() {
        let text = format!("{}fF", "00".repeat(31));
        assert_eq!(sha256(&text).unwrap()[31], 0xFF);
        assert!(sha256(&text[1..]).is_err());
        assert!(sha256(&"zz".repeat(32)).is_err() && sha256(&"+1".repeat(32)).is_err());
    }
}
