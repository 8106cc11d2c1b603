//! Dot products: one exact enough to define a similarity, one fast enough to look at every pair.
//!
//! [`Kernel`] is the instruction set both run on; it is found at run time and can only be had where the
//! machine supports it. The canonical [`Kernel::dot`] gives the same bits on every kernel. The block product
//! [`Kernel::multiply`] does not, and says how far it may be off: [`product_error`].
#![expect(unsafe_code, reason = "calling a function compiled for an instruction set found at run time")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _mm_loadu_si128, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
    _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

#[cfg(target_arch = "x86_64")]
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::rows::{ByType, Element};

/// Rows of the first operand in one [`Tile`].
pub(crate) const TILE_ROWS: usize = 8;
/// Rows of the second operand in one [`Tile`].
pub(crate) const TILE_COLUMNS: usize = 48;
/// Running sums of [`Kernel::dot`]; part of its definition, as it fixes the order of the additions.
const LANES: usize = 16;

/// One coordinate of [`TILE_ROWS`] rows; a strip of `d` of them is the first operand of a block product.
#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
pub(crate) struct Narrow(pub(crate) [f32; TILE_ROWS]);

/// One coordinate of [`TILE_COLUMNS`] rows; a panel of `d` of them is the second operand.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Wide(pub(crate) [f32; TILE_COLUMNS]);

/// The products of a strip and a panel: `tile[r][c]` belongs to row `r` of the strip, row `c` of the panel.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tile(pub(crate) [[f32; TILE_COLUMNS]; TILE_ROWS]);

impl Default for Wide {
    fn default() -> Self {
        Self([0.0; TILE_COLUMNS])
    }
}

impl Default for Tile {
    fn default() -> Self {
        Self([[0.0; TILE_COLUMNS]; TILE_ROWS])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// An instruction set this machine has.
///
/// Results do not depend on it: it decides how fast the candidates are found, not who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Isa);

impl Kernel {
    /// Every kernel this machine can run, fastest first; never empty.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut kernels = Vec::with_capacity(3);
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if avx2 && is_x86_feature_detected!("avx512f") {
                kernels.push(Self(Isa::Avx512));
            }
            if avx2 {
                kernels.push(Self(Isa::Avx2));
            }
        }
        kernels.push(Self(Isa::Portable));
        kernels
    }

