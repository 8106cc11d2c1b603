//! Truncated singular value decomposition of a sparse matrix by random projection.

use rayon::prelude::*;

use super::dense::{RANK_TOLERANCE, gram, multiply, orthonormalize};
use super::eigen::symmetric_eigen;
use super::sparse::Sparse;
use super::tokens::mix;
use crate::Result;
use crate::workers::Workers;

/// Directions carried beside the ones asked for, so that the last of those are found as well as the first.
const OVERSAMPLING: usize = 24;

/// Multiplications by `SSᵀ` that turn random directions into the leading ones.
const POWER_ITERATIONS: usize = 3;

/// How often [`truncated_svd`] pauses.
pub(super) const PAUSES: usize = 2 * POWER_ITERATIONS + 1;

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
/// Block power iteration on the rows' side: `Q` starts Gaussian (`len x (dim + 24)`) and becomes
/// `orth(S Sᵀ Q)` three times; the eigenvectors `W` and eigenvalues `e` of `ZᵀZ`, `Z = SᵀQ`, then give the
/// right singular vectors `Z W e^(-1/2)` and the singular values `e^(1/2)`.
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
    let transposed = matrix.transpose();
    let mut basis = workers.run(|| gaussian(matrix.len(), width, seed));
    for _ in 0..POWER_ITERATIONS {
        pause()?;
        basis = workers.run(|| matrix.times(&transposed.times(&basis, width), width));
        pause()?;
        workers.run(|| orthonormalize(&mut basis, width));
    }
    pause()?;
    workers.run(|| Ok(leading(&transposed.times(&basis, width), width, dim)))
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
            rotation[j * dim + i] = (eigen.vectors[i * width + j] / singular_value) as f32;
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
        (angle.cos() * (-2.0 * uniform(2 * i + 1).ln()).sqrt()) as f32
    };
    (0..len * dim).into_par_iter().map(|i| deviate(i as u64)).collect()
}
