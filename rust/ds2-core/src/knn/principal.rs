//! An orthogonal map whose first coordinates hold most of what the rows hold.

use rayon::prelude::*;

use super::mixing::Mixing;
use super::product::{Panels, transposed_product};
use crate::dot::{Kernel, Narrow, Tile, product_error};
use crate::random::Stream;

/// Columns that are made orthogonal to all earlier ones side by side, then to each other.
const BLOCK: usize = 32;
/// Powers of the covariance that the random start is multiplied by.
const POWERS: usize = 3;
const SEED: u64 = 42;

/// A rotation into approximate principal components, as a matrix.
///
/// The first columns of `C^3 G`, C the covariance of a sample and G random, span nearly what the largest
/// principal components do. Made orthonormal one after another, they come by falling variance; the columns of
/// each stage are then mixed, so that coordinates of one stage are alike.
pub(crate) struct Principal {
    panels: Panels,
    error: f64,
}

impl Principal {
    /// Find the map from a row-major sample `(n, dim)` of centered rows; `stages` are the ends of the groups
    /// of columns, the last of them `dim`. Runs on the current rayon pool.
    pub(crate) fn fit(kernel: Kernel, sample: &[f32], dim: usize, stages: &[usize]) -> Self {
        let mut covariance = transposed_product(kernel, sample, dim, sample, dim);
        let trace: f32 = (0..dim).map(|i| covariance[i * dim + i]).sum();
        if trace > 0.0 {
            for value in &mut covariance {
                *value /= trace;
            }
        }
        let mut draws = Stream::new(SEED, dim as u64);
        let mut images: Vec<f32> = (0..dim * dim).map(|_| draws.centered()).collect();
        for _ in 0..POWERS {
            images = transposed_product(kernel, &covariance, dim, &images, dim);
        }
        let mut columns = transposed(&images, dim);
        orthonormalize(kernel, &mut columns, dim, &mut draws);
        let mut matrix = transposed(&columns, dim);
        let mut start = 0;
        for &end in stages {
            let mixing = Mixing::new(end - start, SEED);
            matrix.par_chunks_exact_mut(dim).for_each(|row| mixing.apply(&mut row[start..end]));
            start = end;
        }
        let defect = defect(kernel, &transposed(&matrix, dim), dim);
        // The matrix is within its defect of an orthogonal one (its polar factor); multiplying by it in f32
        // is off by `gamma_d` relative to the products of lengths, `sqrt(d)` of them in all.
        let error = defect + product_error(dim) * (dim as f64).sqrt() * (1.0 + defect);
        Self { panels: Panels::of_rows(&matrix, dim), error }
    }

    /// Map the rows of a strip; `take` gets the first coordinate of each panel and the images.
    pub(crate) fn apply(
        &self,
        kernel: Kernel,
        strip: &[Narrow],
        tile: &mut Tile,
        take: impl FnMut(usize, &Tile),
    ) {
        self.panels.multiply(kernel, strip, tile, take);
    }

    /// Bound on the distance of [`Self::apply`] from an exactly orthogonal map, relative to the length of the row.
    pub(crate) fn error(&self) -> f64 {
        self.error
    }
}

fn transposed(matrix: &[f32], dim: usize) -> Vec<f32> {
    (0..dim * dim).map(|at| matrix[at % dim * dim + at / dim]).collect()
}

/// Make `dim` columns of `dim` values orthonormal, one after another; a column that depends on the earlier
/// ones is drawn anew.
fn orthonormalize(kernel: Kernel, columns: &mut [f32], dim: usize, draws: &mut Stream) {
    for start in (0..dim).step_by(BLOCK) {
        let (done, rest) = columns.split_at_mut(start * dim);
        let block = rest.len().min(BLOCK * dim);
        rest[..block].par_chunks_exact_mut(dim).for_each(|column| {
            for _ in 0..2 {
                normalize(kernel, column);
                remove(kernel, column, done);
            }
        });
        for at in start..start + block / dim {
            let (done, column) = columns.split_at_mut(at * dim);
            let column = &mut column[..dim];
            // What is left of the earlier blocks is rounding.
            let mut others = &done[start * dim..];
            while !settle(kernel, column, others) {
                column.fill_with(|| draws.centered());
                others = done;
            }
        }
    }
}

