//! Trust check.
