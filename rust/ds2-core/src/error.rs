//! The one error type of the crate.

/// Why a computation was refused or stopped.
///
/// Messages are lower case, have no period, and carry the offending value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument has the wrong shape, or two arguments do not fit together.
    #[error("{0}")]
    Shape(String),
    /// A value lies outside its range, or is not finite.
    #[error("{0}")]
    Value(String),
    /// A file could not be read, or is not what its name says.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The caller's progress callback asked to stop (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn shape(message: impl Into<String>) -> Self {
        Self::Shape(message.into())
    }

    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::Value(message.into())
    }
}
