//! Binding of `ds2_core::evidence` and `ds2_core::curation`.

use ds2_core::curation::{self, Rule};
use ds2_core::evidence::{self, Temper};
use numpy::{IntoPyArray, Ix1, PyArray2, PyArrayMethods, PyReadonlyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::borrow;
use crate::detached::detached;
use crate::error::to_py;
use crate::rated::{ModelArrays, RatedArrays};

/// Choice of the number of neighbors and their weight by leave-self-out prediction.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
fn tune_evidence<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let tuning = detached(py, None, |_| evidence::tune_evidence(&columns.pool(model.num_classes())?, model))?;
    let column =
        |pick: fn(&evidence::Candidate) -> f64| tuning.candidates.iter().map(pick).collect::<Vec<_>>();
    let out = PyDict::new(py);
    out.set_item("k", tuning.best.temper.k)?;
    out.set_item("beta", tuning.best.temper.beta)?;
    out.set_item("information", tuning.best.information)?;
    out.set_item("samples", tuning.samples)?;
    let ks: Vec<u64> = tuning.candidates.iter().map(|candidate| candidate.temper.k as u64).collect();
    out.set_item("candidate_k", ks.into_pyarray(py))?;
    out.set_item("candidate_beta", column(|candidate| candidate.temper.beta).into_pyarray(py))?;
    out.set_item("candidate_information", column(|candidate| candidate.information).into_pyarray(py))?;
    Ok(out)
}

/// What k neighbors weighted by beta know about a rating, in nats.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p, k, beta))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
fn neighbor_information<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
) -> PyResult<f64> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    detached(py, None, |_| {
        evidence::neighbor_information(&columns.pool(model.num_classes())?, model, Temper { k, beta })
    })
}

/// Split of T into assumed rater noise and differences between neighbors.
#[pyfunction]
#[pyo3(signature = (T, p, noise_share))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
fn split_noise<'py>(
    py: Python<'py>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    noise_share: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let matrices = ModelArrays::borrow(T, p)?;
    let model = matrices.model()?;
    let split = curation::split_noise(model, noise_share).map_err(to_py)?;
    let square = [model.num_classes(); 2];
    let out = PyDict::new(py);
    out.set_item("rater", split.rater.into_pyarray(py).reshape(square)?)?;
    out.set_item("heterogeneity", split.heterogeneity.into_pyarray(py).reshape(square)?)?;
    Ok(out)
}

/// Bayes curation of every score.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p, k, beta, noise_share, threshold, fill_missing, progress))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn curate<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
    noise_share: f64,
    threshold: f64,
    fill_missing: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let rule = Rule { noise_share, threshold, fill_missing };
    let found = detached(py, progress, |tick| {
        curation::curate(&columns.pool(model.num_classes())?, model, Temper { k, beta }, rule, tick)
    })?;
    to_dict(py, found)
}

/// The columns of a curation by name.
pub(crate) fn to_dict(py: Python<'_>, found: curation::Curated) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("expected", found.expected.into_pyarray(py))?;
    out.set_item("curated", found.curated.into_pyarray(py))?;
    out.set_item("suggested", found.suggested.into_pyarray(py))?;
    out.set_item("misrated", found.misrated.into_pyarray(py))?;
    out.set_item("p_misrated", found.p_misrated.into_pyarray(py))?;
    out.set_item("confidence", found.confidence.into_pyarray(py))?;
    out.set_item("entropy", found.entropy.into_pyarray(py))?;
    Ok(out)
}

/// Posterior of the true score of some samples.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p, k, beta, noise_share, rows))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn posteriors<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
    noise_share: f64,
    rows: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let rows: PyReadonlyArray<'_, u32, Ix1> = borrow(rows, "rows", "uint32 (m,)")?;
    let rows = rows.as_slice()?;
    let found = detached(py, None, |_| {
        let pool = columns.pool(model.num_classes())?;
        curation::posteriors(&pool, model, Temper { k, beta }, noise_share, rows)
    })?;
    found.into_pyarray(py).reshape([rows.len(), model.num_classes()])
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(tune_evidence, m)?)?;
    m.add_function(wrap_pyfunction!(neighbor_information, m)?)?;
    m.add_function(wrap_pyfunction!(split_noise, m)?)?;
    m.add_function(wrap_pyfunction!(curate, m)?)?;
    m.add_function(wrap_pyfunction!(posteriors, m)?)
}
