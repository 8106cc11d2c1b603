//! Binding of `ds2_core::{noise_share, audit, sampling}`.

use ds2_core::audit::{self, AuditModel, Audited};
use ds2_core::evidence::Temper;
use ds2_core::noise_share::SecondRater;
use ds2_core::{noise_share, sampling};
use numpy::{IntoPyArray, Ix1, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::borrow;
use crate::curation::to_dict;
use crate::detached::detached;
use crate::rated::{ModelArrays, RatedArrays};

/// Choice of the noise share by a second rater.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p, k, beta, threshold, second, weights, seed, progress))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn choose_share<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
    threshold: f64,
    second: &Bound<'py, PyAny>,
    weights: Option<&Bound<'py, PyAny>>,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let second: PyReadonlyArray<'_, i8, Ix1> = borrow(second, "second", "int8 (N,)")?;
    let weights: Option<PyReadonlyArray<'_, f64, Ix1>> =
        weights.map(|array| borrow(array, "weights", "float64 (N,)")).transpose()?;
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let weights = weights.as_ref().map(PyReadonlyArray::as_slice).transpose()?;
    let second = SecondRater { scores: second.as_slice()?, weights };
    let found = detached(py, progress, |tick| {
        let pool = columns.pool(model.num_classes())?;
        noise_share::choose_share(&pool, model, Temper { k, beta }, threshold, second, seed, tick)
    })?;
    let column = |pick: fn(&noise_share::ShareCandidate) -> f64| {
        found.candidates.iter().map(pick).collect::<Vec<_>>().into_pyarray(py)
    };
    let out = PyDict::new(py);
    out.set_item("noise_share", found.noise_share)?;
    out.set_item("low", found.low)?;
    out.set_item("high", found.high)?;
    out.set_item("samples", found.samples)?;
    out.set_item("shares", column(|candidate| candidate.noise_share))?;
    out.set_item("expected", column(|candidate| candidate.expected))?;
    out.set_item("curated", column(|candidate| candidate.curated))?;
    Ok(out)
}

/// What an audit says about the rater and the neighbors.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p, k, beta, threshold, rows, gold, weights))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn fit_audit<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
    threshold: f64,
    rows: &Bound<'py, PyAny>,
    gold: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let rows: PyReadonlyArray<'_, u32, Ix1> = borrow(rows, "rows", "uint32 (m,)")?;
    let gold: PyReadonlyArray<'_, i8, Ix1> = borrow(gold, "gold", "int8 (m,)")?;
    let weights: PyReadonlyArray<'_, f64, Ix1> = borrow(weights, "weights", "float64 (m,)")?;
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let (rows, gold, weights) = (rows.as_slice()?, gold.as_slice()?, weights.as_slice()?);
    let fit = detached(py, None, |_| {
        let pool = columns.pool(model.num_classes())?;
        let audited = Audited::new(&pool, rows, gold, weights)?;
        audit::fit_audit(&pool, model, Temper { k, beta }, audited, threshold)
    })?;
    let square = [model.num_classes(); 2];
    let column =
        |pick: fn(&audit::GammaCandidate) -> f64| fit.candidates.iter().map(pick).collect::<Vec<_>>();
    let out = PyDict::new(py);
    out.set_item("T", fit.model.t.clone().into_pyarray(py).reshape(square)?)?;
    out.set_item("p", fit.model.p.clone().into_pyarray(py))?;
    out.set_item("gamma", fit.model.gamma)?;
    out.set_item("gamma_low", fit.gamma_low)?;
    out.set_item("gamma_high", fit.gamma_high)?;
    out.set_item("gammas", column(|candidate| candidate.gamma).into_pyarray(py))?;
    out.set_item("log_likelihoods", column(|candidate| candidate.log_likelihood).into_pyarray(py))?;
    out.set_item("gain", fit.gain)?;
    out.set_item("gain_error", fit.gain_error)?;
    out.set_item("rated_equal", fit.rated.equal)?;
    out.set_item("rated_kappa", fit.rated.kappa)?;
    out.set_item("held_out_equal", fit.held_out.equal)?;
    out.set_item("held_out_kappa", fit.held_out.kappa)?;
    out.set_item("relabels", fit.relabels)?;
    out.set_item("effective", fit.effective)?;
    Ok(out)
}

