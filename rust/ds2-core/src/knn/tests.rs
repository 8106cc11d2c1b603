//! The fast search against its slow twin, on every kernel of this machine.

use half::f16;
use proptest::prelude::*;

use super::cosine::{Cosine, Pair};
use super::*;
use crate::naive;
use crate::random::Stream;
use crate::topk::Candidate;

/// Unit roundoff of f32.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// How the next row of a made pool relates to the earlier ones.
#[derive(Clone, Debug)]
enum Kind {
    /// Coordinates of any direction.
    Any(Vec<f32>),
    /// Coordinates of a coarse grid: many equal similarities.
    Grid(Vec<i8>),
    /// An earlier row, scaled by a power of two.
    Copy(prop::sample::Index, i8),
    /// An earlier row with one coordinate a rounding away.
    Close(prop::sample::Index, prop::sample::Index),
    /// One coordinate of this size.
    Single(prop::sample::Index, f32),
    /// All zeros.
    Zero,
}

fn kind(dim: usize) -> impl Strategy<Value = Kind> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => prop::collection::vec(-1.0_f32..1.0, dim).prop_map(Kind::Any),
        2 => prop::collection::vec(-1_i8..=1, dim).prop_map(Kind::Grid),
        2 => (index(), -60_i8..60).prop_map(|(row, power)| Kind::Copy(row, power)),
        2 => (index(), index()).prop_map(|(row, column)| Kind::Close(row, column)),
        1 => (index(), prop::sample::select(vec![1e-45_f32, -1e-39, 1.0, -3.0, 3e38]))
            .prop_map(|(column, value)| Kind::Single(column, value)),
        1 => Just(Kind::Zero),
    ]
}

/// Rows (flat) and their dimension.
pub(super) fn pool(
    rows: std::ops::Range<usize>,
    dims: std::ops::Range<usize>,
) -> impl Strategy<Value = (Vec<f32>, usize)> {
    dims.prop_flat_map(move |dim| (prop::collection::vec(kind(dim), rows.clone()), Just(dim)))
        .prop_map(|(kinds, dim)| (make(&kinds, dim), dim))
}

fn make(kinds: &[Kind], dim: usize) -> Vec<f32> {
    let mut data: Vec<f32> = Vec::with_capacity(kinds.len() * dim);
    for kind in kinds {
        let earlier = (data.len() / dim).max(1);
        let copy = |row: prop::sample::Index| match data.get(row.index(earlier) * dim..) {
            Some(rest) if rest.len() >= dim => rest[..dim].to_vec(),
            _ => vec![1.0; dim],
        };
        let row = match kind {
            Kind::Any(row) => row.clone(),
            Kind::Grid(row) => row.iter().map(|&value| f32::from(value)).collect(),
            Kind::Copy(row, power) => scaled(&copy(*row), *power),
            Kind::Close(row, column) => {
                let mut row = copy(*row);
                let value = &mut row[column.index(dim)];
                *value = if *value < f32::MAX { value.next_up() } else { *value };
                row
            }
            Kind::Single(column, value) => {
                let mut row = vec![0.0; dim];
                row[column.index(dim)] = *value;
                row
            }
            Kind::Zero => vec![0.0; dim],
        };
        data.extend(row);
    }
    data
}

/// `row` times a power of two, or `row` itself where that would not be exact.
fn scaled(row: &[f32], power: i8) -> Vec<f32> {
    let factor = f32::from(power).exp2();
    let exact = |value: &f32| *value == 0.0 || ((value * factor).is_normal() && value.is_normal());
    if row.iter().all(exact) { row.iter().map(|value| value * factor).collect() } else { row.to_vec() }
}

fn options(k: usize, threads: usize, kernel: Kernel) -> KnnOptions {
    KnnOptions { threads: Some(threads), allow_zero: true, kernel: Some(kernel), ..KnnOptions::new(k) }
}

