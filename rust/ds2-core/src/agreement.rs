//! How well two raters agree: rank correlation and weighted kappa, both of weighted samples.

/// Values as ranks: equal values share a group, groups are numbered in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    of: Vec<u32>,
    count: usize,
}

impl Groups {
    /// Group finite values; O(n log n).
    pub(crate) fn new(values: &[f64]) -> Self {
        let mut order: Vec<u32> = (0_u32..).zip(values).map(|(row, _)| row).collect();
        order.sort_unstable_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]).then(a.cmp(&b)));
        let mut of = vec![0; values.len()];
        let mut group = 0;
        for pair in 0..order.len() {
            let row = order[pair] as usize;
            if pair > 0 && values[row] > values[order[pair - 1] as usize] {
                group += 1;
            }
            of[row] = group;
        }
        Self { of, count: if values.is_empty() { 0 } else { group as usize + 1 } }
    }

    /// Mid-ranks of the groups, in units of weight: half the weight of the group and all below it.
    fn midranks(&self, weights: &[f64]) -> Vec<f64> {
        let mut totals = vec![0.0; self.count];
        for (&group, weight) in self.of.iter().zip(weights) {
            totals[group as usize] += weight;
        }
        let mut below = 0.0;
        for total in &mut totals {
            let weight = *total;
            *total = below + 0.5 * weight;
            below += weight;
        }
        totals
    }
}

/// Spearman's rank correlation of weighted samples: Pearson's, of mid-ranks; 0 where one side is constant.
///
/// With whole weights, as if each sample were repeated so often. O(n).
pub(crate) fn rank_correlation(x: &Groups, y: &Groups, weights: &[f64]) -> f64 {
    let (ranks_x, ranks_y) = (x.midranks(weights), y.midranks(weights));
    let total: f64 = weights.iter().sum();
    // Mid-ranks of weighted samples average to half the total weight.
    let middle = 0.5 * total;
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for ((&group_x, &group_y), weight) in x.of.iter().zip(&y.of).zip(weights) {
        let (dx, dy) = (ranks_x[group_x as usize] - middle, ranks_y[group_y as usize] - middle);
        xx += weight * dx * dx;
        yy += weight * dy * dy;
        xy += weight * dx * dy;
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

/// Agreement of two raters on a scale of K classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Share of the weight on which both give the same score.
    pub equal: f64,
    /// Quadratically weighted kappa: 1 = always, 0 = as by chance; 0 where both give one score alone.
    pub kappa: f64,
}

/// Measure agreement of weighted pairs of scores `(one, other)`; O(n + K^2).
pub(crate) fn measure_agreement(
    pairs: impl Iterator<Item = (usize, usize, f64)>,
    classes: usize,
) -> Agreement {
    let mut table = vec![0.0; classes * classes];
    pairs.for_each(|(one, other, weight)| table[one * classes + other] += weight);
    let total: f64 = table.iter().sum();
    let cells = || (0..classes).flat_map(|i| (0..classes).map(move |j| (i, j)));
    let row = |i: usize| table[i * classes..][..classes].iter().sum::<f64>();
    let column = |j: usize| (0..classes).map(|i| table[i * classes + j]).sum::<f64>();
    let (rows, columns): (Vec<f64>, Vec<f64>) = (0..classes).map(|i| (row(i), column(i))).unzip();
    let distance = |i: usize, j: usize| (i.abs_diff(j) * i.abs_diff(j)) as f64;
    let found: f64 = cells().map(|(i, j)| distance(i, j) * table[i * classes + j]).sum();
    let chance: f64 = cells().map(|(i, j)| distance(i, j) * rows[i] * columns[j] / total).sum();
    Agreement {
        equal: (0..classes).map(|i| table[i * classes + i]).sum::<f64>() / total,
        kappa: if chance > 0.0 { 1.0 - found / chance } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_rank_correlation(x: &[f64], y: &[f64]) -> f64 {
        let rank = |values: &[f64], value: f64| {
            let below = values.iter().filter(|&&other| other < value).count() as f64;
            below + 0.5 * values.iter().filter(|other| other.total_cmp(&value).is_eq()).count() as f64
        };
        let middle = x.len() as f64 / 2.0;
        let ranks: Vec<(f64, f64)> =
            x.iter().zip(y).map(|(&a, &b)| (rank(x, a) - middle, rank(y, b) - middle)).collect();
        let sum = |f: fn(&(f64, f64)) -> f64| ranks.iter().map(f).sum::<f64>();
        let spread = sum(|r| r.0 * r.0) * sum(|r| r.1 * r.1);
        if spread > 0.0 { sum(|r| r.0 * r.1) / spread.sqrt() } else { 0.0 }
    }

    proptest! {
        #[test]
        fn weights_are_repetitions(samples in prop::collection::vec((0_u8..6, 0_u8..4, 0_u8..4), 1..40)) {
            prop_assume!(samples.iter().any(|sample| sample.2 > 0));
            let column = |pick: fn(&(u8, u8, u8)) -> u8| -> Vec<f64> {
                samples.iter().map(|sample| f64::from(pick(sample))).collect()
            };
            let (x, y) = (column(|s| s.0), column(|s| s.1));
            let fast = rank_correlation(&Groups::new(&x), &Groups::new(&y), &column(|s| s.2));
            let repeated: Vec<(f64, f64)> = samples
                .iter()
                .flat_map(|s| std::iter::repeat_n((f64::from(s.0), f64::from(s.1)), s.2.into()))
                .collect();
            let (x, y): (Vec<f64>, Vec<f64>) = repeated.into_iter().unzip();
            prop_assert!((fast - slow_rank_correlation(&x, &y)).abs() < 1e-12);
        }
    }

    #[test]
    fn known_rank_correlations() {
        let of =
            |x: &[f64], y: &[f64]| rank_correlation(&Groups::new(x), &Groups::new(y), &vec![1.0; x.len()]);
        assert!((of(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]) - 1.0).abs() < 1e-15);
        assert!((of(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-15);
        // Ranks 1, 2.5, 2.5 against 1, 2, 3: 1.5 / sqrt(1.5 * 2).
        assert!((of(&[0.0, 4.0, 4.0], &[1.0, 2.0, 3.0]) - 0.75_f64.sqrt()).abs() < 1e-15);
        assert!(of(&[1.0, 1.0], &[1.0, 2.0]).abs() < 1e-300);
    }

    #[test]
    fn known_kappas() {
        let of = |pairs: &[(usize, usize, f64)]| measure_agreement(pairs.iter().copied(), 3);
        assert_eq!(of(&[(0, 0, 1.0), (2, 2, 3.0)]), Agreement { equal: 1.0, kappa: 1.0 });
        assert_eq!(of(&[(0, 2, 1.0), (2, 0, 1.0)]), Agreement { equal: 0.0, kappa: -1.0 });
        // One step off in 1 case; by chance in 2 * 1 / 4 + 2 * 3 / 4 = 2.
        let half = of(&[(0, 0, 2.0), (1, 0, 1.0), (1, 1, 1.0)]);
        assert!((half.equal - 0.75).abs() < 1e-15 && (half.kappa - 0.5).abs() < 1e-15);
        assert_eq!(of(&[(1, 1, 5.0)]), Agreement { equal: 1.0, kappa: 0.0 });
    }
}
