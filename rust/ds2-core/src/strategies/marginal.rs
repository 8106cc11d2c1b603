//! Maximal marginal relevance: good samples that are unlike those chosen already.

use super::check_scored;
use super::nearest::Frontier;
use crate::dot::Kernel;
use crate::duplicates::check_rows;
use crate::knn::cosine::Cosine;
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// What may be chosen, and beside what.
#[derive(Debug, Clone, Copy)]
pub struct Relevant<'a> {
    /// Rows chosen already.
    pub chosen: &'a [u32],
    /// Rows to choose from.
    pub candidates: &'a [u32],
    /// The score of each candidate.
    pub scores: &'a [f64],
}

/// What was chosen, in the order of choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginal {
    /// The rows.
    pub rows: Vec<u32>,
    /// The marginal relevance of each when it was chosen.
    pub values: Vec<f64>,
}

/// Choose `n` candidates by maximal marginal relevance, one after another.
///
/// Each time the candidate with the largest `lambda score - (1 - lambda) nearest` is chosen, where `nearest` is its
/// largest cosine similarity to any chosen row, -1 while nothing is chosen; ties by place among the candidates. The
/// two terms are weighed as they come: scores should lie on a scale like that of a cosine, say [0, 1]. The similarity
/// is that of [`find_neighbors`](crate::knn::find_neighbors), so the result is the same for any number of threads,
/// kernel and machine; the first rows do not depend on `n`.
///
/// `rows`: `(N, d)`, finite. `lambda` in [0, 1]: 1 is the order of the scores alone, 0 goes farthest first.
/// `threads`: at least 1; `None` takes rayon's global pool. `progress` is called with (rows chosen, n).
///
/// Source: Carbonell and Goldstein 1998, with the score in place of the similarity to a query. As the value of a
/// candidate only falls, it is computed anew only when the last one known would win (Minoux 1978): the choice is that
/// of the plain algorithm. At most `candidates * (chosen + n) * d` multiply-adds in blocks, mostly a part of them;
/// 24 bytes a candidate and `4 d` a chosen row.
///
/// # Errors
///
/// [`Error::Value`] for a `lambda` outside [0, 1], n = 0 or more than there are candidates, a score that is not
/// finite, a row that is none of `rows` or occurs twice, chosen rows among the candidates, threads = 0, a value that
/// is not finite, and a row of zeros unless `allow_zero`; [`Error::Shape`] if `scores` and `candidates` differ in
/// length; [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, strategies::marginal::{Relevant, choose_marginal}};
/// let rows = Rows::new(&[1.0_f32, 0.0, 1.0, 0.1, 0.0, 1.0], 3, 2)?;
/// let pool = Relevant { chosen: &[], candidates: &[0, 1, 2], scores: &[1.0, 0.9, 0.5] };
/// let found = choose_marginal(rows, pool, 0.5, 2, false, None, &mut |_, _| true)?;
/// assert_eq!(found.rows, [0, 2]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn choose_marginal<T: Element>(
    rows: Rows<'_, T>,
    pool: Relevant<'_>,
    lambda: f64,
    n: usize,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Marginal> {
    if !(0.0..=1.0).contains(&lambda) {
        return Err(Error::value(format!("lambda must lie in [0, 1], got {lambda}")));
    }
    check_scored(pool.candidates, pool.scores, n)?;
    check_rows(&[pool.chosen, pool.candidates].concat(), rows.len(), "chosen and candidates")?;
    let workers = Workers::new(threads)?;
    let kernel = Kernel::chosen()?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, allow_zero))?;
    choose(&cosine, pool, lambda, n, &workers, progress)
}

