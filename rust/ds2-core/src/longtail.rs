//! Long-tail score.
