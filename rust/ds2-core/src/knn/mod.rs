//! Exact cosine k-nearest neighbors of every row among all other rows.

mod cosine;
mod graph;
mod pack;
mod scan;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::dot::{Kernel, TILE_COLUMNS};
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

use cosine::Cosine;
use scan::{Scan, Workspace};

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
    /// The instruction set to run on; `None` takes the fastest one. The result does not depend on it.
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
/// `progress` is called from the calling thread with `(rows done, N)`: at the start, after every 16 pairs of
/// blocks a thread (about half a second at d = 384), and at the end.
///
/// # Method
///
/// Block products in f32 look at each pair once and pass on what may still be among the k nearest. They are
/// off by at most `gamma_d + 8u`, `gamma_d = d u / (1 - d u)`, `u = 2^-24`, in any order of summation; a pair
/// is dropped only where k others are nearer by more than twice that. The similarities of the few pairs
/// left (k and, rarely, one or two more a row) are then computed as defined.
///
/// # Errors
///
/// [`Error::Value`] for k = 0, threads = 0, a value that is not finite (the first row and column), and a row
/// of zeros unless `allow_zero`; [`Error::Shape`] for fewer than k + 1 rows, or more than 2^32 - 1;
/// [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Cost
///
/// `N^2 d` floating-point operations, compute-bound. Beside the result (8 k bytes a row), about
/// `12 k + 150` bytes a row, and about 11 MB a thread (d <= 10,000); the rows are never copied as a whole.
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
    let kernel = options.kernel.unwrap_or_else(Kernel::fastest);
    tick(progress, 0, len)?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, options.allow_zero))?;
    let block_rows = block_rows(len, rows.dim(), workers.threads());
    let scan = Scan::new(cosine, k, block_rows);
    let pairs = scan.pairs();
    let mut done = 0;
    for wave in pairs.chunks(PAIRS_PER_THREAD * workers.threads()) {
        workers.run(|| {
            wave.par_iter().with_max_len(1).for_each_init(Workspace::default, |work, &(first, second)| {
                scan.compare(first, second, work);
            });
        });
        done += wave.len();
        tick(progress, len * done / (pairs.len() + 1), len)?;
    }
    let mut neighbors = Neighbors { k, indices: vec![0; len * k], similarities: vec![0.0; len * k] };
    workers.run(|| {
        let outputs = neighbors
            .indices
            .par_chunks_mut(block_rows * k)
            .zip(neighbors.similarities.par_chunks_mut(block_rows * k));
        outputs.enumerate().for_each(|(block, (indices, similarities))| {
            scan.finish(block, k, indices, similarities);
        });
    });
    tick(progress, len, len)?;
    Ok(neighbors)
}

/// Pairs of blocks a thread compares between two calls of `progress`.
const PAIRS_PER_THREAD: usize = 16;

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

/// Rows per block: many, as a block is packed anew for each it meets, but no more than 8 MB of them, and
/// several pairs of blocks for each thread.
fn block_rows(len: usize, dim: usize, threads: usize) -> usize {
    let by_memory = (1 << 21) / dim;
    let by_threads = len / (4 * (threads.isqrt() + 1));
    by_memory.min(by_threads).clamp(96, 2048).next_multiple_of(TILE_COLUMNS)
}
