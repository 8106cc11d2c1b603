//! Figures by which a user can judge whether neighbors may correct ratings at all.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::consensus::{count_consensus, count_within};
use crate::rated::{CHUNK, MAX_CLASSES, RatedPool};
use crate::transition::{Prior, Transition, fit_transition};
use crate::{Result, Rows};

/// Upper edges of the distance bins, as shares of the samples ordered by distance to their nearest neighbor.
pub const BIN_EDGES: [f64; 5] = [0.01, 0.05, 0.2, 0.5, 1.0];

/// Share of the samples, those whose two nearest neighbors are closest, on which T is fitted anew.
pub const CLOSE_SHARE: f64 = 0.2;

/// Agreement of samples with their nearest neighbor, over one range of distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DistanceBin {
    /// The bin ends at this share of the samples and starts where the bin before it ends.
    pub to_share: f64,
    /// Largest cosine distance in the bin; NaN if it is empty.
    pub max_distance: f64,
    /// Pairs of a rated sample and its rated nearest neighbor.
    pub pairs: usize,
    /// Share of the pairs with equal scores; NaN if the bin is empty.
    pub agreement: f64,
    /// The same if the scores of the bin were paired at random.
    pub chance: f64,
}

/// T from the closest neighbors against T from all, both over a sample and its two nearest neighbors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloseFit {
    /// Largest distance to the second neighbor among the closest [`CLOSE_SHARE`]; NaN if no sample is rated
    /// together with its two nearest neighbors.
    pub max_distance: f64,
    /// Samples in the close fit.
    pub samples: f64,
    /// Mean diagonal of T from all samples, weighted by p, over the classes identified in both fits; NaN if
    /// there is none.
    pub diagonal: f64,
    /// The same of T from the close samples, under the same weights.
    pub diagonal_close: f64,
}

/// Agreement and chance by distance to the nearest neighbor.
///
/// Samples are ordered by the distance to their nearest neighbor (ties by row) and cut at [`BIN_EDGES`].
/// `agreement` is the share of pairs with equal scores, `chance` is `sum_c P(own = c) P(neighbor = c)` within
/// the bin. If scores are clusterable, agreement lies well above chance and does not fall with distance.
///
/// # Errors
///
/// [`Shape`](crate::Error::Shape) if `similarities` does not have the shape of the neighbors;
/// [`Value`](crate::Error::Value) if one is not finite or a row is not sorted from most to least similar.
///
/// # Cost
///
/// O(N L).
pub fn agreement_by_distance(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
) -> Result<[DistanceBin; BIN_EDGES.len()]> {
    pool.check_similarities(similarities)?;
    let mut pairs: Vec<Pair> = (0..pool.len())
        .into_par_iter()
        .with_min_len(CHUNK)
        .filter_map(|row| {
            let (score, neighbor) = (pool.score(row)?, pool.neighbor_score(row, 0)?);
            Some(Pair { similarity: similarities.row(row)[0], row, score, neighbor })
        })
        .collect();
    let ends = BIN_EDGES.map(|to_share| share_of(pairs.len(), to_share));
    // Each bin must hold the right pairs; in what order does not matter.
    let mut rest = pairs.as_mut_slice();
    for &end in ends.iter().rev() {
        if end < rest.len() {
            rest.select_nth_unstable_by(end, Pair::nearest_first);
        }
        rest = &mut rest[..end];
    }
    let mut start = 0;
    let bins = std::array::from_fn(|bin| {
        let described = describe_bin(&pairs[start..ends[bin]], BIN_EDGES[bin]);
        start = ends[bin];
        described
    });
    Ok(bins)
}

/// A rated sample and its rated nearest neighbor.
struct Pair {
    similarity: f32,
    row: usize,
    score: usize,
    neighbor: usize,
}

impl Pair {
    fn nearest_first(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.row.cmp(&other.row))
    }
}

fn describe_bin(pairs: &[Pair], to_share: f64) -> DistanceBin {
    let (mut own, mut other) = ([0_usize; MAX_CLASSES], [0_usize; MAX_CLASSES]);
    for pair in pairs {
        own[pair.score] += 1;
        other[pair.neighbor] += 1;
    }
    let count = pairs.len() as f64;
    let farthest = pairs.iter().map(|pair| pair.similarity).min_by(f32::total_cmp);
    let equal = pairs.iter().filter(|pair| pair.score == pair.neighbor).count();
    let chance: f64 = own.iter().zip(other).map(|(&a, b)| (a as f64 / count) * (b as f64 / count)).sum();
    DistanceBin {
        to_share,
        max_distance: farthest.map_or(f64::NAN, |similarity| 1.0 - f64::from(similarity)),
        pairs: pairs.len(),
        agreement: equal as f64 / count,
        chance,
    }
}

