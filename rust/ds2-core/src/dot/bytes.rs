//! The block product of byte codes, with the test that ends it early.
//!
//! The first operand is unsigned and the second signed, as the instructions want it. All kernels compute
//! the same integers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpgt_epi32,
    _mm256_dpbusd_avx_epi32, _mm256_dpbusd_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_epi32,
    _mm256_min_epi32, _mm256_movemask_ps, _mm256_set1_epi32, _mm256_slli_epi16, _mm256_srai_epi16,
    _mm256_srli_epi16, _mm256_storeu_si256, _mm256_sub_epi32, _mm512_add_epi32, _mm512_cmpge_epi32_mask,
    _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_max_epi32, _mm512_min_epi32, _mm512_set1_epi32,
    _mm512_storeu_si512, _mm512_sub_epi32,
};

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

/// A register of i32.
///
/// # Safety
///
/// All methods: the machine must have the instruction set of the register.
trait Lanes: Copy {
    const LANES: usize;
    /// The same group of unsigned bytes in every lane.
    type Unsigned: Copy;
    /// A group of signed bytes in each lane.
    type Signed: Copy;

    unsafe fn splat(value: i32) -> Self;

    /// The first values of `from`.
    unsafe fn load(from: &[i32]) -> Self;

    unsafe fn store(self, to: &mut [i32]);

    unsafe fn add(self, other: Self) -> Self;

    unsafe fn sub(self, other: Self) -> Self;

    unsafe fn min(self, other: Self) -> Self;

    unsafe fn max(self, other: Self) -> Self;

    /// Bit `l` is set if lane `l` is at least that of `other`.
    unsafe fn at_least(self, other: Self) -> u64;

    unsafe fn unsigned(group: [u8; GROUP]) -> Self::Unsigned;

    /// The first groups of `from`.
    unsafe fn signed(from: &[[i8; GROUP]]) -> Self::Signed;

    /// Add the four products of each lane.
    unsafe fn add_products(self, a: Self::Unsigned, b: Self::Signed) -> Self;
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Vnni512(__m512i);

// SAFETY of all methods: the caller vouches for the instruction set; slices are cut to length first.
#[cfg(target_arch = "x86_64")]
impl Lanes for Vnni512 {
    const LANES: usize = 16;
    type Unsigned = __m512i;
    type Signed = __m512i;

