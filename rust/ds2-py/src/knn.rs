//! Binding of `ds2_core::knn`.

use ds2_core::knn::{KnnOptions, check_graph, find_neighbors};
use ds2_core::{Element, Rows};
use half::f16;
use numpy::{Ix2, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::{borrow, describe};
use crate::detached::detached;
use crate::error::to_py;

type Graph<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray2<f32>>);

/// Find the `k` nearest other rows of every row by cosine similarity.
#[pyfunction]
fn knn_exact<'py>(
    rows: &Bound<'py, PyAny>,
    k: usize,
    threads: Option<usize>,
    allow_zero: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Graph<'py>> {
    let options = KnnOptions { threads, allow_zero, ..KnnOptions::new(k) };
    if rows.cast::<PyArray2<f32>>().is_ok() {
        search(&borrow::<f32, Ix2>(rows, "rows", EXPECTED)?, &options, progress)
    } else if rows.cast::<PyArray2<f16>>().is_ok() {
        search(&borrow::<f16, Ix2>(rows, "rows", EXPECTED)?, &options, progress)
    } else {
        Err(PyTypeError::new_err(format!("rows: expected {EXPECTED}, got {}", describe(rows))))
    }
}

const EXPECTED: &str = "float32 or float16 (N, d)";

fn search<'py, T: Element + numpy::Element>(
    array: &PyReadonlyArray2<'py, T>,
    options: &KnnOptions,
    progress: Option<Py<PyAny>>,
) -> PyResult<Graph<'py>> {
    let (len, dim, values) = (array.shape()[0], array.shape()[1], array.as_slice()?);
    let rows = Rows::new(values, len, dim).map_err(to_py)?;
    let found = detached(array.py(), progress, |progress| find_neighbors(rows, options, progress))?;
    let indices = PyArray1::from_vec(array.py(), found.indices).reshape([len, found.k])?;
    let similarities = PyArray1::from_vec(array.py(), found.similarities).reshape([len, found.k])?;
    Ok((indices, similarities))
}

/// Check that two `(N, k)` arrays are a neighbor graph over its own rows.
#[pyfunction(name = "check_graph")]
fn check_graph_of(
    py: Python<'_>,
    indices: &Bound<'_, PyAny>,
    similarities: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (of_indices, of_similarities) = (describe(indices), describe(similarities));
    let indices = borrow::<u32, Ix2>(indices, "indices", "uint32 (N, k)")?;
    let similarities = borrow::<f32, Ix2>(similarities, "similarities", "float32 (N, k)")?;
    if indices.shape() != similarities.shape() {
        return Err(PyValueError::new_err(format!(
            "indices and similarities differ in shape: {of_indices} and {of_similarities}"
        )));
    }
    let (k, indices, similarities) = (indices.shape()[1], indices.as_slice()?, similarities.as_slice()?);
    detached(py, None, |_| check_graph(indices, similarities, k))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(knn_exact, m)?)?;
    m.add_function(wrap_pyfunction!(check_graph_of, m)?)
}
