//! Graph cut: bins of a pool, from the most typical samples to the least, each of them diverse.

use rayon::prelude::*;

use super::ceiling::{Ceiling, unit};
use super::check_budget;
use crate::dot::Kernel;
use crate::duplicates::check_rows;
use crate::knn::cosine::Cosine;
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// Candidates a thread takes at a time; sums are added up in such parts, so that they do not depend on the threads.
const CHUNK: usize = 256;
/// Fewest and most candidates that are followed from choice to choice, if there are more.
const WIDTH: (usize, usize) = (256, 16_384);

/// Divide the candidates into `bins` of equal size (the first ones may have one more), in the order of choice.
///
/// A bin is filled from what the bins before it left: each time the candidate with the largest
/// `sum_{j in V} s(i, j) - penalty sum_{j in S} s(i, j)` is taken, where `V` is what was left when the bin was begun,
/// `S` what the bin holds, and `s` the cosine similarity; ties by place among the candidates. So the first bin holds
/// what is most like the rest of the pool, and the last, which is what remains, comes in the order of the candidates.
/// One bin and a budget of `n` are plain graph-cut selection: see [`cut_graph`].
///
/// `rows`: `(N, d)`, finite. `penalty` at least 0. `threads`: at least 1; `None` takes rayon's global pool.
/// `progress` is called with (candidates in bins, candidates).
///
/// Source: dataset quantization (arXiv 2308.10524); the gain of its published code is this with a penalty of 2. The
/// gain is `e_i . (sum_{j in V} e_j - penalty sum_{j in S} e_j)` with rows of unit length, in f64: the result is the
/// same for any number of threads, kernel and machine. O(m d) a step at most; most steps look at few candidates, as a
/// bound tells when the rest has to be looked at. 32 bytes a candidate.
///
/// # Errors
///
/// [`Error::Value`] for no bins or more than candidates, a penalty that is negative or not finite, a candidate that is
/// none of `rows` or occurs twice, threads = 0, a value that is not finite, and a row of zeros unless `allow_zero`;
/// [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, strategies::graph_cut::divide_bins};
/// let rows = Rows::new(&[1.0_f32, 0.0, 1.0, 0.2, 1.0, 0.1, 0.0, 1.0], 4, 2)?;
/// let bins = divide_bins(rows, &[0, 1, 2, 3], 2, 1.0, false, None, &mut |_, _| true)?;
/// assert_eq!(bins, [vec![1, 2], vec![0, 3]]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn divide_bins<T: Element>(
    rows: Rows<'_, T>,
    candidates: &[u32],
    bins: usize,
    penalty: f64,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Vec<Vec<u32>>> {
    if bins == 0 || bins > candidates.len() {
        let len = candidates.len();
        return Err(Error::value(format!("bins must lie in 1..={len}, the candidates, got {bins}")));
    }
    let cut = Cut::new(rows, candidates, penalty, allow_zero, threads)?;
    let mut left = candidates.to_vec();
    let mut divided = Vec::with_capacity(bins);
    let mut done = 0;
    for bin in 0..bins - 1 {
        let size = candidates.len() / bins + usize::from(bin < candidates.len() % bins);
        let chosen = cut.choose(&left, size, (done, candidates.len()), progress)?;
        let mut taken = vec![false; rows.len()];
        for &row in &chosen {
            taken[row as usize] = true;
        }
        left.retain(|&row| !taken[row as usize]);
        done += size;
        divided.push(chosen);
    }
    divided.push(left);
    tick(progress, candidates.len(), candidates.len())?;
    Ok(divided)
}

/// Choose `n` candidates by graph cut: the first `n` that [`divide_bins`] would take into a bin of all.
///
/// O(m d) a step. `progress` is called with (rows chosen, n).
///
/// # Errors
///
/// As of [`divide_bins`], and [`Error::Value`] for n = 0 or more than there are candidates.
pub fn cut_graph<T: Element>(
    rows: Rows<'_, T>,
    candidates: &[u32],
    n: usize,
    penalty: f64,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Vec<u32>> {
    check_budget(n, candidates.len())?;
    let cut = Cut::new(rows, candidates, penalty, allow_zero, threads)?;
    let chosen = cut.choose(candidates, n, (0, n), progress)?;
    tick(progress, n, n)?;
    Ok(chosen)
}

struct Cut<'a, T> {
    cosine: Cosine<'a, T>,
    penalty: f64,
    workers: Workers,
}

