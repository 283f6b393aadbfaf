//! Interleaved rounds.

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
