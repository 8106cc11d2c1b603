//! Binding of `ds2_core::consensus`.

use ds2_core::consensus;
use numpy::{IntoPyArray, PyArray3, PyArrayMethods};
use pyo3::prelude::*;

use crate::detached::detached;
use crate::rated::RatedArrays;

/// Consensus counts over a sample and all pairs of its k nearest neighbors, symmetric.
#[pyfunction]
fn consensus_counts<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    num_classes: usize,
    k: usize,
) -> PyResult<Bound<'py, PyArray3<f64>>> {
    let arrays = RatedArrays::borrow(scores, neighbors)?;
    let columns = arrays.columns()?;
    let counts = detached(py, None, |_| consensus::count_consensus(&columns.pool(num_classes)?, k))?;
    counts.tensor().into_pyarray(py).reshape([num_classes; 3])
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(consensus_counts, m)?)
}
