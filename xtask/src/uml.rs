//! Runs a command under user-mode-linux: a kernel with SCTP and DCCP that is an ordinary process.
//!
//! The guest's root is the host's, so the command finds its programs and files where they are; its
//! directory and environment are those of xtask. Whatever the command leaves running ends with it.

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::packages;

const INIT: &str = include_str!("uml/init.sh");
const LAUNCH: &str = include_str!("uml/launch.sh");
const XSTATE: &str = include_str!("uml/xstate.c");

/// A guest to boot for one command.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// Memory in MiB; default 1024. The host gives only what the guest touches.
    pub(crate) memory: u32,
    /// The time after which the guest is killed, boot included; default 10 minutes.
    pub(crate) timeout: Duration,
    /// Variables set in addition to xtask's own.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// The tap interface that the guest's `vec0` is joined to; default none.
    pub(crate) tap: Option<Tap>,
}

/// A tap interface of the network namespace that xtask runs in, and what the guest makes of it.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    /// The interface's name. It exists already.
    pub(crate) name: &'static str,
    /// The guest's addresses on `vec0`, each with the length of its prefix.
    pub(crate) addresses: &'static [&'static str],
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            memory: 1024,
            timeout: Duration::from_secs(600),
            env: Vec::new(),
            tap: None,
        }
    }
}

/// Why a command could not be run to its end.
#[derive(Debug)]
pub(crate) enum GuestError {
    /// The processor is not one that user-mode-linux is built for.
    Architecture,
    /// A step before the boot failed.
    Prepare(String, io::Error),
    /// The C compiler refused the library that is preloaded into linux.uml.
    Compile(String),
    /// The host forbids ptrace.
    NoPtrace(String),
    /// The guest's first process could not set it up.
    Setup(String),
    /// The guest ended before the command did; with the end of its console.
    Died(ExitStatus, String),
    /// The time was up.
    TimedOut(Duration),
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Architecture => {
                write!(
                    f,
                    "user-mode-linux exists for x86 only, and this is {}",
                    env::consts::ARCH
                )
            }
            Self::Prepare(what, error) => write!(f, "{what}: {error}"),
            Self::Compile(output) => {
                write!(f, "cc cannot compile xtask/src/uml/xstate.c:\n{output}")
            }
            Self::NoPtrace(console) => write!(
                f,
                "user-mode-linux needs ptrace, which this machine forbids. In a container: \
                 `--cap-add SYS_PTRACE --security-opt seccomp=unconfined`; else \
                 `sysctl kernel.yama.ptrace_scope` must be below 2 for an ordinary user. \
                 The kernel said:\n{console}"
            ),
            Self::Setup(why) => write!(f, "the guest cannot be set up: {why}"),
            Self::Died(status, console) => {
                write!(
                    f,
                    "the guest stopped without a result ({status}); its console ended:\n{console}"
                )
            }
            Self::TimedOut(limit) => {
                write!(
                    f,
                    "the guest was killed, it took longer than {} s",
                    limit.as_secs()
                )
            }
        }
    }
}

impl Error for GuestError {}

impl Guest {
    /// Boots, runs `command` as the guest's root and returns its exit status, 128 + N if signal N
    /// ended it. Its output goes to the two writers as it comes; its input is empty.
    pub(crate) fn run(
        &self,
        command: &[OsString],
        stdout: impl Write + Send,
        stderr: impl Write + Send,
    ) -> Result<i32, GuestError> {
        if env::consts::ARCH != "x86_64" {
            return Err(GuestError::Architecture);
        }
        let job = Job::new(&self.script(command)?)?;
        let mut uml = self.launch(&job)?;
        let (Some(leash), Some(out), Some(err)) =
            (uml.stdin.take(), uml.stdout.take(), uml.stderr.take())
        else {
            unreachable!("all three were asked for");
        };
        thread::scope(|scope| {
            scope.spawn(|| forward(out, stdout));
            scope.spawn(|| forward(err, stderr));
            let (ended, end) = mpsc::channel();
            scope.spawn(move || ended.send(uml.wait()));
            let result = match end.recv_timeout(self.timeout) {
                Ok(Ok(status)) => job.result(status),
                Ok(Err(error)) => Err(GuestError::Prepare(
                    "cannot wait for linux.uml".into(),
                    error,
                )),
                Err(_) => Err(GuestError::TimedOut(self.timeout)),
            };
            // Ends what is left of the guest, and with it the pipes that the threads read.
            drop(leash);
            result
        })
    }

