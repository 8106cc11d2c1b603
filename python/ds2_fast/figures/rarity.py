"""The distribution of the long-tail scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 60


def spread_rarity(
    rarity: NDArray[np.float64], selected: NDArray[np.bool_], aside: NDArray[np.bool_]
) -> dict[str, Any]:
    """Count the long-tail scores in bins of equal width, of pool, selection and rows set aside.

    Args:
        rarity: float64 `(N,)`, high = rare.
        selected: bool `(N,)`.
        aside: bool `(N,)`, set aside as outliers.

    Returns:
        `edges`: 61 ends of 60 bins, from the least to the greatest; `pool`, `selected`, `aside`:
        counts in each; `aside_from`: the smallest rarity that was set aside, null if none was.

    Example:
        >>> rare = np.array([0.0, 0.3, 0.6])
        >>> found = spread_rarity(rare, rare == 0.3, rare > 0.5)
        >>> sum(found["pool"]), sum(found["selected"]), found["aside_from"]
        (3, 1, 0.6)
    """
    edges = np.histogram_bin_edges(rarity, BINS)
    counts = {
        name: np.histogram(values, edges)[0].tolist()
        for name, values in (
            ("pool", rarity),
            ("selected", rarity[selected]),
            ("aside", rarity[aside]),
        )
    }
    least = float(rarity[aside].min()) if aside.any() else None
    return {"edges": edges.tolist(), **counts, "aside_from": least}