    #[inline(always)]
    unsafe fn splat(value: i32) -> Self {
        unsafe { Self(_mm512_set1_epi32(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: &[i32]) -> Self {
        unsafe { Self(_mm512_loadu_si512(from[..16].as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [i32]) {
        unsafe { _mm512_storeu_si512(to[..16].as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm512_sub_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        unsafe { Self(_mm512_min_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        unsafe { Self(_mm512_max_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn at_least(self, other: Self) -> u64 {
        unsafe { u64::from(_mm512_cmpge_epi32_mask(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn unsigned(group: [u8; GROUP]) -> __m512i {
        unsafe { _mm512_set1_epi32(i32::from_ne_bytes(group)) }
    }

    #[inline(always)]
    unsafe fn signed(from: &[[i8; GROUP]]) -> __m512i {
        unsafe { _mm512_loadu_si512(from[..16].as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn add_products(self, a: __m512i, b: __m512i) -> Self {
        unsafe { Self(_mm512_dpbusd_epi32(self.0, a, b)) }
    }
}

/// What the two 256-bit registers share.
#[cfg(target_arch = "x86_64")]
macro_rules! lanes_256 {
    () => {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(value: i32) -> Self {
            unsafe { Self(_mm256_set1_epi32(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: &[i32]) -> Self {
            unsafe { Self(_mm256_loadu_si256(from[..8].as_ptr().cast())) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [i32]) {
            unsafe { _mm256_storeu_si256(to[..8].as_mut_ptr().cast(), self.0) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_epi32(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_epi32(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_epi32(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_epi32(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn at_least(self, other: Self) -> u64 {
            unsafe {
                let below = _mm256_castsi256_ps(_mm256_cmpgt_epi32(other.0, self.0));
                u64::from(!_mm256_movemask_ps(below).cast_unsigned() & 0xff)
            }
        }
    };
}

/// `VEX`: encoded as AVX-VNNI does; otherwise as AVX-512 VNNI does for short registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Vnni256<const VEX: bool>(__m256i);

#[cfg(target_arch = "x86_64")]
impl<const VEX: bool> Lanes for Vnni256<VEX> {
    type Unsigned = __m256i;
    type Signed = __m256i;
    lanes_256!();

    #[inline(always)]
    unsafe fn unsigned(group: [u8; GROUP]) -> __m256i {
        unsafe { _mm256_set1_epi32(i32::from_ne_bytes(group)) }
    }

    #[inline(always)]
    unsafe fn signed(from: &[[i8; GROUP]]) -> __m256i {
        unsafe { _mm256_loadu_si256(from[..8].as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn add_products(self, a: __m256i, b: __m256i) -> Self {
        unsafe {
            Self(if VEX { _mm256_dpbusd_avx_epi32(self.0, a, b) } else { _mm256_dpbusd_epi32(self.0, a, b) })
        }
    }
}

/// Products of pairs of 16-bit numbers: the products of bytes that AVX2 has saturate.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Pairs256(__m256i);

#[cfg(target_arch = "x86_64")]
impl Lanes for Pairs256 {
    /// Coordinates 0 and 2 of the group, and 1 and 3.
    type Unsigned = (__m256i, __m256i);
    type Signed = (__m256i, __m256i);
    lanes_256!();

    #[inline(always)]
    unsafe fn unsigned(group: [u8; GROUP]) -> Self::Unsigned {
        unsafe {
            let bytes = _mm256_set1_epi32(i32::from_ne_bytes(group));
            (_mm256_and_si256(bytes, _mm256_set1_epi32(0x00ff_00ff)), _mm256_srli_epi16::<8>(bytes))
        }
    }

    #[inline(always)]
    unsafe fn signed(from: &[[i8; GROUP]]) -> Self::Signed {
        unsafe {
            let bytes = _mm256_loadu_si256(from[..8].as_ptr().cast());
            (_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes))
        }
    }

    #[inline(always)]
    unsafe fn add_products(self, a: Self::Unsigned, b: Self::Signed) -> Self {
        unsafe {
            let products = _mm256_add_epi32(_mm256_madd_epi16(a.0, b.0), _mm256_madd_epi16(a.1, b.1));
            Self(_mm256_add_epi32(self.0, products))
        }
    }
}

/// Lanes of an array, for the compiler to make registers of: products of pairs of 16-bit numbers, as in
/// `Pairs256`.
#[derive(Clone, Copy)]
struct Plain([i32; 4]);

impl Lanes for Plain {
    const LANES: usize = 4;
    /// Two coordinates of the group, lane for lane, and the other two.
    type Unsigned = ([i16; 8], [i16; 8]);
    type Signed = ([i16; 8], [i16; 8]);

    #[inline(always)]
    unsafe fn splat(value: i32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: &[i32]) -> Self {
        Self([from[0], from[1], from[2], from[3]])
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [i32]) {
        to[..4].copy_from_slice(&self.0);
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].wrapping_sub(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].min(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].max(other.0[lane])))
    }

    #[inline(always)]
    unsafe fn at_least(self, other: Self) -> u64 {
        (0..4).fold(0, |mask, lane| mask | u64::from(self.0[lane] >= other.0[lane]) << lane)
    }

    #[inline(always)]
    unsafe fn unsigned(group: [u8; GROUP]) -> Self::Unsigned {
        let [first, second, third, fourth] = group.map(i16::from);
        (
            [first, third, first, third, first, third, first, third],
            [second, fourth, second, fourth, second, fourth, second, fourth],
        )
    }

    #[inline(always)]
    unsafe fn signed(from: &[[i8; GROUP]]) -> Self::Signed {
        let bytes = from[..4].as_flattened();
        let pairs: [i16; 8] = std::array::from_fn(|at| {
            i16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]].map(i8::cast_unsigned))
        });
        (pairs.map(|pair| pair << 8 >> 8), pairs.map(|pair| pair >> 8))
    }

    #[inline(always)]
    unsafe fn add_products(self, a: Self::Unsigned, b: Self::Signed) -> Self {
        let product = |a: [i16; 8], b: [i16; 8], at: usize| i32::from(a[at]) * i32::from(b[at]);
        Self(std::array::from_fn(|lane| {
            let (low, high) = (2 * lane, 2 * lane + 1);
            let first = product(a.0, b.0, low) + product(a.0, b.0, high);
            let second = product(a.1, b.1, low) + product(a.1, b.1, high);
            self.0[lane].wrapping_add(first).wrapping_add(second)
        }))
    }
}
