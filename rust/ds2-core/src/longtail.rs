//! Long-tail score: how far a sample lies from its nearest neighbors.

use rayon::prelude::*;

use crate::similarity::check_similarities;
use crate::{Error, Result, Rows};

/// Which distances enter the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// The k nearest other samples, each once.
    Paper,
    /// The k nearest rows of a pool that holds every sample twice: the sample itself and its copy at distance
    /// 0, then each neighbor twice. For k = 10 the mean is 0.2 * (d1 + d2 + d3 + d4).
    Reference,
}

impl Definition {
    /// Neighbors a row must have for a mean over `k`.
    #[must_use]
    pub fn columns(self, k: usize) -> usize {
        match self {
            Self::Paper => k,
            Self::Reference => k.saturating_sub(2).div_ceil(2),
        }
    }

    /// Mean distance of one row; `similarities` nearest first.
    fn mean_distance(self, similarities: &[f32], k: usize) -> f64 {
        // Rounding may put a cosine a little past 1; a distance below 0 has no meaning.
        let distance = |s: f32| f64::from((1.0 - s).clamp(0.0, 2.0));
        let sum: f64 = match self {
            Self::Paper => similarities[..k].iter().map(|&s| distance(s)).sum(),
            Self::Reference => (0..k - 2).map(|slot| distance(similarities[slot / 2])).sum(),
        };
        sum / k as f64
    }
}

/// Score how far each sample lies from its neighbors: `2 / (1 + e^-m) - 1`, m the mean cosine distance.
///
/// `similarities` is `(N, L)`, cosine to each neighbor in [-1, 1], nearest first. The result is
/// `(N,)` in [0, 0.7616]; high = rare, 0 = all neighbors identical. `decimals` rounds the result as the
/// published code does (4), which ties many samples.
///
/// Source: DS2 paper, long-tail score (`Definition::Paper`); published code (`Definition::Reference`, there
/// from f16 distances and rounded to 4 decimals: Deviations D1, D2, D4, D5). O(N k).
///
/// # Errors
///
/// [`Error::Shape`] if there are fewer columns than the mean needs;
/// [`Error::Value`] if `k` is too small or a similarity is not a cosine.
///
/// # Examples
///
/// ```
/// use ds2_core::Rows;
/// use ds2_core::longtail::{Definition, score_longtail};
/// let similarities = Rows::new(&[0.9, 0.8, 0.7, 0.6], 1, 4)?;
/// let score = score_longtail(similarities, 10, Definition::Reference, None)?;
/// assert!((score[0] - 0.0997).abs() < 1e-4);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn score_longtail(
    similarities: Rows<'_, f32>,
    k: usize,
    definition: Definition,
    decimals: Option<u8>,
) -> Result<Vec<f64>> {
    check_similarities(similarities)?;
    let smallest = if definition == Definition::Paper { 1 } else { 3 };
    if k < smallest {
        return Err(Error::value(format!("k must be at least {smallest} for this definition, got {k}")));
    }
    let needed = definition.columns(k);
    if similarities.dim() < needed {
        return Err(Error::shape(format!(
            "similarities must have at least {needed} columns for k = {k}, got {}",
            similarities.dim()
        )));
    }
    let scale = decimals.map(|digits| 10f64.powi(i32::from(digits)));
    let score = |row: &[f32]| {
        // tanh(m / 2) is the same function, without cancellation near 0.
        let score = (definition.mean_distance(row, k) / 2.0).tanh();
        scale.map_or(score, |scale| (score * scale).round_ties_even() / scale)
    };
    Ok((0..similarities.len()).into_par_iter().map(|row| score(similarities.row(row))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(values: &[f32], width: usize, k: usize, definition: Definition) -> Result<Vec<f64>> {
        score_longtail(Rows::new(values, values.len() / width, width)?, k, definition, None)
    }

    #[test]
    fn known_answers() {
        let row = [0.9, 0.8, 0.7, 0.6];
        let reference = score(&row, 4, 10, Definition::Reference).unwrap();
        assert!((reference[0] - 0.099_668).abs() < 1e-6);
        let rounded =
            score_longtail(Rows::new(&row, 1, 4).unwrap(), 10, Definition::Reference, Some(4)).unwrap();
        assert!((rounded[0] - 0.0997).abs() < 1e-12);
        let paper = score(&row, 4, 4, Definition::Paper).unwrap();
        assert!((paper[0] - (2.0 / (1.0 + (-0.25f64).exp()) - 1.0)).abs() < 1e-7);
    }

    #[test]
    fn identical_neighbors_give_zero_and_opposite_ones_the_most() {
        assert_eq!(score(&[1.0; 4], 2, 2, Definition::Paper).unwrap(), vec![0.0, 0.0]);
        let most = score(&[-1.0; 2], 2, 2, Definition::Paper).unwrap()[0];
        assert!((most - 0.761_594).abs() < 1e-6);
    }

    #[test]
    fn refuses_what_it_cannot_score() {
        let error = |k, definition| score(&[0.5; 4], 2, k, definition).unwrap_err().to_string();
        assert_eq!(error(3, Definition::Paper), "similarities must have at least 3 columns for k = 3, got 2");
        assert_eq!(
            error(10, Definition::Reference),
            "similarities must have at least 4 columns for k = 10, got 2"
        );
        assert_eq!(error(0, Definition::Paper), "k must be at least 1 for this definition, got 0");
        assert_eq!(error(2, Definition::Reference), "k must be at least 3 for this definition, got 2");
    }

    proptest! {
        #[test]
        fn falls_as_similarity_rises(mut row in prop::collection::vec(-1.0f32..0.9, 4), rise in 0.001f32..0.1) {
            row.sort_by(|a, b| b.total_cmp(a));
            let raised: Vec<f32> = row.iter().map(|s| s + rise).collect();
            for (k, definition) in [(4, Definition::Paper), (10, Definition::Reference)] {
                let low = score(&row, 4, k, definition).unwrap()[0];
                let high = score(&raised, 4, k, definition).unwrap()[0];
                prop_assert!(high < low);
            }
        }
    }
}
