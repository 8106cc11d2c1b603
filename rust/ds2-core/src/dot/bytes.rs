//! The block product of byte codes, with the test that ends it early.
//!
//! The first operand is unsigned and the second signed, as the instructions want it. All kernels compute
//! the same integers.

use super::lanes::{Lanes, Plain};
#[cfg(target_arch = "x86_64")]
use super::lanes::{Pairs256, Vnni256, Vnni512};
use super::{TILE_COLUMNS, TILE_ROWS};

/// Coordinates that one step of the product takes.
pub(crate) const GROUP: usize = 4;
/// What an abandoned entry of a [`ByteTile`] holds: no sum is as low.
pub(crate) const ABANDONED: i32 = i32::MIN;

/// [`GROUP`] coordinates of [`TILE_ROWS`] rows: a strip of them is the first operand.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct NarrowBytes(pub(crate) [[u8; GROUP]; TILE_ROWS]);

/// [`GROUP`] coordinates of [`TILE_COLUMNS`] rows: a panel of them is the second operand.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct WideBytes(pub(crate) [[i8; GROUP]; TILE_COLUMNS]);

impl Default for WideBytes {
    fn default() -> Self {
        Self([[0; GROUP]; TILE_COLUMNS])
    }
}

// SAFETY: a panel is nothing but bytes, all values of which are valid; its size is a multiple of its alignment.
unsafe impl bytemuck::Zeroable for WideBytes {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for WideBytes {}
/// A number for each row of a panel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct PerColumn(pub(crate) [i32; TILE_COLUMNS]);

impl Default for PerColumn {
    fn default() -> Self {
        Self([0; TILE_COLUMNS])
    }
}

// SAFETY: it is nothing but whole numbers; its size is a multiple of its alignment.
unsafe impl bytemuck::Zeroable for PerColumn {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for PerColumn {}

/// The sums of a strip and a panel: `tile[r][c]` belongs to row `r` of the strip, row `c` of the panel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct ByteTile(pub(crate) [[i32; TILE_COLUMNS]; TILE_ROWS]);

impl Default for ByteTile {
    fn default() -> Self {
        Self([[0; TILE_COLUMNS]; TILE_ROWS])
    }
}

/// Stages there may be before the end.
pub(crate) const STAGES: usize = 3;

/// What the sums of a strip start from, and what they must reach.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StripTerms {
    /// What is added to all sums of a row.
    pub(crate) terms: [i32; TILE_ROWS],
    /// The lowest floor of the rows.
    pub(crate) floor: i32,
    /// The largest allowance of the rows at each stage.
    pub(crate) allowances: [i32; STAGES],
}

/// The same of a panel, row for row.
#[derive(Clone, Copy)]
pub(crate) struct PanelTerms<'a> {
    /// What is added to all sums of a row.
    pub(crate) terms: &'a PerColumn,
    /// The floor of each row.
    pub(crate) floors: &'a PerColumn,
    /// The allowances of the rows at each stage.
    pub(crate) allowances: [&'a PerColumn; STAGES],
}

impl<'a> PanelTerms<'a> {
    /// Of products that are not looked at before their end.
    pub(crate) fn to_the_end(terms: &'a PerColumn, floors: &'a PerColumn) -> Self {
        Self { terms, floors, allowances: [terms; STAGES] }
    }
}

/// The arguments of [`super::Kernel::sweep`].
pub(super) struct Sweep<'a> {
    pub(super) strip: &'a [NarrowBytes],
    pub(super) panel: &'a [WideBytes],
    pub(super) rows: StripTerms,
    pub(super) columns: PanelTerms<'a>,
    pub(super) stages: &'a [usize],
}

/// For each row of a tile, a bit for each column.
pub(crate) type Reaching = [u64; TILE_ROWS];

/// The columns whose bits are set, ascending.
pub(crate) fn columns_of(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let column = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (column < 64).then_some(column)
    })
}

