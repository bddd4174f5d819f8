//! What the cases share: the program under test, files to serve, ports, and other people's programs.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use crate::process::{Failure, Running};
use crate::workspace;

/// The time a server has to say that it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The 64 MiB of random bytes.
pub(crate) const RANDOM: &str = "random.bin";

/// 8 MiB of random bytes: enough to be interrupted on a slow network.
pub(crate) const MEDIUM: &str = "medium.bin";

/// The files of www that are served as they are.
const COPIED: [&str; 5] = [
    "index.html",
    "second.html",
    "cat.png",
    "video.mp4",
    "empty.txt",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    Sctp,
    Dccp,
}

impl Proto {
    pub(crate) const ALL: [Self; 2] = [Self::Sctp, Self::Dccp];
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    Std,
    Mio,
}

impl Driver {
    pub(crate) const ALL: [Self; 2] = [Self::Std, Self::Mio];
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Std => "std",
            Self::Mio => "mio",
        })
    }
}

pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const LOCALHOST_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The place where cases work.
pub(crate) struct Lab {
    cli: PathBuf,
    python: PathBuf,
    scratch: PathBuf,
    port: AtomicU16,
}

impl Lab {
    /// Makes a folder for this run, with the files to serve in it.
    pub(crate) fn new(cli: PathBuf) -> Result<Self, Failure> {
        let scratch = env::temp_dir().join(format!("kernel-tests.{}", process::id()));
        let lab = Self {
            cli,
            python: find_python()?,
            scratch,
            port: AtomicU16::new(20000),
        };
        let site = lab.site();
        fs::create_dir_all(&site)?;
        for name in COPIED {
            let from = workspace().join("www").join(name);
            fs::copy(&from, site.join(name))
                .map_err(|error| format!("{}: {error}", from.display()))?;
        }
        write_random(&site.join(RANDOM), 64 << 20, 0x5DEE_CE66_D001_2345)?;
        write_random(&site.join(MEDIUM), 8 << 20, 0x2545_F491_4F6C_DD1D)?;
        for entry in fs::read_dir(&site)? {
            // A file just written has only a weak tag, and no download of it can be resumed.
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
            fs::File::options()
                .append(true)
                .open(entry?.path())?
                .set_modified(modified)?;
        }
        Ok(lab)
    }

    /// The program under test.
    pub(crate) fn cli(&self) -> &Path {
        &self.cli
    }

    /// The folder that is served.
    pub(crate) fn site(&self) -> PathBuf {
        self.scratch.join("site")
    }

    /// A file that is served.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.site().join(name)
    }

    /// An empty folder, removed when dropped.
    pub(crate) fn folder(&self) -> Result<Folder, Failure> {
        let path = self.scratch.join(format!("case-{}", self.next_port()));
        fs::create_dir(&path)?;
        Ok(Folder { path })
    }

    /// A port that no other case uses.
    pub(crate) fn next_port(&self) -> u16 {
        self.port.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts our server on a port of its own, with `options` beside the necessary ones, and waits
    /// until it listens.
    pub(crate) fn serve(
        &self,
        proto: Proto,
        driver: Driver,
        host: IpAddr,
        options: &[&str],
    ) -> Result<Server, Failure> {
        let address = SocketAddr::new(host, self.next_port());
        let mut command = self.serve_command(proto, driver, address, options);
        Server::start(&mut command, address)
    }

    /// The command that starts our server, with `options` beside the necessary ones.
    pub(crate) fn serve_command(
        &self,
        proto: Proto,
        driver: Driver,
        address: SocketAddr,
        options: &[&str],
    ) -> Command {
        // As many descriptors as a server of many connections is given.
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n 8192 && exec \"$0\" \"$@\""])
            .arg(&self.cli)
            .arg("serve")
            .arg(self.site())
            .args([
                "--proto",
                &proto.to_string(),
                "--driver",
                &driver.to_string(),
            ])
            .args([
                "--bind",
                &address.ip().to_string(),
                "--port",
                &address.port().to_string(),
            ])
            .args(options);
        command
    }

    /// Our client; the caller adds targets and options.
    pub(crate) fn get(&self, proto: Proto, driver: Driver) -> Command {
        let mut command = Command::new(&self.cli);
        command.arg("get").args([
            "--proto",
            &proto.to_string(),
            "--driver",
            &driver.to_string(),
        ]);
        command
    }

    /// One of the Python programs in `tests/peers`.
    pub(crate) fn python(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(workspace().join("tests/peers").join(name))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Starts the course project's server in the folder that is served.
    pub(crate) fn seed_server(&self, proto: Proto, options: &[&str]) -> Result<Server, Failure> {
        let address = SocketAddr::new(LOCALHOST, self.next_port());
        let mut command = self.seed_server_command(proto, address);
        Server::start(command.args(options), address)
    }

    /// The command that starts the course project's server in the folder that is served.
    pub(crate) fn seed_server_command(&self, proto: Proto, address: SocketAddr) -> Command {
        let mut command = self.python(&format!("seed_{proto}_server.py"));
        command
            .arg(address.ip().to_string())
            .arg(address.port().to_string())
            .current_dir(self.site());
        command
    }

    /// The course project's client for one server; it writes `out.html` where it runs.
    pub(crate) fn seed_client(&self, proto: Proto, server: &Server) -> Command {
        let mut command = self.python(&format!("seed_{proto}_client.py"));
        command
            .arg(server.address.ip().to_string())
            .arg(server.address.port().to_string());
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// A server that listens; it is killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one and waits until it listens.
    pub(crate) fn start(command: &mut Command, address: SocketAddr) -> Result<Self, Failure> {
        let mut process = Running::start(command)?;
        process.wait_for("listening on", START_LIMIT)?;
        Ok(Self { process, address })
    }

    /// The URL of a file on it.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Adds what the server said last to a failure.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        format!(
            "{failure}\nthe server at {} said:\n{}",
            self.address,
            self.process.tail()
        )
        .into()
    }
}

/// A case's own folder.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The interpreter itself: a `python3` in `PATH` may be a script that chooses one, which takes
/// longer in a guest than what it starts.
fn find_python() -> Result<PathBuf, Failure> {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .map_err(|error| format!("cannot start python3: {error}"))?;
    Ok(String::from_utf8(output.stdout)?.trim_end().into())
}

/// Writes bytes that no compression or pattern makes easier, the same in each run.
fn write_random(path: &Path, length: usize, seed: u64) -> io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut state = seed;
    for _ in 0..length / 8 {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.flush()
}
