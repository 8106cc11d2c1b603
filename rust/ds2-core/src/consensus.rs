//! Consensus counts: how often a sample and two of its neighbors are scored (a, b, c).
//!
//! Counts are symmetric in the three scores, so only the K(K+1)(K+2)/6 sorted triples a <= b <= c (56 for
//! K = 6) are kept.

use rayon::prelude::*;

use crate::rated::{CHUNK, LabelCounts, RatedPool, check_num_classes};
use crate::{Error, Result, Rows};

/// A sorted triple of scores and the weight of all samples seen with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The scores, ascending.
    pub scores: [usize; 3],
    /// Weight of the triple, over all its orders.
    pub weight: f64,
}

impl Cell {
    /// In how many orders the three scores can be written: 1, 3 or 6.
    #[must_use]
    pub fn multiplicity(&self) -> f64 {
        let [a, b, c] = self.scores;
        [6.0, 3.0, 1.0][usize::from(a == b) + usize::from(b == c)]
    }
}

/// Consensus counts of a pool: symmetric third-order counts over the sorted triples.
#[derive(Clone, Debug, PartialEq)]
pub struct Consensus {
    num_classes: usize,
    cells: Vec<Cell>,
}

impl Consensus {
    /// The same triples with other weights, one per cell.
    pub(crate) fn with_weights(&self, weights: &[f64]) -> Self {
        let reweighted = self.cells.iter().zip(weights);
        let cells = reweighted.map(|(cell, &weight)| Cell { scores: cell.scores, weight }).collect();
        Self { num_classes: self.num_classes, cells }
    }

    /// Symmetrise a full `(K, K, K)` tensor of non-negative counts. O(K^3).
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if K is not in 2..=16 or a count is negative or not finite; [`Error::Shape`] if
    /// `counts` does not hold K^3 values.
    pub fn from_tensor(counts: &[f64], num_classes: usize) -> Result<Self> {
        check_num_classes(num_classes)?;
        if counts.len() != num_classes.pow(3) {
            return Err(Error::shape(format!(
                "{} consensus counts do not fit {num_classes} x {num_classes} x {num_classes} classes",
                counts.len()
            )));
        }
        let triples = Triples::new(num_classes);
        let mut cells = triples.cells();
        for (position, &count) in counts.iter().enumerate() {
            let at =
                [position / num_classes.pow(2), position / num_classes % num_classes, position % num_classes];
            if !(count.is_finite() && count >= 0.0) {
                return Err(Error::value(format!(
                    "consensus count {count} at {at:?} is not finite and >= 0"
                )));
            }
            cells[triples.index(at[0], at[1], at[2])].weight += count;
        }
        Ok(Self { num_classes, cells })
    }

    /// Number of classes, K.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The sorted triples in lexicographic order.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Total weight: the number of samples that were counted.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.cells.iter().map(|cell| cell.weight).sum()
    }

    /// The symmetric `(K, K, K)` tensor of counts, row-major.
    #[must_use]
    pub fn tensor(&self) -> Vec<f64> {
        let classes = self.num_classes;
        let mut tensor = vec![0.0; classes.pow(3)];
        for cell in &self.cells {
            let [a, b, c] = cell.scores;
            for [x, y, z] in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                tensor[(x * classes + y) * classes + z] = cell.weight / cell.multiplicity();
            }
        }
        tensor
    }

    /// Counts of order 1, `(K,)`: the marginal of the tensor.
    #[must_use]
    pub fn marginal(&self) -> Vec<f64> {
        let mut marginal = vec![0.0; self.num_classes];
        for cell in &self.cells {
            for score in cell.scores {
                marginal[score] += cell.weight / 3.0;
            }
        }
        marginal
    }
}

/// Count consensus over a sample and all pairs of its `k` nearest neighbors.
///
/// A rated sample n with m > 0 ordered pairs a < b of rated neighbors adds `1/m` to the pattern
/// `(score n, score a, score b)` of each pair, hence weight 1 in all; unrated neighbors drop out, and a sample
/// with m = 0 is skipped. The counts are then symmetrised over the six orders of the three scores.
/// `k = 2` is the count of the paper (section 3, consensus patterns); `k = 10` uses all 45 pairs and halves
/// the error of T.
///
/// # Errors
///
/// [`Error::Value`] if `k` is not in 2..=L or no sample could be counted.
///
/// # Cost
///
/// O(N (k + K^2)): a sample contributes through the counts of its neighbors' scores, not pair by pair.
pub fn count_consensus(pool: &RatedPool<'_>, k: usize) -> Result<Consensus> {
    pool.check_k(k, 2)?;
    count(pool, k, |row| {
        let mut counts = LabelCounts::default();
        pool.count_labels(row, 0..k, &mut counts);
        counts
    })
}

/// [`count_consensus`] over neighbors whose cosine distance `1 - similarity` is at most `max_distance`.
///
/// # Errors
///
/// As [`count_consensus`]; [`Error::Shape`] if `similarities` does not have the shape of the neighbors; [`Error::Value`]
/// if one is not finite or a row does not descend.
pub fn count_consensus_within(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
    k: usize,
    max_distance: f64,
) -> Result<Consensus> {
    pool.check_k(k, 2)?;
    pool.check_similarities(similarities)?;
    count_within(pool, similarities, k, max_distance)
}

