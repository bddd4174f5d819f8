//! Settings and limits.

use std::time::Duration;

use crate::ServiceCode;
use crate::ccid::Ccid;
use crate::packet::Checksum;

/// Settings of an [`Endpoint`](crate::Endpoint): plain fields, with defaults that fit bulk
/// transfers and an open network. The RFC's name of each is in its text.
#[derive(Clone, Debug)]
pub struct Config {
    /// The DCCP port that is listened on; `None` takes no connections.
    pub listen: Option<u16>,
    /// The service codes that are answered to (RFC 5595 §3.3). Default: none.
    pub service_codes: Vec<ServiceCode>,
    /// The congestion controls, preferred first, for both directions. Default: 2, 3.
    pub ccids: Vec<Ccid>,
}

/// What packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// UDP (RFC 6773): addresses have UDP ports; the checksum is UDP's.
    Udp,
    /// IP protocol 33: addresses have no ports; the checksum is made over the addresses.
    Ip,
}

const _: Option<(Duration, Checksum)> = None;
