//! Builds the programs that run in a guest.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("/"))
}

/// The cargo that runs xtask, at work in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Builds the binary `cli` as users get it.
pub(crate) fn cli() -> Result<PathBuf> {
    executable(
        "cli",
        &["build", "--release", "--package", "cli", "--bin", "cli"],
    )
}

/// Builds one of the benchmarks.
pub(crate) fn bench(name: &str) -> Result<PathBuf> {
    executable(
        name,
        &["bench", "--package", "tests", "--bench", name, "--no-run"],
    )
}

/// Builds the benchmark that has other stacks beside ours, in this workspace's target directory.
pub(crate) fn sctp_bench() -> Result<PathBuf> {
    let manifest = root().join("bench/Cargo.toml");
    let manifest = manifest.to_str().ok_or("the workspace's path is no text")?;
    let target = root().join("target/bench");
    let target = target.to_str().ok_or("the workspace's path is no text")?;
    let words = ["--manifest-path", manifest, "--target-dir", target];
    executable("bench", &[&["build", "--release"], &words[..]].concat())
}

/// Builds what `arguments` ask cargo for and returns the path of the executable `name` among it.
pub(crate) fn executable(name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let output = cargo()
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cannot build {name}: cargo {}", arguments.join(" ")).into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let path = messages
        .lines()
        .find_map(|message| executable_in(message, name));
    path.ok_or_else(|| format!("cargo names no executable {name}").into())
}

/// The executable that a line of cargo's JSON names, if its target is called `name`.
fn executable_in(message: &str, name: &str) -> Option<PathBuf> {
    let (_, path) = message.split_once(r#""executable":""#)?;
    message
        .contains(&format!(r#""name":"{name}""#))
        .then(|| path.split('"').next().map(PathBuf::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executable_of_a_target() {
        let message =
            r#"{"target":{"kind":["bin"],"name":"cli"},"executable":"/t/cli","fresh":true}"#;
        assert_eq!(executable_in(message, "cli"), Some(PathBuf::from("/t/cli")));
        assert_eq!(executable_in(message, "other"), None);
        assert_eq!(
            executable_in(r#"{"target":{"name":"cli"},"executable":null}"#, "cli"),
            None
        );
    }
}
