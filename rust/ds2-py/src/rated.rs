//! The arrays most functions take: scores, neighbors, T and p.

use ds2_core::transition::Model;
use ds2_core::{RatedPool, Rows};
use numpy::{Ix1, Ix2, PyArrayMethods, PyReadonlyArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::arrays::{borrow, cubic};

/// Borrowed scores and neighbors.
pub(crate) struct RatedArrays<'py> {
    scores: PyReadonlyArray<'py, i8, Ix1>,
    neighbors: PyReadonlyArray<'py, u32, Ix2>,
}

impl<'py> RatedArrays<'py> {
    pub(crate) fn borrow(scores: &Bound<'py, PyAny>, neighbors: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Self {
            scores: borrow(scores, "scores", "int8 (N,)")?,
            neighbors: borrow(neighbors, "neighbors", "uint32 (N, L)")?,
        })
    }

    /// What a computation takes along: plain slices that may cross threads.
    pub(crate) fn columns(&self) -> PyResult<Columns<'_>> {
        let [len, depth] = [self.neighbors.shape()[0], self.neighbors.shape()[1]];
        Ok(Columns { scores: self.scores.as_slice()?, neighbors: self.neighbors.as_slice()?, len, depth })
    }
}

/// Scores and neighbors as slices, not yet checked.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    scores: &'a [i8],
    neighbors: &'a [u32],
    len: usize,
    depth: usize,
}

impl<'a> Columns<'a> {
    pub(crate) fn pool(self, num_classes: usize) -> ds2_core::Result<RatedPool<'a>> {
        RatedPool::new(self.scores, Rows::new(self.neighbors, self.len, self.depth)?, num_classes)
    }
}

/// Borrowed T and p.
pub(crate) struct ModelArrays<'py> {
    t: PyReadonlyArray<'py, f64, Ix2>,
    p: PyReadonlyArray<'py, f64, Ix1>,
}

impl<'py> ModelArrays<'py> {
    pub(crate) fn borrow(t: &Bound<'py, PyAny>, p: &Bound<'py, PyAny>) -> PyResult<Self> {
        const EXPECTED: &str = "float64 (K, K)";
        let matrix: PyReadonlyArray<'py, f64, Ix2> = borrow(t, "T", EXPECTED)?;
        cubic(matrix.as_untyped(), "T", EXPECTED)?;
        Ok(Self { t: matrix, p: borrow(p, "p", "float64 (K,)")? })
    }

    pub(crate) fn model(&self) -> PyResult<Model<'_>> {
        Model::new(self.t.as_slice()?, self.p.as_slice()?).map_err(crate::error::to_py)
    }

    /// T `(K, K)` row-major, not yet checked.
    pub(crate) fn t(&self) -> PyResult<&[f64]> {
        Ok(self.t.as_slice()?)
    }
}
