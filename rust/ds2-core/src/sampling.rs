//! Stratified samples of a pool, for a person to look at.

use crate::random::Stream;
use crate::{Error, Result};

/// Rows drawn from strata.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Rows, ascending.
    pub rows: Vec<u32>,
    /// One over the probability with which each was drawn: stratum size over rows drawn from it.
    pub weights: Vec<f64>,
}

/// Draw `n` rows from strata, the same for the same seed.
///
/// A stratum of size N and importance w gets a share of `n` in proportion to `w sqrt(N)`, at least one row and at
/// most all of them: between equal shares, which know every stratum alike, and proportional ones, which know the
/// pool best. Within a stratum all rows are as likely.
///
/// `strata` holds the stratum of each row, or -1 for a row that is never drawn; `importance` one number above 0
/// for each stratum.
///
/// # Errors
///
/// [`Error::Value`] if a stratum has no importance, an importance is not finite and above 0, `n` is less than the
/// number of strata that occur, or there are fewer than `n` rows to draw from.
///
/// # Cost
///
/// O(N + n S).
///
/// # Examples
///
/// ```
/// let drawn = ds2_core::sampling::draw_stratified(&[0, 0, 0, 0, 1, -1], &[1.0, 1.0], 3, 42)?;
/// assert_eq!(drawn.rows[2], 4);
/// assert_eq!(drawn.weights, [2.0, 2.0, 1.0]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn draw_stratified(strata: &[i32], importance: &[f64], n: usize, seed: u64) -> Result<Sample> {
    if let Some(bad) = importance.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
        return Err(Error::value(format!("an importance must be finite and above 0, got {bad}")));
    }
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); importance.len()];
    for (row, &stratum) in (0_u32..).zip(strata) {
        let Ok(place) = usize::try_from(stratum) else { continue };
        let Some(members) = members.get_mut(place) else {
            return Err(Error::value(format!("stratum {stratum} of row {row} has no importance")));
        };
        members.push(row);
    }
    let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
    let counts = allocate(&sizes, importance, n)?;
    let mut drawn: Vec<(u32, f64)> = Vec::with_capacity(n);
    for (stratum, (rows, count)) in members.iter_mut().zip(counts).enumerate() {
        let mut stream = Stream::new(seed, stratum as u64);
        let weight = rows.len() as f64 / count as f64;
        for place in 0..count {
            let other = place + stream.below(rows.len() - place);
            rows.swap(place, other);
            drawn.push((rows[place], weight));
        }
    }
    drawn.sort_unstable_by_key(|&(row, _)| row);
    let (rows, weights) = drawn.into_iter().unzip();
    Ok(Sample { rows, weights })
}

/// Rows per stratum: one each, then one after another to the stratum whose share is least filled (ties: the first).
fn allocate(sizes: &[usize], importance: &[f64], n: usize) -> Result<Vec<usize>> {
    let (rows, occupied): (usize, usize) =
        (sizes.iter().sum(), sizes.iter().filter(|&&size| size > 0).count());
    if n > rows {
        return Err(Error::value(format!("{n} rows asked for, {rows} can be drawn")));
    }
    if n < occupied {
        return Err(Error::value(format!("{n} rows are too few for {occupied} strata")));
    }
    let mut counts: Vec<usize> = sizes.iter().map(|&size| size.min(1)).collect();
    for _ in occupied..n {
        let filled = |i: usize| counts[i] as f64 / (importance[i] * (sizes[i] as f64).sqrt());
        let open = (0..sizes.len()).filter(|&i| counts[i] < sizes[i]);
        let least = open.reduce(|best, next| if filled(next) < filled(best) { next } else { best });
        counts[least.expect("fewer rows are given out than there are")] += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_go_by_the_root_of_the_size_and_the_importance() {
        assert_eq!(allocate(&[400, 100, 100, 0], &[1.0, 1.0, 2.0, 1.0], 100).unwrap(), [40, 20, 40, 0]);
        assert_eq!(allocate(&[1_000_000, 2], &[1.0, 1.0], 10).unwrap(), [9, 1]);
        assert_eq!(allocate(&[3, 400], &[100.0, 1.0], 10).unwrap(), [3, 7]);
    }

    #[test]
    fn every_row_of_a_stratum_is_as_likely() {
        let strata = [0, 0, 0, 0, 0, 1, 1, 1];
        let mut counts = [0_u32; 8];
        for seed in 0..8_000 {
            let drawn = draw_stratified(&strata, &[1.0, 1.0], 3, seed).unwrap();
            drawn.rows.iter().for_each(|&row| counts[row as usize] += 1);
        }
        // 2 of 5 and 1 of 3: standard deviations 44 and 42.
        assert!(counts[..5].iter().all(|count| count.abs_diff(3_200) < 220), "{counts:?}");
        assert!(counts[5..].iter().all(|count| count.abs_diff(2_667) < 210), "{counts:?}");
    }

    proptest! {
        #[test]
        fn weights_add_up_to_the_pool(
            strata in prop::collection::vec(-1_i32..4, 20..80),
            importance in prop::collection::vec(0.1_f64..5.0, 4),
            seed in any::<u64>(),
        ) {
            let open = strata.iter().filter(|&&stratum| stratum >= 0).count();
            prop_assume!(open >= 6);
            let drawn = draw_stratified(&strata, &importance, 6, seed).unwrap();
            prop_assert_eq!(drawn.rows.len(), 6);
            prop_assert!(drawn.rows.is_sorted_by(|a, b| a < b));
            for stratum in 0..4 {
                let size = strata.iter().filter(|&&each| each == stratum).count();
                let pairs = drawn.rows.iter().zip(&drawn.weights);
                let sum: f64 = pairs.filter(|(row, _)| strata[**row as usize] == stratum).map(|(_, w)| w).sum();
                prop_assert!((sum - size as f64).abs() < 1e-9);
            }
            prop_assert!(drawn.rows.iter().all(|&row| strata[row as usize] >= 0));
            prop_assert_eq!(&drawn, &draw_stratified(&strata, &importance, 6, seed).unwrap());
        }
    }

    #[test]
    fn bad_input_is_named() {
        let error = |strata: &[i32], n| draw_stratified(strata, &[1.0, 1.0], n, 0).unwrap_err().to_string();
        assert_eq!(error(&[0, 2], 1), "stratum 2 of row 1 has no importance");
        assert_eq!(error(&[0, 1], 1), "1 rows are too few for 2 strata");
        assert_eq!(error(&[0, 1, -1], 3), "3 rows asked for, 2 can be drawn");
        let zero = draw_stratified(&[0], &[0.0], 1, 0).unwrap_err().to_string();
        assert_eq!(zero, "an importance must be finite and above 0, got 0");
    }
}
