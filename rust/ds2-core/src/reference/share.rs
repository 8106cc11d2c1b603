//! How much of each class T and p call misrated.

use crate::{Error, Result};

/// How far a row of T, or p, may be from summing to 1.
const ROUNDING: f64 = 1e-6;

/// The share of samples with score i whose true score is another: `1 - min(1, T_ii p_i / P(score i))`.
///
/// `P(score i)` is the frequency in the pool, not the model's, so the quotient may exceed 1. `None` for classes
/// without a sample.
///
/// # Errors
///
/// [`Error::Shape`] if T is not K x K or p not K long; [`Error::Value`] if either is not a distribution.
pub(crate) fn misrated_shares(
    transition: &[f64],
    prior: &[f64],
    sizes: &[usize],
) -> Result<Vec<Option<f64>>> {
    let k = sizes.len();
    if transition.len() != k * k || prior.len() != k {
        return Err(Error::shape(format!(
            "T must have {k} x {k} and p {k} values for {k} classes, got {} and {}",
            transition.len(),
            prior.len()
        )));
    }
    check_distribution(prior, || "p".to_owned())?;
    for (class, row) in transition.chunks_exact(k).enumerate() {
        check_distribution(row, || format!("row {class} of T"))?;
    }
    let rated: usize = sizes.iter().sum();
    let share = |(class, &size): (usize, &usize)| {
        let observed = size as f64 / rated as f64;
        (size > 0).then(|| 1.0 - (transition[class * k + class] * prior[class] / observed).min(1.0))
    };
    Ok(sizes.iter().enumerate().map(share).collect())
}

fn check_distribution(values: &[f64], name: impl Fn() -> String) -> Result<()> {
    let sum: f64 = values.iter().sum();
    // A NaN fails the first comparison, so it cannot pass as a probability.
    if values.iter().all(|&value| value >= 0.0) && (sum - 1.0).abs() <= ROUNDING {
        Ok(())
    } else {
        Err(Error::value(format!("{} is not a distribution: {values:?}", name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_bayes_rule_and_skip_empty_classes() {
        let shares = misrated_shares(&[0.9, 0.1, 0.2, 0.8], &[0.5, 0.5], &[55, 45]).unwrap();
        assert!((shares[0].unwrap() - (1.0 - 0.45 / 0.55)).abs() < 1e-12);
        assert!((shares[1].unwrap() - (1.0 - 0.40 / 0.45)).abs() < 1e-12);
        let shares = misrated_shares(&[1.0, 0.0, 0.0, 1.0], &[1.0, 0.0], &[3, 0]).unwrap();
        assert_eq!(shares, [Some(0.0), None]);
    }

    #[test]
    fn refuses_what_is_not_a_distribution() {
        let text = |t: &[f64], p: &[f64]| misrated_shares(t, p, &[1, 1]).unwrap_err().to_string();
        assert_eq!(text(&[1.0], &[1.0, 0.0]), "T must have 2 x 2 and p 2 values for 2 classes, got 1 and 2");
        assert!(text(&[1.0, 0.0, 0.5, 0.6], &[1.0, 0.0]).starts_with("row 1 of T is not a distribution"));
        assert!(text(&[1.0, 0.0, 0.0, 1.0], &[f64::NAN, 1.0]).starts_with("p is not a distribution"));
    }
}