/// A candidate that may still be chosen.
#[derive(Clone, Copy)]
struct Open {
    row: u32,
    place: u32,
    gain: f64,
    /// Its cosine with the sum of all candidates.
    typical: f64,
}

impl<'a, T: Element> Cut<'a, T> {
    fn new(
        rows: Rows<'a, T>,
        candidates: &[u32],
        penalty: f64,
        allow_zero: bool,
        threads: Option<usize>,
    ) -> Result<Self> {
        if !(penalty.is_finite() && penalty >= 0.0) {
            return Err(Error::value(format!("penalty must be finite and at least 0, got {penalty}")));
        }
        check_rows(candidates, rows.len(), "candidates")?;
        let workers = Workers::new(threads)?;
        let kernel = Kernel::chosen()?;
        let cosine = workers.run(|| Cosine::measure(rows, kernel, allow_zero))?;
        Ok(Self { cosine, penalty, workers })
    }

    /// The first `n` of the candidates; `progress` has been told of `done` of `total` others.
    ///
    /// What a candidate gains is its product with one vector, the sum of all less `penalty` times that of the chosen.
    /// Between two looks at all, only the nearest to the top are followed, until the rest might have risen above them.
    fn choose(
        &self,
        candidates: &[u32],
        n: usize,
        (done, total): (usize, usize),
        progress: Progress<'_>,
    ) -> Result<Vec<u32>> {
        let mut pull = self.workers.run(|| self.sum(candidates));
        let axis = unit(&pull);
        let mut open = self.open(candidates, &axis);
        let mut chosen: Vec<u32> = Vec::with_capacity(n);
        let mut width = WIDTH.0;
        while chosen.len() < n {
            self.workers.run(|| self.measure(&mut open, &pull));
            let mut near = width.min(open.len());
            if near < open.len() {
                open.select_nth_unstable_by(near - 1, most_first);
            }
            let (followed, rest) = open.split_at_mut(near);
            let mut ceiling = Ceiling::over(
                rest.iter().map(|open| (open.typical, open.gain)),
                axis.clone(),
                &pull,
                self.penalty,
            );
            while near > 0 && chosen.len() < n {
                let best =
                    self.workers.run(|| self.measure(&mut followed[..near], &pull)).expect("some are left");
                if ceiling.moved > 0 && followed[best].gain <= ceiling.height() {
                    break;
                }
                tick(progress, done + chosen.len(), total)?;
                near -= 1;
                followed.swap(best, near);
                chosen.push(followed[near].row);
                self.add(&mut pull, -self.penalty, followed[near].row);
                self.add(&mut ceiling.drift, 1.0, followed[near].row);
                ceiling.moved += 1;
            }
            let (followed, moved) = (followed.len(), ceiling.moved);
            (near..followed).rev().for_each(|place| _ = open.swap_remove(place));
            // As much work on those followed as on the looks at all.
            width = if moved * followed < open.len() { 2 * width } else { width / 2 }.clamp(WIDTH.0, WIDTH.1);
        }
        Ok(chosen)
    }

