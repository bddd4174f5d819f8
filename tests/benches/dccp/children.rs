//! Servers, each a process of its own, stopped when dropped.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::Result;

/// The word by which this program knows that it is to be a server.
pub(crate) const SERVE: &str = "--serve";

/// A server that listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program as the server called `role`, which says where it listens.
    pub(crate) fn start(role: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args([SERVE, role])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .map_err(|error| format!("{role} said {line:?}: {error}"))?;
        Ok(Self { child, address })
    }

    /// One that is started otherwise.
    pub(crate) fn new(child: Child, address: SocketAddr) -> Self {
        Self { child, address }
    }

    /// Lets it run on that processor only.
    pub(crate) fn pin(&self, processor: &str) -> Result<()> {
        pin(self.child.id(), processor)
    }

    /// The processor time that it and this process have used, in seconds.
    pub(crate) fn processor_time(&self) -> Result<f64> {
        Ok(processor_time(&self.child.id().to_string())? + processor_time("self")?)
    }

    /// The memory that it has now, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.ok_or("no VmRSS")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets a process run on some processors only, in the form of taskset(1).
pub(crate) fn pin(process: u32, processors: &str) -> Result<()> {
    let output = Command::new("taskset")
        .args(["-acp", processors, &process.to_string()])
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

/// Of one process, in user mode and in the kernel.
fn processor_time(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = ticks
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    // proc_pid_stat(5): in units of sysconf(_SC_CLK_TCK), which is 100 on every Linux of today.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Says to the process that started this one where it listens.
pub(crate) fn announce(address: SocketAddr) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{address}")?;
    Ok(stdout.flush()?)
}
