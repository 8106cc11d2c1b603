//! A sparse matrix in compressed rows, and its product with a dense one.

use rayon::prelude::*;

/// Compressed sparse rows: row `i` holds `columns[j]` and `values[j]` for `j` in `starts[i]..starts[i + 1]`.
#[derive(Debug, Clone)]
pub(super) struct Sparse {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    width: usize,
}

/// One row: `values[j]` stands in column `columns[j]`.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRow {
    pub(super) columns: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl Sparse {
    /// A matrix without rows and of `width` columns.
    pub(super) fn new(width: usize) -> Self {
        Self { starts: vec![0], columns: Vec::new(), values: Vec::new(), width }
    }

    /// Append a row. Every column must be below the width.
    pub(super) fn push(&mut self, row: &SparseRow) {
        self.columns.extend(&row.columns);
        self.values.extend(&row.values);
        self.starts.push(self.columns.len());
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let range = self.starts[i]..self.starts[i + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The transposed matrix. Within a row of it, columns ascend: sums over it have one fixed order.
    pub(super) fn transpose(&self) -> Self {
        let mut starts = vec![0; self.width + 1];
        for &column in &self.columns {
            starts[column as usize + 1] += 1;
        }
        for i in 0..self.width {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut columns = vec![0; self.columns.len()];
        let mut values = vec![0.0; self.values.len()];
        for (i, number) in (0..self.len()).zip(0_u32..) {
            let (row_columns, row_values) = self.row(i);
            for (&column, &value) in row_columns.iter().zip(row_values) {
                let place = &mut next[column as usize];
                columns[*place] = number;
                values[*place] = value;
                *place += 1;
            }
        }
        Self { starts, columns, values, width: self.len() }
    }

    /// The product with `dense` (`width` rows of `dim` values): `len` rows of `dim` values.
    ///
    /// A row's sum runs over its entries in order, in f32, so its bits do not depend on the threads.
    pub(super) fn times(&self, dense: &[f32], dim: usize) -> Vec<f32> {
        debug_assert_eq!(dense.len(), self.width * dim);
        let mut product = vec![0.0; self.len() * dim];
        product.par_chunks_mut(dim.max(1)).enumerate().for_each(|(i, out)| {
            let (columns, values) = self.row(i);
            add_rows(out, columns, values, dense);
        });
        product
    }
}

/// Add `values[j] * dense[columns[j]]` to `out` for every `j`, four at a time: the sum is read and written
/// from memory a quarter as often.
pub(super) fn add_rows(out: &mut [f32], columns: &[u32], values: &[f32], dense: &[f32]) {
    let dim = out.len();
    let row = |column: u32| &dense[column as usize * dim..][..dim];
    let (fours, rest) = columns.as_chunks::<4>();
    let (weights, rest_weights) = values.as_chunks::<4>();
    for (&[a, b, c, d], &[u, v, w, x]) in fours.iter().zip(weights) {
        let terms = row(a).iter().zip(row(b)).zip(row(c).iter().zip(row(d)));
        for (sum, ((a, b), (c, d))) in out.iter_mut().zip(terms) {
            *sum += (u * a + v * b) + (w * c + x * d);
        }
    }
    for (&column, &value) in rest.iter().zip(rest_weights) {
        for (sum, &term) in out.iter_mut().zip(row(column)) {
            *sum += value * term;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A random matrix, dense and sparse.
    fn matrices() -> impl Strategy<Value = (Vec<Vec<f32>>, Sparse)> {
        (0_usize..12, 1_usize..15).prop_flat_map(|(len, width)| {
            let entry = prop_oneof![2 => Just(0.0_f32), 3 => -1.0_f32..1.0];
            prop::collection::vec(prop::collection::vec(entry, width), len).prop_map(move |rows| {
                let mut matrix = Sparse::new(width);
                for row in &rows {
                    let (columns, values) = (0..).zip(row).filter(|&(_, &x)| x != 0.0).unzip();
                    matrix.push(&SparseRow { columns, values });
                }
                (rows, matrix)
            })
        })
    }

    proptest! {
        #[test]
        fn products_are_the_plain_ones((rows, matrix) in matrices(), dim in 1_usize..6) {
            let width = matrix.width();
            let dense: Vec<f32> = (0..width * dim).map(|i| (i % 5) as f32 - 2.0).collect();
            let product = matrix.times(&dense, dim);
            prop_assert_eq!(product.len(), rows.len() * dim);
            for (at, found) in product.iter().enumerate() {
                let expected: f32 = (0..width).map(|j| rows[at / dim][j] * dense[j * dim + at % dim]).sum();
                prop_assert!((found - expected).abs() < 1e-5);
            }
        }

        #[test]
        fn the_transposed_matrix_has_the_same_entries((rows, matrix) in matrices()) {
            let transposed = matrix.transpose();
            prop_assert_eq!((transposed.len(), transposed.width()), (matrix.width(), matrix.len()));
            for j in 0..transposed.len() {
                let expected: Vec<_> = (0..).zip(&rows).filter(|(_, row)| row[j] != 0.0).map(|(i, row)| (i, row[j])).collect();
                let (columns, values) = transposed.row(j);
                let found: Vec<_> = columns.iter().copied().zip(values.iter().copied()).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
