//! The votes on one sample inside one round, and how well they agree with its own score.

use crate::{RatedPool, Rows};

/// Length of the list that votes: the sample itself, its copy if drawn, then drawn copies of its neighbors.
pub(crate) const LIST: usize = 10;

/// Below this the votes have no direction.
const NO_DIRECTION: f64 = 1e-12;

/// Keeps the logarithm of no agreement finite.
const FLOOR: f64 = 1e-8;

/// The rows one round drew: copies and score of a row in one byte, as a list reads both of every neighbor.
#[derive(Debug)]
pub(crate) struct Drawn(Vec<u8>);

impl Drawn {
    const COPY: u8 = 1 << 4;

    /// No row drawn yet.
    pub(crate) fn none(pool: &RatedPool<'_>) -> Self {
        // Unrated rows are never drawn, so what stands for their score is never read.
        let score = |row| pool.score(row).map_or(0, |score| u8::try_from(score).expect("at most 16 classes"));
        Self((0..pool.len()).map(score).collect())
    }

    /// Draw one more copy of a rated row.
    pub(crate) fn add(&mut self, row: usize) {
        self.0[row] += Self::COPY;
    }

    /// Copies drawn (0, 1 or 2) and score of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> (usize, usize) {
        let tag = self.0[row];
        (usize::from(tag / Self::COPY), usize::from(tag % Self::COPY))
    }
}

/// The verdict of one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ballot {
    /// `-log(votes for the own score / |votes| + 1e-8)`; high = disagreement.
    pub(crate) disagreement: f64,
    /// The score with most votes, the own vote included; ties go to the lowest.
    pub(crate) favorite: u8,
    /// Whether the neighbor list ended before [`LIST`] copies were found.
    pub(crate) short: bool,
}

/// Let the list of a drawn, rated row vote.
///
/// A member at cosine distance v votes `1 - v` for its score; the sample's own vote is `1 - 2 v1 + v2`, where v1
/// and v2 are the distances of the two members after it. In a list of two v2 counts as v1, in a list of one
/// both count as 0.
pub(crate) fn vote(pool: &RatedPool<'_>, similarities: Rows<'_, f32>, drawn: &Drawn, row: usize) -> Ballot {
    let (copies, own) = drawn.get(row);
    let mut votes = [0.0f64; 16];
    // Distances of the first two members after the sample itself; its copy lies at distance 0.
    let mut nearest = [0.0f32; 2];
    votes[own] += (copies - 1) as f64;
    let mut listed = copies;
    for (&neighbor, &similarity) in pool.neighbors(row).iter().zip(similarities.row(row)) {
        let (copies, score) = drawn.get(neighbor as usize);
        let copies = copies.min(LIST - listed);
        let distance = 1.0 - similarity;
        // No branch on the number of copies: it is random, and a wrong guess costs more than adding 0.
        votes[score] += copies as f64 * f64::from(1.0 - distance);
        if listed <= 2 {
            nearest.iter_mut().take(listed + copies - 1).skip(listed - 1).for_each(|slot| *slot = distance);
        }
        listed += copies;
        if listed == LIST {
            break;
        }
    }
    if listed == 2 {
        nearest[1] = nearest[0];
    }
    votes[own] += f64::from(1.0 - (2.0 * nearest[0] - nearest[1]));
    ballot(&votes[..pool.num_classes()], own, listed < LIST)
}

#[expect(clippy::cast_possible_truncation, reason = "at most 16 classes")]
fn ballot(votes: &[f64], own: usize, short: bool) -> Ballot {
    let norm = votes.iter().map(|vote| vote * vote).sum::<f64>().sqrt();
    // Votes of neighbors beyond a right angle are negative; agreement below 0 has no logarithm.
    let agreement = (votes[own] / norm.max(NO_DIRECTION)).max(0.0);
    let favorite = votes
        .iter()
        .enumerate()
        .fold(0, |best, (score, &vote)| if vote > votes[best] { score } else { best });
    Ballot { disagreement: -(agreement + FLOOR).ln(), favorite: favorite as u8, short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scores: &[i8], copies: &[usize], similarities: &[f32]) -> Ballot {
        let width = scores.len() - 1;
        let neighbors: Vec<u32> = (0..scores.len())
            .flat_map(|row| (0..scores.len()).filter(move |&other| other != row))
            .map(|other| u32::try_from(other).unwrap())
            .collect();
        let pool = RatedPool::new(scores, Rows::new(&neighbors, scores.len(), width).unwrap(), 3).unwrap();
        let mut all = vec![0.0; neighbors.len()];
        all[..width].copy_from_slice(similarities);
        let mut drawn = Drawn::none(&pool);
        for (row, &copies) in copies.iter().enumerate() {
            (0..copies).for_each(|_| drawn.add(row));
        }
        vote(&pool, Rows::new(&all, scores.len(), width).unwrap(), &drawn, 0)
    }

    #[test]
    fn known_answer() {
        // List: self, then distances .1 and .2 with score 0; the own vote is 1 - .2 + .2 = 1.
        let ballot = of(&[1, 0, 0], &[1, 1, 1], &[0.9, 0.8]);
        assert!((ballot.disagreement - 0.679_205).abs() < 1e-6, "{ballot:?}");
        assert_eq!((ballot.favorite, ballot.short), (0, true));
    }

    #[test]
    fn a_copy_and_repeats_vote_too() {
        // List: self (1 + .1), its copy (1), the neighbor of score 0 twice (.9 each): 2.1 against 1.8.
        let ballot = of(&[1, 0], &[2, 2], &[0.9]);
        let expected = -(2.1 / (2.1f64 * 2.1 + 1.8 * 1.8).sqrt()).ln();
        assert!((ballot.disagreement - expected).abs() < 1e-6, "{ballot:?}");
        assert_eq!(ballot.favorite, 1);
    }

    #[test]
    fn a_list_of_one_or_two_still_votes() {
        assert!(of(&[1, 0], &[1, 0], &[0.9]).disagreement.abs() < 1e-7);
        // Own vote 1 - .1 = .9 against .9: a tie, which the lower score wins.
        let ballot = of(&[1, 0], &[1, 1], &[0.9]);
        assert!((ballot.disagreement - 0.5 * 2f64.ln()).abs() < 1e-6, "{ballot:?}");
    }

    #[test]
    fn ten_members_at_most_and_nearest_first() {
        let scores = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2];
        let similarities = [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9, 0.89];
        let ballot = of(&scores, &[1; 12], &similarities);
        assert_eq!((ballot.favorite, ballot.short), (1, false));
        let doubled = of(&scores, &[2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0], &similarities);
        assert!(!doubled.short);
    }

    #[test]
    fn opposite_neighbors_leave_no_agreement() {
        let ballot = ballot(&[-0.5, 1.0], 0, false);
        assert!((ballot.disagreement - 18.420_680).abs() < 1e-5, "{ballot:?}");
        assert!(super::ballot(&[0.0, 0.0], 0, false).disagreement.is_finite());
    }
}
