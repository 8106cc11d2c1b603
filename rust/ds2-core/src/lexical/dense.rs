//! Tall dense matrices (many rows of a few hundred columns): Gram matrix, orthonormal columns, product with
//! a small matrix. Rows are stored in f32, everything is computed in f64.

use rayon::prelude::*;

/// A column whose squared length falls below this share of what it was, once the columns before it are taken
/// out, counts as dependent on them: ten thousand times the noise of the f32 rows it comes from.
pub(super) const RANK_TOLERANCE: f64 = 1e-10;

/// Columns of a Gram matrix that one task sums up: 20 rows of 280 values stay in the first-level cache.
const GRAM_BLOCK: usize = 20;

/// Rows that one task solves or multiplies.
const ROW_BLOCK: usize = 64;

/// The upper triangle of `XᵀX` for `X` of rows of `dim` values; `dim * dim` values, zero below the diagonal.
///
/// Parallel over the columns of the result, so each sum runs over the rows in order.
pub(super) fn gram(rows: &[f32], dim: usize) -> Vec<f64> {
    let mut gram = vec![0.0; dim * dim];
    gram.par_chunks_mut((GRAM_BLOCK * dim).max(1)).enumerate().for_each(|(block, out)| {
        let first = block * GRAM_BLOCK;
        let mut wide = vec![0.0; 4 * dim];
        for four in rows.chunks(4 * dim) {
            wide.iter_mut().zip(four).for_each(|(wide, &value)| *wide = f64::from(value));
            wide[four.len()..].fill(0.0);
            let (a, rest) = wide.split_at(dim);
            let (b, rest) = rest.split_at(dim);
            let (c, d) = rest.split_at(dim);
            for (i, sums) in (first..).zip(out.chunks_mut(dim)) {
                let (u, v, w, x) = (a[i], b[i], c[i], d[i]);
                let terms = a[i..].iter().zip(&b[i..]).zip(c[i..].iter().zip(&d[i..]));
                for (sum, ((a, b), (c, d))) in sums[i..].iter_mut().zip(terms) {
                    *sum += (u * a + v * b) + (w * c + x * d);
                }
            }
        }
    });
    gram
}

/// Make the columns of `rows` orthonormal without leaving their span (Cholesky QR: `XᵀX = RᵀR`, `X <- X R⁻¹`).
///
/// A column that depends on the ones before it becomes a zero column. Orthonormal to the rounding of f32 as
/// long as the columns' condition number stays below about `1e5`, which the tolerance guarantees.
pub(super) fn orthonormalize(rows: &mut [f32], dim: usize) {
    let factor = cholesky(gram(rows, dim), dim);
    rows.par_chunks_mut((ROW_BLOCK * dim).max(1)).for_each(|block| {
        let mut wide = vec![0.0; dim];
        for row in block.chunks_mut(dim) {
            wide.iter_mut().zip(&*row).for_each(|(wide, &value)| *wide = f64::from(value));
            solve(&factor, &mut wide);
            row.iter_mut().zip(&wide).for_each(|(value, &wide)| *value = wide as f32);
        }
    });
}

/// The upper triangular `R` with `RᵀR = gram`, given the upper triangle; dependent columns get a zero row.
fn cholesky(mut gram: Vec<f64>, dim: usize) -> Vec<f64> {
    let lengths: Vec<f64> = (0..dim).map(|j| gram[j * dim + j]).collect();
    for j in 0..dim {
        let (done, below) = gram.split_at_mut((j + 1) * dim);
        let pivot = &mut done[j * dim..];
        if pivot[j] > RANK_TOLERANCE * lengths[j] {
            let root = pivot[j].sqrt();
            pivot[j..].iter_mut().for_each(|value| *value /= root);
        } else {
            pivot[j..].fill(0.0);
            continue;
        }
        for (i, row) in (j + 1..).zip(below.chunks_mut(dim)) {
            let factor = pivot[i];
            row[i..].iter_mut().zip(&pivot[i..]).for_each(|(value, &p)| *value -= factor * p);
        }
    }
    gram
}

/// Replace `row` by `row R⁻¹`; a zero pivot gives a zero.
fn solve(factor: &[f64], row: &mut [f64]) {
    let dim = row.len();
    for j in 0..dim {
        let pivot = &factor[j * dim..][..dim];
        let value = if pivot[j] > 0.0 { row[j] / pivot[j] } else { 0.0 };
        row[j] = value;
        row[j + 1..].iter_mut().zip(&pivot[j + 1..]).for_each(|(rest, &p)| *rest -= value * p);
    }
}

/// The product of `rows` (of `dim` values) and `small` (`dim` rows of `width` values), in f32.
pub(super) fn multiply(rows: &[f32], dim: usize, small: &[f32], width: usize) -> Vec<f32> {
    let columns: Vec<u32> = (0..).take(dim).collect();
    let mut product = vec![0.0; rows.len() / dim.max(1) * width];
    product.par_chunks_mut(width.max(1)).zip(rows.par_chunks(dim.max(1))).for_each(|(out, row)| {
        super::sparse::add_rows(out, &columns, row, small);
    });
    product
}
