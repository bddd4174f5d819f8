//! What was typed after `probe`.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help that users read"
)]

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::{Proto, Via, seconds, service_code};

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// Whom to try to reach: a name or an address
    #[arg(value_name = "HOST", required_unless_present = "listen")]
    pub(crate) host: Option<String>,

    /// Be the far end: take all that this machine can, until interrupted
    #[arg(long, conflicts_with_all = ["host", "json", "quiet", "timeout"])]
    pub(crate) listen: bool,

    /// Address to listen at; repeatable [default: 0.0.0.0, all of IPv4]
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub(crate) bind: Vec<IpAddr>,

    /// Protocol to try; repeatable [default: both]
    #[arg(long, value_enum)]
    pub(crate) proto: Vec<Proto>,

    /// What the packets travel in; repeatable. auto is the protocol itself (the kernel's, or a
    /// stack of our own with CAP_NET_RAW) and udp [default: auto]
    #[arg(long, value_enum)]
    pub(crate) via: Vec<Via>,

    /// SCTP and DCCP port
    #[arg(long, value_name = "N", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// UDP port of the far end [default: 9899 for SCTP, 6511 for DCCP]. With --listen, 0 takes a
    /// free one
    #[arg(long, value_name = "N")]
    pub(crate) udp_port: Option<u16>,

    /// Time for each, all of which are tried at once
    #[arg(short, long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// DCCP service code: a number or four characters [default: ?HTP]
    #[arg(long, value_name = "CODE", value_parser = service_code)]
    pub(crate) service_code: Option<u32>,

    /// DCCP congestion control: 2 (TCP-like) or 3 (TFRC)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub(crate) ccid: Option<u8>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing, and measure nothing: only the exit code tells
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,
}
