//! `cargo xtask test`: the steps of `.ci/run`, and a summary of them.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::{Result, build, kernel, packages, wire};

/// What came of a step.
enum Verdict {
    Passed(String),
    Skipped(String),
    Failed(String),
}

struct Step {
    name: &'static str,
    run: fn() -> Result<Verdict>,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        run: format,
    },
    Step {
        name: "lints",
        run: lints,
    },
    Step {
        name: "tests",
        run: ordinary_tests,
    },
    Step {
        name: "docs",
        run: docs,
    },
    Step {
        name: "oldest Rust",
        run: oldest_rust,
    },
    Step {
        name: "licences and sources",
        run: deny,
    },
    Step {
        name: "fuzz targets",
        run: fuzz,
    },
    Step {
        name: "kernel tests",
        run: kernel_tests,
    },
    Step {
        name: "wire tests",
        run: wire_tests,
    },
];

/// Runs all steps, also after a failure, so that one run shows all that is wrong.
pub(crate) fn run() -> Result<ExitCode> {
    // Before the long steps: what cannot be installed is said at once.
    packages::require(&[
        packages::BOOT,
        packages::KERNEL_TESTS,
        packages::WIRE_TESTS,
        packages::PEERS,
        packages::FIREWALLS,
        packages::FUZZ,
    ])?;
    if let Err(missing) = packages::require(&[packages::READERS]) {
        println!("some tests cannot look at pages: {missing}");
    }
    let mut summary = Vec::new();
    let mut failures = 0;
    for step in STEPS {
        println!("\n=== {} ===", step.name);
        let begin = now();
        let verdict = (step.run)().unwrap_or_else(|error| Verdict::Failed(error.to_string()));
        let (word, note) = match verdict {
            Verdict::Passed(note) => ("ok", note),
            Verdict::Skipped(why) => ("skipped", why),
            Verdict::Failed(why) => {
                failures += 1;
                ("FAILED", why)
            }
        };
        summary.push(line(step.name, word, begin.elapsed(), &note));
    }
    println!("\n=== summary ===\n{}", summary.join("\n"));
    println!("{} of {} steps failed", failures, STEPS.len());
    Ok(if failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the summary says how long each step took"
)]
fn now() -> Instant {
    Instant::now()
}

fn line(name: &str, word: &str, time: Duration, note: &str) -> String {
    format!("{word:7}  {name:24}{:5} s  {note}", time.as_secs())
        .trim_end()
        .to_owned()
}

/// Adds a part of the toolchain that a minimal installation lacks.
fn require_component(program: &str, component: &str) -> Result<()> {
    if packages::find_program(program)
        .is_some_and(|program| succeeds(Command::new(program).arg("--version")))
    {
        return Ok(());
    }
    println!("adding {component}");
    if succeeds(Command::new("rustup").args(["component", "add", component])) {
        return Ok(());
    }
    Err(format!(
        "{program} is missing: `rustup component add {component}`, or install it with cargo"
    )
    .into())
}

