//! Dot products: one exact enough to define a similarity, one fast enough to look at every pair.
//!
//! [`Kernel`] is the instruction set they run on; it is found at run time and can only be had where the
//! machine supports it. The canonical `Kernel::dot` gives the same bits on every kernel, and so does the
//! block product of bytes, `Kernel::sweep`. The block product of f32, `Kernel::multiply`, does not, and
//! `product_error` says how far it may be off.
//!
//! A new instruction set is a variant of `Isa`, one implementation of `lanes::Lanes` and one of
//! `tile::Vector`. There is none for aarch64 yet: it runs the portable kernel, which is written so that the
//! compiler makes vector instructions of it.
#![expect(unsafe_code, reason = "calling a function compiled for an instruction set found at run time")]
#![expect(
    clippy::inline_always,
    reason = "shared code must be compiled into the function of each instruction set"
)]

mod bytes;
mod full_depth;
mod lanes;
#[cfg(test)]
mod tests;
mod tile;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_cvtph_ps, _mm256_storeu_ps};

#[cfg(target_arch = "x86_64")]
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::rows::{ByType, Element};
use crate::{Error, Result};

pub(crate) use bytes::{
    ByteTile, GROUP, NarrowBytes, PanelTerms, PerColumn, Reaching, STAGES, StripTerms, WideBytes, columns_of,
};
pub use full_depth::FullDepth;
pub(crate) use tile::{Narrow, TILE_COLUMNS, TILE_ROWS, Tile, Wide};

/// Running sums of [`Kernel::dot`]; part of its definition, as it fixes the order of the additions.
const LANES: usize = 16;
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-512 VNNI held to registers of 256 bits: what `AvxVnni` does, on machines without that encoding.
    #[cfg(target_arch = "x86_64")]
    Avx512Vl,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// An instruction set this machine has.
///
/// Results do not depend on it: it decides how fast the candidates are found, not who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Isa);

/// Environment variable that names the kernel to use, for tests and comparisons.
const VARIABLE: &str = "DS2_FAST_KERNEL";

