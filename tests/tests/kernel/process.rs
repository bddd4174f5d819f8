//! Processes that are watched, and ended whatever happens.

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What went wrong, for people to read.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

#[expect(
    clippy::disallowed_methods,
    reason = "real programs are timed over a real kernel"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "what other processes do is seen by looking again"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Looks again and again until `look` sees something or `limit` has passed.
pub(crate) fn poll<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = now();
    loop {
        let seen = look();
        if seen.is_some() || begin.elapsed() > limit {
            return seen;
        }
        pause(Duration::from_millis(10));
    }
}

/// A process whose output is collected. It is killed when this is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    stdout: Collected,
    stderr: Collected,
}

impl Running {
    /// Starts `command` with an empty standard input.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let name = describe(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let stdout = Collected::from(child.stdout.take());
        let stderr = Collected::from(child.stderr.take());
        Ok(Self {
            name,
            child,
            stdout,
            stderr,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits until the process has written `text`.
    pub(crate) fn wait_for(&mut self, text: &str, limit: Duration) -> Result<(), Failure> {
        let ready = poll(limit, || {
            if self.stderr().contains(text) || self.stdout().contains(text) {
                return Some(true);
            }
            self.has_ended().then_some(false)
        });
        match ready {
            Some(true) => Ok(()),
            Some(false) => Err(format!(
                "{} ended before it said {text:?}\n{}",
                self.name,
                self.tail()
            )
            .into()),
            None => Err(format!(
                "{} did not say {text:?} within {limit:?}\n{}",
                self.name,
                self.tail()
            )
            .into()),
        }
    }

    /// Sends a signal, named as `kill` names it.
    pub(crate) fn signal(&self, signal: &str) -> Result<(), Failure> {
        let kill = format!("kill -{signal} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{kill} failed").into())
        }
    }

    /// Waits for the end; a process that takes longer than `limit` is killed, which is a failure.
    pub(crate) fn wait(mut self, limit: Duration) -> Result<Finished, Failure> {
        let Some(status) = poll(limit, || self.child.try_wait().transpose()) else {
            self.kill();
            return Err(
                format!("{} was killed after {limit:?}\n{}", self.name, self.tail()).into(),
            );
        };
        Ok(Finished {
            name: self.name.clone(),
            status: status?,
            stdout: self.stdout.finish(),
            stderr: String::from_utf8_lossy(&self.stderr.finish()).into_owned(),
        })
    }

    /// The end of what the process said, for error messages.
    pub(crate) fn tail(&self) -> String {
        tail(&self.stderr())
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process that has ended.
pub(crate) struct Finished {
    name: String,
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    /// The exit code; `None` if a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Checks the exit code.
    pub(crate) fn expect(self, code: i32) -> Result<Self, Failure> {
        if self.code() == Some(code) {
            return Ok(self);
        }
        let end = match (self.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => self.status.to_string(),
        };
        Err(format!(
            "{} ended with {end}, not {code}\n{}",
            self.name,
            tail(&self.stderr)
        )
        .into())
    }
}

/// Runs `command` to its end, which must come within `limit`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Finished, Failure> {
    Running::start(command)?.wait(limit)
}

/// Checks that two files hold the same bytes, without having them in memory.
pub(crate) fn expect_equal(expected: &Path, found: &Path) -> Result<(), Failure> {
    let length = fs::metadata(expected)?.len();
    let found_length = fs::metadata(found)
        .map_err(|error| format!("{}: {error}", found.display()))?
        .len();
    if length != found_length {
        return Err(format!("{} has {found_length} bytes, not {length}", found.display()).into());
    }
    let mut expected = fs::File::open(expected)?;
    let mut file = fs::File::open(found)?;
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut offset = 0;
    loop {
        let count = expected.read(&mut left)?;
        if count == 0 {
            return Ok(());
        }
        file.read_exact(&mut right[..count])?;
        if let Some(place) = (0..count).find(|&place| left[place] != right[place]) {
            return Err(format!("{} differs at byte {}", found.display(), offset + place).into());
        }
        offset += count;
    }
}

/// What a pipe has brought so far.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Collected {
    fn from(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let reader = pipe.map(|mut pipe| {
            let bytes = Arc::clone(&bytes);
            thread::spawn(move || {
                let mut buffer = [0; 8192];
                loop {
                    let count = pipe.read(&mut buffer)?;
                    if count == 0 {
                        return Ok(());
                    }
                    bytes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&buffer[..count]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the process and all that hold its pipe have closed it.
    fn finish(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.bytes()
    }
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<String> = [program.to_string_lossy().into_owned()]
        .into_iter()
        .chain(words)
        .collect();
    format!("`{}`", words.join(" "))
}

/// The last lines, and of long ones the beginning.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(15)..];
    let clipped: Vec<String> = last.iter().map(|line| format!("{line:.200}")).collect();
    clipped.join("\n")
}
