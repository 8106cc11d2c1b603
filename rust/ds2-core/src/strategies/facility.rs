//! Facility location on the neighbor graph: samples that stand for as much of the pool as can be.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::check_scored;
use crate::duplicates::check_rows;
use crate::knn::check_graph;
use crate::progress::tick;
use crate::{Error, Progress, Result, Rows};

/// What was chosen, in the order of choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Facilities {
    /// The rows.
    pub rows: Vec<u32>,
    /// What each added to the objective when it was chosen.
    pub gains: Vec<f64>,
}

/// Choose `n` candidates that cover the pool, one after another.
///
/// The objective of a set S is `sum_i max_{j in S} w(i, j) + sum_{j in S} score_j`, where `w(i, i) = 1`, `w(i, j)` is
/// the similarity of i and j, at least 0, if one of the two is among the first `k` neighbors of the other, and 0 else.
/// Each time the candidate that adds most is chosen, ties by place among the candidates; with scores of 0 this is facility
/// location alone. For scores of at least 0 the set is worth at least `1 - 1/e` of the best (Nemhauser, Wolsey and
/// Fisher 1978). The first rows do not depend on `n`.
///
/// `neighbors`, `similarities`: `(N, L)`, the graph. `k` in 1..=L. `progress` is called with (rows chosen, n).
///
/// Source: facility location as in Superfiltering (arXiv 2402.00530) and submodlib, on a sparse graph of cosines in
/// place of a dense matrix of distances. As what a candidate adds only falls, it is computed anew only when the last
/// one known would win (Minoux 1978): the choice is that of the plain algorithm. O(N k log k) and at most O(n N k),
/// mostly near the first; `16 k + 40` bytes a row.
///
/// # Errors
///
/// [`Error::Value`] for k outside 1..=L, n = 0 or more than there are candidates, a score that is not finite, a
/// candidate that is no row of the graph or occurs twice, and a graph that is none; [`Error::Shape`] if two arguments
/// do not fit; [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, strategies::facility::locate_facilities};
/// let (neighbors, similarities) = ([1, 0, 1], [0.9, 0.9, 0.5]);
/// let graph = (Rows::new(&neighbors, 3, 1)?, Rows::new(&similarities, 3, 1)?);
/// let found = locate_facilities(graph.0, graph.1, 1, &[0, 1, 2], &[0.0; 3], 2, &mut |_, _| true)?;
/// assert_eq!(found.rows, [1, 2]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn locate_facilities(
    neighbors: Rows<'_, u32>,
    similarities: Rows<'_, f32>,
    k: usize,
    candidates: &[u32],
    scores: &[f64],
    n: usize,
    progress: Progress<'_>,
) -> Result<Facilities> {
    if !(1..=neighbors.dim()).contains(&k) {
        return Err(Error::value(format!("k must lie in 1..={}, got {k}", neighbors.dim())));
    }
    check_graph(neighbors.data(), similarities.data(), neighbors.dim())?;
    check_scored(candidates, scores, n)?;
    check_rows(candidates, neighbors.len(), "candidates")?;
    tick(progress, 0, n)?;
    choose(&Edges::of(neighbors, similarities, k), candidates, scores, n, progress)
}

fn choose(
    edges: &Edges,
    candidates: &[u32],
    scores: &[f64],
    n: usize,
    progress: Progress<'_>,
) -> Result<Facilities> {
    let mut cover = vec![0.0; edges.starts.len() - 1];
    let gain = |place: usize, cover: &[f32]| edges.gain(candidates[place], cover) + scores[place];
    let open = |place| Open { gain: gain(place, &cover), place, round: 0 };
    let mut queue: BinaryHeap<Open> = (0..candidates.len()).map(open).collect();
    let mut found = Facilities { rows: Vec::with_capacity(n), gains: Vec::with_capacity(n) };
    while found.rows.len() < n {
        let mut best = queue.pop().expect("there are at least n candidates");
        if best.round < found.rows.len() {
            (best.gain, best.round) = (gain(best.place, &cover), found.rows.len());
            queue.push(best);
            continue;
        }
        let row = candidates[best.place];
        for (other, weight) in edges.of_row(row) {
            let cover = &mut cover[other as usize];
            *cover = cover.max(weight);
        }
        found.rows.push(row);
        found.gains.push(best.gain);
        tick(progress, found.rows.len(), n)?;
    }
    Ok(found)
}

