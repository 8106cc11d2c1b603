//! The neighbor search on made rows: the block product and the exact search of every kernel of the machine,
//! both types of rows, crowds of duplicates, the approximate search.
//!
//! Throughput is in pairs of coordinates: N^2 d / 2 of them are multiplied and added, so elements/s times two
//! are operations per second. `limits.rs` says how many there can be.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ds2_core::Rows;
use ds2_core::dot::{FullDepth, Kernel};
use ds2_core::knn::{KnnOptions, find_nearly, find_neighbors};
use half::f16;

const ROWS: usize = 16_384;
const DIM: usize = 384;

/// Rows around a few hundred centers: similarities spread as those of embedded text do.
fn rows() -> Vec<f32> {
    let mut state = 42_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let centers: Vec<f32> = (0..300 * DIM).map(|_| draw()).collect();
    (0..ROWS * DIM).map(|at| centers[at / DIM % 300 * DIM + at % DIM] + draw()).collect()
}

/// The block product alone, to the end of every row.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("block product at full depth");
    for kernel in Kernel::available() {
        for dim in [64, DIM, 1024] {
            let mut product = FullDepth::new(kernel, dim);
            group.throughput(Throughput::Elements(product.operations() / 2));
            group.bench_function(BenchmarkId::new(kernel.name(), dim), |b| b.iter(|| product.run()));
        }
    }
    group.finish();
}

fn searches(c: &mut Criterion) {
    let single = rows();
    let half: Vec<f16> = single.iter().map(|&value| f16::from_f32(value)).collect();
    // Five rows, each three thousand times: no bound tells them apart.
    let crowded: Vec<f32> = single[..5 * DIM].iter().copied().cycle().take(ROWS * DIM).collect();
    let [single, crowded] = [&single, &crowded].map(|rows| Rows::new(rows, ROWS, DIM).expect("fits"));
    let half = Rows::new(&half, ROWS, DIM).expect("fits");
    let mut group = c.benchmark_group("neighbors, 16384 x 384");
    group.sample_size(10).throughput(Throughput::Elements((ROWS * ROWS * DIM / 2) as u64));
    for kernel in Kernel::available() {
        let options = KnnOptions { kernel: Some(kernel), ..KnnOptions::new(10) };
        group.bench_function(BenchmarkId::new("f32, k = 10", kernel.name()), |b| {
            b.iter(|| find_neighbors(single, &options, &mut |_, _| true));
        });
    }
    for k in [10, 50] {
        group.bench_function(BenchmarkId::new("f16", format!("k = {k}")), |b| {
            b.iter(|| find_neighbors(half, &KnnOptions::new(k), &mut |_, _| true));
        });
    }
    group.bench_function("f32, k = 10, crowds of equal rows", |b| {
        b.iter(|| find_neighbors(crowded, &KnnOptions::new(10), &mut |_, _| true));
    });
    group.bench_function("f32, k = 10, recall .99", |b| {
        b.iter(|| find_nearly(single, &KnnOptions::new(10), 0.99, &mut |_, _| true));
    });
    group.finish();
}

criterion_group!(benches, products, searches);
criterion_main!(benches);
