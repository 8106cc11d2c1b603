//! A tree over the embeddings: hierarchical spherical k-means, from the root down.

use std::cmp::Reverse;

use rayon::prelude::*;

use crate::dot::Kernel;
use crate::knn::cosine::Cosine;
use crate::progress::tick;
use crate::random::Stream;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// Rows whose sums are added up together: part of the definition, as it fixes the order of the additions.
const CHUNK: usize = 1024;

/// How a tree grows.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// Children a node is split into, at least 2.
    pub branching: usize,
    /// Rows a leaf holds at most, at least 1: larger nodes are split.
    pub leaf: usize,
    /// Rounds of k-means a split takes, at least 1.
    pub rounds: usize,
    /// Seed of the rows that k-means starts from.
    pub seed: u64,
    /// Threads to use, at least 1; `None` takes rayon's global pool.
    pub threads: Option<usize>,
    /// Accept rows that are all zeros: they are like no centroid, and go to the first child.
    pub allow_zero: bool,
}

impl Default for TreeOptions {
    /// 10 children, leaves of at most 100 rows, 10 rounds, seed 42, all cores, no zero rows.
    fn default() -> Self {
        Self { branching: 10, leaf: 100, rounds: 10, seed: 42, threads: None, allow_zero: false }
    }
}

/// Sort the rows into the leaves of a tree: the number of each row's leaf.
///
/// A node of more than `leaf` rows is split by spherical k-means: `branching` of its rows drawn at random are the first
/// centroids; each round assigns every row to the centroid of largest cosine similarity, ties to the first, and makes
/// the sum of its unit rows the new centroid (a centroid without rows stays); the last assignment makes the children,
/// of which empty ones are dropped. A node whose rows all go to one child is a leaf, whatever its size: its rows are
/// alike. Leaves are numbered from 0 as a walk through the tree meets them, so leaves of near numbers are near.
///
/// `rows`: `(N, d)`, finite. The result is the same for any number of threads, kernel and machine. `progress` is
/// called with (rows in leaves, N), after each level.
///
/// Source: spherical k-means (Dhillon and Modha 2001), applied from the root down. `rounds * branching * d`
/// multiply-adds a row and level, about `log(N / leaf) / log(branching)` levels; 20 bytes a row.
///
/// # Errors
///
/// [`Error::Value`] for a branching below 2, leaf = 0, rounds = 0, threads = 0, a value that is not finite, and a row
/// of zeros unless `allow_zero`; [`Error::Shape`] for more than 2^32 - 1 rows; [`Error::Interrupted`] if `progress`
/// asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, strategies::tree::{TreeOptions, grow_tree}};
/// let rows = Rows::new(&[1.0_f32, 0.0, 0.0, 1.0, 1.0, 0.1, 0.1, 1.0], 4, 2)?;
/// let options = TreeOptions { branching: 2, leaf: 2, ..TreeOptions::default() };
/// let leaves = grow_tree(rows, &options, &mut |_, _| true)?;
/// assert!(leaves[0] == leaves[2] && leaves[1] == leaves[3] && leaves[0] != leaves[1]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn grow_tree<T: Element>(
    rows: Rows<'_, T>,
    options: &TreeOptions,
    progress: Progress<'_>,
) -> Result<Vec<u32>> {
    check(options)?;
    let len = rows.len();
    let all = u32::try_from(len)
        .map_err(|_| Error::shape(format!("at most {} rows can be numbered, got {len}", u32::MAX)))?;
    let workers = Workers::new(options.threads)?;
    let kernel = Kernel::chosen()?;
    tick(progress, 0, len)?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, options.allow_zero))?;
    let mut leaves: Vec<Node> = vec![];
    let mut level = vec![Node { path: vec![], number: 0, rows: (0..all).collect() }];
    while !level.is_empty() {
        let (small, large): (Vec<Node>, Vec<Node>) =
            level.into_iter().partition(|node| node.rows.len() <= options.leaf);
        leaves.extend(small);
        let split: Vec<Vec<Node>> =
            workers.run(|| large.par_iter().map(|node| split(&cosine, node, options)).collect());
        let (whole, children): (Vec<_>, Vec<_>) = split.into_iter().partition(|children| children.len() == 1);
        leaves.extend(whole.into_iter().flatten());
        level = children.into_iter().flatten().collect();
        tick(progress, leaves.iter().map(|leaf| leaf.rows.len()).sum(), len)?;
    }
    leaves.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let mut leaf_of = vec![0; len];
    for (number, leaf) in (0_u32..).zip(&leaves) {
        for &row in &leaf.rows {
            leaf_of[row as usize] = number;
        }
    }
    Ok(leaf_of)
}

