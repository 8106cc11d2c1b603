//! Binding of `ds2_core::reference` and `ds2_core::paper`.

use ds2_core::paper;
use ds2_core::reference::{self, DetectionOptions, Sampling};
use numpy::{IntoPyArray, Ix2, Ix3, PyArrayMethods, PyReadonlyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{borrow, cubic, rows};
use crate::detached::detached;
use crate::rated::{ModelArrays, RatedArrays};

/// Exact expectation of the consensus counts of the published sampling.
#[pyfunction]
fn expected_consensus<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    num_classes: usize,
    duplicate: bool,
    sample_size: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let arrays = RatedArrays::borrow(scores, neighbors)?;
    let columns = arrays.columns()?;
    let sampling = Sampling { duplicate, sample_size };
    let found = detached(py, None, |_| reference::expected_consensus(&columns.pool(num_classes)?, sampling))?;
    let out = PyDict::new(py);
    out.set_item("c3", found.c3.into_pyarray(py).reshape([num_classes; 3])?)?;
    out.set_item("truncated", found.truncated)?;
    out.set_item("rated", found.rated)?;
    out.set_item("share", sampling.share(found.rated))?;
    Ok(out)
}

const CUBE: &str = "float64 (K, K, K)";

/// Published fit of T and p to consensus frequencies.
#[pyfunction]
fn fit_transition_reference<'py>(py: Python<'py>, c3: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let c3: PyReadonlyArray<'_, f64, Ix3> = borrow(c3, "c3", CUBE)?;
    let (counted, num_classes) = (c3.as_slice()?, cubic(c3.as_untyped(), "c3", CUBE)?);
    let fit = detached(py, None, |_| reference::fit_transition(counted, num_classes))?;
    let out = PyDict::new(py);
    out.set_item("T", fit.transition.into_pyarray(py).reshape([num_classes; 2])?)?;
    out.set_item("p", fit.prior.into_pyarray(py))?;
    out.set_item("loss", fit.loss)?;
    Ok(out)
}

/// Published detection and curation of misrated samples.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn curate_reference<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    transition: &Bound<'py, PyAny>,
    prior: &Bound<'py, PyAny>,
    duplicate: bool,
    sample_size: Option<usize>,
    rounds: u32,
    seed: u64,
    threshold: f64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, model) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(transition, prior)?);
    let similarities: PyReadonlyArray<'_, f32, Ix2> = borrow(similarities, "similarities", "float32 (N, L)")?;
    let (columns, model, similarity) = (arrays.columns()?, model.model()?, rows(&similarities)?);
    let sampling = Sampling { duplicate, sample_size };
    let options = DetectionOptions { sampling, rounds, seed, threshold };
    let found = detached(py, progress, |tick| {
        reference::detect_misrated(&columns.pool(model.num_classes())?, similarity, model, &options, tick)
    })?;
    let out = PyDict::new(py);
    out.set_item("curated", found.curated.into_pyarray(py))?;
    out.set_item("suggested", found.suggested.into_pyarray(py))?;
    out.set_item("misrated", found.misrated.into_pyarray(py))?;
    out.set_item("p_misrated", found.p_misrated.into_pyarray(py))?;
    out.set_item("confidence", found.confidence.into_pyarray(py))?;
    out.set_item("visits", found.visits.into_pyarray(py))?;
    out.set_item("lists", found.lists)?;
    out.set_item("short_lists", found.short_lists)?;
    Ok(out)
}

/// Curation as the paper describes it, without sampling.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn curate_paper<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    transition: &Bound<'py, PyAny>,
    prior: &Bound<'py, PyAny>,
    k: usize,
    threshold: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, model) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(transition, prior)?);
    let similarities: PyReadonlyArray<'_, f32, Ix2> = borrow(similarities, "similarities", "float32 (N, L)")?;
    let (columns, model, similarity) = (arrays.columns()?, model.model()?, rows(&similarities)?);
    let found = detached(py, None, |_| {
        paper::curate_paper(&columns.pool(model.num_classes())?, similarity, model, k, threshold)
    })?;
    let out = PyDict::new(py);
    out.set_item("curated", found.curated.into_pyarray(py))?;
    out.set_item("suggested", found.suggested.into_pyarray(py))?;
    out.set_item("misrated", found.misrated.into_pyarray(py))?;
    out.set_item("confidence", found.confidence.into_pyarray(py))?;
    Ok(out)
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(expected_consensus, m)?)?;
    m.add_function(wrap_pyfunction!(fit_transition_reference, m)?)?;
    m.add_function(wrap_pyfunction!(curate_reference, m)?)?;
    m.add_function(wrap_pyfunction!(curate_paper, m)?)
}
