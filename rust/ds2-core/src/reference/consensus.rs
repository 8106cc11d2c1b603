//! Expected consensus counts of the published sampling, in closed form.

use rayon::prelude::*;

use super::Sampling;
use crate::{Error, RatedPool, Result};

/// Rows whose sums are taken together; fixed, so that the result does not depend on the thread count.
const BLOCK: usize = 4096;

/// A position this unlikely to be the second copy found ends the list.
const NEGLIGIBLE: f64 = 1e-12;

/// Third-order consensus frequencies.
#[derive(Debug, Clone, PartialEq)]
pub struct Consensus {
    /// `(K, K, K)` row-major, sums to 1: a sample's score, its first and its second neighbor's.
    pub c3: Vec<f64>,
    /// Share of draws whose second neighbor lies beyond the end of the neighbor lists (left out of `c3`).
    pub truncated: f64,
    /// Rated rows.
    pub rated: usize,
}

/// Compute the expectation of the consensus counts over all random draws of the published code.
///
/// Let `l_1, l_2, ...` be the scores of the other copies of the pool as seen from sample n, nearest first: its
/// own copy, then every rated neighbor twice (`duplicate`), or every rated neighbor once. Each is drawn with
/// probability f = [`Sampling::share`], so positions s < t are the first two found with probability
/// `f^2 (1-f)^(t-2)`, and
///
/// `c3[y_n, b, l_t] += f^2 (1-f)^(t-2) * #{s < t: l_s = b}` for t = 2, 3, ...
///
/// divided by its sum. With `duplicate = false` and `sample_size = None` these are the plain counts of a sample
/// and its two nearest neighbors. Source: published code, estimation of consensus (the expectation instead of 50
/// random rounds: Deviations D3, D7). O(N L K) time, O(K^3) memory a block of rows; parallel, same bits for any
/// number of threads.
///
/// # Errors
///
/// [`Error::Value`] if no rated sample finds two rated copies.
pub fn expected_consensus(pool: &RatedPool<'_>, sampling: Sampling) -> Result<Consensus> {
    let rated = pool.rated_rows();
    let weights = weights(sampling.share(rated.len()), 1 + pool.depth() * sampling.copies());
    let blocks: Vec<Block> = rated
        .par_chunks(BLOCK)
        .map(|rows| {
            let mut block = Block::new(pool.num_classes());
            for &row in rows {
                block.add(pool, row as usize, &weights, sampling.duplicate);
            }
            block
        })
        .collect();
    let mut total = Block::new(pool.num_classes());
    for block in &blocks {
        total.merge(block);
    }
    if total.mass <= 0.0 {
        return Err(Error::value(
            "no rated sample has two rated neighbors, so there is no consensus to count",
        ));
    }
    let sum: f64 = total.c3.iter().sum();
    Ok(Consensus {
        c3: total.c3.iter().map(|value| value / sum).collect(),
        // Rounding may leave the mass a hair above the number of rows.
        truncated: (1.0 - total.mass / rated.len() as f64).max(0.0),
        rated: rated.len(),
    })
}

/// `weights[t - 1] = f^2 (1-f)^(t-2)`, the chance that position t is the second one found after a given first;
/// 0 for t = 1, and ended where it is negligible.
fn weights(f: f64, positions: usize) -> Vec<f64> {
    let tail = std::iter::successors(Some(f * f), |weight| Some(weight * (1.0 - f)));
    std::iter::once(0.0).chain(tail.take_while(|&weight| weight >= NEGLIGIBLE)).take(positions).collect()
}

/// Sums over one block of rows.
struct Block {
    c3: Vec<f64>,
    mass: f64,
    num_classes: usize,
}

impl Block {
    fn new(num_classes: usize) -> Self {
        Self { c3: vec![0.0; num_classes.pow(3)], mass: 0.0, num_classes }
    }

