//! What the neighbors of a sample say about its true score, and how far to listen to them.
//!
//! Neighbors are tempered: `pz[n, z]` proportional to `p[z] * exp(beta * sum_j log T[z, score of neighbor j])`
//! over the k nearest. Both k and beta are chosen without labels: those under which the neighbors predict the
//! sample's own rating best.

use rayon::prelude::*;

use crate::rated::{CHUNK, LabelCounts, MAX_CLASSES, RatedPool};
use crate::transition::Model;
use crate::{Error, Result};

/// Numbers of neighbors that are tried.
pub const NEIGHBOR_COUNTS: [usize; 5] = [5, 10, 20, 50, 100];

/// Tempers that are tried. All are whole percents, so that one exponential serves all of them.
pub const BETAS: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0];

/// Samples the tuning looks at, at most.
pub const TUNING_SAMPLES: usize = 50_000;

/// Below this a neighbor's rating counts as impossible; keeps its logarithm finite.
const LEAST_LIKELIHOOD: f64 = 1e-9;

/// Least probability credited to a prediction; keeps one surprise from deciding, and `SPAN` products of it in range.
const LEAST_PREDICTION: f64 = 1e-12;

/// Predictions multiplied before one logarithm is taken: 1e-12^16 is still a normal number.
const SPAN: usize = 16;

/// How the neighbors of a sample are listened to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temper {
    /// Neighbors heard.
    pub k: usize,
    /// Weight of one neighbor's log likelihood, in (0, 1].
    pub beta: f64,
}

/// One choice of k and beta, and how well it predicts ratings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The choice.
    pub temper: Temper,
    /// Gain over the ratings' own distribution, in nats per sample.
    pub information: f64,
}

/// Outcome of [`tune_evidence`].
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The best candidate; ties go to the smaller k, then the smaller beta.
    pub best: Candidate,
    /// All candidates, by k, then beta.
    pub candidates: Vec<Candidate>,
    /// Rated samples that were predicted.
    pub samples: usize,
}

/// Log likelihoods of the true score given ratings, for fast sums over neighbors.
pub(crate) struct Evidence<'a> {
    model: Model<'a>,
    /// `log_likelihood[c][z] = ln max(T[z, c], 1e-9)`
    log_likelihood: [[f64; MAX_CLASSES]; MAX_CLASSES],
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(model: Model<'a>) -> Self {
        let mut log_likelihood = [[0.0; MAX_CLASSES]; MAX_CLASSES];
        for (c, row) in log_likelihood.iter_mut().enumerate().take(model.num_classes()) {
            for (z, value) in row.iter_mut().enumerate().take(model.num_classes()) {
                *value = model.t(z, c).max(LEAST_LIKELIHOOD).ln();
            }
        }
        Self { model, log_likelihood }
    }

    /// `L[z]`: log likelihood of the counted ratings given the shared score.
    #[inline]
    fn sums(&self, counts: LabelCounts) -> [f64; MAX_CLASSES] {
        let classes = self.model.num_classes();
        let mut sums = [0.0; MAX_CLASSES];
        for (column, count) in self.log_likelihood.iter().zip(counts.of_scores()).take(classes) {
            (0..classes).for_each(|z| sums[z] += f64::from(count) * column[z]);
        }
        sums
    }

    /// `L[z]` minus its maximum over the classes that exist (p > 0), so that `p exp(beta L)` cannot vanish.
    #[inline]
    pub(crate) fn relative(&self, counts: LabelCounts) -> [f64; MAX_CLASSES] {
        let sums = self.sums(counts);
        let exists = (0..self.model.num_classes()).filter(|&z| self.model.p()[z] > 0.0);
        let top = exists.fold(f64::NEG_INFINITY, |top, z| top.max(sums[z]));
        sums.map(|sum| sum - top)
    }

    /// `L[z]` minus its maximum over all K classes, so that the likelihood alone, without a prior, cannot vanish.
    pub(crate) fn log_likelihood(&self, counts: LabelCounts) -> [f64; MAX_CLASSES] {
        let sums = self.sums(counts);
        let top = sums[..self.model.num_classes()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        sums.map(|sum| sum - top)
    }

    /// `pz`, the distribution of the score shared with the neighbors, before the own rating is heard.
    #[inline]
    pub(crate) fn shared_score(&self, counts: LabelCounts, beta: f64) -> [f64; MAX_CLASSES] {
        let relative = self.relative(counts);
        let mut shared = [0.0; MAX_CLASSES];
        for (z, &p) in self.model.p().iter().enumerate().filter(|&(_, &p)| p > 0.0) {
            shared[z] = p * (beta * relative[z]).exp();
        }
        let classes = &mut shared[..self.model.num_classes()];
        let sum: f64 = classes.iter().sum();
        for value in classes {
            *value /= sum;
        }
        shared
    }

    /// Sum over `rows` of `log sum_z pz[z] T[z, own rating]` for each temper that `powers` stands for:
    /// `powers(x)` is `exp(beta x)` for its B betas.
    fn predict<const B: usize>(
        &self,
        pool: &RatedPool<'_>,
        rows: impl Iterator<Item = (usize, LabelCounts)>,
        powers: impl Fn(f64) -> [f64; B],
    ) -> [f64; B] {
        let mut sums = [0.0; B];
        let (mut products, mut factors) = ([1.0; B], 0);
        for (row, counts) in rows {
            let Some(own) = pool.score(row) else { continue };
            let relative = self.relative(counts);
            let (mut joint, mut total) = ([0.0; B], [0.0; B]);
            for (z, &p) in self.model.p().iter().enumerate().filter(|&(_, &p)| p > 0.0) {
                let tempered = powers(relative[z]);
                let likelihood = self.model.t(z, own);
                for b in 0..B {
                    total[b] += p * tempered[b];
                    joint[b] += p * tempered[b] * likelihood;
                }
            }
            (0..B).for_each(|b| products[b] *= (joint[b] / total[b]).max(LEAST_PREDICTION));
            factors += 1;
            if factors == SPAN {
                (0..B).for_each(|b| sums[b] += products[b].ln());
                (products, factors) = ([1.0; B], 0);
            }
        }
        (0..B).for_each(|b| sums[b] += products[b].ln());
        sums
    }
}

