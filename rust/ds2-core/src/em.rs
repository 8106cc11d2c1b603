//! EM for the symmetric three-view mixture `sum_i p_i T[i,a] T[i,b] T[i,c]`, accelerated by SQUAREM.

use crate::consensus::{Cell, Consensus};
use crate::rated::MAX_CLASSES;

/// Diagonal of T at the start. From 0.3 to 0.95 the same optimum is reached.
const START_DIAGONAL: f64 = 0.6;

/// A gain of the objective below this, per sample, ends the fit.
const TOLERANCE: f64 = 1e-12;

/// Logs of parameters are kept within this distance of 0 when extrapolated.
const LOG_BOUND: f64 = 40.0;

/// Keeps a model probability that has underflowed away from `ln 0` and from division by 0.
const TINY: f64 = 1e-300;

/// Parameters, or sums of responsibilities in their place. `by_score[a][i]` is `T[i, a]`: the classes i are
/// the lanes of the arithmetic, padded with zeros to the fixed number `L`.
#[derive(Clone, Copy, Debug)]
struct Parameters<const L: usize> {
    by_score: [[f64; L]; MAX_CLASSES],
    p: [f64; L],
}

impl<const L: usize> Parameters<L> {
    const ZERO: Self = Self { by_score: [[0.0; L]; MAX_CLASSES], p: [0.0; L] };

    fn start(marginal: &[f64]) -> Self {
        let classes = marginal.len();
        let mut start = Self::ZERO;
        for (a, &share) in marginal.iter().enumerate() {
            start.by_score[a][..classes].fill((1.0 - START_DIAGONAL) / (classes - 1) as f64);
            start.by_score[a][a] = START_DIAGONAL;
            start.p[a] = f64::midpoint(share, 1.0 / classes as f64);
        }
        start
    }

    /// The parameters of a fit, or the start if there is none.
    fn from_fit_or_marginal(fit: Option<&Fit>, marginal: &[f64]) -> Self {
        let Some(fit) = fit else { return Self::start(marginal) };
        let classes = fit.p.len();
        let mut at = Self::ZERO;
        for (i, row) in fit.t.chunks_exact(classes).enumerate() {
            row.iter().enumerate().for_each(|(a, &value)| at.by_score[a][i] = value);
            at.p[i] = fit.p[i];
        }
        at
    }

    /// Scale the rows of T and p to sum 1.
    fn normalize(&mut self, classes: usize) {
        let mut sums = [0.0; L];
        for column in &self.by_score[..classes] {
            for i in 0..L {
                sums[i] += column[i];
            }
        }
        for column in &mut self.by_score[..classes] {
            for i in 0..classes {
                column[i] /= sums[i].max(TINY);
            }
        }
        let sum: f64 = self.p.iter().sum();
        for value in &mut self.p {
            *value /= sum.max(TINY);
        }
    }

    /// Every parameter of the `classes` real lanes of `self`, changed by `change(self, a, b, c)`.
    fn zip(&self, others: [&Self; 2], classes: usize, change: impl Fn(f64, f64, f64) -> f64) -> Self {
        let mut out = Self::ZERO;
        for i in 0..classes {
            for a in 0..classes {
                out.by_score[a][i] =
                    change(self.by_score[a][i], others[0].by_score[a][i], others[1].by_score[a][i]);
            }
            out.p[i] = change(self.p[i], others[0].p[i], others[1].p[i]);
        }
        out
    }

    fn logs(&self, classes: usize) -> Self {
        self.zip([self, self], classes, |value, _, _| value.ln().max(-LOG_BOUND))
    }

    fn norm(&self) -> f64 {
        let squares = |lanes: &[f64; L]| lanes.iter().map(|x| x * x).sum::<f64>();
        (self.by_score.iter().map(squares).sum::<f64>() + squares(&self.p)).sqrt()
    }
}

/// A fit over the observed classes.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    pub(crate) t: Vec<f64>,
    pub(crate) p: Vec<f64>,
    pub(crate) steps: usize,
    pub(crate) converged: bool,
    pub(crate) objective: f64,
}

/// Counts over the observed classes, and the prior as pseudo-ratings.
pub(crate) struct Problem {
    classes: usize,
    cells: Vec<Cell>,
    marginal: Vec<f64>,
    pseudo: Vec<f64>,
}

impl Problem {
    /// Restrict counts and the prior's rows `(K, K)` to the `observed` classes.
    pub(crate) fn new(consensus: &Consensus, observed: &[usize], prior_rows: &[f64], strength: f64) -> Self {
        let total = consensus.total();
        let marginal = consensus.marginal();
        let place = |score: usize| observed.binary_search(&score).ok();
        let cells = consensus.cells().iter().filter(|cell| cell.weight > 0.0).filter_map(|cell| {
            let [a, b, c] = cell.scores.map(place);
            Some(Cell { scores: [a?, b?, c?], weight: cell.weight })
        });
        let mut pseudo = Vec::with_capacity(observed.len().pow(2));
        for &i in observed {
            let row = &prior_rows[i * marginal.len()..][..marginal.len()];
            let sum: f64 = observed.iter().map(|&a| row[a]).sum();
            pseudo.extend(observed.iter().map(|&a| strength * row[a] / sum));
        }
        Self {
            classes: observed.len(),
            cells: cells.collect(),
            marginal: observed.iter().map(|&a| marginal[a] / total).collect(),
            pseudo,
        }
    }

