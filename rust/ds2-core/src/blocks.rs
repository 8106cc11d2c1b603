//! Blocks of a pool: groups of samples that are each other's neighbors, to be drawn together.

use crate::rated::RatedPool;

/// A partition of the rows of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Block of every row, numbered by first row.
    pub(crate) of_row: Vec<u32>,
    /// Number of blocks.
    pub(crate) count: usize,
}

/// Most samples of a block: `2 N^(1/3)`.
///
/// The variance a block bootstrap finds misses what passes between blocks (so they should be large) and is
/// noisy where there are few of them (so they should be many); growth with the cube root of N balances the two
/// (Künsch 1989; Hall, Horowitz and Jing 1995).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cube root of a count")]
pub(crate) fn most_samples(rows: usize) -> usize {
    (2.0 * (rows as f64).cbrt()).ceil() as usize
}

/// Join every row with its neighbors, the nearest of all rows first, then the second nearest, up to `reach`,
/// as long as the joint block holds at most [`most_samples`]. O(N `reach`), in one fixed order.
pub(crate) fn join_neighbors(pool: &RatedPool<'_>, reach: usize) -> Blocks {
    let mut forest = Forest::new(pool.len());
    let most = most_samples(pool.len());
    for rank in 0..reach {
        for row in 0..pool.len() {
            forest.join(row, pool.neighbors(row)[rank] as usize, most);
        }
    }
    forest.blocks()
}

/// Trees whose roots stand for blocks: `parent[root] == root`.
struct Forest {
    parent: Vec<usize>,
    size: Vec<usize>,
}

impl Forest {
    fn new(rows: usize) -> Self {
        Self { parent: (0..rows).collect(), size: vec![1; rows] }
    }

    fn root(&mut self, mut row: usize) -> usize {
        while self.parent[row] != row {
            // Every second step is made shorter for those who come after.
            self.parent[row] = self.parent[self.parent[row]];
            row = self.parent[row];
        }
        row
    }

    fn join(&mut self, row: usize, other: usize, most: usize) {
        let [mut small, mut large] = [self.root(row), self.root(other)];
        if small == large || self.size[small] + self.size[large] > most {
            return;
        }
        if self.size[small] > self.size[large] {
            std::mem::swap(&mut small, &mut large);
        }
        self.parent[small] = large;
        self.size[large] += self.size[small];
    }

    fn blocks(mut self) -> Blocks {
        let rows = self.parent.len();
        let mut number = vec![u32::MAX; rows];
        let mut of_row = Vec::with_capacity(rows);
        let mut count = 0;
        for row in 0..rows {
            let root = self.root(row);
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
                if joint <= most_samples(rows) {
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
            let fast = join_neighbors(&pool.rated(), pool.depth);
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
