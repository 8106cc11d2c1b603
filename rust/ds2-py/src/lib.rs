//! The Python binding of `ds2-core`: unpack, call, pack. No formula, default or decision lives here.

mod answer;
mod arrays;
mod calibration;
mod consensus;
mod curation;
mod detached;
mod duplicates;
mod error;
mod journal;
mod kcenter;
mod knn;
mod lexical;
mod rated;
mod reference;
mod requests;
mod ridge;
mod selection;
mod strategies;
mod transition;
mod trust;
mod uncertainty;

use pyo3::prelude::*;

/// The Rust core of ds2-fast.
#[pymodule(gil_used = false)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("debug_build", cfg!(debug_assertions))?;
    answer::register(m)?;
    calibration::register(m)?;
    consensus::register(m)?;
    curation::register(m)?;
    duplicates::register(m)?;
    journal::register(m)?;
    kcenter::register(m)?;
    knn::register(m)?;
    lexical::register(m)?;
    reference::register(m)?;
    requests::register(m)?;
    ridge::register(m)?;
    selection::register(m)?;
    strategies::register(m)?;
    transition::register(m)?;
    trust::register(m)?;
    uncertainty::register(m)
}
