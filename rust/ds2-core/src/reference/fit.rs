//! The published fit of T and p: Adam on the distance between modeled and counted consensus.

use super::objective::Objective;
use crate::rated::check_num_classes;
use crate::{Error, Result};

/// Updates of the published fit; it evaluates once more and keeps the last iterate, not the best.
pub const UPDATES: u32 = 1500;

const LEARNING_RATE: f64 = 0.1;
const MOMENTUM: f64 = 0.9;
const SECOND_MOMENT: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Start of a row of T before its softmax: this on the diagonal and [`START_OFF`] elsewhere.
const START_DIAGONAL: f64 = 4.0;
const START_OFF: f64 = -1.0;

/// T and p fitted to consensus frequencies.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// T `(K, K)` row-major; row = true score, column = rating, rows sum to 1.
    pub transition: Vec<f64>,
    /// p `(K,)`, sums to 1.
    pub prior: Vec<f64>,
    /// The objective at T and p.
    pub loss: f64,
}

/// Fit T and p to third-order consensus frequencies by the published procedure.
///
/// Minimizes `|m1 - c1| + |m2 - c2| + |m3 - c3|` (Euclidean norms, not squared) with c2 and c1 the marginals of
/// c3 and `m3[a, b, c] = sum_i p_i T_ia T_ib T_ic`, over logits of T's rows and of p, by exactly [`UPDATES`]
/// steps of Adam (rate 0.1, betas 0.9 and 0.999, epsilon 1e-8) from T = rowsoftmax(5 I - 1) and a uniform p;
/// returns the last iterate. The norms are not smooth at 0, so near a perfect fit the iterates oscillate (T by
/// about 0.003).
///
/// `c3` is `(K, K, K)` row-major and sums to 1. Source: published code (there p starts from a random vector
/// near uniform: Deviation D7). O(K^4) a step; 3 to 4 ms in all for K = 6.
///
/// # Errors
///
/// [`Error::Shape`] if c3 has not K^3 values; [`Error::Value`] if it has a negative or non-finite value or does
/// not sum to 1.
pub fn fit_transition(c3: &[f64], num_classes: usize) -> Result<Fit> {
    check_num_classes(num_classes)?;
    check_consensus(c3, num_classes)?;
    Ok(iterate(c3, num_classes, UPDATES))
}

/// The iterate after so many updates.
fn iterate(c3: &[f64], k: usize, updates: u32) -> Fit {
    let mut objective = Objective::new(c3, k);
    let mut logits = start(k);
    let mut adam = Adam::new(logits.len());
    for _ in 0..updates {
        let (columns, prior) = probabilities(&logits, k);
        let gradient = objective.gradient(&columns, &prior);
        adam.update(&mut logits, &to_logits(&gradient, &columns, &prior));
    }
    let (columns, prior) = probabilities(&logits, k);
    let loss = objective.loss(&columns, &prior);
    let transition = (0..k * k).map(|at| columns[at % k * k + at / k]).collect();
    Fit { transition, prior, loss }
}

fn check_consensus(c3: &[f64], k: usize) -> Result<()> {
    if c3.len() != k.pow(3) {
        return Err(Error::shape(format!("c3 must have {k}^3 values for {k} classes, got {}", c3.len())));
    }
    let sum: f64 = c3.iter().sum();
    if c3.iter().all(|&value| value >= 0.0) && (sum - 1.0).abs() <= 1e-6 {
        Ok(())
    } else {
        Err(Error::value(format!("c3 must be frequencies that sum to 1, got a sum of {sum}")))
    }
}

/// Logits of T by column (`a * K + i` for `T_ia`), then of p.
fn start(k: usize) -> Vec<f64> {
    let diagonal = |at: usize| if at / k == at % k { START_DIAGONAL } else { START_OFF };
    (0..k * k).map(diagonal).chain(std::iter::repeat_n(0.0, k)).collect()
}

/// T by column and p, from their logits.
fn probabilities(logits: &[f64], k: usize) -> (Vec<f64>, Vec<f64>) {
    let (t, p) = logits.split_at(k * k);
    let mut columns = vec![0.0; k * k];
    let mut row = vec![0.0; k];
    for i in 0..k {
        (0..k).for_each(|a| row[a] = t[a * k + i]);
        softmax(&mut row);
        (0..k).for_each(|a| columns[a * k + i] = row[a]);
    }
    let mut prior = p.to_vec();
    softmax(&mut prior);
    (columns, prior)
}

