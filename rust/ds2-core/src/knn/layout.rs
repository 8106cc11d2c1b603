//! Coded rows in the order and the form in which a scan reads them.

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::centroids::Centroids;
use super::codes::{Codes, NO_ROW};
use super::operands::{Coded, correction, unsigned};
use crate::dot::{GROUP, Kernel, NarrowBytes, PerColumn, TILE_COLUMNS, TILE_ROWS, WideBytes};

/// Rows below which an order gains nothing.
const WORTH_ORDERING: usize = 4096;

/// The rows in an order in which similar ones are near each other: by cluster, and by row within one.
pub(crate) fn order_by_cluster(coded: Coded<'_>, len: usize) -> Vec<u32> {
    if len < WORTH_ORDERING { (0_u32..).take(len).collect() } else { Centroids::sort(coded, len).2 }
}

/// The place of each row in an order of the rows.
pub(crate) fn places_in(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, &row) in (0_u32..).zip(order) {
        places[row as usize] = place;
    }
    places
}

/// Panels of rows, with what the scan adds to their products.
pub(crate) struct Layout {
    /// Groups of a row.
    pub(crate) groups: usize,
    pub(crate) panels: Vec<WideBytes>,
    /// The terms of each place as a row of the first operand.
    pub(crate) terms: Vec<i32>,
    /// Its terms as a row of the second.
    pub(crate) column_terms: Vec<PerColumn>,
    pub(crate) errors: Vec<i32>,
    pub(crate) stages: Vec<Stage>,
}

/// A point at which products may be abandoned.
pub(crate) struct Stage {
    /// The groups before it.
    pub(crate) end: usize,
    pub(crate) allowances: Vec<i32>,
    pub(crate) column_allowances: Vec<PerColumn>,
}

impl Layout {
    /// Put codes in order, in place.
    pub(crate) fn new(codes: Codes, order: &[u32]) -> Self {
        let Codes { width, stages, mut bytes, terms, errors, allowances, .. } = codes;
        let groups = width / GROUP;
        permute_rows(cast_slice_mut::<_, i8>(&mut bytes), width, order);
        let placed = |values: &[i32]| order.iter().map(|&row| values[row as usize]).collect::<Vec<i32>>();
        let terms = placed(&terms);
        let corrections = |start: usize| -> Vec<i32> {
            let rows = cast_slice::<_, i8>(&bytes).par_chunks_exact(width).take(order.len());
            rows.map(|row| correction(&row[start * GROUP..])).collect()
        };
        let columns = |values: &[i32], others: &[i32], sign: i32, empty: i32| -> Vec<PerColumn> {
            let sums: Vec<i32> = values.iter().zip(others).map(|(a, b)| a + sign * b).collect();
            let panel = |part: &[i32]| {
                let mut column = PerColumn([empty; TILE_COLUMNS]);
                column.0[..part.len()].copy_from_slice(part);
                column
            };
            sums.chunks(TILE_COLUMNS).map(panel).collect()
        };
        let column_terms = columns(&terms, &corrections(0), 1, NO_ROW);
        let stages = stages
            .into_iter()
            .zip(&allowances)
            .map(|(end, allowances)| {
                let allowances = placed(allowances);
                // What the correction of the whole row takes from the sum too early.
                let column_allowances = columns(&allowances, &corrections(end), -1, 0);
                Stage { end, allowances, column_allowances }
            })
            .collect();
        let errors = placed(&errors);
        bytes.par_chunks_exact_mut(groups).for_each_init(Vec::new, |rows, panel| {
            rows.clear();
            rows.extend_from_slice(cast_slice::<_, [i8; GROUP]>(panel));
            for (g, out) in panel.iter_mut().enumerate() {
                for (column, group) in out.0.iter_mut().enumerate() {
                    *group = rows[column * groups + g];
                }
            }
        });
        Self { groups, panels: bytes, terms, column_terms, errors, stages }
    }

