"""The graph of an index: candidates from usearch, true similarities, a measured recall."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast.knn.cosine import cosines, first_of, nearest
from ds2_fast.knn.graph import GraphInfo, Neighbors
from ds2_fast.knn.hnsw import DEFAULT_SETTINGS, Hnsw, HnswSettings, survives
from ds2_fast.knn.need import Need
from ds2_fast.knn.recall import (
    CERTAIN,
    Recall,
    RecallMissedError,
    measure_recall,
    sample_rows,
)
from ds2_fast.knn.request import Request

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_EXPANSION = 64
RAISES = 3
"""How often the expansion is doubled when the recall falls short, before the index is given up."""
_BLOCK = 2048


def find(request: Request) -> Neighbors:
    """Build an index of the rows in memory and take the graph from it."""
    request.check()
    survives()
    index = Hnsw(request.rows.shape[1])
    told = request.progress
    # Adding takes about two thirds of the time.
    index.add(request.rows, progress=lambda done, rows: told(done * 2 // 3, rows))
    rest = replace(request, progress=lambda done, rows: told((2 * rows + done) // 3, rows))
    return find_in(index, rest)


def find_in(index: Hnsw, request: Request) -> Neighbors:
    """Take the graph from an index of the same rows.

    The index names candidates, a few more than k; their similarities are computed as an exact graph
    has them, and ordered in the same way. On a sample of rows the result is compared with the exact
    one; while it misses the recall asked for, twice as many candidates are looked at, three times
    at most. Rows for which the index names fewer than k are searched exactly.

    Args:
        index: of `request.rows`, keys being rows.
        request: what is wanted; checked.

    Raises:
        IndexFailedError: the library failed.
        RecallMissedError: the recall asked for is not reached.

    Cost: O(N log N d) time, 64 MB of memory a thread beside the result.
    """
    filled = request.rows.any(axis=1)
    search = _Search(index, request, np.flatnonzero(~filled))
    expansion, recall = _enough(search, np.flatnonzero(filled))
    indices, similarities = _all(search, expansion)
    info = GraphInfo(
        method="usearch",
        asked="usearch",
        why="asked for",
        dtype=index.settings.dtype,
        kernel=None,
        recall_asked=request.recall,
        recall=recall,
        settings={**index.settings.to_dict(), "expansion_search": expansion},
    )
    return Neighbors(indices, similarities, info)


def measure_index(index: Hnsw, request: Request) -> tuple[int, Recall]:
    """Find the expansion at which an index reaches the recall asked for; see `find_in`.

    Returns:
        The expansion, and the recall measured with it.

    Raises:
        IndexFailedError: the library failed.
        RecallMissedError: the recall asked for is not reached.
    """
    filled = request.rows.any(axis=1)
    search = _Search(index, request, np.flatnonzero(~filled))
    return _enough(search, np.flatnonzero(filled))


Graph = tuple["NDArray[np.uint32]", "NDArray[np.float32]"]


def _enough(search: _Search, filled: NDArray[np.int64]) -> tuple[int, Recall]:
    """Find an expansion that reaches the recall asked for, on a sample of the rows not zero."""
    request = search.request
    expansion = max(FIRST_EXPANSION, 2 * request.k)
    sample = filled[sample_rows(len(filled))]
    if not len(sample):
        return expansion, CERTAIN
    _, true = nearest(request.rows[sample], request.rows, request.k, own=sample)
    for raised in range(RAISES + 1):
        keys = search.candidates(sample, expansion)
        recall = measure_recall(search.settle(sample, keys)[1], true)
        if recall.value >= request.recall:
            return expansion, recall
        if raised < RAISES:
            expansion *= 2
    raise RecallMissedError(
        f"usearch reaches a {recall.tell()} even at expansion {expansion}, and "
        f"{request.recall:g} was asked for"
    )


def _all(search: _Search, expansion: int) -> Graph:
    """Find the neighbors of all rows, block by block.

    The index is asked by this thread alone, as it does not bear several callers, and spreads a
    block over threads of its own; similarities are computed behind it.
    """
    request = search.request
    rows, k = len(request.rows), request.k
    indices, similarities = np.empty((rows, k), np.uint32), np.empty((rows, k), np.float32)

    def finish(places: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        part = slice(places[0], places[-1] + 1)
        indices[part], similarities[part] = search.complete(places, keys)

    jobs: list[Future[None]] = []
    with ThreadPoolExecutor(request.threads) as pool:
        try:
            for start in range(0, rows, _BLOCK):
                places = np.arange(start, min(start + _BLOCK, rows))
                keys = search.candidates(places, expansion)
                jobs.append(pool.submit(finish, places, keys))
                request.progress(start, rows)
            for job in jobs:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
    request.progress(rows, rows)
    return indices, similarities


@dataclass(frozen=True)
class _Search:
    """Searching an index for neighbors of its own rows.

    Attributes:
        index: the index.
        request: what is wanted.
        zeros: rows of zeros, ascending; they are not in the index.
    """

    index: Hnsw
    request: Request
    zeros: NDArray[np.int64]

    def candidates(self, places: NDArray[np.int64], expansion: int) -> NDArray[np.int64]:
        """Ask the index for neighbors of some rows; -1 where it knows none."""
        # The row itself, and some more: float16 swaps near equals.
        count = self.request.k + 1 + max(4, self.request.k // 8)
        rows = self.request.rows[places]
        return self.index.search(rows, count, expansion=expansion, threads=self.request.threads)

    def settle(self, places: NDArray[np.int64], keys: NDArray[np.int64]) -> Graph:
        """Take the nearest of the candidates; a missing neighbor has the similarity -inf."""
        rows, k = self.request.rows, self.request.k
        unusable = (keys < 0) | (keys == places[:, None])
        similarities = cosines(rows[places], rows, np.where(unusable, 0, keys))
        similarities[unusable] = -np.inf
        # The similarity to a row of zeros is 0.
        blank = np.tile(self.zeros[: k + 1], (len(places), 1))
        of_blank = np.where(blank == places[:, None], -np.inf, 0).astype(np.float32)
        candidates = np.concatenate([keys, blank], axis=1)
        return first_of(candidates, np.concatenate([similarities, of_blank], axis=1), k)

    def complete(self, places: NDArray[np.int64], keys: NDArray[np.int64]) -> Graph:
        """Take the nearest of the candidates; search exactly where the index misses one."""
        rows, k = self.request.rows, self.request.k
        indices, similarities = self.settle(places, keys)
        # The index cannot be asked for neighbors of a row without a direction.
        short = np.isneginf(similarities[:, -1]) | np.isin(places, self.zeros)
        if short.any():
            own = places[short]
            indices[short], similarities[short] = nearest(rows[own], rows, k, own=own)
        return indices, similarities


def need(rows: int, dim: int, k: int, settings: HnswSettings = DEFAULT_SETTINGS) -> Need:
    """Say what a graph from an index takes: the index, its file, and the result.

    A row of the index takes its numbers and about 10 bytes of links per unit of connectivity: 917
    bytes in the file at 384 dimensions, where 768 are numbers. In memory it took up to 1.4 times
    that (1,274 bytes a row; 13,000 to 52,000 rows).
    """
    width = {"f16": 2, "f32": 4}[settings.dtype]
    row = dim * width + 10 * settings.connectivity
    return Need(memory=rows * (3 * row // 2 + 64 + 8 * k) + (64 << 20), disk=rows * (row + 8 * k))
