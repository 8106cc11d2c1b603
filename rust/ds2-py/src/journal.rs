//! Binding of `ds2_core::journal`.

use std::collections::HashMap;

use ds2_core::journal::{self, Record};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// Values that come again and again, by how they are written: one object for all.
type Shared<'a, 'py> = HashMap<&'a str, Bound<'py, PyAny>>;

/// Every line of `data`: a record in the common form as `(key, cost, (ratings, why, final, half, model, usage,
/// chances))`, any other line as its bytes.
#[pyfunction]
fn read_records<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let (mut lists, mut texts) = (Shared::new(), Shared::new());
    let found = PyList::empty(py);
    for line in data.split(|&byte| byte == b'\n') {
        match journal::read_record(line) {
            Some(record) => found.append(pack(py, &record, &mut lists, &mut texts)?)?,
            None if line.is_empty() => {}
            None => found.append(PyBytes::new(py, line))?,
        }
    }
    Ok(found)
}

fn pack<'a, 'py>(
    py: Python<'py>,
    record: &Record<'a>,
    lists: &mut Shared<'a, 'py>,
    texts: &mut Shared<'a, 'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let ratings = record.ratings.map(|list| tuple_of(py, list, lists)).transpose()?;
    let mut text =
        |name: &'a str| texts.entry(name).or_insert_with(|| PyString::new(py, name).into_any()).clone();
    let (why, model) = (record.why.map(&mut text), text(record.model));
    let chances = record.chances.map(|list| PyBytes::new(py, &singles(list)));
    let [tokens_in, tokens_out, cached] = record.usage;
    let usage = (tokens_in, tokens_out, cached);
    (record.key, record.cost, (ratings, why, !record.more, record.half, model, usage, chances))
        .into_pyobject(py)
}

fn tuple_of<'a, 'py>(
    py: Python<'py>,
    list: &'a str,
    known: &mut Shared<'a, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(tuple) = known.get(list) {
        return Ok(tuple.clone());
    }
    let tuple = PyTuple::new(py, journal::numbers(list).collect::<Vec<_>>())?.into_any();
    Ok(known.entry(list).or_insert(tuple).clone())
}

/// Probabilities as they are kept: the bytes of float32.
#[expect(clippy::cast_possible_truncation, reason = "kept in single precision")]
fn singles(list: &str) -> Vec<u8> {
    journal::numbers(list).flat_map(|chance| (chance as f32).to_ne_bytes()).collect()
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(read_records, m)?)
}