/// Make `column` orthogonal to `done` and of unit length, if it is not (nearly) in their span.
fn settle(kernel: Kernel, column: &mut [f32], done: &[f32]) -> bool {
    let outside = normalize(kernel, column) > 0.0 && {
        remove(kernel, column, done);
        normalize(kernel, column) > 1e-3
    };
    // Once more, as the first pass left its rounding, a thousandfold at worst.
    outside && {
        remove(kernel, column, done);
        normalize(kernel, column) > 0.5
    }
}

/// Subtract from `column` its projections on the orthonormal columns `done`.
#[expect(clippy::cast_possible_truncation, reason = "what rounding leaves is measured in the end")]
fn remove(kernel: Kernel, column: &mut [f32], done: &[f32]) {
    for other in done.chunks_exact(column.len()) {
        let projection = kernel.dot(column, other) as f32;
        for (value, other) in column.iter_mut().zip(other) {
            *value -= projection * other;
        }
    }
}

/// Scale to unit length and return what the length was; 0 if it is too small to be scaled.
#[expect(clippy::cast_possible_truncation, reason = "as above")]
fn normalize(kernel: Kernel, column: &mut [f32]) -> f64 {
    let length = kernel.dot(column, column).sqrt();
    let scale = length.recip() as f32;
    if !scale.is_normal() {
        return 0.0;
    }
    for value in column {
        *value *= scale;
    }
    length
}

/// The Frobenius norm of `M^T M - 1` for the matrix M of these columns, and a little more for its rounding.
fn defect(kernel: Kernel, columns: &[f32], dim: usize) -> f64 {
    let column = |at: usize| &columns[at * dim..(at + 1) * dim];
    let rows: Vec<f64> = (0..dim)
        .into_par_iter()
        .map(|i| {
            let square = |j| (kernel.dot(column(i), column(j)) - f64::from(u8::from(i == j))).powi(2);
            square(i) + 2.0 * (0..i).map(square).sum::<f64>()
        })
        .collect();
    rows.iter().sum::<f64>().sqrt() * 1.001 + 1e-12
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of `rank` directions whose weights fall.
    fn sample(rows: usize, dim: usize, rank: usize) -> Vec<f32> {
        let mut draws = Stream::new(7, 0);
        let directions: Vec<f32> = (0..rank * dim).map(|_| draws.centered()).collect();
        let mut sample = vec![0.0; rows * dim];
        for row in sample.chunks_exact_mut(dim) {
            for (weight, direction) in directions.chunks_exact(dim).enumerate() {
                let weight = draws.centered() / (weight + 1) as f32;
                row.iter_mut().zip(direction).for_each(|(value, x)| *value += weight * x);
            }
        }
        sample
    }

    fn image(map: &Principal, row: &[f32]) -> Vec<f32> {
        let strip: Vec<Narrow> =
            row.iter().map(|&x| Narrow([x, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])).collect();
        let mut image = vec![0.0; row.len()];
        map.apply(Kernel::fastest(), &strip, &mut Tile::default(), |left, tile| {
            for (out, &value) in image[left..].iter_mut().zip(&tile.0[0]) {
                *out = value;
            }
        });
        image
    }

    fn product(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn it_is_orthogonal_up_to_its_error_and_leads_with_the_variance() {
        for (dim, rank) in [(96, 96), (100, 8), (64, 0), (130, 1)] {
            let (first, second) = (dim / 12 * 4, dim / 6 * 4);
            let rows = sample(300, dim, rank);
            for kernel in Kernel::available() {
                let map = Principal::fit(kernel, &rows, dim, &[first, second, dim]);
                assert!(map.error() < 1e-3, "{dim} {rank}: {}", map.error());
                let (mut head, mut whole) = (0.0, 0.0);
                for pair in rows.chunks_exact(2 * dim) {
                    let (a, b) = pair.split_at(dim);
                    let (x, y) = (image(&map, a), image(&map, b));
                    let size = (product(a, a) * product(b, b)).sqrt();
                    assert!((product(&x, &y) - product(a, b)).abs() <= 2.1 * map.error() * size);
                    head += product(&x[..first], &x[..first]);
                    whole += product(&x, &x);
                }
                assert!(head >= 0.8 * whole, "{dim} {rank}: {head} of {whole}");
            }
        }
    }
}
