//! Curation by an audit: a person scored some samples, which tells what the rater and the neighbors are worth.
//!
//! From m audited samples with gold score y and rating a, weighted by w:
//!
//! ```text
//! T^[y, a] ~ sum w + 2 exp(-2|y - a|) / sum_b exp(-2|y - b|)        p^[y] ~ sum w + 1
//! posterior[y] ~ p^[y] T^[y, own rating] exp(gamma beta sum_j log T[y, rating of neighbor j])
//! ```
//!
//! T^ is measured where [`crate::curation`] has to assume `T_a`. Gamma is what the neighbors know about the
//! *gold* score, which they may know nothing about however well they predict ratings.

mod judging;

pub use judging::{AuditModel, audited_posteriors, curate_audited};

use crate::agreement::{Agreement, measure_agreement};
use crate::curation::Decision;
use crate::evidence::{Evidence, Temper, check_same_classes, check_temper};
use crate::rated::{LabelCounts, MAX_CLASSES, RatedPool};
use crate::transition::Model;
use crate::{Error, Result};

/// Weights of the neighbors that are tried.
pub const GAMMAS: [f64; 8] = [0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];

/// Hard labels are left alone up to this gamma.
pub const LEAST_GAMMA: f64 = 0.1;

/// Parts the audited samples are dealt into for cross-validation.
pub const FOLDS: usize = 5;

/// Pseudo-ratings per row of T^, spread by distance to the gold score.
const ROW_PSEUDO: f64 = 2.0;

/// Standard errors to either side of a 90 % interval.
const NINETY: f64 = 1.645;

/// Samples a person scored, checked against the pool.
#[derive(Clone, Copy, Debug)]
pub struct Audited<'a> {
    rows: &'a [u32],
    gold: &'a [i8],
    weights: &'a [f64],
}

impl<'a> Audited<'a> {
    /// Check and borrow rows of the pool, their gold scores in 0..K-1 and their weights.
    ///
    /// A weight is one over the probability with which the sample came into the audit, in any unit.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if lengths differ; [`Error::Value`] if there are fewer than [`FOLDS`] rows, a row is out
    /// of range or occurs twice, a gold score is out of range, or a weight is not finite and above 0.
    pub fn new(pool: &RatedPool<'_>, rows: &'a [u32], gold: &'a [i8], weights: &'a [f64]) -> Result<Self> {
        if rows.len() != gold.len() || rows.len() != weights.len() {
            let lengths = (rows.len(), gold.len(), weights.len());
            return Err(Error::shape(format!("rows, gold and weights must be as long, got {lengths:?}")));
        }
        if rows.len() < FOLDS {
            return Err(Error::value(format!("an audit needs at least {FOLDS} samples, got {}", rows.len())));
        }
        let mut seen = vec![false; pool.len()];
        for ((&row, &gold), &weight) in rows.iter().zip(gold).zip(weights) {
            match seen.get_mut(row as usize) {
                None => {
                    let last = pool.len() - 1;
                    return Err(Error::value(format!("audited row {row} is not in 0..{last}")));
                }
                Some(true) => return Err(Error::value(format!("row {row} is audited twice"))),
                Some(flag) => *flag = true,
            }
            if !usize::try_from(gold).is_ok_and(|gold| gold < pool.num_classes()) {
                let last = pool.num_classes() - 1;
                return Err(Error::value(format!("gold score {gold} of row {row} is not in 0..{last}")));
            }
            if !(weight.is_finite() && weight > 0.0) {
                return Err(Error::value(format!("weight {weight} of row {row} must be finite and above 0")));
            }
        }
        Ok(Self { rows, gold, weights })
    }
}

/// One gamma and how well the posterior under it predicts held-out gold scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GammaCandidate {
    /// The weight of the neighbors.
    pub gamma: f64,
    /// Mean log probability of the gold scores, in nats.
    pub log_likelihood: f64,
}