/// A candidate that may still be chosen; the greatest is the next.
struct Open {
    /// What it would have added in `round`: now it is no more.
    gain: f64,
    place: usize,
    round: usize,
}

impl Ord for Open {
    /// Gain, ties by place.
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}

/// The rows that each row covers, itself among them, in ascending order.
struct Edges {
    starts: Vec<usize>,
    edges: Vec<(u32, f32)>,
}

impl Edges {
    /// Both directions of every edge of positive similarity.
    fn of(neighbors: Rows<'_, u32>, similarities: Rows<'_, f32>, k: usize) -> Self {
        let len = neighbors.len();
        let listed = |row: usize| {
            let pairs = neighbors.row(row).iter().zip(similarities.row(row)).take(k);
            pairs.map(|(&other, &weight)| (other, weight)).take_while(|&(_, weight)| weight > 0.0)
        };
        let mut starts = vec![0; len + 1];
        for row in 0..len {
            starts[row + 1] += 1 + listed(row).count();
            listed(row).for_each(|(other, _)| starts[other as usize + 1] += 1);
        }
        (0..len).for_each(|row| starts[row + 1] += starts[row]);
        let mut edges = vec![(0, 0.0); starts[len]];
        let mut ends = starts.clone();
        let mut put = |row: usize, edge| {
            edges[ends[row]] = edge;
            ends[row] += 1;
        };
        for (row, own) in (0..len).zip(0_u32..) {
            put(row, (own, 1.0));
            for (other, weight) in listed(row) {
                put(row, (other, weight));
                put(other as usize, (own, weight));
            }
        }
        for row in 0..len {
            // An edge that both lists hold comes twice: the first, which is the larger, counts.
            edges[starts[row]..starts[row + 1]]
                .sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        }
        Self { starts, edges }
    }

    fn of_row(&self, row: u32) -> impl Iterator<Item = (u32, f32)> {
        let edges = &self.edges[self.starts[row as usize]..self.starts[row as usize + 1]];
        edges.chunk_by(|a, b| a.0 == b.0).map(|equal| equal[0])
    }

