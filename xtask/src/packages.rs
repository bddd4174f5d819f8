//! What the machine must have, by Debian package, and how to get it.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// What booting a guest takes. `cc` comes with Rust, which cannot link without it.
pub(crate) const BOOT: &[Tool] = &[
    tool("linux.uml", "user-mode-linux"),
    tool("modprobe", "kmod"),
    tool("ip", "iproute2"),
    tool("mount", "mount"),
    tool("setsid", "util-linux"),
    tool("cc", "gcc"),
];

/// What the kernel tests run in the guest.
pub(crate) const KERNEL_TESTS: &[Tool] = &[
    tool("tc", "iproute2"),
    tool("python3", "python3"),
    tool("withsctp", "lksctp-tools"),
    tool("curl", "curl"),
    tool("tcpdump", "tcpdump"),
];

/// What the wire tests need beside that: a namespace, and a judge of what was captured.
pub(crate) const WIRE_TESTS: &[Tool] = &[tool("unshare", "util-linux"), tool("tshark", "tshark")];

/// What the tests of the program let talk to it: usrsctp's client.
pub(crate) const PEERS: &[Tool] = &[tool("/usr/lib/usrsctp/http_client", "libusrsctp-examples")];

/// What the tests of `probe` make firewalls of, in network namespaces.
pub(crate) const FIREWALLS: &[Tool] = &[
    tool("nft", "nftables"),
    tool("ip", "iproute2"),
    tool("unshare", "util-linux"),
];

/// What the tests of the program look at its pages with: of the Web, with letters for them, and of
/// the manual. Not all systems have them to install; tests do without them and say so.
pub(crate) const READERS: &[Tool] = &[
    tool("man", "man-db"),
    tool("chromium", "chromium"),
    tool(
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "fonts-dejavu-core",
    ),
];

/// What libFuzzer is built with.
pub(crate) const FUZZ: &[Tool] = &[tool("c++", "g++")];

/// What the benchmark of the kernel's protocols compares with.
pub(crate) const KERNEL_BENCH: &[Tool] = &[tool("iperf3", "iperf3")];

/// What the benchmark of our DCCP compares with.
pub(crate) const DCCP_BENCH: &[Tool] = &[tool("nginx", "nginx-light")];

/// What the benchmark of our SCTP compares with, beside what cargo brings.
pub(crate) const SCTP_BENCH: &[Tool] = &[tool("nginx", "nginx-light")];

/// Packages that are missing and could not be installed.
#[derive(Debug)]
pub(crate) struct Missing {
    packages: Vec<&'static str>,
    why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages = self.packages.join(" ");
        write!(
            f,
            "{}; please run as root:\n\n    apt-get install {packages}\n",
            self.why
        )
    }
}

impl std::error::Error for Missing {}

/// Finds a program in `PATH` or in the directories of system programs, which an ordinary user's
/// `PATH` lacks on Debian.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Installs what is missing of `tools`, as root or with sudo.
pub(crate) fn require(tools: &[&[Tool]]) -> Result<(), Missing> {
    let packages = missing_packages(tools);
    if packages.is_empty() {
        return Ok(());
    }
    let Some(apt) = find_program("apt-get") else {
        return Err(Missing {
            packages,
            why: "programs are missing, and here is no apt-get (names are Debian's)".into(),
        });
    };
    let sudo = if is_root() {
        None
    } else if let Some(sudo) = find_program("sudo") {
        Some(sudo)
    } else {
        return Err(Missing {
            packages,
            why: "packages are missing, and this is not root and has no sudo".into(),
        });
    };
    eprintln!("xtask: installing {}", packages.join(" "));
    // An out-of-date list is no reason to give up: the packages may be in it.
    apt_get(&apt, sudo.as_deref(), &["update"]);
    let install = [
        &["install", "-y", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat();
    let installed = apt_get(&apt, sudo.as_deref(), &install);
    match missing_packages(tools) {
        packages if packages.is_empty() => Ok(()),
        packages if installed => Err(Missing {
            packages,
            why: "packages lack the programs they should bring".into(),
        }),
        packages => Err(Missing {
            packages,
            why: "apt-get could not install what is missing".into(),
        }),
    }
}

fn missing_packages(tools: &[&[Tool]]) -> Vec<&'static str> {
    let mut packages: Vec<_> = tools
        .iter()
        .flat_map(|tools| tools.iter())
        .filter(|tool| find_program(tool.program).is_none())
        .map(|tool| tool.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn apt_get(apt: &Path, sudo: Option<&Path>, arguments: &[&str]) -> bool {
    let mut command = match sudo {
        // sudo resets the environment, so the setting is one of its arguments.
        Some(sudo) => {
            let mut command = Command::new(sudo);
            command
                .args(["env", "DEBIAN_FRONTEND=noninteractive"])
                .arg(apt);
            command
        }
        None => {
            let mut command = Command::new(apt);
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        }
    };
    command
        .arg("-qq")
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_missing_package_once() {
        let tools = [
            tool("no-such-program", "a"),
            tool("nor-this-one", "a"),
            tool("sh", "dash"),
        ];
        assert_eq!(missing_packages(&[&tools]), ["a"]);
    }

    #[test]
    fn says_what_to_install() {
        let missing = Missing {
            packages: vec!["kmod", "curl"],
            why: "packages are missing".into(),
        };
        assert!(missing.to_string().contains("apt-get install kmod curl"));
    }
}
