//! Binding of `ds2_core::duplicates`.

use ds2_core::duplicates;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyReadonlyArray};
use pyo3::prelude::*;

use crate::arrays::{borrow, rows};
use crate::detached::detached;

type Distinct<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>, usize);

/// Ranked rows that stay, those dropped as near duplicates, what stands for each, and how many are saturated.
#[pyfunction]
fn drop_duplicates<'py>(
    py: Python<'py>,
    order: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    threshold: f32,
) -> PyResult<Distinct<'py>> {
    let order: PyReadonlyArray<'_, u32, Ix1> = borrow(order, "order", "uint32 (m,)")?;
    let neighbors: PyReadonlyArray<'_, u32, Ix2> = borrow(neighbors, "neighbors", "uint32 (N, L)")?;
    let values: PyReadonlyArray<'_, f32, Ix2> = borrow(similarities, "similarities", "float32 (N, L)")?;
    let (order, graph, values) = (order.as_slice()?, rows(&neighbors)?, rows(&values)?);
    let found = detached(py, None, |_| duplicates::drop_duplicates(order, graph, values, threshold))?;
    Ok((
        found.kept.into_pyarray(py),
        found.dropped.into_pyarray(py),
        found.stands_for.into_pyarray(py),
        found.saturated,
    ))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(drop_duplicates, m)?)
}
