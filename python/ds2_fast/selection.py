"""Dual sort: the best scored samples first, among equals the rarest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ds2_fast import _core
from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Preset = Literal["default", "paper", "reference"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


@dataclass(frozen=True)
class Ranking:
    """Samples in order of preference.

    Attributes:
        order: uint32, eligible rows, best first; with `reference` the chosen ones only.
        trimmed: uint32, rows set aside as outliers, ascending; empty but for the default preset.
        bucket: float64 `(N,)`, the first sort key; NaN for unrated rows, which are not eligible.
    """

    order: NDArray[np.uint32]
    trimmed: NDArray[np.uint32]
    bucket: NDArray[np.float64]


def rank_samples(
    curated: NDArray[np.int8],
    expected: NDArray[np.float64],
    longtail: NDArray[np.float64],
    *,
    preset: Preset = "default",
    n: int | None = None,
    keep_outliers: bool = False,
) -> Ranking:
    """Rank samples by (bucket descending, long-tail score descending, row ascending).

    - `default`: the bucket is the expected score in steps of 0.25, rounded down. Rows above the
      99 % long-tail quantile of the pool are set aside: at most one in 100.
    - `paper`: the bucket is the curated score; nothing is set aside.
    - `reference`: the order of the published code. From the highest curated score down, a class
      with fewer samples than are still wanted is taken whole, in row order; of the first other
      class, the rarest, ties by row. It depends on `n`: a choice, not a ranking.

    Args:
        curated: int8 `(N,)`, curated score, -1 = unrated.
        expected: float64 `(N,)`, expected score, finite wherever a row is rated (`default` only).
        longtail: float64 `(N,)`, high = rare.
        preset: which order.
        n: how many samples will be wanted; the ranking holds at least so many.
        keep_outliers: set nothing aside (`default` only).

    Returns:
        The ranking of all eligible rows; with `reference`, of the `n` chosen ones.

    Raises:
        PoolError: if `n` is larger than the number of eligible rows.
        ValueError: if `n < 1`, lengths differ, or a long-tail or expected score is not finite (with
            its row).
        TypeError: if an array has another dtype or number of dimensions.

    Source: DS2 paper (arXiv 2410.10877), selection. Deviation D6 (every bucket is sorted).
    O(N log N).

    Example:
        >>> scores = np.array([5, 4, 4, 5, 4], np.int8)
        >>> longtail = np.array([0.1, 0.3, 0.3, 0.2, 0.5])
        >>> rank_samples(scores, scores.astype(float), longtail, preset="paper").order.tolist()
        [3, 0, 4, 1, 2]
    """
    if n is not None and n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    # The published order knows the paper's buckets and eligible rows, only another order.
    buckets = {"default": "untrimmed" if keep_outliers else "default"}.get(preset, "paper")
    order, trimmed, bucket = _core.rank_samples(curated, expected, longtail, buckets)
    if n is not None and n > len(order):
        raise _too_many(n, len(order), len(curated), len(trimmed))
    if preset == "reference" and len(order) > 0:
        order = _core.published_order(curated, longtail, len(order) if n is None else n)
    return Ranking(order=order, trimmed=trimmed, bucket=bucket)


def _too_many(n: int, eligible: int, samples: int, trimmed: int) -> PoolError:
    unrated = samples - eligible - trimmed
    hint = f"ask for at most {eligible:,} samples with `-n`"
    if trimmed:
        hint += ", or keep the outliers with `--keep-outliers`"
    return PoolError(
        f"{n:,} samples asked for, but only {eligible:,} of {samples:,} are eligible "
        f"({unrated:,} unrated, {trimmed:,} set aside as outliers)",
        hint,
    )