/// A node that has not been split.
struct Node {
    /// Which child, at every level from the root.
    path: Vec<usize>,
    /// The same as one number, for the random start.
    number: u64,
    /// Ascending.
    rows: Vec<u32>,
}

/// The children of a node, without the empty ones.
fn split<T: Element>(cosine: &Cosine<'_, T>, node: &Node, options: &TreeOptions) -> Vec<Node> {
    let mut centroids = start(cosine, node, options);
    let mut children = assign(cosine, &node.rows, &centroids);
    for _ in 1..options.rounds {
        update(cosine, &node.rows, &children, &mut centroids);
        children = assign(cosine, &node.rows, &centroids);
    }
    let child = |child: usize| {
        let rows =
            node.rows.iter().zip(&children).filter(|&(_, &of)| of == child).map(|(&row, _)| row).collect();
        let number = (node.number.wrapping_mul(options.branching as u64)).wrapping_add(child as u64 + 1);
        Node { path: [&node.path[..], &[child]].concat(), number, rows }
    };
    (0..centroids.len() / cosine.rows().dim()).map(child).filter(|child| !child.rows.is_empty()).collect()
}

/// Rows of the node drawn at random, as many as there are to be children, as unit rows one after another.
fn start<T: Element>(cosine: &Cosine<'_, T>, node: &Node, options: &TreeOptions) -> Vec<f32> {
    let (dim, count) = (cosine.rows().dim(), options.branching.min(node.rows.len()));
    let mut stream = Stream::new(options.seed, node.number);
    let mut rows = node.rows.clone();
    let (mut centroids, mut buffer) = (vec![0.0; count * dim], vec![]);
    for (place, centroid) in centroids.chunks_exact_mut(dim).enumerate() {
        let other = place + stream.below(rows.len() - place);
        rows.swap(place, other);
        cosine.unit(rows[place] as usize, &mut buffer, centroid);
    }
    centroids
}

/// The centroid that each row is nearest to, ties to the first.
fn assign<T: Element>(cosine: &Cosine<'_, T>, rows: &[u32], centroids: &[f32]) -> Vec<usize> {
    let (kernel, dim) = (cosine.kernel(), cosine.rows().dim());
    let nearest = |buffer: &mut Vec<f32>, &row: &u32| {
        let own = kernel.widen(cosine.rows().row(row as usize), buffer);
        let dots = centroids.chunks_exact(dim).map(|centroid| kernel.dot(own, centroid) + 0.0).enumerate();
        let first = dots.max_by(|a, b| a.1.total_cmp(&b.1).then(Reverse(a.0).cmp(&Reverse(b.0))));
        first.expect("there is a centroid").0
    };
    rows.par_iter().with_min_len(CHUNK).map_init(Vec::new, nearest).collect()
}

