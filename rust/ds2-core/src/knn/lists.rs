//! The k nearest of each row found so far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::topk::Candidate;

/// A bounded list for each row, in blocks that may be locked one by one.
///
/// The lists hold exact similarities: what they end up with does not depend on the order of the offers.
pub(crate) struct Lists<'a> {
    block_rows: usize,
    blocks: Vec<Mutex<Block<'a>>>,
}

/// The lists of some rows.
pub(crate) struct Block<'a> {
    k: usize,
    start: usize,
    lens: Vec<u32>,
    indices: &'a mut [u32],
    similarities: &'a mut [f32],
}

impl<'a> Lists<'a> {
    /// Empty lists of up to `k` candidates, to be written to `indices` and `similarities`, `(N, k)`.
    pub(crate) fn new(
        indices: &'a mut [u32],
        similarities: &'a mut [f32],
        k: usize,
        block_rows: usize,
    ) -> Self {
        let size = block_rows * k;
        let blocks = indices
            .chunks_mut(size)
            .zip(similarities.chunks_mut(size))
            .enumerate()
            .map(|(block, (indices, similarities))| {
                let lens = vec![0; indices.len() / k];
                Mutex::new(Block { k, start: block * block_rows, lens, indices, similarities })
            })
            .collect();
        Self { block_rows, blocks }
    }

    /// Lock the block that `place` lies in.
    pub(crate) fn block_of(&self, place: u32) -> MutexGuard<'_, Block<'a>> {
        // A panic in another thread is about to end the whole computation.
        self.blocks[place as usize / self.block_rows].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block<'_> {
    /// Offer a candidate that is not in the list of `place` yet; the similarity of the last of k candidates,
    /// if this changed.
    pub(crate) fn offer(&mut self, place: u32, candidate: Candidate) -> Option<f32> {
        let list = place as usize - self.start;
        let (start, len) = (list * self.k, self.lens[list] as usize);
        let at =
            |i: usize| Candidate { similarity: self.similarities[start + i], row: self.indices[start + i] };
        if len == self.k && at(len - 1).nearest_first(&candidate).is_lt() {
            return None;
        }
        let (mut place, mut end) = (0, len);
        while place < end {
            let middle = place.midpoint(end);
            if at(middle).nearest_first(&candidate).is_lt() {
                place = middle + 1;
            } else {
                end = middle;
            }
        }
        let kept = len.min(self.k - 1);
        self.indices.copy_within(start + place..start + kept, start + place + 1);
        self.similarities.copy_within(start + place..start + kept, start + place + 1);
        self.indices[start + place] = candidate.row;
        self.similarities[start + place] = candidate.similarity;
        self.lens[list] += u32::from(len < self.k);
        (kept + 1 == self.k).then(|| self.similarities[start + self.k - 1])
    }
}
