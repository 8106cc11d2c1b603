//! Reference mode.
