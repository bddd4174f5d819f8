//! What came of an attempt, for people and for programs.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use socket::{ConnectError, SocketError};
use transport::{Rejection, Unreachable};

use super::attempt::rebinding;
use super::note::Seen;
use crate::terminal;

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Passes(Passage),
    /// The far end's stack said no: `code` is its ABORT or Reset, where it could be seen.
    Refused {
        why: String,
        code: Option<String>,
        lacks: Lacks,
    },
    /// ICMP said that the packets did not arrive.
    Unreachable(Rejection),
    /// The system says that there is no way.
    NoWay(String),
    Silent,
    /// Something else answers at the UDP port.
    WrongProtocol(String),
    /// It cannot be tried on this machine.
    Impossible(String),
}

/// What is missing at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacks {
    Server,
    /// A server with the DCCP service code that was sent.
    ServiceCode,
}

/// What is known of a connection that came about.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) handshake: Duration,
    /// Bytes of the largest IP packet that is known to pass.
    pub(super) packet_size: Option<usize>,
    pub(super) offers: Vec<String>,
    /// Where this end believes to be, with the UDP port.
    pub(super) local: Option<SocketAddr>,
    /// Where a listener of ours saw it.
    pub(super) seen: Option<Seen>,
}

/// The verdict as JSON has it.
#[derive(Debug, Serialize)]
pub(super) struct Result {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Of ICMP: who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<Vec<String>>,
    /// Where the far end saw this end; `null` where it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebinding: Option<&'static str>,
}

impl Verdict {
    pub(super) const fn passes(&self) -> bool {
        matches!(self, Self::Passes(_))
    }

    pub(super) const fn was_tried(&self) -> bool {
        !matches!(self, Self::Impossible(_))
    }

    /// The verdict in a word or two.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Passes(_) => "passes",
            Self::Refused { .. } => "refused",
            Self::Unreachable(_) | Self::NoWay(_) => "unreachable",
            Self::Silent => "silent",
            Self::WrongProtocol(_) => "wrong protocol",
            Self::Impossible(_) => "not possible here",
        }
    }

    /// The rest of its line.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Passes(passage) => passage.to_string(),
            Self::Refused { why, code, .. } => match code {
                Some(code) => format!("{why}: {code}"),
                None => why.clone(),
            },
            Self::Unreachable(rejection) => rejection.to_string(),
            Self::Silent => "no answer in the time".to_owned(),
            Self::NoWay(why) | Self::WrongProtocol(why) | Self::Impossible(why) => why.clone(),
        }
    }

    /// What to do about it.
    pub(super) const fn advice(&self) -> &'static str {
        match self {
            Self::Passes(_) => "",
            Self::Refused {
                lacks: Lacks::Server,
                ..
            } => "the path is open; is the server running, on this --port?",
            Self::Refused {
                lacks: Lacks::ServiceCode,
                ..
            } => "the path is open; name the server's --service-code",
            Self::Unreachable(Rejection {
                why: Unreachable::Port,
                ..
            }) => "the host answers; is the server running, with this --udp-port?",
            Self::Unreachable(Rejection {
                why: Unreachable::Protocol,
                ..
            }) => "the host has no such stack: try --via udp",
            Self::Unreachable(_) => "ask who runs the network or firewall on the way",
            Self::NoWay(_) => "this machine knows no way there: look at its addresses and routes",
            Self::Silent => {
                "a firewall or NAT may drop it, or the host is down: run cli probe --listen there, \
                 and try --via udp or another --udp-port"
            }
            Self::WrongProtocol(_) => "name the server's --udp-port",
            Self::Impossible(_) => "--via udp needs nothing of the kernel",
        }
    }

    pub(super) fn result(&self) -> Result {
        let empty = Result {
            result: match self {
                Self::WrongProtocol(_) => "wrong_protocol",
                Self::Impossible(_) => "not_possible",
                other => other.word(),
            },
            detail: None,
            code: None,
            from: None,
            handshake_ms: None,
            packet_size: None,
            offers: None,
            seen: None,
            rebinding: None,
        };
        match self {
            Self::Passes(passage) => Result {
                handshake_ms: Some(passage.handshake.as_secs_f64() * 1e3),
                packet_size: passage.packet_size,
                offers: Some(passage.offers.clone()),
                seen: passage.seen.map(|seen| seen.to_string()),
                rebinding: passage.rebinding(),
                ..empty
            },
            Self::Refused { why, code, .. } => Result {
                detail: Some(why.clone()),
                code: code.clone(),
                ..empty
            },
            Self::Unreachable(rejection) => Result {
                detail: Some(rejection.to_string()),
                code: Some(format!("ICMP {}", rejection.why)),
                from: rejection.from.map(|from| from.to_string()),
                ..empty
            },
            Self::NoWay(why) | Self::WrongProtocol(why) | Self::Impossible(why) => Result {
                detail: Some(why.clone()),
                ..empty
            },
            Self::Silent => empty,
        }
    }
}

impl Passage {
    fn rebinding(&self) -> Option<&'static str> {
        Some(rebinding(self.local?, self.seen?))
    }
}

impl std::fmt::Display for Passage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", terminal::duration(self.handshake))?;
        if let Some(size) = self.packet_size {
            write!(f, "; packets of {size} bytes")?;
        }
        if !self.offers.is_empty() {
            write!(f, "; {}", self.offers.join(", "))?;
        }
        match (self.seen, self.rebinding()) {
            (Some(seen), Some("none")) => write!(f, "; no NAT (seen as {seen})"),
            (Some(seen), Some(change)) => write!(f, "; NAT: {change} (seen as {seen})"),
            (Some(seen), None) => write!(f, "; seen as {seen}"),
            (None, _) => f.write_str("; NAT not known"),
        }
    }
}

impl From<ConnectError> for Verdict {
    fn from(error: ConnectError) -> Self {
        let lacks = if matches!(error, ConnectError::ServiceCode(_)) {
            Lacks::ServiceCode
        } else {
            Lacks::Server
        };
        match error {
            ConnectError::Rejected(rejection) => Self::Unreachable(rejection),
            ConnectError::Unreachable(error) => Self::NoWay(error.to_string()),
            ConnectError::TimedOut => Self::Silent,
            ConnectError::Refused
            | ConnectError::ServiceCode(_)
            | ConnectError::Busy
            | ConnectError::Negotiation(_)
            | ConnectError::Aborted => Self::Refused {
                why: error.to_string(),
                code: None,
                lacks,
            },
            ConnectError::Socket(SocketError::NotAvailable(missing)) => {
                Self::Impossible(missing.to_string())
            }
            ConnectError::Socket(_)
            | ConnectError::Bind(_)
            | ConnectError::Cancelled
            | ConnectError::Io(_) => Self::Impossible(error.to_string()),
        }
    }
}
