//! Paper mode: the method as described, once, on the whole pool.

use rayon::prelude::*;

use crate::evidence::check_same_classes;
use crate::reference::misrated_shares;
use crate::transition::Model;
use crate::{Error, RatedPool, Result, Rows};

/// Outcome of paper mode; one value a row.
#[derive(Debug, Clone, PartialEq)]
pub struct PaperCuration {
    /// Among the samples of its class that agree least with their neighbors.
    pub misrated: Vec<bool>,
    /// The score the neighbors vote for, flagged or not; -1 for unrated rows, the own score without a vote.
    pub suggested: Vec<i8>,
    /// Share of the votes that the suggestion has, in [0, 1]; NaN for unrated rows, 0 without a vote.
    pub confidence: Vec<f64>,
    /// The suggestion if misrated and confident enough, else the score; -1 for unrated rows.
    pub curated: Vec<i8>,
}

/// Find misrated samples by rank and let their neighbors vote, without sampling.
///
/// The vote for score c is the sum of similarities of the k nearest rated neighbors with that score; agreement
/// is the cosine of the votes with the sample's own score. Of each class i the share
/// `1 - min(1, T_ii p_i / P(score i))` with the lowest agreement is misrated: that share times the size of the
/// class, rounded to the nearest number of samples, ties by row. The suggestion is the score with most votes
/// (ties: the score of the nearer neighbor), confidence its share of the votes, and the curated score is the
/// suggestion iff the sample is misrated and confidence >= `threshold`.
///
/// Where the paper leaves a choice open: unrated rows are left out, as if not in the pool; a neighbor at or
/// beyond a right angle has no vote; a sample without any vote agrees with itself; an exact number of
/// samples is flagged, which may be none.
///
/// `similarities` `(N, L)` belong to the pool's neighbors, nearest first; T and p come from a sample and its two
/// nearest neighbors. Source: DS2 paper, score curation, and `SimiFeat` (ICML 2022), rank-based detection;
/// Deviations D1, D2, D3. O(N (k + K) + N log N).
///
/// # Errors
///
/// [`Error::Shape`], [`Error::Value`] for arguments that do not fit together or are out of range.
pub fn curate_paper(
    pool: &RatedPool<'_>,
    similarities: Rows<'_, f32>,
    model: Model<'_>,
    k: usize,
    threshold: f64,
) -> Result<PaperCuration> {
    check_same_classes(pool, model)?;
    pool.check_similarities(similarities)?;
    if k == 0 || k > pool.depth() {
        return Err(Error::value(format!(
            "k must lie in 1..={}, the columns of neighbors, got {k}",
            pool.depth()
        )));
    }
    if threshold.is_nan() {
        return Err(Error::value("threshold must be a number, got NaN"));
    }
    let sizes = pool.class_sizes();
    let shares = misrated_shares(model, &sizes);
    let votes: Vec<Vote> =
        (0..pool.len()).into_par_iter().map(|row| Vote::on(pool, similarities, row, k)).collect();
    let mut misrated = vec![false; pool.len()];
    for (class, share) in shares.iter().enumerate() {
        let Some(share) = share else { continue };
        flag_lowest(pool, &votes, class, (share * sizes[class] as f64).round(), &mut misrated);
    }
    let curated = |row: usize| {
        let vote = &votes[row];
        if misrated[row] && vote.confidence >= threshold { vote.suggested } else { pool.scores()[row] }
    };
    Ok(PaperCuration {
        curated: (0..pool.len()).map(curated).collect(),
        suggested: votes.iter().map(|vote| vote.suggested).collect(),
        confidence: votes.iter().map(|vote| vote.confidence).collect(),
        misrated,
    })
}

/// Mark the `count` rows of a class that agree least with their neighbors.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rounded share of a class")]
fn flag_lowest(pool: &RatedPool<'_>, votes: &[Vote], class: usize, count: f64, misrated: &mut [bool]) {
    let mut rows: Vec<usize> = (0..pool.len()).filter(|&row| pool.score(row) == Some(class)).collect();
    // Stable, so ties stay in row order.
    rows.sort_by(|&a, &b| votes[a].agreement.total_cmp(&votes[b].agreement));
    rows.iter().take(count as usize).for_each(|&row| misrated[row] = true);
}

/// What the neighbors of one row say.
#[derive(Debug)]
struct Vote {
    agreement: f64,
    suggested: i8,
    confidence: f64,
}

