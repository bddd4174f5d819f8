//! What networks do to packets: the matrix that every stack has to stand.

use std::fmt;
use std::time::Duration;

use crate::netsim::Config as Pipe;

/// What a network does to packets, in thousandths, and how long they take one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Lost packets.
    pub loss: u32,
    /// How many are lost in a row.
    pub burst: u32,
    /// Packets that are late, by half the time one way or less.
    pub reordering: u32,
    /// Packets that come twice.
    pub duplication: u32,
    /// Packets that are damaged.
    pub corruption: u32,
    /// Milliseconds one way.
    pub latency: u64,
}

impl Weather {
    /// Whether a client may give up: where a fifth is lost, congestion control allows so little
    /// that the limits on slow peers may strike.
    pub const fn is_hopeless(self) -> bool {
        self.loss >= 200
    }

    /// A pipe of 100 Mbit/s with a queue of a round trip.
    pub fn pipe(self) -> Pipe {
        let latency = Duration::from_millis(self.latency);
        Pipe {
            loss: self.loss,
            burst: self.burst,
            reordering: self.reordering,
            reordering_delay: latency / 2,
            duplication: self.duplication,
            corruption: self.corruption,
            jitter: Duration::from_millis(1),
            rate: Some(12_500_000),
            queue: 2 * 12_500 * usize::try_from(self.latency).unwrap_or(1),
            ..Pipe::latency(latency)
        }
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>3} ms, loss {:>3}, late {:>3}, twice {:>2}, damaged {:>2}",
            self.latency, self.loss, self.reordering, self.duplication, self.corruption
        )
    }
}

/// Every weather of the matrix.
pub fn weathers() -> Vec<Weather> {
    let mut all = Vec::new();
    for latency in [20, 100] {
        for loss in [0, 10, 50, 200] {
            for (reordering, duplication, corruption) in [
                (0, 0, 0),
                (100, 0, 0),
                (0, 50, 0),
                (0, 0, 10),
                (100, 50, 10),
            ] {
                all.push(Weather {
                    loss,
                    burst: if corruption > 0 { 3 } else { 1 },
                    reordering,
                    duplication,
                    corruption,
                    latency,
                });
            }
        }
    }
    all
}

/// How one run of the matrix ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whether everything came, byte by byte. If not, that was reported.
    pub came: bool,
    /// How long it took.
    pub time: Duration,
    /// What was reported.
    pub told: String,
}

/// The whole matrix: these sizes in bytes in every weather, many seeds each. `run` is given a seed,
/// a size and the weather; it panics if bytes differ, or if they do not come and nobody says so.
///
/// Prints a line for each cell and the sums. `SOAK_SEEDS` is how many seeds each cell gets,
/// `SOAK_FROM` the first of them; `SOAK_SIZE` and `SOAK_LOSS` leave only the cells with that size
/// and that loss.
///
/// # Panics
///
/// If more than `tolerated` runs in a thousand fail in weather that is not hopeless: what is lost
/// again and again may end in a report, and no more than that.
#[expect(clippy::print_stdout, reason = "it is what a soak is run for")]
pub fn soak(sizes: &[u64], tolerated: u64, mut run: impl FnMut(u64, u64, Weather) -> Ended) {
    let (seeds, from) = (number("SOAK_SEEDS", 5), number("SOAK_FROM", 1));
    let (only_size, only_loss) = (number("SOAK_SIZE", 0), number("SOAK_LOSS", u64::MAX));
    let (mut runs, mut failed, mut unexpected) = (0, 0, 0);
    let cells = sizes
        .iter()
        .flat_map(|size| weathers().into_iter().map(move |weather| (*size, weather)))
        .filter(|(size, _)| only_size == 0 || only_size == *size)
        .filter(|(_, weather)| only_loss == u64::MAX || only_loss == u64::from(weather.loss));
    for (size, weather) in cells {
        let (mut came, mut times) = (0, Vec::new());
        for seed in from..from + seeds {
            let ended = run(seed, size, weather);
            came += u64::from(ended.came);
            times.push(ended.time);
            if !ended.came {
                println!("    seed {seed}: {}", ended.told);
            }
        }
        runs += seeds;
        failed += seeds - came;
        unexpected += (seeds - came) * u64::from(!weather.is_hopeless());
        times.sort();
        let median = times[times.len() / 2].as_secs_f64();
        println!("{size:>9} bytes, {weather}: {came} of {seeds} came, median {median:.1} s");
    }
    println!(
        "{runs} runs: {} came, {failed} were reported to have failed, {unexpected} of them in \
         weather that is not hopeless",
        runs - failed
    );
    assert!(
        unexpected * 1000 <= tolerated * runs,
        "{unexpected} of {runs}"
    );
}

/// A number from the environment, or `default`.
///
/// # Panics
///
/// If what is there is no number.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
