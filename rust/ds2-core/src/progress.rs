//! How a long computation tells its caller where it is, and learns that it should stop.

use crate::{Error, Result};

/// Called between blocks with `(done, total)` from the calling thread only; returning `false` stops the
/// computation with [`Error::Interrupted`].
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize) -> bool;

/// A [`Progress`] that says nothing and never stops: `&mut SILENT.clone()` or `&mut |_, _| true`.
pub const SILENT: fn(usize, usize) -> bool = |_, _| true;

/// Report progress, or turn the caller's wish to stop into an error.
///
/// # Errors
///
/// [`Error::Interrupted`] if the callback returned `false`.
pub(crate) fn tick(progress: &mut dyn FnMut(usize, usize) -> bool, done: usize, total: usize) -> Result<()> {
    if progress(done, total) { Ok(()) } else { Err(Error::Interrupted) }
}
