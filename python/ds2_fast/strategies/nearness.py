"""Cosine similarities of every sample to a few rows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.progress import Progress, silent
from ds2_fast.strategies.targets import unit_rows

BLOCK = 4096
"""Rows that are compared together: a block of 384 columns is 6 MB."""


def compare_rows(
    rows: NDArray[Any],
    queries: NDArray[np.float32],
    threads: int | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Compare every row with every query.

    Args:
        rows: `(N, d)`, float16 or float32; rows of zeros are like nothing, by 0.
        queries: float32 `(Q, d)`, rows of length 1.
        threads: at most so many; None for all. The result does not depend on it.
        progress: called with `(done, total)` rows.

    Returns:
        float32 `(Q, N)`, cosine similarities, in [-1, 1] but for rounding.

    Cost: `N Q d` multiply-adds, about 1e9 a second and core.

    Example:
        >>> rows = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
        >>> compare_rows(rows, np.array([[0.0, 1.0]], np.float32)).round(3).tolist()
        [[0.800000011920929, 1.0]]
    """
    found = np.empty((len(queries), len(rows)), dtype=np.float32)

    def compare(start: int) -> int:
        end = min(start + BLOCK, len(rows))
        # Not `@`: a BLAS may add in an order that depends on its threads.
        found[:, start:end] = np.einsum("id,qd->iq", unit_rows(rows[start:end]), queries).T
        return end

    with ThreadPoolExecutor(threads or os.cpu_count()) as workers:
        for end in workers.map(compare, range(0, len(rows), BLOCK)):
            progress(end, len(rows))
    return found
