//! Binding of `ds2_core::ridge`.

use ds2_core::ridge::{apply_weights, gram, solve_ridge};
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray};
use pyo3::prelude::*;

use crate::arrays::{self, borrow, cubic};
use crate::detached::detached;

/// The upper triangle of the products of all columns.
#[pyfunction(name = "gram")]
fn gram_of<'py>(rows: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let py = rows.py();
    let values: PyReadonlyArray<'_, f32, Ix2> = borrow(rows, "rows", "float32 (n, d)")?;
    let values = arrays::rows(&values)?;
    let sums = detached(py, None, |_| gram(values))?;
    sums.into_pyarray(py).reshape([values.dim(), values.dim()])
}

/// The weights of a ridge regression, from sums of products.
#[pyfunction(name = "solve_ridge")]
fn solve_ridge_of<'py>(
    gram: &Bound<'py, PyAny>,
    penalty: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let py = gram.py();
    let gram: PyReadonlyArray<'_, f64, Ix2> = borrow(gram, "gram", "float64 (d + 1, d + 1)")?;
    cubic(gram.as_untyped(), "gram", "float64 (d + 1, d + 1)")?;
    let penalty: PyReadonlyArray<'_, f64, Ix1> = borrow(penalty, "penalty", "float64 (d,)")?;
    let (gram, penalty) = (gram.as_slice()?, penalty.as_slice()?);
    Ok(detached(py, None, |_| solve_ridge(gram, penalty))?.into_pyarray(py))
}

/// Rows times weights.
#[pyfunction(name = "apply_weights")]
fn apply_weights_of<'py>(
    rows: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let py = rows.py();
    let values: PyReadonlyArray<'_, f32, Ix2> = borrow(rows, "rows", "float32 (n, d)")?;
    let weights: PyReadonlyArray<'_, f64, Ix1> = borrow(weights, "weights", "float64 (d,)")?;
    let (values, weights) = (arrays::rows(&values)?, weights.as_slice()?);
    Ok(detached(py, None, |_| apply_weights(values, weights))?.into_pyarray(py))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(gram_of, m)?)?;
    m.add_function(wrap_pyfunction!(solve_ridge_of, m)?)?;
    m.add_function(wrap_pyfunction!(apply_weights_of, m)?)
}
