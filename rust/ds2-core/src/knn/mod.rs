//! Cosine k-nearest neighbors of every row among all other rows: all of them, or nearly all.
//!
#![doc = include_str!("BOUND.md")]

mod approx;
mod cells;
mod centroids;
mod codes;
pub(crate) mod cosine;
mod graph;
mod layout;
mod lists;
mod mixing;
mod operands;
mod principal;
mod product;
mod rotation;
mod sample;
mod scan;
mod schedule;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::dot::Kernel;
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

use codes::Codes;
use cosine::Cosine;
use layout::{Layout, order_by_cluster, permute_rows, places_in};
use lists::Lists;
use rotation::Rotation;
use scan::{BLOCK_ROWS, Scan, Workspace};
use schedule::{Schedule, pairs};

pub use approx::{Recall, find_nearly};
pub use graph::check_graph;

/// What [`find_neighbors`] should find, and with what.
#[derive(Clone, Copy, Debug)]
pub struct KnnOptions {
    /// Neighbors per row, at least 1.
    pub k: usize,
    /// Threads to use, at least 1; `None` takes rayon's global pool (one thread per core).
    pub threads: Option<usize>,
    /// Accept rows that are all zeros: their similarity to every row is 0.
    pub allow_zero: bool,
    /// The instruction set to run on; `None` takes [`Kernel::chosen`]. The result does not depend on it.
    pub kernel: Option<Kernel>,
}

impl KnnOptions {
    /// `k` neighbors, all cores, no zero rows, the fastest kernel.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, threads: None, allow_zero: false, kernel: None }
    }
}

impl Default for KnnOptions {
    /// 50 neighbors: enough for every later stage.
    fn default() -> Self {
        Self::new(50)
    }
}

/// The k nearest other rows of each row, nearest first, ties by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    /// Neighbors per row.
    pub k: usize,
    /// Rows of the neighbors, `(N, k)`.
    pub indices: Vec<u32>,
    /// Their cosine similarities, `(N, k)`, in [-1, 1].
    pub similarities: Vec<f32>,
}

impl Neighbors {
    /// Number of rows, N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len() / self.k
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The neighbors of row `i` and their similarities.
    ///
    /// # Panics
    ///
    /// If `i >= len()`.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let range = i * self.k..(i + 1) * self.k;
        (&self.indices[range.clone()], &self.similarities[range])
    }
}

/// Find the `k` nearest other rows of every row, by cosine similarity.
///
/// The similarity of rows x and y is `x.y / sqrt(x.x * y.y)`, summed in f64 in a fixed order and rounded to
/// f32; rows need not have unit length. The neighbors of a row are the first `k` of all other rows under the
/// order (similarity descending, row ascending): equal rows are neighbors of each other, a row never is its
/// own. This is what the result is *exactly*: the same bytes for any number of threads, any kernel and any
/// machine.
///
/// `progress` is called from the calling thread with `(rows done, N)`: at the start, between units
/// of work (several times a second), and at the end.
///
/// # Method
///
/// Rows are centered, rotated and quantized to bytes with one step, and sorted by cluster. A scan looks at each
/// pair of rows once, near blocks of rows first: a whole number computed from the bytes bounds the similarity
/// of the pair from above (the proof is in the documentation of this module), and a pair is dropped only if this
/// bound lies below the k-th largest similarity that either row has found so far. The similarities of the few
/// pairs left (about 30 a row for k = 10) are computed as defined. Where the first principal components hold
/// most of what the rows hold, blocks of sums are abandoned early.
///
/// # Errors
///
/// [`Error::Value`] for k = 0, threads = 0, a value that is not finite (the first row and column), and a row
/// of zeros unless `allow_zero`; [`Error::Shape`] for fewer than k + 1 rows, or more than 2^32 - 1;
/// [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Cost
///
/// At most `N^2 d` operations on bytes, compute-bound. Beside the result (8 k bytes a row), about `d + 60`
/// bytes a row and a few MB a thread; the rows are never copied as a whole.
///
/// # Examples
///
/// ```
/// use ds2_core::knn::{KnnOptions, find_neighbors};
/// use ds2_core::Rows;
///
/// let rows = Rows::new(&[1.0_f32, 0.0, 0.0, 2.0, 3.0, 1.0], 3, 2)?;
/// let neighbors = find_neighbors(rows, &KnnOptions::new(1), &mut |_, _| true)?;
/// assert_eq!(neighbors.indices, [2, 2, 0]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn find_neighbors<T: Element>(
    rows: Rows<'_, T>,
    options: &KnnOptions,
    progress: Progress<'_>,
) -> Result<Neighbors> {
    let (len, k) = (rows.len(), options.k);
    check_size(len, k)?;
    let workers = Workers::new(options.threads)?;
    let kernel = options.kernel.map_or_else(Kernel::chosen, Ok)?;
    tick(progress, 0, len)?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, options.allow_zero))?;
    let (order, layout, square) = workers.run(|| {
        let codes = Codes::encode(&cosine, &Rotation::fit(&cosine, true));
        let order = order_by_cluster(codes.heads(kernel), len);
        let square = codes.square;
        let layout = Layout::new(codes, &order);
        (order, layout, square)
    });
    let schedule = workers.run(|| Schedule::new(&layout, kernel));
    let mut neighbors = Neighbors { k, indices: vec![0; len * k], similarities: vec![0.0; len * k] };
    let lists = Lists::new(&mut neighbors.indices, &mut neighbors.similarities, k, BLOCK_ROWS);
    let mut scan = Scan::new(&cosine, layout, order, lists, square);
    let blocks = scan.blocks();
    workers.run(|| {
        let blocks = (0..blocks).into_par_iter();
        blocks.for_each_init(Workspace::default, |work, block| scan.seed(block, k, work));
    });
    workers.run(|| scan.sort_by_floor());
    let total = pairs(&schedule.near) + pairs(&schedule.rest) + 1;
    let mut done = 0;
    for part in [&schedule.near, &schedule.rest] {
        for wave in part.chunks(UNITS_PER_THREAD * workers.threads()) {
            workers.run(|| {
                wave.par_iter().with_max_len(1).for_each_init(Workspace::default, |work, (first, others)| {
                    scan.compare(*first as usize, others, work);
                });
            });
            scan.drop_idle_stages();
            done += pairs(wave);
            tick(progress, len * done / total, len)?;
        }
        scan.restore_stages();
    }
    let order = scan.into_order();
    workers.run(|| restore_order(&mut neighbors, &order));
    tick(progress, len, len)?;
    Ok(neighbors)
}

/// Units of work a thread does between two calls of `progress`.
const UNITS_PER_THREAD: usize = 32;

/// Put the lists of places in the order of the rows.
fn restore_order(neighbors: &mut Neighbors, order: &[u32]) {
    let places = places_in(order);
    let Neighbors { k, indices, similarities } = neighbors;
    rayon::join(|| permute_rows(indices, *k, &places), || permute_rows(similarities, *k, &places));
}

fn check_size(len: usize, k: usize) -> Result<()> {
    if k == 0 {
        return Err(Error::value("k must be at least 1, got 0"));
    }
    if len <= k {
        return Err(Error::shape(format!("need at least k+1 rows for k = {k} neighbors, got {len}")));
    }
    if u32::try_from(len).is_err() {
        return Err(Error::shape(format!("at most {} rows can be numbered, got {len}", u32::MAX)));
    }
    Ok(())
}
