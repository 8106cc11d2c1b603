//! The objective of the published fit, with its gradient: a sum of three Euclidean norms.

use std::collections::BTreeMap;

/// One distinct entry of a symmetric tensor of order 1, 2 or 3.
struct Cell {
    /// Classes in ascending order; only the first `rank` count.
    at: [usize; 3],
    /// How many entries of the full tensor it stands for.
    multiplicity: f64,
    /// Their mean in the counted tensor.
    counted: f64,
    /// Modeled minus counted, at the last evaluation.
    residual: f64,
}

/// The tensor of one order. The model is symmetric, so only the symmetric part of the counts pulls at it; the
/// rest is a constant under the root, and K^3 entries shrink to K (K + 1) (K + 2) / 6.
struct Order {
    rank: usize,
    cells: Vec<Cell>,
    asymmetry: f64,
}

impl Order {
    fn new(rank: usize, k: usize, tensor: &[f64]) -> Self {
        let mut sums: BTreeMap<[usize; 3], (f64, f64)> = BTreeMap::new();
        let sorted = |entry: usize| {
            let mut at = [entry % k, entry / k % k, entry / (k * k)];
            at[..rank].sort_unstable();
            at
        };
        for (entry, &value) in tensor.iter().enumerate() {
            let sum = sums.entry(sorted(entry)).or_default();
            *sum = (sum.0 + 1.0, sum.1 + value);
        }
        let deviation = |(entry, value): (usize, &f64)| {
            let (multiplicity, sum) = sums[&sorted(entry)];
            (value - sum / multiplicity).powi(2)
        };
        let asymmetry = tensor.iter().enumerate().map(deviation).sum();
        let cell = |(&at, &(multiplicity, sum)): (_, &(f64, f64))| Cell {
            at,
            multiplicity,
            counted: sum / multiplicity,
            residual: 0.0,
        };
        Self { rank, cells: sums.iter().map(cell).collect(), asymmetry }
    }

    /// The norm of modeled minus counted over the full tensor; keeps the residuals.
    fn norm(&mut self, columns: &[f64], prior: &[f64]) -> f64 {
        let k = prior.len();
        let mut squares = self.asymmetry;
        for cell in &mut self.cells {
            let [x, y, z] = cell.at.map(|a| &columns[a * k..(a + 1) * k]);
            let model: f64 = match self.rank {
                1 => (0..k).map(|i| prior[i] * x[i]).sum(),
                2 => (0..k).map(|i| prior[i] * x[i] * y[i]).sum(),
                _ => (0..k).map(|i| prior[i] * x[i] * y[i] * z[i]).sum(),
            };
            cell.residual = model - cell.counted;
            squares += cell.multiplicity * cell.residual * cell.residual;
        }
        squares.sqrt()
    }

    /// Add the gradient of the norm by T (columns) and p. At a norm of 0 the gradient is taken as 0.
    fn add_gradient(&self, norm: f64, columns: &[f64], prior: &[f64], gradient: &mut [f64]) {
        if norm == 0.0 {
            return;
        }
        let k = prior.len();
        let by_p = k * k;
        for cell in &self.cells {
            let weight = cell.multiplicity * cell.residual / norm;
            let [a, b, c] = cell.at.map(|class| class * k);
            for i in 0..k {
                let p = weight * prior[i];
                let (x, y, z) = match self.rank {
                    1 => (columns[a + i], 1.0, 1.0),
                    2 => (columns[a + i], columns[b + i], 1.0),
                    _ => (columns[a + i], columns[b + i], columns[c + i]),
                };
                gradient[by_p + i] += weight * x * y * z;
                gradient[a + i] += p * y * z;
                if self.rank >= 2 {
                    gradient[b + i] += p * x * z;
                }
                if self.rank == 3 {
                    gradient[c + i] += p * x * y;
                }
            }
        }
    }
}

/// The sum of three norms.
pub(super) struct Objective {
    orders: [Order; 3],
}

impl Objective {
    /// `c3` is `(K, K, K)` row-major; c2 and c1 are its marginals.
    pub(super) fn new(c3: &[f64], k: usize) -> Self {
        let c2: Vec<f64> = c3.chunks_exact(k).map(|row| row.iter().sum()).collect();
        let c1: Vec<f64> = c2.chunks_exact(k).map(|row| row.iter().sum()).collect();
        Self { orders: [Order::new(1, k, &c1), Order::new(2, k, &c2), Order::new(3, k, c3)] }
    }

    /// The value at T (by column: `a * K + i` for `T_ia`) and p.
    pub(super) fn loss(&mut self, columns: &[f64], prior: &[f64]) -> f64 {
        self.orders.iter_mut().map(|order| order.norm(columns, prior)).sum()
    }

    /// The gradient by T (by column), then by p.
    pub(super) fn gradient(&mut self, columns: &[f64], prior: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; columns.len() + prior.len()];
        for order in &mut self.orders {
            let norm = order.norm(columns, prior);
            order.add_gradient(norm, columns, prior, &mut gradient);
        }
        gradient
    }
}
