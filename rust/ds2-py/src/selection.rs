//! Binding of `ds2_core::{longtail, scale, selection}`.

use ds2_core::longtail::Definition;
use ds2_core::selection::{self, Preset};
use ds2_core::{longtail, scale};
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyReadonlyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrays::{borrow, rows};
use crate::detached::detached;
use crate::error::to_py;

type Ranked<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f64>>);

/// Long-tail score of every row from its neighbors' similarities.
#[pyfunction]
fn score_longtail<'py>(
    py: Python<'py>,
    similarities: &Bound<'py, PyAny>,
    k: usize,
    definition: &str,
    decimals: Option<u8>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let array: PyReadonlyArray<'_, f32, Ix2> = borrow(similarities, "similarities", "float32 (N, L)")?;
    let similarities = rows(&array)?;
    let definition = match definition {
        "paper" => Definition::Paper,
        "reference" => Definition::Reference,
        other => return Err(unknown("definition", &["paper", "reference"], other)),
    };
    let scores = detached(py, None, |_| longtail::score_longtail(similarities, k, definition, decimals))?;
    Ok(scores.into_pyarray(py))
}

/// Eligible rows best first, rows set aside, and the bucket of every row.
#[pyfunction]
fn rank_samples<'py>(
    py: Python<'py>,
    curated: &Bound<'py, PyAny>,
    expected: &Bound<'py, PyAny>,
    longtail: &Bound<'py, PyAny>,
    preset: &str,
) -> PyResult<Ranked<'py>> {
    let curated: PyReadonlyArray<'_, i8, Ix1> = borrow(curated, "curated", "int8 (N,)")?;
    let expected: PyReadonlyArray<'_, f64, Ix1> = borrow(expected, "expected", "float64 (N,)")?;
    let longtail: PyReadonlyArray<'_, f64, Ix1> = borrow(longtail, "longtail", "float64 (N,)")?;
    let (scores, means, tails) = (curated.as_slice()?, expected.as_slice()?, longtail.as_slice()?);
    let preset = match preset {
        "default" => Preset::Default,
        "untrimmed" => Preset::Untrimmed,
        "paper" => Preset::Paper,
        other => return Err(unknown("preset", &["default", "untrimmed", "paper"], other)),
    };
    let ranking = detached(py, None, |_| selection::rank_samples(scores, means, tails, preset))?;
    Ok((ranking.order.into_pyarray(py), ranking.trimmed.into_pyarray(py), ranking.bucket.into_pyarray(py)))
}

/// The `n` rows the published code chooses, in its order.
#[pyfunction]
fn published_order<'py>(
    py: Python<'py>,
    curated: &Bound<'py, PyAny>,
    longtail: &Bound<'py, PyAny>,
    n: usize,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let curated: PyReadonlyArray<'_, i8, Ix1> = borrow(curated, "curated", "int8 (N,)")?;
    let longtail: PyReadonlyArray<'_, f64, Ix1> = borrow(longtail, "longtail", "float64 (N,)")?;
    let (scores, tails) = (curated.as_slice()?, longtail.as_slice()?);
    Ok(detached(py, None, |_| selection::published_order(scores, tails, n))?.into_pyarray(py))
}

/// Published compression of ratings 0..=10 to scores 0..=5; NaN becomes -1.
#[pyfunction]
fn compress_ratings<'py>(py: Python<'py>, ratings: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<i8>>> {
    let ratings: PyReadonlyArray<'_, f64, Ix1> = borrow(ratings, "ratings", "float64 (N,)")?;
    Ok(scale::compress(ratings.as_slice()?).map_err(to_py)?.into_pyarray(py))
}

fn unknown(name: &str, known: &[&str], got: &str) -> PyErr {
    PyValueError::new_err(format!("{name} must be one of {known:?}, got {got:?}"))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(score_longtail, m)?)?;
    m.add_function(wrap_pyfunction!(rank_samples, m)?)?;
    m.add_function(wrap_pyfunction!(published_order, m)?)?;
    m.add_function(wrap_pyfunction!(compress_ratings, m)?)
}
