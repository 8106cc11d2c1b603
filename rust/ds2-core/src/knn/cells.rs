//! Rows by cluster, and the comparison of rows with the clusters near them.
#![expect(
    clippy::cast_possible_truncation,
    reason = "that rows are numbered by u32 was checked at the start"
)]

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::centroids::Centroids;
use super::codes::{Codes, NO_FLOOR, NO_ROW};
use super::layout::{permute_rows, places_in};
use super::operands::{Coded, Packed};
use crate::dot::{
    ByteTile, Kernel, NarrowBytes, PanelTerms, PerColumn, Reaching, STAGES, StripTerms, TILE_ROWS, WideBytes,
    columns_of,
};

/// Rows whose shortlists share a lock.
const BLOCK_ROWS: usize = 64;

/// Coded rows sorted by the cluster they are nearest to.
pub(crate) struct Cells {
    /// The row at each place.
    pub(crate) order: Vec<u32>,
    /// The place of each row.
    pub(crate) places: Vec<u32>,
    kernel: Kernel,
    width: usize,
    bytes: Vec<WideBytes>,
    /// What is added to a product of bytes for each place, to estimate a similarity.
    estimates: Vec<i32>,
    /// The terms of the bound on a similarity, see [`Codes`].
    pub(crate) bounds: Vec<i32>,
    pub(crate) square: f64,
    centroids: Centroids,
    starts: Vec<usize>,
}

impl Cells {
    /// Cluster the rows and sort them, on the current rayon pool.
    pub(crate) fn new(codes: Codes, kernel: Kernel, len: usize) -> Self {
        let coded = codes.coded(kernel);
        let (centroids, nearest, order) = Centroids::sort(coded, len);
        let starts = starts(nearest.iter(), centroids.count);
        let places = places_in(&order);
        let placed = |values: &[i32]| order.iter().map(|&row| values[row as usize]).collect::<Vec<i32>>();
        let (estimates, bounds) = (placed(&codes.estimates), placed(&codes.terms));
        let (square, width, mut bytes) = (codes.square, codes.width, codes.bytes);
        permute_rows(cast_slice_mut::<_, i8>(&mut bytes), width, &order);
        Self { order, places, kernel, width, bytes, estimates, bounds, square, centroids, starts }
    }

