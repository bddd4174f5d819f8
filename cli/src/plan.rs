//! What the words typed mean.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use proto::client::Wanted;
use socket::{BindError, Protocol, SocketError};

use crate::access_log::Format;
use crate::args::{self, LogFormat, Proto};
use crate::carrier::{self, Carrier};
use crate::exit::{self, Code, Failure};
use crate::serve::{self, ServeError};
use crate::sight;

/// The service code a client sends and a server takes first: `?HTP`, for private use
/// (RFC 4340 §8.1.2).
pub(crate) const SERVICE_CODE: u32 = u32::from_be_bytes(*b"?HTP");

/// The codes a server takes besides: none, and the course project's.
const OTHER_SERVICE_CODES: [u32; 2] = [0, 16_777_216];

impl From<Proto> for Protocol {
    fn from(proto: Proto) -> Self {
        match proto {
            Proto::Sctp => Self::Sctp,
            Proto::Dccp => Self::Dccp,
        }
    }
}

impl args::Transport {
    /// The carriers for `protocol`, in the order in which they are tried.
    pub(crate) fn carriers(&self, protocol: Protocol) -> Vec<Carrier> {
        carrier::carriers(self.via, protocol, self.udp_port)
    }

    /// The service codes of a server: those typed, or the usual ones.
    pub(crate) fn served_codes(&self) -> Vec<u32> {
        if self.service_code.is_empty() {
            [&[SERVICE_CODE], &OTHER_SERVICE_CODES[..]].concat()
        } else {
            self.service_code.clone()
        }
    }

    /// The service code of a client.
    pub(crate) fn sent_code(&self) -> Result<u32, Failure> {
        match self.service_code[..] {
            [] => Ok(SERVICE_CODE),
            [code] => Ok(code),
            _ => Err(Failure::new(
                Code::Usage,
                "a client has one service code; --service-code was given several times",
            )),
        }
    }
}

impl args::Sight {
    /// Sees to it that nothing else goes where packets do: `other` is what goes to stdout, with
    /// the way out.
    pub(crate) fn share_stdout(&self, other: Option<(&str, &str)>) -> Result<(), Failure> {
        match other {
            Some((what, hint)) if self.pcap.as_deref() == Some(Path::new(sight::STDOUT)) => {
                let message = format_args!("--pcap - and {what} cannot both have stdout");
                Err(Failure::new(Code::Usage, message).hint(hint))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What a server is to do.
pub(crate) fn serve(args: &args::Serve) -> Result<serve::Options, Failure> {
    let logs_to_stdout = args.log_file.is_none() && args.log_format != LogFormat::Off;
    let hint = "send it elsewhere with --log-file FILE, or leave it out with --log-format off";
    args.sight
        .share_stdout(logs_to_stdout.then_some(("the access log", hint)))?;
    let localhost = [IpAddr::from(Ipv4Addr::LOCALHOST)];
    let addresses = if args.bind.is_empty() {
        &localhost[..]
    } else {
        &args.bind
    };
    if args.multihomed
        && addresses
            .iter()
            .any(|ip| ip.is_ipv4() != addresses[0].is_ipv4())
    {
        let message = "--multihomed takes addresses of one family";
        return Err(Failure::new(Code::Usage, message)
            .hint("leave it out to listen at each address on its own"));
    }
    Ok(serve::Options {
        root: args.dir.clone(),
        protocol: args.transport.proto.into(),
        carriers: args.transport.carriers(args.transport.proto.into()),
        multihomed: args.multihomed,
        driver: args.transport.driver,
        bind: addresses
            .iter()
            .map(|address| SocketAddr::new(*address, args.port))
            .collect(),
        service_codes: args.transport.served_codes(),
        ccid: args.transport.ccid,
        mtu: args.transport.mtu,
        ppid: args.transport.ppid,
        max_connections: args
            .max_connections
            .map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        request_timeout: args.request_timeout,
        idle_timeout: args.idle_timeout,
        stall_timeout: args.stall_timeout,
        min_rate: args.min_rate,
        grace: args.grace,
        log_format: match args.log_format {
            LogFormat::Common => Some(Format::Common),
            LogFormat::Combined => Some(Format::Combined),
            LogFormat::Off => None,
        },
        log_file: args.log_file.clone(),
        sight: args.sight.clone(),
        verbose: args.verbose,
        quiet: args.quiet,
    })
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let (code, hint) = match &error {
            ServeError::NotAvailable(what) => (Code::NotAvailable, Some(exit::way_out(what))),
            ServeError::Bind(BindError::Socket(
                SocketError::RawForbidden | SocketError::KernelAnswersToo(_),
            )) => (Code::NotAvailable, Some(exit::TRY_UDP)),
            ServeError::Root(..) => (Code::Usage, Some("name the folder: cli serve FOLDER")),
            ServeError::Bind(BindError::InUse(_)) => (
                Code::Connect,
                Some("choose another with --port, or 0 for any"),
            ),
            ServeError::Udp(BindError::InUse(_)) => (
                Code::Connect,
                Some("choose another with --udp-port, or 0 for any"),
            ),
            ServeError::Bind(_) | ServeError::Udp(_) => (Code::Connect, None),
            ServeError::LogFile(..) => (Code::Write, None),
            ServeError::Sight(_) => (Code::Write, None),
            ServeError::System(_) => (Code::Receive, None),
        };
        let failure = match error {
            ServeError::Sight(failure) => failure,
            error => Self::new(code, error),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Reads `0-499`, `500-` or `-500`.
pub(crate) fn range(text: &str) -> Result<Wanted, Failure> {
    let wrong = || {
        Failure::new(Code::Usage, format_args!("{text:?} is not a range"))
            .hint("write --range 0-499, 500- or -500 (the last 500 bytes)")
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    match (first, number(first), last, number(last)) {
        ("", _, _, Some(length)) if length > 0 => Ok(Wanted::Last(length)),
        (_, Some(first), "", _) => Ok(Wanted::From(first)),
        (_, Some(first), _, Some(last)) if first <= last => Ok(Wanted::Between(first, last)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        assert_eq!(range("0-499").unwrap(), Wanted::Between(0, 499));
        assert_eq!(range("500-").unwrap(), Wanted::From(500));
        assert_eq!(range("-500").unwrap(), Wanted::Last(500));
        for text in ["", "-", "5", "9-3", "-0", "a-b", "1-2,3-4", "+1-2", "1--2"] {
            assert_eq!(range(text).unwrap_err().code, Code::Usage, "{text}");
        }
    }
}
