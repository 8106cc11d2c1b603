//! The share of the neighbors' disagreement that is rater noise, chosen by a second rater or a person.
//!
//! One rater cannot tell noise from true differences between neighbors (see [`crate::curation::split_noise`]). A
//! second rater who errs independently can: the share under which the first one's expected scores best predict
//! the second one's ratings is the right one, whatever the second one's own noise.

use rayon::prelude::*;

use crate::agreement::{Groups, rank_correlation};
use crate::curation::{Rule, curate};
use crate::evidence::Temper;
use crate::progress::tick;
use crate::random::Stream;
use crate::rated::RatedPool;
use crate::transition::Model;
use crate::{Error, Progress, Result, SILENT};

/// Shares that are tried.
pub const NOISE_SHARES: [f64; 8] = [0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];

/// Rank correlations closer than this count as equal, and the smaller share wins: it changes less.
pub const TIE: f64 = 0.003;

/// Resamples behind the interval of the share.
pub const RESAMPLES: u64 = 100;

/// What the shares are held against.
#[derive(Clone, Copy, Debug)]
pub struct SecondRater<'a> {
    /// Scores `(N,)` on any ordered scale, -1 = unrated.
    pub scores: &'a [i8],
    /// Weights `(N,)` of the samples, of those it rated finite and above 0; `None` = all alike.
    pub weights: Option<&'a [f64]>,
}

impl SecondRater<'_> {
    fn check(&self, rows: usize) -> Result<()> {
        for (what, len) in
            [("scores", self.scores.len()), ("weights", self.weights.map_or(rows, <[f64]>::len))]
        {
            if len != rows {
                return Err(Error::shape(format!("the second rater has {len} {what}, the pool {rows}")));
            }
        }
        let bad = |row: &usize| {
            self.scores[*row] >= 0 && !(self.weight(*row).is_finite() && self.weight(*row) > 0.0)
        };
        match (0..rows).find(bad) {
            Some(row) => Err(Error::value(format!(
                "weight {} of row {row} must be finite and above 0",
                self.weight(row)
            ))),
            None => Ok(()),
        }
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }
}

/// One share and how well the curation under it predicts the second rater.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShareCandidate {
    /// The share.
    pub noise_share: f64,
    /// Spearman correlation of the expected scores with the second rater's scores.
    pub expected: f64,
    /// The same of the curated scores.
    pub curated: f64,
}

/// Outcome of [`choose_share`].
#[derive(Clone, Debug, PartialEq)]
pub struct ShareChoice {
    /// The share that was chosen.
    pub noise_share: f64,
    /// 5 % quantile of the share over resamples of the pool.
    pub low: f64,
    /// 95 % quantile.
    pub high: f64,
    /// Every share of [`NOISE_SHARES`].
    pub candidates: Vec<ShareCandidate>,
    /// Samples rated by both.
    pub samples: usize,
}

