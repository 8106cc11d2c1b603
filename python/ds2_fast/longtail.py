"""Long-tail score: how far a sample lies from its nearest neighbors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ds2_fast import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Definition = Literal["paper", "reference"]

OWN_ROWS = 2
"""Rows of the `reference` definition that are the sample itself: it and its copy."""


def score_longtail(
    similarities: NDArray[np.float32],
    *,
    k: int = 10,
    definition: Definition = "paper",
    decimals: int | None = None,
) -> NDArray[np.float64]:
    """Score how far each sample lies from its neighbors.

    Computes `2 / (1 + exp(-m)) - 1`, `m` a mean cosine distance. In the `paper` definition it is
    the mean over the `k` nearest other samples; in the `reference` definition over the `k` nearest
    rows of a pool that holds every sample twice: the sample and its copy at distance 0, then each
    neighbor twice, so that `m = 0.2 (d1 + d2 + d3 + d4)` for `k = 10`.

    Args:
        similarities: float32 `(N, L)`, cosine similarity to each neighbor in [-1, 1], nearest
            first.
        k: rows the mean is taken over; the paper definition needs `L >= k >= 1`, the reference
            definition `k >= 3` and about half as many columns.
        definition: which rows these are.
        decimals: round the score, as the published code does to 4; None keeps it as it is.

    Returns:
        float64 `(N,)` in [0, 0.7616]; high = rare, 0 = all neighbors identical.

    Raises:
        ValueError: if there are too few columns, or a value is not a cosine; names its row and
            column.
        TypeError: if the array has another dtype or number of dimensions.

    Source: DS2 paper (arXiv 2410.10877), long-tail score. Deviations D1, D2 (each sample once, not
    its own neighbor; `paper` only), D4 (no rounding), D5 (f32 distances). O(N k).

    Example:
        >>> import numpy as np
        >>> similarities = np.array([[0.9, 0.8, 0.7, 0.6]], np.float32)
        >>> score_longtail(similarities, definition="reference").round(4)
        array([0.0997])
    """
    return _core.score_longtail(similarities, k, definition, decimals)
