//! Score transition matrix T and prior p, fitted to consensus counts by accelerated EM.

use std::str::FromStr;

use crate::consensus::Consensus;
use crate::em::{Fit, Problem};
use crate::rated::check_num_classes;
use crate::{Error, Result};

/// E-steps after which a fit is reported as not converged.
pub const MAX_STEPS: usize = 900;

/// A class with fewer true samples than this cannot be told apart: its row of T falls back to the prior.
pub const LEAST_SAMPLES: f64 = 20.0;

/// What a row of T is drawn towards before any sample is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// Scores are ordered: `P0[i, a]` proportional to `exp(-|i - a|)`.
    Ordinal,
    /// `P0[i, a] = 1 / K`.
    Uniform,
}

impl Prior {
    /// The rows `P0`, `(K, K)` row-major; each sums to 1.
    #[must_use]
    pub fn rows(self, num_classes: usize) -> Vec<f64> {
        let mut rows = Vec::with_capacity(num_classes * num_classes);
        for i in 0..num_classes {
            let weight = |a: usize| match self {
                Self::Ordinal => (-(i.abs_diff(a) as f64)).exp(),
                Self::Uniform => 1.0,
            };
            let sum: f64 = (0..num_classes).map(weight).sum();
            rows.extend((0..num_classes).map(|a| weight(a) / sum));
        }
        rows
    }

    /// Strength when the caller names none, for `samples` counted samples.
    ///
    /// Ordinal: `clip(samples / 250, 2, 20)` pseudo-ratings per row, which leaves no visible bias from 5,000
    /// samples on and halves the error at 1,000. Uniform: 1.
    #[must_use]
    pub fn default_strength(self, samples: f64) -> f64 {
        match self {
            Self::Ordinal => (samples / 250.0).clamp(2.0, 20.0),
            Self::Uniform => 1.0,
        }
    }
}

impl FromStr for Prior {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "ordinal" => Ok(Self::Ordinal),
            "uniform" => Ok(Self::Uniform),
            other => Err(Error::value(format!("prior must be ordinal or uniform, got {other:?}"))),
        }
    }
}

/// A score transition matrix and the distribution of the true score, checked.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    num_classes: usize,
    t: &'a [f64],
    p: &'a [f64],
}

impl<'a> Model<'a> {
    /// Check and borrow T `(K, K)` (row = true score, column = rating) and p `(K,)`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the sizes do not fit K; [`Error::Value`] if an entry is negative or not finite, or
    /// a row of T or p does not sum to 1 within 1e-6.
    pub fn new(t: &'a [f64], p: &'a [f64]) -> Result<Self> {
        let num_classes = p.len();
        check_num_classes(num_classes)?;
        if t.len() != num_classes * num_classes {
            return Err(Error::shape(format!(
                "T has {} values, p has {num_classes}: T must be (K, K) and p (K,)",
                t.len()
            )));
        }
        let check = |name: &str, values: &[f64]| {
            let sum: f64 = values.iter().sum();
            let fine = values.iter().all(|v| v.is_finite() && *v >= 0.0) && (sum - 1.0).abs() <= 1e-6;
            if fine {
                Ok(())
            } else {
                Err(Error::value(format!("{name} must hold probabilities that sum to 1, got {values:?}")))
            }
        };
        for (i, row) in t.chunks_exact(num_classes).enumerate() {
            check(&format!("row {i} of T"), row)?;
        }
        check("p", p)?;
        Ok(Self { num_classes, t, p })
    }

    /// Number of classes, K.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// `T[i, a] = P(score a given true score i)`.
    #[inline]
    #[must_use]
    pub fn t(&self, i: usize, a: usize) -> f64 {
        self.t[i * self.num_classes + a]
    }

    /// Distribution of the true score.
    #[must_use]
    pub fn p(&self) -> &'a [f64] {
        self.p
    }
}

/// A fitted score transition matrix and what is to be known about the fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Number of classes, K.
    pub num_classes: usize,
    /// T `(K, K)` row-major; rows sum to 1.
    pub t: Vec<f64>,
    /// p `(K,)`; sums to 1.
    pub p: Vec<f64>,
    /// Strength of the prior that was used, in pseudo-ratings per row.
    pub strength: f64,
    /// E-steps taken.
    pub steps: usize,
    /// Whether the fit ended before [`MAX_STEPS`].
    pub converged: bool,
    /// Log posterior of T and p at the end, up to a constant; 0 if degenerate.
    pub objective: f64,
    /// Fewer than two scores occur: nothing can be learned, T is the prior alone.
    pub degenerate: bool,
    /// Per class: too few true samples ([`LEAST_SAMPLES`]), row replaced by the prior's.
    pub unidentified: Vec<bool>,
    /// Per class: column i of T does not have its maximum in row i, so the label of the class is in doubt.
    pub ambiguous: Vec<bool>,
}

