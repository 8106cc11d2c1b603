//! Diversity filter: down a ranking, a sample stays if it is like none that stayed before it.

use rayon::prelude::*;

use super::units::{Buffers, Panels, pack_strip, slack};
use crate::dot::{Kernel, Narrow, TILE_COLUMNS, TILE_ROWS, Tile, Wide};
use crate::duplicates::check_rows;
use crate::knn::cosine::{Cosine, Pair};
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// Ranked rows that are decided on together: few beside the thousands kept, many beside the threads.
const BLOCK: usize = 1024;
/// Rows of a block one task compares: a panel is read from memory once for all of them.
const SHARE: usize = 64;

/// What stayed of a ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Rows that stay, best first.
    pub kept: Vec<u32>,
    /// Ranked rows that were looked at: all of them, unless as many as wanted were kept before.
    pub examined: usize,
}

/// Go down a ranking and keep each row whose similarity to every row kept so far is at most `threshold`.
///
/// It ends when `most` rows are kept, or with the ranking: then fewer are kept. The similarity is that of
/// [`find_neighbors`](crate::knn::find_neighbors): the result is the same for any number of threads, kernel and
/// machine. What is decided about a row depends on better-ranked rows alone, so a smaller `most` keeps the first
/// rows of the same list.
///
/// `rows`: `(N, d)`, finite. `order`: distinct rows, best first. `threshold` in [-1, 1]: 1 keeps every row.
/// `threads`: at least 1; `None` takes rayon's global pool. `progress` is called with (ranked rows decided, ranked
/// rows).
///
/// Source: the diversity filter of DEITA (arXiv 2312.15685), which compares with every row kept; as in its published
/// code a row goes if a similarity is above the threshold, and stays if it equals it.
/// [`drop_duplicates`](crate::duplicates::drop_duplicates) holds a like rule to the pairs of a graph, where a
/// similarity of the threshold is enough.
///
/// # Method
///
/// Blocks of the ranking are multiplied with all kept rows in f32; a product that is nearer to the threshold than
/// rounding can carry it is decided by the similarity as defined. At most `examined * kept * d` multiply-adds,
/// compute-bound; `4 d` bytes a kept row.
///
/// # Errors
///
/// [`Error::Value`] for a threshold outside [-1, 1], `most` = 0, a ranked row that is none of `rows` or occurs
/// twice, threads = 0, a value that is not finite, and a row of zeros unless `allow_zero`; [`Error::Interrupted`]
/// if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, strategies::apart::keep_apart};
/// let rows = Rows::new(&[1.0_f32, 0.0, 1.0, 0.1, 0.0, 1.0], 3, 2)?;
/// let apart = keep_apart(rows, &[1, 0, 2], 0.9, 2, false, None, &mut |_, _| true)?;
/// assert_eq!((apart.kept, apart.examined), (vec![1, 2], 3));
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn keep_apart<T: Element>(
    rows: Rows<'_, T>,
    order: &[u32],
    threshold: f32,
    most: usize,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Apart> {
    if !(-1.0..=1.0).contains(&threshold) {
        return Err(Error::value(format!("threshold must lie in [-1, 1], got {threshold}")));
    }
    if most == 0 {
        return Err(Error::value("most must be at least 1, got 0"));
    }
    check_rows(order, rows.len(), "order")?;
    let workers = Workers::new(threads)?;
    let kernel = Kernel::chosen()?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, allow_zero))?;
    filter(&cosine, order, threshold, most, &workers, progress)
}

