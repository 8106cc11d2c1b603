"""From a predicted score to a distribution over the score classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FEWEST = 20
_MOST_BINS = 500


@dataclass(frozen=True)
class Levels:
    """How often each class is reached at a predicted score.

    Attributes:
        at: float64 `(b,)`, predicted scores, ascending.
        reached: float64 `(b, K - 1)`, P(score >= c) for c = 1..K-1: rising down the rows, falling
            along them.
    """

    at: NDArray[np.float64]
    reached: NDArray[np.float64]

    def distribution(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(score = c), float64 `(n, K)`, rows sum to 1; between two points in proportion."""
        columns = [np.interp(predicted, self.at, column) for column in self.reached.T]
        ones, zeros = np.ones(len(predicted)), np.zeros(len(predicted))
        tails = np.stack([ones, *columns, zeros], axis=1)
        shares: NDArray[np.float64] = np.maximum(tails[:, :-1] - tails[:, 1:], 0.0)
        return shares


def fit_levels(
    predicted: NDArray[np.float64], scores: NDArray[np.int8], num_classes: int
) -> Levels:
    """Fit P(score >= c | predicted score), rising with the predicted score, for every class c.

    Samples in the order of their prediction are cut into bins of 20 or more; the shares per bin,
    with one sample of the overall distribution added to each, are made monotone by isotonic
    regression. As the shares fall from class to class, so do the monotone ones.

    Args:
        predicted: float64 `(n,)`, predictions of models that had not seen the samples.
        scores: int8 `(n,)`, 0..K-1.
        num_classes: K.

    Returns:
        The levels.

    Raises:
        ValueError: if there is no sample.
    """
    if len(scores) == 0:
        raise ValueError("levels need at least one rated sample, got 0")
    order = np.argsort(predicted, kind="stable")
    bins = np.array_split(order, min(max(len(order) // _FEWEST, 1), _MOST_BINS))
    reached = scores[:, None] >= np.arange(1, num_classes)
    overall = reached.mean(axis=0)
    at = np.array([predicted[rows].mean() for rows in bins])
    sizes = np.array([len(rows) + 1.0 for rows in bins])
    shares = np.stack([(reached[rows].sum(axis=0) + overall) / (len(rows) + 1) for rows in bins])
    rising = [_isotonic(column, sizes) for column in shares.T]
    return Levels(at, np.stack(rising, axis=1))


def _isotonic(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rising values, by pooling adjacent violators."""
    means: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, size = value, weight, 1
        while means and means[-1] >= mean:
            below, under = means.pop(), masses.pop()
            mean = (mean * mass + below * under) / (mass + under)
            mass, size = mass + under, size + sizes.pop()
        means.append(mean)
        masses.append(mass)
        sizes.append(size)
    return np.repeat(means, sizes)
