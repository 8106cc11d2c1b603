//! Candidates by how near they are to a growing list of chosen rows, looked at as late as can be.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::units::{Buffers, Panels, pack_strip, slack};
use crate::Element;
use crate::dot::{Narrow, TILE_COLUMNS, TILE_ROWS, Tile};
use crate::knn::cosine::{Cosine, Pair};
use crate::workers::Workers;

/// Candidates that are brought up to date together, at first and at most: each time the best one is still not found,
/// twice as many.
const BATCH: (usize, usize) = (16, 4096);
/// Candidates one task compares: a panel is read from memory once for all of them.
const SHARE: usize = 64;
/// Up to so many chosen rows are compared one by one: a block product would cost more.
const FEW: usize = 8;
/// The least a cosine can be: the similarity to nothing at all.
pub(crate) const UNLIKE: f32 = -1.0;

/// A candidate that may still be chosen; the greatest is the next.
pub(crate) struct Open {
    /// Its value, as far as it has been compared: its value at last is no larger.
    pub(crate) value: f64,
    /// Its place among the candidates.
    pub(crate) place: u32,
    /// How many chosen rows it has been compared with.
    compared: u32,
    /// Similarity to the nearest of these.
    pub(crate) nearest: f32,
}

impl Ord for Open {
    /// Value, ties by place.
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}

/// Finds the candidate of largest value, where the value of a candidate falls, or stays, as its similarity to the
/// nearest chosen row grows.
///
/// As it never rises, it is computed anew only when the last one known would win (Minoux 1978): what is found is what
/// comparing every candidate with every chosen row would find. Products with blocks of chosen rows, in f32, tell which
/// similarities have to be computed as they are defined: those that rounding could make the largest.
pub(crate) struct Frontier<'a, T, V> {
    cosine: &'a Cosine<'a, T>,
    candidates: &'a [u32],
    /// Value of the candidate at a place, at a similarity to the nearest chosen row.
    value: V,
    chosen: Panels,
    queue: BinaryHeap<Open>,
    buffers: Buffers,
}

/// Space of one task.
#[derive(Default)]
struct Work {
    strips: Vec<Narrow>,
    buffers: Buffers,
    tile: Tile,
    pair: Pair,
}

impl<'a, T: Element, V: Fn(usize, f32) -> f64 + Sync> Frontier<'a, T, V> {
    /// The candidates at `places`, with nothing chosen.
    pub(crate) fn new(
        cosine: &'a Cosine<'a, T>,
        candidates: &'a [u32],
        places: impl Iterator<Item = usize>,
        value: V,
    ) -> Self {
        let open = |place: usize| Open {
            value: value(place, UNLIKE),
            place: u32::try_from(place).expect("rows are numbered in u32"),
            compared: 0,
            nearest: UNLIKE,
        };
        let queue = places.map(open).collect();
        let chosen = Panels::new(cosine.rows().dim());
        Self { cosine, candidates, value, chosen, queue, buffers: Buffers::default() }
    }

    /// Add a row to those chosen.
    pub(crate) fn push(&mut self, row: u32) {
        self.chosen.push(self.cosine, row, &mut self.buffers);
    }

    /// Compare every candidate with all that is chosen.
    pub(crate) fn catch_up(&mut self, workers: &Workers) {
        let mut open = std::mem::take(&mut self.queue).into_vec();
        workers.run(|| self.compare(&mut open));
        self.queue = open.into();
    }

    /// Take out the candidate of largest value, ties by place.
    pub(crate) fn next(&mut self, workers: &Workers) -> Option<Open> {
        let mut batch = BATCH.0;
        let mut stale = vec![];
        loop {
            while stale.len() < batch && self.queue.peek().is_some_and(|open| self.is_stale(open)) {
                stale.extend(self.queue.pop());
            }
            if stale.is_empty() {
                return self.queue.pop();
            }
            workers.run(|| self.compare(&mut stale));
            self.queue.extend(stale.drain(..));
            batch = (2 * batch).min(BATCH.1);
        }
    }

    /// Drop the candidates that are not `wanted`, by their places.
    pub(crate) fn retain(&mut self, wanted: impl Fn(usize) -> bool) {
        self.queue.retain(|open| wanted(open.place as usize));
    }

    fn is_stale(&self, open: &Open) -> bool {
        (open.compared as usize) < self.chosen.rows().len()
    }

    /// Bring candidates up to date.
    fn compare(&self, stale: &mut [Open]) {
        // Those that lack the same chosen rows side by side.
        stale.par_sort_unstable_by_key(|open| (open.compared, open.place));
        let chosen = u32::try_from(self.chosen.rows().len()).expect("rows are numbered in u32");
        stale.par_chunks_mut(SHARE).for_each_init(Work::default, |work, share| {
            if (chosen - share[0].compared) as usize <= FEW {
                self.compare_singly(share, work);
            } else {
                self.compare_blocks(share, work);
            }
            for open in share {
                open.compared = chosen;
                open.value = (self.value)(open.place as usize, open.nearest);
            }
        });
    }

    fn row(&self, open: &Open) -> u32 {
        self.candidates[open.place as usize]
    }

    fn compare_singly(&self, share: &mut [Open], work: &mut Work) {
        for open in share {
            for &other in &self.chosen.rows()[open.compared as usize..] {
                let similarity = self.cosine.similarity(self.row(open), other, &mut work.pair);
                open.nearest = open.nearest.max(similarity);
            }
        }
    }

    fn compare_blocks(&self, share: &mut [Open], work: &mut Work) {
        work.strips.clear();
        for strip in share.chunks(TILE_ROWS) {
            let mut rows = [0; TILE_ROWS];
            rows.iter_mut().zip(strip).for_each(|(row, open)| *row = self.row(open));
            pack_strip(self.cosine, &rows[..strip.len()], &mut work.strips, &mut work.buffers);
        }
        let first = share[0].compared as usize / TILE_COLUMNS;
        for (before, (others, panel)) in self.chosen.iter().enumerate().skip(first) {
            let strips = work.strips.chunks_exact(panel.len());
            for (strip, values) in share.chunks_mut(TILE_ROWS).zip(strips) {
                // A strip knows at least what its first candidate knows.
                if (before + 1) * TILE_COLUMNS > strip[0].compared as usize {
                    self.cosine.kernel().multiply(values, panel, &mut work.tile);
                    for (open, products) in strip.iter_mut().zip(&work.tile.0) {
                        self.approach(open, others, &products[..others.len()], &mut work.pair);
                    }
                }
            }
        }
    }

    /// Tell a candidate of chosen rows, from its products with them.
    #[expect(clippy::cast_possible_truncation, reason = "the slack leaves room for the rounding")]
    fn approach(&self, open: &mut Open, others: &[u32], products: &[f32], pair: &mut Pair) {
        let slack = slack(self.cosine.rows().dim()) as f32;
        let most = products.iter().copied().fold(UNLIKE, f32::max);
        // Below it no similarity is the largest, neither of these nor of those before.
        let limit = open.nearest.max(most - slack) - slack;
        if most >= limit {
            for (&other, _) in others.iter().zip(products).filter(|&(_, &product)| product >= limit) {
                open.nearest = open.nearest.max(self.cosine.similarity(self.row(open), other, pair));
            }
        }
    }
}