    /// What a row adds to what is covered. A sum of terms that only fall, in a fixed order, only falls itself.
    fn gain(&self, row: u32, cover: &[f32]) -> f64 {
        let adds =
            |(other, weight): (u32, f32)| (f64::from(weight) - f64::from(cover[other as usize])).max(0.0);
        self.of_row(row).map(adds).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::knn::{KnnOptions, Neighbors, find_neighbors};

    /// The slow twin: a matrix of all pairs, and the objective anew for every candidate and choice.
    fn slow(graph: &Neighbors, k: usize, candidates: &[u32], scores: &[f64], n: usize) -> Vec<u32> {
        let len = graph.len();
        let mut weights = vec![vec![0.0_f64; len]; len];
        for row in (0_u32..).take(len) {
            let (others, similarities) = graph.row(row as usize);
            let listed = others.iter().zip(similarities).take(k);
            for (&other, weight) in
                listed.map(|(other, weight)| (other, f64::from(weight.max(0.0)))).chain([(&row, 1.0)])
            {
                weights[row as usize][other as usize] = weight;
                weights[other as usize][row as usize] = weight;
            }
        }
        let mut chosen: Vec<u32> = vec![];
        for _ in 0..n {
            let cover =
                |row: usize, with: &[u32]| with.iter().map(|&j| weights[row][j as usize]).fold(0.0, f64::max);
            let covered: f64 = (0..len).map(|row| cover(row, &chosen)).sum();
            let mut best: Option<(u32, f64)> = None;
            for (&row, &score) in candidates.iter().zip(scores).filter(|(row, _)| !chosen.contains(row)) {
                let with = [&chosen[..], &[row]].concat();
                let gain = (0..len).map(|row| cover(row, &with)).sum::<f64>() - covered + score;
                if best.is_none_or(|(_, most)| gain > most + 1e-9) {
                    best = Some((row, gain));
                }
            }
            chosen.push(best.unwrap().0);
        }
        chosen
    }

    fn run(graph: &Neighbors, k: usize, candidates: &[u32], scores: &[f64], n: usize) -> Result<Facilities> {
        let neighbors = Rows::new(&graph.indices, graph.len(), graph.k)?;
        let similarities = Rows::new(&graph.similarities, graph.len(), graph.k)?;
        locate_facilities(neighbors, similarities, k, candidates, scores, n, &mut |_, _| true)
    }

    proptest! {
        #[test]
        fn it_is_the_slow_twin(
            values in prop::collection::vec(-20_i8..20, 4 * 6..4 * 30),
            order in Just((0_u32..30).collect::<Vec<u32>>()).prop_shuffle(),
            depth in 1_usize..6, k in 1_usize..6, n in 1_usize..30, score in 0_u8..3,
        ) {
            let values: Vec<f32> = values.into_iter().map(|value| f32::from(value) + 0.5).collect();
            let (len, depth) = (values.len() / 4, depth.max(k));
            let rows = Rows::new(&values[..len * 4], len, 4).unwrap();
            let graph = find_neighbors(rows, &KnnOptions::new(depth), &mut |_, _| true).unwrap();
            let candidates: Vec<u32> = order.into_iter().filter(|&row| (row as usize) < len).collect();
            let scores: Vec<f64> = candidates.iter().map(|row| f64::from(score) * f64::from(row % 5) / 8.0).collect();
            let n = n.min(len);
            let found = run(&graph, k, &candidates, &scores, n).unwrap();
            let expected = slow(&graph, k, &candidates, &scores, n);
            // Sums in another order may tell equals apart: the first difference must be a tie.
            if let Some(at) = (0..n).find(|&at| found.rows[at] != expected[at]) {
                let value = |row: u32| {
                    let set = [&expected[..at], &[row]].concat();
                    let score = |row: &u32| scores[candidates.iter().position(|other| other == row).unwrap()];
                    let scores: Vec<f64> = set.iter().map(score).collect();
                    run(&graph, k, &set, &scores, set.len()).unwrap().gains.iter().sum::<f64>()
                };
                prop_assert!((value(found.rows[at]) - value(expected[at])).abs() < 1e-9);
            }
        }
    }

    /// 0 - 1 (.9), 1 - 2 (.5), 3 is like none; the edge of 1 and 2 is in the list of 2 alone.
    fn path() -> Neighbors {
        Neighbors { k: 1, indices: vec![1, 0, 1, 0], similarities: vec![0.75, 0.75, 0.5, -0.25] }
    }

    #[test]
    fn known_answers() {
        let found = run(&path(), 1, &[0, 1, 2, 3], &[0.0; 4], 4).unwrap();
        // 1 covers .75 + 1 + .5; 3 itself; then 2 adds .5 and 0 adds .25.
        assert_eq!(found.rows, [1, 3, 2, 0]);
        assert_eq!(found.gains, [2.25, 1.0, 0.5, 0.25]);
        assert_eq!(
            run(&path(), 1, &[2, 3, 0], &[0.0; 3], 2).unwrap().rows,
            [0, 2],
            "0 adds 1.75, then 2 and 3 add 1"
        );
        assert_eq!(run(&path(), 1, &[0, 3], &[0.0, 2.0], 1).unwrap().rows, [3], "a score of 2 outweighs it");
        let tie = run(&path(), 1, &[3, 2], &[0.5, 0.0], 1).unwrap();
        assert_eq!((tie.rows, tie.gains), (vec![3], vec![1.5]), "ties go by place");
    }

    #[test]
    fn refuses_what_it_cannot_cover() {
        let text = |k, candidates: &[u32], scores: &[f64], n| {
            run(&path(), k, candidates, scores, n).unwrap_err().to_string()
        };
        assert_eq!(text(2, &[0], &[0.0], 1), "k must lie in 1..=1, got 2");
        assert_eq!(text(1, &[4], &[0.0], 1), "candidates[0] = 4 is no row of 4");
        assert_eq!(text(1, &[0], &[f64::NAN], 1), "scores[0] = NaN is not finite");
        let mut own = path();
        own.indices[0] = 0;
        assert!(run(&own, 1, &[0], &[0.0], 1).is_err());
        let graph = path();
        let rows = (Rows::new(&graph.indices, 4, 1).unwrap(), Rows::new(&graph.similarities, 4, 1).unwrap());
        for stop in 0..3 {
            let stopped =
                locate_facilities(rows.0, rows.1, 1, &[0, 1], &[0.0; 2], 2, &mut |done, _| done < stop);
            assert!(matches!(stopped, Err(Error::Interrupted)), "{stop}");
        }
    }
}
