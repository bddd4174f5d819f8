//! Packets as text: time since the start, direction, the packet in words.

use std::fmt::{self, Write as _};

use capture::ladder;
use transport::Ecn;

use crate::netsim::{Entry, Fate, Line, Trace};
use crate::transcript::Side;

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
            let words = match line {
                Line::Note(note) => note.clone(),
                Line::Packet {
                    payload, ecn, fate, ..
                } => {
                    let words = (self.describe)(*side, payload);
                    format!("{words}{}", Circumstances(payload.len(), *ecn, *fate))
                }
            };
            let line = ladder::Line {
                at: *at,
                side: match side {
                    Side::Client => ladder::Side::Left,
                    Side::Server => ladder::Side::Right,
                },
                words: &words,
            };
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// What the bytes of a packet do not tell: how many they are, its ECN field, its fate.
struct Circumstances(usize, Ecn, Fate);

impl fmt::Display for Circumstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(length, ecn, fate) = self;
        write!(f, "  [{length} bytes")?;
        match ecn {
            Ecn::NotEct => {}
            Ecn::Ect0 | Ecn::Ect1 | Ecn::Ce => write!(f, ", {ecn:?}")?,
        }
        if *fate != Fate::Arrives {
            write!(f, ", {fate}")?;
        }
        f.write_char(']')
    }
}
