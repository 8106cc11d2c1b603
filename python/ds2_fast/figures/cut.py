"""Where the ranking was cut, and how many samples tied there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def find_cut(
    bucket: NDArray[np.float64],
    rank: NDArray[np.int64],
    selected: NDArray[np.bool_],
    rarity: NDArray[np.float64],
) -> dict[str, Any]:
    """Count each bucket of the ranking, and measure the tie in the one that was cut.

    Args:
        bucket: float64 `(N,)`, the first sort key, NaN = not eligible.
        rank: int64 `(N,)`, 1 = best, 0 = not ranked.
        selected: bool `(N,)`.
        rarity: float64 `(N,)`, the second sort key.

    Returns:
        `buckets`: for each, best first, its value, its eligible samples and those selected. `tie`:
        the lowest bucket with a selected sample: how many samples it has, how many were selected,
        and the rarity of the last in rank that was selected and of the next that was not (null if
        there is none); null if nothing was selected.

    Example:
        >>> bucket, rank = np.array([1.0, 1.0, 2.0]), np.array([3, 2, 1])
        >>> found = find_cut(bucket, rank, rank <= 2, np.array([0.1, 0.3, 0.2]))
        >>> found["tie"]["samples"], found["tie"]["selected"], found["tie"]["first_out"]
        (2, 1, 0.1)
    """
    known = ~np.isnan(bucket)
    values, places = np.unique(bucket[known], return_inverse=True)
    pool = np.bincount(places, minlength=len(values))
    taken = np.bincount(places[selected[known]], minlength=len(values))
    rows = zip(values.tolist(), pool.tolist(), taken.tolist(), strict=True)
    buckets = [
        {"bucket": value, "samples": samples, "selected": chosen} for value, samples, chosen in rows
    ]
    return {"buckets": buckets[::-1], "tie": _tie(bucket, rank, selected, rarity)}


def _tie(
    bucket: NDArray[np.float64],
    rank: NDArray[np.int64],
    selected: NDArray[np.bool_],
    rarity: NDArray[np.float64],
) -> dict[str, Any] | None:
    if not selected.any():
        return None
    lowest = np.nanmin(bucket[selected])
    tied = np.flatnonzero(bucket == lowest)
    inside, outside = tied[selected[tied]], tied[~selected[tied] & (rank[tied] > 0)]
    last = inside[np.argmax(rank[inside])]
    first = outside[np.argmin(rank[outside])] if len(outside) else None
    return {
        "bucket": float(lowest),
        "samples": len(tied),
        "selected": len(inside),
        "last_in": float(rarity[last]),
        "first_out": None if first is None else float(rarity[first]),
    }
