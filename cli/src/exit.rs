//! How the program ends: one table of exit codes, and from each failure to its line and code.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use rustix::io::Errno;
use socket::{BindError, NotAvailable, Protocol};

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

/// What to do where an address to bind to cannot be had.
pub(crate) const fn other_address(error: &BindError) -> &'static str {
    match error {
        BindError::NotLocal(_) => "`ip address` lists those that --bind may name",
        BindError::InUse(_) | BindError::Forbidden(_) | BindError::PortsDiffer => {
            "choose another with --port, or 0 for any"
        }
        BindError::NoAddress | BindError::ManyAddresses => "name one with --bind",
        BindError::Socket(_) => TRY_UDP,
        BindError::Io(..) => "choose another with --bind",
    }
}

/// What to do where the system has no descriptor or memory left.
pub(crate) const MAKE_ROOM: &str = "close other programs, or allow more open files (ulimit -n)";

/// Whether the process, or the system, has too many files open.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    let numbers = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|number| numbers.contains(&number))
}

/// What to do when it may be the moment.
pub(crate) const TRY_AGAIN: &str = "try again";

/// What to do when a server breaks a rule.
pub(crate) const TELL_SERVER: &str = "the server is at fault: tell who runs it";

/// A failure that a person is told of, in one line: what happened, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
    hint: Option<String>,
    silent: bool,
}

impl Failure {
    /// What the system says of an error stays, its number goes: it tells people nothing.
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: without_numbers(&message.to_string()),
            hint: None,
            silent: false,
        }
    }

    /// Somebody sent a signal, and knows what to do.
    pub(crate) fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted")
    }

    /// The program could not be told of signals.
    pub(crate) fn no_signals(error: &io::Error) -> Self {
        let message = format_args!("cannot wait for signals: {error}");
        Self::new(Code::Receive, message).hint(MAKE_ROOM)
    }

    /// What it means that a file cannot be written.
    pub(crate) fn cannot_write(name: &Path, error: &io::Error) -> Self {
        let name = terminal::printable(name.as_os_str().as_encoded_bytes());
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "make its folder first, or name another file",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "a file is where a folder should be: name another"
            }
            io::ErrorKind::IsADirectory => "a folder has this name: name another file",
            io::ErrorKind::InvalidFilename => "name a shorter one",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "name a file in a folder that you may write to"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room on the disk, or name a file on another"
            }
            _ if is_out_of_files(error) => MAKE_ROOM,
            _ => "name a file elsewhere",
        };
        Self::new(Code::Write, format_args!("cannot write {name}: {error}")).hint(hint)
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

    /// Adds what else to do next.
    #[must_use]
    pub(crate) fn and_hint(self, hint: impl fmt::Display) -> Self {
        match &self.hint {
            Some(first) => {
                let hint = format!("{first}; {hint}");
                self.hint(hint)
            }
            None => self.hint(hint),
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

/// A message without the ` (os error 2)` that errors of the system end in.
fn without_numbers(message: &str) -> String {
    const START: &str = " (os error ";
    let mut rest = message;
    let mut kept = String::with_capacity(message.len());
    while let Some((before, after)) = rest.split_once(START) {
        kept.push_str(before);
        let number = after.trim_start_matches(|char: char| char.is_ascii_digit());
        rest = match number.strip_prefix(')') {
            Some(behind) if number.len() < after.len() => behind,
            _ => {
                kept.push_str(START);
                after
            }
        };
    }
    kept + rest
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
    fn numbers_of_the_system_are_left_out() {
        let error = io::Error::from_raw_os_error(2);
        let failure = Failure::new(Code::Write, format_args!("a: {error}; b: {error}."));
        assert_eq!(
            failure.message(),
            "a: No such file or directory; b: No such file or directory."
        );
        for other in ["x (os error )", "x (os error 2", "x (os error y)"] {
            assert_eq!(Failure::new(Code::Write, other).message(), other);
        }
    }

    #[test]
    fn hints_are_joined() {
        let failure = Failure::new(Code::Write, "a").and_hint("b").and_hint("c");
        assert_eq!(failure.to_string(), "a; b; c");
    }

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
