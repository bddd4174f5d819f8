//! A transfer as a ladder: when which side sent what, in text.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::time::Duration;

pub use crate::words::Milliseconds;
use crate::words::{clean, columns, count, wrap};

/// Below this width there is no room for two lifelines with words between them.
const NARROWEST: usize = 60;

/// How wide the times are.
const TIME_COLUMN: usize = 12;

/// Which end does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one drawn on the left: the client, as a rule.
    Left,
    /// The one drawn on the right.
    Right,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// An arrow from this side to the other.
    pub const fn arrow(self) -> &'static str {
        match self {
            Self::Left => "->",
            Self::Right => "<-",
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It sends a packet.
    Packet,
    /// It sends a packet that is known to get lost.
    LostPacket,
    /// Anything else: something is told of this side.
    Note,
}

/// One step of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, from the start on.
    pub at: Duration,
    /// Who.
    pub side: Side,
    /// What.
    pub act: Act,
    /// The packet, or what is told, in words.
    pub words: String,
}

/// A step as one line, as long as it must be: time, arrow, words.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When, from the start on.
    pub at: Duration,
    /// Who.
    pub side: Side,
    /// What, in words; shown as they are.
    pub words: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, side, words } = self;
        write!(f, "{:>11}  {}  {words}", Milliseconds(*at), side.arrow())
    }
}

/// The steps of a transfer: the first and the last of them, and how many there were.
#[derive(Clone, Debug)]
pub struct Ladder {
    names: [String; 2],
    /// How many steps are kept of either end.
    keep: usize,
    first: Vec<Step>,
    last: VecDeque<Step>,
    omitted: u64,
    packets: [u64; 2],
    noun: &'static str,
}

impl Ladder {
    /// An empty one between `left` and `right`, which keeps the first and the last `keep` steps.
    pub fn new(left: &str, right: &str, keep: usize) -> Self {
        Self {
            names: [clean(left), clean(right)],
            keep,
            first: Vec::new(),
            last: VecDeque::new(),
            omitted: 0,
            packets: [0; 2],
            noun: "packet",
        }
    }

    /// The same of things that are not packets, such as messages: `noun` is what one is called.
    #[must_use]
    pub const fn of(mut self, noun: &'static str) -> Self {
        self.noun = noun;
        self
    }

    /// Adds a step, no earlier than the one before. Control characters in its words are replaced.
    pub fn push(&mut self, mut step: Step) {
        if step.act != Act::Note {
            self.packets[step.side as usize] += 1;
        }
        step.words = clean(&step.words);
        if self.first.len() < self.keep {
            self.first.push(step);
            return;
        }
        if self.last.len() >= self.keep {
            self.last.pop_front();
            self.omitted += 1;
        }
        if self.keep > 0 {
            self.last.push_back(step);
        }
    }

    /// How many packets a side sent, kept or not.
    pub const fn packets(&self, side: Side) -> u64 {
        self.packets[side as usize]
    }

    /// How many steps between the first and the last are not kept.
    pub const fn omitted(&self) -> u64 {
        self.omitted
    }

    /// What a side is called.
    pub fn name(&self, side: Side) -> &str {
        &self.names[side as usize]
    }

    /// The first steps, and the last, if some between them may be missing.
    pub(crate) fn parts(&self) -> (&[Step], impl Iterator<Item = &Step>) {
        (&self.first, self.last.iter())
    }

    /// How many packets there were, in words.
    pub fn summary(&self) -> String {
        let [left, right] = self.packets;
        format!(
            "{}: {left} from the {}, {right} from the {}",
            count(left + right, self.noun),
            self.names[0],
            self.names[1]
        )
    }

    /// The ladder as text that fits `style`.
    pub const fn to_text(&self, style: Style) -> Text<'_> {
        Text {
            ladder: self,
            style,
        }
    }
}

/// How a ladder is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The width of the terminal in characters. Below 60, and if it is `None`, each step is a
    /// [`Line`], which may be longer.
    pub width: Option<usize>,
    /// What lines are made of.
    pub strokes: Strokes,
}

/// What the lines of a ladder are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strokes {
    /// Characters that every terminal has.
    Ascii,
    /// Box-drawing characters and arrow heads.
    Unicode,
}

struct Glyphs {
    lifeline: char,
    stroke: char,
    heads: [char; 2],
    lost: char,
    note: char,
    gap: &'static str,
}