/// Outcome of [`fit_audit`].
#[derive(Clone, Debug, PartialEq)]
pub struct AuditFit {
    /// What the posterior is made of.
    pub model: AuditModel,
    /// Smallest gamma that is no worse than the best by more than its 90 % error.
    pub gamma_low: f64,
    /// Largest such gamma.
    pub gamma_high: f64,
    /// Every gamma of [`GAMMAS`].
    pub candidates: Vec<GammaCandidate>,
    /// What the neighbors add to the prediction of a gold score, in nats per sample: best gamma against 0.
    pub gain: f64,
    /// Standard error of `gain`.
    pub gain_error: f64,
    /// Agreement of the ratings with the gold scores.
    pub rated: Agreement,
    /// Agreement of the scores curated under the best gamma with the gold scores, each sample held out.
    pub held_out: Agreement,
    /// Whether hard labels may change: gamma above [`LEAST_GAMMA`], and held out they agree no less.
    pub relabels: bool,
    /// Samples an unweighted audit of the same precision would have: `(sum w)^2 / sum w^2`.
    pub effective: f64,
}

/// One audited sample: what the posterior and its check take.
struct Case {
    own: Option<usize>,
    gold: usize,
    /// Scaled to mean 1.
    weight: f64,
    /// `beta L`, the tempered log likelihood of the neighbors' ratings.
    evidence: [f64; MAX_CLASSES],
    fold: usize,
}

/// Measure T^, p^ and gamma from audited samples.
///
/// Gamma is the one of [`GAMMAS`] with the highest log likelihood of gold scores in [`FOLDS`]-fold
/// cross-validation (T^ and p^ from the other folds; ties to the smaller one); it is 0 unless that beats gamma = 0
/// beyond the 90 % error of the difference. Folds deal the samples out in the order of (gold score, rating, row):
/// no randomness.
///
/// `threshold` is that of [`crate::curation::Rule`].
///
/// # Errors
///
/// [`Error::Value`] if k or beta is out of range; [`Error::Shape`] if model and pool differ in K.
///
/// # Cost
///
/// O(m (k + 8 K)).
pub fn fit_audit(
    pool: &RatedPool<'_>,
    model: Model<'_>,
    temper: Temper,
    audited: Audited<'_>,
    threshold: f64,
) -> Result<AuditFit> {
    check_same_classes(pool, model)?;
    check_temper(pool, temper)?;
    let classes = pool.num_classes();
    let cases = cases(pool, model, temper, audited);
    let trials: Vec<Vec<HeldOut>> =
        GAMMAS.iter().map(|&gamma| cross_validate(&cases, classes, gamma, threshold)).collect();
    let means: Vec<f64> = trials.iter().map(|trial| mean(&cases, trial)).collect();
    let better = |best: usize, next: usize| if means[next] > means[best] { next } else { best };
    let top = (0..GAMMAS.len()).fold(0, better);
    let behind = |i: usize| difference(&cases, &trials[top], &trials[i]);
    let (gain, gain_error) = behind(0);
    let best = if gain > NINETY * gain_error { top } else { 0 };
    let plausible = |i: &usize| {
        let (deficit, error) = behind(*i);
        *i == best || deficit <= NINETY * error
    };
    let plausible: Vec<usize> = (0..GAMMAS.len()).filter(plausible).collect();
    let rated = agreement(&cases, classes, |n| cases[n].own);
    let held_out = agreement(&cases, classes, |n| usize::try_from(trials[best][n].curated).ok());
    let squares: f64 = cases.iter().map(|case| case.weight * case.weight).sum();
    Ok(AuditFit {
        model: fit_rows(cases.iter(), classes, GAMMAS[best]),
        gamma_low: GAMMAS[plausible[0]],
        gamma_high: GAMMAS[plausible[plausible.len() - 1]],
        candidates: candidates(&means),
        gain,
        gain_error,
        rated,
        held_out,
        relabels: GAMMAS[best] > LEAST_GAMMA
            && held_out.equal >= rated.equal
            && held_out.kappa >= rated.kappa,
        // Weights have mean 1.
        effective: (cases.len() * cases.len()) as f64 / squares,
    })
}

