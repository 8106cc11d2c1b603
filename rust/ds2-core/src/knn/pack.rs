//! Rows of unit length in the order the block product reads them.

use super::cosine::Cosine;
use crate::Element;
use crate::dot::{Narrow, TILE_COLUMNS, TILE_ROWS, Wide};

/// One coordinate of a fixed number of rows, the unit both operands of the block product are made of.
pub(crate) trait Column: Copy + Default {
    /// How many rows it holds.
    const ROWS: usize;

    fn set(&mut self, row: usize, value: f32);
}

impl Column for Narrow {
    const ROWS: usize = TILE_ROWS;

    #[inline]
    fn set(&mut self, row: usize, value: f32) {
        self.0[row] = value;
    }
}

impl Column for Wide {
    const ROWS: usize = TILE_COLUMNS;

    #[inline]
    fn set(&mut self, row: usize, value: f32) {
        self.0[row] = value;
    }
}

/// Pack rows `start..end`, at most [`Column::ROWS`] of them, each scaled to unit length, into `out`: one
/// column for each coordinate. Places without a row stay or become zero.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is accounted for by `Cosine::slack`")]
pub(crate) fn pack<T: Element, C: Column>(
    cosine: &Cosine<'_, T>,
    start: usize,
    end: usize,
    buffer: &mut Vec<f32>,
    out: &mut [C],
) {
    if end - start < C::ROWS {
        out.fill(C::default());
    }
    for i in start..end {
        let scale = cosine.scale(i);
        let row = cosine.kernel().widen(cosine.rows().row(i), buffer);
        for (column, &value) in out.iter_mut().zip(row) {
            column.set(i - start, (f64::from(value) * scale) as f32);
        }
    }
}