    /// How many cells there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn places(&self, cell: usize) -> Range<usize> {
        self.starts[cell]..self.starts[cell + 1]
    }

    /// The cell of a place.
    pub(crate) fn cell(&self, place: usize) -> usize {
        self.starts.partition_point(|&start| start <= place) - 1
    }

    /// The codes, place by place.
    pub(crate) fn coded(&self) -> Coded<'_> {
        Coded { kernel: self.kernel, bytes: cast_slice(&self.bytes), stride: self.width, width: self.width }
    }

    /// The `probes` cells nearest to each of some places, nearest first.
    pub(crate) fn nearest(&self, places: &[usize], probes: usize) -> Vec<u32> {
        self.centroids.nearest(self.coded(), places, probes)
    }

    /// Pack the rows at `places` as second operand, with these terms of each place.
    pub(crate) fn pack(&self, places: Range<usize>, terms: &[i32], packed: &mut Packed) {
        let coded = self.coded();
        packed.fill(self.width, places.map(|place| (coded.row(place), terms[place])));
    }

    /// Multiply a strip with packed rows; `take` gets the first column of each panel with a sum that reaches a
    /// floor, which columns these are for each row, and the sums.
    pub(crate) fn sweep(
        &self,
        (strip, terms, floors): (&[NarrowBytes], [i32; TILE_ROWS], [i32; TILE_ROWS]),
        packed: &Packed,
        column_floor: impl Fn(usize) -> i32,
        tile: &mut ByteTile,
        mut take: impl FnMut(usize, Reaching, &ByteTile),
    ) {
        let floor = floors.into_iter().min().unwrap_or(NO_FLOOR);
        let rows = StripTerms { terms, floor, allowances: [0; STAGES] };
        for (left, panel, terms) in packed.panels() {
            let column_floors = PerColumn(std::array::from_fn(|c| column_floor(left + c)));
            let columns = PanelTerms::to_the_end(terms, &column_floors);
            if self.kernel.sweep((strip, rows), (panel, columns), &[], tile, &mut [0]) {
                take(left, self.kernel.reaching(tile, &floors, &column_floors), tile);
            }
        }
    }

    /// Start the shortlists with the rows of each row's own cell.
    pub(crate) fn compare_within(&self, lists: &Shortlists) {
        (0..self.count()).into_par_iter().with_max_len(1).for_each_init(Workspace::default, |work, cell| {
            let cell = self.places(cell);
            self.pack(cell.clone(), &self.estimates, &mut work.packed);
            for start in cell.clone().step_by(TILE_ROWS) {
                let rows = start..(start + TILE_ROWS).min(cell.end);
                self.coded().strip(rows.clone(), &mut work.strip);
                work.found.resize_with(TILE_ROWS, Vec::new);
                let mut terms = [NO_ROW; TILE_ROWS];
                terms[..rows.len()].copy_from_slice(&self.estimates[rows.clone()]);
                let Workspace { strip, packed, tile, found, .. } = work;
                found.iter_mut().for_each(Vec::clear);
                let all = [i32::MIN; TILE_ROWS];
                self.sweep(
                    (strip, terms, all),
                    packed,
                    |_| i32::MIN,
                    tile,
                    |left, _, tile| {
                        for (r, found) in found.iter_mut().enumerate().take(rows.len()) {
                            let places = (cell.start + left..cell.end).zip(&tile.0[r]);
                            let others = places.filter(|&(place, _)| place != start + r);
                            found.extend(others.map(|(place, &sum)| Entry { sum, place: place as u32 }));
                        }
                    },
                );
                for (place, found) in rows.zip(found) {
                    lists.fill(place, found);
                }
            }
        });
    }

    /// Which places probe each cell, the ranks `ranks` of its nearest cells.
    pub(crate) fn probing(&self, ranks: Range<usize>) -> Probing {
        let all: Vec<usize> = (0..self.order.len()).collect();
        let probes = ranks.end.min(self.count());
        let nearest = self.nearest(&all, probes);
        let of_place = |place: usize| &nearest[place * probes..][ranks.start.min(probes)..probes];
        let starts = starts(all.iter().flat_map(|&place| of_place(place)), self.count());
        let (mut next, mut places) = (starts.clone(), vec![0; starts[self.count()]]);
        for place in 0..self.order.len() {
            for &cell in of_place(place) {
                places[next[cell as usize]] = place as u32;
                next[cell as usize] += 1;
            }
        }
        Probing { starts, places }
    }

    /// Compare the rows that probe some cells with the rows of these.
    pub(crate) fn compare(&self, probing: &Probing, cells: Range<usize>, lists: &Shortlists) {
        cells.into_par_iter().with_max_len(1).for_each_init(Workspace::default, |work, cell| {
            let Workspace { strip, packed, tile, hits, .. } = work;
            let cell_places = self.places(cell);
            self.pack(cell_places.clone(), &self.estimates, packed);
            for places in probing.of(cell).chunks(TILE_ROWS) {
                self.coded().strip(places.iter().map(|&place| place as usize), strip);
                let (mut terms, mut floors) = ([NO_ROW; TILE_ROWS], [i32::MAX; TILE_ROWS]);
                for ((term, floor), &place) in terms.iter_mut().zip(&mut floors).zip(places) {
                    (*term, *floor) = (self.estimates[place as usize], lists.floor(place as usize));
                }
                let column_floor = |column: usize| {
                    let place = cell_places.start + column;
                    if place < cell_places.end { lists.floor(place) } else { i32::MAX }
                };
                self.sweep((strip, terms, floors), packed, column_floor, tile, |left, reaching, tile| {
                    for ((columns, sums), &place) in reaching.into_iter().zip(&tile.0).zip(places) {
                        for column in columns_of(columns) {
                            hits.push((place, (cell_places.start + left + column) as u32, sums[column]));
                        }
                    }
                });
            }
            lists.offer(hits);
            hits.clear();
        });
    }

    /// Offer each row the neighbors of its `k` best, once: the places of the best, in no order.
    pub(crate) fn refine(&self, lists: &Shortlists, k: usize) -> Vec<Vec<u32>> {
        let snapshot = lists.snapshot();
        let coded = self.coded();
        let best = |place: usize| snapshot[place].iter().take(k);
        (0..self.order.len())
            .into_par_iter()
            .with_min_len((self.order.len() / (8 * rayon::current_num_threads())).max(64))
            .map_init(
                || vec![u32::MAX; self.order.len()],
                |seen, place| {
                    let stamp = place as u32;
                    let mut list = snapshot[place].clone();
                    let own = coded.row(place);
                    seen[place] = stamp;
                    for entry in &list {
                        seen[entry.place as usize] = stamp;
                    }
                    for near in best(place) {
                        for far in best(near.place as usize) {
                            let other = far.place as usize;
                            if seen[other] == stamp {
                                continue;
                            }
                            seen[other] = stamp;
                            let product = self.kernel.dot_bytes(own, coded.row(other));
                            let sum = product + self.estimates[place] + self.estimates[other];
                            lists.keep_best(&mut list, Entry { sum, place: far.place });
                        }
                    }
                    list.iter().map(|entry| entry.place).collect()
                },
            )
            .collect()
    }
}

/// Where what lies in each cell starts when it is sorted by cell, and where the last ends.
fn starts<'a>(cells: impl Iterator<Item = &'a u32>, count: usize) -> Vec<usize> {
    let mut starts = vec![0; count + 1];
    for &cell in cells {
        starts[cell as usize + 1] += 1;
    }
    for cell in 0..count {
        starts[cell + 1] += starts[cell];
    }
    starts
}