impl Kernel {
    /// Every kernel this machine can run, fastest first; never empty.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut kernels = Vec::with_capacity(5);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx512 {
                kernels.push(Self(Isa::Avx512Vnni));
            }
            if is_x86_feature_detected!("avxvnni") {
                kernels.push(Self(Isa::AvxVnni));
            }
            if avx512 {
                kernels.push(Self(Isa::Avx512Vl));
            }
            kernels.push(Self(Isa::Avx2));
        }
        kernels.push(Self(Isa::Portable));
        kernels
    }

    /// The fastest kernel of this machine.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available()[0]
    }

    /// The kernel that the environment variable `DS2_FAST_KERNEL` names, or the fastest one if it is unset.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it names none this machine can run.
    pub fn chosen() -> Result<Self> {
        let Some(wanted) = std::env::var_os(VARIABLE) else { return Ok(Self::fastest()) };
        let available = Self::available();
        let found = available.iter().find(|kernel| wanted == kernel.name());
        found.copied().ok_or_else(|| {
            let names: Vec<_> = available.iter().map(|kernel| kernel.name()).collect();
            let wanted = wanted.to_string_lossy();
            Error::value(format!("{VARIABLE} is `{wanted}`; this machine runs {}", names.join(", ")))
        })
    }

    /// `avx512vnni`, `avxvnni`, `avx512vl` (VNNI in registers of 256 bits), `avx2` or `portable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vl => "avx512vl",
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => "avxvnni",
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
            // SAFETY: a `Kernel` of any other kind exists only where AVX2, FMA and F16C were detected.
            Isa::Avx512Vnni | Isa::Avx512Vl | Isa::AvxVnni | Isa::Avx2 => unsafe { widen_avx2(row, buffer) },
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
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512Vnni => unsafe { dot_avx512(a, b) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, and the others only where AVX2 and FMA were.
            Isa::Avx512Vl | Isa::AvxVnni | Isa::Avx2 => unsafe { dot_avx2(a, b) },
            Isa::Portable => dot_lanes(a, b),
        }
    }

    /// The dot product of a row and a vector in f64, summed as in [`dot`](Self::dot).
    ///
    /// Products are rounded before they are added, on every kernel: the same bits, within `(d + 1) * 2^-53` of the true
    /// value, relative to the sum of the absolute products. O(d).
    pub(crate) fn dot_wide(self, a: &[f32], b: &[f64]) -> f64 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512Vnni => unsafe { dot_wide_avx512(a, b) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, and the others only where AVX2 and FMA were.
            Isa::Avx512Vl | Isa::AvxVnni | Isa::Avx2 => unsafe { dot_wide_avx2(a, b) },
            Isa::Portable => dot_lanes(a, b),
        }
    }

    /// The dot product of two rows of bytes, of at most 2^17.
    pub(crate) fn dot_bytes(self, a: &[i8], b: &[i8]) -> i32 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512Vnni => unsafe { dot_bytes_avx512(a, b) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, and the others only where AVX2 was.
            Isa::Avx512Vl | Isa::AvxVnni | Isa::Avx2 => unsafe { dot_bytes_avx2(a, b) },
            Isa::Portable => dot_bytes_plain(a, b),
        }
    }

    /// Fill `tile` with the f32 products of every row of `strip` and every row of `panel`.
    pub(crate) fn multiply(self, strip: &[Narrow], panel: &[Wide], tile: &mut Tile) {
        debug_assert_eq!(strip.len(), panel.len(), "operands of one dimension");
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512Vnni => unsafe { tile::multiply_avx512(strip, panel, tile) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, and the others only where AVX2 and FMA were.
            Isa::Avx512Vl | Isa::AvxVnni | Isa::Avx2 => unsafe { tile::multiply_avx2(strip, panel, tile) },
            Isa::Portable => tile::multiply_portable(strip, panel, tile),
        }
    }

    /// Fill `tile` with the sums `terms + terms + strip . panel` of bytes, as far as they matter, and say
    /// whether any does.
    ///
    /// After the groups `..stages[s]`, a block of sums is compared with `min(floor of the strip, floor of the
    /// column) - allowance of the strip - allowance of the column`, at the end with the smaller floor alone:
    /// where no sum of the block reaches its limit, the block is abandoned. Sums of abandoned blocks are
    /// [`bytes::ABANDONED`]; `tile` holds nothing of use if all were. `ended[s]` counts the blocks abandoned
    /// after stage `s`, its last entry those that went to the end.
    ///
    /// Sums and limits must stay within i32; what they pass through on the way may wrap.
    pub(crate) fn sweep(
        self,
        (strip, rows): (&[NarrowBytes], StripTerms),
        (panel, columns): (&[WideBytes], PanelTerms<'_>),
        stages: &[usize],
        tile: &mut ByteTile,
        ended: &mut [u64],
    ) -> bool {
        debug_assert_eq!(strip.len(), panel.len(), "operands of one dimension");
        let sweep = bytes::Sweep { strip, panel, rows, columns, stages };
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512Vnni => unsafe { bytes::sweep_avx512vnni(&sweep, tile, ended) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx512Vl => unsafe { bytes::sweep_avx512vl(&sweep, tile, ended) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::AvxVnni => unsafe { bytes::sweep_avxvnni(&sweep, tile, ended) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { bytes::sweep_avx2(&sweep, tile, ended) },
            Isa::Portable => bytes::sweep_portable(&sweep, tile, ended),
        }
    }

    /// For each row of `tile`, the columns whose sums reach the floor of the row or of the column, as bits.
    pub(crate) fn reaching(self, tile: &ByteTile, rows: &[i32; TILE_ROWS], columns: &PerColumn) -> Reaching {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` holding this variant exists only where the features were detected.
            Isa::Avx512Vnni => unsafe { bytes::reaching_avx512vnni(tile, rows, columns) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx512Vl => unsafe { bytes::reaching_avx512vl(tile, rows, columns) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::AvxVnni => unsafe { bytes::reaching_avxvnni(tile, rows, columns) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Isa::Avx2 => unsafe { bytes::reaching_avx2(tile, rows, columns) },
            Isa::Portable => bytes::reaching_portable(tile, rows, columns),
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
#[target_feature(enable = "avx512f,fma")]
fn dot_avx512(a: &[f32], b: &[f32]) -> f64 {
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f64 {
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn dot_wide_avx512(a: &[f32], b: &[f64]) -> f64 {
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_wide_avx2(a: &[f32], b: &[f64]) -> f64 {
    dot_lanes(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn dot_bytes_avx512(a: &[i8], b: &[i8]) -> i32 {
    dot_bytes_plain(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dot_bytes_avx2(a: &[i8], b: &[i8]) -> i32 {
    dot_bytes_plain(a, b)
}

#[inline(always)]
fn dot_bytes_plain(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(i16::from(a) * i16::from(b))).sum()
}

#[inline(always)]
fn dot_lanes<B: Copy + Into<f64>>(a: &[f32], b: &[B]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * b[lane].into();
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(a) * b.into();
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
