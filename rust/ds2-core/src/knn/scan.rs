//! Look at every pair of rows once, near ones first.

use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use rayon::prelude::*;

use super::codes::{NO_FLOOR, NO_ROW, floor_of};
use super::cosine::{Cosine, Pair};
use super::layout::{Layout, reorder};
use super::lists::{Block, Lists};
use crate::Element;
use crate::dot::{
    ByteTile, NarrowBytes, PanelTerms, PerColumn, STAGES, StripTerms, TILE_COLUMNS, TILE_ROWS, columns_of,
};
use crate::topk::Candidate;

/// Rows of a block: their strips stay in the second-level cache, a panel in the first.
pub(crate) const BLOCK_ROWS: usize = 4 * TILE_COLUMNS;
/// Pairs whose similarities are computed before the floors they raise are looked at again.
const BATCH: usize = 256;
/// The share of blocks of sums a stage must end to be worth its test.
const WORTH_TESTING: f64 = 0.1;
/// Blocks of sums after which that can be told.
const ENOUGH_TO_JUDGE: u64 = 100_000;

/// All rows, in the order of a layout, with the nearest of each found so far.
pub(crate) struct Scan<'a, T> {
    cosine: &'a Cosine<'a, T>,
    layout: Layout,
    order: Vec<u32>,
    lists: Lists<'a>,
    floors: Vec<AtomicI32>,
    square: f64,
    stages: Vec<usize>,
    ended: [AtomicU64; STAGES + 1],
}

/// A pair of places whose sum reached a floor.
#[derive(Clone, Copy)]
struct Hit {
    sum: i32,
    first: u32,
    second: u32,
}

/// Working space of one comparison.
#[derive(Default)]
pub(crate) struct Workspace {
    strips: Vec<NarrowBytes>,
    terms: Vec<StripTerms>,
    tile: ByteTile,
    hits: Vec<Hit>,
    similarities: Vec<f32>,
    bounds: Vec<i32>,
    pair: Pair,
}

