//! The k best candidates of each row, under the total order (similarity descending, row ascending).
//!
//! `Shortlists` is fed similarities that are off by at most a known slack, keeps what may still be among the
//! k best, and asks for the exact similarity of that remainder only.

use std::cmp::Ordering;
use std::slice;

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

/// One bounded list of candidates for each row of a block.
///
/// A list starts *rough*: it collects offers whose similarity reaches its floor, the k-th best of them less
/// twice the slack, for whatever lies lower is beaten by k others however the errors fall. A list that
/// finds itself crowded with candidates the slack cannot tell apart (duplicates) turns *exact*: it asks for
/// the exact similarity of every further offer that reaches the floor and keeps the k best, in order.
/// Either way the result is the same.
///
/// Memory: 1.5 k + 16 slots of 8 bytes a row, and 13 bytes of upkeep.
pub(crate) struct Shortlists {
    k: usize,
    capacity: usize,
    slack: f64,
    slots: Vec<Candidate>,
    lens: Vec<usize>,
    exact: Vec<bool>,
    floors: Vec<f32>,
}

impl Shortlists {
    /// Empty lists for `rows` rows, each for the `k >= 1` best of at most `offers` offers that are off by at
    /// most `slack`.
    pub(crate) fn new(rows: usize, k: usize, offers: usize, slack: f64) -> Self {
        let capacity = (k + k / 2 + 16).min(offers).max(k);
        Self {
            k,
            capacity,
            slack,
            slots: vec![Candidate::default(); rows * capacity],
            lens: vec![0; rows],
            exact: vec![false; rows],
            floors: vec![f32::NEG_INFINITY; rows],
        }
    }

    /// For each list, the similarity an offer must reach to be looked at.
    pub(crate) fn floors(&self) -> &[f32] {
        &self.floors
    }

    /// Offer `candidate` to `list`; `exactly` makes the similarities of candidates exact.
    #[inline]
    pub(crate) fn offer(&mut self, list: usize, candidate: Candidate, exactly: impl FnMut(&mut [Candidate])) {
        if candidate.similarity >= self.floors[list] {
            self.consider(list, candidate, exactly);
        }
    }

    fn consider(&mut self, list: usize, candidate: Candidate, mut exactly: impl FnMut(&mut [Candidate])) {
        if !self.exact[list] && self.lens[list] == self.capacity {
            self.make_room(list, &mut exactly);
        }
        if self.exact[list] {
            self.insert(list, candidate, exactly);
        } else {
            self.slots[list * self.capacity + self.lens[list]] = candidate;
            self.lens[list] += 1;
        }
    }

    /// Free slots of a full rough list, or turn it exact where that frees too few to be worth doing again.
    fn make_room(&mut self, list: usize, exactly: impl FnMut(&mut [Candidate])) {
        self.drop_beaten(list);
        if self.lens[list] > self.k.midpoint(self.capacity) || self.lens[list] == self.capacity {
            self.settle(list, exactly);
            self.exact[list] = true;
            let last = self.slots[list * self.capacity + self.k - 1];
            self.floors[list] = below(last.similarity, self.slack);
        }
    }

    /// Drop from a rough list what k others beat for certain, and raise its floor to match.
    fn drop_beaten(&mut self, list: usize) {
        let (start, len) = (list * self.capacity, self.lens[list]);
        if len <= self.k {
            return;
        }
        let candidates = &mut self.slots[start..start + len];
        let (_, last, rest) = candidates.select_nth_unstable_by(self.k - 1, Candidate::nearest_first);
        let floor = below(last.similarity, 2.0 * self.slack);
        let mut kept = 0;
        for i in 0..rest.len() {
            if rest[i].similarity >= floor {
                rest.swap(kept, i);
                kept += 1;
            }
        }
        self.lens[list] = self.k + kept;
        self.floors[list] = floor;
    }

    /// Replace similarities by exact ones, sort, and keep the k best.
    fn settle(&mut self, list: usize, mut exactly: impl FnMut(&mut [Candidate])) {
        let start = list * self.capacity;
        let candidates = &mut self.slots[start..start + self.lens[list]];
        exactly(candidates);
        candidates.sort_unstable_by(Candidate::nearest_first);
        self.lens[list] = self.lens[list].min(self.k);
    }

