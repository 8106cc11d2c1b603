"""From the scale a rater answers on to score classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core
from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def compress_ratings(ratings: ArrayLike) -> NDArray[np.int8]:
    """Compress overall ratings 0..10 to scores 0..5 as the published code does.

    Up to 4 becomes 0; 5, 6, 7, 8 become 1, 2, 3, 4; 9 and 10 become 5. Fractions are cut off first.

    Args:
        ratings: numbers `(N,)` in 0..10; NaN or None = unrated.

    Returns:
        int8 `(N,)` in 0..5, -1 = unrated.

    Raises:
        PoolError: if a rating lies off the scale (first row); the published code clamps it
            silently.

    Source: published code, score compression. O(N).

    Example:
        >>> compress_ratings([4, 5, 9, None]).tolist()
        [0, 1, 5, -1]
    """
    values = np.asarray(ratings, dtype=np.float64)
    try:
        return _core.compress_ratings(values)
    except ValueError as error:
        raise PoolError(str(error), "give the scale of the ratings, or mend the row") from error


def bin_ratings(ratings: ArrayLike, lo: float, hi: float, num_classes: int) -> NDArray[np.int8]:
    """Bin ratings of a linear scale into score classes of equal width.

    `score = min(floor(K (r - lo) / (hi - lo)), K - 1)`; with `K = hi - lo + 1` whole ratings keep
    their rank.

    Args:
        ratings: numbers `(N,)` in lo..hi; NaN or None = unrated.
        lo: lowest rating of the scale.
        hi: highest rating of the scale, above `lo`.
        num_classes: K, 2..16.

    Returns:
        int8 `(N,)` in 0..K-1, -1 = unrated.

    Raises:
        PoolError: if the scale is empty, K is out of range, or a rating lies off the scale (first
            row).

    O(N).

    Example:
        >>> bin_ratings([1, 3, 5], lo=1, hi=5, num_classes=5).tolist()
        [0, 2, 4]
    """
    values = np.asarray(ratings, dtype=np.float64)
    try:
        return _core.bin_ratings(values, lo, hi, num_classes)
    except ValueError as error:
        raise PoolError(str(error), "give the scale the rater answered on") from error