/// Curation of every score by what an audit measured.
#[pyfunction]
#[pyo3(signature = (
    scores, neighbors, T, p, k, beta, audit_T, audit_p, gamma, threshold, fill_missing, progress
))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn curate_audited<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
    audit_T: &Bound<'py, PyAny>,
    audit_p: &Bound<'py, PyAny>,
    gamma: f64,
    threshold: f64,
    fill_missing: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let audited = ModelArrays::borrow(audit_T, audit_p)?;
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let measured = AuditModel { t: audited.t()?.to_vec(), p: audited.model()?.p().to_vec(), gamma };
    let found = detached(py, progress, |tick| {
        let pool = columns.pool(model.num_classes())?;
        audit::curate_audited(&pool, model, Temper { k, beta }, &measured, threshold, fill_missing, tick)
    })?;
    to_dict(py, found)
}

/// Posterior of the true score of some samples, by what an audit measured.
#[pyfunction]
#[pyo3(signature = (scores, neighbors, T, p, k, beta, audit_T, audit_p, gamma, rows))]
#[expect(non_snake_case, reason = "T is the matrix's name everywhere")]
#[expect(clippy::too_many_arguments, reason = "the columns and options of one stage")]
fn audited_posteriors<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    T: &Bound<'py, PyAny>,
    p: &Bound<'py, PyAny>,
    k: usize,
    beta: f64,
    audit_T: &Bound<'py, PyAny>,
    audit_p: &Bound<'py, PyAny>,
    gamma: f64,
    rows: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (arrays, matrices) = (RatedArrays::borrow(scores, neighbors)?, ModelArrays::borrow(T, p)?);
    let audited = ModelArrays::borrow(audit_T, audit_p)?;
    let (columns, model) = (arrays.columns()?, matrices.model()?);
    let measured = AuditModel { t: audited.t()?.to_vec(), p: audited.model()?.p().to_vec(), gamma };
    let rows: PyReadonlyArray<'_, u32, Ix1> = borrow(rows, "rows", "uint32 (m,)")?;
    let rows = rows.as_slice()?;
    let found = detached(py, None, |_| {
        let pool = columns.pool(model.num_classes())?;
        audit::audited_posteriors(&pool, model, Temper { k, beta }, &measured, rows)
    })?;
    found.into_pyarray(py).reshape([rows.len(), model.num_classes()])
}

type Drawn<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f64>>);

/// Rows drawn from strata, ascending, and one over the probability of each.
#[pyfunction]
fn draw_stratified<'py>(
    py: Python<'py>,
    strata: &Bound<'py, PyAny>,
    importance: &Bound<'py, PyAny>,
    n: usize,
    seed: u64,
) -> PyResult<Drawn<'py>> {
    let strata: PyReadonlyArray<'_, i32, Ix1> = borrow(strata, "strata", "int32 (N,)")?;
    let importance: PyReadonlyArray<'_, f64, Ix1> = borrow(importance, "importance", "float64 (S,)")?;
    let (strata, importance) = (strata.as_slice()?, importance.as_slice()?);
    let drawn = detached(py, None, |_| sampling::draw_stratified(strata, importance, n, seed))?;
    Ok((drawn.rows.into_pyarray(py), drawn.weights.into_pyarray(py)))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(choose_share, m)?)?;
    m.add_function(wrap_pyfunction!(fit_audit, m)?)?;
    m.add_function(wrap_pyfunction!(curate_audited, m)?)?;
    m.add_function(wrap_pyfunction!(audited_posteriors, m)?)?;
    m.add_function(wrap_pyfunction!(draw_stratified, m)?)
}
