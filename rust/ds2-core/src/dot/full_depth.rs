//! The block product by itself, at full depth, for measuring how near a kernel comes to its machine's limit.

use super::bytes::{ByteTile, GROUP, NarrowBytes, PanelTerms, PerColumn, StripTerms, WideBytes};
use super::{Kernel, TILE_COLUMNS, TILE_ROWS};

const STRIPS: usize = 24;
const PANELS: usize = 64;

/// A block of 192 rows and 64 panels of 48 rows, multiplied as the scan of a neighbor search does it.
pub struct FullDepth {
    kernel: Kernel,
    strips: Vec<NarrowBytes>,
    panels: Vec<WideBytes>,
    groups: usize,
    tile: ByteTile,
}

impl FullDepth {
    /// Operands of `dim` made bytes a row, rounded up to a multiple of 4.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "any byte will do")]
    pub fn new(kernel: Kernel, dim: usize) -> Self {
        let groups = dim.div_ceil(GROUP).max(1);
        let byte = |i: usize| (i * 151 % 251) as u8;
        let strip = |at: usize| NarrowBytes([[byte(at); GROUP]; TILE_ROWS]);
        let panel = |at: usize| WideBytes([[byte(at) as i8; GROUP]; TILE_COLUMNS]);
        Self {
            kernel,
            strips: (0..STRIPS * groups).map(strip).collect(),
            panels: (0..PANELS * groups).map(panel).collect(),
            groups,
            tile: ByteTile::default(),
        }
    }

    /// Multiplications and additions of one [`Self::run`].
    #[must_use]
    pub fn operations(&self) -> u64 {
        2 * (STRIPS * TILE_ROWS * PANELS * TILE_COLUMNS * self.groups * GROUP) as u64
    }

    /// Multiply every strip with every panel, each to the end; how many reached a floor no sum can reach: 0.
    pub fn run(&mut self) -> usize {
        let terms = PerColumn([0; TILE_COLUMNS]);
        let floors = PerColumn([i32::MAX / 2; TILE_COLUMNS]);
        let columns = PanelTerms::to_the_end(&terms, &floors);
        let rows = StripTerms { floor: i32::MAX / 2, ..StripTerms::default() };
        let mut reached = 0;
        for panel in self.panels.chunks_exact(self.groups) {
            for strip in self.strips.chunks_exact(self.groups) {
                let operands = ((strip, rows), (panel, columns));
                let any = self.kernel.sweep(operands.0, operands.1, &[], &mut self.tile, &mut [0]);
                reached += usize::from(any);
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_its_operations_and_reaches_nothing() {
        for kernel in Kernel::available() {
            let mut product = FullDepth::new(kernel, 6);
            assert_eq!(product.run(), 0);
            assert_eq!(product.operations(), 2 * 192 * 3072 * 8);
        }
    }
}