    /// The fastest kernel of this machine.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available()[0]
    }

    /// `avx512`, `avx2` or `portable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// `row` as f32 (exact): the row itself, or its conversion in `buffer`.
    pub(crate) fn widen<'a, T: Element>(self, row: &'a [T], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        let row = match T::by_type(row) {
            ByType::F32(row) => return row,
            ByType::F16(row) => row,
        };
        buffer.resize(row.len(), 0.0);
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding either variant exists only where AVX2, FMA and F16C were detected.
            Isa::Avx512 | Isa::Avx2 => unsafe { widen_avx2(row, buffer) },
            Isa::Portable => row.convert_to_f32_slice(buffer),
        }
        buffer
    }

    /// The dot product of two rows, in f64, summed in a fixed order.
    ///
    /// Coordinate `c` goes to running sum `c mod 16`; the 16 sums are folded in halves. The product of two
    /// f32 is exact in f64 and cannot overflow or vanish there, so fused and separate multiply-add agree:
    /// every kernel returns the same bits, `dot(a, b) == dot(b, a)`, and the value is within `d * 2^-53`
    /// of the true one, relative to the sum of the absolute products. O(d).
    #[must_use]
    pub fn dot(self, a: &[f32], b: &[f32]) -> f64 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding either variant exists only where AVX2, FMA and F16C were detected.
            Isa::Avx512 | Isa::Avx2 => unsafe { dot_avx2(a, b) },
            Isa::Portable => dot_lanes(a, b),
        }
    }

    /// Fill `tile` with the f32 products of every row of `strip` and every row of `panel`.
    pub(crate) fn multiply(self, strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
        debug_assert_eq!(strip.len(), panel.len(), "operands of one dimension");
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512 => unsafe { multiply_avx512(strip, panel, tile) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { multiply_avx2(strip, panel, tile) },
            Isa::Portable => multiply_portable(strip, panel, tile),
        }
    }

    /// Bit `r` is set if an entry of row `r` of `tile` reaches the floor of its row or of its column.
    pub(crate) fn reaching(self, tile: &Tile, rows: &[f32; TILE_ROWS], columns: &[f32; TILE_COLUMNS]) -> u8 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512 => unsafe { reaching_avx512(tile, rows, columns) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { reaching_avx2(tile, rows, columns) },
            Isa::Portable => reaching_any(tile, rows, columns),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn widen_avx2(row: &[f16], out: &mut [f32]) {
    let ((halves, halves_rest), (floats, floats_rest)) = (row.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for (halves, floats) in halves.iter().zip(floats) {
        // SAFETY: eight halves are read and eight floats written, wherever they lie.
        unsafe {
            let widened = _mm256_cvtph_ps(_mm_loadu_si128(halves.as_ptr().cast()));
            _mm256_storeu_ps(floats.as_mut_ptr(), widened);
        }
    }
    for (half, float) in halves_rest.iter().zip(floats_rest) {
        *float = half.to_f32();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f64 {
    dot_lanes(a, b)
}

#[inline(always)]
fn dot_lanes(a: &[f32], b: &[f32]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(a) * f64::from(b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn reaching_avx512(tile: &Tile, rows: &[f32; TILE_ROWS], columns: &[f32; TILE_COLUMNS]) -> u8 {
    reaching_any(tile, rows, columns)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn reaching_avx2(tile: &Tile, rows: &[f32; TILE_ROWS], columns: &[f32; TILE_COLUMNS]) -> u8 {
    reaching_any(tile, rows, columns)
}

#[inline(always)]
fn reaching_any(tile: &Tile, rows: &[f32; TILE_ROWS], columns: &[f32; TILE_COLUMNS]) -> u8 {
    let mut mask = 0;
    for (r, (entries, &floor)) in tile.0.iter().zip(rows).enumerate() {
        // No early exit: the whole row is a handful of vector comparisons.
        let reached = entries
            .iter()
            .zip(columns)
            .fold(false, |any, (&entry, &column)| any | (entry >= floor.min(column)));
        mask |= u8::from(reached) << r;
    }
    mask
}

// The register tile is the largest that leaves room for its operands: 8 x 48 sums fill 24 of the 32 registers
// of AVX-512. With 16 registers, 4 x 16 (AVX2) and 4 x 8 (SSE2) won: one more column of registers made the
// compiler spill and cost half the speed (Zen 4, 2026-11: 115, 100 and 32 of 117 GFLOP/s).

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_avx512(strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
    multiply_tiled::<__m512, 8, 3>(strip, panel, tile);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_avx2(strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
    multiply_tiled::<__m256, 4, 2>(strip, panel, tile);
}

fn multiply_portable(strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
    multiply_tiled::<[f32; 4], 4, 2>(strip, panel, tile);
}

/// The product, `R x C` vectors of its entries at a time so that these stay in registers.
#[inline(always)]
fn multiply_tiled<V: Vector, const R: usize, const C: usize>(
    strip: &[Narrow],
    panel: &[Wide],
    tile: &mut Tile,
) {
    for top in (0..TILE_ROWS).step_by(R) {
        for left in (0..TILE_COLUMNS).step_by(C * V::LANES) {
            let mut sums = [[V::splat(0.0); C]; R];
            for (a, b) in strip.iter().zip(panel) {
                let mut columns = [V::splat(0.0); C];
                for (c, column) in columns.iter_mut().enumerate() {
                    *column = V::load(&b.0[left + c * V::LANES..]);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = V::splat(a.0[top + r]);
                    for (sum, &b) in sums.iter_mut().zip(&columns) {
                        *sum = a.multiply_add(b, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, sum) in sums.iter().enumerate() {
                    sum.store(&mut tile.0[top + r][left + c * V::LANES..]);
                }
            }
        }
    }
}

/// A register of f32. Its methods may only run where the instruction set was found, see [`Kernel`].
trait Vector: Copy {
    const LANES: usize;
    fn splat(value: f32) -> Self;
    fn load(from: &[f32]) -> Self;
    fn store(self, to: &mut [f32]);
    /// `self * b + c`
    fn multiply_add(self, b: Self, c: Self) -> Self;
}

impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; 4]
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        [from[0], from[1], from[2], from[3]]
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[..4].copy_from_slice(&self);
    }

    #[inline(always)]
    fn multiply_add(self, b: Self, c: Self) -> Self {
        // Where the baseline has no fused instruction, `mul_add` would be a library call.
        if cfg!(target_arch = "aarch64") {
            std::array::from_fn(|i| self[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| self[i] * b[i] + c[i])
        }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! vector {
    ($register:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $multiply_add:ident) => {
        // SAFETY of all of it: reached only through a `Kernel` of this instruction set; slices are cut to length.
        impl Vector for $register {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: f32) -> Self {
                unsafe { $splat(value) }
            }

            #[inline(always)]
            fn load(from: &[f32]) -> Self {
                unsafe { $load(from[..$lanes].as_ptr()) }
            }

            #[inline(always)]
            fn store(self, to: &mut [f32]) {
                unsafe { $store(to[..$lanes].as_mut_ptr(), self) }
            }

            #[inline(always)]
            fn multiply_add(self, b: Self, c: Self) -> Self {
                unsafe { $multiply_add(self, b, c) }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);

/// Bound on the error of the f32 dot product of two rows of `dim` coordinates whose lengths are at most 1,
/// beyond which no order of additions, fused or not, can go: `gamma_d = d u / (1 - d u)`, `u = 2^-24`.
///
/// Infinite from `d = 2^23` on, where the bound says nothing anymore.
#[must_use]
pub fn product_error(dim: usize) -> f64 {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
    let share = dim as f64 * UNIT;
    if share < 0.5 { share / (1.0 - share) } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    /// Two rows of the same dimension, within the range whose f32 products neither overflow nor vanish.
    fn two_rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        prop::collection::vec((-1e3_f32..1e3, -1e3_f32..1e3), 1..200)
            .prop_map(|pairs| pairs.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn dot_is_the_same_on_every_kernel_and_either_way((a, b) in two_rows()) {
            let expected: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let size: f64 = a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) * f64::from(b)).abs()).sum();
            let dot = Kernel::fastest().dot(&a, &b);
            prop_assert!((dot - expected).abs() <= a.len() as f64 * f64::EPSILON * size);
            for kernel in Kernel::available() {
                prop_assert_eq!(kernel.dot(&a, &b).to_bits(), dot.to_bits());
                prop_assert_eq!(kernel.dot(&b, &a).to_bits(), dot.to_bits());
            }
        }

        #[test]
        fn every_entry_of_a_tile_is_its_product(values in prop::collection::vec(-1.0_f32..1.0, 56..56 * 40)) {
            let dim = values.len() / 56;
            let (strip, panel) = values.split_at(dim * TILE_ROWS);
            let strip: Vec<Narrow> = strip.as_chunks().0.iter().map(|&column| Narrow(column)).collect();
            let panel: Vec<Wide> = panel.as_chunks().0[..dim].iter().map(|&column| Wide(column)).collect();
            for kernel in Kernel::available() {
                let mut tile = Tile::default();
                kernel.multiply(&strip, &panel, &mut tile);
                for r in 0..TILE_ROWS {
                    for c in 0..TILE_COLUMNS {
                        let products = || strip.iter().zip(&panel).map(|(a, b)| f64::from(a.0[r]) * f64::from(b.0[c]));
                        let bound = product_error(dim) * products().map(f64::abs).sum::<f64>();
                        let (found, expected) = (f64::from(tile.0[r][c]), products().sum::<f64>());
                        prop_assert!((found - expected).abs() <= bound, "{} {r} {c}", kernel.name());
                    }
                }
            }
        }

        #[test]
        fn the_mask_names_the_rows_that_reach_a_floor(
            entries in prop::collection::vec(0_u8..40, TILE_ROWS * TILE_COLUMNS),
            rows in prop::array::uniform8(30_u8..44),
            columns in prop::collection::vec(30_u8..44, TILE_COLUMNS),
        ) {
            let mut tile = Tile::default();
            tile.0.as_flattened_mut().copy_from_slice(&entries.iter().map(|&e| f32::from(e)).collect::<Vec<_>>());
            let rows = rows.map(f32::from);
            let columns: [f32; TILE_COLUMNS] = std::array::from_fn(|c| f32::from(columns[c]));
            let reaches = |r: usize| (0..TILE_COLUMNS).any(|c| tile.0[r][c] >= rows[r] || tile.0[r][c] >= columns[c]);
            let expected = (0..TILE_ROWS).filter(|&r| reaches(r)).fold(0, |mask, r| mask | 1 << r);
            for kernel in Kernel::available() {
                prop_assert_eq!(kernel.reaching(&tile, &rows, &columns), expected);
            }
        }

        #[test]
        fn half_precision_widens_exactly(bits in prop::collection::vec(any::<u16>(), 0..50)) {
            let row: Vec<f16> = bits.into_iter().map(f16::from_bits).collect();
            for kernel in Kernel::available() {
                let mut buffer = vec![7.0; 3];
                let widened = kernel.widen(&row, &mut buffer);
                prop_assert_eq!(widened.len(), row.len());
                for (wide, half) in widened.iter().zip(&row) {
                    prop_assert!(*wide == half.to_f32() || (wide.is_nan() && half.is_nan()));
                }
            }
        }
    }

    #[test]
    fn the_error_bound_grows_and_gives_up_in_time() {
        assert!(product_error(1) > 0.0 && product_error(384) < 2.4e-5);
        assert!(product_error((1 << 23) - 1) <= 1.0 && product_error(1 << 23).is_infinite());
    }

    #[test]
    fn kernels_come_fastest_first_and_end_with_the_portable_one() {
        let kernels = Kernel::available();
        assert_eq!(kernels[0], Kernel::fastest());
        assert_eq!(kernels[kernels.len() - 1].name(), "portable");
    }
}