/// Choose the noise share by a second rater.
///
/// Of [`NOISE_SHARES`], the one whose expected scores have the highest Spearman correlation with the second
/// rater's scores; among those within [`TIE`] of it the smallest. A share under which the *curated* scores
/// correlate with the second rater by more than [`TIE`] less than the ratings themselves is no candidate: hard
/// labels must not pay for it. The interval is that of [`RESAMPLES`] bootstrap resamples of the samples rated by
/// both, with T and the posteriors kept.
///
/// `threshold` is that of [`Rule`]. A person who scored a sample of the pool is a second rater too.
///
/// # Errors
///
/// [`Error::Shape`] if `second` does not fit the pool; [`Error::Value`] if no sample is rated by both, or as
/// [`curate`]; [`Error::Interrupted`].
///
/// # Cost
///
/// O(8 N (k + K^2 + log N) + 800 N); the same bits for any number of threads.
pub fn choose_share(
    pool: &RatedPool<'_>,
    model: Model<'_>,
    temper: Temper,
    threshold: f64,
    second: SecondRater<'_>,
    seed: u64,
    progress: Progress<'_>,
) -> Result<ShareChoice> {
    second.check(pool.len())?;
    let both: Vec<usize> =
        (0..pool.len()).filter(|&row| pool.score(row).is_some() && second.scores[row] >= 0).collect();
    if both.is_empty() {
        return Err(Error::value("no sample is rated by both raters"));
    }
    let steps = NOISE_SHARES.len();
    let mut predictions = Vec::with_capacity(steps);
    for noise_share in NOISE_SHARES {
        tick(progress, predictions.len(), steps + 1)?;
        let rule = Rule { noise_share, threshold, fill_missing: false };
        let found = curate(pool, model, temper, rule, &mut SILENT.clone())?;
        predictions.push(Prediction {
            expected: group(&both, |row| found.expected[row]),
            curated: group(&both, |row| f64::from(found.curated[row])),
        });
    }
    tick(progress, steps, steps + 1)?;
    let target = group(&both, |row| f64::from(second.scores[row]));
    let weights: Vec<f64> = both.iter().map(|&row| second.weight(row)).collect();
    let candidates = correlate(&predictions, &target, &weights);
    let mut chosen: Vec<usize> = (0..RESAMPLES)
        .into_par_iter()
        .map(|round| {
            let mut stream = Stream::new(seed, round);
            let mut resampled = vec![0.0; both.len()];
            for _ in &both {
                let place = stream.below(both.len());
                resampled[place] += weights[place];
            }
            best_share(&correlate(&predictions, &target, &resampled))
        })
        .collect();
    chosen.sort_unstable();
    tick(progress, steps + 1, steps + 1)?;
    let rank = chosen.len() / 20;
    Ok(ShareChoice {
        noise_share: NOISE_SHARES[best_share(&candidates)],
        low: NOISE_SHARES[chosen[rank]],
        high: NOISE_SHARES[chosen[chosen.len() - 1 - rank]],
        candidates,
        samples: both.len(),
    })
}

/// Expected and curated scores under one share, of the samples rated by both.
struct Prediction {
    expected: Groups,
    curated: Groups,
}

fn group(rows: &[usize], value: impl Fn(usize) -> f64) -> Groups {
    Groups::new(&rows.iter().map(|&row| value(row)).collect::<Vec<_>>())
}

fn correlate(predictions: &[Prediction], target: &Groups, weights: &[f64]) -> Vec<ShareCandidate> {
    let candidate = |(&noise_share, prediction): (&f64, &Prediction)| ShareCandidate {
        noise_share,
        expected: rank_correlation(&prediction.expected, target, weights),
        curated: rank_correlation(&prediction.curated, target, weights),
    };
    NOISE_SHARES.iter().zip(predictions).map(candidate).collect()
}

