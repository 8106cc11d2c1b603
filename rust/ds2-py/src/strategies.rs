//! Binding of `ds2_core::strategies`.

use ds2_core::strategies::apart::keep_apart;
use ds2_core::strategies::cover::cover;
use ds2_core::strategies::facility;
use ds2_core::strategies::graph_cut::{cut_graph, divide_bins};
use ds2_core::strategies::importance;
use ds2_core::strategies::marginal::{Marginal, Relevant, choose_marginal};
use ds2_core::strategies::tempered;
use ds2_core::strategies::tree::{TreeOptions, grow_tree};
use half::f16;
use numpy::{IntoPyArray, Ix1, Ix2, PyArray1, PyArray2, PyReadonlyArray};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arrays::{borrow, describe, rows};
use crate::detached::detached;
use crate::lexical::borrow_texts;

type Chosen<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f64>>);
type List<'py> = PyReadonlyArray<'py, u32, Ix1>;
type Numbers<'py> = PyReadonlyArray<'py, f64, Ix1>;

const EXPECTED: &str = "float32 or float16 (N, d)";

/// Call `$call` with the embeddings as rows of whichever of the two types they have.
macro_rules! with_rows {
    ($embeddings:expr, $progress:expr, |$rows:ident, $tick:ident| $call:expr) => {{
        let (embeddings, py) = ($embeddings, $embeddings.py());
        if embeddings.cast::<PyArray2<f32>>().is_ok() {
            let array = borrow::<f32, Ix2>(embeddings, "embeddings", EXPECTED)?;
            let $rows = rows(&array)?;
            detached(py, $progress, |$tick| $call)
        } else if embeddings.cast::<PyArray2<f16>>().is_ok() {
            let array = borrow::<f16, Ix2>(embeddings, "embeddings", EXPECTED)?;
            let $rows = rows(&array)?;
            detached(py, $progress, |$tick| $call)
        } else {
            let got = describe(embeddings);
            Err(PyTypeError::new_err(format!("embeddings: expected {EXPECTED}, got {got}")))
        }
    }};
}

/// Ranked rows that are like no kept row, and how many were looked at.
#[pyfunction(name = "keep_apart")]
fn keep_apart_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    order: &Bound<'py, PyAny>,
    threshold: f32,
    most: usize,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyArray1<u32>>, usize)> {
    let order: List<'_> = borrow(order, "order", "uint32 (m,)")?;
    let order = order.as_slice()?;
    let apart = with_rows!(embeddings, progress, |rows, tick| {
        keep_apart(rows, order, threshold, most, allow_zero, threads, tick)
    })?;
    Ok((apart.kept.into_pyarray(embeddings.py()), apart.examined))
}

/// Candidates by maximal marginal relevance, and the value of each when it was chosen.
#[pyfunction(name = "choose_marginal")]
#[expect(clippy::too_many_arguments, reason = "one for each argument of the Python function")]
fn choose_marginal_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    chosen: &Bound<'py, PyAny>,
    candidates: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    weight: f64,
    n: usize,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Chosen<'py>> {
    let chosen: List<'_> = borrow(chosen, "chosen", "uint32 (c,)")?;
    let candidates: List<'_> = borrow(candidates, "candidates", "uint32 (m,)")?;
    let scores: Numbers<'_> = borrow(scores, "scores", "float64 (m,)")?;
    let pool = Relevant {
        chosen: chosen.as_slice()?,
        candidates: candidates.as_slice()?,
        scores: scores.as_slice()?,
    };
    let Marginal { rows, values } = with_rows!(embeddings, progress, |rows, tick| {
        choose_marginal(rows, pool, weight, n, allow_zero, threads, tick)
    })?;
    let py = embeddings.py();
    Ok((rows.into_pyarray(py), values.into_pyarray(py)))
}

/// Candidates that cover the neighbor graph, and what each added.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one for each argument of the Python function")]
fn locate_facilities<'py>(
    py: Python<'py>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    k: usize,
    candidates: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    n: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Chosen<'py>> {
    let neighbors: PyReadonlyArray<'_, u32, Ix2> = borrow(neighbors, "neighbors", "uint32 (N, L)")?;
    let values: PyReadonlyArray<'_, f32, Ix2> = borrow(similarities, "similarities", "float32 (N, L)")?;
    let candidates: List<'_> = borrow(candidates, "candidates", "uint32 (m,)")?;
    let scores: Numbers<'_> = borrow(scores, "scores", "float64 (m,)")?;
    let (graph, values) = (rows(&neighbors)?, rows(&values)?);
    let (candidates, scores) = (candidates.as_slice()?, scores.as_slice()?);
    let found = detached(py, progress, |tick| {
        facility::locate_facilities(graph, values, k, candidates, scores, n, tick)
    })?;
    Ok((found.rows.into_pyarray(py), found.gains.into_pyarray(py)))
}

