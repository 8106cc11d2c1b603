"""Which samples the report shows: corrected ones, chosen ones, and those that just missed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHOWN = 20
NEIGHBORS = 5


def pick_examples(
    scores: NDArray[np.int8],
    curated: NDArray[np.int8],
    rank: NDArray[np.int64],
    selected: NDArray[np.bool_],
    neighbors: NDArray[np.uint32],
    *,
    seed: int,
) -> dict[str, Any]:
    """Pick samples to look at, by rules that favor nobody.

    Args:
        scores: int8 `(N,)`, as rated, -1 = unrated.
        curated: int8 `(N,)`, after curation.
        rank: int64 `(N,)`, 1 = best, 0 = not ranked.
        selected: bool `(N,)`.
        neighbors: uint32 `(N, L)`, nearest first.
        seed: of the draw.

    Returns:
        `corrected`: 20 of the samples whose score was changed, drawn at random, with the rows of
        their 5 nearest `neighbors`; `selected`: 20 of the selection, evenly over their ranks, the
        first and the last among them; `missed`: the next 20 in rank. Rows each, best rank first,
        the first in the order of the pool.
    """
    changed = np.flatnonzero((scores >= 0) & (curated >= 0) & (scores != curated))
    if len(changed) > SHOWN:
        changed = np.sort(np.random.default_rng(seed).choice(changed, SHOWN, replace=False))
    by_rank = np.flatnonzero(rank > 0)
    by_rank = by_rank[np.argsort(rank[by_rank])]
    inside, outside = by_rank[selected[by_rank]], by_rank[~selected[by_rank]]
    return {
        "corrected": [
            {"row": int(row), "neighbors": neighbors[row, :NEIGHBORS].tolist()} for row in changed
        ],
        "selected": spread_evenly(inside),
        "missed": outside[:SHOWN].tolist() if len(inside) else [],
    }


def spread_evenly(rows: NDArray[np.integer[Any]]) -> list[int]:
    """Take 20 of some rows, evenly over their places, the first and the last among them.

    Args:
        rows: in any order; all of them if they are no more.

    Example:
        >>> spread_evenly(np.arange(96))[:3]
        [0, 5, 10]
    """
    if not len(rows):
        return []
    even = np.unique(np.linspace(0, len(rows) - 1, SHOWN).round().astype(np.int64))
    found: list[int] = rows[even].tolist()
    return found
