//! Dot products: one exact enough to define a similarity, one fast enough to look at every pair.
//!
//! [`Kernel`] is the instruction set both run on; it is found at run time and can only be had where the
//! machine supports it. The canonical `Kernel::dot` gives the same bits on every kernel. The block product
//! `Kernel::multiply` does not, and `product_error` says how far it may be off.
#![expect(unsafe_code, reason = "calling a function compiled for an instruction set found at run time")]
#![expect(
    clippy::inline_always,
    reason = "shared code must be compiled into the function of each instruction set"
)]

#[cfg(test)]
mod tests;
mod tile;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_cvtph_ps, _mm256_storeu_ps};

#[cfg(target_arch = "x86_64")]
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::rows::{ByType, Element};

pub(crate) use tile::{Narrow, TILE_COLUMNS, TILE_ROWS, Tile, Wide};

/// Running sums of [`Kernel::dot`]; part of its definition, as it fixes the order of the additions.
const LANES: usize = 16;
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

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

    /// The dot product of two rows of one length, in f64, summed in a fixed order.
    ///
    /// Coordinate `c` goes to running sum `c mod 16`; the 16 sums are folded in halves. The product of two
    /// f32 is exact in f64 and cannot overflow or vanish there, so fused and separate multiply-add agree:
    /// every kernel returns the same bits, `dot(a, b) == dot(b, a)`, and the value is within `d * 2^-53`
    /// of the true one, relative to the sum of the absolute products. O(d).
    pub(crate) fn dot(self, a: &[f32], b: &[f32]) -> f64 {
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
            Isa::Avx512 => unsafe { tile::multiply_avx512(strip, panel, tile) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { tile::multiply_avx2(strip, panel, tile) },
            Isa::Portable => tile::multiply_portable(strip, panel, tile),
        }
    }

    /// Bit `r` is set if an entry of row `r` of `tile` reaches the floor of its row or of its column.
    pub(crate) fn reaching(self, tile: &Tile, rows: &[f32; TILE_ROWS], columns: &[f32; TILE_COLUMNS]) -> u8 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512 => unsafe { tile::reaching_avx512(tile, rows, columns) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { tile::reaching_avx2(tile, rows, columns) },
            Isa::Portable => tile::reaching_any(tile, rows, columns),
        }
    }
}

/// Ask for `row` to be brought into the cache, as it will be read soon; nothing where there is no such hint.
#[inline]
pub(crate) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for start in (0..size_of_val(row)).step_by(CACHE_LINE) {
        // SAFETY: a hint about an address within the row; it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().byte_add(start).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
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

/// Bound on the error of an f32 dot product of `dim` products, relative to the sum of their absolute values.
///
/// It holds for every order of additions, fused or not: `gamma_d = d u / (1 - d u)`, `u = 2^-24`. Infinite
/// from `d = 2^23` on, where it would say nothing anymore.
pub(crate) fn product_error(dim: usize) -> f64 {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
    let share = dim as f64 * UNIT;
    if share < 0.5 { share / (1.0 - share) } else { f64::INFINITY }
}
