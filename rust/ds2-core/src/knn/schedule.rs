//! Which blocks are compared when.

use super::layout::Layout;
use super::scan::BLOCK_ROWS;
use crate::dot::Kernel;

/// Blocks near a block that it is compared with first.
const NEAR: usize = 8;
/// Comparisons in one unit of work.
const UNIT: usize = 64;

/// A block, and blocks to compare it with, none of which comes before it.
pub(crate) type Unit = (u32, Vec<u32>);

/// Every pair of blocks once.
pub(crate) struct Schedule {
    /// Each block with itself and with those whose rows are alike: what raises the floors at the least cost.
    pub(crate) near: Vec<Unit>,
    /// All the others.
    pub(crate) rest: Vec<Unit>,
}

impl Schedule {
    /// Order the pairs of the blocks of `layout`, on the current rayon pool.
    pub(crate) fn new(layout: &Layout, kernel: Kernel) -> Self {
        let blocks = layout.terms.len().div_ceil(BLOCK_ROWS);
        let probes = NEAR.min(blocks);
        let nearest = layout.near_blocks(kernel, BLOCK_ROWS, probes);
        let mut near: Vec<Vec<u32>> = (0_u32..).take(blocks).map(|block| vec![block]).collect();
        for (block, others) in (0_u32..).zip(nearest.chunks_exact(probes.max(1))) {
            for &other in others {
                near[block.min(other) as usize].push(block.max(other));
            }
        }
        let mut schedule = Self { near: Vec::with_capacity(blocks), rest: Vec::new() };
        for (block, mut near) in (0_u32..).zip(near) {
            near.sort_unstable();
            near.dedup();
            let far: Vec<u32> = (block..)
                .take(blocks - block as usize)
                .filter(|other| near.binary_search(other).is_err())
                .collect();
            schedule.rest.extend(far.chunks(UNIT).map(|part| (block, part.to_vec())));
            schedule.near.push((block, near));
        }
        schedule
    }
}

/// Pairs of blocks in `units`.
pub(crate) fn pairs(units: &[Unit]) -> usize {
    units.iter().map(|(_, others)| others.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;
    use crate::knn::codes::Codes;
    use crate::knn::cosine::Cosine;
    use crate::knn::rotation::Rotation;

    #[test]
    fn every_pair_comes_once() {
        for len in [1, BLOCK_ROWS, 20 * BLOCK_ROWS + 7] {
            let data: Vec<f32> = (0..len * 3).map(|i| (i * 7919 % 101) as f32 - 50.5).collect();
            let cosine = Cosine::measure(Rows::new(&data, len, 3).unwrap(), Kernel::fastest(), true).unwrap();
            let codes = Codes::encode(&cosine, &Rotation::fit(&cosine, false));
            let order: Vec<u32> = (0..).take(len).collect();
            let schedule = Schedule::new(&Layout::new(codes, &order), Kernel::fastest());
            let units = schedule.near.iter().chain(&schedule.rest);
            let mut seen: Vec<(u32, u32)> =
                units.flat_map(|(block, others)| others.iter().map(move |&other| (*block, other))).collect();
            seen.sort_unstable();
            let blocks = u32::try_from(len.div_ceil(BLOCK_ROWS)).unwrap();
            let all: Vec<_> = (0..blocks).flat_map(|a| (a..blocks).map(move |b| (a, b))).collect();
            assert_eq!(seen, all);
        }
    }
}
