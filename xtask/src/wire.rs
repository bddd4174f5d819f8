//! The wire tests: our stacks in raw IP and UDP on this machine, the kernel's in a guest, and between
//! them a tap interface in a network namespace, where a capture sees each packet.
//!
//! The namespace has no way out and ends with the command, so that neither the interface nor the
//! addresses can meet those of the machine.

use std::env;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;
use std::time::Duration;

use crate::uml::{Guest, Tap};
use crate::{Result, build, packages};

/// What the second xtask, inside the namespace, is told to do.
pub(crate) const INSIDE: &str = "wire-inside";

const TAP: Tap = Tap {
    name: "wire",
    addresses: &["192.0.2.2/24", "2001:db8::2/64"],
};
const HOST: [&str; 2] = ["192.0.2.1/24", "2001:db8::1/64"];

/// Where the guest takes commands from the tests: on both of its addresses.
const AGENT: &str = "[::]:700";
const AGENTS: [&str; 2] = ["192.0.2.2:700", "[2001:db8::2]:700"];

/// Packets of Ethernet's size.
const MTU: &str = "1500";

/// All the time that the tests may take.
const LIMIT: Duration = Duration::from_secs(700);

/// What came of the wire tests.
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// They cannot run on this machine.
    Skipped(String),
}

/// Runs the cases whose names contain one of the filters, or all; `--list` prints their names.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    if arguments.iter().any(|argument| argument == "--list") {
        let status = Command::new(runner()?)
            .arg("--wire")
            .args(arguments)
            .status()?;
        return Ok(exit_code(status));
    }
    Ok(match run_cases(arguments)? {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::FAILURE,
        Outcome::Skipped(why) => {
            println!("wire tests: not run: {why}");
            ExitCode::from(125)
        }
    })
}

/// Makes the namespace and runs the cases in it.
pub(crate) fn run_cases(filters: &[OsString]) -> Result<Outcome> {
    packages::require(&[packages::BOOT, packages::KERNEL_TESTS, packages::WIRE_TESTS])?;
    if let Some(why) = missing_tap() {
        return Ok(Outcome::Skipped(why));
    }
    let unshare = match namespace() {
        Ok(unshare) => unshare,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let (cli, runner) = (build::cli()?, runner()?);
    let status = unshare
        .command()
        .arg(env::current_exe()?)
        .arg(INSIDE)
        .arg(runner)
        .args(filters)
        .env("CLI_BIN", cli)
        .status()?;
    Ok(if status.success() {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

/// What the second xtask does: the interface, the guest, and the tests beside it.
pub(crate) fn inside(arguments: &[OsString]) -> Result<ExitCode> {
    let [runner, filters @ ..] = arguments else {
        return Err("the test runner is not named".into());
    };
    // No trains on the loopback interface: a capture shall see each packet by itself.
    ip(&["link", "set", "lo", "gso_max_segs", "1", "up"])?;
    ip(&["tuntap", "add", "dev", TAP.name, "mode", "tap"])?;
    for address in HOST {
        let nodad = if address.contains(':') {
            &["nodad"][..]
        } else {
            &[]
        };
        ip(&[&["address", "add", address, "dev", TAP.name], nodad].concat())?;
    }
    ip(&["link", "set", TAP.name, "mtu", MTU, "up"])?;

    let guest = Guest {
        timeout: LIMIT,
        tap: Some(TAP),
        ..Guest::default()
    };
    let agent = [runner.clone(), "--agent".into(), AGENT.into()];
    thread::scope(|scope| {
        let guest = scope.spawn(|| guest.run(&agent, io::stdout(), io::stderr()));
        let status = Command::new(runner)
            .args(["--wire", "--interface", TAP.name])
            .args(AGENTS.iter().flat_map(|agent| ["--guest", agent]))
            .args(filters)
            .status()?;
        // The agent ends with the tests, and the guest with the agent.
        match guest.join() {
            Ok(Ok(0)) => Ok(exit_code(status)),
            Ok(Ok(other)) => Err(format!("the guest's agent ended with status {other}").into()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("the thread of the guest panicked".into()),
        }
    })
}

fn runner() -> Result<std::path::PathBuf> {
    build::executable(
        "kernel",
        &["test", "--package", "tests", "--test", "kernel", "--no-run"],
    )
}

fn exit_code(status: ExitStatus) -> ExitCode {
    if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let ip = packages::find_program("ip").ok_or("ip is missing")?;
    let output = Command::new(ip).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), said.trim()).into())
}

/// Why this machine can make no tap interface, if it cannot.
fn missing_tap() -> Option<String> {
    let device = Path::new("/dev/net/tun");
    let opened = OpenOptions::new().read(true).write(true).open(device);
    let error = opened.err()?;
    let way_out = match error.kind() {
        io::ErrorKind::NotFound => {
            "; in a container: `--device /dev/net/tun`, elsewhere `modprobe tun`"
        }
        io::ErrorKind::PermissionDenied => "; run this as root",
        _ => "",
    };
    Some(format!("{}: {error}{way_out}", device.display()))
}

/// How this user can have a network namespace.
#[derive(Clone, Copy)]
enum Unshare {
    /// As root.
    Net,
    /// As root of a user namespace.
    UserAndNet,
}

impl Unshare {
    fn command(self) -> Command {
        let mut command = Command::new("unshare");
        command.args(match self {
            Self::Net => &["--net"][..],
            Self::UserAndNet => &["--user", "--map-root-user", "--net"],
        });
        // The guest's process group ends by itself; the tests end with this.
        command.args(["--kill-child", "--fork"]);
        command
    }
}

/// Finds a way to make a network namespace, or says why there is none.
fn namespace() -> std::result::Result<Unshare, String> {
    let mut refusals = Vec::new();
    for unshare in [Unshare::Net, Unshare::UserAndNet] {
        match unshare.command().arg("true").output() {
            Ok(output) if output.status.success() => return Ok(unshare),
            Ok(output) => {
                refusals.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
            }
            Err(error) => refusals.push(format!("unshare: {error}")),
        }
    }
    Err(format!(
        "no network namespace can be made ({}); run this as root, in a container with \
         `--cap-add SYS_ADMIN --cap-add NET_ADMIN`",
        refusals.join("; ")
    ))
}
