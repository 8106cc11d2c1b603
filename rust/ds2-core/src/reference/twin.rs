//! Slow twins of reference mode: full tensors, all masks, every copy by itself. Compiled for tests only.

use super::{DetectionOptions, Sampling};
use crate::random::Stream;
use crate::{RatedPool, Rows};

/// `m3[a, b, c] = sum_i p_i T_ia T_ib T_ic`, all K^3 entries.
pub(super) fn model(transition: &[f64], prior: &[f64]) -> Vec<f64> {
    let k = prior.len();
    let entry = |at: usize| {
        let (a, b, c) = (at / (k * k), at / k % k, at % k);
        (0..k).map(|i| prior[i] * [a, b, c].map(|x| transition[i * k + x]).iter().product::<f64>()).sum()
    };
    (0..k.pow(3)).map(entry).collect()
}

fn marginal(tensor: &[f64], k: usize) -> Vec<f64> {
    tensor.chunks(k).map(|chunk| chunk.iter().sum()).collect()
}

fn orders(c3: &[f64], k: usize) -> [Vec<f64>; 3] {
    let c2 = marginal(c3, k);
    [marginal(&c2, k), c2, c3.to_vec()]
}

fn residuals(c3: &[f64], transition: &[f64], prior: &[f64]) -> [Vec<f64>; 3] {
    let k = prior.len();
    // The rows of T sum to 1, so the marginals of the third order are the model of the lower ones.
    let (modeled, counted) = (orders(&model(transition, prior), k), orders(c3, k));
    [0, 1, 2].map(|order| modeled[order].iter().zip(&counted[order]).map(|(m, c)| m - c).collect())
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The objective from full tensors.
pub(super) fn loss(c3: &[f64], transition: &[f64], prior: &[f64]) -> f64 {
    residuals(c3, transition, prior).iter().map(|residual| norm(residual)).sum()
}

/// The gradient by T (row-major) and p, term by term as the chain rule writes it.
fn gradient(c3: &[f64], t: &[f64], p: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let k = p.len();
    let [g1, g2, g3] = residuals(c3, t, p).map(|residual| {
        let norm = norm(&residual);
        residual.iter().map(|r| r / norm).collect::<Vec<f64>>()
    });
    let (mut by_t, mut by_p) = (vec![0.0; k * k], vec![0.0; k]);
    for i in 0..k {
        let t = |a: usize| t[i * k + a];
        for a in 0..k {
            let mut sum = g1[a];
            by_p[i] += g1[a] * t(a);
            for b in 0..k {
                sum += (g2[a * k + b] + g2[b * k + a]) * t(b);
                by_p[i] += g2[a * k + b] * t(a) * t(b);
                for c in 0..k {
                    let at = |x, y, z| g3[(x * k + y) * k + z];
                    sum += (at(a, b, c) + at(b, a, c) + at(b, c, a)) * t(b) * t(c);
                    by_p[i] += at(a, b, c) * t(a) * t(b) * t(c);
                }
            }
            by_t[i * k + a] = p[i] * sum;
        }
    }
    (by_t, by_p)
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x.exp() / sum).collect()
}

/// The published fit on full tensors, T row-major.
pub(super) fn fit(c3: &[f64], k: usize) -> (Vec<f64>, Vec<f64>) {
    let mut logits: Vec<f64> = (0..k * k).map(|at| if at / k == at % k { 4.0 } else { -1.0 }).collect();
    logits.extend(vec![0.0; k]);
    let (mut m, mut v) = (vec![0.0; logits.len()], vec![0.0; logits.len()]);
    let split = |logits: &[f64]| -> (Vec<f64>, Vec<f64>) {
        (logits[..k * k].chunks(k).flat_map(softmax).collect(), softmax(&logits[k * k..]))
    };
    for step in 1..=1500 {
        let (t, p) = split(&logits);
        let (by_t, by_p) = gradient(c3, &t, &p);
        let through = |y: &[f64], g: &[f64]| {
            let mean: f64 = y.iter().zip(g).map(|(y, g)| y * g).sum();
            y.iter().zip(g).map(|(y, g)| y * (g - mean)).collect::<Vec<f64>>()
        };
        let mut g: Vec<f64> = t.chunks(k).zip(by_t.chunks(k)).flat_map(|(y, g)| through(y, g)).collect();
        g.extend(through(&p, &by_p));
        for at in 0..g.len() {
            m[at] = 0.9 * m[at] + 0.1 * g[at];
            v[at] = 0.999 * v[at] + 0.001 * g[at] * g[at];
            let (m, v) = (m[at] / (1.0 - 0.9f64.powi(step)), v[at] / (1.0 - 0.999f64.powi(step)));
            logits[at] -= 0.1 * m / (v.sqrt() + 1e-8);
        }
    }
    split(&logits)
}

