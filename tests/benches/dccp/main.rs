//! What DCCP of our own costs, beside a ceiling measured in the same run: `cargo xtask bench dccp`,
//! or `cargo bench -p tests --bench dccp -- [ROUNDS] [NAME]...`.
//!
//! What is compared takes turns within each round, and each ratio is of the two neighbours in time:
//! only ratios say something on a machine that does other things too. A server is a process of its
//! own, the client is this one.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

mod bulk;
mod children;
mod idle;
mod memory;
mod ours;
mod page;
mod table;
mod tcp;
mod udp;

use std::alloc::System;
use std::env;
use std::error::Error;
use std::fs;
use std::time::Instant;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A part, given the number of rounds.
type Part = fn(usize) -> Result<()>;

/// The parts, in the order in which they run.
const PARTS: [(&str, Part); 4] = [
    ("memory", memory::run),
    ("bulk", bulk::run),
    ("page", page::run),
    ("idle", idle::run),
];

/// Rounds of each comparison, unless told.
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [flag, role, arguments @ ..] = words.as_slice()
        && flag == children::SERVE
    {
        return match role.as_str() {
            "udp" => udp::serve(arguments),
            "dccp" => ours::serve(arguments),
            "tcp" => tcp::serve(arguments),
            _ => Err(format!("no server is called {role}").into()),
        };
    }
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let chosen = |name| {
        let names: Vec<&String> = words
            .iter()
            .filter(|word| !word.starts_with('-') && word.parse::<usize>().is_err())
            .collect();
        names.is_empty() || names.into_iter().any(|word| word == name)
    };
    println!("{}", machine());
    for (name, run) in PARTS {
        if chosen(name) {
            run(rounds.unwrap_or(ROUNDS))?;
        }
    }
    Ok(())
}

/// What the figures were measured on.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
        .unwrap_or(" an unknown processor")
        .trim()
        .to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{cpus} cores of {model}, Linux {}, load before: {}",
        kernel.trim(),
        load.split(' ').take(3).collect::<Vec<_>>().join(" ")
    )
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}
