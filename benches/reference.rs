//! Reference mode after the k-NN search: consensus, fit, detection on 50,000 samples; paper mode and dual sort.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ds2_core::longtail::{Definition, score_longtail};
use ds2_core::paper::curate_paper;
use ds2_core::reference::{DetectionOptions, Sampling, detect_misrated, expected_consensus, fit_transition};
use ds2_core::selection::{Preset, rank_samples};
use ds2_core::transition::Model;
use ds2_core::{RatedPool, Rows};

const ROWS: usize = 50_000;
const WIDTH: usize = 50;
const CLASSES: usize = 6;
/// Samples in one cluster; all of them share the true score.
const CLUSTER: usize = 60;

/// A pool whose neighbors lie anywhere in the sample's cluster, and whose clusters lie strewn over the rows.
struct Pool {
    scores: Vec<i8>,
    neighbors: Vec<u32>,
    similarities: Vec<f32>,
}

impl Pool {
    fn rated(&self) -> RatedPool<'_> {
        let neighbors = Rows::new(&self.neighbors, ROWS, WIDTH).expect("fits");
        RatedPool::new(&self.scores, neighbors, CLASSES).expect("valid")
    }

    fn similarities(&self) -> Rows<'_, f32> {
        Rows::new(&self.similarities, ROWS, WIDTH).expect("fits")
    }
}

/// Numbers 0..bound from a linear congruential generator: the bench needs the same pool every time, no more.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % bound
    }
}

fn pool() -> Pool {
    let mut draw = numbers(42);
    let mut place: Vec<u32> = (0..u32::try_from(ROWS).expect("fits")).collect();
    (1..ROWS).rev().for_each(|at| place.swap(at, draw(at + 1)));
    let mut scores = vec![0i8; ROWS];
    let mut neighbors = vec![0; ROWS * WIDTH];
    for member in 0..ROWS {
        let first = (member / CLUSTER * CLUSTER).min(ROWS - CLUSTER);
        let row = place[member] as usize;
        let score = if draw(10) < 7 { first / CLUSTER % CLASSES } else { draw(CLASSES) };
        scores[row] = i8::try_from(score).expect("six classes");
        let others = (1..CLUSTER).map(|step| place[first + (member - first + step * 7) % CLUSTER]);
        let list = &mut neighbors[row * WIDTH..(row + 1) * WIDTH];
        list.iter_mut().zip(others).for_each(|(slot, other)| *slot = other);
    }
    let similarity = |at: usize| 0.95 - 0.01 * (at % WIDTH) as f32;
    Pool { scores, neighbors, similarities: (0..ROWS * WIDTH).map(similarity).collect() }
}

fn reference(c: &mut Criterion) {
    let pool = pool();
    let (rated, similarities) = (pool.rated(), pool.similarities());
    let consensus = || expected_consensus(&rated, Sampling::default()).expect("fits");
    let c3 = consensus().c3;
    let fit = fit_transition(&c3, CLASSES).expect("fits");
    let model = Model::new(&fit.transition, &fit.prior).expect("valid");
    let mut group = c.benchmark_group("reference");
    group.sample_size(10);
    group.bench_function("consensus, 50k", |b| b.iter(consensus));
    group.bench_function("fit, K = 6", |b| b.iter(|| fit_transition(black_box(&c3), CLASSES)));
    group.bench_function("detection, 50k, 51 rounds", |b| {
        let options = DetectionOptions::default();
        b.iter(|| detect_misrated(&rated, similarities, model, &options, &mut |_, _| true));
    });
    group.bench_function("paper mode, 50k", |b| {
        b.iter(|| curate_paper(&rated, similarities, model, 10, 0.5));
    });
    group.finish();
}

fn ranking(c: &mut Criterion) {
    let pool = pool();
    let mut draw = numbers(7);
    let longtail: Vec<f64> = (0..ROWS).map(|_| draw(1 << 20) as f64 / f64::from(1 << 20)).collect();
    let expected: Vec<f64> = pool.scores.iter().map(|&score| f64::from(score)).collect();
    let mut group = c.benchmark_group("ranking");
    group.bench_function("long-tail score, 50k", |b| {
        b.iter(|| score_longtail(pool.similarities(), 10, Definition::Paper, None));
    });
    group.bench_function("dual sort, 50k", |b| {
        b.iter(|| rank_samples(&pool.scores, &expected, &longtail, Preset::Default));
    });
    group.finish();
}

criterion_group!(benches, reference, ranking);
criterion_main!(benches);
