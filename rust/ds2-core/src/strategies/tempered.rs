//! Soft choice: draw without replacement, the better the likelier.

use rayon::prelude::*;

use super::check_scored;
use crate::random::Stream;
use crate::{Error, Result};

/// Draw `n` candidates without replacement, each next one with a probability proportional to
/// `exp(score / temperature)` among those left.
///
/// The candidates with the largest `score / temperature + g` are taken, largest first, ties by place among the
/// candidates; `g = -ln(-ln u)` is a number of Gumbel's distribution that depends on the seed and the row alone, so
/// the first rows do not depend on `n`, nor the numbers on who else is a candidate. A temperature toward 0 is the
/// order of the scores, toward infinity a uniform draw.
///
/// `candidates`: distinct rows. `scores`: one for each, finite. `temperature` above 0 and finite.
///
/// Source: Gumbel top-k (Vieira 2014; Kool et al. 2019), as `QuRating` samples (arXiv 2402.09739).
/// O(m log m).
///
/// # Errors
///
/// [`Error::Value`] for a temperature that is not finite and above 0, a score that is not finite or overflows when
/// divided by it, n = 0 or more than there are candidates; [`Error::Shape`] if `scores` and `candidates` differ in
/// length.
///
/// # Examples
///
/// ```
/// use ds2_core::strategies::tempered::draw_tempered;
/// assert_eq!(draw_tempered(&[4, 7, 9], &[0.0, 2.0, 1.0], 1e-6, 2, 42)?, [7, 9]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn draw_tempered(
    candidates: &[u32],
    scores: &[f64],
    temperature: f64,
    n: usize,
    seed: u64,
) -> Result<Vec<u32>> {
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(Error::value(format!("temperature must be finite and above 0, got {temperature}")));
    }
    check_scored(candidates, scores, n)?;
    if let Some(place) = scores.iter().position(|score| !(score / temperature).is_finite()) {
        return Err(Error::value(format!(
            "scores[{place}] / temperature = {} / {temperature} overflows",
            scores[place]
        )));
    }
    let key =
        |(place, (&row, &score)): (usize, (&u32, &f64))| (score / temperature + gumbel(seed, row), place);
    let mut keys: Vec<(f64, usize)> = candidates.par_iter().zip(scores).enumerate().map(key).collect();
    keys.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    Ok(keys[..n].iter().map(|&(_, place)| candidates[place]).collect())
}

/// The number of Gumbel's distribution that belongs to a row.
fn gumbel(seed: u64, row: u32) -> f64 {
    -(-Stream::new(seed, u64::from(row)).inside().ln()).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How often each of three candidates is drawn first and second, of 30,000.
    fn counts(scores: &[f64; 3], temperature: f64) -> [[f64; 3]; 2] {
        let mut counts = [[0.0; 3]; 2];
        for seed in 0..30_000 {
            for (at, row) in
                draw_tempered(&[0, 1, 2], scores, temperature, 2, seed).unwrap().into_iter().enumerate()
            {
                counts[at][row as usize] += 1.0 / 30_000.0;
            }
        }
        counts
    }

    #[test]
    fn shares_are_those_of_successive_draws() {
        // Weights 1, 2 and 4 at a temperature of 2; standard errors below .003.
        let scores = [0.0, 4_f64.ln(), 16_f64.ln()];
        let found = counts(&scores, 2.0);
        let weights = [1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0];
        for row in 0..3 {
            assert!((found[0][row] - weights[row]).abs() < 0.012, "{found:?}");
            let others = (0..3).filter(|&other| other != row);
            let second: f64 =
                others.map(|other| weights[other] * weights[row] / (1.0 - weights[other])).sum();
            assert!((found[1][row] - second).abs() < 0.012, "{found:?} {second}");
        }
    }

    proptest! {
        #[test]
        fn it_is_sorted_by_keys_that_know_the_row_alone(
            scores in prop::collection::vec(-50_i8..50, 1..200), n in 1_usize..200, seed in any::<u64>(),
        ) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let candidates: Vec<u32> = (7..).take(scores.len()).collect();
            let n = n.min(scores.len());
            let found = draw_tempered(&candidates, &scores, 10.0, n, seed).unwrap();
            let key = |row: u32| scores[row as usize - 7] / 10.0 - (-Stream::new(seed, u64::from(row)).inside().ln()).ln();
            // The slow twin: the largest key of those left, n times.
            let mut left = candidates.clone();
            for &row in &found {
                let most = left.iter().map(|&row| key(row)).fold(f64::MIN, f64::max);
                prop_assert!(key(row) >= most);
                left.retain(|&other| other != row);
            }
            let (backward, turned): (Vec<u32>, Vec<f64>) =
                candidates.iter().copied().rev().zip(scores.iter().copied().rev()).unzip();
            prop_assert_eq!(draw_tempered(&backward, &turned, 10.0, n, seed).unwrap(), found);
        }
    }

    #[test]
    fn refuses_what_it_cannot_draw() {
        let text = |scores: &[f64], temperature, n| {
            draw_tempered(&[0, 1], scores, temperature, n, 0).unwrap_err().to_string()
        };
        assert_eq!(text(&[0.0; 2], 0.0, 1), "temperature must be finite and above 0, got 0");
        assert_eq!(text(&[0.0, f64::NAN], 1.0, 1), "scores[1] = NaN is not finite");
        assert_eq!(text(&[0.0; 2], 1.0, 3), "n = 3 samples asked for, but there are 2 candidates");
        assert_eq!(
            text(&[0.0, 1e300], 1e-10, 1),
            format!("scores[1] / temperature = {} / {} overflows", 1e300, 1e-10)
        );
    }
}