/// Turn each centroid to the sum of its unit rows.
#[expect(clippy::cast_possible_truncation, reason = "centroids are stored in f32")]
fn update<T: Element>(cosine: &Cosine<'_, T>, rows: &[u32], children: &[usize], centroids: &mut [f32]) {
    let dim = cosine.rows().dim();
    let parts: Vec<Vec<f64>> = (rows.par_chunks(CHUNK).zip(children.par_chunks(CHUNK)))
        .map(|(rows, children)| {
            let (mut sums, mut buffer, mut unit) = (vec![0.0; centroids.len()], vec![], vec![0.0; dim]);
            for (&row, &child) in rows.iter().zip(children) {
                cosine.unit(row as usize, &mut buffer, &mut unit);
                let sum = &mut sums[child * dim..][..dim];
                sum.iter_mut().zip(&unit).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            sums
        })
        .collect();
    let mut sums = vec![0.0; centroids.len()];
    for part in &parts {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    for (centroid, sum) in centroids.chunks_exact_mut(dim).zip(sums.chunks_exact(dim)) {
        let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
        if length > 0.0 {
            centroid.iter_mut().zip(sum).for_each(|(centroid, value)| *centroid = (value / length) as f32);
        }
    }
}

fn check(options: &TreeOptions) -> Result<()> {
    if options.branching < 2 {
        return Err(Error::value(format!("branching must be at least 2, got {}", options.branching)));
    }
    for (name, value) in [("leaf", options.leaf), ("rounds", options.rounds)] {
        if value == 0 {
            return Err(Error::value(format!("{name} must be at least 1, got 0")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    fn unit(cosine: &Cosine<'_, f32>, row: u32) -> Vec<f32> {
        let mut unit = vec![0.0; cosine.rows().dim()];
        cosine.unit(row as usize, &mut vec![], &mut unit);
        unit
    }

    /// The slow twin: the leaves of a node as a walk meets them, one row and one node after another.
    fn slow(cosine: &Cosine<'_, f32>, rows: &[u32], number: u64, options: &TreeOptions) -> Vec<Vec<u32>> {
        if rows.len() <= options.leaf {
            return vec![rows.to_vec()];
        }
        let mut stream = Stream::new(options.seed, number);
        let mut left = rows.to_vec();
        let mut centroids = vec![];
        for place in 0..options.branching.min(rows.len()) {
            let other = place + stream.below(left.len() - place);
            left.swap(place, other);
            centroids.push(unit(cosine, left[place]));
        }
        let mut children = slow_children(cosine, rows, &centroids);
        for _ in 1..options.rounds {
            for (centroid, rows) in centroids.iter_mut().zip(&children) {
                slow_update(cosine, rows, centroid);
            }
            children = slow_children(cosine, rows, &centroids);
        }
        if children.contains(&rows.to_vec()) {
            return vec![rows.to_vec()];
        }
        let numbers = (1..).map(|child| number.wrapping_mul(options.branching as u64).wrapping_add(child));
        let children = children.iter().zip(numbers).filter(|(rows, _)| !rows.is_empty());
        children.flat_map(|(rows, number)| slow(cosine, rows, number, options)).collect()
    }

    fn slow_children(cosine: &Cosine<'_, f32>, rows: &[u32], centroids: &[Vec<f32>]) -> Vec<Vec<u32>> {
        let mut children = vec![vec![]; centroids.len()];
        for &row in rows {
            let mut best = (f64::MIN, 0);
            for (child, centroid) in centroids.iter().enumerate() {
                let dot = cosine.kernel().dot(cosine.rows().row(row as usize), centroid);
                if dot > best.0 {
                    best = (dot, child);
                }
            }
            children[best.1].push(row);
        }
        children
    }

    #[expect(clippy::cast_possible_truncation, reason = "centroids are stored in f32")]
    fn slow_update(cosine: &Cosine<'_, f32>, rows: &[u32], centroid: &mut [f32]) {
        let units: Vec<Vec<f32>> = rows.iter().map(|&row| unit(cosine, row)).collect();
        let sum: Vec<f64> =
            (0..centroid.len()).map(|c| units.iter().map(|unit| f64::from(unit[c])).sum()).collect();
        let length = sum.iter().map(|value: &f64| value * value).sum::<f64>().sqrt();
        if length > 0.0 {
            centroid.iter_mut().zip(&sum).for_each(|(centroid, value)| *centroid = (value / length) as f32);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_slow_twin_and_the_same_for_any_number_of_threads(
            dim in 1_usize..8, values in prop::collection::vec(-3_i8..4, 8..1600),
            branching in 2_usize..6, leaf in 1_usize..30, rounds in 1_usize..5, seed in any::<u64>(),
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let len = values.len() / dim;
            let rows = Rows::new(&values[..len * dim], len, dim).unwrap();
            let options = TreeOptions { branching, leaf, rounds, seed, threads: Some(1), allow_zero: true };
            let found = grow_tree(rows, &options, &mut |_, _| true).unwrap();
            let portable = Cosine::measure(rows, *Kernel::available().last().unwrap(), true).unwrap();
            let all: Vec<u32> = (0_u32..).take(len).collect();
            let mut expected = vec![0; len];
            for (number, rows) in (0_u32..).zip(slow(&portable, &all, 0, &options)) {
                for row in rows {
                    expected[row as usize] = number;
                }
            }
            prop_assert_eq!(&found, &expected);
            let halves: Vec<f16> = values[..len * dim].iter().copied().map(f16::from_f32).collect();
            let rows = Rows::new(&halves, len, dim).unwrap();
            let options = TreeOptions { threads: Some(3), ..options };
            prop_assert_eq!(&grow_tree(rows, &options, &mut |_, _| true).unwrap(), &expected);
        }
    }

    #[test]
    fn more_rows_than_a_chunk_depend_on_no_thread() {
        let values: Vec<f32> =
            (0..5000_u32 * 6).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 - 2048.0).collect();
        let rows = Rows::new(&values, 5000, 6).unwrap();
        let run = |threads| {
            grow_tree(rows, &TreeOptions { threads, ..TreeOptions::default() }, &mut |_, _| true).unwrap()
        };
        let found = run(Some(1));
        assert_eq!(found, run(Some(4)));
        let mut sizes = vec![0; *found.iter().max().unwrap() as usize + 1];
        for leaf in found {
            sizes[leaf as usize] += 1;
        }
        assert!(sizes.iter().all(|&size| (1..=100).contains(&size)), "{sizes:?}");
    }

    #[test]
    fn known_answers() {
        // Two groups at a right angle: whatever rows k-means starts from, it finds them.
        let values: Vec<f32> = [0.0_f32, 90.0, 5.0, 93.0, 2.0, 88.0]
            .iter()
            .flat_map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()])
            .collect();
        let rows = Rows::new(&values, 6, 2).unwrap();
        let run = |leaf, seed| {
            let options = TreeOptions { branching: 2, leaf, seed, ..TreeOptions::default() };
            grow_tree(rows, &options, &mut |_, _| true).unwrap()
        };
        for seed in 0..20 {
            assert_eq!(run(6, seed), [0; 6], "no more rows than a leaf holds");
            let groups = run(3, seed);
            assert!(groups == [0, 1, 0, 1, 0, 1] || groups == [1, 0, 1, 0, 1, 0], "{groups:?}");
            let mut single = run(1, seed);
            single.sort_unstable();
            assert_eq!(single, [0, 1, 2, 3, 4, 5]);
        }
        let equal = Rows::new(&[1.0_f32; 8], 8, 1).unwrap();
        let options = TreeOptions { leaf: 2, ..TreeOptions::default() };
        assert_eq!(grow_tree(equal, &options, &mut |_, _| true).unwrap(), [0; 8], "equal rows are one leaf");
    }

    #[test]
    fn refuses_what_cannot_grow() {
        let rows = Rows::new(&[1.0_f32, 1.0], 2, 1).unwrap();
        let options = TreeOptions::default();
        let text =
            |options: TreeOptions| grow_tree(rows, &options, &mut |_, _| true).unwrap_err().to_string();
        assert_eq!(text(TreeOptions { branching: 1, ..options }), "branching must be at least 2, got 1");
        assert_eq!(text(TreeOptions { leaf: 0, ..options }), "leaf must be at least 1, got 0");
        assert_eq!(text(TreeOptions { rounds: 0, ..options }), "rounds must be at least 1, got 0");
        assert_eq!(text(TreeOptions { threads: Some(0), ..options }), "threads must be at least 1, got 0");
        for stop in [0, 2] {
            let stopped = grow_tree(rows, &options, &mut |done, _| done < stop);
            assert!(matches!(stopped, Err(Error::Interrupted)), "{stop}");
        }
    }
}
