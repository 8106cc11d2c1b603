//! The canonical similarity of a pair of rows, and how far the block product may be from it.

use rayon::prelude::*;

use crate::dot::{Kernel, prefetch};
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

    /// The similarity of rows `i` and `j`: `dot(i, j) / sqrt(dot(i, i) * dot(j, j))` in f64, held to [-1, 1],
    /// rounded to f32; 0 if either row is all zeros.
    ///
    /// Symmetric bit for bit, the same on every kernel, exactly 1 for equal rows, and unchanged when a row
    /// is scaled by a power of two.
    pub(crate) fn similarity(&self, i: u32, j: u32, pair: &mut Pair) -> f32 {
        let a = self.kernel.widen(self.rows.row(i as usize), &mut pair.0);
        let b = self.kernel.widen(self.rows.row(j as usize), &mut pair.1);
        self.between((i, a), (j, b))
    }

    /// [`similarity`](Self::similarity) of two rows whose values are at hand as f32.
    pub(crate) fn between(&self, (i, a): (u32, &[f32]), (j, b): (u32, &[f32])) -> f32 {
        let square = self.squares[i as usize] * self.squares[j as usize];
        if square == 0.0 {
            return 0.0;
        }
        rounded(self.kernel.dot(a, b) / square.sqrt())
    }

    /// Ask for row `i` to be brought into the cache.
    pub(crate) fn prefetch(&self, i: u32) {
        prefetch(self.rows.row(i as usize));
    }

    /// What row `i` is multiplied by to be of unit length; 0 for a row of zeros.
    pub(crate) fn scale(&self, i: usize) -> f64 {
        if self.squares[i] == 0.0 { 0.0 } else { self.squares[i].sqrt().recip() }
    }

    /// Write row `i`, scaled to unit length and rounded to f32, to `out`; a row of zeros stays one.
    #[expect(clippy::cast_possible_truncation, reason = "the rounding is what is asked for")]
    pub(crate) fn unit(&self, i: usize, buffer: &mut Vec<f32>, out: &mut [f32]) {
        let scale = self.scale(i);
        let row = self.kernel.widen(self.rows.row(i), buffer);
        for (out, &value) in out.iter_mut().zip(row) {
            *out = (f64::from(value) * scale) as f32;
        }
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