impl Transition {
    /// T and p as a [`Model`].
    ///
    /// # Errors
    ///
    /// As [`Model::new`]; never for a fit of this module.
    pub fn model(&self) -> Result<Model<'_>> {
        Model::new(&self.t, &self.p)
    }
}

/// Fit T and p to consensus counts.
///
/// Maximizes `sum C[a,b,c] log(sum_i p_i T[i,a] T[i,b] T[i,c]) + strength * sum P0[i,a] log T[i,a]`, the log
/// posterior under the paper's model: a sample and its two neighbors share the true score i and are rated
/// independently. EM from the diagonal start 0.6, accelerated by SQUAREM; the objective never falls. Scores
/// that do not occur are left out of the fit and embedded afterwards (row `P0`, p = 0).
///
/// `strength` is [`Prior::default_strength`] if `None`.
///
/// # Errors
///
/// [`Error::Value`] if `strength` is negative or not finite.
///
/// # Cost
///
/// O(K^4) per E-step; K = 6: 30-160 steps where neighbors agree, at most [`MAX_STEPS`].
pub fn fit_transition(consensus: &Consensus, prior: Prior, strength: Option<f64>) -> Result<Transition> {
    let classes = consensus.num_classes();
    let total = consensus.total();
    let strength = strength.unwrap_or_else(|| prior.default_strength(total));
    if !(strength.is_finite() && strength >= 0.0) {
        return Err(Error::value(format!("strength must be finite and >= 0, got {strength}")));
    }
    let marginal = consensus.marginal();
    let observed: Vec<usize> = (0..classes).filter(|&a| marginal[a] > 0.0).collect();
    let mut transition = unlearned(prior.rows(classes), &marginal, strength);
    if observed.len() < 2 {
        return Ok(transition);
    }
    let fit = Problem::new(consensus, &observed, &prior.rows(classes), strength).solve(MAX_STEPS);
    embed(&fit, &observed, total, &mut transition);
    mark_ambiguous(&mut transition);
    Ok(transition)
}

/// What is known before a fit: the prior's rows, the scores' own distribution.
fn unlearned(prior_rows: Vec<f64>, marginal: &[f64], strength: f64) -> Transition {
    let classes = marginal.len();
    let total: f64 = marginal.iter().sum();
    let p = |count: &f64| if total > 0.0 { count / total } else { 1.0 / classes as f64 };
    Transition {
        num_classes: classes,
        t: prior_rows,
        p: marginal.iter().map(p).collect(),
        strength,
        steps: 0,
        converged: true,
        objective: 0.0,
        degenerate: true,
        unidentified: vec![true; classes],
        ambiguous: vec![false; classes],
    }
}

/// Write the fit over the observed classes into the full T and p; dead classes keep the prior's row.
fn embed(fit: &Fit, observed: &[usize], total: f64, transition: &mut Transition) {
    let classes = transition.num_classes;
    for (i, &class) in observed.iter().enumerate() {
        transition.p[class] = fit.p[i];
        if fit.p[i] * total < LEAST_SAMPLES {
            continue;
        }
        transition.unidentified[class] = false;
        let row = &mut transition.t[class * classes..][..classes];
        row.fill(0.0);
        for (a, &score) in observed.iter().enumerate() {
            row[score] = fit.t[i * observed.len() + a];
        }
    }
    transition.steps = fit.steps;
    transition.converged = fit.converged;
    transition.objective = fit.objective;
    transition.degenerate = false;
}