impl Strokes {
    const fn glyphs(self) -> Glyphs {
        match self {
            Self::Ascii => Glyphs {
                lifeline: '|',
                stroke: '-',
                heads: ['>', '<'],
                lost: 'X',
                note: '*',
                gap: "...",
            },
            Self::Unicode => Glyphs {
                lifeline: '\u{2502}',
                stroke: '\u{2500}',
                heads: ['\u{25B6}', '\u{25C0}'],
                lost: '\u{2715}',
                note: '\u{2022}',
                gap: "\u{22EE}",
            },
        }
    }
}

/// A [`Ladder`] to print.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    ladder: &'a Ladder,
    style: Style,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.style.width.filter(|width| *width >= NARROWEST);
        let rows = width.map(|width| Rows {
            between: width - TIME_COLUMN - 2,
            glyphs: self.style.strokes.glyphs(),
        });
        if let Some(rows) = &rows {
            rows.names(f, &self.ladder.names)?;
        }
        let draw = |f: &mut fmt::Formatter<'_>, step: &Step| match &rows {
            Some(rows) => rows.step(f, step),
            None => {
                let Step { at, side, act, .. } = *step;
                let lost = if act == Act::LostPacket {
                    "  [lost]"
                } else {
                    ""
                };
                let words = &step.words;
                let line = Line { at, side, words };
                writeln!(f, "{line}{lost}")
            }
        };
        let (first, last) = self.ladder.parts();
        for step in first {
            draw(f, step)?;
        }
        if self.ladder.omitted > 0 {
            let gap = self.style.strokes.glyphs().gap;
            let steps = count(self.ladder.omitted, "step");
            writeln!(f, "{:TIME_COLUMN$}{gap} {steps} not shown {gap}", "")?;
        }
        for step in last {
            draw(f, step)?;
        }
        writeln!(f, "{:TIME_COLUMN$}{}", "", self.ladder.summary())
    }
}

/// Steps between two lifelines.
struct Rows {
    /// How many characters there are between the lifelines.
    between: usize,
    glyphs: Glyphs,
}

impl Rows {
    fn names(&self, f: &mut fmt::Formatter<'_>, [left, right]: &[String; 2]) -> fmt::Result {
        let room = (self.between + 2).saturating_sub(columns(left));
        writeln!(f, "{:TIME_COLUMN$}{left}{right:>room$}", "")
    }

    fn step(&self, f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
        // On either side of the words: a stroke, an arrow head or a second stroke, a space.
        let lines = wrap(&step.words, self.between - 6);
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                write!(f, "{:>10.2}  ", Milliseconds(step.at))?;
            } else {
                write!(f, "{:TIME_COLUMN$}", "")?;
            }
            let row = match (step.act, index) {
                (Act::Note, _) => self.note(step.side, line, index == 0),
                (Act::Packet | Act::LostPacket, 0) => self.arrow(step, line),
                (Act::Packet | Act::LostPacket, _) => self.more(line),
            };
            let lifeline = self.glyphs.lifeline;
            writeln!(f, "{lifeline}{row}{lifeline}")?;
        }
        Ok(())
    }

    /// The words in the line of an arrow that goes from one lifeline to the other, or gets lost on
    /// the way.
    fn arrow(&self, step: &Step, words: &str) -> String {
        let Glyphs {
            stroke,
            heads,
            lost,
            ..
        } = self.glyphs;
        let strokes = self.between - 4 - columns(words);
        let mut row = String::new();
        let is_lost = step.act == Act::LostPacket;
        match step.side {
            Side::Left => {
                let _ = write!(row, "{stroke}{stroke} {words} ");
                if is_lost {
                    let half = strokes / 2;
                    row.extend(std::iter::repeat_n(stroke, half));
                    row.push(lost);
                    row.extend(std::iter::repeat_n(' ', strokes - half - 1));
                } else {
                    row.extend(std::iter::repeat_n(stroke, strokes - 1));
                    row.push(heads[0]);
                }
            }
            Side::Right => {
                let head = if is_lost { lost } else { heads[1] };
                let tail = if is_lost { ' ' } else { stroke };
                let begin = if is_lost { [tail, head] } else { [head, tail] };
                row.extend(begin);
                let _ = write!(row, " {words} ");
                row.extend(std::iter::repeat_n(stroke, strokes));
            }
        }
        row
    }

    /// Words that did not fit in the line of the arrow.
    fn more(&self, words: &str) -> String {
        let room = self.between - 3;
        format!("   {words:<room$}")
    }

    /// Words beside the lifeline of the one they are about.
    fn note(&self, side: Side, words: &str, first: bool) -> String {
        let mark = if first { self.glyphs.note } else { ' ' };
        let room = self.between - 3;
        match side {
            Side::Left => format!(" {mark} {words:<room$}"),
            Side::Right => format!("{words:>room$} {mark} "),
        }
    }
}

#[cfg(test)]
mod tests;
