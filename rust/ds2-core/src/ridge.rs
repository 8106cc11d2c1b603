//! Ridge regression from sums: what a cheap model of the ratings is fitted with.
//!
//! Sums of products of rows can be added up batch by batch and fold by fold, so that a fit on more rows, or
//! on all rows but some, costs no second look at them.

use rayon::prelude::*;

use crate::lexical::dense;
use crate::{Error, Result, Rows};

/// Rows that one task multiplies.
const ROW_BLOCK: usize = 256;

/// Running sums of a product; fixed, as they decide the order of the additions.
const LANES: usize = 8;

/// A pivot below this share of its diagonal is rounding noise: the column depends on the ones before it.
const TOLERANCE: f64 = 1e-12;

/// The upper triangle of `XᵀX`, zero below the diagonal: `dim * dim` values, each summed in the order of the
/// rows, whatever the number of threads. O(n dim²).
///
/// # Errors
///
/// [`Error::Value`] if a value is not finite.
pub fn gram(rows: Rows<'_, f32>) -> Result<Vec<f64>> {
    let values = rows.data();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let (row, column) = (at / rows.dim(), at % rows.dim());
        return Err(Error::value(format!("rows: row {row} holds {} in column {column}", values[at])));
    }
    Ok(dense::gram(values, rows.dim()))
}

/// Weights `w` that minimize `Σ (y - x w)² + Σ penalty_j w_j²`, from the sums of products of `(x, y)`.
///
/// `gram` is the upper triangle of the products of `d + 1` columns, the target last; `penalty` has `d`
/// values, 0 for a column that is not shrunk (the constant one). By Cholesky, O(d³ / 3), on one thread.
///
/// # Errors
///
/// [`Error::Shape`] if `gram` is not square with one column more than `penalty`; [`Error::Value`] if a
/// penalty is negative or not finite, or columns that are not shrunk depend on others.
pub fn solve_ridge(gram: &[f64], penalty: &[f64]) -> Result<Vec<f64>> {
    let (d, side) = (penalty.len(), penalty.len() + 1);
    if gram.len() != side * side {
        return Err(Error::shape(format!(
            "gram must hold {side} x {side} values for {d} penalties, got {}",
            gram.len()
        )));
    }
    if let Some((at, value)) = penalty.iter().enumerate().find(|(_, p)| !(0.0..f64::INFINITY).contains(*p)) {
        return Err(Error::value(format!("penalty[{at}] must be 0 or more, got {value}")));
    }
    // The target rides along as the last column of the factor: it becomes R⁻ᵀ Xᵀy.
    let mut factor = gram.to_vec();
    for (j, &penalty) in penalty.iter().enumerate() {
        factor[j * side + j] += penalty;
    }
    for j in 0..d {
        let whole = gram[j * side + j] + penalty[j];
        let (done, below) = factor.split_at_mut((j + 1) * side);
        let pivot = &mut done[j * side..];
        if pivot[j].is_nan() || pivot[j] <= TOLERANCE * whole {
            return Err(Error::value(format!("column {j} depends on the ones before it and is not shrunk")));
        }
        let root = pivot[j].sqrt();
        pivot[j..].iter_mut().for_each(|value| *value /= root);
        for (i, row) in (j + 1..d).zip(below.chunks_mut(side)) {
            let share = pivot[i];
            row[i..].iter_mut().zip(&pivot[i..]).for_each(|(value, &p)| *value -= share * p);
        }
    }
    let mut weights = vec![0.0; d];
    for j in (0..d).rev() {
        let row = &factor[j * side..][..side];
        let known: f64 = row[j + 1..d].iter().zip(&weights[j + 1..]).map(|(r, w)| r * w).sum();
        weights[j] = (row[d] - known) / row[j];
    }
    Ok(weights)
}

