//! Packets as text: time since the start, direction, the packet in words.

use std::fmt;

use transport::Ecn;

use crate::netsim::{Entry, Fate, Line, Trace};
use crate::transcript::{Milliseconds, Side};

/// A [`Trace`] to print. The client is on the left.
#[derive(Clone, Copy, Debug)]
pub struct Ladder<'a, D> {
    trace: &'a Trace,
    describe: D,
}

impl<'a, D: Fn(Side, &[u8]) -> String> Ladder<'a, D> {
    /// A ladder whose packets are put into words by `describe`, which is told who sent them.
    pub const fn new(trace: &'a Trace, describe: D) -> Self {
        Self { trace, describe }
    }
}

impl<D: Fn(Side, &[u8]) -> String> fmt::Display for Ladder<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { at, side, line } in self.trace.entries() {
            write!(f, "{:>11}  {}  ", Milliseconds(*at), side.arrow())?;
            match line {
                Line::Note(note) => writeln!(f, "{note}")?,
                Line::Packet {
                    payload, ecn, fate, ..
                } => {
                    f.write_str(&(self.describe)(*side, payload))?;
                    write!(f, "  [{} bytes", payload.len())?;
                    match ecn {
                        Ecn::NotEct => {}
                        Ecn::Ect0 | Ecn::Ect1 | Ecn::Ce => write!(f, ", {ecn:?}")?,
                    }
                    if *fate != Fate::Arrives {
                        write!(f, ", {fate}")?;
                    }
                    f.write_str("]\n")?;
                }
            }
        }
        Ok(())
    }
}