    fn add(&mut self, pool: &RatedPool<'_>, row: usize, weights: &[f64], duplicate: bool) {
        let Some(own) = pool.score(row) else { return };
        let k = self.num_classes;
        let plane = &mut self.c3[own * k * k..(own + 1) * k * k];
        let twin = duplicate.then_some(own);
        let copies = 1 + usize::from(duplicate);
        let others = pool.rated_neighbors(row).flat_map(|(_, score)| std::iter::repeat_n(score, copies));
        let mut before = [0.0f64; 16];
        for (passed, (score, &weight)) in twin.into_iter().chain(others).zip(weights).enumerate() {
            for (first, &count) in before[..k].iter().enumerate() {
                plane[first * k + score] += weight * count;
            }
            self.mass += weight * passed as f64;
            before[score] += 1.0;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.c3.iter_mut().zip(&other.c3).for_each(|(sum, value)| *sum += value);
        self.mass += other.mass;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    const SCORES: [i8; 3] = [0, 1, 1];
    const NEIGHBORS: [u32; 6] = [1, 2, 2, 0, 1, 0];

    fn pool<'a>(scores: &'a [i8], neighbors: &'a [u32]) -> RatedPool<'a> {
        let depth = neighbors.len() / scores.len();
        RatedPool::new(scores, Rows::new(neighbors, scores.len(), depth).unwrap(), 2).unwrap()
    }

    #[test]
    fn known_answer_at_one_half() {
        // No whole number of six copies gives f = 1/2, so the weights are set by hand.
        let pool = pool(&SCORES, &NEIGHBORS);
        let mut block = Block::new(2);
        (0..3).for_each(|row| block.add(&pool, row, &weights(0.5, 5), true));
        let sum: f64 = block.c3.iter().sum();
        let expected = [0.0, 0.192_308, 0.0, 0.141_026, 0.025_641, 0.0, 0.230_769, 0.410_256];
        for (value, expected) in block.c3.iter().zip(expected) {
            assert!((value / sum - expected).abs() < 1e-6, "{:?}", block.c3);
        }
    }

    #[test]
    fn known_answer_when_all_copies_are_drawn() {
        let sampling = Sampling { duplicate: true, sample_size: None };
        let consensus = expected_consensus(&pool(&SCORES, &NEIGHBORS), sampling).unwrap();
        let mut expected = [0.0; 8];
        (expected[0b001], expected[0b111]) = (1.0 / 3.0, 2.0 / 3.0);
        for (value, expected) in consensus.c3.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{:?}", consensus.c3);
        }
        assert!(consensus.truncated.abs() < 1e-12);
    }

    #[test]
    fn plain_options_count_the_two_nearest_neighbors() {
        let sampling = Sampling { duplicate: false, sample_size: None };
        let consensus = expected_consensus(&pool(&SCORES, &NEIGHBORS), sampling).unwrap();
        let mut expected = [0.0; 8];
        (expected[0b011], expected[0b110]) = (1.0 / 3.0, 2.0 / 3.0);
        assert!(consensus.c3.iter().zip(expected).all(|(value, expected)| (value - expected).abs() < 1e-12));
    }

    #[test]
    fn truncated_mass_is_the_chance_of_fewer_than_two_finds() {
        // 60 rated rows, 2 neighbors: f = 107/119, positions 5.
        let neighbors: Vec<u32> = (0..60).flat_map(|row| [(row + 1) % 60, (row + 2) % 60]).collect();
        let scores: Vec<i8> = (0..60).map(|row| row % 2).collect();
        let consensus = expected_consensus(&pool(&scores, &neighbors), Sampling::default()).unwrap();
        let f = Sampling::default().share(60);
        let expected = (1.0 - f).powi(5) + 5.0 * f * (1.0 - f).powi(4);
        assert!((consensus.truncated - expected).abs() < 1e-12);
    }

    #[test]
    fn a_pool_without_pairs_is_refused() {
        let text = expected_consensus(&pool(&[-1, 0], &[1, 0]), Sampling::default()).unwrap_err().to_string();
        assert!(text.starts_with("no rated sample has two rated neighbors"), "{text}");
    }
}