    /// The blocks of `rows` places whose directions are nearest to that of each block, nearest first.
    pub(crate) fn near_blocks(&self, kernel: Kernel, rows: usize, probes: usize) -> Vec<u32> {
        let centroids = Centroids::of_blocks(&self.panels, self.groups, rows / TILE_COLUMNS);
        centroids.nearest(centroids.coded(kernel), &(0..centroids.count).collect::<Vec<_>>(), probes)
    }

    /// Reorder the rows of each `rows` places, whole panels: place `i` becomes what place `from[i]` was.
    pub(crate) fn reorder_within(&mut self, rows: usize, from: &[u32]) {
        let groups = self.groups;
        let blocks =
            self.panels.par_chunks_mut(rows / TILE_COLUMNS * groups).zip(from.par_chunks(rows)).enumerate();
        blocks.for_each_init(Vec::new, |old, (block, (panels, from))| {
            old.clear();
            old.extend_from_slice(panels);
            for (at, &from) in from.iter().enumerate() {
                let from = from as usize - block * rows;
                let source = &old[from / TILE_COLUMNS * groups..][..groups];
                let target = &mut panels[at / TILE_COLUMNS * groups..][..groups];
                for (target, source) in target.iter_mut().zip(source) {
                    target.0[at % TILE_COLUMNS] = source.0[from % TILE_COLUMNS];
                }
            }
        });
        reorder(&mut self.terms, from);
        reorder(cast_slice_mut::<_, i32>(&mut self.column_terms), from);
        for stage in &mut self.stages {
            reorder(&mut stage.allowances, from);
            reorder(cast_slice_mut::<_, i32>(&mut stage.column_allowances), from);
        }
    }

    /// Panel `at`.
    pub(crate) fn panel(&self, at: usize) -> &[WideBytes] {
        &self.panels[at * self.groups..(at + 1) * self.groups]
    }

    /// Pack `len` places from `start` on, a whole number of strips, as first operand: strip after strip.
    pub(crate) fn strips(&self, start: usize, len: usize, strips: &mut Vec<NarrowBytes>) {
        debug_assert!(start.is_multiple_of(TILE_ROWS) && TILE_COLUMNS.is_multiple_of(TILE_ROWS));
        strips.clear();
        for first in (start..start + len).step_by(TILE_ROWS) {
            let column = first % TILE_COLUMNS;
            strips.extend(self.panel(first / TILE_COLUMNS).iter().map(|groups| {
                let mut strip = NarrowBytes::default();
                for (out, group) in strip.0.iter_mut().zip(&groups.0[column..]) {
                    *out = group.map(unsigned);
                }
                strip
            }));
        }
    }
}

/// Value `i` becomes what value `from[i]` was; there may be more values, which stay.
pub(crate) fn reorder(values: &mut [impl Copy], from: &[u32]) {
    let placed: Vec<_> = from.iter().map(|&from| values[from as usize]).collect();
    values[..placed.len()].copy_from_slice(&placed);
}

/// Reorder rows of `width` values in place: row `i` becomes what row `order[i]` was. O(rows) more memory.
pub(crate) fn permute_rows<T: Copy>(values: &mut [T], width: usize, order: &[u32]) {
    let mut done = vec![false; order.len()];
    let mut held: Vec<T> = Vec::with_capacity(width);
    for start in 0..order.len() {
        if done[start] {
            continue;
        }
        // Around the cycle: each row goes where it belongs, the first is held until the last place is free.
        held.clear();
        held.extend_from_slice(&values[start * width..(start + 1) * width]);
        let mut place = start;
        loop {
            done[place] = true;
            let from = order[place] as usize;
            if from == start {
                break;
            }
            values.copy_within(from * width..(from + 1) * width, place * width);
            place = from;
        }
        values[place * width..(place + 1) * width].copy_from_slice(&held);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_go_where_the_order_says(
            order in (0_u32..60).prop_flat_map(|len| Just((0..len).collect::<Vec<u32>>()).prop_shuffle()),
            width in 1_usize..4,
        ) {
            let mut values: Vec<usize> = (0..order.len() * width).collect();
            permute_rows(&mut values, width, &order);
            for (row, &from) in values.chunks(width).zip(&order) {
                prop_assert_eq!(row[0], from as usize * width);
                prop_assert!(row.is_sorted());
            }
        }
    }
}