/// Fit T on the closest neighbors and compare its diagonal with that of T from all.
///
/// Both fits use a sample and its two nearest neighbors; the close one only samples whose second neighbor is
/// within the closest [`CLOSE_SHARE`]. If the diagonal rises clearly, the disagreement further out is not rater
/// noise alone: clusterability does not hold there. In a pool so sparsely rated that no sample can be counted,
/// nothing is known, and all figures but `samples` are NaN.
///
/// # Errors
///
/// As [`agreement_by_distance`] and [`fit_transition`]; [`Value`](crate::Error::Value) if there are fewer than
/// two neighbors.
///
/// # Cost
///
/// Two counts and two fits.
pub fn compare_close_fit(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
    prior: Prior,
    strength: Option<f64>,
) -> Result<CloseFit> {
    let Some(max_distance) = close_distance(pool, similarities)? else {
        let unknown = f64::NAN;
        return Ok(CloseFit {
            max_distance: unknown,
            samples: 0.0,
            diagonal: unknown,
            diagonal_close: unknown,
        });
    };
    let all = fit_transition(&count_consensus(pool, 2)?, prior, strength)?;
    let counts = count_within(pool, similarities, 2, max_distance)?;
    let close = fit_transition(&counts, prior, strength)?;
    let both: Vec<usize> =
        (0..pool.num_classes()).filter(|&i| !all.unidentified[i] && !close.unidentified[i]).collect();
    let weight: f64 = both.iter().map(|&i| all.p[i]).sum();
    let diagonal = |fit: &Transition| {
        both.iter().map(|&i| all.p[i] * fit.t[i * fit.num_classes + i]).sum::<f64>() / weight
    };
    Ok(CloseFit {
        max_distance,
        samples: counts.total(),
        diagonal: diagonal(&all),
        diagonal_close: diagonal(&close),
    })
}

/// Largest distance to the second neighbor among the closest [`CLOSE_SHARE`] of the samples that are rated
/// together with their two nearest neighbors; `None` if there is no such sample.
pub(crate) fn close_distance(pool: &RatedPool<'_>, similarities: Rows<'_, f32>) -> Result<Option<f64>> {
    pool.check_similarities(similarities)?;
    pool.check_k(2, 2)?;
    let mut distances: Vec<f64> = (0..pool.len())
        .into_par_iter()
        .with_min_len(CHUNK)
        .filter(|&row| {
            pool.score(row).and(pool.neighbor_score(row, 0)).and(pool.neighbor_score(row, 1)).is_some()
        })
        .map(|row| 1.0 - f64::from(similarities.row(row)[1]))
        .collect();
    if distances.is_empty() {
        return Ok(None);
    }
    let last = share_of(distances.len(), CLOSE_SHARE) - 1;
    let (_, &mut max_distance, _) = distances.select_nth_unstable_by(last, f64::total_cmp);
    Ok(Some(max_distance))
}

