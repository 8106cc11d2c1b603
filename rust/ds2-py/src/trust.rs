//! Binding of `ds2_core::trust`.

use ds2_core::trust::{self, DistanceBin};
use ds2_core::{RatedPool, Rows};
use numpy::{IntoPyArray, Ix2, PyReadonlyArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::borrow;
use crate::detached::detached;
use crate::rated::RatedArrays;
use crate::transition::prior;

/// Run `work` on the pool and the similarities of its neighbors.
pub(crate) fn with_pool<T: Send>(
    py: Python<'_>,
    scores: &Bound<'_, PyAny>,
    neighbors: &Bound<'_, PyAny>,
    similarities: &Bound<'_, PyAny>,
    num_classes: usize,
    work: impl FnOnce(&RatedPool<'_>, Rows<'_, f32>) -> ds2_core::Result<T> + Send,
) -> PyResult<T> {
    let arrays = RatedArrays::borrow(scores, neighbors)?;
    let similarities: PyReadonlyArray<'_, f32, Ix2> = borrow(similarities, "similarities", "float32 (N, L)")?;
    let [len, depth] = [similarities.shape()[0], similarities.shape()[1]];
    let (columns, values) = (arrays.columns()?, similarities.as_slice()?);
    detached(py, None, |_| work(&columns.pool(num_classes)?, Rows::new(values, len, depth)?))
}

/// Agreement of samples with their nearest neighbor, by distance.
#[pyfunction]
fn agreement_by_distance<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    num_classes: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let bins = with_pool(py, scores, neighbors, similarities, num_classes, trust::agreement_by_distance)?;
    let column = |pick: fn(&DistanceBin) -> f64| bins.iter().map(pick).collect::<Vec<_>>().into_pyarray(py);
    let pairs: Vec<u64> = bins.iter().map(|bin| bin.pairs as u64).collect();
    let out = PyDict::new(py);
    out.set_item("to_share", column(|bin| bin.to_share))?;
    out.set_item("max_distance", column(|bin| bin.max_distance))?;
    out.set_item("pairs", pairs.into_pyarray(py))?;
    out.set_item("agreement", column(|bin| bin.agreement))?;
    out.set_item("chance", column(|bin| bin.chance))?;
    Ok(out)
}

/// Diagonal of T over all samples and over those with the closest neighbors.
#[pyfunction]
fn compare_close_fit<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    num_classes: usize,
    prior: &str,
    strength: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let prior = self::prior(prior)?;
    let fit = with_pool(py, scores, neighbors, similarities, num_classes, |pool, similarities| {
        trust::compare_close_fit(pool, similarities, prior, strength)
    })?;
    let out = PyDict::new(py);
    out.set_item("max_distance", fit.max_distance)?;
    out.set_item("samples", fit.samples)?;
    out.set_item("diagonal", fit.diagonal)?;
    out.set_item("diagonal_close", fit.diagonal_close)?;
    Ok(out)
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(agreement_by_distance, m)?)?;
    m.add_function(wrap_pyfunction!(compare_close_fit, m)?)
}