/// Working space of a comparison.
#[derive(Default)]
struct Workspace {
    strip: Vec<NarrowBytes>,
    packed: Packed,
    tile: ByteTile,
    found: Vec<Vec<Entry>>,
    hits: Vec<(u32, u32, i32)>,
}

/// The places that probe each cell.
pub(crate) struct Probing {
    starts: Vec<usize>,
    places: Vec<u32>,
}

impl Probing {
    fn of(&self, cell: usize) -> &[u32] {
        &self.places[self.starts[cell]..self.starts[cell + 1]]
    }

    /// Ranges of cells to compare between two calls of a progress function.
    pub(crate) fn waves(&self, threads: usize) -> impl Iterator<Item = Range<usize>> {
        let (cells, step) = (self.starts.len() - 1, 32 * threads);
        (0..cells).step_by(step).map(move |start| start..(start + step).min(cells))
    }
}

/// A row that may be a neighbor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sum: i32,
    pub(crate) place: u32,
}

impl Entry {
    /// Nearest first, ties by place.
    fn key(self) -> (Reverse<i32>, u32) {
        (Reverse(self.sum), self.place)
    }
}

/// The best estimates of each place, sorted, under one lock for every [`BLOCK_ROWS`] places.
pub(crate) struct Shortlists {
    capacity: usize,
    blocks: Vec<Mutex<Vec<Vec<Entry>>>>,
    floors: Vec<AtomicI32>,
}

impl Shortlists {
    pub(crate) fn new(cells: &Cells, capacity: usize) -> Self {
        let len = cells.order.len();
        let blocks = (0..len)
            .step_by(BLOCK_ROWS)
            .map(|start| Mutex::new(vec![Vec::with_capacity(capacity); BLOCK_ROWS.min(len - start)]))
            .collect();
        Self { capacity, blocks, floors: (0..len).map(|_| AtomicI32::new(NO_FLOOR)).collect() }
    }

    fn floor(&self, place: usize) -> i32 {
        // An old floor is a lower one: more is offered, nothing is lost.
        self.floors[place].load(Ordering::Relaxed)
    }

    fn block(&self, block: usize) -> MutexGuard<'_, Vec<Vec<Entry>>> {
        // A panic in another thread is about to end the whole computation.
        self.blocks[block].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Make the best of `found` the list of `place`.
    fn fill(&self, place: usize, found: &mut Vec<Entry>) {
        if found.len() > self.capacity {
            found.select_nth_unstable_by_key(self.capacity, |entry| entry.key());
            found.truncate(self.capacity);
        }
        found.sort_unstable_by_key(|entry| entry.key());
        let list = &mut self.block(place / BLOCK_ROWS)[place % BLOCK_ROWS];
        list.clear();
        list.extend_from_slice(found);
        self.raise(place, list);
    }

    fn raise(&self, place: usize, list: &[Entry]) {
        if list.len() == self.capacity {
            self.floors[place].store(list[list.len() - 1].sum, Ordering::Relaxed);
        }
    }

    /// Offer the two rows of each pair to each other.
    fn offer(&self, hits: &[(u32, u32, i32)]) {
        self.offer_side(hits.iter().map(|&(first, second, sum)| (first, Entry { sum, place: second })));
        self.offer_side(hits.iter().map(|&(first, second, sum)| (second, Entry { sum, place: first })));
    }

    fn offer_side(&self, offers: impl Iterator<Item = (u32, Entry)>) {
        let mut held: Option<(usize, MutexGuard<'_, Vec<Vec<Entry>>>)> = None;
        for (place, entry) in offers {
            let place = place as usize;
            if entry.sum < self.floor(place) {
                continue;
            }
            let block = place / BLOCK_ROWS;
            if held.as_ref().is_none_or(|(of, _)| *of != block) {
                // One lock at a time, or two threads could wait for each other.
                drop(held.take());
                held = Some((block, self.block(block)));
            }
            let (_, lists) = held.as_mut().expect("it was just locked");
            let list = &mut lists[place % BLOCK_ROWS];
            if list.iter().all(|known| known.place != entry.place) {
                self.keep_best(list, entry);
                self.raise(place, list);
            }
        }
    }

    /// Put an entry that is not in it into a sorted list.
    fn keep_best(&self, list: &mut Vec<Entry>, entry: Entry) {
        let at = list.partition_point(|other| other.key() < entry.key());
        if at < self.capacity {
            list.truncate(self.capacity - 1);
            list.insert(at, entry);
        }
    }

    fn snapshot(&self) -> Vec<Vec<Entry>> {
        (0..self.blocks.len()).flat_map(|block| self.block(block).clone()).collect()
    }
}
