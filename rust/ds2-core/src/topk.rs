//! Candidates for neighbors, under the total order (similarity descending, row ascending).

use std::cmp::Ordering;

/// A row that may be a neighbor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Candidate {
    /// Cosine similarity, finite.
    pub(crate) similarity: f32,
    /// The row.
    pub(crate) row: u32,
}

impl Candidate {
    /// Nearest first: similarity descending, then row ascending.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what sorts by it passes references")]
    pub(crate) fn nearest_first(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.row.cmp(&other.row))
    }
}
