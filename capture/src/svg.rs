//! A transfer as a picture: its ladder, and quantities over time below, as an SVG file that needs
//! nothing else.

use std::fmt::{self, Write as _};

use crate::ladder::{Act, Ladder, Milliseconds, Side, Step};
pub use crate::series::Series;
use crate::words::{clean, count, wrap};

mod plot;

/// The picture's width in pixels, where a pixel is CSS's.
const WIDTH: u32 = 960;

/// Where the lifelines are.
const LEFT: u32 = 104;
const RIGHT: u32 = 930;

/// The height of a line of words, and what an arrow and the space below it need.
const LINE: u32 = 15;
const ARROW: u32 = 13;

/// How many characters fit between the lifelines, of a font that is 7.3 pixels wide.
const CHARACTERS: usize = 110;

/// Colours for a light and for a dark page, and fonts. Not every viewer knows variables.
const STYLE: &str = "
svg { background: #fff; }
text { font: 12px ui-monospace, monospace; fill: #1c1c1c; white-space: pre; }
.title { font-weight: bold; font-size: 14px; }
.faint { fill: #767676; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
line, polyline { fill: none; stroke: #8a8a8a; stroke-width: 1; }
line.left, line.right { stroke-width: 1.5; }
line.left { stroke: #0b5cad; }
line.right { stroke: #9a3412; }
path.left { fill: #0b5cad; }
path.right { fill: #9a3412; }
.lost { fill: none; stroke: #c1121f; stroke-width: 2; }
polyline { stroke: #0b5cad; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  svg { background: #16181c; }
  text { fill: #e6e6e6; }
  .faint { fill: #9aa0a8; }
  line.left, polyline { stroke: #7ab8ff; }
  line.right { stroke: #ffb086; }
  path.left { fill: #7ab8ff; }
  path.right { fill: #ffb086; }
}
";

/// A quantity to plot.
#[derive(Clone, Copy, Debug)]
pub struct Plot<'a> {
    /// What it is.
    pub title: &'a str,
    /// The unit of its values.
    pub unit: &'a str,
    /// Its samples. With fewer than two there is nothing to draw, and the plot is left out.
    pub series: &'a Series,
}

/// A transfer to draw. It is drawn by its [`Display`](fmt::Display).
#[derive(Clone, Copy, Debug)]
pub struct Diagram<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Who sent what. Steps stand one below the other: the distances are no times.
    pub ladder: &'a Ladder,
    /// Quantities over time.
    pub plots: &'a [Plot<'a>],
}

impl fmt::Display for Diagram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = String::new();
        let mut y = self.ladder(&mut body)?;
        for plot in self
            .plots
            .iter()
            .filter(|plot| plot.series.points().nth(1).is_some())
        {
            y = plot::draw(plot, y, &mut body)?;
        }
        let height = y + 16;
        let title = Xml(self.title);
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">"
        )?;
        writeln!(f, "<title>{title}</title>\n<style>{STYLE}</style>")?;
        writeln!(f, "<text class=\"title\" x=\"16\" y=\"24\">{title}</text>")?;
        writeln!(f, "{body}</svg>")
    }
}

impl Diagram<'_> {
    /// Draws the ladder and returns where it ends.
    fn ladder(&self, out: &mut String) -> Result<u32, fmt::Error> {
        let top = 64;
        let (left, right) = (self.ladder.name(Side::Left), self.ladder.name(Side::Right));
        let (left, right) = (Xml(left), Xml(right));
        writeln!(out, "<text x=\"{LEFT}\" y=\"52\">{left}</text>")?;
        writeln!(
            out,
            "<text class=\"end\" x=\"{RIGHT}\" y=\"52\">{right}</text>"
        )?;
        let mut y = top;
        let (first, last) = self.ladder.parts();
        for step in first {
            y = draw_step(step, y, out)?;
        }
        if self.ladder.omitted() > 0 {
            y += LINE;
            let steps = count(self.ladder.omitted(), "step");
            let x = (LEFT + RIGHT) / 2;
            writeln!(
                out,
                "<text class=\"faint middle\" x=\"{x}\" y=\"{y}\">\u{22EE} {steps} not shown \
                 \u{22EE}</text>"
            )?;
            y += ARROW;
        }
        for step in last {
            y = draw_step(step, y, out)?;
        }
        for x in [LEFT, RIGHT] {
            writeln!(out, "<line x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{y}\"/>")?;
        }
        y += 20;
        let summary = self.ladder.summary();
        let summary = Xml(&summary);
        writeln!(
            out,
            "<text class=\"faint\" x=\"{LEFT}\" y=\"{y}\">{summary}</text>"
        )?;
        Ok(y)
    }
}

/// Draws a step below `y` and returns where it ends.
fn draw_step(step: &Step, mut y: u32, out: &mut String) -> Result<u32, fmt::Error> {
    let time = Milliseconds(step.at);
    let x = LEFT - 10;
    let baseline = y + LINE;
    writeln!(
        out,
        "<text class=\"faint end\" x=\"{x}\" y=\"{baseline}\">{time:.2}</text>"
    )?;
    let (x, anchor) = match (step.act, step.side) {
        (Act::Note, Side::Right) => (RIGHT - 10, "end"),
        (Act::Note, Side::Left) | (Act::Packet | Act::LostPacket, _) => (LEFT + 10, ""),
    };
    let faint = if step.act == Act::Note { "faint " } else { "" };
    for line in wrap(&step.words, CHARACTERS) {
        y += LINE;
        let line = Xml(line);
        writeln!(
            out,
            "<text class=\"{faint}{anchor}\" x=\"{x}\" y=\"{y}\">{line}</text>"
        )?;
    }
    if step.act == Act::Note {
        return Ok(y + ARROW / 2);
    }
    y += ARROW / 2;
    draw_arrow(step, y, out)?;
    Ok(y + ARROW / 2)
}

fn draw_arrow(step: &Step, y: u32, out: &mut String) -> fmt::Result {
    let (class, from, to, back) = match step.side {
        Side::Left => ("left", LEFT, RIGHT, RIGHT - 9),
        Side::Right => ("right", RIGHT, LEFT, LEFT + 9),
    };
    if step.act == Act::LostPacket {
        let to = (LEFT + RIGHT) / 2;
        writeln!(
            out,
            "<line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\"/>"
        )?;
        let (top, bottom) = (y - 5, y + 5);
        let (left, right) = (to - 5, to + 5);
        return writeln!(
            out,
            "<path class=\"lost\" d=\"M{left} {top}L{right} {bottom}M{left} {bottom}L{right} \
             {top}\"/>"
        );
    }
    writeln!(
        out,
        "<line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{back}\" y2=\"{y}\"/>"
    )?;
    let (top, bottom) = (y - 4, y + 4);
    writeln!(
        out,
        "<path class=\"{class}\" d=\"M{to} {y}L{back} {top}L{back} {bottom}z\"/>"
    )
}

/// A text as XML has it between tags.
#[derive(Clone, Copy)]
pub(crate) struct Xml<'a>(pub(crate) &'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in clean(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
