"""What a method is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MATRIX = 2
_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class Request:
    """A graph to be found.

    Attributes:
        rows: float32 or float16 `(N, d)`, C-contiguous.
        k: neighbors per row, 1 <= k < N.
        recall: share of the true neighbors that is enough, in (0, 1].
        threads: at least 1; None = one per core.
        allow_zero: whether rows of zeros may occur; their similarity to every row is 0.
        progress: called with rows done and N.
    """

    rows: NDArray[Any]
    k: int
    recall: float = 0.99
    threads: int | None = None
    allow_zero: bool = False
    progress: Progress = silent

    def check(self) -> None:
        """Refuse what the exact search refuses, with the same sentences.

        Raises:
            TypeError: if `rows` is of another type, dtype or number of dimensions.
            ValueError: see `find_neighbors`.

        Cost: one pass over the rows.
        """
        rows, k = self.rows, self.k
        expected = "rows: expected float32 or float16 (N, d), got"
        if not isinstance(rows, np.ndarray):
            raise TypeError(f"{expected} {type(rows).__name__}")
        if rows.ndim != _MATRIX or rows.dtype not in (np.dtype("<f4"), np.dtype("<f2")):
            raise TypeError(f"{expected} {rows.dtype} {rows.shape}")
        if not rows.flags.c_contiguous:
            raise ValueError("rows: expected a C-contiguous array")
        if rows.shape[1] == 0:
            raise ValueError("rows must have at least 1 column, got 0")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if len(rows) <= k:
            raise ValueError(f"need at least k+1 rows for k = {k} neighbors, got {len(rows)}")
        self._check_values()

    def _check_values(self) -> None:
        step = max(1, _BLOCK_BYTES // (self.rows.itemsize * self.rows.shape[1]))
        for start in range(0, len(self.rows), step):
            block = self.rows[start : start + step]
            finite = np.isfinite(block)
            if not finite.all():
                row, column = np.argwhere(~finite)[0]
                raise ValueError(
                    f"row {start + row}, column {column} is {block[row, column]}; embeddings must "
                    "be finite"
                )
            filled = block.any(axis=1)
            if not self.allow_zero and not filled.all():
                row = start + int(np.argmin(filled))
                raise ValueError(f"row {row} is all zeros and has no direction")
