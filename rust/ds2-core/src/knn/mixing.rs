//! A random orthogonal map that costs next to nothing: it spreads what a row holds evenly over its coordinates.

use crate::random::Stream;

/// Random signs and a fast Hadamard transform, twice: over the first `2^l` coordinates and over the last,
/// `2^l` the largest power of two that fits. Orthogonal for any dimension; O(d log d) a row.
pub(crate) struct Mixing {
    width: usize,
    signs: Vec<f32>,
    passes: usize,
}

impl Mixing {
    /// A map of `dim >= 1` coordinates, drawn by `seed`.
    pub(crate) fn new(dim: usize, seed: u64) -> Self {
        let width = 1 << dim.ilog2();
        let passes = if width == dim { 1 } else { 2 };
        let mut draws = Stream::new(seed, dim as u64);
        let signs = (0..width * passes).map(|_| if draws.below(2) == 0 { 1.0 } else { -1.0 }).collect();
        Self { width, signs, passes }
    }

    /// Map `row` in place.
    pub(crate) fn apply(&self, row: &mut [f32]) {
        let last = row.len() - self.width;
        for (pass, signs) in self.signs.chunks_exact(self.width).enumerate() {
            transform(&mut row[pass * last..][..self.width], signs);
        }
    }

    /// Bound on the error of [`Self::apply`], relative to the length of the row.
    ///
    /// Each of the `l` layers is orthogonal up to its scale and rounds every value once, and so does the
    /// factor at the end, itself rounded once: `(1 + u)^(l + 2) - 1` a pass, `u = 2^-24`.
    pub(crate) fn error(&self) -> f64 {
        const UNIT: f64 = f32::EPSILON as f64 / 2.0;
        let roundings = self.passes as f64 * (f64::from(self.width.ilog2()) + 2.0);
        (roundings * (1.0 + UNIT).ln()).exp_m1()
    }
}

/// `H D row / sqrt(len)`, H the Hadamard matrix and D the signs; the length is a power of two.
#[expect(clippy::cast_possible_truncation, reason = "the rounding of the factor is accounted for")]
fn transform(row: &mut [f32], signs: &[f32]) {
    for (value, sign) in row.iter_mut().zip(signs) {
        *value *= sign;
    }
    let mut half = 1;
    while half < row.len() {
        for pair in row.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let factor = (row.len() as f64).sqrt().recip() as f32;
    for value in row {
        *value *= factor;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_stay_as_they_are(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..200),
            seed in any::<u64>(),
        ) {
            let mixing = Mixing::new(pairs.len(), seed);
            let (mut a, mut b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            let (before, size) = (dot(&a, &b), (dot(&a, &a) * dot(&b, &b)).sqrt());
            mixing.apply(&mut a);
            mixing.apply(&mut b);
            prop_assert!((dot(&a, &b) - before).abs() <= 2.1 * mixing.error() * size + 1e-30);
        }
    }

    #[test]
    fn one_huge_coordinate_is_spread_out() {
        for dim in [64, 384, 1000] {
            let mut row = vec![0.0; dim];
            row[dim / 3] = 1.0;
            Mixing::new(dim, 1).apply(&mut row);
            let highest = row.iter().fold(0.0_f32, |highest, value| highest.max(value.abs()));
            assert!(highest <= 4.0 / (dim as f32).sqrt(), "{dim}: {highest}");
        }
    }
}
