"""The approximate method: each row is compared with the clusters near it, in the Rust core."""

from __future__ import annotations

from ds2_fast import _core
from ds2_fast.knn.graph import GraphInfo, Neighbors
from ds2_fast.knn.need import Need
from ds2_fast.knn.recall import CERTAIN, Recall, RecallMissedError
from ds2_fast.knn.request import Request


def find(request: Request) -> Neighbors:
    """Find nearly all neighbors; see `find_neighbors`."""
    rows = request.rows
    indices, similarities, (value, low, high, measured, probes) = _core.knn_approx(
        rows, request.k, request.recall, request.threads, request.allow_zero, request.progress
    )
    if measured and value < request.recall:
        raise RecallMissedError(
            f"`approx` reaches a {Recall(value, low, high, measured).tell()} with {probes} "
            f"clusters a row, and {request.recall:g} was asked for"
        )
    info = GraphInfo(
        method="approx",
        asked="approx",
        why="asked for",
        dtype=str(rows.dtype),
        kernel=_core.kernel_name(),
        recall_asked=request.recall,
        recall=Recall(value, low, high, measured) if measured else CERTAIN,
        settings={"probes": probes},
    )
    return Neighbors(indices, similarities, info)


def need(rows: int, dim: int, k: int) -> Need:
    """Say what it takes: codes of one byte a number, lists of candidates twice, and the result."""
    candidates = 16 * (k + (k + 1) // 2 + 1)
    clusters = 4 * 64  # of each row, the nearest ones
    each = dim + candidates + 8 * k + clusters + 120
    return Need(memory=rows * each + (64 << 20), disk=8 * k * rows)