fn find<T: Element>(rows: Rows<'_, T>, options: &KnnOptions) -> Neighbors {
    let neighbors = find_neighbors(rows, options, &mut |_, _| true).unwrap();
    check_graph(&neighbors.indices, &neighbors.similarities, options.k).unwrap();
    neighbors
}

/// Compare with the twin: canonical similarities bit for bit, and these with the f64 cosine.
fn assert_exact<T: Element>(rows: Rows<'_, T>, k: usize) {
    let cosine = Cosine::measure(rows, Kernel::fastest(), true).unwrap();
    let canonical = |i: usize, j| cosine.similarity(u32::try_from(i).unwrap(), j, &mut Pair::default());
    let expected = naive::neighbors(rows, k, canonical);
    for kernel in Kernel::available() {
        let neighbors = find(rows, &options(k, 2, kernel));
        for (i, expected) in expected.iter().enumerate() {
            let (indices, similarities) = neighbors.row(i);
            let found: Vec<_> = indices.iter().zip(similarities).map(|(&j, s)| (j, s.to_bits())).collect();
            let expected: Vec<_> = expected.iter().map(|c| (c.row, c.similarity.to_bits())).collect();
            assert_eq!(found, expected, "row {i}, kernel {}", kernel.name());
        }
    }
    let tolerance = UNIT + rows.dim() as f64 * f64::EPSILON;
    for (i, expected) in expected.iter().enumerate() {
        for candidate in expected {
            let true_cosine = naive::cosine(rows.row(i), rows.row(candidate.row as usize));
            assert!((f64::from(candidate.similarity) - true_cosine).abs() <= tolerance);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_result_is_that_of_the_twin((data, dim) in pool(2..260, 1..40), k in 1_usize..140) {
        let len = data.len() / dim;
        assert_exact(Rows::new(&data, len, dim).unwrap(), k.min(len - 1));
    }

    #[test]
    fn half_precision_rows_too((data, dim) in pool(2..120, 1..70), k in 1_usize..20) {
        let data: Vec<f16> = data.iter().map(|v| f16::from_f32(v.clamp(-6e4, 6e4))).collect();
        let len = data.len() / dim;
        assert_exact(Rows::new(&data, len, dim).unwrap(), k.min(len - 1));
    }

    #[test]
    fn threads_do_not_matter((data, dim) in pool(100..400, 1..20), k in 1_usize..60) {
        let rows = Rows::new(&data, data.len() / dim, dim).unwrap();
        let one = find(rows, &options(k, 1, Kernel::fastest()));
        for threads in [2, 3, 8] {
            prop_assert_eq!(&find(rows, &options(k, threads, Kernel::fastest())), &one);
        }
    }

    #[test]
    fn the_length_of_a_row_does_not_matter(
        (data, dim) in pool(2..150, 1..20),
        powers in prop::collection::vec(-20_i8..20, 150),
    ) {
        let len = data.len() / dim;
        let k = 7.min(len - 1);
        let other: Vec<f32> =
            data.chunks(dim).zip(&powers).flat_map(|(row, &power)| scaled(row, power)).collect();
        let options = options(k, 2, Kernel::fastest());
        let neighbors = find(Rows::new(&data, len, dim).unwrap(), &options);
        prop_assert_eq!(neighbors, find(Rows::new(&other, len, dim).unwrap(), &options));
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(
        (data, dim) in pool(2..150, 1..20),
        seed in prop::collection::vec(any::<u32>(), 150),
    ) {
        let len = data.len() / dim;
        let k = 7.min(len - 1);
        let mut order: Vec<usize> = (0..len).collect();
        order.sort_by_key(|&i| seed[i]);
        let moved: Vec<f32> = order.iter().flat_map(|&i| &data[i * dim..(i + 1) * dim]).copied().collect();
        let options = options(k, 2, Kernel::fastest());
        let neighbors = find(Rows::new(&data, len, dim).unwrap(), &options);
        let moved = find(Rows::new(&moved, len, dim).unwrap(), &options);
        for (new, &old) in order.iter().enumerate() {
            // Ties go by row, so who ties may change; how near they are may not.
            prop_assert_eq!(neighbors.row(old).1, moved.row(new).1);
        }
    }
}

#[test]
fn crowds_of_equal_rows_are_settled_by_row() {
    // Far more equal rows than a list holds, in several blocks, among rows that are a rounding away.
    let (len, dim, k) = (500, 5, 4);
    let mut data: Vec<f32> = (0..len).flat_map(|_| [0.3, -0.7, 0.2, 0.9, 0.1]).collect();
    assert_exact(Rows::new(&data, len, dim).unwrap(), k);
    for row in data.chunks_mut(dim).step_by(3) {
        row[1] = row[1].next_up();
    }
    assert_exact(Rows::new(&data, len, dim).unwrap(), k);
    assert_exact(Rows::new(&vec![0.0_f32; len * dim], len, dim).unwrap(), k);
}

/// Rows of a few hundred clusters in few directions, many of them alike and some equal: as embedded text is.
fn clustered(len: usize, dim: usize) -> Vec<f32> {
    let mut draws = Stream::new(3, len as u64);
    let directions: Vec<f32> = (0..40 * dim).map(|_| draws.centered()).collect();
    let centers: Vec<[f32; 40]> = (0..len / 20).map(|_| std::array::from_fn(|_| draws.centered())).collect();
    let mut rows: Vec<f32> = Vec::with_capacity(len * dim);
    for row in 0..len {
        if row % 25 == 24 {
            let start = draws.below(row) * dim;
            rows.extend_from_within(start..start + dim);
            continue;
        }
        let center = centers[draws.below(centers.len())];
        let start = rows.len();
        rows.extend((0..dim).map(|_| 0.3 * draws.centered()));
        for (direction, weight) in directions.chunks_exact(dim).zip(center) {
            let weight = weight + 0.2 * draws.centered();
            rows[start..].iter_mut().zip(direction).for_each(|(value, x)| *value += weight * x);
        }
    }
    rows
}

#[test]
fn a_pool_large_enough_for_clusters_and_stages_is_exact() {
    let (len, dim, k) = (5000, 132, 10);
    let data = clustered(len, dim);
    let rows = Rows::new(&data, len, dim).unwrap();
    let one = find(rows, &options(k, 1, Kernel::fastest()));
    for kernel in Kernel::available() {
        for threads in [2, 4] {
            assert!(find(rows, &options(k, threads, kernel)) == one, "{} {threads}", kernel.name());
        }
    }
    let cosine = Cosine::measure(rows, Kernel::fastest(), false).unwrap();
    let mut pair = Pair::default();
    for i in (0_u32..5000).step_by(7) {
        let others = (0_u32..5000).filter(|&j| j != i);
        let mut all: Vec<Candidate> =
            others.map(|row| Candidate { similarity: cosine.similarity(i, row, &mut pair), row }).collect();
        all.sort_by(Candidate::nearest_first);
        let (indices, similarities) = one.row(i as usize);
        for ((found, similarity), expected) in indices.iter().zip(similarities).zip(&all) {
            assert_eq!(
                (*found, similarity.to_bits()),
                (expected.row, expected.similarity.to_bits()),
                "row {i}"
            );
        }
    }
}

#[test]
fn an_approximate_search_reaches_its_recall_on_every_kernel_alike() {
    let (len, dim, k) = (9000, 68, 10);
    let data = clustered(len, dim);
    let rows = Rows::new(&data, len, dim).unwrap();
    let exact = find(rows, &options(k, 2, Kernel::fastest()));
    let mut last = 0.0;
    for target in [0.5, 0.9, 0.99] {
        let nearly = |kernel, threads| {
            find_nearly(rows, &options(k, threads, kernel), target, &mut |_, _| true).unwrap()
        };
        let (found, recall) = nearly(Kernel::fastest(), 1);
        check_graph(&found.indices, &found.similarities, k).unwrap();
        for kernel in Kernel::available() {
            assert!(nearly(kernel, 3) == (found.clone(), recall), "{}", kernel.name());
        }
        let hits = (0..len).map(|i| {
            let last = exact.row(i).1[k - 1];
            found.row(i).1.iter().filter(|&&similarity| similarity >= last).count()
        });
        let truth = hits.sum::<usize>() as f64 / (len * k) as f64;
        assert!(recall.mean >= target && recall.low <= recall.mean && recall.mean <= recall.high);
        assert!((recall.low - 0.01..=recall.high + 0.01).contains(&truth), "{truth} {recall:?}");
        assert!(recall.rows == 1000 && recall.probes > 0);
        assert!(recall.mean >= last, "more is found where more is asked for");
        last = recall.mean;
    }
    let wrong = find_nearly(rows, &options(k, 1, Kernel::fastest()), 1.0, &mut |_, _| true).unwrap_err();
    assert_eq!(wrong.to_string(), "recall must be between 0 and 1, got 1");
}

#[test]
fn a_small_pool_and_one_of_equal_rows_are_searched_nearly_too() {
    let data = clustered(300, 20);
    let rows = Rows::new(&data, 300, 20).unwrap();
    let wanted = options(5, 2, Kernel::fastest());
    let (found, recall) = find_nearly(rows, &wanted, 0.9, &mut |_, _| true).unwrap();
    assert!(found == find(rows, &wanted) && recall == Recall::EXACT);
    let equal = vec![0.5_f32; 9000 * 8];
    let (found, recall) =
        find_nearly(Rows::new(&equal, 9000, 8).unwrap(), &wanted, 0.9, &mut |_, _| true).unwrap();
    check_graph(&found.indices, &found.similarities, 5).unwrap();
    assert!(recall.mean >= 0.9 && found.similarities.iter().all(|&similarity| similarity >= 1.0));
    for stop in 1..6 {
        let mut calls = 0;
        let result = find_nearly(Rows::new(&equal, 9000, 8).unwrap(), &wanted, 0.9, &mut |_, _| {
            calls += 1;
            calls < stop
        });
        assert!(matches!(result, Err(Error::Interrupted)));
    }
}

#[test]
fn one_huge_coordinate_does_not_hide_the_others() {
    let data = [f32::MAX, f32::MIN_POSITIVE, 1e-45, 1e-45, f32::MAX, -f32::MAX, 1.0, 1.0];
    assert_exact(Rows::new(&data, 4, 2).unwrap(), 3);
}

#[test]
fn long_rows_are_exact() {
    let (len, dim) = (60, 5000);
    let data: Vec<f32> = (0..len * dim).map(|i| ((i * 7919 % 1009) as f32) - 504.0).collect();
    assert_exact(Rows::new(&data, len, dim).unwrap(), 9);
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let refused = |data: &[f32], len, options: KnnOptions| {
        let rows = Rows::new(data, len, 2).unwrap();
        find_neighbors(rows, &options, &mut |_, _| true).unwrap_err().to_string()
    };
    let square = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0, 0.0];
    assert_eq!(refused(&square, 4, KnnOptions::new(0)), "k must be at least 1, got 0");
    assert_eq!(refused(&square, 4, KnnOptions::new(4)), "need at least k+1 rows for k = 4 neighbors, got 4");
    assert_eq!(refused(&[], 0, KnnOptions::new(1)), "need at least k+1 rows for k = 1 neighbors, got 0");
    assert_eq!(
        refused(&[1.0, 0.0], 1, KnnOptions::new(1)),
        "need at least k+1 rows for k = 1 neighbors, got 1"
    );
    let idle = KnnOptions { threads: Some(0), ..KnnOptions::new(1) };
    assert_eq!(refused(&square, 4, idle), "threads must be at least 1, got 0");
    let zero = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(refused(&zero, 3, KnnOptions::new(1)), "row 1 is all zeros and has no direction");
    let broken = [1.0, 0.0, 0.0, f32::NAN, f32::INFINITY, 0.0];
    assert_eq!(
        refused(&broken, 3, KnnOptions { allow_zero: true, ..KnnOptions::new(1) }),
        "row 1, column 1 is NaN; embeddings must be finite"
    );
    assert_eq!(
        refused(&[1.0, 0.0, f32::NEG_INFINITY, 0.0], 2, KnnOptions::new(1)),
        "row 1, column 0 is -inf; embeddings must be finite"
    );
}

#[test]
fn progress_counts_up_from_this_thread_and_can_stop() {
    let data: Vec<f32> = (0..3000).map(|i| (i % 17) as f32 + 1.0).collect();
    let rows = Rows::new(&data, 1000, 3).unwrap();
    let (mut seen, thread) = (Vec::new(), std::thread::current().id());
    find_neighbors(rows, &options(3, 2, Kernel::fastest()), &mut |done, total| {
        assert_eq!(std::thread::current().id(), thread);
        seen.push((done, total));
        true
    })
    .unwrap();
    assert!(seen.is_sorted() && seen.len() > 2, "{seen:?}");
    assert_eq!((seen[0], seen[seen.len() - 1]), ((0, 1000), (1000, 1000)));
    for stop in 0..seen.len() {
        let mut calls = 0;
        let result = find_neighbors(rows, &options(3, 2, Kernel::fastest()), &mut |_, _| {
            calls += 1;
            calls <= stop
        });
        assert!(matches!(result, Err(Error::Interrupted)));
        assert_eq!(calls, stop + 1);
    }
}

#[test]
fn a_search_may_run_inside_a_pool() {
    let data: Vec<f32> = (0..900).map(|i| (i % 13) as f32 + 1.0).collect();
    let rows = Rows::new(&data, 300, 3).unwrap();
    let outside = find(rows, &KnnOptions::new(3));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| find(rows, &KnnOptions::new(3))), outside);
}