/// The product `X w`, float64 `(n,)`, each value summed in a fixed order. O(n d).
///
/// # Errors
///
/// [`Error::Shape`] if there is not one weight for each column.
pub fn apply_weights(rows: Rows<'_, f32>, weights: &[f64]) -> Result<Vec<f64>> {
    let dim = rows.dim();
    if weights.len() != dim {
        return Err(Error::shape(format!("weights must hold {dim} values, got {}", weights.len())));
    }
    let mut product = vec![0.0; rows.len()];
    let blocks = rows.data().par_chunks((ROW_BLOCK * dim).max(1));
    product.par_chunks_mut(ROW_BLOCK).zip(blocks).for_each(|(out, block)| {
        for (value, row) in out.iter_mut().zip(block.chunks(dim.max(1))) {
            *value = dot(row, weights);
        }
    });
    Ok(product)
}

fn dot(row: &[f32], weights: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (x, w) in row.chunks(LANES).zip(weights.chunks(LANES)) {
        for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
            *sum += f64::from(x) * w;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(values: &[f32], dim: usize) -> Rows<'_, f32> {
        Rows::new(values, values.len() / dim, dim).unwrap()
    }

    #[test]
    fn a_line_is_found_and_a_penalty_flattens_it() {
        // Columns x, 1, y = 2x + 1.
        let values: Vec<f32> =
            (0..10_u8).flat_map(|x| [f32::from(x), 1.0, 2.0 * f32::from(x) + 1.0]).collect();
        let sums = gram(rows(&values, 3)).unwrap();
        let exact = solve_ridge(&sums, &[0.0, 0.0]).unwrap();
        assert!((exact[0] - 2.0).abs() < 1e-9 && (exact[1] - 1.0).abs() < 1e-9, "{exact:?}");
        // Centered sums: Sxx = 82.5, Sxy = 165; the slope is 165 / (82.5 + 82.5), the line meets the means.
        let flat = solve_ridge(&sums, &[82.5, 0.0]).unwrap();
        assert!((flat[0] - 1.0).abs() < 1e-9 && (flat[1] - 5.5).abs() < 1e-9, "{flat:?}");
    }

    proptest! {
        /// At the minimum the gradient `Xᵀ(Xw - y) + penalty w` is zero.
        #[test]
        fn the_gradient_vanishes(
            d in 1_usize..12, values in prop::collection::vec(-2.0_f32..2.0, 13 * 60), penalty in 0.1_f64..9.0,
        ) {
            let side = d + 1;
            let values = &values[..values.len() / side * side];
            let weights = solve_ridge(&gram(rows(values, side)).unwrap(), &vec![penalty; d]).unwrap();
            for j in 0..d {
                let gradient: f64 = values.chunks(side).map(|row| {
                    let fit: f64 = row.iter().zip(&weights).map(|(&x, w)| f64::from(x) * w).sum();
                    f64::from(row[j]) * (fit - f64::from(row[d]))
                }).sum::<f64>() + penalty * weights[j];
                prop_assert!(gradient.abs() < 1e-8, "{gradient}");
            }
        }

        #[test]
        fn the_product_is_the_plain_one(d in 1_usize..40, values in prop::collection::vec(-2.0_f32..2.0, 400)) {
            let values = &values[..values.len() / d * d];
            let weights: Vec<f64> = (0..d).map(|j| j as f64 - 3.0).collect();
            let product = apply_weights(rows(values, d), &weights).unwrap();
            for (row, found) in values.chunks(d).zip(product) {
                let plain: f64 = row.iter().zip(&weights).map(|(&x, w)| f64::from(x) * w).sum();
                prop_assert!((found - plain).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_cannot_be_solved_is_refused() {
        let twice = gram(rows(&[1.0, 1.0, 0.0, 2.0, 2.0, 1.0], 3)).unwrap();
        let message = solve_ridge(&twice, &[0.0, 0.0]).unwrap_err().to_string();
        assert_eq!(message, "column 1 depends on the ones before it and is not shrunk");
        assert!(solve_ridge(&twice, &[1.0, 1.0]).is_ok());
        assert!(solve_ridge(&twice, &[0.0]).is_err());
        assert!(solve_ridge(&twice, &[-1.0, 0.0]).is_err());
        let message = gram(rows(&[1.0, f32::NAN], 2)).unwrap_err().to_string();
        assert_eq!(message, "rows: row 0 holds NaN in column 1");
        assert!(apply_weights(rows(&[1.0, 2.0], 2), &[1.0]).is_err());
    }
}
