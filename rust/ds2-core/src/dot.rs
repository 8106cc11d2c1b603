//! Dot products.
