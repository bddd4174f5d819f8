//! Which bytes of a body have arrived.

use std::fmt;
use std::iter;
use std::ops::Range;

/// A set of byte offsets, kept as half-open intervals.
///
/// Intervals that overlap or touch are one, so what arrives in order takes no more room than one
/// interval. Their number has a limit, so what a peer can make this grow to has one too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Ascending; none is empty, and no two overlap or touch.
    intervals: Vec<Range<u64>>,
    max_intervals: usize,
    covered: u64,
}

impl Intervals {
    /// An empty set that is held in at most `max_intervals` intervals.
    pub const fn new(max_intervals: usize) -> Self {
        Self {
            intervals: Vec::new(),
            max_intervals,
            covered: 0,
        }
    }

    /// Inserts all offsets of `range`, and appends those that were not in the set before to `new`,
    /// ascending.
    ///
    /// Constant time for a range at or beyond the [`end`](Self::end) of the set.
    ///
    /// # Errors
    ///
    /// If the set would have more intervals than it may. Nothing is inserted then, and nothing
    /// appended to `new`.
    pub fn insert(&mut self, range: Range<u64>, new: &mut Vec<Range<u64>>) -> Result<(), Full> {
        if range.is_empty() {
            return Ok(());
        }
        if self.end() <= range.start {
            self.append(range.clone())?;
            self.covered += range.end - range.start;
            new.push(range);
            return Ok(());
        }
        let already_new = new.len();
        new.extend(self.holes(range.clone()));
        if let Err(full) = self.merge(range) {
            new.truncate(already_new);
            return Err(full);
        }
        let added = &new[already_new..];
        self.covered += added.iter().map(|hole| hole.end - hole.start).sum::<u64>();
        Ok(())
    }

    /// Adds a range that begins at or beyond the end of the last interval.
    fn append(&mut self, range: Range<u64>) -> Result<(), Full> {
        let full = self.intervals.len() >= self.max_intervals;
        match self.intervals.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if full => return Err(Full),
            _ => self.intervals.push(range),
        }
        Ok(())
    }

    /// Adds a range anywhere, and makes one interval of it and all that it overlaps or touches.
    fn merge(&mut self, range: Range<u64>) -> Result<(), Full> {
        let first = self.intervals.partition_point(|i| i.end < range.start);
        let after = self.intervals.partition_point(|i| i.start <= range.end);
        let (start, end) = match &self.intervals[first..after] {
            [] if self.intervals.len() >= self.max_intervals => return Err(Full),
            [] => (range.start, range.end),
            [only] => (only.start.min(range.start), only.end.max(range.end)),
            [lowest, .., highest] => (lowest.start.min(range.start), highest.end.max(range.end)),
        };
        self.intervals.splice(first..after, iter::once(start..end));
        Ok(())
    }

    /// The intervals, ascending; no two overlap or touch.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.intervals.iter().cloned()
    }

    /// The offsets in `within` that are not in the set, ascending.
    pub fn holes(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.intervals.partition_point(|i| i.end <= within.start);
        let mut from = within.start;
        self.intervals[first..]
            .iter()
            .take_while(move |i| i.start < within.end)
            .cloned()
            .chain(iter::once(within.end..within.end))
            .map(move |interval| {
                let hole = from..interval.start;
                from = interval.end;
                hole
            })
            .filter(|hole| !hole.is_empty())
    }

    /// Whether every offset of `range` is in the set; true of an empty range.
    pub fn covers(&self, range: Range<u64>) -> bool {
        let first = self.intervals.partition_point(|i| i.end <= range.start);
        range.is_empty()
            || self
                .intervals
                .get(first)
                .is_some_and(|i| i.start <= range.start && range.end <= i.end)
    }

    /// How many offsets are in the set.
    pub const fn covered(&self) -> u64 {
        self.covered
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.intervals.clear();
        self.covered = 0;
    }

    /// The offset after the highest in the set; 0 if it is empty.
    pub fn end(&self) -> u64 {
        self.intervals.last().map_or(0, |last| last.end)
    }
}

/// A set has as many intervals as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many separate intervals")
    }
}

impl std::error::Error for Full {}

#[cfg(test)]
mod tests;