/// The candidates in bins, from the most typical to the rest.
#[pyfunction(name = "divide_bins")]
fn divide_bins_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    candidates: &Bound<'py, PyAny>,
    bins: usize,
    penalty: f64,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Bound<'py, PyArray1<u32>>>> {
    let candidates: List<'_> = borrow(candidates, "candidates", "uint32 (m,)")?;
    let candidates = candidates.as_slice()?;
    let divided = with_rows!(embeddings, progress, |rows, tick| {
        divide_bins(rows, candidates, bins, penalty, allow_zero, threads, tick)
    })?;
    Ok(divided.into_iter().map(|bin| bin.into_pyarray(embeddings.py())).collect())
}

/// The first candidates by graph cut.
#[pyfunction(name = "cut_graph")]
fn cut_graph_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    candidates: &Bound<'py, PyAny>,
    n: usize,
    penalty: f64,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let candidates: List<'_> = borrow(candidates, "candidates", "uint32 (m,)")?;
    let candidates = candidates.as_slice()?;
    let chosen = with_rows!(embeddings, progress, |rows, tick| {
        cut_graph(rows, candidates, n, penalty, allow_zero, threads, tick)
    })?;
    Ok(chosen.into_pyarray(embeddings.py()))
}

/// Candidates drawn in proportion to `exp(score / temperature)`.
#[pyfunction]
fn draw_tempered<'py>(
    py: Python<'py>,
    candidates: &Bound<'py, PyAny>,
    scores: &Bound<'py, PyAny>,
    temperature: f64,
    n: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let candidates: List<'_> = borrow(candidates, "candidates", "uint32 (m,)")?;
    let scores: Numbers<'_> = borrow(scores, "scores", "float64 (m,)")?;
    let (candidates, scores) = (candidates.as_slice()?, scores.as_slice()?);
    let drawn = detached(py, None, |_| tempered::draw_tempered(candidates, scores, temperature, n, seed))?;
    Ok(drawn.into_pyarray(py))
}

/// How much likelier each text is under the target texts than in the pool.
#[pyfunction]
fn weigh_importance<'py>(
    texts: &Bound<'py, PyList>,
    target: &Bound<'py, PyList>,
    buckets: usize,
    smoothing: f64,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let py = texts.py();
    // The strings are held here, so that they outlive the call whatever happens to the lists meanwhile.
    let (held, wanted): (Vec<_>, Vec<_>) = (texts.iter().collect(), target.iter().collect());
    let texts = borrow_texts("texts", &held)?;
    let target = borrow_texts("target", &wanted)?;
    let weights = detached(py, progress, |tick| {
        importance::weigh_importance(&texts, &target, buckets, smoothing, threads, tick)
    })?;
    Ok(weights.into_pyarray(py))
}

/// The leaf of every row in a tree of spherical k-means.
#[pyfunction(name = "grow_tree")]
#[expect(clippy::too_many_arguments, reason = "one for each argument of the Python function")]
fn grow_tree_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    branching: usize,
    leaf: usize,
    rounds: usize,
    seed: u64,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let options = TreeOptions { branching, leaf, rounds, seed, threads, allow_zero };
    let leaves = with_rows!(embeddings, progress, |rows, tick| grow_tree(rows, &options, tick))?;
    Ok(leaves.into_pyarray(embeddings.py()))
}

/// The similarity of every row to the nearest chosen one.
#[pyfunction(name = "cover")]
fn cover_of<'py>(
    embeddings: &Bound<'py, PyAny>,
    chosen: &Bound<'py, PyAny>,
    allow_zero: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let chosen: List<'_> = borrow(chosen, "chosen", "uint32 (m,)")?;
    let chosen = chosen.as_slice()?;
    let nearest =
        with_rows!(embeddings, progress, |rows, tick| cover(rows, chosen, allow_zero, threads, tick))?;
    Ok(nearest.into_pyarray(embeddings.py()))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(keep_apart_of, m)?)?;
    m.add_function(wrap_pyfunction!(choose_marginal_of, m)?)?;
    m.add_function(wrap_pyfunction!(locate_facilities, m)?)?;
    m.add_function(wrap_pyfunction!(divide_bins_of, m)?)?;
    m.add_function(wrap_pyfunction!(cut_graph_of, m)?)?;
    m.add_function(wrap_pyfunction!(draw_tempered, m)?)?;
    m.add_function(wrap_pyfunction!(weigh_importance, m)?)?;
    m.add_function(wrap_pyfunction!(cover_of, m)?)?;
    m.add_function(wrap_pyfunction!(grow_tree_of, m)?)
}
