"""Which samples a second, stronger rater should see, and what its ratings say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_GAIN = 1e-9
_STEPS = 200
_SETTLED = 1e-9
# Two ratings' worth of belief in each row that a rater is mostly right and seldom far off.
_PRIOR_RATINGS = 2.0


def find_gain(
    posteriors: NDArray[np.float64], selected: NDArray[np.bool_], cut: float
) -> NDArray[np.float64]:
    """What knowing a sample's true score would add to the selection.

    The expected gain, in classes, of a rater that is always right: for a selected sample `sum_y
    P(y) max(0, cut - y)`, it would make room for one at the cut; for another `sum_y P(y) max(0, y -
    cut)`, it would come in. So it is high near the cut, high where rating and neighbors disagree,
    and 0 where no outcome could change the selection.

    Args:
        posteriors: float64 `(N, K)`, probability of each true score.
        selected: bool `(N,)`.
        cut: the expected score from which on samples are selected.

    Returns:
        float64 `(N,)`, >= 0; high = worth asking. O(N K).

    Source: the knowledge gradient of ranking and selection (Frazier, Powell, Dayanik 2008), for a
        measurement without noise.
    """
    scores = np.arange(posteriors.shape[1], dtype=np.float64)
    out = np.maximum(0.0, cut - scores)
    into = np.maximum(0.0, scores - cut)
    return np.asarray(np.where(selected, posteriors @ out, posteriors @ into))


def pick_rows(gain: NDArray[np.float64], most: int) -> NDArray[np.uint32]:
    """The rows of the highest gain, best first, ties by row; none whose gain is 0."""
    order = np.argsort(-gain, kind="stable")[:most]
    return order[gain[order] > _LEAST_GAIN].astype(np.uint32)


@dataclass(frozen=True)
class Verdict:
    """What a stronger rater's ratings say.

    Attributes:
        T: float64 `(K, K)`, its score transition matrix: true score (rows) to rating (columns).
        posteriors: float64 `(m, K)`, of the true score with its ratings.
        expected: float64 `(m,)`, their means.
    """

    T: NDArray[np.float64]
    posteriors: NDArray[np.float64]
    expected: NDArray[np.float64]


def weigh(posteriors: NDArray[np.float64], ratings: NDArray[np.int8]) -> Verdict:
    """Fit a rater's T to what was believed before, and believe its ratings as far as T says.

    By EM, `P(y | r_i) ~ P_i(y) T[y, r_i]` and `T[y, r] ~ a[y, r] + sum_i P(y | r_i) [r_i = r]`,
    with `a[y, r] ~ exp(-|y - r|)`, two ratings a row: with few ratings the rater is taken to be
    mostly right.

    Args:
        posteriors: float64 `(m, K)`, of the true score before.
        ratings: int8 `(m,)`, the stronger rater's classes 0..K-1.

    Returns:
        T and the posteriors after.

    Raises:
        ValueError: if shapes differ or a rating is no class.

    Cost: O(m K) a step, at most 200 steps.

    Source: Dawid and Skene (1979), one rater with prior beliefs about the truth.
    """
    count, classes = posteriors.shape
    if ratings.shape != (count,):
        raise ValueError(f"ratings: expected shape ({count},), got {ratings.shape}")
    if count and not (ratings.min() >= 0 and ratings.max() < classes):
        raise ValueError(f"ratings must be classes 0 to {classes - 1}")
    steps = np.arange(classes)
    prior = np.exp(-np.abs(steps[:, None] - steps).astype(np.float64))
    prior *= _PRIOR_RATINGS / prior.sum(axis=1, keepdims=True)
    T = prior / prior.sum(axis=1, keepdims=True)
    said = np.eye(classes)[ratings.astype(np.int64)]
    for _ in range(_STEPS):
        after = _condition(posteriors, T, ratings)
        counts = prior + after.T @ said
        fitted = counts / counts.sum(axis=1, keepdims=True)
        moved = float(np.abs(fitted - T).max())
        T = fitted
        if moved < _SETTLED:
            break
    after = _condition(posteriors, T, ratings)
    return Verdict(T, after, after @ steps.astype(np.float64))


def _condition(
    posteriors: NDArray[np.float64], T: NDArray[np.float64], ratings: NDArray[np.int8]
) -> NDArray[np.float64]:
    joint = posteriors * T[:, ratings.astype(np.int64)].T
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))
