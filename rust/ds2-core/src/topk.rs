//! Top k.
