//! Curation.
