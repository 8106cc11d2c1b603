//! Do neighbors know anything about a rating? Real ratings against the same ratings shuffled.

use rayon::prelude::*;

use crate::consensus::count_rows;
use crate::evidence::tune_on;
use crate::random::Stream;
use crate::rated::RatedPool;
use crate::transition::{Prior, fit_within};
use crate::{Error, Result};

/// Samples whose ratings are predicted, at most; their neighbors may be any.
pub const SHUFFLE_SAMPLES: usize = 4_000;

/// E-steps of a fit, at most. Shuffled ratings leave T open, and a fit to them would climb forever.
const STEPS: usize = 150;

/// What neighbors know about ratings, and about ratings dealt out at random.
#[derive(Clone, Debug, PartialEq)]
pub struct ShuffleTest {
    /// Rated samples that were predicted.
    pub samples: usize,
    /// Neighbor information of the ratings as they are, in nats.
    pub information: f64,
    /// The same of the ratings shuffled among the rated samples, one entry per shuffle.
    pub shuffled: Vec<f64>,
}

impl ShuffleTest {
    /// Probability of as much information, or more, if neighbors knew nothing:
    /// `(1 + shuffles that reach it) / (1 + shuffles)`. Exact for any pool, any fit and any tuning, because
    /// under that hypothesis the real ratings are one shuffle among the others (Phipson and Smyth 2010).
    #[must_use]
    pub fn p_value(&self) -> f64 {
        let reached = self.shuffled.iter().filter(|&&shuffled| shuffled >= self.information).count();
        (1 + reached) as f64 / (1 + self.shuffled.len()) as f64
    }
}

/// Compare the neighbor information of a pool with that of `shuffles` random orders of its ratings.
///
/// Every order goes the whole way, so that what a fit and a tuning find in pure noise is found there too: T and
/// p are fitted to the consensus of at most [`SHUFFLE_SAMPLES`] rated samples at a fixed stride with their k
/// nearest neighbors, by EM of at most 150 steps under the ordinal prior; k and beta are tuned on the same
/// samples ([`tune_evidence`](crate::evidence::tune_evidence)). A pool in which no sample can be counted, or
/// all ratings are equal, has information 0.
///
/// # Errors
///
/// [`Error::Value`] if k is not in 2..=L, `shuffles` is 0, or no sample is rated.
///
/// # Cost
///
/// O(shuffles (N + min(N, 4,000) k K)), independent of the thread count to the last bit.
pub fn shuffle_test(pool: &RatedPool<'_>, k: usize, shuffles: usize, seed: u64) -> Result<ShuffleTest> {
    pool.check_k(k, 2)?;
    if shuffles == 0 {
        return Err(Error::value("shuffles must be at least 1, got 0"));
    }
    let rated: Vec<usize> = (0..pool.len()).filter(|&row| pool.score(row).is_some()).collect();
    if rated.is_empty() {
        return Err(Error::value("no sample is rated"));
    }
    let stride = rated.len().div_ceil(SHUFFLE_SAMPLES);
    let rows: Vec<usize> = rated.iter().copied().step_by(stride).collect();
    let ratings: Vec<i8> = rated.iter().map(|&row| pool.scores()[row]).collect();
    let information = information(pool, &rows, k)?;
    let shuffled = (0..shuffles as u64)
        .into_par_iter()
        .map(|round| {
            let mut scores = pool.scores().to_vec();
            deal(&ratings, &rated, &mut Stream::new(seed, round), &mut scores);
            self::information(&pool.with_scores(&scores), &rows, k)
        })
        .collect::<Result<_>>()?;
    Ok(ShuffleTest { samples: rows.len(), information, shuffled })
}

/// Give the rated samples the ratings in a random order (Fisher and Yates).
fn deal(ratings: &[i8], rated: &[usize], stream: &mut Stream, scores: &mut [i8]) {
    let mut deck = ratings.to_vec();
    for (place, &row) in rated.iter().enumerate().rev() {
        deck.swap(place, stream.below(place + 1));
        scores[row] = deck[place];
    }
}