    /// Climb to the optimum from the diagonal start.
    pub(crate) fn solve(&self, max_steps: usize) -> Fit {
        let least_gain = TOLERANCE * self.cells.iter().map(|cell| cell.weight).sum::<f64>();
        self.climb(None, max_steps, least_gain)
    }

    /// Climb on from the fit of other counts over the same classes, until a cycle gains less than `least_gain`
    /// nats.
    pub(crate) fn refine(&self, from: &Fit, max_steps: usize, least_gain: f64) -> Fit {
        self.climb(Some(from), max_steps, least_gain)
    }

    fn climb(&self, from: Option<&Fit>, max_steps: usize, least_gain: f64) -> Fit {
        if self.classes <= 8 {
            let start = Parameters::<8>::from_fit_or_marginal(from, &self.marginal);
            Climb::new(self).run(start, max_steps, least_gain, |_| ())
        } else {
            let start = Parameters::<MAX_CLASSES>::from_fit_or_marginal(from, &self.marginal);
            Climb::new(self).run(start, max_steps, least_gain, |_| ())
        }
    }
}

struct Climb<'a, const L: usize> {
    problem: &'a Problem,
    pseudo: [[f64; L]; MAX_CLASSES],
}

impl<'a, const L: usize> Climb<'a, L> {
    fn new(problem: &'a Problem) -> Self {
        let mut pseudo = [[0.0; L]; MAX_CLASSES];
        for (i, row) in problem.pseudo.chunks_exact(problem.classes).enumerate() {
            for (a, &weight) in row.iter().enumerate() {
                pseudo[a][i] = weight;
            }
        }
        Self { problem, pseudo }
    }

    /// One EM step from `at`, and the objective at `at`.
    fn step(&self, at: &Parameters<L>) -> (Parameters<L>, f64) {
        let classes = self.problem.classes;
        let mut next = Parameters { by_score: self.pseudo, p: [0.0; L] };
        let mut objective = 0.0;
        for cell in &self.problem.cells {
            let [a, b, c] = cell.scores;
            let joint: [f64; L] =
                std::array::from_fn(|i| at.p[i] * at.by_score[a][i] * at.by_score[b][i] * at.by_score[c][i]);
            let probability = joint.iter().sum::<f64>().max(TINY);
            objective += cell.weight * probability.ln();
            let scale = cell.weight / probability;
            for (i, share) in joint.iter().map(|value| value * scale).enumerate() {
                next.by_score[a][i] += share;
                next.by_score[b][i] += share;
                next.by_score[c][i] += share;
                next.p[i] += share;
            }
        }
        for a in 0..classes {
            for i in 0..classes {
                if self.pseudo[a][i] > 0.0 {
                    objective += self.pseudo[a][i] * at.by_score[a][i].max(TINY).ln();
                }
            }
        }
        next.normalize(classes);
        (next, objective)
    }

    /// SQUAREM: two EM steps, extrapolate their path in logs, one EM step from there; the extrapolation is kept
    /// only if its objective is no lower than the one after the first step. `observe` sees the objective of
    /// every cycle, which never falls.
    fn run(
        &self,
        start: Parameters<L>,
        max_steps: usize,
        least_gain: f64,
        mut observe: impl FnMut(f64),
    ) -> Fit {
        let classes = self.problem.classes;
        let mut at = start;
        let (mut steps, mut converged, mut objective) = (0, false, f64::NEG_INFINITY);
        while !converged && steps + 3 <= max_steps {
            let (first, _) = self.step(&at);
            let (second, reached) = self.step(&first);
            let leap = extrapolate(&at, &first, &second, classes);
            let (landed, beyond) = self.step(&leap);
            steps += 3;
            let accepted = beyond >= reached;
            at = if accepted { landed } else { second };
            let now = if accepted { beyond } else { reached };
            converged = now - objective < least_gain;
            objective = now;
            observe(objective);
        }
        let t = (0..classes * classes).map(|e| at.by_score[e % classes][e / classes]).collect();
        Fit { t, p: at.p[..classes].to_vec(), steps, converged, objective }
    }
}