    /// Add `weight` times a row of unit length.
    fn add(&self, sum: &mut [f64], weight: f64, row: u32) {
        let mut buffer = vec![];
        let weight = weight * self.cosine.scale(row as usize);
        let row = self.cosine.kernel().widen(self.cosine.rows().row(row as usize), &mut buffer);
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += weight * f64::from(value));
    }

    /// The sum of rows of unit length.
    fn sum(&self, rows: &[u32]) -> Vec<f64> {
        let none = || vec![0.0; self.cosine.rows().dim()];
        let part = |rows: &[u32]| {
            let mut sum = none();
            for &row in rows {
                self.add(&mut sum, 1.0, row);
            }
            sum
        };
        let parts: Vec<Vec<f64>> = rows.par_chunks(CHUNK).map(part).collect();
        let mut total = none();
        for part in &parts {
            total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
        }
        total
    }

    fn open(&self, candidates: &[u32], axis: &[f64]) -> Vec<Open> {
        let open = |(place, &row)| Open { row, place, gain: 0.0, typical: 0.0 };
        let mut open: Vec<Open> = (0_u32..).zip(candidates).map(open).collect();
        self.workers.run(|| self.measure(&mut open, axis));
        for open in &mut open {
            open.typical = open.gain;
        }
        open
    }

    /// Set the gains to the products of the candidates, as rows of unit length, with `pull`; where the largest is.
    fn measure(&self, open: &mut [Open], pull: &[f64]) -> Option<usize> {
        let kernel = self.cosine.kernel();
        let largest = |(part, open): (usize, &mut [Open]), buffer: &mut Vec<f32>| {
            for candidate in &mut *open {
                let row = kernel.widen(self.cosine.rows().row(candidate.row as usize), buffer);
                candidate.gain = kernel.dot_wide(row, pull) * self.cosine.scale(candidate.row as usize) + 0.0;
            }
            (part * CHUNK..).zip(&*open).map(|(at, open)| (at, *open)).min_by(|a, b| most_first(&a.1, &b.1))
        };
        open.par_chunks_mut(CHUNK)
            .enumerate()
            .map_init(Vec::new, |buffer, part| largest(part, buffer))
            .flatten_iter()
            .min_by(|a, b| most_first(&a.1, &b.1))
            .map(|(at, _)| at)
    }
}

