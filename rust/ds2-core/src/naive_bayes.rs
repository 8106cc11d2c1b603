//! Slow twins of the Bayes kernels: one formula, one loop, no care for speed. Tests only.

use proptest::prelude::*;

use crate::{RatedPool, Rows};

/// A random pool that owns its arrays.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) num_classes: usize,
    pub(crate) scores: Vec<i8>,
    pub(crate) neighbors: Vec<u32>,
    pub(crate) depth: usize,
}

impl Pool {
    pub(crate) fn rated(&self) -> RatedPool<'_> {
        let rows = Rows::new(&self.neighbors, self.scores.len(), self.depth).unwrap();
        RatedPool::new(&self.scores, rows, self.num_classes).unwrap()
    }
}

/// Pools of 8 to 60 samples with missing ratings and 2 to `max_depth` distinct neighbors a sample.
pub(crate) fn pools(max_depth: usize) -> impl Strategy<Value = Pool> {
    (2_usize..9, 8_usize..60).prop_flat_map(move |(num_classes, len)| {
        let scores = prop::collection::vec(
            prop_oneof![1 => Just(-1_i8), 9 => 0..i8::try_from(num_classes).unwrap()],
            len,
        );
        (2..max_depth.min(len - 1) + 1, scores, any::<u64>()).prop_map(move |(depth, scores, seed)| Pool {
            num_classes,
            neighbors: random_neighbors(len, depth, seed),
            scores,
            depth,
        })
    })
}

fn random_neighbors(len: usize, depth: usize, mut seed: u64) -> Vec<u32> {
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut neighbors = Vec::new();
    for row in 0..len {
        let mut others: Vec<usize> = (0..len).filter(|&other| other != row).collect();
        for _ in 0..depth {
            let other = others.swap_remove(next() % others.len());
            neighbors.push(u32::try_from(other).unwrap());
        }
    }
    neighbors
}

/// T with rows that favor the diagonal, and p, both random.
pub(crate) fn models(num_classes: usize) -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let cells = prop::collection::vec(0.01_f64..1.0, num_classes * num_classes);
    (cells, prop::collection::vec(0.05_f64..1.0, num_classes)).prop_map(move |(mut t, mut p)| {
        for (i, row) in t.chunks_mut(num_classes).enumerate() {
            row[i] += num_classes as f64;
            normalize(row);
        }
        normalize(&mut p);
        (t, p)
    })
}

pub(crate) fn normalize(values: &mut [f64]) {
    let sum: f64 = values.iter().sum();
    for value in values {
        *value /= sum;
    }
}

/// Consensus counts pair by pair.
pub(crate) fn count(pool: &Pool, k: usize) -> Vec<f64> {
    let classes = pool.num_classes;
    let mut tensor = vec![0.0; classes.pow(3)];
    for (row, &own) in pool.scores.iter().enumerate() {
        let near = &pool.neighbors[row * pool.depth..][..k];
        let labels: Vec<i8> = near.iter().map(|&other| pool.scores[other as usize]).collect();
        let mut triples = Vec::new();
        for a in 0..k {
            for b in a + 1..k {
                if own >= 0 && labels[a] >= 0 && labels[b] >= 0 {
                    triples.push([own, labels[a], labels[b]].map(|score| usize::try_from(score).unwrap()));
                }
            }
        }
        for [x, y, z] in &triples {
            tensor[(x * classes + y) * classes + z] += 1.0 / triples.len() as f64;
        }
    }
    symmetrize(&tensor, classes)
}

/// Mean over the six orders of the axes.
pub(crate) fn symmetrize(tensor: &[f64], classes: usize) -> Vec<f64> {
    let at = |x: usize, y: usize, z: usize| tensor[(x * classes + y) * classes + z];
    let mut out = Vec::new();
    for a in 0..classes {
        for b in 0..classes {
            for c in 0..classes {
                out.push(
                    (at(a, b, c) + at(a, c, b) + at(b, a, c) + at(b, c, a) + at(c, a, b) + at(c, b, a)) / 6.0,
                );
            }
        }
    }
    out
}

/// Probability of every pattern under T and p.
pub(crate) fn pattern_probabilities(t: &[f64], p: &[f64]) -> Vec<f64> {
    let classes = p.len();
    let mut out = Vec::new();
    for a in 0..classes {
        for b in 0..classes {
            for c in 0..classes {
                let joint = |i: usize| p[i] * t[i * classes + a] * t[i * classes + b] * t[i * classes + c];
                out.push((0..classes).map(joint).sum());
            }
        }
    }
    out
}