/// The place in [`NOISE_SHARES`] by the rule of [`choose_share`]; the first, 0, leaves every score alone.
fn best_share(candidates: &[ShareCandidate]) -> usize {
    let harmless = |candidate: &&ShareCandidate| candidate.curated >= candidates[0].curated - TIE;
    let predicted = candidates.iter().filter(harmless).map(|candidate| candidate.expected);
    let top = predicted.fold(f64::NEG_INFINITY, f64::max);
    let best = candidates.iter().position(|each| harmless(&each) && each.expected >= top - TIE);
    best.expect("the share 0 is harmless, so there is a best one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    fn candidates(figures: &[(f64, f64)]) -> Vec<ShareCandidate> {
        let candidate = |(&noise_share, &(expected, curated)): (&f64, &(f64, f64))| ShareCandidate {
            noise_share,
            expected,
            curated,
        };
        NOISE_SHARES.iter().zip(figures).map(candidate).collect()
    }

    #[test]
    fn the_best_share_wins_and_ties_go_down() {
        assert_eq!(best_share(&candidates(&[(0.3, 0.3), (0.4, 0.3), (0.5, 0.3)])), 2);
        assert_eq!(best_share(&candidates(&[(0.3, 0.3), (0.498, 0.3), (0.5, 0.3)])), 1);
        assert_eq!(best_share(&candidates(&[(0.5, 0.3), (0.4, 0.3)])), 0);
    }

    #[test]
    fn a_share_that_spoils_hard_labels_is_no_candidate() {
        assert_eq!(best_share(&candidates(&[(0.3, 0.3), (0.4, 0.3), (0.6, 0.2)])), 1);
        assert_eq!(best_share(&candidates(&[(0.3, 0.3), (0.6, 0.2)])), 0);
    }

    /// Groups of 30 that share their deserved score, seen as each other's neighbors.
    fn groups_of_thirty(scores: &[i8]) -> Vec<u32> {
        let near = |row: u32| (1..30).map(move |step| row / 30 * 30 + (row + step) % 30);
        (0..u32::try_from(scores.len()).unwrap()).flat_map(near).collect()
    }

    #[test]
    fn independent_errors_are_found_and_true_differences_respected() {
        let mut stream = Stream::new(3, 0);
        let deserved: Vec<i8> = (0..6000).map(|row| i8::from(row / 30 % 2 == 1)).collect();
        let mut noisy = |truth: &[i8]| -> Vec<i8> {
            truth.iter().map(|&score| if stream.below(5) == 0 { 1 - score } else { score }).collect()
        };
        let (first, second) = (noisy(&deserved), noisy(&deserved));
        let (t, p) = ([0.8, 0.2, 0.2, 0.8], [0.5, 0.5]);
        let choose = |first: &[i8], second: &[i8]| {
            let near = groups_of_thirty(first);
            let pool = RatedPool::new(first, Rows::new(&near, first.len(), 29).unwrap(), 2).unwrap();
            let temper = Temper { k: 20, beta: 1.0 };
            let model = Model::new(&t, &p).unwrap();
            let weights = vec![2.5; second.len()];
            let choose = |weights| {
                let second = SecondRater { scores: second, weights };
                choose_share(&pool, model, temper, 0.5, second, 1, &mut SILENT.clone()).unwrap()
            };
            let weighted = choose(Some(&weights[..]));
            let found = choose(None);
            assert_eq!((weighted.noise_share, weighted.low), (found.noise_share, found.low));
            found
        };
        let noise = choose(&first, &second);
        assert!(noise.noise_share >= 0.5 && noise.low >= 0.35, "{noise:?}");
        assert_eq!((noise.samples, noise.candidates.len()), (6000, 8));
        // The same ratings, and they are what is deserved: the second rater sees the same differences.
        let true_differences = choose(&first, &first);
        assert_eq!((true_differences.noise_share, true_differences.high), (0.0, 0.0));
    }

    #[test]
    fn bad_input_is_named() {
        let (scores, near) = ([0_i8, 1, -1], [1_u32, 2, 0, 2, 0, 1]);
        let pool = RatedPool::new(&scores, Rows::new(&near, 3, 2).unwrap(), 2).unwrap();
        let (t, p) = ([0.9, 0.1, 0.2, 0.8], [0.5, 0.5]);
        let run = |scores: &[i8], weights: Option<&[f64]>, go_on: bool| {
            let temper = Temper { k: 2, beta: 1.0 };
            let (model, second) = (Model::new(&t, &p).unwrap(), SecondRater { scores, weights });
            choose_share(&pool, model, temper, 0.5, second, 0, &mut |_, _| go_on).unwrap_err().to_string()
        };
        assert_eq!(run(&[0, 1], None, true), "the second rater has 2 scores, the pool 3");
        assert_eq!(run(&[-1, -1, 1], None, true), "no sample is rated by both raters");
        assert_eq!(run(&[0, 1, 1], None, false), "interrupted");
        let few = run(&[0, 1, 1], Some(&[1.0]), true);
        assert_eq!(few, "the second rater has 1 weights, the pool 3");
        let zero = run(&[-1, 1, 1], Some(&[0.0, 0.0, 1.0]), true);
        assert_eq!(zero, "weight 0 of row 1 must be finite and above 0");
    }
}
