//! Registers of whole numbers, one for each instruction set, and their products of bytes.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpgt_epi32,
    _mm256_dpbusd_avx_epi32, _mm256_dpbusd_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_epi32,
    _mm256_min_epi32, _mm256_movemask_ps, _mm256_set1_epi32, _mm256_slli_epi16, _mm256_srai_epi16,
    _mm256_srli_epi16, _mm256_storeu_si256, _mm256_sub_epi32, _mm512_add_epi32, _mm512_cmpge_epi32_mask,
    _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_max_epi32, _mm512_min_epi32, _mm512_set1_epi32,
    _mm512_storeu_si512, _mm512_sub_epi32,
};

use super::bytes::GROUP;

/// A register of i32.
///
/// # Safety
///
/// All methods: the machine must have the instruction set of the register.
pub(super) trait Lanes: Copy {
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
pub(super) struct Vnni512(__m512i);

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
pub(super) struct Vnni256<const VEX: bool>(__m256i);

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
pub(super) struct Pairs256(__m256i);

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
pub(super) struct Plain([i32; 4]);

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
