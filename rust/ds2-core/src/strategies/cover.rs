//! Coverage: how near every row of a pool lies to the nearest of those that were chosen.

use rayon::prelude::*;

use super::units::{Buffers, Panels, pack_strip, slack};
use crate::dot::{Kernel, Narrow, TILE_ROWS, Tile};
use crate::duplicates::check_rows;
use crate::knn::cosine::{Cosine, Pair};
use crate::progress::tick;
use crate::workers::Workers;
use crate::{Element, Error, Progress, Result, Rows};

/// Rows between two calls of `progress`.
const BLOCK: usize = 16_384;
/// Rows one task compares: a panel of chosen rows is read from memory once for all of them.
const SHARE: usize = 64;

/// The cosine similarity of every row to the nearest chosen row; that of a chosen row is 1.
///
/// The similarity is that of [`find_neighbors`](crate::knn::find_neighbors): the result is the same for any number of
/// threads, kernel and machine. A row of zeros has similarity 0 to every row, itself included.
///
/// `rows`: `(N, d)`, finite. `chosen`: distinct rows, at least one. `threads`: at least 1; `None` takes rayon's global
/// pool. `progress` is called with (rows done, N).
///
/// Source: the radius of k-center (Gonzalez 1985) is 1 less the smallest of these values.
///
/// # Method
///
/// Blocks of rows are multiplied with all chosen rows in f32; of those pairs alone whose product is within rounding of
/// a row's greatest the similarity as defined is taken. `N * chosen * d` multiply-adds, compute-bound; `4 d` bytes a
/// chosen row.
///
/// # Errors
///
/// [`Error::Value`] for no chosen row, one that is none of `rows` or occurs twice, threads = 0, a value that is not
/// finite, and a row of zeros unless `allow_zero`; [`Error::Interrupted`] if `progress` asks to stop.
///
/// # Examples
///
/// ```
/// use ds2_core::{Rows, strategies::cover::cover};
/// let rows = Rows::new(&[1.0_f32, 0.0, 3.0, 4.0, 0.0, 1.0], 3, 2)?;
/// assert_eq!(cover(rows, &[0, 2], false, None, &mut |_, _| true)?, [1.0, 0.8, 1.0]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn cover<T: Element>(
    rows: Rows<'_, T>,
    chosen: &[u32],
    allow_zero: bool,
    threads: Option<usize>,
    progress: Progress<'_>,
) -> Result<Vec<f32>> {
    if chosen.is_empty() {
        return Err(Error::value("chosen must hold at least one row, got none"));
    }
    check_rows(chosen, rows.len(), "chosen")?;
    let workers = Workers::new(threads)?;
    let kernel = Kernel::chosen()?;
    let cosine = workers.run(|| Cosine::measure(rows, kernel, allow_zero))?;
    compare(&cosine, chosen, &workers, progress)
}

fn compare<T: Element>(
    cosine: &Cosine<'_, T>,
    chosen: &[u32],
    workers: &Workers,
    progress: Progress<'_>,
) -> Result<Vec<f32>> {
    let (mut panels, mut buffers) = (Panels::new(cosine.rows().dim()), Buffers::default());
    for &row in chosen {
        panels.push(cosine, row, &mut buffers);
    }
    let rows: Vec<u32> = (0_u32..).take(cosine.rows().len()).collect();
    let mut nearest = Vec::with_capacity(rows.len());
    tick(progress, 0, rows.len())?;
    for block in rows.chunks(BLOCK) {
        let shares = block.par_chunks(SHARE);
        let found: Vec<Vec<f32>> = workers.run(|| {
            shares.map_init(Work::default, |work, rows| nearest_of(cosine, rows, &panels, work)).collect()
        });
        nearest.extend(found.into_iter().flatten());
        tick(progress, nearest.len(), rows.len())?;
    }
    Ok(nearest)
}

/// Space of one task.
#[derive(Default)]
struct Work {
    strips: Vec<Narrow>,
    buffers: Buffers,
    tile: Tile,
    pair: Pair,
}

/// The chosen rows that may be the nearest of one row.
struct Rivals {
    greatest: f32,
    near: Vec<(u32, f32)>,
}

impl Rivals {
    /// Take up those of `others` whose product is not below the greatest by more than `margin`.
    fn take(&mut self, others: &[u32], products: &[f32], margin: f64) {
        // All lanes, so that several are compared at once; those of a panel that is not full are zero.
        let greatest = products.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if f64::from(greatest) < f64::from(self.greatest) - margin {
            return;
        }
        for (&other, &product) in others.iter().zip(products) {
            if f64::from(product) >= f64::from(self.greatest) - margin {
                self.greatest = self.greatest.max(product);
                self.near.push((other, product));
            }
        }
    }
}

