//! Nearly all of the k nearest neighbors, from the clusters a row is near to, and how nearly all.
//!
//! Everything up to the similarities at the end is computed in whole numbers, so the result is the same on
//! every machine.
#![expect(
    clippy::cast_possible_truncation,
    reason = "that rows are numbered by u32 was checked at the start"
)]

use rayon::prelude::*;

use super::cells::{Cells, Shortlists};
use super::codes::Codes;
use super::cosine::{Cosine, Pair};
use super::rotation::Rotation;
use super::sample::Sample;
use super::{KnnOptions, Neighbors, check_size, find_neighbors};
use crate::dot::Kernel;
use crate::progress::tick;
use crate::topk::Candidate;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// Rows below which the exact search is as fast.
const WORTH_APPROXIMATING: usize = 8192;
/// How many times `1 - recall` the clusters alone may miss: looking at neighbors of neighbors finds about half
/// of what they do.
const MISSES_LEFT: f64 = 1.6;
/// The share of the allowed misses that is kept as a margin, as the recall is measured on a sample only.
const MARGIN: f64 = 0.1;
/// Cells a row probes at most.
const MOST_PROBES: usize = 256;

/// The recall of a search, measured on rows whose neighbors are known exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recall {
    /// The share of the true neighbors that were found; one that is as near as the k-th counts as true.
    pub mean: f64,
    /// Lower end of its 95 % interval: Wilson's, a row one trial, as the neighbors of a row are missed together.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows it was measured on; 0 if the search was exact.
    pub rows: usize,
    /// Clusters each row was compared with; 0 if the search was exact.
    pub probes: usize,
}

impl Recall {
    /// What an exact search has.
    pub const EXACT: Self = Self { mean: 1.0, low: 1.0, high: 1.0, rows: 0, probes: 0 };
}

/// Find the `k` nearest other rows of every row, or nearly all of them, by cosine similarity.
///
/// Similarities and their order are those of [`find_neighbors`]; what may be missing are neighbors, whose places
/// the next nearest then take. `recall` in (0, 1) is the share of the true neighbors to find at least, on
/// average. It is measured on up to 1,000 rows whose true neighbors are computed, and more clusters are looked
/// at until it is reached or all were. Fewer than 8,192 rows are searched exactly.
///
/// The same bytes for any number of threads, any kernel and any machine.
///
/// # Method
///
/// The rows are clustered (spherical k-means on their bytes, `1.5 sqrt(N)` clusters), each row is compared with
/// the rows of its nearest clusters by byte products, batched by cluster, and both rows of a pair keep the
/// `1.6 k` best. One pass over the neighbors of the neighbors follows, then the similarities of what was kept
/// are computed as defined. How many clusters that takes is read off the sample: where the true neighbors lie
/// is known before any of it.
///
/// # Errors
///
/// As [`find_neighbors`], and [`Error::Value`] if `recall` is not in (0, 1).
///
/// # Cost
///
/// `O(p N^1.5 d)` for p clusters a row. Beside the result, about `d + 16 k + 4 p + 40` bytes a row.
pub fn find_nearly<T: Element>(
    rows: Rows<'_, T>,
    options: &KnnOptions,
    recall: f64,
    progress: Progress<'_>,
) -> Result<(Neighbors, Recall)> {
    let (len, k) = (rows.len(), options.k);
    if !(recall > 0.0 && recall < 1.0) {
        return Err(Error::value(format!("recall must be between 0 and 1, got {recall}")));
    }
    check_size(len, k)?;
    if len < WORTH_APPROXIMATING || len < 16 * k {
        return Ok((find_neighbors(rows, options, progress)?, Recall::EXACT));
    }
    let workers = Workers::new(options.threads)?;
    let kernel = options.kernel.map_or_else(Kernel::chosen, Ok)?;
    tick(progress, 0, len)?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, options.allow_zero))?;
    let codes = workers.run(|| Codes::encode(&cosine, &Rotation::fit(&cosine, false)));
    let cells = workers.run(|| Cells::new(codes, kernel, len));
    tick(progress, len / 10, len)?;
    let sample = workers.run(|| Sample::find(&cosine, &cells, k));
    tick(progress, len / 5, len)?;
    let wanted = recall + MARGIN * (1.0 - recall);
    let mut probes = workers.run(|| sample.probes(&cells, 1.0 - MISSES_LEFT * (1.0 - recall), MOST_PROBES));
    let shortlists = Shortlists::new(&cells, k + k.div_ceil(2) + 1);
    workers.run(|| cells.compare_within(&shortlists));
    let mut done = 1;
    loop {
        let lists = workers.run(|| cells.probing(done..probes));
        for wave in lists.waves(workers.threads()) {
            workers.run(|| cells.compare(&lists, wave.clone(), &shortlists));
            tick(progress, len * (20 + 60 * wave.end / cells.count()) / 100, len)?;
        }
        let refined = workers.run(|| cells.refine(&shortlists, k));
        tick(progress, len * 9 / 10, len)?;
        let neighbors = workers.run(|| rerank(&cosine, &cells, &refined, k));
        let reached = sample.recall(&neighbors, probes);
        let most = MOST_PROBES.min(cells.count());
        if reached.mean >= wanted || probes >= most {
            tick(progress, len, len)?;
            return Ok((neighbors, reached));
        }
        done = probes;
        probes = (probes + probes.div_ceil(2)).min(most);
    }
}

/// The `k` nearest of the candidates of each place, as defined, in the order of the rows.
fn rerank<T: Element>(cosine: &Cosine<'_, T>, cells: &Cells, candidates: &[Vec<u32>], k: usize) -> Neighbors {
    let len = candidates.len();
    let mut neighbors = Neighbors { k, indices: vec![0; len * k], similarities: vec![0.0; len * k] };
    let rows = neighbors.indices.par_chunks_mut(k).zip(neighbors.similarities.par_chunks_mut(k));
    rows.zip(&cells.places).zip(0_u32..len as u32).with_min_len(64).for_each_init(
        || (Pair::default(), Vec::new()),
        |(pair, found), (((indices, similarities), &place), row)| {
            let places = &candidates[place as usize];
            found.clear();
            for (at, &other) in places.iter().enumerate() {
                if let Some(&next) = places.get(at + 2) {
                    cosine.prefetch(cells.order[next as usize]);
                }
                let other = cells.order[other as usize];
                found.push(Candidate { similarity: cosine.similarity(row, other, pair), row: other });
            }
            found.sort_unstable_by(Candidate::nearest_first);
            for ((candidate, index), similarity) in found.iter().zip(indices).zip(similarities) {
                (*index, *similarity) = (candidate.row, candidate.similarity);
            }
        },
    );
    neighbors
}
