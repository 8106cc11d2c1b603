//! The exact neighbor search on made rows: every kernel of the machine, both types of rows, crowds of duplicates.
//!
//! Throughput is in pairs of coordinates: N^2 d / 2 of them are multiplied and added, so elements/s times two
//! are floating-point operations per second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ds2_core::Rows;
use ds2_core::dot::Kernel;
use ds2_core::knn::{KnnOptions, find_neighbors};
use half::f16;

const ROWS: usize = 4096;
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

fn knn(c: &mut Criterion) {
    let single = rows();
    let half: Vec<f16> = single.iter().map(|&value| f16::from_f32(value)).collect();
    // Every row eight hundred times: the f32 product tells none of them apart.
    let crowded: Vec<f32> = single[..5 * DIM].iter().copied().cycle().take(ROWS * DIM).collect();
    let mut group = c.benchmark_group("knn, 4096 x 384");
    group.sample_size(10).throughput(Throughput::Elements((ROWS * ROWS * DIM / 2) as u64));
    for kernel in Kernel::available() {
        let options = KnnOptions { kernel: Some(kernel), ..KnnOptions::new(10) };
        let rows = Rows::new(&single, ROWS, DIM).expect("fits");
        group.bench_function(BenchmarkId::new("f32, k = 10", kernel.name()), |b| {
            b.iter(|| find_neighbors(rows, &options, &mut |_, _| true));
        });
    }
    let rows = Rows::new(&half, ROWS, DIM).expect("fits");
    for k in [10, 50] {
        group.bench_function(BenchmarkId::new("f16", format!("k = {k}")), |b| {
            b.iter(|| find_neighbors(rows, &KnnOptions::new(k), &mut |_, _| true));
        });
    }
    let rows = Rows::new(&crowded, ROWS, DIM).expect("fits");
    group.bench_function("f32, k = 10, crowds of equal rows", |b| {
        b.iter(|| find_neighbors(rows, &KnnOptions::new(10), &mut |_, _| true));
    });
    group.finish();
}

criterion_group!(benches, knn);
criterion_main!(benches);
