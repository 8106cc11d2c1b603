//! The Bayes method after the k-NN search: counts, fit, tuning and curation of 50,000 samples.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ds2_core::consensus::{Consensus, count_consensus};
use ds2_core::curation::{Rule, curate};
use ds2_core::evidence::{Temper, tune_evidence};
use ds2_core::transition::{MAX_STEPS, Prior, fit_transition};
use ds2_core::{RatedPool, Rows};

const ROWS: usize = 50_000;
const DEPTH: usize = 50;
const CLASSES: usize = 6;
/// Samples in one cluster; all of them share the true score.
const CLUSTER: usize = 60;

/// Numbers 0..bound from a linear congruential generator: the bench needs the same pool every time, no more.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % bound
    }
}

/// Scores (7 of 10 right) and neighbors anywhere in the sample's cluster; clusters lie strewn over the rows.
fn pool() -> (Vec<i8>, Vec<u32>) {
    let mut draw = numbers(42);
    let mut place: Vec<u32> = (0..u32::try_from(ROWS).expect("fits")).collect();
    (1..ROWS).rev().for_each(|at| place.swap(at, draw(at + 1)));
    let (mut scores, mut neighbors) = (vec![0; ROWS], vec![0; ROWS * DEPTH]);
    for member in 0..ROWS {
        let first = (member / CLUSTER * CLUSTER).min(ROWS - CLUSTER);
        let row = place[member] as usize;
        let score = if draw(10) < 7 { first / CLUSTER % CLASSES } else { draw(CLASSES) };
        scores[row] = i8::try_from(score).expect("six classes");
        let others = (1..CLUSTER).map(|step| place[first + (member - first + step * 7) % CLUSTER]);
        neighbors[row * DEPTH..][..DEPTH].iter_mut().zip(others).for_each(|(slot, other)| *slot = other);
    }
    (scores, neighbors)
}

/// Counts like those of a rater who hardly ever uses the lowest and the highest score and whose neighbors
/// hardly agree: two classes near death, a likelihood almost flat, every step needed.
fn hard_counts() -> Consensus {
    const P: [f64; CLASSES] = [0.0005, 0.27, 0.16, 0.54, 0.029, 0.0005];
    let mut draw = numbers(3);
    let row = |i: usize| -> Vec<f64> {
        let weight = |a: usize| P[a].sqrt() * (-0.4 * i.abs_diff(a) as f64).exp();
        let sum: f64 = (0..CLASSES).map(weight).sum();
        (0..CLASSES).map(|a| weight(a) / sum).collect()
    };
    let t: Vec<Vec<f64>> = (0..CLASSES).map(row).collect();
    let counts: Vec<f64> = (0..CLASSES.pow(3))
        .map(|position| {
            let [a, b, c] = [position / CLASSES.pow(2), position / CLASSES % CLASSES, position % CLASSES];
            let model: f64 = (0..CLASSES).map(|i| P[i] * t[i][a] * t[i][b] * t[i][c]).sum();
            let count = ROWS as f64 * model;
            // About the spread of a Poisson count.
            (count + count.sqrt() * (draw(2001) as f64 / 1000.0 - 1.0)).max(0.0)
        })
        .collect();
    Consensus::from_tensor(&counts, CLASSES).expect("counts are not negative")
}

fn fits(c: &mut Criterion) {
    let (scores, neighbors) = pool();
    let rated =
        RatedPool::new(&scores, Rows::new(&neighbors, ROWS, DEPTH).expect("fits"), CLASSES).expect("fits");
    let typical = count_consensus(&rated, 10).expect("all rated");
    let hard = hard_counts();
    let steps = fit_transition(&hard, Prior::Ordinal, None).expect("fits").steps;
    assert_eq!(steps, MAX_STEPS, "the hard case has become easy");
    let mut group = c.benchmark_group("transition");
    for (name, counts) in [("fit, K = 6, typical", &typical), ("fit, K = 6, all steps", &hard)] {
        group.bench_function(name, |b| b.iter(|| fit_transition(black_box(counts), Prior::Ordinal, None)));
    }
    group.bench_function("check, 50k, L = 50", |b| {
        b.iter(|| RatedPool::new(&scores, Rows::new(&neighbors, ROWS, DEPTH).expect("fits"), CLASSES));
    });
    for k in [10, 50] {
        group.bench_function(format!("counts, 50k, k = {k}"), |b| b.iter(|| count_consensus(&rated, k)));
    }
    group.finish();
}

fn curation(c: &mut Criterion) {
    let (scores, neighbors) = pool();
    let rows = |depth: usize| -> Vec<u32> {
        neighbors.chunks_exact(DEPTH).flat_map(|list| &list[..depth]).copied().collect()
    };
    let mut group = c.benchmark_group("curation");
    group.sample_size(20);
    for depth in [10, 50] {
        let near = rows(depth);
        let rated =
            RatedPool::new(&scores, Rows::new(&near, ROWS, depth).expect("fits"), CLASSES).expect("fits");
        let fit =
            fit_transition(&count_consensus(&rated, 10).expect("rated"), Prior::Ordinal, None).expect("fits");
        let model = fit.model().expect("a fit is a model");
        let rule = Rule { noise_share: 0.5, threshold: 0.5, fill_missing: false };
        group.bench_function(format!("tune, 50k, L = {depth}"), |b| b.iter(|| tune_evidence(&rated, model)));
        group.bench_function(format!("curate, 50k, k = {depth}"), |b| {
            b.iter(|| curate(&rated, model, Temper { k: depth, beta: 0.5 }, rule, &mut |_, _| true));
        });
    }
    group.finish();
}

criterion_group!(benches, fits, curation);
criterion_main!(benches);