/// Adds a cargo subcommand that is missing.
fn require_cargo_tool(name: &str) -> Result<()> {
    if packages::find_program(name).is_some() {
        return Ok(());
    }
    println!("installing {name}");
    let install = ["install", "--locked", "--quiet", name];
    if build::cargo().args(install).status()?.success() {
        Ok(())
    } else {
        Err(format!("cannot install {name}").into())
    }
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn format() -> Result<Verdict> {
    require_component("cargo-fmt", "rustfmt")?;
    check(build::cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<Verdict> {
    require_component("cargo-clippy", "clippy")?;
    check(build::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn docs() -> Result<Verdict> {
    let mut cargo = build::cargo();
    check(
        cargo
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Runs the ordinary tests and counts them. The kernel tests among them find no such kernel here, or
/// no `CLI_BIN`, and say so.
fn ordinary_tests() -> Result<Verdict> {
    let mut child = build::cargo()
        .args(["test", "--workspace"])
        // A snapshot that differs is a failure, not a file to be reviewed.
        .env("INSTA_UPDATE", "no")
        // It was installed, so that what it judges is judged.
        .env("REQUIRE_TSHARK", "1")
        .env_remove("CLI_BIN")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut count = TestCount::default();
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line?;
        println!("{line}");
        count.add(&line);
    }
    let note = format!(
        "{} passed, {} failed, {} ignored",
        count.passed, count.failed, count.ignored
    );
    Ok(if child.wait()?.success() {
        Verdict::Passed(note)
    } else {
        Verdict::Failed(note)
    })
}

/// The sum over all test binaries.
#[derive(Default)]
struct TestCount {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl TestCount {
    /// Adds a line like `test result: ok. 5 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let words: Vec<&str> = result.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn deny() -> Result<Verdict> {
    require_cargo_tool("cargo-deny")?;
    // Advisories need a download: see deny.toml.
    check(build::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

/// Builds with the oldest Rust that is promised, where rustup has it.
fn oldest_rust() -> Result<Verdict> {
    let version = oldest_version()?;
    let toolchain = format!("+{version}");
    if !succeeds(Command::new("cargo").args([&toolchain, "--version"])) {
        return Ok(Verdict::Skipped(format!(
            "`rustup toolchain install {version}` was not run; clippy and a test look at it too"
        )));
    }
    let mut cargo = Command::new("cargo");
    check(
        cargo
            .args([&toolchain, "check", "--workspace", "--all-targets"])
            .env_remove("RUSTUP_TOOLCHAIN")
            .current_dir(build::root()),
    )
}

/// The `rust-version` of the workspace.
fn oldest_version() -> Result<String> {
    let manifest = std::fs::read_to_string(build::root().join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| {
        let value = line.strip_prefix("rust-version = \"")?;
        value.strip_suffix('"')
    });
    Ok(line.ok_or("Cargo.toml states no rust-version")?.to_owned())
}

/// How often each fuzz target runs here. Always with the same inputs, so that a change fails for
/// what it changed; to search for more has no end, and `CONTRIBUTING.md` says how.
const FUZZ_RUNS: [&str; 2] = ["-seed=1", "-runs=1000"];

/// Builds each fuzz target and runs it on its seeds, and on inputs made of them.
fn fuzz() -> Result<Verdict> {
    packages::require(&[packages::FUZZ])?;
    require_cargo_tool("cargo-fuzz")?;
    let list = build::cargo().args(["fuzz", "list"]).output()?;
    if !list.status.success() {
        return Ok(Verdict::Failed(
            String::from_utf8_lossy(&list.stderr).into(),
        ));
    }
    let targets = String::from_utf8_lossy(&list.stdout).into_owned();
    for target in targets.lines() {
        let [seed, runs] = FUZZ_RUNS;
        let run = ["fuzz", "run", target, "--", seed, runs];
        if !build::cargo().args(run).status()?.success() {
            return Ok(Verdict::Failed(format!("cargo {}", run.join(" "))));
        }
    }
    Ok(Verdict::Passed(format!(
        "{} targets, {}",
        targets.lines().count(),
        FUZZ_RUNS.join(" ")
    )))
}

fn kernel_tests() -> Result<Verdict> {
    let report = kernel::run_all()?;
    Ok(if report.passed() {
        Verdict::Passed(report.to_string())
    } else {
        Verdict::Failed(report.to_string())
    })
}

fn wire_tests() -> Result<Verdict> {
    Ok(match wire::run_cases(&[])? {
        wire::Outcome::Passed => Verdict::Passed(String::new()),
        wire::Outcome::Failed => Verdict::Failed("see above".into()),
        wire::Outcome::Skipped(why) => Verdict::Skipped(why),
    })
}

fn check(command: &mut Command) -> Result<Verdict> {
    Ok(if command.status()?.success() {
        Verdict::Passed(String::new())
    } else {
        Verdict::Failed("see above".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_results_of_test_binaries() {
        let mut count = TestCount::default();
        count.add("running 3 tests");
        count.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out");
        count.add("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!((count.passed, count.failed, count.ignored), (7, 2, 1));
    }
}