fn nearest_of<T: Element>(
    cosine: &Cosine<'_, T>,
    rows: &[u32],
    panels: &Panels,
    work: &mut Work,
) -> Vec<f32> {
    // A product and the similarity it stands for are apart by the slack at most, so two of them by twice that.
    let margin = 2.0 * slack(cosine.rows().dim());
    work.strips.clear();
    for rows in rows.chunks(TILE_ROWS) {
        pack_strip(cosine, rows, &mut work.strips, &mut work.buffers);
    }
    let nothing = || Rivals { greatest: f32::NEG_INFINITY, near: vec![] };
    let mut rivals: Vec<Rivals> = rows.iter().map(|_| nothing()).collect();
    for (others, panel) in panels.iter() {
        let strips = work.strips.chunks_exact(panel.len());
        for (rivals, strip) in rivals.chunks_mut(TILE_ROWS).zip(strips) {
            cosine.kernel().multiply(strip, panel, &mut work.tile);
            for (rivals, products) in rivals.iter_mut().zip(&work.tile.0) {
                rivals.take(others, products, margin);
            }
        }
    }
    let nearest = |(&row, rivals): (&u32, Rivals)| {
        let least = f64::from(rivals.greatest) - margin;
        let near = rivals.near.iter().filter(|&&(_, product)| f64::from(product) >= least);
        near.map(|&(other, _)| cosine.similarity(row, other, &mut work.pair)).fold(-1.0, f32::max)
    };
    rows.iter().zip(rivals).map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    /// The slow twin: every pair, on the portable kernel.
    fn slow<T: Element>(rows: Rows<'_, T>, chosen: &[u32]) -> Vec<f32> {
        let cosine = Cosine::measure(rows, *Kernel::available().last().unwrap(), true).unwrap();
        let nearest = |row| {
            let similarity = |&other: &u32| cosine.similarity(row, other, &mut Pair::default());
            chosen.iter().map(similarity).fold(-1.0, f32::max)
        };
        (0_u32..).take(rows.len()).map(nearest).collect()
    }

    /// Rows of few distinct values, so that ties and rows of zeros are common; more than one share and panel.
    fn cases() -> impl Strategy<Value = (usize, Vec<f32>, Vec<u32>)> {
        (1_usize..300, 1_usize..20).prop_flat_map(|(len, dim)| {
            let order = Just((0_u32..).take(len).collect::<Vec<u32>>()).prop_shuffle();
            (prop::collection::vec(-2_i8..3, len * dim), order, 1..=len).prop_map(
                move |(values, mut order, chosen)| {
                    order.truncate(chosen);
                    (dim, values.into_iter().map(f32::from).collect(), order)
                },
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_the_slow_twin_on_every_kernel_and_any_number_of_threads((dim, values, chosen) in cases()) {
            let len = values.len() / dim;
            let rows = Rows::new(&values, len, dim).unwrap();
            let expected = slow(rows, &chosen);
            for kernel in Kernel::available() {
                let cosine = Cosine::measure(rows, kernel, true).unwrap();
                for threads in [1, 3] {
                    let workers = Workers::new(Some(threads)).unwrap();
                    let found = compare(&cosine, &chosen, &workers, &mut |_, _| true).unwrap();
                    prop_assert_eq!(&found, &expected, "{} {}", kernel.name(), threads);
                }
            }
            let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
            let rows = Rows::new(&halves, len, dim).unwrap();
            prop_assert_eq!(&cover(rows, &chosen, true, None, &mut |_, _| true).unwrap(), &expected);
        }

        #[test]
        fn values_of_every_size_are_the_slow_twins(
            dim in 1_usize..70, values in prop::collection::vec(-1e3_f32..1e3, 80 * 70), scale in -40_i32..40,
        ) {
            let values: Vec<f32> = values[..80 * dim].iter().map(|value| value * 2_f32.powi(scale)).collect();
            let rows = Rows::new(&values, 80, dim).unwrap();
            let chosen: Vec<u32> = (0..40).map(|place| 2 * place).collect();
            prop_assert_eq!(cover(rows, &chosen, true, None, &mut |_, _| true).unwrap(), slow(rows, &chosen));
        }
    }

    #[test]
    fn refuses_what_it_cannot_compare() {
        let values = [1.0_f32, 0.0, 0.0, 0.0];
        let text = |chosen: &[u32], zero| {
            let rows = Rows::new(&values, 2, 2).unwrap();
            cover(rows, chosen, zero, None, &mut |_, _| true).unwrap_err().to_string()
        };
        assert_eq!(text(&[], true), "chosen must hold at least one row, got none");
        assert_eq!(text(&[2], true), "chosen[0] = 2 is no row of 2");
        assert_eq!(text(&[0, 0], true), "chosen[1] = 0 occurs twice");
        assert_eq!(text(&[0], false), "row 1 is all zeros and has no direction");
    }

    #[test]
    fn progress_counts_and_stops() {
        let values = vec![1.0_f32; 20_000];
        let rows = Rows::new(&values, 20_000, 1).unwrap();
        let mut seen = vec![];
        let told = &mut |done, total| {
            seen.push((done, total));
            true
        };
        assert!(cover(rows, &[7], false, None, told).unwrap().iter().all(|&nearest| nearest >= 1.0));
        assert_eq!(seen, [(0, 20_000), (BLOCK, 20_000), (20_000, 20_000)]);
        let stopped = cover(rows, &[7], false, None, &mut |done, _| done == 0);
        assert!(matches!(stopped, Err(Error::Interrupted)));
    }
}
