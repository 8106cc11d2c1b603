//! Binding of `ds2_core::bootstrap`, `ds2_core::noise_bound` and `ds2_core::shuffle`.

use ds2_core::blocks::join_neighbors;
use ds2_core::bootstrap::{Interval, LEVEL, Resampling, bootstrap_transition};
use ds2_core::noise_bound::bound_noise_share;
use ds2_core::shuffle;
use numpy::{IntoPyArray, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::detached::detached;
use crate::rated::RatedArrays;
use crate::transition::prior;
use crate::trust::with_pool;

/// Intervals of T and p, and of the largest share of the disagreement that can be rater noise, from one cut of
/// the pool into blocks.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the binding takes what the core takes, without defaults")]
fn bootstrap<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    similarities: &Bound<'py, PyAny>,
    num_classes: usize,
    k: usize,
    prior: &str,
    strength: Option<f64>,
    replicates: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let (prior, resampling) = (self::prior(prior)?, Resampling { replicates, seed });
    let (blocks, found, bound) =
        with_pool(py, scores, neighbors, similarities, num_classes, |pool, similarities| {
            let blocks = join_neighbors(pool);
            let found = bootstrap_transition(pool, k, prior, strength, &blocks, resampling)?;
            let bound = bound_noise_share(pool, similarities, prior, None, &blocks, resampling)?;
            Ok((blocks.count(), found, bound))
        })?;
    let flat = |intervals: &[Interval]| -> Vec<f64> {
        intervals.iter().flat_map(|interval| [interval.low, interval.high]).collect()
    };
    let out = PyDict::new(py);
    out.set_item("level", LEVEL)?;
    out.set_item("blocks", blocks)?;
    out.set_item("T", flat(&found.t).into_pyarray(py).reshape([num_classes, num_classes, 2])?)?;
    out.set_item("p", flat(&found.p).into_pyarray(py).reshape([num_classes, 2])?)?;
    out.set_item("settled", found.settled.into_pyarray(py))?;
    out.set_item("noise_share_bound", (bound.low, bound.high))?;
    Ok(out)
}

/// Neighbor information of the ratings, and of the same ratings shuffled.
#[pyfunction]
fn shuffle_test<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    neighbors: &Bound<'py, PyAny>,
    num_classes: usize,
    k: usize,
    shuffles: usize,
    seed: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let arrays = RatedArrays::borrow(scores, neighbors)?;
    let columns = arrays.columns()?;
    let found =
        detached(py, None, |_| shuffle::shuffle_test(&columns.pool(num_classes)?, k, shuffles, seed))?;
    let out = PyDict::new(py);
    out.set_item("samples", found.samples)?;
    out.set_item("information", found.information)?;
    out.set_item("p_value", found.p_value())?;
    out.set_item("shuffled", found.shuffled.into_pyarray(py))?;
    Ok(out)
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(bootstrap, m)?)?;
    m.add_function(wrap_pyfunction!(shuffle_test, m)?)
}
