"""Near-duplicate guard: of samples that are almost the same, the best-ranked stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2_fast import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ds2_fast.knn import Neighbors


@dataclass(frozen=True)
class Distinct:
    """A ranking without near duplicates.

    Attributes:
        kept: uint32, rows that stay, best first.
        dropped: uint32, rows that were dropped, in the order of the ranking.
        stands_for: uint32, for each dropped row the kept one that stands for it.
        saturated: ranked rows whose every neighbor lies at or above the threshold, though the pool
            has more rows than they have neighbors: the graph may lack a pair of theirs.
    """

    kept: NDArray[np.uint32]
    dropped: NDArray[np.uint32]
    stands_for: NDArray[np.uint32]
    saturated: int


def drop_duplicates(
    order: NDArray[np.uint32], neighbors: Neighbors, *, threshold: float = 0.95
) -> Distinct:
    """Drop near duplicates from a ranking, on the edges of the neighbor graph.

    Rows are taken in the order of the ranking. A row is dropped if it and a row already kept are
    neighbors in the graph (one in the list of the other, either way) with a similarity of at least
    `threshold`; the best-ranked such row stands for it. Else it is kept. What is decided about a
    row depends on better-ranked rows alone, so the first rows do not depend on how many are wanted.

    Args:
        order: uint32 `(m,)`, distinct rows, best first.
        neighbors: the graph of the pool, `(N, L)`.
        threshold: cosine similarity in (0, 1], compared as float32.

    Returns:
        The rows kept and dropped.

    Raises:
        ValueError: if the threshold lies outside (0, 1], a row is not of the graph or ranked
            twice, or the graph is none.
        TypeError: if an array has another dtype or number of dimensions.

    Source: greedy filter of DEITA (arXiv 2312.15685), held to the pairs of the graph. O(N L).

    Example:
        >>> import numpy as np
        >>> from ds2_fast.knn import Neighbors
        >>> indices = np.array([[1], [0], [0]], np.uint32)
        >>> graph = Neighbors(indices, np.array([[0.99], [0.99], [0.2]], np.float32))
        >>> drop_duplicates(np.array([1, 2, 0], np.uint32), graph).kept.tolist()
        [1, 2]
    """
    return Distinct(
        *_core.drop_duplicates(order, neighbors.indices, neighbors.similarities, threshold)
    )
