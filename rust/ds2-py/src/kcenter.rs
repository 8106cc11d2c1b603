//! Binding of `ds2_core::kcenter`.

use ds2_core::Element;
use ds2_core::kcenter::{Tie, choose_centers};
use half::f16;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2, PyReadonlyArray, PyReadonlyArray2};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::arrays::{borrow, describe, rows};
use crate::detached::detached;

type Chosen<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>);

const EXPECTED: &str = "float32 or float16 (N, d)";

/// The candidates farthest from all that is chosen, one after another, and how near each was to it.
#[pyfunction(name = "choose_centers")]
#[expect(clippy::too_many_arguments, reason = "one for each argument of the Python function")]
#[expect(clippy::needless_pass_by_value, reason = "a list is converted from Python, not borrowed")]
fn choose_centers_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    chosen: &Bound<'py, PyAny>,
    candidates: &Bound<'py, PyAny>,
    groups: &Bound<'py, PyAny>,
    seats: Vec<usize>,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Chosen<'py>> {
    let chosen: PyReadonlyArray<'_, u32, Ix1> = borrow(chosen, "chosen", "uint32 (c,)")?;
    let candidates: PyReadonlyArray<'_, u32, Ix1> = borrow(candidates, "candidates", "uint32 (m,)")?;
    let groups: PyReadonlyArray<'_, u32, Ix1> = borrow(groups, "groups", "uint32 (m,)")?;
    let (chosen, candidates, groups) = (chosen.as_slice()?, candidates.as_slice()?, groups.as_slice()?);
    let tie = Tie { chosen, candidates, groups, seats: &seats };
    let options = Options { tie, allow_zero, threads };
    if embeddings.cast::<PyArray2<f32>>().is_ok() {
        choose(&borrow::<f32, Ix2>(embeddings, "embeddings", EXPECTED)?, options, progress)
    } else if embeddings.cast::<PyArray2<f16>>().is_ok() {
        choose(&borrow::<f16, Ix2>(embeddings, "embeddings", EXPECTED)?, options, progress)
    } else {
        Err(PyTypeError::new_err(format!("embeddings: expected {EXPECTED}, got {}", describe(embeddings))))
    }
}

#[derive(Clone, Copy)]
struct Options<'a> {
    tie: Tie<'a>,
    allow_zero: bool,
    threads: Option<usize>,
}

fn choose<'py, T: Element + numpy::Element>(
    array: &PyReadonlyArray2<'py, T>,
    options: Options<'_>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Chosen<'py>> {
    let (py, values) = (array.py(), rows(array)?);
    let Options { tie, allow_zero, threads } = options;
    let centers =
        detached(py, progress, |progress| choose_centers(values, tie, allow_zero, threads, progress))?;
    Ok((centers.rows.into_pyarray(py), centers.similarities.into_pyarray(py)))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(choose_centers_of, m)?)
}
