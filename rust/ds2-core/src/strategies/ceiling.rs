//! Bound on what candidates of a graph cut gain that are not looked at for a while.

/// Ranges of cosines for which a bound is kept.
const RANGES: usize = 64;

/// The vector of length 1 in this direction; of zeros, if it has none.
pub(super) fn unit(vector: &[f64]) -> Vec<f64> {
    let length = length(vector);
    vector.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Bound on the gains of candidates that are not followed.
///
/// With `d` the sum of the rows chosen since their gains were known, that of candidate e has changed by
/// `-penalty e . d`. Along the axis, of which it holds the share `t = e . axis`, that is `-penalty t (d . axis)`;
/// across, it is at most `penalty sqrt(1 - t^2)` times the length of what is left of d. As candidates that gain much
/// are typical (t is large), and rows that are chosen are too, the first term lowers their bound with every choice.
pub(super) struct Ceiling {
    axis: Vec<f64>,
    penalty: f64,
    /// Sum of the rows chosen since.
    pub(super) drift: Vec<f64>,
    /// How many these are.
    pub(super) moved: usize,
    /// For each range of `typical`: the largest gain in it, its ends, and the most of a row that is across.
    ranges: Vec<Range>,
    /// Bound on what rounding does to two gains and their difference, for each step and dimension.
    rounding: f64,
}

struct Range {
    most: f64,
    ends: (f64, f64),
    across: f64,
}

impl Ceiling {
    /// Over candidates of these (cosine with the axis, gain).
    pub(super) fn over(
        rest: impl Iterator<Item = (f64, f64)>,
        axis: Vec<f64>,
        pull: &[f64],
        penalty: f64,
    ) -> Self {
        let mut most = [f64::NEG_INFINITY; RANGES];
        for (typical, gain) in rest {
            let range = range_of(typical);
            most[range] = most[range].max(gain);
        }
        let known = most.into_iter().enumerate().filter(|&(_, most)| most > f64::NEG_INFINITY);
        let ranges = known.map(|(range, most)| {
            let end = |range: usize| 2.0 * range as f64 / RANGES as f64 - 1.0;
            // Slightly wider, for cosines that were rounded.
            let ends = (end(range) - 1e-9, end(range + 1) + 1e-9);
            let least = if ends.0 < 0.0 && ends.1 > 0.0 { 0.0 } else { ends.0.abs().min(ends.1.abs()) };
            Range { most, ends, across: (1.0 - least * least).max(0.0).sqrt() + 1e-9 }
        });
        let rounding = f64::EPSILON * (4.0 * length(pull) + 4.0 * penalty);
        Self { ranges: ranges.collect(), drift: vec![0.0; axis.len()], axis, penalty, moved: 0, rounding }
    }

    /// No candidate that is not followed gains more.
    pub(super) fn height(&self) -> f64 {
        let along: f64 = self.drift.iter().zip(&self.axis).map(|(drift, axis)| drift * axis).sum();
        let across: Vec<f64> =
            self.drift.iter().zip(&self.axis).map(|(drift, axis)| drift - along * axis).collect();
        let across = length(&across);
        let rise = |range: &Range| {
            let along = (-range.ends.0 * along).max(-range.ends.1 * along);
            range.most + self.penalty * (along + range.across * across)
        };
        let highest = self.ranges.iter().map(rise).fold(f64::NEG_INFINITY, f64::max);
        highest + self.rounding * (self.axis.len() + self.moved * self.moved + 16) as f64
    }
}

/// The range a cosine falls into.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of ranges"
)]
fn range_of(typical: f64) -> usize {
    ((f64::midpoint(typical, 1.0) * RANGES as f64) as usize).min(RANGES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // A candidate along the axis that gained 5: its range of cosines is [1 - 1/32, 1].
        let mut ceiling = Ceiling::over([(1.0, 5.0)].into_iter(), vec![1.0, 0.0], &[5.0, 0.0], 2.0);
        let is = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        is(ceiling.height(), 5.0);
        // A row like it was chosen: 5 - 2 (1 - 1/32) at most, and 3 in truth.
        ceiling.drift = vec![1.0, 0.0];
        is(ceiling.height(), 3.0625);
        // One across, of which the range holds up to sqrt(1 - (31/32)^2) = sqrt(63) / 32: 5 + 2 sqrt(63) / 32.
        ceiling.drift = vec![0.0, 1.0];
        is(ceiling.height(), 5.0 + 63.0_f64.sqrt() / 16.0);
        let none = Ceiling::over(std::iter::empty(), vec![1.0], &[1.0], 2.0);
        assert!(none.height() < f64::MIN, "without a candidate there is no height");
    }
}
