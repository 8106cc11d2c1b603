//! The canonical similarity of a pair of rows, and how far the block product may be from it.

use rayon::prelude::*;

use crate::dot::{Kernel, prefetch, product_error};
use crate::topk::Candidate;
use crate::{Element, Error, Result, Rows};

/// Rows with what their cosine similarities need: the square of each length.
pub(crate) struct Cosine<'a, T> {
    rows: Rows<'a, T>,
    kernel: Kernel,
    squares: Vec<f64>,
}

/// Space for two rows converted to f32; unused where rows are f32 already.
#[derive(Default)]
pub(crate) struct Pair(Vec<f32>, Vec<f32>);

impl<'a, T: Element> Cosine<'a, T> {
    /// Measure `rows`, on the current rayon pool.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] at the first row with a value that is not finite, or that is all zeros unless
    /// `allow_zero`.
    pub(crate) fn measure(rows: Rows<'a, T>, kernel: Kernel, allow_zero: bool) -> Result<Self> {
        let squares: Vec<f64> = (0..rows.len())
            .into_par_iter()
            .map_init(Vec::new, |buffer, i| {
                let row = kernel.widen(rows.row(i), buffer);
                kernel.dot(row, row)
            })
            .collect();
        // The square of a finite f32 is finite in f64, and that of a non-zero one is not zero.
        for (i, &square) in squares.iter().enumerate() {
            if !square.is_finite() {
                return Err(not_finite(i, rows.row(i)));
            }
            if square == 0.0 && !allow_zero {
                return Err(Error::value(format!("row {i} is all zeros and has no direction")));
            }
        }
        Ok(Self { rows, kernel, squares })
    }

    pub(crate) fn rows(&self) -> Rows<'a, T> {
        self.rows
    }

    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Give `candidates` their similarity to row `i`: with row `j`, `dot(i, j) / sqrt(dot(i, i) * dot(j, j))`
    /// in f64, held to [-1, 1], rounded to f32; 0 if either row is all zeros.
    ///
    /// Symmetric bit for bit, the same on every kernel, exactly 1 for equal rows, and unchanged when a row
    /// is scaled by a power of two.
    pub(crate) fn settle(&self, i: usize, candidates: &mut [Candidate], pair: &mut Pair) {
        let row = |j: u32| self.rows.row(j as usize);
        let a = self.kernel.widen(self.rows.row(i), &mut pair.0);
        for c in 0..candidates.len() {
            // Candidates lie anywhere; fetching ahead halves the time.
            if let Some(next) = candidates.get(c + 2) {
                prefetch(row(next.row));
            }
            let candidate = &mut candidates[c];
            let square = self.squares[i] * self.squares[candidate.row as usize];
            candidate.similarity = if square == 0.0 {
                0.0
            } else {
                let b = self.kernel.widen(row(candidate.row), &mut pair.1);
                rounded(self.kernel.dot(a, b) / square.sqrt())
            };
        }
    }

    /// What row `i` is multiplied by to get unit length; 0 for a row of zeros.
    pub(crate) fn scale(&self, i: usize) -> f64 {
        if self.squares[i] == 0.0 { 0.0 } else { self.squares[i].sqrt().recip() }
    }

    /// Bound on the difference between [`Self::settle`] and the f32 block product of the rows scaled to
    /// unit length and rounded to f32.
    ///
    /// With `u = 2^-24`, a scaled coordinate is off by `u` relative to itself (its f64 factor is exact
    /// beside that), so the product of the rounded rows is off by `2u + u^2`; their lengths exceed 1 by at
    /// most `u`, so the block product adds at most `(1 + u)^2 gamma_d`; rounding the canonical value adds
    /// `u`. Together below `gamma_d + 6u` as long as `gamma_d <= 1`; `2u` more cover the f64 roundings,
    /// `O(d 2^-53)`, and coordinates or products that underflow, `d 2^-150`.
    pub(crate) fn slack(&self) -> f64 {
        const UNIT: f64 = f32::EPSILON as f64 / 2.0;
        product_error(self.rows.dim()) + 8.0 * UNIT
    }
}

/// A cosine as f32, held to [-1, 1].
#[expect(clippy::cast_possible_truncation, reason = "the rounding is part of the definition")]
fn rounded(cosine: f64) -> f32 {
    // Adding zero turns -0 into 0: the order of similarities knows only one zero.
    cosine.clamp(-1.0, 1.0) as f32 + 0.0
}

fn not_finite<T: Element>(i: usize, row: &[T]) -> Error {
    let (column, value) = row
        .iter()
        .map(|value| value.to_f32())
        .enumerate()
        .find(|(_, value)| !value.is_finite())
        .expect("the sum of squares is not finite, so one of them is not");
    Error::value(format!("row {i}, column {column} is {value}; embeddings must be finite"))
}