fn filter<T: Element>(
    cosine: &Cosine<'_, T>,
    order: &[u32],
    threshold: f32,
    most: usize,
    workers: &Workers,
    progress: Progress<'_>,
) -> Result<Apart> {
    let likeness = Likeness::new(cosine, threshold);
    let (mut panels, mut buffers, mut pair) =
        (Panels::new(cosine.rows().dim()), Buffers::default(), Pair::default());
    let mut examined = 0;
    tick(progress, 0, order.len())?;
    for block in order.chunks(BLOCK) {
        let open = workers.run(|| likeness.unlike(block, &panels));
        let rivals = workers.run(|| likeness.rivals(block, &open));
        let mut stayed = vec![false; block.len()];
        for (place, rivals) in open.into_iter().zip(rivals) {
            let alike =
                |rival: &Rival| likeness.holds(rival.product, block[place], block[rival.place], &mut pair);
            stayed[place] = !rivals.iter().filter(|rival| stayed[rival.place]).any(alike);
            if stayed[place] {
                panels.push(cosine, block[place], &mut buffers);
            }
            if panels.rows().len() == most {
                return Ok(Apart { kept: panels.rows().to_vec(), examined: examined + place + 1 });
            }
        }
        examined += block.len();
        tick(progress, examined, order.len())?;
    }
    Ok(Apart { kept: panels.rows().to_vec(), examined })
}

/// A better-ranked row of the same block that may be too similar.
struct Rival {
    place: usize,
    product: f32,
}

/// Decides whether two rows are alike, from their product where that is enough.
struct Likeness<'a, T> {
    cosine: &'a Cosine<'a, T>,
    threshold: f32,
    /// Products from here on are of rows that are alike.
    sure: f32,
    /// Products below this are of rows that are not.
    doubtful: f32,
}

/// Space of one task.
#[derive(Default)]
struct Work {
    strips: Vec<Narrow>,
    buffers: Buffers,
    tile: Tile,
    pair: Pair,
}

impl<'a, T: Element> Likeness<'a, T> {
    #[expect(clippy::cast_possible_truncation, reason = "the slack leaves room for the rounding")]
    fn new(cosine: &'a Cosine<'a, T>, threshold: f32) -> Self {
        let slack = slack(cosine.rows().dim());
        let (sure, doubtful) = (f64::from(threshold) + slack, f64::from(threshold) - slack);
        Self { cosine, threshold, sure: sure as f32, doubtful: doubtful as f32 }
    }

    fn holds(&self, product: f32, row: u32, other: u32, pair: &mut Pair) -> bool {
        product >= self.sure
            || product >= self.doubtful && self.cosine.similarity(row, other, pair) > self.threshold
    }

    /// Whether any product may be of rows that are alike; looks at all, so that several are compared at once.
    fn any_doubtful(&self, products: &[f32]) -> bool {
        let any = |any: bool, doubtful: bool| any | doubtful;
        products.iter().map(|&product| product >= self.doubtful).fold(false, any)
    }

    /// The places in `block` of the rows that are like none in `panels`.
    fn unlike(&self, block: &[u32], panels: &Panels) -> Vec<usize> {
        let shares = block.par_chunks(SHARE).enumerate();
        let open = shares.map_init(Work::default, |work, (share, rows)| {
            let mut open = vec![true; rows.len()];
            self.pack(rows, work);
            panels.iter().for_each(|panel| self.close(rows, panel, &mut open, work));
            (share * SHARE..).zip(open).filter(|&(_, open)| open).map(|(place, _)| place).collect::<Vec<_>>()
        });
        open.collect::<Vec<_>>().concat()
    }

    fn pack(&self, rows: &[u32], work: &mut Work) {
        work.strips.clear();
        for rows in rows.chunks(TILE_ROWS) {
            pack_strip(self.cosine, rows, &mut work.strips, &mut work.buffers);
        }
    }

    /// Close the rows, packed in `work`, that are like a row of the panel.
    fn close(&self, rows: &[u32], (others, panel): (&[u32], &[Wide]), open: &mut [bool], work: &mut Work) {
        let strips = work.strips.chunks_exact(panel.len());
        for ((rows, open), strip) in rows.chunks(TILE_ROWS).zip(open.chunks_mut(TILE_ROWS)).zip(strips) {
            if !open.contains(&true) {
                continue;
            }
            self.cosine.kernel().multiply(strip, panel, &mut work.tile);
            for ((&row, open), products) in rows.iter().zip(open).zip(&work.tile.0) {
                if *open && self.any_doubtful(products) {
                    let mut pairs = others.iter().zip(products);
                    *open = !pairs.any(|(&other, &product)| self.holds(product, row, other, &mut work.pair));
                }
            }
        }
    }