fn cases(pool: &RatedPool<'_>, model: Model<'_>, temper: Temper, audited: Audited<'_>) -> Vec<Case> {
    let evidence = Evidence::new(model);
    let scale = audited.rows.len() as f64 / audited.weights.iter().sum::<f64>();
    let mut order: Vec<(i8, i8, u32, usize)> = (0..audited.rows.len())
        .map(|n| (audited.gold[n], pool.scores()[audited.rows[n] as usize], audited.rows[n], n))
        .collect();
    order.sort_unstable();
    let case = |(place, &(gold, _, row, n)): (usize, &(i8, i8, u32, usize))| {
        let mut counts = LabelCounts::default();
        pool.count_labels(row as usize, 0..temper.k, &mut counts);
        Case {
            own: pool.score(row as usize),
            gold: usize::try_from(gold).expect("checked by Audited"),
            weight: audited.weights[n] * scale,
            evidence: evidence.log_likelihood(counts).map(|value| temper.beta * value),
            fold: place % FOLDS,
        }
    };
    order.iter().enumerate().map(case).collect()
}

/// T^ and p^ from some of the cases.
fn fit_rows<'a>(cases: impl Iterator<Item = &'a Case>, classes: usize, gamma: f64) -> AuditModel {
    let kernel = |i: usize, a: usize| (-2.0 * i.abs_diff(a) as f64).exp();
    let (mut t, mut p) = (vec![0.0; classes * classes], vec![1.0; classes]);
    for (i, row) in t.chunks_exact_mut(classes).enumerate() {
        let sum: f64 = (0..classes).map(|a| kernel(i, a)).sum();
        (0..classes).for_each(|a| row[a] = ROW_PSEUDO * kernel(i, a) / sum);
    }
    for case in cases {
        p[case.gold] += case.weight;
        if let Some(own) = case.own {
            t[case.gold * classes + own] += case.weight;
        }
    }
    let scale = |row: &mut [f64]| {
        let sum: f64 = row.iter().sum();
        for value in row {
            *value /= sum;
        }
    };
    t.chunks_exact_mut(classes).for_each(scale);
    scale(&mut p);
    AuditModel { t, p, gamma }
}

/// What is said of a case by a posterior whose T^ and p^ have not seen it.
struct HeldOut {
    /// Log probability of the gold score.
    log_likelihood: f64,
    curated: i8,
}

fn cross_validate(cases: &[Case], classes: usize, gamma: f64, threshold: f64) -> Vec<HeldOut> {
    let decision = Decision { threshold, fill_missing: false };
    let without = |fold| cases.iter().filter(move |case| case.fold != fold);
    let models: Vec<AuditModel> = (0..FOLDS).map(|fold| fit_rows(without(fold), classes, gamma)).collect();
    let judge = |case: &Case| {
        let model = &models[case.fold];
        let posterior = model.posterior(case.own, &case.evidence);
        let verdict = decision.verdict(&posterior[..classes], case.own);
        HeldOut { log_likelihood: posterior[case.gold].max(f64::MIN_POSITIVE).ln(), curated: verdict.curated }
    };
    cases.iter().map(judge).collect()
}

/// Agreement of a score with the gold scores, over the cases that are rated.
fn agreement(cases: &[Case], classes: usize, score: impl Fn(usize) -> Option<usize>) -> Agreement {
    let rated = cases.iter().enumerate().filter(|(_, case)| case.own.is_some());
    measure_agreement(rated.filter_map(|(n, case)| Some((score(n)?, case.gold, case.weight))), classes)
}

fn candidates(means: &[f64]) -> Vec<GammaCandidate> {
    let pairs = GAMMAS.iter().zip(means);
    pairs.map(|(&gamma, &log_likelihood)| GammaCandidate { gamma, log_likelihood }).collect()
}

/// Weighted mean log likelihood; weights have mean 1.
fn mean(cases: &[Case], trial: &[HeldOut]) -> f64 {
    let parts = cases.iter().zip(trial).map(|(case, held_out)| case.weight * held_out.log_likelihood);
    parts.sum::<f64>() / cases.len() as f64
}

/// Weighted mean gap between two log likelihoods, and its standard error.
fn difference(cases: &[Case], one: &[HeldOut], other: &[HeldOut]) -> (f64, f64) {
    let gaps: Vec<f64> = one.iter().zip(other).map(|(a, b)| a.log_likelihood - b.log_likelihood).collect();
    let total = cases.len() as f64;
    let middle = cases.iter().zip(&gaps).map(|(case, gap)| case.weight * gap).sum::<f64>() / total;
    let squares = cases.iter().zip(&gaps).map(|(case, gap)| (case.weight * (gap - middle)).powi(2));
    (middle, squares.sum::<f64>().sqrt() / total)
}

#[cfg(test)]
mod tests;
