//! Rows of unit length as operands of the block product, and how far its products are from the similarities.

use crate::Element;
use crate::dot::{Narrow, TILE_COLUMNS, TILE_ROWS, Wide, product_error};
use crate::knn::cosine::Cosine;

/// Bound on the distance of a product of two unit rows, as packed here, from their canonical similarity.
///
/// Rounding of the two rows to f32 adds at most `2 u`, `u = 2^-24`, that of the similarity `u / 2`, the order of the
/// additions [`product_error`]; twice the last and `16 u` leave room for limits that are themselves rounded.
pub(super) fn slack(dim: usize) -> f64 {
    2.0 * product_error(dim) + 8.0 * f64::from(f32::EPSILON)
}

/// Append `rows`, at most [`TILE_ROWS`], scaled to unit length, to `strips` as one first operand.
pub(super) fn pack_strip<T: Element>(
    cosine: &Cosine<'_, T>,
    rows: &[u32],
    strips: &mut Vec<Narrow>,
    buffers: &mut Buffers,
) {
    debug_assert!(rows.len() <= TILE_ROWS, "one strip");
    let start = strips.len();
    strips.resize(start + cosine.rows().dim(), Narrow::default());
    for (place, &row) in rows.iter().enumerate() {
        for (out, &value) in strips[start..].iter_mut().zip(buffers.unit(cosine, row)) {
            out.0[place] = value;
        }
    }
}

/// Space for a row on its way into an operand.
#[derive(Default)]
pub(super) struct Buffers {
    wide: Vec<f32>,
    unit: Vec<f32>,
}

impl Buffers {
    /// The row scaled to unit length.
    fn unit<T: Element>(&mut self, cosine: &Cosine<'_, T>, row: u32) -> &[f32] {
        self.unit.resize(cosine.rows().dim(), 0.0);
        cosine.unit(row as usize, &mut self.wide, &mut self.unit);
        &self.unit
    }
}

/// A growing list of rows of unit length, packed as second operands.
pub(super) struct Panels {
    dim: usize,
    rows: Vec<u32>,
    values: Vec<Wide>,
}

impl Panels {
    pub(super) fn new(dim: usize) -> Self {
        Self { dim, rows: vec![], values: vec![] }
    }

    pub(super) fn push<T: Element>(&mut self, cosine: &Cosine<'_, T>, row: u32, buffers: &mut Buffers) {
        let (panel, column) = (self.rows.len() / TILE_COLUMNS, self.rows.len() % TILE_COLUMNS);
        self.values.resize((panel + 1) * self.dim, Wide::default());
        for (out, &value) in self.values[panel * self.dim..].iter_mut().zip(buffers.unit(cosine, row)) {
            out.0[column] = value;
        }
        self.rows.push(row);
    }

    /// The rows, in the order they came.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The panels, each with the rows in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &[Wide])> {
        self.rows.chunks(TILE_COLUMNS).zip(self.values.chunks_exact(self.dim))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rows;
    use crate::dot::{Kernel, Tile};
    use crate::knn::cosine::Pair;

    proptest! {
        #[test]
        fn products_are_within_the_slack(
            dim in 1_usize..40, values in prop::collection::vec(-1e3_f32..1e3, 60 * 40), scale in -60_i32..60,
        ) {
            let values: Vec<f32> = values[..60 * dim].iter().map(|value| value * 2_f32.powi(scale)).collect();
            let rows = Rows::new(&values, 60, dim).unwrap();
            for kernel in Kernel::available() {
                let cosine = Cosine::measure(rows, kernel, true).unwrap();
                let (mut panels, mut strip, mut buffers) = (Panels::new(dim), vec![], Buffers::default());
                (0..60).for_each(|row| panels.push(&cosine, row, &mut buffers));
                pack_strip(&cosine, &[3, 59], &mut strip, &mut buffers);
                let mut tile = Tile::default();
                for (others, panel) in panels.iter() {
                    kernel.multiply(&strip, panel, &mut tile);
                    for (row, products) in [3, 59].into_iter().zip(&tile.0) {
                        for (&other, &product) in others.iter().zip(products) {
                            let similarity = cosine.similarity(row, other, &mut Pair::default());
                            let off = (f64::from(product) - f64::from(similarity)).abs();
                            prop_assert!(off < slack(dim), "{} {off}", kernel.name());
                        }
                    }
                }
            }
        }
    }
}
