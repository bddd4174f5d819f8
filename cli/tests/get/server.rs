//! A server, and clients of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

/// Both transports.
pub(crate) const BOTH: [&str; 2] = ["sctp", "dccp"];

/// When served files were changed: long enough ago to have a strong ETag.
pub(crate) const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
pub(crate) const CHANGED_UNIX: u64 = 784_111_777;

/// Where a client finds a server.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) proto: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) udp_port: u16,
}

impl Place {
    /// A client without targets, in `folder`.
    pub(crate) fn client(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = cli();
        command
            .args(["get", "--proto", self.proto, "--via", "udp"])
            .args(["--udp-port", &self.udp_port.to_string()])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    }

    /// One that fetches `path`.
    pub(crate) fn get(&self, folder: &Path, path: &str, arguments: &[&str]) -> Command {
        let mut command = self.client(folder, arguments);
        command.arg(self.target(path));
        command
    }

    pub(crate) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

/// `cli serve` with a folder of its own, on free ports.
pub(crate) struct Server {
    child: Child,
    _stderr: BufReader<ChildStderr>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) place: Place,
}

impl Server {
    pub(crate) fn start(proto: &'static str) -> Self {
        Self::start_with(proto, &[])
    }

    pub(crate) fn start_with(proto: &'static str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = cli()
            .args(["serve", "--proto", proto, "--via", "udp", "--udp-port", "0"])
            .args(["--bind", "127.0.0.1", "--port", "0", "--driver", "mio"])
            .args(arguments)
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let place = line.strip_prefix("listening on ").expect(&line);
        let mut words = place.split(' ');
        let address = words.nth(1).unwrap().parse().unwrap();
        let udp_port = line.split("udp port ").nth(1).unwrap();
        let udp_port = udp_port.split(')').next().unwrap().parse().unwrap();
        let place = Place {
            proto,
            address,
            udp_port,
        };
        Self {
            child,
            _stderr: stderr,
            folder,
            place,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Serves `content` as `name`, changed long ago.
    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        age(&File::options().write(true).open(path).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a file look as if it was changed long ago.
pub(crate) fn age(file: &File) {
    file.set_modified(changed()).unwrap();
}

pub(crate) fn changed() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(CHANGED_UNIX)
}

pub(crate) fn cli() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Bytes without a pattern.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a client that is to end with `code`, and gives what it told.
#[track_caller]
pub(crate) fn ends_with(code: i32, command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    output
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
