"""The exact method: every pair of rows is compared, in the Rust core."""

from __future__ import annotations

from ds2_fast import _core
from ds2_fast.knn.graph import GraphInfo, Neighbors
from ds2_fast.knn.need import Need
from ds2_fast.knn.recall import CERTAIN
from ds2_fast.knn.request import Request


def find(request: Request) -> Neighbors:
    """Find the neighbors exactly; see `find_neighbors`."""
    rows = request.rows
    found = _core.knn_exact(rows, request.k, request.threads, request.allow_zero, request.progress)
    info = GraphInfo(
        method="exact",
        asked="exact",
        why="asked for",
        dtype=str(rows.dtype),
        kernel=_core.kernel_name(),
        recall_asked=1.0,
        recall=CERTAIN,
    )
    return Neighbors(*found, info)


def need(rows: int, dim: int, k: int) -> Need:
    """Say what an exact graph takes: codes of one byte a number, heaps, and the result."""
    return Need(memory=rows * (dim + 16 * k + 40) + (64 << 20), disk=8 * k * rows)
