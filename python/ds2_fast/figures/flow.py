"""Where the scores went: as rated, and after curation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def count_flow(
    scores: NDArray[np.int8], curated: NDArray[np.int8], num_classes: int
) -> dict[str, Any]:
    """Count the rated samples by score before and after curation.

    Args:
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        curated: int8 `(N,)`, likewise.
        num_classes: K.

    Returns:
        `counts`: K lists of K, `counts[i][j]` samples rated i and curated to j; `raised` and
        `lowered`: samples that moved up and down.

    Example:
        >>> count_flow(np.array([0, 1, 1, -1], np.int8), np.array([0, 0, 1, -1], np.int8), 2)
        {'counts': [[1, 0], [1, 1]], 'raised': 0, 'lowered': 1}
    """
    rated = (scores >= 0) & (curated >= 0)
    before, after = scores[rated].astype(np.int64), curated[rated].astype(np.int64)
    counts = np.bincount(before * num_classes + after, minlength=num_classes**2)
    return {
        "counts": counts.reshape(num_classes, num_classes).tolist(),
        "raised": int(np.count_nonzero(after > before)),
        "lowered": int(np.count_nonzero(after < before)),
    }