pub(crate) struct Step {
    pub(crate) t: Vec<f64>,
    pub(crate) p: Vec<f64>,
    pub(crate) objective: f64,
}

/// One EM step over the whole symmetric tensor; `objective` is that of the argument.
pub(crate) fn em_step(tensor: &[f64], t: &[f64], p: &[f64], pseudo: &[f64]) -> Step {
    let classes = p.len();
    let model = pattern_probabilities(t, p);
    let mut next = Step { t: pseudo.to_vec(), p: vec![0.0; classes], objective: 0.0 };
    for (position, (&count, &probability)) in tensor.iter().zip(&model).enumerate() {
        let (a, b, c) = (position / classes / classes, position / classes % classes, position % classes);
        next.objective += count * probability.ln();
        for i in 0..classes {
            let responsibility =
                p[i] * t[i * classes + a] * t[i * classes + b] * t[i * classes + c] / probability;
            next.t[i * classes + a] += 3.0 * count * responsibility;
            next.p[i] += count * responsibility;
        }
    }
    next.objective += pseudo.iter().zip(t).map(|(weight, value)| weight * value.ln()).sum::<f64>();
    next.t.chunks_mut(classes).for_each(normalize);
    normalize(&mut next.p);
    next
}

/// Plain EM from the diagonal start: T and p, and the objective before the last step.
pub(crate) fn em(tensor: &[f64], pseudo: &[f64], classes: usize, steps: usize) -> (Step, f64) {
    let total: f64 = tensor.iter().sum();
    let mut t = vec![0.4 / (classes - 1) as f64; classes * classes];
    (0..classes).for_each(|i| t[i * classes + i] = 0.6);
    let marginal =
        |i: usize| tensor[i * classes * classes..][..classes * classes].iter().sum::<f64>() / total;
    let p: Vec<f64> = (0..classes).map(|i| f64::midpoint(marginal(i), 1.0 / classes as f64)).collect();
    let mut at = Step { t, p, objective: 0.0 };
    for _ in 0..steps {
        at = em_step(tensor, &at.t, &at.p, pseudo);
    }
    let objective = at.objective;
    (at, objective)
}

/// `pz`: prior times the tempered likelihood of each neighbor, multiplied out.
pub(crate) fn shared_score(pool: &Pool, row: usize, k: usize, beta: f64, t: &[f64], p: &[f64]) -> Vec<f64> {
    let classes = pool.num_classes;
    let mut shared = p.to_vec();
    for &other in &pool.neighbors[row * pool.depth..][..k] {
        if let Ok(score) = usize::try_from(pool.scores[other as usize]) {
            for z in 0..classes {
                shared[z] *= t[z * classes + score].max(1e-9).powf(beta);
            }
        }
    }
    normalize(&mut shared);
    shared
}

/// Gain of the leave-self-out prediction over the ratings' own distribution, nats per rated sample.
pub(crate) fn information(pool: &Pool, k: usize, beta: f64, t: &[f64], p: &[f64]) -> f64 {
    let classes = pool.num_classes;
    let rated: Vec<(usize, usize)> = pool
        .scores
        .iter()
        .enumerate()
        .filter_map(|(row, &s)| Some((row, usize::try_from(s).ok()?)))
        .collect();
    let count = |score: usize| rated.iter().filter(|(_, own)| *own == score).count();
    let gain = |&(row, own): &(usize, usize)| {
        let shared = shared_score(pool, row, k, beta, t, p);
        let predicted: f64 = (0..classes).map(|z| shared[z] * t[z * classes + own]).sum();
        predicted.ln() - (count(own) as f64 / rated.len() as f64).ln()
    };
    rated.iter().map(gain).sum::<f64>() / rated.len() as f64
}

/// `P(true score y)` proportional to `sum_z pz[z] R[z, y] T_a[y, own]`.
pub(crate) fn posterior(
    shared: &[f64],
    heterogeneity: &[f64],
    rater: &[f64],
    own: Option<usize>,
) -> Vec<f64> {
    let classes = shared.len();
    let mut posterior: Vec<f64> = (0..classes)
        .map(|y| {
            let before: f64 = (0..classes).map(|z| shared[z] * heterogeneity[z * classes + y]).sum();
            before * own.map_or(1.0, |own| rater[y * classes + own])
        })
        .collect();
    normalize(&mut posterior);
    posterior
}
