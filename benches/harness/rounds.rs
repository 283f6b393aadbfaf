//! Interleaved rounds.

use std::fmt;

/// One round of each contestant after the other, `rounds` times; the median of each.
///
/// A contestant measures itself and returns a figure, such as nanoseconds a call.
pub fn interleaved(rounds: usize, contestants: &mut [&mut dyn FnMut() -> f64]) -> Vec<f64> {
    let mut figures = vec![Vec::with_capacity(rounds); contestants.len()];
    for _ in 0..rounds {
        for (contestant, figures) in contestants.iter_mut().zip(&mut figures) {
            figures.push(contestant());
        }
    }
    figures.into_iter().map(median).collect()
}

/// What is measured beside something else.
pub struct Pair<'a, const N: usize> {
    /// A round of it: so many figures.
    pub contestant: Box<dyn FnMut() -> [f64; N] + 'a>,
    /// A round of what it is divided by.
    pub baseline: Box<dyn FnMut() -> [f64; N] + 'a>,
}

/// What came of a [`Pair`], medians.
#[derive(Clone, Copy, Debug)]
pub struct Paired<const N: usize> {
    /// What was measured.
    pub figures: [f64; N],
    /// The same, divided by the baseline just before or just after. The machine's mood is much the same in both, so that this is
    /// steadier than a ratio of medians.
    pub ratios: [f64; N],
}

/// One round of each pair after the other, `rounds` times. In every other round the baseline comes first.
pub fn paired<const N: usize>(rounds: usize, pairs: &mut [Pair<'_, N>]) -> Vec<Paired<N>> {
    let mut all: Vec<_> = pairs.iter().map(|_| [(); N].map(|()| (Vec::new(), Vec::new()))).collect();
    for round in 0..rounds {
        for (pair, measured) in pairs.iter_mut().zip(&mut all) {
            let baseline_first = round % 2 == 0;
            let before = baseline_first.then(|| (pair.baseline)());
            let figures = (pair.contestant)();
            let baseline = before.unwrap_or_else(|| (pair.baseline)());
            for ((measured, figure), baseline) in measured.iter_mut().zip(figures).zip(baseline) {
                measured.0.push(figure);
                measured.1.push(figure / baseline);
            }
        }
    }
    all.into_iter().map(Paired::of).collect()
}

impl<const N: usize> fmt::Debug for Pair<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl<const N: usize> Paired<N> {
    fn of(measured: [(Vec<f64>, Vec<f64>); N]) -> Self {
        let medians = measured.map(|(figures, ratios)| (median(figures), median(ratios)));
        Self { figures: medians.map(|it| it.0), ratios: medians.map(|it| it.1) }
    }
}

/// The one in the middle; of an even number, the upper of the two.
pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value that a `share` of all do not exceed, 0 to 1.
///
/// # Panics
///
/// If there is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
pub fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * share) as usize;
    values[index.min(values.len() - 1)]
}
