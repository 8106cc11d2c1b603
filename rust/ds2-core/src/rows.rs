//! `Rows`: a borrowed row-major matrix, checked once and indexed freely afterwards.

use half::f16;

use crate::{Error, Result};

/// An element type that embeddings may be stored in.
pub trait Element: bytemuck::Pod + Send + Sync + 'static {
    /// The value as `f32` (exact for both stored types).
    fn to_f32(self) -> f32;

    /// `row` by its type, for routines that treat each in its own way.
    fn by_type(row: &[Self]) -> ByType<'_>;
}

/// A row of one of the stored types.
#[derive(Clone, Copy, Debug)]
pub enum ByType<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
}

impl Element for f32 {
    #[inline]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline]
    fn by_type(row: &[Self]) -> ByType<'_> {
        ByType::F32(row)
    }
}

impl Element for f16 {
    #[inline]
    fn to_f32(self) -> f32 {
        Self::to_f32(self)
    }

    #[inline]
    fn by_type(row: &[Self]) -> ByType<'_> {
        ByType::F16(row)
    }
}

/// A borrowed row-major matrix of `len` rows and `dim` columns.
#[derive(Debug)]
pub struct Rows<'a, T> {
    data: &'a [T],
    len: usize,
    dim: usize,
}

impl<T> Clone for Rows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Rows<'_, T> {}

impl<'a, T> Rows<'a, T> {
    /// Borrow `data` as `len` rows of `dim` values.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `dim` is 0 or `data.len() != len * dim`.
    pub fn new(data: &'a [T], len: usize, dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(Error::shape("rows must have at least 1 column, got 0"));
        }
        if len.checked_mul(dim) != Some(data.len()) {
            return Err(Error::shape(format!(
                "{len} rows of {dim} columns do not fit {} values",
                data.len()
            )));
        }
        Ok(Self { data, len, dim })
    }

    /// Number of rows, N.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of columns, d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Row `i`.
    ///
    /// # Panics
    ///
    /// If `i >= len()`.
    #[inline]
    #[must_use]
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }

    /// All values, row after row.
    #[must_use]
    pub fn data(&self) -> &'a [T] {
        self.data
    }
}
