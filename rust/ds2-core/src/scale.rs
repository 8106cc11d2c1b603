//! From the scale a rater answers on to score classes 0..K-1.

use crate::rated::check_num_classes;
use crate::{Error, Result};

/// The class of a sample that has no rating.
pub const UNRATED: i8 = -1;

/// Classes the published compression makes.
pub const COMPRESSED_CLASSES: usize = 6;

/// Compress overall ratings 0..=10 to scores 0..=5: up to 4 becomes 0, 5 to 8 become 1 to 4, 9 and 10 become 5.
///
/// A fraction is cut off first (7.5 counts as 7), as in the published code; NaN means unrated and becomes -1.
/// Source: published code, score compression. O(N).
///
/// # Errors
///
/// [`Error::Value`] with the first row whose rating lies outside 0..=10 (the published code clamps it silently).
///
/// # Examples
///
/// ```
/// assert_eq!(ds2_core::scale::compress(&[4.0, 5.0, 9.0, f64::NAN])?, [0, 1, 5, -1]);
/// # Ok::<(), ds2_core::Error>(())
/// ```
pub fn compress(ratings: &[f64]) -> Result<Vec<i8>> {
    on_scale(ratings, 0.0, 10.0, |rating| class_of(rating.trunc() - 4.0, COMPRESSED_CLASSES))
}

/// Bin ratings of a linear scale `lo..=hi` into `num_classes` scores of equal width.
///
/// `score = min(floor(K (r - lo) / (hi - lo)), K - 1)`; with K = hi - lo + 1 whole ratings keep their rank
/// (1..=5 becomes 0..=4). NaN means unrated and becomes -1. O(N).
///
/// # Errors
///
/// [`Error::Value`] if `lo < hi` does not hold, K lies outside 2..=16, or a rating lies off the scale (first row).
pub fn bin_linear(ratings: &[f64], lo: f64, hi: f64, num_classes: usize) -> Result<Vec<i8>> {
    if !(lo.is_finite() && hi.is_finite() && lo < hi) {
        return Err(Error::value(format!("a scale needs lo < hi, got {lo}..{hi}")));
    }
    check_num_classes(num_classes)?;
    on_scale(ratings, lo, hi, |rating| class_of((rating - lo) * num_classes as f64 / (hi - lo), num_classes))
}

fn on_scale(ratings: &[f64], lo: f64, hi: f64, class: impl Fn(f64) -> i8) -> Result<Vec<i8>> {
    let score = |(row, &rating): (usize, &f64)| {
        if rating.is_nan() {
            Ok(UNRATED)
        } else if (lo..=hi).contains(&rating) {
            Ok(class(rating))
        } else {
            Err(Error::value(format!("rating {rating} in row {row} lies outside the scale {lo}..{hi}")))
        }
    };
    ratings.iter().enumerate().map(score).collect()
}

/// The class a place on the scale 0..K falls into; the upper end belongs to the last class.
#[expect(clippy::cast_possible_truncation, reason = "0..=15 after the clamp")]
fn class_of(place: f64, num_classes: usize) -> i8 {
    place.floor().clamp(0.0, (num_classes - 1) as f64) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compress_follows_the_published_table() {
        let ratings = [0.0, 1.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        assert_eq!(compress(&ratings).unwrap(), [0, 0, 0, 1, 2, 3, 4, 5, 5]);
        assert_eq!(compress(&[7.5, 8.99, f64::NAN]).unwrap(), [3, 4, UNRATED]);
    }

    #[test]
    fn off_the_scale_is_an_error_with_its_row() {
        let text = compress(&[5.0, 11.0]).unwrap_err().to_string();
        assert_eq!(text, "rating 11 in row 1 lies outside the scale 0..10");
        assert!(compress(&[-1.0]).is_err());
        assert!(compress(&[f64::INFINITY]).is_err());
        assert!(bin_linear(&[0.0], 1.0, 5.0, 5).is_err());
        assert_eq!(bin_linear(&[], 5.0, 5.0, 5).unwrap_err().to_string(), "a scale needs lo < hi, got 5..5");
        assert!(bin_linear(&[], 1.0, 5.0, 17).is_err());
    }

    #[test]
    fn linear_scales_keep_whole_ratings_apart() {
        assert_eq!(bin_linear(&[1.0, 2.0, 3.0, 4.0, 5.0], 1.0, 5.0, 5).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(bin_linear(&[0.0, 19.9, 20.0, 99.0, 100.0], 0.0, 100.0, 5).unwrap(), [0, 0, 1, 4, 4]);
        for classes in 2..=16i8 {
            let top = f64::from(classes - 1);
            let ratings: Vec<f64> = (0..classes).map(f64::from).collect();
            let scores = bin_linear(&ratings, 0.0, top, usize::try_from(classes).unwrap()).unwrap();
            assert_eq!(scores, (0..classes).collect::<Vec<_>>());
        }
    }
}
