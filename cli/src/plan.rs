//! What the words typed mean.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use proto::client::Wanted;
use proto::fields::Fields;
use proto::request::{self, Method};
use proto::target::TargetPath;
use socket::{BindError, Protocol, SocketError};

use crate::access_log::Format;
use crate::args::{self, LogFormat, LogLevel, Proto};
use crate::carrier::{self, Carrier};
use crate::exit::{self, Code, Failure};
use crate::serve::{self, Level, ServeError, User};
use crate::sight;
use crate::site::{self, ListingConfig, MediaTypes};

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

/// The service codes of a server: those typed, or the usual ones.
pub(crate) fn served_codes(typed: &[u32]) -> Vec<u32> {
    if typed.is_empty() {
        [&[SERVICE_CODE], &OTHER_SERVICE_CODES[..]].concat()
    } else {
        typed.to_vec()
    }
}

impl args::Transport {
    /// The carriers for `protocol`, in the order in which they are tried.
    pub(crate) fn carriers(&self, protocol: Protocol) -> Vec<Carrier> {
        carrier::carriers(self.via, protocol, self.udp_port)
    }

    /// The service codes of a server: those typed, or the usual ones.
    pub(crate) fn served_codes(&self) -> Vec<u32> {
        served_codes(&self.service_code)
    }

    /// The service code of a client.
    pub(crate) fn sent_code(&self) -> Result<u32, Failure> {
        match self.service_code[..] {
            [] => Ok(SERVICE_CODE),
            [code] => Ok(code),
            _ => Err(Failure::new(
                Code::Usage,
                "a client has one service code; --service-code was given several times",
            )
            .hint("write it once")),
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
        site: site_config(&args.files)?,
        max_connections: args.limits.max_connections.map(count),
        max_connections_per_peer: args.limits.max_connections_per_peer.map(count),
        max_request_rate: args.limits.max_request_rate,
        max_header_size: count(args.limits.max_header_size),
        request_timeout: args.limits.request_timeout,
        idle_timeout: args.limits.idle_timeout,
        stall_timeout: args.limits.stall_timeout,
        min_rate: args.limits.min_rate,
        grace: args.limits.grace,
        user: args.user.as_deref().map(find_user).transpose()?,
        sandbox: !args.no_sandbox,
        log_format: match args.log_format {
            LogFormat::Common => Some(Format::Common),
            LogFormat::Combined => Some(Format::Combined),
            LogFormat::Json => Some(Format::Json),
            LogFormat::Off => None,
        },
        log_file: args.log_file.clone(),
        sight: args.sight.clone(),
        level: match args.log_level {
            Some(LogLevel::Error) => Level::Error,
            Some(LogLevel::Warn) => Level::Warn,
            Some(LogLevel::Info) => Level::Info,
            Some(LogLevel::Debug) => Level::Debug,
            None if args.verbose => Level::Debug,
            None if args.quiet => Level::Error,
            None => Level::Info,
        },
    })
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn find_user(text: &str) -> Result<User, Failure> {
    User::find(text).map_err(|error| {
        Failure::new(Code::Usage, error).hint("write --user NAME, NAME:GROUP or UID:GID")
    })
}

/// What is served of a folder.
fn site_config(files: &args::Files) -> Result<site::Config, Failure> {
    Ok(site::Config {
        index: files.index.clone(),
        listing: files.list.then_some(ListingConfig {
            max_entries: files.list_limit,
        }),
        hidden: files.hidden,
        precompressed: files.precompressed,
        health: files.health.as_deref().map(health).transpose()?,
        media_types: media_types(files)?,
        further: further_fields(&files.header)?,
        ..site::Config::default()
    })
}

fn health(path: &str) -> Result<TargetPath, Failure> {
    TargetPath::parse(path).map_err(|error| {
        Failure::new(Code::Usage, format_args!("--health {path}: {error}"))
            .hint("write a path that begins with a slash: --health /healthz")
    })
}

/// Those of the file first, so that those typed count more.
fn media_types(files: &args::Files) -> Result<MediaTypes, Failure> {
    let mut types = MediaTypes::default();
    if let Some(path) = &files.mime_types {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::new(Code::Usage, format_args!("{shown} cannot be read: {error}"))
                .hint("name a file of media types, such as /etc/mime.types")
        })?;
        types.read(&text).map_err(|(line, error)| {
            Failure::new(Code::Usage, format_args!("{shown}, line {line}: {error}"))
                .hint("write a media type and its endings in a line: text/plain txt log")
        })?;
    }
    for text in &files.mime {
        let hint = "write --mime ENDING=TYPE, such as --mime log=text/plain";
        let failure = |what: &dyn fmt::Display| {
            Failure::new(Code::Usage, format_args!("--mime {text}: {what}")).hint(hint)
        };
        let (ending, media_type) = text.split_once('=').ok_or_else(|| failure(&"no ="))?;
        types
            .set(ending, media_type)
            .map_err(|error| failure(&error))?;
    }
    Ok(types)
}

