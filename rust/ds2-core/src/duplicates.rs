//! Near-duplicate guard: of samples that are almost the same, the best-ranked stays.

use crate::similarity::check_similarities;
use crate::{Error, Result, Rows};

/// A ranking without near duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct {
    /// Rows that stay, best first.
    pub kept: Vec<u32>,
    /// Rows that were dropped, in the order of the ranking.
    pub dropped: Vec<u32>,
    /// For each dropped row the kept one that stands for it.
    pub stands_for: Vec<u32>,
    /// Ranked rows whose every neighbor lies at or above the threshold, though the pool has more rows than they
    /// have neighbors: the graph may lack a pair of theirs.
    pub saturated: usize,
}

/// No place in the ranking.
const NONE: u32 = u32::MAX;

/// Drop near duplicates from a ranking, on the edges of the neighbor graph.
///
/// Rows are taken in the order of the ranking. A row is dropped if it and a row already kept are neighbors in
/// the graph (one in the list of the other, either way) with a similarity of at least `threshold`; the
/// best-ranked such row stands for it. Else it is kept. So of a chain of near duplicates the best-ranked stays,
/// and so does whatever is similar only to rows that were dropped. What is decided about a row depends on
/// better-ranked rows alone: the first rows of the result do not depend on how many are looked at.
///
/// `order`: distinct rows of the graph, best first, not necessarily all. `neighbors` and `similarities`:
/// `(N, L)`, the graph. `threshold` in (0, 1].
///
/// Source: greedy filter of DEITA (arXiv 2312.15685), held to the pairs of the graph. O(N L) at most; lists are
/// read only as far as the threshold.
///
/// # Errors
///
/// [`Error::Value`] for a threshold outside (0, 1], a ranked row or a neighbor that is no row of the graph, a
/// row ranked twice, a similarity that is no cosine or does not descend; [`Error::Shape`] if the two matrices
/// differ in shape.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, duplicates::drop_duplicates};
/// let (neighbors, similarities) = ([1, 0, 0], [0.99, 0.99, 0.2]);
/// let graph = (Rows::new(&neighbors, 3, 1)?, Rows::new(&similarities, 3, 1)?);
/// let distinct = drop_duplicates(&[1, 2, 0], graph.0, graph.1, 0.95)?;
/// assert_eq!((distinct.kept, distinct.dropped, distinct.stands_for), (vec![1, 2], vec![0], vec![1]));
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn drop_duplicates(
    order: &[u32],
    neighbors: Rows<'_, u32>,
    similarities: Rows<'_, f32>,
    threshold: f32,
) -> Result<Distinct> {
    check(order, neighbors, similarities, threshold)?;
    let near = |row: u32| {
        let (rows, values) = (neighbors.row(row as usize), similarities.row(row as usize));
        rows.iter().zip(values).take_while(|&(_, &value)| value >= threshold).map(|(&row, _)| row as usize)
    };
    // Places among the kept rows: of the row itself, and of the best one whose list holds the row.
    let (mut place, mut listed) = (vec![NONE; neighbors.len()], vec![NONE; neighbors.len()]);
    let may_lack_pairs = neighbors.dim() + 1 < neighbors.len();
    let mut next = 0;
    let mut distinct = Distinct { kept: vec![], dropped: vec![], stands_for: vec![], saturated: 0 };
    for &row in order {
        let best = near(row).map(|other| place[other]).fold(listed[row as usize], u32::min);
        if best == NONE {
            place[row as usize] = next;
            near(row).for_each(|other| listed[other] = listed[other].min(next));
            next += 1;
            distinct.kept.push(row);
        } else {
            distinct.dropped.push(row);
            distinct.stands_for.push(distinct.kept[best as usize]);
        }
        distinct.saturated += usize::from(may_lack_pairs && near(row).count() == neighbors.dim());
    }
    Ok(distinct)
}

