//! The one check of cosine similarities that come from outside.

use rayon::prelude::*;

use crate::rated::CHUNK;
use crate::{Error, Result, Rows};

/// How far rounding may carry a cosine past 1: rows stored as f16 are of unit length to about 1e-3.
const SLACK: f32 = 0.01;

/// Refuse similarities that are not cosines, highest first in each row.
///
/// # Errors
///
/// [`Error::Value`] at the first row with a value that is not finite, lies outside [-1, 1], or is larger than
/// the one before it.
pub(crate) fn check_similarities(similarities: Rows<'_, f32>) -> Result<()> {
    let fault = |row| fault_in(row, similarities.row(row));
    match (0..similarities.len()).into_par_iter().with_min_len(CHUNK).find_map_first(fault) {
        None => Ok(()),
        Some(message) => Err(Error::value(message)),
    }
}

/// What is wrong with one row.
fn fault_in(row: usize, values: &[f32]) -> Option<String> {
    if are_cosines(values) {
        return None;
    }
    let mut before = f32::INFINITY;
    for (column, &value) in values.iter().enumerate() {
        if !value.is_finite() {
            return Some(format!("similarity {value} in row {row}, column {column} is not finite"));
        }
        if value.abs() > 1.0 + SLACK {
            return Some(format!("similarity {value} in row {row}, column {column} is no cosine in [-1, 1]"));
        }
        if value > before {
            return Some(format!("similarities of row {row} do not descend at column {column}"));
        }
        before = value;
    }
    None
}

/// Whether a row is without fault; looks at all of it, so that the compiler compares several values at once.
fn are_cosines(values: &[f32]) -> bool {
    let all = |fine: bool, holds: bool| fine & holds;
    let within = values.iter().map(|value| value.abs() <= 1.0 + SLACK).fold(true, all);
    values.iter().zip(values.iter().skip(1)).map(|(nearer, value)| nearer >= value).fold(within, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_fault() {
        let check = |values: &[f32]| check_similarities(Rows::new(values, values.len() / 2, 2).unwrap());
        let text = |values: &[f32]| check(values).unwrap_err().to_string();
        assert_eq!(text(&[0.5, 0.4, 0.1, f32::NAN]), "similarity NaN in row 1, column 1 is not finite");
        assert_eq!(text(&[3.0, 0.4]), "similarity 3 in row 0, column 0 is no cosine in [-1, 1]");
        assert_eq!(text(&[0.5, 0.6]), "similarities of row 0 do not descend at column 1");
        assert!(check(&[1.000_1, 1.0, 0.0, -1.0]).is_ok());
    }
}
