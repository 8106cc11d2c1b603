//! Binding of `ds2_core::knn`.

use ds2_core::dot::Kernel;
use ds2_core::knn::{KnnOptions, Neighbors, Recall, check_graph, find_nearly, find_neighbors};
use ds2_core::{Element, Progress};
use half::f16;
use numpy::{Ix2, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::{borrow, describe, rows};
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
    let (indices, similarities, _) = search(rows, &options, None, progress)?;
    Ok((indices, similarities))
}

/// Find nearly all of the `k` nearest other rows of every row, and measure how nearly.
#[pyfunction]
fn knn_approx<'py>(
    rows: &Bound<'py, PyAny>,
    k: usize,
    recall: f64,
    threads: Option<usize>,
    allow_zero: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Approximation<'py>> {
    let options = KnnOptions { threads, allow_zero, ..KnnOptions::new(k) };
    let (indices, similarities, recall) = search(rows, &options, Some(recall), progress)?;
    Ok((indices, similarities, (recall.mean, recall.low, recall.high, recall.rows, recall.probes)))
}

/// The kernel that searches run on, the one the environment names or the fastest.
#[pyfunction]
fn kernel_name() -> PyResult<&'static str> {
    Kernel::chosen().map(Kernel::name).map_err(to_py)
}

/// A graph, and of its recall: mean, low, high, rows, probes.
type Approximation<'py> =
    (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray2<f32>>, (f64, f64, f64, usize, usize));
type Found<'py> = (Bound<'py, PyArray2<u32>>, Bound<'py, PyArray2<f32>>, Recall);

const EXPECTED: &str = "float32 or float16 (N, d)";

/// Search rows of either type, exactly or at a recall.
fn search<'py>(
    rows: &Bound<'py, PyAny>,
    options: &KnnOptions,
    recall: Option<f64>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Found<'py>> {
    let py = rows.py();
    let (len, found) = if rows.cast::<PyArray2<f32>>().is_ok() {
        let rows = borrow::<f32, Ix2>(rows, "rows", EXPECTED)?;
        (rows.shape()[0], detached_search(&rows, options, recall, progress)?)
    } else if rows.cast::<PyArray2<f16>>().is_ok() {
        let rows = borrow::<f16, Ix2>(rows, "rows", EXPECTED)?;
        (rows.shape()[0], detached_search(&rows, options, recall, progress)?)
    } else {
        return Err(PyTypeError::new_err(format!("rows: expected {EXPECTED}, got {}", describe(rows))));
    };
    let (neighbors, recall) = found;
    let indices = PyArray1::from_vec(py, neighbors.indices).reshape([len, neighbors.k])?;
    let similarities = PyArray1::from_vec(py, neighbors.similarities).reshape([len, neighbors.k])?;
    Ok((indices, similarities, recall))
}

fn detached_search<T: Element + numpy::Element>(
    array: &PyReadonlyArray2<'_, T>,
    options: &KnnOptions,
    recall: Option<f64>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Neighbors, Recall)> {
    let rows = rows(array)?;
    detached(array.py(), progress, |progress: Progress<'_>| match recall {
        Some(recall) => find_nearly(rows, options, recall, progress),
        None => find_neighbors(rows, options, progress).map(|found| (found, Recall::EXACT)),
    })
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
    m.add_function(wrap_pyfunction!(knn_approx, m)?)?;
    m.add_function(wrap_pyfunction!(kernel_name, m)?)?;
    m.add_function(wrap_pyfunction!(check_graph_of, m)?)
}