fn softmax(values: &mut [f64]) {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for value in values.iter_mut() {
        *value = (*value - top).exp();
    }
    let sum: f64 = values.iter().sum();
    for value in values {
        *value /= sum;
    }
}

/// The gradient by logits, from the gradient by T (columns) and p: the Jacobian of each softmax.
fn to_logits(gradient: &[f64], columns: &[f64], prior: &[f64]) -> Vec<f64> {
    let k = prior.len();
    let (by_t, by_p) = gradient.split_at(k * k);
    let mut mean = vec![0.0; k];
    for (at, (g, t)) in by_t.iter().zip(columns).enumerate() {
        mean[at % k] += g * t;
    }
    let mean_p: f64 = by_p.iter().zip(prior).map(|(g, p)| g * p).sum();
    let rows = by_t.iter().zip(columns).enumerate().map(|(at, (g, t))| t * (g - mean[at % k]));
    rows.chain(by_p.iter().zip(prior).map(|(g, p)| p * (g - mean_p))).collect()
}

/// Adam (Kingma and Ba 2015) with bias correction.
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    step: i32,
}

impl Adam {
    fn new(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len], step: 0 }
    }

    fn update(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        self.step += 1;
        let unbias_first = 1.0 - MOMENTUM.powi(self.step);
        let unbias_second = 1.0 - SECOND_MOMENT.powi(self.step);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, g), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *first = MOMENTUM * *first + (1.0 - MOMENTUM) * g;
            *second = SECOND_MOMENT * *second + (1.0 - SECOND_MOMENT) * g * g;
            *parameter -=
                LEARNING_RATE * (*first / unbias_first) / ((*second / unbias_second).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::twin;

    #[test]
    fn known_answer_with_two_classes() {
        let c3 = twin::model(&[0.9, 0.1, 0.2, 0.8], &[0.5, 0.5]);
        assert!((c3[0] - 0.3685).abs() < 1e-12 && (c3[7] - 0.2565).abs() < 1e-12);
        let fit = fit_transition(&c3, 2).unwrap();
        for (value, expected) in fit.transition.iter().zip([0.900, 0.100, 0.197, 0.803]) {
            assert!((value - expected).abs() < 2e-3, "{fit:?}");
        }
        // The norms are not smooth at 0, so the loss oscillates from one iterate to the next.
        let before = iterate(&c3, 2, UPDATES - 1);
        assert!((before.loss - 0.016).abs() < 1e-3 && (fit.loss - 0.0114).abs() < 1e-3, "{before:?} {fit:?}");
        assert!((fit.prior.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn equals_the_slow_twin() {
        let c3 = twin::model(&[0.7, 0.2, 0.1, 0.25, 0.6, 0.15, 0.0, 0.3, 0.7], &[0.2, 0.5, 0.3]);
        // Skewed, as counted consensus is not symmetric.
        let skewed: Vec<f64> =
            c3.iter().enumerate().map(|(at, value)| value * (1.0 + 0.01 * at as f64)).collect();
        let sum: f64 = skewed.iter().sum();
        let c3: Vec<f64> = skewed.iter().map(|value| value / sum).collect();
        let fit = fit_transition(&c3, 3).unwrap();
        let (transition, prior) = twin::fit(&c3, 3);
        let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        assert!(gap(&fit.transition, &transition) < 1e-6, "{:?} {transition:?}", fit.transition);
        assert!(gap(&fit.prior, &prior) < 1e-6);
        assert!((fit.loss - twin::loss(&c3, &fit.transition, &fit.prior)).abs() < 1e-12);
    }

    #[test]
    fn a_constant_pool_stays_finite() {
        let mut c3 = vec![0.0; 27];
        c3[13] = 1.0;
        let fit = fit_transition(&c3, 3).unwrap();
        assert!(fit.transition.iter().chain(&fit.prior).all(|value| value.is_finite()));
        assert!(fit.prior[1] > 0.99 && fit.transition[4] > 0.99, "{fit:?}");
    }

    #[test]
    fn refuses_what_is_not_consensus() {
        let text = |c3: &[f64]| fit_transition(c3, 2).unwrap_err().to_string();
        assert_eq!(text(&[1.0]), "c3 must have 2^3 values for 2 classes, got 1");
        assert!(text(&[1.0; 8]).ends_with("got a sum of 8"));
        assert!(text(&[f64::NAN; 8]).ends_with("got a sum of NaN"));
    }
}