    fn launch(&self, job: &Job) -> Result<Child, GuestError> {
        let kernel = packages::find_program("linux.uml").ok_or_else(|| {
            GuestError::Prepare("linux.uml".into(), io::ErrorKind::NotFound.into())
        })?;
        let mut init = OsString::from("init=");
        init.push(job.path("init"));
        let mut directory = OsString::from("umljob=");
        directory.push(&job.directory);
        let mut uml_directory = OsString::from("uml_dir=");
        uml_directory.push(&job.directory);
        let mut launch = Command::new("/bin/sh");
        launch
            .arg(job.path("launch"))
            .arg(&job.directory)
            .arg(kernel)
            .arg(format!("mem={}M", self.memory))
            .args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"])
            .arg(init)
            .args([
                "con=null",
                "con0=null,fd:1",
                "ssl=null",
                "ssl0=null,fd:8",
                "ssl1=null,fd:9",
            ])
            .arg(uml_directory)
            .args(["umid=uml", "panic=-1", "noreboot", "quiet"])
            .arg(directory)
            .arg(format!("umlrun={}M", u64::from(self.memory) * 4 / 5));
        if let Some(tap) = &self.tap {
            // No GRO: a frame on the wire is a packet, so that a capture shows what was sent.
            launch
                .arg(format!(
                    "vec0:transport=tap,ifname={},depth=128,gro=0",
                    tap.name
                ))
                .arg(format!("umlnet={}", tap.addresses.join(",")));
        }
        launch
            .env("TMPDIR", memory_directory(self.memory))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| GuestError::Prepare("cannot start linux.uml".into(), error))
    }

    /// The command with its directory and environment, as text for the guest's shell.
    fn script(&self, command: &[OsString]) -> Result<Vec<u8>, GuestError> {
        let mut script = Vec::new();
        for (name, value) in env::vars_os().chain(self.env.iter().cloned()) {
            if is_shell_name(&name) {
                script.extend_from_slice(b"export ");
                script.extend_from_slice(name.as_bytes());
                script.push(b'=');
                push_quoted(&mut script, &value);
                script.push(b'\n');
            }
        }
        let directory = env::current_dir()
            .map_err(|error| GuestError::Prepare("no current directory".into(), error))?;
        script.extend_from_slice(b"cd ");
        push_quoted(&mut script, directory.as_os_str());
        script.extend_from_slice(b" || exit 125\nexec");
        for word in command {
            script.push(b' ');
            push_quoted(&mut script, word);
        }
        script.push(b'\n');
        Ok(script)
    }
}

/// The directory through which host and guest pass each other what they need.
struct Job {
    directory: PathBuf,
}

