//! Targets as people write them.

use std::fmt;

use proto::target::{self, TargetPath};

use crate::args::Proto;
use crate::exit::{Code, Failure};

/// The port of a server that was not named at all: the one `serve` takes.
const OWN_PORT: u16 = 8080;
/// HTTP's port, for SCTP too (registered with RFC 4960).
const HTTP_PORT: u16 = 80;

/// Where something is, and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The host as typed, an IPv6 address without brackets; `None`: this machine.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    /// Whether the port was not the default, so that `Host` names it.
    named_port: bool,
    /// The request target: an escaped path with an optional query.
    pub(crate) path: String,
    /// The transport, if the target names one.
    pub(crate) proto: Option<Proto>,
}

impl Target {
    /// Reads `/path`, `host[:port]/path`, `http://host[:port]/path`, or the same with `http+sctp`
    /// or `http+dccp`. `default_port` replaces the port of a target that names none.
    pub(crate) fn parse(text: &str, default_port: Option<u16>) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            no_target(text, why).hint("write /path, host:port/path, or http://host:port/path")
        };
        let (proto, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme_proto(scheme).map_err(wrong)?, Some(rest)),
            None => (None, None),
        };
        let (authority, path) = match rest {
            None if text.starts_with('/') => (None, text),
            _ => {
                let (authority, path) = split_authority(rest.unwrap_or(text));
                (Some(authority), path)
            }
        };
        let path = path.split('#').next().unwrap_or_default();
        let path = match path {
            "" => "/".to_owned(),
            path if path.starts_with('?') => format!("/{path}"),
            path => path.to_owned(),
        };
        let (host, port) = match authority {
            Some(authority) => {
                let (host, port) = split_port(authority).map_err(wrong)?;
                (Some(host), port)
            }
            None => (None, None),
        };
        let own = if host.is_some() { HTTP_PORT } else { OWN_PORT };
        let port = port.or(default_port).unwrap_or(own);
        Ok(Self {
            named_port: port != HTTP_PORT,
            host,
            port,
            path: target::encode_path(&path),
            proto,
        })
    }

    /// Where `reference` leads that an answer to this target holds (RFC 3986 §5.2). What names no
    /// transport goes over that of this target.
    pub(crate) fn resolve(&self, reference: &str) -> Result<Self, Failure> {
        let absolute = match (scheme(reference), reference.strip_prefix("//")) {
            (Some(_), _) => Some(reference.to_owned()),
            (None, Some(rest)) => Some(format!("http://{rest}")),
            (None, None) => None,
        };
        let target = match absolute {
            // An authority must follow: http:/x is nothing that HTTP knows (RFC 9110 §4.2.1).
            Some(absolute) if !absolute.contains("://") => {
                return Err(no_target(reference, "the host is missing"));
            }
            Some(absolute) => Self::parse(&absolute, None)?,
            None => Self {
                path: target::encode_path(&self.merge(reference)),
                ..self.clone()
            },
        };
        let (path, query) = split_query(&target.path);
        Ok(Self {
            path: format!("{}{query}", remove_dot_segments(path)),
            proto: target.proto.or(self.proto),
            ..target
        })
    }

    /// The path and query of a reference without an authority (RFC 3986 §5.2.2, §5.2.3).
    fn merge(&self, reference: &str) -> String {
        let reference = reference.split('#').next().unwrap_or_default();
        let (path, _) = split_query(&self.path);
        match reference.as_bytes().first() {
            None => self.path.clone(),
            Some(b'?') => format!("{path}{reference}"),
            Some(b'/') => reference.to_owned(),
            Some(_) => {
                let folder = path.rfind('/').map_or("", |last| &path[..last]);
                format!("{folder}/{reference}")
            }
        }
    }

    /// Whether `other` is of the same server.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let place = |target: &Self| {
            let host = target.host.as_ref().map(|host| host.to_ascii_lowercase());
            (host, target.port, target.proto)
        };
        place(self) == place(other)
    }

    /// The whole of it, as a link would have it. `proto` is the transport if it names none.
    pub(crate) fn url(&self, proto: Proto) -> String {
        let scheme = match self.proto.unwrap_or(proto) {
            Proto::Sctp => "http+sctp",
            Proto::Dccp => "http+dccp",
        };
        format!("{scheme}://{}{}", self.host_field("127.0.0.1"), self.path)
    }

    /// The value of the `Host` field; `fallback` is the address of a server without a name.
    pub(crate) fn host_field(&self, fallback: &str) -> String {
        let host = self.host.as_deref().unwrap_or(fallback);
        let host = if host.contains(':') {
            // A zone names an interface of this machine, which no server can know.
            format!("[{}]", host.split('%').next().unwrap_or_default())
        } else {
            host.to_owned()
        };
        if self.named_port {
            format!("{host}:{}", self.port)
        } else {
            host
        }
    }

    /// The name to save under: the last segment of the path, and `index.html` for a folder.
    pub(crate) fn file_name(&self) -> String {
        match TargetPath::parse(&self.path) {
            Ok(path) if path.is_directory() => Some("index.html".to_owned()),
            Ok(path) => path.segments().last().and_then(|name| as_file_name(name)),
            // The server will refuse it, most likely; if not, its bytes need some name.
            Err(_) => None,
        }
        .unwrap_or_else(|| "download".to_owned())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(_) => write!(f, "{}{}", self.host_field(""), self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// A name that can be saved under as it is: one that people can read and that hides nothing.
fn as_file_name(name: &[u8]) -> Option<String> {
    let name = str::from_utf8(name).ok()?;
    let harmless = !name.starts_with('.') && !name.contains(|c: char| c == '\\' || c.is_control());
    harmless.then(|| name.to_owned())
}

fn no_target(text: &str, why: &str) -> Failure {
    let message = format_args!("{text:?} is not a target: {why}");
    Failure::new(Code::BadUrl, message)
}

/// The scheme that a reference begins with (RFC 3986 §3.1).
fn scheme(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (begins && scheme.bytes().all(is_part)).then_some(scheme)
}

/// A path, and its query with the question mark.
fn split_query(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            // What it stood for is a folder.
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn scheme_proto(scheme: &str) -> Result<Option<Proto>, &'static str> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(None),
        "http+sctp" => Ok(Some(Proto::Sctp)),
        "http+dccp" => Ok(Some(Proto::Dccp)),
        "https" => Err("there is no TLS here"),
        _ => Err("the scheme is not http, http+sctp or http+dccp"),
    }
}

fn split_authority(text: &str) -> (&str, &str) {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    text.split_at(end)
}

fn split_port(authority: &str) -> Result<(String, Option<u16>), &'static str> {
    if authority.contains('@') {
        return Err("user names are not supported");
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("the ] of an IPv6 address is missing")?;
        let port = match rest {
            "" => None,
            _ => Some(
                rest.strip_prefix(':')
                    .ok_or("there is something behind the ]")?,
            ),
        };
        (host, port)
    } else {
        match authority.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return Err("an IPv6 address belongs in [brackets]");
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    // As of `-C -`, which curl wants and this program does not.
    if host.starts_with('-') {
        return Err("no host begins with a dash");
    }
    if host.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return Err("the host has a space or control character");
    }
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("the port is not between 1 and 65535"),
        },
        Some(_) => return Err("the port is not a number"),
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Target {
        Target::parse(text, None).unwrap()
    }

    #[test]
    fn a_path_alone_is_of_this_machine() {
        let target = parse("/video.mp4");
        assert_eq!((target.host.as_deref(), target.port), (None, 8080));
        assert_eq!(target.path, "/video.mp4");
        assert_eq!(target.file_name(), "video.mp4");
        assert_eq!(target.host_field("127.0.0.1"), "127.0.0.1:8080");
        assert_eq!(Target::parse("/", Some(90)).unwrap().port, 90);
    }

    #[test]
    fn hosts_ports_and_schemes_are_understood() {
        let target = parse("example.org:8081/a/b?c=d#e");
        assert_eq!(target.host.as_deref(), Some("example.org"));
        assert_eq!((target.port, target.path.as_str()), (8081, "/a/b?c=d"));
        assert_eq!(target.host_field(""), "example.org:8081");
        let target = parse("http://example.org");
        assert_eq!((target.port, target.path.as_str()), (80, "/"));
        assert_eq!(target.host_field(""), "example.org");
        assert_eq!(parse("http+dccp://[::1]:8080/x").proto, Some(Proto::Dccp));
        assert_eq!(parse("HTTP+SCTP://h/x").proto, Some(Proto::Sctp));
        assert_eq!(parse("[fe80::1%eth0]:1/").host_field(""), "[fe80::1]:1");
        assert_eq!(parse("h?q").path, "/?q");
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_has_them() {
        // RFC 3986 §5.4, as far as it is of HTTP.
        let base = parse("http://a/b/c/d;p?q");
        for (reference, path) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            (";x", "/b/c/;x"),
            ("g;x?y#s", "/b/c/g;x?y"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./g/.", "/b/c/g/"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("größe", "/b/c/gr%C3%B6%C3%9Fe"),
        ] {
            let target = base.resolve(reference).unwrap();
            assert_eq!(target.path, path, "{reference}");
            assert!(target.is_beside(&base), "{reference}");
        }
        let there = base.resolve("//g").unwrap();
        assert_eq!(
            (there.host.as_deref(), there.port, &*there.path),
            (Some("g"), 80, "/")
        );
    }

    #[test]
    fn a_reference_leads_nowhere_but_to_sctp_and_dccp() {
        let base = parse("http+dccp://h:8080/x");
        let there = base.resolve("http://other/../y").unwrap();
        assert_eq!(
            (there.proto, there.port, &*there.path),
            (Some(Proto::Dccp), 80, "/y")
        );
        let there = base.resolve("http+sctp://h:8080/y").unwrap();
        assert!(there.proto == Some(Proto::Sctp) && !there.is_beside(&base));
        assert_eq!(there.url(Proto::Dccp), "http+sctp://h:8080/y");
        for reference in [
            "file:///etc/passwd",
            "https://h/",
            "ftp://h/",
            "http:x",
            "javascript:1",
            "//",
            "http://u@h/",
        ] {
            assert_eq!(
                base.resolve(reference).unwrap_err().code,
                Code::BadUrl,
                "{reference}"
            );
        }
    }

    #[test]
    fn hk7_a_file_name_is_harmless() {
        assert_eq!(parse("/a b/größe.txt").path, "/a%20b/gr%C3%B6%C3%9Fe.txt");
        assert_eq!(parse("/a/gr%C3%B6%C3%9Fe.txt?x").file_name(), "größe.txt");
        assert_eq!(parse("/folder/").file_name(), "index.html");
        assert_eq!(parse("/100%25.txt").file_name(), "100%.txt");
        for text in ["/..", "/a/..%2fb", "/.profile", "/%00", "/a/%0ab"] {
            assert_eq!(parse(text).file_name(), "download", "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_said_to_be_none() {
        for text in [
            "https://example.org/",
            "ftp://example.org/",
            "http:///x",
            "h:0/",
            "h:65536/",
            "h:x/",
            "::1/x",
            "[::1/x",
            "[::1]x/",
            "user@h/",
            "a b/",
            "-",
            "-h:8080/",
            "",
        ] {
            let failure = Target::parse(text, None).unwrap_err();
            assert_eq!(failure.code, Code::BadUrl, "{text}");
        }
    }
}
