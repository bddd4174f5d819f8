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

/// A number from the environment, or `default`.
///
/// # Panics
///
/// If what is there is no number.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