/// A small pool with all its neighbors: `similarity[a][b]`, symmetric, and no two equal in a row.
#[derive(Debug, Clone)]
pub(crate) struct SmallPool {
    pub(crate) scores: Vec<i8>,
    pub(super) similarity: Vec<Vec<f32>>,
}

impl SmallPool {
    /// Scores and similarities drawn from `seed`; `unrated` of 8 rows have no score.
    pub(crate) fn random(len: usize, num_classes: usize, unrated: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, 0);
        let mut score = || {
            if stream.below(8) < unrated { -1 } else { i8::try_from(stream.below(num_classes)).unwrap() }
        };
        let scores = (0..len).map(|_| score()).collect();
        let mut similarity = vec![vec![1.0; len]; len];
        for (a, b) in (0..len).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let value = stream.below(1 << 20) as f32 / (1 << 20) as f32;
            (similarity[a][b], similarity[b][a]) = (value, value);
        }
        Self { scores, similarity }
    }

    fn width(&self) -> usize {
        self.scores.len() - 1
    }

    fn nearest_first(&self, row: usize) -> Vec<usize> {
        let mut others: Vec<usize> = (0..self.scores.len()).filter(|&other| other != row).collect();
        others.sort_by(|&a, &b| self.similarity[row][b].total_cmp(&self.similarity[row][a]).then(a.cmp(&b)));
        others
    }

    /// Neighbors and similarities, `(N, N - 1)`.
    pub(crate) fn graph(&self) -> (Vec<u32>, Vec<f32>) {
        let lists = || {
            (0..self.scores.len()).flat_map(|row| self.nearest_first(row).into_iter().map(move |n| (row, n)))
        };
        let neighbors = lists().map(|(_, neighbor)| u32::try_from(neighbor).unwrap()).collect();
        (neighbors, lists().map(|(row, neighbor)| self.similarity[row][neighbor]).collect())
    }

    /// The pool over the neighbors of [`Self::graph`], and their similarities as rows.
    pub(crate) fn rated<'a>(
        &'a self,
        graph: &'a (Vec<u32>, Vec<f32>),
        num_classes: usize,
    ) -> (RatedPool<'a>, Rows<'a, f32>) {
        let (len, width) = (self.scores.len(), self.width());
        let neighbors = Rows::new(&graph.0, len, width).unwrap();
        let similarities = Rows::new(&graph.1, len, width).unwrap();
        (RatedPool::new(&self.scores, neighbors, num_classes).unwrap(), similarities)
    }

    /// Scores of the other copies as row `n` sees them.
    fn seen_from(&self, n: usize, copies: usize) -> Vec<usize> {
        let rows = std::iter::once(n).chain(self.nearest_first(n));
        let scores = rows.filter_map(|row| usize::try_from(self.scores[row]).ok());
        scores.flat_map(|score| std::iter::repeat_n(score, copies)).skip(1).collect()
    }

    /// Consensus frequencies by summing over every subset of the other copies, each drawn with probability `f`.
    pub(super) fn consensus(&self, k: usize, f: f64, copies: usize) -> Vec<f64> {
        let mut c3 = vec![0.0; k.pow(3)];
        for n in 0..self.scores.len() {
            let Ok(own) = usize::try_from(self.scores[n]) else { continue };
            let others = self.seen_from(n, copies);
            for mask in 0u32..1 << others.len() {
                let inside: Vec<usize> = (0..others.len()).filter(|bit| mask >> bit & 1 == 1).collect();
                let size = i32::try_from(inside.len()).unwrap();
                let outside = i32::try_from(others.len()).unwrap() - size;
                if let [first, second, ..] = inside[..] {
                    let at = (own * k + others[first]) * k + others[second];
                    c3[at] += f.powi(size) * (1.0 - f).powi(outside);
                }
            }
        }
        let sum: f64 = c3.iter().sum();
        c3.iter().map(|value| value / sum).collect()
    }

    /// Flags and visits after all rounds: every drawn copy votes by itself, everything is sorted in full.
    pub(super) fn detect(&self, k: usize, t: &[f64], p: &[f64], options: &DetectionOptions) -> Vec<Judged> {
        let rated: Vec<usize> = (0..self.scores.len()).filter(|&row| self.scores[row] >= 0).collect();
        let mut judged = vec![Judged { visits: 0, favors: vec![0; k] }; self.scores.len()];
        for round in 0..options.rounds {
            let copies = draw(&rated, options.sampling, options.seed, round);
            let ballots: Vec<(usize, f64, usize)> =
                copies.iter().map(|&copy| self.ballot(copy, &copies, k)).collect();
            let mut seen = vec![false; self.scores.len()];
            for &(row, disagreement, favorite) in &ballots {
                let own = self.scores[row];
                let of_class = |row: usize| self.scores[row] == own;
                let size = rated.iter().filter(|&&row| of_class(row)).count();
                let i = usize::try_from(own).unwrap();
                let share = 1.0 - (t[i * k + i] * p[i] / (size as f64 / rated.len() as f64)).min(1.0);
                let share = if share >= 1.0 {
                    0.95
                } else if share <= 0.0 {
                    0.05
                } else {
                    share
                };
                let mut class: Vec<f64> =
                    ballots.iter().filter(|ballot| of_class(ballot.0)).map(|ballot| ballot.1).collect();
                class.sort_by(f64::total_cmp);
                if !std::mem::replace(&mut seen[row], true) {
                    judged[row].visits += 1;
                    judged[row].favors[favorite] += u32::from(at_or_above(&class, share, disagreement));
                }
            }
        }
        judged
    }

    /// Row, disagreement and favored score of one drawn copy (row, which copy).
    fn ballot(&self, copy: (usize, usize), drawn: &[(usize, usize)], k: usize) -> (usize, f64, usize) {
        let (row, _) = copy;
        let mut others: Vec<(usize, usize)> = drawn.iter().copied().filter(|&other| other != copy).collect();
        let distance = |other: usize| if other == row { 0.0 } else { 1.0 - self.similarity[row][other] };
        // The copy of the sample itself comes before any neighbor, however near.
        let key = |&(other, which): &(usize, usize)| (other != row, distance(other), other, which);
        others.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap());
        others.truncate(9);
        let v: Vec<f32> = others.iter().map(|other| distance(other.0)).collect();
        let (v1, v2) = (v.first().copied().unwrap_or(0.0), v.get(1).or(v.first()).copied().unwrap_or(0.0));
        let class = |row: usize| usize::try_from(self.scores[row]).unwrap();
        let mut votes = vec![0.0; k];
        votes[class(row)] += f64::from(1.0 - (2.0 * v1 - v2));
        others.iter().zip(&v).for_each(|(other, v)| votes[class(other.0)] += f64::from(1.0 - v));
        let top = votes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let favorite = votes.iter().position(|&vote| vote >= top).unwrap();
        (row, -((votes[class(row)] / norm(&votes)).max(0.0) + 1e-8).ln(), favorite)
    }
}

