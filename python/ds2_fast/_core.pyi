"""The Rust core. Arrays go in C-contiguous and of the exact dtype, without a copy; results are new arrays."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__version__: str
debug_build: bool

def knn_exact(
    rows: NDArray[np.float32] | NDArray[np.float16],
    k: int,
    threads: int | None,
    allow_zero: bool,
    progress: Callable[[int, int], object] | None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Find the `k` nearest other rows of every row by cosine similarity, exactly.

    Args:
        rows: float32 or float16 `(N, d)`, C-contiguous, finite, `N >= k + 1`; of any length, not
            all zeros unless `allow_zero`.
        k: neighbors per row, at least 1.
        threads: threads to use, at least 1; None = one per core. The result does not depend on it.
        allow_zero: rows of zeros are similar to every row by 0.
        progress: called with rows done and N; what it raises stops the search.

    Returns:
        neighbors uint32 `(N, k)`, nearest first, ties by row; their similarities float32 `(N, k)`.
    """

def check_graph(indices: NDArray[np.uint32], similarities: NDArray[np.float32]) -> None:
    """Raise ValueError unless two `(N, k)` arrays are a neighbor graph over its own rows.

    Neighbors are in range, not the row itself, without repeats, and sorted by similarity
    descending, then row; similarities lie in [-1, 1].
    """
