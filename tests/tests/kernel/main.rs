//! The real `cli` against the kernel's SCTP and DCCP, against itself and against other programs.
//!
//! `cargo xtask kernel` boots a Linux that has both protocols and runs this in it, with the path of
//! the program under test in `CLI_BIN`. Without that, this says what is missing and does nothing.
#![expect(clippy::print_stdout, reason = "it is its own test harness")]

mod capture;
mod failover;
mod lab;
mod limits;
mod matrix;
mod memory;
mod network;
mod peers;
mod probe;
mod process;
mod repair;
mod several;
mod suite;
mod trace;
mod wire;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lab::Lab;
use suite::{Group, Place, Tally};
use wire::bed::{Bed, Places};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1).peekable();
    let mode = words.next_if(|word| {
        ["--agent", "--in-guest", "--wire"]
            .iter()
            .any(|mode| word == mode)
    });
    let outcome = match mode.as_ref().and_then(|mode| mode.to_str()) {
        Some("--agent") => address(words.next())
            .and_then(wire::agent::serve)
            .map(|()| ExitCode::SUCCESS),
        Some("--in-guest") => {
            address(words.next()).and_then(|agent| wire::agent::run_there(agent, words.collect()))
        }
        Some(_) => Choice::from_arguments(words).and_then(on_the_wire),
        None => Choice::from_arguments(words).map(in_a_guest),
    };
    outcome.unwrap_or_else(|error| {
        println!("kernel: cannot start: {error}");
        ExitCode::FAILURE
    })
}

fn address(word: Option<OsString>) -> Result<SocketAddr, process::Failure> {
    let word = word.ok_or("an address is missing")?;
    Ok(word.to_string_lossy().parse()?)
}

/// Runs the wire tests, if xtask made a wire.
fn on_the_wire(choice: Choice) -> Result<ExitCode, process::Failure> {
    let groups = choice.select(wire::groups());
    if choice.list {
        return Ok(list(&groups));
    }
    let lab = Lab::new(cli_path().ok_or("no CLI_BIN")?)?;
    let bed = Bed::new(lab, choice.places)?;
    Ok(run(&groups, &bed))
}

fn list<P: Place>(groups: &[Group<P>]) -> ExitCode {
    for (group, case) in groups
        .iter()
        .flat_map(|group| group.cases.iter().map(move |case| (group, case)))
    {
        println!("{}/{}", group.name, case.name);
    }
    ExitCode::SUCCESS
}

/// Runs the tests of both protocols on the loopback interface, if this is a guest.
fn in_a_guest(choice: Choice) -> ExitCode {
    let groups = choice.select(all_groups());
    if choice.list {
        return list(&groups);
    }
    let missing = missing_here();
    if !missing.is_empty() {
        println!("kernel: not run, for want of {}", missing.join(" and of "));
        println!("kernel: `cargo xtask kernel` runs these tests on any x86-64 Debian or Ubuntu");
        return ExitCode::SUCCESS;
    }
    let lab = cli_path()
        .ok_or_else(|| "no CLI_BIN".into())
        .and_then(Lab::new);
    match lab {
        Ok(lab) => run(&groups, &lab),
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
        failover::group(),
        several::group(),
        probe::group(),
    ]
}

fn run<P: Place>(groups: &[Group<P>], place: &P) -> ExitCode {
    let mut total = Tally::default();
    for group in groups {
        total += group.run(place);
    }
    println!("kernel: {} of {} cases passed", total.passed, total.run);
    if total.passed == total.run {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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

/// Which cases to run, and where.
#[derive(Default)]
struct Choice {
    list: bool,
    groups: Vec<String>,
    filters: Vec<String>,
    places: Places,
}

impl Choice {
    /// Reads `[--list] [--group NAME]... [FILTER]...`, and of the wire `--guest ADDRESS...` and
    /// `--interface NAME`. Other options are for the test harness that cargo believes this to be.
    fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Result<Self, process::Failure> {
        let mut choice = Self::default();
        let mut arguments = arguments.map(|word| word.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => choice.list = true,
                "--group" => choice.groups.extend(arguments.next()),
                "--guest" => {
                    let agent = address(arguments.next().map(OsString::from))?;
                    choice.places.agents.push(agent);
                }
                "--interface" => choice.places.interface.extend(arguments.next()),
                option if option.starts_with('-') => {}
                _ => choice.filters.push(argument),
            }
        }
        Ok(choice)
    }

    fn select<P: Place>(&self, mut groups: Vec<Group<P>>) -> Vec<Group<P>> {
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