/// What the rounds said about one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub(super) visits: u32,
    pub(super) favors: Vec<u32>,
}

/// Whether a value reaches the `1 - share` quantile of a sorted class.
fn at_or_above(sorted: &[f64], share: f64, value: f64) -> bool {
    let rank = 100.0 * (1.0 - share) / 100.0 * (sorted.len() - 1) as f64;
    let low = (0..sorted.len()).rev().find(|&at| at as f64 <= rank).unwrap();
    let high = (low + 1).min(sorted.len() - 1);
    value >= sorted[low] + (sorted[high] - sorted[low]) * (rank - low as f64)
}

/// The copies (row, which copy) of one round, by the same shuffle as the fast routine.
fn draw(rated: &[usize], sampling: Sampling, seed: u64, round: u32) -> Vec<(usize, usize)> {
    let mut stream = Stream::new(seed, u64::from(round));
    let mut deck: Vec<(usize, usize)> =
        (0..sampling.copies()).flat_map(|which| rated.iter().map(move |&row| (row, which))).collect();
    let size = sampling.drawn(rated.len());
    for next in 0..size {
        let left = deck.len() - next;
        deck.swap(next, next + stream.below(left));
    }
    deck.truncate(size);
    deck
}

mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::{detect_misrated, expected_consensus};
    use crate::transition::Model;

    const T: [f64; 9] = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.0, 0.4, 0.6];
    const P: [f64; 3] = [0.3, 0.4, 0.3];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn consensus_equals_enumeration(
            len in 3usize..7, seed in any::<u64>(), unrated in 0usize..3, duplicate in any::<bool>(),
            size in prop::option::of(2usize..12),
        ) {
            let pool = SmallPool::random(len, 3, unrated, seed);
            let sampling = Sampling { duplicate, sample_size: size };
            let rated = pool.scores.iter().filter(|&&score| score >= 0).count();
            let graph = pool.graph();
            let fast = expected_consensus(&pool.rated(&graph, 3).0, sampling);
            prop_assume!(fast.is_ok());
            let slow = pool.consensus(3, sampling.share(rated), sampling.copies());
            for (a, b) in fast.unwrap().c3.iter().zip(&slow) {
                prop_assert!((a - b).abs() < 1e-10);
            }
        }

        #[test]
        fn detection_equals_brute_force(
            len in 3usize..40, seed in any::<u64>(), unrated in 0usize..3, duplicate in any::<bool>(),
            size in prop::option::of(2usize..60),
        ) {
            let pool = SmallPool::random(len, 3, unrated, seed);
            prop_assume!(pool.scores.iter().any(|&score| score >= 0));
            let options = DetectionOptions {
                sampling: Sampling { duplicate, sample_size: size }, rounds: 7, seed, threshold: 0.2,
            };
            let graph = pool.graph();
            let (rated, similarities) = pool.rated(&graph, 3);
            let model = Model::new(&T, &P).unwrap();
            let fast = detect_misrated(&rated, similarities, model, &options, &mut |_, _| true).unwrap();
            for (row, judged) in pool.detect(3, &T, &P, &options).iter().enumerate() {
                prop_assert_eq!(fast.visits[row], judged.visits);
                let flags: u32 = judged.favors.iter().sum();
                if pool.scores[row] < 0 {
                    prop_assert!(fast.confidence[row].is_nan());
                    prop_assert_eq!(fast.curated[row], -1);
                    continue;
                }
                prop_assert_eq!(fast.misrated[row], f64::from(flags) > f64::from(judged.visits) / 2.0);
                let p_misrated = f64::from(flags + 1) / f64::from(judged.visits + 2);
                prop_assert_eq!(fast.p_misrated[row].to_bits(), p_misrated.to_bits());
                let suggested = usize::try_from(fast.suggested[row]).unwrap();
                let confidence = f64::from(judged.favors[suggested] + 1) / f64::from(flags + 3) * p_misrated;
                prop_assert!((fast.confidence[row] - confidence).abs() < 1e-12);
                let changed = fast.misrated[row] && confidence >= 0.2;
                prop_assert_eq!(fast.curated[row], if changed { fast.suggested[row] } else { pool.scores[row] });
            }
        }
    }
}
