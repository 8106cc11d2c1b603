//! Paper mode.
