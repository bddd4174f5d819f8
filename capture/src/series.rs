//! A quantity over time, in bounded memory.

use std::time::Duration;

/// Samples of a quantity: as many as are kept, evenly thinned out when there were more.
#[derive(Clone, Debug)]
pub struct Series {
    keep: usize,
    /// Of how many samples one is kept.
    stride: u64,
    pushed: u64,
    points: Vec<(Duration, f64)>,
    latest: Option<(Duration, f64)>,
}

impl Series {
    /// One that keeps between half of `keep` samples and all of them, but at least 2.
    pub fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(2),
            stride: 1,
            pushed: 0,
            points: Vec::new(),
            latest: None,
        }
    }

    /// Adds a sample, no earlier than the one before. What is not a finite number is left out.
    pub fn push(&mut self, at: Duration, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.latest = Some((at, value));
        if self.pushed.is_multiple_of(self.stride) {
            if self.points.len() >= self.keep {
                let mut index = 0;
                self.points.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
            if self.pushed.is_multiple_of(self.stride) {
                self.points.push((at, value));
            }
        }
        self.pushed += 1;
    }

    /// The samples kept, the oldest first; the latest is always one of them.
    pub fn points(&self) -> impl Iterator<Item = (Duration, f64)> + Clone + '_ {
        let latest = self
            .latest
            .filter(|latest| self.points.last() != Some(latest));
        self.points.iter().copied().chain(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_thinned_out_evenly() {
        for pushed in [0_u32, 1, 2, 9, 10, 11, 19, 20, 21, 1000, 12_345] {
            let mut series = Series::new(10);
            for number in 0..pushed {
                series.push(Duration::from_millis(number.into()), number.into());
            }
            let points: Vec<f64> = series.points().map(|(_, value)| value).collect();
            assert!(points.len() <= 11, "{pushed}: {points:?}");
            assert!(
                points.len() >= usize::min(pushed as usize, 5),
                "{pushed}: {points:?}"
            );
            assert_eq!(points.first().copied(), (pushed > 0).then_some(0.0));
            assert_eq!(points.last().copied(), pushed.checked_sub(1).map(f64::from));
            let steps: Vec<f64> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let inner = &steps[..steps.len().saturating_sub(1)];
            assert!(inner.iter().all(|step| *step == inner[0]), "{points:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut series = Series::new(10);
        series.push(Duration::ZERO, f64::NAN);
        series.push(Duration::ZERO, f64::INFINITY);
        assert!(series.points().next().is_none());
    }
}
