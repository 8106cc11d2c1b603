//! numpy arrays as slices, without a copy and without a silent cast.

use ds2_core::Rows;
use numpy::{Element, Ix2, PyReadonlyArray, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::to_py;

/// Borrow `value` as a C-contiguous array of exactly this element type and number of dimensions.
///
/// `name` and `expected` (for example `"float32 (N, k)"`) go into the message of the `TypeError`.
pub(crate) fn borrow<'py, T: Element, D: numpy::ndarray::Dimension>(
    value: &Bound<'py, PyAny>,
    name: &str,
    expected: &str,
) -> PyResult<PyReadonlyArray<'py, T, D>> {
    let Ok(array) = value.extract::<PyReadonlyArray<'py, T, D>>() else {
        return Err(PyTypeError::new_err(format!("{name}: expected {expected}, got {}", describe(value))));
    };
    if !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!(
            "{name}: expected a C-contiguous array; pass np.ascontiguousarray({name})"
        )));
    }
    Ok(array)
}

/// Check that an array is as long in every dimension: `(K, K)`, `(K, K, K)`; K.
///
/// `name` and `expected` go into the message of the `ValueError`.
pub(crate) fn cubic(array: &Bound<'_, PyUntypedArray>, name: &str, expected: &str) -> PyResult<usize> {
    let shape = array.shape();
    if shape.iter().all(|&side| side == shape[0]) {
        Ok(shape[0])
    } else {
        Err(PyValueError::new_err(format!("{name}: expected {expected}, got {}", describe(array.as_any()))))
    }
}

/// A borrowed matrix as rows of the core.
pub(crate) fn rows<'a, T: Element>(array: &'a PyReadonlyArray<'_, T, Ix2>) -> PyResult<Rows<'a, T>> {
    Rows::new(array.as_slice()?, array.shape()[0], array.shape()[1]).map_err(to_py)
}

/// What a caller passed, in a few words: `float64 (100, 10)`, or the type's name.
pub(crate) fn describe(value: &Bound<'_, PyAny>) -> String {
    match value.cast::<PyUntypedArray>() {
        Ok(array) => {
            let shape = array.shape().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("{} ({shape}{})", array.dtype(), if array.ndim() == 1 { "," } else { "" })
        }
        Err(_) => value.get_type().name().map_or_else(|_| "?".into(), |n| n.to_string()),
    }
}
