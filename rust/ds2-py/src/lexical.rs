//! Binding of `ds2_core::lexical`.

use ds2_core::lexical::{Lexical, LexicalOptions, embed, place};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::detached::detached;

/// Texts -> unit rows of the lexical space, and what is known about them.
#[pyfunction]
fn lexical_embed<'py>(
    texts: &Bound<'py, PyList>,
    dim: usize,
    seed: u64,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyArray2<f32>>, Bound<'py, PyDict>)> {
    let py = texts.py();
    // The strings are held here, so that they outlive the call whatever happens to the list meanwhile.
    let strings: Vec<Bound<'py, PyAny>> = texts.iter().collect();
    let borrowed = borrow_texts("texts", &strings)?;
    let options = LexicalOptions { dim, seed, threads };
    let lexical = detached(py, progress, |tick| embed(&borrowed, &options, tick))?;
    pack(py, lexical)
}

/// Other texts -> unit rows of the lexical space fitted on `texts`.
#[pyfunction]
fn lexical_place<'py>(
    others: &Bound<'py, PyList>,
    texts: &Bound<'py, PyList>,
    dim: usize,
    seed: u64,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let py = texts.py();
    let strings: Vec<Bound<'py, PyAny>> = texts.iter().collect();
    let queries: Vec<Bound<'py, PyAny>> = others.iter().collect();
    let borrowed = borrow_texts("texts", &strings)?;
    let asked = borrow_texts("others", &queries)?;
    let options = LexicalOptions { dim, seed, threads };
    let rows = detached(py, progress, |tick| place(&asked, &borrowed, &options, tick))?;
    rows.into_pyarray(py).reshape([asked.len(), dim])
}

/// The texts of a list called `name`, without a copy.
pub(crate) fn borrow_texts<'a>(name: &str, texts: &'a [Bound<'_, PyAny>]) -> PyResult<Vec<&'a str>> {
    texts.iter().enumerate().map(|(row, text)| borrow(name, row, text)).collect()
}

/// The text of a row, without a copy.
///
/// Python keeps the UTF-8 form of a string that is not ASCII beside it for as long as the string lives.
fn borrow<'a>(name: &str, row: usize, text: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let Ok(text) = text.cast::<PyString>() else {
        let got = text.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{name}: expected str in row {row}, got {got}")));
    };
    text.to_str().map_err(|_| {
        PyValueError::new_err(format!("{name}: row {row} has a lone surrogate, which no text can hold"))
    })
}

fn pack(py: Python<'_>, lexical: Lexical) -> PyResult<(Bound<'_, PyArray2<f32>>, Bound<'_, PyDict>)> {
    let info = PyDict::new(py);
    info.set_item("terms", lexical.terms)?;
    info.set_item("sampled", lexical.sampled)?;
    info.set_item("unknown", PyArray1::from_vec(py, lexical.unknown))?;
    info.set_item("singular_values", PyArray1::from_vec(py, lexical.singular_values))?;
    let shape = [lexical.rows.len() / lexical.dim, lexical.dim];
    Ok((lexical.rows.into_pyarray(py).reshape(shape)?, info))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(lexical_embed, m)?)?;
    m.add_function(wrap_pyfunction!(lexical_place, m)?)
}
