//! Eigenvectors of a small symmetric matrix by Jacobi rotations.

/// Sweeps after which the matrix is diagonal to the last bit or never will be; a few hundred columns need
/// fewer than 12.
const MOST_SWEEPS: usize = 60;

/// Eigenvalues and eigenvectors of a symmetric matrix, largest eigenvalue first.
#[derive(Debug)]
pub(super) struct Eigen {
    /// The eigenvalues, descending.
    pub(super) values: Vec<f64>,
    /// Eigenvector `i` is `vectors[i * dim..(i + 1) * dim]`; they are orthonormal.
    pub(super) vectors: Vec<f64>,
}

/// Decompose a symmetric matrix given by its upper triangle (`dim * dim` values, row after row).
///
/// Cyclic Jacobi: each rotation makes one entry off the diagonal zero, and rows of the rotation's product
/// become the eigenvectors. It is slower than a tridiagonal reduction but short, needs no shift strategy and
/// leaves the vectors orthonormal to rounding; 280 columns take about a fifth of a second.
///
/// Source: Golub and Van Loan, Matrix Computations, 4th edition, section 8.5.
pub(super) fn symmetric_eigen(upper: &[f64], dim: usize) -> Eigen {
    let mut matrix = upper.to_vec();
    for i in 0..dim {
        for j in 0..i {
            matrix[i * dim + j] = matrix[j * dim + i];
        }
    }
    let mut vectors = vec![0.0; dim * dim];
    (0..dim).for_each(|i| vectors[i * dim + i] = 1.0);
    let size = matrix.iter().map(|value| value * value).sum::<f64>();
    // An entry this small moves no eigenvalue by more than the rounding of the largest.
    let negligible = f64::EPSILON * size.sqrt() / dim.max(1) as f64;
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for p in 0..dim {
            for q in p + 1..dim {
                if matrix[p * dim + q].abs() > negligible {
                    let rotation = Rotation::diagonalizing(&matrix, dim, p, q);
                    rotation.conjugate(&mut matrix, dim, p, q);
                    let (above, below) = vectors.split_at_mut(q * dim);
                    rotation.mix(&mut above[p * dim..][..dim], &mut below[..dim]);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    sorted(&matrix, &vectors, dim)
}

/// A rotation in the plane of two coordinates.
struct Rotation {
    cos: f64,
    sin: f64,
    tan: f64,
}

impl Rotation {
    /// The smaller of the two rotations that make entry `(p, q)` zero.
    fn diagonalizing(matrix: &[f64], dim: usize, p: usize, q: usize) -> Self {
        let slope = (matrix[q * dim + q] - matrix[p * dim + p]) / (2.0 * matrix[p * dim + q]);
        let tan = slope.signum() / (slope.abs() + slope.hypot(1.0));
        let cos = 1.0 / tan.hypot(1.0);
        Self { cos, sin: tan * cos, tan }
    }

    /// `x, y <- cos x - sin y, sin x + cos y`, elementwise.
    fn mix(&self, x: &mut [f64], y: &mut [f64]) {
        for (x, y) in x.iter_mut().zip(y) {
            (*x, *y) = (self.cos * *x - self.sin * *y, self.sin * *x + self.cos * *y);
        }
    }

    /// Rotate rows and columns `p < q` of a full symmetric matrix.
    fn conjugate(&self, matrix: &mut [f64], dim: usize, p: usize, q: usize) {
        let (pp, pq, qq) = (matrix[p * dim + p], matrix[p * dim + q], matrix[q * dim + q]);
        let (above, below) = matrix.split_at_mut(q * dim);
        self.mix(&mut above[p * dim..][..dim], &mut below[..dim]);
        for k in 0..dim {
            matrix[k * dim + p] = matrix[p * dim + k];
            matrix[k * dim + q] = matrix[q * dim + k];
        }
        matrix[p * dim + p] = pp - self.tan * pq;
        matrix[q * dim + q] = qq + self.tan * pq;
        matrix[p * dim + q] = 0.0;
        matrix[q * dim + p] = 0.0;
    }
}

fn sorted(matrix: &[f64], vectors: &[f64], dim: usize) -> Eigen {
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| matrix[b * dim + b].total_cmp(&matrix[a * dim + a]).then(a.cmp(&b)));
    Eigen {
        values: order.iter().map(|&i| matrix[i * dim + i]).collect(),
        vectors: order.iter().flat_map(|&i| &vectors[i * dim..(i + 1) * dim]).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest entry of `A - V diag(e) Vᵀ` and of `V Vᵀ - 1`.
    fn errors(matrix: &[f64], eigen: &Eigen, dim: usize) -> (f64, f64) {
        let vector = |i: usize| &eigen.vectors[i * dim..(i + 1) * dim];
        let (mut rebuilt, mut orthonormal) = (0.0_f64, 0.0_f64);
        for i in 0..dim {
            for j in i..dim {
                let entry: f64 = (0..dim).map(|k| vector(k)[i] * eigen.values[k] * vector(k)[j]).sum();
                rebuilt = rebuilt.max((entry - matrix[i * dim + j]).abs());
                let product: f64 = vector(i).iter().zip(vector(j)).map(|(a, b)| a * b).sum();
                orthonormal = orthonormal.max((product - f64::from(u8::from(i == j))).abs());
            }
        }
        (rebuilt, orthonormal)
    }

    proptest! {
        #[test]
        fn a_symmetric_matrix_is_rebuilt_from_its_parts(
            (dim, matrix) in (1_usize..30).prop_flat_map(|dim| (Just(dim), prop::collection::vec(-1.0..1.0, dim * dim))),
            scale in -200_i32..200,
        ) {
            let matrix: Vec<f64> = matrix.iter().map(|x: &f64| x * 2.0_f64.powi(scale)).collect();
            let eigen = symmetric_eigen(&matrix, dim);
            let (rebuilt, orthonormal) = errors(&matrix, &eigen, dim);
            prop_assert!(rebuilt < 1e-13 * 2.0_f64.powi(scale) * dim as f64, "{}", rebuilt);
            prop_assert!(orthonormal < 1e-13, "{}", orthonormal);
            prop_assert!(eigen.values.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn known_eigenvalues() {
        // The path of 40 vertices: 2 - 2 cos(pi k / 41).
        let dim = 40;
        let mut matrix = vec![0.0; dim * dim];
        for i in 0..dim {
            matrix[i * dim + i] = 2.0;
            if i + 1 < dim {
                matrix[i * dim + i + 1] = -1.0;
            }
        }
        for (found, k) in symmetric_eigen(&matrix, dim).values.iter().zip((1..=40).rev()) {
            let expected = 2.0 - 2.0 * (std::f64::consts::PI * f64::from(k) / 41.0).cos();
            assert!((found - expected).abs() < 1e-13, "{found} for {expected}");
        }
    }

    #[test]
    fn zero_diagonal_and_repeated_matrices() {
        assert_eq!(symmetric_eigen(&[], 0).values, [0.0; 0]);
        assert_eq!(symmetric_eigen(&[0.0; 9], 3).values, [0.0; 3]);
        assert_eq!(symmetric_eigen(&[1.0, 0.0, 0.0, 3.0], 2).values, [3.0, 1.0]);
        let ones = symmetric_eigen(&[1.0; 400], 20);
        assert!((ones.values[0] - 20.0).abs() < 1e-13 && ones.values[1..].iter().all(|x| x.abs() < 1e-13));
    }
}
