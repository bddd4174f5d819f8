//! The real `cli` against the kernel's SCTP and DCCP, against itself and against other programs.
//!
//! `cargo xtask kernel` boots a Linux that has both protocols and runs this in it, with the path of
//! the program under test in `CLI_BIN`. Without that, this says what is missing and does nothing.
#![expect(clippy::print_stdout, reason = "it is its own test harness")]

mod capture;
mod lab;
mod limits;
mod matrix;
mod memory;
mod network;
mod peers;
mod process;
mod repair;
mod suite;
mod trace;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lab::Lab;
use suite::{Group, Tally};

fn main() -> ExitCode {
    let choice = Choice::from_arguments(env::args().skip(1));
    let groups = choice.select(all_groups());
    if choice.list {
        for (group, case) in groups
            .iter()
            .flat_map(|group| group.cases.iter().map(move |case| (group, case)))
        {
            println!("{}/{}", group.name, case.name);
        }
        return ExitCode::SUCCESS;
    }
    let missing = missing_here();
    if !missing.is_empty() {
        println!("kernel: not run, for want of {}", missing.join(" and of "));
        println!("kernel: `cargo xtask kernel` runs these tests on any x86-64 Debian or Ubuntu");
        return ExitCode::SUCCESS;
    }
    match run(&groups) {
        Ok(tally) => {
            println!("kernel: {} of {} cases passed", tally.passed, tally.run);
            if tally.passed == tally.run {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            println!("kernel: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all_groups() -> Vec<Group> {
    vec![
        matrix::plain(),
        peers::group(),
        trace::group(),
        limits::group(),
        memory::group(),
        matrix::netem(),
        repair::group(),
    ]
}

fn run(groups: &[Group]) -> Result<Tally, process::Failure> {
    let lab = Lab::new(cli_path().ok_or("no CLI_BIN")?)?;
    let mut total = Tally::default();
    for group in groups {
        total += group.run(&lab);
    }
    Ok(total)
}

fn cli_path() -> Option<PathBuf> {
    env::var_os("CLI_BIN").map(PathBuf::from)
}

/// What keeps the tests from running on this machine.
fn missing_here() -> Vec<String> {
    let mut missing = Vec::new();
    let protocols = fs::read_to_string("/proc/net/protocols").unwrap_or_default();
    for protocol in ["SCTP", "DCCP"] {
        // A module that is not loaded yet shows only where /proc/net has no such line: these
        // tests change the loopback interface, so they want a guest, where both are loaded.
        if !protocols
            .lines()
            .any(|line| line.split_whitespace().next() == Some(protocol))
        {
            missing.push(format!("{protocol} in this kernel"));
        }
    }
    if cli_path().is_none_or(|cli| !cli.is_file()) {
        missing.push("the path of cli in CLI_BIN".into());
    }
    if missing.is_empty() && !network::is_guest() {
        missing.push("a guest, whose network may be changed".into());
    }
    missing
}

/// Which cases to run.
#[derive(Default)]
struct Choice {
    list: bool,
    groups: Vec<String>,
    filters: Vec<String>,
}

impl Choice {
    /// Reads `[--list] [--group NAME]... [FILTER]...`. Other options are for the test harness that
    /// cargo believes this to be.
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut choice = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => choice.list = true,
                "--group" => choice.groups.extend(arguments.next()),
                option if option.starts_with('-') => {}
                _ => choice.filters.push(argument),
            }
        }
        choice
    }

    fn select(&self, mut groups: Vec<Group>) -> Vec<Group> {
        groups.retain(|group| {
            self.groups.is_empty() || self.groups.iter().any(|name| name == group.name)
        });
        for group in &mut groups {
            let name = group.name;
            group.cases.retain(|case| {
                let full = format!("{name}/{}", case.name);
                self.filters.is_empty()
                    || self
                        .filters
                        .iter()
                        .any(|filter| full.contains(filter.as_str()))
            });
        }
        groups.retain(|group| !group.cases.is_empty());
        groups
    }
}

/// The workspace's folder.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("/"))
}