/// Neighbor information of some rows, after a fit to the same rows.
fn information(pool: &RatedPool<'_>, rows: &[usize], k: usize) -> Result<f64> {
    let fit = fit_within(&count_rows(pool, rows, k), Prior::Ordinal, None, STEPS)?;
    if fit.degenerate {
        return Ok(0.0);
    }
    Ok(tune_on(pool, fit.model()?, rows)?.best.information)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Rows;
    use crate::consensus::count_consensus;
    use crate::evidence::tune_evidence;
    use crate::naive_bayes as naive;

    /// Samples on a ring that list the `depth` that follow them.
    fn ring(rows: u32, depth: u32) -> Vec<u32> {
        (0..rows).flat_map(|row| (1..=depth).map(move |step| (row + step) % rows)).collect()
    }

    proptest! {
        #[test]
        fn a_deal_keeps_every_rating(pool in naive::pools(3), seed in any::<u64>()) {
            let rated: Vec<usize> = (0..pool.scores.len()).filter(|&row| pool.scores[row] >= 0).collect();
            let ratings: Vec<i8> = rated.iter().map(|&row| pool.scores[row]).collect();
            let mut dealt = pool.scores.clone();
            deal(&ratings, &rated, &mut Stream::new(seed, 0), &mut dealt);
            for (new, old) in dealt.iter().zip(&pool.scores) {
                prop_assert_eq!(*new < 0, *old < 0);
            }
            let sorted = |mut scores: Vec<i8>| { scores.sort_unstable(); scores };
            prop_assert_eq!(sorted(dealt), sorted(pool.scores));
        }

        #[test]
        fn real_ratings_go_the_way_of_a_run(pool in naive::pools(12)) {
            // Missing ratings too: they are left out of counts and predictions alike.
            let rated = pool.rated();
            let Ok(counts) = count_consensus(&rated, pool.depth) else { return Ok(()) };
            let fit = fit_within(&counts, Prior::Ordinal, None, STEPS).unwrap();
            prop_assume!(!fit.degenerate);
            let tuning = tune_evidence(&rated, fit.model().unwrap()).unwrap();
            let test = shuffle_test(&rated, pool.depth, 3, 7).unwrap();
            prop_assert!((test.information - tuning.best.information).abs() <= 1e-12);
            prop_assert_eq!(test.shuffled.len(), 3);
        }
    }

    #[test]
    fn each_place_gets_each_rating_as_often() {
        let (ratings, rated) = ([0_i8, 1, 2, 3], [0_usize, 2, 3, 5]);
        let mut seen = [[0_u32; 4]; 6];
        for round in 0..40_000 {
            let mut scores = [-1_i8; 6];
            deal(&ratings, &rated, &mut Stream::new(1, round), &mut scores);
            for (place, &score) in scores.iter().enumerate() {
                if let Ok(score) = usize::try_from(score) {
                    seen[place][score] += 1;
                }
            }
        }
        assert_eq!((seen[1], seen[4]), ([0; 4], [0; 4]));
        // 10,000 expected, standard deviation 87.
        for row in rated {
            assert!(seen[row].iter().all(|&count| count.abs_diff(10_000) < 450), "{seen:?}");
        }
    }

    #[test]
    fn neighbors_that_agree_beat_every_shuffle() {
        let scores: Vec<i8> = (0..300_i16).map(|row| i8::try_from(row / 100).unwrap()).collect();
        let near = ring(300, 10);
        let pool = RatedPool::new(&scores, Rows::new(&near, 300, 10).unwrap(), 3).unwrap();
        let test = shuffle_test(&pool, 10, 99, 0).unwrap();
        assert!(test.information > 0.8 && (test.p_value() - 0.01).abs() < 1e-12, "{test:?}");
        assert_eq!(test, shuffle_test(&pool, 10, 99, 0).unwrap());
        assert_ne!(test.shuffled, shuffle_test(&pool, 10, 99, 1).unwrap().shuffled);
    }

    #[test]
    fn equal_ratings_say_nothing() {
        let (scores, near) = ([1_i8; 30], ring(30, 4));
        let pool = RatedPool::new(&scores, Rows::new(&near, 30, 4).unwrap(), 3).unwrap();
        let test = shuffle_test(&pool, 4, 19, 0).unwrap();
        assert!(test.information.abs() < 1e-12 && (test.p_value() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bad_input_is_named() {
        let (scores, near) = ([-1_i8; 4], ring(4, 2));
        let pool = RatedPool::new(&scores, Rows::new(&near, 4, 2).unwrap(), 2).unwrap();
        let message = |k, shuffles| shuffle_test(&pool, k, shuffles, 0).unwrap_err().to_string();
        assert_eq!(message(2, 0), "shuffles must be at least 1, got 0");
        assert_eq!(message(2, 9), "no sample is rated");
        assert_eq!(message(1, 9), "k must be at least 2, got 1");
    }
}
