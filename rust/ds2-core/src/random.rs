//! Counter-based random numbers: draw i of stream (seed, round) is a pure function of these three.

/// 2^64 divided by the golden ratio, made odd: successive multiples fill the range evenly.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers that does not depend on any other stream, so rounds may run in any order.
#[derive(Debug)]
pub(crate) struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    pub(crate) fn new(seed: u64, round: u64) -> Self {
        // Mixed twice: seeds and rounds are small numbers, and sums of them would coincide.
        Self { key: mix(mix(seed.wrapping_add(GOLDEN)) ^ round.wrapping_mul(GOLDEN)), counter: 0 }
    }

    /// The next number in `0..bound`; its bias is below `bound / 2^64`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high half of a product with bound is below bound"
    )]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// The next number in [-1, 1), an even multiple of `2^-24`, of mean 0.
    pub(crate) fn centered(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// The next number in (0, 1), an odd multiple of `2^-53`: neither end is reached.
    pub(crate) fn inside(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014): a bijection in which every input bit reaches
/// every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_splitmix64() {
        // The published first outputs of SplitMix64 with state 1234567.
        let next = |i: u64| mix(1_234_567u64.wrapping_add(i.wrapping_mul(GOLDEN)));
        assert_eq!(next(1), 6_457_827_717_110_365_317);
        assert_eq!(next(2), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_are_even_and_apart() {
        let mut counts = [0u32; 10];
        for round in 0..100 {
            let mut stream = Stream::new(7, round);
            (0..1_000).for_each(|_| counts[stream.below(10)] += 1);
        }
        // 100,000 draws: standard deviation 95 per bin.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 500), "{counts:?}");
        let first: Vec<usize> = (0..1_000).map(|round| Stream::new(7, round).below(usize::MAX)).collect();
        let mut distinct = first.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), first.len());
        assert_ne!(Stream::new(1, 0).below(usize::MAX), Stream::new(0, 1).below(usize::MAX));
    }
}
