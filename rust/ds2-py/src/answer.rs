//! Binding of `ds2_core::answer`.

use ds2_core::answer::{self, Rubric};
use pyo3::prelude::*;

use crate::error::to_py;

/// Ratings of an answer in the order of `names`, or `None` and the reason (algorithm `answer-v1`).
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "Python arguments arrive owned")]
fn parse_answer(
    text: &str,
    names: Vec<String>,
    low: f64,
    high: f64,
) -> PyResult<(Option<Vec<f64>>, Option<&'static str>)> {
    let rubric = Rubric::new(&names, low, high).map_err(to_py)?;
    Ok(match answer::parse_answer(text, &rubric) {
        Ok(ratings) => (Some(ratings), None),
        Err(reason) => (None, Some(reason.code())),
    })
}

/// Where the last of `names` has its number in a readable answer, in bytes.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "Python arguments arrive owned")]
fn locate_overall(text: &str, names: Vec<String>, low: f64, high: f64) -> PyResult<Option<(usize, usize)>> {
    let rubric = Rubric::new(&names, low, high).map_err(to_py)?;
    Ok(answer::locate_overall(text, &rubric).map(|place| (place.start, place.end)))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(parse_answer, m)?)?;
    m.add_function(wrap_pyfunction!(locate_overall, m)?)
}
