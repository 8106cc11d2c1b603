//! Blocks of a pool: groups of samples that are each other's neighbors, to be drawn together.

use rayon::prelude::*;

use crate::rated::RatedPool;

/// Neighbors of a row that are joined with it, at most.
const REACH: usize = 10;

/// A partition of the rows of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Block of every row, numbered by first row.
    pub(crate) of_row: Vec<u32>,
    /// Number of blocks.
    pub(crate) count: usize,
}

impl Blocks {
    /// Number of blocks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Most samples of a block: `2 N^(1/3)`.
///
/// The variance a block bootstrap finds misses what passes between blocks (so they should be large) and is
/// noisy where there are few of them (so they should be many); growth with the cube root of N balances the two
/// (Künsch 1989; Hall, Horowitz and Jing 1995).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cube root of a count")]
fn most_samples(rows: usize) -> u32 {
    (2.0 * (rows as f64).cbrt()).ceil() as u32
}

/// Join every row with its neighbors, the nearest of all rows first, then the second nearest, up to the tenth,
/// as long as the joint block holds at most `2 N^(1/3)` rows. Ratings are not looked at. O(N), in one fixed order.
#[must_use]
pub fn join_neighbors(pool: &RatedPool<'_>) -> Blocks {
    let (rows, reach) = (pool.len(), pool.depth().min(REACH));
    // Rank by rank through a graph that is kept row by row would fetch all of it each time.
    let mut near = vec![0; rows * reach];
    near.par_chunks_mut(rows.max(1)).enumerate().for_each(|(rank, column)| {
        column.iter_mut().enumerate().for_each(|(row, other)| *other = pool.neighbors(row)[rank]);
    });
    let mut forest = Forest::new(rows);
    let most = most_samples(rows);
    for column in near.chunks_exact(rows.max(1)) {
        (0..).zip(column).for_each(|(row, &other)| forest.join(row, other, most));
    }
    forest.blocks()
}

/// Trees whose roots stand for blocks: `parent[root] == root`.
struct Forest {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl Forest {
    fn new(rows: usize) -> Self {
        Self { parent: (0..).take(rows).collect(), size: vec![1; rows] }
    }

    fn root(&mut self, mut row: u32) -> u32 {
        while self.parent[row as usize] != row {
            // Every second step is made shorter for those who come after.
            let above = self.parent[self.parent[row as usize] as usize];
            self.parent[row as usize] = above;
            row = above;
        }
        row
    }

    fn join(&mut self, row: u32, other: u32, most: u32) {
        let [mut small, mut large] = [self.root(row), self.root(other)];
        let joint = self.size[small as usize] + self.size[large as usize];
        if small == large || joint > most {
            return;
        }
        if self.size[small as usize] > self.size[large as usize] {
            std::mem::swap(&mut small, &mut large);
        }
        self.parent[small as usize] = large;
        self.size[large as usize] = joint;
    }

    fn blocks(mut self) -> Blocks {
        let mut number = vec![u32::MAX; self.parent.len()];
        let mut of_row = Vec::with_capacity(self.parent.len());
        let mut count = 0;
        for row in (0..).take(self.parent.len()) {
            let root = self.root(row) as usize;
            if number[root] == u32::MAX {
                number[root] = count;
                count += 1;
            }
            of_row.push(number[root]);
        }
        Blocks { of_row, count: count as usize }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::naive_bayes as naive;

    /// Blocks as lists of rows that are merged one by one.
    fn slow(pool: &naive::Pool, reach: usize) -> Vec<u32> {
        let rows = pool.scores.len();
        let mut label: Vec<usize> = (0..rows).collect();
        for rank in 0..reach {
            for row in 0..rows {
                let (a, b) = (label[row], label[pool.neighbors[row * pool.depth + rank] as usize]);
                let joint = label.iter().filter(|&&other| other == a || other == b).count();
                if joint <= most_samples(rows) as usize {
                    label.iter_mut().filter(|other| **other == b).for_each(|other| *other = a);
                }
            }
        }
        let mut numbers = BTreeMap::new();
        label
            .into_iter()
            .map(|old| {
                let next = u32::try_from(numbers.len()).unwrap();
                *numbers.entry(old).or_insert(next)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn blocks_equal_the_slow_ones(pool in naive::pools(6)) {
            let fast = join_neighbors(&pool.rated());
            let expected = slow(&pool, pool.depth);
            prop_assert_eq!(fast.count, expected.iter().max().map_or(0, |&last| last as usize + 1));
            prop_assert_eq!(fast.of_row, expected);
        }
    }

    #[test]
    fn blocks_grow_with_the_cube_root() {
        assert_eq!([1, 8, 1000, 340_000].map(most_samples), [2, 4, 20, 140]);
    }
}
