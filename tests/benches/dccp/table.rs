//! Figures of several rounds, and ratios of neighbours.

/// What one competitor reached, round by round.
pub(crate) struct Series {
    name: String,
    figures: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            figures: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, figure: f64) {
        self.figures.push(figure);
    }
}

/// Prints the series as least, median and greatest, each with its ratio to the first, round by
/// round.
pub(crate) fn print(title: &str, unit: &str, series: &[Series]) {
    println!("\n{title}; {unit} as min/median/max");
    let Some((first, _)) = series.split_first() else {
        return;
    };
    for one in series {
        let (min, median, max) = spread(&one.figures);
        let ratios: Vec<f64> = one
            .figures
            .iter()
            .zip(&first.figures)
            .map(|(other, first)| first / other)
            .collect();
        let (low, middle, high) = spread(&ratios);
        let ratio = if std::ptr::eq(one, first) {
            String::new()
        } else {
            format!(
                "  {} is {middle:.2} of it ({low:.2} to {high:.2})",
                first.name
            )
        };
        println!("  {:28} {min:9.2} {median:9.2} {max:9.2}{ratio}", one.name);
    }
}

/// Least, median and greatest.
pub(crate) fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => (f64::NAN, f64::NAN, f64::NAN),
        [min, ..] => (min, sorted[sorted.len() / 2], sorted[sorted.len() - 1]),
    }
}