/// `exp(beta x)` for every beta of [`BETAS`] from the one exponential `exp(0.01 x)`, by a chain of products.
#[inline]
fn grid_powers(x: f64) -> [f64; BETAS.len()] {
    let u1 = (0.01 * x).exp();
    let u2 = u1 * u1;
    let u5 = u2 * u2 * u1;
    let u10 = u5 * u5;
    let u20 = u10 * u10;
    let u35 = u20 * u10 * u5;
    let u50 = u20 * u20 * u10;
    [u2, u5, u10, u20, u35, u50, u35 * u35, u50 * u50]
}

/// Choose k and beta without labels.
///
/// Maximizes the leave-self-out predictive likelihood `mean_n log sum_z pz[n, z] T[z, score n]` over
/// [`NEIGHBOR_COUNTS`] (as far as the graph reaches; all of it if it is shorter than 5) and [`BETAS`], on at
/// most [`TUNING_SAMPLES`] samples at a fixed stride. `information` is that likelihood plus the entropy of the
/// same samples' ratings: what the neighbors know about a rating, in nats. It may be negative.
///
/// # Errors
///
/// [`Error::Value`] if no sample looked at is rated; [`Error::Shape`] if model and pool differ in K;
/// [`Error::Interrupted`].
///
/// # Cost
///
/// O(min(N, 50,000) k K), independent of the thread count to the last bit.
pub fn tune_evidence(pool: &RatedPool<'_>, model: Model<'_>) -> Result<Tuning> {
    let stride = pool.len().div_ceil(TUNING_SAMPLES).max(1);
    let looked_at: Vec<usize> = (0..pool.len()).step_by(stride).collect();
    tune_on(pool, model, &looked_at)
}

/// [`tune_evidence`] on the samples `looked_at`.
pub(crate) fn tune_on(pool: &RatedPool<'_>, model: Model<'_>, looked_at: &[usize]) -> Result<Tuning> {
    check_same_classes(pool, model)?;
    let evidence = Evidence::new(model);
    let mut ks: Vec<usize> = NEIGHBOR_COUNTS.into_iter().filter(|&k| k <= pool.depth()).collect();
    if ks.is_empty() {
        ks.push(pool.depth());
    }
    let chunks: Vec<Vec<[f64; BETAS.len()]>> = looked_at
        .par_chunks(CHUNK)
        .map(|rows| {
            let mut counts = vec![LabelCounts::default(); rows.len()];
            let mut heard = 0;
            ks.iter()
                .map(|&k| {
                    for (&row, counts) in rows.iter().zip(&mut counts) {
                        pool.count_labels(row, heard..k, counts);
                    }
                    heard = k;
                    evidence.predict(pool, rows.iter().copied().zip(counts.iter().copied()), grid_powers)
                })
                .collect()
        })
        .collect();
    let (samples, entropy) = rating_entropy(pool, looked_at.iter().copied())?;
    let mut candidates = Vec::with_capacity(ks.len() * BETAS.len());
    for (i, &k) in ks.iter().enumerate() {
        for (j, &beta) in BETAS.iter().enumerate() {
            let sum: f64 = chunks.iter().map(|chunk| chunk[i][j]).sum();
            let information = sum / samples as f64 + entropy;
            candidates.push(Candidate { temper: Temper { k, beta }, information });
        }
    }
    let better = |best: Candidate, next: &Candidate| {
        if next.information > best.information { *next } else { best }
    };
    let best = candidates.iter().skip(1).fold(candidates[0], better);
    Ok(Tuning { best, candidates, samples })
}

