//! The kernel tests and benchmarks: two guests at once, each with its share of the groups.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::uml::{Guest, GuestError};
use crate::{Result, build, packages};

/// The groups of cases that each guest runs. Those on a network with delay and loss mostly wait,
/// those without need the processor: one guest of each sort suits two cores.
const GUESTS: [(&str, &[&str]); 2] = [
    (
        "plain",
        &[
            "matrix", "peers", "trace", "limits", "memory", "several", "probe",
        ],
    ),
    ("netem", &["matrix-netem", "repair", "failover"]),
];

/// Runs the cases whose names contain one of the filters, or all; `--list` prints their names.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let runner = build::executable(
        "kernel",
        &["test", "--package", "tests", "--test", "kernel", "--no-run"],
    )?;
    if arguments.iter().any(|argument| argument == "--list") {
        let status = Command::new(runner).args(arguments).status()?;
        return Ok(if status.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let report = run_cases(&runner, arguments)?;
    println!("{report}");
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs all cases for `cargo xtask test` and returns their count.
pub(crate) fn run_all() -> Result<Report> {
    let runner = build::executable(
        "kernel",
        &["test", "--package", "tests", "--test", "kernel", "--no-run"],
    )?;
    run_cases(&runner, &[])
}

/// Runs the benchmarks of the kernel's protocols in a guest.
pub(crate) fn bench(arguments: &[OsString]) -> Result<ExitCode> {
    packages::require(&[packages::BOOT, packages::KERNEL_BENCH])?;
    let runner = build::bench("kernel")?;
    let mut guest = guest_for(&build::cli()?);
    guest.timeout = Duration::from_secs(900);
    let command = [&[runner.into_os_string()], arguments].concat();
    let status = guest.run(&command, io::stdout(), io::stderr())?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

/// How many of the expected cases passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    passed: usize,
    expected: usize,
}

impl Report {
    /// Whether there were cases and none failed or went missing.
    pub(crate) fn passed(self) -> bool {
        self.expected > 0 && self.passed == self.expected
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "kernel tests: {} of {} cases passed",
            self.passed, self.expected
        )
    }
}

fn run_cases(runner: &Path, filters: &[OsString]) -> Result<Report> {
    packages::require(&[packages::BOOT, packages::KERNEL_TESTS])?;
    let guest = guest_for(&build::cli()?);
    let mut shares = Vec::new();
    for (name, groups) in GUESTS {
        let arguments: Vec<OsString> = groups
            .iter()
            .flat_map(|group| ["--group".into(), group.into()])
            .chain(filters.iter().cloned())
            .collect();
        let expected = count_cases(runner, &arguments)?;
        if expected > 0 {
            shares.push(Share {
                name,
                runner,
                arguments,
                expected,
            });
        }
    }
    if shares.is_empty() {
        return Err("no kernel test has such a name (see `cargo xtask kernel --list`)".into());
    }
    let terminal = Mutex::new(());
    let reports: Vec<Report> = thread::scope(|scope| {
        let running: Vec<_> = shares
            .iter()
            .map(|share| scope.spawn(|| share.run(&guest, &terminal)))
            .collect();
        running
            .into_iter()
            .filter_map(|share| share.join().ok())
            .collect()
    });
    Ok(Report {
        passed: reports.iter().map(|report| report.passed).sum(),
        expected: shares.iter().map(|share| share.expected).sum(),
    })
}

fn guest_for(cli: &Path) -> Guest {
    Guest {
        memory: 1536,
        timeout: Duration::from_secs(1200),
        env: vec![
            ("CLI_BIN".into(), cli.into()),
            // The guest's own memory: locks and file times are not those of the host.
            ("TMPDIR".into(), "/run".into()),
        ],
        ..Guest::default()
    }
}

fn count_cases(runner: &Path, arguments: &[OsString]) -> Result<usize> {
    let output = Command::new(runner)
        .arg("--list")
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().count())
}

/// What one guest does.
struct Share<'a> {
    name: &'static str,
    runner: &'a Path,
    arguments: Vec<OsString>,
    expected: usize,
}

impl Share<'_> {
    fn run(&self, guest: &Guest, terminal: &Mutex<()>) -> Report {
        let mut command = vec![self.runner.as_os_str().to_owned()];
        command.extend_from_slice(&self.arguments);
        let mut stdout = LineWriter::new(self.name, terminal);
        let stderr = LineWriter::new(self.name, terminal);
        let passed = match guest.run(&command, &mut stdout, stderr) {
            Ok(0) => self.expected,
            Ok(status) => {
                let passed = stdout.last.as_deref().and_then(passed_in);
                self.say(terminal, &format!("the tests ended with status {status}"));
                // A status other than 0 is a failure, whatever the last line says.
                passed.unwrap_or(0).min(self.expected - 1)
            }
            Err(error @ (GuestError::TimedOut(_) | GuestError::Died(..))) => {
                self.say(terminal, &error.to_string());
                0
            }
            Err(error) => {
                self.say(terminal, &format!("the guest did not boot: {error}"));
                0
            }
        };
        Report {
            passed,
            expected: self.expected,
        }
    }

    fn say(&self, terminal: &Mutex<()>, text: &str) {
        let _ = writeln!(LineWriter::new(self.name, terminal), "{text}");
    }
}

/// The number of passed cases in a line `kernel: 63 of 64 cases passed`.
fn passed_in(line: &str) -> Option<usize> {
    line.strip_prefix("kernel: ")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// Prints whole lines, each with the guest's name, so that two guests can share a terminal.
struct LineWriter<'a> {
    name: &'static str,
    terminal: &'a Mutex<()>,
    pending: Vec<u8>,
    last: Option<String>,
}

impl<'a> LineWriter<'a> {
    fn new(name: &'static str, terminal: &'a Mutex<()>) -> Self {
        Self {
            name,
            terminal,
            pending: Vec::new(),
            last: None,
        }
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let _turn = self.terminal.lock();
            println!("{:5} | {line}", self.name);
            self.last = Some(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_count_of_a_run() {
        assert_eq!(passed_in("kernel: 63 of 64 cases passed"), Some(63));
        assert_eq!(passed_in("ok    matrix/sctp"), None);
    }

    #[test]
    fn remembers_the_last_whole_line() {
        let terminal = Mutex::new(());
        let mut writer = LineWriter::new("test", &terminal);
        writer.write_all(b"one\ntw").unwrap();
        writer.write_all(b"o\nthree").unwrap();
        assert_eq!(writer.last.as_deref(), Some("two"));
    }

    #[test]
    fn nothing_run_is_not_a_success() {
        assert!(!Report::default().passed());
    }
}
