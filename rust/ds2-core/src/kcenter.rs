//! Greedy k-center: of samples that are equally good, those farthest from what is already chosen.

use crate::dot::Kernel;
use crate::duplicates::check_rows;
use crate::knn::cosine::Cosine;
use crate::progress::tick;
use crate::strategies::nearest::Frontier;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// Rows chosen at the start that every candidate is compared with between two calls of `progress`.
const BLOCK: usize = 480;

/// The candidates for the last places, and what is chosen already.
#[derive(Debug, Clone, Copy)]
pub struct Tie<'a> {
    /// Rows chosen already.
    pub chosen: &'a [u32],
    /// Rows to choose from, best-ranked first.
    pub candidates: &'a [u32],
    /// The group of each candidate.
    pub groups: &'a [u32],
    /// How many of each group are to be chosen.
    pub seats: &'a [usize],
}

/// What was chosen, in the order of choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Centers {
    /// The rows.
    pub rows: Vec<u32>,
    /// The similarity of each to the nearest row chosen before it; -1 where nothing was.
    pub similarities: Vec<f32>,
}

/// Choose the candidates farthest from all that is chosen, one after another.
///
/// Each time the candidate whose largest cosine similarity to any chosen row is smallest is chosen, ties by
/// place among the candidates; once a group has its seats, its other candidates stand back. With nothing
/// chosen at the start the first candidate is. The similarity is that of
/// [`find_neighbors`](crate::knn::find_neighbors), in f64 in a fixed order and rounded to f32: the result is
/// the same for any number of threads, kernel and machine.
///
/// `rows`: `(N, d)`, finite. `threads`: at least 1; `None` takes rayon's global pool. `progress` is called with
/// (rows compared with the candidates, chosen rows and seats in all).
///
/// Source: farthest-first traversal (Gonzalez 1985), k-center greedy of active learning (arXiv 1708.00489).
/// A candidate is compared with what was chosen since it last was only when it may be the farthest, in blocks: at most
/// `candidates * (chosen + seats) * d` multiply-adds; 24 bytes a candidate and `4 d` a chosen row.
///
/// # Errors
///
/// [`Error::Value`] for a row that is none of `rows` or occurs twice, chosen rows among the candidates, a group
/// without seats or with more seats than candidates, threads = 0, a value that is not finite, and a row of zeros
/// unless `allow_zero`; [`Error::Shape`] if `groups` and `candidates` differ in length; [`Error::Interrupted`]
/// if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, kcenter::{Tie, choose_centers}};
/// let rows = Rows::new(&[1.0_f32, 0.0, 1.0, 0.1, 0.0, 1.0, 1.0, 1.0], 4, 2)?;
/// let tie = Tie { chosen: &[0], candidates: &[1, 2, 3], groups: &[0, 0, 0], seats: &[2] };
/// let centers = choose_centers(rows, tie, false, None, &mut |_, _| true)?;
/// assert_eq!(centers.rows, [2, 3]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn choose_centers<T: Element>(
    rows: Rows<'_, T>,
    tie: Tie<'_>,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Centers> {
    check(&tie, rows.len())?;
    let workers = Workers::new(threads)?;
    let kernel = Kernel::chosen()?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, allow_zero))?;
    choose(&cosine, tie, &workers, progress)
}

fn choose<T: Element>(
    cosine: &Cosine<'_, T>,
    tie: Tie<'_>,
    workers: &Workers,
    progress: Progress<'_>,
) -> Result<Centers> {
    let wanted: usize = tie.seats.iter().sum();
    let total = tie.chosen.len() + wanted;
    let mut seats = tie.seats.to_vec();
    let group = |place: usize| tie.groups[place] as usize;
    let seated = (0..tie.candidates.len()).filter(|&place| seats[group(place)] > 0);
    let mut frontier = Frontier::new(cosine, tie.candidates, seated, |_, nearest| -f64::from(nearest));
    tick(progress, 0, total)?;
    let mut compared = 0;
    for block in tie.chosen.chunks(BLOCK) {
        for &row in block {
            frontier.push(row);
        }
        frontier.catch_up(workers);
        compared += block.len();
        tick(progress, compared, total)?;
    }
    let mut centers = Centers { rows: Vec::with_capacity(wanted), similarities: Vec::with_capacity(wanted) };
    for done in 1..=wanted {
        let farthest = frontier.next(workers).expect("a group has at least as many candidates as seats");
        let row = tie.candidates[farthest.place as usize];
        centers.rows.push(row);
        centers.similarities.push(farthest.nearest);
        frontier.push(row);
        let full = group(farthest.place as usize);
        seats[full] -= 1;
        if seats[full] == 0 {
            frontier.retain(|place| group(place) != full);
        }
        tick(progress, compared + done, total)?;
    }
    Ok(centers)
}

