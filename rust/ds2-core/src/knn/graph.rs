//! Check a neighbor graph that was made elsewhere.

use std::cmp::Ordering;

use crate::{Error, Result};

/// Check that `indices` and `similarities`, both `(N, k)`, are a neighbor graph over its own N rows.
///
/// In each row: neighbors are rows of the graph, none is the row itself, none comes twice; similarities are
/// finite and in [-1, 1]; the order is (similarity descending, row ascending). O(N k log k) time, O(k) memory.
///
/// # Errors
///
/// [`Error::Shape`] if k = 0 or the sizes do not fit; [`Error::Value`] at the first row that breaks a rule.
pub fn check_graph(indices: &[u32], similarities: &[f32], k: usize) -> Result<()> {
    if k == 0 {
        return Err(Error::shape("neighbors must have at least 1 column, got 0"));
    }
    if indices.len() != similarities.len() || !indices.len().is_multiple_of(k) {
        return Err(Error::shape(format!(
            "{} neighbors and {} similarities do not make rows of {k}",
            indices.len(),
            similarities.len()
        )));
    }
    let mut sorted = Vec::with_capacity(k);
    let rows = indices.chunks_exact(k).zip(similarities.chunks_exact(k));
    for (row, (indices_of_row, similarities_of_row)) in rows.enumerate() {
        check_indices(row, indices_of_row, indices.len() / k, &mut sorted)?;
        check_order(row, indices_of_row, similarities_of_row)?;
    }
    Ok(())
}

fn check_indices(row: usize, indices: &[u32], len: usize, sorted: &mut Vec<u32>) -> Result<()> {
    for (column, &index) in indices.iter().enumerate() {
        if index as usize >= len {
            return Err(Error::value(format!(
                "row {row}, column {column}: neighbor {index} is not one of the {len} rows"
            )));
        }
        if index as usize == row {
            return Err(Error::value(format!("row {row}, column {column}: a row is not its own neighbor")));
        }
    }
    sorted.clear();
    sorted.extend_from_slice(indices);
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::value(format!("row {row}: neighbor {} comes twice", pair[0]))),
        None => Ok(()),
    }
}

fn check_order(row: usize, indices: &[u32], similarities: &[f32]) -> Result<()> {
    for (column, &similarity) in similarities.iter().enumerate() {
        if !(-1.0..=1.0).contains(&similarity) {
            return Err(Error::value(format!(
                "row {row}, column {column}: similarity {similarity} is not in [-1, 1]"
            )));
        }
        let Some(before) = column.checked_sub(1) else { continue };
        match similarities[before].partial_cmp(&similarity) {
            Some(Ordering::Less) => {
                return Err(Error::value(format!(
                    "row {row}, column {column}: similarity {similarity} follows the smaller {}; the nearest \
                     neighbor comes first",
                    similarities[before]
                )));
            }
            Some(Ordering::Equal) if indices[column] < indices[before] => {
                return Err(Error::value(format!(
                    "row {row}, column {column}: neighbors {} and {} are equally similar and must come by row",
                    indices[before], indices[column]
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
