//! `RatedPool`: scores and neighbors, checked once and indexed freely afterwards.

use std::ops::Range;

use rayon::prelude::*;

use crate::similarity::check_similarities;
use crate::{Error, Result, Rows};

/// Most classes a score may have. Label counts of one sample fit into 16 bytes.
pub const MAX_CLASSES: usize = 16;

/// Most neighbors of a sample that can be counted: a label count is one byte.
pub const MAX_COUNTED: usize = 255;

/// Samples a thread takes at once. Fixed, so that floating point sums do not depend on the thread count.
pub(crate) const CHUNK: usize = 1024;

/// `ONE[s + 1]` adds one to the byte of score `s`; a missing score (-1) adds nothing. Longer than the scores
/// reach, so that the low bits of any byte are an index.
const ONE: [u128; 2 * MAX_CLASSES] = {
    let mut table = [0; 2 * MAX_CLASSES];
    let mut score = 0;
    while score < MAX_CLASSES {
        table[score + 1] = 1 << (8 * score);
        score += 1;
    }
    table
};

/// How often each score occurs among some neighbors of a sample, one byte per score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelCounts(u128);

impl LabelCounts {
    /// Count of score 0, score 1, ...
    #[inline]
    pub(crate) fn of_scores(self) -> [u8; MAX_CLASSES] {
        self.0.to_le_bytes()
    }

    /// Add one occurrence of `score`; -1 adds nothing.
    #[inline]
    pub(crate) fn add(&mut self, score: i8) {
        self.0 += ONE[usize::from(score.wrapping_add(1).cast_unsigned()) % ONE.len()];
    }
}

/// The scores of a pool and the neighbors of its samples.
#[derive(Clone, Copy, Debug)]
pub struct RatedPool<'a> {
    scores: &'a [i8],
    neighbors: Rows<'a, u32>,
    num_classes: usize,
}

impl<'a> RatedPool<'a> {
    /// Check scores against neighbors and borrow both.
    ///
    /// `scores` holds 0..`num_classes`-1, or -1 for an unrated sample; row n of `neighbors` lists the rows of
    /// the samples most similar to sample n, nearest first, without n itself. O(NL).
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if `num_classes` is not in 2..=16, a score is outside -1..`num_classes`-1, or a
    /// neighbor is out of range or the sample itself; [`Error::Shape`] if the numbers of rows differ, or there
    /// are more rows than a `u32` can number.
    pub fn new(scores: &'a [i8], neighbors: Rows<'a, u32>, num_classes: usize) -> Result<Self> {
        check_num_classes(num_classes)?;
        if scores.len() != neighbors.len() {
            return Err(Error::shape(format!(
                "scores has {} rows, neighbors has {}",
                scores.len(),
                neighbors.len()
            )));
        }
        let valid = |score: i8| score == -1 || usize::try_from(score).is_ok_and(|score| score < num_classes);
        if let Some(row) = scores.iter().position(|&score| !valid(score)) {
            return Err(Error::value(format!(
                "score {} of row {row} is not in 0..{} (or -1 for unrated)",
                scores[row],
                num_classes - 1
            )));
        }
        check_neighbors(neighbors)?;
        Ok(Self { scores, neighbors, num_classes })
    }

    /// The same neighbors under other scores in 0..K-1 or -1, as many as before.
    pub(crate) fn with_scores<'b>(&self, scores: &'b [i8]) -> RatedPool<'b>
    where
        'a: 'b,
    {
        RatedPool { scores, neighbors: self.neighbors, num_classes: self.num_classes }
    }

    /// Number of samples, N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Number of classes of a score, K.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Neighbors listed per sample, L.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.neighbors.dim()
    }

    /// Score of a sample; `None` if it is unrated.
    #[inline]
    #[must_use]
    pub fn score(&self, row: usize) -> Option<usize> {
        usize::try_from(self.scores[row]).ok()
    }

    /// All scores, -1 for unrated.
    #[must_use]
    pub fn scores(&self) -> &'a [i8] {
        self.scores
    }

    /// Score of the neighbor at `rank` (0 = nearest) of a sample; `None` if it is unrated.
    #[inline]
    #[must_use]
    pub fn neighbor_score(&self, row: usize, rank: usize) -> Option<usize> {
        self.score(self.neighbors.row(row)[rank] as usize)
    }

    /// Rows of the neighbors of a sample, nearest first.
    #[inline]
    #[must_use]
    pub fn neighbors(&self, row: usize) -> &'a [u32] {
        self.neighbors.row(row)
    }

    /// `(rank, score)` of the rated neighbors of a sample, nearest first.
    #[inline]
    pub(crate) fn rated_neighbors(&self, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let neighbors = self.neighbors(row).iter().enumerate();
        neighbors.filter_map(|(rank, &neighbor)| Some((rank, self.score(neighbor as usize)?)))
    }

    /// Rated rows, ascending.
    pub(crate) fn rated_rows(&self) -> Vec<u32> {
        (0u32..).zip(self.scores).filter(|(_, score)| **score >= 0).map(|(row, _)| row).collect()
    }

    /// How many samples have each score.
    pub(crate) fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.num_classes];
        for score in (0..self.len()).filter_map(|row| self.score(row)) {
            sizes[score] += 1;
        }
        sizes
    }

    /// Check that `k` neighbors of a sample can be counted.
    pub(crate) fn check_k(&self, k: usize, least: usize) -> Result<()> {
        if k < least {
            return Err(Error::value(format!("k must be at least {least}, got {k}")));
        }
        if k > self.depth().min(MAX_COUNTED) {
            return Err(Error::value(format!(
                "k = {k} neighbors asked for, at most {} can be used (the graph has {} per sample)",
                self.depth().min(MAX_COUNTED),
                self.depth()
            )));
        }
        Ok(())
    }

    /// Check that there is one similarity per neighbor, a cosine, from most to least similar.
    pub(crate) fn check_similarities(&self, similarities: Rows<'_, f32>) -> Result<()> {
        if (similarities.len(), similarities.dim()) != (self.len(), self.depth()) {
            return Err(Error::shape(format!(
                "similarities is ({}, {}), neighbors is ({}, {})",
                similarities.len(),
                similarities.dim(),
                self.len(),
                self.depth()
            )));
        }
        check_similarities(similarities)
    }

    /// Add the scores of the neighbors at `ranks` to `counts`.
    #[inline]
    pub(crate) fn count_labels(&self, row: usize, ranks: Range<usize>, counts: &mut LabelCounts) {
        for &other in &self.neighbors.row(row)[ranks] {
            counts.add(self.scores[other as usize]);
        }
    }
}