fn mark_ambiguous(transition: &mut Transition) {
    let classes = transition.num_classes;
    let identified: Vec<usize> = (0..classes).filter(|&i| !transition.unidentified[i]).collect();
    for &i in &identified {
        let own = transition.t[i * classes + i];
        transition.ambiguous[i] = identified.iter().any(|&j| transition.t[j * classes + i] > own);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::naive_bayes as naive;

    const T: [f64; 4] = [0.9, 0.1, 0.2, 0.8];
    const P: [f64; 2] = [0.5, 0.5];

    fn fit(counts: &[f64], classes: usize, prior: Prior, strength: f64) -> Transition {
        let consensus = Consensus::from_tensor(counts, classes).unwrap();
        fit_transition(&consensus, prior, Some(strength)).unwrap()
    }

    fn assert_close(x: &[f64], y: &[f64], tolerance: f64) {
        assert_eq!(x.len(), y.len());
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() <= tolerance), "{x:?} is not {y:?}");
    }

    #[test]
    fn the_model_has_the_known_marginals() {
        let c3 = naive::pattern_probabilities(&T, &P);
        assert_close(&c3, &[0.3685, 0.0565, 0.0565, 0.0685, 0.0565, 0.0685, 0.0685, 0.2565], 1e-15);
        let consensus = Consensus::from_tensor(&c3, 2).unwrap();
        assert_close(&consensus.marginal(), &[0.55, 0.45], 1e-15);
        let c2: Vec<f64> = consensus.tensor().chunks(2).map(|pair| pair.iter().sum()).collect();
        assert_close(&c2, &[0.425, 0.125, 0.125, 0.325], 1e-15);
    }

    #[test]
    fn exact_counts_give_back_the_model() {
        let counts: Vec<f64> = naive::pattern_probabilities(&T, &P).iter().map(|c| c * 1e6).collect();
        let found = fit(&counts, 2, Prior::Uniform, 0.0);
        assert!(found.converged && !found.degenerate);
        assert_close(&found.t, &T, 1e-6);
        assert_close(&found.p, &P, 1e-6);
    }

    /// With two classes T is the root of a quadratic in the moments.
    #[test]
    fn two_classes_agree_with_the_closed_form() {
        let c3 = naive::pattern_probabilities(&T, &P);
        let (m1, m2, m3) = (c3[4] + c3[5] + c3[6] + c3[7], c3[6] + c3[7], c3[7]);
        let sum = (m3 - m1 * m2) / (m2 - m1 * m1);
        let product = sum * m1 - m2;
        let spread = (sum * sum - 4.0 * product).sqrt();
        let (high, low) = (f64::midpoint(sum, spread), f64::midpoint(sum, -spread));
        assert_close(&[sum, product, high, low], &[0.9, 0.08, 0.8, 0.1], 1e-12);
        let counts: Vec<f64> = c3.iter().map(|c| c * 1e6).collect();
        let found = fit(&counts, 2, Prior::Uniform, 0.0);
        assert_close(&[found.t[1], found.t[3]], &[low, high], 1e-6);
        assert!((found.p[1] - (m1 - low) / (high - low)).abs() < 1e-6);
    }

    #[test]
    fn unanimous_neighbors_give_the_identity() {
        let mut counts = vec![0.0; 64];
        for (i, count) in [50.0, 200.0, 30.0, 120.0].into_iter().enumerate() {
            counts[i * 21] = count;
        }
        let found = fit(&counts, 4, Prior::Ordinal, 0.0);
        for i in 0..4 {
            for a in 0..4 {
                let value = found.t[i * 4 + a];
                assert!(if i == a { value == 1.0 } else { value < 1e-30 }, "T[{i}, {a}] = {value}");
            }
        }
        assert_close(&found.p, &[0.125, 0.5, 0.075, 0.3], 1e-15);
    }

    #[test]
    fn one_score_is_degenerate() {
        let mut counts = vec![0.0; 27];
        counts[13] = 40.0;
        let found = fit(&counts, 3, Prior::Ordinal, 2.0);
        assert!(found.degenerate && found.converged && found.steps == 0);
        assert_eq!(found.t, Prior::Ordinal.rows(3));
        assert_eq!(found.p, [0.0, 1.0, 0.0]);
        assert_eq!(found.unidentified, [true; 3]);
        assert!(fit(&[0.0; 27], 3, Prior::Ordinal, 2.0).degenerate);
    }

    #[test]
    fn a_score_that_never_occurs_is_left_out_of_the_fit() {
        let small: Vec<f64> = naive::pattern_probabilities(&T, &P).iter().map(|c| c * 1e4).collect();
        let mut counts = vec![0.0; 27];
        for (position, &count) in small.iter().enumerate() {
            let [a, b, c] = [position / 4, position / 2 % 2, position % 2].map(|score| 2 * score);
            counts[(a * 3 + b) * 3 + c] = count;
        }
        let (found, alone) = (fit(&counts, 3, Prior::Uniform, 1.0), fit(&small, 2, Prior::Uniform, 1.0));
        assert_eq!(found.unidentified, [false, true, false]);
        assert_eq!(found.t[3..6], Prior::Uniform.rows(3)[3..6]);
        assert_eq!(found.p[1], 0.0);
        assert_close(&[found.t[0], found.t[1], found.t[2]], &[alone.t[0], 0.0, alone.t[1]], 1e-12);
        assert_close(&[found.t[6], found.t[7], found.t[8]], &[alone.t[2], 0.0, alone.t[3]], 1e-12);
    }

    #[test]
    fn a_dead_class_falls_back_to_the_prior() {
        let t = [0.8, 0.15, 0.05, 0.1, 0.8, 0.1, 0.05, 0.15, 0.8];
        let counts: Vec<f64> =
            naive::pattern_probabilities(&t, &[0.6, 0.398, 0.002]).iter().map(|c| c * 5000.0).collect();
        let found = fit(&counts, 3, Prior::Ordinal, 20.0);
        assert_eq!(found.unidentified, [false, false, true]);
        assert_eq!(found.t[6..9], Prior::Ordinal.rows(3)[6..9]);
        assert!(found.p[2] > 0.0 && found.p[2] * 5000.0 < LEAST_SAMPLES);
    }

    #[test]
    fn a_class_whose_score_another_class_gives_more_often_is_ambiguous() {
        // Class 0 is mostly scored 1, more often than class 1 itself.
        let t = [0.3, 0.7, 0.0, 0.05, 0.5, 0.45, 0.0, 0.1, 0.9];
        let counts: Vec<f64> =
            naive::pattern_probabilities(&t, &[0.4, 0.3, 0.3]).iter().map(|c| c * 1e5).collect();
        let found = fit(&counts, 3, Prior::Uniform, 0.0);
        assert_eq!(found.ambiguous, [false, true, false], "{:?}", found.t);
        let clean = fit(&naive::pattern_probabilities(&T, &P).map_scale(1e5), 2, Prior::Uniform, 0.0);
        assert_eq!(clean.ambiguous, [false, false]);
    }

    trait MapScale {
        fn map_scale(&self, scale: f64) -> Vec<f64>;
    }

    impl MapScale for Vec<f64> {
        fn map_scale(&self, scale: f64) -> Vec<f64> {
            self.iter().map(|value| value * scale).collect()
        }
    }

    #[test]
    fn too_few_steps_are_reported() {
        let mut counts = vec![1.0; 216];
        (0..6).for_each(|i| counts[i * 43] += 2.0);
        let consensus = Consensus::from_tensor(&counts, 6).unwrap();
        let observed: Vec<usize> = (0..6).collect();
        let fit = Problem::new(&consensus, &observed, &Prior::Ordinal.rows(6), 0.1).solve(9);
        assert!(!fit.converged && fit.steps == 9);
    }

    #[test]
    fn bad_input_is_named() {
        let consensus = Consensus::from_tensor(&[1.0; 8], 2).unwrap();
        let error = fit_transition(&consensus, Prior::Ordinal, Some(-1.0)).unwrap_err();
        assert_eq!(error.to_string(), "strength must be finite and >= 0, got -1");
        let error = Model::new(&[0.9, 0.2, 0.2, 0.8], &P).unwrap_err();
        assert_eq!(error.to_string(), "row 0 of T must hold probabilities that sum to 1, got [0.9, 0.2]");
        assert!(Model::new(&T[..3], &P).is_err());
        assert!(Model::new(&T, &[0.5, f64::NAN]).is_err());
    }

    #[test]
    fn default_strength_grows_with_the_pool() {
        let strength = |samples| Prior::Ordinal.default_strength(samples);
        assert_eq!([100.0, 1000.0, 4000.0, 1e6].map(strength), [2.0, 4.0, 16.0, 20.0]);
        assert_eq!(Prior::Uniform.default_strength(1e6), 1.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_sum_to_one(counts in prop::collection::vec(0.0_f64..40.0, 125), strength in 0.0_f64..20.0) {
            let found = fit(&counts, 5, Prior::Ordinal, strength);
            for row in found.t.chunks(5).chain([found.p.as_slice()]) {
                prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                prop_assert!(row.iter().all(|&value| value >= 0.0));
            }
            prop_assert!(found.model().is_ok());
        }

        /// A planted model comes back, however its classes are numbered.
        #[test]
        fn planted_models_are_recovered((t, p) in naive::models(4)) {
            let counts = naive::pattern_probabilities(&t, &p).map_scale(1e6);
            let found = fit(&counts, 4, Prior::Uniform, 0.0);
            let model: Vec<f64> = naive::pattern_probabilities(&found.t, &found.p).map_scale(1e6);
            // T itself may be weakly determined; what it says about the counts is not.
            let divergence: f64 =
                counts.iter().zip(&model).map(|(c, m)| c * (c / m).ln()).sum();
            prop_assert!(divergence.abs() < 1.0, "divergence {divergence} in 10^6 samples");
        }

        #[test]
        fn reversing_the_scores_reverses_the_fit((t, p) in naive::models(4)) {
            let counts = naive::pattern_probabilities(&t, &p).map_scale(1e4);
            let reversed: Vec<f64> = counts.iter().rev().copied().collect();
            let (found, mirrored) = (fit(&counts, 4, Prior::Ordinal, 20.0), fit(&reversed, 4, Prior::Ordinal, 20.0));
            let back: Vec<f64> = mirrored.t.iter().rev().copied().collect();
            assert_close(&found.t, &back, 1e-5);
            let back: Vec<f64> = mirrored.p.iter().rev().copied().collect();
            assert_close(&found.p, &back, 1e-5);
        }
    }
}
