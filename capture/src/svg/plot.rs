//! A quantity over time, with axes.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{LEFT, Plot, RIGHT, Xml};

/// The height of the area between the axes.
const HEIGHT: u32 = 120;

/// Draws a plot below `y` and returns where it ends.
pub(super) fn draw(plot: &Plot<'_>, y: u32, out: &mut String) -> Result<u32, fmt::Error> {
    let (title, unit) = (Xml(plot.title), Xml(plot.unit));
    let (top, bottom) = (y + 56, y + 56 + HEIGHT);
    let y = top - 14;
    writeln!(out, "<text x=\"{LEFT}\" y=\"{y}\">{title} ({unit})</text>")?;
    let points = plot.series.points();
    let end = points.clone().map(|(at, _)| at).max().unwrap_or_default();
    let most = points.clone().map(|(_, value)| value).fold(0.0, f64::max);
    let (time, value) = (Axis::to(seconds(end)), Axis::to(most));
    let x_of = |seconds: f64| f64::from(LEFT) + f64::from(RIGHT - LEFT) * time.part(seconds);
    let y_of = |v: f64| f64::from(bottom) - f64::from(HEIGHT) * value.part(v);

    for mark in value.marks() {
        let (y, label) = (y_of(mark), value.label(mark));
        writeln!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" opacity=\"0.4\"/>"
        )?;
        let (x, y) = (LEFT - 8, y + 4.0);
        writeln!(
            out,
            "<text class=\"faint end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>"
        )?;
    }
    for mark in time.marks() {
        let (x, y, label) = (x_of(mark), bottom + 16, time.label(mark));
        writeln!(
            out,
            "<text class=\"faint middle\" x=\"{x:.1}\" y=\"{y}\">{label} s</text>"
        )?;
    }
    out.push_str("<polyline points=\"");
    for (at, v) in points {
        write!(out, "{:.1},{:.1} ", x_of(seconds(at)), y_of(v))?;
    }
    out.push_str("\"/>\n");
    Ok(bottom + 24)
}

fn seconds(at: Duration) -> f64 {
    at.as_secs_f64()
}

/// An axis from 0 on, with marks at round numbers.
#[derive(Clone, Copy, Debug)]
struct Axis {
    end: f64,
    step: f64,
    marks: u32,
    /// How many digits behind the point tell the marks apart.
    digits: usize,
}

impl Axis {
    /// One that reaches `most`, with at most 6 marks.
    fn to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let mut power = 0;
        let mut unit = 1.0;
        while unit * 10.0 <= most && power < 300 {
            unit *= 10.0;
            power += 1;
        }
        while unit > most && power > -12 {
            unit /= 10.0;
            power -= 1;
        }
        // `most` is between 1 and 10 units.
        let (part, finer) = match most / unit {
            units if units <= 1.0 => (0.2, 1),
            units if units <= 2.5 => (0.5, 1),
            units if units <= 5.0 => (1.0, 0),
            _ => (2.0, 0),
        };
        let step = unit * part;
        let mut marks = 1;
        while step * f64::from(marks) < most && marks < 6 {
            marks += 1;
        }
        Self {
            end: step * f64::from(marks),
            step,
            marks,
            digits: usize::try_from(finer - power).unwrap_or(0),
        }
    }

    fn marks(self) -> impl Iterator<Item = f64> {
        (0..=self.marks).map(move |mark| f64::from(mark) * self.step)
    }

    /// How far along the axis a value is, from 0 to 1.
    fn part(self, value: f64) -> f64 {
        (value / self.end).clamp(0.0, 1.0)
    }

    fn label(self, mark: f64) -> String {
        format!("{mark:.*}", self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_marks() {
        let labels = |most: f64| -> Vec<String> {
            let axis = Axis::to(most);
            assert!(axis.end >= most, "{most}: {axis:?}");
            axis.marks().map(|mark| axis.label(mark)).collect()
        };
        assert_eq!(labels(4.2), ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(labels(9.9), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(labels(0.013), ["0.000", "0.005", "0.010", "0.015"]);
        assert_eq!(labels(150.0), ["0", "50", "100", "150"]);
        assert_eq!(labels(0.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        for most in [1e-20, 1e-9, 0.3, 7.0, 1e6, 1e18] {
            assert!(labels(most).len() <= 7, "{most}");
        }
    }
}