    /// For each open row of `block` the open rows before it that may be too similar.
    fn rivals(&self, block: &[u32], open: &[usize]) -> Vec<Vec<Rival>> {
        let rows: Vec<u32> = open.iter().map(|&place| block[place]).collect();
        let (mut panels, mut buffers) = (Panels::new(self.cosine.rows().dim()), Buffers::default());
        for &row in &rows {
            panels.push(self.cosine, row, &mut buffers);
        }
        let shares = rows.par_chunks(SHARE).enumerate();
        let rivals = shares.map_init(Work::default, |work, (share, rows)| {
            self.pack(rows, work);
            self.better(share * SHARE, rows.len(), open, &panels, work)
        });
        rivals.flatten_iter().collect()
    }

    /// The rivals of the `count` open rows from `first` on, which are packed in `work`.
    fn better(
        &self,
        first: usize,
        count: usize,
        open: &[usize],
        panels: &Panels,
        work: &mut Work,
    ) -> Vec<Vec<Rival>> {
        let mut rivals: Vec<Vec<Rival>> = (0..count).map(|_| vec![]).collect();
        let strips = work.strips.chunks_exact(self.cosine.rows().dim());
        for ((at, strip), rivals) in strips.enumerate().zip(rivals.chunks_mut(TILE_ROWS)) {
            let own = first + at * TILE_ROWS;
            for (before, (_, panel)) in (0..own + rivals.len()).step_by(TILE_COLUMNS).zip(panels.iter()) {
                self.cosine.kernel().multiply(strip, panel, &mut work.tile);
                for ((own, rivals), products) in (own..).zip(&mut *rivals).zip(&work.tile.0) {
                    let earlier = (before..own).zip(products);
                    let near = earlier.filter(|&(_, &product)| product >= self.doubtful);
                    rivals.extend(near.map(|(other, &product)| Rival { place: open[other], product }));
                }
            }
        }
        rivals
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    /// The slow twin: each row against every kept row, on the portable kernel.
    fn slow<T: Element>(rows: Rows<'_, T>, order: &[u32], threshold: f32, most: usize) -> Apart {
        let cosine = Cosine::measure(rows, *Kernel::available().last().unwrap(), true).unwrap();
        let mut apart = Apart { kept: vec![], examined: 0 };
        for &row in order {
            if apart.kept.len() == most {
                break;
            }
            let similarity = |&other: &u32| cosine.similarity(row, other, &mut Pair::default());
            if apart.kept.iter().all(|other| similarity(other) <= threshold) {
                apart.kept.push(row);
            }
            apart.examined += 1;
        }
        apart
    }

    #[derive(Debug, Clone)]
    struct Case {
        dim: usize,
        values: Vec<f32>,
        order: Vec<u32>,
        threshold: f32,
        most: usize,
    }

    /// Rows of few distinct values, so that equal rows, rows of zeros and similarities of exactly a threshold are
    /// common; more than one block.
    fn cases() -> impl Strategy<Value = Case> {
        let thresholds = vec![-1.0, -0.5, 0.0, 0.3, 0.5, 0.7, 0.9, 1.0, 0.5_f32.sqrt(), 0.99];
        (1_usize..1500, 1_usize..12, prop::sample::select(thresholds)).prop_flat_map(
            |(len, dim, threshold)| {
                let values = prop::collection::vec(-3_i8..4, len * dim);
                let order = Just((0_u32..).take(len).collect::<Vec<u32>>()).prop_shuffle();
                (values, order, 0..=len, 1..=2 * len).prop_map(move |(values, mut order, ranked, most)| {
                    order.truncate(ranked);
                    let values = values.into_iter().map(f32::from).collect();
                    Case { dim, values, order, threshold, most }
                })
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_slow_twin_on_every_kernel_and_any_number_of_threads(case in cases()) {
            let Case { dim, values, order, threshold, most } = case;
            let rows = Rows::new(&values, values.len() / dim, dim).unwrap();
            let expected = slow(rows, &order, threshold, most);
            for kernel in Kernel::available() {
                let cosine = Cosine::measure(rows, kernel, true).unwrap();
                for threads in [1, 3] {
                    let workers = Workers::new(Some(threads)).unwrap();
                    let found = filter(&cosine, &order, threshold, most, &workers, &mut |_, _| true).unwrap();
                    prop_assert_eq!(&found, &expected, "{} {}", kernel.name(), threads);
                }
            }
            let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
            let rows = Rows::new(&halves, values.len() / dim, dim).unwrap();
            let found = keep_apart(rows, &order, threshold, most, true, None, &mut |_, _| true).unwrap();
            prop_assert_eq!(&found, &expected);
        }
    }

    /// Directions at these degrees.
    fn run(degrees: &[f32], order: &[u32], threshold: f32, most: usize) -> Result<Apart> {
        let values: Vec<f32> =
            degrees.iter().flat_map(|a| [a.to_radians().cos(), a.to_radians().sin()]).collect();
        keep_apart(Rows::new(&values, degrees.len(), 2)?, order, threshold, most, false, None, &mut |_, _| {
            true
        })
    }

    #[test]
    fn known_answers() {
        // cos 25 = .906, cos 30 = .866.
        let degrees = [0.0, 25.0, 50.0, 80.0, 55.0];
        let kept = |order: &[u32], most| run(&degrees, order, 0.9, most).unwrap();
        assert_eq!(kept(&[0, 1, 2, 3, 4], 9), Apart { kept: vec![0, 2, 3], examined: 5 });
        assert_eq!(kept(&[1, 0, 2, 3, 4], 9), Apart { kept: vec![1, 3], examined: 5 });
        assert_eq!(kept(&[0, 1, 2, 3, 4], 2), Apart { kept: vec![0, 2], examined: 3 });
        assert_eq!(kept(&[], 2), Apart { kept: vec![], examined: 0 });
        let at = |degrees: &[f32], threshold| run(degrees, &[1, 0], threshold, 2).unwrap().kept;
        assert_eq!(at(&[7.0, 7.0], 1.0), [1, 0], "a similarity of 1 is not above 1");
        assert_eq!(at(&[7.0, 7.0], 1.0_f32.next_down()), [1]);
        assert_eq!(at(&[0.0, 180.0], -1.0), [1, 0], "opposite rows");
        assert_eq!(at(&[0.0, 179.0], -1.0), [1], "any other row is more alike");
    }

    #[test]
    fn refuses_what_it_cannot_filter() {
        let text = |order: &[u32], threshold, most| {
            run(&[0.0, 90.0], order, threshold, most).unwrap_err().to_string()
        };
        assert_eq!(text(&[0], -1.5, 1), "threshold must lie in [-1, 1], got -1.5");
        assert_eq!(text(&[0], f32::NAN, 1), "threshold must lie in [-1, 1], got NaN");
        assert_eq!(text(&[0], 0.9, 0), "most must be at least 1, got 0");
        assert_eq!(text(&[2], 0.9, 1), "order[0] = 2 is no row of 2");
        assert_eq!(text(&[1, 1], 0.9, 1), "order[1] = 1 occurs twice");
        let zero =
            keep_apart(Rows::new(&[0.0_f32], 1, 1).unwrap(), &[0], 0.9, 1, false, None, &mut |_, _| true);
        assert_eq!(zero.unwrap_err().to_string(), "row 0 is all zeros and has no direction");
    }

    #[test]
    fn progress_counts_and_stops() {
        let values: Vec<f32> = (0_u16..1500).flat_map(|row| [1.0, f32::from(row)]).collect();
        let (rows, order) = (Rows::new(&values, 1500, 2).unwrap(), (0..1500).collect::<Vec<u32>>());
        let mut seen = vec![];
        let mut note = |done, total| {
            seen.push((done, total));
            true
        };
        keep_apart(rows, &order, 0.9, 1500, false, None, &mut note).unwrap();
        assert_eq!(seen, [(0, 1500), (1024, 1500), (1500, 1500)]);
        for stop in [0, 1024, 1500] {
            let stopped = keep_apart(rows, &order, 0.9, 1500, false, None, &mut |done, _| done < stop);
            assert!(matches!(stopped, Err(Error::Interrupted)), "{stop}");
        }
    }
}