/// The functions of an instruction set.
macro_rules! instruction_set {
    ($features:literal, $lanes:ty, $rows:literal x $columns:literal, $sweep:ident, $reaching:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        pub(super) fn $sweep(sweep: &Sweep<'_>, tile: &mut ByteTile, ended: &mut [u64]) -> bool {
            // SAFETY: this function runs only where the instruction set is.
            unsafe { sweep_tiled::<$lanes, $rows, $columns>(sweep, tile, ended) }
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        pub(super) fn $reaching(tile: &ByteTile, rows: &[i32; TILE_ROWS], columns: &PerColumn) -> Reaching {
            // SAFETY: as above.
            unsafe { reaching_tiled::<$lanes>(tile, rows, columns) }
        }
    };
}

// The register tile is the largest that leaves room for its operands: 24 of the 32 registers of AVX-512, 12 of
// 16 for VNNI on short registers, 8 where a group takes two registers.
instruction_set!("avx512f,avx512bw,avx512vnni", Vnni512, 8 x 3, sweep_avx512vnni, reaching_avx512vnni);
instruction_set!("avx2,avx512f,avx512vl,avx512vnni", Vnni256<false>, 4 x 3, sweep_avx512vl, reaching_avx512vl);
instruction_set!("avx2,avxvnni", Vnni256<true>, 4 x 3, sweep_avxvnni, reaching_avxvnni);
instruction_set!("avx2", Pairs256, 4 x 2, sweep_avx2, reaching_avx2);

pub(super) fn sweep_portable(sweep: &Sweep<'_>, tile: &mut ByteTile, ended: &mut [u64]) -> bool {
    // SAFETY: arrays need no instruction set.
    unsafe { sweep_tiled::<Plain, 4, 2>(sweep, tile, ended) }
}

pub(super) fn reaching_portable(tile: &ByteTile, rows: &[i32; TILE_ROWS], columns: &PerColumn) -> Reaching {
    // SAFETY: as above.
    unsafe { reaching_tiled::<Plain>(tile, rows, columns) }
}

/// The sweep, `R x C` registers of sums at a time.
///
/// # Safety
///
/// The machine must have the instruction set of `V`, and the caller be compiled for it.
#[inline(always)]
unsafe fn sweep_tiled<V: Lanes, const R: usize, const C: usize>(
    sweep: &Sweep<'_>,
    tile: &mut ByteTile,
    ended: &mut [u64],
) -> bool {
    let Sweep { strip, panel, rows, columns, stages } = *sweep;
    let mut any = false;
    for top in (0..TILE_ROWS).step_by(R) {
        for left in (0..TILE_COLUMNS).step_by(C * V::LANES) {
            let at = |c: usize| left + c * V::LANES;
            // SAFETY: the caller vouches for the instruction set.
            unsafe {
                let mut sums = [[V::splat(0); C]; R];
                let mut floors = [V::splat(rows.floor); C];
                for c in 0..C {
                    let term = V::load(&columns.terms.0[at(c)..]);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        sums[c] = term.add(V::splat(rows.terms[top + r]));
                    }
                    floors[c] = floors[c].min(V::load(&columns.floors.0[at(c)..]));
                }
                let (mut start, mut stage) = (0, 0);
                let reached = loop {
                    let end = stages.get(stage).copied().unwrap_or(strip.len());
                    add_products::<V, R, C>(&strip[start..end], &panel[start..end], top, left, &mut sums);
                    let mut limits = floors;
                    if stage < stages.len() {
                        let allowance = V::splat(rows.allowances[stage]);
                        for (c, limit) in limits.iter_mut().enumerate() {
                            let of_column = V::load(&columns.allowances[stage].0[at(c)..]);
                            *limit = limit.sub(of_column.add(allowance));
                        }
                    }
                    let mut reached = false;
                    for (c, &limit) in limits.iter().enumerate() {
                        let highest =
                            sums.iter().skip(1).fold(sums[0][c], |highest, sums| highest.max(sums[c]));
                        reached |= highest.at_least(limit) != 0;
                    }
                    if !reached || stage == stages.len() {
                        break reached;
                    }
                    (start, stage) = (end, stage + 1);
                };
                ended[stage] += 1;
                any |= reached;
                for (r, sums) in sums.iter().enumerate() {
                    for (c, &sum) in sums.iter().enumerate() {
                        let sum = if reached { sum } else { V::splat(ABANDONED) };
                        // A single block that was abandoned is not looked at.
                        if reached || R * C * V::LANES < TILE_ROWS * TILE_COLUMNS {
                            sum.store(&mut tile.0[top + r][at(c)..]);
                        }
                    }
                }
            }
        }
    }
    any
}

/// For each row of a tile, the columns whose sums reach the floor of the row or of the column, as bits.
///
/// # Safety
///
/// As of [`sweep_tiled`].
#[inline(always)]
unsafe fn reaching_tiled<V: Lanes>(
    tile: &ByteTile,
    rows: &[i32; TILE_ROWS],
    columns: &PerColumn,
) -> Reaching {
    let mut masks = [0; TILE_ROWS];
    for ((mask, sums), &floor) in masks.iter_mut().zip(&tile.0).zip(rows) {
        for left in (0..TILE_COLUMNS).step_by(V::LANES) {
            // SAFETY: the caller vouches for the instruction set.
            unsafe {
                let floors = V::load(&columns.0[left..]).min(V::splat(floor));
                *mask |= V::load(&sums[left..]).at_least(floors) << left;
            }
        }
    }
    masks
}

/// Add the products of some groups to `R x C` registers of sums.
///
/// # Safety
///
/// As of [`sweep_tiled`].
#[inline(always)]
unsafe fn add_products<V: Lanes, const R: usize, const C: usize>(
    strip: &[NarrowBytes],
    panel: &[WideBytes],
    top: usize,
    left: usize,
    sums: &mut [[V; C]; R],
) {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let mut local = *sums;
        for (a, b) in strip.iter().zip(panel) {
            let columns: [V::Signed; C] = std::array::from_fn(|c| V::signed(&b.0[left + c * V::LANES..]));
            for (r, sums) in local.iter_mut().enumerate() {
                let a = V::unsigned(a.0[top + r]);
                for (sum, &b) in sums.iter_mut().zip(&columns) {
                    *sum = sum.add_products(a, b);
                }
            }
        }
        *sums = local;
    }
}