impl<'a, T: Element> Scan<'a, T> {
    /// `square` is the square of the step of the codes.
    pub(crate) fn new(
        cosine: &'a Cosine<'a, T>,
        layout: Layout,
        order: Vec<u32>,
        lists: Lists<'a>,
        square: f64,
    ) -> Self {
        let places = layout.column_terms.len() * TILE_COLUMNS;
        let stages = (0..layout.stages.len()).collect();
        let floor = |place| if place < order.len() { NO_FLOOR } else { i32::MAX };
        let floors = (0..places).map(|place| AtomicI32::new(floor(place))).collect();
        Self { cosine, layout, order, lists, floors, square, stages, ended: Default::default() }
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> usize {
        self.order.len().div_ceil(BLOCK_ROWS)
    }

    fn range(&self, block: usize) -> Range<usize> {
        let start = block * BLOCK_ROWS;
        start..(start + BLOCK_ROWS).min(self.order.len())
    }

    fn panels(&self, block: usize) -> Range<usize> {
        let range = self.range(block);
        range.start / TILE_COLUMNS..range.end.div_ceil(TILE_COLUMNS)
    }

    /// Drop the stages that have ended too few blocks of sums, once enough of these were looked at.
    pub(crate) fn drop_idle_stages(&mut self) {
        let ended = self.ended.each_mut().map(|count| *count.get_mut());
        let mut reached: u64 = ended.iter().sum();
        if reached < ENOUGH_TO_JUDGE {
            return;
        }
        let mut stage = 0;
        self.stages.retain(|_| {
            let worth = ended[stage] as f64 >= WORTH_TESTING * reached as f64;
            reached -= ended[stage];
            stage += 1;
            worth
        });
        self.ended = Default::default();
    }

    /// Look at all stages again, as what comes is not like what was.
    pub(crate) fn restore_stages(&mut self) {
        self.stages = (0..self.layout.stages.len()).collect();
        self.ended = Default::default();
    }

    /// Sort the rows of each block by the floors that all blocks were given.
    ///
    /// A strip of rows is abandoned only once all of its rows are: rows with low floors, which hold on longest,
    /// had better be together.
    pub(crate) fn sort_by_floor(&mut self) {
        self.layout.errors = Vec::new();
        let mut from: Vec<u32> = (0_u32..).take(self.order.len()).collect();
        from.par_chunks_mut(BLOCK_ROWS)
            .for_each(|block| block.sort_by_key(|&place| self.floor(place as usize)));
        self.layout.reorder_within(BLOCK_ROWS, &from);
        reorder(&mut self.order, &from);
        let mut floors: Vec<i32> = self.floors.iter_mut().map(|floor| *floor.get_mut()).collect();
        reorder(&mut floors, &from);
        self.floors = floors.into_iter().map(AtomicI32::new).collect();
    }

    /// The row at each place.
    pub(crate) fn into_order(self) -> Vec<u32> {
        self.order
    }

    /// Give the rows of `block` floors that `k` rows near their place reach for certain.
    pub(crate) fn seed(&self, block: usize, k: usize, work: &mut Workspace) {
        let rows = self.range(block);
        let wanted = (2 * k).max(BLOCK_ROWS).div_ceil(BLOCK_ROWS);
        let last = self.blocks() - 1;
        let first = block.saturating_sub(wanted / 2).min((last + 1).saturating_sub(wanted));
        let others = self.range(first).start..self.range((first + wanted - 1).min(last)).end;
        if others.len() <= k {
            return;
        }
        self.pack(&rows, work);
        let Workspace { strips, tile, bounds, .. } = work;
        let kernel = self.cosine.kernel();
        let none = PerColumn([i32::MIN; TILE_COLUMNS]);
        for (start, strip) in rows.clone().step_by(TILE_ROWS).zip(strips.chunks_exact(self.layout.groups)) {
            bounds.clear();
            bounds.resize(TILE_ROWS * others.len(), 0);
            let mut terms = StripTerms { floor: i32::MIN, ..StripTerms::default() };
            let used = TILE_ROWS.min(rows.end - start);
            terms.terms[..used].copy_from_slice(&self.layout.terms[start..start + used]);
            for panel in others.clone().step_by(TILE_COLUMNS) {
                let at = panel / TILE_COLUMNS;
                let columns = PanelTerms::to_the_end(&self.layout.column_terms[at], &none);
                kernel.sweep((strip, terms), (self.layout.panel(at), columns), &[], tile, &mut [0]);
                let width = TILE_COLUMNS.min(others.end - panel);
                for r in 0..used {
                    let out = &mut bounds[r * others.len() + panel - others.start..][..width];
                    let errors = &self.layout.errors[panel..panel + width];
                    for ((out, sum), error) in out.iter_mut().zip(&tile.0[r]).zip(errors) {
                        *out = sum - 2 * error;
                    }
                }
            }
            for r in 0..used {
                let place = start + r;
                let bounds = &mut bounds[r * others.len()..(r + 1) * others.len()];
                // A row is not its own neighbor.
                bounds[place - others.start] = i32::MIN;
                let (_, bound, _) = bounds.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
                self.raise(place, *bound - 2 * self.layout.errors[place] - 1);
            }
        }
    }

    /// Offer the rows of `first` and of each of `others` to each other; none of these comes before `first`.
    pub(crate) fn compare(&self, first: usize, others: &[u32], work: &mut Workspace) {
        let rows = self.range(first);
        self.pack(&rows, work);
        let mut ended = [0; STAGES + 1];
        for &other in others {
            for panel in self.panels(other as usize) {
                self.compare_panel(&rows, panel, work, &mut ended);
            }
        }
        self.offer_hits(work);
        for (total, count) in self.ended.iter().zip(ended) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn pack(&self, rows: &Range<usize>, work: &mut Workspace) {
        self.layout.strips(rows.start, rows.len(), &mut work.strips);
        work.terms.clear();
        work.terms.extend(rows.clone().step_by(TILE_ROWS).map(|start| {
            let places = start..(start + TILE_ROWS).min(rows.end);
            let mut terms = [NO_ROW; TILE_ROWS];
            terms[..places.len()].copy_from_slice(&self.layout.terms[places.clone()]);
            let mut allowances = [0; STAGES];
            for (allowance, &stage) in allowances.iter_mut().zip(&self.stages) {
                let of_rows = &self.layout.stages[stage].allowances[places.clone()];
                *allowance = of_rows.iter().copied().max().unwrap_or(0);
            }
            StripTerms { terms, floor: NO_FLOOR, allowances }
        }));
    }

    fn floor(&self, place: usize) -> i32 {
        // An old floor is a lower one: more is looked at, nothing is lost.
        self.floors[place].load(Ordering::Relaxed)
    }

    fn raise(&self, place: usize, floor: i32) {
        self.floors[place].fetch_max(floor, Ordering::Relaxed);
    }

    /// Collect the pairs of `rows`, packed as strips, and the rows of a panel that reach a floor.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "that rows are numbered by u32 was checked at the start"
    )]
    fn compare_panel(&self, rows: &Range<usize>, panel: usize, work: &mut Workspace, ended: &mut [u64]) {
        let Workspace { strips, terms, tile, hits, .. } = work;
        let (layout, start) = (&self.layout, panel * TILE_COLUMNS);
        let floors = PerColumn(std::array::from_fn(|c| self.floor(start + c)));
        let mut columns = PanelTerms::to_the_end(&layout.column_terms[panel], &floors);
        let mut ends = [0; STAGES];
        for ((end, of_columns), &stage) in ends.iter_mut().zip(&mut columns.allowances).zip(&self.stages) {
            *end = layout.stages[stage].end;
            *of_columns = &layout.stages[stage].column_allowances[panel];
        }
        let ends = &ends[..self.stages.len()];
        let strips = rows.clone().step_by(TILE_ROWS).zip(strips.chunks_exact(layout.groups)).zip(terms);
        for ((first, strip), terms) in strips {
            // Of a block with itself, the pairs below the diagonal are those above it.
            if first >= start + TILE_COLUMNS {
                break;
            }
            let row_floors: [i32; TILE_ROWS] = std::array::from_fn(|r| self.floor(first + r));
            terms.floor = row_floors.iter().copied().min().unwrap_or(NO_FLOOR);
            let operands = ((strip, *terms), (layout.panel(panel), columns));
            if !self.cosine.kernel().sweep(operands.0, operands.1, ends, tile, ended) {
                continue;
            }
            let reaching = self.cosine.kernel().reaching(tile, &row_floors, &floors);
            for (r, columns) in reaching.into_iter().enumerate() {
                for c in columns_of(columns) {
                    if first + r < start + c {
                        let sum = tile.0[r][c];
                        hits.push(Hit { sum, first: (first + r) as u32, second: (start + c) as u32 });
                    }
                }
            }
        }
    }

