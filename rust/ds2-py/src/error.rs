//! `ds2_core::Error` as Python exceptions.

use ds2_core::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};

/// The Python exception for an error of the core.
pub(crate) fn to_py(error: Error) -> PyErr {
    match error {
        Error::Shape(message) | Error::Value(message) => PyValueError::new_err(message),
        Error::Io { path, source } => PyOSError::new_err((source.raw_os_error(), source.to_string(), path)),
        Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        other => PyValueError::new_err(other.to_string()),
    }
}
