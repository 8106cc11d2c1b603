//! Truncated singular value decomposition of a sparse matrix by random projection.

use rayon::prelude::*;

use super::dense::{RANK_TOLERANCE, gram, multiply, narrow, orthonormalize};
use super::eigen::symmetric_eigen;
use super::sparse::Sparse;
use super::tokens::mix;
use crate::Result;
use crate::workers::Workers;

/// Directions carried beside the ones asked for, so that the last of those are found as well as the first.
const OVERSAMPLING: usize = 24;

/// Multiplications by `SᵀS` that turn random directions into the leading ones.
///
/// The spectrum of text is flat, so the last directions converge slowly, and nothing is gained when they do:
/// on Alpaca, 2, 3, 5 multiplications give .626, .623, .619 (4,000 queries as in the parent module, November
/// 2026), while the neighbors under two seeds are .79, .83, .87 the same.
const POWER_ITERATIONS: usize = 3;

/// How often [`truncated_svd`] pauses.
pub(super) const PAUSES: usize = 2 * POWER_ITERATIONS;

/// The leading right singular vectors of a sparse matrix.
#[derive(Debug)]
pub(super) struct Svd {
    /// Row `t` holds what column `t` of the matrix adds to each of `dim` directions. Columns are orthonormal,
    /// largest singular value first; past the rank they are zero.
    pub(super) loadings: Vec<f32>,
    /// The singular values that are not zero, at most `dim`, descending.
    pub(super) singular_values: Vec<f64>,
}

/// Find the `dim` leading right singular vectors of `matrix`.
///
/// Block power iteration: `Z` starts Gaussian (a row for each column of `S`, `dim + 24` columns) and becomes
/// `Sᵀ orth(S Z)` three times; the eigenvectors `W` and eigenvalues `e` of `ZᵀZ` then give the right singular
/// vectors `Z W e^(-1/2)` and the singular values `e^(1/2)`. The start belongs to the columns, so that the
/// order of the rows matters for rounding only.
///
/// `pause` is called between the products and may stop the computation with its error.
///
/// Source: Halko, Martinsson and Tropp, SIAM Review 53 (2011), algorithms 4.4 and 5.1.
pub(super) fn truncated_svd(
    matrix: &Sparse,
    dim: usize,
    seed: u64,
    workers: &Workers,
    pause: &mut dyn FnMut() -> Result<()>,
) -> Result<Svd> {
    let width = (dim + OVERSAMPLING).min(matrix.len()).min(matrix.width());
    if width == 0 {
        return Ok(Svd { loadings: vec![0.0; matrix.width() * dim], singular_values: Vec::new() });
    }
    let transposed = matrix.transpose();
    let mut images = workers.run(|| gaussian(matrix.width(), width, seed));
    for _ in 0..POWER_ITERATIONS {
        let mut basis = workers.run(|| matrix.times(&images, width));
        pause()?;
        images = workers.run(|| {
            orthonormalize(&mut basis, width);
            transposed.times(&basis, width)
        });
        pause()?;
    }
    Ok(workers.run(|| leading(&images, width, dim)))
}

/// Turn `Z = SᵀQ` into loadings and singular values.
fn leading(images: &[f32], width: usize, dim: usize) -> Svd {
    let eigen = symmetric_eigen(&gram(images, width), width);
    let smallest = RANK_TOLERANCE * eigen.values.first().copied().unwrap_or(0.0);
    let rank = eigen.values.iter().take(dim).take_while(|&&value| value > smallest).count();
    let singular_values: Vec<f64> = eigen.values[..rank].iter().map(|value| value.sqrt()).collect();
    let mut rotation = vec![0.0_f32; width * dim];
    for (i, singular_value) in singular_values.iter().enumerate() {
        for j in 0..width {
            rotation[j * dim + i] = narrow(eigen.vectors[i * width + j] / singular_value);
        }
    }
    Svd { loadings: multiply(images, width, &rotation, dim), singular_values }
}

