//! Binding of `ds2_core::reference` and `ds2_core::paper`.

use ds2_core::paper;
use ds2_core::reference::{self, DetectionOptions, Sampling};
use numpy::{IntoPyArray, Ix1, Ix2, Ix3, PyArrayMethods, PyReadonlyArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::borrow;
use crate::detached::detached;

/// The columns of a pool as every function here takes them.
struct Pool<'py> {
    scores: PyReadonlyArray<'py, i8, Ix1>,
    neighbors: PyReadonlyArray<'py, u32, Ix2>,
    similarities: PyReadonlyArray<'py, f32, Ix2>,
    transition: PyReadonlyArray<'py, f64, Ix2>,
    prior: PyReadonlyArray<'py, f64, Ix1>,
}

impl<'py> Pool<'py> {
    fn borrow(
        scores: &Bound<'py, PyAny>,
        neighbors: &Bound<'py, PyAny>,
        similarities: &Bound<'py, PyAny>,
        transition: &Bound<'py, PyAny>,
        prior: &Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        Ok(Self {
            scores: borrow(scores, "scores", "int8 (N,)")?,
            neighbors: borrow(neighbors, "neighbors", "uint32 (N, L)")?,
            similarities: borrow(similarities, "similarities", "float32 (N, L)")?,
            transition: borrow(transition, "T", "float64 (K, K)")?,
            prior: borrow(prior, "p", "float64 (K,)")?,
        })
    }
}

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
    let scores: PyReadonlyArray<'_, i8, Ix1> = borrow(scores, "scores", "int8 (N,)")?;
    let neighbors: PyReadonlyArray<'_, u32, Ix2> = borrow(neighbors, "neighbors", "uint32 (N, L)")?;
    let (score, list, width) = (scores.as_slice()?, neighbors.as_slice()?, neighbors.shape()[1]);
    let sampling = Sampling { duplicate, sample_size };
    let found =
        detached(py, None, |_| reference::expected_consensus(score, num_classes, list, width, sampling))?;
    let out = PyDict::new(py);
    out.set_item("c3", found.c3.into_pyarray(py).reshape([num_classes; 3])?)?;
    out.set_item("truncated", found.truncated)?;
    out.set_item("rated", found.rated)?;
    out.set_item("share", sampling.share(found.rated))?;
    Ok(out)
}

/// Published fit of T and p to consensus frequencies.
#[pyfunction]
fn fit_transition_reference<'py>(py: Python<'py>, c3: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let c3: PyReadonlyArray<'_, f64, Ix3> = borrow(c3, "c3", "float64 (K, K, K)")?;
    let (counted, num_classes) = (c3.as_slice()?, c3.shape()[0]);
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
    let pool = Pool::borrow(scores, neighbors, similarities, transition, prior)?;
    let (score, list, width) =
        (pool.scores.as_slice()?, pool.neighbors.as_slice()?, pool.neighbors.shape()[1]);
    let (similarity, t, p) =
        (pool.similarities.as_slice()?, pool.transition.as_slice()?, pool.prior.as_slice()?);
    let sampling = Sampling { duplicate, sample_size };
    let options = DetectionOptions { sampling, rounds, seed, threshold };
    let found = detached(py, progress, |tick| {
        reference::detect_misrated(score, p.len(), list, similarity, width, t, p, &options, tick)
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
    let pool = Pool::borrow(scores, neighbors, similarities, transition, prior)?;
    let (score, list, width) =
        (pool.scores.as_slice()?, pool.neighbors.as_slice()?, pool.neighbors.shape()[1]);
    let (similarity, t, p) =
        (pool.similarities.as_slice()?, pool.transition.as_slice()?, pool.prior.as_slice()?);
    let found = detached(py, None, |_| {
        paper::curate_paper(score, p.len(), list, similarity, width, t, p, k, threshold)
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
