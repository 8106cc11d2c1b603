//! Coded rows, and how they are packed as operands of a block product.

use crate::dot::{GROUP, Kernel, NarrowBytes, PerColumn, TILE_COLUMNS, TILE_ROWS, WideBytes};

use super::codes::NO_ROW;

/// Coded rows, of which the first `width` of `stride` bytes count, and how to compare them.
#[derive(Clone, Copy)]
pub(crate) struct Coded<'a> {
    pub(crate) kernel: Kernel,
    pub(crate) bytes: &'a [i8],
    pub(crate) stride: usize,
    pub(crate) width: usize,
}

impl<'a> Coded<'a> {
    pub(crate) fn row(&self, i: usize) -> &'a [i8] {
        &self.bytes[i * self.stride..][..self.width]
    }

    /// Pack rows, at most [`TILE_ROWS`], as the first operand.
    pub(crate) fn strip(&self, rows: impl Iterator<Item = usize>, strip: &mut Vec<NarrowBytes>) {
        strip.clear();
        strip.resize(self.width / GROUP, NarrowBytes([[UNSIGNED; GROUP]; TILE_ROWS]));
        for (r, row) in rows.enumerate() {
            for (out, group) in strip.iter_mut().zip(self.row(row).as_chunks::<GROUP>().0) {
                out.0[r] = group.map(unsigned);
            }
        }
    }
}

/// What is added to the bytes of the first operand to make them unsigned.
const UNSIGNED: u8 = 128;

/// A signed byte as the first operand of a block product has it.
#[inline]
pub(crate) fn unsigned(byte: i8) -> u8 {
    byte.cast_unsigned() ^ UNSIGNED
}

/// What makes up for the first operand being unsigned, for a row of the second: `-128` times the sum of its bytes.
#[inline]
pub(crate) fn correction(row: &[i8]) -> i32 {
    -i32::from(UNSIGNED) * row.iter().map(|&byte| i32::from(byte)).sum::<i32>()
}

/// Rows as second operand, with a term of each.
#[derive(Default)]
pub(crate) struct Packed {
    groups: usize,
    panels: Vec<WideBytes>,
    terms: Vec<PerColumn>,
}

impl Packed {
    /// Pack rows of `width` bytes, each with the term its sums start from, in the place of what was packed before.
    pub(crate) fn fill<'a>(&mut self, width: usize, rows: impl ExactSizeIterator<Item = (&'a [i8], i32)>) {
        let panels = rows.len().div_ceil(TILE_COLUMNS);
        self.groups = width / GROUP;
        self.panels.clear();
        self.panels.resize(panels * self.groups, WideBytes::default());
        self.terms.clear();
        self.terms.resize(panels, PerColumn([NO_ROW; TILE_COLUMNS]));
        for (at, (row, term)) in rows.enumerate() {
            let (panel, column) = (at / TILE_COLUMNS, at % TILE_COLUMNS);
            self.terms[panel].0[column] = term + correction(row);
            let groups = row.as_chunks::<GROUP>().0;
            for (out, &group) in self.panels[panel * self.groups..].iter_mut().zip(groups) {
                out.0[column] = group;
            }
        }
    }

    /// The panels, each with the number of its first row and the terms of its rows.
    pub(crate) fn panels(&self) -> impl Iterator<Item = (usize, &[WideBytes], &PerColumn)> {
        let panels = self.panels.chunks_exact(self.groups).zip(&self.terms);
        panels.enumerate().map(|(at, (panel, terms))| (at * TILE_COLUMNS, panel, terms))
    }
}