impl Job {
    fn new(command: &[u8]) -> Result<Self, GuestError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Not TMPDIR: its path may be too long for the socket that UML makes here.
        let job = Self {
            directory: format!("/tmp/xtask-uml.{}.{number}", process::id()).into(),
        };
        let error =
            |error| GuestError::Prepare(format!("cannot use {}", job.directory.display()), error);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&job.directory)
            .map_err(error)?;
        fs::write(job.path("command"), command).map_err(error)?;
        fs::write(job.path("launch"), LAUNCH).map_err(error)?;
        fs::write(job.path("xstate.c"), XSTATE).map_err(error)?;
        fs::write(job.path("init"), INIT).map_err(error)?;
        fs::set_permissions(job.path("init"), fs::Permissions::from_mode(0o755)).map_err(error)?;
        job.compile_xstate()?;
        Ok(job)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn compile_xstate(&self) -> Result<(), GuestError> {
        let output = Command::new("cc")
            .args(["-O2", "-Wall", "-shared", "-fPIC", "-o"])
            .arg(self.path("xstate.so"))
            .arg(self.path("xstate.c"))
            .arg("-ldl")
            .output()
            .map_err(|error| GuestError::Prepare("cannot start cc".into(), error))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(GuestError::Compile(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ))
        }
    }

    /// What came of a guest that has ended.
    fn result(&self, status: ExitStatus) -> Result<i32, GuestError> {
        if let Ok(text) = fs::read_to_string(self.path("status"))
            && let Ok(status) = text.trim().parse()
        {
            return Ok(status);
        }
        if let Ok(why) = fs::read_to_string(self.path("failed")) {
            return Err(GuestError::Setup(why.trim().to_owned()));
        }
        let console = fs::read(self.path("console")).unwrap_or_default();
        let console = last_lines(&String::from_utf8_lossy(&console), 20);
        Err(if refuses_ptrace(&console) {
            GuestError::NoPtrace(console)
        } else {
            GuestError::Died(status, console)
        })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The launcher removes it too, should xtask be killed: it may be gone already.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether one of the checks that UML makes of its host before it boots failed at ptrace.
fn refuses_ptrace(console: &str) -> bool {
    console
        .lines()
        .any(|line| line.starts_with("ptrace: ") || line.starts_with("check_ptrace"))
}

/// Copies until the end. A reader that has gone is no reason to stop the guest.
fn forward(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 8192];
    while let Ok(length) = from.read(&mut buffer)
        && length > 0
    {
        let _ = to.write_all(&buffer[..length]).and_then(|()| to.flush());
    }
}

/// Where the file lies that is the guest's memory: in memory if there is room, which containers
/// often do not leave, and if programs may be mapped from there, which UML does.
fn memory_directory(mebibytes: u32) -> &'static str {
    let shared = Path::new("/dev/shm");
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let executable = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == shared.to_str()
            && !words
                .nth(1)
                .unwrap_or_default()
                .split(',')
                .any(|option| option == "noexec")
    });
    let free = Command::new("df")
        .args(["-m", "--output=avail"])
        .arg(shared)
        .output();
    let free = free.ok().and_then(|output| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .last()?
            .trim()
            .parse::<u32>()
            .ok()
    });
    if executable && free.is_some_and(|free| free >= mebibytes) {
        "/dev/shm"
    } else {
        "/tmp"
    }
}

/// Whether a shell can hold a variable of this name; others are left out, like `BASH_FUNC_x%%`.
fn is_shell_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|first| !first.is_ascii_digit())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn push_quoted(script: &mut Vec<u8>, word: &OsStr) {
    script.push(b'\'');
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => script.extend_from_slice(br"'\''"),
            byte => script.push(byte),
        }
    }
    script.push(b'\'');
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_words_for_the_shell() {
        let mut script = Vec::new();
        push_quoted(&mut script, OsStr::new("it's $HOME"));
        assert_eq!(script, br"'it'\''s $HOME'");
    }

    #[test]
    fn leaves_out_variables_that_a_shell_cannot_hold() {
        assert!(is_shell_name(OsStr::new("CARGO_HOME")));
        assert!(!is_shell_name(OsStr::new("BASH_FUNC_which%%")));
        assert!(!is_shell_name(OsStr::new("1ST")));
        assert!(!is_shell_name(OsStr::new("")));
    }

    #[test]
    fn tells_a_host_without_ptrace() {
        let console =
            "ptrace: Operation not permitted\ncheck_ptrace : expected SIGSTOP, got status = 9";
        assert!(refuses_ptrace(console));
        assert!(!refuses_ptrace(
            "Checking that ptrace can change system call numbers...OK"
        ));
    }

    #[test]
    fn keeps_the_end_of_a_console() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
