//! The true neighbors of a few rows, and what they tell of a search.
#![expect(
    clippy::cast_possible_truncation,
    reason = "that rows are numbered by u32 was checked at the start"
)]

use rayon::prelude::*;

use super::approx::Recall;
use super::cells::Cells;
use super::codes::{NO_FLOOR, NO_ROW, floor_of};
use super::cosine::{Cosine, Pair};
use super::operands::Packed;
use super::{Neighbors, lists};
use crate::Element;
use crate::dot::{ByteTile, TILE_ROWS, columns_of};
use crate::topk::Candidate;

/// Rows of a sample.
const ROWS: usize = 1000;
/// Rows that share the packed cells of a pass.
const SHARE: usize = 128;

/// Rows, evenly spaced, with their true neighbors.
pub(crate) struct Sample {
    rows: Vec<u32>,
    neighbors: Neighbors,
}

impl Sample {
    /// Find the `k` nearest other rows of each row of a sample, exactly, on the current rayon pool. O(1000 N d).
    pub(crate) fn find<T: Element>(cosine: &Cosine<'_, T>, cells: &Cells, k: usize) -> Self {
        let len = cells.order.len();
        let count = ROWS.min(len);
        let rows: Vec<u32> = (0..count).map(|at| (at * len / count) as u32).collect();
        let mut neighbors = Neighbors { k, indices: vec![0; count * k], similarities: vec![0.0; count * k] };
        rows.par_chunks(SHARE)
            .zip(neighbors.indices.par_chunks_mut(SHARE * k))
            .zip(neighbors.similarities.par_chunks_mut(SHARE * k))
            .for_each(|((rows, indices), similarities)| {
                let lists = lists::Lists::new(indices, similarities, k, SHARE);
                search(cosine, cells, rows, &lists);
            });
        Self { rows, neighbors }
    }

    /// The cells a row must probe so that at least `share` of the true neighbors are met, at most `most`: a
    /// pair meets if either of the two probes the cell of the other.
    #[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
    pub(crate) fn probes(&self, cells: &Cells, share: f64, most: usize) -> usize {
        let most = most.min(cells.count());
        let place = |row: u32| cells.places[row as usize] as usize;
        let mut places: Vec<usize> =
            self.rows.iter().chain(&self.neighbors.indices).map(|&row| place(row)).collect();
        places.sort_unstable();
        places.dedup();
        let nearest = cells.nearest(&places, most);
        let rank = |of: usize, cell: usize| {
            let at = places.binary_search(&of).expect("it was put there");
            let probes = &nearest[at * most..(at + 1) * most];
            probes.iter().position(|&probe| probe as usize == cell).map_or(most, |rank| rank + 1)
        };
        let mut needed: Vec<usize> = (self.rows.iter())
            .enumerate()
            .flat_map(|(at, &row)| {
                self.neighbors.row(at).0.iter().map(move |&other| (place(row), place(other)))
            })
            .map(|(a, b)| rank(a, cells.cell(b)).min(rank(b, cells.cell(a))))
            .collect();
        needed.sort_unstable();
        let at = ((needed.len() as f64 * share).ceil().max(1.0) as usize).min(needed.len()) - 1;
        needed[at].clamp(1, most)
    }

    /// Measure the recall of a search.
    pub(crate) fn recall(&self, found: &Neighbors, probes: usize) -> Recall {
        let hits = self.rows.iter().enumerate().map(|(at, &row)| {
            let last = self.neighbors.row(at).1[found.k - 1];
            // As near as the k-th is near enough: among equals, which are listed is decided by row.
            found.row(row as usize).1.iter().filter(|&&similarity| similarity >= last).count()
        });
        let mean = hits.sum::<usize>() as f64 / self.neighbors.indices.len() as f64;
        let (low, high) = wilson(mean, self.rows.len() as f64);
        Recall { mean, low, high, rows: self.rows.len(), probes }
    }
}

/// Wilson's 95 % interval of a share seen in so many trials.
fn wilson(share: f64, trials: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let square = Z * Z / trials;
    let center = (share + square / 2.0) / (1.0 + square);
    let half = Z * (share * (1.0 - share) / trials + square / (4.0 * trials)).sqrt() / (1.0 + square);
    ((center - half).max(0.0), (center + half).min(1.0))
}

/// Compare `rows` with all rows; a list is numbered by the place of its row among these.
fn search<T: Element>(cosine: &Cosine<'_, T>, cells: &Cells, rows: &[u32], lists: &lists::Lists<'_>) {
    let (mut pair, mut packed, mut tile, mut strip) =
        (Pair::default(), Packed::default(), ByteTile::default(), Vec::new());
    let mut floors = vec![NO_FLOOR; rows.len().next_multiple_of(TILE_ROWS)];
    floors[rows.len()..].fill(i32::MAX);
    let mut hits = Vec::new();
    for cell in 0..cells.count() {
        let places = cells.places(cell);
        cells.pack(places.clone(), &cells.bounds, &mut packed);
        for (at, part) in rows.chunks(TILE_ROWS).enumerate() {
            let first = at * TILE_ROWS;
            let place = |row: &u32| cells.places[*row as usize] as usize;
            cells.coded().strip(part.iter().map(place), &mut strip);
            let mut terms = [NO_ROW; TILE_ROWS];
            terms.iter_mut().zip(part).for_each(|(term, row)| *term = cells.bounds[place(row)]);
            let row_floors: [i32; TILE_ROWS] = std::array::from_fn(|r| floors[first + r]);
            let operands = (strip.as_slice(), terms, row_floors);
            cells.sweep(
                operands,
                &packed,
                |_| i32::MAX,
                &mut tile,
                |left, reaching, tile| {
                    for (r, columns) in reaching.into_iter().enumerate() {
                        for column in columns_of(columns) {
                            hits.push((tile.0[r][column], first + r, places.start + left + column));
                        }
                    }
                },
            );
        }
        hits.sort_unstable_by_key(|&(sum, _, _)| std::cmp::Reverse(sum));
        for (sum, at, place) in hits.drain(..) {
            let other = cells.order[place];
            if sum < floors[at] || other == rows[at] {
                continue;
            }
            let similarity = cosine.similarity(rows[at], other, &mut pair);
            let candidate = Candidate { similarity, row: other };
            if let Some(last) = lists.block_of(at as u32).offer(at as u32, candidate) {
                floors[at] = floor_of(last, cells.square);
            }
        }
    }
}