    /// Put `candidate` into an exact list if it beats the last of it.
    fn insert(&mut self, list: usize, mut candidate: Candidate, mut exactly: impl FnMut(&mut [Candidate])) {
        let start = list * self.capacity;
        let candidates = &mut self.slots[start..start + self.k];
        let last = candidates[self.k - 1];
        // No similarity exceeds 1: among many duplicates the row alone decides.
        if last.similarity >= 1.0 && candidate.row > last.row {
            return;
        }
        exactly(slice::from_mut(&mut candidate));
        let place = candidates.partition_point(|other| other.nearest_first(&candidate).is_lt());
        if place < self.k {
            candidates.copy_within(place..self.k - 1, place + 1);
            candidates[place] = candidate;
            self.floors[list] = below(candidates[self.k - 1].similarity, self.slack);
        }
    }

    /// The best of `list` with exact similarities, nearest first: k of them if at least k were offered.
    pub(crate) fn finish(&mut self, list: usize, exactly: impl FnMut(&mut [Candidate])) -> &[Candidate] {
        if !self.exact[list] {
            self.drop_beaten(list);
            self.settle(list, exactly);
        }
        let start = list * self.capacity;
        &self.slots[start..start + self.lens[list]]
    }
}

/// A lower bound on `similarity - slack`.
#[expect(clippy::cast_possible_truncation, reason = "the next f32 down makes up for rounding")]
fn below(similarity: f32, slack: f64) -> f32 {
    ((f64::from(similarity) - slack) as f32).next_down()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a list asks for the exact similarities of rows.
    fn exactly(exact: &[f32]) -> impl Fn(&mut [Candidate]) {
        |batch| {
            for candidate in batch {
                candidate.similarity = exact[candidate.row as usize];
            }
        }
    }

    proptest! {
        /// Offers off by up to the slack, in any order, with as many ties as a coarse grid gives.
        #[test]
        fn the_k_best_are_found_through_the_slack(
            offers in prop::collection::vec((-8_i8..=8, -1.0_f32..1.0), 1..300),
            k in 1_usize..40,
            steps in prop::sample::select(vec![0.0_f32, 0.01, 0.3, 2.0, f32::INFINITY]),
        ) {
            let exact: Vec<f32> = offers.iter().map(|&(step, _)| f32::from(step) / 8.0).collect();
            // A millionth more covers the rounding of the offers below.
            let slack = f64::from(steps) / 8.0 + 1e-6;
            let mut lists = Shortlists::new(2, k, exact.len(), slack);
            for ((row, &similarity), &(_, error)) in (0..).zip(&exact).zip(&offers) {
                let similarity = similarity + error * if steps.is_finite() { steps / 8.0 } else { 9.0 };
                lists.offer(1, Candidate { similarity, row }, exactly(&exact));
            }
            let mut expected: Vec<Candidate> =
                (0..).zip(&exact).map(|(row, &similarity)| Candidate { similarity, row }).collect();
            expected.sort_by(Candidate::nearest_first);
            expected.truncate(k);
            prop_assert_eq!(lists.finish(1, exactly(&exact)), &expected[..]);
            prop_assert!(lists.finish(0, |batch| assert!(batch.is_empty())).is_empty());
        }
    }

    #[test]
    fn few_offers_are_evaluated_where_they_are_told_apart() {
        let exact: Vec<f32> = (0_u16..900).map(|row| f32::from(row * 31 % 997) / 997.0).collect();
        let mut lists = Shortlists::new(1, 10, exact.len(), 1e-6);
        for (row, &similarity) in (0..).zip(&exact) {
            lists.offer(0, Candidate { similarity, row }, |_| panic!("a rough list asks at the end"));
        }
        let mut asked = 0;
        lists.finish(0, |batch| {
            asked += batch.len();
            exactly(&exact)(batch);
        });
        assert_eq!(asked, 10);
    }
}
