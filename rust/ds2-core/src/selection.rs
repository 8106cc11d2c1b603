//! Dual sort.