/// [`count_consensus_within`] for a k and similarities that have been checked.
pub(crate) fn count_within(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
    k: usize,
    max_distance: f64,
) -> Result<Consensus> {
    count(pool, k, |row| {
        let close = count_close(similarities.row(row), k, max_distance);
        let mut counts = LabelCounts::default();
        pool.count_labels(row, 0..close, &mut counts);
        counts
    })
}

/// How many of the first k neighbors are within `max_distance`.
pub(crate) fn count_close(similarities: &[f32], k: usize, max_distance: f64) -> usize {
    similarities[..k].partition_point(|&similarity| 1.0 - f64::from(similarity) <= max_distance)
}

/// [`count_consensus`] of some `rows` and their neighbors, on the calling thread; empty if none can be counted.
pub(crate) fn count_rows(pool: &RatedPool<'_>, rows: &[usize], k: usize) -> Consensus {
    let classes = pool.num_classes();
    let mut tally = vec![0; (k + 1) * classes * pairs_of(classes)];
    let labels = |row| {
        let mut counts = LabelCounts::default();
        pool.count_labels(row, 0..k, &mut counts);
        counts
    };
    tally_rows(pool, &labels, rows.iter().copied(), &mut tally);
    Consensus { num_classes: classes, cells: weigh(&tally, classes) }
}

/// Where the sorted triples of scores lie, in lexicographic order.
pub(crate) struct Triples {
    num_classes: usize,
    index: Vec<usize>,
    sorted: Vec<[usize; 3]>,
}

impl Triples {
    pub(crate) fn new(num_classes: usize) -> Self {
        let mut index = vec![0; num_classes.pow(3)];
        let mut sorted = Vec::new();
        for a in 0..num_classes {
            for b in a..num_classes {
                for c in b..num_classes {
                    for [x, y, z] in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                        index[(x * num_classes + y) * num_classes + z] = sorted.len();
                    }
                    sorted.push([a, b, c]);
                }
            }
        }
        Self { num_classes, index, sorted }
    }

    #[inline]
    pub(crate) fn index(&self, a: usize, b: usize, c: usize) -> usize {
        self.index[(a * self.num_classes + b) * self.num_classes + c]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    fn cells(&self) -> Vec<Cell> {
        self.sorted.iter().map(|&scores| Cell { scores, weight: 0.0 }).collect()
    }
}

/// Pairs of neighbors per number v of rated neighbors, own score a and scores b <= c of the pair, in this order.
/// Whole numbers: the sum over samples is exact, whatever the order, and a sample's weight `2 / (v (v - 1))` is
/// applied once at the end.
type Tally = Vec<u64>;

/// Pairs of scores b <= c.
fn pairs_of(classes: usize) -> usize {
    classes * (classes + 1) / 2
}

fn count(pool: &RatedPool<'_>, k: usize, labels: impl Fn(usize) -> LabelCounts + Sync) -> Result<Consensus> {
    let classes = pool.num_classes();
    let size = classes * pairs_of(classes);
    let chunks = pool.len().div_ceil(CHUNK);
    let tally = (0..chunks)
        .into_par_iter()
        .fold(
            || vec![0; (k + 1) * size],
            |mut tally: Tally, chunk| {
                let rows = chunk * CHUNK..pool.len().min((chunk + 1) * CHUNK);
                tally_rows(pool, &labels, rows, &mut tally);
                tally
            },
        )
        .reduce(
            || vec![0; (k + 1) * size],
            |mut sum, part| {
                sum.iter_mut().zip(part).for_each(|(total, pairs)| *total += pairs);
                sum
            },
        );
    let consensus = Consensus { num_classes: classes, cells: weigh(&tally, classes) };
    if consensus.total() == 0.0 {
        return Err(Error::value(format!(
            "no rated sample has two rated samples among its {k} nearest neighbors"
        )));
    }
    Ok(consensus)
}

fn tally_rows(
    pool: &RatedPool<'_>,
    labels: &impl Fn(usize) -> LabelCounts,
    rows: impl Iterator<Item = usize>,
    tally: &mut [u64],
) {
    let classes = pool.num_classes();
    let size = pairs_of(classes);
    for row in rows {
        let Some(own) = pool.score(row) else { continue };
        let labels = labels(row).of_scores();
        let rated: usize = labels.iter().map(|&count| usize::from(count)).sum();
        let counts = labels.map(u32::from);
        let mut cells = &mut tally[(rated * classes + own) * size..][..size];
        for (b, &count) in counts[..classes].iter().enumerate() {
            let (pairs, rest) = cells.split_at_mut(classes - b);
            cells = rest;
            // Most counts are 0, but to ask costs more than to add nothing.
            pairs[0] += u64::from(count * count.saturating_sub(1) / 2);
            for (pairs, other) in pairs[1..].iter_mut().zip(&counts[b + 1..]) {
                *pairs += u64::from(count * other);
            }
        }
    }
}

