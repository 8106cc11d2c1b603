//! The one door through which long computations run: GIL released, progress forwarded, Ctrl-C honored.

use pyo3::prelude::*;

use crate::error::to_py;

/// Run `work` without the GIL.
///
/// `work` gets a progress callback for the core. It forwards `(done, total)` to the Python callable
/// `progress`, if there is one, and looks for Ctrl-C; either may stop the computation, and the exception
/// that did so (`KeyboardInterrupt`, or whatever the callable raised) is the one that is raised here.
#[expect(clippy::needless_pass_by_value, reason = "callers own what Python handed them and give it away")]
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&mut dyn FnMut(usize, usize) -> bool) -> ds2_core::Result<T> + Send,
) -> PyResult<T> {
    let mut raised: Option<PyErr> = None;
    let outcome = py.detach(|| {
        work(&mut |done, total| {
            let step = Python::attach(|py| {
                py.check_signals()?;
                progress.as_ref().map_or(Ok(()), |callback| callback.call1(py, (done, total)).map(drop))
            });
            match step {
                Ok(()) => true,
                Err(error) => {
                    raised = Some(error);
                    false
                }
            }
        })
    });
    match raised {
        Some(error) => Err(error),
        None => outcome.map_err(to_py),
    }
}
