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
