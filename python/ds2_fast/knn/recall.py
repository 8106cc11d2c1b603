"""How many of the true neighbors a search finds, measured on a sample."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_ROWS = 1000
"""Rows a recall is measured on: a recall of .99 is then known to about .006."""

_Z = 1.959963984540054  # of a 95 % interval
_SEED = 42


@dataclass(frozen=True)
class Recall:
    """The share of the true neighbors that was found.

    Attributes:
        value: the share, in [0, 1].
        low: lower end of its 95 % interval.
        high: upper end.
        rows: how many rows it was measured on; None if it is 1 by construction.
    """

    value: float
    low: float
    high: float
    rows: int | None

    def tell(self) -> str:
        """Say it in a few words: `recall 0.997 (0.991 to 0.999, measured on 1,000 rows)`."""
        if self.rows is None:
            return "recall 1 by construction"
        return (
            f"recall {self.value:.3f} ({self.low:.3f} to {self.high:.3f}, "
            f"measured on {self.rows:,} rows)"
        )


CERTAIN = Recall(1.0, 1.0, 1.0, None)
"""The recall of an exact search."""


class RecallMissedError(Exception):
    """A search does not reach the recall asked for; the message says what it reaches."""


def sample_rows(rows: int, *, size: int = SAMPLE_ROWS) -> NDArray[np.int64]:
    """Draw the rows to measure on: the same ones for the same number of rows, ascending.

    Args:
        rows: N.
        size: how many, at most N.

    Returns:
        int64 `(min(size, N),)`, distinct.
    """
    if rows <= size:
        return np.arange(rows)
    return np.sort(np.random.default_rng(_SEED).choice(rows, size, replace=False))


def measure_recall(found: NDArray[np.float32], true: NDArray[np.float32]) -> Recall:
    """Compare the similarities found with the true ones, row by row.

    A neighbor found counts if it is at least as similar as the last true neighbor: among equals
    any will do. The interval is Wilson's. It takes a row for one trial, not each of its neighbors,
    because those of a row are missed together: it is wide rather than narrow.

    Args:
        found: float32 `(m, k)`, similarities of the neighbors found; -inf where one is missing.
        true: float32 `(m, k)`, similarities of the true neighbors, descending.

    Returns:
        The recall, with a 95 % interval.

    Raises:
        ValueError: if there is nothing to compare.

    >>> row = np.float32([[0.9, 0.5]])
    >>> measure_recall(np.float32([[0.9, 0.4]]), row).value
    0.5
    """
    if found.shape != true.shape or not true.size:
        raise ValueError(f"found {found.shape} and true {true.shape} cannot be compared")
    share = float(np.mean(found >= true[:, -1:]))
    low, high = wilson(share, len(true))
    return Recall(share, low, high, len(true))


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share seen in so many trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", Journal
    of the American Statistical Association 22 (1927).
    """
    weight = _Z * _Z / trials
    center = (share + weight / 2) / (1 + weight)
    half = sqrt(share * (1 - share) * weight + weight * weight / 4) / (1 + weight)
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))
