//! Binding of `ds2_core::transition`.

use ds2_core::consensus::Consensus;
use ds2_core::transition::{self, Prior};
use numpy::{IntoPyArray, Ix3, PyArrayMethods, PyReadonlyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{borrow, cubic};
use crate::detached::detached;
use crate::error::to_py;

/// The prior by its name.
pub(crate) fn prior(name: &str) -> PyResult<Prior> {
    name.parse().map_err(to_py)
}

const CUBE: &str = "float64 (K, K, K)";

/// Fit of T and p to consensus counts.
#[pyfunction]
fn fit_transition<'py>(
    py: Python<'py>,
    counts: &Bound<'py, PyAny>,
    prior: &str,
    strength: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let counts: PyReadonlyArray<'_, f64, Ix3> = borrow(counts, "counts", CUBE)?;
    let num_classes = cubic(counts.as_untyped(), "counts", CUBE)?;
    let (tensor, prior) = (counts.as_slice()?, self::prior(prior)?);
    let fit = detached(py, None, |_| {
        transition::fit_transition(&Consensus::from_tensor(tensor, num_classes)?, prior, strength)
    })?;
    let out = PyDict::new(py);
    out.set_item("T", fit.t.into_pyarray(py).reshape([num_classes; 2])?)?;
    out.set_item("p", fit.p.into_pyarray(py))?;
    out.set_item("strength", fit.strength)?;
    out.set_item("steps", fit.steps)?;
    out.set_item("converged", fit.converged)?;
    out.set_item("objective", fit.objective)?;
    out.set_item("degenerate", fit.degenerate)?;
    out.set_item("unidentified", fit.unidentified.into_pyarray(py))?;
    out.set_item("ambiguous", fit.ambiguous.into_pyarray(py))?;
    Ok(out)
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(fit_transition, m)?)
}
