//! How the program ends: one table of exit codes, and from each failure to its line and code.

use std::fmt;
use std::process::ExitCode;

use socket::{NotAvailable, Protocol};

use crate::terminal;

/// Exit codes. Where curl has a code for the same, it is curl's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Usage = 2,
    BadUrl = 3,
    Resolve = 6,
    Connect = 7,
    Incomplete = 18,
    Status = 22,
    Write = 23,
    Timeout = 28,
    Range = 33,
    Redirects = 47,
    Send = 55,
    Receive = 56,
    TooLarge = 63,
    NotAvailable = 100,
    Digest = 101,
    Aborted = 102,
    Unverified = 103,
    Interrupted = 130,
    Terminated = 143,
}

impl Code {
    /// All of them, ascending.
    pub(crate) const ALL: [Self; 19] = [
        Self::Usage,
        Self::BadUrl,
        Self::Resolve,
        Self::Connect,
        Self::Incomplete,
        Self::Status,
        Self::Write,
        Self::Timeout,
        Self::Range,
        Self::Redirects,
        Self::Send,
        Self::Receive,
        Self::TooLarge,
        Self::NotAvailable,
        Self::Digest,
        Self::Aborted,
        Self::Unverified,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// What it means, for the manual. README.md has the same words.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Usage => "wrong usage",
            Self::BadUrl => "not a target",
            Self::Resolve => "host not found",
            Self::Connect => {
                "connection refused, host unreachable, or (serve) the address cannot be had"
            }
            Self::Incomplete => "the body is incomplete",
            Self::Status => "the server answered with a status of 300 or more",
            Self::Write => "cannot write",
            Self::Timeout => "time is up, or nobody answers",
            Self::Range => "the server did not honour the range",
            Self::Redirects => "the server led elsewhere too often, or in a circle",
            Self::Send => "sending failed",
            Self::Receive => "receiving failed",
            Self::TooLarge => "larger than --max-filesize",
            Self::NotAvailable => "the protocol is not available on this machine",
            Self::Digest => "the bytes do not agree with the server's digest, or with --sha256",
            Self::Aborted => "aborted by the peer",
            Self::Unverified => {
                "received over DCCP from a server that says nothing to check it with"
            }
            Self::Interrupted => "interrupted",
            Self::Terminated => "ended by SIGTERM",
        }
    }
}

/// What to do on a machine whose kernel has not the protocol.
pub(crate) const fn way_out(missing: &NotAvailable) -> &'static str {
    match missing.protocol {
        Protocol::Sctp | Protocol::Dccp => TRY_UDP,
    }
}

/// What to do where a carrier is not to be had.
pub(crate) const TRY_UDP: &str = "--via udp needs nothing of the kernel";

/// A failure that a person is told of, in one line: what happened, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
    hint: Option<String>,
    silent: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: None,
            silent: false,
        }
    }

    /// A failure that nobody needs to be told of.
    pub(crate) fn silent(code: Code) -> Self {
        Self {
            silent: true,
            ..Self::new(code, "")
        }
    }

    /// What happened, without what to do.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether nobody needs to be told.
    #[cfg(test)]
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds what to do next, if nothing else is to be done.
    #[must_use]
    pub(crate) fn or_hint(self, hint: impl fmt::Display) -> Self {
        if self.hint.is_some() {
            self
        } else {
            self.hint(hint)
        }
    }

    /// Puts what it is about in front.
    #[must_use]
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Tells people, and leaves what the program ends with.
    pub(crate) fn report(&self, command: &str) -> Code {
        if !self.silent {
            terminal::tell(&format!("cli {command}: {self}\n"));
        }
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_code_with_its_meaning() {
        let readme = include_str!("../../README.md");
        let (_, table) = readme.split_once("| exit code | meaning |\n").unwrap();
        let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
        let rows: Vec<String> = rows.map(|row| row.replace('`', "")).collect();
        let expected = Code::ALL.map(|code| format!("| {} | {} |", code as u8, code.meaning()));
        assert_eq!(rows, expected);
    }
}
