"""How well two raters agree: equal scores, kappa, rank correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Agreement:
    """What two raters make of the samples both rated; NaN where it is not defined.

    Attributes:
        samples: how many both rated.
        exact: share with equal scores.
        within_one: share with scores at most one apart.
        kappa: Cohen's, agreement beyond chance: 1 = always, 0 = as by chance.
        kappa_quadratic: the same with disagreement counted by its square.
        spearman: rank correlation of the scores.
    """

    samples: int
    exact: float
    within_one: float
    kappa: float
    kappa_quadratic: float
    spearman: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; null where it is not defined."""
        return {name: jsonable(value) for name, value in vars(self).items()}


def agree(first: NDArray[np.int8], second: NDArray[np.int8], *, same_scale: bool) -> Agreement:
    """Compare the scores of two raters.

    With counts n[i, j] of samples scored i and j and chance counts m[i, j] = n[i, .] n[., j] / n,
    kappa is `1 - sum(w n) / sum(w m)` with the weights w = [i != j], or (i - j)^2.

    Args:
        first: int8 `(N,)`, -1 = unrated.
        second: the other rater's.
        same_scale: whether a class means the same to both; else only ranks are compared.

    Raises:
        ValueError: if lengths differ.

    Source: Cohen 1960, 1968. O(N log N).

    Example:
        >>> found = agree(np.array([0, 1, 1, 2], np.int8), np.array([0, 1, 2, 2], np.int8),
        ...               same_scale=True)
        >>> found.exact, found.within_one, round(found.kappa, 3), found.kappa_quadratic
        (0.75, 1.0, 0.636, 0.8)
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores cannot be compared with {len(second)}")
    both = (first >= 0) & (second >= 0)
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    rank = spearman(a.astype(np.float64), b.astype(np.float64))
    if not same_scale or not len(a):
        return Agreement(len(a), math.nan, math.nan, math.nan, math.nan, rank)
    gap = np.abs(a - b)
    return Agreement(
        samples=len(a),
        exact=float(np.mean(gap == 0)),
        within_one=float(np.mean(gap <= 1)),
        kappa=_kappa(a, b, power=0),
        kappa_quadratic=_kappa(a, b, power=2),
        spearman=rank,
    )


def _kappa(a: NDArray[np.int64], b: NDArray[np.int64], *, power: int) -> float:
    classes = int(max(a.max(), b.max())) + 1
    gaps = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(np.float64)
    weights = np.where(gaps > 0, gaps**power, 0.0)
    counts = np.bincount(a * classes + b, minlength=classes**2).reshape(classes, classes)
    chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / len(a)
    expected = float((weights * chance).sum())
    return 1.0 - float((weights * counts).sum()) / expected if expected > 0 else math.nan


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Rank correlation: Pearson's, of ranks; equal values share the mean of their ranks.

    Args:
        x: float64 `(N,)`; entries that are NaN in x or y are left out.
        y: float64 `(N,)`.

    Returns:
        In [-1, 1]; NaN if either is constant. O(N log N).

    Example:
        >>> round(spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])), 9)
        0.8
    """
    known = ~(np.isnan(x) | np.isnan(y))
    ranks = [_ranks(values[known]) for values in (x, y)]
    first, second = (each - each.mean() if len(each) else each for each in ranks)
    # Not `@`: a BLAS may add in an order that depends on its threads.
    spread = math.sqrt(float(np.square(first).sum()) * float(np.square(second).sum()))
    return float((first * second).sum()) / spread if spread > 0 else math.nan


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)


def jsonable(value: float) -> float | None:
    """Take NaN, which JSON does not have, to None."""
    return None if math.isnan(value) else value
