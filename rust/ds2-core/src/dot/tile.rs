//! The block product: a strip of rows times a panel of rows, in f32.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

/// Rows of the first operand in one [`Tile`].
pub(crate) const TILE_ROWS: usize = 8;
/// Rows of the second operand in one [`Tile`].
pub(crate) const TILE_COLUMNS: usize = 48;
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

// The register tile is the largest that leaves room for its operands: 8 x 48 sums fill 24 of the 32 registers
// of AVX-512. With 16 registers, 4 x 16 (AVX2) and 4 x 8 (SSE2) won: one more column of registers made the
// compiler spill and cost half the speed (Zen 4, 2026-11: 115, 100 and 32 of 117 GFLOP/s).

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) fn multiply_avx512(strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
    // SAFETY: this function runs only where the instruction set is.
    unsafe { multiply_tiled::<__m512, 8, 3>(strip, panel, tile) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply_avx2(strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
    // SAFETY: this function runs only where the instruction set is.
    unsafe { multiply_tiled::<__m256, 4, 2>(strip, panel, tile) };
}

pub(super) fn multiply_portable(strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
    // SAFETY: arrays need no instruction set.
    unsafe { multiply_tiled::<[f32; 4], 4, 2>(strip, panel, tile) };
}

/// The product, `R x C` vectors of its entries at a time so that these stay in registers.
///
/// # Safety
///
/// The machine must have the instruction set of `V`, and the caller be compiled for it.
#[inline(always)]
unsafe fn multiply_tiled<V: Vector, const R: usize, const C: usize>(
    strip: &[Narrow],
    panel: &[Wide],
    tile: &mut Tile,
) {
    for top in (0..TILE_ROWS).step_by(R) {
        for left in (0..TILE_COLUMNS).step_by(C * V::LANES) {
            let at = |c: usize| left + c * V::LANES;
            // SAFETY: the caller vouches for the instruction set.
            unsafe {
                let mut sums = [[V::splat(0.0); C]; R];
                for (a, b) in strip.iter().zip(panel) {
                    let mut columns = [V::splat(0.0); C];
                    for (c, column) in columns.iter_mut().enumerate() {
                        *column = V::load(&b.0[at(c)..]);
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
                        sum.store(&mut tile.0[top + r][at(c)..]);
                    }
                }
            }
        }
    }
}

/// A register of f32.
///
/// # Safety
///
/// All methods: the machine must have the instruction set of the register.
trait Vector: Copy {
    const LANES: usize;

    unsafe fn splat(value: f32) -> Self;

    /// The first values of `from`.
    unsafe fn load(from: &[f32]) -> Self;

    unsafe fn store(self, to: &mut [f32]);

    /// `self * b + c`
    unsafe fn multiply_add(self, b: Self, c: Self) -> Self;
}

impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(from: &[f32]) -> Self {
        [from[0], from[1], from[2], from[3]]
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32]) {
        to[..4].copy_from_slice(&self);
    }

    #[inline(always)]
    unsafe fn multiply_add(self, b: Self, c: Self) -> Self {
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
        // SAFETY of all four: the caller vouches for the instruction set; slices are cut to length first.
        impl Vector for $register {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: &[f32]) -> Self {
                unsafe { $load(from[..$lanes].as_ptr()) }
            }

            #[inline(always)]
            unsafe fn store(self, to: &mut [f32]) {
                unsafe { $store(to[..$lanes].as_mut_ptr(), self) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, b: Self, c: Self) -> Self {
                unsafe { $multiply_add(self, b, c) }
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
