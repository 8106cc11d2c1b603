//! Look at every pair of rows once, block against block.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cosine::{Cosine, Pair};
use super::pack::pack;
use crate::Element;
use crate::dot::{Narrow, TILE_COLUMNS, TILE_ROWS, Tile, Wide};
use crate::topk::{Candidate, Shortlists};

/// All rows in blocks, with the shortlists of each block.
///
/// A pair of blocks may be compared by any thread at any time: the lists end up the same, as each of them is
/// determined by the canonical similarities alone.
pub(crate) struct Scan<'a, T> {
    cosine: Cosine<'a, T>,
    block_rows: usize,
    blocks: Vec<Mutex<Shortlists>>,
}

/// A pair of rows whose block product reached the floor of one of them.
struct Hit {
    first: u32,
    second: u32,
    product: f32,
}

/// Working space of one comparison.
#[derive(Default)]
pub(crate) struct Workspace {
    strips: Vec<Narrow>,
    panel: Vec<Wide>,
    tile: Tile,
    floors: Vec<f32>,
    hits: Vec<Hit>,
    row: Vec<f32>,
    pair: Pair,
}

impl<'a, T: Element> Scan<'a, T> {
    /// Divide the rows into blocks of `block_rows`, with empty lists for the `k` nearest of each row.
    pub(crate) fn new(cosine: Cosine<'a, T>, k: usize, block_rows: usize) -> Self {
        let len = cosine.rows().len();
        let slack = cosine.slack();
        let blocks = (0..len)
            .step_by(block_rows)
            .map(|start| block_rows.min(len - start))
            .map(|rows| Mutex::new(Shortlists::new(rows, k, len - 1, slack)))
            .collect();
        Self { cosine, block_rows, blocks }
    }

    /// Every pair of blocks once. Blocks meet themselves first: this raises the floors at the least cost,
    /// and neighboring pairs of the sequence share no block, so threads seldom wait for each other.
    pub(crate) fn pairs(&self) -> Vec<(usize, usize)> {
        let count = self.blocks.len();
        (0..count).flat_map(|gap| (0..count - gap).map(move |block| (block, block + gap))).collect()
    }

    fn range(&self, block: usize) -> Range<usize> {
        let start = block * self.block_rows;
        start..(start + self.block_rows).min(self.cosine.rows().len())
    }

    fn lists(&self, block: usize) -> MutexGuard<'_, Shortlists> {
        // A panic in another thread is about to end the whole computation.
        self.blocks[block].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offer the rows of two blocks to each other; `first <= second`.
    pub(crate) fn compare(&self, first: usize, second: usize, work: &mut Workspace) {
        let dim = self.cosine.rows().dim();
        let (rows, columns) = (self.range(first), self.range(second));
        self.pack_strips(&rows, work);
        work.panel.resize(dim, Wide::default());
        self.refresh_floors(first, rows.len(), work);
        for start in columns.clone().step_by(TILE_COLUMNS) {
            let end = (start + TILE_COLUMNS).min(columns.end);
            pack(&self.cosine, start, end, &mut work.row, &mut work.panel);
            let mut floors = [f32::INFINITY; TILE_COLUMNS];
            floors[..end - start]
                .copy_from_slice(&self.lists(second).floors()[start - columns.start..end - columns.start]);
            self.compare_panel(&rows, start..end, &floors, work);
            if !work.hits.is_empty() {
                self.offer_hits(first, second, work);
                self.refresh_floors(first, rows.len(), work);
            }
        }
    }

    fn pack_strips(&self, rows: &Range<usize>, work: &mut Workspace) {
        let dim = self.cosine.rows().dim();
        work.strips.resize(rows.len().div_ceil(TILE_ROWS) * dim, Narrow::default());
        for (start, strip) in rows.clone().step_by(TILE_ROWS).zip(work.strips.chunks_exact_mut(dim)) {
            pack(&self.cosine, start, (start + TILE_ROWS).min(rows.end), &mut work.row, strip);
        }
    }

    fn refresh_floors(&self, block: usize, rows: usize, work: &mut Workspace) {
        work.floors.clear();
        work.floors.extend_from_slice(self.lists(block).floors());
        work.floors.resize(rows.next_multiple_of(TILE_ROWS), f32::INFINITY);
    }

    /// Collect the hits of `rows` (packed as strips) with `columns` (packed as the panel).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "that rows are numbered by u32 was checked at the start"
    )]
    fn compare_panel(
        &self,
        rows: &Range<usize>,
        columns: Range<usize>,
        column_floors: &[f32; TILE_COLUMNS],
        work: &mut Workspace,
    ) {
        let kernel = self.cosine.kernel();
        let strips = work.strips.chunks_exact(self.cosine.rows().dim());
        let (floors, _) = work.floors.as_chunks::<TILE_ROWS>();
        for ((start, strip), floors) in rows.clone().step_by(TILE_ROWS).zip(strips).zip(floors) {
            // Of a block with itself, the pairs below the diagonal are those above it.
            if start >= columns.end {
                break;
            }
            kernel.multiply(strip, &work.panel, &mut work.tile);
            let mut reaching = kernel.reaching(&work.tile, floors, column_floors);
            while reaching != 0 {
                let r = reaching.trailing_zeros() as usize;
                reaching &= reaching - 1;
                let products = work.tile.0[r].iter().zip(column_floors).zip(columns.clone());
                for ((&product, &floor), second) in products {
                    let first = start + r;
                    if product >= floor.min(floors[r]) && first < second && first < rows.end {
                        work.hits.push(Hit { first: first as u32, second: second as u32, product });
                    }
                }
            }
        }
    }

    /// Hand the collected hits to the lists of both blocks, one lock at a time.
    fn offer_hits(&self, first: usize, second: usize, work: &mut Workspace) {
        let Workspace { hits, pair, .. } = work;
        let mut offer = |block: usize, of: fn(&Hit) -> (u32, u32)| {
            let start = self.range(block).start;
            let mut lists = self.lists(block);
            for hit in &*hits {
                let (row, other) = of(hit);
                let candidate = Candidate { similarity: hit.product, row: other };
                let row = row as usize;
                lists.offer(row - start, candidate, |found| self.cosine.settle(row, found, pair));
            }
        };
        offer(first, |hit| (hit.first, hit.second));
        offer(second, |hit| (hit.second, hit.first));
        hits.clear();
    }

    /// Write the k nearest of each row of `block`, once all pairs have been compared.
    pub(crate) fn finish(&self, block: usize, k: usize, indices: &mut [u32], similarities: &mut [f32]) {
        let mut pair = Pair::default();
        let mut lists = self.lists(block);
        let outputs = indices.chunks_exact_mut(k).zip(similarities.chunks_exact_mut(k));
        for ((list, row), (indices, similarities)) in self.range(block).enumerate().zip(outputs) {
            let nearest = lists.finish(list, |found| self.cosine.settle(row, found, &mut pair));
            for ((candidate, index), similarity) in nearest.iter().zip(indices).zip(similarities) {
                *index = candidate.row;
                *similarity = candidate.similarity;
            }
        }
    }
}