/// The point `x0 - 2 s r + s^2 v` in logs, r = x1 - x0, v = (x2 - x1) - r, step s = -max(1, |r| / |v|).
fn extrapolate<const L: usize>(
    zeroth: &Parameters<L>,
    first: &Parameters<L>,
    second: &Parameters<L>,
    classes: usize,
) -> Parameters<L> {
    let (x0, x1, x2) = (zeroth.logs(classes), first.logs(classes), second.logs(classes));
    let r = x0.zip([&x1, &x1], classes, |a, b, _| b - a);
    let v = x0.zip([&x1, &x2], classes, |a, b, c| (c - b) - (b - a));
    let curvature = v.norm();
    if curvature == 0.0 {
        return *second;
    }
    let step = -(r.norm() / curvature).max(1.0);
    let mut leap = x0.zip([&r, &v], classes, |x, r, v| {
        (x - 2.0 * step * r + step * step * v).clamp(-LOG_BOUND, LOG_BOUND).exp()
    });
    leap.normalize(classes);
    leap
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::naive_bayes as naive;

    /// Counts over all classes, with a prior.
    fn problem(counts: &[f64], classes: usize, strength: f64) -> Problem {
        let consensus = Consensus::from_tensor(counts, classes).unwrap();
        let observed: Vec<usize> = (0..classes).collect();
        let rows = crate::transition::Prior::Ordinal.rows(classes);
        Problem::new(&consensus, &observed, &rows, strength)
    }

    fn counts() -> impl Strategy<Value = (usize, Vec<f64>)> {
        (2_usize..6)
            .prop_flat_map(|classes| (Just(classes), prop::collection::vec(0.01_f64..50.0, classes.pow(3))))
    }

    proptest! {
        #[test]
        fn a_step_equals_the_slow_one((classes, counts) in counts(), strength in 0.0_f64..20.0) {
            let problem = problem(&counts, classes, strength);
            let at = Parameters::<8>::start(&problem.marginal);
            let (next, objective) = Climb::<8>::new(&problem).step(&at);
            let t: Vec<f64> = (0..classes * classes).map(|e| at.by_score[e % classes][e / classes]).collect();
            let tensor = naive::symmetrize(&counts, classes);
            let slow = naive::em_step(&tensor, &t, &at.p[..classes], &problem.pseudo);
            prop_assert!((objective - slow.objective).abs() <= 1e-11 * objective.abs());
            for i in 0..classes {
                prop_assert!((next.p[i] - slow.p[i]).abs() <= 1e-12);
                for a in 0..classes {
                    prop_assert!((next.by_score[a][i] - slow.t[i * classes + a]).abs() <= 1e-12);
                }
            }
        }

        #[test]
        fn both_lane_widths_agree((classes, counts) in counts(), strength in 0.0_f64..20.0) {
            let problem = problem(&counts, classes, strength);
            let start = Parameters::<8>::start(&problem.marginal);
            let wide = Parameters::<MAX_CLASSES>::start(&problem.marginal);
            let (next, objective) = Climb::<8>::new(&problem).step(&start);
            let (next_wide, objective_wide) = Climb::<MAX_CLASSES>::new(&problem).step(&wide);
            prop_assert!((objective - objective_wide).abs() <= 1e-12 * objective.abs());
            for a in 0..classes {
                for i in 0..classes {
                    prop_assert!((next.by_score[a][i] - next_wide.by_score[a][i]).abs() <= 1e-13);
                }
            }
        }

        #[test]
        fn the_objective_never_falls((classes, counts) in counts(), strength in 0.0_f64..20.0) {
            let problem = problem(&counts, classes, strength);
            let mut path = Vec::new();
            let start = Parameters::<8>::start(&problem.marginal);
            let fit = Climb::new(&problem).run(start, 900, 1e-9, |objective| path.push(objective));
            prop_assert_eq!(fit.steps, 3 * path.len());
            for pair in path.windows(2) {
                // The sum over the cells rounds.
                prop_assert!(pair[1] >= pair[0] - 1e-12 * pair[0].abs(), "{} then {}", pair[0], pair[1]);
            }
        }

        #[test]
        fn a_fit_refined_on_its_own_counts_stays((classes, counts) in counts(), strength in 1.0_f64..20.0) {
            let problem = problem(&counts, classes, strength);
            let fit = problem.solve(3900);
            let again = problem.refine(&fit, 300, 1e-6);
            prop_assert!(again.objective >= fit.objective - 1e-9 * fit.objective.abs());
            prop_assert!(!fit.converged || again.steps <= 6, "{} steps", again.steps);
        }

        #[test]
        fn no_slow_climb_gets_higher((t, p) in naive::models(4), noise in prop::collection::vec(0.8_f64..1.2, 64)) {
            let planted = naive::pattern_probabilities(&t, &p);
            let counts: Vec<f64> = planted.iter().zip(noise).map(|(c, noise)| 5000.0 * c * noise).collect();
            let problem = problem(&counts, 4, 20.0);
            let fit = problem.solve(900);
            let (slow, objective) = naive::em(&naive::symmetrize(&counts, 4), &problem.pseudo, 4, 900);
            prop_assert!(fit.objective >= objective - 1e-6, "{} below {objective}", fit.objective);
            for (x, y) in fit.t.iter().zip(&slow.t) {
                prop_assert!((x - y).abs() <= 1e-4, "{x} is not {y}");
            }
        }
    }
}
