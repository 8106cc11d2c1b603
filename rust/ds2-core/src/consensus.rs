//! Consensus counts.
