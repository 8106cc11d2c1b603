//! Neighbor evidence.