/// What the neighbors know about a rating under one given choice of k and beta, in nats; see [`tune_evidence`].
///
/// # Errors
///
/// As [`tune_evidence`]; [`Error::Value`] if k is not in 1..=L or beta not in (0, 1].
pub fn neighbor_information(pool: &RatedPool<'_>, model: Model<'_>, temper: Temper) -> Result<f64> {
    check_same_classes(pool, model)?;
    check_temper(pool, temper)?;
    let evidence = Evidence::new(model);
    let stride = pool.len().div_ceil(TUNING_SAMPLES).max(1);
    let looked_at: Vec<usize> = (0..pool.len()).step_by(stride).collect();
    let chunks: Vec<f64> = looked_at
        .par_chunks(CHUNK)
        .map(|rows| {
            let counted = rows.iter().map(|&row| {
                let mut counts = LabelCounts::default();
                pool.count_labels(row, 0..temper.k, &mut counts);
                (row, counts)
            });
            let [sum] = evidence.predict(pool, counted, |x| [(temper.beta * x).exp()]);
            sum
        })
        .collect();
    let (samples, entropy) = rating_entropy(pool, looked_at.into_iter())?;
    Ok(chunks.iter().sum::<f64>() / samples as f64 + entropy)
}

pub(crate) fn check_temper(pool: &RatedPool<'_>, temper: Temper) -> Result<()> {
    pool.check_k(temper.k, 1)?;
    if temper.beta > 0.0 && temper.beta <= 1.0 {
        Ok(())
    } else {
        Err(Error::value(format!("beta must be in (0, 1], got {}", temper.beta)))
    }
}

pub(crate) fn check_same_classes(pool: &RatedPool<'_>, model: Model<'_>) -> Result<()> {
    if pool.num_classes() == model.num_classes() {
        Ok(())
    } else {
        Err(Error::shape(format!(
            "the pool has {} classes, T has {}",
            pool.num_classes(),
            model.num_classes()
        )))
    }
}