/// The sorted triples with the weight of their pairs.
fn weigh(tally: &[u64], classes: usize) -> Vec<Cell> {
    let triples = Triples::new(classes);
    let mut cells = triples.cells();
    for (rated, tally) in tally.chunks_exact(classes * pairs_of(classes)).enumerate().skip(2) {
        let mut counts = vec![0; cells.len()];
        let mut pairs = tally.iter();
        for own in 0..classes {
            for b in 0..classes {
                (b..classes).zip(&mut pairs).for_each(|(c, pairs)| counts[triples.index(own, b, c)] += pairs);
            }
        }
        let pairs = (rated * (rated - 1) / 2) as f64;
        for (cell, count) in cells.iter_mut().zip(counts) {
            cell.weight += count as f64 / pairs;
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::naive_bayes as naive;

    fn assert_close(fast: &[f64], slow: &[f64], tolerance: f64) {
        assert_eq!(fast.len(), slow.len());
        for (position, (x, y)) in fast.iter().zip(slow).enumerate() {
            assert!((x - y).abs() <= tolerance, "{x} is not {y} at {position}");
        }
    }

    proptest! {
        #[test]
        fn counts_equal_the_slow_ones(pool in naive::pools(12), more in 0_usize..12) {
            let k = 2 + more % (pool.depth - 1);
            let slow = naive::count(&pool, k);
            match count_consensus(&pool.rated(), k) {
                Ok(fast) => {
                    assert_close(&fast.tensor(), &slow, 1e-12 * pool.scores.len() as f64);
                    prop_assert!((fast.total() - fast.total().round()).abs() < 1e-9);
                }
                Err(_) => prop_assert!(slow.iter().all(|&count| count == 0.0)),
            }
        }

        #[test]
        fn a_tensor_comes_back_symmetric(counts in prop::collection::vec(0.0_f64..9.0, 64)) {
            let consensus = Consensus::from_tensor(&counts, 4).unwrap();
            assert_close(&consensus.tensor(), &naive::symmetrize(&counts, 4), 1e-13);
            let marginal: Vec<f64> = consensus.tensor().chunks(16).map(|plane| plane.iter().sum()).collect();
            assert_close(&consensus.marginal(), &marginal, 1e-12);
        }
    }

    /// A pool and its mirror image under a permutation of the rows.
    #[test]
    fn permuting_samples_changes_nothing() {
        let scores = [0_i8, 1, 2, 1, -1, 2, 0];
        let near: Vec<[u32; 3]> =
            vec![[1, 2, 3], [0, 3, 4], [5, 6, 0], [1, 0, 2], [6, 5, 3], [2, 4, 6], [0, 1, 5]];
        let order = [4_usize, 2, 6, 0, 5, 1, 3];
        let place = |row: u32| u32::try_from(order.iter().position(|&r| r == row as usize).unwrap()).unwrap();
        let moved: Vec<u32> = order.iter().flat_map(|&row| near[row].map(place)).collect();
        let moved_scores = order.map(|row| scores[row]);
        let flat: Vec<u32> = near.concat();
        let pool = RatedPool::new(&scores, Rows::new(&flat, 7, 3).unwrap(), 3).unwrap();
        let permuted = RatedPool::new(&moved_scores, Rows::new(&moved, 7, 3).unwrap(), 3).unwrap();
        assert_eq!(count_consensus(&pool, 3).unwrap(), count_consensus(&permuted, 3).unwrap());
    }

    #[test]
    fn distant_neighbors_drop_out() {
        let (scores, near) = ([0_i8, 1, 1, 0], [1_u32, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2]);
        let pool = RatedPool::new(&scores, Rows::new(&near, 4, 3).unwrap(), 2).unwrap();
        let similarities = [0.9_f32, 0.8, 0.1, 0.9, 0.2, 0.1, 0.9, 0.8, 0.7, 0.5, 0.4, 0.3];
        let rows = Rows::new(&similarities, 4, 3).unwrap();
        // Row 0 keeps the pair (1, 1), row 2 the pairs (0, 1), (0, 0), (1, 0); rows 1 and 3 keep no pair.
        let consensus = count_consensus_within(&pool, rows, 3, 0.35).unwrap();
        let weights: Vec<f64> = consensus.cells().iter().map(|cell| cell.weight).collect();
        assert_close(&weights, &[0.0, 1.0 / 3.0, 1.0 + 2.0 / 3.0, 0.0], 1e-15);
    }

    #[test]
    fn a_pool_without_a_triple_is_refused() {
        let (scores, near) = ([0_i8, -1, -1], [1_u32, 2, 0, 2, 0, 1]);
        let pool = RatedPool::new(&scores, Rows::new(&near, 3, 2).unwrap(), 2).unwrap();
        let message = count_consensus(&pool, 2).unwrap_err().to_string();
        assert_eq!(message, "no rated sample has two rated samples among its 2 nearest neighbors");
        assert!(count_consensus(&pool, 1).unwrap_err().to_string().contains("at least 2, got 1"));
        assert!(Consensus::from_tensor(&[-1.0; 8], 2).unwrap_err().to_string().contains("[0, 0, 0]"));
    }
}
