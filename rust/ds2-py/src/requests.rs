//! Binding of `ds2_core::requests`.

use std::str;

use ds2_core::requests::Form;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// `(key, bytes of the user message)` of every conversation that is plain, `None` for the others, those that are no
/// list of pairs of texts included.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "Python arguments arrive owned")]
fn plain_keys(
    conversations: &Bound<'_, PyList>,
    head: &[u8],
    turn: PyBackedStr,
    user: PyBackedStr,
    max_bytes: usize,
) -> Vec<Option<(String, usize)>> {
    let form = Form::new(head, &turn, &user, max_bytes);
    let texts: Vec<Option<String>> = conversations.iter().map(|turns| body(&form, &turns)).collect();
    let plain: Vec<bool> = texts.iter().map(Option::is_some).collect();
    let bodies: Vec<String> = texts.into_iter().flatten().collect();
    let mut keys = form.keys(&bodies).into_iter();
    plain.into_iter().map(|is_plain| if is_plain { keys.next() } else { None }).collect()
}

fn body(form: &Form, conversation: &Bound<'_, PyAny>) -> Option<String> {
    let turns = conversation.cast::<PyList>().ok()?;
    let pairs: Option<Vec<_>> = turns.iter().map(|turn| pair(&turn)).collect();
    let pairs = pairs?;
    let texts: Option<Vec<_>> = pairs
        .iter()
        .map(|(role, content)| {
            Some((str::from_utf8(role.as_bytes()).ok()?, str::from_utf8(content.as_bytes()).ok()?))
        })
        .collect();
    form.body(&texts?)
}

/// Role and content in UTF-8: copies, since a text that is asked for its UTF-8 keeps it for good.
fn pair<'py>(turn: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let turn = turn.cast::<PyTuple>().ok()?;
    if turn.len() != 2 {
        return None;
    }
    let encoded = |at: usize| turn.get_item(at).ok()?.cast::<PyString>().ok()?.encode_utf8().ok();
    Some((encoded(0)?, encoded(1)?))
}

pub(crate) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(plain_keys, m)?)
}