fn choose<T: Element>(
    cosine: &Cosine<'_, T>,
    pool: Relevant<'_>,
    lambda: f64,
    n: usize,
    workers: &Workers,
    progress: Progress<'_>,
) -> Result<Marginal> {
    let value = |place: usize, nearest: f32| {
        // Adding zero turns -0 into 0: values know only one zero.
        lambda * pool.scores[place] - (1.0 - lambda) * f64::from(nearest) + 0.0
    };
    let mut frontier = Frontier::new(cosine, pool.candidates, 0..pool.candidates.len(), value);
    for &row in pool.chosen {
        frontier.push(row);
    }
    let mut found = Marginal { rows: Vec::with_capacity(n), values: Vec::with_capacity(n) };
    tick(progress, 0, n)?;
    while found.rows.len() < n {
        let best = frontier.next(workers).expect("there are at least n candidates");
        let row = pool.candidates[best.place as usize];
        frontier.push(row);
        found.rows.push(row);
        found.values.push(best.value);
        tick(progress, found.rows.len(), n)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::knn::cosine::Pair;

    /// The slow twin: every value anew for every choice, on the portable kernel.
    fn slow<T: Element>(rows: Rows<'_, T>, pool: Relevant<'_>, lambda: f64, n: usize) -> Marginal {
        let cosine = Cosine::measure(rows, *Kernel::available().last().unwrap(), true).unwrap();
        let mut chosen = pool.chosen.to_vec();
        let mut found = Marginal { rows: vec![], values: vec![] };
        for _ in 0..n {
            let mut best: Option<(u32, f64)> = None;
            for (&row, &score) in pool.candidates.iter().zip(pool.scores) {
                let similarity = |&other: &u32| cosine.similarity(row, other, &mut Pair::default());
                let nearest = chosen.iter().map(similarity).fold(-1.0, f32::max);
                let value = lambda * score - (1.0 - lambda) * f64::from(nearest);
                if !chosen.contains(&row) && best.is_none_or(|(_, most)| value > most) {
                    best = Some((row, value));
                }
            }
            let (row, value) = best.unwrap();
            chosen.push(row);
            found.rows.push(row);
            found.values.push(value);
        }
        found
    }

    #[derive(Debug, Clone)]
    struct Case {
        dim: usize,
        values: Vec<f32>,
        chosen: Vec<u32>,
        candidates: Vec<u32>,
        scores: Vec<f64>,
        n: usize,
    }

    /// Few distinct values and scores, so that ties and rows of zeros are common.
    fn cases() -> impl Strategy<Value = Case> {
        (2_usize..300, 1_usize..20).prop_flat_map(|(len, dim)| {
            let order = Just((0_u32..).take(len).collect::<Vec<u32>>()).prop_shuffle();
            let scores = prop::collection::vec(0_u8..5, len);
            (prop::collection::vec(-2_i8..3, len * dim), order, 0..len, scores, 1_usize..40).prop_map(
                move |(values, mut order, first, scores, n)| {
                    let candidates = order.split_off(first.min(20));
                    let scores =
                        scores[..candidates.len()].iter().map(|&score| f64::from(score) / 4.0).collect();
                    let values = values.into_iter().map(f32::from).collect();
                    Case { dim, values, chosen: order, n: n.min(candidates.len()), candidates, scores }
                },
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_slow_twin_on_every_kernel_and_any_number_of_threads(
            case in cases(), lambda in prop::sample::select(vec![0.0, 0.25, 0.5, 0.9, 1.0]),
        ) {
            let len = case.values.len() / case.dim;
            let rows = Rows::new(&case.values, len, case.dim).unwrap();
            let pool = Relevant { chosen: &case.chosen, candidates: &case.candidates, scores: &case.scores };
            let expected = slow(rows, pool, lambda, case.n);
            for kernel in Kernel::available() {
                let cosine = Cosine::measure(rows, kernel, true).unwrap();
                for threads in [1, 3] {
                    let workers = Workers::new(Some(threads)).unwrap();
                    let found = choose(&cosine, pool, lambda, case.n, &workers, &mut |_, _| true).unwrap();
                    prop_assert_eq!(&found, &expected, "{} {}", kernel.name(), threads);
                }
            }
            let halves: Vec<f16> = case.values.iter().copied().map(f16::from_f32).collect();
            let rows = Rows::new(&halves, len, case.dim).unwrap();
            let found = choose_marginal(rows, pool, lambda, case.n, true, None, &mut |_, _| true).unwrap();
            prop_assert_eq!(&found, &expected);
        }
    }

    /// Directions at 0, 0, 60 and 90 degrees.
    const FOUR: [f32; 8] = [1.0, 0.0, 2.0, 0.0, 0.5, 0.866_025_4, 0.0, 1.0];

    fn run(chosen: &[u32], scores: &[f64], lambda: f64, n: usize) -> Result<Marginal> {
        let candidates: Vec<u32> = (0..4).filter(|row| !chosen.contains(row)).collect();
        let pool = Relevant { chosen, candidates: &candidates, scores };
        choose_marginal(Rows::new(&FOUR, 4, 2)?, pool, lambda, n, false, None, &mut |_, _| true)
    }

    #[test]
    fn known_answers() {
        let scores = [1.0, 1.0, 0.75, 0.0];
        // After row 0 the values are 0 for row 1, (.75 - .5) / 2 for row 2, 0 for row 3.
        let found = run(&[], &scores, 0.5, 3).unwrap();
        assert_eq!(found.rows, [0, 2, 1]);
        assert!((found.values[0] - 1.0).abs() < 1e-6, "nothing is like nothing: (1 + 1) / 2");
        assert!((found.values[1] - 0.125).abs() < 1e-6);
        assert_eq!(run(&[], &scores, 1.0, 4).unwrap().rows, [0, 1, 2, 3], "scores alone, ties by place");
        assert_eq!(run(&[0], &[1.0, 0.75, 0.0], 0.0, 3).unwrap().rows, [3, 2, 1], "farthest first");
    }

    #[test]
    fn refuses_what_it_cannot_choose() {
        let text = |chosen: &[u32], scores: &[f64], lambda, n| {
            run(chosen, scores, lambda, n).unwrap_err().to_string()
        };
        assert_eq!(text(&[], &[0.0; 4], 1.5, 1), "lambda must lie in [0, 1], got 1.5");
        assert_eq!(text(&[], &[0.0; 4], f64::NAN, 1), "lambda must lie in [0, 1], got NaN");
        assert_eq!(text(&[], &[0.0; 3], 0.5, 1), "scores has 3 values for 4 candidates");
        assert_eq!(text(&[4], &[0.0; 4], 0.5, 1), "chosen and candidates[0] = 4 is no row of 4");
        let stopped = |stop| {
            let pool = Relevant { chosen: &[], candidates: &[0, 1], scores: &[0.0; 2] };
            choose_marginal(Rows::new(&FOUR, 4, 2).unwrap(), pool, 0.5, 2, false, None, &mut |done, _| {
                done < stop
            })
        };
        (0..3).for_each(|stop| assert!(matches!(stopped(stop), Err(Error::Interrupted)), "{stop}"));
    }
}