/// `share` of `count`, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "share lies in (0, 1]")]
fn share_of(count: usize, share: f64) -> usize {
    (share * count as f64).ceil() as usize
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::naive_bayes as naive;

    /// The bins of all pairs sorted: what the partition must come to.
    fn sorted_bins(pool: &RatedPool<'_>, similarities: Rows<'_, f32>) -> Vec<DistanceBin> {
        let mut pairs: Vec<Pair> = (0..pool.len())
            .filter_map(|row| {
                let (score, neighbor) = (pool.score(row)?, pool.neighbor_score(row, 0)?);
                Some(Pair { similarity: similarities.row(row)[0], row, score, neighbor })
            })
            .collect();
        pairs.sort_by(Pair::nearest_first);
        let mut start = 0;
        let mut bins = Vec::new();
        for to_share in BIN_EDGES {
            let end = share_of(pairs.len(), to_share);
            bins.push(describe_bin(&pairs[start..end], to_share));
            start = end;
        }
        bins
    }

    proptest! {
        #[test]
        fn bins_equal_those_of_sorted_pairs(
            pool in naive::pools(6),
            // Few values, so that many pairs are equally far and their rows decide.
            steps in prop::collection::vec(0_u8..5, 60),
        ) {
            let similarities: Vec<f32> = (0..pool.scores.len())
                .flat_map(|row| vec![f32::from(steps[row]) / 4.0; pool.depth])
                .collect();
            let rows = Rows::new(&similarities, pool.scores.len(), pool.depth).unwrap();
            let fast = agreement_by_distance(&pool.rated(), rows).unwrap();
            // As text: the NaN of an empty bin equals itself.
            prop_assert_eq!(format!("{fast:?}"), format!("{:?}", sorted_bins(&pool.rated(), rows).as_slice()));
        }
    }

    /// Ten samples on a line; each lists its left and right neighbor on a ring, similarity falling with the row.
    fn ring() -> (Vec<i8>, Vec<u32>, Vec<f32>) {
        let scores = vec![0, 0, 0, 0, 1, 1, -1, 1, 1, 0];
        let near = (0..10_u32).flat_map(|row| [(row + 1) % 10, (row + 9) % 10]).collect();
        let similarities = (0..10_u8).flat_map(|row| [1.0 - f32::from(row) / 16.0; 2]).collect();
        (scores, near, similarities)
    }

    #[test]
    fn bins_hold_what_a_count_by_hand_gives() {
        let (scores, near, similarities) = ring();
        let pool = RatedPool::new(&scores, Rows::new(&near, 10, 2).unwrap(), 2).unwrap();
        let bins = agreement_by_distance(&pool, Rows::new(&similarities, 10, 2).unwrap()).unwrap();
        // Rated pairs by distance: rows 0 1 2 3 4 7 8 9 with neighbors 0=0 0=0 0=0 0/1 1=1 1=1 1/0 0=0.
        assert_eq!(bins.map(|bin| bin.pairs), [1, 0, 1, 2, 4]);
        assert!(bins[1].agreement.is_nan() && bins[1].max_distance.is_nan());
        assert_eq!(bins[0].max_distance, 0.0);
        assert_eq!((bins[3].agreement, bins[3].chance), (0.5, 0.5));
        assert_eq!((bins[4].agreement, bins[4].max_distance), (0.75, 0.5625));
        // Own scores 1 1 1 0, neighbors 1 1 0 0.
        assert_eq!(bins[4].chance, 0.75 * 0.5 + 0.25 * 0.5);
    }

    #[test]
    fn bad_similarities_are_named() {
        let (scores, near, mut similarities) = ring();
        let pool = RatedPool::new(&scores, Rows::new(&near, 10, 2).unwrap(), 2).unwrap();
        let message = |similarities: &[f32], width: usize| {
            let rows = Rows::new(similarities, similarities.len() / width, width).unwrap();
            agreement_by_distance(&pool, rows).unwrap_err().to_string()
        };
        assert_eq!(message(&similarities, 4), "similarities is (5, 4), neighbors is (10, 2)");
        similarities[7] = 0.95;
        assert_eq!(message(&similarities, 2), "similarities of row 3 do not descend at column 1");
        similarities[7] = f32::NAN;
        assert_eq!(message(&similarities, 2), "similarity NaN in row 3, column 1 is not finite");
    }

    #[test]
    fn nothing_is_known_without_two_rated_neighbors() {
        let (scores, near, similarities) = ([0, 1, -1, -1], [1, 2, 0, 2, 0, 1, 0, 1], [0.5; 8]);
        let pool = RatedPool::new(&scores, Rows::new(&near, 4, 2).unwrap(), 2).unwrap();
        let similarities = Rows::new(&similarities, 4, 2).unwrap();
        let fit = compare_close_fit(&pool, similarities, Prior::Ordinal, None).unwrap();
        assert!(fit.samples == 0.0 && fit.max_distance.is_nan());
        assert!(fit.diagonal.is_nan() && fit.diagonal_close.is_nan());
        let narrow = RatedPool::new(&scores, Rows::new(&[1, 0, 0, 0], 4, 1).unwrap(), 2).unwrap();
        let similarities = Rows::new(&[0.5; 4], 4, 1).unwrap();
        assert!(compare_close_fit(&narrow, similarities, Prior::Ordinal, None).is_err());
    }

    /// Close groups are rated without noise, distant ones at random: the close fit must see it.
    #[test]
    fn a_diagonal_that_rises_is_seen() {
        let groups = 4000_u32;
        let mut scores = Vec::new();
        for group in 0..groups {
            let mixed = group.wrapping_mul(2_654_435_761) >> 16;
            let close = group % 4 == 0;
            scores.extend((0..3).map(|member| {
                let bit = if close { mixed & 1 } else { mixed >> member & 1 };
                i8::try_from(bit).unwrap()
            }));
        }
        let near: Vec<u32> =
            (0..groups * 3).flat_map(|row| (1..3).map(move |step| row / 3 * 3 + (row + step) % 3)).collect();
        let similarities: Vec<f32> =
            (0..groups * 3).flat_map(|row| [if row / 3 % 4 == 0 { 0.9 } else { 0.5 }; 2]).collect();
        let (near, similarities) =
            (Rows::new(&near, scores.len(), 2).unwrap(), Rows::new(&similarities, scores.len(), 2).unwrap());
        let pool = RatedPool::new(&scores, near, 2).unwrap();
        let fit = compare_close_fit(&pool, similarities, Prior::Ordinal, None).unwrap();
        assert!((fit.max_distance - 0.1).abs() < 1e-6 && fit.samples == 3000.0, "{fit:?}");
        assert!(fit.diagonal_close > 0.99 && fit.diagonal < 0.9, "{fit:?}");
    }
}