fn check(order: &[u32], neighbors: Rows<'_, u32>, similarities: Rows<'_, f32>, threshold: f32) -> Result<()> {
    if !(threshold > 0.0 && threshold <= 1.0) {
        return Err(Error::value(format!("threshold must lie in (0, 1], got {threshold}")));
    }
    let (len, width) = (neighbors.len(), neighbors.dim());
    if (similarities.len(), similarities.dim()) != (len, width) {
        return Err(Error::shape(format!(
            "similarities are ({}, {}) for neighbors ({len}, {width})",
            similarities.len(),
            similarities.dim()
        )));
    }
    check_similarities(similarities)?;
    if let Some(at) = neighbors.data().iter().position(|&row| row as usize >= len) {
        let (row, column) = (at / width, at % width);
        let value = neighbors.data()[at];
        return Err(Error::value(format!(
            "neighbor {value} in row {row}, column {column} is no row of {len}"
        )));
    }
    check_rows(order, len, "order")
}

/// Refuse a list of rows that are not distinct rows of a pool of `len`.
///
/// # Errors
///
/// [`Error::Value`] with the first one that is not, under the name of the list.
pub(crate) fn check_rows(rows: &[u32], len: usize, name: &str) -> Result<()> {
    let mut seen = vec![false; len];
    for (place, &row) in rows.iter().enumerate() {
        match seen.get_mut(row as usize) {
            None => return Err(Error::value(format!("{name}[{place}] = {row} is no row of {len}"))),
            Some(true) => return Err(Error::value(format!("{name}[{place}] = {row} occurs twice"))),
            Some(seen) => *seen = true,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A graph with similarities in steps of 0.1, descending, and a ranking of some of its rows.
    #[derive(Debug, Clone)]
    struct Case {
        width: usize,
        neighbors: Vec<u32>,
        similarities: Vec<f32>,
        order: Vec<u32>,
    }

    impl Case {
        fn run(&self, threshold: f32) -> Distinct {
            let len = self.neighbors.len() / self.width;
            let neighbors = Rows::new(&self.neighbors, len, self.width).unwrap();
            let similarities = Rows::new(&self.similarities, len, self.width).unwrap();
            drop_duplicates(&self.order, neighbors, similarities, threshold).unwrap()
        }

        /// The slow twin: each row against every kept row, best first, by the words of the rule.
        fn slow(&self, threshold: f32) -> (Vec<u32>, Vec<(u32, u32)>) {
            let lists = |a: u32, b: u32| {
                let range = a as usize * self.width..(a as usize + 1) * self.width;
                let mut edges = self.neighbors[range.clone()].iter().zip(&self.similarities[range]);
                edges.any(|(&row, &value)| row == b && value >= threshold)
            };
            let (mut kept, mut dropped): (Vec<u32>, Vec<(u32, u32)>) = (vec![], vec![]);
            for &row in &self.order {
                match kept.iter().find(|&&better| lists(row, better) || lists(better, row)) {
                    None => kept.push(row),
                    Some(&better) => dropped.push((row, better)),
                }
            }
            (kept, dropped)
        }
    }

    fn cases() -> impl Strategy<Value = Case> {
        (2_u32..40).prop_flat_map(|len| {
            let width = (len as usize - 1).min(5);
            let other = (0..len - 1).prop_map(|row| row);
            let list = prop::collection::vec((other, 0_u8..=10), width);
            let graph = prop::collection::vec(list, len as usize);
            let order = Just((0..len).collect::<Vec<u32>>()).prop_shuffle();
            (graph, order, 0..=len as usize).prop_map(move |(graph, mut order, ranked)| {
                order.truncate(ranked);
                let (mut neighbors, mut similarities) = (vec![], vec![]);
                for (row, mut list) in (0_u32..).zip(graph) {
                    list.sort_by_key(|edge| std::cmp::Reverse(edge.1));
                    neighbors.extend(list.iter().map(|edge| edge.0 + u32::from(edge.0 >= row)));
                    similarities.extend(list.iter().map(|edge| f32::from(edge.1) / 10.0));
                }
                Case { width, neighbors, similarities, order }
            })
        })
    }

    proptest! {
        #[test]
        fn it_is_the_slow_twin(case in cases(), threshold in 1_u8..=10) {
            let threshold = f32::from(threshold) / 10.0;
            let found = case.run(threshold);
            let (kept, dropped) = case.slow(threshold);
            prop_assert_eq!(&found.kept, &kept);
            let pairs: Vec<(u32, u32)> = found.dropped.into_iter().zip(found.stands_for).collect();
            prop_assert_eq!(pairs, dropped);
        }

        #[test]
        fn the_first_rows_do_not_depend_on_the_rest(case in cases(), ranked in 0_usize..40) {
            let mut first = case.clone();
            first.order.truncate(ranked);
            let (first, all) = (first.run(0.7), case.run(0.7));
            prop_assert_eq!(&first.kept[..], &all.kept[..first.kept.len()]);
            prop_assert_eq!(&first.dropped[..], &all.dropped[..first.dropped.len()]);
        }
    }

    #[test]
    fn known_answers() {
        // A chain 0 - 1 - 2 whose edges are each in one list only; 3 stands alone.
        let chain = |order: &[u32]| Case {
            width: 1,
            neighbors: vec![1, 2, 3, 0],
            similarities: vec![0.96, 0.95, 0.1, 0.2],
            order: order.to_vec(),
        };
        let best = chain(&[0, 1, 2, 3]).run(0.95);
        assert_eq!(best.kept, [0, 2, 3], "2 is like 1 alone, and 1 is not kept");
        assert_eq!((best.dropped, best.stands_for), (vec![1], vec![0]));
        let middle = chain(&[1, 2, 0, 3]).run(0.95);
        assert_eq!(middle.kept, [1, 3]);
        assert_eq!((middle.dropped, middle.stands_for), (vec![2, 0], vec![1, 1]));
        assert_eq!(chain(&[3, 2, 1, 0]).run(0.97).kept, [3, 2, 1, 0]);
        assert_eq!(chain(&[2, 0, 1]).run(0.95).stands_for, [2], "the best-ranked stands for it");
        assert_eq!(chain(&[0, 1]).run(0.95).saturated, 2);
        // Every other row is in every list: the graph lacks no pair.
        let pair = Case { width: 1, neighbors: vec![1, 0], similarities: vec![1.0, 1.0], order: vec![0, 1] };
        assert_eq!(pair.run(1.0).saturated, 0);
    }

    #[test]
    fn refuses_what_is_no_graph_and_no_ranking() {
        let text = |order: &[u32], neighbors: &[u32], similarities: &[f32], threshold: f32| {
            let neighbors = Rows::new(neighbors, neighbors.len(), 1).unwrap();
            let similarities = Rows::new(similarities, similarities.len(), 1).unwrap();
            drop_duplicates(order, neighbors, similarities, threshold).unwrap_err().to_string()
        };
        assert_eq!(text(&[], &[1, 0], &[0.5; 2], 0.0), "threshold must lie in (0, 1], got 0");
        assert_eq!(text(&[], &[1, 0], &[0.5; 2], f32::NAN), "threshold must lie in (0, 1], got NaN");
        assert_eq!(text(&[], &[1, 0], &[0.5; 3], 0.9), "similarities are (3, 1) for neighbors (2, 1)");
        assert_eq!(text(&[], &[1, 2], &[0.5; 2], 0.9), "neighbor 2 in row 1, column 0 is no row of 2");
        assert_eq!(text(&[2], &[1, 0], &[0.5; 2], 0.9), "order[0] = 2 is no row of 2");
        assert_eq!(text(&[1, 1], &[1, 0], &[0.5; 2], 0.9), "order[1] = 1 occurs twice");
        assert!(text(&[], &[1, 0], &[0.5, 3.0], 0.9).starts_with("similarity 3 in row 1"));
    }
}
