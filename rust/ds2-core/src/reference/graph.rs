//! Scores on a neighbor graph, checked once and read freely afterwards.

use rayon::prelude::*;

use crate::scale::{UNRATED, check_num_classes};
use crate::similarity::check_similarities;
use crate::{Error, Result};

/// A borrowed pool: its scores and its neighbor lists. Unrated rows (-1) are skipped as if they were not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Graph<'a> {
    scores: &'a [i8],
    neighbors: &'a [u32],
    width: usize,
    num_classes: usize,
}

impl<'a> Graph<'a> {
    /// Borrow scores `(N,)` in -1..K and neighbors `(N, width)`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the two do not fit together; [`Error::Value`] at the first score out of range, the
    /// first neighbor that is not a row, or the first row that is its own neighbor.
    pub(crate) fn new(
        scores: &'a [i8],
        num_classes: usize,
        neighbors: &'a [u32],
        width: usize,
    ) -> Result<Self> {
        check_num_classes(num_classes)?;
        if width == 0 || scores.len().checked_mul(width) != Some(neighbors.len()) {
            return Err(Error::shape(format!(
                "neighbors must have one row of at least 1 column for each of {} scores, got {} values in rows of {width}",
                scores.len(),
                neighbors.len()
            )));
        }
        let top = num_classes - 1;
        let is_class = |score: i8| score == UNRATED || usize::try_from(score).is_ok_and(|class| class <= top);
        if let Some(row) = scores.iter().position(|&score| !is_class(score)) {
            return Err(Error::value(format!(
                "scores[{row}] = {} is neither -1 nor in 0..={top}",
                scores[row]
            )));
        }
        check_neighbors(neighbors, scores.len(), width)?;
        Ok(Self { scores, neighbors, width, num_classes })
    }

    /// Check that `similarities` belong to these neighbors.
    pub(crate) fn check_similarities(&self, similarities: &[f32]) -> Result<()> {
        if similarities.len() != self.neighbors.len() {
            return Err(Error::shape(format!(
                "similarities and neighbors differ in size: {} and {} values",
                similarities.len(),
                self.neighbors.len()
            )));
        }
        check_similarities(similarities, self.width)
    }

    pub(crate) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// The score of a row; `None` if unrated.
    #[inline]
    pub(crate) fn score(&self, row: usize) -> Option<usize> {
        usize::try_from(self.scores[row]).ok()
    }

    /// The neighbors of a row, nearest first.
    #[inline]
    pub(crate) fn neighbors(&self, row: usize) -> &'a [u32] {
        &self.neighbors[row * self.width..(row + 1) * self.width]
    }

    /// `(column, score)` of the rated neighbors of a row, nearest first.
    #[inline]
    pub(crate) fn rated_neighbors(&self, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let neighbors = self.neighbors(row).iter().enumerate();
        neighbors.filter_map(|(column, &neighbor)| Some((column, self.score(neighbor as usize)?)))
    }

    /// Rated rows, ascending.
    pub(crate) fn rated_rows(&self) -> Vec<u32> {
        (0u32..).zip(self.scores).filter(|(_, score)| **score >= 0).map(|(row, _)| row).collect()
    }

    /// How many rows have each score.
    pub(crate) fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.num_classes];
        (0..self.len()).filter_map(|row| self.score(row)).for_each(|score| sizes[score] += 1);
        sizes
    }
}

fn check_neighbors(neighbors: &[u32], len: usize, width: usize) -> Result<()> {
    let fault = neighbors.par_chunks_exact(width).enumerate().find_map_first(|(row, list)| {
        let column =
            list.iter().position(|&neighbor| neighbor as usize >= len || neighbor as usize == row)?;
        Some((row, column, list[column] as usize))
    });
    match fault {
        None => Ok(()),
        Some((row, column, neighbor)) if neighbor == row => {
            Err(Error::value(format!("neighbors[{row}, {column}] is the row itself")))
        }
        Some((row, column, neighbor)) => {
            Err(Error::value(format!("neighbors[{row}, {column}] = {neighbor} is not one of {len} rows")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_fault() {
        let text = |scores: &[i8], classes, neighbors: &[u32], width| {
            Graph::new(scores, classes, neighbors, width).unwrap_err().to_string()
        };
        assert_eq!(text(&[0, 0], 1, &[1, 0], 1), "num_classes must lie in 2..=16, got 1");
        assert_eq!(text(&[0, 2], 2, &[1, 0], 1), "scores[1] = 2 is neither -1 nor in 0..=1");
        assert_eq!(text(&[0, -2], 2, &[1, 0], 1), "scores[1] = -2 is neither -1 nor in 0..=1");
        assert_eq!(text(&[0, 1], 2, &[1, 2], 1), "neighbors[1, 0] = 2 is not one of 2 rows");
        assert_eq!(text(&[0, 1], 2, &[1, 1], 1), "neighbors[1, 0] is the row itself");
        assert!(text(&[0, 1], 2, &[1], 1).ends_with("each of 2 scores, got 1 values in rows of 1"));
        let graph = Graph::new(&[0, 1], 2, &[1, 0], 1).unwrap();
        let text = graph.check_similarities(&[0.5]).unwrap_err().to_string();
        assert_eq!(text, "similarities and neighbors differ in size: 1 and 2 values");
    }

    #[test]
    fn unrated_neighbors_are_skipped() {
        let graph = Graph::new(&[0, -1, 1], 2, &[1, 2, 2, 0, 1, 0], 2).unwrap();
        assert_eq!(graph.rated_neighbors(0).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(graph.rated_rows(), [0, 2]);
        assert_eq!(graph.class_sizes(), [1, 1]);
    }
}