/// `len` rows of `dim` normal deviates; entry `i` depends on `seed` and `i` alone (Box and Muller's pairs of
/// counter-based uniforms), so any thread may make it.
fn gaussian(len: usize, dim: usize, seed: u64) -> Vec<f32> {
    let key = mix(seed ^ 0x5851_f42d_4c95_7f2d);
    let uniform = |counter: u64| {
        let bits = mix(key ^ mix(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15))) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    };
    let deviate = |i: u64| {
        let angle = std::f64::consts::TAU * uniform(2 * i);
        narrow(angle.cos() * (-2.0 * uniform(2 * i + 1).ln()).sqrt())
    };
    (0..len * dim).into_par_iter().map(|i| deviate(i as u64)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::naive;
    use super::super::sparse::SparseRow;
    use super::*;

    /// `rows` as a sparse matrix, zeros left out.
    fn sparse(rows: &[Vec<f64>], width: usize) -> Sparse {
        let mut matrix = Sparse::new(width);
        for row in rows {
            let (columns, values) =
                (0..).zip(row).filter(|&(_, &x)| x != 0.0).map(|(j, &x)| (j, narrow(x))).unzip();
            matrix.push(&SparseRow { columns, values });
        }
        matrix
    }

    fn decompose(matrix: &Sparse, dim: usize) -> Svd {
        truncated_svd(matrix, dim, 42, &Workers::new(None).unwrap(), &mut || Ok(())).unwrap()
    }

    /// `len` rows of `width` values: a product of Gaussian factors of `rank` columns, column `k` scaled by
    /// `decay^k`.
    fn low_rank(len: usize, width: usize, rank: usize, decay: f64, seed: u64) -> Vec<Vec<f64>> {
        let (left, right) = (gaussian(len, rank, seed), gaussian(width, rank, seed + 1));
        let scale: Vec<f64> = (0..).take(rank).map(|k| decay.powi(k)).collect();
        let entry = |i: usize, j: usize| {
            (0..rank).map(|k| f64::from(left[i * rank + k]) * scale[k] * f64::from(right[j * rank + k])).sum()
        };
        (0..len).map(|i| (0..width).map(|j| entry(i, j)).collect()).collect()
    }

    fn direction(svd: &Svd, dim: usize, i: usize) -> Vec<f64> {
        svd.loadings.chunks(dim).map(|row| f64::from(row[i])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn low_rank_matrices_are_taken_apart_exactly(
            len in 1_usize..90, width in 1_usize..60, rank in 1_usize..8, spare in 0_usize..4, seed in 0_u64..1000,
        ) {
            let rows = low_rank(len, width, rank, 0.6, seed);
            let dim = rank + spare;
            let found = decompose(&sparse(&rows, width), dim);
            let (values, vectors) = naive::svd(&rows);
            let rank = rank.min(len).min(width);
            prop_assert_eq!(found.singular_values.len(), rank);
            for i in 0..rank {
                prop_assert!((found.singular_values[i] - values[i]).abs() < 1e-5 * values[0]);
                let own = direction(&found, dim, i);
                // The subspace: nothing of a direction lies outside the span of the exact ones.
                let inside: f64 = vectors[..rank].iter().map(|v| naive::dot(v, &own).powi(2)).sum();
                prop_assert!((inside - 1.0).abs() < 1e-4, "direction {}: {} inside", i, inside);
                for j in 0..rank {
                    let product = naive::dot(&own, &direction(&found, dim, j));
                    let expected = f64::from(u8::from(i == j));
                    prop_assert!((product - expected).abs() < 1e-4, "directions {} and {}: {}", i, j, product);
                }
            }
            prop_assert!((rank..dim).all(|i| direction(&found, dim, i).iter().all(|&x| x == 0.0)));
        }
    }

    #[test]
    fn a_gap_in_the_spectrum_makes_the_leading_space_certain() {
        // 200 x 120 of full rank, far more than dim + oversampling; each value is 0.8 of the one before.
        let rows = low_rank(200, 120, 60, 0.8, 5);
        let found = decompose(&sparse(&rows, 120), 6);
        let (values, vectors) = naive::svd(&rows);
        for i in 0..6 {
            assert!((found.singular_values[i] - values[i]).abs() < 1e-5 * values[0]);
            let inside: f64 =
                vectors[..6].iter().map(|v| naive::dot(v, &direction(&found, 6, i)).powi(2)).sum();
            assert!((inside - 1.0).abs() < 1e-5, "direction {i}: {inside} inside");
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        for (len, width) in [(0, 0), (3, 0), (0, 4), (3, 4)] {
            let found = decompose(&sparse(&vec![vec![0.0; width]; len], width), 2);
            assert!(found.singular_values.is_empty());
            assert_eq!(found.loadings, vec![0.0; width * 2]);
        }
    }

    #[test]
    fn deviates_are_normal_and_belong_to_their_place() {
        let deviates = gaussian(100_000, 2, 1);
        let moment = |power: i32| {
            deviates.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / deviates.len() as f64
        };
        // Standard errors over 200,000 deviates: .0022, .0032, .0087, .022.
        for (power, expected, error) in
            [(1, 0.0, 0.0022), (2, 1.0, 0.0032), (3, 0.0, 0.0087), (4, 3.0, 0.022)]
        {
            assert!((moment(power) - expected).abs() < 4.0 * error, "moment {power}: {}", moment(power));
        }
        assert_eq!(gaussian(10, 2, 1), deviates[..20]);
        assert_ne!(gaussian(10, 2, 2), deviates[..20]);
    }
}