/// Largest gain first, ties by place.
fn most_first(a: &Open, b: &Open) -> std::cmp::Ordering {
    b.gain.total_cmp(&a.gain).then(a.place.cmp(&b.place))
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::naive::cosine;
    use crate::random::Stream;

    /// What a candidate gains, by the words of the rule.
    fn gain(rows: Rows<'_, f32>, row: u32, left: &[u32], bin: &[u32], penalty: f64) -> f64 {
        let sum = |others: &[u32]| -> f64 {
            others.iter().map(|&other| cosine(rows.row(row as usize), rows.row(other as usize))).sum()
        };
        sum(left) - penalty * sum(bin)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn following_few_is_looking_at_all(
            dim in 1_usize..12, len in 300_usize..2000, seed in any::<u64>(), shift in 0_u8..3,
            penalty in prop::sample::select(vec![0.0, 0.5, 2.0, 7.0]), coarse in any::<bool>(),
        ) {
            // Rows around a direction or around none; coarse ones are often equal.
            let mut stream = Stream::new(seed, 0);
            let value = |_| {
                let value = stream.centered() + f32::from(shift) / 4.0;
                if coarse { (value * 3.0).round() } else { value }
            };
            let values: Vec<f32> = (0..len * dim).map(value).collect();
            let rows = Rows::new(&values, len, dim).unwrap();
            let mut left: Vec<u32> = (0_u32..).take(len).collect();
            let cut = Cut::new(rows, &left, penalty, true, Some(1)).unwrap();
            let mut pull = cut.sum(&left);
            let found = cut_graph(rows, &left, len / 2, penalty, true, Some(2), &mut |_, _| true).unwrap();
            let mut buffer = vec![];
            for row in found {
                let mut best: Option<(f64, u32)> = None;
                for &row in &left {
                    let values = cut.cosine.kernel().widen(rows.row(row as usize), &mut buffer);
                    let gain = cut.cosine.kernel().dot_wide(values, &pull) * cut.cosine.scale(row as usize);
                    if best.is_none_or(|(most, _)| gain > most) {
                        best = Some((gain, row));
                    }
                }
                prop_assert_eq!(best.unwrap().1, row);
                left.retain(|&other| other != row);
                cut.add(&mut pull, -penalty, row);
            }
        }

        #[test]
        fn each_gains_as_much_as_any(
            dim in 1_usize..6, values in prop::collection::vec(-3_i8..4, 6..600),
            penalty in prop::sample::select(vec![0.0, 0.5, 1.0, 2.0]), bins in 1_usize..7,
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let len = values.len() / dim;
            let rows = Rows::new(&values[..len * dim], len, dim).unwrap();
            let candidates: Vec<u32> = (0..u32::try_from(len).unwrap()).rev().collect();
            let bins = bins.min(len);
            let mut divided = vec![];
            for threads in [1, 3] {
                divided.push(divide_bins(rows, &candidates, bins, penalty, true, Some(threads), &mut |_, _| true).unwrap());
            }
            prop_assert_eq!(&divided[0], &divided[1]);
            let mut left = candidates;
            for bin in &divided[0][..bins - 1] {
                let whole = left.clone();
                for (at, &row) in bin.iter().enumerate() {
                    let of = |row| gain(rows, row, &whole, &bin[..at], penalty);
                    let most = left.iter().map(|&row| of(row)).fold(f64::MIN, f64::max);
                    // Similarities are rounded to f32, and the sum of all is that of rounded rows.
                    prop_assert!(of(row) > most - 1e-6 * whole.len() as f64);
                    left.retain(|&other| other != row);
                }
                prop_assert!(bin.len().abs_diff(len / bins) <= 1);
            }
            prop_assert_eq!(&divided[0][bins - 1], &left);
            let halves: Vec<f16> = values[..len * dim].iter().copied().map(f16::from_f32).collect();
            let rows = Rows::new(&halves, len, dim).unwrap();
            let candidates: Vec<u32> = (0..u32::try_from(len).unwrap()).rev().collect();
            let found = divide_bins(rows, &candidates, bins, penalty, true, None, &mut |_, _| true).unwrap();
            prop_assert_eq!(&found, &divided[0]);
        }
    }

    /// Directions at these degrees.
    fn circle(degrees: &[f32]) -> Vec<f32> {
        degrees.iter().flat_map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()]).collect()
    }

    #[test]
    fn known_answers() {
        // Sums of cosines: 0: 1 + .98 + .94 + 0, 10: .98 + 1 + .98 + .17, 20: .94 + .98 + 1 + .34, 90: 0 + .17 + .34 + 1.
        let values = circle(&[0.0, 10.0, 20.0, 90.0]);
        let rows = Rows::new(&values, 4, 2).unwrap();
        let cut =
            |penalty, n| cut_graph(rows, &[0, 1, 2, 3], n, penalty, false, None, &mut |_, _| true).unwrap();
        assert_eq!(cut(0.0, 4), [2, 1, 0, 3], "without a penalty the most typical first");
        // After 20 with a penalty of 2: 0: 2.92 - 1.88, 10: 3.14 - 1.97, 90: 1.52 - .68; then 10 is taken, 0: -.93.
        assert_eq!(cut(2.0, 4), [2, 1, 3, 0]);
        let bins = divide_bins(rows, &[3, 0, 1, 2], 3, 0.0, false, None, &mut |_, _| true).unwrap();
        assert_eq!(
            bins,
            [vec![2, 1], vec![3], vec![0]],
            "a bin is filled from the rest, by what is typical of the rest"
        );
        let twins = Rows::new(&[1.0_f32, 1.0, 1.0], 3, 1).unwrap();
        assert_eq!(
            cut_graph(twins, &[2, 0, 1], 2, 1.0, false, None, &mut |_, _| true).unwrap(),
            [2, 0],
            "by place"
        );
    }

    #[test]
    fn refuses_what_it_cannot_divide() {
        let values = circle(&[0.0, 10.0]);
        let rows = Rows::new(&values, 2, 2).unwrap();
        let text = |candidates: &[u32], bins, penalty| {
            divide_bins(rows, candidates, bins, penalty, false, None, &mut |_, _| true)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(text(&[0, 1], 0, 1.0), "bins must lie in 1..=2, the candidates, got 0");
        assert_eq!(text(&[0, 1], 3, 1.0), "bins must lie in 1..=2, the candidates, got 3");
        assert_eq!(text(&[0, 1], 1, -1.0), "penalty must be finite and at least 0, got -1");
        assert_eq!(text(&[0, 0], 1, 1.0), "candidates[1] = 0 occurs twice");
        assert!(cut_graph(rows, &[0], 2, 1.0, false, None, &mut |_, _| true).is_err());
        for stop in 0..3 {
            let stopped = divide_bins(rows, &[0, 1], 2, 1.0, false, None, &mut |done, _| done < stop);
            assert!(matches!(stopped, Err(Error::Interrupted)), "{stop}");
        }
    }
}
