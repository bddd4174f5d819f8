//! What SCTP of our own costs, beside a ceiling, TCP, QUIC and other stacks measured in the same
//! run: `cargo xtask bench sctp [ROUNDS] [PART]...`.
//!
//! What is compared takes turns within each round, and each ratio is of neighbours in time: only
//! ratios say something on a machine that does other things too. A server is a process of its own,
//! the client is this one.

mod bulk;
#[expect(
    dead_code,
    reason = "shared with the benchmark of DCCP, which needs more of it"
)]
#[path = "../../tests/benches/dccp/children.rs"]
mod children;
mod gets;
mod link;
mod memory;
mod nginx;
mod ours;
mod page;
mod peer;
mod quic;
#[path = "../../tests/benches/dccp/table.rs"]
mod table;
#[path = "../../tests/benches/dccp/tcp.rs"]
mod tcp;
mod udp;

use std::env;
use std::error::Error;
use std::fs;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A part, given the number of rounds.
type Part = fn(usize) -> Result<()>;

/// The parts, in the order in which they run.
const PARTS: [(&str, Part); 4] = [
    ("memory", memory::run),
    ("bulk", bulk::run),
    ("page", page::run),
    ("gets", gets::run),
];

/// Rounds of each comparison, unless told.
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [flag, role, arguments @ ..] = words.as_slice()
        && flag == children::SERVE
    {
        return match role.as_str() {
            "sctp" => ours::serve(arguments),
            "udp" => udp::serve(arguments),
            "tcp" => tcp::serve(arguments),
            "quic" => quic::serve(arguments),
            _ => peer::serve(role, arguments),
        };
    }
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let mut parts = words
        .iter()
        .filter(|word| !word.starts_with('-') && word.parse::<usize>().is_err())
        .peekable();
    let all = parts.peek().is_none();
    let chosen: Vec<&String> = parts.collect();
    println!("{}", machine());
    for (name, run) in PARTS {
        if all || chosen.iter().any(|word| *word == name) {
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

fn clock() -> Instant {
    Instant::now()
}