fn check(tie: &Tie<'_>, len: usize) -> Result<()> {
    if tie.groups.len() != tie.candidates.len() {
        return Err(Error::shape(format!(
            "groups has {} values for {} candidates",
            tie.groups.len(),
            tie.candidates.len()
        )));
    }
    let mut there = vec![0; tie.seats.len()];
    for (place, &group) in tie.groups.iter().enumerate() {
        match there.get_mut(group as usize) {
            Some(count) => *count += 1,
            None => return Err(Error::value(format!("groups[{place}] = {group} has no seats"))),
        }
    }
    if let Some(group) = (0..there.len()).find(|&group| tie.seats[group] > there[group]) {
        let (seats, there) = (tie.seats[group], there[group]);
        return Err(Error::value(format!("group {group} has {seats} seats for {there} candidates")));
    }
    check_rows(&[tie.chosen, tie.candidates].concat(), len, "chosen and candidates")
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::knn::cosine::Pair;

    /// The slow twin: every similarity anew for every choice, on the portable kernel.
    fn slow<T: Element>(rows: Rows<'_, T>, tie: &Tie<'_>) -> Centers {
        let kernel = *Kernel::available().last().unwrap();
        let cosine = Cosine::measure(rows, kernel, true).unwrap();
        let mut seats = tie.seats.to_vec();
        let mut chosen = tie.chosen.to_vec();
        let mut centers = Centers { rows: vec![], similarities: vec![] };
        while seats.iter().sum::<usize>() > 0 {
            let mut best: Option<(u32, u32, f32)> = None;
            for (&row, &group) in tie.candidates.iter().zip(tie.groups) {
                if chosen.contains(&row) || seats[group as usize] == 0 {
                    continue;
                }
                let similarity = |&other: &u32| cosine.similarity(row, other, &mut Pair::default());
                let nearest = chosen.iter().map(similarity).fold(-1.0, f32::max);
                if best.is_none_or(|(_, _, found)| nearest < found) {
                    best = Some((row, group, nearest));
                }
            }
            let (row, group, nearest) = best.unwrap();
            seats[group as usize] -= 1;
            chosen.push(row);
            centers.rows.push(row);
            centers.similarities.push(nearest);
        }
        centers
    }

    #[derive(Debug, Clone)]
    struct Case {
        dim: usize,
        values: Vec<f32>,
        chosen: Vec<u32>,
        candidates: Vec<u32>,
        groups: Vec<u32>,
        seats: Vec<usize>,
    }

    /// Rows of few distinct values, so that ties and rows of zeros are common; more than one panel.
    fn cases() -> impl Strategy<Value = Case> {
        (1_usize..400, 1_usize..20, 1_u32..4).prop_flat_map(|(len, dim, groups)| {
            (
                prop::collection::vec(-2_i8..3, len * dim),
                Just((0_u32..).take(len).collect::<Vec<u32>>()).prop_shuffle(),
                0..=len.min(150),
                prop::collection::vec(0..groups, len),
                prop::collection::vec(0_usize..12, groups as usize),
            )
                .prop_map(move |(values, mut order, first, mut groups, mut seats)| {
                    let candidates = order.split_off(first);
                    groups.truncate(candidates.len());
                    for (group, seats) in (0_u32..).zip(&mut seats) {
                        *seats = (*seats).min(groups.iter().filter(|&&other| other == group).count());
                    }
                    let values = values.into_iter().map(f32::from).collect();
                    Case { dim, values, chosen: order, candidates, groups, seats }
                })
        })
    }

    impl Case {
        fn tie(&self) -> Tie<'_> {
            Tie {
                chosen: &self.chosen,
                candidates: &self.candidates,
                groups: &self.groups,
                seats: &self.seats,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_slow_twin_on_every_kernel_and_any_number_of_threads(case in cases()) {
            let len = case.values.len() / case.dim;
            let rows = Rows::new(&case.values, len, case.dim).unwrap();
            let expected = slow(rows, &case.tie());
            for kernel in Kernel::available() {
                let cosine = Cosine::measure(rows, kernel, true).unwrap();
                for threads in [1, 3] {
                    let workers = Workers::new(Some(threads)).unwrap();
                    let found = choose(&cosine, case.tie(), &workers, &mut |_, _| true).unwrap();
                    prop_assert_eq!(&found, &expected, "{} {}", kernel.name(), threads);
                }
            }
            let halves: Vec<f16> = case.values.iter().copied().map(f16::from_f32).collect();
            let rows = Rows::new(&halves, len, case.dim).unwrap();
            let found = choose_centers(rows, case.tie(), true, None, &mut |_, _| true).unwrap();
            prop_assert_eq!(&found, &expected);
        }
    }

    /// Directions at these degrees.
    fn circle(degrees: &[f32]) -> Vec<f32> {
        degrees.iter().flat_map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()]).collect()
    }

    fn run(degrees: &[f32], tie: Tie<'_>) -> Result<Centers> {
        choose_centers(Rows::new(&circle(degrees), degrees.len(), 2)?, tie, false, None, &mut |_, _| true)
    }

    #[test]
    fn known_answers() {
        let degrees = [0.0, 10.0, 170.0, 95.0, 80.0];
        let groups = [0; 4];
        let tie = Tie { chosen: &[0], candidates: &[1, 2, 3, 4], groups: &groups, seats: &[3] };
        let found = run(&degrees, tie).unwrap();
        assert_eq!(found.rows, [2, 4, 3], "80 is 80 degrees from the nearest chosen one, 95 is 75");
        let nothing = Tie { chosen: &[], candidates: &[3, 0, 1, 2], groups: &groups, seats: &[2] };
        let found = run(&degrees, nothing).unwrap();
        assert_eq!(found.rows[0], 3, "with nothing chosen the best-ranked is");
        assert!((found.similarities[0] - -1.0).abs() <= 0.0);
        let two = Tie { chosen: &[0], candidates: &[2, 3, 1, 4], groups: &[0, 0, 1, 1], seats: &[1, 1] };
        assert_eq!(run(&degrees, two).unwrap().rows, [2, 4], "the first group has one seat");
        let none = Tie { chosen: &[0], candidates: &[1], groups: &[0], seats: &[0] };
        assert!(run(&degrees, none).unwrap().rows.is_empty());
    }

    #[test]
    fn refuses_what_cannot_be_seated() {
        let text = |chosen: &[u32], candidates: &[u32], groups: &[u32], seats: &[usize]| {
            run(&[0.0, 1.0, 2.0], Tie { chosen, candidates, groups, seats }).unwrap_err().to_string()
        };
        assert_eq!(text(&[], &[1], &[], &[1]), "groups has 0 values for 1 candidates");
        assert_eq!(text(&[], &[1], &[1], &[1]), "groups[0] = 1 has no seats");
        assert_eq!(text(&[], &[1], &[0], &[2]), "group 0 has 2 seats for 1 candidates");
        assert_eq!(text(&[3], &[1], &[0], &[1]), "chosen and candidates[0] = 3 is no row of 3");
        assert_eq!(text(&[1], &[1], &[0], &[1]), "chosen and candidates[1] = 1 occurs twice");
        let rows = [1.0, 0.0, 0.0, 0.0];
        let tie = Tie { chosen: &[], candidates: &[0, 1], groups: &[0, 0], seats: &[1] };
        let zero = choose_centers(Rows::new(&rows, 2, 2).unwrap(), tie, false, None, &mut |_, _| true);
        assert_eq!(zero.unwrap_err().to_string(), "row 1 is all zeros and has no direction");
    }

    #[test]
    fn progress_counts_and_stops() {
        let degrees: Vec<f32> = (0_u16..600).map(|row| f32::from(row) / 2.0).collect();
        let values = circle(&degrees);
        let rows = Rows::new(&values, 600, 2).unwrap();
        let (chosen, candidates): (Vec<u32>, Vec<u32>) = ((0..500).collect(), (500..600).collect());
        let tie = Tie { chosen: &chosen, candidates: &candidates, groups: &[0; 100], seats: &[5] };
        let mut seen = vec![];
        choose_centers(rows, tie, false, None, &mut |done, total| {
            seen.push((done, total));
            true
        })
        .unwrap();
        let expected = [0, 480, 500, 501, 502, 503, 504, 505].map(|done| (done, 505));
        assert_eq!(seen, expected);
        for stop in [0, 480, 503] {
            let stopped = choose_centers(rows, tie, false, None, &mut |done, _| done < stop);
            assert!(matches!(stopped, Err(Error::Interrupted)), "{stop}");
        }
    }
}
