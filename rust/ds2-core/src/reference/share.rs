//! How much of each class T and p call misrated.

use crate::transition::Model;

/// The share of samples with score i whose true score is another: `1 - min(1, T_ii p_i / P(score i))`.
///
/// `P(score i)` is the frequency in the pool, not the model's, so the quotient may exceed 1. `None` for classes
/// without a sample.
pub(crate) fn misrated_shares(model: Model<'_>, sizes: &[usize]) -> Vec<Option<f64>> {
    let rated: usize = sizes.iter().sum();
    let share = |(class, &size): (usize, &usize)| {
        let observed = size as f64 / rated as f64;
        (size > 0).then(|| 1.0 - (model.t(class, class) * model.p()[class] / observed).min(1.0))
    };
    sizes.iter().enumerate().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_bayes_rule_and_skip_empty_classes() {
        let shares = misrated_shares(Model::new(&[0.9, 0.1, 0.2, 0.8], &[0.5, 0.5]).unwrap(), &[55, 45]);
        assert!((shares[0].unwrap() - (1.0 - 0.45 / 0.55)).abs() < 1e-12);
        assert!((shares[1].unwrap() - (1.0 - 0.40 / 0.45)).abs() < 1e-12);
        let shares = misrated_shares(Model::new(&[1.0, 0.0, 0.0, 1.0], &[1.0, 0.0]).unwrap(), &[3, 0]);
        assert_eq!(shares, [Some(0.0), None]);
    }
}
