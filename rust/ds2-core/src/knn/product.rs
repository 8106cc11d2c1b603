//! Matrix products in f32 out of block products.

use rayon::prelude::*;

use crate::dot::{Kernel, Narrow, TILE_COLUMNS, TILE_ROWS, Tile, Wide};

/// Rows that are multiplied before their sums go back to memory: strips and panels of them fit the caches.
const DEPTH: usize = 512;

/// `a^T b` for row-major `a (n, rows)` and `b (n, columns)`: `(rows, columns)`, row-major.
///
/// Parallel; the same bits for any number of threads.
pub(super) fn transposed_product(
    kernel: Kernel,
    a: &[f32],
    rows: usize,
    b: &[f32],
    columns: usize,
) -> Vec<f32> {
    let mut product = vec![0.0; rows * columns];
    let blocks: Vec<Panels> =
        b.chunks(DEPTH * columns).map(|block| Panels::of_rows(block, columns)).collect();
    product.par_chunks_mut(TILE_ROWS * columns).enumerate().for_each(|(strip, out)| {
        let start = strip * TILE_ROWS;
        let width = TILE_ROWS.min(rows - start);
        let (mut narrow, mut tile) = (Vec::with_capacity(DEPTH), Tile::default());
        for (block, panels) in a.chunks(DEPTH * rows).zip(&blocks) {
            narrow.clear();
            narrow.extend(block.chunks_exact(rows).map(|row| {
                let mut group = Narrow::default();
                group.0[..width].copy_from_slice(&row[start..start + width]);
                group
            }));
            panels.multiply(kernel, &narrow, &mut tile, |left, tile| {
                for (out, sums) in out.chunks_exact_mut(columns).zip(&tile.0) {
                    for (out, sum) in out[left..].iter_mut().zip(sums) {
                        *out += sum;
                    }
                }
            });
        }
    });
    product
}

/// The columns of a matrix in panels of [`TILE_COLUMNS`].
pub(super) struct Panels {
    depth: usize,
    values: Vec<Wide>,
}

impl Panels {
    /// Pack the row-major `(n, columns)` matrix `rows`; columns that are missing in the last panel are zero.
    pub(super) fn of_rows(rows: &[f32], columns: usize) -> Self {
        let depth = rows.len() / columns;
        let mut values = vec![Wide::default(); columns.div_ceil(TILE_COLUMNS) * depth];
        for (panel, values) in values.chunks_exact_mut(depth).enumerate() {
            for (row, out) in rows.chunks_exact(columns).zip(values) {
                let part = &row[panel * TILE_COLUMNS..];
                let part = &part[..part.len().min(TILE_COLUMNS)];
                out.0[..part.len()].copy_from_slice(part);
            }
        }
        Self { depth, values }
    }

    /// Multiply a strip with every panel; `take` gets the first column of each and the products.
    pub(super) fn multiply(
        &self,
        kernel: Kernel,
        strip: &[Narrow],
        tile: &mut Tile,
        mut take: impl FnMut(usize, &Tile),
    ) {
        for (panel, values) in self.values.chunks_exact(self.depth).enumerate() {
            kernel.multiply(strip, values, tile);
            take(panel * TILE_COLUMNS, tile);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_plain_product(
            rows in 1_usize..20, columns in 1_usize..110, len in prop::sample::select(vec![1, 7, 512, 1200]),
        ) {
            let value = |i: usize| ((i * 7919 + 13) % 17) as f32 - 8.0;
            let a: Vec<f32> = (0..len * rows).map(value).collect();
            let b: Vec<f32> = (0..len * columns).map(|i| value(i + 5)).collect();
            for kernel in Kernel::available() {
                // Small integers: every sum is exact.
                let product = transposed_product(kernel, &a, rows, &b, columns);
                for (i, &found) in product.iter().enumerate() {
                    let (r, c) = (i / columns, i % columns);
                    let expected: f32 = (0..len).map(|n| a[n * rows + r] * b[n * columns + c]).sum();
                    prop_assert!((found - expected).abs() <= 0.0, "{} {} {}", kernel.name(), r, c);
                }
            }
        }
    }
}