/// Number of rated samples among `rows`, and the entropy of their ratings in nats.
fn rating_entropy(pool: &RatedPool<'_>, rows: impl Iterator<Item = usize>) -> Result<(usize, f64)> {
    let mut counts = [0_usize; MAX_CLASSES];
    rows.filter_map(|row| pool.score(row)).for_each(|score| counts[score] += 1);
    let samples: usize = counts.iter().sum();
    if samples == 0 {
        return Err(Error::value("no sample is rated"));
    }
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / samples as f64);
    Ok((samples, -shares.map(|share| share * share.ln()).sum::<f64>()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rows;
    use crate::naive_bayes as naive;

    proptest! {
        #[test]
        fn one_exponential_gives_all_powers(x in -2000.0_f64..0.0) {
            for (power, beta) in grid_powers(x).into_iter().zip(BETAS) {
                let direct = (beta * x).exp();
                // 100 factors of relative error half an ulp each, and the rounded exponent of the first.
                prop_assert!((power - direct).abs() <= 1e-12 * direct + 1e-300, "beta {beta}: {power} {direct}");
            }
        }

        #[test]
        fn shared_scores_equal_the_slow_ones(
            (pool, (t, p)) in naive::pools(12).prop_flat_map(|pool| {
                let models = naive::models(pool.num_classes);
                (Just(pool), models)
            }),
            beta in 0.01_f64..1.0,
        ) {
            let evidence = Evidence::new(Model::new(&t, &p).unwrap());
            for row in 0..pool.scores.len() {
                let mut counts = LabelCounts::default();
                pool.rated().count_labels(row, 0..pool.depth, &mut counts);
                let fast = evidence.shared_score(counts, beta);
                let slow = naive::shared_score(&pool, row, pool.depth, beta, &t, &p);
                for (x, y) in fast.iter().zip(&slow) {
                    prop_assert!((x - y).abs() <= 1e-12, "{x} is not {y}");
                }
            }
        }

        #[test]
        fn the_table_equals_the_slow_one(
            (pool, (t, p)) in naive::pools(24).prop_flat_map(|pool| {
                let models = naive::models(pool.num_classes);
                (Just(pool), models)
            }),
        ) {
            prop_assume!(pool.scores.iter().any(|&score| score >= 0));
            let model = Model::new(&t, &p).unwrap();
            let tuning = tune_evidence(&pool.rated(), model).unwrap();
            let reach = NEIGHBOR_COUNTS.iter().filter(|&&k| k <= pool.depth).count().max(1);
            prop_assert_eq!(tuning.candidates.len(), reach * BETAS.len());
            prop_assert_eq!(tuning.samples, pool.scores.iter().filter(|&&score| score >= 0).count());
            for candidate in &tuning.candidates {
                let Temper { k, beta } = candidate.temper;
                let slow = naive::information(&pool, k, beta, &t, &p);
                prop_assert!((candidate.information - slow).abs() <= 1e-10);
                let single = neighbor_information(&pool.rated(), model, candidate.temper).unwrap();
                prop_assert!((single - slow).abs() <= 1e-10);
                let earlier = candidate.temper.k < tuning.best.temper.k
                    || candidate.temper.k == tuning.best.temper.k && beta < tuning.best.temper.beta;
                let behind = tuning.best.information - candidate.information;
                prop_assert!(behind > 0.0 || behind == 0.0 && !earlier);
            }
        }
    }

    #[test]
    fn ties_go_to_fewer_neighbors_and_smaller_beta() {
        // A rater who answers at random: neighbors say nothing, every candidate is as good.
        let scores: Vec<i8> = (0..12).map(|row| row % 2).collect();
        let near: Vec<u32> = (0..12_u32).flat_map(|row| (1..12).map(move |step| (row + step) % 12)).collect();
        let pool = RatedPool::new(&scores, Rows::new(&near, 12, 11).unwrap(), 2).unwrap();
        let (t, p) = ([0.5; 4], [0.5; 2]);
        let tuning = tune_evidence(&pool, Model::new(&t, &p).unwrap()).unwrap();
        assert_eq!(tuning.best.temper, Temper { k: 5, beta: 0.02 });
        assert!(tuning.best.information.abs() < 1e-12);
    }

    #[test]
    fn a_class_that_does_not_exist_cannot_hide_the_others() {
        let scores = [0_i8; 101];
        let near: Vec<u32> =
            (0..101_u32).flat_map(|row| (1..101).map(move |step| (row + step) % 101)).collect();
        let pool = RatedPool::new(&scores, Rows::new(&near, 101, 100).unwrap(), 2).unwrap();
        // Score 0 is all but impossible under class 1, which holds all the prior.
        let (t, p) = ([1.0, 0.0, 0.0, 1.0], [0.0, 1.0]);
        let model = Model::new(&t, &p).unwrap();
        let mut counts = LabelCounts::default();
        pool.count_labels(0, 0..100, &mut counts);
        assert_eq!(Evidence::new(model).shared_score(counts, 1.0)[..2], [0.0, 1.0]);
        let information = neighbor_information(&pool, model, Temper { k: 100, beta: 1.0 }).unwrap();
        assert!((information - LEAST_PREDICTION.ln()).abs() < 1e-9);
    }

    #[test]
    fn bad_input_is_named() {
        let (scores, near) = ([-1_i8, -1, -1], [1_u32, 2, 0, 2, 0, 1]);
        let pool = RatedPool::new(&scores, Rows::new(&near, 3, 2).unwrap(), 2).unwrap();
        let (t, p) = ([0.9, 0.1, 0.2, 0.8], [0.5, 0.5]);
        let model = Model::new(&t, &p).unwrap();
        assert_eq!(tune_evidence(&pool, model).unwrap_err().to_string(), "no sample is rated");
        let error = |k, beta| neighbor_information(&pool, model, Temper { k, beta }).unwrap_err().to_string();
        assert!(error(3, 0.5).starts_with("k = 3 neighbors asked for, at most 2"));
        assert_eq!(error(2, 0.0), "beta must be in (0, 1], got 0");
        let third = [1.0 / 3.0; 9];
        let wide = Model::new(&third, &third[..3]).unwrap();
        assert_eq!(tune_evidence(&pool, wide).unwrap_err().to_string(), "the pool has 2 classes, T has 3");
    }
}
