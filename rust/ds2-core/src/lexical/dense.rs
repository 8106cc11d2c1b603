//! Tall dense matrices (many rows of a few hundred columns): Gram matrix, orthonormal columns, product with
//! a small matrix. Rows are stored in f32, everything is computed in f64.

use rayon::prelude::*;

/// A column whose squared length falls below this share of what it was, once the columns before it are taken
/// out, counts as dependent on them: ten thousand times the noise of the f32 rows it comes from.
pub(super) const RANK_TOLERANCE: f64 = 1e-10;

/// A column that keeps more than this share of its squared length is orthogonal to `1e-16 / 1e-4` in one pass.
const SAFE_SHARE: f64 = 1e-4;

/// Passes after which columns are orthonormal, whatever they were: the second is enough but for the unluckiest
/// of columns at the very tolerance.
const MOST_PASSES: usize = 3;

/// Columns of a Gram matrix that one task sums up: 20 rows of 280 values stay in the first-level cache.
const GRAM_BLOCK: usize = 20;

/// Rows that one task solves or multiplies.
const ROW_BLOCK: usize = 64;

/// The nearest f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is meant")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

/// The upper triangle of `XᵀX` for `X` of rows of `dim` values; `dim * dim` values, zero below the diagonal.
///
/// Parallel over the columns of the result, so each sum runs over the rows in order.
pub(crate) fn gram(rows: &[f32], dim: usize) -> Vec<f64> {
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
/// A column that depends on the ones before it becomes a zero column. Where little was left of a column, the
/// rounding of the first pass is not small beside it, so the columns are treated once more.
pub(super) fn orthonormalize(rows: &mut [f32], dim: usize) {
    for _ in 0..MOST_PASSES {
        let (factor, least) = cholesky(gram(rows, dim), dim);
        rows.par_chunks_mut((ROW_BLOCK * dim).max(1)).for_each(|block| {
            let mut wide = vec![0.0; dim];
            for row in block.chunks_mut(dim) {
                wide.iter_mut().zip(&*row).for_each(|(wide, &value)| *wide = f64::from(value));
                solve(&factor, &mut wide);
                row.iter_mut().zip(&wide).for_each(|(value, &wide)| *value = narrow(wide));
            }
        });
        if least > SAFE_SHARE {
            break;
        }
    }
}

/// The upper triangular `R` with `RᵀR = gram`, given the upper triangle; dependent columns get a zero row.
/// And the least share of its squared length that any of the others kept.
fn cholesky(mut gram: Vec<f64>, dim: usize) -> (Vec<f64>, f64) {
    let lengths: Vec<f64> = (0..dim).map(|j| gram[j * dim + j]).collect();
    let mut least = 1.0_f64;
    for j in 0..dim {
        let (done, below) = gram.split_at_mut((j + 1) * dim);
        let pivot = &mut done[j * dim..];
        if pivot[j] <= RANK_TOLERANCE * lengths[j] {
            pivot[j..].fill(0.0);
            continue;
        }
        least = least.min(pivot[j] / lengths[j]);
        let root = pivot[j].sqrt();
        pivot[j..].iter_mut().for_each(|value| *value /= root);
        for (i, row) in (j + 1..).zip(below.chunks_mut(dim)) {
            let factor = pivot[i];
            row[i..].iter_mut().zip(&pivot[i..]).for_each(|(value, &p)| *value -= factor * p);
        }
    }
    (gram, least)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_gram(rows: &[f32], dim: usize) -> Vec<f64> {
        let entry = |i: usize, j: usize| -> f64 {
            rows.chunks(dim).map(|row| f64::from(row[i]) * f64::from(row[j])).sum()
        };
        (0..dim * dim).map(|at| if at / dim <= at % dim { entry(at / dim, at % dim) } else { 0.0 }).collect()
    }

    /// How far the columns are from orthonormal, zero columns aside.
    fn defect(rows: &[f32], dim: usize) -> f64 {
        let gram = plain_gram(rows, dim);
        let off =
            (0..dim).flat_map(|i| (i + 1..dim).map(move |j| (i, j))).map(|(i, j)| gram[i * dim + j].abs());
        let diagonal = (0..dim).map(|i| gram[i * dim + i]).filter(|&x| x != 0.0).map(|x| (x - 1.0).abs());
        off.chain(diagonal).fold(0.0, f64::max)
    }

    fn tall() -> impl Strategy<Value = (usize, Vec<f32>)> {
        (1_usize..50, 0_usize..70)
            .prop_flat_map(|(dim, len)| (Just(dim), prop::collection::vec(-1.0_f32..1.0, len * dim)))
    }

    proptest! {
        #[test]
        fn gram_is_the_plain_one((dim, rows) in tall()) {
            for (found, expected) in gram(&rows, dim).iter().zip(plain_gram(&rows, dim)) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
        }

        #[test]
        fn columns_become_orthonormal((dim, rows) in tall()) {
            let mut basis = rows;
            orthonormalize(&mut basis, dim);
            prop_assert!(defect(&basis, dim) < 1e-5, "{}", defect(&basis, dim));
        }

        #[test]
        fn multiply_is_the_plain_product((dim, rows) in tall(), width in 1_usize..9) {
            let small: Vec<f32> = (0..dim * width).map(|i| (i % 7) as f32 - 3.0).collect();
            let product = multiply(&rows, dim, &small, width);
            for (at, &found) in product.iter().enumerate() {
                let (row, k) = (&rows[at / width * dim..][..dim], at % width);
                let expected: f32 = row.iter().enumerate().map(|(j, x)| x * small[j * width + k]).sum();
                prop_assert!((found - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn dependent_columns_become_zero_and_the_span_stays() {
        // Columns a, 2a, b, a + b.
        let rows: Vec<f32> = (0..40_u16)
            .flat_map(|i| {
                let (a, b) = (f32::from(i).sin(), f32::from(i).cos());
                [a, 2.0 * a, b, a + b]
            })
            .collect();
        let mut basis = rows.clone();
        orthonormalize(&mut basis, 4);
        assert!(basis.chunks(4).all(|row| row[1] == 0.0 && row[3] == 0.0));
        assert!(defect(&basis, 4) < 1e-6);
        let column = |of: &[f32], j: usize| of.chunks(4).map(|row| f64::from(row[j])).collect::<Vec<_>>();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let (sum, first, third) = (column(&rows, 3), column(&basis, 0), column(&basis, 2));
        let inside = dot(&sum, &first).powi(2) + dot(&sum, &third).powi(2);
        assert!((inside - dot(&sum, &sum)).abs() < 1e-5);
    }

    #[test]
    fn badly_scaled_columns_are_orthonormal_too() {
        let mut basis: Vec<f32> = (0..300_u16)
            .flat_map(|i| {
                [1.0 + f32::from(i).sin(), 1.0 + 1e-3 * f32::from(i).cos(), 1e-4 * f32::from(i % 5)]
            })
            .collect();
        orthonormalize(&mut basis, 3);
        assert!(defect(&basis, 3) < 1e-5, "{}", defect(&basis, 3));
    }
}