impl Vote {
    fn on(pool: &RatedPool<'_>, similarities: Rows<'_, f32>, row: usize, k: usize) -> Self {
        let Some(own) = pool.score(row) else {
            return Self { agreement: f64::NAN, suggested: -1, confidence: f64::NAN };
        };
        let mut votes = [0.0f64; 16];
        // Scores in the order their nearest neighbor comes: the tie rule.
        let mut met = Vec::with_capacity(pool.num_classes());
        for (rank, score) in pool.rated_neighbors(row).take(k) {
            votes[score] += f64::from(similarities.row(row)[rank].max(0.0));
            if !met.contains(&score) {
                met.push(score);
            }
        }
        let norm = votes.iter().map(|vote| vote * vote).sum::<f64>().sqrt();
        let best =
            met.into_iter().reduce(|best, score| if votes[score] > votes[best] { score } else { best });
        let as_score = |class: usize| i8::try_from(class).expect("at most 16 classes");
        match best {
            Some(best) if norm > 0.0 => Self {
                agreement: votes[own] / norm,
                suggested: as_score(best),
                confidence: votes[best] / votes.iter().sum::<f64>(),
            },
            _ => Self { agreement: 1.0, suggested: as_score(own), confidence: 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::twin::SmallPool;

    /// Five samples; the first disagrees with all its neighbors.
    const SCORES: [i8; 5] = [0, 1, 1, 1, 0];
    const NEIGHBORS: [u32; 10] = [1, 2, 2, 3, 1, 3, 1, 2, 0, 1];
    const SIMILARITIES: [f32; 10] = [0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.5, 0.5];

    fn run(
        scores: &[i8],
        neighbors: &[u32],
        similarities: &[f32],
        transition: &[f64],
        (k, threshold): (usize, f64),
    ) -> Result<PaperCuration> {
        let (len, width) = (scores.len(), neighbors.len() / scores.len());
        let pool = RatedPool::new(scores, Rows::new(neighbors, len, width)?, 2)?;
        let model = Model::new(transition, &[0.4, 0.6])?;
        curate_paper(&pool, Rows::new(similarities, len, width)?, model, k, threshold)
    }

    fn curate(transition: &[f64], threshold: f64) -> PaperCuration {
        run(&SCORES, &NEIGHBORS, &SIMILARITIES, transition, (2, threshold)).unwrap()
    }

    #[test]
    fn the_share_that_agrees_least_is_misrated() {
        // Class 0 has 2 of 5 samples and T_00 p_0 / P(score 0) = .5, so one of them is misrated.
        let found = curate(&[0.5, 0.5, 0.0, 1.0], 0.5);
        assert_eq!(found.misrated, [true, false, false, false, false]);
        assert_eq!(found.curated, [1, 1, 1, 1, 0]);
        assert!((found.confidence[0] - 1.0).abs() < 1e-12);
        // A tie of votes: the score of the nearer neighbor.
        assert_eq!(found.suggested[4], 0);
        assert!((found.confidence[4] - 0.5).abs() < 1e-7);
    }

    #[test]
    fn a_clean_transition_flags_nothing_and_low_confidence_changes_nothing() {
        let clean = curate(&[1.0, 0.0, 0.0, 1.0], 0.5);
        assert_eq!((clean.misrated, clean.curated), (vec![false; 5], SCORES.to_vec()));
        let cautious = curate(&[0.5, 0.5, 0.0, 1.0], 1.1);
        assert!(cautious.misrated[0]);
        assert_eq!(cautious.curated, SCORES);
    }

    #[test]
    fn samples_without_a_vote_keep_their_score() {
        // Row 0 sees only an unrated neighbor, row 2 only one beyond a right angle.
        let (scores, neighbors) = ([0, -1, 0, 1], [1, 0, 3, 2]);
        let similarities = [0.9, 0.9, -0.2, -0.2];
        let t = [0.0, 1.0, 1.0, 0.0];
        let found = run(&scores, &neighbors, &similarities, &t, (1, 0.5)).unwrap();
        assert_eq!(found.curated, scores);
        assert_eq!(found.suggested, scores);
        assert_eq!(found.misrated, [true, false, true, true]);
        assert_eq!((found.confidence[0], found.confidence[2]), (0.0, 0.0));
        assert!(found.confidence[1].is_nan());
    }

    #[test]
    fn refuses_bad_options() {
        let text = |k, threshold| {
            let t = [1.0, 0.0, 0.0, 1.0];
            run(&SCORES, &NEIGHBORS, &SIMILARITIES, &t, (k, threshold)).unwrap_err().to_string()
        };
        assert_eq!(text(0, 0.5), "k must lie in 1..=2, the columns of neighbors, got 0");
        assert_eq!(text(3, 0.5), "k must lie in 1..=2, the columns of neighbors, got 3");
        assert_eq!(text(1, f64::NAN), "threshold must be a number, got NaN");
    }

    proptest! {
        #[test]
        fn flags_exactly_the_share_of_each_class(len in 4usize..40, seed in any::<u64>()) {
            let pool = SmallPool::random(len, 3, 1, seed);
            let graph = pool.graph();
            let (rated_pool, similarities) = pool.rated(&graph, 3);
            let t = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.0, 0.4, 0.6];
            let p = [0.3, 0.4, 0.3];
            let found = curate_paper(&rated_pool, similarities, Model::new(&t, &p).unwrap(), 3, 0.5).unwrap();
            let rated = pool.scores.iter().filter(|&&score| score >= 0).count() as f64;
            for class in 0..3i8 {
                let rows = || (0..len).filter(|&row| pool.scores[row] == class);
                let (size, i) = (rows().count() as f64, usize::try_from(class).unwrap());
                if size > 0.0 {
                    let share = 1.0 - (t[4 * i] * p[i] / (size / rated)).min(1.0);
                    let flagged = rows().filter(|&row| found.misrated[row]).count() as f64;
                    prop_assert!((flagged - share * size).abs() <= 0.5 + 1e-9);
                }
            }
            for row in 0..len {
                let changed = found.misrated[row] && found.confidence[row] >= 0.5;
                let curated = if changed { found.suggested[row] } else { pool.scores[row] };
                prop_assert_eq!(found.curated[row], curated);
            }
        }
    }
}