/// Check that every neighbor is another row of the pool.
fn check_neighbors(neighbors: Rows<'_, u32>) -> Result<()> {
    let len = check_len(neighbors.len())?;
    let fault = |row: u32| {
        let bad = |other: u32| other >= len || other == row;
        let others = neighbors.row(row as usize);
        // Without an early end the compiler compares several at once.
        if !others.iter().fold(false, |any, &other| any | bad(other)) {
            return None;
        }
        let other = others.iter().copied().find(|&other| bad(other))?;
        let why = if other == row { "is the sample itself" } else { "is not a row of the pool" };
        Some(format!("neighbor {other} of row {row} {why}"))
    };
    match (0..len).into_par_iter().with_min_len(CHUNK).find_map_first(fault) {
        None => Ok(()),
        Some(message) => Err(Error::value(message)),
    }
}

/// The number of rows as a `u32`, which is what numbers them.
fn check_len(len: usize) -> Result<u32> {
    u32::try_from(len)
        .map_err(|_| Error::shape(format!("at most {} rows can be numbered, got {len}", u32::MAX)))
}

/// Check 2 <= K <= 16.
pub(crate) fn check_num_classes(num_classes: usize) -> Result<()> {
    if (2..=MAX_CLASSES).contains(&num_classes) {
        Ok(())
    } else {
        Err(Error::value(format!("num_classes must be in 2..{MAX_CLASSES}, got {num_classes}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(scores: &[i8], neighbors: &[u32], width: usize, num_classes: usize) -> String {
        let rows = Rows::new(neighbors, neighbors.len() / width, width).unwrap();
        RatedPool::new(scores, rows, num_classes).unwrap_err().to_string()
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(message(&[0, 1], &[1, 0], 1, 17), "num_classes must be in 2..16, got 17");
        assert_eq!(message(&[0, 1], &[1, 0], 1, 1), "num_classes must be in 2..16, got 1");
        assert_eq!(message(&[0], &[1, 0], 1, 2), "scores has 1 rows, neighbors has 2");
        assert_eq!(message(&[0, 2], &[1, 0], 1, 2), "score 2 of row 1 is not in 0..1 (or -1 for unrated)");
        assert_eq!(message(&[-2, 1], &[1, 0], 1, 2), "score -2 of row 0 is not in 0..1 (or -1 for unrated)");
        assert_eq!(message(&[0, 1], &[1, 2], 1, 2), "neighbor 2 of row 1 is not a row of the pool");
        assert_eq!(message(&[0, 1], &[1, 1], 1, 2), "neighbor 1 of row 1 is the sample itself");
    }

    #[test]
    fn rows_beyond_what_an_index_holds_are_refused() {
        assert!(check_len(0xFFFF_FFFF).is_ok());
        let message = check_len(1 << 32).unwrap_err().to_string();
        assert_eq!(message, "at most 4294967295 rows can be numbered, got 4294967296");
    }

    #[test]
    fn labels_are_counted_per_score_and_missing_ones_are_not() {
        let scores = [15, 0, -1, 15, 3];
        let rows = Rows::new(&[1, 2, 3, 4, 0, 2, 3, 4, 0, 1, 3, 4, 0, 1, 2, 4, 0, 1, 2, 3], 5, 4).unwrap();
        let pool = RatedPool::new(&scores, rows, 16).unwrap();
        let mut counts = LabelCounts::default();
        pool.count_labels(4, 0..4, &mut counts);
        let expected: [u8; 16] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        assert_eq!(counts.of_scores(), expected);
        assert_eq!(pool.neighbor_score(4, 2), None);
        assert_eq!(pool.rated_neighbors(4).collect::<Vec<_>>(), [(0, 15), (1, 0), (3, 15)]);
        assert_eq!(pool.rated_rows(), [0, 1, 3, 4]);
        assert_eq!(pool.class_sizes()[..4], [1, 0, 0, 1]);
        assert!(pool.check_k(5, 1).unwrap_err().to_string().contains("the graph has 4 per sample"));
    }
}