    /// Compute the similarities of the collected pairs, all of one first block, and offer them to the lists of
    /// both rows. The most promising come first: they raise the floors of the others.
    fn offer_hits(&self, work: &mut Workspace) {
        let Workspace { hits, similarities, pair, .. } = work;
        hits.sort_unstable_by_key(|hit| (std::cmp::Reverse(hit.sum), hit.first, hit.second));
        for batch in hits.chunks_mut(BATCH) {
            let mut len = 0;
            for at in 0..batch.len() {
                let hit = batch[at];
                // Floors have risen since.
                if hit.sum >= self.floor(hit.first as usize).min(self.floor(hit.second as usize)) {
                    batch[len] = hit;
                    len += 1;
                }
            }
            let batch = &batch[..len];
            let row = |place: u32| self.order[place as usize];
            similarities.clear();
            for (at, hit) in batch.iter().enumerate() {
                if let Some(next) = batch.get(at + 2) {
                    self.cosine.prefetch(row(next.first));
                    self.cosine.prefetch(row(next.second));
                }
                similarities.push(self.cosine.similarity(row(hit.first), row(hit.second), pair));
            }
            let Some(start) = batch.first().map(|hit| hit.first) else { continue };
            let mut block = self.lists.block_of(start);
            for (hit, &similarity) in batch.iter().zip(&*similarities) {
                self.offer(&mut block, hit.first, hit.second, similarity);
            }
            drop(block);
            for (hit, &similarity) in batch.iter().zip(&*similarities) {
                self.offer(&mut self.lists.block_of(hit.second), hit.second, hit.first, similarity);
            }
        }
        hits.clear();
    }

    fn offer(&self, block: &mut Block<'_>, place: u32, other: u32, similarity: f32) {
        let candidate = Candidate { similarity, row: self.order[other as usize] };
        if let Some(last) = block.offer(place, candidate) {
            self.raise(place as usize, floor_of(last, self.square));
        }
    }
}