#[test]
fn a_graph_that_breaks_a_rule_is_refused() {
    let good = ([1, 2, 0, 2, 1, 0], [0.5, 0.5, 0.5, 0.1, 0.1, -1.0_f32]);
    check_graph(&good.0, &good.1, 2).unwrap();
    let refused = |indices: [u32; 6], similarities: [f32; 6]| {
        check_graph(&indices, &similarities, 2).unwrap_err().to_string()
    };
    assert_eq!(refused([1, 3, 0, 2, 1, 0], good.1), "row 0, column 1: neighbor 3 is not one of the 3 rows");
    assert_eq!(refused([1, 2, 1, 2, 1, 0], good.1), "row 1, column 0: a row is not its own neighbor");
    assert_eq!(refused([1, 1, 0, 2, 1, 0], good.1), "row 0: neighbor 1 comes twice");
    assert_eq!(
        refused([2, 1, 0, 2, 1, 0], good.1),
        "row 0, column 1: neighbors 2 and 1 are equally similar and must come by row"
    );
    assert_eq!(
        refused(good.0, [0.5, 0.5, 0.1, 0.5, 0.1, -1.0]),
        "row 1, column 1: similarity 0.5 follows the smaller 0.1; the nearest neighbor comes first"
    );
    assert_eq!(
        refused(good.0, [0.5, f32::NAN, 0.1, 0.5, 0.1, -1.0]),
        "row 0, column 1: similarity NaN is not in [-1, 1]"
    );
    assert_eq!(
        refused(good.0, [1.1, 0.5, 0.1, 0.5, 0.1, -1.0]),
        "row 0, column 0: similarity 1.1 is not in [-1, 1]"
    );
    assert!(check_graph(&good.0, &good.1, 0).is_err());
    assert!(check_graph(&good.0, &good.1[..4], 2).is_err());
    assert!(check_graph(&good.0, &good.1, 4).is_err());
    check_graph(&[], &[], 2).unwrap();
}
