//! The one check of cosine similarities that come from outside.

use rayon::prelude::*;

use crate::{Error, Result};

/// How far rounding may carry a cosine past 1: rows stored as f16 are of unit length to about 1e-3.
const SLACK: f32 = 0.01;

/// Refuse similarities that are not `width` cosines a row, highest first.
///
/// # Errors
///
/// [`Error::Shape`] if the values do not fill rows of `width`; [`Error::Value`] at the first row with a value
/// that is not finite, lies outside [-1, 1], or is larger than the one before it.
pub(crate) fn check_similarities(similarities: &[f32], width: usize) -> Result<()> {
    if width == 0 || !similarities.len().is_multiple_of(width) {
        return Err(Error::shape(format!(
            "similarities must fill rows of {width} columns, got {} values",
            similarities.len()
        )));
    }
    let fault = similarities
        .par_chunks_exact(width)
        .enumerate()
        .find_map_first(|(row, values)| fault_in(values).map(|(column, what)| (row, column, what)));
    match fault {
        None => Ok(()),
        Some((row, column, what)) => Err(Error::value(format!(
            "similarities[{row}, {column}] = {} {what}",
            similarities[row * width + column]
        ))),
    }
}

/// The first column of one row that breaks the rule, and how.
fn fault_in(values: &[f32]) -> Option<(usize, &'static str)> {
    let mut before = f32::INFINITY;
    for (column, &value) in values.iter().enumerate() {
        if !value.is_finite() {
            return Some((column, "is not finite"));
        }
        if value.abs() > 1.0 + SLACK {
            return Some((column, "is not a cosine in [-1, 1]"));
        }
        if value > before {
            return Some((column, "is larger than the one before it; neighbors must come nearest first"));
        }
        before = value;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_fault() {
        let text = |values: &[f32], width| check_similarities(values, width).unwrap_err().to_string();
        assert_eq!(text(&[0.5, 0.4, f32::NAN, 0.1], 2), "similarities[1, 0] = NaN is not finite");
        assert_eq!(text(&[3.0, 0.4], 2), "similarities[0, 0] = 3 is not a cosine in [-1, 1]");
        assert!(text(&[0.5, 0.6], 2).ends_with("nearest first"));
        assert_eq!(text(&[0.5; 3], 2), "similarities must fill rows of 2 columns, got 3 values");
        assert!(check_similarities(&[1.000_1, 1.0, 0.0, -1.0], 2).is_ok());
    }
}
