//! T and p.
