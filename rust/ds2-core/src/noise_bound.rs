//! How much of the disagreement between neighbors can be rater noise at most.

use crate::blocks::Blocks;
use crate::bootstrap::{self, Interval, LEAST_BLOCKS, Refit, Resampling};
use crate::consensus::{count_close, count_consensus, count_within};
use crate::em::Fit;
use crate::rated::RatedPool;
use crate::transition::{Prior, observed_classes};
use crate::trust::close_distance;
use crate::{Result, Rows};

/// Interval of `(1 - diagonal_close) / (1 - diagonal)` of [`compare_close_fit`](crate::trust::compare_close_fit): an upper bound on the share of
/// the disagreement between neighbors that is rater noise.
///
/// The closest pairs differ least in what they deserve, so what they disagree about is rater noise or less, and
/// rater noise does not depend on the distance of a neighbor. Blocks are resampled as in
/// [`bootstrap_transition`](crate::bootstrap::bootstrap_transition). 0..1 if a figure of [`compare_close_fit`](crate::trust::compare_close_fit)
/// is NaN, neighbors never disagree, or there are too few blocks.
///
/// # Errors
///
/// As [`compare_close_fit`](crate::trust::compare_close_fit); [`Value`](crate::Error::Value) if there is no replicate.
///
/// # Cost
///
/// That of two [`bootstrap_transition`](crate::bootstrap::bootstrap_transition) with k = 2.
pub fn bound_noise_share(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
    prior: Prior,
    strength: Option<f64>,
    blocks: &Blocks,
    resampling: Resampling,
) -> Result<Interval> {
    bootstrap::check(pool, blocks, resampling)?;
    let unknown = Interval { low: 0.0, high: 1.0 };
    let Some(max_distance) = close_distance(pool, similarities)? else { return Ok(unknown) };
    let counts = [count_consensus(pool, 2)?, count_within(pool, similarities, 2, max_distance)?];
    if blocks.count < LEAST_BLOCKS || counts.iter().any(|c| observed_classes(c).len() < 2) {
        return Ok(unknown);
    }
    let [all, close] = counts;
    let priors = [prior.strength(strength, all.total())?, prior.strength(strength, close.total())?];
    let all = Refit::new(pool, blocks, all, (prior, priors[0]), |_| 2);
    let close = Refit::new(pool, blocks, close, (prior, priors[1]), |row| {
        count_close(similarities.row(row), 2, max_distance)
    });
    let (places, weights) = shared_classes(&all, &close);
    let off_diagonal = |fit: &Fit, part: usize| {
        let sum =
            places.iter().zip(&weights).map(|(at, weight)| weight * fit.t[at[part] * (fit.p.len() + 1)]);
        1.0 - sum.sum::<f64>()
    };
    if places.is_empty() || off_diagonal(&all.fit, 0) <= 0.0 {
        return Ok(unknown);
    }
    let shares = bootstrap::resample(blocks.count, resampling, |draws| {
        off_diagonal(&close.replicate(draws), 1)
            / off_diagonal(&all.replicate(draws), 0).max(f64::MIN_POSITIVE)
    });
    Ok(Interval::of(shares))
}

/// Places of the classes identified in both fits, in either, and their shares of p in the first.
fn shared_classes(all: &Refit, close: &Refit) -> (Vec<[usize; 2]>, Vec<f64>) {
    let found = close.identified();
    let places: Vec<[usize; 2]> = all
        .identified()
        .into_iter()
        .filter_map(|i| {
            let j = found.iter().copied().find(|&j| close.observed[j] == all.observed[i])?;
            Some([i, j])
        })
        .collect();
    let weight: f64 = places.iter().map(|at| all.fit.p[at[0]]).sum();
    let weights = places.iter().map(|at| all.fit.p[at[0]] / weight).collect();
    (places, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { replicates: 200, seed: 1 };

    /// Groups of three that are each other's neighbors. Every second group is close. A close group shares its
    /// true score, another only with probability `shared`; one rating in five is wrong everywhere.
    fn groups(count: u32, shared: usize, seed: u64) -> (Vec<i8>, Vec<u32>, Vec<f32>) {
        let mut stream = crate::random::Stream::new(seed, 0);
        let mut scores = Vec::new();
        for group in 0..count {
            let truth = stream.below(2);
            let strangers = group % 2 == 1 && stream.below(100) >= shared;
            scores.extend((0..3).map(|_| {
                let own = if strangers { stream.below(2) } else { truth };
                let wrong = stream.below(5) == 0;
                i8::from((own == 1) != wrong)
            }));
        }
        let near =
            (0..count * 3).flat_map(|row| (1..3).map(move |step| row / 3 * 3 + (row + step) % 3)).collect();
        let close = |row: u32| if (row / 3).is_multiple_of(2) { 0.9 } else { 0.5 };
        (scores, near, (0..count * 3).flat_map(|row| [close(row); 2]).collect())
    }

    fn bound(pool: &(Vec<i8>, Vec<u32>, Vec<f32>)) -> Interval {
        let (scores, near, similarities) = pool;
        let rated = RatedPool::new(scores, Rows::new(near, scores.len(), 2).unwrap(), 2).unwrap();
        let similarities = Rows::new(similarities, scores.len(), 2).unwrap();
        let blocks = crate::blocks::join_neighbors(&rated);
        bound_noise_share(&rated, similarities, Prior::Uniform, Some(1.0), &blocks, RESAMPLING).unwrap()
    }

    #[test]
    fn noise_alone_is_not_contradicted() {
        let missed = (0..100).filter(|&seed| bound(&groups(1500, 100, seed)).high < 1.0).count();
        // 2.5 of 100 expected.
        assert!(missed <= 8, "{missed}");
    }

    #[test]
    fn true_differences_far_out_bound_the_share() {
        let found = bound(&groups(4000, 40, 1));
        assert!(found.low > 0.4 && found.high < 0.9, "{found:?}");
    }

    #[test]
    fn nothing_is_known_without_disagreement_or_blocks() {
        let open = Interval { low: 0.0, high: 1.0 };
        let (mut scores, near, similarities) = groups(4, 100, 0);
        assert_eq!(bound(&(scores.clone(), near, similarities)), open);
        let (_, near, similarities) = groups(100, 100, 0);
        scores = vec![1; 300];
        assert_eq!(bound(&(scores, near, similarities)), open);
    }
}
