//! Slow twins: what each fast routine must compute, written so that it is plain to see. For tests only.

use crate::topk::Candidate;
use crate::{Element, Rows};

/// The cosine similarity of two rows, summed in f64 from left to right; 0 if either is all zeros.
pub(crate) fn cosine<T: Element>(a: &[T], b: &[T]) -> f64 {
    let dot = |a: &[T], b: &[T]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a.to_f32()) * f64::from(b.to_f32())).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// The first `k` of all other rows of each row, by `similarity` descending and row ascending.
pub(crate) fn neighbors<T: Element>(
    rows: Rows<'_, T>,
    k: usize,
    similarity: impl Fn(usize, u32) -> f32,
) -> Vec<Vec<Candidate>> {
    let nearest = |i: usize| {
        let mut others: Vec<Candidate> = (0..rows.len())
            .zip(0_u32..)
            .filter(|&(j, _)| j != i)
            .map(|(_, row)| Candidate { similarity: similarity(i, row), row })
            .collect();
        others.sort_by(Candidate::nearest_first);
        others.truncate(k);
        others
    };
    (0..rows.len()).map(nearest).collect()
}
