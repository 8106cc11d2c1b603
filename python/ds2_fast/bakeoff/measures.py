"""Measures of a chosen subset: how it covers the pool, how diverse it is, how it is distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    Rows = NDArray[np.float32] | NDArray[np.float16]

NEAR = 0.95
"""Cosine similarity from which on two samples count as near duplicates."""


def measure_coverage(
    rows: Rows,
    chosen: NDArray[np.uint32],
    *,
    allow_zero: bool = False,
    threads: int | None = None,
    progress: Progress = silent,
) -> tuple[float, float]:
    """Measure how far the samples of a pool lie from the nearest chosen one.

    The mean and the maximum over all rows i of `min_{j chosen} 1 - s(i, j)`, `s` the cosine
    similarity; low = the chosen ones cover the pool.

    Args:
        rows: float32 or float16 `(N, d)`.
        chosen: uint32 `(m,)`, distinct rows, at least one.
        allow_zero: accept rows of zeros, which are at distance 1 from every row.
        threads: at most so many; the result does not depend on it.
        progress: called with rows done and N.

    Returns:
        Mean and maximum, in [0, 2].

    Raises:
        ValueError: if nothing is chosen, or a row is unknown, repeated, not finite or zero.

    Source: the maximum is the radius of k-center (Gonzalez 1985). `N m d` multiply-adds.

    Example:
        >>> rows = np.array([[1, 0], [0, 1], [3, 4]], np.float32)
        >>> mean, most = measure_coverage(rows, np.array([0, 1], np.uint32))
        >>> round(mean, 4), round(most, 4)
        (0.0667, 0.2)
    """
    nearest = _core.cover(rows, chosen, allow_zero, threads, progress)
    distance = 1 - nearest.astype(np.float64)
    return float(distance.mean()), float(distance.max())


def vendi_score(rows: Rows) -> float:
    """Count how many different samples a subset is worth: the Vendi score, cosine kernel.

    `exp(-sum_i l_i ln l_i)`, `l_i` the eigenvalues of `K / m`, K the cosine similarities of all
    pairs: 1 where all rows are alike, m where all are at right angles. They are those of the
    smaller of `X X^T / m` and `X^T X / m`, X the rows at unit length, so nothing is approximated.

    Args:
        rows: float32 or float16 `(m, d)`, finite, m at least 1; a row of zeros is like itself alone
            and adds an eigenvalue `1 / m`.

    Returns:
        A number in [1, m].

    Source: Friedman and Dieng 2022, arXiv 2210.02410, Definition 3.1.
    `m d min(m, d) + min(m, d)^3` multiply-adds.

    Example:
        >>> vendi_score(np.array([[1, 0], [0, 2]], np.float32))
        2.0
        >>> vendi_score(np.array([[1, 1], [2, 2]], np.float32))
        1.0
    """
    unit = _unit(rows)
    zeros = int(np.count_nonzero(~unit.any(axis=1)))
    small = unit if unit.shape[1] <= len(unit) else np.ascontiguousarray(unit.T)
    products = _core.gram(small)
    values = np.linalg.eigvalsh(products + np.triu(products, 1).T) / len(unit)
    # What is below the rounding of the products is no direction of its own.
    values = values[values > np.finfo(np.float32).eps * max(values.max(initial=0.0), 1e-9)]
    spread = np.concatenate([values, np.full(zeros, 1 / len(unit))])
    spread = spread / spread.sum()
    entropy = -float((spread * np.log(spread)).sum())
    return float(np.round(np.clip(np.exp(entropy), 1.0, len(unit)), 6))


def _unit(rows: Rows) -> NDArray[np.float32]:
    wide = rows.astype(np.float64)
    # Scaled first, so that no square overflows or vanishes.
    most = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
    wide = np.divide(wide, most, out=np.zeros_like(wide), where=most > 0)
    length = np.sqrt((wide**2).sum(axis=1, keepdims=True))
    unit = np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)
    return np.ascontiguousarray(unit, dtype=np.float32)


def count_near(rows: Rows, *, allow_zero: bool = False, threads: int | None = None) -> int:
    """Count the rows that have another one at a cosine similarity of `NEAR` or more.

    Args:
        rows: float32 or float16 `(m, d)`, C-contiguous, finite.
        allow_zero: accept rows of zeros, which are like none.
        threads: at most so many; the result does not depend on it.

    Returns:
        How many of the m; both of a pair count.

    Raises:
        ValueError: if a value is not finite or a row zero.

    `m^2 d` multiply-adds.

    Example:
        >>> count_near(np.array([[1, 0], [1, 0.1], [0, 1]], np.float32))
        2
    """
    if len(rows) < 2:  # noqa: PLR2004 - one has no other
        return 0
    _, similarities = _core.knn_exact(rows, 1, threads, allow_zero, None)
    return int(np.count_nonzero(similarities[:, 0] >= np.float32(NEAR)))


def total_variation(groups: Sequence[dict[str, Any]]) -> float:
    """Measure how far the shares of groups in a selection are from those in the pool.

    `1/2 sum_g |selected_g / m - samples_g / N|`: the share of the selection that would have to
    change groups. 0 = as in the pool, 1 = nothing in common.

    Args:
        groups: of each its `samples` in the pool and those `selected`; at least one is.

    Example:
        >>> total_variation([{"samples": 5, "selected": 1}, {"samples": 5, "selected": 0}])
        0.5
    """
    pool = np.array([each["samples"] for each in groups], dtype=np.float64)
    chosen = np.array([each["selected"] for each in groups], dtype=np.float64)
    return float(np.abs(pool / pool.sum() - chosen / chosen.sum()).sum() / 2)


def share_in_common(
    first: Sequence[NDArray[np.uint32]], second: Sequence[NDArray[np.uint32]], n: int
) -> float | None:
    """Say what share of n two strategies choose in common.

    Where both are random, the mean over all pairs of draws under different seeds: under the same
    seed, what they draw by could be the same numbers. Given the same draws twice, it tells how much
    two draws of one strategy have in common.

    Args:
        first: the rows chosen, for each seed, or once for all.
        second: those of the other strategy.
        n: how many were wanted.

    Returns:
        A number in [0, 1]; None if there is no such pair.

    Example:
        >>> once = [np.array([0, 1, 2, 3], np.uint32)]
        >>> share_in_common(once, [np.array([3, 4, 5, 0], np.uint32)], 4)
        0.5
    """
    both_random = len(first) > 1 and len(second) > 1
    pairs = [
        len(np.intersect1d(one, other, assume_unique=True))
        for place, one in enumerate(first)
        for place_of_other, other in enumerate(second)
        if not (both_random and place == place_of_other)
    ]
    return float(np.mean(pairs)) / n if pairs else None
