//! Where the parallel parts of a long computation run.

use crate::{Error, Result};

/// A thread pool of a size the caller named, or rayon's global one.
pub(crate) struct Workers(Option<rayon::ThreadPool>);

impl Workers {
    /// `None` takes the global pool, one thread per core.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if `threads` is 0, or so many threads cannot be started.
    pub(crate) fn new(threads: Option<usize>) -> Result<Self> {
        let Some(threads) = threads else { return Ok(Self(None)) };
        if threads == 0 {
            return Err(Error::value("threads must be at least 1, got 0"));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(|pool| Self(Some(pool)))
            .map_err(|error| Error::value(format!("cannot start {threads} threads: {error}")))
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.0.as_ref().map_or_else(rayon::current_num_threads, rayon::ThreadPool::current_num_threads)
    }

    /// Run `work`, whose parallel iterators use these threads.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}
