//! The Bayes method from outside: a planted rater is recovered, and the bits do not depend on the threads.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use ds2_core::consensus::count_consensus;
use ds2_core::curation::{Rule, curate};
use ds2_core::evidence::tune_evidence;
use ds2_core::transition::{Prior, fit_transition};
use ds2_core::{RatedPool, Rows, SILENT};

const CLASSES: usize = 6;
const PRIOR: [f64; CLASSES] = [0.09, 0.16, 0.24, 0.28, 0.18, 0.05];
const CLUSTER: usize = 25;

/// Uniform numbers in [0, 1): splitmix64.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn choose(&mut self, weights: &[f64]) -> usize {
        let mut left = self.next();
        weights
            .iter()
            .position(|weight| {
                left -= weight;
                left < 0.0
            })
            .unwrap_or(weights.len() - 1)
    }
}

/// A rater who is right seven times in ten and else anywhere.
fn rater() -> Vec<f64> {
    (0..CLASSES * CLASSES).map(|e| if e / CLASSES == e % CLASSES { 0.7 } else { 0.06 }).collect()
}

/// Truth, scores and neighbors of clusters of 25 that share their true score; one sample in 40 is unrated.
/// `len` is a multiple of 25.
fn pool(len: usize, depth: usize) -> (Vec<usize>, Vec<i8>, Vec<u32>) {
    let (mut uniform, rater) = (Uniform(7), rater());
    let (mut truth, mut scores, mut neighbors) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..len {
        if row % CLUSTER == 0 {
            let class = uniform.choose(&PRIOR);
            truth.extend(std::iter::repeat_n(class, CLUSTER));
        }
        let score = uniform.choose(&rater[truth[row] * CLASSES..][..CLASSES]);
        scores.push(if row % 40 == 39 { -1 } else { i8::try_from(score).unwrap() });
        let start = row / CLUSTER * CLUSTER;
        let near = (1..=depth).map(|step| start + (row - start + step) % CLUSTER);
        neighbors.extend(near.map(|other| u32::try_from(other).unwrap()));
    }
    (truth, scores, neighbors)
}

struct Outcome {
    t: Vec<f64>,
    expected: Vec<f64>,
    curated: Vec<i8>,
    information: Vec<f64>,
}

fn run(scores: &[i8], neighbors: &[u32], depth: usize, threads: usize) -> Outcome {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    threads.install(|| {
        let rows = Rows::new(neighbors, scores.len(), depth).unwrap();
        let pool = RatedPool::new(scores, rows, CLASSES).unwrap();
        let fit = fit_transition(&count_consensus(&pool, 10).unwrap(), Prior::Ordinal, None).unwrap();
        let model = fit.model().unwrap();
        let tuning = tune_evidence(&pool, model).unwrap();
        let rule = Rule { noise_share: 1.0, threshold: 0.5, fill_missing: false };
        let curated = curate(&pool, model, tuning.best.temper, rule, &mut SILENT.clone()).unwrap();
        let information = tuning.candidates.iter().map(|candidate| candidate.information).collect();
        Outcome { t: fit.t, expected: curated.expected, curated: curated.curated, information }
    })
}

#[test]
fn a_planted_rater_is_recovered() {
    let (truth, scores, neighbors) = pool(20_000, 20);
    let outcome = run(&scores, &neighbors, 20, 2);
    let variation: f64 = outcome.t.iter().zip(rater()).map(|(x, y)| (x - y).abs()).sum::<f64>() / 2.0;
    assert!(variation / CLASSES as f64 <= 0.02, "mean total variation {}", variation / CLASSES as f64);
    let rated = scores.iter().filter(|&&score| score >= 0).count();
    let right =
        (0..scores.len()).filter(|&row| usize::try_from(outcome.curated[row]) == Ok(truth[row])).count();
    assert!(right as f64 >= 0.99 * rated as f64, "{right} of {rated}");
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let (_, scores, neighbors) = pool(12_325, 20);
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let one = run(&scores, &neighbors, 20, 1);
    for threads in [2, 3, 8] {
        let other = run(&scores, &neighbors, 20, threads);
        assert_eq!(bits(&one.t), bits(&other.t));
        assert_eq!(bits(&one.expected), bits(&other.expected));
        assert_eq!(bits(&one.information), bits(&other.information));
        assert_eq!(one.curated, other.curated);
    }
}