/// The fields that an answer has without being told, and those that would change its end.
const OWN_FIELDS: [&str; 17] = [
    "Accept-Ranges",
    "Body-Framing",
    "Connection",
    "Content-Digest",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Repr-Digest",
    "Server",
    "Transfer-Encoding",
    "X-Content-Type-Options",
];

fn further_fields(lines: &[String]) -> Result<Fields, Failure> {
    let mut fields = Fields::new();
    for line in lines {
        let failure = |what: &dyn fmt::Display| {
            Failure::new(Code::Usage, format_args!("--header {line:?}: {what}"))
                .hint("write a name, a colon and a value: --header 'Cache-Control: max-age=60'")
        };
        let (name, value) = line.split_once(':').ok_or_else(|| failure(&"no colon"))?;
        if OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(failure(&"the server says this itself").hint("leave it out"));
        }
        fields.push(name, value.trim());
        // What cannot be asked cannot be answered either.
        request::write(&mut Vec::new(), Method::Get, "/", &fields)
            .map_err(|error| failure(&error))?;
    }
    Ok(fields)
}

/// What to do when a folder cannot be served.
fn other_root(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "allow its users to read it, or name another folder",
        _ if exit::is_out_of_files(error) => exit::MAKE_ROOM,
        _ => "name the folder: cli serve FOLDER",
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let (code, hint) = match &error {
            ServeError::NotAvailable(what) => (Code::NotAvailable, Some(exit::way_out(what))),
            ServeError::Bind(BindError::Socket(
                SocketError::RawForbidden | SocketError::KernelAnswersToo(_),
            )) => (Code::NotAvailable, Some(exit::TRY_UDP)),
            ServeError::Root(_, error) => (Code::Usage, Some(other_root(error))),
            ServeError::Udp(BindError::InUse(_)) => (
                Code::Connect,
                Some("choose another with --udp-port, or 0 for any"),
            ),
            ServeError::Bind(BindError::Socket(SocketError::OutOfResources(_)))
            | ServeError::Udp(BindError::Socket(SocketError::OutOfResources(_)))
            | ServeError::System(_) => (Code::Receive, Some(exit::MAKE_ROOM)),
            ServeError::Udp(BindError::Forbidden(_)) => {
                (Code::Connect, Some("choose another with --udp-port"))
            }
            ServeError::Bind(error) | ServeError::Udp(error) => {
                (Code::Connect, Some(exit::other_address(error)))
            }
            ServeError::LogFile(..) => (
                Code::Write,
                Some("name a file that you may write to, or leave out --log-file"),
            ),
            ServeError::User(..) => (
                Code::Usage,
                Some("only root can become another user: leave --user out, or start as root"),
            ),
            ServeError::Sandbox(_) => (Code::NotAvailable, Some("--no-sandbox does without")),
            ServeError::Sight(_) => (Code::Write, None),
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
